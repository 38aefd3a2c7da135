//! What a report of native memory tracking proves: where the JVM's own memory is, what grew, and how much of the
//! resident memory the JVM knows nothing of.

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::units::{bytes, percent};
use serde::Serialize;

use super::text::{Category, Reports, Site, Tracking};
use crate::reading::{Context, Finding, Report, Source, Table, share};

/// Rows of a table.
const ROWS: usize = 12;
/// Resident memory beyond what is committed is worth a finding from this part and this many bytes on: the code of
/// libraries and the program itself takes some tens of MiB.
const GAP_SHARE: f64 = 0.10;
const GAP: u64 = 96 << 20;
/// A category that grew by so much, and by this part of what it had, is worth a finding.
const GROWN: i64 = 8 << 20;
const GROWN_SHARE: f64 = 0.10;
/// A unit from which on a report hides what may grow.
const COARSE: u64 = 1 << 20;
/// A category outside the heap that has this part of all is named.
const LARGE: f64 = 0.15;
/// Findings of growth.
const MOST: usize = 4;

/// What native memory tracking says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NmtReport {
    /// What every reading says.
    #[serde(flatten)]
    pub head: Report,
    /// Reserved in all categories, bytes.
    pub reserved_bytes: Option<u64>,
    /// Committed in all categories, bytes.
    pub committed_bytes: Option<u64>,
    /// How much more is committed than at first, or than at the baseline, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_bytes: Option<i64>,
    /// Resident memory beyond everything that is committed, bytes: at least so much is outside the JVM's sight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unexplained_bytes: Option<u64>,
    /// Categories, the most grown first (of a comparison) or the largest first.
    pub categories: Vec<Row>,
    /// Call sites, in the same order; only of detail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub call_sites: Vec<Place>,
}

/// A category of one report or of several.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Name as the JVM prints it.
    pub name: String,
    /// Committed, bytes.
    pub committed_bytes: u64,
    /// Reserved, bytes.
    pub reserved_bytes: u64,
    /// Its part of all that is committed.
    pub share: f64,
    /// How much more is committed, bytes; none without anything to compare with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_bytes: Option<i64>,
    /// Committed in each report, oldest first, of three or more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series_bytes: Vec<u64>,
    /// Threads or classes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// A call site.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Frames, innermost first.
    pub stack: Vec<String>,
    /// Allocated or committed by it, bytes.
    pub bytes: u64,
    /// How much more, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_bytes: Option<i64>,
    /// Blocks of it.
    pub blocks: u64,
    /// Its category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

/// Reports in the order of time; one that compares with a baseline stands for two.
pub(super) fn conclude(reports: &[&Tracking], of: &Reports, context: &Context) -> NmtReport {
    let Some(last) = reports.last() else { return off(of) };
    let points = if reports.len() == 1 && last.is_diff { 2 } else { reports.len() };
    let rows = rows(reports);
    let sites = places(reports);
    let more = more(reports, |t| Some(&t.total));
    let committed = last.total.committed.bytes;
    let mut findings = Vec::new();
    findings.extend(gap(committed, context));
    findings.extend(over_limit(last, context));
    let grown = growth(&rows, &sites, points);
    findings.extend((points > 1 && grown.is_empty()).then(steady));
    findings.extend(grown);
    findings.extend(large(&rows, points));
    if points == 1 {
        findings.push(alone());
    }
    findings.sort_by_key(|f| std::cmp::Reverse((f.accuses(), f.certainty)));
    let head = Report {
        artifact: source(of, last, reports.len()),
        summary: summary(last, &rows, more, points, context),
        findings,
        groups: Vec::new(),
        warnings: warnings(of, context),
    };
    let unexplained_bytes = context.rss.and_then(|rss| rss.checked_sub(committed));
    NmtReport {
        head,
        reserved_bytes: Some(last.total.reserved.bytes),
        committed_bytes: Some(committed),
        more_bytes: more,
        unexplained_bytes,
        categories: rows,
        call_sites: sites,
    }
}

