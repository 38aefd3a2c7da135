//! Churn: garbage is made so fast that collection is the load, while the floor stays flat.

use super::{Assessment, Case, Cause, rises};
use crate::signals::Rising;
use crate::units;

/// Collections per second that a service in good health does not need.
const MANY_COLLECTIONS: f64 = 5.0;
/// Share of time in collection pauses that hurts.
const MUCH_TIME: f64 = 0.10;

/// Times per second that the whole heap is filled with garbage: a service in good health takes many seconds.
const MUCH_TURNOVER: f64 = 1.0;

pub(super) fn assess(case: &Case<'_>) -> Option<Assessment> {
    let s = case.signals;
    let per_second = s.collections_per_second?;
    let mut a = Assessment::new(Cause::Churn, "a collection rate that falls while memory still climbs");
    let turnover = turnover(case, per_second);
    let often = per_second >= MANY_COLLECTIONS || turnover.is_some_and(|x| x >= MUCH_TURNOVER);
    let long = s.collection_share.is_some_and(|x| x >= MUCH_TIME);
    if !often && !long {
        return Some(a);
    }
    // Churn does not climb: its own number is the rate, which is measured, not extrapolated.
    let much = turnover.is_some_and(|x| x >= 2.0 * MUCH_TURNOVER);
    a.p_climb = if per_second >= 2.0 * MANY_COLLECTIONS || long || much { 0.97 } else { 0.8 };
    let rate =
        s.allocated_per_second.map_or_else(String::new, |b| format!(", allocating {}/s", units::bytes(b)));
    let share =
        s.collection_share.map_or_else(String::new, |x| format!(", {} of the time", units::percent(x)));
    let heaps = turnover.map_or_else(String::new, |x| format!(", {x:.1} heaps of garbage per second"));
    a.pro(2.0, format!("{per_second:.1} collections per second{share}{rate}{heaps}"));
    match s.live.as_ref().map(|l| (l.rising, l)) {
        Some((Rising::No, l)) => a.pro(2.0, format!("{} is flat at {}", l.name, l.level_words())),
        Some((Rising::Yes, l)) => a.contra(4.0, format!("{} climbs {}", l.name, l.growth_words())),
        _ => a.missing.push("whether the floor climbs cannot be told yet".to_owned()),
    }
    if case.clock.dead_zone.as_ref().is_some_and(|z| z.in_heap()) {
        a.contra(4.0, "the heap is full: the collector spins because of what stays".to_owned());
    }
    if rises(s.total.as_ref()) {
        a.contra(1.0, "the process grows as well".to_owned());
    }
    Some(a)
}

/// Heaps filled per second: what is allocated, or what each collection frees, over what the runtime holds.
fn turnover(case: &Case<'_>, collections_per_second: f64) -> Option<f64> {
    let s = case.signals;
    let held = s.held.as_ref()?.level.max(1.0);
    let freed = s.live.as_ref().map(|live| collections_per_second * (held - live.level).max(0.0));
    Some(s.allocated_per_second.or(freed)? / held)
}
