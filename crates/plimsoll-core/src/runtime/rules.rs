//! What judgement knows of a runtime, as data: where its floor is, what bounds it, what it accumulates and
//! which artifacts it can give at what cost.

use std::borrow::Cow;

use super::price::{Per, Price};
use crate::calibration::Calibration;
use crate::classify::Cause;
use crate::fact::Fact;
use crate::recording::Recording;
use crate::series::Point;
use crate::slope::{Death, Samples};
use crate::target::Target;

/// A series that may serve as the floor of the live heap.
#[derive(Debug, Clone, Copy)]
pub struct LiveRule {
    /// The number.
    pub fact: Fact,
    /// Whether each sample is post-collection or the envelope is wanted.
    pub samples: Samples,
    /// The name of the number in the user's terms.
    pub name: &'static str,
    /// The count of collections that must have risen again and again while it was watched: a heap in use that
    /// climbs between two collections is garbage as far as anybody can tell.
    pub after: Option<Fact>,
}

/// Times at which a collection must have been seen before the lower envelope of a heap in use is its floor.
const COLLECTIONS: usize = 4;
/// Longest stretch without a collection, as a share of the time from the first one to the last. A start that
/// collects often and then not for long shows two floors, not a climb.
const LONGEST_GAP: f64 = 0.4;

impl LiveRule {
    /// The samples that may be read as a floor: of a heap in use those from the first collection to the last,
    /// for what came before and after is garbage as far as anybody can tell.
    pub fn points<'a>(&self, r: &'a Recording) -> &'a [Point] {
        let series = r.series(self.fact);
        let Some(count) = self.after else { return series.points() };
        let rises = rises(r.series(count).points());
        let Some((first, last)) = rises.first().zip(rises.last()) else { return &[] };
        let until = series.until(*last);
        until.get(until.partition_point(|p| p.t < *first)..).unwrap_or_default()
    }

    /// True when the number is there and may be read as a floor.
    pub fn usable(&self, r: &Recording) -> bool {
        let collected = self.after.is_none_or(|count| keeps_collecting(r.series(count).points()));
        collected && !self.points(r).is_empty()
    }
}

/// Times at which a count had risen.
fn rises(count: &[Point]) -> Vec<f64> {
    count.windows(2).filter(|w| w[1].v > w[0].v).map(|w| w[1].t).collect()
}

/// True when a count of collections shows that the collector has run again and again.
pub fn keeps_collecting(count: &[Point]) -> bool {
    let rises = rises(count);
    let Some((first, last)) = rises.first().zip(rises.last()) else { return false };
    let longest = rises.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
    rises.len() >= COLLECTIONS && longest <= LONGEST_GAP * (last - first)
}

/// A bound of the runtime's own: which number runs against which limit.
#[derive(Debug, Clone, Copy)]
pub struct BoundRule {
    /// The limit in the user's terms, such as `-Xmx`.
    pub name: &'static str,
    /// The number that runs against it, best first.
    pub usage: &'static [LiveRule],
    /// The limit.
    pub limit: Fact,
    /// How the limit ends (or hurts) the process.
    pub death: Death,
    /// True when reaching it slows the process rather than ending it (GOMEMLIMIT, memory.high).
    pub degrades: bool,
    /// Where the runtime gives up before the limit: what to call that, and the number, when it can be told.
    pub before: Option<(&'static str, Earlier)>,
}

/// A number below a limit (the second argument, bytes) at which a runtime gives up, when it can be told.
pub type Earlier = fn(&Recording, f64) -> Option<f64>;

impl BoundRule {
    /// The number that binds, bytes, with its name; `None` while the limit is unknown.
    pub fn binds(&self, r: &Recording) -> Option<(&'static str, f64)> {
        let limit = r.last(self.limit)?;
        let before = self.before.and_then(|(name, of)| Some((name, of(r, limit)?)));
        Some(before.unwrap_or((self.name, limit)))
    }
}

/// Things that are counted one by one and can pile up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitRule {
    /// The count.
    pub fact: Fact,
    /// Singular noun.
    pub noun: &'static str,
    /// A number in bytes that grows with them alone (stacks), when there is one.
    pub own_bytes: Option<Fact>,
    /// Smallest growth of the count that can matter.
    pub least: f64,
    /// Most bytes that one of them may pin before the count no longer explains the memory.
    pub most_bytes_each: f64,
}

/// Memory outside the managed heap that has an account of its own.
#[derive(Debug, Clone, Copy)]
pub struct OffHeapRule {
    /// The account.
    pub fact: Fact,
    /// What is booked there, in the user's terms.
    pub name: &'static str,
}

