//! From samples to the floor: the lower envelope in blocks, per run, with process age and load beside it.

use super::linalg::{median, quantile, whole};
use super::load::Load;
use super::{Death, Epoch, NotYet, Question, Samples};
use crate::series::Point;

/// Fewest floor points that carry a posterior.
const MIN_POINTS: usize = 8;
/// Post-collection points are the floor itself: fewer will do.
const MIN_EXACT: usize = 6;
/// Fewest of them in runs of the live version.
const MIN_LIVE: usize = 4;
/// Floor points aimed at in the live run: finer blocks cost time and add no information.
const LIVE_POINTS: f64 = 60.0;
/// Floor points aimed at over all runs that follow one another.
const ALL_POINTS: f64 = 140.0;
/// A block without visible teeth is this long at most, seconds.
const BLOCK: f64 = 1_800.0;
/// Longest block that the length of the live run asks for, seconds; together with [`LIVE_POINTS`] it bounds the window. In longer
/// ones a leak of a few hours is over before it is a handful of points.
const BLOCK_MAX: f64 = 3_600.0;
/// Longest block where there are collections, each of which has to fall into one. Seconds.
const TOOTHED_BLOCK_MAX: f64 = 7_200.0;
/// Start of a process that is never looked at: loading code is not growth. Seconds.
const START_UP: f64 = 1_200.0;
/// A process that ended so many seconds after the next began to be looked at, or so large a share of its own life, came before it all the
/// same: deploys start the new one first.
const OVERLAP: (f64, f64) = (START_UP, 0.25);
/// Of so many moves one has to be one for those that are none to be values told again.
const TOLD_AGAIN: usize = 5;
/// Collections farther apart than this are not told from bursts, seconds.
const PERIOD_MAX: f64 = 4_500.0;
/// Odds of garbage against a leak for a climb that has just begun.
const TOOTH_ODDS: f64 = 12.0;
/// Typical height of the tooth of a service with large teeth, share of the limit.
const TOOTH_HEIGHT: f64 = 0.06;
/// Collections are rarely farther apart than this, seconds.
const TOOTH_TIME: f64 = 3_600.0;
/// Samples of the live run in which teeth are sought.
const TEETH_SAMPLES: usize = 720;

/// One point of the floor.
#[derive(Debug, Clone, Copy)]
pub(super) struct FloorPoint {
    /// Unix time, seconds.
    pub(super) t: f64,
    /// Process age, seconds.
    pub(super) age: f64,
    /// Level, bytes.
    pub(super) v: f64,
    /// Mean load of the block relative to the mean of all; 1 when unknown.
    pub(super) load: f64,
    /// Work since the start of the process, in seconds at mean load.
    pub(super) work: f64,
    /// How far usage rose above the floor within the block, bytes.
    pub(super) height: f64,
    /// Run: every run has its own level.
    pub(super) run: usize,
    /// Whether the run is of the live version.
    pub(super) live: bool,
    /// Middle of the block, Unix seconds: two runs have the same where their lows may lie a block apart.
    pub(super) middle: f64,
}

/// The floor of all runs. Runs of older versions serve too: the same service warms up and fills its caches
/// alike, and a leak usually outlives a deploy.
pub(super) struct Floor {
    /// Points, run by run, in order of time within each.
    pub(super) points: Vec<FloorPoint>,
    /// Number of runs that gave points; `FloorPoint::run` counts them.
    pub(super) runs: usize,
    /// How many followed one another up to the live one: those that ran beside one of them are other replicas, not restarts.
    pub(super) generations: usize,
    /// First point of each run, and the number of points.
    pub(super) bounds: Vec<usize>,
    /// Whether runs of older versions are among them.
    pub(super) older: bool,
    /// Block length, seconds.
    pub(super) block: f64,
    /// How far raw usage usually rises above the floor at most, bytes.
    pub(super) tooth: f64,
    /// What the floor typically climbs within a block, bytes.
    pub(super) climb: f64,
    /// Odds that a climb is garbage whose first collection is still to come.
    pub(super) garbage: f64,
    /// Newest usage, bytes.
    pub(super) last: f64,
    /// Start of the live run, Unix seconds.
    pub(super) live_start: f64,
    /// First sample of the live run that is used, Unix seconds.
    pub(super) live_first: f64,
    /// Points of the runs that followed one another: those that ran beside them tell of the same time.
    pub(super) depth: f64,
}

