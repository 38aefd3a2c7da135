//! A file of series: any bytes; no sample is without a number, and what is said of the file fits its length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_core::fact::Fact;
use plimsoll_read::series_file::{MARK, Sink, read};

#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn subject(&mut self, _number: u64, _text: &str) {}

    fn sample(&mut self, _number: u64, t: f64, _fact: Fact, v: f64) {
        assert!(t.is_finite() && v.is_finite());
        self.0 += 1;
    }
}

fuzz_target!(|data: &[u8]| {
    for bytes in [data.to_vec(), [MARK.as_slice(), data].concat()] {
        let mut count = Count::default();
        let report = read(&bytes, &mut count);
        assert_eq!(report.samples, count.0);
        let lost: usize = report.lost.iter().map(|l| l.bytes).sum();
        assert!(lost + report.torn <= bytes.len());
    }
});
