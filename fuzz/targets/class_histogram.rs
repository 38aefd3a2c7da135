//! A class histogram: any text; few rows, largest first, each class once.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use plimsoll_core::artifact::ROWS_KEPT;
use plimsoll_read::class_histogram::parse;

fuzz_target!(|text: &str| {
    let Some(histogram) = parse(text) else { return };
    assert!((1..=ROWS_KEPT).contains(&histogram.rows.len()));
    assert!(histogram.rows.is_sorted_by(|a, b| a.bytes >= b.bytes), "not largest first");
    let names: HashSet<&str> = histogram.rows.iter().map(|r| r.class.as_str()).collect();
    assert_eq!(names.len(), histogram.rows.len(), "a class stands twice");
});