impl Floor {
    /// Oldest age seen, seconds.
    pub(super) fn oldest(&self) -> f64 {
        self.points.iter().fold(self.block, |m, p| m.max(p.age))
    }

    /// Seconds of samples used, over the runs that followed one another.
    pub(super) fn span(&self) -> f64 {
        self.depth * self.block
    }

    /// Restarts never let the process grow old enough to show a slow plateau.
    pub(super) fn hidden(&self) -> bool {
        self.generations >= 3 && self.oldest() < 86_400.0
    }
}

/// The samples of one run that count.
struct Run<'a> {
    start: f64,
    live: bool,
    points: &'a [Point],
    end: f64,
}

/// Computes the floor, or says what is missing.
pub(super) fn collect(q: &Question<'_>, load: Option<&Load<'_>>) -> Result<Floor, NotYet> {
    let runs = usable_runs(q);
    let Some(live) = runs.last().filter(|r| r.live) else {
        return Err(missing("no sample of the live version yet", None));
    };
    let period = if q.samples == Samples::Raw { teeth_period(q, &runs) } else { None };
    let block = block_length(q, &runs, period);
    let horizon = live.end - BLOCK_MAX.max(block) * LIVE_POINTS;
    let mut points = Vec::with_capacity(320);
    let mut bounds = vec![0];
    let mut kept = Vec::with_capacity(runs.len());
    for run in &runs {
        blocks_of(run, bounds.len() - 1, block, horizon, load, &mut points);
        if points.len() > bounds[bounds.len() - 1] {
            bounds.push(points.len());
            kept.push((run, points.len() - bounds[bounds.len() - 2]));
        }
    }
    let have = points.len();
    let of_live = points.iter().filter(|p| p.live).count();
    let needed = if q.samples == Samples::PostCollection { MIN_EXACT } else { MIN_POINTS };
    if have < needed || of_live < MIN_LIVE {
        let more = (needed.saturating_sub(have)).max(MIN_LIVE.saturating_sub(of_live));
        let why = if have < needed {
            format!("only {have} of {needed} floor points yet")
        } else {
            format!("only {of_live} of {MIN_LIVE} floor points of the live version yet")
        };
        return Err(missing(&why, Some(more as f64 * block)));
    }
    let climb = climb(&points);
    let (generations, depth) = generations(&kept, live);
    Ok(Floor {
        tooth: tooth(q, &points, climb),
        climb,
        garbage: if q.garbage && q.samples == Samples::Raw && period.is_none() {
            garbage_odds(q, &runs)
        } else {
            0.0
        },
        last: live.points[live.points.len() - 1].v,
        live_start: live.start,
        live_first: live.points[0].t.max(horizon),
        older: points.iter().any(|p| !p.live),
        depth: depth as f64,
        points,
        runs: bounds.len() - 1,
        generations,
        bounds,
        block,
    })
}

