//! Programs without a managed runtime: C, C++, Rust.

mod capture;
mod detect;
mod floor;

use crate::runtime::rules::Rules;
pub(crate) use capture::{PROFILE, RAW_COPY};
pub(super) use detect::RECOGNITION;

/// What judgement knows of native programs.
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
    live_hint: "the chunks of glibc's heap are walked where /proc/PID/mem may be read",
    net: capture::net,
};
