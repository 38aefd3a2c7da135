//! Reads source code: which commits between two versions are worth looking at first, by what their diffs add that can hold memory, and
//! by what they take away that let go of it.
//!
//! The files of a commit are parsed as they were before and after it ([`tree_sitter`]), and what holds memory is found by a
//! query for each language (`queries/*.scm`): a collection in static scope, a cache without a bound, a listener that nobody
//! removes. What a commit adds is what is there afterwards and was not there before; so code that moves adds nothing. It is a
//! hint and no measurement: no commit is accused, and what grows may have been there before. Names that an artifact
//! showed (a class, a function) count for more than any pattern.

mod construct;
mod diff;
mod kind;
mod language;
mod suspects;
#[cfg(test)]
mod tests;

pub use construct::{Construct, Reader};
pub use diff::{Diff, File, Line, parse};
pub use kind::Kind;
pub use language::Language;
pub use suspects::{Finding, Ranking, Suspect, Texts, prior, rank};
