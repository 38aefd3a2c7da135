//! A Go program's own numbers: pprof when a port answers as such, else metrics, else expvar; the goroutines from outside
//! where that is possible, as it costs the program nothing: its own profile of them takes megabytes in it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use plimsoll_core::artifact::Artifact;
use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::runtime::go_profile_bytes;
use plimsoll_core::target::{RuntimeKind, Target};
use plimsoll_read::go_memstats::{self, MemStats};
use plimsoll_read::{goroutines, prometheus_text};

use super::go_outside::GoOutside;
use super::ports::Ports;
use super::room::{self, FOR_AN_ANSWER, Room};
use super::{Pace, Source, SourceKind};
use crate::identify;
use crate::step::http::HttpError;
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "go http",
    facts: FACTS,
    pace: Pace::Slow(Duration::from_secs(1)),
    open: |world, target| (target.runtime == RuntimeKind::Go).then(|| open(world, target)),
};

const FACTS: &[Fact] = &[
    Fact::Goroutines,
    Fact::GoHeapAlloc,
    Fact::GoLive,
    Fact::GoHeapInuse,
    Fact::GoHeapHeld,
    Fact::GoStackInuse,
    Fact::GoSys,
    Fact::GoGcs,
    Fact::GoGcCpu,
    Fact::GoAllocated,
    Fact::GoMemLimit,
];

/// Rounds between two keepings of the grouped goroutines as an artifact.
const GROUPS_EVERY: u32 = 5;
/// From this many goroutines on, the profile costs the target tens of megabytes: ask rarely.
const MANY: f64 = 100_000.0;
const MANY_EVERY: u32 = 10;
/// Rounds without an answer after which the port is given up.
const MOST_SILENT: u32 = 5;

/// The least that a goroutine holds, bytes: so many there are at most.
const STACK: f64 = 2048.0;

/// What a port answers as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Pprof(SocketAddr),
    Metrics(SocketAddr),
    Expvar(SocketAddr),
}

struct GoHttp {
    world: World,
    pid: i32,
    ports: Ports,
    door: Option<Door>,
    /// Rounds in a row in which the door did not answer.
    silent: u32,
    round: u32,
    goroutines: f64,
    /// Of each on average, as they were seen last.
    frames: Option<f64>,
    collections: f64,
    settings: Settings,
    room: Room,
    /// Where no port tells how many goroutines there are.
    outside: GoOutside,
}

/// The two variables that change what the numbers mean; nothing else of the environment is looked at.
#[derive(Debug, Clone, Copy)]
struct Settings {
    gogc: f64,
    mem_limit: Option<f64>,
}

fn open(world: &World, target: &Target) -> Box<dyn Source> {
    Box::new(GoHttp {
        world: world.clone(),
        pid: target.pid,
        ports: Ports::of(world, target.pid),
        door: None,
        silent: 0,
        round: 0,
        goroutines: 0.0,
        frames: None,
        collections: -1.0,
        settings: settings(world, target.pid),
        room: Room::of(world, target),
        outside: GoOutside::new(world, target.pid),
    })
}

fn settings(world: &World, pid: i32) -> Settings {
    let folder = world.proc_root.join(pid.to_string());
    let get = |name| identify::variable(&folder, name);
    let gogc = match get("GOGC").as_deref() {
        Some("off") => 0.0,
        Some(text) => text.parse().unwrap_or(100.0),
        None => 100.0,
    };
    let mem_limit =
        get("GOMEMLIMIT").filter(|v| v != "off").and_then(|v| plimsoll_core::units::parse_bytes(&v));
    Settings { gogc, mem_limit }
}

