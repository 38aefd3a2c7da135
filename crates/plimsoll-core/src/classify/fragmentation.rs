//! Fragmentation: memory that is free inside the allocator or the collector, held and not returned.

use super::{Assessment, Case, Cause, climb_weight, flat, lockstep_count, plateau, rises};
use crate::signals::Trend;
use crate::units;

/// Held memory of at least this many times the live heap speaks of a collector that keeps memory.
const HELD_PER_LIVE: f64 = 2.0;

/// Free memory inside the allocator matters from this share of the process's memory on.
const LEAST_FREE: f64 = 0.1;

pub(super) fn assess(case: &Case<'_>) -> Option<Assessment> {
    let s = case.signals;
    let mut a = Assessment::new(Cause::Fragmentation, "a forced trim or compaction that gives nothing back");
    let total = s.total.as_ref()?;
    a.p_climb = total.p_climb;
    allocator(&mut a, case, total);
    collector(&mut a, case, total);
    if flat(Some(total)) {
        a.contra(2.0, format!("{} is flat at {}", total.name, total.level_words()));
    }
    if rises(s.live.as_ref()) {
        a.contra(3.0, "what stays after collection climbs as well".to_owned());
    }
    if let Some(c) = lockstep_count(case) {
        a.contra(2.0, format!("the number of {}s climbs in lockstep", c.rule.noun));
    }
    plateau(&mut a, total);
    Some(a)
}

/// The C library's allocator: free chunks grow, allocated ones do not.
fn allocator(a: &mut Assessment, case: &Case<'_>, total: &Trend) {
    let s = case.signals;
    let (Some(free), Some(used)) = (&s.malloc_free, &s.malloc_in_use) else {
        let fact = crate::fact::Fact::MallocFree;
        if let crate::fact::Reading::Unknown(why) = case.recording.reading(fact) {
            a.missing.push(format!("free memory inside the allocator: {why}"));
        }
        return;
    };
    if !rises(Some(free)) {
        return;
    }
    let share = free.slope.mid / total.slope.mid.max(1.0);
    if share < 0.3 || free.level < LEAST_FREE * total.level {
        return;
    }
    let held = free.level / (free.level + used.level).max(1.0);
    a.pro(
        climb_weight(total),
        format!(
            "free memory inside the allocator climbs {} ({} of what it holds)",
            free.growth_words(),
            units::percent(held)
        ),
    );
    if flat(Some(used)) || used.slope.mid < 0.25 * free.slope.mid {
        a.pro(1.5, format!("allocated memory stands at {}", used.level_words()));
    }
}

/// A collector that keeps committed memory which it does not need.
fn collector(a: &mut Assessment, case: &Case<'_>, total: &Trend) {
    let s = case.signals;
    let (Some(live), Some(held)) = (&s.live, &s.held) else { return };
    let ratio = held.level / live.level.max(1.0);
    if !rises(Some(total)) || rises(Some(live)) || ratio < HELD_PER_LIVE {
        return;
    }
    let share = held.slope.mid / total.slope.mid.max(1.0);
    if rises(Some(held)) && share >= 0.4 {
        a.pro(
            climb_weight(total),
            format!(
                "the runtime holds {} for {} live, and the gap climbs",
                held.level_words(),
                live.level_words()
            ),
        );
        a.pro(1.0, format!("{} is flat", live.name));
    } else if flat(s.outside.as_ref()) {
        // Committed long ago, touched only now: the resident set grows into memory that the heap holds.
        a.pro(
            climb_weight(total) * 0.6,
            format!(
                "the resident set grows into {} held for {} live",
                held.level_words(),
                live.level_words()
            ),
        );
    }
    if rises(s.outside.as_ref()) && !rises(Some(held)) {
        a.contra(2.0, "the growth lies outside the heap".to_owned());
    }
}
