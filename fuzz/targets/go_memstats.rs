//! Memory statistics as a profile's trailer and as JSON: any text; amounts are finite and not negative, and a
//! live heap is never larger than the goal it was taken from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::go_memstats::{from_expvar, from_profile};

fuzz_target!(|text: &str| {
    for m in [from_profile(text), from_expvar(text)].into_iter().flatten() {
        for v in [m.heap_alloc, m.heap_inuse, m.heap_sys, m.stack_inuse, m.sys, m.next_gc, m.gc_cpu] {
            assert!(v.is_finite() && v >= 0.0, "{m:?}");
        }
        for gogc in [0.0, 50.0, 100.0, 800.0] {
            if let Some(live) = m.live(gogc) {
                assert!(live > 0.0 && live <= m.next_gc, "{live} live of a goal of {}", m.next_gc);
            }
        }
    }
});
