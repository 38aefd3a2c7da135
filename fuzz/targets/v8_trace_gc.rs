//! Lines of `--trace-gc`: any text; every amount is a finite number that is not negative.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::v8_trace_gc::line;

fuzz_target!(|text: &str| {
    for c in text.lines().filter_map(line) {
        for v in [c.at_ms, c.before, c.after, c.committed] {
            assert!(v.is_finite() && v >= 0.0, "{c:?}");
        }
    }
});
