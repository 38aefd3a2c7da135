//! A collection log: any text; every amount is a finite number that is not negative.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::gc_log::collections;

fn amount(v: f64) -> bool {
    v.is_finite() && v >= 0.0
}

fuzz_target!(|text: &str| {
    for c in collections(text) {
        assert!(amount(c.before) && amount(c.after), "{c:?}");
        assert!(c.capacity.is_none_or(amount) && c.pause_seconds.is_none_or(amount), "{c:?}");
        // Unix time may lie before 1970; an uptime is never negative.
        assert!(c.uptime.is_none_or(amount) && c.unix.is_none_or(f64::is_finite), "{c:?}");
    }
});
