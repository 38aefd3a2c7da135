//! Floor, bounds and accounts of Go.

use crate::fact::Fact;
use crate::runtime::rules::{BoundRule, LiveRule, OffHeapRule, UnitRule, envelope, live};
use crate::slope::{Death, Samples};

/// Live heap after the last mark, else the envelope of the heap in use.
pub(super) const LIVE: &[LiveRule] = &[
    live(Fact::GoLive, Samples::PostCollection, "live heap after mark"),
    envelope(Fact::GoHeapAlloc, "heap in use, lower envelope", Fact::GoGcs),
];

/// GOMEMLIMIT does not kill: near it the collector runs without end.
pub(super) const BOUNDS: &[BoundRule] = &[BoundRule {
    name: "GOMEMLIMIT",
    usage: &[live(Fact::GoHeapHeld, Samples::Raw, "heap held"), live(Fact::GoSys, Samples::Raw, "Go memory")],
    limit: Fact::GoMemLimit,
    death: Death::AtUsage,
    degrades: true,
    before: None,
}];

/// Goroutines pin their stack and what it refers to; threads grow with blocked calls.
pub(super) const UNITS: &[UnitRule] = &[
    UnitRule {
        fact: Fact::Goroutines,
        noun: "goroutine",
        own_bytes: Some(Fact::GoStackInuse),
        least: 100.0,
        most_bytes_each: 4.0 * 1024.0 * 1024.0,
    },
    UnitRule {
        fact: Fact::Threads,
        noun: "thread",
        own_bytes: None,
        least: 20.0,
        most_bytes_each: 2.0 * 1024.0 * 1024.0,
    },
    super::super::FD_UNIT,
];

/// Go books no account outside its heap but the stacks, which count as goroutines.
pub(super) const OFF_HEAP: &[OffHeapRule] = &[];
