//! What a reader concludes, whatever the artifact: the head that every report shares, as plain data that a screen
//! prints and JSON carries (`kind: Reading`).
//!
//! A reader turns bytes into its own structure first, and that structure into a [`Report`]; so a conclusion can
//! be tested without bytes, and what is counted stays apart from what is thought of it.

use plimsoll_core::classify::{Cause, Certainty};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// Groups that a report keeps at most.
pub const GROUPS_KEPT: usize = 40;
/// Warnings that a report keeps at most; the rest are counted.
const WARNINGS_KEPT: usize = 32;

/// Which artifact was read, and whether all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// The format in words (`goroutine dump, debug=2`).
    pub kind: String,
    /// Bytes read (of the artifact as given: packed, if it was).
    pub bytes: u64,
    /// Why it is not whole; none when nothing says that something is missing.
    pub truncated: Option<String>,
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut out = to.serialize_struct("Source", 4)?;
        out.serialize_field("format", &self.kind)?;
        out.serialize_field("bytes", &self.bytes)?;
        out.serialize_field("truncated", &self.truncated.is_some())?;
        if let Some(why) = &self.truncated {
            out.serialize_field("truncatedWhy", why)?;
        }
        out.end()
    }
}

/// One conclusion with what speaks for and against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How sure it is.
    pub certainty: Certainty,
    /// What kind of climb it speaks for; [`Cause::None`] when it says that nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The conclusion, one sentence with its numbers.
    pub text: String,
    /// What speaks for it.
    #[serde(rename = "for")]
    pub pro: Vec<String>,
    /// What speaks against it, and what would explain the same without a defect.
    #[serde(rename = "against")]
    pub contra: Vec<String>,
    /// Where and how to repair it, when there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A finding without evidence yet.
    pub fn new(certainty: Certainty, text: impl Into<String>) -> Self {
        let (pro, contra) = (Vec::new(), Vec::new());
        Finding { certainty, cause: None, text: text.into(), pro, contra, hint: None }
    }

    /// As a sign of `cause`.
    #[must_use]
    pub fn of(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Whether it is more than a remark: likely at least, and not that nothing is wrong.
    pub fn accuses(&self) -> bool {
        self.certainty >= Certainty::Likely && self.cause != Some(Cause::None)
    }

    /// With one more reason for it.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.pro.push(reason.into());
        self
    }

    /// With one more reason against it.
    #[must_use]
    pub fn but(mut self, reason: impl Into<String>) -> Self {
        self.contra.push(reason.into());
        self
    }

    /// With the place and the way to repair it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A span of numbers, both ends within it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

/// A word with how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// What was counted.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// Threads or goroutines that do the same thing at the same place.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// How many.
    pub count: u64,
    /// How many there are by reckoning, where the artifact holds a known part of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_count: Option<u64>,
    /// Their part of all, 0 to 1.
    pub share: f64,
    /// The pool's normalised name, for threads that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What they wait for, or that they run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How many are in each state, most first, when they differ or may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<Tally>,
    /// The innermost frame that is the program's own: `function (file:line)`.
    pub top: String,
    /// Who started them, the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// The stack, innermost first, cut where a screen would cut it.
    pub stack: Vec<String>,
    /// How long they have been waiting, minutes, where the artifact says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<Span>,
    /// How many of them the runtime itself proved unreachable for good.
    #[serde(skip_serializing_if = "is_zero")]
    pub proven_leaked: u64,
    /// Their labels, most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Tally>,
    /// Memory that they hold at least, bytes, estimated as the report says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_bytes: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What every reading says.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was read.
    pub artifact: Source,
    /// The whole in one sentence.
    pub summary: String,
    /// Conclusions, the weightiest first.
    pub findings: Vec<Finding>,
    /// Groups of threads or goroutines, largest first, at most [`GROUPS_KEPT`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// What the reader must know before believing the numbers.
    pub warnings: Vec<String>,
}

/// What is known of the process beside the artifact, by who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// Resident memory when the artifact was taken, bytes.
    pub rss: Option<u64>,
    /// The container's limit, bytes.
    pub limit: Option<u64>,
    /// Goroutines of the process, as a profile counted them.
    pub goroutines: Option<u64>,
}

impl Context {
    /// What is known here, else what `other` knows.
    #[must_use]
    pub fn or(self, other: Context) -> Context {
        Context {
            rss: self.rss.or(other.rss),
            limit: self.limit.or(other.limit),
            goroutines: self.goroutines.or(other.goroutines),
        }
    }
}

