//! glibc's `malloc_info`: any text; whatever is read concludes, and a cut one accuses nobody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::malloc_info::{Infos, read};
use plimsoll_read::reading::Context;

fuzz_target!(|text: &str| {
    let Some(infos) = read(text.as_bytes()) else { return };
    let report =
        infos.report(&Context { rss: Some(1 << 20), ..Context::default() }).expect("one report concludes");
    assert!(!report.head.summary.is_empty() && report.arenas.len() <= 40);
    if infos.all.len() == 1 && infos.truncated.is_some() {
        assert!(report.head.findings.iter().all(|f| !f.accuses()), "{:?}", report.head.findings);
    }
    let same = Infos::change(&[&infos, &infos], &Context::default()).expect("two reports");
    assert_eq!(same.series_in_use_bytes.len(), 2 * infos.all.len());
});
