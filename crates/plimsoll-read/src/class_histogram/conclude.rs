//! What class histograms prove. One shows sizes; two show differences; who holds the objects is in none of them.

use std::collections::HashSet;

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units::{bytes, percent};
use serde::Serialize;

use super::whole::{Count, Histogram, Histograms, Language};
use crate::reading::{Context, Finding, Report, Source, Table, count, share};

/// Rows of a report and of the screen.
const KEPT: usize = 40;
const ROWS: usize = 12;
/// Growth that is worth a finding: bytes of all classes, their part of what was, and instances of one class.
const GROWN: i64 = 4 << 20;
const GROWN_SHARE: f64 = 0.05;
const MANY: i64 = 500;
/// Two classes whose numbers grew within this part of each other grew together.
const TOGETHER: f64 = 0.1;
/// The same of Python's: what a name without a module is, is built in.
const MODULES: [&str; 22] = [
    "_",
    "abc.",
    "asyncio.",
    "collections.",
    "concurrent.",
    "contextlib.",
    "contextvars.",
    "ctypes.",
    "email.",
    "encodings.",
    "enum.",
    "functools.",
    "http.",
    "importlib.",
    "inspect.",
    "io.",
    "logging.",
    "re.",
    "socket.",
    "threading.",
    "types.",
    "weakref.",
];
/// Packages of the platform: what grows in them is held by somebody else.
const PLATFORM: [&str; 7] = ["java.", "javax.", "jdk.", "sun.", "com.sun.", "kotlin.", "scala."];

/// What histograms say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistogramReport {
    /// What every reading says.
    #[serde(flatten)]
    pub head: Report,
    /// Shallow bytes of all objects.
    pub total_bytes: u64,
    /// All objects.
    pub total_instances: u64,
    /// How many more bytes than at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_bytes: Option<i64>,
    /// Classes, the most grown first (of a comparison) or the largest first.
    pub classes: Vec<Row>,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Name in source form.
    pub class: String,
    /// Instances.
    pub instances: u64,
    /// Shallow bytes of all instances.
    pub bytes: u64,
    /// Its part of all bytes.
    pub share: f64,
    /// How many more instances than at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_instances: Option<i64>,
    /// How many more bytes than at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_bytes: Option<i64>,
    /// Bytes in each, oldest first, of three or more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series_bytes: Vec<u64>,
}

impl Row {
    fn always_grew(&self) -> bool {
        self.series_bytes.len() > 2 && self.series_bytes.array_windows().all(|[a, b]| b > a)
    }
}

fn size(n: u64) -> String {
    bytes(n as f64)
}

fn less(a: u64, b: u64) -> i64 {
    let [a, b] = [a, b].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    a.saturating_sub(b)
}

/// Whether it is an array of a primitive type or of anything.
fn is_array(class: &str) -> bool {
    class.ends_with("[]")
}

/// Whether a class is the program's own, or a library's.
fn is_own(class: &str, language: Language) -> bool {
    let begins = |of: &[&str]| of.iter().any(|p| class.starts_with(p));
    match language {
        Language::Java => !is_array(class) && class.contains('.') && !begins(&PLATFORM),
        Language::Python => class.contains('.') && (class.starts_with("__main__.") || !begins(&MODULES)),
    }
}

/// Histograms in the order of time.
pub(super) fn conclude(series: &[&Histogram], of: &Histograms, context: &Context) -> Option<HistogramReport> {
    let (last, earlier) = series.split_last()?;
    let rows = rows(series);
    let more_bytes = earlier.first().map(|first| less(last.total.bytes, first.total.bytes));
    let mut findings = Vec::new();
    match earlier.first() {
        Some(first) => findings.push(grew(&rows, first, last, series, of.language)),
        None => findings.push(alone(last, &rows, of.language)),
    }
    if of.language == Language::Java {
        findings.extend(rows.iter().filter_map(telling));
    }
    findings.sort_by_key(|f| std::cmp::Reverse((f.accuses(), f.certainty)));
    let many = if series.len() > 1 { format!(", {} of them", series.len()) } else { String::new() };
    let kind = match of.language {
        Language::Java => format!("Java class histogram{many}"),
        Language::Python => format!("Python objects by type{many}"),
    };
    let head = Report {
        artifact: Source { kind, bytes: of.bytes, truncated: of.truncated.clone() },
        summary: summary(last, &rows, more_bytes, context),
        findings,
        groups: Vec::new(),
        warnings: warnings(series, of),
    };
    let (total_bytes, total_instances) = (last.total.bytes, last.total.instances);
    let classes = rows.into_iter().take(KEPT).collect();
    Some(HistogramReport { head, total_bytes, total_instances, more_bytes, classes })
}

