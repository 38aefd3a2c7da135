//! Manifests, by any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_core::audit;
use plimsoll_read::manifest;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for subject in manifest::subjects(&text, "fuzz").unwrap_or_default() {
        assert!(!audit::audit(&subject).is_empty());
    }
});
