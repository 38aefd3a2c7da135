//! Goroutine dumps of one process over time: which groups grew, and whether at every step.

use std::collections::HashMap;

use plimsoll_core::classify::{Cause, Certainty};
use serde::Serialize;

use super::Goroutines;
use super::conclude::{MOST, ONE_DUMP, doing};
use super::frames::Frame;
use crate::reading::{Finding, GROUPS_KEPT, Report, count, steps};

/// One group over the dumps of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What they do and where.
    pub what: String,
    /// Who started them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// How many in each dump, oldest first.
    pub counts: Vec<u64>,
}

impl Change {
    /// How many in the oldest dump.
    pub fn before(&self) -> u64 {
        self.counts.first().copied().unwrap_or(0)
    }

    /// How many in the newest one.
    pub fn after(&self) -> u64 {
        self.counts.last().copied().unwrap_or(0)
    }

    /// How many more, negative when fewer.
    pub fn delta(&self) -> i64 {
        let [a, b] = [self.after(), self.before()].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        a.saturating_sub(b)
    }

    /// Growth beyond what counting noise of both would give.
    pub fn is_growth(&self) -> bool {
        self.delta() as f64 > 3.0 * ((self.before() + self.after()) as f64).sqrt().max(3.0)
    }

    /// Likely a leak only where every dump is whole, and of three or more where it grew at every step.
    fn finding(&self, whole: bool) -> Finding {
        let steady = self.counts.is_sorted_by(|a, b| a < b);
        let certainty = if whole && steady { Certainty::Likely } else { Certainty::CannotTell };
        let (before, after) = (self.before(), self.after());
        let text = format!("{} more {}: {before} before, {after} now", self.delta(), self.what);
        let f = Finding::new(certainty, text).of(Cause::Accumulation).because("more than chance explains");
        let f = match self.counts.len() {
            0..3 => f.but(
                "load that rose between the dumps looks the same: compare at the same load, or take a third",
            ),
            _ if steady => f.because(format!("it grew at every step: {}", steps(&self.counts))),
            _ => f.but(format!("not at every step: {}", steps(&self.counts))),
        };
        match &self.creator {
            Some(creator) => f.because(format!("started by {creator}")),
            None => f,
        }
    }
}

/// What the dumps of one process say together.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Growth {
    /// What the newest one says, who grew first.
    #[serde(flatten)]
    pub head: Report,
    /// Groups whose number changed, the most grown first, at most as many as groups are kept.
    pub changes: Vec<Change>,
}

/// What the dumps of one process say together, oldest first, one at least.
pub fn over(series: &[&Goroutines]) -> Growth {
    let (Some(first), Some(last)) = (series.first(), series.last()) else {
        return Growth { head: Report::default(), changes: Vec::new() };
    };
    let mut head = last.report();
    let whole = series.iter().all(|g| g.truncated.is_none());
    let mut changes = compare(series);
    let grown: Vec<Finding> =
        changes.iter().filter(|c| c.is_growth()).take(MOST).map(|c| c.finding(whole)).collect();
    let told =
        grown.first().map_or_else(|| "no group grew by more than chance".to_owned(), |f| f.text.clone());
    let dumps = if series.len() > 2 { format!(" over {} dumps", series.len()) } else { String::new() };
    head.summary = format!("from {} to {}{dumps}; {told}.", first.total(), count(last.total(), "goroutine"));
    head.findings.iter_mut().for_each(|f| settle(f, &grown, series.len()));
    head.findings.splice(0..0, grown);
    head.findings.sort_by_key(|f| std::cmp::Reverse(f.certainty));
    if !whole {
        head.warnings.push("one of the dumps is not whole: groups cannot be compared fairly".to_owned());
    }
    changes.truncate(GROUPS_KEPT);
    Growth { head, changes }
}

/// Where several dumps were read, they say what one leaves open.
fn settle(finding: &mut Finding, grown: &[Finding], dumps: usize) {
    let before = finding.contra.len();
    finding.contra.retain(|c| c != ONE_DUMP);
    if finding.contra.len() < before && grown.is_empty() {
        finding.contra.insert(0, format!("no group grew by more than chance over {dumps} dumps"));
    }
}

/// Every group whose number changed, by place, state and creator; the most grown first.
pub fn compare(series: &[&Goroutines]) -> Vec<Change> {
    let mut by_key: HashMap<(String, Option<String>), Vec<u64>> = HashMap::new();
    for (at, dump) in series.iter().enumerate() {
        for g in &dump.groups {
            let key = (doing(g), g.creator.as_ref().map(Frame::place));
            let counts = by_key.entry(key).or_insert_with(|| vec![0; series.len()]);
            if let Some(slot) = counts.get_mut(at) {
                *slot = slot.saturating_add(g.count);
            }
        }
    }
    let change = |((what, creator), counts)| Change { what, creator, counts };
    let differs = |c: &Change| c.counts.iter().any(|n| *n != c.before());
    let mut out: Vec<Change> = by_key.into_iter().map(change).filter(differs).collect();
    out.sort_by(|a, b| (b.delta(), &a.what, &a.creator).cmp(&(a.delta(), &b.what, &b.creator)));
    out
}