fn source(of: &Reports, last: &Tracking, reports: usize) -> Source {
    let form = if last.is_detail { "detail" } else { "summary" };
    let diff = if last.is_diff { ", compared with its baseline" } else { "" };
    let many = if reports > 1 { format!(", {reports} reports") } else { String::new() };
    Source {
        kind: format!("JVM native memory tracking, {form}{diff}{many}"),
        bytes: of.bytes,
        truncated: of.truncated.clone(),
    }
}

/// The JVM said that it does not track.
fn off(of: &Reports) -> NmtReport {
    let text = "native memory tracking is off in this JVM: the artifact has no number";
    let finding = Finding::new(Certainty::CannotTell, text).of(Cause::Undecided).hint(
        "restart one replica with -XX:NativeMemoryTracking=summary (5 to 10 % of speed; detail costs more), then \
         jcmd PID VM.native_memory baseline, and summary.diff an hour later",
    );
    let kind = "JVM native memory tracking".to_owned();
    let head = Report {
        artifact: Source { kind, bytes: of.bytes, truncated: of.truncated.clone() },
        summary: "Native memory tracking is off: nothing is known of the JVM's native memory.".to_owned(),
        findings: vec![finding],
        warnings: of.warnings.list(),
        ..Report::default()
    };
    NmtReport {
        head,
        reserved_bytes: None,
        committed_bytes: None,
        more_bytes: None,
        unexplained_bytes: None,
        categories: Vec::new(),
        call_sites: Vec::new(),
    }
}

/// How much more is committed in `of`; a category that is missing was below one unit, so it counts as nothing.
fn more<'a>(reports: &[&'a Tracking], of: impl Fn(&'a Tracking) -> Option<&'a Category>) -> Option<i64> {
    let (first, last) = (reports.first()?, reports.last()?);
    if reports.len() == 1 {
        return last.is_diff.then(|| of(last).and_then(|c| c.committed.more).unwrap_or(0));
    }
    let at = |t: &'a Tracking| i64::try_from(of(t).map_or(0, |c| c.committed.bytes)).unwrap_or(i64::MAX);
    Some(at(last).saturating_sub(at(first)))
}

fn rows(reports: &[&Tracking]) -> Vec<Row> {
    let Some(last) = reports.last() else { return Vec::new() };
    let row = |c: &Category| Row {
        name: c.name.clone(),
        committed_bytes: c.committed.bytes,
        reserved_bytes: c.reserved.bytes,
        share: share(c.committed.bytes, last.total.committed.bytes),
        more_bytes: more(reports, |t| t.of(&c.name)),
        series_bytes: if reports.len() > 2 {
            reports.iter().map(|t| t.of(&c.name).map_or(0, |c| c.committed.bytes)).collect()
        } else {
            Vec::new()
        },
        count: c.count.map(|n| n.bytes),
    };
    let mut rows: Vec<Row> = last.categories.iter().map(row).collect();
    rows.sort_by_key(|r| std::cmp::Reverse((r.more_bytes, r.committed_bytes)));
    rows
}

fn places(reports: &[&Tracking]) -> Vec<Place> {
    let Some((last, earlier)) = reports.split_last() else { return Vec::new() };
    // Only the largest are kept: what the first report does not have may have been small there, not absent.
    let before = |site: &Site| {
        let was =
            earlier.first()?.sites.iter().find(|s| s.stack == site.stack && s.category == site.category)?;
        i64::try_from(site.amount.bytes).ok()?.checked_sub(i64::try_from(was.amount.bytes).ok()?)
    };
    let place = |s: &Site| Place {
        stack: s.stack.clone(),
        bytes: s.amount.bytes,
        more_bytes: if earlier.is_empty() { s.amount.more } else { before(s) },
        blocks: s.blocks,
        category: s.category.clone(),
    };
    let mut out: Vec<Place> = last.sites.iter().map(place).collect();
    out.sort_by_key(|p| std::cmp::Reverse((p.more_bytes, p.bytes)));
    out
}

