//! Dumps read by two threads, each a half: what is said of them is what one reader says, to the last byte.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stderr,
    reason = "the test runs the JVM whose dump the crate reads; a skipped test says so"
)]

#[path = "common/counted.rs"]
mod counted;
mod jvm;

use std::ops::ControlFlow;

use counted::Counted;
use jvm::{Folder, jdks};
use plimsoll_read::graph::watch::{Phase, Unwatched};
use plimsoll_read::heap_dump::report::report;
use plimsoll_read::heap_dump::{HeapDumpError, Options, Source, read, scant};
use plimsoll_read::hprof::model::Limits;
use plimsoll_read::hprof::open::IdSize;
use plimsoll_read::hprof::visitor::{Frame, Root, RootKind, Type};
use plimsoll_read::hprof::write::{ClassSpec, Heap, Writer};

/// Of an object: where it is, what it is and who holds it, its own bytes, those it holds.
type Object = (Option<u64>, String, u64, u64);

/// All that is said of a dump: of each object, and the rest.
fn said(source: &impl Source) -> (Vec<Object>, String, String) {
    let heap = read(source, Options::default(), &Unwatched).unwrap();
    let objects = (0..heap.objects()).map(|o| {
        let retained = heap.retained().of(o);
        (
            heap.address_of(o),
            format!("{} {:?}", heap.label(o), heap.tree().holder(o)),
            heap.shallow(o),
            retained,
        )
    });
    let report = format!("{:?}", report(&heap, source, &Unwatched).unwrap());
    let rest = format!(
        "{:?} {} {} {:?} {:?}",
        heap.summary,
        heap.references,
        heap.dangling,
        heap.warnings(),
        heap.size_report
    );
    let all = scant::histogram(source, Limits::default(), &Unwatched).unwrap();
    (objects.collect(), report, format!("{rest} {all:?}"))
}

/// Whether two threads read a dump, having seen that both ways say the same of it.
fn is_read_by_two(what: &str, dump: &[u8]) -> bool {
    let (one, two) = (said(&Counted::new(dump)), said(&Counted::sized(dump)));
    for (ours, theirs) in one.0.iter().zip(&two.0) {
        assert_eq!(ours, theirs, "{what}");
    }
    assert_eq!((one.0.len(), one.1, one.2), (two.0.len(), two.1, two.2), "{what}");
    let counted = Counted::sized(dump);
    scant::histogram(&counted, Limits::default(), &Unwatched).unwrap();
    counted.read().0 < 1.0
}

/// How the objects of a dump lie in it.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Ascending,
    Descending,
    Scattered,
}

/// A thread, and what its stack and others hold.
fn with_roots(heap: Heap, object: impl Fn(u64) -> u64) -> Heap {
    let thread = Root { at: 0, kind: RootKind::ThreadObject, id: 0x8000, thread: 9, frame: 5 };
    (0..50).fold(heap.root(&thread), |heap, i| {
        let kind = if i % 2 == 0 { RootKind::JavaFrame } else { RootKind::StickyClass };
        heap.root(&Root { kind, id: object(i), frame: 0, ..thread })
    })
}

