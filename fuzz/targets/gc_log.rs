//! Collection logs of every form: any bytes; amounts are finite and not negative, and every log has a conclusion.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::gc_log::{collections, parse};
use plimsoll_read::reading::Context;

fn amount(v: f64) -> bool {
    v.is_finite() && v >= 0.0
}

fuzz_target!(|data: &[u8]| {
    for c in collections(&String::from_utf8_lossy(data)) {
        assert!(amount(c.before) && amount(c.after), "{c:?}");
        assert!(c.capacity.is_none_or(amount) && c.pause_seconds.is_none_or(amount), "{c:?}");
        // Unix time may lie before 1970; an uptime is never negative.
        assert!(c.uptime.is_none_or(amount) && c.unix.is_none_or(f64::is_finite), "{c:?}");
    }
    let Some(log) = parse(data) else { return };
    let report = log.report(&Context { rss: Some(1 << 30), limit: Some(1 << 31), ..Context::default() });
    assert!(!report.head.summary.is_empty());
    for life in &report.lives {
        if let Some(slope) = life.floor_slope_bytes_per_second {
            assert!(slope.low <= slope.mid && slope.mid <= slope.high, "{slope:?}");
        }
        assert!(amount(life.pause_seconds) && amount(life.seconds), "{life:?}");
    }
});
