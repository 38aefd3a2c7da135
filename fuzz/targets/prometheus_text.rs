//! Metrics as text: the first line is the name asked for, the rest the page. A number is finite, or absent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::prometheus_text::{looks_like, sum, with_label};

fuzz_target!(|text: &str| {
    let (name, page) = text.split_once('\n').unwrap_or(("heap", text));
    let _shape = looks_like(page);
    for found in [sum(page, name), with_label(page, name, "space", "old")].into_iter().flatten() {
        assert!(found.is_finite(), "{found}");
    }
});
