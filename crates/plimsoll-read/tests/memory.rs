//! What a reading may cost, frozen: bytes read of the source, and bytes of memory an object at the highest.
//!
//! One test for all of it: the counts are those of the whole process. To lower a limit, lower its constant.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
#![expect(clippy::print_stderr, reason = "what was measured is shown beside the limit")]

#[path = "common/allocator.rs"]
mod allocator;
#[expect(dead_code, reason = "shared with other tests")]
mod common;
#[path = "common/counted.rs"]
mod counted;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use allocator::{HIGHEST, NOW, highest};
use common::{Parts, Story};
use counted::Counted;
use plimsoll_read::graph::watch::{Phase, Unwatched, Watch};
use plimsoll_read::heap_dump::report::report;
use plimsoll_read::heap_dump::{Options, Roots, read, scant};
use plimsoll_read::heap_snapshot;
use plimsoll_read::hprof::model::Limits;
use plimsoll_read::hprof::open::IdSize;
use plimsoll_read::hprof::visitor::{Root, RootKind, Type};
use plimsoll_read::hprof::write::{ClassSpec, Heap, Writer};
use plimsoll_read::reading::Context;

/// Bytes that each object more takes at the highest from the walk to the verdict, when the graph is there.
const BYTES_AN_OBJECT: f64 = 14.2;
/// Bytes taken before, while the dump is read: buffers and what is under way from one thread to the other, whatever the
/// size of the dump, besides as much for each object.
const READING: usize = 72 << 20;
/// The same where two threads read a half each, which have buffers of their own.
const READING_HALVES: usize = 112 << 20;
/// Bytes taken by ten million roots of a thousand objects.
const MANY_ROOTS: usize = 76 << 20;
/// How many times a file is read from begin to end for the verdict, and for all objects by class.
const PASSES: (u64, u64) = (2, 1);
/// Bytes read in small pieces for the verdict's details, as times this file: a fixed number of entries is looked at, so it
/// is less of a larger one.
const IN_PIECES: f64 = 1.6;

/// Bytes taken for a heap snapshot, as times the file.
const OF_SNAPSHOT: f64 = 1.5;

/// The highest before the walk begins, and from there on.
#[derive(Default)]
struct Peaks {
    reading: AtomicUsize,
    judging: AtomicUsize,
}

impl Peaks {
    fn note(&self, phase: Phase) {
        let highest = HIGHEST.swap(NOW.load(Ordering::Relaxed), Ordering::Relaxed);
        let is_reading =
            matches!(phase, Phase::Survey | Phase::Wiring) || self.judging.load(Ordering::Relaxed) == 0;
        let peak = if is_reading { &self.reading } else { &self.judging };
        peak.fetch_max(highest, Ordering::Relaxed);
        if !matches!(phase, Phase::Survey | Phase::Wiring) {
            self.judging.fetch_max(1, Ordering::Relaxed);
        }
    }
}

impl Watch for Peaks {
    fn step(&self, phase: Phase, _: u64, _: u64) -> ControlFlow<()> {
        self.note(phase);
        ControlFlow::Continue(())
    }
}

/// A map of URLs, four objects an entry.
fn leak(entries: u32) -> Vec<u8> {
    let mut story = Story::new();
    let metric = story.class("shop/Metric", &Parts { fields: &[("count", Type::Long)], ..Parts::default() });
    let pairs: Vec<(u64, u64)> = (0..entries)
        .map(|i| {
            let key = story.text(&format!("/users/{i}/orders?trace={:016x}", u64::from(i) * 0x9E37_79B9));
            (key, story.instance(metric, &[(Type::Long, u64::from(i))]))
        })
        .collect();
    let map = story.map_of(story.map, &pairs, &[]);
    story.app_class("shop/Metrics", &[("BY_URL", map)], &[]);
    story.main();
    story.end()
}

/// Objects, and bytes at the highest: while the dump is read, and from then on.
fn verdict(source: &Counted<'_>) -> (u32, usize, usize) {
    let peaks = Peaks::default();
    let before = NOW.load(Ordering::Relaxed);
    HIGHEST.store(before, Ordering::Relaxed);
    let heap = read(source, Options::default(), &peaks).unwrap();
    let said = report(&heap, source, &peaks).unwrap();
    peaks.note(Phase::Fetch);
    assert_eq!(said.suspects[0].path.owner.to_string(), "shop.Metrics.BY_URL");
    assert!(said.suspects[0].accused && said.suspects[0].keys.is_some());
    let above = |peak: &AtomicUsize| peak.load(Ordering::Relaxed).saturating_sub(before);
    (heap.objects(), above(&peaks.reading), above(&peaks.judging))
}

/// A dump of a thousand objects, and ten million roots of them.
fn many_roots() -> Vec<u8> {
    let size = IdSize::Eight;
    let mut w = Writer::new(Vec::new(), "1.0.2", size, 0).unwrap();
    w.text(1, "Thing").unwrap();
    w.load_class(1, 0x1000, 1).unwrap();
    let class = ClassSpec { id: 0x1000, ..ClassSpec::default() };
    let object = |i: u64| 0x2000 + i % 1000 * 16;
    let heap = (0..1000).fold(Heap::new(size).class(&class), |heap, i| heap.instance(object(i), 0x1000, &[]));
    w.segment(&heap).unwrap();
    for part in 0..100 {
        let heap = (0..100_000).fold(Heap::new(size), |heap, i| {
            let kind = if i == 0 { RootKind::ThreadObject } else { RootKind::JavaFrame };
            heap.root(&Root { at: 0, kind, id: object(i), thread: 1, frame: part })
        });
        w.segment(&heap).unwrap();
    }
    w.end().unwrap();
    w.into_inner()
}

