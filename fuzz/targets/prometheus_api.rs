//! An answer of a server: any bytes; points are in order and are numbers, and what is told of a strange page is printable.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::prometheus_api::{join, read};

fuzz_target!(|data: &[u8]| match read(data) {
    Ok(answer) => {
        let joined = join(vec![answer.clone(), answer]);
        for series in joined.series {
            assert!(series.points.windows(2).all(|w| w[0].t < w[1].t));
            assert!(series.points.iter().all(|p| p.t.is_finite() && p.v.is_finite()));
        }
    }
    Err(e) => assert!(!e.to_string().contains('\u{1b}')),
});
