//! `smaps`: any text; mappings have an extent, and what is resident per kind sums without overflow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::smaps::{Kind, read};

fuzz_target!(|text: &str| {
    let maps = read(text);
    assert!(maps.mappings.len() <= text.lines().count());
    assert!(maps.mappings.iter().all(|(m, _)| m.start < m.end));
    for kind in [Kind::Brk, Kind::Arena, Kind::Stack, Kind::Anonymous, Kind::File] {
        assert!(maps.of(kind).all(|m| m.resident <= maps.resident(kind)));
    }
    let _file = maps.has_file(|name| name.starts_with("libjvm"));
});
