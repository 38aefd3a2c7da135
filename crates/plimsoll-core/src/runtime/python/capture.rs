//! Artifacts of CPython, cheap to heavy. Constants: CPython 3.11 on one machine.

use crate::classify::Cause;
use crate::recording::Recording;
use crate::runtime::price::{Line, Price};
use crate::runtime::rules::{ArtifactRule, Net};

const MIB: f64 = 1024.0 * 1024.0;

/// The ladder, cheap to heavy.
pub(super) const LADDER: &[ArtifactRule] = &[
    ArtifactRule {
        id: "stacks",
        name: "stacks from outside (py-spy dump)",
        proves: &[Cause::Accumulation],
        shows: "where each thread stands",
        price: |_| {
            Ok(Price {
                pause: Line::flat(0.05),
                running: Line::flat(0.05),
                basis: "CPython 3.11, py-spy",
                ..Price::FREE
            })
        },
        command: |t| format!("py-spy dump --pid {}", t.pid_shown()),
        taken_here: false,
    },
    ArtifactRule {
        id: "memray",
        name: "allocation trace (memray attach)",
        proves: &[Cause::Retention, Cause::OffHeap, Cause::Churn, Cause::Fragmentation],
        shows: "which lines allocate what stays, after the attach",
        price: |_| {
            Ok(Price {
                memory: Line::flat(26.0 * MIB),
                disk: Line::flat(64.0 * MIB),
                pause: Line::flat(0.6),
                running: Line::flat(60.0),
                basis: "CPython 3.11: injects code; on a drained replica only",
                ..Price::FREE
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
