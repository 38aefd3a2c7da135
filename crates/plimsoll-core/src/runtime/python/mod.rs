//! CPython.

mod capture;
mod detect;
mod floor;

use crate::runtime::rules::Rules;
pub use capture::runs_scripts;
pub(super) use detect::{RECOGNITION, version};

/// What judgement knows of CPython.
pub(super) static RULES: Rules = Rules {
    live: floor::LIVE,
    held: &[],
    accounted: None,
    bounds: &[],
    units: floor::UNITS,
    off_heap: floor::OFF_HEAP,
    collections: &[],
    full_collections: None,
    allocated: None,
    ladder: capture::LADDER,
    live_hint: "export sys.getallocatedblocks() as a metric",
    net: capture::net,
};
