//! The slope of the floor: which points of a log are the floor depends on the collector. What a young collection
//! leaves is none: it holds the garbage of the old generation, and climbs between two collections of it.

use plimsoll_core::series::Point;
use plimsoll_core::slope::Interval;

use super::event::Collector;
use super::life::Life;

/// Exact points from which on they are believed.
const ENOUGH: usize = 3;
/// Blocks into which a sawtooth is cut to take the lowest of each.
const BLOCKS: usize = 12;
/// Points that a slope is taken over at most: all pairs are looked at.
const PAIRS: usize = 400;
/// The part of a life that counts as its start, and at most so many seconds.
const START: (f64, f64) = (0.25, 300.0);
/// Full collections within this part of the time of all of them are one.
const NEAR: f64 = 0.02;
/// The normal distribution's 90 % quantile: an interval of 80 %, as all intervals here.
const NINETY: f64 = 1.281_6;
/// Blocks that an envelope needs: each is a sawtooth's lowest of three at least.
const ENVELOPE: usize = 5;
/// Smoothed points that are believed.
const FEWEST: usize = 8;

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
    /// What the pacer expects alive: the mean of the last five markings.
    Expected,
    /// The old generation at the end of cycles.
    Old,
    /// The lowest heap after concurrent cycles, of each stretch.
    AfterCycle,
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
            Basis::Expected => "live bytes that the pacer expects (mean of five markings)",
            Basis::Old => "old generation at the end of cycles",
            Basis::AfterCycle => "lowest heap after concurrent cycles",
            Basis::AfterYoung => "lowest heap after young collections",
        }
    }

    /// Whether garbage may be in the points, so that the slope bounds the floor's from above only.
    pub fn is_bound(self) -> bool {
        self == Basis::AfterYoung
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
}

/// The floor of a life, or why it cannot be told.
pub(super) fn of(life: &Life) -> Result<Floor, String> {
    let Some((first, last)) = life.span else { return Err("no line has a time".to_owned()) };
    let began =
        if life.uptime && life.first_id.is_none_or(|id| id == 0) { 0.0_f64.min(first) } else { first };
    let from = began + ((last - began) * START.0).min(START.1);
    let collector = life.collector.map(|(c, _)| c);
    let (basis, points) = choose(life, collector, from);
    let envelope = matches!(basis, Basis::AfterYoung | Basis::AfterCycle | Basis::Old);
    let needed = if envelope { ENVELOPE } else { ENOUGH };
    if points.len() < needed {
        let n = points.len();
        return Err(format!("only {n} of {needed} floor points ({})", basis.name()));
    }
    let line = theil_sen(&points, life.step).ok_or("all floor points have the same time")?;
    let span = points.last().map_or(0.0, |p| p.t) - points.first().map_or(0.0, |p| p.t);
    Ok(Floor { basis, points: points.len(), span, slope: line.0, level: line.1 })
}

/// The points of the floor from `from` on, by the rule of the collector.
fn choose(life: &Life, collector: Option<Collector>, from: f64) -> (Basis, Vec<Point>) {
    let since = |list: &[Point]| -> Vec<Point> { list.iter().filter(|p| p.t >= from).copied().collect() };
    let marks = life.marks.iter().filter(|m| m.t >= from);
    let afters = || lowest(&marks.clone().map(|m| Point { t: m.t, v: m.after }).collect::<Vec<_>>());
    let full = apart(&since(&life.full));
    let live = since(&life.live);
    match collector {
        Some(c) if c.marks_beside() => {
            let expected = since(&life.expected);
            let old = since(&life.old);
            let two = c == Collector::GenerationalShenandoah;
            if live.len() >= ENOUGH {
                (if two { Basis::OldLive } else { Basis::Live }, live)
            } else if two && old.len() >= ENOUGH {
                (Basis::Old, lowest(&old))
            } else if !two && expected.len() >= FEWEST {
                (Basis::Expected, expected)
            } else {
                (Basis::AfterCycle, afters())
            }
        }
        _ if full.len() >= ENOUGH => (Basis::AfterFull, full),
        Some(Collector::G1) => {
            let mut mixed = since(&life.mixed);
            mixed.extend(full);
            mixed.sort_by(|a, b| a.t.total_cmp(&b.t));
            if mixed.len() >= ENOUGH { (Basis::AfterMixed, mixed) } else { (Basis::AfterYoung, afters()) }
        }
        _ => (Basis::AfterYoung, afters()),
    }
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

/// The median of the slopes of all pairs, an interval for it, and the level of that line at the last point.
///
/// The interval is the rank interval of Kendall's test over the same pairs; with few points it is their whole range.
/// `step` is the rounding of the sizes.
fn theil_sen(points: &[Point], step: f64) -> Option<(Interval, f64)> {
    let stride = points.len().div_ceil(PAIRS);
    let points: Vec<Point> = points.iter().rev().step_by(stride).rev().copied().collect();
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (i, a) in points.iter().enumerate() {
        for b in points.iter().skip(i + 1).filter(|b| b.t > a.t) {
            slopes.push((b.v - a.v) / (b.t - a.t));
        }
    }
    slopes.sort_by(f64::total_cmp);
    let mid = quantile(&slopes, 0.5)?;
    let n = points.len() as f64;
    let spread = NINETY * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt() / (slopes.len() as f64) / 2.0;
    let span = points.last()?.t - points.first()?.t;
    let rounding = step / span.max(1e-9);
    let low = quantile(&slopes, (0.5 - spread).max(0.0))? - rounding;
    let high = quantile(&slopes, (0.5 + spread).min(1.0))? + rounding;
    let end = points.last()?.t;
    let mut levels: Vec<f64> = points.iter().map(|p| p.v + mid * (end - p.t)).collect();
    levels.sort_by(f64::total_cmp);
    Some((Interval { low, mid, high }, quantile(&levels, 0.5)?))
}

/// A quantile of sorted values.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let at = q * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted.get(at.floor() as usize)?, sorted.get(at.ceil() as usize)?);
    Some(low + (high - low) * at.fract())
}
