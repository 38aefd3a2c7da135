//! Node.js.

mod capture;
mod detect;
mod floor;

use crate::fact::Fact;
use crate::runtime::rules::Rules;
pub(super) use detect::RECOGNITION;

/// What judgement knows of Node.js.
pub(super) static RULES: Rules = Rules {
    live: floor::LIVE,
    held: &[Fact::V8HeapTotal],
    accounted: None,
    bounds: floor::BOUNDS,
    units: floor::UNITS,
    off_heap: floor::OFF_HEAP,
    collections: &[Fact::V8Scavenges, Fact::V8MarkCompacts],
    full_collections: Some(Fact::V8MarkCompacts),
    allocated: None,
    ladder: capture::LADDER,
    live_hint: "run with --trace-gc to a file, or export nodejs_heap metrics",
    net: capture::net,
};
