//! Goroutine dumps: `debug=2` text, what a panic or `SIGQUIT` leaves in a log, and profiles (`debug=1` text;
//! `debug=0` through [`crate::pprof`]), of all goroutines or of the leaked ones; and what was read from outside.
//!
//! Goroutines are grouped by what they wait for, their stack and who started them; numbers, arguments and
//! offsets are ignored, as they differ between goroutines that do the same.

mod conclude;
mod frames;
mod grouped;
mod header;
mod kind;
mod patterns;
mod profile;
mod series;
mod table;
mod text;
mod wait;
mod write;

use std::collections::HashMap;
use std::io::Read;

use plimsoll_core::artifact::{Artifact, ROWS_KEPT, StackGroup};

use crate::container_log;
use crate::pprof;
use crate::reading::{Warnings, count};
pub use frames::Frame;
pub(crate) use grouped::frame_of_text;
pub use series::{Change, Growth, compare, over};
pub use table::Parked;
pub(crate) use table::{One, Table};
pub use wait::Wait;

/// In which form the goroutines came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One stack after another, with states (`debug=2`, a panic, `SIGQUIT`).
    Stacks,
    /// Text that the runtime grouped (`debug=1`).
    Grouped,
    /// A profile in protocol buffers (`debug=0`).
    Profile,
    /// Groups with states and creators, read from outside of the program (see [`crate::go_runtime`]).
    Outside,
}

/// All goroutines of one artifact.
#[derive(Debug, Clone)]
pub struct Goroutines {
    /// The form that was read.
    pub form: Form,
    /// Whether only goroutines that the runtime proved to be leaked are listed.
    pub leaks_only: bool,
    /// Goroutines counted in the artifact.
    pub counted: u64,
    /// Goroutines of the process, when the artifact says it.
    pub said: Option<u64>,
    /// Groups, largest first.
    pub groups: Vec<Parked>,
    /// Goroutines counted in no group, for want of room.
    pub lumped: u64,
    /// Bytes of the artifact as given.
    pub bytes: u64,
    /// Why it is not whole, when it is not.
    pub truncated: Option<String>,
    /// Lines that belong to no goroutine.
    strangers: u64,
    /// What else to know before believing it.
    pub warnings: Warnings,
}

impl Goroutines {
    /// Goroutines of the process, as far as the artifact knows.
    pub fn total(&self) -> u64 {
        self.said.unwrap_or(self.counted).max(self.counted)
    }

    /// The same as the small artifact that recordings keep: by place, state and creator.
    pub fn artifact(&self) -> Artifact {
        let mut by_place: HashMap<(String, Option<String>, Option<String>), u64> = HashMap::new();
        for g in &self.groups {
            let top =
                frames::top(&g.frames).map_or_else(|| "(no frame of the program)".to_owned(), Frame::place);
            let creator = g.creator.as_ref().map(Frame::place);
            let slot = by_place.entry((top, g.state.clone(), creator)).or_default();
            *slot = slot.saturating_add(g.count);
        }
        let group = |((top, state, creator), count)| StackGroup { count, state, top, creator };
        let mut groups: Vec<StackGroup> = by_place.into_iter().map(group).collect();
        groups.sort_by(|a, b| {
            (b.count, &a.top, &a.state, &a.creator).cmp(&(a.count, &b.top, &b.state, &b.creator))
        });
        groups.truncate(ROWS_KEPT);
        Artifact::Goroutines { groups, total: self.said.unwrap_or(self.counted), frames: self.frames() }
    }

    /// Frames of a goroutine on average; none without a group.
    pub fn frames(&self) -> Option<f64> {
        let count = |g: &Parked| g.count as f64;
        let all: f64 = self.groups.iter().map(count).sum();
        let frames: f64 = self.groups.iter().map(|g| count(g) * g.frames.len() as f64).sum();
        (all > 0.0).then_some(frames / all)
    }

    /// Groups that were made while a program was read from outside.
    pub(crate) fn outside(
        said: Option<u64>,
        table: Table,
        truncated: Option<String>,
        warnings: &Warnings,
    ) -> Self {
        let mut out = whole(Form::Outside, false, said, table, 0, truncated);
        warnings.list().into_iter().for_each(|w| out.warnings.say(w));
        out
    }

    fn sorted(mut self) -> Self {
        self.groups.sort_by(|a, b| {
            b.count.cmp(&a.count).then_with(|| (&a.state, names(a)).cmp(&(&b.state, names(b))))
        });
        self
    }
}

fn names(group: &Parked) -> Vec<(&str, &str)> {
    group.frames.iter().map(|f| (f.function.as_str(), f.location.as_str())).collect()
}

