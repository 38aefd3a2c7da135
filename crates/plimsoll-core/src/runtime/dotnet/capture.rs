//! Artifacts of .NET, cheap to heavy. Its diagnostics socket is not spoken here: what comes through it is taken by hand, with .NET's
//! own tools, and priced by what others saw.

use crate::classify::Cause;
use crate::plan;
use crate::runtime::price::{Line, Per, Price};
use crate::runtime::rules::{ArtifactRule, Net};

/// The ladder, cheap to heavy.
pub(super) const LADDER: &[ArtifactRule] = &[
    plan::SMAPS,
    ArtifactRule {
        id: "gcdump",
        name: "objects by type with their roots (dotnet-gcdump)",
        proves: &[Cause::Retention],
        shows: "which types are many, and who holds them",
        price: |_| {
            Ok(Price {
                per: Per::Resident,
                memory: Line::of(0.15),
                disk: Line::of(0.05),
                pause: Line::of(GC_PAUSE),
                basis: "a full collection, and 10 GB more for 80 GB were reported; not measured here",
                ..Price::FREE
            })
        },
        command: |t| format!("dotnet-gcdump collect -p {}", t.pid_shown()),
        taken_here: false,
    },
    super::super::native::RAW_COPY,
    ArtifactRule {
        id: "dump",
        name: "dump with the heap (dotnet-dump)",
        proves: &[Cause::Retention],
        shows: "the holder and the path to the root",
        price: |_| {
            Ok(Price {
                per: Per::Resident,
                memory: Line::of(1.0),
                disk: Line::of(1.0),
                pause: Line::of(DUMP_PAUSE),
                basis: "a process of 3.8 GiB that took 7.2 was reported; not measured here",
                ..Price::FREE
            })
        },
        command: |t| format!("dotnet-dump collect -p {}", t.pid_shown()),
        taken_here: false,
    },
];

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
/// Seconds per byte.
const GC_PAUSE: f64 = 3.0 / GIB;
const DUMP_PAUSE: f64 = 10.0 / GIB;

/// Nothing is kept when the kernel kills.
pub(super) fn net() -> Net {
    let why = "a kernel kill leaves no dump: DOTNET_DbgEnableMiniDump=1 writes one only when the program crashes by itself";
    Net { on: Some(false), why: why.to_owned() }
}
