//! One question to the estimator for all lives of a workload, one more for a replica that climbs as the others do not, and the words
//! for their answer.

use super::apart::Apart;
use super::net::net;
use super::wave::wave;
use super::{Life, Movement, Replica, Row, Unlike, Verdict, Workload};
use super::{apart, calm, work};
use crate::series::Point;
use crate::slope::{self, Epoch, Posterior, Question};
use crate::units;

/// Lives that go into one question: the estimator's work grows with them, what they tell hardly.
const LIVES: usize = 12;
/// A replica is alive if its last sample is no older than this many steps.
const ALIVE: f64 = 3.0;
/// Probability from which a climb is called a leak, and below which it is called none.
const LEAK: f64 = 0.8;
const NONE: f64 = 0.2;
/// Seconds of history below which nothing is called flat.
const SHORTEST: f64 = 7200.0;
/// Restarts of a replica from which on they may have hidden a leak.
const HIDING: usize = 2;
/// A version belongs to an onset if it came so many seconds before the earliest or after the latest time of it.
pub(super) const NEAR: f64 = 3600.0;
/// Share of its limit that a flat workload uses at most if the limit is called far too large, seconds of history that it
/// takes to say so, and what is left above the highest use.
const ROOMY: f64 = 0.5;
const LONG: f64 = 3.0 * 86_400.0;
const SPARE: f64 = 1.3;
/// Times its limit above which nothing lives that is limited by the kernel.
const IMPOSSIBLE: f64 = 1.5;
/// Seed of the draws: the same history, the same answer.
const SEED: u64 = 11;

/// Judges a workload at `now` (Unix seconds); `step` is the distance of its samples, seconds.
pub fn judge(workload: &Workload, now: f64, step: f64) -> Row {
    judge_with(workload, now, step).0
}

/// The same with the posterior that it comes from.
pub fn judge_with(workload: &Workload, now: f64, step: f64) -> (Row, Option<Posterior>) {
    let (alive, nearest) = alive(workload, now, step);
    let (verdict, posterior, whose) = match nearest {
        None => (Err(("no replica is alive".to_owned(), None)), None, None),
        Some(nearest) => match (cannot_be(workload, nearest), asked(workload, nearest, &alive, now)) {
            (Some(why), _) => (Err((why, None)), None, Some(nearest)),
            (None, Ok(asked)) => {
                (Ok(verdict(workload, &asked, &alive, now)), Some(asked.posterior), Some(asked.whose))
            }
            (None, Err(why)) => (Err(why), None, Some(nearest)),
        },
    };
    let row = Row {
        cluster: workload.cluster.clone(),
        namespace: workload.namespace.clone(),
        name: workload.name.clone(),
        container: workload.container.clone(),
        number: workload.number.clone(),
        is_heap: workload.is_heap,
        other: None,
        replicas: alive.len(),
        restarts: workload.replicas.iter().map(|r| r.lives.len().saturating_sub(1)).sum(),
        kills: workload.kills,
        limit: whose.and_then(Replica::limit),
        net: net(workload, whose),
        waits: waits(&alive),
        verdict,
    };
    (row, posterior)
}

/// Hands over the question that all lives of a workload are at `now`; `None` where no replica is alive.
pub fn with_question<R>(
    workload: &Workload,
    now: f64,
    step: f64,
    ask: impl FnOnce(&Question<'_>) -> R,
) -> Option<R> {
    alive(workload, now, step).1.map(|nearest| question(workload, nearest, None, now, ask))
}

/// Who is alive, and who of them is nearest to its limit.
fn alive(workload: &Workload, now: f64, step: f64) -> (Vec<&Replica>, Option<&Replica>) {
    let is_alive = |r: &&Replica| r.last().is_some_and(|p| now - p.t <= ALIVE * step);
    let alive: Vec<&Replica> = workload.replicas.iter().filter(is_alive).collect();
    let nearest = alive.iter().copied().max_by(|a, b| share(a).total_cmp(&share(b)));
    (alive, nearest)
}

/// Who waits for memory the most.
fn waits(alive: &[&Replica]) -> Option<(String, f64)> {
    let told = alive.iter().filter_map(|r| Some((r.pod.clone(), r.waits?)));
    told.max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Why a limit cannot be the one that the kernel keeps: what it limits is far above it, and alive.
fn cannot_be(workload: &Workload, nearest: &Replica) -> Option<String> {
    let (limit, used) = (nearest.limit()?, nearest.last()?.v);
    let is_kept = !workload.is_heap && limit.is_finite();
    (is_kept && used > IMPOSSIBLE * limit).then(|| {
        let (used, limit) = (units::bytes(used), units::bytes(limit));
        format!("it uses {used} and lives, above its limit of {limit}: is that limit in bytes, and this container's?")
    })
}

/// Share of its limit that a replica uses; by bytes alone where no limit is known.
fn share(replica: &Replica) -> f64 {
    replica.last().map_or(0.0, |p| p.v) / replica.limit().unwrap_or(1e18)
}

/// Why nothing can be said, and how many seconds more would do.
type NotYet = (String, Option<f64>);

/// Whose clock it is, and what was answered.
struct Asked<'a> {
    whose: &'a Replica,
    posterior: Posterior,
    /// Where it was asked about without the others.
    apart: Option<Apart<'a>>,
    /// The highest sample of all lives.
    highest: f64,
}

/// All lives are one question. A replica that climbs as the others do not is another: what is worse of both counts.
fn asked<'a>(
    workload: &'a Workload,
    nearest: &'a Replica,
    alive: &[&'a Replica],
    now: f64,
) -> Result<Asked<'a>, NotYet> {
    // Looked at from front to end before anything else: memory is quickest that way, and all that follows finds it near.
    let highest = highest(workload);
    let all = posterior(workload, nearest, None, now);
    let alone = apart::replicas(alive).into_iter().find_map(|one| {
        let own = posterior(workload, one.replica, Some(one.replica), now).ok()?;
        all.as_ref().ok().is_none_or(|all| is_worse((&own, &one), all)).then_some((one, own))
    });
    match alone {
        Some((one, posterior)) => Ok(Asked { whose: one.replica, posterior, apart: Some(one), highest }),
        None => all.map(|posterior| Asked { whose: nearest, posterior, apart: None, highest }),
    }
}

