//! What the mappings of a process prove: where resident memory is, and what grew.

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units::{bytes, percent};
use serde::Serialize;

use super::survey::{Form, Sum, Survey, Use};
use crate::reading::{Context, Finding, Report, Source, Table, count, share};

/// Rows of a table.
const ROWS: usize = 12;
/// Arenas, stacks and huge pages are worth a finding from these on.
const MANY_ARENAS: u64 = 8;
const MANY_STACKS: u64 = 500;
const LARGE: u64 = 64 << 20;
const LARGE_SHARE: f64 = 0.10;
/// Growth of a use that is worth a finding: bytes, and part of what it had.
const GROWN: i64 = 8 << 20;
const GROWN_SHARE: f64 = 0.10;

/// What the mappings say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapsReport {
    /// What every reading says.
    #[serde(flatten)]
    pub head: Report,
    /// Mappings.
    pub mappings: u64,
    /// Address space, bytes.
    pub size_bytes: u64,
    /// Resident, bytes; none where the file does not have it.
    pub resident_bytes: Option<u64>,
    /// In swap, bytes.
    pub swap_bytes: u64,
    /// In huge pages, bytes.
    pub huge_bytes: u64,
    /// By use, the most grown first (of a comparison) or the largest first.
    pub uses: Vec<Row>,
    /// Files, the most resident first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Row>,
    /// Single mappings, the largest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub largest: Vec<Row>,
}

/// Mappings of one use, of one file, or one by itself; bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// What it is.
    pub name: String,
    /// How many mappings.
    pub count: u64,
    /// Address space.
    pub size_bytes: u64,
    /// Resident.
    pub resident_bytes: u64,
    /// In swap.
    pub swap_bytes: u64,
    /// How much more is resident or in swap than at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_bytes: Option<i64>,
    /// How many more mappings than at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<i64>,
    /// Resident or in swap, oldest first, of three or more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series_bytes: Vec<u64>,
}

impl Row {
    fn of(name: impl Into<String>, sum: Sum) -> Row {
        Row {
            name: name.into(),
            count: sum.count,
            size_bytes: sum.size,
            resident_bytes: sum.resident,
            swap_bytes: sum.swap,
            ..Row::default()
        }
    }
}

/// What a process holds of a use, wherever the kernel put it.
fn held(sum: Sum) -> u64 {
    sum.resident.saturating_add(sum.swap)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn size(n: u64) -> String {
    bytes(n as f64)
}

/// The mappings of one process in the order of time.
pub(super) fn conclude(series: &[&Survey], context: &Context) -> Option<MapsReport> {
    let (last, earlier) = series.split_last()?;
    let uses = uses(series);
    let mut findings = Vec::new();
    if !earlier.is_empty() {
        findings.extend(uses.iter().filter_map(|r| grew(r, series.len())));
    }
    findings.extend(
        [arenas(last), swapped(last), huge(last), stacks(last), gone(last), shared(last)]
            .into_iter()
            .flatten(),
    );
    findings.extend(lazily_free(last));
    if findings.is_empty() {
        findings.push(calm(last, earlier.is_empty()));
    }
    findings.sort_by_key(|f| std::cmp::Reverse((f.accuses(), f.certainty)));
    let head = Report {
        artifact: Source {
            kind: kind(last.form).to_owned(),
            bytes: last.bytes,
            truncated: last.truncated.clone(),
        },
        summary: summary(series, &uses, context),
        findings,
        groups: Vec::new(),
        warnings: warnings(last),
    };
    let mut files: Vec<Row> =
        last.files.iter().map(|(name, sum)| Row::of(shown(name, last.form), *sum)).collect();
    files.sort_by(|a, b| {
        (b.resident_bytes, b.size_bytes, &a.name).cmp(&(a.resident_bytes, a.size_bytes, &b.name))
    });
    files.truncate(ROWS * 3);
    let largest = last.largest.iter().map(|(a, used)| {
        let named = if a.name.is_empty() { used.name() } else { shown(&a.name, last.form) };
        Row::of(format!("{:x}-{:x} {named}", a.start, a.end), Sum::from(a))
    });
    Some(MapsReport {
        mappings: last.total.count,
        size_bytes: last.total.size,
        resident_bytes: last.has_resident().then_some(last.total.resident),
        swap_bytes: last.total.swap,
        huge_bytes: last.total.huge.saturating_add(last.total.hugetlb),
        uses,
        files,
        largest: largest.collect(),
        head,
    })
}

/// `pmap` prints base names: the mark that tells them from the kernel's own names is taken off again.
fn shown(name: &str, form: Form) -> &str {
    let base = name.strip_prefix('/').filter(|n| matches!(form, Form::Pmap(_)) && !n.contains('/'));
    base.unwrap_or(name)
}

fn kind(form: Form) -> &'static str {
    match form {
        Form::Smaps => "mappings of a process (smaps)",
        Form::Rollup => "sums of a process's mappings (smaps_rollup)",
        Form::Maps => "mappings of a process (maps, without resident memory)",
        Form::Pmap(true) => "mappings of a process (pmap)",
        Form::Pmap(false) => "mappings of a process (pmap, without resident memory)",
    }
}

