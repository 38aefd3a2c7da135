//! An access log or a reading of a heap: any bytes; what is made of them is read by the load that it is for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_core::guard::{KeyMode, Template};
use plimsoll_read::key_source::read;

fuzz_target!(|data: &[u8]| {
    let Ok(found) = read(data) else { return };
    for generator in &found.generators {
        // A document may have any text as a template; a log's are ours.
        let template = Template::parse(&generator.text);
        assert!(template.is_ok() || generator.method.is_none(), "{}", generator.text);
        if let Ok(template) = template {
            template.expand(7, KeyMode::Distinct, 1);
        }
    }
});
