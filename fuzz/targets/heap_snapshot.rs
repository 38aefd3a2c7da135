//! Any bytes as a heap snapshot of V8, through the graph to the report.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::graph::watch::Unwatched;
use plimsoll_read::heap_snapshot::{Options, read};
use plimsoll_read::reading::Context;

fuzz_target!(|bytes: &[u8]| {
    let Ok(heap) = read(bytes, Options { verify: true }, &Unwatched) else { return };
    let report = heap.report(&Context::default());
    assert!(!report.head.summary.is_empty() && report.tables().iter().all(|t| t.rows.len() <= 40));
    (0..heap.nodes().min(8)).for_each(|node| assert!(heap.text(node).len() <= 160));
    let _rows = heap.histogram(true);
});