fn uses(series: &[&Survey]) -> Vec<Row> {
    let Some((last, first)) = series.last().zip(series.first()) else { return Vec::new() };
    let row = |used: Use| {
        let mut row = Row::of(used.name(), last.of(used));
        if series.len() > 1 {
            let (a, b) = (first.of(used), last.of(used));
            row.more_bytes = Some(signed(held(b)).saturating_sub(signed(held(a))));
            row.more = Some(signed(b.count).saturating_sub(signed(a.count)));
        }
        if series.len() > 2 {
            row.series_bytes = series.iter().map(|s| held(s.of(used))).collect();
        }
        row
    };
    let mut rows: Vec<Row> =
        Use::ALL.into_iter().map(row).filter(|r| r.count > 0 || r.more.is_some_and(|m| m != 0)).collect();
    rows.sort_by_key(|r| std::cmp::Reverse((r.more_bytes, r.resident_bytes, r.size_bytes)));
    rows
}

fn summary(series: &[&Survey], uses: &[Row], context: &Context) -> String {
    let Some((last, first)) = series.last().zip(series.first()) else { return String::new() };
    if !last.has_resident() {
        let size = size(last.total.size);
        return format!(
            "{} over {size} of addresses; how much of it is resident is not in this file.",
            count(last.total.count, "mapping")
        );
    }
    let all = held(last.total);
    let anonymous = match last.form {
        // A file's private pages, once written, are anonymous too.
        _ if last.total.anonymous > 0 => {
            format!(", {} of it anonymous", percent(share(last.total.anonymous, last.total.resident)))
        }
        _ => String::new(),
    };
    let mut text = format!("{} resident{anonymous}", size(last.total.resident));
    if last.total.swap > 0 {
        text += &format!(", and {} in swap", size(last.total.swap));
    }
    if series.len() > 1 {
        let more = signed(all).saturating_sub(signed(held(first.total)));
        text += &format!(
            "; {} {} than at first",
            size(more.unsigned_abs()),
            if more < 0 { "less" } else { "more" }
        );
    }
    match uses.first() {
        Some(top) if top.more_bytes.is_some_and(|m| m > 0) => {
            text += &format!(", most of it in {}", top.name);
        }
        Some(top) if series.len() == 1 => {
            text += &format!("; most is {}, {}", top.name, size(top.resident_bytes));
        }
        _ => {}
    }
    if let Some(limit) = context.limit.filter(|l| *l > 0) {
        text += &format!("; {} of the limit", percent(share(last.total.resident, limit)));
    }
    text + "."
}

