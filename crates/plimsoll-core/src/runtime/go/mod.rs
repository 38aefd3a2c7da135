//! Go.

mod capture;
mod detect;
mod floor;
pub(super) mod version;

use crate::fact::Fact;
use crate::runtime::rules::Rules;
pub use capture::{profile_bytes, stacks_bytes};
pub(super) use detect::RECOGNITION;

/// What judgement knows of Go.
pub(super) static RULES: Rules = Rules {
    live: floor::LIVE,
    held: &[Fact::GoHeapHeld],
    accounted: Some(Fact::GoSys),
    bounds: floor::BOUNDS,
    units: floor::UNITS,
    off_heap: floor::OFF_HEAP,
    collections: &[Fact::GoGcs],
    full_collections: None,
    allocated: Some(Fact::GoAllocated),
    ladder: capture::LADDER,
    live_hint: "import net/http/pprof, or export the runtime's metrics",
    net: capture::net,
};
