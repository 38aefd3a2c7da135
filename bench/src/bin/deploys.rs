//! Which release or flag brought the slope, on simulated histories whose culprit is known.
//!
//!     cargo run --release -p plimsoll-bench --bin deploys [-- HISTORIES [FIRST SEED]]

use std::io::Write as _;

use plimsoll_core::bisect::deploys::{Blamed, Cause, blame};
use plimsoll_core::cluster::{Life, Limits, Replica, Workload};
use plimsoll_core::mark::{Mark, MarkKind};
use plimsoll_core::series::Point;
use plimsoll_core::slope::{Death, Samples};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const HOUR: f64 = 3600.0;
const STEP: f64 = 300.0;
const BEGIN: f64 = 1_760_000_000.0;
const LIMIT: f64 = 2.0 * 1_073_741_824.0;

fn uniform(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn log_uniform(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    uniform(rng, low.ln(), high.ln()).exp()
}

fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    (uniform(rng, 0.0, 1.0) * n as f64) as usize % n
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (-2.0 * uniform(rng, 1e-12, 1.0).ln()).sqrt() * uniform(rng, 0.0, std::f64::consts::TAU).cos()
}

/// A history: versions one after the other, flags in between, one of them the culprit.
struct Story {
    days: f64,
    /// Hours at which versions came; the first is 0.
    versions: Vec<f64>,
    /// Hours from and until which flags were on.
    flags: Vec<(f64, f64)>,
    /// Who adds to the slope, and how many bytes per second; none where nothing does.
    culprits: Vec<(Cause, f64)>,
    /// The version from which on the first of them is gone.
    mended: Option<usize>,
    /// A cache that fills in each process: bytes, and hours to most of it.
    cache: Option<(f64, f64)>,
}

fn story(rng: &mut ChaCha8Rng) -> Story {
    let days = uniform(rng, 7.0, 14.0);
    let hours = days * 24.0;
    let mut times: Vec<f64> = (0..2 + below(rng, 4)).map(|_| uniform(rng, 12.0, hours - 24.0)).collect();
    times.sort_by(f64::total_cmp);
    // Two rollouts within hours are one release that was corrected.
    times.dedup_by(|b, a| *b - *a < 12.0);
    let versions: Vec<f64> = std::iter::once(0.0).chain(times).collect();
    let flag = |rng: &mut ChaCha8Rng| {
        let on = uniform(rng, 12.0, hours - 30.0);
        let off = if uniform(rng, 0.0, 1.0) < 0.5 { on + uniform(rng, 24.0, 72.0) } else { f64::INFINITY };
        (on, off)
    };
    let flags: Vec<(f64, f64)> = (0..below(rng, 4)).map(|_| flag(rng)).collect();
    let by_flag = !flags.is_empty() && uniform(rng, 0.0, 1.0) < 0.3;
    let culprit = if by_flag {
        Cause::Switched(MarkKind::Flag, format!("f{}", below(rng, flags.len())))
    } else {
        Cause::Version(format!("v{}", 1 + below(rng, versions.len() - 1)))
    };
    // Half of the limit is gone after so many hours.
    let adds = LIMIT / 2.0 / (log_uniform(rng, 24.0, 240.0) * HOUR);
    Story { days, versions, flags, culprits: vec![(culprit, adds)], mended: None, cache: None }
}

impl Story {
    /// The same with a cache in every process, and without a culprit where there is to be none.
    fn varied(mut self, kind: Kind, rng: &mut ChaCha8Rng) -> Story {
        if matches!(kind, Kind::CulpritAndCache | Kind::CacheAlone) {
            self.cache = Some((uniform(rng, 0.05, 0.3) * LIMIT, log_uniform(rng, 2.0, 24.0)));
        }
        if kind == Kind::CacheAlone {
            self.culprits.clear();
        }
        if kind == Kind::Two {
            self.has_another(rng);
        }
        if kind == Kind::Mended {
            self.is_mended(rng);
        }
        self
    }

    /// A flag that leaks beside a version, or a version beside a flag, at another time; by half as much to twice as much.
    fn has_another(&mut self, rng: &mut ChaCha8Rng) {
        let hours = self.days * 24.0;
        let (first, adds) = self.culprits[0].clone();
        let begins = self.began(&first);
        let far = |at: f64| (at - begins).abs() >= 18.0;
        let another = if matches!(first, Cause::Version(_)) {
            let mut on = uniform(rng, 12.0, hours - 30.0);
            while !far(on) {
                on = uniform(rng, 12.0, hours - 30.0);
            }
            self.flags.push((on, f64::INFINITY));
            Cause::Switched(MarkKind::Flag, format!("f{}", self.flags.len() - 1))
        } else {
            let Some(k) = (1..self.versions.len()).find(|k| far(self.versions[*k])) else { return };
            Cause::Version(format!("v{k}"))
        };
        self.culprits.push((another, adds * log_uniform(rng, 0.5, 2.0)));
    }

