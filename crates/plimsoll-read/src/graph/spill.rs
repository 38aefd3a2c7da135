//! Room beyond the memory that may be used.
//!
//! Nothing in this crate knows where memory comes from: whoever calls it may have a way to take large tables from a disk.

use std::fmt;
use std::ops::ControlFlow;

use super::watch::{Phase, Watch};

/// Lets large tables lie on a disk.
pub trait Spill: fmt::Debug + Sync {
    /// From here on large tables lie on the disk, which has room for this many bytes set aside.
    ///
    /// # Errors
    /// Why that cannot be, for a person. Nothing has changed then.
    fn begin(&self, bytes: u64) -> Result<(), String>;

    /// Asked at every step of long work: why it cannot go on. Time to let go of memory that may be read back.
    ///
    /// # Errors
    /// Why the disk holds no more.
    fn step(&self) -> Result<(), String>;
}

/// A watch that also stops when the disk is full.
pub(crate) struct Spilling<'a> {
    pub(crate) watch: &'a dyn Watch,
    pub(crate) spill: Option<&'a dyn Spill>,
}

impl Watch for Spilling<'_> {
    fn step(&self, phase: Phase, done: u64, total: u64) -> ControlFlow<()> {
        match self.spill.map_or(Ok(()), Spill::step) {
            Ok(()) => self.watch.step(phase, done, total),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
