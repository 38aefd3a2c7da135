//! A table: any bytes; what is read has finite amounts in order of time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::csv_series::{Options, read};

fuzz_target!(|data: &[u8]| {
    let options = Options { unit: 1048576.0, limit: Some(1e9), name: "table".to_owned() };
    let Ok(recording) = read(data, &options) else { return };
    assert!(!recording.epochs.is_empty());
    for series in recording.series.values() {
        let points = series.points();
        assert!(points.iter().all(|p| p.t.is_finite() && p.v.is_finite() && p.v >= 0.0));
        assert!(points.is_sorted_by(|a, b| a.t < b.t), "not in order of time");
    }
});