/// A heap snapshot of a list of so many objects with a text each, written as the engine does.
fn snapshot(objects: usize) -> Vec<u8> {
    let meta = r#""meta":{"node_fields":["type","name","id","self_size","edge_count","trace_node_id","detachedness"],
"node_types":[["hidden","array","string","object","code","closure","regexp","number","native","synthetic"],
"string","number","number","number","number","number"],"edge_fields":["type","name_or_index","to_node"],
"edge_types":[["context","element","property","internal","hidden","shortcut","weak"],"string_or_number","node"]}"#;
    let (nodes, edges) = (1 + 2 * objects, 2 * objects);
    let mut text =
        format!("{{\"snapshot\":{{{meta},\"node_count\":{nodes},\"edge_count\":{edges}}},\n\"nodes\":[");
    text += &format!("9,0,1,0,{objects},0,0\n");
    (0..objects).for_each(|n| text += &format!(",3,1,{},48,1,0,0\n", 3 + 4 * n));
    (0..objects).for_each(|n| text += &format!(",2,{},{},40,0,0,0\n", 2 + n, 5 + 4 * n));
    text += "],\n\"edges\":[";
    let root = (0..objects).map(|n| format!("1,{n},{}", 7 * (1 + n)));
    let texts = (0..objects).map(|n| format!("2,1,{}", 7 * (1 + objects + n)));
    text += &root.chain(texts).collect::<Vec<_>>().join("\n,");
    text += "],\n\"strings\":[\"\",\n\"Session\"";
    (0..objects).for_each(|n| text += &format!(",\n\"token-{n}-xxxxxxxxxxxxxxxxxxxx\""));
    (text + "]}").into_bytes()
}

/// What a larger snapshot takes more, as buffers are of one size.
fn snapshots_cost_no_more_than_they_are_long() {
    let of = |objects: usize| {
        let bytes = snapshot(objects);
        let ((), taken) = highest(|| {
            let heap = heap_snapshot::read(bytes.as_slice(), heap_snapshot::Options::default(), &Unwatched);
            let heap = heap.unwrap();
            assert_eq!(heap.nodes() as usize, 1 + 2 * objects);
            let reachable = heap.report(&Context::default()).reachable_bytes;
            assert_eq!(reachable, Some(88 * objects as u64));
        });
        (bytes.len(), taken)
    };
    let ((short, first), (long, second)) = (of(100_000), of(300_000));
    let times = (second - first) as f64 / (long - short) as f64;
    eprintln!(
        "{first} and {second} bytes for heap snapshots of {short} and {long}: {times:.2} of what is more"
    );
    assert!(times <= OF_SNAPSHOT, "{times:.2} times the file");
}

#[test]
fn a_reading_costs_what_it_says() {
    snapshots_cost_no_more_than_they_are_long();

    let (small, large) = (leak(50_000), leak(100_000));
    let (objects, _, first) = verdict(&Counted::new(&small));
    let source = Counted::new(&large);
    let (more, reading, second) = verdict(&source);
    let each = (second - first) as f64 / f64::from(more - objects);
    let (passes, pieces) = source.read();
    let pieces = pieces as f64 / large.len() as f64;
    eprintln!("{each:.3} bytes an object ({first}, {second}), {reading} while {more} objects are read");
    eprintln!("{passes} passes, and {pieces:.4} of the file in pieces");
    assert!(each <= BYTES_AN_OBJECT, "{each:.3} bytes an object");
    assert!(reading as f64 <= READING as f64 + BYTES_AN_OBJECT * f64::from(more), "{reading} bytes");
    assert_eq!(passes, PASSES.0 as f64, "passes over the file for the verdict");
    assert!(pieces <= IN_PIECES, "{pieces} of the file in pieces");

    let source = Counted::new(&large);
    let all = scant::histogram(&source, Limits::default(), &Unwatched).unwrap();
    assert!(all.rows.iter().any(|row| row.class == "shop.Metric" && row.instances == 100_000));
    assert_eq!(source.read(), (PASSES.1 as f64, 0), "passes over the file for all objects by class");

    let by_two = Counted::sized(&large);
    let (_, reading, third) = verdict(&by_two);
    let (begins, parts) = by_two.read();
    let parts = parts as f64 / large.len() as f64 - pieces;
    eprintln!(
        "two readers: {third} bytes, {reading} while they read, {parts:.4} of the file and {begins:.4}"
    );
    assert!(third as f64 <= second as f64 * 1.01, "{third} bytes, {second} by one reader");
    assert!(reading as f64 <= READING_HALVES as f64 + BYTES_AN_OBJECT * f64::from(more), "{reading} bytes");
    assert!((PASSES.0 as f64..PASSES.0 as f64 * 1.01).contains(&parts), "{parts} passes by two readers");

    let roots = many_roots();
    let (heap, taken) = highest(|| read(roots.as_slice(), Options::default(), &Unwatched).unwrap());
    eprintln!("{taken} bytes for {} roots of {} objects", heap.summary.counts.roots, heap.objects());
    assert_eq!((heap.summary.counts.roots, heap.objects()), (10_000_000, 1001));
    assert!(taken <= MANY_ROOTS, "{taken} bytes");
    let Roots::Told { held, locals } = &heap.roots else { panic!("the roots are told") };
    assert_eq!((held.len(), locals.len()), (1, 999), "the thread, and what its stack holds");
}
