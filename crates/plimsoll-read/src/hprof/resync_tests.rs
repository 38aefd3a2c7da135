//! Dumps as JVMs write them, with bytes overwritten: what is lost is little, and told with its offset.

use rand::{RngExt as _, SeedableRng as _};

use super::open::IdSize;
use super::records::{Ending, Summary};
use super::tests::read;
use super::visitor::{Root, RootKind, Type};
use super::warnings::Fault;
use super::write::{ClassSpec, Heap, Writer};

const BOTH: [IdSize; 2] = [IdSize::Four, IdSize::Eight];
const CLASSES: u64 = 24;
const OBJECTS: u64 = 300;
const BASE: u64 = 0x7_0000;

fn class_id(number: u64) -> u64 {
    BASE + number * 0x70
}

/// Objects of several kinds, one after the other in memory.
fn objects(size: IdSize, from: u64, count: u64) -> Heap {
    (from..from + count).fold(Heap::new(size), |heap, i| {
        let id = BASE + 0x10_000 + i * 64;
        match i % 4 {
            0 => heap.instance(id, class_id(i % CLASSES), &[(Type::Object, id - 64), (Type::Int, i)]),
            1 => heap.object_array(id, class_id(2), &[id - 64, 0, id - 128]),
            2 => heap.primitive_array(id, Type::Byte, &[0x41; 20]),
            _ => heap.instance(id, class_id(i % CLASSES), &[(Type::Long, i)]),
        }
    })
}

fn roots(size: IdSize) -> Heap {
    (0..CLASSES).fold(Heap::new(size), |heap, n| {
        heap.root(&Root { at: 0, kind: RootKind::StickyClass, id: class_id(n), thread: 0, frame: 0 })
    })
}

/// Texts, loaded classes and a stack.
fn front(size: IdSize, version: &str) -> Writer<Vec<u8>> {
    let mut w = Writer::new(Vec::new(), version, size, 1_700_000_000_000).unwrap();
    for n in 0..CLASSES {
        w.text(0x100 + n, &format!("shop/Thing{n}")).unwrap();
        w.load_class(n as u32 + 1, class_id(n), 0x100 + n).unwrap();
    }
    w.trace(1, 0, &[]).unwrap();
    w
}

fn classes(size: IdSize) -> Heap {
    (0..CLASSES).fold(Heap::new(size), |heap, n| {
        let fields = [(0x100, Type::Object), (0x101, Type::Int)];
        let superclass = if n == 0 { 0 } else { class_id(0) };
        heap.class(&ClassSpec { id: class_id(n), superclass, fields: &fields, ..ClassSpec::default() })
    })
}

/// A dump in three segments.
struct Dump {
    bytes: Vec<u8>,
    /// Offsets of the heads of the segments, and of the end marker.
    heads: Vec<usize>,
}

fn in_segments(size: IdSize) -> Dump {
    let mut w = front(size, "1.0.2");
    let mut heads = Vec::new();
    let segments = [
        classes(size).raw(objects(size, 0, OBJECTS / 2).bytes()),
        objects(size, OBJECTS / 2, OBJECTS / 2),
        roots(size),
    ];
    for heap in segments {
        let bytes = w.into_inner();
        heads.push(bytes.len());
        w = Writer::onto(bytes, size);
        w.segment(&heap).unwrap();
    }
    let bytes = w.into_inner();
    heads.push(bytes.len());
    w = Writer::onto(bytes, size);
    w.end().unwrap();
    Dump { bytes: w.into_inner(), heads }
}

/// Overwrites, reads, and tells how many records are missing; the damage must be told.
fn missing(dump: &Dump, at: usize, with: &[u8]) -> (u64, Summary) {
    let all = |s: &Summary| s.counts.objects() + s.counts.roots;
    let (_, whole) = read(&dump.bytes).unwrap();
    assert!(whole.is_complete() && whole.warnings.kept().is_empty(), "{:?}", whole.warnings);
    let mut bytes = dump.bytes.clone();
    bytes[at..at + with.len()].copy_from_slice(with);
    let (_, summary) = read(&bytes).unwrap();
    assert_eq!(summary.bytes, bytes.len() as u64);
    (all(&whole).saturating_sub(all(&summary)), summary)
}

fn first_fault(summary: &Summary) -> (u64, Fault) {
    let warning = summary.warnings.kept().first().expect("a warning");
    (warning.at, warning.fault)
}