/// A table of a screen: cells as they are printed. The numbers themselves are in the report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// What the rows are (`Sites, largest first`).
    pub title: String,
    /// Heads of the columns; one that begins with `#` (which is not printed) is of numbers, aligned to the right.
    pub head: Vec<&'static str>,
    /// Rows, as many cells each as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// Warnings that say each thing once, however often it happens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warnings {
    kept: Vec<String>,
    more: u64,
}

impl Warnings {
    /// Says `text`, unless it was said before or there are too many.
    pub fn say(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.kept.contains(&text) {
        } else if self.kept.len() < WARNINGS_KEPT {
            self.kept.push(text);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// All of them, and how many were not kept.
    pub fn list(&self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("and {} more warnings", self.more));
        self.kept.iter().cloned().chain(more).collect()
    }
}

/// One number of each of a series, oldest first.
pub(crate) fn numbers<T>(series: &[&T], of: impl Fn(&T) -> u64) -> Vec<u64> {
    series.iter().map(|one| of(one)).collect()
}

/// Growth from which a number of a series has grown, bytes, and as a share of the first.
const GROWN: u64 = 8 << 20;
const GROWN_SHARE: f64 = 0.10;

/// That an amount of bytes grew over a series, when it did: two points are no proof, growth at every step is likely one.
pub(crate) fn grew(what: &str, cause: Cause, numbers: &[u64]) -> Option<Finding> {
    let (first, last) = (*numbers.first()?, *numbers.last()?);
    let more = last.checked_sub(first)?;
    if more < GROWN || (more as f64) < GROWN_SHARE * first as f64 {
        return None;
    }
    let size = |n: u64| plimsoll_core::units::bytes(n as f64);
    let always = numbers.len() > 2 && numbers.array_windows().all(|[a, b]| b > a);
    let certainty = if always { Certainty::Likely } else { Certainty::CannotTell };
    let text = format!("{what} grew by {}: {} → {}", size(more), size(first), size(last));
    let f = Finding::new(certainty, text).of(cause);
    Some(match numbers.len() {
        2 => f.but("two points: a warm-up, or a cache that fills, looks the same"),
        n if always => f.because(format!("it grew at each of {} steps", n - 1)),
        n => f.but(format!("it did not grow at each of {} steps", n - 1)),
    })
}

/// How an amount of bytes differs: `1.00 MiB more`, `0 B more`, `12.0 KiB less`.
pub(crate) fn change(first: u64, last: u64) -> String {
    let size = plimsoll_core::units::bytes(last.abs_diff(first) as f64);
    format!("{size} {}", if last < first { "less" } else { "more" })
}

/// `n` things in words: `1 goroutine`, `12 goroutines`.
pub(crate) fn count(n: u64, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

/// Numbers in the order of time: `12 → 40 → 95`.
pub(crate) fn steps(numbers: &[u64]) -> String {
    let words: Vec<String> = numbers.iter().map(u64::to_string).collect();
    words.join(" → ")
}

/// `part` of `whole`, 0 to 1; 0 of nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The first `most` bytes of a text, cut at a character, with a mark when something is missing.
pub(crate) fn clip(text: &str, most: usize) -> String {
    let end = text.floor_char_boundary(most);
    match text.get(..end) {
        Some(head) if end < text.len() => format!("{head}…"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_contracts_names() {
        let finding = Finding::new(Certainty::CannotTell, "t").because("a").but("b").hint("h");
        let group = Group { count: 2, top: "f (x.go:1)".to_owned(), proven_leaked: 1, ..Group::default() };
        let report = Report { findings: vec![finding], groups: vec![group], ..Report::default() };
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["findings"][0]["certainty"], "cannot-tell");
        assert_eq!(json["findings"][0]["for"][0], "a");
        assert_eq!(json["findings"][0]["against"][0], "b");
        assert_eq!(json["groups"][0]["provenLeaked"], 1);
        assert_eq!(json["groups"][0].get("minutes"), None);
        assert!(json["artifact"]["truncated"] == false && json["warnings"].is_array());
    }

    #[test]
    fn warnings_are_said_once_and_bounded() {
        let mut w = Warnings::default();
        w.say("a");
        w.say("a");
        (0..100).for_each(|i| w.say(format!("w{i}")));
        assert_eq!(w.list().len(), WARNINGS_KEPT + 1);
        assert_eq!(w.list().last().unwrap(), "and 69 more warnings");
    }

    #[test]
    fn words_and_cuts() {
        assert_eq!((count(1, "thread"), count(0, "thread")), ("1 thread".to_owned(), "0 threads".to_owned()));
        assert_eq!((clip("aéb", 2), clip("ab", 2)), ("a…".to_owned(), "ab".to_owned()));
        assert_eq!((share(1, 4), share(1, 0)), (0.25, 0.0));
    }
}
