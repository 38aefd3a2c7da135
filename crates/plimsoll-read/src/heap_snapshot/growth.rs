//! What grew between snapshots of one process: constructors, and the places where bytes pile up.

use std::collections::HashMap;

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units::bytes;
use serde::Serialize;

use super::HeapSnapshot;
use super::report::{Place, SnapshotReport};
use crate::reading::{Context, Finding, Report, Source, Table, Warnings, share, steps};

/// Rows of a table.
const ROWS: usize = 12;
/// Changes kept.
const KEPT: usize = 40;
/// Bytes of growth from which on something is accused.
const LARGE: u64 = 1 << 20;
/// The share of all growth that a place or constructor must have to be told of.
const NOTABLE: f64 = 0.1;

/// What a comparison needs of one snapshot, without its graph.
#[derive(Debug, Clone)]
pub struct Outline {
    source: Source,
    total: u64,
    classes: HashMap<String, (u64, u64)>,
    places: Vec<Place>,
}

impl Outline {
    /// Of a snapshot.
    pub fn of(heap: &HeapSnapshot) -> Outline {
        let report: SnapshotReport = heap.report(&Context::default());
        let only_reachable = report.reachable_bytes.is_some();
        let classes = heap.histogram(only_reachable).into_iter();
        Outline {
            source: heap.source(),
            total: report.reachable_bytes.unwrap_or(report.counts.total_bytes),
            classes: classes.map(|row| (row.class, (row.objects, row.bytes))).collect(),
            places: report.places,
        }
    }

    /// The same place in this snapshot. The engine numbers an object once: its id stays, where the shortest way to it may
    /// change.
    fn place(&self, wanted: &Place) -> Option<&Place> {
        let same = self.places.iter().find(|place| place.id == wanted.id && place.what == wanted.what);
        same.or_else(|| self.places.iter().find(|place| place.path == wanted.path))
    }
}

/// How a constructor or a place changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The constructor, or the way to the place.
    pub what: String,
    /// Objects or entries in each snapshot.
    pub counts: Vec<u64>,
    /// Own bytes of the objects, or bytes retained, in each snapshot; 0 where a place was not yet large.
    pub bytes: Vec<u64>,
    /// Whether it grew at every step, of two or more.
    pub always: bool,
    /// The shape of most keys of a place in the last snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// Whether the first snapshot has the place with keys of another shape.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fresh_keys: bool,
}

impl Change {
    fn new(what: String, pairs: Vec<(u64, u64)>) -> Change {
        let (counts, bytes): (Vec<u64>, Vec<u64>) = pairs.into_iter().unzip();
        let rises = bytes.windows(2).all(|pair| matches!(pair, [before, after] if before < after));
        Change { what, counts, always: rises && bytes.len() > 2, bytes, keys: None, fresh_keys: false }
    }

    /// Bytes more than at first.
    pub fn grown(&self) -> u64 {
        let (first, last) = (self.bytes.first().copied(), self.bytes.last().copied());
        last.unwrap_or(0).saturating_sub(first.unwrap_or(0))
    }
}

/// What grew.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Growth {
    /// What every reading says.
    #[serde(flatten)]
    pub head: Report,
    /// Bytes in each snapshot.
    pub total_bytes: Vec<u64>,
    /// Constructors that grew, most first.
    pub classes: Vec<Change>,
    /// Places that grew, most first.
    pub places: Vec<Change>,
}

