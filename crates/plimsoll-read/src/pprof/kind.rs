//! Profiles among the other artifacts.

use std::collections::HashMap;
use std::io::Read;

use plimsoll_core::classify::Certainty;
use plimsoll_core::units::{bytes, percent};
use serde::Serialize;

use super::wire::{Fields, Value};
use super::{Change, HeapReport, Profile, Site, folded, heapprofile, is_text, legacy, parse};
use crate::formats::{Kind, Reading};
use crate::reading::{Context, Finding, Report, Source, Table, share};

/// Bytes that are read at most.
const MOST: u64 = 1 << 30;
/// Rows of a table.
const ROWS: usize = 12;
/// Bytes of the first message, a kind of value: two or three numbers.
const VALUE_TYPE: usize = 32;

impl Kind for Profile {
    const NAME: &'static str = "profile";
    const IS_IN_LOGS: bool = false;

    fn looks_like(head: &[u8]) -> bool {
        if is_text(head) {
            let text = String::from_utf8_lossy(head);
            // The last line may be cut.
            let whole = text.rfind('\n').and_then(|end| text.get(..=end)).unwrap_or(&text);
            return legacy::is_legacy(whole) || heapprofile::looks_like(&text) || folded::looks_like(whole);
        }
        // Fields come in any order: each must be of the type that the format gives it.
        let has_message =
            Fields::of(head).any(|(field, value)| field <= 5 && matches!(value, Value::Bytes([_, ..])));
        has_message && Fields::of(head).all(|(field, value)| fits(field, value))
    }

    fn parse(from: &mut dyn Read) -> Option<Self> {
        let mut bytes = Vec::new();
        from.take(MOST).read_to_end(&mut bytes).ok()?;
        parse(&bytes)
    }

    fn reading(&self, context: &Context) -> Reading {
        match self.heap_report(context.rss) {
            Some(report) => told(&report),
            None => self.of_something_else(),
        }
    }

    fn change(series: &[&Self], context: &Context) -> Option<Reading> {
        let (last, earlier) = series.split_last()?;
        let mut report = last.heap_change(earlier.first()?, context.rss)?;
        if earlier.len() > 1 {
            let steps: Option<Vec<HeapReport>> =
                series.array_windows().map(|[a, b]| b.heap_change(a, context.rss)).collect();
            report.at_every_step(&steps?);
        }
        Some(told(&report))
    }
}

/// Whether a field of the format's number has the format's type, and a message within it only numbers that it can have.
fn fits(field: u64, value: Value<'_>) -> bool {
    let inside = |most: u64| value.fields().all(|(f, _)| (1..=most).contains(&f));
    match (field, value) {
        (1 | 11, Value::Bytes(m)) => m.len() <= VALUE_TYPE && inside(2),
        (2, Value::Bytes(_)) => inside(3),
        (3, Value::Bytes(_)) => inside(10),
        (4 | 5, Value::Bytes(_)) => inside(5),
        (6 | 13, Value::Bytes(_)) => true,
        (7..=10 | 12..=15, Value::Number(_)) => true,
        _ => false,
    }
}

impl HeapReport {
    /// Says of what grew from the first to the last whether it grew at every step.
    fn at_every_step(&mut self, steps: &[HeapReport]) {
        let grew = |site: &str, step: &HeapReport| {
            step.changes.iter().any(|c| c.site == site && c.delta_bytes > 0.0)
        };
        for f in &mut self.head.findings {
            let site = self
                .changes
                .iter()
                .find(|c| c.is_growth() && f.text.starts_with(&format!("{} grew", c.site)));
            let Some(site) = site else { continue };
            let at = steps.iter().filter(|s| grew(&site.site, s)).count();
            if at == steps.len() {
                f.pro.push(format!("it grew at each of {at} steps"));
            } else {
                f.contra.push(format!("it grew at {at} of {} steps only", steps.len()));
                f.certainty = Certainty::CannotTell;
            }
        }
        self.head.findings.sort_by_key(|f| std::cmp::Reverse(f.certainty));
    }
}

fn told(report: &HeapReport) -> Reading {
    let mut tables = Vec::new();
    if !report.changes.is_empty() {
        let rows = report.changes.iter().filter(|c| c.delta_bytes > 0.0).take(ROWS).map(change);
        tables.push(Table {
            title: "What grew".to_owned(),
            head: vec!["#more", "#at least", "#at most", "site"],
            rows: rows.collect(),
        });
    }
    tables.push(sites(report));
    Reading::new(&report.head, report, tables)
}

