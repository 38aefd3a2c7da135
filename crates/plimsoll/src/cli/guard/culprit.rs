//! Who grew: what was taken early and at the end of a run, compared by the readers.

use plimsoll_host::growth::{Piece, Ran};
use plimsoll_read::formats::{self, Found, Reading, Recognised};
use plimsoll_read::reading::Context;

/// What the readers say of the artifacts that a run has left.
pub(crate) fn read(ran: &Ran) -> Vec<(&'static str, Reading)> {
    let said = |after: &Piece| {
        let last = found(after)?;
        let context = Context::default();
        // What is taken only once covers the time between.
        let reading = match ran.before.iter().find(|before| before.name == after.name) {
            Some(before) => last.change(&[&found(before)?], &context)?,
            None => last.reading(&context)?,
        };
        Some((after.name, reading))
    };
    ran.after.iter().filter_map(said).collect()
}

fn found(piece: &Piece) -> Option<Found> {
    match formats::read(piece.bytes.as_slice()).ok()? {
        Recognised::Artifact(found) => Some(found),
        _ => None,
    }
}
