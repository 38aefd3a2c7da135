//! The slope of the floor: which points of a log are the floor depends on the collector. What a young collection
//! leaves is none: it holds the garbage of the old generation, and climbs between two collections of it.

use plimsoll_core::series::Point;
use plimsoll_core::slope::Interval;

use super::event::Collector;
use super::fit;
use super::life::Life;

/// Exact points from which on they are believed.
const ENOUGH: usize = 3;
/// Exact points that a slope can be taken over at all: its interval says how little two of them prove.
const FEW: usize = 2;
/// Blocks into which a sawtooth is cut to take the lowest of each.
const BLOCKS: usize = 12;
/// The part of a life that counts as its start, and at most so many seconds.
const START: (f64, f64) = (0.25, 300.0);
/// Full collections within this part of the time of all of them are one.
const NEAR: f64 = 0.05;
/// Smoothed points that are believed.
const FEWEST: usize = 8;
/// The part of the whole slope that the second half must have for a climb that goes on.
const GOES_ON: f64 = 0.3;
/// One over the square root of twelve: the deviation of what lies anywhere within one.
const EVEN: f64 = 0.288_7;
/// The part of a slope that heads of objects and spare room in tables may make.
const SIZES: f64 = 0.02;
/// The part of all terms that an interval of 80 % takes, unless logs of the collector showed another.
const USUAL: f64 = 0.75;

/// Which points were taken for the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Heap after collections of the whole heap.
    AfterFull,
    /// Heap after mixed and full pauses, the lowest of each stretch.
    AfterMixed,
    /// What marking found alive.
    Live,
    /// What marking found alive in the old generation.
    OldLive,
    /// Heap in use less the garbage that marking found (Shenandoah).
    Marked,
    /// What the pacer expects alive: the mean of the last five markings.
    Expected,
    /// The old generation at the end of cycles.
    Old,
    /// The lowest heap after concurrent cycles, of each stretch.
    AfterCycle,
    /// Heap after the first young collection that follows a sweep of the old generation (CMS).
    AfterSweep,
    /// The lowest heap after young collections: it holds garbage of the old generation.
    AfterYoung,
}

impl Basis {
    /// In words, after a number of points.
    pub fn name(self) -> &'static str {
        match self {
            Basis::AfterFull => "heap after full collections",
            Basis::AfterMixed => "lowest heap after mixed collections",
            Basis::Live => "live bytes found by marking",
            Basis::OldLive => "live bytes found by marking the old generation",
            Basis::Marked => "heap in use less the garbage that marking found",
            Basis::Expected => "live bytes that the pacer expects (mean of five markings)",
            Basis::Old => "old generation at the end of cycles",
            Basis::AfterCycle => "lowest heap after concurrent cycles",
            Basis::AfterSweep => "heap after sweeps of the old generation",
            Basis::AfterYoung => "lowest heap after young collections",
        }
    }

    /// Whether garbage may be in the points, so that the slope bounds the floor's from above only.
    pub fn is_bound(self) -> bool {
        self == Basis::AfterYoung
    }

    /// Points that it needs at least.
    fn needs(self) -> usize {
        match self {
            Basis::AfterFull | Basis::AfterMixed | Basis::Live | Basis::Marked => FEW,
            Basis::Expected => FEWEST,
            _ => ENOUGH,
        }
    }

    /// How far its points may be off by the way the collector works. Its last term is measured with drills/gc-floor, on logs
    /// with a leak: where there is none most floors are read exactly, and any interval holds.
    fn error(self, collector: Option<Collector>) -> Error {
        use Collector::{GenerationalShenandoah, GenerationalZ, Parallel, Serial, Shenandoah};
        let (level, heap, drift, part) = match (self, collector) {
            // It may leave a twentieth of the old generation, two thirds of the heap, as dead wood.
            (Basis::AfterFull, Some(Serial)) => (0.01, 0.05 * 2.0 / 3.0 * EVEN, 0.01, USUAL),
            (Basis::AfterFull, Some(Parallel)) => (0.02, 0.0, 0.01, 0.6),
            // It stops when a twentieth of the heap is garbage, and collects more of it the fuller the heap is.
            (Basis::AfterMixed, _) => (0.01, 0.05 * EVEN, 0.08, USUAL),
            // The garbage is told in whole hundredths; that of the old generation is not in it.
            (Basis::Marked, Some(GenerationalShenandoah)) => (0.02, 0.01 * EVEN, 0.08, 0.55),
            (Basis::Marked, Some(Shenandoah)) => (0.02, 0.01 * EVEN, 0.03, 1.0),
            (Basis::Live, Some(GenerationalZ)) => (0.01, 0.0, 0.01, 0.6),
            (Basis::OldLive | Basis::Old, _) => (0.03, 0.0, 0.15, USUAL),
            (Basis::AfterSweep | Basis::Expected, _) => (0.03, 0.0, 0.05, USUAL),
            // Garbage of regions that were not worth it, and what was allocated meanwhile.
            (Basis::AfterCycle, _) => (0.1, 0.0, 0.4, USUAL),
            _ => (0.01, 0.0, 0.01, USUAL),
        };
        Error { level, heap, drift, part }
    }
}

