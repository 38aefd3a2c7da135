//! Samples of many subjects as the agent keeps them: blocks of records, times as differences of differences, values as
//! differences of whole numbers. `docs/series.md` has the format.
//!
//! A block stands for itself: it begins with a mark that no record can begin with, and tells anew who is sampled. A
//! record that is damaged costs the rest of its block, and no other.

mod number;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Lost, Report, Sink, read};
pub use write::{Look, Writer};

/// Begins every block.
pub const MARK: [u8; 8] = [0xF5, b'p', b'l', b'm', 0x00, 0xFF, 0x5F, b'\n'];
/// The version of the format that is written and read.
const VERSION: u64 = 1;
/// Largest record, bytes.
const LARGEST: usize = 1 << 22;

/// The first byte of a record.
mod kind {
    /// A block: version and time.
    pub(super) const HEAD: u8 = 1;
    /// One more subject.
    pub(super) const SUBJECT: u8 = 2;
    /// One more fact of a subject.
    pub(super) const FACT: u8 = 3;
    /// A subject that is sampled no more.
    pub(super) const GONE: u8 = 4;
    /// Why a fact of a subject is not known.
    pub(super) const UNKNOWN: u8 = 5;
    /// The samples of one instant.
    pub(super) const ROW: u8 = 6;
}

/// The lowest two bits of a token in a row.
mod token {
    /// A difference to the value before.
    pub(super) const DELTA: u64 = 0;
    /// So many columns, and one more, are as they were.
    pub(super) const SAME: u64 = 1;
    /// A value in another scale, or outside of every one.
    pub(super) const ANEW: u64 = 2;
    /// 0: no sample. 1: the difference of the column before, whose steps are the same.
    pub(super) const OTHER: u64 = 3;
}
