//! Metrics that a Node.js or Python process exports itself, from whichever of its ports answers `/metrics`.

use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::{RuntimeKind, Target};
use plimsoll_read::prometheus_text::{looks_like, sum, with_label};

use super::{Pace, Source, SourceKind};
use crate::step::http;
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "metrics",
    facts: &[
        Fact::V8HeapUsed,
        Fact::V8HeapTotal,
        Fact::V8External,
        Fact::V8MarkCompacts,
        Fact::V8Scavenges,
        Fact::PyBlocks,
        Fact::PyObjects,
    ],
    pace: Pace::Slow(Duration::from_secs(1)),
    open,
};

/// Rounds between two searches for a port while none was found.
const SEARCH_EVERY: u32 = 10;

/// One fact and where it stands among the metrics: name, and label with value when the name alone is a family.
type Row = (Fact, &'static str, Option<(&'static str, &'static str)>);

/// prom-client's names.
const NODE: &[Row] = &[
    (Fact::V8HeapUsed, "nodejs_heap_size_used_bytes", None),
    (Fact::V8HeapTotal, "nodejs_heap_size_total_bytes", None),
    (Fact::V8External, "nodejs_external_memory_bytes", None),
    (Fact::V8MarkCompacts, "nodejs_gc_duration_seconds_count", Some(("kind", "major"))),
    (Fact::V8Scavenges, "nodejs_gc_duration_seconds_count", Some(("kind", "minor"))),
];

/// Names that services export by hand: the client library has no live heap.
const PYTHON: &[Row] =
    &[(Fact::PyBlocks, "python_allocated_blocks", None), (Fact::PyObjects, "python_gc_objects", None)];

struct Metrics {
    world: World,
    pid: i32,
    table: &'static [Row],
    agent: ureq::Agent,
    entered: Option<Result<(), String>>,
    door: Option<SocketAddr>,
    round: u32,
}

fn open(world: &World, target: &Target) -> Option<Box<dyn Source>> {
    let table = match target.runtime {
        RuntimeKind::Node => NODE,
        RuntimeKind::Python => PYTHON,
        _ => return None,
    };
    Some(Box::new(Metrics {
        world: world.clone(),
        pid: target.pid,
        table,
        agent: http::agent(),
        entered: None,
        door: None,
        round: 0,
    }))
}

impl Metrics {
    fn search(&self) -> Option<SocketAddr> {
        let ports = http::listening(&self.world, self.pid).ok()?;
        ports.into_iter().find(|at| http::get(&self.agent, *at, "/metrics").is_ok_and(|t| looks_like(&t)))
    }

    fn unknown(&self, why: &str, out: &mut Observation) {
        for (fact, _, _) in self.table {
            out.put(*fact, Reading::unknown(why));
        }
    }
}

impl Source for Metrics {
    fn sample(&mut self, out: &mut Observation) {
        let round = self.round;
        self.round += 1;
        let entered = self
            .entered
            .get_or_insert_with(|| http::enter_network(&self.world, self.pid).map_err(|e| e.to_string()));
        if let Err(why) = entered.clone() {
            return self.unknown(&why, out);
        }
        if self.door.is_none() && round.is_multiple_of(SEARCH_EVERY) {
            self.door = self.search();
        }
        let Some(at) = self.door else {
            return self.unknown("no port of the process answers with metrics", out);
        };
        match http::get(&self.agent, at, "/metrics") {
            Err(e) => {
                self.door = None;
                self.unknown(&e.to_string(), out);
            }
            Ok(text) => {
                for (fact, name, label) in self.table {
                    let value = match label {
                        None => sum(&text, name),
                        Some((key, wanted)) => with_label(&text, name, key, wanted),
                    };
                    let missing =
                        || Reading::unknown(format!("the metrics of the process do not hold {name}"));
                    out.put(*fact, value.map_or_else(missing, Reading::Known));
                }
            }
        }
    }
}
