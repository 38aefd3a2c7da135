//! A profile of any form: any bytes as they are; intervals that hold the amount, sites that add up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::pprof::{Amount, parse};

fn sound(a: &Amount) {
    assert!(a.bytes.is_finite() && a.samples.is_finite(), "{a:?}");
    assert!(a.low <= a.bytes * (1.0 + 1e-9) && a.bytes <= a.high * (1.0 + 1e-9), "{a:?}");
}

fuzz_target!(|data: &[u8]| {
    let Some(profile) = parse(data) else { return };
    for sample in profile.samples() {
        assert_eq!(sample.values.len(), profile.types.len());
        profile.frames_of(sample).for_each(|f| assert!(f.function.len() < 1024));
    }
    let Some(report) = profile.heap_report(Some(1 << 20)) else { return };
    report.in_use.iter().chain(&report.allocated).for_each(sound);
    report.sites.iter().for_each(|s| s.in_use.iter().chain(&s.allocated).for_each(sound));
    assert!(!report.head.summary.is_empty());
    let same = profile.heap_change(&profile, None).expect("the same types");
    assert!(same.changes.is_empty(), "{:?}", same.changes);
});
