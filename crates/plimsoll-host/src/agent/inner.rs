//! What the runtimes of watched processes say of themselves: live heap, goroutines, threads. Asked of the largest process
//! of each group, by what costs it nothing or little, and audited now and then: would its net fire?

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plimsoll_core::agent::Rules;
use plimsoll_core::audit;
use plimsoll_core::fact::Fact;
use plimsoll_core::recording::Observation;

use crate::fleet::Fleet;
use crate::identify;
use crate::sampler::Sampler;
use crate::source::{Pace, SourceKind};
use crate::world::World;

/// Processes that are asked at most.
const MOST: usize = 100;
/// Sources that are asked: none attaches, none sends a signal.
const ASKED: &[&str] = &["procfs", "hsperf", "go http", "v8 --trace-gc", "metrics"];
/// Least time between two questions to a port of a process.
const PORT_EVERY: Duration = Duration::from_secs(10);
/// Time between two audits of a process.
const AUDIT_EVERY: Duration = Duration::from_secs(600);
/// A sampler of an agent never waits: the agent has its own grid.
const AT_ONCE: Duration = Duration::from_millis(10);

/// A process's pid and start.
type Life = (i32, u64);

/// One process that is asked.
struct Asked {
    sampler: Sampler,
    /// What it ran when it was asked first: a shell becomes what it ends in.
    program: Option<PathBuf>,
    audited: Option<Instant>,
    net: Option<bool>,
}

/// Those that are asked, by pid and start.
#[derive(Default)]
pub(super) struct Inner {
    asked: BTreeMap<Life, Asked>,
    /// Those that the rules leave alone.
    left: BTreeMap<Life, Option<PathBuf>>,
    auditing: Option<(Life, JoinHandle<Option<bool>>)>,
}

impl Inner {
    /// Asks whoever is due, and tells the fleet what came. After the fleet's own look.
    pub(super) fn look(&mut self, fleet: &mut Fleet, world: &World, rules: &Rules) {
        let largest: Vec<i32> = fleet.limited().iter().filter_map(|l| l.pids.first().copied()).collect();
        let start = |pid| fleet.process_now(pid).map(|(_, start, _)| (pid, start));
        let lives: BTreeSet<Life> = largest.into_iter().filter_map(start).collect();
        let stays = |life: &Life, was: &Option<PathBuf>| {
            lives.contains(life) && *was == identify::program(world, life.0)
        };
        self.asked.retain(|life, asked| stays(life, &asked.program));
        self.left.retain(|life, program| stays(life, program));
        for life in &lives {
            if self.asked.len() < MOST && !self.asked.contains_key(life) && !self.left.contains_key(life) {
                self.open(*life, world, rules);
            }
        }
        for ((pid, _), asked) in &mut self.asked {
            static NEVER: AtomicBool = AtomicBool::new(false);
            if let Some(seen) = asked.sampler.next(&NEVER) {
                fleet.tell_inner(*pid, &own(seen));
            }
        }
        self.audit(fleet, world);
    }

    fn open(&mut self, life: Life, world: &World, rules: &Rules) {
        let slowest = PORT_EVERY.max(Duration::from_secs_f64(rules.every));
        let choose = |kind: &SourceKind| {
            let pace = match kind.pace {
                Pace::EveryTick => Pace::EveryTick,
                Pace::Slow(pause) => Pace::Slow(pause.max(slowest)),
            };
            ASKED.contains(&kind.name).then_some(pace)
        };
        let program = identify::program(world, life.0);
        match Sampler::choosing(world, life.0, AT_ONCE, &choose) {
            Ok(sampler) if rules.watches(&sampler.target().name) => {
                self.asked.insert(life, Asked { sampler, program, audited: None, net: None });
            }
            Ok(_) => {
                self.left.insert(life, program);
            }
            // It is asked again at the next look, if it is still there.
            Err(_) => {}
        }
    }

    /// One audit at a time, on a thread of its own: it may ask ports and search programs.
    fn audit(&mut self, fleet: &Fleet, world: &World) {
        if let Some((life, thread)) = self.auditing.take_if(|(_, thread)| thread.is_finished()) {
            let net = thread.join().ok().flatten();
            if let Some(asked) = self.asked.get_mut(&life) {
                (asked.net, asked.audited) = (net, Some(Instant::now()));
            }
        }
        if self.auditing.is_some() {
            return;
        }
        let due = |a: &Asked| a.audited.is_none_or(|at| at.elapsed() >= AUDIT_EVERY);
        let Some((life, _)) = self.asked.iter().find(|(_, a)| due(a)) else { return };
        let (life, world) = (*life, world.clone());
        let Some(recording) = fleet.recording(life.0) else { return };
        let work = move || audit::ready(&audit::audit(&crate::audit::subject(&world, &recording)));
        // Where no thread can be had it is tried again at the next look.
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(work);
        self.auditing = thread.ok().map(|thread| (life, thread));
    }

    /// Whether the net of a process would fire, as far as its last audit tells.
    pub(super) fn net(&self, pid: i32) -> Option<bool> {
        self.of(pid)?.net
    }

    fn of(&self, pid: i32) -> Option<&Asked> {
        self.asked.range((pid, 0)..=(pid, u64::MAX)).next().map(|(_, asked)| asked)
    }
}

/// What a fleet does not read itself.
fn own(mut seen: Observation) -> Observation {
    let also = |fact: &Fact| matches!(fact, Fact::Rss | Fact::RssAnon);
    seen.facts.retain(|fact, _| !also(fact));
    seen.unknown.retain(|fact, _| !also(fact));
    seen
}