/// How many runs followed one another up to the live one, and how many points they have. Where several ended before one began, they ran
/// side by side: one of them counts.
fn generations(kept: &[(&Run<'_>, usize)], live: &Run<'_>) -> (usize, usize) {
    let own = kept.last().filter(|(run, _)| std::ptr::eq(*run, live));
    let (mut count, mut points) = own.map_or((0, 0), |(_, points)| (1, *points));
    let mut edge = live.points[0].t;
    let is_before =
        |run: &Run<'_>, edge: f64| run.end <= edge + OVERLAP.0.min(OVERLAP.1 * (run.end - run.start));
    // The latest start leaves the most room for those before it.
    let others = &kept[..kept.len() - usize::from(own.is_some())];
    let mut before: Vec<&(&Run<'_>, usize)> = others.iter().filter(|(r, _)| is_before(r, edge)).collect();
    before.sort_unstable_by(|a, b| b.0.points[0].t.total_cmp(&a.0.points[0].t));
    for (run, of_run) in before {
        if is_before(run, edge) {
            (count, points) = (count + 1, points + of_run);
            edge = run.points[0].t;
        }
    }
    let longest = || kept.iter().map(|(_, points)| *points).max().unwrap_or(0);
    if count == 0 { (1, longest()) } else { (count, points) }
}

fn missing(why: &str, more_seconds: Option<f64>) -> NotYet {
    NotYet { why: why.to_owned(), more_seconds }
}

/// Runs with their samples up to now, without the start-up; the live one last.
fn usable_runs<'a>(q: &Question<'a>) -> Vec<Run<'a>> {
    let Some(live) = q.epochs.last() else { return Vec::new() };
    let mut runs = Vec::with_capacity(q.epochs.len());
    for epoch in q.epochs {
        let points = settled(epoch, q.now);
        let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
        let sane = epoch.start.is_finite() && first.t.is_finite() && last.t.is_finite() && last.t >= first.t;
        if sane {
            let live = epoch.version == live.version;
            runs.push(Run { start: epoch.start.min(first.t), live, points, end: last.t });
        }
    }
    runs
}

/// Samples of a run up to `now`, without its first minutes.
fn settled<'a>(epoch: &Epoch<'a>, now: f64) -> &'a [Point] {
    let mut points = epoch.points;
    // Mostly nothing is later than now, and little is cut off the front: no search through memory that nobody has touched yet.
    if points.last().is_some_and(|p| p.t > now) {
        points = &points[..points.partition_point(|p| p.t <= now)];
    }
    let Some(last) = points.last() else { return points };
    let skip = ((last.t - epoch.start) * 0.05).clamp(0.0, START_UP);
    let early = |p: &Point| p.t < epoch.start + skip;
    let mut enough = 1;
    while points.get(enough).is_some_and(early) {
        enough *= 2;
    }
    &points[points[..enough.min(points.len())].partition_point(early)..]
}

/// Block length: long enough to hold a collection, short enough to leave points.
fn block_length(q: &Question<'_>, runs: &[Run<'_>], period: Option<f64>) -> f64 {
    let live = &runs[runs.len() - 1];
    let total: f64 = runs.iter().map(|r| r.end - r.points[0].t).sum();
    let live_span = (live.end - live.points[0].t).max(total / runs.len() as f64);
    let count: usize = runs.iter().map(|r| r.points.len()).sum();
    let step = total / (count.saturating_sub(runs.len())).max(1) as f64;
    // Runs side by side do not make blocks longer: they tell of the same days.
    let begun = runs.iter().fold(live.end, |m, r| m.min(r.points[0].t));
    let coarse =
        (live_span.min(BLOCK_MAX * LIVE_POINTS) / LIVE_POINTS).max(total.min(live.end - begun) / ALL_POINTS);
    match q.samples {
        Samples::PostCollection => coarse.max(step).max(1e-3),
        Samples::Raw => {
            let smooth = (live_span / 36.0).min(BLOCK).max(step);
            let teeth = period.map_or(smooth, |p| (1.6 * p).min(TOOTHED_BLOCK_MAX).max(step * 3.0));
            coarse.max(teeth).max(smooth.min(BLOCK / 2.0)).max(1e-3)
        }
    }
}

