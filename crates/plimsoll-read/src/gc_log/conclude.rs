//! What a collection log proves: retention, churn, a heap that is too small, or that the heap is not what climbs.

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::slope::Interval;
use plimsoll_core::units::{bytes, duration, percent, rate};
use serde::Serialize;

use super::event::{Collector, Mishap};
use super::floor::{self, Floor};
use super::life::Life;
use super::{Form, GcLog};
use crate::reading::{Context, Finding, Report, Source, Table, count};

/// A climb by less than this part of the floor's level within an hour, or all the time that was seen, is none.
const STILL_SHARE: f64 = 0.05;
/// Bytes per second that a short log does not tell from rest: the estimator's own error on seven collectors.
const STILL: f64 = 0.2 * 1_048_576.0;
/// Bytes that a floor must have grown by before a climb is believed: measured on seven collectors without a leak.
const GROWN: f64 = 3.0 * 1_048_576.0;
/// Points from which on a climb is believed by its interval alone: four in a row rise by chance once in 24 times.
const SURE: usize = 4;
/// So many points prove no climb, whatever their interval: a program may just hold more at one time than at another.
const FEWEST: usize = 2;
/// Seconds of floor points below which a climb may be no more than how a program starts.
pub(super) const BRIEF: f64 = 5.0;
/// The part of the heap above which a floor leaves no room.
const TIGHT: f64 = 0.85;
/// The part of the time above which collecting is the load.
const HEAVY: f64 = 0.10;
/// The part of a log that is its end.
const LATELY: f64 = 0.25;
/// Collections below which nothing is said of shares and rates.
const FEW: u64 = 5;

/// What a collection log says, as numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GcReport {
    /// What every reading says.
    #[serde(flatten)]
    pub head: Report,
    /// The lives of the process, oldest first.
    pub lives: Vec<LifeReport>,
    /// Seconds until the floor reaches the heap's bound, when it climbs: 80 % interval; none is never or unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_to_heap_max: Option<Times>,
    /// The same for the container's limit, for the heap alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_to_limit: Option<Times>,
}

/// When something is reached, seconds after the end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// At the steepest slope of the interval.
    pub soonest: f64,
    /// At the likeliest slope.
    pub likely: f64,
    /// At the flattest slope; none when that one never gets there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<f64>,
}

/// One life in numbers.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LifeReport {
    /// The process, when the log tells several apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collector: Option<Collector>,
    /// Seconds that the log covers.
    pub seconds: f64,
    /// Collections.
    pub collections: u64,
    /// Of them: over the whole heap in a pause.
    pub full_collections: u64,
    /// Of them: asked for.
    pub explicit_collections: u64,
    /// Slope of the floor, bytes per second; none when it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_slope_bytes_per_second: Option<Interval>,
    /// Whether that slope bounds the true one from above only.
    pub slope_is_upper_bound: bool,
    /// Which points are the floor, or why it cannot be told.
    pub floor_basis: String,
    /// Points of the floor.
    pub floor_points: usize,
    /// The floor at the end, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_bytes: Option<f64>,
    /// The heap's bound, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap_max_bytes: Option<f64>,
    /// Highest heap seen before a collection, bytes.
    pub heap_peak_bytes: f64,
    /// Heap committed, lowest and highest and last, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed_bytes: Option<[f64; 3]>,
    /// Bytes of committed heap that were given back to the system, where the log tells of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_back_bytes: Option<f64>,
    /// Most heap in use in the last quarter, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lately_used_bytes: Option<f64>,
    /// Seconds that the program stood still.
    pub pause_seconds: f64,
    /// The longest pause, seconds.
    pub longest_pause_seconds: f64,
    /// Part of the time that the program stood still, over the first and the second half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_share_by_half: Option<[f64; 2]>,
    /// Seconds of collecting beside the program.
    pub concurrent_seconds: f64,
    /// Bytes per second that the program allocates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation_bytes_per_second: Option<f64>,
    /// Bytes per second that outlive the young generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion_bytes_per_second: Option<f64>,
    /// Metaspace first and last, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metaspace_bytes: Option<(f64, f64)>,
    /// Most bytes in regions of humongous objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub humongous_bytes: Option<f64>,
}

/// What the slope's interval proves.
pub(super) fn moves(f: &Floor) -> Motion {
    let slow = f.level * STILL_SHARE / f.span.max(3600.0);
    if f.slope.low > 0.0 {
        // What grew by less than the points may be off, and few points, prove nothing.
        let grew = f.slope.mid * f.span > (STILL_SHARE * f.level).max(GROWN);
        let sure = grew
            && f.goes_on
            && f.span >= BRIEF
            && (f.points >= SURE || (f.points > FEWEST && f.slope.mid > STILL));
        return match (f.basis.is_bound(), f.slope.mid > slow, sure) {
            (false, true, true) => Motion::Climbs,
            (_, false, _) => Motion::Still,
            (true, ..) if f.slope.high <= STILL => Motion::SoFar,
            _ if f.goes_on => Motion::Perhaps,
            _ => Motion::Unclear,
        };
    }
    match f.slope.high {
        high if high <= slow => Motion::Still,
        high if high <= STILL && f.slope.mid <= slow => Motion::SoFar,
        _ => Motion::Unclear,
    }
}

