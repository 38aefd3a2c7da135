//! A goroutine profile in either form: any text; few groups, largest first.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_core::artifact::{Artifact, ROWS_KEPT};
use plimsoll_read::goroutines::read;

fuzz_target!(|text: &str| {
    match read(text) {
        None => {}
        Some(Artifact::Goroutines { groups, .. }) => {
            assert!((1..=ROWS_KEPT).contains(&groups.len()));
            assert!(groups.is_sorted_by(|a, b| a.count >= b.count), "not largest first");
        }
        Some(other) => panic!("another artifact: {other:?}"),
    }
});
