//! Native memory tracking: any text; what is summed per name is what the categories say, and whatever is read concludes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::nmt::{Reports, parse, read};
use plimsoll_read::reading::Context;

fuzz_target!(|text: &str| {
    if let Ok(summary) = parse(text) {
        assert!(summary.categories.len() <= 200, "more categories than are kept");
        for c in &summary.categories {
            assert!(!c.name.is_empty(), "a category without a name");
            assert!(summary.committed_in(&c.name) >= c.committed, "{} lost bytes in the sum", c.name);
        }
    }
    let Some(reports) = read(text.as_bytes()) else { return };
    let context = Context { rss: Some(1 << 30), limit: Some(1 << 29), ..Context::default() };
    let report = reports.report(&context);
    assert!(!report.head.summary.is_empty() && report.call_sites.len() <= 40);
    assert!(report.tables().iter().all(|t| t.rows.iter().all(|r| r.len() == t.head.len())));
    if let Some(change) = Reports::change(&[&reports, &reports], &context) {
        assert!(change.more_bytes.is_some());
    }
});
