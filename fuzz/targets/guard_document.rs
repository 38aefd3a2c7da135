//! What a command printed, and the log of a search: any bytes; what is found in them is searched, and probabilities sum to one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_core::bisect::{Journal, Next, Rules};
use plimsoll_read::guard_document::last;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Some(guard) = last(&text) {
        assert!(guard.metrics.iter().all(|m| m.value.is_finite() && m.low.is_finite() && m.high.is_finite()));
    }
    let Ok((journal, whole)) = Journal::parse(&text) else { return };
    assert!(whole <= text.len());
    if journal.head.changes.len() > 200 || journal.steps.len() > 50 {
        return;
    }
    let Ok(search) = journal.search(Rules { sure: 0.98, error: 0.1, most: 100 }) else { return };
    let posterior = search.posterior();
    let total = posterior.nothing + posterior.changes.iter().sum::<f64>();
    assert!((total - 1.0).abs() < 1e-6, "{total}");
    if let Next::Found(found) = search.next() {
        assert!(found.sure >= 0.98 && !found.changes.is_empty());
    }
});
