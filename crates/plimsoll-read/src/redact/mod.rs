//! A Java heap dump without what was in it: values are replaced in a copy of the same length, in one pass, so that the
//! dump can be given away. Every record, identifier and length stays where it is: sizes, histogram, roots and the
//! graph of objects are those of the original.
//!
//! What is replaced: contents of arrays, where all text is (the modules `tokens` and `text` say how), numbers
//! in chosen fields, and texts outside the heap that are no names: a JVM writes the string literals of the program there.
//! The same token gets the same replacement throughout one copy, so duplicates and the templates of keys survive:
//! `/orders/123?trace=ab12` and `/orders/124?trace=cd34` still differ in the same two places. Hex digits become hex digits,
//! and words and numbers in one token are tokens of their own, as far as the templates of keys take them apart.
//!
//! The key decides what the replacements are. Take 32 random bytes for each copy and forget them: whoever has the key
//! can try words and numbers until one fits. Two copies under the same key can be compared; under two keys they cannot.
//!
//! In a damaged dump, what the reader does not take becomes zero, and so does what it takes for identifiers that no
//! address can be. With identifiers of four bytes anything can be one: there, damage may let parts of a few records
//! through.
//!
//! What stays readable, by design: names of classes, fields and methods, numbers in other fields (sizes, counts,
//! times), lengths of texts, separators in them, and which tokens are equal.

mod copy;
mod known;
mod numbers;
mod plan;
pub mod policy;
pub mod report;
mod shape;
mod sip;
pub(crate) mod text;
mod tokens;

use std::io::{Read, Write};

use crate::hprof::model::{Limits, Model};
use crate::hprof::open::{Dump, Header, OpenError, Version, open};
use copy::Copier;
pub use known::{Known, survey};
use policy::Policy;
use report::RedactReport;

/// Why there is no copy, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// The input is no heap dump.
    #[error("failed to redact the heap dump")]
    Open(#[source] OpenError),
    /// The copy could not be written.
    #[error("failed to write the redacted heap dump")]
    Write(#[source] std::io::Error),
}

/// Copies a dump in one pass, from a pipe too: packed or not, the copy is not. It is written in large pieces, a damaged
/// or cut dump to the same length.
///
/// # Errors
/// [`RedactError`]: no dump, or the copy could not be written. Damage is no error: the report tells.
pub fn redact(
    input: impl Read + Send,
    output: impl Write,
    policy: &Policy,
    key: &[u8; 32],
) -> Result<RedactReport, RedactError> {
    let dump = open(input).map_err(RedactError::Open)?;
    let limits = Limits { memory: policy.memory, ..Limits::default() };
    let known = Known::new(Model::new(dump.header().id_size, limits));
    copy(dump, known, false, output, policy, key)
}

/// The same with what a [`survey`] of the same dump found: names and classes need not come before objects.
///
/// # Errors
/// As [`redact`].
pub fn redact_surveyed(
    known: Known,
    input: impl Read + Send,
    output: impl Write,
    policy: &Policy,
    key: &[u8; 32],
) -> Result<RedactReport, RedactError> {
    copy(open(input).map_err(RedactError::Open)?, known, true, output, policy, key)
}

fn copy(
    dump: Dump<'_>,
    known: Known,
    surveyed: bool,
    output: impl Write,
    policy: &Policy,
    key: &[u8; 32],
) -> Result<RedactReport, RedactError> {
    let packing = dump.packing();
    let header = header_of(dump.header());
    let mut copier = Copier::new(output, &header, policy, key, known, surveyed);
    let summary = dump.scan(&mut copier);
    copier.finish(packing, summary).map_err(RedactError::Write)
}

/// The header as a dump has it: all of it is known.
fn header_of(header: Header) -> Vec<u8> {
    let version: &[u8] = match header.version {
        Version::V1_0_1 => b"1.0.1",
        Version::V1_0_2 => b"1.0.2",
        Version::V1_0_3 => b"1.0.3",
    };
    let width = (header.id_size.bytes() as u32).to_be_bytes();
    [b"JAVA PROFILE ", version, b"\0", &width, &header.started_ms.to_be_bytes()].concat()
}
