//! Dumps described record by record: sound ones, odd ones, cut ones. Each is read with several buffers and
//! through readers that give little at a time; all must say the same.

use std::io::{Cursor, Read, Write};

use super::open::{IdSize, OpenError, Packing, Version, open, open_with};
use super::records::{Ending, Summary};
use super::visitor::*;
use super::warnings::Fault;
use super::write::{ClassSpec, Heap, Writer};

/// Writes down what it is told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Log {
    lines: Vec<String>,
    /// Elements of the array that began: they may come in any number of pieces.
    elements: Vec<u64>,
}

impl Log {
    fn say(&mut self, line: String) {
        self.end_array();
        self.lines.push(line);
    }

    fn end_array(&mut self) {
        if !self.elements.is_empty() {
            let line = format!("elements {:?}", std::mem::take(&mut self.elements));
            self.lines.push(line);
        }
    }
}

impl Visitor for Log {
    fn text(&mut self, t: &Text<'_>) {
        self.say(format!("text {} {:?} of {}", t.id, String::from_utf8_lossy(t.bytes), t.length));
    }
    fn load_class(&mut self, c: &LoadClass) {
        self.say(format!("load {} {} {}", c.serial, c.id, c.name));
    }
    fn unload_class(&mut self, serial: u32) {
        self.say(format!("unload {serial}"));
    }
    fn frame(&mut self, f: &Frame) {
        self.say(format!(
            "frame {} {} {} {} {} {}",
            f.id, f.method, f.signature, f.source, f.class_serial, f.line
        ));
    }
    fn trace(&mut self, t: &Trace<'_>) {
        self.say(format!("trace {} {} {:?}", t.serial, t.thread, t.frames.iter().collect::<Vec<_>>()));
    }
    fn heap(&mut self, heap: u32, name: u64) {
        self.say(format!("heap {heap} {name}"));
    }
    fn root(&mut self, r: &Root) {
        self.say(format!("root {:?} {} {} {}", r.kind, r.id, r.thread, r.frame));
    }
    fn class(&mut self, c: &Class<'_>) {
        let statics: Vec<_> = c.statics().map(|s| (s.name, s.ty, s.value)).collect();
        let fields: Vec<_> = c.fields().map(|f| (f.name, f.ty)).collect();
        let constants: Vec<_> = c.constants().map(|k| (k.index, k.ty, k.value)).collect();
        self.say(format!(
            "class {} super {} loader {} size {} {constants:?} {statics:?} {fields:?}",
            c.id, c.superclass, c.loader, c.instance_size
        ));
    }
    fn instance(&mut self, i: &Instance<'_>) {
        self.say(format!("instance {} of {} {:?}", i.id, i.class, i.fields));
    }
    fn object_array(&mut self, a: &ObjectArray) {
        self.say(format!("objects {} of {} length {}", a.id, a.class, a.length));
    }
    fn references(&mut self, a: &ObjectArray, first: u64, ids: Ids<'_>) {
        assert_eq!(first, self.elements.len() as u64, "a piece of {a:?} is missing");
        assert_eq!(ids.iter().count(), ids.len());
        ids.for_each(|id| self.elements.push(id));
    }
    fn primitive_array(&mut self, a: &PrimitiveArray) {
        let values = if a.has_values { "" } else { " without values" };
        self.say(format!("{}s {} length {}{values}", a.ty.name(), a.id, a.length));
    }
    fn values(&mut self, a: &PrimitiveArray, first: u64, bytes: &[u8]) {
        assert_eq!(first, self.elements.len() as u64, "a piece of {a:?} is missing");
        let size = a.ty.bytes(0);
        assert_eq!(bytes.len() % size, 0, "a part of an element");
        self.elements.extend(bytes.chunks(size).map(super::wire::number));
    }
}

/// Gives one byte at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = into.len().min(1);
        self.0.read(&mut into[..n])
    }
}