/// A use that grew.
fn grew(row: &Row, points: usize) -> Option<Finding> {
    let more = row.more_bytes?;
    let now = row.resident_bytes.saturating_add(row.swap_bytes);
    let before = now.saturating_sub(more.unsigned_abs());
    let enough = more >= GROWN && more as f64 >= GROWN_SHARE * before as f64;
    let files = [Use::Files.name(), Use::Kernel.name()].contains(&row.name.as_str());
    if !enough {
        return None;
    }
    let steps = row.series_bytes.array_windows().filter(|[a, b]| b > a).count();
    let always = points > 2 && steps + 1 == points;
    let certainty = if always && !files { Certainty::Likely } else { Certainty::CannotTell };
    let cause = match row.name.as_str() {
        _ if files => Cause::None,
        n if n == Use::Stacks.name() => Cause::Accumulation,
        n if n == Use::Arenas.name() || n == Use::Brk.name() => Cause::OffHeap,
        _ => Cause::Undecided,
    };
    let text =
        format!("{} grew by {}: {} → {}", row.name, size(more.unsigned_abs()), size(before), size(now));
    let mut f = Finding::new(certainty, text).of(cause);
    if let Some(more) = row.more.filter(|m| *m > 0) {
        f = f.because(format!("mappings of it: {more} more"));
    }
    f = match points {
        2 => f.but("two points: what warms up or fills a cache looks the same"),
        n if always => f.because(format!("it grew at each of {} steps", n - 1)),
        n => f.but(format!("it grew at {steps} of {} steps only", n - 1)),
    };
    if files {
        f = f.but("pages of files that were not written can be dropped by the kernel at any time");
    } else if cause == Cause::OffHeap {
        f = f
            .but("in use or free within the allocator: mappings do not tell")
            .hint("malloc_info (or the allocator's own statistics) says how much is free");
    } else if cause == Cause::Undecided {
        f = f
            .but("a managed heap lies in anonymous memory too: whose it is, mappings do not tell")
            .hint("compare it with the heap's own size at both times");
    }
    Some(f)
}

fn arenas(last: &Survey) -> Option<Finding> {
    let arenas = last.of(Use::Arenas);
    let large = arenas.resident >= LARGE && share(arenas.resident, last.total.resident) >= LARGE_SHARE;
    if arenas.count < MANY_ARENAS && !large {
        return None;
    }
    let text = if last.has_resident() {
        format!("{} hold {}", count(arenas.count, "glibc arena heap"), size(arenas.resident))
    } else {
        format!("{} reserve 64 MiB each", count(arenas.count, "glibc arena heap"))
    };
    Some(
        Finding::new(Certainty::CannotTell, text)
            .of(Cause::Fragmentation)
            .because("aligned regions of 64 MiB with a closed rest, as glibc makes one for each thread that competes, up to 8 per core")
            .but("mappings do not tell whether the memory in them is in use or free")
            .hint(
                "malloc_info tells how much is free in them. MALLOC_ARENA_MAX=2 bounds their number at the next start, and \
                 costs contention; malloc_trim(0) or, in a JVM, jcmd PID System.trim_native_heap gives free pages back now",
            ),
    )
}

fn swapped(last: &Survey) -> Option<Finding> {
    let swap = last.total.swap;
    (swap > 0 && share(swap, held(last.total)) >= 0.01).then(|| {
        Finding::new(
            Certainty::Certain,
            format!("{} are in swap: resident memory understates by so much", size(swap)),
        )
        .of(Cause::None)
        .hint(
            "watch resident memory and swap together: resident memory alone can fall while the process grows",
        )
    })
}

fn huge(last: &Survey) -> Option<Finding> {
    let huge = last.total.huge;
    let part = share(huge, last.total.resident);
    (huge >= LARGE * 2 && part >= 0.3).then(|| {
        let text = format!("huge pages hold {}, {} of what is resident", size(huge), percent(part));
        Finding::new(Certainty::CannotTell, text)
            .of(Cause::Fragmentation)
            .because("a page of 2 MiB is resident as a whole, however little of it is used")
            .but("if the memory is densely used, nothing is wasted, and it is faster")
            .hint("transparent_hugepage=madvise (or prctl PR_SET_THP_DISABLE) on one replica, and compare")
    })
}

fn stacks(last: &Survey) -> Option<Finding> {
    let stacks = last.of(Use::Stacks);
    (stacks.count >= MANY_STACKS).then(|| {
        let text = format!(
            "{} reserve {} and hold {}",
            count(stacks.count, "thread stack"),
            size(stacks.size),
            size(held(stacks))
        );
        Finding::new(Certainty::CannotTell, text)
            .of(Cause::Accumulation)
            .because("each is a writable block behind a guard page")
            .but("the number by itself is no leak: a pool may be meant so; one list cannot show growth")
            .hint("a thread dump says which pool they are of; only what is held counts against the limit, not what is reserved")
    })
}

