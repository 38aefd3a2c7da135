//! Thread dumps of any form: any bytes; each thread is counted once, whatever is concluded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_core::artifact::{Artifact, ROWS_KEPT};
use plimsoll_read::thread_dump::parse;

fuzz_target!(|data: &[u8]| {
    let Some(dumps) = parse(data) else { return };
    for dump in &dumps.dumps {
        assert!(dump.total > 0);
        assert_eq!(dump.pools.iter().map(|p| p.2.count).sum::<u64>(), dump.total);
        assert!(dump.deadlocks.iter().all(|d| !d.is_empty()));
    }
    let Some(Artifact::Threads { groups, .. }) = dumps.artifact() else { panic!("no artifact") };
    assert!((1..=ROWS_KEPT).contains(&groups.len()));
    assert!(groups.is_sorted_by(|a, b| a.count >= b.count), "not largest first");
    assert!(!dumps.report().summary.is_empty());
});