/// A dump in so many segments: names, classes and roots at both ends, lists of many lengths, references across.
fn dump(objects: u64, segments: u64, order: Order, size: IdSize) -> Vec<u8> {
    let mut w = Writer::new(Vec::new(), "1.0.2", size, 0).unwrap();
    for (id, name) in [(1, "shop/Entry"), (2, "shop/Last"), (3, "next"), (4, "java/lang/Thread")] {
        w.text(id, name).unwrap();
    }
    for (serial, name) in [(1u32, 1), (2, 2), (3, 4)] {
        w.load_class(serial, 0x800 + u64::from(serial) * 0x100, name).unwrap();
    }
    let address = |i: u64| 0x10000 + i * 64;
    let mut state = 7u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let class = |at: usize| ClassSpec {
        id: [0x900, 0xa00][at],
        statics: &[],
        fields: &[(3, Type::Object), (3, Type::Object)],
        ..ClassSpec::default()
    };
    let each = objects.div_ceil(segments);
    for segment in 0..segments {
        let mut heap = Heap::new(size);
        if segment == 0 {
            let thread = ClassSpec { id: 0xb00, ..ClassSpec::default() };
            heap = heap.class(&class(0)).class(&thread);
        }
        for i in segment * each..((segment + 1) * each).min(objects) {
            let place = match order {
                Order::Ascending => i,
                Order::Descending => objects - 1 - i,
                Order::Scattered => i * 7919 % objects,
            };
            let id = address(place);
            heap = match place % 5 {
                0 => heap.primitive_array(id, Type::Byte, &vec![1; draw(20) as usize]),
                1 => {
                    let length = if draw(200) == 0 { 2000 } else { draw(4) };
                    let elements: Vec<u64> = (0..length).map(|_| address(draw(objects))).collect();
                    heap.object_array(id, 0x900, &elements)
                }
                _ => {
                    let class = if place % 5 == 2 { 0xa00 } else { 0x900 };
                    let far = if draw(50) == 0 { 0x7777 } else { address(draw(objects)) };
                    heap.instance(
                        id,
                        class,
                        &[(Type::Object, address((place + 1) % objects)), (Type::Object, far)],
                    )
                }
            };
        }
        if segment + 1 == segments {
            heap =
                with_roots(heap.class(&class(1)).instance(0x8000, 0xb00, &[]), |i| address(i * 31 % objects));
        }
        w.segment(&heap).unwrap();
        if segment + 2 == segments {
            w.frame(&Frame { id: 70, method: 3, signature: 3, source: 3, class_serial: 1, line: 12 })
                .unwrap();
            w.trace(5, 9, &[70]).unwrap();
        }
    }
    w.end().unwrap();
    w.into_inner()
}

#[test]
fn two_readers_say_what_one_does() {
    for size in [IdSize::Four, IdSize::Eight] {
        for order in [Order::Ascending, Order::Descending, Order::Scattered] {
            for segments in [2, 17] {
                let dump = dump(60_000, segments, order, size);
                assert!(is_read_by_two("a dump in segments", &dump), "{segments} segments");
            }
        }
    }
}

#[test]
fn one_reader_reads_what_two_cannot() {
    let whole = dump(60_000, 16, Order::Ascending, IdSize::Eight);
    let one_segment = dump(60_000, 1, Order::Ascending, IdSize::Eight);
    assert!(!is_read_by_two("a dump of one segment", &one_segment));
    let small = dump(2000, 16, Order::Ascending, IdSize::Eight);
    assert!(!is_read_by_two("a small dump", &small));
    // Damage in the first half, in the second, and at the border, where heads of segments are.
    for percent in [20, 49, 50, 51, 80] {
        let mut damaged = whole.clone();
        let at = whole.len() * percent / 100;
        damaged[at..at + 3000].fill(0xEE);
        is_read_by_two("a damaged dump", &damaged);
    }
    for percent in [30, 60, 90, 99] {
        is_read_by_two("a cut dump", &whole[..whole.len() * percent / 100]);
    }
    // An identifier given in both halves: the first one counts.
    let mut twice = whole;
    let second = dump(60_000, 16, Order::Scattered, IdSize::Eight);
    let end = twice.len() - 9;
    twice.truncate(end);
    twice.extend_from_slice(
        &second[second.windows(9).position(|w| w[0] == 0x1c && w[1..5] == [0; 4]).unwrap()..],
    );
    is_read_by_two("a dump that gives identifiers twice", &twice);
}

#[test]
fn two_readers_can_be_stopped() {
    let whole = dump(60_000, 16, Order::Ascending, IdSize::Eight);
    for stopped in [Phase::Survey, Phase::Wiring] {
        let watch = |phase: Phase, _: u64, _: u64| {
            if phase == stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let read = read(whole.as_slice(), Options::default(), &watch);
        let Err(HeapDumpError::Graph(error)) = read else { panic!("{stopped} went on") };
        assert!(error.to_string().contains(&stopped.to_string()), "{error}");
    }
}

#[test]
fn dumps_of_every_jvm_here_are_the_same_by_two_readers() {
    for jdk in jdks() {
        let folder = Folder::new(&format!("halves-{}", jdk.version));
        for collector in ["Serial", "G1", "Z"] {
            let Some(dump) = jdk.leak(&folder, collector, 4000) else { continue };
            let what = format!("JDK {} with {collector}", jdk.version);
            let two = is_read_by_two(&what, &dump);
            eprintln!("{what}: {} bytes, read by {}", dump.len(), if two { "two" } else { "one" });
        }
    }
}