fn summary(last: &Tracking, rows: &[Row], more: Option<i64>, points: usize, context: &Context) -> String {
    let committed = last.total.committed.bytes;
    let mut text = format!("The JVM has committed {}", bytes(committed as f64));
    match (more, rows.first()) {
        (Some(more), Some(top)) if top.more_bytes.is_some_and(|m| m > 0) => {
            let what = top.more_bytes.unwrap_or(0);
            text += &format!(
                ", {} {} {}; {} grew most, by {}",
                bytes(more.unsigned_abs() as f64),
                if more < 0 { "less than" } else { "more than" },
                if points > 2 { "at first" } else { "before" },
                top.name,
                bytes(what as f64)
            );
        }
        (Some(_), _) => text += "; no category grew",
        (None, Some(top)) => text += &format!("; most of it is {}, {}", top.name, percent(top.share)),
        (None, None) => {}
    }
    match context.rss {
        Some(rss) if rss > committed => {
            text += &format!(
                "; at least {} of the resident {} are outside its sight",
                bytes((rss - committed) as f64),
                bytes(rss as f64)
            );
        }
        _ => {}
    }
    text + "."
}

/// Resident memory that the JVM does not know of.
fn gap(committed: u64, context: &Context) -> Option<Finding> {
    let rss = context.rss?;
    let Some(gap) = rss.checked_sub(committed).filter(|g| *g >= GAP && share(*g, rss) >= GAP_SHARE) else {
        let text = format!(
            "resident memory, {}, is not far above what is committed, {}: nothing is proved to be outside the JVM's sight",
            bytes(rss as f64),
            bytes(committed as f64)
        );
        let why =
            "committed memory that was never touched is not resident, and may hide as much that is untracked";
        return Some(Finding::new(Certainty::CannotTell, text).of(Cause::None).but(why));
    };
    let text = format!(
        "at least {} of the resident memory ({}) are nothing that the JVM tracks",
        bytes(gap as f64),
        percent(share(gap, rss))
    );
    Some(
        Finding::new(Certainty::Likely, text)
            .of(Cause::OffHeap)
            .because(format!("resident {}, committed {}", bytes(rss as f64), bytes(committed as f64)))
            .because("committed memory that was never touched is not resident, so the true gap is larger")
            .but("free memory that glibc keeps, and files that are mapped, are in it: neither is a leak")
            .hint(
                "tell them apart by /proc/PID/smaps and malloc_info; if jcmd PID System.trim_native_heap gives it back, \
                 the allocator kept it; else a native library (JNI) allocates it",
            ),
    )
}

/// Whether heap and native memory fit the container, the heap full.
fn over_limit(last: &Tracking, context: &Context) -> Option<Finding> {
    let limit = context.limit?;
    let heap = last.of("Java Heap")?;
    let native = last.total.committed.bytes.checked_sub(heap.committed.bytes)?;
    let full = heap.reserved.bytes.checked_add(native)?;
    (full > limit).then(|| {
        let text = format!(
            "with a full heap the JVM needs {}, which is more than the limit of {}",
            bytes(full as f64),
            bytes(limit as f64)
        );
        Finding::new(Certainty::Likely, text)
            .of(Cause::OverBudget)
            .because(format!(
                "the heap may grow to {}, and {} are committed beside it",
                bytes(heap.reserved.bytes as f64),
                bytes(native as f64)
            ))
            .but("the heap may never fill, and committed memory need not be resident")
            .hint("lower -Xmx (or MaxRAMPercentage), or raise the limit")
    })
}

/// That no category grew beyond noise.
fn steady() -> Finding {
    let text = format!("no category grew by {} or more, and a tenth of what it was", bytes(GROWN as f64));
    Finding::new(Certainty::CannotTell, text)
        .of(Cause::None)
        .hint("compare again later: the longer apart, the more a slow leak shows")
}

/// What grew, outside the heap.
fn growth(rows: &[Row], sites: &[Place], points: usize) -> Vec<Finding> {
    let grown = rows.iter().filter_map(|r| Some((r, r.more_bytes?)));
    let grown = grown.filter(|(r, more)| {
        let before = r.committed_bytes.saturating_sub(more.unsigned_abs());
        *more >= GROWN && *more as f64 >= GROWN_SHARE * before as f64
    });
    grown.take(MOST).map(|(row, more)| grew(row, more, sites, points)).collect()
}