    /// A version leaks until a later one.
    fn is_mended(&mut self, rng: &mut ChaCha8Rng) {
        let hours = self.days * 24.0;
        let leaks = uniform(rng, 24.0, hours / 2.0);
        let mended = uniform(rng, leaks + 24.0, hours - 24.0);
        self.versions.retain(|v| (v - leaks).abs() >= 12.0 && (v - mended).abs() >= 12.0);
        self.versions.extend([leaks, mended]);
        self.versions.sort_by(f64::total_cmp);
        let at = |hour: f64| self.versions.iter().position(|v| *v == hour).unwrap_or(0);
        self.mended = Some(at(mended));
        self.culprits = vec![(Cause::Version(format!("v{}", at(leaks))), self.culprits[0].1)];
    }
}

/// What a history is like.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// One version or flag climbs.
    Culprit,
    /// A version does and a flag does, from another time on.
    Two,
    /// A version does, and a later one no more.
    Mended,
    /// The same, and every process fills a cache.
    CulpritAndCache,
    /// Every process fills a cache, and nothing climbs.
    CacheAlone,
}

impl Story {
    fn version(&self, hour: f64) -> usize {
        self.versions.iter().filter(|v| **v <= hour).count() - 1
    }

    /// The hour at which a cause came.
    fn began(&self, cause: &Cause) -> f64 {
        let named = |name: &str| name.get(1..).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
        match cause {
            Cause::Version(name) => self.versions[named(name)],
            Cause::Switched(_, name) => self.flags[named(name)].0,
            Cause::Unmarked(_) | Cause::Never => 0.0,
        }
    }

    /// What is added at an hour, bytes per second.
    fn slope(&self, version: usize, hour: f64) -> f64 {
        let is = |(cause, _): &&(Cause, f64)| self.active(cause, version, hour);
        self.culprits.iter().filter(is).map(|(_, adds)| adds).sum()
    }

    /// Whether a cause is active; a flag is looked at by each replica when it is switched.
    fn active(&self, cause: &Cause, version: usize, hour: f64) -> bool {
        match cause {
            Cause::Version(_) if self.mended.is_some_and(|mended| version >= mended) => false,
            Cause::Version(name) => (0..=version).any(|v| *name == format!("v{v}")),
            Cause::Switched(_, name) => self
                .flags
                .iter()
                .enumerate()
                .any(|(k, (on, off))| *name == format!("f{k}") && (*on..*off).contains(&hour)),
            Cause::Unmarked(_) | Cause::Never => false,
        }
    }

    fn marks(&self) -> Vec<Mark> {
        let mark = |k: usize, hour: f64, off: bool| Mark {
            unix_seconds: BEGIN + hour * HOUR,
            kind: MarkKind::Flag,
            name: format!("f{k}"),
            off,
            workload: None,
        };
        let of = |(k, (on, off)): (usize, &(f64, f64))| {
            let end = (*off < self.days * 24.0).then(|| mark(k, *off, true));
            std::iter::once(mark(k, *on, false)).chain(end).collect::<Vec<_>>()
        };
        let mut marks: Vec<Mark> = self.flags.iter().enumerate().flat_map(of).collect();
        marks.sort_by(|a, b| a.unix_seconds.total_cmp(&b.unix_seconds));
        marks
    }

    /// One replica over its lives, and its share of each leak: floors of five minutes with teeth, noise that drifts, load by the day, warm-ups, restarts.
    fn replica(&self, n: usize, rng: &mut ChaCha8Rng) -> (Replica, f64) {
        let base = uniform(rng, 0.12, 0.3) * LIMIT;
        let (noise, alike) =
            (uniform(rng, 0.001, 0.006) * LIMIT, (-STEP / (uniform(rng, 5.0, 120.0) * 60.0)).exp());
        let (teeth, daily) = (uniform(rng, 0.002, 0.03) * LIMIT, uniform(rng, 0.0, 0.02) * LIMIT);
        // No two replicas get the same share of the work.
        let share = uniform(rng, 0.85, 1.15);
        let every = if uniform(rng, 0.0, 1.0) < 0.3 { uniform(rng, 10.0, 40.0) } else { f64::INFINITY };
        let (mut lives, mut drift, mut hour): (Vec<Life>, f64, f64) = (Vec::new(), 0.0, 0.0);
        while hour < self.days * 24.0 - 1.0 {
            let version = self.version(hour);
            let rollout = self.versions.get(version + 1).copied().unwrap_or(self.days * 24.0);
            let end = rollout.min(hour + every * uniform(rng, 0.7, 1.3)).min(self.days * 24.0);
            let warm = uniform(rng, 0.01, 0.08) * LIMIT;
            let (mut grown, mut points) = (0.0, Vec::new());
            let mut ended = end;
            for k in 0..((end - hour) * HOUR / STEP) as usize {
                let age = k as f64 * STEP;
                let now = hour + age / HOUR;
                drift = alike * drift + (1.0 - alike * alike).sqrt() * normal(rng);
                grown += share * self.slope(version, now) * STEP;
                let day = daily * (std::f64::consts::TAU * now / 24.0).sin();
                let value = base
                    + grown
                    + warm * (1.0 - (-age / 2400.0).exp())
                    + self.cache.map_or(0.0, |(bytes, hours)| bytes * (1.0 - (-age / HOUR / hours).exp()))
                    + noise * drift
                    + day
                    + teeth * uniform(rng, 0.0, 0.3);
                if value > LIMIT {
                    ended = now;
                    break;
                }
                points.push(Point { t: BEGIN + hour * HOUR + age, v: value });
            }
            lives.push(Life { start: BEGIN + hour * HOUR, version: Some(format!("v{version}")), points });
            hour = ended.max(hour + STEP / HOUR);
        }
        let replica =
            Replica { pod: format!("api-{n}"), lives, limits: Limits::always(LIMIT), ..Replica::default() };
        (replica, share)
    }
}

