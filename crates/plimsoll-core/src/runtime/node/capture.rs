//! Artifacts of Node.js with their measured costs, cheap to heavy. Constants: Node 20 on one machine.

use crate::classify::Cause;
use crate::fact::Fact;
use crate::recording::Recording;
use crate::runtime::rules::{ArtifactRule, Cost, Net};

const MIB: f64 = 1024.0 * 1024.0;

/// The ladder, cheap to heavy.
pub(super) const LADDER: &[ArtifactRule] = &[
    ArtifactRule {
        id: "statistics",
        name: "heap space statistics and memoryUsage()",
        proves: &[Cause::OffHeap, Cause::Fragmentation],
        shows: "whether the heap or its buffers grow",
        cost: |_| Ok(Cost { memory: 0.0, disk: 0.0, pause: 0.0, running: 0.01, basis: "inspector, Node 20" }),
        command: |t| format!("node inspect -p {}   # then: exec process.memoryUsage()", t.pid_shown()),
        taken_here: true,
    },
    ArtifactRule {
        id: "sampling",
        name: "sampling heap profile (HeapProfiler)",
        proves: &[Cause::Retention, Cause::Churn],
        shows: "which functions allocate what stays",
        cost: |r| {
            let used = used(r)?;
            Ok(Cost {
                memory: 64.0 * MIB + 0.1 * used,
                disk: MIB,
                pause: 1.5,
                running: 10.0,
                basis: "10 s window, stop forces a collection (Node 20)",
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
        cost: |r| {
            let used = used(r)?;
            Ok(Cost {
                memory: 14.0 * used,
                disk: 2.5 * used,
                pause: 3.8e-6 * used / 36.0,
                running: 0.0,
                basis: "12 to 14 times the heap in use while it is written (Node 20, small objects)",
            })
        },
        command: |t| format!("kill -USR2 {}   # with --heapsnapshot-signal=SIGUSR2", t.pid_shown()),
        taken_here: false,
    },
];

fn used(r: &Recording) -> Result<f64, String> {
    let used = r.last(Fact::V8HeapUsed).or_else(|| r.last(Fact::V8Live));
    used.ok_or_else(|| "the heap's size is unknown (no --trace-gc output, inspector or metrics)".to_owned())
}

/// Node keeps nothing unless `--heapsnapshot-near-heap-limit` is set, and that needs memory that is not there.
pub(super) fn net(r: &Recording) -> Net {
    match r.target.flag("heapSnapshotNearLimit") {
        Some(_) => Net {
            on: Some(true),
            why: "--heapsnapshot-near-heap-limit is set; it needs about 14 times the heap to succeed"
                .to_owned(),
        },
        None => Net { on: Some(false), why: "no snapshot is taken at the end".to_owned() },
    }
}
