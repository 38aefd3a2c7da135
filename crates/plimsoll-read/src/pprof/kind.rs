//! Profiles among the other artifacts.

use std::io::Read;

use plimsoll_core::classify::Certainty;
use plimsoll_core::units::{bytes, percent};

use super::wire::{Fields, Value};
use super::{
    Change, HeapReport, Profile, Site, folded, heapprofile, is_text, legacy, other, parse, tracemalloc,
};
use crate::formats::{Kind, Reading};
use crate::reading::{Context, Table};

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
            return legacy::is_legacy(whole)
                || heapprofile::looks_like(&text)
                || tracemalloc::looks_like(whole)
                || folded::looks_like(whole);
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
            None => other::reading(self),
        }
    }

    fn change(series: &[&Self], context: &Context) -> Option<Reading> {
        let (last, earlier) = series.split_last()?;
        let Some(mut report) = last.heap_change(earlier.first()?, context.rss) else {
            return other::change(series);
        };
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