impl Source for GoHttp {
    fn sample(&mut self, out: &mut Observation) {
        let round = self.round;
        self.round += 1;
        if let Some(limit) = self.settings.mem_limit {
            out.known(Fact::GoMemLimit, limit);
        }
        // An answer is made in its memory.
        if let Some(why) = self.room.refuses(out.t, FOR_AN_ANSWER) {
            unknown(out, &why);
            return self.outside.sample(out);
        }
        if let Err(why) = self.ports.enter() {
            unknown(out, &why);
            return self.outside.sample(out);
        }
        self.door = self.door.or_else(|| self.search());
        match self.door {
            None => {
                unknown(
                    out,
                    "no port of the process answers as pprof, metrics or expvar: import net/http/pprof",
                );
                self.outside.sample(out);
            }
            Some(Door::Pprof(at)) => self.pprof(at, round, out),
            Some(Door::Metrics(at)) => self.metrics(at, out),
            Some(Door::Expvar(at)) => self.expvar(at, out),
        }
        if self.silent >= MOST_SILENT {
            (self.door, self.silent) = (None, 0);
            self.ports.search_anew();
        }
    }
}

fn unknown(out: &mut Observation, why: &str) {
    for fact in FACTS.iter().filter(|f| **f != Fact::GoMemLimit) {
        out.put(*fact, Reading::unknown(why));
    }
}

impl GoHttp {
    /// Memory that its answers may take in it: so much for each goroutine, of which it cannot have more than it has stacks.
    fn needs(&self) -> f64 {
        let resident = room::resident(&self.world, self.pid);
        let most = if self.goroutines > 0.0 { self.goroutines } else { resident.unwrap_or(0.0) / STACK };
        FOR_AN_ANSWER + go_profile_bytes(self.frames) * most
    }

    /// The first port that answers usefully, the most telling kind first.
    fn search(&mut self) -> Option<Door> {
        let due = self.ports.due(Instant::now());
        let answers = |at: SocketAddr, path: &str, good: fn(&str) -> bool| {
            self.ports.get(at, path).is_ok_and(|text| good(&text))
        };
        let pprof = |at: &SocketAddr| answers(*at, "/debug/pprof/", |t| t.contains("goroutine"));
        let metrics = |at: &SocketAddr| {
            answers(*at, "/metrics", |t| prometheus_text::sum(t, "go_goroutines").is_some())
        };
        let expvar = |at: &SocketAddr| answers(*at, "/debug/vars", |t| go_memstats::from_expvar(t).is_some());
        let first = |f: &dyn Fn(&SocketAddr) -> bool| due.iter().copied().find(|at| f(at));
        first(&pprof)
            .map(Door::Pprof)
            .or_else(|| first(&metrics).map(Door::Metrics))
            .or_else(|| first(&expvar).map(Door::Expvar))
    }

    /// Asks the door, counting how long it has been silent.
    fn get(&mut self, at: SocketAddr, path: &str) -> Result<String, HttpError> {
        let answer = self.ports.get(at, path);
        self.silent = if answer.is_ok() { 0 } else { self.silent + 1 };
        answer
    }

    fn pprof(&mut self, at: SocketAddr, round: u32, out: &mut Observation) {
        self.outside.sample(out);
        if !self.outside.tells() && self.is_due(round) {
            let needed = self.needs();
            if let Some(why) = self.room.refuses(out.t, needed) {
                return unknown(out, &why);
            }
            match self.get(at, "/debug/pprof/goroutine?debug=1") {
                Ok(text) => self.goroutines(&text, round, out),
                Err(e) => out.put(Fact::Goroutines, Reading::unknown(e.to_string())),
            }
        }
        match self.get(at, "/debug/pprof/heap?debug=1").map(|t| go_memstats::from_profile(&t)) {
            Ok(Some(stats)) => self.put(&stats, out),
            Ok(None) => {
                out.put(Fact::GoHeapAlloc, Reading::unknown("the heap profile has no memory statistics"));
            }
            Err(e) => out.put(Fact::GoHeapAlloc, Reading::unknown(e.to_string())),
        }
    }

