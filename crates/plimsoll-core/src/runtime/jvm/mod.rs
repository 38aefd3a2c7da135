//! HotSpot.

mod capture;
mod detect;
mod floor;

use crate::fact::Fact;
use crate::runtime::rules::Rules;
pub use capture::marks;
pub(super) use detect::RECOGNITION;

/// What judgement knows of HotSpot.
pub(super) static RULES: Rules = Rules {
    live: floor::LIVE,
    held: &[Fact::JvmHeapCommitted, Fact::JvmNmtHeap],
    accounted: Some(Fact::JvmNmtTotal),
    bounds: floor::BOUNDS,
    units: floor::UNITS,
    off_heap: floor::OFF_HEAP,
    collections: &[Fact::JvmYoungGcs, Fact::JvmFullGcs],
    full_collections: Some(Fact::JvmFullGcs),
    allocated: Some(Fact::JvmAllocated),
    ladder: capture::LADDER,
    live_hint: "keep hsperfdata on (-XX:+UsePerfData) or log collections (-Xlog:gc*:file=gc.log; JDK 8: -Xloggc:gc.log)",
    net: capture::net,
};
