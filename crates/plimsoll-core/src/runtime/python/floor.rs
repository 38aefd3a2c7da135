//! Floor and accounts of CPython: reference counting frees at once, so the process's own memory is the floor.

use crate::runtime::rules::{LiveRule, OffHeapRule, UnitRule};

/// CPython exports no live heap.
pub(super) const LIVE: &[LiveRule] = &[];

/// Threads and descriptors.
pub(super) const UNITS: &[UnitRule] = &[super::super::THREAD_UNIT, super::super::FD_UNIT];

/// No account of its own.
pub(super) const OFF_HEAP: &[OffHeapRule] = &[];