fn gone(last: &Survey) -> Option<Finding> {
    let gone = last.of(Use::Deleted);
    (gone.resident >= LARGE || gone.size >= 16 * LARGE).then(|| {
        let text =
            format!("{} of deleted files are mapped, {} resident", size(gone.size), size(gone.resident));
        Finding::new(Certainty::CannotTell, text)
            .of(Cause::OffHeap)
            .but("temporary files are often deleted while they are open, on purpose")
            .hint("their space on disk comes back only when they are unmapped and closed: lsof +L1")
    })
}

fn shared(last: &Survey) -> Option<Finding> {
    let shared = last.of(Use::Shared);
    (held(shared) >= LARGE).then(|| {
        let text = format!("{} hold {} of shared memory", count(shared.count, "mapping"), size(held(shared)));
        Finding::new(Certainty::CannotTell, text)
            .of(Cause::OffHeap)
            .because("memfd, /dev/shm and System V segments count against the container's limit, and cannot be dropped")
            .but("segments of several processes count in each one's resident memory, and once in the container's")
    })
}

fn lazily_free(last: &Survey) -> Option<Finding> {
    let free = last.total.lazily_free;
    (free >= LARGE).then(|| {
        let text = format!("{} of what is resident are free for the kernel to take (MADV_FREE)", size(free));
        Finding::new(Certainty::Certain, text)
            .of(Cause::None)
            .because("resident memory overstates by so much")
    })
}

fn calm(last: &Survey, alone: bool) -> Finding {
    let (text, hint) = if !last.has_resident() {
        ("addresses alone do not tell what is resident", "read /proc/PID/smaps, or pmap -x PID, instead")
    } else if alone {
        (
            "nothing in it is unusual; one list cannot show what grows",
            "take another in an hour, and read both with read diff",
        )
    } else {
        ("no use of memory grew beyond its noise", "take another later: the longer apart, the more it shows")
    };
    Finding::new(Certainty::CannotTell, text).of(Cause::Undecided).hint(hint)
}

fn warnings(last: &Survey) -> Vec<String> {
    let mut out = last.warnings.clone();
    match last.form {
        Form::Rollup => out.say("sums only: which mappings they are of is in smaps"),
        Form::Maps | Form::Pmap(false) => out.say("resident memory and swap are not in it"),
        Form::Pmap(true) => out.say("names of files are without their folders"),
        Form::Smaps => {}
    }
    if last.of(Use::Stacks).count > 0 {
        out.say("stacks are told by the guard page before them: other blocks behind a guard look the same");
    }
    out.say("what is free within a heap or an allocator looks like what is in use");
    if last.total.hugetlb > 0 {
        out.say(format!(
            "{} in reserved huge pages (hugetlb) are not part of resident memory",
            size(last.total.hugetlb)
        ));
    }
    out.list()
}

impl MapsReport {
    /// By use, files, single mappings.
    pub fn tables(&self) -> Vec<Table> {
        let compares = self.uses.iter().any(|r| r.more_bytes.is_some());
        let signed = |n: Option<i64>| n.map_or_else(String::new, |n| bytes(n as f64));
        let resident = |n: u64| if self.resident_bytes.is_some() { size(n) } else { "?".to_owned() };
        let cells = |r: &Row, compares: bool| {
            let mut cells =
                vec![resident(r.resident_bytes), size(r.swap_bytes), size(r.size_bytes), r.count.to_string()];
            if compares {
                cells.splice(
                    0..0,
                    [signed(r.more_bytes), r.more.map_or_else(String::new, |n| format!("{n:+}"))],
                );
            }
            cells.push(r.name.clone());
            cells
        };
        let table = |title: &str, rows: &[Row], compares: bool| {
            let mut head = vec!["#resident", "#swap", "#reserved", "#mappings", "what"];
            if compares {
                head.splice(0..0, ["#more", "#more of them"]);
            }
            let rows = rows.iter().take(ROWS).map(|r| cells(r, compares)).collect();
            Table { title: title.to_owned(), head, rows }
        };
        let mut out = vec![table("By use", &self.uses, compares)];
        let files = self.files.get(..self.files.len().min(6)).unwrap_or_default();
        out.push(table("Files", files, false));
        out.push(table(
            "Largest mappings",
            self.largest.get(..self.largest.len().min(6)).unwrap_or_default(),
            false,
        ));
        out.retain(|t| !t.rows.is_empty());
        out
    }
}