/// Seconds between collections, from the large single drops among the newest samples.
fn teeth_period(q: &Question<'_>, runs: &[Run<'_>]) -> Option<f64> {
    let run = runs.iter().rev().find(|r| r.points.len() >= 60).or(runs.last())?;
    let points = &run.points[run.points.len().saturating_sub(TEETH_SAMPLES)..];
    if points.len() < 16 {
        return None;
    }
    let level = points[points.len() - 1].v.abs();
    let scale = if q.limit.is_finite() { q.limit.min(level * 4.0) } else { level };
    let span = points[points.len() - 1].t - points[0].t;
    let period = |large: f64| {
        let drops = points.windows(2).filter(|p| p[0].v - p[1].v > large).count();
        let period = span / drops.max(1) as f64;
        (drops >= 3 && span > 0.0 && period <= PERIOD_MAX).then_some(period)
    };
    // What is typical takes longer to find: not where even the smallest drops that could count are too few.
    let least = 0.003 * scale;
    period(least)?;
    // The bits of what is not negative are ordered as the numbers are, and quicker to compare.
    let mut sizes: Vec<u64> = points.windows(2).map(|p| (p[1].v - p[0].v).abs().to_bits()).collect();
    // Where a value is told twice or thrice, as by a scrape that is quicker than what it reads, it did not stand still in between. Of a floor
    // that mostly stands still, the few moves are no measure of what is usual.
    let none = sizes.iter().filter(|s| **s == 0).count();
    let none = if (sizes.len() - none) * TOLD_AGAIN > sizes.len() { none } else { 0 };
    let middle = none + (sizes.len() - none) / 2;
    let typical = f64::from_bits(*sizes.select_nth_unstable(middle).1);
    period((6.0 * typical).max(least))
}

/// Without a collection in sight a young climb may be the first tooth of garbage. The longer it lasts and the
/// higher it climbs, the less so.
fn garbage_odds(q: &Question<'_>, runs: &[Run<'_>]) -> f64 {
    let span: f64 = runs.iter().map(|r| r.end - r.points[0].t).fold(0.0, f64::max);
    let live = runs[runs.len() - 1].points;
    let climb = live[live.len() - 1].v - live.iter().fold(f64::INFINITY, |m, p| m.min(p.v));
    let scale = if q.limit.is_finite() && q.limit > 0.0 { q.limit } else { live[live.len() - 1].v.max(1.0) };
    let odds = TOOTH_ODDS * (-(climb / scale) / TOOTH_HEIGHT).exp() * (1.0 - span / TOOTH_TIME).max(0.0);
    if odds.is_finite() { odds } else { 0.0 }
}

/// Appends the blocks of one run, aligned to its end.
fn blocks_of(
    run: &Run<'_>,
    index: usize,
    block: f64,
    horizon: f64,
    load: Option<&Load<'_>>,
    out: &mut Vec<FloorPoint>,
) {
    let begin = out.len();
    let expected = run.points.len() as f64 / ((run.end - run.points[0].t) / block + 1.0);
    let enough = (expected * 0.3).clamp(1.0, 8.0) as usize;
    let origin = load.map_or(run.start, |l| l.work(run.start));
    let mut edge = (f64::NAN, 0.0);
    let (mut rest, mut length) = (run.points, 0);
    while let Some(last) = rest.last() {
        // Counting whole blocks from the end, so that gaps do not shift the grid.
        let k = whole((run.end - last.t) / block);
        let from = run.end - (k + 1.0) * block;
        // Blocks are short beside the run, and mostly as long as the one before: a search near the end is quicker than one over all.
        let guess = rest.len().saturating_sub(length);
        let fits = guess > 0 && rest[guess - 1].t <= from && rest.get(guess).is_some_and(|p| p.t > from);
        let cut = if fits { guess } else { rest.iter().rposition(|p| p.t <= from).map_or(0, |i| i + 1) };
        length = rest.len() - cut;
        let (head, body) = rest.split_at(cut.min(rest.len() - 1));
        if from < horizon || (head.is_empty() && from + 0.3 * block < run.points[0].t) {
            break;
        }
        rest = head;
        if body.len() < enough {
            continue;
        }
        let (low, high) = lowest(body);
        if !low.v.is_finite() || !high.is_finite() {
            continue;
        }
        let work = |t: f64| load.map_or(t, |l| l.work(t));
        let (before, to) = (work(from), from + block);
        let after = if (edge.0 - to).abs() < 1e-3 * block { edge.1 } else { work(to) };
        edge = (from, before);
        let rate = (after - before) / block;
        let work = before + rate * (low.t - from) - origin;
        out.push(FloorPoint {
            t: low.t,
            age: (low.t - run.start).max(0.0),
            v: low.v,
            load: rate,
            work,
            height: high - low.v,
            run: index,
            live: run.live,
            middle: from + 0.5 * block,
        });
    }
    out[begin..].reverse();
}

