//! What else stands in a log: a JVM prints collections, class histograms and thread dumps to one stream, and a program of
//! any kind its last words. One of them is read first; none is silently dropped.

use std::any::Any;
use std::io::Read as _;

use memchr::memmem::Finder;

use super::{FORMATS, Format, Found, Plain};
use crate::deaths::Deaths;

/// Bytes that are searched at once, and what two pieces share; a mark is shorter.
const PIECE: usize = 256 << 10;
const SHARED: usize = 64;
/// Bytes of a log that are searched; what stands behind them is told to be unsearched.
const MOST: usize = 16 << 20;

/// Words that the first lines of a kind have, wherever they stand.
const MARKS: &[(&str, &[u8])] = &[
    ("goroutines", b"goroutine profile: total "),
    ("goroutines", b"goroutine 1 ["),
    ("threads", b"Full thread dump "),
    ("class-histogram", b"#instances"),
    ("nmt", b"Native Memory Tracking:"),
    ("malloc-info", b"<malloc version="),
    ("jemalloc-stats", b"Begin jemalloc statistics"),
    ("gc-log", b"] GC("),
    ("gc-log", b" ms clock, "),
    ("gc-log", b": Mark-Compact "),
    ("gc-log", b"[Full GC"),
    ("gc-log", b"[GC ("),
    ("deaths", b"OutOfMemoryError"),
    ("deaths", b"ut of memory"),
    ("deaths", b"oom-kill"),
    ("deaths", b"annot allocate memory"),
];

/// What stands in a log beside what was read of it, each read by its own reader, and whether all of the log was searched.
pub(super) fn beside<'s>(
    first: &dyn Format,
    open: impl Fn() -> std::io::Result<Plain<'s>>,
) -> std::io::Result<(Vec<Found>, bool)> {
    if !first.is_in_logs() {
        return Ok((Vec::new(), true));
    }
    let (kinds, all) = marked(&mut open()?, first.name());
    let mut out = Vec::new();
    for format in FORMATS.iter().filter(|f| kinds.contains(&f.name())) {
        let mut plain = open()?;
        if let Some(artifact) = format.parse(&mut plain).filter(|a| tells(a.as_ref())) {
            out.push(Found::of(*format, Some(artifact), &plain));
        }
    }
    Ok((out, all))
}

/// The kinds whose marks are there, but for one; and whether the search came to the end.
fn marked(from: &mut Plain<'_>, but: &str) -> (Vec<&'static str>, bool) {
    let mut left: Vec<(&str, Finder<'_>)> = MARKS
        .iter()
        .filter(|(kind, _)| *kind != but)
        .map(|(kind, mark)| (*kind, Finder::new(mark)))
        .collect();
    let mut found = Vec::new();
    let mut piece = Vec::with_capacity(PIECE + SHARED);
    let mut searched = 0;
    while !left.is_empty() {
        let held = piece.len();
        // A stream that fails ends there, as it did for the reader.
        if from.by_ref().take(PIECE as u64).read_to_end(&mut piece).is_err() || piece.len() == held {
            break;
        }
        let here: Vec<&str> =
            left.iter().filter(|(_, mark)| mark.find(&piece).is_some()).map(|(kind, _)| *kind).collect();
        left.retain(|(kind, _)| !here.contains(kind));
        found.extend(here);
        searched += piece.len() - held;
        if searched >= MOST {
            return (found, false);
        }
        piece.drain(..piece.len().saturating_sub(SHARED));
    }
    (found, true)
}

/// Whether something was found: a log without a death is an answer only to who asks for deaths.
fn tells(artifact: &dyn super::Artifact) -> bool {
    (artifact as &dyn Any).downcast_ref::<Deaths>().is_none_or(|d| !d.traces.is_empty())
}