/// Whether what one replica does is worse than what all are said to do. Where all are said to leak, most others must hardly climb for
/// its clock to be another one.
fn is_worse((own, one): (&Posterior, &Apart<'_>), all: &Posterior) -> bool {
    let rank = |p: &Posterior| u8::from(p.p_climbs_on() >= LEAK) + u8::from(p.p_climbs_on() > NONE);
    let sooner = own.time_to_limit.mid < all.time_to_limit.mid;
    rank(own) > rank(all) || (rank(own) == rank(all) && rank(own) > 0 && sooner && 2 * one.unlike > one.of)
}

/// What is answered of all lives of the workload, or of one replica's own; so many seconds are left to `whose`.
fn posterior(
    workload: &Workload,
    whose: &Replica,
    alone: Option<&Replica>,
    now: f64,
) -> Result<Posterior, NotYet> {
    let posterior = question(workload, whose, alone, now, slope::estimate)
        .map_err(|not_yet| (not_yet.why, not_yet.more_seconds))?;
    if posterior.span < SHORTEST && posterior.p_climbs_on() < LEAK {
        let why =
            format!("only {} of history: a slow leak does not show yet", units::duration(posterior.span));
        return Err((why, Some(SHORTEST - posterior.span)));
    }
    Ok(posterior)
}

/// Asks about all lives of the workload, or about one replica's own, with `whose` live one last.
fn question<R>(
    workload: &Workload,
    whose: &Replica,
    alone: Option<&Replica>,
    now: f64,
    ask: impl FnOnce(&Question<'_>) -> R,
) -> R {
    let lives = lives(workload, whose, |of| alone.is_none_or(|one| std::ptr::eq(of, one)));
    let versions = versions(&lives);
    let epochs: Vec<Epoch<'_>> = lives
        .iter()
        .map(|(replica, life)| Epoch {
            start: life.start,
            version: versions.iter().position(|v| *v == life.version.as_deref()).unwrap_or(0) as u32,
            replica: *replica,
            points: &life.points,
        })
        .collect();
    // What the others serve says nothing of one that is asked about without them.
    let load = work::load(alone.map_or(&workload.replicas, std::slice::from_ref));
    ask(&Question {
        epochs: &epochs,
        load: &load,
        samples: workload.samples,
        death: workload.death,
        limit: whose.limit().unwrap_or(f64::INFINITY),
        now,
        garbage: false,
        seed: SEED,
    })
}

fn verdict(workload: &Workload, asked: &Asked<'_>, alive: &[&Replica], now: f64) -> Verdict {
    let Asked { whose, posterior, apart, highest } = asked;
    let movement = movement(posterior, whose);
    let replicas = apart.map_or(&workload.replicas[..], |one| std::slice::from_ref(one.replica));
    Verdict {
        pod: whose.pod.clone(),
        floor: posterior.floor,
        slope: posterior.slope,
        time_to_limit: posterior.time_to_limit,
        p_leak: posterior.p_climbs_on(),
        movement,
        shape: posterior.shape,
        onset: posterior.onset,
        since: since(replicas, posterior),
        since_mark: None,
        undecided_for: posterior.undecided_for.filter(|_| movement == Movement::Undecided),
        // What one does says nothing of when the others die.
        wave: if apart.is_some() { None } else { wave(posterior, whose, alive) },
        unlike: apart.map(|one| Unlike { replicas: one.unlike, of: one.of }),
        enough: enough(workload, (movement, *highest), whose, now),
        work: work::work(replicas),
    }
}

/// The lives of those replicas that are asked about, oldest first; the live one of the replica whose clock it is stands last. Its own go
/// before those of others, long ones before short ones.
fn lives<'a>(
    workload: &'a Workload,
    nearest: &'a Replica,
    of: impl Fn(&Replica) -> bool,
) -> Vec<(u32, &'a Life)> {
    let all = workload.replicas.iter().enumerate().filter(|(_, replica)| of(replica));
    let mut others: Vec<(bool, u32, &Life)> = all
        .flat_map(|(at, replica)| {
            let own = std::ptr::eq(replica, nearest);
            let lives = replica.lives.iter().filter(|life| !life.points.is_empty());
            lives.map(move |life| (own, at as u32, life))
        })
        .collect();
    let last = nearest.lives.last();
    let is_last = |life: &Life| last.is_some_and(|last| std::ptr::eq(last, life));
    let live = others.iter().position(|(_, _, life)| is_last(life)).map(|at| others.swap_remove(at));
    others.sort_by_key(|(own, _, life)| (!own, std::cmp::Reverse(life.points.len())));
    others.truncate(LIVES - 1);
    others.sort_by(|a, b| a.2.start.total_cmp(&b.2.start));
    others.into_iter().chain(live).map(|(_, at, life)| (at, life)).collect()
}

fn versions<'a>(lives: &[(u32, &'a Life)]) -> Vec<Option<&'a str>> {
    let mut versions: Vec<Option<&str>> = Vec::new();
    for (_, life) in lives {
        if !versions.contains(&life.version.as_deref()) {
            versions.push(life.version.as_deref());
        }
    }
    versions
}

