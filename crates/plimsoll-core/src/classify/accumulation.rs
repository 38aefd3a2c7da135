//! Accumulation: goroutines, threads or descriptors pile up, and the memory follows their number.

use super::{Assessment, Case, Cause, flat};
use crate::artifact::{Artifact, StackGroup};
use crate::recording::Recording;
use crate::signals::{CountTrend, Rising, Trend};
use crate::units;

/// Correlation from which count and memory move in lockstep.
const LOCKSTEP: f64 = 0.9;
/// Fewer bytes than this per unit cannot be what fills the memory.
const LEAST_BYTES_EACH: f64 = 256.0;
/// Share of all stacks at one place from which that place is the finding.
const ONE_PLACE: f64 = 0.5;

pub(super) fn assess(case: &Case<'_>) -> Option<Assessment> {
    let total = case.signals.total.as_ref();
    let lead = case.signals.counts.iter().max_by(|a, b| rank(a, total).total_cmp(&rank(b, total)))?;
    let mut a = Assessment::new(Cause::Accumulation, "a count that stays flat while the memory climbs");
    a.p_climb = lead.trend.p_climb;
    match lead.trend.rising {
        Rising::Yes => pile_up(&mut a, lead, total),
        Rising::No => a.contra(3.0, format!("{} are flat at {}", lead.trend.name, lead.trend.level_words())),
        Rising::Unclear => a.missing.push(format!("whether {} climb cannot be told yet", lead.trend.name)),
    }
    if lead.trend.rising == Rising::Yes {
        one_place(&mut a, case.recording, lead);
        super::plateau(&mut a, &lead.trend);
    }
    Some(a)
}

/// A count that explains the memory goes before one that merely climbs.
fn rank(c: &CountTrend, total: Option<&Trend>) -> f64 {
    let rising = if c.trend.rising == Rising::Yes { 2.0 } else { 0.0 };
    rising + if explains(c, total) { 4.0 } else { 0.0 } + c.lockstep
}

/// True when the count climbs and its units, at a believable size each, explain most of the growth.
pub(super) fn explains(c: &CountTrend, total: Option<&Trend>) -> bool {
    let Some(total) = total else { return false };
    let size = c.bytes_each >= LEAST_BYTES_EACH && c.bytes_each <= c.rule.most_bytes_each;
    c.trend.rising == Rising::Yes && total.rising == Rising::Yes && c.lockstep >= LOCKSTEP && size
}

fn pile_up(a: &mut Assessment, c: &CountTrend, total: Option<&Trend>) {
    let noun = c.rule.noun;
    a.pro(1.5, format!("{}s climb {}", noun, c.trend.growth_words()));
    if explains(c, total) {
        a.pro(
            2.0,
            format!(
                "memory climbs in lockstep (r = {:.2}): {} per {noun}",
                c.lockstep,
                units::bytes(c.bytes_each)
            ),
        );
    } else if flat(total) {
        a.pro(0.3, "the memory has not followed yet".to_owned());
    } else if c.bytes_each > c.rule.most_bytes_each {
        a.contra(2.0, format!("{} per {noun} is more than one can pin", units::bytes(c.bytes_each)));
    }
    if let Some(share) = c.own_share.filter(|s| *s >= 0.2) {
        a.pro(1.0, format!("their stacks alone are {} of the growth", units::percent(share)));
    }
}

/// Most of them parked at one line name the leak.
fn one_place(a: &mut Assessment, r: &Recording, c: &CountTrend) {
    let newest = r.artifacts.iter().rev().find_map(|(_, x)| match x {
        Artifact::Goroutines { groups, total, .. } if c.rule.noun == "goroutine" => Some((groups, *total)),
        Artifact::Threads { groups, total } if c.rule.noun == "thread" => Some((groups, *total)),
        _ => None,
    });
    let Some((groups, total)) = newest else { return };
    let Some(top) = groups.first() else { return };
    let share = top.count as f64 / total.max(1) as f64;
    if share >= ONE_PLACE {
        a.pro(2.0, format!("{} of {total} {}s {}", top.count, c.rule.noun, place(top)));
    }
}

fn place(g: &StackGroup) -> String {
    let state = g.state.as_deref().map_or_else(String::new, |s| format!(" ({s})"));
    let creator = g.creator.as_deref().map_or_else(String::new, |c| format!(", started by {c}"));
    format!("stand at {}{state}{creator}", g.top)
}
