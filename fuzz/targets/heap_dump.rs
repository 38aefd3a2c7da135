//! Any bytes as a heap dump, through the graph to the report and every view.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::graph::watch::Unwatched;
use plimsoll_read::heap_dump::report::report;
use plimsoll_read::heap_dump::{Options, paths, read, strings, threads, tree, usage};
use plimsoll_read::hprof::model::Limits;

fuzz_target!(|dump: &[u8]| {
    let limits = Limits { memory: 4 << 20, name: 256 };
    let Ok(heap) = read(dump, Options { limits, verify: true, ..Options::default() }, &Unwatched) else {
        return;
    };
    let all = heap.retained().reached_bytes();
    if let Ok(said) = report(&heap, dump, &Unwatched) {
        assert!(said.suspects.iter().all(|s| s.lost || s.retained <= all.max(1) || s.count > 1));
    }
    let class = heap.label(0);
    let _read = (
        paths::ways(&heap, dump, &paths::Wish::Class(class), &Unwatched),
        tree::tree(&heap, dump, 3, 3, &Unwatched),
        threads::threads(&heap, dump, &Unwatched),
        strings::strings(&heap, dump, &Unwatched),
        usage::usage(&heap, dump, &Unwatched),
    );
});