fn movement(p: &Posterior, nearest: &Replica) -> Movement {
    if p.p_climbs_on() >= LEAK {
        let hidden = nearest.lives.len() > HIDING;
        return if hidden { Movement::RestartMasked } else { Movement::Leak };
    }
    if p.p_climbs_on() > NONE {
        return Movement::Undecided;
    }
    calm::movement(p.shape, nearest)
}

/// The version that ran first around the onset of the climb; nothing where none came with it.
fn since(replicas: &[Replica], p: &Posterior) -> Option<String> {
    let onset = p.onset?;
    let lives = || replicas.iter().flat_map(|r| &r.lives);
    let oldest = lives().map(|l| l.start).fold(f64::INFINITY, f64::min);
    let first = |version: &str| {
        let of_it = lives().filter(|l| l.version.as_deref() == Some(version));
        of_it.map(|l| l.start).fold(f64::INFINITY, f64::min)
    };
    let mut versions: Vec<(&str, f64)> =
        lives().filter_map(|l| l.version.as_deref()).map(|version| (version, first(version))).collect();
    // What ran from the begin on came with nothing that was seen.
    versions.retain(|(_, at)| *at > oldest && (onset.low - NEAR..=onset.high + NEAR).contains(at));
    versions
        .iter()
        .min_by(|a, b| (a.1 - onset.mid).abs().total_cmp(&(b.1 - onset.mid).abs()))
        .map(|(version, _)| (*version).to_owned())
}

/// A limit that would do for what stays far below the one it has, by how it moves and its highest use.
fn enough(
    workload: &Workload,
    (movement, highest): (Movement, f64),
    nearest: &Replica,
    now: f64,
) -> Option<f64> {
    let limit = nearest.limit().filter(|_| !workload.is_heap)?;
    let lives = || workload.replicas.iter().flat_map(|r| &r.lives);
    let oldest = lives().filter_map(|l| l.points.first()).map(|p| p.t).fold(f64::INFINITY, f64::min);
    if !matches!(movement, Movement::Flat | Movement::WarmUp | Movement::Step | Movement::Daily)
        || now - oldest < LONG
    {
        return None;
    }
    (highest < ROOMY * limit).then_some(highest * SPARE)
}

/// The highest sample of all lives, at least zero. Four at a time: a comparison need not wait for the one before.
fn highest(workload: &Workload) -> f64 {
    let mut most = [0.0_f64; 4];
    let higher = |most: &mut f64, p: &Point| *most = if p.v > *most { p.v } else { *most };
    for life in workload.replicas.iter().flat_map(|r| &r.lives) {
        let (fours, last) = life.points.as_chunks::<4>();
        for four in fours {
            most.iter_mut().zip(four).for_each(|(most, p)| higher(most, p));
        }
        last.iter().for_each(|p| higher(&mut most[0], p));
    }
    most.into_iter().fold(0.0, f64::max)
}

/// The next to die first; then what cannot be told yet; then what is calm, the fullest first.
pub fn rank(rows: &mut [Row]) {
    let key = |row: &Row| match &row.verdict {
        Ok(v) if row.is_finding() => (0, v.time_to_limit.mid),
        Ok(v) if v.movement == Movement::Undecided => (1, v.time_to_limit.mid),
        Err((_, more)) => (2, more.unwrap_or(f64::INFINITY)),
        Ok(v) => (3, -v.floor / row.limit.unwrap_or(f64::INFINITY)),
    };
    rows.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
}
