//! What malloc's own books prove: whether its memory is in use or free, and what grew.

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units::{bytes, percent};
use serde::Serialize;

use super::{Info, Infos};
use crate::reading::{Context, Finding, Report, Source, Table, change, count, grew, numbers, share};

/// Rows of a table, arenas of a report.
const ROWS: usize = 12;
const KEPT: usize = 40;
/// Free memory is named from so much on, and is what holds the memory from this part on; below the other it is not.
const LARGE: u64 = 32 << 20;
const MOSTLY: f64 = 0.5;
const HARDLY: f64 = 0.15;

/// What malloc's books say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MallocReport {
    /// What every reading says.
    #[serde(flatten)]
    pub head: Report,
    /// Held from the kernel, bytes.
    pub held_bytes: u64,
    /// In use by the program, the thread caches with it, bytes.
    pub in_use_bytes: u64,
    /// Free inside the arenas, bytes.
    pub free_bytes: u64,
    /// The free part of all that is held.
    pub free_share: f64,
    /// Blocks mapped by themselves, bytes.
    pub mapped_bytes: u64,
    /// Arenas.
    pub arena_count: u64,
    /// In use in each report, oldest first, of several; bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series_in_use_bytes: Vec<u64>,
    /// Free in each report, oldest first, of several; bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series_free_bytes: Vec<u64>,
    /// Arenas, those with the most free memory first.
    pub arenas: Vec<ArenaRow>,
}

/// One arena.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArenaRow {
    /// Its number; 0 is the main arena.
    pub number: u64,
    /// Held, bytes.
    pub held_bytes: u64,
    /// Free inside, bytes.
    pub free_bytes: u64,
    /// Free chunks.
    pub free_chunks: u64,
}

fn size(n: u64) -> String {
    bytes(n as f64)
}

/// Reports in the order of time.
pub(super) fn conclude(series: &[&Info], of: &Infos, context: &Context) -> Option<MallocReport> {
    let (last, earlier) = series.split_last()?;
    let mut findings = vec![free(last, context)];
    if let Some(first) = earlier.first() {
        findings.extend(grew("memory in use by the program", Cause::OffHeap, &numbers(series, Info::in_use)));
        findings.extend(grew(
            "free memory that malloc keeps",
            Cause::Fragmentation,
            &numbers(series, |i| i.total.free()),
        ));
        if findings.len() == 1 {
            let text = format!("malloc holds {} than at first", change(first.held(), last.held()));
            findings.push(Finding::new(Certainty::CannotTell, text).of(Cause::None));
        }
    }
    findings.sort_by_key(|f| std::cmp::Reverse((f.accuses(), f.certainty)));
    let of_each = |f: fn(&Info) -> u64| {
        if earlier.is_empty() { Vec::new() } else { series.iter().map(|i| f(i)).collect() }
    };
    let mut warnings = of.warnings.clone();
    warnings.say("thread caches count as in use; memory that the program maps by itself is not in it");
    let head = Report {
        artifact: Source {
            kind: "glibc malloc_info".to_owned(),
            bytes: of.bytes,
            truncated: of.truncated.clone(),
        },
        summary: summary(series, last, context),
        findings,
        groups: Vec::new(),
        warnings: warnings.list(),
    };
    Some(MallocReport {
        head,
        held_bytes: last.held(),
        in_use_bytes: last.in_use(),
        free_bytes: last.total.free(),
        free_share: share(last.total.free(), last.held()),
        mapped_bytes: last.mapped.bytes,
        arena_count: last.arenas.len() as u64,
        series_in_use_bytes: of_each(Info::in_use),
        series_free_bytes: of_each(|i| i.total.free()),
        arenas: arenas(last),
    })
}

fn arenas(last: &Info) -> Vec<ArenaRow> {
    let row = |(number, a): (usize, &super::Arena)| ArenaRow {
        number: number as u64,
        held_bytes: a.system,
        free_bytes: a.free(),
        free_chunks: a.fast.count.saturating_add(a.rest.count),
    };
    let mut rows: Vec<ArenaRow> = last.arenas.iter().enumerate().map(row).collect();
    rows.sort_by_key(|r| std::cmp::Reverse((r.free_bytes, r.held_bytes)));
    rows.truncate(KEPT);
    rows
}

