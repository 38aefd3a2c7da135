//! What a redaction did.

use crate::hprof::open::Packing;
use crate::hprof::records::Summary;

/// Spans kept in a report; the rest is counted.
pub const SPANS: usize = 64;

/// How many, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// Bytes in the dump.
    pub bytes: u64,
}

impl Amount {
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// Bytes of the dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset in the unpacked dump.
    pub at: u64,
    /// How many.
    pub bytes: u64,
}

/// Bytes that were not understood, and are zero in the copy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spans {
    /// The first [`SPANS`] ones.
    pub kept: Vec<Span>,
    /// All of them.
    pub all: Amount,
}

impl Spans {
    pub(super) fn add(&mut self, at: u64, bytes: u64) {
        self.all.add(bytes);
        if self.kept.len() < SPANS {
            self.kept.push(Span { at, bytes });
        }
    }
}

/// What a redaction did.
#[derive(Debug)]
pub struct RedactReport {
    /// How the input was packed. The copy is not.
    pub packing: Packing,
    /// What the reading saw: bytes, records, where and why it ended, damage.
    pub summary: Summary,
    /// Arrays of bytes and characters whose content was replaced. A large one counts once per piece.
    pub texts: Amount,
    /// Arrays of numbers that became zero.
    pub zeroed: Amount,
    /// Arrays of numbers that stayed as they were, by the policy.
    pub kept_arrays: Amount,
    /// Numbers in fields that were replaced.
    pub fields: Amount,
    /// Names of classes, fields, methods, files: they stayed.
    pub names: Amount,
    /// Other texts outside the heap, such as string literals in the program's code: replaced.
    pub other_texts: Amount,
    /// Names that turned out to be some only after they had been replaced as another text: the copy reads worse than
    /// it could. A survey first helps.
    pub names_lost: u64,
    /// Objects whose class was not known, or not all of it: unknown fields became zero, references among them, so
    /// the graph of the copy lacks them. A survey first helps when the classes come later in the dump.
    pub unknown_objects: Amount,
    /// What was not understood, or cannot be what it should be: zero in the copy.
    pub not_understood: Spans,
}

impl RedactReport {
    /// Whether the copy has the same objects, sizes and references as the dump.
    pub fn is_faithful(&self) -> bool {
        self.unknown_objects.count == 0 && self.not_understood.all.count == 0
    }
}