fn rows(series: &[&Histogram]) -> Vec<Row> {
    let Some((last, earlier)) = series.split_last() else { return Vec::new() };
    let first = earlier.first();
    let names: HashSet<&str> = last
        .classes
        .keys()
        .chain(first.into_iter().flat_map(|f| f.classes.keys()))
        .map(String::as_str)
        .collect();
    let row = |class: &str| {
        let (is, was) = (last.of(class), first.map(|f| f.of(class)));
        Row {
            class: class.to_owned(),
            instances: is.instances,
            bytes: is.bytes,
            share: share(is.bytes, last.total.bytes),
            more_instances: was.map(|w| less(is.instances, w.instances)),
            more_bytes: was.map(|w| less(is.bytes, w.bytes)),
            series_bytes: if series.len() > 2 {
                series.iter().map(|h| h.of(class).bytes).collect()
            } else {
                Vec::new()
            },
        }
    };
    let mut rows: Vec<Row> = names.into_iter().map(row).collect();
    rows.sort_by(|a, b| (b.more_bytes, b.bytes, &a.class).cmp(&(a.more_bytes, a.bytes, &b.class)));
    rows
}

fn summary(last: &Histogram, rows: &[Row], more: Option<i64>, context: &Context) -> String {
    let mut text = format!("{} in {}", size(last.total.bytes), count(last.total.instances, "object"));
    match (more, rows.first()) {
        (Some(more), top) => {
            let word = if more < 0 { "less" } else { "more" };
            text += &format!(", {} {word} than at first", size(more.unsigned_abs()));
            if let Some((top, grown)) = top.and_then(|t| Some((t, t.more_bytes.filter(|m| *m > 0)?))) {
                text += &format!("; {} grew most, by {}", top.class, size(grown.unsigned_abs()));
            }
        }
        (None, Some(top)) => text += &format!("; the largest class is {}, {}", top.class, percent(top.share)),
        (None, None) => {}
    }
    if let Some(rss) = context.rss.filter(|r| *r > 0) {
        text += &format!("; {} of resident memory", percent(share(last.total.bytes, rss)));
    }
    text + "."
}

/// What one histogram proves: sizes.
fn alone(last: &Histogram, rows: &[Row], language: Language) -> Finding {
    let mut arrays = Count::default();
    let (text, string) = match language {
        Language::Java => (["byte[]", "char[]"], "java.lang.String"),
        Language::Python => (["str", "bytes"], ""),
    };
    for name in text {
        arrays.bytes = arrays.bytes.saturating_add(last.of(name).bytes);
        arrays.instances = arrays.instances.saturating_add(last.of(name).instances);
    }
    let part = share(arrays.bytes, last.total.bytes);
    let f = Finding::new(
        Certainty::CannotTell,
        "one histogram shows what is large, not what grows nor who holds it",
    )
    .of(Cause::Undecided);
    let f =
        f.because(format!("{} have {}, {} of all", text.join(" and "), size(arrays.bytes), percent(part)));
    let strings = last.of(string).instances;
    let f = if share(strings, arrays.instances) >= 0.8 {
        f.because(format!(
            "there are {strings} strings to {} such arrays: text, most of them",
            arrays.instances
        ))
    } else {
        f
    };
    let own = rows.iter().find(|r| is_own(&r.class, language));
    let f = match own {
        Some(own) => f.because(format!(
            "the largest that is not the platform's: {}, {} in {}",
            own.class,
            size(own.bytes),
            count(own.instances, "instance")
        )),
        None => f,
    };
    f.hint(match language {
        Language::Java => "take another in an hour and read both with read diff; who holds the objects is in a heap dump only",
        Language::Python => "take another in an hour and read both with read diff; who holds the objects is not in it",
    })
}

/// What two or more prove: differences.
fn grew(
    rows: &[Row],
    first: &Histogram,
    last: &Histogram,
    series: &[&Histogram],
    language: Language,
) -> Finding {
    let more = less(last.total.bytes, first.total.bytes);
    let enough = more >= GROWN && more as f64 >= GROWN_SHARE * first.total.bytes as f64;
    if !enough {
        let word = if more < 0 { "shrank" } else { "grew" };
        let text = format!("all objects together {word} by {} only", size(more.unsigned_abs()));
        return Finding::new(Certainty::CannotTell, text)
            .of(Cause::None)
            .because(format!("{} → {}", size(first.total.bytes), size(last.total.bytes)))
            .hint("the longer apart, the more a slow leak shows");
    }
    let always = series.len() > 2 && series.array_windows().all(|[a, b]| b.total.bytes > a.total.bytes);
    let certainty = if always { Certainty::Likely } else { Certainty::CannotTell };
    let text = format!(
        "the heap's objects grew by {}: {} → {}",
        size(more.unsigned_abs()),
        size(first.total.bytes),
        size(last.total.bytes)
    );
    let mut f = Finding::new(certainty, text).of(Cause::Retention);
    f = match series.len() {
        2 => f.but("two points: a cache that fills, or garbage not yet collected, looks the same"),
        n if always => f.because(format!("they grew at each of {} steps", n - 1)),
        n => f.but(format!("they did not grow at each of {} steps", n - 1)),
    };
    let grown = |r: &&Row| is_own(&r.class, language) && r.more_instances.is_some_and(|m| m >= MANY);
    for row in rows.iter().filter(grown).take(3) {
        f = f.because(along(row, rows, language));
    }
    if !rows.iter().any(|r| grown(&r)) {
        f = f.but("no class of the program or its libraries grew in number: who holds what grew is not in a histogram");
    }
    match language {
        Language::Java => f
            .but("whether garbage is counted is not in the text: jmap -histo and -all count it; jmap -histo:live and plain jcmd GC.class_histogram do not")
            .hint("a heap dump shows who holds them: look for the class that grew along with the arrays"),
        Language::Python => f
            .but("cycles that are not collected yet are counted")
            .hint("look in the code for what keeps these: a module's dict or list, a cache without a bound, a listener"),
    }
}

