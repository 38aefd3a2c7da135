//! What is posted to a webhook: any bytes; what is kept is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::alertmanager::parse;

fuzz_target!(|data: &[u8]| {
    let Ok(posted) = parse(data) else { return };
    assert!(posted.alerts.len() <= 256);
    for alert in &posted.alerts {
        assert!(!alert.labels.is_empty() && alert.labels.len() <= 64);
        assert!(alert.means(&[]).is_none() && !alert.subject().is_empty() && !alert.in_words().is_empty());
    }
});
