//! A heap as a graph, whatever the format of its dump: objects are numbered in address order, references are
//! packed lists of those numbers, and the dominator tree says which object keeps how many bytes alive.
//!
//! Everything here is bounded by the number of objects and references met, never by what a dump claims, and
//! no input makes it panic or recurse.

use thiserror::Error;

pub mod address;
mod block;
pub(crate) mod both;
pub mod dominators;
pub mod edges;
pub(crate) mod marks;

mod parts;
pub mod path;
pub(crate) mod prefetch;
pub mod retained;
mod semi;
pub mod spill;
mod varint;
pub mod verify;
pub mod walk;
pub mod watch;

/// The most objects one graph holds: two values of `u32` are kept as marks.
pub const MAX_OBJECTS: u32 = u32::MAX - 2;

/// Why a graph cannot be built or walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GraphError {
    /// More objects than [`MAX_OBJECTS`].
    #[error("failed to number the objects: more than {MAX_OBJECTS}, the most one graph holds")]
    TooManyObjects,
    /// More objects than there is memory for.
    #[error("failed to number the objects: {objects} and more, too many for the memory that may be used")]
    NoMemory {
        /// Objects met by then.
        objects: u32,
    },
    /// An index at or above the number of objects.
    #[error("failed to use object index {index}: the graph holds {objects} objects")]
    NoSuchObject {
        /// The index given.
        index: u32,
        /// Objects in the graph.
        objects: u32,
    },
    /// The packed references of one object, or of its neighbours together, outgrow what a list may take.
    #[error("failed to pack the references of object {object}: too many in one place")]
    ListTooLong {
        /// Index of the object.
        object: u32,
    },
    /// The caller's [`watch::Watch`] asked to stop.
    #[error("failed to finish {phase}: stopped on request")]
    Stopped {
        /// What was under way.
        phase: watch::Phase,
    },
}