/// How far floor points may be off besides their scatter. One hundredth of the level is what any program's floor moves.
#[derive(Debug, Clone, Copy)]
struct Error {
    /// One point, as a part of the floor's level and of the heap (standard deviations).
    level: f64,
    heap: f64,
    /// All points together from the first to the last, as a part of the level.
    drift: f64,
    /// The part of all this, which are bounds rather than deviations, that an interval of 80 % takes.
    part: f64,
}

impl Error {
    /// An interval that allows for the drift over so many seconds, and for what the sizes of objects leave out.
    fn widened(self, slope: Interval, level: f64, span: f64) -> Interval {
        let drift = (self.drift * level / span.max(1e-9)).hypot(SIZES * slope.mid);
        let wider = |side: f64| self.part * (slope.mid - side).hypot(drift);
        Interval { low: slope.mid - wider(slope.low), mid: slope.mid, high: slope.mid + wider(slope.high) }
    }
}

/// How the floor moved in a life.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floor {
    /// Which points.
    pub basis: Basis,
    /// How many.
    pub points: usize,
    /// Seconds from the first to the last of them.
    pub span: f64,
    /// Slope, bytes per second, 80 % interval.
    pub slope: Interval,
    /// The floor at the end, bytes.
    pub level: f64,
    /// Whether the second half of the time climbs like the whole: a start, or a cache that fills, does not.
    pub goes_on: bool,
}

/// The floor of a life, or why it cannot be told.
pub(super) fn of(life: &Life) -> Result<Floor, String> {
    let Some((first, last)) = life.span else { return Err("no line has a time".to_owned()) };
    let began =
        if life.uptime && life.first_id.is_none_or(|id| id == 0) { 0.0_f64.min(first) } else { first };
    let from = began + ((last - began) * START.0).min(START.1);
    let collector = life.collector.map(|(c, _)| c);
    let (basis, points) = choose(life, collector, from);
    if points.len() < basis.needs() {
        let (n, needed) = (points.len(), basis.needs());
        return Err(format!("only {n} of {needed} floor points ({})", basis.name()));
    }
    let heap = life.heap_max.or_else(|| life.marks.iter().filter_map(|m| m.capacity).reduce(f64::max));
    let level = points.iter().fold(0.0, |sum, p| sum + p.v) / points.len() as f64;
    let error = basis.error(collector);
    let noise = (error.level * level).hypot(error.heap * heap.unwrap_or(0.0)).hypot(life.step * EVEN);
    // Full collections that crowd are one already.
    let crowd = matches!(basis, Basis::AfterMixed | Basis::AfterSweep);
    let line = fit::line(&points, noise, crowd).ok_or("all floor points have the same time")?;
    let span = points.last().map_or(0.0, |p| p.t) - points.first().map_or(0.0, |p| p.t);
    Ok(Floor {
        basis,
        points: points.len(),
        span,
        goes_on: goes_on(&points, line.slope.mid),
        slope: error.widened(line.slope, level, span),
        level: line.end,
    })
}

/// Whether the points of the second half of the time, or the last two, climb like all of them.
fn goes_on(points: &[Point], slope: f64) -> bool {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return false };
    let middle = f64::midpoint(first.t, last.t);
    let later = points.iter().filter(|p| p.t >= middle).count().max(2);
    let second = points.get(points.len().saturating_sub(later)..).unwrap_or(points);
    fit::line(second, 0.0, false).is_some_and(|l| l.slope.mid >= GOES_ON * slope)
}

