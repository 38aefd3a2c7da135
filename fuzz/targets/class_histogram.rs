//! A class histogram: any text; few rows, largest first, each class once; whatever is read concludes.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use plimsoll_core::artifact::ROWS_KEPT;
use plimsoll_read::class_histogram::{parse, read};
use plimsoll_read::reading::Context;

fuzz_target!(|text: &str| {
    if let Some(histogram) = parse(text) {
        assert!((1..=ROWS_KEPT).contains(&histogram.rows.len()));
        assert!(histogram.rows.is_sorted_by(|a, b| a.bytes >= b.bytes), "not largest first");
        let names: HashSet<&str> = histogram.rows.iter().map(|r| r.class.as_str()).collect();
        assert_eq!(names.len(), histogram.rows.len(), "a class stands twice");
    }
    let Some(all) = read(text.as_bytes()) else { return };
    let report =
        all.report(&Context { rss: Some(1 << 20), ..Context::default() }).expect("one histogram concludes");
    assert!(!report.head.summary.is_empty() && report.classes.len() <= 40);
    assert!(report.tables().iter().all(|t| t.rows.iter().all(|r| r.len() == t.head.len())));
});