fn grew(row: &Row, more: i64, sites: &[Place], points: usize) -> Finding {
    let before = row.committed_bytes.saturating_sub(more.unsigned_abs());
    let steps = row.series_bytes.array_windows().filter(|[a, b]| b > a).count();
    let always = points > 2 && steps + 1 == points;
    let kind = kind(&row.name);
    // Two points are a difference, not a trend; what a warm-up fills grows at first in any JVM.
    let certainty = match kind.cause {
        Cause::None => Certainty::CannotTell,
        _ if kind.settles && points < 4 => Certainty::CannotTell,
        _ if always || points == 2 && before > 0 && more >= 32 << 20 => Certainty::Likely,
        _ => Certainty::CannotTell,
    };
    let text = format!(
        "{} grew by {}: {} → {}",
        row.name,
        bytes(more as f64),
        bytes(before as f64),
        bytes(row.committed_bytes as f64)
    );
    let mut f = Finding::new(certainty, text).of(kind.cause).because(kind.what);
    if let Some(site) =
        sites.iter().find(|s| s.category.as_deref().is_some_and(|c| c.starts_with(row.name.as_str())))
    {
        let more = site.more_bytes.filter(|m| *m > 0);
        if let Some(more) = more {
            f = f.because(format!("{} of it at {}", bytes(more as f64), place(&site.stack)));
        }
    }
    f = match points {
        2 => f.but("two points: a pool or a cache that fills, or a warm-up, looks the same"),
        n if always => f.because(format!("it grew at each of {} steps", n - 1)),
        n => f.but(format!("it grew at {steps} of {} steps only", n - 1)),
    };
    if kind.hint.is_empty() { f } else { f.hint(kind.hint) }
}

/// Large categories beside the heap, when nothing is there to compare with.
fn large(rows: &[Row], points: usize) -> Vec<Finding> {
    if points > 1 {
        return Vec::new();
    }
    // What any JVM needs in proportion to its heap and code is worth a word only when it is very large.
    let least = |r: &Row| if kind(&r.name).settles { 2.0 * LARGE } else { LARGE };
    let large =
        rows.iter().filter(|r| r.name != "Java Heap" && r.share >= least(r) && r.committed_bytes >= 32 << 20);
    let say = |row: &Row| {
        let kind = kind(&row.name);
        let text = format!(
            "{} has {}, {} of all that is committed",
            row.name,
            bytes(row.committed_bytes as f64),
            percent(row.share)
        );
        let f = Finding::new(Certainty::CannotTell, text).of(kind.cause).because(kind.what);
        let f = f.but("one report shows a size, not a growth");
        if kind.hint.is_empty() { f } else { f.hint(kind.hint) }
    };
    large.take(MOST).map(say).collect()
}

fn alone() -> Finding {
    Finding::new(Certainty::CannotTell, "one report cannot show what grows")
        .of(Cause::Undecided)
        .hint("jcmd PID VM.native_memory baseline, and summary.diff an hour later; or read two of these with read diff")
}

fn warnings(of: &Reports, context: &Context) -> Vec<String> {
    let mut out = of.warnings.clone();
    out.say("it does not see what native libraries allocate, mapped files, nor free memory that the allocator keeps");
    if context.rss.is_none() {
        out.say("resident memory is not known here: give it with --rss, to see what the JVM does not track");
    }
    if let Some(unit) = of.all.last().map(|t| t.unit).filter(|u| *u >= COARSE) {
        let unit = bytes(unit as f64);
        out.say(format!(
            "each amount is cut to whole {unit} (scale=KB tells more): what is below is not seen"
        ));
    }
    out.list()
}

/// What a category means.
struct Meaning {
    cause: Cause,
    /// Whether it grows in any JVM that warms up, and then stops.
    settles: bool,
    what: &'static str,
    hint: &'static str,
}

