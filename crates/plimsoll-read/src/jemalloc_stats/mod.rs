//! jemalloc's statistics (`malloc_stats_print`), as text of versions 3 to 5 and as JSON.

mod conclude;
mod kind;
#[cfg(test)]
mod tests;

use std::io::Read;

pub use conclude::JemallocReport;
use serde_json::Value;

use crate::lines::Lines;
use crate::reading::Warnings;

/// Reports of one file; bytes of JSON that are read.
const REPORTS: usize = 500;
const JSON: u64 = 64 << 20;

/// One report, bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// The version of jemalloc, where it is told.
    pub version: Option<String>,
    /// In use by the program.
    pub allocated: u64,
    /// In pages that hold something of it.
    pub active: u64,
    /// jemalloc's own.
    pub metadata: Option<u64>,
    /// Resident at most; none before version 4.
    pub resident: Option<u64>,
    /// Mapped.
    pub mapped: Option<u64>,
    /// Addresses kept for later, not resident.
    pub retained: Option<u64>,
    /// How many milliseconds free pages stay before they are given back; -1 means for ever.
    pub dirty_decay: Option<i64>,
    /// Arenas.
    pub arenas: Option<u64>,
    /// Whether a thread gives free pages back in the background.
    pub background: Option<bool>,
    /// Whether its end is there.
    pub is_whole: bool,
}

/// All reports of a file, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllStats {
    /// The reports.
    pub all: Vec<Stats>,
    /// Bytes read.
    pub bytes: u64,
    /// Why the last one is not whole.
    pub truncated: Option<String>,
    /// What to know before believing the numbers.
    pub warnings: Warnings,
}

/// Reads every report, text or one of JSON; none when there is none with the sums.
pub fn read(from: &mut dyn Read) -> Option<AllStats> {
    let mut head = Vec::new();
    from.take(64).read_to_end(&mut head).ok()?;
    if head.trim_ascii_start().starts_with(b"{") {
        from.take(JSON).read_to_end(&mut head).ok()?;
        return json(&head);
    }
    let mut out = AllStats::default();
    let mut lines = Lines::new(head.as_slice().chain(from));
    let mut open = None;
    while let Some(line) = lines.next() {
        // Without its end the last number may be cut.
        if lines.is_whole() {
            out.line(line.trim(), &mut open);
        }
    }
    out.bytes = lines.bytes();
    out.keep(open);
    if !out.all.last()?.is_whole {
        out.truncated = Some("the closing line is missing".to_owned());
    }
    Some(out)
}

impl AllStats {
    fn line(&mut self, line: &str, open: &mut Option<Stats>) {
        if line.contains("___ Begin jemalloc statistics ___") {
            let before = open.replace(Stats::default());
            self.keep(before);
            return;
        }
        let Some(stats) = open else { return };
        if line.contains("--- End jemalloc statistics ---") {
            stats.is_whole = true;
            let whole = open.take();
            self.keep(whole);
        } else if let Some(rest) = line.strip_prefix("Version:") {
            stats.version = Some(version(rest.trim().trim_matches('"')));
        } else if line.starts_with("Allocated:") && stats.active == 0 {
            line.split(", ").for_each(|part| stats.sum(part));
        } else if let Some(rest) = line.strip_prefix("opt.dirty_decay_ms:") {
            stats.dirty_decay = first(rest);
        } else if let Some(rest) = line.strip_prefix("Arenas:") {
            stats.arenas = first(rest);
        } else if let Some(rest) = line.strip_prefix("opt.background_thread:") {
            stats.background = Some(rest.trim_start().starts_with("true"));
        }
    }

    fn keep(&mut self, stats: Option<Stats>) {
        let Some(stats) = stats.filter(|s| s.active > 0) else { return };
        if self.all.len() == REPORTS {
            self.all.remove(0);
            self.warnings.say(format!("more than {REPORTS} reports: the oldest are left out"));
        }
        self.all.push(stats);
    }
}

impl Stats {
    /// `resident: 7340032`, or `metadata: 2915392 (n_thp 0)`.
    fn sum(&mut self, part: &str) {
        let Some((name, rest)) = part.split_once(':') else { return };
        let Some(number) = first(rest) else { return };
        match name.trim() {
            "Allocated" => self.allocated = number,
            "active" => self.active = number,
            "metadata" => self.metadata = Some(number),
            "resident" => self.resident = Some(number),
            "mapped" => self.mapped = Some(number),
            "retained" => self.retained = Some(number),
            _ => {}
        }
    }
}

/// `5.3.0-0-g54eaed1d8b56…` without the commit.
fn version(text: &str) -> String {
    text.split('-').next().unwrap_or(text).chars().take(32).collect()
}

fn first<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// `{"jemalloc": {…}}`; one that is cut has no sums that can be trusted, so only its absence is told.
fn json(bytes: &[u8]) -> Option<AllStats> {
    let whole: Value = serde_json::from_slice(bytes).ok()?;
    let root = whole.get("jemalloc")?;
    let sums = root.get("stats")?;
    let sum = |name: &str| sums.get(name).and_then(Value::as_u64);
    let opt = |name: &str| root.get("opt").and_then(|o| o.get(name));
    let stats = Stats {
        version: root.get("version").and_then(Value::as_str).map(version),
        allocated: sum("allocated")?,
        active: sum("active")?,
        metadata: sum("metadata"),
        resident: sum("resident"),
        mapped: sum("mapped"),
        retained: sum("retained"),
        dirty_decay: opt("dirty_decay_ms").and_then(Value::as_i64),
        arenas: root.get("arenas").and_then(|a| a.get("narenas")).and_then(Value::as_u64),
        background: opt("background_thread").and_then(Value::as_bool),
        is_whole: true,
    };
    Some(AllStats { all: vec![stats], bytes: bytes.len() as u64, ..AllStats::default() })
}
