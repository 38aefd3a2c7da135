//! .NET: recognised; judged from outside like a native program until its diagnostics socket is read.

mod capture;
mod detect;

use crate::runtime::rules::Rules;
pub(super) use detect::RECOGNITION;

/// What judgement knows of .NET.
pub(super) static RULES: Rules = Rules {
    live: &[],
    held: &[],
    accounted: None,
    bounds: &[],
    units: super::native::RULES.units,
    off_heap: &[],
    collections: &[],
    full_collections: None,
    allocated: None,
    ladder: capture::LADDER,
    live_hint: "the .NET heap is not read: judged from outside",
    net: |_| capture::net(),
};
