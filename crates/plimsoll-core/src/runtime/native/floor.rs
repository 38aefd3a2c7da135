//! Floor and accounts of programs without a managed runtime: what malloc holds.

use crate::fact::Fact;
use crate::runtime::rules::{LiveRule, OffHeapRule, UnitRule, live};
use crate::slope::Samples;

/// Allocated chunks of the C library's allocator, where they can be walked from outside.
pub(super) const LIVE: &[LiveRule] = &[live(Fact::MallocInUse, Samples::Raw, "allocated chunks (glibc)")];

/// Threads and descriptors.
pub(super) const UNITS: &[UnitRule] = &[super::super::THREAD_UNIT, super::super::FD_UNIT];

/// No account of its own.
pub(super) const OFF_HEAP: &[OffHeapRule] = &[];
