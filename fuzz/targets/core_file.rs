//! A core: any bytes; whatever is read concludes, and what is in the file is not more than a whole one has.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::core_file::read;

fuzz_target!(|data: &[u8]| {
    let Some(core) = read(&mut &*data) else { return };
    assert_eq!(core.bytes, data.len() as u64, "all of it was counted");
    let report = core.report();
    assert_eq!(report.head.artifact.truncated.is_some(), core.bytes < core.expected);
    assert!(!report.head.summary.is_empty() && report.largest.len() <= 12);
    assert!(report.tables().iter().all(|t| t.rows.iter().all(|r| r.len() == t.head.len())));
});
