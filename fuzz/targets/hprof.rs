//! A heap dump: any bytes behind a sound header, and any bytes at all. Whatever the buffer, the same is told;
//! nothing is told twice or made up; memory stays within what was given.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::hprof::layout::Layouts;
use plimsoll_read::hprof::model::{Limits, Model};
use plimsoll_read::hprof::open::open_with;
use plimsoll_read::hprof::records::Summary;
use plimsoll_read::hprof::shallow::{Histogram, Row};
use plimsoll_read::hprof::visitor::{Ids, ObjectArray, PrimitiveArray, Visitor};
use plimsoll_read::hprof::warnings::KEPT;

/// Wants the elements of an array in order, without a gap, and never more than it has.
#[derive(Default)]
struct Elements {
    next: u64,
}

impl Visitor for Elements {
    fn object_array(&mut self, _: &ObjectArray) {
        self.next = 0;
    }
    fn references(&mut self, array: &ObjectArray, first: u64, ids: Ids<'_>) {
        assert_eq!(first, self.next, "{array:?}");
        self.next += ids.iter().count() as u64;
        assert!(self.next <= u64::from(array.length), "{array:?}");
    }
    fn primitive_array(&mut self, _: &PrimitiveArray) {
        self.next = 0;
    }
    fn values(&mut self, array: &PrimitiveArray, first: u64, bytes: &[u8]) {
        assert_eq!(first, self.next, "{array:?}");
        let size = array.ty.bytes(0);
        assert_eq!(bytes.len() % size, 0, "{array:?}");
        self.next += (bytes.len() / size) as u64;
        assert!(self.next <= u64::from(array.length), "{array:?}");
    }
}

fn scan(bytes: &[u8], buffer: usize) -> Option<(Summary, Vec<Row>)> {
    let dump = open_with(bytes, buffer).ok()?;
    let size = dump.header().id_size;
    let limits = Limits { memory: 1 << 16, name: 64 };
    let mut all = ((Model::new(size, limits), Histogram::new(size)), Elements::default());
    let summary = dump.scan(&mut all);
    let (model, histogram) = all.0;
    assert!(model.memory() <= limits.memory);
    assert!(model.warnings().kept().len() <= KEPT && summary.warnings.kept().len() <= KEPT);
    assert_eq!(summary.is_complete(), summary.truncation().is_none());
    let rows = histogram.rows(&model, &Layouts::of(&model));
    let told: u64 = rows.iter().map(|r| r.instances).sum();
    assert_eq!(told, summary.counts.objects(), "objects are lost or doubled in the histogram");
    Some((summary, rows))
}

fuzz_target!(|data: &[u8]| {
    let _any = scan(data, 4096);
    let Some((kind, records)) = data.split_first() else { return };
    let version =
        if kind & 2 == 0 { &b"JAVA PROFILE 1.0.2\0\0\0\0"[..] } else { b"JAVA PROFILE 1.0.1\0\0\0\0" };
    let width = if kind & 1 == 0 { 4 } else { 8 };
    let bytes = [version, &[width], &[0; 8], records].concat();
    let (whole, rows) = scan(&bytes, 1 << 16).expect("the header is sound");
    assert_eq!(whole.bytes, bytes.len() as u64, "not all was read: {:?}", whole.ending);
    let (pieces, again) = scan(&bytes, 64 + usize::from(*kind)).expect("the header is sound");
    assert_eq!(whole.truncation(), pieces.truncation());
    assert_eq!(whole.warnings, pieces.warnings);
    if whole.is_complete() {
        assert_eq!(rows, again, "the histogram differs with the buffer");
        assert_eq!(whole.counts, pieces.counts);
    }
});
