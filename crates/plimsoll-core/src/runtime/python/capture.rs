//! Artifacts of CPython, cheap to heavy. Constants: CPython 3.11 on one machine.

use crate::classify::Cause;
use crate::recording::Recording;
use crate::runtime::rules::{ArtifactRule, Cost, Net};

const MIB: f64 = 1024.0 * 1024.0;

/// The ladder, cheap to heavy.
pub(super) const LADDER: &[ArtifactRule] = &[
    ArtifactRule {
        id: "stacks",
        name: "stacks from outside (py-spy dump)",
        proves: &[Cause::Accumulation],
        shows: "where each thread stands",
        cost: |_| {
            Ok(Cost { memory: 0.0, disk: 0.0, pause: 0.05, running: 0.05, basis: "CPython 3.11, py-spy" })
        },
        command: |t| format!("py-spy dump --pid {}", t.pid_shown()),
        taken_here: false,
    },
    ArtifactRule {
        id: "memray",
        name: "allocation trace (memray attach)",
        proves: &[Cause::Retention, Cause::OffHeap, Cause::Churn, Cause::Fragmentation],
        shows: "which lines allocate what stays, after the attach",
        cost: |_| {
            Ok(Cost {
                memory: 26.0 * MIB,
                disk: 64.0 * MIB,
                pause: 0.6,
                running: 60.0,
                basis: "CPython 3.11: injects code; on a drained replica only",
            })
        },
        command: |t| format!("memray attach {}", t.pid_shown()),
        taken_here: false,
    },
];

/// CPython keeps nothing when it is killed.
pub(super) fn net(_: &Recording) -> Net {
    Net { on: Some(false), why: "a kernel kill leaves no trace of a Python process".to_owned() }
}
