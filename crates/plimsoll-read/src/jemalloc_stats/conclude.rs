//! What jemalloc's statistics prove: how much is in use, how much is lost inside pages, how much waits to be returned.

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units::{bytes, percent};
use serde::Serialize;

use super::{AllStats, Stats};
use crate::reading::{Context, Finding, Report, Source, Table, change, grew, numbers, share};

/// Amounts below are not named; parts of active or resident memory from which on they are the matter.
const LARGE: u64 = 32 << 20;
const LOST: f64 = 0.30;
const UNRETURNED: f64 = 0.30;
const HARDLY: f64 = 0.10;

/// What jemalloc's statistics say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JemallocReport {
    /// What every reading says.
    #[serde(flatten)]
    pub head: Report,
    /// In use by the program, bytes.
    pub allocated_bytes: u64,
    /// In pages that hold something of it, bytes.
    pub active_bytes: u64,
    /// The part of active memory that is not allocated.
    pub fragmentation_share: f64,
    /// Resident at most, bytes.
    pub resident_bytes: Option<u64>,
    /// jemalloc's own, bytes.
    pub metadata_bytes: Option<u64>,
    /// Free pages that are resident still, bytes: resident beyond active and metadata.
    pub unreturned_bytes: Option<u64>,
    /// Addresses kept for later, not resident; bytes.
    pub retained_bytes: Option<u64>,
    /// In use in each report, oldest first, of several; bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series_allocated_bytes: Vec<u64>,
}

fn size(n: u64) -> String {
    bytes(n as f64)
}

impl Stats {
    /// Bytes lost inside pages that hold something.
    pub fn lost(&self) -> u64 {
        self.active.saturating_sub(self.allocated)
    }

    /// Free pages that are resident still, bytes; none where resident memory is not told.
    pub fn unreturned(&self) -> Option<u64> {
        let used = self.active.saturating_add(self.metadata.unwrap_or(0));
        Some(self.resident?.saturating_sub(used))
    }
}

/// Reports in the order of time.
pub(super) fn conclude(series: &[&Stats], of: &AllStats, context: &Context) -> Option<JemallocReport> {
    let (last, earlier) = series.split_last()?;
    let mut findings: Vec<Finding> = [lost(last), unreturned(last)].into_iter().flatten().collect();
    if findings.is_empty() {
        findings.push(in_use(last));
    }
    if !earlier.is_empty() {
        findings.extend(grew(
            "memory in use by the program",
            Cause::OffHeap,
            &numbers(series, |s| s.allocated),
        ));
        findings.extend(grew(
            "memory lost inside pages",
            Cause::Fragmentation,
            &numbers(series, Stats::lost),
        ));
        findings.extend(steady(series));
    }
    findings.sort_by_key(|f| std::cmp::Reverse((f.accuses(), f.certainty)));
    let version = last.version.as_ref().map_or_else(String::new, |v| format!(" {v}"));
    let mut warnings = of.warnings.clone();
    warnings.say("memory that the program maps by itself, stacks and code are not in it");
    if last.resident.is_none() {
        warnings.say("resident memory is not told by this version: what waits to be returned is unknown");
    }
    let head = Report {
        artifact: Source {
            kind: format!("jemalloc{version} statistics"),
            bytes: of.bytes,
            truncated: of.truncated.clone(),
        },
        summary: summary(series, last, context),
        findings,
        groups: Vec::new(),
        warnings: warnings.list(),
    };
    Some(JemallocReport {
        head,
        allocated_bytes: last.allocated,
        active_bytes: last.active,
        fragmentation_share: share(last.lost(), last.active),
        resident_bytes: last.resident,
        metadata_bytes: last.metadata,
        unreturned_bytes: last.unreturned(),
        retained_bytes: last.retained,
        series_allocated_bytes: if earlier.is_empty() {
            Vec::new()
        } else {
            series.iter().map(|s| s.allocated).collect()
        },
    })
}

/// That neither grew, when so.
fn steady(series: &[&Stats]) -> Option<Finding> {
    let all = [numbers(series, |s| s.allocated), numbers(series, Stats::lost)];
    let grown = all.iter().any(|n| grew("", Cause::Undecided, n).is_some());
    (!grown).then(|| {
        Finding::new(Certainty::CannotTell, "neither memory in use nor holes grew beyond noise")
            .of(Cause::None)
            .hint("take another later: the longer apart, the more it shows")
    })
}

