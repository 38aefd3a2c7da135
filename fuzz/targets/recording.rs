//! A recording: any bytes; it is judged without panic, and what is written again reads back with the same samples.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_core::judge::judge;
use plimsoll_core::recording::Recording;

fuzz_target!(|data: &[u8]| {
    let Ok(recording) = Recording::read(data) else { return };
    for series in recording.series.values() {
        assert!(series.points().is_sorted_by(|a, b| a.t < b.t), "not in order of time");
    }
    let judgement = judge(&recording, None);
    let _settled = (judgement.settled(), judgement.finding(), judgement.blind());
    let _with_limit = judge(&recording, Some(1e9));
    let mut written = Vec::new();
    if recording.write(&mut written).is_ok() {
        let again = Recording::read(written.as_slice()).expect("what was written is a recording");
        for (fact, series) in &recording.series {
            assert_eq!(again.series(*fact).points().len(), series.points().len(), "{fact} lost samples");
        }
    }
});
