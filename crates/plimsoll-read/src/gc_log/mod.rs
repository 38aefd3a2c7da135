//! Collection logs: HotSpot's unified and older ones, Go's `gctrace`, V8's `--trace-gc`. One parser per form tells
//! what a line says; what the lines add up to, and what follows from it, is the same for all.

mod conclude;
mod event;
mod findings;
mod floor;
mod join;
mod kind;
mod life;
mod lines;
mod unified;

use std::io::Read;

use crate::reading::Warnings;
use event::Event;
pub use event::{Collection, Collector, Kind, Mishap, Stamp};
pub use floor::{Basis, Floor};
pub use life::{Counts, Life, Mark, Mishaps};
pub use unified::collections;

/// Lives that are kept at most; the first ones go when there are more.
const LIVES: usize = 256;

/// Which program wrote a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// HotSpot from JDK 9.
    Unified,
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
    text.lines().find_map(|line| match unified::event(line) {
        Some((_, Event::Collection(_) | Event::Using(_))) => Some(Form::Unified),
        _ => None,
    })
}

/// Whether a text is a collection log, or holds lines of one.
pub fn looks_like(head: &[u8]) -> bool {
    form(head).is_some()
}

/// Reads a log; none when no collection is in it.
pub fn parse(from: impl Read) -> Option<GcLog> {
    let mut head = Vec::new();
    let mut from = from;
    from.by_ref().take(1 << 20).read_to_end(&mut head).ok()?;
    let form = form(&head)?;
    let mut log = GcLog { form, lives: Vec::new(), bytes: 0, truncated: None, warnings: Warnings::default() };
    let mut life = Life::default();
    let from = head.as_slice().chain(from);
    let (bytes, ended) = lines::each(from, |line| {
        let Some((at, event)) = unified::event(line) else { return };
        if life.is_over(at, &event) {
            log.begin(std::mem::take(&mut life));
        }
        life.take(at, event);
    });
    log.begin(life);
    log.bytes = bytes;
    if !ended {
        log.truncated =
            Some("the last line has no end: the log was cut, or was still being written".to_owned());
    }
    (!log.lives.is_empty()).then_some(log)
}

impl GcLog {
    fn begin(&mut self, ended: Life) {
        if ended.counts.all() == 0 && ended.collector.is_none() {
            return;
        }
        if self.lives.len() == LIVES {
            self.lives.remove(0);
            self.warnings.say("more than 256 lives: the oldest ones are left out");
        }
        self.lives.push(ended);
    }
}
