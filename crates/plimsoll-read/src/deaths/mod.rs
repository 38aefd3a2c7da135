//! Who died for want of memory: logs of the kernel, of journals, of kubelets, of container runtimes and of programs,
//! described or listed pods, `docker inspect`. All of it becomes traces, which `plimsoll_core::death` brings together.

mod cluster;
mod kind;
mod objects;
mod runtime;

use std::io::{BufRead as _, BufReader, Read};

use plimsoll_core::death::{Death, GaveUp, Moment, Trace, deaths};
use serde::Deserialize;
use serde_json::Value;

use crate::kernel_log;
use crate::line_prefix;
use crate::moment;
use crate::reading::Warnings;
pub use kind::told;

/// Traces kept of one source, the newest.
pub const TRACES_KEPT: usize = 10_000;
/// Bytes looked at of one line.
const LONGEST_LINE: u64 = 64 << 10;
/// Bytes of a document that is read at once.
const DOCUMENT: u64 = 64 << 20;
/// Why a log whose last line has no end is not whole.
const OPEN: &str = "its last line has no end: the log was cut, or was still being written";
/// Why the description of a pod is not whole.
const NO_END: &str =
    "the last pod that it describes has no tolerations and no events, which come last: it was cut";
/// Bytes kept of a record that is told over several lines.
const LONGEST_RECORD: usize = 1 << 20;
/// Characters kept of a program's line.
const SAID: usize = 300;

/// What one or several sources tell of deaths.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Deaths {
    /// What was found, in the order of the sources.
    pub traces: Vec<Trace>,
    /// Bytes read.
    pub bytes: u64,
    /// Whether anything was understood: a log without a death is an answer, a text of another kind is none.
    pub known: bool,
    /// Why it is not whole.
    pub truncated: Option<String>,
    /// What was left out or incomplete.
    pub warnings: Warnings,
}

impl Deaths {
    /// Brings together what was found.
    pub fn list(&self) -> Vec<Death> {
        deaths(&self.traces)
    }

    /// With what another source says.
    pub fn and(&mut self, other: Deaths) {
        self.traces.extend(other.traces);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.known |= other.known;
        self.truncated = self.truncated.take().or(other.truncated);
        other.warnings.list().into_iter().for_each(|w| self.warnings.say(w));
    }
}

/// Reads a log or a document to its end. A stream that fails ends there: who opened it knows why.
pub fn parse(from: &mut dyn Read) -> Deaths {
    let mut from = BufReader::with_capacity(256 << 10, from);
    let is_document = from.fill_buf().is_ok_and(begins_document);
    if is_document {
        let mut text = Vec::new();
        let read = from.by_ref().take(DOCUMENT).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        if let (Ok(_), Some(traces)) = (read, document(&text)) {
            return Deaths { traces, bytes: text.len() as u64, known: true, ..Deaths::default() };
        }
        let mut lines = Lines::default();
        lines.out.bytes = text.len() as u64;
        text.lines().for_each(|l| lines.line(l));
        lines.rest(&mut from);
        let mut out = lines.finish();
        if !is_lines(&text) {
            // Without its end a document has no meaning, and what its lines tell is a part at best.
            let kind = if text.trim_start().starts_with(['{', '[']) { "JSON" } else { "YAML" };
            let why = format!("its {kind} does not parse: it is cut, or something else stands in it");
            out.truncated = Some(why);
        } else if !text.ends_with('\n') {
            out.truncated = Some(OPEN.to_owned());
        }
        return out;
    }
    let mut lines = Lines::default();
    lines.rest(&mut from);
    lines.finish()
}

/// Whether each line is a document of its own, as a program's log in JSON has it.
fn is_lines(text: &str) -> bool {
    let first = text.trim_start().lines().next().unwrap_or_default();
    first.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(first).is_ok()
}

/// Whether a text means the same without what a shipper put before its lines: a document, a description, or lines of the
/// kernel that carry their own time.
pub(crate) fn stands_alone(head: &[u8]) -> bool {
    let kernel = || {
        let text = String::from_utf8_lossy(head.get(..4096).unwrap_or(head));
        let stamp = text.trim_start().strip_prefix('[').and_then(|t| t.split_once("] "));
        stamp.is_some_and(|(stamp, _)| stamp.trim().parse::<f64>().is_ok())
    };
    begins_document(head) || head.starts_with(b"Name:") || kernel()
}

/// Whether it may be JSON or YAML as a whole.
fn begins_document(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head.get(..4096).unwrap_or(head));
    let text = head.trim_start();
    // A journal as JSON has a document on each line.
    let json =
        text.starts_with(['{', '[']) && !text.starts_with("{\"__CURSOR") && !text.contains("\"MESSAGE\"");
    json && !text.starts_with("[ ") && text.get(1..).is_some_and(|t| t.trim_start().starts_with(['"', '{']))
        || text.starts_with("apiVersion:")
        || text.starts_with("kind:")
        || text.starts_with("items:")
        || text.starts_with("---\n")
}

fn document(text: &str) -> Option<Vec<Trace>> {
    if text.trim_start().starts_with(['{', '[']) {
        return objects::read(&serde_json::from_str(text).ok()?);
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).ok()?;
    let read: Vec<Vec<Trace>> = documents.iter().filter_map(objects::read).collect();
    (!read.is_empty()).then(|| read.into_iter().flatten().collect())
}

/// What a journal says in a field: bytes where it is no text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    Bytes(Vec<u8>),
    Other(serde::de::IgnoredAny),
}

/// A record of a journal as JSON.
#[derive(Deserialize)]
struct Record {
    #[serde(rename = "MESSAGE")]
    message: Field,
    #[serde(rename = "_TRANSPORT", default)]
    transport: String,
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    micros: String,
}