/// What the floor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Motion {
    /// It climbs.
    Climbs,
    /// It seems to climb, and garbage may be the reason.
    Perhaps,
    /// It does not climb.
    Still,
    /// No climb to be seen; a slow one would not show yet.
    SoFar,
    /// The interval holds both.
    Unclear,
}

/// A life with what was computed of it once.
pub(super) struct Judged<'a> {
    pub life: &'a Life,
    pub floor: Result<Floor, String>,
    pub numbers: LifeReport,
}

impl<'a> Judged<'a> {
    pub(super) fn of(life: &'a Life) -> Self {
        let floor = floor::of(life);
        let numbers = numbers(life, &floor);
        Judged { life, floor, numbers }
    }

    /// The heap's bound, and whether the log says it or it is the most that was committed.
    pub(super) fn bound(&self) -> Option<(f64, bool)> {
        let committed = self.numbers.committed_bytes.map(|[_, most, _]| (most, false));
        // What V8 has committed says nothing of what it may.
        let jvm = self.life.collector.is_none_or(|(c, _)| c.is_jvm());
        self.life.heap_max.map(|v| (v, true)).or(committed.filter(|_| jvm))
    }

    pub(super) fn motion(&self) -> Option<Motion> {
        self.floor.as_ref().ok().map(moves)
    }
}

/// What was given back: as lines of their own say, else as what is committed fell.
fn given_back(life: &Life, committed: Option<[f64; 3]>) -> Option<f64> {
    let said = Some(life.given_back).filter(|bytes| *bytes > 0.0);
    let fell = committed.map(|[_, most, last]| most - last);
    said.into_iter().chain(fell).reduce(f64::max)
}

fn numbers(life: &Life, floor: &Result<Floor, String>) -> LifeReport {
    let seconds = life.seconds();
    let enough = seconds > 0.0 && life.counts.all() >= FEW;
    let per_second = |v: f64| enough.then_some(v / seconds);
    let capacities = || life.marks.iter().filter_map(|m| m.capacity);
    let committed = life.committed.map(|last| {
        let all = || capacities().chain([last]);
        [all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max), last]
    });
    let since = life.span.map_or(0.0, |(_, end)| end - seconds * LATELY);
    let (whole, parts) = life.beside;
    let f = floor.as_ref().ok();
    LifeReport {
        process: life.process.clone(),
        collector: life.collector.map(|(c, _)| c),
        seconds,
        collections: life.counts.all(),
        full_collections: life.counts.full + life.counts.degenerated,
        explicit_collections: life.counts.explicit,
        floor_slope_bytes_per_second: f.map(|f| f.slope),
        slope_is_upper_bound: f.is_some_and(|f| f.basis.is_bound()),
        floor_basis: floor.as_ref().map_or_else(Clone::clone, |f| f.basis.name().to_owned()),
        floor_points: f.map_or(0, |f| f.points),
        floor_bytes: f.map(|f| f.level),
        heap_max_bytes: life.heap_max,
        heap_peak_bytes: life.marks.iter().fold(0.0, |m, p| m.max(p.before)),
        committed_bytes: committed,
        given_back_bytes: given_back(life, committed),
        lately_used_bytes: life.marks.iter().filter(|m| m.t >= since).map(|m| m.before).reduce(f64::max),
        pause_seconds: life.paused.0,
        longest_pause_seconds: life.paused.1,
        pause_share_by_half: enough.then(|| halves(life)),
        concurrent_seconds: if whole > 0.0 { whole } else { parts },
        allocation_bytes_per_second: per_second(life.marks.iter().skip(1).map(|m| m.allocated).sum()),
        promotion_bytes_per_second: life.promoted.and_then(per_second),
        metaspace_bytes: life.metaspace,
        humongous_bytes: life.humongous.filter(|_| life.region > 0.0).map(|(most, _)| most * life.region),
    }
}

/// Part of the time in pauses, first and second half of a life.
fn halves(life: &Life) -> [f64; 2] {
    let Some((first, last)) = life.span else { return [0.0, 0.0] };
    let middle = f64::midpoint(first, last);
    let mut sums = [0.0, 0.0];
    for m in &life.marks {
        let [a, b] = &mut sums;
        *(if m.t <= middle { a } else { b }) += m.pause;
    }
    sums.map(|s: f64| (s / (last - middle).max(1e-9)).min(1.0))
}