    /// Whether the profile of goroutines is asked for in this round.
    fn is_due(&self, round: u32) -> bool {
        self.goroutines <= MANY || round.is_multiple_of(MANY_EVERY)
    }

    fn goroutines(&mut self, text: &str, round: u32, out: &mut Observation) {
        let Some(artifact) = goroutines::read(text) else {
            return out.put(Fact::Goroutines, Reading::unknown("the port answers with no goroutine profile"));
        };
        if let Artifact::Goroutines { total, frames, .. } = &artifact {
            self.frames = *frames;
            self.goroutines = *total as f64;
            out.known(Fact::Goroutines, self.goroutines);
        }
        if round.is_multiple_of(GROUPS_EVERY) {
            out.artifacts.push(artifact);
        }
    }

    fn put(&mut self, m: &MemStats, out: &mut Observation) {
        for (fact, v) in [
            (Fact::GoHeapAlloc, m.heap_alloc),
            (Fact::GoHeapInuse, m.heap_inuse),
            (Fact::GoHeapHeld, (m.heap_sys - m.heap_released).max(0.0)),
            (Fact::GoStackInuse, m.stack_inuse),
            (Fact::GoSys, m.sys),
            (Fact::GoGcs, m.num_gc),
            (Fact::GoGcCpu, m.gc_cpu),
            (Fact::GoAllocated, m.total_alloc),
        ] {
            out.known(fact, v);
        }
        // A goal that a memory limit has cut says nothing of the live heap.
        let limited = self.settings.mem_limit.is_some_and(|l| m.sys > 0.7 * l);
        let live = m.live(self.settings.gogc).filter(|_| !limited);
        self.live(live, m.num_gc, out);
    }

    /// The live heap is one number per collection.
    fn live(&mut self, live: Option<f64>, collections: f64, out: &mut Observation) {
        if let Some(live) = live.filter(|_| collections > self.collections) {
            self.collections = collections;
            out.known(Fact::GoLive, live);
        }
    }

    fn metrics(&mut self, at: SocketAddr, out: &mut Observation) {
        let text = match self.get(at, "/metrics") {
            Ok(text) => text,
            Err(e) => return unknown(out, &e.to_string()),
        };
        let get = |name: &str| prometheus_text::sum(&text, name);
        for (fact, v) in [
            (Fact::Goroutines, get("go_goroutines")),
            (Fact::GoHeapAlloc, get("go_memstats_heap_alloc_bytes")),
            (Fact::GoHeapInuse, get("go_memstats_heap_inuse_bytes")),
            (
                Fact::GoHeapHeld,
                get("go_memstats_heap_sys_bytes")
                    .zip(get("go_memstats_heap_released_bytes"))
                    .map(|(a, b)| a - b),
            ),
            (Fact::GoStackInuse, get("go_memstats_stack_inuse_bytes")),
            (Fact::GoSys, get("go_memstats_sys_bytes")),
            (Fact::GoGcs, get("go_gc_duration_seconds_count")),
            (Fact::GoAllocated, get("go_memstats_alloc_bytes_total")),
        ] {
            match v {
                Some(v) => out.known(fact, v),
                None => out.put(fact, Reading::unknown("the metrics of the process do not hold it")),
            }
        }
        match get("go_gc_heap_live_bytes") {
            None => out.put(Fact::GoLive, Reading::unknown("the metrics of the process do not hold it")),
            // Without a count, each answer may be a new one.
            live => {
                self.live(live, get("go_gc_duration_seconds_count").unwrap_or(self.collections + 1.0), out);
            }
        }
    }

    fn expvar(&mut self, at: SocketAddr, out: &mut Observation) {
        match self.get(at, "/debug/vars").map(|t| go_memstats::from_expvar(&t)) {
            Ok(Some(stats)) => {
                self.outside.sample(out);
                self.put(&stats, out);
            }
            Ok(None) => unknown(out, "the port no longer answers as expvar"),
            Err(e) => unknown(out, &e.to_string()),
        }
    }
}