/// Lowest sample and highest value. Four at a time and without a jump: which sample is the lowest cannot be guessed.
fn lowest(body: &[Point]) -> (Point, f64) {
    let (mut low, mut high) = ([body[0].v; 4], [body[0].v; 4]);
    let (fours, last) = body.as_chunks::<4>();
    let mut take = |k: usize, v: f64| {
        low[k] = if v < low[k] { v } else { low[k] };
        high[k] = if v > high[k] { v } else { high[k] };
    };
    for four in fours {
        for (k, p) in four.iter().enumerate() {
            take(k, p.v);
        }
    }
    last.iter().for_each(|p| take(0, p.v));
    let low = low.into_iter().fold(body[0].v, |m, v| if v < m { v } else { m });
    let high = high.into_iter().fold(body[0].v, |m, v| if v > m { v } else { m });
    (body.iter().find(|p| p.v == low).copied().unwrap_or(body[0]), high)
}

/// How far usage rises above the floor; zero where only the floor matters. What the floor itself climbs
/// within a block is no tooth.
fn tooth(q: &Question<'_>, points: &[FloorPoint], climb: f64) -> f64 {
    if !has_teeth(q) {
        return 0.0;
    }
    let mut heights: Vec<f64> = points.iter().map(|p| p.height).collect();
    (quantile(&mut heights, 0.9) - climb).max(0.0)
}

/// Whether what rises above the floor kills too.
pub(super) fn has_teeth(q: &Question<'_>) -> bool {
    q.death == Death::AtUsage && q.samples == Samples::Raw
}

