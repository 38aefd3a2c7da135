//! Metrics that a Node.js or Python process exports itself, from whichever of its ports answers `/metrics`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::{RuntimeKind, Target};
use plimsoll_read::prometheus_text::{looks_like, sum, with_label};

use super::ports::Ports;
use super::room::{FOR_AN_ANSWER, Room};
use super::{Pace, Source, SourceKind};
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

/// Bytes that a page may take in the process for each of its own: the text, its pieces and what is sent.
const PAGE: f64 = 4.0;

struct Metrics {
    table: &'static [Row],
    ports: Ports,
    door: Option<SocketAddr>,
    room: Room,
    /// How long the last page was, bytes.
    page: f64,
}

fn open(world: &World, target: &Target) -> Option<Box<dyn Source>> {
    let table = match target.runtime {
        RuntimeKind::Node => NODE,
        RuntimeKind::Python => PYTHON,
        _ => return None,
    };
    let (ports, room) = (Ports::of(world, target.pid), Room::of(world, target));
    Some(Box::new(Metrics { table, ports, door: None, room, page: 0.0 }))
}

impl Metrics {
    fn search(&mut self) -> Option<SocketAddr> {
        let due = self.ports.due(Instant::now());
        due.into_iter().find(|at| self.ports.get(*at, "/metrics").is_ok_and(|t| looks_like(&t)))
    }

    fn unknown(&self, why: &str, out: &mut Observation) {
        for (fact, _, _) in self.table {
            out.put(*fact, Reading::unknown(why));
        }
    }
}

impl Source for Metrics {
    fn sample(&mut self, out: &mut Observation) {
        // A page is made in its memory.
        if let Some(why) = self.room.refuses(out.t, FOR_AN_ANSWER.max(PAGE * self.page)) {
            return self.unknown(&why, out);
        }
        if let Err(why) = self.ports.enter() {
            return self.unknown(&why, out);
        }
        self.door = self.door.or_else(|| self.search());
        let Some(at) = self.door else {
            return self.unknown("no port of the process answers with metrics", out);
        };
        match self.ports.get(at, "/metrics") {
            Err(e) => {
                self.door = None;
                self.ports.search_anew();
                self.unknown(&e.to_string(), out);
            }
            Ok(text) => {
                self.page = text.len() as f64;
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
