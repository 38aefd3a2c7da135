//! Artifacts of CPython, cheap to heavy. Constants: CPython 3.11 on one machine.

use crate::classify::Cause;
use crate::recording::Recording;
use crate::runtime::price::{Line, Per, Price};
use crate::runtime::rules::{ArtifactRule, Net};
use crate::target::Target;

const MIB: f64 = 1024.0 * 1024.0;

/// The first version of CPython 3 that runs a script for another process.
const REMOTE_EXEC: u32 = 14;

/// The ladder, cheap to heavy.
pub(super) const LADDER: &[ArtifactRule] = &[
    ArtifactRule {
        id: "stacks",
        name: "stacks from outside (py-spy dump)",
        proves: &[Cause::Accumulation],
        shows: "where each thread stands",
        price: |_| {
            Ok(Price {
                disk: Line::flat(MIB),
                pause: Line::flat(0.05),
                running: Line::flat(0.05),
                basis: "read by py-spy from its memory, while it stands still (CPython 3.11)",
                ..Price::FREE
            })
        },
        command: |t| format!("py-spy dump --pid {}", t.pid_shown()),
        taken_here: false,
    },
    ArtifactRule {
        id: "census",
        name: "objects by type, twice (a script, PEP 768)",
        proves: &[Cause::Retention],
        shows: "which types grow between the two",
        price: |r| {
            let Some(minor) = r.target.runtime_version.as_deref().and_then(minor) else {
                return Err(
                    "its version of CPython is unknown: 3.14 is the first that runs a script for others"
                        .to_owned(),
                );
            };
            if minor < REMOTE_EXEC {
                return Err(format!(
                    "CPython 3.{minor} runs no script for others: 3.{REMOTE_EXEC} is the first"
                ));
            }
            Ok(Price {
                per: Per::Resident,
                // A list of all objects that the collector tracks: of 56 bytes at least, each 8 in it, and an eighth to spare.
                memory: Line { base: 2.0 * MIB, each: 0.17 },
                disk: Line::flat(2.0 * MIB),
                inside: Line::flat(MIB),
                pause: Line { base: 0.1, each: 1.0 / (1024.0 * MIB) },
                running: Line::flat(0.1),
                basis: "CPython 3.14: a script of plimsoll's runs in it, twice; the list of all objects is reckoned for the smallest, and no other thread runs Python code for 1 s per GiB, at most 5 s",
            })
        },
        command: |t| {
            format!("python3 -c 'import sys; sys.remote_exec({}, \"/tmp/census.py\")'", t.pid_shown())
        },
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

/// Whether it runs a script for another process.
pub fn runs_scripts(target: &Target) -> bool {
    target.runtime_version.as_deref().and_then(minor).is_some_and(|minor| minor >= REMOTE_EXEC)
}

/// 11 of `3.11`.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("3.")?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// CPython keeps nothing when it is killed.
pub(super) fn net(_: &Recording) -> Net {
    Net { on: Some(false), why: "a kernel kill leaves no trace of a Python process".to_owned() }
}
