//! What is read after a round: the floor of the heap after a forced collection, the kernel's numbers, and whether a
//! ceiling was hit.

mod go;
mod jvm;
mod node;

use std::collections::BTreeMap;

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::guard::Metric;
use plimsoll_core::guard::marker::Marker;
use plimsoll_core::recording::Observation;
use plimsoll_core::target::{RuntimeKind, Target};

use crate::identify;
use crate::source::SOURCES;
use crate::source::cgroup::Group;
use crate::world::{Clock, World};

/// Share of a limit from which on memory is pushed back.
const CEILING: f64 = 0.95;
/// Sources of the kernel's numbers, cheap ones.
const ALWAYS: [&str; 2] = ["procfs", "cgroup"];

/// What a runtime says after a forced collection.
#[derive(Debug, Default)]
struct Heap {
    /// What the heap holds.
    level: Option<Reading>,
    /// What the heap has of the system, to be taken off resident memory.
    held: Option<f64>,
    goroutines: Option<Reading>,
}

/// A small artifact, by the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Such as `heap.pb.gz`.
    pub name: &'static str,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// A runtime that can be made to collect from outside.
trait Collector {
    fn collect(&mut self) -> Heap;
    /// Artifacts that tell who holds the heap now, or who got what is held since the last call.
    fn evidence(&mut self) -> Vec<Piece> {
        Vec::new()
    }
    /// Leaves the target as it was.
    fn close(self: Box<Self>) {}
}

/// One reading.
pub(super) struct Read {
    pub(super) levels: BTreeMap<Metric, Reading>,
    pub(super) ceiling: Option<String>,
}

/// Reads one target, round by round.
pub(super) struct Probe {
    world: World,
    target: Target,
    clock: Clock,
    collector: Box<dyn Collector>,
    /// Whether the heap's share of resident memory is known; it stays as it was in the first round.
    native: Option<bool>,
    /// The control group's numbers tell of other processes than the target's.
    shared: Option<String>,
    kills: Option<f64>,
}

impl Probe {
    /// Opens what there is for a target. Nothing is asked of it when its marker tells of the heap.
    pub(super) fn open(world: &World, target: Target, marker: Option<&Marker>) -> Probe {
        let tells = marker.is_some_and(|m| {
            m.readings.contains_key(&Metric::Heap) || m.readings.contains_key(&Metric::Blocks)
        });
        let collector: Box<dyn Collector> =
            if tells { Box::new(NoCollector(None)) } else { collector(world, &target) };
        Probe {
            shared: shared(world, &target),
            world: world.clone(),
            target,
            clock: Clock::start(),
            collector,
            native: None,
            kills: None,
        }
    }

    /// Whether it is still the same process, and alive: one that nobody has reaped yet is not.
    pub(super) fn is_same(&self) -> bool {
        let lives = identify::life(&self.world, self.target.pid).ok().flatten();
        lives.is_some_and(|l| !matches!(l.state, 'Z' | 'X')) && identify::is_same(&self.world, &self.target)
    }

    /// Collects and reads.
    pub(super) fn read(&mut self, marker: Option<&Marker>) -> Read {
        let heap = self.collector.collect();
        let seen = facts(&self.world, &self.target, &ALWAYS, self.clock.now());
        let mut levels = BTreeMap::new();
        for (metric, fact) in [(Metric::Threads, Fact::Threads), (Metric::Fds, Fact::Fds)] {
            levels.insert(metric, reading(&seen, fact));
        }
        levels.insert(Metric::Anon, self.anon(&seen));
        levels.extend(heap.level.map(|level| (Metric::Heap, level)));
        levels.extend(heap.goroutines.map(|n| (Metric::Goroutines, n)));
        let mut held = heap.held;
        if let Some(m) = marker {
            held = m.held.or(held);
            levels.extend(m.readings.clone());
            if m.collected == Some(false) {
                let why = "the program says that its collection had no effect";
                levels.insert(Metric::Heap, Reading::unknown(why));
            }
        }
        self.resident(&mut levels, &seen, held);
        Read { levels, ceiling: self.ceiling(&seen) }
    }

    /// Resident memory beside the heap, or all of it where the heap's share is not known: nothing tells it, or the heap has
    /// taken more than is resident, and has not touched it.
    fn resident(&mut self, levels: &mut BTreeMap<Metric, Reading>, seen: &Observation, held: Option<f64>) {
        let rss = reading(seen, Fact::Rss);
        let beside = rss.known().zip(held).map(|(rss, held)| rss - held).filter(|b| *b > 0.0);
        if !*self.native.get_or_insert(beside.is_some()) {
            levels.entry(Metric::Rss).or_insert(rss);
            return;
        }
        let native = match (rss, beside) {
            (Reading::Known(_), Some(beside)) => Reading::Known(beside),
            (Reading::Known(_), None) => {
                Reading::unknown("the heap did not tell what it holds, or it holds what it has not touched")
            }
            (why, _) => why,
        };
        levels.entry(Metric::Native).or_insert(native);
    }

    fn anon(&self, seen: &Observation) -> Reading {
        match &self.shared {
            Some(why) => Reading::unknown(why.clone()),
            None => reading(seen, Fact::CgroupAnon),
        }
    }