fn summary(series: &[&Info], last: &Info, context: &Context) -> String {
    let free = last.total.free();
    let than = match series {
        [first, _, ..] => format!(" ({} than at first)", change(first.held(), last.held())),
        _ => String::new(),
    };
    let of_rss = context
        .rss
        .filter(|r| *r > 0)
        .map_or_else(String::new, |rss| format!("; resident memory is {}", size(rss)));
    format!(
        "malloc holds {}{than} in {}: {} in use, {} free inside ({}){of_rss}.",
        size(last.held()),
        count(last.arenas.len() as u64, "arena"),
        size(last.in_use()),
        size(free),
        percent(share(free, last.held()))
    )
}

/// Whether free memory is what malloc holds.
fn free(last: &Info, context: &Context) -> Finding {
    let free = last.total.free();
    let part = share(free, last.held());
    if part < HARDLY {
        let text = format!(
            "{} of what malloc holds is in use: fragmentation is not what holds the memory",
            percent(1.0 - part)
        );
        let certainty = if last.is_whole { Certainty::Likely } else { Certainty::CannotTell };
        return Finding::new(certainty, text)
            .of(Cause::None)
            .but("chunks in thread caches look as if they were in use")
            .hint("if it grows, something allocates and does not free: a heap profile of the allocator, or of the runtime above it");
    }
    let mostly = part >= MOSTLY && free >= LARGE && last.is_whole;
    let certainty = if mostly { Certainty::Likely } else { Certainty::CannotTell };
    let secondary = last.arenas.iter().skip(1).map(super::Arena::free).fold(0u64, u64::saturating_add);
    let f = Finding::new(certainty, format!("{} of what malloc holds, {}, is free inside and not returned", percent(part), size(free)))
        .of(Cause::Fragmentation)
        .because(format!("{} are free in {}", size(free), count(last.total.fast.count.saturating_add(last.total.rest.count), "chunk")))
        .but("pages inside free chunks may have been returned by malloc_trim before: then they are free and not resident")
        .but("a peak that has just passed looks the same: what is free is used again first");
    let f = match context.rss {
        Some(rss) if rss < last.in_use().saturating_add(free / 2) => {
            f.but(format!("resident memory, {}, is too small for all of it to be resident", size(rss)))
        }
        _ => f,
    };
    if share(secondary, free) >= 0.5 && last.arenas.len() > 2 {
        f.because(format!("{} of it in the {} arenas beside the main one", size(secondary), last.arenas.len() - 1))
            .hint("malloc_trim(0) gives free pages back now (a JVM: jcmd PID System.trim_native_heap). MALLOC_ARENA_MAX=2 at the next \
                   start lets fewer arenas keep free memory, and costs contention; or jemalloc, which returns pages by time")
    } else {
        f.hint("malloc_trim(0) gives free pages back now (a JVM: jcmd PID System.trim_native_heap); MALLOC_TRIM_THRESHOLD_ makes \
                it return the top earlier; or jemalloc, which returns pages by time")
    }
}

impl MallocReport {
    /// Arenas.
    pub fn tables(&self) -> Vec<Table> {
        let row = |a: &ArenaRow| {
            let name = if a.number == 0 { "0 (main)".to_owned() } else { a.number.to_string() };
            let part = percent(share(a.free_bytes, a.held_bytes));
            vec![size(a.held_bytes), size(a.free_bytes), part, a.free_chunks.to_string(), name]
        };
        let rows: Vec<_> = self.arenas.iter().take(ROWS).map(row).collect();
        let title = "Arenas, the most free memory first".to_owned();
        if rows.is_empty() {
            Vec::new()
        } else {
            vec![Table { title, head: vec!["#held", "#free", "#share", "#free chunks", "arena"], rows }]
        }
    }
}