/// Reads a dump in every way and wants the same each time.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<String>, Summary), OpenError> {
    let mut whole = Log::default();
    let summary = open(bytes)?.scan(&mut whole);
    whole.end_array();
    for (buffer, drip) in [(64, false), (64, true), (100, false), (1 << 12, false), (1 << 12, true)] {
        let mut log = Log::default();
        let dump = if drip { open_with(Drip(bytes), buffer)? } else { open_with(bytes, buffer)? };
        let again = dump.scan(&mut log);
        log.end_array();
        let shown = format!("buffer {buffer} drip {drip}");
        assert_eq!(again.truncation(), summary.truncation(), "{shown}");
        // A large array whose end is missing is told with what there is of it; a small one is not told.
        if summary.is_complete() {
            assert_eq!(log, whole, "{shown}");
            assert_eq!(again.counts, summary.counts, "{shown}");
        }
        assert_eq!(again.warnings, summary.warnings, "{shown}");
        assert_eq!(again.bytes, summary.bytes, "{shown}");
    }
    Ok((whole.lines, summary))
}

fn sound(bytes: &[u8]) -> Vec<String> {
    let (lines, summary) = read(bytes).expect("a dump");
    assert!(summary.is_complete(), "{summary:?}");
    assert_eq!(summary.warnings.kept(), []);
    assert_eq!(summary.truncation(), None);
    lines
}

fn writer(size: IdSize) -> Writer<Vec<u8>> {
    Writer::new(Vec::new(), "1.0.2", size, 1_700_000_000_000).expect("memory takes all")
}

fn root(kind: RootKind, id: u64) -> Root {
    Root { at: 0, kind, id, thread: 7, frame: 3 }
}

const ROOTS: [RootKind; 16] = [
    RootKind::Unknown,
    RootKind::JniGlobal,
    RootKind::JniLocal,
    RootKind::JavaFrame,
    RootKind::NativeStack,
    RootKind::StickyClass,
    RootKind::ThreadBlock,
    RootKind::MonitorUsed,
    RootKind::ThreadObject,
    RootKind::InternedString,
    RootKind::Finalizing,
    RootKind::Debugger,
    RootKind::ReferenceCleanup,
    RootKind::VmInternal,
    RootKind::JniMonitor,
    RootKind::Unreachable,
];

fn objects(size: IdSize) -> Heap {
    let class = ClassSpec {
        id: 0x10,
        superclass: 0x20,
        loader: 0x30,
        domain: 0x40,
        instance_size: 12,
        constants: &[(1, Type::Long, 1 << 40)],
        statics: &[(4, Type::Object, 0x99), (5, Type::Char, 0x41), (6, Type::Double, 9)],
        fields: &[(4, Type::Object), (5, Type::Boolean)],
    };
    Heap::new(size)
        .class(&class)
        .instance(0x40, 0x10, &[(Type::Object, 0x50), (Type::Boolean, 1)])
        .object_array(0x50, 0x11, &[0x40, 0, 0x60])
        .object_array(0x58, 0x11, &[])
        .primitive_array(0x60, Type::Int, &[1, 2, 0xffff_ffff])
        .primitive_array(0x68, Type::Byte, &[])
}

fn small(size: IdSize) -> Vec<u8> {
    let mut w = writer(size);
    w.text(1, "A").unwrap();
    w.text(2, "run").unwrap();
    w.load_class(1, 0x10, 1).unwrap();
    w.unload_class(9).unwrap();
    let frame = Frame { id: 0x70, method: 2, signature: 3, source: 4, class_serial: 1, line: -3 };
    w.frame(&frame).unwrap();
    w.trace(1, 7, &[0x70, 0x71]).unwrap();
    w.segment(&objects(size)).unwrap();
    let roots = ROOTS.iter().fold(Heap::new(size), |heap, kind| heap.root(&root(*kind, 0x40)));
    w.segment(&roots).unwrap();
    w.end().unwrap();
    w.into_inner()
}