#[test]
fn a_destroyed_record_is_all_that_is_lost() {
    for size in BOTH {
        let dump = in_segments(size);
        let instance = 17 + 2 * size.bytes() - 8 + 8;
        // The head of the first object of the second segment, which is an array of bytes.
        let at = dump.heads[1] + 9;
        let (lost, summary) = missing(&dump, at, &[0xee; 6]);
        assert_eq!(lost, 1, "{size:?}: {summary:?}");
        let (offset, fault) = first_fault(&summary);
        let bytes = size.bytes() as u64 + 10 + 20;
        assert_eq!(
            (offset, fault),
            (at as u64, Fault::UnknownHeapRecord { tag: 0xee, lost: bytes }),
            "{instance}"
        );
        assert!(matches!(summary.ending, Ending::Complete) && !summary.is_complete());
        assert_eq!((summary.damage.places, summary.damage.bytes), (1, bytes));
    }
}

#[test]
fn a_length_that_is_wrong_costs_its_record() {
    for size in BOTH {
        let dump = in_segments(size);
        let length = dump.heads[1] + 9 + 1 + size.bytes() + 4;
        for wrong in [[0x7f, 0xff, 0xff, 0xff], [0, 0, 0x40, 0], [0, 0, 0, 3]] {
            let (lost, summary) = missing(&dump, length, &wrong);
            assert!(lost <= 1, "{size:?} {wrong:?}: {lost} lost, {summary:?}");
            assert!(!summary.is_complete(), "{size:?} {wrong:?}");
        }
    }
}

#[test]
fn a_destroyed_head_of_a_segment_costs_nothing_but_itself() {
    for size in BOTH {
        let dump = in_segments(size);
        for number in 0..3 {
            let at = dump.heads[number];
            let (lost, summary) = missing(&dump, at, &[0xee; 9]);
            assert_eq!(lost, 0, "{size:?} segment {number}: {summary:?}");
            assert!(!summary.is_complete());
            assert_eq!(summary.damage.bytes, 9, "{summary:?}");
        }
        // Its tag alone.
        let (lost, summary) = missing(&dump, dump.heads[1], &[0x5c]);
        assert_eq!((lost, summary.is_complete()), (0, false), "{size:?}: {summary:?}");
        // The end marker.
        let (lost, summary) = missing(&dump, dump.heads[3], &[0xee; 9]);
        assert_eq!((lost, summary.is_complete()), (0, false));
    }
}

#[test]
fn a_wrong_length_of_a_segment_costs_nothing() {
    for size in BOTH {
        let dump = in_segments(size);
        for length in [0_u32, 1, 40, 1000, 100_000, u32::MAX] {
            let (lost, summary) = missing(&dump, dump.heads[1] + 5, &length.to_be_bytes());
            assert!(lost <= 1, "{size:?} {length}: {lost} lost, {summary:?}");
            assert!(summary.warnings.count() > 0);
        }
    }
}

#[test]
fn a_destroyed_name_costs_few_of_them() {
    for size in BOTH {
        let dump = in_segments(size);
        // The seventh text, by its head.
        let one = 9 + size.bytes() + 11 + 9 + 8 + 2 * size.bytes();
        let at = 31 + 6 * one;
        assert_eq!(dump.bytes[at], 1);
        let (lost, summary) = missing(&dump, at, &[0; 12]);
        assert_eq!(lost, 0, "{summary:?}");
        let (offset, fault) = first_fault(&summary);
        let text = (9 + size.bytes() + 11) as u64;
        assert_eq!((offset, fault), (at as u64, Fault::NoRecord { tag: 0, lost: text }));
    }
}

#[test]
fn a_wrong_length_of_a_list_costs_the_list() {
    for size in BOTH {
        let dump = in_segments(size);
        // The stack, just before the first segment: 12 bytes, and no frame.
        let at = dump.heads[0] - 9 - 12;
        assert_eq!(dump.bytes[at], 5);
        for length in [12 + 8 * 1000, 12 + (8 << 24), 12 + 8 * 3_u32] {
            let (lost, summary) = missing(&dump, at + 5, &length.to_be_bytes());
            assert_eq!((lost, summary.damage.bytes), (0, 21), "{size:?} {length}: {summary:?}");
            assert!(matches!(summary.ending, Ending::Complete), "{size:?} {length}: {summary:?}");
        }
        // Sites of allocation, as many as a random number says.
        let (lost, summary) = missing(&dump, at, &[6, 0, 0, 0, 0, 0x20, 0, 0, 18]);
        assert_eq!((lost, summary.damage.places), (0, 1), "{size:?}: {summary:?}");
    }
}

