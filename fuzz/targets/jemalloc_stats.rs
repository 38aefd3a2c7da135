//! jemalloc's statistics: any bytes; whatever is read concludes, with shares that are shares.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::jemalloc_stats::{AllStats, read};
use plimsoll_read::reading::Context;

fuzz_target!(|data: &[u8]| {
    let Some(stats) = read(&mut &*data) else { return };
    let report =
        stats.report(&Context { rss: Some(1 << 20), ..Context::default() }).expect("one report concludes");
    assert!(!report.head.summary.is_empty() && (0.0..=1.0).contains(&report.fragmentation_share));
    let same = AllStats::change(&[&stats, &stats], &Context::default()).expect("two reports");
    assert_eq!(same.series_allocated_bytes.len(), 2 * stats.all.len());
});
