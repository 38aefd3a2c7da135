//! A JVM: the class histogram of live objects is a full collection, and its sum is the heap to the byte.

use std::time::Duration;

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;
use plimsoll_read::{class_histogram, smaps};

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

    /// What of the heap is resident: committed memory that was never touched is not.
    fn resident_heap(&self) -> Option<f64> {
        let (low, high) = heap_range(&self.ask("GC.heap_info").ok()?)?;
        let path = self.world.proc_root.join(self.target.pid.to_string()).join("smaps");
        let seen = smaps::read(&std::fs::read_to_string(path).ok()?);
        let inside = seen.mappings.iter().filter(|(m, _)| m.start < high && m.end > low);
        Some(inside.map(|(m, _)| m.resident).fold(0, u64::saturating_add) as f64)
    }
}

/// The addresses of the heap: `[0x00000000f8000000, 0x00000000f9000000, 0x0000000100000000)` of each of its parts.
fn heap_range(info: &str) -> Option<(u64, u64)> {
    let parts = info.lines().filter(|l| !l.contains("space used") && l.contains("[0x"));
    let ranges = parts.filter_map(|line| {
        let inside = line.split_once('[')?.1.split([')', ']']).next()?;
        let number = |a: &str| u64::from_str_radix(a.trim().strip_prefix("0x")?, 16).ok();
        let (low, rest) = inside.split_once(',')?;
        let high = rest.rsplit(',').next()?;
        Some((number(low)?, number(high)?)).filter(|(low, high)| low < high)
    });
    ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
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
        let held = self.resident_heap().or_else(|| after.facts.get(&Fact::JvmHeapCommitted).copied());
        Heap { level: Some(level), held, goroutines: None }
    }

    fn evidence(&mut self) -> Vec<Piece> {
        let text = self.last.clone().unwrap_or_default();
        vec![Piece { name: "histogram.txt", bytes: text.into_bytes() }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_is_where_its_parts_are() {
        let serial = " def new generation   total 39296K, used 2801K [0x00000000f8000000, 0x00000000faaa0000, 0x00000000faaa0000)\n  eden space 34944K,   8% used [0x00000000f8000000, 0x00000000f82bc5f0, 0x00000000fa220000)\n tenured generation   total 87424K, used 0K [0x00000000faaa0000, 0x0000000100000000, 0x0000000100000000)\n Metaspace       used 2049K, committed 2240K, reserved 1056768K\n";
        assert_eq!(heap_range(serial), Some((0xf800_0000, 0x1_0000_0000)));
        let g1 = " garbage-first heap   total 129024K, used 2048K [0x0000000703c00000, 0x0000000800000000)\n";
        assert_eq!(heap_range(g1), Some((0x7_03c0_0000, 0x8_0000_0000)));
        for none in
            ["", " ZHeap           used 12M, capacity 34M, max capacity 512M", "[0x12, x)", "[0x2, 0x1)"]
        {
            assert_eq!(heap_range(none), None, "{none}");
        }
    }
}
