//! `debug=2` and what a panic or `SIGQUIT` prints: one stack after another, perhaps with a log around it.
//!
//! The text is walked once, line by line, in pieces of bounded size. A record is hashed while it is walked; only
//! the first of each group is taken apart, so a dump of a million goroutines costs little more than reading it.

use std::hash::{DefaultHasher, Hasher};
use std::io::{BufRead, Read};

use super::frames::{self, Frame};
use super::header::{self, Header};
use super::table::{FRAMES, NAME, One, Parked, Table};
use super::wait::Wait;
use crate::reading::clip;

/// Bytes read at once; a record that is longer is cut.
const PIECE: usize = 1 << 20;
/// Lines of others that may stand between the lines of one record.
const STRANGERS: usize = 8;
/// Where `runtime/pprof` stops writing without a word.
pub(super) const RUNTIME_LIMIT: u64 = 64 << 20;

/// What is told about each line of a record.
trait Sink {
    fn frame(&mut self, function: &[u8], location: &[u8]);
    fn creator(&mut self, function: &[u8], location: &[u8]);
}

struct Hash(DefaultHasher);

impl Sink for Hash {
    fn frame(&mut self, function: &[u8], location: &[u8]) {
        self.0.write(function);
        self.0.write(location);
        self.0.write_u8(1);
    }
    fn creator(&mut self, function: &[u8], location: &[u8]) {
        self.frame(function, location);
        self.0.write_u8(2);
    }
}

#[derive(Default)]
struct Build {
    frames: Vec<Frame>,
    creator: Option<Frame>,
}

fn text(bytes: &[u8]) -> String {
    clip(&String::from_utf8_lossy(bytes), NAME)
}

impl Sink for Build {
    fn frame(&mut self, function: &[u8], location: &[u8]) {
        if self.frames.len() < FRAMES {
            self.frames.push(Frame { function: text(function), location: text(location) });
        }
    }
    fn creator(&mut self, function: &[u8], location: &[u8]) {
        self.creator = Some(Frame { function: text(function), location: text(location) });
    }
}

/// One line of a buffer.
#[derive(Clone, Copy)]
struct Line<'a> {
    /// Without the end of line.
    text: &'a [u8],
    /// Where the next one starts.
    next: usize,
    /// Whether its end is in the buffer.
    whole: bool,
}

fn line(buf: &[u8], at: usize) -> Option<Line<'_>> {
    let rest = buf.get(at..).filter(|r| !r.is_empty())?;
    let mut reader = rest;
    // `skip_until` of a slice is the standard library's vectorised search, and cannot fail.
    let n = reader.skip_until(b'\n').unwrap_or(rest.len());
    let all = rest.get(..n)?;
    let (text, whole) = match all.strip_suffix(b"\n") {
        Some(text) => (text.strip_suffix(b"\r").unwrap_or(text), true),
        None => (all, false),
    };
    Some(Line { text, next: at + n, whole })
}

/// The line without the words that the log puts before it.
fn after_words(mut text: &[u8], words: usize) -> &[u8] {
    for _ in 0..words {
        match text.iter().position(|&b| b == b' ') {
            Some(at) => text = text.get(at + 1..).unwrap_or_default(),
            None => return b"",
        }
    }
    text
}

/// How the walk over one record ended.
#[derive(Clone, Copy)]
struct Walked {
    /// Where the next record or foreign line starts.
    end: usize,
    /// Lines of others within it.
    strangers: usize,
    /// Whether the text stopped in the middle of it.
    cut: bool,
    /// Whether it says who started it.
    created: bool,
    /// Frames told, and notes instead of frames.
    frames: usize,
    /// Whether a profile begins where it ends.
    met: bool,
}

/// The walk over the lines of one record.
struct Walk<'a, S> {
    buf: &'a [u8],
    words: usize,
    last: bool,
    sink: S,
    so_far: Walked,
}

impl<'a, S: Sink> Walk<'a, S> {
    fn new(buf: &'a [u8], at: usize, words: usize, last: bool, sink: S) -> Self {
        let so_far = Walked { end: at, strangers: 0, cut: false, created: false, frames: 0, met: false };
        Walk { buf, words, last, sink, so_far }
    }

