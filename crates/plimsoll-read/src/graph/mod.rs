//! The heap as a graph: which object holds which, and what each of them alone keeps alive.
//!
//! Objects are numbered densely ([`Node`]) in order of address by [`address`]; [`edges`] keeps who refers to whom in
//! a few bytes per object; [`dominators`] finds for each object the one through which every path from a root must
//! pass, and what would be freed with it; [`verify`] certifies that tree by other means; [`path`] finds a shortest
//! way from a root. Nothing here knows a format: whoever reads a dump fills it.

pub mod address;
pub mod dominators;
pub mod edges;
pub mod path;
pub mod verify;

#[cfg(test)]
mod tests;

/// An object's number: dense, from 0.
pub type Node = u32;

/// No object.
pub const NONE: Node = u32::MAX;

/// Objects that a graph can hold: two numbers are set apart.
pub const MOST_NODES: u64 = u32::MAX as u64 - 1;

/// Why a graph could not be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// More objects than numbers.
    #[error("{0} objects are more than the {MOST_NODES} that can be numbered")]
    TooMany(u64),
    /// An object's references were given twice.
    #[error("the references of object {0} were given twice")]
    Twice(Node),
    /// A number that is no object's.
    #[error("{0} is no object's number")]
    NoNode(Node),
    /// Whoever watches asked to stop.
    #[error("stopped on request")]
    Stopped,
}

/// What a long computation is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Finding what can be reached from the roots.
    Reach,
    /// Turning the references around.
    Inbound,
    /// Finding dominators.
    Dominators,
    /// Adding up what each object keeps alive.
    Retained,
}

/// Is told how far a computation is, from time to time; `false` stops it.
pub type Watch<'w> = dyn Fn(Phase, u64, u64) -> bool + 'w;

/// A watch that never stops anything.
pub fn unwatched(_: Phase, _: u64, _: u64) -> bool {
    true
}

/// Steps between two tellings.
const TELL_EVERY: usize = 1 << 20;

/// Tells the watch each [`TELL_EVERY`] steps.
fn tell(watch: &Watch<'_>, phase: Phase, done: usize, total: usize) -> Result<(), GraphError> {
    if done.is_multiple_of(TELL_EVERY) && !watch(phase, done as u64, total as u64) {
        return Err(GraphError::Stopped);
    }
    Ok(())
}
