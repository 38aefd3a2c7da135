//! A thread dump: any text; the pools never hold more threads than were counted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_core::artifact::ROWS_KEPT;
use plimsoll_read::thread_dump::parse;

fuzz_target!(|text: &str| {
    let Some(dump) = parse(text) else { return };
    assert!((1..=ROWS_KEPT).contains(&dump.groups.len()));
    assert!(dump.groups.is_sorted_by(|a, b| a.count >= b.count), "not largest first");
    assert!(dump.groups.iter().map(|g| g.count).sum::<u64>() <= dump.total);
});