#[test]
fn an_array_without_elements_is_one_of_android_only() {
    for (version, expected) in [("1.0.2", 0), ("1.0.3", 1)] {
        let heap = objects(IdSize::Eight, 0, 8)
            .primitive_array_without_values(BASE + 0x20_000, Type::Char, 900_000_000)
            .raw(objects(IdSize::Eight, 8, 8).bytes());
        let mut w = front(IdSize::Eight, version);
        w.segment(&classes(IdSize::Eight).raw(heap.bytes())).unwrap();
        w.segment(&roots(IdSize::Eight)).unwrap();
        w.end().unwrap();
        let (_, summary) = read(&w.into_inner()).unwrap();
        let arrays = 16 / 4 + expected;
        assert_eq!(summary.counts.primitive_arrays, arrays, "{version}: {summary:?}");
        assert_eq!(
            (summary.counts.objects(), summary.is_complete()),
            (CLASSES + 16 + expected, expected == 1)
        );
    }
}

#[test]
fn damage_in_a_dump_of_one_record_costs_its_place() {
    for size in BOTH {
        let body = classes(size).raw(objects(size, 0, OBJECTS).bytes()).raw(roots(size).bytes());
        for length in [body.bytes().len() as u32, 0] {
            let mut w = front(size, "1.0.1");
            let head = w.into_inner();
            let begin = head.len() + 9;
            w = Writer::onto(head, size);
            w.record_saying(0x0c, length, body.bytes()).unwrap();
            let whole = w.into_inner();
            let (_, summary) = read(&whole).unwrap();
            let all = summary.counts.objects() + summary.counts.roots;
            let mut bytes = whole.clone();
            // An array of bytes that says it is longer than any, and a head that is no more.
            let place = begin + classes(size).bytes().len() + objects(size, 0, 50).bytes().len();
            let at = place + 1 + size.bytes() + 4;
            bytes[at..at + 4].copy_from_slice(&[0x70, 0, 0, 0]);
            let second = begin + classes(size).bytes().len() + objects(size, 0, 120).bytes().len();
            bytes[second..second + 5].fill(0xee);
            let (_, summary) = read(&bytes).unwrap();
            let left = summary.counts.objects() + summary.counts.roots;
            assert_eq!(all - left, 2, "{size:?} length {length}: {summary:?}");
            assert_eq!(summary.damage.places, 2, "{:?}", summary.warnings);
            assert!(!summary.is_complete());
        }
    }
}

#[test]
fn what_follows_a_dump_that_is_over_is_no_damage() {
    let mut bytes = in_segments(IdSize::Eight).bytes;
    bytes.extend([0; 5000]);
    let (_, summary) = read(&bytes).unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    assert_eq!(summary.warnings.count(), 1);
}

#[test]
fn bytes_overwritten_anywhere_cost_little_and_are_told() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let (mut lost, mut told) = (Vec::new(), 0);
    for round in 0..400 {
        let dump = in_segments(if round % 2 == 0 { IdSize::Eight } else { IdSize::Four });
        let count = random.random_range(1..60);
        let with: Vec<u8> = match round % 3 {
            0 => vec![0; count],
            1 => vec![0xff; count],
            _ => (0..count).map(|_| random.random()).collect(),
        };
        let at = random.random_range(31..dump.bytes.len() - count);
        let (missing, summary) = missing(&dump, at, &with);
        assert!(missing == 0 || !summary.is_complete(), "round {round}: {missing} lost, and not a word");
        assert_eq!(summary.damage.places == 0, summary.damage.bytes == 0);
        told += u32::from(!summary.is_complete());
        lost.push(missing);
    }
    lost.sort_unstable();
    // What is overwritten may be the content of an array, which shows nowhere; and a length that is still one that can be
    // takes some of its neighbours along.
    assert!(told > 200, "{told} of 400 told");
    assert!(lost[200] <= 1, "the median: {lost:?}");
    assert!(lost[380] <= 4, "19 of 20: {:?}", &lost[380..]);
}