impl GcLog {
    /// What it concludes.
    pub fn report(&self, context: &Context) -> GcReport {
        let judged: Vec<Judged<'_>> = self.lives.iter().map(Judged::of).collect();
        let mut head = Report {
            artifact: Source {
                kind: self.form.name().to_owned(),
                bytes: self.bytes,
                truncated: self.truncated.clone(),
            },
            warnings: self.warnings.list(),
            ..Report::default()
        };
        let lives = judged.iter().map(|j| j.numbers.clone()).collect();
        let Some(now) = judged.last() else {
            return GcReport { head, lives, seconds_to_heap_max: None, seconds_to_limit: None };
        };
        let to_max = now.bound().and_then(|(v, _)| until(now, v));
        let to_limit = context.limit.and_then(|v| until(now, v as f64));
        head.findings = super::findings::all(now, &judged, to_max, to_limit, context);
        head.warnings.extend(super::findings::warnings(now));
        head.summary = summary(now, judged.len(), head.findings.first());
        GcReport { head, lives, seconds_to_heap_max: to_max, seconds_to_limit: to_limit }
    }
}

/// When a climbing floor reaches `bound`.
fn until(j: &Judged<'_>, bound: f64) -> Option<Times> {
    let f = j.floor.as_ref().ok().filter(|f| moves(f) == Motion::Climbs)?;
    let room = (bound - f.level).max(0.0);
    Some(Times {
        soonest: room / f.slope.high,
        likely: room / f.slope.mid,
        latest: Some(room / f.slope.low).filter(|v| v.is_finite() && *v >= 0.0),
    })
}

fn summary(now: &Judged<'_>, lives: usize, first: Option<&Finding>) -> String {
    let collector = now.life.collector.map_or("unknown collector", |(c, _)| c.name());
    let n = count(now.numbers.collections, "collection");
    let lives = if lives > 1 { format!(", newest of {lives} lives") } else { String::new() };
    let time = if now.numbers.seconds > 0.0 {
        format!(" in {}", duration(now.numbers.seconds))
    } else {
        String::new()
    };
    let what = first.map_or_else(|| "nothing follows from it".to_owned(), |f| f.text.clone());
    format!("{collector}: {n}{time}{lives}; {what}")
}

/// A slope with its interval in words.
pub(super) fn slope(i: Interval) -> String {
    format!("{} ({} to {})", rate(i.mid), rate(i.low), rate(i.high))
}

impl Form {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Form::Unified => "collection log of a JVM (unified, JDK 9 or later)",
            Form::Jdk8 => "collection log of a JVM (JDK 8 or earlier)",
            Form::GcTrace => "collection log of a Go program (gctrace)",
            Form::V8 => "collection log of Node.js (--trace-gc)",
        }
    }
}

impl GcReport {
    /// Tables for the screen: the lives, and what went wrong in the newest.
    pub fn tables(&self) -> Vec<Table> {
        let rows = self.lives.iter().rev().take(12).rev().map(|l| {
            let share = l.pause_share_by_half.map(|[a, b]| f64::midpoint(a, b));
            vec![
                l.process.clone().unwrap_or_default(),
                l.collector.map_or("?", Collector::name).to_owned(),
                duration(l.seconds),
                l.collections.to_string(),
                l.full_collections.to_string(),
                l.floor_slope_bytes_per_second.map_or_else(
                    || "unknown".to_owned(),
                    |s| format!("{}{}", if l.slope_is_upper_bound { "<= " } else { "" }, slope(s)),
                ),
                l.floor_bytes.map_or_else(String::new, bytes),
                share.map_or_else(String::new, percent),
                l.allocation_bytes_per_second.map_or_else(String::new, rate),
            ]
        });
        let rows: Vec<_> = rows.collect();
        let head = vec![
            "process",
            "collector",
            "#span",
            "#collections",
            "#full",
            "floor's slope",
            "#floor",
            "#in pauses",
            "#allocates",
        ];
        vec![Table { title: "Lives of the process, oldest first".to_owned(), head, rows }]
    }
}

/// Whether a heap is too small for what lives in it, by its newest life.
pub(super) fn is_tight(j: &Judged<'_>) -> bool {
    let (Ok(f), Some((bound, true))) = (&j.floor, j.bound()) else { return false };
    !f.basis.is_bound() && f.level > TIGHT * bound
}

/// Whether collecting is what the program does.
pub(super) fn is_heavy(j: &Judged<'_>) -> bool {
    j.numbers.pause_share_by_half.is_some_and(|[_, b]| b > HEAVY)
}

/// The cause that speaks out of a motion.
pub(super) fn cause(m: Motion) -> (Cause, Certainty) {
    match m {
        Motion::Climbs => (Cause::Retention, Certainty::Likely),
        Motion::Still => (Cause::None, Certainty::Likely),
        Motion::Perhaps | Motion::Unclear | Motion::SoFar => (Cause::Undecided, Certainty::CannotTell),
    }
}

/// Whether a mishap happened in a life.
pub(super) fn had(life: &Life, what: Mishap) -> Option<u64> {
    life.mishaps.iter().find(|m| m.what == what).map(|m| m.count)
}