/// Predicted cost of taking an artifact.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Memory inside the target's limit, bytes.
    pub memory: f64,
    /// Disk at the destination, bytes.
    pub disk: f64,
    /// Disk in the target's own `/tmp`, bytes: it is written there, taken out and removed.
    pub inside: f64,
    /// Pause of the target, seconds.
    pub pause: f64,
    /// Seconds during which the target goes on allocating while the artifact is taken.
    pub running: f64,
    /// Where the figures come from and for which conditions they hold.
    pub basis: Cow<'static, str>,
}

/// One artifact that a runtime can give.
#[derive(Clone, Copy)]
pub struct ArtifactRule {
    /// Name on the command line.
    pub id: &'static str,
    /// Name in the user's terms.
    pub name: &'static str,
    /// Causes that it can prove or name the owner of.
    pub proves: &'static [Cause],
    /// What it shows, in half a sentence.
    pub shows: &'static str,
    /// What it costs by the shipped constants, or why that cannot be told.
    pub price: fn(&Recording) -> Result<Price, String>,
    /// The command that takes it by hand.
    pub command: fn(&Target) -> String,
    /// True when the sampler already took it because the verdict needs it.
    pub taken_here: bool,
}

impl ArtifactRule {
    /// Its cost, by what was measured here where that holds, or why it cannot be predicted.
    pub fn cost(&self, r: &Recording, here: &Calibration) -> Result<Cost, String> {
        let price = (self.price)(r)?;
        let size = price.per.of(r)?;
        let mut cost = here.cost(r, self.id, &price, size);
        if price.per == Per::JavaHeap && r.last(Fact::JvmHeapUsed).is_none() {
            cost.basis =
                format!("{}; no hsperfdata: as if all that is resident were heap", cost.basis).into();
        }
        Ok(cost)
    }
}

/// Everything that judgement knows of one runtime.
pub struct Rules {
    /// Floor of the live heap, best first; empty where the runtime has no number.
    pub live: &'static [LiveRule],
    /// Memory that the runtime holds for its heap (committed), best first.
    pub held: &'static [Fact],
    /// Total of all memory that the runtime accounts for, when it does.
    pub accounted: Option<Fact>,
    /// Bounds of its own.
    pub bounds: &'static [BoundRule],
    /// Counted things that can pile up.
    pub units: &'static [UnitRule],
    /// Accounts outside the heap.
    pub off_heap: &'static [OffHeapRule],
    /// Collections since the start, by kind.
    pub collections: &'static [Fact],
    /// Collections of the whole heap since the start.
    pub full_collections: Option<Fact>,
    /// Bytes allocated since the start.
    pub allocated: Option<Fact>,
    /// Artifacts, cheap to heavy.
    pub ladder: &'static [ArtifactRule],
    /// How to make the runtime say its live heap, when it does not.
    pub live_hint: &'static str,
    /// The safety net: is evidence kept when the process dies? State and reason.
    pub net: fn(&Recording) -> Net,
}

/// Whether evidence survives the death of the process.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Net {
    /// `Some(true)` when an artifact is written at the end that threatens; `None` when it cannot be told.
    pub on: Option<bool>,
    /// Why, and the lever that would change it.
    pub why: String,
}

impl Rules {
    /// The best floor series: the first with enough points, else the first that may be read at all.
    pub fn live_of(&self, r: &Recording) -> Option<LiveRule> {
        best(self.live, r)
    }

    /// True where a collector stands between what is allocated and what stays: then the process's memory may be
    /// flat while its live heap climbs.
    pub fn collects(&self) -> bool {
        !self.collections.is_empty()
    }

    /// The best committed number that has samples.
    pub fn held_of(&self, r: &Recording) -> Option<Fact> {
        self.held.iter().copied().find(|f| r.last(*f).is_some())
    }
}

/// Points from which a post-collection series stands on its own.
const ENOUGH: usize = 6;

/// The best of several numbers for the same thing.
pub fn best(rules: &[LiveRule], r: &Recording) -> Option<LiveRule> {
    let usable = || rules.iter().copied().filter(|l| l.usable(r));
    usable().find(|l| l.points(r).len() >= ENOUGH).or_else(|| usable().next())
}

/// A number for the tables in each runtime's folder.
pub const fn live(fact: Fact, samples: Samples, name: &'static str) -> LiveRule {
    LiveRule { fact, samples, name, after: None }
}

/// A heap in use, garbage included: its envelope is a floor once `after` has counted some collections.
pub const fn envelope(fact: Fact, name: &'static str, after: Fact) -> LiveRule {
    LiveRule { fact, samples: Samples::Raw, name, after: Some(after) }
}
