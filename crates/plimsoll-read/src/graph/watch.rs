//! Progress of long work, and the way to stop it.

use std::fmt;
use std::ops::ControlFlow;

use super::GraphError;

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The first reading of a dump; counts bytes, of a total that is not known.
    Survey,
    /// The second reading; counts bytes likewise.
    Wiring,
    /// A further reading for what a report shows; counts bytes likewise.
    Fetch,
    /// The depth-first walk from the roots; counts objects.
    Walk,
    /// Semidominators, the long part of finding dominators; counts objects.
    Semidominators,
    /// Immediate dominators; counts objects.
    Dominators,
    /// Retained sizes; counts objects.
    Retained,
    /// The check of a dominator tree; counts objects.
    Verify,
    /// The search of a path; counts objects.
    Path,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Survey => "the first reading",
            Self::Wiring => "the second reading",
            Self::Fetch => "the reading of details",
            Self::Walk => "the walk from the roots",
            Self::Semidominators => "the semidominators",
            Self::Dominators => "the dominators",
            Self::Retained => "the retained sizes",
            Self::Verify => "the check of the dominators",
            Self::Path => "the search of a path",
        })
    }
}

/// Told every 65,536 objects or so how far a phase has come; may stop it.
pub trait Watch {
    /// `done` of at most `total` objects are done in this phase. `Break` stops the work, which then ends in
    /// [`GraphError::Stopped`].
    fn step(&self, phase: Phase, done: u64, total: u64) -> ControlFlow<()>;
}

impl<F: Fn(Phase, u64, u64) -> ControlFlow<()>> Watch for F {
    fn step(&self, phase: Phase, done: u64, total: u64) -> ControlFlow<()> {
        self(phase, done, total)
    }
}

/// Never stops, tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn step(&self, _: Phase, _: u64, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Asks the watch, and turns its stop into an error.
pub(super) fn check(watch: &dyn Watch, phase: Phase, done: u64, total: u64) -> Result<(), GraphError> {
    match watch.step(phase, done, total) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(GraphError::Stopped { phase }),
    }
}