/// What the floor typically climbs within a block, bytes.
fn climb(points: &[FloorPoint]) -> f64 {
    let pairs = points.windows(2).filter(|p| p[0].run == p[1].run);
    let mut climbs = Vec::with_capacity(points.len());
    climbs.extend(pairs.map(|p| p[1].v - p[0].v));
    median(&mut climbs).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: f64 = 3_600.0;

    /// A life of one replica, with a sample a minute that `level` says, by hours of its age.
    fn life(from: f64, to: f64, level: impl Fn(f64) -> f64) -> (f64, Vec<Point>) {
        let samples = ((to - from) * 60.0) as usize;
        let point = |k: usize| Point { t: from * HOUR + k as f64 * 60.0, v: level(k as f64 / 60.0) };
        (from * HOUR, (0..=samples).map(point).collect())
    }

    /// Asked at the end of the last of them.
    fn asked<'a>(epochs: &'a [Epoch<'a>]) -> Question<'a> {
        let now = epochs.last().and_then(|e| e.points.last()).map_or(0.0, |p| p.t);
        let (samples, death) = (Samples::Raw, Death::AtUsage);
        Question { epochs, load: &[], samples, death, limit: 1e9, now, garbage: false, seed: 1 }
    }

    fn floor_of(lives: &[(f64, Vec<Point>)]) -> Floor {
        let epochs: Vec<Epoch<'_>> = lives
            .iter()
            .map(|life| Epoch { start: life.0, version: 0, replica: 0, points: &life.1 })
            .collect();
        let q = asked(&epochs);
        collect(&q, None).unwrap_or_else(|not_yet| panic!("{}", not_yet.why))
    }

    #[test]
    fn what_ran_side_by_side_is_one_generation() {
        let flat = |_: f64| 1e8;
        // Three replicas before one rolling deploy, and the three of after.
        let lives: Vec<_> = [(0.0, 20.0), (0.0, 20.3), (0.0, 20.6), (20.1, 40.0), (20.4, 40.0), (20.7, 40.0)]
            .map(|(from, to)| life(from, to, flat))
            .into();
        let floor = floor_of(&lives);
        assert_eq!((floor.runs, floor.generations), (6, 2));
        assert!(!floor.hidden());
        let days = floor.span() / 86_400.0;
        assert!((1.0..1.8).contains(&days), "the time of one replica, not of all: {days} d");
        // One that dies again and again beside one that does not.
        let lives: Vec<_> = [(0.0, 30.0), (0.0, 10.0), (10.1, 20.0), (20.1, 30.0)]
            .map(|(from, to)| life(from, to, flat))
            .into();
        assert_eq!(floor_of(&lives).generations, 3);
    }

    #[test]
    fn a_live_run_without_a_point_of_its_own_leaves_those_before_what_they_are() {
        let flat = |_: f64| 1e8;
        let young = vec![life(0.0, 40.2, flat), life(40.1, 40.2, flat)];
        let floor = floor_of(&young);
        assert_eq!((floor.runs, floor.generations), (1, 1));
        assert!(floor.span() > 0.9 * 40.0 * HOUR && floor.depth == floor.points.len() as f64);
    }

    #[test]
    fn the_time_seen_is_that_of_the_lives_that_followed_one_another() {
        let flat = |_: f64| 1e8;
        // One replica that dies every two hours beside the one that is asked about, and the other way round.
        let short = |k: usize| life(2.0 * k as f64, 2.0 * k as f64 + 1.95, flat);
        let mut lives: Vec<_> = (0..20).map(short).collect();
        lives.push(life(0.0, 40.0, flat));
        let long = floor_of(&lives);
        assert_eq!(long.generations, 1);
        assert!((0.9..1.01).contains(&(long.span() / (40.0 * HOUR))), "{}", long.span() / HOUR);
        lives.rotate_right(1);
        let often = floor_of(&lives);
        assert_eq!(often.generations, 20);
        assert!((0.7..1.01).contains(&(often.span() / (40.0 * HOUR))), "{}", often.span() / HOUR);
        // A new process is up five minutes before the old one is gone, whenever one asks.
        for end in [41.0, 60.0] {
            let surge = [life(0.0, 40.0, flat), life(40.0 - 5.0 / 60.0, end, flat)];
            let floor = floor_of(&surge);
            assert_eq!(floor.generations, floor.runs, "{end}");
        }
    }

    /// Series in which every value stands for so many samples.
    fn told(points: &[Point], times: usize, from: usize) -> Vec<Point> {
        let all = points.iter().enumerate().skip(times);
        all.map(|(k, p)| Point { t: p.t, v: points[k - (k + from) % times].v }).collect()
    }

    #[test]
    fn collections_are_told_from_noise_however_often_a_value_is_told() {
        let noise = |h: f64| 1e8 + 2e6 * ((h * 977.0).sin() + (h * 3_571.0).cos());
        let saw = |h: f64| 1e8 + 6e7 * (h * 1.5).fract() + 1e5 * (h * 977.0).sin();
        let still = |h: f64| 1e8 + if (h * 1.5).fract() < 0.5 { 6e7 } else { 0.0 };
        let period = |points: &[Point]| {
            let epochs = [Epoch { start: 0.0, version: 0, replica: 0, points }];
            let q = asked(&epochs);
            teeth_period(&q, &usable_runs(&q))
        };
        for times in 1..=3 {
            for from in 0..times {
                let of = |level: &dyn Fn(f64) -> f64| period(&told(&life(0.0, 12.0, level).1, times, from));
                assert_eq!(of(&noise), None, "{times} {from}");
                for level in [&saw as &dyn Fn(f64) -> f64, &still] {
                    let seconds = of(level).unwrap_or(f64::NAN);
                    assert!((seconds / 2_400.0 - 1.0).abs() < 0.1, "{times} {from} {seconds}");
                }
            }
        }
    }
}