fn summary(series: &[&Stats], last: &Stats, context: &Context) -> String {
    let mut text = format!("jemalloc has {} in use", size(last.allocated));
    if let [first, _, ..] = series {
        text += &format!(" ({} than at first)", change(first.allocated, last.allocated));
    }
    text +=
        &format!(", {} lost inside pages ({})", size(last.lost()), percent(share(last.lost(), last.active)));
    if let Some(waiting) = last.unreturned() {
        text += &format!(", {} free and not returned yet", size(waiting));
    }
    if let (Some(rss), Some(resident)) = (context.rss, last.resident) {
        let beyond = rss.saturating_sub(resident);
        text += &format!("; {} of the resident {} are outside of it", size(beyond), size(rss));
    }
    text + "."
}

fn lost(last: &Stats) -> Option<Finding> {
    let (lost, part) = (last.lost(), share(last.lost(), last.active));
    (lost >= LARGE && part >= LOST).then(|| {
        Finding::new(Certainty::Likely, format!("{} of active memory, {}, are holes between what is in use", percent(part), size(lost)))
            .of(Cause::Fragmentation)
            .because(format!("active {}, allocated {}", size(last.active), size(last.allocated)))
            .but("after a peak, survivors hold their pages for a while: the next load of the same kind fills the holes")
            .hint("the table bins of the report says in which sizes (util far below 1); short-lived and long-lived objects of \
                   those sizes in arenas of their own do not mix")
    })
}

fn unreturned(last: &Stats) -> Option<Finding> {
    let waiting = last.unreturned()?;
    let part = share(waiting, last.resident?);
    (waiting >= LARGE && part >= UNRETURNED).then(|| {
        let f = Finding::new(Certainty::Likely, format!("{}, {} of what is resident, are free pages that are not returned yet", size(waiting), percent(part)))
            .of(Cause::Fragmentation)
            .because("resident memory beyond active and jemalloc's own");
        let f = match last.dirty_decay {
            Some(ms) if ms < 0 => f.because("dirty_decay_ms is -1: free pages are never returned"),
            Some(ms) => f.because(format!("dirty_decay_ms is {ms}")).but("they go back by themselves as time passes"),
            None => f.but("they may go back by themselves as time passes"),
        };
        let f = match last.background {
            Some(false) => f.because("no background thread: an idle arena keeps its free pages until it is used again"),
            _ => f,
        };
        f.hint("MALLOC_CONF=background_thread:true,dirty_decay_ms:1000; the control arena.<i>.purge returns them at once")
    })
}

fn in_use(last: &Stats) -> Finding {
    let lost = share(last.lost(), last.active);
    let waiting = last.unreturned().map(|w| share(w, last.resident.unwrap_or(0)));
    let sure = last.is_whole && lost < HARDLY && waiting.is_some_and(|w| w < HARDLY);
    let certainty = if sure { Certainty::Likely } else { Certainty::CannotTell };
    let text = if sure {
        "most of what jemalloc holds is in use: fragmentation is not what holds the memory"
    } else {
        "neither holes nor unreturned pages are what holds most of the memory"
    };
    Finding::new(certainty, text)
        .of(Cause::None)
        .because(format!("{} of active memory is allocated", percent(1.0 - lost)))
        .hint(
            "if it grows, something allocates and does not free: MALLOC_CONF=prof:true and two heap profiles",
        )
}

impl JemallocReport {
    /// Where the memory is.
    pub fn tables(&self) -> Vec<Table> {
        let lost = self.active_bytes.saturating_sub(self.allocated_bytes);
        let rows = [
            ("in use", Some(self.allocated_bytes), "by the program"),
            ("holes", Some(lost), "inside pages that hold something"),
            ("not returned", self.unreturned_bytes, "free pages, resident still"),
            ("metadata", self.metadata_bytes, "jemalloc's own"),
            ("retained", self.retained_bytes, "addresses only, not resident"),
        ];
        let row = |(name, n, what): (&str, Option<u64>, &str)| {
            vec![n.map_or_else(|| "?".to_owned(), size), name.to_owned(), what.to_owned()]
        };
        let rows = rows.into_iter().map(row).collect();
        vec![Table { title: "Where it is".to_owned(), head: vec!["#bytes", "part", "what it is"], rows }]
    }
}