    fn line(&self, at: usize) -> Option<Line<'a>> {
        let mut line = line(self.buf, at)?;
        if self.words > 0 {
            line.text = after_words(line.text, self.words);
        }
        Some(line)
    }

    /// Walks to the record's end; none when the buffer ends first and more is to come.
    fn run(mut self) -> Option<(Walked, S)> {
        let mut in_a_row = 0;
        loop {
            let at = self.so_far.end;
            let Some(now) = self.line(at) else {
                self.so_far.cut |= self.so_far.frames == 0;
                return self.last.then_some((self.so_far, self.sink));
            };
            if !now.whole && !self.last {
                return None;
            }
            if now.text.is_empty() {
                self.so_far.end = now.next;
                return Some((self.so_far, self.sink));
            }
            self.so_far.met = profile_head(now.text).is_some();
            if self.so_far.met || header::header(now.text).is_some() {
                return Some((self.so_far, self.sink));
            }
            match self.step(now)? {
                Step::Mine => in_a_row = 0,
                Step::Ancestors => return self.ancestors(now.next),
                Step::Stranger if self.so_far.created || in_a_row == STRANGERS => {
                    self.so_far.end = at;
                    return Some((self.so_far, self.sink));
                }
                Step::Stranger => {
                    in_a_row += 1;
                    self.so_far.strangers += 1;
                }
            }
        }
    }

    /// Takes the record's next line, and the place in the line after it; none when that is not there yet.
    fn step(&mut self, now: Line<'a>) -> Option<Step> {
        let place = match self.line(now.next) {
            Some(p) if p.whole || self.last => Some(p),
            None if self.last => None,
            _ => return None,
        };
        self.so_far.end = now.next;
        let own = place.filter(|p| profile_head(p.text).is_none());
        let located = own.and_then(|p| Some((p.text.strip_prefix(b"\t")?, p)));
        if let Some(by) = now.text.strip_prefix(b"created by ") {
            self.so_far.created = true;
            let name = frames::creator(by);
            self.located(located, |sink, at| sink.creator(name, at));
        } else if let (Some(_), false) = (located, now.text.starts_with(b"\t")) {
            let name = frames::function(now.text);
            self.so_far.frames += 1;
            self.located(located, |sink, at| sink.frame(name, at));
        } else if now.text.starts_with(b"...") {
            self.sink.frame(b"...", b"");
        } else if now.text.starts_with(b"[originating from goroutine ") {
            return Some(Step::Ancestors);
        } else if place.is_none() {
            // A function without its place, or a piece of a line: the text stops within the record.
            self.so_far.cut = true;
        } else if !now.text.starts_with(b"\t") {
            return Some(Step::Stranger);
        } else {
            // `goroutine running on other thread; stack unavailable`
            self.so_far.frames += 1;
        }
        Some(Step::Mine)
    }

    fn located(&mut self, place: Option<(&'a [u8], Line<'a>)>, tell: impl FnOnce(&mut S, &[u8])) {
        let Some((text, line)) = place else {
            self.so_far.cut = true;
            return tell(&mut self.sink, b"");
        };
        self.so_far.end = line.next;
        self.so_far.cut |= !line.whole;
        tell(&mut self.sink, frames::location(text));
    }

    /// Stacks of the goroutine's ancestors say nothing of where it stands.
    fn ancestors(mut self, mut at: usize) -> Option<(Walked, S)> {
        while let Some(now) = self.line(at) {
            if !now.whole && !self.last {
                return None;
            }
            if header::header(now.text).is_some() {
                break;
            }
            at = now.next;
            if now.text.is_empty() {
                break;
            }
        }
        self.so_far.end = at;
        (self.last || at < self.buf.len()).then_some((self.so_far, self.sink))
    }
}

enum Step {
    Mine,
    Ancestors,
    Stranger,
}

/// The state of a reading in pieces.
#[derive(Default)]
pub(super) struct Scanner {
    pub(super) table: Table,
    /// Bytes seen.
    pub(super) bytes: u64,
    /// Non-empty lines that belong to no goroutine.
    pub(super) strangers: u64,
    /// Records longer than a piece.
    pub(super) too_long: u64,
    /// Whether the text stops within a record.
    pub(super) cut: bool,
    /// Whether the last record said who started it, or is one that nobody starts.
    pub(super) last_created: bool,
    /// Whether a blank line ends the text.
    pub(super) blank_end: bool,
    /// Whether the log puts something before each line.
    pub(super) prefixed: bool,
    /// Goroutines of the process, by a profile in the same log, the last one.
    pub(super) said: Option<u64>,
    /// Whether a stack stops where such a profile begins.
    pub(super) broken: bool,
    /// Bytes taken from the front, and where the first record stands.
    taken: u64,
    begin: Option<u64>,
}