/// Reads any form; none when there is no goroutine in it. A cut artifact gives what it holds.
pub fn parse(bytes: &[u8]) -> Option<Goroutines> {
    if grouped::is(bytes) {
        return grouped(bytes);
    }
    if let [0x1f, 0x8b, ..] | [0x0a, ..] = bytes
        && let Some(found) = pprof::parse(bytes).as_ref().and_then(profile::read)
    {
        return Some(found);
    }
    if let Some(printed) = docker(bytes) {
        return parse_printed(&printed, bytes.len() as u64);
    }
    let mut scanner = text::Scanner::default();
    scanner.take(bytes, true);
    scanner.bytes = bytes.len() as u64;
    stacks(scanner, None)
}

/// What a program printed, when its log is Docker's; the stacks of other logs are found as they stand.
fn docker(bytes: &[u8]) -> Option<String> {
    let text = bytes.starts_with(b"{").then(|| std::str::from_utf8(bytes).ok())??;
    container_log::unwrap(text)
}

fn parse_printed(printed: &str, bytes: u64) -> Option<Goroutines> {
    let mut scanner = text::Scanner::default();
    scanner.take(printed.as_bytes(), true);
    let mut out = stacks(scanner, None)?;
    out.bytes = bytes;
    out.warnings.say("the stacks were taken out of a container's log");
    Some(out)
}

/// Reads stacks (`debug=2`, a log) of any length in bounded memory; none when there is no goroutine in it.
pub fn parse_stacks(from: impl Read) -> Option<Goroutines> {
    let mut scanner = text::Scanner::default();
    let failed = scanner.read(from);
    stacks(scanner, failed)
}

/// The small artifact of either text form, as a live source keeps it.
pub fn read(text: &str) -> Option<Artifact> {
    parse(text.as_bytes()).map(|g| g.artifact())
}

/// Reads what the runtime grouped (`debug=1`) of any length; none when there is no goroutine in it.
fn grouped(from: impl Read) -> Option<Goroutines> {
    let grouped::Listing { head, table, outside, bytes, is_whole } = grouped::read(from)?;
    let truncated = match head.total {
        _ if outside.cut.is_some() => outside.cut,
        None => Some("the number of goroutines in the first line cannot be read".to_owned()),
        Some(n) if table.total < n => Some(format!("it says {n} goroutines and holds {}", table.total)),
        Some(_) if !is_whole => Some("it stops in the middle of a line".to_owned()),
        Some(_) => None,
    };
    if table.groups.is_empty() && head.total != Some(0) {
        return None;
    }
    let form = if outside.is { Form::Outside } else { Form::Grouped };
    let mut out = whole(form, head.leaks, head.total, table, bytes, truncated);
    outside.notes.into_iter().for_each(|n| out.warnings.say(n));
    Some(out)
}

fn whole(
    form: Form,
    leaks_only: bool,
    said: Option<u64>,
    table: Table,
    bytes: u64,
    truncated: Option<String>,
) -> Goroutines {
    let mut warnings = Warnings::default();
    if table.lumped > 0 {
        let n = count(table.lumped, "goroutine");
        warnings.say(format!("{n} of ever new stacks are counted, not grouped: there was no room"));
    }
    let (counted, lumped, groups) = (table.total, table.lumped, table.groups);
    let strangers = 0;
    Goroutines { form, leaks_only, counted, said, groups, lumped, bytes, truncated, strangers, warnings }
        .sorted()
}

fn stacks(scanner: text::Scanner, failed: Option<std::io::Error>) -> Option<Goroutines> {
    if scanner.table.total == 0 {
        return None;
    }
    let truncated = cut(&scanner, failed);
    let doubt = truncated.is_none() && scanner.strangers == 0 && scanner.blank_end;
    let (strangers, too_long, prefixed) = (scanner.strangers, scanner.too_long, scanner.prefixed);
    // A number from elsewhere in the log is of another moment: it serves only where the stacks are a part.
    let said = scanner.said.filter(|_| truncated.is_some());
    let mut out = whole(Form::Stacks, false, said, scanner.table, scanner.bytes, truncated);
    out.strangers = strangers;
    if doubt {
        out.warnings.say("it ends where another stack could start: if it was cut there, nothing shows it");
    }
    if strangers > 0 {
        out.warnings
            .say(format!("{} around or between the stacks belong to no goroutine", count(strangers, "line")));
    }
    if prefixed {
        out.warnings.say("the stacks were taken out of a log that puts words before each line");
    }
    if too_long > 0 {
        out.warnings.say(format!("{} longer than 1 MiB were cut", count(too_long, "stack")));
    }
    Some(out)
}

fn cut(s: &text::Scanner, failed: Option<std::io::Error>) -> Option<String> {
    if let Some(e) = failed {
        return Some(format!("reading stopped: {e}"));
    }
    if s.dumped() == text::RUNTIME_LIMIT {
        return Some(
            "exactly 64 MiB: the runtime stops writing there, counts are a part of the whole".to_owned(),
        );
    }
    if s.broken {
        return Some("a stack stops where a profile begins: the dump was cut there".to_owned());
    }
    if s.cut {
        return Some("it stops within a stack, or its last line has no end".to_owned());
    }
    (!s.last_created)
        .then(|| "the last stack does not say who started it: it stops there or earlier".to_owned())
}

#[cfg(test)]
mod tests;
