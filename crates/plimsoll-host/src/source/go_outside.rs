//! How many goroutines a program has: read out of its memory, which costs it nothing.

use std::time::{Duration, Instant};

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_read::go_runtime::Program;

use crate::step::go_memory::{self, GoMemoryError, now};
use crate::world::World;

/// Looking may take this share of the time at most.
const DUTY: u32 = 20;
/// Least time between two looks at the stacks, and before it is tried again what could not be read.
const GROUPS_EVERY: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(30);

pub(super) struct GoOutside {
    world: World,
    pid: i32,
    program: Option<Program>,
    /// Why it cannot be read.
    why: String,
    rests_until: Instant,
    groups_at: Instant,
}

impl GoOutside {
    pub(super) fn new(world: &World, pid: i32) -> Self {
        let at_once = Instant::now();
        let (program, why) = (None, String::new());
        GoOutside { world: world.clone(), pid, program, why, rests_until: at_once, groups_at: at_once }
    }

    /// Whether it could be read when it was tried last.
    pub(super) fn tells(&self) -> bool {
        self.program.is_some()
    }

    /// Adds the number of goroutines, at times also where they stand.
    pub(super) fn sample(&mut self, out: &mut Observation) {
        let began = Instant::now();
        if began < self.rests_until {
            if !self.why.is_empty() {
                out.put(Fact::Goroutines, Reading::unknown(self.why.clone()));
            }
            return;
        }
        match self.look(out, began) {
            Ok(()) => {
                self.why.clear();
                self.rests_until = began + DUTY * began.elapsed();
            }
            Err(e) => {
                let cause = std::error::Error::source(&e).map_or_else(String::new, |c| format!(": {c}"));
                self.why = format!(
                    "no port of the process tells it, and from outside it cannot be read: {e}{cause}"
                );
                out.put(Fact::Goroutines, Reading::unknown(self.why.clone()));
                (self.program, self.rests_until) = (None, began + AGAIN);
            }
        }
    }

    fn look(&mut self, out: &mut Observation, began: Instant) -> Result<(), GoMemoryError> {
        let program = match &mut self.program {
            Some(program) => program,
            none => none.insert(go_memory::open(&self.world, self.pid)?),
        };
        let living = if began >= self.groups_at {
            let seen = program.goroutines(now(), || true)?;
            out.artifacts.push(seen.artifact());
            self.groups_at = began + GROUPS_EVERY;
            seen.total()
        } else {
            program.census()?.living
        };
        out.known(Fact::Goroutines, living as f64);
        Ok(())
    }
}
