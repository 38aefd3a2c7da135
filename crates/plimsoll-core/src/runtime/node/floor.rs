//! Floor, bounds and accounts of Node.js (V8).

use crate::fact::Fact;
use crate::runtime::rules::{BoundRule, LiveRule, OffHeapRule, UnitRule, envelope, live};
use crate::slope::{Death, Samples};

/// Heap after mark-compact, else the envelope of the heap in use.
pub(super) const LIVE: &[LiveRule] = &[
    live(Fact::V8Live, Samples::PostCollection, "heap after mark-compact"),
    envelope(Fact::V8HeapUsed, "heap in use, lower envelope", Fact::V8MarkCompacts),
];

/// V8 aborts at its own cap, often long before the container's.
pub(super) const BOUNDS: &[BoundRule] = &[BoundRule {
    name: "V8 heap (--max-old-space-size)",
    usage: LIVE,
    limit: Fact::V8HeapLimit,
    death: Death::AtFloor,
    degrades: false,
    before: None,
}];

/// Handles: sockets and files left open.
pub(super) const UNITS: &[UnitRule] = &[super::super::FD_UNIT];

/// Buffers live outside V8's heap.
pub(super) const OFF_HEAP: &[OffHeapRule] =
    &[OffHeapRule { fact: Fact::V8External, name: "buffers and external memory" }];
