//! Thread dumps: HotSpot's text (`jstack`, `Thread.print`, `SIGQUIT`) of JDK 5 to 25, and `Thread.dump_to_file` as text or
//! JSON; UTF-8 or UTF-16; several dumps in one file. And those of Python programs by py-spy.
//!
//! A pool is what the names have in common: `pool-3-thread-17` is one of `pool-N-thread-N`.

mod build;
mod conclude;
mod hotspot;
mod kind;
mod locks;
mod names;
mod py_spy;
mod to_file;

use std::borrow::Cow;
use std::io::{self, Read};

use plimsoll_core::artifact::{Artifact, ROWS_KEPT, StackGroup};

use crate::container_log;
use crate::lines::Lines;
use crate::reading::{Warnings, count};
pub use build::{Dump, Kind, Locker, Pool, Queue};
pub use kind::PoolChange;

/// In which form the threads came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// HotSpot's text; it leaves virtual threads out.
    Hotspot,
    /// `Thread.dump_to_file`, text.
    ToFileText,
    /// `Thread.dump_to_file`, JSON.
    ToFileJson,
    /// `py-spy dump`.
    PySpy,
}

/// Every dump of one artifact.
#[derive(Debug)]
pub struct ThreadDumps {
    /// The form that was read.
    pub form: Form,
    /// The dumps in the order of the file, one at least.
    pub dumps: Vec<Dump>,
    /// Bytes of the artifact.
    pub bytes: u64,
    /// Why it is not whole, when it is not.
    pub truncated: Option<String>,
    /// What else to know before believing it.
    pub warnings: Warnings,
}

impl ThreadDumps {
    /// The last dump: what is the case now.
    pub fn last(&self) -> Option<&Dump> {
        self.dumps.last()
    }

    /// The last dump as the small artifact that recordings keep: by pool and state.
    pub fn artifact(&self) -> Option<Artifact> {
        let dump = self.last()?;
        let mut groups = Vec::new();
        for (top, _, pool) in &dump.pools {
            let mut push = |count: u64, state: Option<String>| {
                groups.push(StackGroup { count, state, top: top.clone(), creator: None });
            };
            let stated: u64 = pool.states.values().sum();
            pool.states.iter().for_each(|(state, n)| push(*n, Some(state.clone())));
            if pool.count > stated {
                push(pool.count - stated, None);
            }
        }
        groups.sort_by(|a, b| (b.count, &a.top, &a.state).cmp(&(a.count, &b.top, &b.state)));
        groups.truncate(ROWS_KEPT);
        Some(Artifact::Threads { groups, total: dump.total })
    }
}

/// Bytes at the begin in which the form shows.
const HEAD: u64 = 64 << 10;
/// What replaces bytes that are no UTF-8.
const REPLACED: char = '\u{fffd}';

/// Reads any form; none when there is no thread in it. A cut dump gives what it holds.
pub fn parse(bytes: &[u8]) -> Option<ThreadDumps> {
    let text = decode(bytes);
    let was_wide = matches!(text, Cow::Owned(_)) && bytes.contains(&0);
    let mut out = match container_log::unwrap(&text) {
        Some(printed) => stream(printed.as_bytes())?,
        None => stream(text.as_bytes())?,
    };
    out.bytes = bytes.len() as u64;
    if was_wide {
        out.warnings.say("read as UTF-16");
    } else if text.contains(REPLACED) {
        out.warnings.say("some bytes are no UTF-8 and were replaced");
    }
    Some(out)
}

/// Reads any form in UTF-8, in memory that grows with the pools and the locks that are held, not with the threads.
pub(crate) fn stream(mut from: impl Read) -> Option<ThreadDumps> {
    let mut head = Vec::new();
    from.by_ref().take(HEAD).read_to_end(&mut head).ok()?;
    let text = String::from_utf8_lossy(&head).into_owned();
    let begins = head.len() - head.trim_ascii_start().len();
    let is_json = text.trim_start().starts_with('{');
    let is_list = !is_json && text.lines().take(16).any(|l| to_file::head(l).is_some());
    let mut counted = Counted { from: head.get(begins..).unwrap_or_default().chain(from), bytes: 0 };
    let mut out = if is_json {
        of_one(Form::ToFileJson, |b| to_file::json(&mut counted, b))?
    } else if text.lines().take(16).any(|l| py_spy::head(l).is_some()) {
        of_one(Form::PySpy, |b| py_spy::text(&mut Lines::new(&mut counted), b))?
    } else if is_list {
        of_one(Form::ToFileText, |b| to_file::text(&mut Lines::new(&mut counted), b))?
    } else {
        hotspot(&mut counted)?
    };
    out.bytes = begins as u64 + counted.bytes;
    Some(out)
}

/// A stream that knows how far it is.
struct Counted<R> {
    from: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(into)?;
        self.bytes = self.bytes.saturating_add(n as u64);
        Ok(n)
    }
}

/// The small artifact of a dump, as a live source keeps it.
pub fn read(text: &str) -> Option<Artifact> {
    parse(text.as_bytes())?.artifact()
}

fn of_one(form: Form, fill: impl FnOnce(&mut build::Builder) -> Option<String>) -> Option<ThreadDumps> {
    let mut builder = build::Builder::default();
    let truncated = fill(&mut builder);
    let dumps = vec![builder.finish()?];
    Some(ThreadDumps { form, dumps, bytes: 0, truncated, warnings: Warnings::default() })
}

fn hotspot(from: impl Read) -> Option<ThreadDumps> {
    let found = hotspot::read(&mut Lines::new(from));
    if found.dumps.is_empty() {
        return None;
    }
    let mut warnings = Warnings::default();
    if found.more > 0 {
        warnings.say(format!(
            "{} beyond the first {} were left out",
            count(found.more, "dump"),
            found.dumps.len()
        ));
    }
    let truncated = found.truncated;
    Some(ThreadDumps { form: Form::Hotspot, dumps: found.dumps, bytes: 0, truncated, warnings })
}

/// The text, also of UTF-16, which a shell of Windows writes.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let little = match bytes {
        [0xff, 0xfe, ..] | [1..=127, 0, 1..=127, 0, ..] => true,
        [0xfe, 0xff, ..] | [0, 1..=127, 0, 1..=127, ..] => false,
        _ => return String::from_utf8_lossy(bytes),
    };
    let units = bytes.as_chunks::<2>().0.iter();
    let units = units.map(|&pair| if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) });
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect();
    Cow::Owned(text.trim_start_matches('\u{feff}').to_owned())
}

#[cfg(test)]
mod tests;