impl Scanner {
    /// Reads to the end, in pieces; an error of the source ends it as a cut would, and is handed back.
    pub(super) fn read(&mut self, mut from: impl Read) -> Option<std::io::Error> {
        let mut buf = vec![0; PIECE];
        let mut held = 0;
        let mut failed = None;
        loop {
            let free = buf.get_mut(held..).unwrap_or_default();
            let n = match from.read(free) {
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    failed = Some(e);
                    0
                }
            };
            held += n;
            let full = held == buf.len();
            let (last, filled) = (n == 0, buf.get(..held).unwrap_or_default());
            let mut used = if last || full || held >= PIECE / 2 { self.take(filled, last) } else { 0 };
            if used == 0 && full {
                self.too_long += 1;
                used = self.take(filled, true);
            }
            self.bytes += n as u64;
            if last {
                return failed;
            }
            buf.copy_within(used..held, 0);
            held -= used;
        }
    }

    /// Bytes from the first record to the end of the text.
    pub(super) fn dumped(&self) -> u64 {
        self.bytes.saturating_sub(self.begin.unwrap_or(0))
    }

    /// Takes whole records off the front; gives the bytes used. `last` means that nothing follows.
    pub(super) fn take(&mut self, buf: &[u8], last: bool) -> usize {
        let mut at = 0;
        while let Some(now) = line(buf, at) {
            if !now.whole && !last {
                break;
            }
            if let Some(h) = header::header(now.text) {
                match self.record(buf, now.next, &h, last) {
                    Some(end) => {
                        self.begin.get_or_insert(self.taken + at as u64);
                        at = end;
                    }
                    None => break,
                }
            } else {
                self.stranger(at, now);
                at = now.next;
            }
        }
        if last {
            self.blank_end = buf.ends_with(b"\n\n");
        }
        self.taken += at as u64;
        at
    }

    fn stranger(&mut self, at: usize, line: Line<'_>) {
        if line.text.is_empty() {
            return;
        }
        self.strangers += 1;
        if let Some((before, total)) = profile_head(line.text) {
            self.said = Some(total);
            let dumped =
                (self.taken + at as u64 + before.len() as u64).saturating_sub(self.begin.unwrap_or(0));
            let word: &[u8] = b"goroutine ";
            let is_cut = !before.is_empty() && (before.starts_with(word) || word.starts_with(before));
            self.broken |= is_cut || dumped == RUNTIME_LIMIT;
        }
        self.last_created = true;
        self.cut = !line.whole && line.text.starts_with(b"goroutine ");
    }

    fn record(&mut self, buf: &[u8], at: usize, h: &Header<'_>, last: bool) -> Option<usize> {
        let state: &[u8] = if h.state == b"running" { b"runnable" } else { h.state };
        let mut hash = Hash(DefaultHasher::new());
        hash.0.write(state);
        hash.0.write_u8(0);
        let (walked, hash) = Walk::new(buf, at, h.words, last, hash).run()?;
        let labels = h.labels.map(header::labels).unwrap_or_default();
        let one = One { count: 1, leaked: h.leaked, minutes: h.minutes, labels: &labels };
        self.table.add(hash.0.finish(), one, || describe(buf, at, h, last));
        self.strangers += walked.strangers as u64;
        self.prefixed |= h.words > 0;
        self.cut = walked.cut;
        self.broken |= walked.met && (walked.cut || !walked.created && h.id > 1);
        self.last_created = walked.created || walked.strangers > 0 || h.id <= 1;
        Some(walked.end)
    }
}

/// What stands before a line's end when the line begins a profile, and the goroutines that it says; the text before may
/// be a log's, or a stack's that was cut there.
fn profile_head(line: &[u8]) -> Option<(&[u8], u64)> {
    let digits = line.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (words, number) = line.split_at_checked(line.len().saturating_sub(digits))?;
    Some((words.strip_suffix(b"goroutine profile: total ")?, header::number(number)?))
}

/// Takes a record apart whose group is new.
fn describe(buf: &[u8], at: usize, h: &Header<'_>, last: bool) -> Parked {
    let (_, built) = Walk::new(buf, at, h.words, last, Build::default()).run().unwrap_or_else(|| {
        let none = Walked { end: at, strangers: 0, cut: true, created: false, frames: 0, met: false };
        (none, Build::default())
    });
    let state = text(h.state);
    let wait = Wait::of_words(&state, &built.frames);
    Parked::new(wait, Some(state), built.frames, built.creator)
}
