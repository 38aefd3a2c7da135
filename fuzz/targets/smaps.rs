//! Mappings: any text; they have an extent, and what is resident per kind sums without overflow, however it is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::reading::Context;
use plimsoll_read::smaps::{Kind, Survey, Use, read, survey};

fuzz_target!(|text: &str| {
    let maps = read(text);
    assert!(maps.mappings.len() <= text.lines().count());
    assert!(maps.mappings.iter().all(|(m, _)| m.start < m.end));
    for kind in [Kind::Brk, Kind::Arena, Kind::Stack, Kind::Anonymous, Kind::File] {
        assert!(maps.of(kind).all(|m| m.resident <= maps.resident(kind)));
    }
    let _file = maps.has_file(|name| name.starts_with("libjvm"));
    let Some(all) = survey(text.as_bytes()) else { return };
    assert!(Use::ALL.iter().all(|u| all.of(*u).resident <= all.total.resident));
    let report = all.report(&Context::default()).expect("one survey concludes");
    assert!(report.tables().iter().all(|t| t.rows.iter().all(|r| r.len() == t.head.len())));
    let same = Survey::change(&[&all, &all, &all], &Context::default()).expect("alike");
    assert!(same.uses.iter().all(|u| u.more_bytes == Some(0)), "{:?}", same.uses);
});