#[test]
fn every_record_is_told_with_both_widths() {
    for size in [IdSize::Four, IdSize::Eight] {
        let bytes = small(size);
        let lines = sound(&bytes);
        assert_eq!(
            lines[..6],
            [
                "text 1 \"A\" of 1",
                "text 2 \"run\" of 3",
                "load 1 16 1",
                "unload 9",
                "frame 112 2 3 4 1 -3",
                "trace 1 7 [112, 113]",
            ]
        );
        assert_eq!(
            lines[6..14],
            [
                "class 16 super 32 loader 48 size 12 [(1, Long, 1099511627776)] \
                 [(4, Object, 153), (5, Char, 65), (6, Double, 9)] [(4, Object), (5, Boolean)]"
                    .to_owned(),
                match size {
                    IdSize::Four => "instance 64 of 16 [0, 0, 0, 80, 1]".to_owned(),
                    IdSize::Eight => "instance 64 of 16 [0, 0, 0, 0, 0, 0, 0, 80, 1]".to_owned(),
                },
                "objects 80 of 17 length 3".to_owned(),
                "elements [64, 0, 96]".to_owned(),
                "objects 88 of 17 length 0".to_owned(),
                "ints 96 length 3".to_owned(),
                "elements [1, 2, 4294967295]".to_owned(),
                "bytes 104 length 0".to_owned(),
            ]
        );
        assert_eq!(
            lines[14..],
            [
                "root Unknown 64 0 0",
                "root JniGlobal 64 0 0",
                "root JniLocal 64 7 3",
                "root JavaFrame 64 7 3",
                "root NativeStack 64 7 0",
                "root StickyClass 64 0 0",
                "root ThreadBlock 64 7 0",
                "root MonitorUsed 64 0 0",
                "root ThreadObject 64 7 3",
                "root InternedString 64 0 0",
                "root Finalizing 64 0 0",
                "root Debugger 64 0 0",
                "root ReferenceCleanup 64 0 0",
                "root VmInternal 64 0 0",
                "root JniMonitor 64 7 3",
                "root Unreachable 64 0 0",
            ]
        );
        let dump = open(bytes.as_slice()).unwrap();
        let header = dump.header();
        assert_eq!((header.version, header.id_size), (Version::V1_0_2, size));
        assert_eq!(header.started_ms, 1_700_000_000_000);
        assert_eq!(dump.packing(), Packing::Plain);
    }
}

#[test]
fn a_cut_at_every_byte_is_told() {
    for size in [IdSize::Four, IdSize::Eight] {
        let bytes = small(size);
        let whole = sound(&bytes);
        for cut in 0..bytes.len() {
            match read(&bytes[..cut]) {
                Err(OpenError::Empty) => assert_eq!(cut, 0),
                Err(OpenError::Cut(n)) => assert_eq!(n, cut as u64),
                Err(e) => panic!("cut at {cut}: {e}"),
                Ok((lines, summary)) => {
                    assert!(!summary.is_complete(), "cut at {cut} looks whole");
                    let said = summary.truncation().expect("not whole");
                    assert!(said.contains(&format!("after {cut} bytes")), "cut at {cut}: {said}");
                    assert_eq!(lines, whole[..lines.len()], "cut at {cut} tells something else");
                    assert_eq!(summary.bytes, cut as u64);
                    assert!(!summary.end_marker);
                }
            }
        }
    }
}

#[test]
fn a_cut_says_whether_roots_were_seen() {
    let bytes = small(IdSize::Eight);
    let said = |cut: usize| read(&bytes[..cut]).unwrap().1.truncation().unwrap();
    assert!(said(200).ends_with("; no root was seen"), "{}", said(200));
    // The thread object comes in the middle of the roots, the end marker takes nine bytes.
    let roots = bytes.len() - 9 - 192;
    assert!(said(roots + 30).ends_with("; no thread was seen among the roots"), "{}", said(roots + 30));
    assert!(said(bytes.len() - 9).ends_with("; threads were seen among the roots"));
}

#[test]
fn what_is_no_dump_is_named() {
    let named = |bytes: &[u8]| open(bytes).expect_err("no dump").to_string();
    assert!(matches!(open(&b""[..]), Err(OpenError::Empty)));
    let cases: [(&[u8], &str); 11] = [
        (b"hello\nworld\n", "text"),
        (b"JAVA SOURCE", "text"),
        (b"PK\x03\x04....", "zip"),
        (b"\x7fELF\x02\x01", "ELF"),
        (b"FLR\0....", "flight recording"),
        (b"{\"snapshot\":{}}", "V8 heap snapshot"),
        (b"{\"a\":1}", "JSON"),
        (b"2026-01-01\nFull thread dump OpenJDK", "thread dump"),
        (&[0; 600], "zeros"),
        (b"\0\x12portable heap dump", "OpenJ9"),
        (b"\x01\x02\x03\x04", "something else"),
    ];
    for (bytes, word) in cases {
        assert!(named(bytes).contains(word), "{} for {word}", named(bytes));
    }
    assert!(named(&gz(b"plain text, packed")).contains("text"));
    assert!(named(&gz(&gz(&small(IdSize::Four)))).contains("packed twice"));
}

