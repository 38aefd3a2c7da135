//! Histograms as artifacts: every class of each, one or many in a file.

use std::collections::HashMap;
use std::io::Read;

use crate::lines::Lines;
use crate::reading::Warnings;

/// Classes that are kept of all histograms together.
const CLASSES: usize = 1_000_000;
/// Histograms of one file.
const MOST: usize = 500;

/// Instances and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Instances.
    pub instances: u64,
    /// Shallow bytes of all instances.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.instances = self.instances.saturating_add(other.instances);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// One histogram.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    /// By class, in source form; one loaded several times stands once.
    pub classes: HashMap<String, Count>,
    /// All classes: as the closing line says, else the sum of the rows.
    pub total: Count,
    /// Whether the closing line is there.
    pub is_complete: bool,
}

impl Histogram {
    /// A class; nothing when it is not in it.
    pub fn of(&self, class: &str) -> Count {
        self.classes.get(class).copied().unwrap_or_default()
    }
}

/// Whose classes they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// A JVM's.
    #[default]
    Java,
    /// Types of CPython, counted by a script (`plimsoll capture --artifact census`).
    Python,
}

/// All histograms of a file, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histograms {
    /// The histograms.
    pub all: Vec<Histogram>,
    /// By the head line of the last.
    pub language: Language,
    /// Bytes read.
    pub bytes: u64,
    /// Why the last one is not whole.
    pub truncated: Option<String>,
    /// What to know before believing the numbers.
    pub warnings: Warnings,
    /// Whether what follows is of before a collection: garbage is in it.
    before: bool,
}

/// Reads every histogram; none when there is not one row.
pub fn read(from: impl Read) -> Option<Histograms> {
    let mut out = Histograms::default();
    let mut lines = Lines::new(from);
    let mut rows = 0;
    while let Some(line) = lines.next() {
        // Without its newline the last line may be cut within a number or a name.
        if lines.is_whole() {
            out.line(&line, &mut rows);
        }
    }
    out.bytes = lines.bytes();
    out.all.retain(|h| !h.classes.is_empty());
    let last = out.all.last()?;
    if !last.is_complete {
        out.truncated = Some("the closing line with the total is missing".to_owned());
    } else if !lines.is_whole() {
        out.truncated = Some("it ends within a line".to_owned());
    }
    Some(out)
}

/// A line without what the unified log puts before it: `[1.7s][trace][gc,classhisto] GC(0)   1:  48975 …`.
fn undecorated(line: &str) -> &str {
    if !line.starts_with('[') || !line.contains("classhisto") {
        return line;
    }
    let mut rest = line;
    while let Some((_, tail)) = rest.trim_start().strip_prefix('[').and_then(|r| r.split_once(']')) {
        rest = tail;
    }
    let rest = rest.trim_start();
    rest.strip_prefix("GC(").and_then(|r| r.split_once(')')).map_or(rest, |(_, tail)| tail)
}

/// The head line of a histogram.
pub(super) fn head(line: &str) -> Option<Language> {
    let mut words = undecorated(line).split_ascii_whitespace();
    if [words.next(), words.next(), words.next()] != ["num", "#instances", "#bytes"].map(Some) {
        return None;
    }
    match words.next() {
        Some("class") => Some(Language::Java),
        Some("type") => Some(Language::Python),
        _ => None,
    }
}

impl Histograms {
    fn line(&mut self, line: &str, rows: &mut usize) {
        if line.contains("Class Histogram (") {
            self.before = line.contains("(before full gc)");
        }
        if self.before {
            return;
        }
        let line = undecorated(line);
        if let Some(note) =
            line.strip_prefix("# ").filter(|n| n.contains("looked at") || n.contains("within the time"))
        {
            self.warnings.say(note);
        }
        if let Some(language) = head(line) {
            self.language = language;
            if self.all.len() == MOST {
                self.all.remove(0);
                self.warnings.say(format!("more than {MOST} histograms: the oldest are left out"));
            }
            self.all.push(Histogram::default());
            return;
        }
        let row = super::row(line);
        // A head line may be cut off from before the first row.
        if self.all.is_empty() && row.is_some() && line.trim_start().starts_with("1:") {
            self.all.push(Histogram::default());
        }
        let Some(last) = self.all.last_mut().filter(|h| !h.is_complete) else { return };
        if let Some(row) = row {
            let count = Count { instances: row.instances, bytes: row.bytes };
            last.total.add(count);
            if *rows < CLASSES || last.classes.contains_key(&row.class) {
                *rows += usize::from(!last.classes.contains_key(&row.class));
                last.classes.entry(row.class).or_default().add(count);
            } else {
                self.warnings.say(format!("more than {CLASSES} rows: the rest is only in the sums"));
            }
        } else if let Some(total) = line.trim().strip_prefix("Total").and_then(total) {
            (last.total, last.is_complete) = (total, true);
        }
    }
}

/// `        468462      116003488`
fn total(rest: &str) -> Option<Count> {
    let mut words = rest.split_ascii_whitespace();
    Some(Count { instances: words.next()?.parse().ok()?, bytes: words.next()?.parse().ok()? })
}
