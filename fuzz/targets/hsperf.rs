//! A performance counter buffer: any bytes, and a cut of them never tells more counters than the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::hsperf::parse;

fuzz_target!(|data: &[u8]| {
    let Ok(whole) = parse(data) else { return };
    // An entry takes at least its head of twenty bytes.
    assert!(whole.len() <= data.len() / 20, "{} counters in {} bytes", whole.len(), data.len());
    if let Some(Ok(cut)) = data.get(..data.len() / 2).map(parse) {
        assert!(cut.len() <= whole.len(), "the cut tells {} counters, the whole {}", cut.len(), whole.len());
    }
});