/// A log, line by line.
#[derive(Debug, Default)]
struct Lines {
    kernel: kernel_log::Reader,
    cluster: cluster::Reader,
    out: Deaths,
    gave_up: Vec<GaveUp>,
    dropped: u64,
    /// Whether the last line has no end.
    is_open: bool,
    /// A record over several lines, as far as it is there.
    record: String,
}

impl Lines {
    fn rest(&mut self, from: &mut impl std::io::BufRead) {
        let mut line = Vec::new();
        loop {
            line.clear();
            match from.take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(n) => {
                    self.is_open = !line.ends_with(b"\n");
                    self.out.bytes = self.out.bytes.saturating_add(n as u64);
                    if may_tell(&line) {
                        self.line(String::from_utf8_lossy(&line).trim_end());
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn line(&mut self, line: &str) {
        // A journal may send its records as events, or with a mark before each.
        let line = line.strip_prefix("data: {").map_or(line, |_| line.get(6..).unwrap_or_default());
        let line = line.strip_prefix('\u{1e}').unwrap_or(line);
        if line == "{" || !self.record.is_empty() {
            return self.part_of_record(line);
        }
        if line.starts_with('{')
            && let Ok(record) = serde_json::from_str::<Record>(line)
        {
            return self.record(record);
        }
        if line.starts_with('{')
            && let Some((text, time)) = line_prefix::record(line)
        {
            let when = time.and_then(|t| moment::of(&t));
            return text.lines().for_each(|l| self.message(l, true, when.clone()));
        }
        let message = line.strip_prefix("MESSAGE=").unwrap_or(line);
        self.message(message, true, None);
    }

    /// `journalctl -o json-pretty` has a line for each field.
    fn part_of_record(&mut self, line: &str) {
        self.record.push_str(line);
        self.record.push('\n');
        if line == "}" || self.record.len() >= LONGEST_RECORD {
            self.end_of_record();
        }
    }

    /// Lines between braces that are no record of a journal are lines as others.
    fn end_of_record(&mut self) {
        let whole = std::mem::take(&mut self.record);
        if let Ok(record) = serde_json::from_str::<Record>(&whole) {
            self.record(record);
        } else if !whole.contains("\"MESSAGE\"") && !whole.contains("\"__CURSOR\"") {
            whole.lines().for_each(|line| self.message(line, true, None));
        }
    }

    fn record(&mut self, record: Record) {
        let when = record
            .micros
            .parse()
            .ok()
            .map(|micros: f64| Moment { said: format!("{:.0}", micros / 1e6), seconds: Some(micros / 1e6) });
        let kernel = record.transport.is_empty() || record.transport == "kernel";
        match record.message {
            Field::Text(text) => self.message(&text, kernel, when),
            Field::Bytes(bytes) => self.message(&String::from_utf8_lossy(&bytes), kernel, when),
            Field::Other(_) => {}
        }
    }

    fn message(&mut self, line: &str, may_be_kernel: bool, when: Option<Moment>) {
        if may_be_kernel && let Some(mut kill) = self.kernel.text(line) {
            kill.when = kill.when.or(when);
            self.push(Trace::Kernel(Box::new(kill)));
            return;
        }
        let mut found = Vec::new();
        self.cluster.line(line, &mut found);
        if found.is_empty()
            && let Some(message) = runtime::find(line)
        {
            self.gave_up(message, line, when.or_else(|| moment::of(line)));
        }
        found.into_iter().for_each(|t| self.push(t));
    }

    fn gave_up(&mut self, message: &runtime::Message, line: &str, when: Option<Moment>) {
        self.out.known = true;
        let known = self.gave_up.iter_mut().find(|g| g.runtime == message.runtime && g.what == message.what);
        match known {
            Some(g) => {
                g.count += 1;
                g.fatal |= message.fatal;
                g.when.truncate(1);
                g.when.extend(when);
            }
            None => self.gave_up.push(GaveUp {
                runtime: message.runtime,
                what: message.what,
                fatal: message.fatal,
                next: message.next,
                line: crate::reading::clip(line.trim(), SAID),
                when: when.into_iter().collect(),
                count: 1,
            }),
        }
    }

    fn push(&mut self, trace: Trace) {
        self.out.known = true;
        if self.out.traces.len() >= TRACES_KEPT {
            self.out.traces.remove(0);
            self.dropped += 1;
        }
        self.out.traces.push(trace);
    }

    fn finish(mut self) -> Deaths {
        self.end_of_record();
        if let Some(kill) = self.kernel.finish() {
            self.push(Trace::Kernel(Box::new(kill)));
            self.out.warnings.say("the log ends before the last kill is told in full");
        }
        if self.is_open {
            self.out.truncated = Some(OPEN.to_owned());
        } else if self.cluster.is_open() {
            self.out.truncated = Some(NO_END.to_owned());
        }
        let mut rest = Vec::new();
        self.cluster.finish(&mut rest);
        rest.into_iter().for_each(|t| self.push(t));
        for g in std::mem::take(&mut self.gave_up) {
            self.push(Trace::GaveUp(Box::new(g)));
        }
        if self.dropped > 0 {
            self.out.warnings.say(format!("{} older entries are left out", self.dropped));
        }
        self.out
    }
}

/// Whether a line can tell anything, cheaply: of a program's log nearly none does.
fn may_tell(line: &[u8]) -> bool {
    // Reports of the kernel come in many forms, all of them short; a longer line has a word that all others have, or is
    // a journal's record of what the kernel said.
    const SHORT: usize = 400;
    line.len() <= SHORT
        || [&b"emory"[..], b"oom", b"OOM", b"Killed process", b"alloc", b"\"kernel\""]
            .iter()
            .any(|word| line.windows(word.len()).any(|w| w == *word))
}

#[cfg(test)]
mod tests;
