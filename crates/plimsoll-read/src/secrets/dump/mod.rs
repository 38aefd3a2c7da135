//! Likely secrets in a Java heap dump, and where they are held.
//!
//! The dump is read several times, so that memory does not grow with it: first the contents of all arrays, then who
//! holds what was found, by way of strings; and which fields and keys of maps have names that announce a secret, then
//! what strings they mean, and what those contain. Each reading keeps only what the next has to look for.

mod contents;
mod holders;
mod places;

use std::io::{self, Read};

use super::{Confidence, Finding, Kind, Scanner};
use crate::hprof::model::Limits;
use crate::hprof::open::{Dump, OpenError, open};
use crate::hprof::records::Summary;
use contents::{Contents, Named};
use holders::{Holders, Strings, Values};

/// Why a dump was not searched.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// It could not be opened (again).
    #[error("failed to open the heap dump")]
    Io(#[source] io::Error),
    /// It is none.
    #[error("failed to search the heap dump for secrets")]
    Open(#[source] OpenError),
}

/// What was found in a dump.
#[derive(Debug)]
pub struct SecretsReport {
    /// Likely secrets by kind and place, the surest first.
    pub findings: Vec<Finding>,
    /// What the first reading saw.
    pub summary: Summary,
    /// Arrays with text in them.
    pub texts: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Finds that are not among the findings, or not with their place, for want of memory.
    pub lost: u64,
}

impl SecretsReport {
    /// How many likely secrets there are.
    pub fn count(&self) -> u64 {
        self.findings.iter().map(|f| f.count).sum()
    }
}

/// Searches a dump for likely secrets. `again` opens it from its begin each time, five times at most.
///
/// # Errors
/// [`SecretsError`]: not opened, or no heap dump. A damaged or cut dump is no error.
pub fn secrets_in_dump<R: Read + Send>(
    mut again: impl FnMut() -> io::Result<R>,
    limits: Limits,
) -> Result<SecretsReport, SecretsError> {
    let mut reopened = || opened(again().map_err(SecretsError::Io)?);
    let dump = reopened()?;
    let mut contents = Contents::new(dump.header().id_size, limits);
    let summary = dump.scan(&mut contents);
    let mut strings = Strings::new(&contents);
    reopened()?.scan(&mut strings);
    let mut holders = Holders::new(strings);
    if holders.has_to_look() {
        reopened()?.scan(&mut holders);
    }
    let mut values = Values::new(holders);
    let mut scanner = Scanner::default();
    if values.has_to_look() {
        reopened()?.scan(&mut values);
        let mut named = Named::new(&values, &contents, &mut scanner);
        reopened()?.scan(&mut named);
    }
    let places = values.places;
    let (texts, bytes, mut lost) = (contents.texts, contents.bytes, contents.lost);
    for (array, found) in contents.found {
        for one in found.secrets {
            let place = places.of(array).unwrap_or(found.place);
            if one.is_chance(place) {
                continue;
            }
            scanner.add(one.kind, one.confidence, place, || one.example);
        }
    }
    for one in contents.outside {
        scanner.add(one.kind, one.confidence, "(text outside the heap)", || one.example);
    }
    lost += scanner.lost();
    Ok(SecretsReport { findings: scanner.findings(), summary, texts, bytes, lost })
}

fn opened<'r>(reader: impl Read + Send + 'r) -> Result<Dump<'r>, SecretsError> {
    open(reader).map_err(SecretsError::Open)
}

/// A secret, with nothing in it that could be used.
#[derive(Debug)]
struct Secret {
    kind: Kind,
    confidence: Confidence,
    example: String,
}

/// Ends of the names of fields whose long numbers are no cards, though one in fifty looks like one.
const IDENTIFIERS: [&str; 10] =
    ["id", "uuid", "hash", "time", "timestamp", "nanos", "millis", "offset", "sequence", "version"];

impl Secret {
    /// Whether it is a number that looks like a card's by chance, in a place for other numbers.
    fn is_chance(&self, place: &str) -> bool {
        let place = place.to_ascii_lowercase();
        self.kind == Kind::CardNumber
            && self.confidence == Confidence::Possible
            && IDENTIFIERS.iter().any(|end| place.ends_with(end))
    }
}

#[cfg(test)]
mod tests;
