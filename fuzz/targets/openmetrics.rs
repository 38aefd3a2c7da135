//! Metrics text with times, from anywhere: points are in order.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let answer = plimsoll_read::openmetrics::read(bytes);
    for series in &answer.series {
        assert!(series.points.windows(2).all(|w| w[0].t < w[1].t));
    }
});