/// What grew over snapshots of one process, oldest first; none of fewer than two.
pub fn growth(series: &[Outline]) -> Option<Growth> {
    let [first, .., last] = series else { return None };
    let names = last.classes.keys().map(|class| {
        let at = |o: &Outline| o.classes.get(class).copied().unwrap_or((0, 0));
        Change::new(class.clone(), series.iter().map(at).collect())
    });
    let classes = largest(names.collect());
    let at = |o: &Outline, wanted: &Place| {
        o.place(wanted).map_or((0, 0), |place| (place.entries, place.retained_bytes))
    };
    let places = last.places.iter().map(|place| {
        let change = Change::new(place.path.clone(), series.iter().map(|o| at(o, place)).collect());
        let known = first.place(place);
        let fresh_keys = place.keys.is_some() && known.is_some_and(|known| known.keys != place.keys);
        Change { keys: place.keys.clone(), fresh_keys, ..change }
    });
    let places = largest(places.collect());
    let grown = last.total.saturating_sub(first.total);
    let mut source = last.source.clone();
    source.truncated = series.iter().find_map(|o| o.source.truncated.clone());
    let is_whole = source.truncated.is_none();
    let findings = findings(&classes, &places, grown, series.len(), is_whole);
    let mut warnings = Warnings::default();
    if !is_whole {
        warnings.say("a snapshot is not whole: its numbers are too small");
    }
    let totals: Vec<u64> = series.iter().map(|o| o.total).collect();
    let words: Vec<String> = totals.iter().map(|total| bytes(*total as f64)).collect();
    let most = classes.first().filter(|_| grown > 0);
    let most = most.map(|c| format!("; most by {}: {}", c.what, steps(&c.counts))).unwrap_or_default();
    let summary = format!("{}{most}", words.join(" → "));
    let head = Report { artifact: source, summary, findings, groups: Vec::new(), warnings: warnings.list() };
    Some(Growth { head, total_bytes: totals, classes, places })
}

/// Those that grew, most first.
fn largest(mut changes: Vec<Change>) -> Vec<Change> {
    changes.retain(|change| change.grown() > 0);
    changes.sort_by(|a, b| b.grown().cmp(&a.grown()).then_with(|| a.what.cmp(&b.what)));
    changes.truncate(KEPT);
    changes
}

fn findings(
    classes: &[Change],
    places: &[Change],
    grown: u64,
    snapshots: usize,
    is_whole: bool,
) -> Vec<Finding> {
    let is_notable = |c: &&Change| c.grown() >= LARGE && share(c.grown(), grown) >= NOTABLE;
    let mut found: Vec<Finding> = Vec::new();
    for change in places.iter().filter(is_notable).take(3) {
        // Where it was not yet among the large places, how much it held is not known.
        let is_sure = change.always && is_whole && !change.bytes.contains(&0);
        let certainty = if is_sure { Certainty::Likely } else { Certainty::CannotTell };
        let sizes: Vec<String> = change.bytes.iter().map(|b| size(*b)).collect();
        let text = format!("{} → it retains {}", change.what, sizes.join(" → "));
        let mut finding = Finding::new(certainty, text)
            .of(Cause::Retention)
            .because(format!("entries {}", steps(&change.counts)));
        if let Some(keys) = &change.keys {
            let new = if change.fresh_keys { ", which the first snapshot does not have" } else { "" };
            finding = finding.because(format!("keys like {keys}{new}"));
        }
        let finding = finding.but("a cache that is still filling grows the same way, until it is full");
        found.push(if is_sure {
            finding
        } else {
            finding.hint("take a third: growth at every step says more")
        });
    }
    if found.is_empty() && grown < LARGE {
        let text =
            format!("the heap did not grow by more than {} over {snapshots} snapshots", bytes(LARGE as f64));
        found.push(Finding::new(Certainty::Likely, text).of(Cause::None));
    } else if found.is_empty() {
        let most = classes.first().map(|c| c.what.clone()).unwrap_or_default();
        let text = format!("the heap grew by {}, most by {most}, at no single place", bytes(grown as f64));
        found.push(
            Finding::new(Certainty::CannotTell, text)
                .hint("read the last snapshot by itself, and take a third one"),
        );
    }
    found
}

fn size(retained: u64) -> String {
    if retained == 0 { "(not yet large)".to_owned() } else { bytes(retained as f64) }
}

impl Growth {
    /// Tables of the screen.
    pub fn tables(&self) -> Vec<Table> {
        let table = |title: &str, changes: &[Change]| Table {
            title: title.to_owned(),
            head: vec!["#more", "objects", "at every step", "what"],
            rows: changes.iter().take(ROWS).map(row).collect(),
        };
        vec![table("Constructors that grew, by their own bytes", &self.classes)]
    }
}

fn row(change: &Change) -> Vec<String> {
    let always = match change.bytes.len() {
        0..=2 => "?",
        _ if change.always => "yes",
        _ => "no",
    };
    vec![
        format!("+{}", bytes(change.grown() as f64)),
        steps(&change.counts),
        always.to_owned(),
        change.what.clone(),
    ]
}