#[test]
fn a_header_that_is_not_understood_is_refused() {
    let with = |version: &str, width: u32| {
        let mut bytes = format!("JAVA PROFILE {version}\0").into_bytes();
        bytes.extend(width.to_be_bytes());
        bytes.extend([0; 600]);
        open(Cursor::new(bytes)).map(|d| d.header().version)
    };
    assert!(matches!(with("1.0.2", 3), Err(OpenError::IdSize(3))));
    assert!(matches!(with("1.0.2", 0), Err(OpenError::IdSize(0))));
    assert!(matches!(with("2.0", 8), Err(OpenError::Version(v)) if v == "2.0"));
    assert!(matches!(with(&"1".repeat(99), 8), Err(OpenError::Version(_))));
    assert_eq!(with("1.0.1", 4).unwrap(), Version::V1_0_1);
    assert_eq!(with("1.0.3", 4).unwrap(), Version::V1_0_3);
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

#[test]
fn packed_dumps_are_unpacked_in_one_piece_or_many() {
    let bytes = small(IdSize::Eight);
    let whole = sound(&bytes);
    assert_eq!(sound(&gz(&bytes)), whole);
    let (a, b) = bytes.split_at(150);
    assert_eq!(sound(&[gz(a), gz(b)].concat()), whole, "many members");
    let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    assert_eq!(sound(&zst(&bytes)), whole);
    assert_eq!(sound(&[zst(a), zst(b)].concat()), whole, "many frames");
    assert_eq!(sound(&[skipped.clone(), zst(a), skipped, zst(b)].concat()), whole, "frames to step over");
    assert_eq!(open(zst(&bytes).as_slice()).unwrap().packing(), Packing::Zstd);
    assert_eq!(open(gz(&bytes).as_slice()).unwrap().packing(), Packing::Gzip);
}

#[test]
fn a_packed_dump_that_ends_early_is_told() {
    let bytes = small(IdSize::Eight);
    for packed in [gz(&bytes), zst(&bytes)] {
        for cut in 1..packed.len() {
            match read(&packed[..cut]) {
                Ok((_, summary)) => assert!(!summary.is_complete(), "cut at {cut}"),
                Err(OpenError::Cut(_) | OpenError::Other(_)) => {}
                Err(e) => panic!("cut at {cut}: {e}"),
            }
        }
    }
    let two = [gz(&bytes[..150]), gz(&bytes[150..])].concat();
    let (_, summary) = read(&two[..two.len() - 20]).unwrap();
    assert!(!summary.is_complete());
    let mut broken = gz(&bytes);
    let last = broken.len() - 6;
    broken[last] ^= 0xff;
    let (_, summary) = read(&broken).unwrap();
    assert!(matches!(summary.ending, Ending::Failed { .. }), "a wrong checksum: {:?}", summary.ending);
}

/// A dump of one segment, and its end marker.
fn one_segment(heap: &Heap) -> Vec<u8> {
    let mut w = writer(IdSize::Eight);
    w.segment(heap).unwrap();
    w.segment(&Heap::new(IdSize::Eight).root(&root(RootKind::StickyClass, 5))).unwrap();
    w.end().unwrap();
    w.into_inner()
}

#[test]
fn damage_costs_its_segment_and_is_told_with_its_offset() {
    let heap = || Heap::new(IdSize::Eight).root(&root(RootKind::StickyClass, 4));
    // Header 31 bytes, segment head 9, root 9: damage begins at 49.
    let beyond = [&[0x23][..], &[0; 12], &[0x7f, 0xff, 0xff, 0xff, 8], b"abc"].concat();
    let long_instance = [&[0x21][..], &[0; 20], &[0, 0, 1, 0], b"abc"].concat();
    let bad_class = [&[0x20][..], &[0; 64], &[0; 4], &[0, 1], &[0; 8], &[3]].concat();
    let many_fields = [&[0x20][..], &[0; 64], &[0; 4], &[0, 9]].concat();
    let cases = [
        (heap().raw(&[0x77, 1, 2, 3]), Fault::UnknownHeapRecord { tag: 0x77, lost: 4 }),
        (heap().raw(&beyond), Fault::BeyondSegment { tag: 0x23, size: 18 + 0x7fff_ffff, lost: 21 }),
        (heap().raw(&long_instance), Fault::BeyondSegment { tag: 0x21, size: 281, lost: 28 }),
        (heap().raw(&[0x21, 0, 0]), Fault::BeyondSegment { tag: 0x21, size: 25, lost: 3 }),
        (heap().raw(&[0x20; 40]), Fault::BeyondSegment { tag: 0x20, size: 65, lost: 40 }),
        (heap().raw(&many_fields), Fault::BeyondSegment { tag: 0x20, size: 72, lost: 71 }),
        (heap().raw(&bad_class), Fault::UnknownType { kind: 3, lost: 80 }),
        (
            heap().raw(&[&[0x23][..], &[0; 12], &[0, 0, 0, 1, 99, 1]].concat()),
            Fault::UnknownType { kind: 99, lost: 19 },
        ),
    ];
    for (heap, fault) in cases {
        let (lines, summary) = read(&one_segment(&heap)).unwrap();
        assert_eq!(lines, ["root StickyClass 4 0 0", "root StickyClass 5 0 0"], "{fault:?}");
        assert!(matches!(summary.ending, Ending::Complete) && !summary.is_complete(), "{fault:?}");
        let warning = summary.warnings.kept()[0];
        assert_eq!((warning.at, warning.fault), (49, fault));
        assert_eq!(summary.warnings.count(), 1);
        assert_eq!((summary.damage.places, summary.damage.first), (1, 49));
    }
}

#[test]
fn unknown_and_short_records_are_stepped_over() {
    let mut w = writer(IdSize::Eight);
    w.record(0x66, b"what is this").unwrap();
    w.record(0x0e, &[0; 6]).unwrap();
    w.record(0x02, &[1, 2, 3]).unwrap();
    w.text(1, "A").unwrap();
    w.segment(&Heap::new(IdSize::Eight)).unwrap();
    w.end().unwrap();
    let (lines, summary) = read(&w.into_inner()).unwrap();
    assert_eq!(lines, ["text 1 \"A\" of 1"]);
    let faults: Vec<_> = summary.warnings.kept().iter().map(|w| (w.at, w.fault)).collect();
    assert_eq!(faults, [(31, Fault::UnknownRecord { tag: 0x66 }), (67, Fault::Short { tag: 2, size: 3 })]);
    let told =
        "dump is damaged: 24 bytes were stepped over, at 2 places, the first at offset 31; no root was seen";
    assert_eq!(summary.truncation().as_deref(), Some(told));
}

#[test]
fn a_long_text_is_told_by_its_beginning() {
    let mut w = writer(IdSize::Four);
    w.text(1, &"x".repeat(100_000)).unwrap();
    w.text(2, "after").unwrap();
    w.heap_dump(&Heap::new(IdSize::Four)).unwrap();
    let lines = sound(&w.into_inner());
    assert_eq!(lines[0].len(), "text 1 \"\" of 100000".len() + 64 * 1024 - 4);
    assert_eq!(lines[1], "text 2 \"after\" of 5");
}

#[test]
fn large_arrays_come_in_pieces() {
    let numbers: Vec<u64> = (0..40_000).collect();
    let heap = Heap::new(IdSize::Eight)
        .object_array(1, 2, &numbers)
        .primitive_array(3, Type::Short, &numbers)
        .primitive_array(4, Type::Double, &numbers);
    let lines = sound(&one_segment(&heap));
    let told = format!("elements {numbers:?}");
    assert_eq!(
        lines[..3],
        ["objects 1 of 2 length 40000".to_owned(), told.clone(), "shorts 3 length 40000".to_owned()]
    );
    assert_eq!(lines[5], told);
}

#[test]
fn an_array_longer_than_the_dump_is_a_cut() {
    let mut w = Writer::new(Vec::new(), "1.0.1", IdSize::Eight, 0).unwrap();
    let array = [&[0x22][..], &[0; 12], &[0x7f, 0xff, 0xff, 0xff], &[0; 8], &[1; 80]].concat();
    w.record_saying(0x1c, u32::MAX, &array).unwrap();
    let (_, summary) = read(&w.into_inner()).unwrap();
    assert!(matches!(summary.ending, Ending::Cut { record: Some((40, 0x22)), .. }), "{:?}", summary.ending);
}

#[test]
fn a_heap_record_whose_length_wrapped_is_read_to_its_end() {
    let body = objects(IdSize::Eight).root(&root(RootKind::StickyClass, 4));
    let tell = |tag, length: usize| {
        let mut w = Writer::new(Vec::new(), "1.0.1", IdSize::Eight, 0).unwrap();
        w.record_saying(tag, length as u32, body.bytes()).unwrap();
        w.record_saying(0x1c, 9, Heap::new(IdSize::Eight).root(&root(RootKind::StickyClass, 5)).bytes())
            .unwrap();
        w.end().unwrap();
        read(&w.into_inner()).unwrap()
    };
    let whole = tell(0x0c, body.bytes().len());
    assert!(whole.1.warnings.kept().is_empty());
    // In the middle of a record, and at the border of two.
    for length in [0, 3, 40, 130, 131, 132, body.bytes().len() - 9, body.bytes().len() - 8] {
        let (lines, summary) = tell(0x0c, length);
        assert_eq!(lines, whole.0, "length {length}");
        assert!(summary.is_complete(), "length {length}: {:?}", summary.ending);
        assert_eq!(summary.warnings.kept()[0].fault, Fault::LengthUnknown);
    }
    // A segment whose length was never written: the writer was killed.
    assert_eq!(tell(0x1c, 0).0, whole.0);
}

#[test]
fn an_array_of_more_than_four_gibibytes_is_counted_whole() {
    // Eight bytes an element: as many as wrap the counter of the record around once.
    let length = (1_u32 << 29) + 10;
    let head = [&[0x23][..], &[0, 0, 0, 0, 0, 0, 0, 9], &[0; 4], &length.to_be_bytes(), &[11]].concat();
    let tail = Heap::new(IdSize::Eight).root(&root(RootKind::StickyClass, 4));
    let bytes = head.len() as u64 + 8 * u64::from(length) + tail.bytes().len() as u64;
    let mut w = Writer::new(Vec::new(), "1.0.1", IdSize::Eight, 0).unwrap();
    w.record_saying(0x0c, bytes as u32, &head).unwrap();
    let front = w.into_inner();
    let zeros = std::io::repeat(0).take(8 * u64::from(length));
    struct Total(u64);
    impl Visitor for Total {
        fn values(&mut self, _: &PrimitiveArray, first: u64, bytes: &[u8]) {
            assert_eq!(first, self.0);
            self.0 += bytes.len() as u64 / 8;
        }
    }
    let mut total = Total(0);
    let summary = open(front.chain(zeros).chain(tail.bytes())).unwrap().scan(&mut total);
    assert_eq!(total.0, u64::from(length));
    assert_eq!(summary.counts.roots, 1);
    assert!(summary.is_complete(), "{:?}", summary.ending);
    assert_eq!(summary.warnings.kept()[0].fault, Fault::LengthUnknown);
}

#[test]
fn a_dump_killed_before_its_length_was_written_is_cut() {
    let body = objects(IdSize::Eight);
    for (tag, version) in [(0x0c, "1.0.1"), (0x1c, "1.0.2")] {
        for cut in 1..=body.bytes().len() {
            let mut w = Writer::new(Vec::new(), version, IdSize::Eight, 0).unwrap();
            w.record_saying(tag, 0, &body.bytes()[..cut]).unwrap();
            let (_, summary) = read(&w.into_inner()).unwrap();
            assert!(!summary.is_complete(), "{version} cut at {cut}");
        }
    }
}

#[test]
fn damage_in_a_heap_record_without_length_ends_the_reading() {
    let mut w = Writer::new(Vec::new(), "1.0.1", IdSize::Eight, 0).unwrap();
    let heap = Heap::new(IdSize::Eight).root(&root(RootKind::StickyClass, 4)).raw(&[0x77; 30]);
    w.record_saying(0x0c, 0, heap.bytes()).unwrap();
    let (lines, summary) = read(&w.into_inner()).unwrap();
    assert_eq!(lines, ["root StickyClass 4 0 0"]);
    assert!(matches!(summary.ending, Ending::Lost { at: 49 }), "{:?}", summary.ending);
    assert_eq!(summary.bytes, 31 + 9 + 9 + 30, "the rest is drained");
    let fault = Fault::UnknownHeapRecord { tag: 0x77, lost: 30 };
    assert_eq!(summary.warnings.kept().last().map(|w| (w.at, w.fault)), Some((49, fault)));
}

#[test]
fn android_records_are_read() {
    let heap = Heap::new(IdSize::Four)
        .heap_info(3, 12)
        .root(&root(RootKind::InternedString, 1))
        .root(&root(RootKind::VmInternal, 2))
        .primitive_array_without_values(3, Type::Long, u32::MAX)
        .instance(4, 5, &[]);
    let mut w = Writer::new(Vec::new(), "1.0.3", IdSize::Four, 0).unwrap();
    w.segment(&heap).unwrap();
    w.end().unwrap();
    assert_eq!(
        sound(&w.into_inner()),
        [
            "heap 3 12",
            "root InternedString 1 0 0",
            "root VmInternal 2 0 0",
            "longs 3 length 4294967295 without values",
            "instance 4 of 5 []"
        ]
    );
}

#[test]
fn many_roots_are_counted() {
    let heap = (0..50_000).fold(Heap::new(IdSize::Eight), |h, id| h.root(&root(RootKind::JavaFrame, id)));
    let (lines, summary) = read(&one_segment(&heap)).unwrap();
    assert_eq!(lines.len(), 50_001);
    assert_eq!((summary.counts.roots, summary.counts.threads), (50_001, 0));
}

#[test]
fn a_visitor_can_end_the_scan() {
    struct Impatient;
    impl Visitor for Impatient {
        fn progress(&mut self, _at: u64) -> std::ops::ControlFlow<()> {
            std::ops::ControlFlow::Break(())
        }
    }
    let bytes = small(IdSize::Eight);
    let summary = open_with(bytes.as_slice(), 64).unwrap().scan(&mut Impatient);
    assert!(matches!(summary.ending, Ending::Stopped { at } if at < bytes.len() as u64));
}

#[test]
fn a_failing_reader_is_told() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    assert!(matches!(open(Broken), Err(OpenError::Read(_))));
    let bytes = small(IdSize::Eight);
    let many = one_segment(&Heap::new(IdSize::Eight).primitive_array(1, Type::Byte, &[0; 1000]));
    for bytes in [&bytes[..], &many[..700]] {
        let summary = open(bytes.chain(Broken));
        let Ok(dump) = summary else { continue };
        let summary = dump.scan(&mut Log::default());
        assert!(matches!(summary.ending, Ending::Failed { .. }), "{:?}", summary.ending);
        assert!(summary.truncation().unwrap().contains("the disk is gone"));
    }
}

/// Puts a dump together again from what is taken of it.
#[derive(Default)]
struct Copy(Vec<(u64, Vec<u8>)>);

impl Visitor for Copy {
    fn taken(&mut self, at: u64, bytes: &[u8]) {
        self.0.push((at, bytes.to_vec()));
    }
}

#[test]
fn what_is_taken_is_the_dump() {
    let heap = Heap::new(IdSize::Eight)
        .primitive_array(1, Type::Int, &[7; 500])
        .object_array(2, 3, &[5; 300])
        .instance(4, 5, &[(Type::Long, 6)]);
    for bytes in [one_segment(&heap), small(IdSize::Four), small(IdSize::Eight)] {
        for buffer in [64, 100, 1 << 16] {
            let mut copy = Copy::default();
            let summary = open_with(bytes.as_slice(), buffer).unwrap().scan(&mut copy);
            assert!(summary.is_complete());
            let mut at = copy.0[0].0;
            for (begin, piece) in &copy.0 {
                assert_eq!(*begin, at);
                assert_eq!(&bytes[at as usize..][..piece.len()], piece, "at {at} with a buffer of {buffer}");
                at += piece.len() as u64;
            }
            assert_eq!(at, bytes.len() as u64);
        }
    }
}
