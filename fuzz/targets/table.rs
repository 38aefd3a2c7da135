//! Tables and JSON rows of many targets: any bytes; what is read has finite amounts in order of time, and a name for each series.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::table::{Options, is_of_many, read_csv, read_json};

fuzz_target!(|data: &[u8]| {
    let options = Options { unit: 1048576.0, name: "table".to_owned() };
    let _told = is_of_many(&String::from_utf8_lossy(data));
    for answer in [read_csv(data, &options), read_json(data, &options)].into_iter().flatten() {
        assert!(!answer.series.is_empty());
        for series in &answer.series {
            assert!(series.labels.contains_key("__name__"), "{:?}", series.labels);
            assert!(series.points.iter().all(|p| p.t.is_finite() && p.v.is_finite() && p.v >= 0.0));
            assert!(series.points.windows(2).all(|w| w[0].t < w[1].t), "not in order of time");
        }
    }
});
