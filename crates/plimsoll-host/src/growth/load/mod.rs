//! Who does the work of a round: the program by itself, or we, through its doors.

mod command;
mod http;
mod marker;
mod stdin;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use plimsoll_core::guard::marker::Marker;
use plimsoll_core::guard::{KeyMode, Template};

pub use self::command::CommandLoad;
pub use self::http::{HttpLoad, Request};
pub use self::marker::MarkerLoad;
pub use self::stdin::StdinLoad;
use crate::growth::Program;
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

/// Whose memory is looked at: a program that was started for the test, or one that runs anyway.
pub enum Subject {
    /// Ours.
    Started(Program),
    /// Somebody else's.
    Running(i32),
}

impl Subject {
    fn pid(&self) -> i32 {
        match self {
            Subject::Started(program) => program.pid(),
            Subject::Running(pid) => *pid,
        }
    }

    /// An error when a program of ours has ended.
    fn lives(&mut self) -> Result<(), Halt> {
        match self {
            Subject::Started(program) => {
                program.ended().map_or(Ok(()), |status| Err(Halt::Ended(status.to_string())))
            }
            Subject::Running(_) => Ok(()),
        }
    }

    fn end(&mut self) {
        if let Subject::Started(program) = self {
            program.finish();
        }
    }
}

/// Keys of iterations: which comes next, and what tells them apart from those of another run.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// Number of the next one.
    pub next: u64,
    /// Belongs to the run.
    pub seed: u64,
}

impl Keys {
    fn expand(self, template: &Template, n: u64, mode: KeyMode) -> String {
        template.expand(self.next + n, mode, self.seed)
    }
}

/// Does `count` iterations by several workers, each with a `door` of its own that it closes at the end.
fn in_parallel<D>(
    count: u64,
    workers: usize,
    stop: &AtomicBool,
    door: impl Fn() -> D + Sync,
    work: impl Fn(&mut D, u64) -> Result<(), String> + Sync,
) -> Result<Done, Halt> {
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let why = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..workers.max(1) {
            scope.spawn(|| {
                let mut door = door();
                while !stop.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    if let Err(e) = work(&mut door, n) {
                        failed.fetch_add(1, Ordering::Relaxed);
                        // A worker that panicked has left nothing half-written here.
                        why.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(e);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    if stop.load(Ordering::Relaxed) {
        return Err(Halt::Stopped);
    }
    let why = why.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    match why {
        Some(why) if failed == count => {
            Err(Halt::Broken(format!("no iteration of a round succeeded: {why}")))
        }
        _ => Ok(Done { iterations: count, failed, marker: None }),
    }
}