fn kind(name: &str) -> Meaning {
    let of = |cause, settles, what, hint| Meaning { cause, settles, what, hint };
    match name {
        "Java Heap" => of(
            Cause::None,
            true,
            "a heap that is committed further is no leak by itself",
            "look at the heap after a collection: GC log, class histogram",
        ),
        "Other" => of(
            Cause::OffHeap,
            false,
            "direct buffers and Unsafe.allocateMemory (from JDK 11 on)",
            "bound it by -XX:MaxDirectMemorySize; find who keeps the buffers: java.nio.DirectByteBuffer in a heap dump",
        ),
        "Internal" => of(
            Cause::OffHeap,
            false,
            "in JDK 8 direct buffers are here too; else the JVM's own structures",
            "bound direct buffers by -XX:MaxDirectMemorySize",
        ),
        "Thread" | "Thread Stack" => of(
            Cause::Accumulation,
            false,
            "stacks of threads and what belongs to them",
            "a thread dump says which pool grew",
        ),
        "Class" | "Metaspace" => of(
            Cause::OffHeap,
            true,
            "metadata of loaded classes",
            "growth that goes on is a leak of class loaders: VM.classloader_stats",
        ),
        "Code" => of(Cause::OffHeap, true, "compiled code; ends at ReservedCodeCacheSize", ""),
        "GC" => of(Cause::OffHeap, true, "the collector's tables, in proportion to the heap", ""),
        "Compiler" | "Arena Chunk" => of(
            Cause::OffHeap,
            true,
            "what compiling takes for a while",
            "a peak while compiling is normal: look again later",
        ),
        "Symbol" | "String" => of(
            Cause::OffHeap,
            true,
            "names and interned strings",
            "growth that goes on: generated classes or String.intern",
        ),
        "Native Memory Tracking" => {
            of(Cause::None, true, "the tracking itself", "it grows with what it counts")
        }
        _ => of(Cause::OffHeap, true, "the JVM's own structures", ""),
    }
}

/// The frame that tells: the first with a name.
fn place(stack: &[String]) -> String {
    let mut named = stack.iter().filter(|f| !f.starts_with('('));
    let first = named.next().or(stack.first()).map_or("?", |f| f.as_str());
    first.split_once('(').filter(|(name, _)| !name.is_empty()).map_or(first, |(name, _)| name).to_owned()
}

/// Rows of the screen: of a comparison those that changed, the most grown and, at the end, the most shrunk.
fn shown(rows: &[Row], compares: bool) -> Vec<&Row> {
    let changed: Vec<&Row> =
        rows.iter().filter(|r| !compares || r.more_bytes.is_none_or(|m| m != 0)).collect();
    let shrunk = usize::from(compares) * 3;
    let skipped = changed.len().saturating_sub(ROWS);
    let head = changed.iter().take(ROWS - shrunk);
    head.chain(changed.iter().skip(ROWS - shrunk + skipped).take(shrunk)).copied().collect()
}

impl NmtReport {
    /// Categories and call sites.
    pub fn tables(&self) -> Vec<Table> {
        let compares = self.more_bytes.is_some();
        let signed = |n: Option<i64>| n.map_or_else(|| "?".to_owned(), |n| bytes(n as f64));
        let row = |r: &Row| {
            let mut cells =
                vec![bytes(r.committed_bytes as f64), percent(r.share), bytes(r.reserved_bytes as f64)];
            if compares {
                cells.insert(0, signed(r.more_bytes));
            }
            cells.push(r.count.map_or_else(String::new, |n| n.to_string()));
            cells.push(r.name.clone());
            cells
        };
        let mut head = vec!["#committed", "#share", "#reserved", "#threads/classes", "category"];
        let mut site_head = vec!["#bytes", "#blocks", "category", "place"];
        if compares {
            head.insert(0, "#more");
            site_head.insert(0, "#more");
        }
        let site = |p: &Place| {
            let blocks = if p.blocks == 0 { String::new() } else { p.blocks.to_string() };
            let mut cells =
                vec![bytes(p.bytes as f64), blocks, p.category.clone().unwrap_or_default(), place(&p.stack)];
            if compares {
                cells.insert(0, signed(p.more_bytes));
            }
            cells
        };
        let rows = shown(&self.categories, compares).into_iter().map(row).collect();
        let sites: Vec<_> = self.call_sites.iter().take(ROWS).map(site).collect();
        let title = if compares { "Categories, the most grown first" } else { "Categories, largest first" };
        let mut out = vec![Table { title: title.to_owned(), head, rows }];
        if !sites.is_empty() {
            out.push(Table { title: "Call sites".to_owned(), head: site_head, rows: sites });
        }
        out.retain(|t| !t.rows.is_empty());
        out
    }
}
