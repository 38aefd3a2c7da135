//! Over budget: the heap may grow to its bound, and with the native memory that does not fit the limit.
//! No leak: a healthy heap is killed on its way to -Xmx.

use super::{Assessment, Case, Cause, flat, rises};
use crate::fact::Fact;
use crate::signals::Rising;
use crate::units;

pub(super) fn assess(case: &Case<'_>) -> Option<Assessment> {
    let r = case.recording;
    let limit = r.last(Fact::CgroupLimit)?;
    let heap_max = r.last(Fact::JvmHeapMax).or_else(|| r.last(Fact::V8HeapLimit))?;
    let held = case.rules.held_of(r).and_then(|f| r.last(f))?;
    let total = case.signals.total.as_ref()?;
    // Committed heap may not be resident yet, so the difference to it can be too small: NMT knows better.
    let booked = r.last(Fact::JvmNmtTotal).zip(r.last(Fact::JvmNmtHeap)).map(|(all, heap)| all - heap);
    let seen = r.last(Fact::CgroupUnreclaimable).unwrap_or(total.level) - held.min(total.level);
    let native = booked.unwrap_or(seen).max(0.0);
    let mut a =
        Assessment::new(Cause::OverBudget, "a live heap that climbs: then it is a leak, whatever the budget");
    let need = heap_max + native;
    if need <= limit {
        return Some(a);
    }
    // A sum of bounds is read, not extrapolated.
    a.p_climb = 0.9;
    a.pro(
        2.0,
        format!(
            "heap bound {} + native {} = {} against a limit of {}",
            units::bytes(heap_max),
            units::bytes(native),
            units::bytes(need),
            units::bytes(limit)
        ),
    );
    let live = case.signals.live.as_ref();
    if flat(live) {
        a.pro(1.0, "the live heap is flat".to_owned());
    }
    if rises(live) {
        a.contra(
            3.0,
            "what stays after collection climbs: the heap would need more whatever its bound".to_owned(),
        );
    }
    if total.rising == Rising::Yes && rises(case.signals.outside.as_ref()) {
        a.contra(1.5, "memory outside the heap climbs".to_owned());
    }
    if total.level < 0.5 * limit && total.rising != Rising::Yes {
        a.contra(
            1.5,
            format!(
                "only {} of the limit is in use, and it does not climb",
                units::percent(total.level / limit)
            ),
        );
    }
    Some(a)
}