    fn ceiling(&mut self, seen: &Observation) -> Option<String> {
        let of = |fact| seen.facts.get(&fact).copied();
        let kills = of(Fact::CgroupOomKills);
        let killed =
            kills.zip(self.kills.replace(kills.unwrap_or(0.0))).is_some_and(|(now, then)| now > then);
        if killed {
            return Some("the kernel killed in the control group for want of memory".to_owned());
        }
        let (used, limit) = of(Fact::CgroupUnreclaimable).zip(of(Fact::CgroupLimit))?;
        let full = used > CEILING * limit;
        full.then(|| format!("the control group is full to {}", plimsoll_core::units::percent(used / limit)))
    }

    /// Who holds the heap now.
    pub(super) fn evidence(&mut self) -> Vec<Piece> {
        self.collector.evidence()
    }

    /// Leaves the target as it was.
    pub(super) fn close(self) {
        self.collector.close();
    }
}

/// Sources opened for one look: none rests since the last one.
fn facts(world: &World, target: &Target, names: &[&str], now: f64) -> Observation {
    let mut seen = Observation::at(now);
    for kind in SOURCES.iter().filter(|k| names.contains(&k.name)) {
        if let Some(mut source) = (kind.open)(world, target) {
            source.sample(&mut seen);
        }
    }
    seen
}

fn reading(seen: &Observation, fact: Fact) -> Reading {
    match seen.facts.get(&fact) {
        Some(v) => Reading::Known(*v),
        None => Reading::Unknown(
            seen.unknown.get(&fact).cloned().unwrap_or_else(|| format!("nothing here tells {fact}")),
        ),
    }
}

/// A group that we are in ourselves has our memory and that of the load in it.
fn shared(world: &World, target: &Target) -> Option<String> {
    let own = Group::of(world, std::process::id().cast_signed()).ok()?.shown();
    let theirs = target.limit_cgroup.as_deref().or(target.cgroup.as_deref())?;
    let inside = own == theirs || own.starts_with(&format!("{}/", theirs.trim_end_matches('/')));
    inside.then(|| "the target's control group is that of the test, too".to_owned())
}

/// What can be made to collect from outside, by runtime.
fn collector(world: &World, target: &Target) -> Box<dyn Collector> {
    let by_hand = |runtime: &str| {
        NoCollector(Some(format!(
            "{runtime} cannot be made to collect from outside: print the marker protocol"
        )))
    };
    match target.runtime {
        RuntimeKind::Native => Box::new(Malloc { world: world.clone(), target: target.clone() }),
        RuntimeKind::Python => Box::new(by_hand("Python")),
        RuntimeKind::Dotnet => Box::new(by_hand(".NET")),
        RuntimeKind::Jvm => Box::new(jvm::Histogram::new(world, target)),
        RuntimeKind::Go => go::open(world, target),
        RuntimeKind::Node => node::open(world, target),
    }
}

/// Nothing is collected; the reason is the heap's unknown, unless the program tells of its heap itself.
struct NoCollector(Option<String>);

/// A runtime that could not be asked.
fn refused(why: impl std::fmt::Display) -> Box<dyn Collector> {
    Box::new(NoCollector(Some(format!("{why}; or print the marker protocol"))))
}

/// Tries until two readings in a row agree, as a collection may leave behind what the next one takes.
const TRIES: usize = 4;
const AGREE: f64 = 0.001;

/// The lowest of a few levels, each after a collection of its own.
fn lowest<T>(mut read: impl FnMut() -> Result<(f64, T), String>) -> Result<(f64, T), String> {
    let mut best = read()?;
    for _ in 1..TRIES {
        let next = read()?;
        let agree = (next.0 - best.0).abs() <= AGREE * best.0;
        if next.0 < best.0 {
            best = next;
        }
        if agree {
            break;
        }
    }
    Ok(best)
}

impl Collector for NoCollector {
    fn collect(&mut self) -> Heap {
        Heap { level: self.0.clone().map(Reading::Unknown), ..Heap::default() }
    }
}

/// The C library's allocator: there is no garbage, and its chunks are counted from outside.
struct Malloc {
    world: World,
    target: Target,
}

impl Collector for Malloc {
    fn collect(&mut self) -> Heap {
        let seen = facts(&self.world, &self.target, &["mappings and allocator"], 0.0);
        let level = reading(&seen, Fact::MallocInUse);
        Heap { held: level.known(), level: Some(level), goroutines: None }
    }
}

/// Whether `pid` is `ancestor` or was started by it, over whichever steps.
pub(super) fn descends(world: &World, pid: i32, ancestor: i32) -> bool {
    let mut at = pid;
    // A chain of parents ends at the first process; a hostile tree ends here.
    for _ in 0..64 {
        if at == ancestor {
            return true;
        }
        let status = world.proc_root.join(at.to_string()).join("status");
        let text = std::fs::read_to_string(status).unwrap_or_default();
        match crate::source::text::field(&text, "PPid") {
            Some(parent) if parent > 0.0 => at = parent as i32,
            _ => return false,
        }
    }
    false
}
