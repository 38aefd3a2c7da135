//! Collection logs: HotSpot's unified and older ones, Go's `gctrace`, V8's `--trace-gc`. One parser per form tells
//! what a line says; what the lines add up to, and what follows from it, is the same for all.

mod conclude;
mod event;
mod findings;
mod fit;
mod floor;
mod gctrace;
mod jdk8;
mod join;
mod kind;
mod life;
mod lines;
mod unified;
mod v8;

use std::io::Read;

use crate::reading::Warnings;
pub use conclude::{GcReport, LifeReport, Times};
use event::Event;
pub use event::{Collection, Collector, Kind, Mishap, Stamp};
pub use floor::{Basis, Floor};
pub use life::{Counts, Life, Mark, Mishaps};
pub use unified::collections;

/// Lives that are kept at least; when there are twice as many, the first ones go.
const LIVES: usize = 256;

/// Isolates of one log that are told apart at most.
const ISOLATES: usize = 64;
/// Bytes at the beginning in which the form of a log must show.
const HEAD: u64 = 1 << 20;

/// Which program wrote a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// HotSpot from JDK 9.
    Unified,
    /// HotSpot up to JDK 8.
    Jdk8,
    /// Go with `GODEBUG=gctrace=1`.
    GcTrace,
    /// Node.js with `--trace-gc`.
    V8,
}

/// A collection log that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct GcLog {
    /// Who wrote it.
    pub form: Form,
    /// The lives of the process in it, oldest first.
    pub lives: Vec<Life>,
    /// Bytes read.
    pub bytes: u64,
    /// Why it is not whole, when something says so.
    pub truncated: Option<String>,
    /// What the reader must know.
    pub warnings: Warnings,
}

impl GcLog {
    /// The newest life.
    pub fn newest(&self) -> Option<&Life> {
        self.lives.last()
    }
}

/// The form of a text; none when no line of it is of a collection log.
pub fn form(head: &[u8]) -> Option<Form> {
    let text = String::from_utf8_lossy(head);
    let mut old = jdk8::Reader::default();
    text.lines().find_map(|line| {
        if matches!(unified::event(line), Some((_, Event::Collection(_) | Event::Using(_)))) {
            return Some(Form::Unified);
        }
        let mut found = None;
        if line.contains(" ms clock, ") {
            gctrace::line(line, |_, _| found = Some(Form::GcTrace));
        }
        if line.contains(" ms: ") {
            v8::line(line, |_, _, _| found = Some(Form::V8));
        }
        old.line(line, |_, event| {
            if matches!(event, Event::Collection(_)) {
                found = Some(Form::Jdk8);
            }
        });
        found
    })
}

/// Whether a text is a collection log, or holds lines of one.
pub fn looks_like(head: &[u8]) -> bool {
    form(head).is_some()
}

/// Reads a log; none when no collection is in it.
pub fn parse(mut from: impl Read) -> Option<GcLog> {
    let mut head = Vec::new();
    from.by_ref().take(HEAD).read_to_end(&mut head).ok()?;
    let (form, skipped) = match form(&head) {
        Some(form) => (form, 0),
        None => find(&mut head, &mut from)?,
    };
    let mut log = GcLog { form, lives: Vec::new(), bytes: 0, truncated: None, warnings: Warnings::default() };
    let (bytes, ended) = log.take(form, head.as_slice().chain(from));
    log.bytes = skipped + bytes;
    if !ended {
        let why = "the last line has no end: the log was cut, or was still being written";
        log.truncated = Some(why.to_owned());
    }
    log.lives.iter().any(|l| l.counts.all() > 0 || l.collector.is_some()).then_some(log)
}

/// Searches what comes after the head: an application's log may say much before the first collection.
/// Gives the form and the bytes that were passed over.
fn find(head: &mut Vec<u8>, from: &mut impl Read) -> Option<(Form, u64)> {
    let mut skipped = 0;
    loop {
        // What was searched holds nothing, but its last line may go on.
        let keep = head.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        // A line that long is none of a collection log.
        let keep = if keep == 0 { head.len() } else { keep };
        head.drain(..keep);
        skipped += keep as u64;
        if from.by_ref().take(HEAD).read_to_end(head).ok()? == 0 {
            return None;
        }
        if let Some(form) = form(head) {
            return Some((form, skipped));
        }
    }
}

impl GcLog {
    /// Reads all lines; gives the bytes read and whether the last line had an end.
    fn take(&mut self, form: Form, from: impl Read) -> (u64, bool) {
        let mut open: Vec<Life> = vec![Life::default()];
        let mut jdk8 = jdk8::Reader::default();
        let read = lines::each(from, |line| match form {
            Form::Unified => {
                if let Some((at, event)) = unified::event(line) {
                    self.tell(&mut open, "", at, event);
                }
            }
            Form::Jdk8 => jdk8.line(line, |at, event| self.tell(&mut open, "", at, event)),
            Form::GcTrace => gctrace::line(line, |at, event| self.tell(&mut open, "", at, event)),
            Form::V8 => v8::line(line, |isolate, at, event| self.tell(&mut open, isolate, at, event)),
        });
        // The busiest last: it is the one that is judged.
        open.sort_by_key(|l| l.counts.all());
        open.into_iter().for_each(|l| self.begin(l));
        read
    }

    /// Gives an event to the life that it belongs to.
    fn tell(&mut self, open: &mut Vec<Life>, process: &str, at: Stamp, event: Event) {
        let known = open.iter_mut().find(|l| match &l.process {
            None => process.is_empty(),
            Some(p) => p == process,
        });
        let Some(life) = known else {
            if open.len() == ISOLATES {
                self.warnings.say("more than 64 isolates: the later ones are left out");
                return;
            }
            let mut life = Life::of(Some(process.to_owned()));
            life.take(at, event);
            open.push(life);
            return;
        };
        if life.is_over(at, &event) {
            let next = Life::of(life.process.clone());
            let ended = std::mem::replace(life, next);
            life.take(at, event);
            self.begin(ended);
        } else {
            life.take(at, event);
        }
    }
}

impl GcLog {
    fn begin(&mut self, ended: Life) {
        if ended.counts.all() == 0 && ended.collector.is_none() {
            return;
        }
        if self.lives.len() == 2 * LIVES {
            self.lives.drain(..LIVES);
            self.warnings.say("more than 512 lives: the oldest ones are left out");
        }
        self.lives.push(ended);
    }
}

#[cfg(test)]
mod tests;
