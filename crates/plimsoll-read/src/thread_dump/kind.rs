//! Thread dumps among the other artifacts.

use std::io::Read;

use serde::Serialize;

use super::{Kind as Of, ThreadDumps, py_spy, stream, to_file};
use crate::formats::{Kind, Reading};
use crate::reading::{Context, Report, Table, steps};

/// Lines that are looked at for the head of a thread.
const LINES: usize = 64;
/// Rows of a table.
const ROWS: usize = 12;

/// One pool over the dumps of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolChange {
    /// The pool's normalised name.
    pub pool: String,
    /// Threads in each dump, oldest first.
    pub counts: Vec<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    #[serde(flatten)]
    head: &'a Report,
    /// Pools whose number differs between the dumps, the most grown first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<PoolChange>,
}

impl ThreadDumps {
    /// Pools whose number differs between the dumps, the most grown first.
    pub fn changes(&self) -> Vec<PoolChange> {
        let mut out: Vec<PoolChange> = Vec::new();
        for (at, dump) in self.dumps.iter().enumerate() {
            for (name, _, pool) in dump.pools.iter().filter(|(_, kind, _)| *kind != Of::Jvm) {
                let known = out.iter().position(|c| c.pool == *name).unwrap_or_else(|| {
                    out.push(PoolChange { pool: name.clone(), counts: vec![0; self.dumps.len()] });
                    out.len() - 1
                });
                if let Some(slot) = out.get_mut(known).and_then(|c| c.counts.get_mut(at)) {
                    *slot += pool.count;
                }
            }
        }
        out.retain(|c| c.counts.iter().any(|n| Some(n) != c.counts.first()));
        out.sort_by_key(|c| (std::cmp::Reverse(c.more()), c.pool.clone()));
        out
    }

    fn told(&self) -> Reading {
        let head = self.report();
        let changes = self.changes();
        let rows = changes.iter().filter(|c| c.more() > 0).take(ROWS);
        let rows: Vec<_> =
            rows.map(|c| vec![format!("{:+}", c.more()), steps(&c.counts), c.pool.clone()]).collect();
        let title = "More threads than before".to_owned();
        let table = Table { title, head: vec!["#more", "counts", "pool"], rows };
        let tables = if table.rows.is_empty() { Vec::new() } else { vec![table] };
        Reading::new(&head, &Whole { head: &head, changes }, tables)
    }
}

impl PoolChange {
    /// How many more in the newest dump, negative when fewer.
    pub fn more(&self) -> i64 {
        let [a, b] = [self.counts.last(), self.counts.first()].map(|n| i64::try_from(*n.unwrap_or(&0)));
        a.unwrap_or(i64::MAX).saturating_sub(b.unwrap_or(i64::MAX))
    }
}

impl Kind for ThreadDumps {
    const NAME: &'static str = "threads";
    const IS_IN_LOGS: bool = true;

    fn looks_like(head: &[u8]) -> bool {
        let text = String::from_utf8_lossy(head);
        let json = text.trim_start().starts_with('{') && text.contains("\"threadDump\"");
        let listed = || text.lines().take(LINES).any(|l| to_file::head(l).is_some());
        let printed = || {
            text.lines().any(|l| {
                l.starts_with("Full thread dump ")
                    || l.contains(" Full thread dump ")
                    || l.starts_with('"') && l.contains(" tid=0x") && l.contains(" nid=")
            })
        };
        let of_python = || text.lines().take(LINES).any(|l| py_spy::head(l).is_some());
        json || printed() || listed() || of_python()
    }

    fn parse(from: &mut dyn Read) -> Option<Self> {
        stream(from)
    }

    fn reading(&self, _: &Context) -> Reading {
        self.told()
    }

    fn change(series: &[&Self], _: &Context) -> Option<Reading> {
        let last = series.last()?;
        let joined = ThreadDumps {
            form: last.form,
            dumps: series.iter().flat_map(|s| s.dumps.iter().cloned()).collect(),
            bytes: last.bytes,
            truncated: series.iter().find_map(|s| s.truncated.clone()),
            warnings: last.warnings.clone(),
        };
        Some(joined.told())
    }
}
