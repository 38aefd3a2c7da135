//! Artifacts of Node.js with their measured costs, cheap to heavy. Constants: Node 20 on one machine.

use crate::classify::Cause;
use crate::recording::Recording;
use crate::runtime::price::{Line, Per, Price};
use crate::runtime::rules::{ArtifactRule, Net};

const MIB: f64 = 1024.0 * 1024.0;

/// Bytes that a snapshot takes for each of the heap: 21.2 was the worst of nine shapes of heap (`bench/capture/costs.py node`).
const SNAPSHOT: f64 = 22.0;

/// The ladder, cheap to heavy.
pub(super) const LADDER: &[ArtifactRule] = &[
    ArtifactRule {
        id: "statistics",
        name: "heap space statistics and memoryUsage()",
        proves: &[Cause::OffHeap, Cause::Fragmentation],
        shows: "whether the heap or its buffers grow",
        price: |_| {
            let basis = "an inspector is opened and asked once: 0.5 MiB (Node 20)";
            Ok(Price { memory: Line::flat(MIB), running: Line::flat(0.01), basis, ..Price::FREE })
        },
        command: |t| format!("node inspect -p {}   # then: exec process.memoryUsage()", t.pid_shown()),
        taken_here: true,
    },
    ArtifactRule {
        id: "sampling",
        name: "sampling heap profile (HeapProfiler)",
        proves: &[Cause::Retention, Cause::Churn],
        shows: "which functions allocate what stays",
        price: |_| {
            Ok(Price {
                per: Per::V8Heap,
                memory: Line { base: 2.0 * MIB, each: 0.1 },
                disk: Line::flat(MIB),
                inside: Line::NONE,
                pause: Line::flat(1.5),
                running: Line::flat(10.0),
                basis: "0.8 MiB in the target and 6 of 64 MiB of heap; stop forces a collection (Node 20)",
            })
        },
        command: |t| {
            format!(
                "kill -USR1 {}   # opens the inspector on 127.0.0.1:9229: Memory > sampling",
                t.pid_shown()
            )
        },
        taken_here: false,
    },
    ArtifactRule {
        id: "snapshot",
        name: "heap snapshot",
        proves: &[Cause::Retention],
        shows: "the holder and the path to the root",
        price: |_| {
            Ok(Price {
                per: Per::V8Heap,
                memory: Line { base: 32.0 * MIB, each: SNAPSHOT },
                disk: Line::of(2.5),
                inside: Line::NONE,
                pause: Line::of(3.8e-6 / 36.0),
                running: Line::NONE,
                basis: "up to 21 times the heap in use (short strings; tiny objects 19, closures 17, arrays 13, maps 8; large strings and buffers next to nothing): nobody sees from outside what it holds (Node 20)",
            })
        },
        command: |t| format!("kill -USR2 {}   # with --heapsnapshot-signal=SIGUSR2", t.pid_shown()),
        taken_here: false,
    },
];

/// Node keeps nothing unless `--heapsnapshot-near-heap-limit` is set, and that needs memory that is not there.
pub(super) fn net(r: &Recording) -> Net {
    match r.target.flag("heapSnapshotNearLimit") {
        Some(_) => Net {
            on: Some(true),
            why: "--heapsnapshot-near-heap-limit is set; it needs up to 21 times the heap to succeed"
                .to_owned(),
        },
        None => Net { on: Some(false), why: "no snapshot is taken at the end".to_owned() },
    }
}
