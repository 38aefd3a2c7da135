//! Off-heap: memory outside the managed heap grows (buffers, native libraries, classes).

use super::{Assessment, Case, Cause, climb_weight, flat, lockstep_count, plateau, rises};
use crate::fact::{Fact, Reading};
use crate::signals::{Rising, Trend};
use crate::target::RuntimeKind;
use crate::units;

pub(super) fn assess(case: &Case<'_>) -> Option<Assessment> {
    let s = case.signals;
    case.rules.held_of(case.recording)?;
    let mut a = Assessment::new(Cause::OffHeap, "native accounts that stay flat while the process grows");
    let total = s.total.as_ref()?;
    a.p_climb = total.p_climb;
    outside(&mut a, case, total);
    for account in &s.off_heap {
        named_account(&mut a, account, total);
    }
    unaccounted(&mut a, case);
    if rises(s.live.as_ref()) && !rises(s.outside.as_ref()) {
        a.contra(3.0, "the growth lies inside the heap".to_owned());
    }
    if rises(s.malloc_free.as_ref()) && !rises(s.malloc_in_use.as_ref()) {
        a.contra(2.5, "the allocator's free memory grows, not what is allocated".to_owned());
    }
    if let Some(c) = lockstep_count(case) {
        a.contra(2.0, format!("the number of {}s climbs in lockstep", c.rule.noun));
    }
    plateau(&mut a, s.outside.as_ref().unwrap_or(total));
    // A collector that gives up committed heap without giving back its pages moves the line between inside and
    // outside: only growth of the whole is growth.
    if rises(s.outside.as_ref()) && (total.bends() || total.rising == Rising::No) {
        a.contra(2.0, format!("{} as a whole does not go on climbing", total.name));
    }
    Some(a)
}

/// Resident memory outside the heap, against the heap itself.
fn outside(a: &mut Assessment, case: &Case<'_>, total: &Trend) {
    let s = case.signals;
    let Some(outside) = &s.outside else { return };
    if !rises(Some(outside)) {
        let weight = if outside.rising == Rising::No { 3.0 } else { 0.5 };
        a.contra(weight, format!("{} is flat at {}", outside.name, outside.level_words()));
        return;
    }
    a.p_climb = a.p_climb.max(outside.p_climb);
    let share = outside.slope.mid / total.slope.mid.max(1.0);
    if share >= 0.5 {
        a.pro(
            climb_weight(outside) - 0.5,
            format!(
                "{} climbs {}: {} of the growth",
                outside.name,
                outside.growth_words(),
                units::percent(share.min(1.0))
            ),
        );
    }
    if s.live.as_ref().is_some_and(|l| l.rising == Rising::No) {
        a.pro(1.0, "the live heap is flat".to_owned());
    }
    if flat(s.held.as_ref()) {
        a.pro(0.5, "the heap's committed size is flat".to_owned());
    }
}

/// An account with a name is the strongest evidence: it says what grows.
fn named_account(a: &mut Assessment, account: &Trend, total: &Trend) {
    if !rises(Some(account)) {
        return;
    }
    let share = account.slope.mid / total.slope.mid.max(1.0);
    if share >= 0.3 {
        a.p_climb = a.p_climb.max(account.p_climb);
        a.pro(
            1.5,
            format!(
                "{} climbs {}: {} of the growth",
                account.name,
                account.growth_words(),
                units::percent(share.min(1.0))
            ),
        );
        plateau(a, account);
    }
}

/// Native memory that no account of the runtime explains: third-party native code, or the C allocator.
fn unaccounted(a: &mut Assessment, case: &Case<'_>) {
    let s = case.signals;
    if rises(s.unaccounted.as_ref()) && rises(s.malloc_in_use.as_ref()) {
        a.pro(1.5, "allocated native memory climbs that the runtime does not account for".to_owned());
    }
    if case.recording.target.runtime == RuntimeKind::Jvm
        && let Reading::Unknown(why) = case.recording.reading(Fact::JvmNmtTotal)
    {
        a.missing.push(format!("which native account grows: {why}"));
    }
}