/// The points of the floor from `from` on, by the rule of the collector.
fn choose(life: &Life, collector: Option<Collector>, from: f64) -> (Basis, Vec<Point>) {
    let since = |list: &[Point]| -> Vec<Point> { list.iter().filter(|p| p.t >= from).copied().collect() };
    let full = apart(&since(&life.full));
    match collector {
        Some(c) if c.marks_beside() => beside(life, c, from),
        _ if full.len() >= ENOUGH => (Basis::AfterFull, full),
        Some(Collector::G1) => {
            let mut mixed = since(life.finished_mixed());
            mixed.extend(full);
            mixed.sort_by(|a, b| a.t.total_cmp(&b.t));
            if mixed.len() >= FEW { (Basis::AfterMixed, mixed) } else { after_young(life, from) }
        }
        Some(Collector::Cms) => {
            let swept = since(&life.swept);
            if swept.len() >= ENOUGH { (Basis::AfterSweep, swept) } else { after_young(life, from) }
        }
        _ if full.len() >= FEW => (Basis::AfterFull, full),
        _ => after_young(life, from),
    }
}

/// The same for collectors that mark the whole heap beside the program.
fn beside(life: &Life, collector: Collector, from: f64) -> (Basis, Vec<Point>) {
    let since = |list: &[Point]| -> Vec<Point> { list.iter().filter(|p| p.t >= from).copied().collect() };
    let [live, marked, expected, old] =
        [&life.live, &life.marked, &life.expected, &life.old].map(|l| since(l));
    if collector == Collector::GenerationalShenandoah {
        // Garbage of the old generation is none that the young one's marking finds: the lowest hold least of it.
        let marked = lowest(&marked);
        return if marked.len() >= ENOUGH {
            (Basis::Marked, marked)
        } else if live.len() >= ENOUGH {
            (Basis::OldLive, live)
        } else if old.len() >= ENOUGH {
            (Basis::Old, lowest(&old))
        } else {
            (Basis::AfterCycle, lowest(&afters(life, from)))
        };
    }
    if live.len() >= FEW {
        (Basis::Live, live)
    } else if marked.len() >= FEW {
        (Basis::Marked, marked)
    } else if expected.len() >= FEWEST {
        (Basis::Expected, expected)
    } else {
        (Basis::AfterCycle, lowest(&afters(life, from)))
    }
}

/// Heap after every collection from `from` on.
fn afters(life: &Life, from: f64) -> Vec<Point> {
    life.marks.iter().filter(|m| m.t >= from).map(|m| Point { t: m.t, v: m.after }).collect()
}

/// Heap after young collections, of the longest stretch in which nothing collected the old generation: there its
/// garbage only gets more, so the floor climbs no faster than this.
fn after_young(life: &Life, from: f64) -> (Basis, Vec<Point>) {
    let all = afters(life, from);
    let is_collected = |a: &Point, b: &Point| life.old_collected.iter().any(|p| p.t > a.t && p.t <= b.t);
    let stretches = all.chunk_by(|a, b| !is_collected(a, b));
    let longest = stretches.max_by_key(|s| s.len()).unwrap_or_default();
    (Basis::AfterYoung, lowest(longest))
}

/// Full collections right after one another are one point, the lowest: the first may leave what a finaliser holds.
fn apart(points: &[Point]) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let near = (last.t - first.t) * NEAR;
    let mut out: Vec<Point> = Vec::new();
    let mut begun = f64::NEG_INFINITY;
    for p in points {
        match out.last_mut() {
            Some(low) if p.t - begun < near => {
                if p.v <= low.v {
                    *low = *p;
                }
            }
            _ => {
                begun = p.t;
                out.push(*p);
            }
        }
    }
    out
}

/// The lowest point of each block of time.
fn lowest(points: &[Point]) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let blocks = (points.len() / 3).clamp(ENOUGH, BLOCKS);
    let width = (last.t - first.t) / blocks as f64;
    let mut out: Vec<(usize, Point)> = Vec::new();
    for p in points {
        let block = if width > 0.0 { (((p.t - first.t) / width) as usize).min(blocks - 1) } else { 0 };
        match out.last_mut() {
            Some((at, low)) if *at == block => {
                if p.v <= low.v {
                    *low = *p;
                }
            }
            _ => out.push((block, *p)),
        }
    }
    out.into_iter().map(|(_, p)| p).collect()
}
