//! Logs and statuses of deaths, by any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::deaths;

fuzz_target!(|bytes: &[u8]| {
    let mut from = bytes;
    let found = deaths::parse(&mut from);
    assert!(found.traces.len() <= deaths::TRACES_KEPT + 100);
    let reading = deaths::told(&found, "fuzz");
    assert!(!reading.head.summary.is_empty());
});
