//! Any bytes as whatever artifact they begin like, also behind what stands before the lines of a log, with what stands in the
//! same log, and compared with itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::formats::{Found, Recognised, read};
use plimsoll_read::reading::Context;

fn sound(found: &Found) {
    let context = Context { rss: Some(1 << 30), limit: Some(1 << 31), goroutines: Some(500) };
    let Some(reading) = found.reading(&context) else { return };
    assert!(reading.value.is_object(), "{:?}", reading.value);
    for table in &reading.tables {
        assert!(table.rows.iter().all(|r| r.len() == table.head.len()), "{table:?}");
    }
    assert!(reading.head.groups.iter().all(|g| (0.0..=1.0).contains(&g.share)), "{:?}", reading.head.groups);
    if let Some(same) = found.change(&[found], &context) {
        assert!(same.value.is_object(), "{:?}", same.value);
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(Recognised::Artifact(found)) = read(data) else { return };
    sound(&found);
    found.beside.iter().for_each(sound);
});