/// What came out of one history.
struct Outcome {
    /// Every culprit goes before everything else.
    first: bool,
    credible: bool,
    tied: bool,
    /// Of the culprits, whether each effect lies in its interval, and how far its middle is off; where it was named.
    effects: Vec<(bool, f64)>,
    confident_and_wrong: bool,
    /// A version or a flag is named with 0.9 or more, and is no culprit.
    accused: bool,
}

fn judged(seed: u64, kind: Kind) -> Option<Outcome> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let story = story(&mut rng).varied(kind, &mut ChaCha8Rng::seed_from_u64(!seed));
    if kind == Kind::Two && story.culprits.len() < 2 {
        return None;
    }
    let replicas = 1 + below(&mut rng, 6);
    let all: Vec<(Replica, f64)> = (0..replicas).map(|n| story.replica(n, &mut rng)).collect();
    let share = all.iter().map(|(_, share)| share).sum::<f64>() / replicas as f64;
    let workload = Workload {
        cluster: String::new(),
        namespace: "shop".into(),
        name: "api".into(),
        container: "api".into(),
        number: "memory".into(),
        is_heap: false,
        samples: Samples::Raw,
        death: Death::AtUsage,
        replicas: all.into_iter().map(|(replica, _)| replica).collect(),
        kills: None,
    };
    let blame = blame(&workload, &story.marks()).ok()?;
    let culprits: Vec<&Cause> = match story.culprits.as_slice() {
        [] => vec![&Cause::Never],
        some => some.iter().map(|(cause, _)| cause).collect(),
    };
    let is_culprit = |c: &Blamed| culprits.contains(&&c.cause);
    let is_named = |c: &Blamed| matches!(c.cause, Cause::Version(_) | Cause::Switched(..));
    let wrong: Vec<&Blamed> = blame.causes.iter().filter(|c| c.p >= 0.9 && !is_culprit(c)).collect();
    let effect = |(cause, adds): &(Cause, f64)| {
        let found = blame.causes.iter().find(|c| c.cause == *cause)?;
        let truth = adds * share;
        Some(((found.adds.low..=found.adds.high).contains(&truth), (found.adds.mid / truth).ln().abs()))
    };
    Some(Outcome {
        first: blame.causes.iter().take(culprits.len()).all(is_culprit),
        credible: blame.credible(0.9).iter().filter(|c| is_culprit(c)).count() == culprits.len(),
        tied: !blame.tied.is_empty(),
        effects: story.culprits.iter().filter_map(effect).collect(),
        confident_and_wrong: !wrong.is_empty(),
        accused: wrong.iter().any(|c| is_named(c)),
    })
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Culprit, "a culprit"),
    (Kind::Two, "a version and, at another time, a flag"),
    (Kind::Mended, "a version, until a later one"),
    (Kind::CulpritAndCache, "a culprit, and a cache fills in each process"),
    (Kind::CacheAlone, "only a cache fills in each process"),
];

fn main() -> std::io::Result<()> {
    let number = |at: usize| std::env::args().nth(at).and_then(|a| a.parse::<u64>().ok());
    let (histories, seed) = (number(1).unwrap_or(200), number(2).unwrap_or(0));
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| {histories} histories | judged | right first | in the 90 % set | wrong with 0.9 or more | a version or flag wrongly with 0.9 | tied | effect in its 80 % interval | off by, median |"
    )?;
    writeln!(out, "|---|---:|---:|---:|---:|---:|---:|---:|---:|")?;
    for (kind, words) in KINDS {
        let all: Vec<Outcome> = (seed..seed + histories).filter_map(|seed| judged(seed, kind)).collect();
        let percent = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
        let share = |is: &dyn Fn(&Outcome) -> bool| percent(all.iter().filter(|o| is(o)).count(), all.len());
        let effects: Vec<(bool, f64)> = all.iter().flat_map(|o| o.effects.iter().copied()).collect();
        let mut off: Vec<f64> = effects.iter().map(|(_, off)| *off).collect();
        off.sort_by(f64::total_cmp);
        writeln!(
            out,
            "| {words} | {} | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {:.1} % |",
            all.len(),
            share(&|o| o.first),
            share(&|o| o.credible),
            share(&|o| o.confident_and_wrong),
            share(&|o| o.accused),
            share(&|o| o.tied),
            percent(effects.iter().filter(|(inside, _)| *inside).count(), effects.len()),
            100.0 * off.get(off.len() / 2).copied().unwrap_or(f64::NAN)
        )?;
    }
    Ok(())
}
