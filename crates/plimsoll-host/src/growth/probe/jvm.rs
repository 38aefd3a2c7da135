//! A JVM: the class histogram of live objects is a full collection, and its sum is the heap to the byte.

use std::time::Duration;

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;
use plimsoll_read::class_histogram;

use super::{Collector, Heap, Piece, facts, lowest};
use crate::step::jvm_attach::{AttachError, jcmd};
use crate::world::World;

/// A collection of a large heap takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Histogram {
    world: World,
    target: Target,
    /// Absent in JDKs before 17.0.9: asked once.
    trims: bool,
    last: Option<String>,
}

impl Histogram {
    pub(super) fn new(world: &World, target: &Target) -> Self {
        Histogram { world: world.clone(), target: target.clone(), trims: true, last: None }
    }

    fn ask(&self, command: &str) -> Result<String, AttachError> {
        jcmd(&self.world, self.target.pid, command, PATIENCE)
    }

    fn counters(&self) -> Observation {
        facts(&self.world, &self.target, &["hsperf"], 0.0)
    }

    fn live(&self) -> Result<(f64, String), String> {
        let text = self.ask("GC.class_histogram").map_err(|e| e.to_string())?;
        let histogram = class_histogram::parse(&text).filter(|h| h.complete);
        let bytes = histogram.ok_or("the class histogram is not whole")?.total_bytes;
        Ok((bytes as f64, text))
    }
}

impl Collector for Histogram {
    fn collect(&mut self) -> Heap {
        let collections = |seen: &Observation| seen.facts.get(&Fact::JvmFullGcs).copied();
        let before = self.counters();
        let level = lowest(|| self.live()).map(|(bytes, text)| {
            self.last = Some(text);
            bytes
        });
        if self.trims && matches!(self.ask("System.trim_native_heap"), Err(AttachError::Refused { .. })) {
            self.trims = false;
        }
        let after = self.counters();
        // Concurrent collectors do not count them; their histogram holds only what is reachable anyway.
        let idle = collections(&before).zip(collections(&after)).is_some_and(|(a, b)| b <= a);
        let level = match level {
            Ok(_) if idle => Reading::unknown("the forced collection had no effect: the JVM counted none"),
            Ok(bytes) => Reading::Known(bytes),
            Err(why) => Reading::Unknown(why),
        };
        let held = after.facts.get(&Fact::JvmHeapCommitted).copied();
        Heap { level: Some(level), held, goroutines: None }
    }

    fn evidence(&mut self) -> Vec<Piece> {
        let text = self.last.clone().unwrap_or_default();
        vec![Piece { name: "histogram.txt", bytes: text.into_bytes() }]
    }
}
