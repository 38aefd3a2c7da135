//! Who does the work of a round: the program by itself, or we, through its doors.

mod marker;

use std::sync::atomic::AtomicBool;

use plimsoll_core::guard::KeyMode;
use plimsoll_core::guard::marker::Marker;

pub use self::marker::MarkerLoad;
use crate::world::World;

/// A round that was done.
#[derive(Debug)]
pub struct Done {
    /// Iterations that were tried.
    pub iterations: u64,
    /// Those that failed.
    pub failed: u64,
    /// What the program says of it.
    pub marker: Option<Marker>,
}

/// Why there is no further round.
#[derive(Debug)]
pub enum Halt {
    /// The user wants it to end.
    Stopped,
    /// The program has done all that it had to do.
    Finished,
    /// The program ended otherwise.
    Ended(String),
    /// The work cannot be done.
    Broken(String),
}

/// Work, round by round.
pub trait Load {
    /// Does a round; keys go on from the last one.
    fn round(&mut self, count: u64, keys: KeyMode, stop: &AtomicBool) -> Result<Done, Halt>;

    /// The process that does the work; `said` is what a marker says of it.
    fn pid(&self, world: &World, said: Option<i32>) -> i32;

    /// There is no further round.
    fn end(&mut self);
}
