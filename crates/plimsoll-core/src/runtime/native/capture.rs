//! Artifacts of native programs, cheap to heavy.

use crate::classify::Cause;
use crate::recording::Recording;
use crate::runtime::price::{Line, Per, Price};
use crate::runtime::rules::{ArtifactRule, Net};

const MIB: f64 = 1024.0 * 1024.0;

/// Bytes per second of a copy while the process stands still.
const COPIED: f64 = 300.0 * MIB;

/// What an allocator that profiles has to say, under any runtime.
pub(crate) const PROFILE: ArtifactRule = ArtifactRule {
    id: "profile",
    name: "heap profile of the allocator (jemalloc, gperftools)",
    proves: &[Cause::Retention, Cause::OffHeap],
    shows: "which call sites hold the memory",
    price: |r| {
        let disk = Line::flat(4.0 * MIB);
        match r.target.flag("allocatorProfile") {
            Some("gperftools-signal") => Ok(Price {
                memory: Line::flat(2.0 * MIB),
                disk,
                running: Line::flat(0.2),
                basis: "asked by its signal, made in a buffer of 1 MiB (gperftools)",
                ..Price::FREE
            }),
            Some(_) => Ok(Price { disk, basis: "the newest that it has written by itself", ..Price::FREE }),
            None => Err("its allocator keeps no profile: MALLOC_CONF=prof:true (jemalloc) or HEAPPROFILE (gperftools)".to_owned()),
        }
    },
    command: |t| format!("plimsoll capture {} --artifact profile --go", t.pid_shown()),
    taken_here: false,
};

/// A copy of what a process has of its own, of any runtime.
pub(crate) const RAW_COPY: ArtifactRule = ArtifactRule {
    id: "core",
    name: "raw copy of the frozen process (core)",
    proves: &[Cause::Retention],
    shows: "the contents of the memory: count the repeating objects, find their owner",
    price: |_| {
        Ok(Price {
            per: Per::Resident,
            disk: Line::of(1.0),
            pause: Line::of(1.0 / COPIED),
            basis: "0 bytes in the target; copied while it is frozen, 580 MiB/s to a disk of 1.2 GB/s, reckoned with 300",
            ..Price::FREE
        })
    },
    command: |t| format!("gcore -o core {}", t.pid_shown()),
    taken_here: false,
};

/// The ladder, cheap to heavy.
pub(super) const LADDER: &[ArtifactRule] = &[
    ArtifactRule {
        id: "smaps",
        name: "smaps and the allocator's free share",
        proves: &[Cause::Fragmentation, Cause::Accumulation, Cause::OffHeap],
        shows: "which mappings grow and how much of the heap is free inside the allocator",
        price: |_| Ok(Price { disk: Line::flat(MIB), running: Line::flat(0.1), ..Price::FREE }),
        command: |t| format!("cat /proc/{}/smaps > smaps.txt", t.pid_shown()),
        taken_here: true,
    },
    RAW_COPY,
    PROFILE,
    ArtifactRule {
        id: "malloc-stacks",
        name: "allocation stacks (bpf uprobes on malloc, for seconds)",
        proves: &[Cause::Retention, Cause::Churn],
        shows: "which call sites allocate what is not freed",
        price: |_| {
            Ok(Price {
                disk: Line::flat(MIB),
                running: Line::flat(10.0),
                basis: "about 60 µs per malloc and free while it is on: seconds only",
                ..Price::FREE
            })
        },
        command: |t| format!("memleak-bpfcc -p {} 10 1", t.pid_shown()),
        taken_here: false,
    },
];

/// Nothing is kept when the kernel kills: SIGKILL writes no core.
pub(super) fn net(_: &Recording) -> Net {
    Net { on: Some(false), why: "a kernel kill writes no core".to_owned() }
}
