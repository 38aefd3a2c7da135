//! Profiles of something else than memory, and those that do not say what they count: where most of it is, and what
//! became more. Nothing of it is accused: what holds memory is not in them.

use std::collections::HashMap;

use plimsoll_core::classify::Certainty;
use plimsoll_core::units::percent;
use serde::Serialize;

use super::{Frame, Profile, ValueType};
use crate::formats::Reading;
use crate::reading::{Finding, Report, Source, Table, share, steps};

/// Rows of a table, and sites that a report keeps.
const ROWS: usize = 12;
const SITES: usize = 4 * ROWS;
/// Sites that are told to have grown.
const MOST: usize = 3;
/// How many deviations of counting a site must have grown by, and samples that are always chance.
const SURE: f64 = 3.0;
const CHANCE: f64 = 9.0;

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

/// A profile of time, locks or whatever else: where it is, by the innermost frame.
pub(super) fn reading(profile: &Profile) -> Reading {
    profile.of_something_else()
}

fn is_known(kind: &ValueType) -> bool {
    !matches!(kind.name.as_str(), "value" | "samples")
}

fn what(kind: &ValueType) -> String {
    if is_known(kind) {
        format!("{} ({})", kind.name, kind.unit)
    } else {
        "numbers that it does not name".to_owned()
    }
}

impl Profile {
    fn of_something_else(&self) -> Reading {
        let at = self.types.len().saturating_sub(1);
        let unknown = ValueType { name: "value".to_owned(), unit: "unknown".to_owned() };
        let kind = self.types.get(at).unwrap_or(&unknown);
        let (name, unit) = (kind.name.as_str(), kind.unit.as_str());
        let (total, mut sites) = self.places(at);
        sites.truncate(SITES);
        let (known, what) = (is_known(kind), what(kind));
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
            frame.and_then(|f| self.frame(f)).map_or_else(|| "(no frame)".to_owned(), Frame::place)
        };
        let place =
            |(f, value): (Option<u32>, u64)| Place { site: name(f), value, share: share(value, total) };
        let mut sites: Vec<Place> = by_site.into_iter().map(place).collect();
        sites.sort_by(|a, b| (b.value, &a.site).cmp(&(a.value, &b.site)));
        (total, sites)
    }
}

/// A place over the profiles of one process.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlaceChange {
    site: String,
    /// Its value in each profile, oldest first.
    values: Vec<u64>,
}

impl PlaceChange {
    fn before(&self) -> u64 {
        self.values.first().copied().unwrap_or(0)
    }

    fn after(&self) -> u64 {
        self.values.last().copied().unwrap_or(0)
    }

    fn more(&self) -> u64 {
        self.after().saturating_sub(self.before())
    }

    /// Growth beyond the chance of so many samples, each of which counts for `each`.
    fn is_growth(&self, each: f64) -> bool {
        let samples = (self.before() as f64 + self.after() as f64) / each;
        self.more() as f64 / each > SURE * samples.max(CHANCE).sqrt()
    }

    fn finding(&self, counts: bool) -> Finding {
        let text = format!("{} has more than before: {}", self.site, steps(&self.values));
        let f = Finding::new(Certainty::CannotTell, text);
        let f = match (self.values.len(), self.values.is_sorted_by(|a, b| a < b)) {
            (0..3, _) => f.but("two profiles do not show that it goes on"),
            (_, true) => f.because("it grew at every step"),
            (_, false) => f.but("not at every step"),
        };
        let f = if counts { f.because("more than the chance of so many samples explains") } else { f };
        f.but("a profile that was taken for longer, or under more load, has more of everything")
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed<'a> {
    #[serde(flatten)]
    head: &'a Report,
    value: &'a str,
    unit: &'a str,
    changes: Vec<PlaceChange>,
}

/// What became more over several profiles of one value, oldest first; none when they count different things.
pub(super) fn change(series: &[&Profile]) -> Option<Reading> {
    let (last, earlier) = series.split_last()?;
    let kind = last.types.last()?;
    if earlier.iter().any(|p| p.types.last() != Some(kind)) {
        return None;
    }
    let mut by_site: HashMap<String, Vec<u64>> = HashMap::new();
    for (at, profile) in series.iter().enumerate() {
        for place in profile.places(profile.types.len().saturating_sub(1)).1 {
            let values = by_site.entry(place.site).or_insert_with(|| vec![0; series.len()]);
            if let Some(slot) = values.get_mut(at) {
                *slot = slot.saturating_add(place.value);
            }
        }
    }
    let mut changes: Vec<PlaceChange> =
        by_site.into_iter().map(|(site, values)| PlaceChange { site, values }).collect();
    changes.retain(|c| c.before() != c.after());
    changes.sort_by(|a, b| (b.more(), &a.site).cmp(&(a.more(), &b.site)));
    let counts = kind.unit != "unknown";
    let each = if kind.unit == "count" || !counts { 1.0 } else { last.period.max(1) as f64 };
    let grown: Vec<Finding> =
        changes.iter().filter(|c| c.is_growth(each)).take(MOST).map(|c| c.finding(counts)).collect();
    let mut reading = reading(last);
    let told = grown.first().map_or("no site has more than chance explains", |f| &f.text);
    let mut head = reading.head.clone();
    head.summary = format!("{} profiles of {}; {told}.", series.len(), what(kind));
    head.findings.splice(0..0, grown);
    if series.iter().any(|p| p.truncated.is_some()) {
        head.warnings
            .push("one of the profiles is not whole: what it lacks seems to have changed".to_owned());
    }
    changes.truncate(SITES);
    let row = |c: &PlaceChange| vec![c.more().to_string(), steps(&c.values), c.site.clone()];
    let rows: Vec<_> = changes.iter().filter(|c| c.more() > 0).take(ROWS).map(row).collect();
    let mut tables = std::mem::take(&mut reading.tables);
    if !rows.is_empty() {
        let title = "More than before".to_owned();
        tables.insert(0, Table { title, head: vec!["#more", "values", "site"], rows });
    }
    let whole = Changed { head: &head, value: &kind.name, unit: &kind.unit, changes };
    Some(Reading::new(&head, &whole, tables))
}