/// One of the program's classes, with the arrays and the platform's classes that grew by the same number.
fn along(row: &Row, rows: &[Row], language: Language) -> String {
    let more = row.more_instances.unwrap_or(0);
    let near = |r: &&Row| {
        let other = r.more_instances.unwrap_or(0);
        let apart = (other as f64 - more as f64).abs();
        !is_own(&r.class, language) && other >= MANY && apart <= TOGETHER * more as f64
    };
    let with: Vec<&str> = rows.iter().filter(near).take(3).map(|r| r.class.as_str()).collect();
    let each = if row.always_grew() { ", more at every step" } else { "" };
    let with = if with.is_empty() { String::new() } else { format!("; as many more {}", with.join(", ")) };
    format!(
        "{} grew by {}, {}{each}{with}",
        row.class,
        count(more.unsigned_abs(), "instance"),
        size(row.more_bytes.unwrap_or(0).unsigned_abs())
    )
}

/// Classes of the platform whose growth means something by itself.
fn telling(row: &Row) -> Option<Finding> {
    let more = row.more_instances.filter(|m| *m >= MANY && *m as u64 >= row.instances / 10)?;
    let (cause, what, hint) = match row.class.as_str() {
        "java.nio.DirectByteBuffer" => (
            Cause::OffHeap,
            "each may hold memory outside the heap, of a size that no histogram shows",
            "the category Other of VM.native_memory (Internal in JDK 8), and who holds the buffers in a heap dump",
        ),
        "java.lang.Thread" | "java.lang.VirtualThread" => (
            Cause::Accumulation,
            "threads that are held, running or not",
            "a thread dump tells which of them run",
        ),
        "java.lang.ref.Finalizer" => (
            Cause::Retention,
            "objects that wait for their finalizer",
            "a slow finalizer holds them: see the thread Finalizer",
        ),
        "java.lang.Class" => (
            Cause::OffHeap,
            "classes: their metadata is outside the heap",
            "VM.classloader_stats tells which loader is there often",
        ),
        _ => return None,
    };
    let certainty = if row.always_grew() { Certainty::Likely } else { Certainty::CannotTell };
    let text =
        format!("{} grew by {} to {}", row.class, count(more.unsigned_abs(), "instance"), row.instances);
    let f = Finding::new(certainty, text).of(cause).because(what).hint(hint);
    Some(if row.always_grew() {
        f.because("it grew at every step")
    } else {
        f.but("two points, or not at each step, are no trend")
    })
}

fn warnings(series: &[&Histogram], of: &Histograms) -> Vec<String> {
    let mut out = of.warnings.clone();
    if series.iter().rev().skip(1).any(|h| !h.is_complete) {
        out.say("an earlier histogram is not whole: what it lacks seems to have grown");
    }
    if series.len() > 1 && series.last().is_some_and(|h| !h.is_complete) {
        out.say("the last histogram is not whole: what it lacks seems to have shrunk");
    }
    out.say("bytes are shallow: what an object refers to is counted in the classes of those objects");
    out.list()
}

impl HistogramReport {
    /// Classes.
    pub fn tables(&self) -> Vec<Table> {
        let compares = self.more_bytes.is_some();
        let row = |r: &Row| {
            let mut cells = vec![size(r.bytes), r.instances.to_string(), percent(r.share), r.class.clone()];
            if let (Some(b), Some(n)) = (r.more_bytes, r.more_instances) {
                cells.splice(0..0, [bytes(b as f64), format!("{n:+}")]);
            }
            cells
        };
        let mut head = vec!["#bytes", "#instances", "#share", "class"];
        if compares {
            head.splice(0..0, ["#more", "#more of them"]);
        }
        let grown = self.classes.iter().filter(|r| !compares || r.more_bytes.is_some_and(|m| m > 0));
        let rows: Vec<_> = grown.take(ROWS).map(row).collect();
        let title = if compares { "Classes that grew" } else { "Classes, largest first" };
        if rows.is_empty() { Vec::new() } else { vec![Table { title: title.to_owned(), head, rows }] }
    }
}