fn change(c: &Change) -> Vec<String> {
    vec![bytes(c.delta_bytes), bytes(c.low), bytes(c.high), c.site.clone()]
}

fn sites(report: &HeapReport) -> Table {
    let held = report.in_use.is_some();
    let total = report.in_use.or(report.allocated).map_or(0.0, |a| a.bytes);
    let row = |s: &Site| {
        let a = s.in_use.or(s.allocated).unwrap_or_default();
        let kept = s.kept().map_or_else(|| "?".to_owned(), percent);
        let error = if a.relative_error() < 0.005 {
            String::new()
        } else {
            format!("±{}", percent(a.relative_error()))
        };
        let share = if total > 0.0 { percent(a.bytes / total) } else { String::new() };
        vec![bytes(a.bytes), error, share, kept, s.site.clone()]
    };
    let title = if held { "Sites by memory in use" } else { "Sites by memory allocated" };
    Table {
        title: title.to_owned(),
        head: vec!["#bytes", "#error", "#share", "#kept", "site"],
        rows: report.sites.iter().take(ROWS).map(row).collect(),
    }
}

/// A place with what it has of a value that is not memory.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    site: String,
    value: u64,
    share: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Other<'a> {
    #[serde(flatten)]
    head: &'a Report,
    value: &'a str,
    unit: &'a str,
    total: u64,
    sites: Vec<Place>,
}

impl Profile {
    /// A profile of time, locks or whatever else: where it is, by the innermost frame.
    fn of_something_else(&self) -> Reading {
        let at = self.types.len().saturating_sub(1);
        let (name, unit) = self.types.get(at).map_or(("value", "unknown"), |t| (&t.name, &t.unit));
        let (total, sites) = self.places(at);
        let known = !matches!(name, "value" | "samples");
        let what =
            if known { format!("{name} ({unit})") } else { "numbers that it does not name".to_owned() };
        let largest = sites.first().map_or_else(
            || "it has no sample".to_owned(),
            |p| format!("most of it, {}, at {}", percent(p.share), p.site),
        );
        let doubt = Finding::new(Certainty::CannotTell, format!("a profile of {what}, not of memory in use"))
            .but("it does not show what holds memory")
            .hint("take a profile of the heap: /debug/pprof/heap, or the allocator's own");
        let mut warnings = self.warnings.clone();
        if !known {
            warnings.say("what the numbers count is not in the format: bytes, objects or time");
        }
        let head = Report {
            artifact: Source {
                kind: self.format.clone(),
                bytes: self.bytes,
                truncated: self.truncated.clone(),
            },
            summary: format!("A profile of {what}; {largest}."),
            findings: vec![doubt],
            groups: Vec::new(),
            warnings: warnings.list(),
        };
        let row = |p: &Place| vec![p.value.to_string(), percent(p.share), p.site.clone()];
        let table = Table {
            title: format!("Sites by {name}"),
            head: vec!["#value", "#share", "site"],
            rows: sites.iter().take(ROWS).map(row).collect(),
        };
        Reading::new(&head, &Other { head: &head, value: name, unit, total, sites }, vec![table])
    }

    fn places(&self, value: usize) -> (u64, Vec<Place>) {
        let mut by_site: HashMap<Option<u32>, u64> = HashMap::new();
        let mut total = 0u64;
        for sample in self.samples() {
            let n = sample.values.get(value).copied().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            let slot = by_site.entry(self.stack(sample).next()).or_default();
            *slot = slot.saturating_add(n);
            total = total.saturating_add(n);
        }
        let name = |frame: Option<u32>| {
            frame.and_then(|f| self.frame(f)).map_or_else(|| "(no frame)".to_owned(), super::Frame::place)
        };
        let place =
            |(f, value): (Option<u32>, u64)| Place { site: name(f), value, share: share(value, total) };
        let mut sites: Vec<Place> = by_site.into_iter().map(place).collect();
        sites.sort_by(|a, b| (b.value, &a.site).cmp(&(a.value, &b.site)));
        sites.truncate(ROWS * 4);
        (total, sites)
    }
}
