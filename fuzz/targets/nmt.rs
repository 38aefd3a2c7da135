//! A summary of native memory: any text; what is summed per name is what the categories say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::nmt::parse;

fuzz_target!(|text: &str| {
    let Ok(summary) = parse(text) else { return };
    assert!(summary.categories.len() <= 200, "more categories than are kept");
    for c in &summary.categories {
        assert!(!c.name.is_empty(), "a category without a name");
        assert!(summary.committed_in(&c.name) >= c.committed, "{} lost bytes in the sum", c.name);
    }
});
