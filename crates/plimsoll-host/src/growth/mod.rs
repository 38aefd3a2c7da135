//! The growth test, driven: a program does work round by round, is made to collect, and is read; what that means is
//! for `plimsoll_core::guard` to say.

pub mod load;
mod probe;
mod program;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_core::guard::{Course, KeyMode, Outcome, Round, Withdrawn};
use plimsoll_core::target::Target;

use self::load::{Halt, Load};
pub use self::probe::Piece;
use self::probe::Probe;
pub use self::program::Program;
use crate::identify::{self, IdentifyError};
use crate::world::World;

/// Rounds before the first evidence: most of a warm-up is over.
const BEFORE: usize = 3;

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum GrowthError {
    /// The program could not be started.
    #[error("failed to start {program}")]
    Start {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The program that does the work is no target.
    #[error("failed to look at the program")]
    Target(#[source] IdentifyError),
    /// The load cannot be driven.
    #[error("{0}")]
    Load(String),
}

/// How a run goes.
pub struct Spec<'a> {
    /// The machine.
    pub world: &'a World,
    /// Iterations of one round.
    pub per_round: u64,
    /// Rest between the work and the reading: as long as the longest timer of the program.
    pub settle: Duration,
    /// Whether keys come again.
    pub keys: KeyMode,
    /// No round begins after this instant.
    pub until: Option<Instant>,
    /// Set when the user wants it to end.
    pub stop: &'a AtomicBool,
}

/// What a run leaves beside its rounds.
#[derive(Debug, Default)]
pub struct Ran {
    /// Who was tested.
    pub target: Option<Target>,
    /// What to know before believing it.
    pub notes: Vec<String>,
    /// Who held the heap early, and, when something grew, at the end.
    pub before: Vec<Piece>,
    /// The same at the end.
    pub after: Vec<Piece>,
}

/// Runs until the course says that it is enough. `tell` is called after every round.
pub fn run(
    spec: &Spec<'_>,
    load: &mut dyn Load,
    course: &mut Course,
    mut tell: impl FnMut(&Course),
) -> Result<Ran, GrowthError> {
    let mut run = Run { spec, probe: None, ran: Ran::default() };
    while course.goes_on() && !run.is_over() {
        if !run.round(load, course)? {
            break;
        }
        tell(course);
    }
    if spec.stop.load(Ordering::Relaxed) {
        run.ran.notes.push("the run was stopped before its end".to_owned());
    }
    if let Some(mut probe) = run.probe.take() {
        if matches!(course.outcome(), Outcome::Growing | Outcome::Saturating) && probe.is_same() {
            run.ran.after = probe.evidence();
        }
        probe.close();
    }
    Ok(run.ran)
}

struct Run<'a> {
    spec: &'a Spec<'a>,
    probe: Option<Probe>,
    ran: Ran,
}

impl Run<'_> {
    fn is_over(&self) -> bool {
        let late = self.spec.until.is_some_and(|at| Instant::now() >= at);
        late || self.spec.stop.load(Ordering::Relaxed)
    }

    /// One round; false when there is none after it.
    fn round(&mut self, load: &mut dyn Load, course: &mut Course) -> Result<bool, GrowthError> {
        let done = match load.round(self.spec.per_round, self.spec.keys, self.spec.stop) {
            Ok(done) => done,
            Err(halt) => {
                course.withdraw(match halt {
                    Halt::Finished | Halt::Stopped => return Ok(false),
                    Halt::Ended(how) => Withdrawn::Ended(how),
                    Halt::Broken(why) => Withdrawn::Broken(why),
                });
                return Ok(false);
            }
        };
        self.rest();
        let said = done.marker.as_ref().and_then(|m| m.pid);
        if self.probe.is_none() {
            let pid = load.pid(self.spec.world, said);
            let target = identify::identify(self.spec.world, pid).map_err(GrowthError::Target)?;
            self.ran.target = Some(target.clone());
            self.probe = Some(Probe::open(self.spec.world, target, done.marker.as_ref()));
        }
        let Some(probe) = &mut self.probe else { return Ok(false) };
        if !probe.is_same() {
            course.withdraw(Withdrawn::Restarted);
            return Ok(false);
        }
        let read = probe.read(done.marker.as_ref());
        // What was read of one that ended meanwhile is worth nothing.
        if !probe.is_same() {
            course.withdraw(Withdrawn::Restarted);
            return Ok(false);
        }
        if let Some(ceiling) = read.ceiling {
            course.withdraw(Withdrawn::Ceiling(ceiling));
        }
        if course.rounds().len() == BEFORE {
            self.ran.before = probe.evidence();
        }
        course.push(Round { iterations: done.iterations, failed: done.failed, readings: read.levels });
        Ok(true)
    }

    /// What is still going on after the last answer comes to its end.
    fn rest(&self) {
        let until = Instant::now() + self.spec.settle;
        while Instant::now() < until && !self.spec.stop.load(Ordering::Relaxed) {
            thread::sleep((until - Instant::now()).min(Duration::from_millis(50)));
        }
    }
}
