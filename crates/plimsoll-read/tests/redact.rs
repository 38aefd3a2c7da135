//! Redacted heap dumps: nothing of a planted secret is left, and everything else is as it was, in dumps written by hand,
//! in damaged ones, and in those of a real JVM.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the test runs the JVM whose dump the crate redacts"
)]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plimsoll_read::graph::dominators::Holder;
use plimsoll_read::graph::watch::Unwatched;
use plimsoll_read::heap_dump::{self, HeapDump, Options};
use plimsoll_read::hprof::layout::Layouts;
use plimsoll_read::hprof::model::{Limits, Model};
use plimsoll_read::hprof::open::{IdSize, Packing, open, open_with};
use plimsoll_read::hprof::records::Summary;
use plimsoll_read::hprof::shallow::{Histogram, Row};
use plimsoll_read::hprof::visitor::*;
use plimsoll_read::hprof::write::{ClassSpec, Heap, Writer};
use plimsoll_read::redact::policy::{FieldRule, Numbers, Policy, Texts};
use plimsoll_read::redact::report::RedactReport;
use plimsoll_read::redact::{RedactError, redact, redact_surveyed, survey};
use plimsoll_read::secrets::Kind;
use plimsoll_read::secrets::dump::{SecretsReport, secrets_in_dump};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const KEY: [u8; 32] = *b"an example of a key of 32 bytes!";

/// Secrets as programs hold them.
const SECRETS: &[&str] = &[
    "hunter2-not-real",
    "Pa$$w0rd!#2024-Zoe",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "jdbc:oracle:thin:scott/tigerbytail@db-prod-7.internal:1521:ORCL",
    "4539 1488 0343 6467",
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
];

fn redacted(dump: &[u8], policy: &Policy) -> (Vec<u8>, RedactReport) {
    let mut out = Vec::new();
    let report = redact(dump, &mut out, policy, &KEY).expect("a dump, and memory to write to");
    (out, report)
}

/// Six characters in a row of any secret, in any encoding that they were planted in.
struct Finder<'s> {
    /// Bytes of a character, and what to find with whose it is.
    windows: Vec<(usize, HashMap<Vec<u8>, &'s str>)>,
    /// Whether anything to find begins with these two bytes.
    begins: Vec<bool>,
}

impl<'s> Finder<'s> {
    fn new(secrets: &[&'s str]) -> Finder<'s> {
        let of = |(encoding, unit): (usize, usize)| {
            let windows = secrets.iter().flat_map(|secret| {
                let bytes = encodings(secret)[encoding].clone();
                let windows = bytes.windows(6 * unit).step_by(unit).filter(|w| !is_plain(w));
                windows.map(|w| (w.to_vec(), *secret)).collect::<Vec<_>>()
            });
            (unit, windows.collect())
        };
        let windows: Vec<(usize, HashMap<Vec<u8>, &str>)> =
            [1, 2, 2].into_iter().enumerate().map(of).collect();
        let mut begins = vec![false; 1 << 16];
        for window in windows.iter().flat_map(|(_, all)| all.keys()) {
            begins[usize::from(window[0]) << 8 | usize::from(window[1])] = true;
        }
        Finder { windows, begins }
    }

    fn find(&self, bytes: &[u8]) -> Option<&'s str> {
        let may_begin = |at: &usize| self.begins[usize::from(bytes[*at]) << 8 | usize::from(bytes[*at + 1])];
        (0..bytes.len().saturating_sub(6)).filter(may_begin).find_map(|at| {
            let find = |(unit, all): &(usize, HashMap<Vec<u8>, &'s str>)| {
                bytes.get(at..at + 6 * unit).and_then(|w| all.get(w)).copied()
            };
            self.windows.iter().find_map(find)
        })
    }
}

fn leaks<'s>(out: &[u8], secrets: &[&'s str]) -> Option<&'s str> {
    Finder::new(secrets).find(out)
}

/// Separators and single characters between them tell nothing.
fn is_plain(window: &[u8]) -> bool {
    window.iter().filter(|b| b.is_ascii_alphanumeric()).count() < 2
}

fn encodings(text: &str) -> [Vec<u8>; 3] {
    let utf16 = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect();
    [text.as_bytes().to_vec(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)]
}

fn elements(bytes: &[u8]) -> Vec<u64> {
    bytes.iter().map(|b| u64::from(*b)).collect()
}

const OBJECT: u64 = 0x1000;
const STRING: u64 = 0x1100;
const CARD: u64 = 0x1200;

/// What a JVM writes before the objects: texts, classes loaded, a stack.
fn prologue(w: &mut Writer<Vec<u8>>, secrets: &[&str]) {
    let names = [
        "java/lang/Object",
        "java/lang/String",
        "com/example/Card",
        "value",
        "hash",
        "pin",
        "number",
        "LIMIT",
    ];
    for (id, name) in (1..).zip(names) {
        w.text(id, name).unwrap();
    }
    // The literals of the program lie among the names.
    for (id, secret) in (100..).zip(secrets) {
        w.text(id, secret).unwrap();
    }
    for (serial, class) in (1..).zip([OBJECT, STRING, CARD]) {
        w.load_class(serial, class, u64::from(serial)).unwrap();
    }
    w.frame(&Frame { id: 1, method: 6, signature: 4, source: 3, class_serial: 3, line: 7 }).unwrap();
    w.trace(1, 1, &[1]).unwrap();
}

fn classes(size: IdSize) -> Heap {
    let string = ClassSpec {
        id: STRING,
        superclass: OBJECT,
        fields: &[(4, Type::Object), (5, Type::Int)],
        instance_size: 12,
        ..ClassSpec::default()
    };
    let card = ClassSpec {
        id: CARD,
        superclass: OBJECT,
        statics: &[(4, Type::Object, 0x2000), (8, Type::Int, 4711), (6, Type::Int, 123_456)],
        fields: &[(6, Type::Short), (7, Type::Object), (8, Type::Long)],
        instance_size: 18,
        ..ClassSpec::default()
    };
    Heap::new(size).class(&ClassSpec { id: OBJECT, ..ClassSpec::default() }).class(&string).class(&card)
}

/// The secrets as strings of all kinds, and who refers to them.
fn objects(heap: Heap, secrets: &[&str]) -> Heap {
    let mut heap = heap;
    for (i, secret) in (0..).zip(secrets) {
        let at = 0x2000 + 0x100 * i;
        let [latin, le, be] = encodings(secret);
        let units: Vec<u64> = secret.encode_utf16().map(u64::from).collect();
        let points: Vec<u64> = secret.chars().map(u64::from).collect();
        let padded = [b"GET /login?x=", &latin[..], &[0; 100]].concat();
        heap = heap
            .instance(at, STRING, &[(Type::Object, at + 8), (Type::Int, 0x1234_5678)])
            .primitive_array(at + 8, Type::Byte, &elements(&latin))
            .primitive_array(at + 0x10, Type::Byte, &elements(&le))
            .primitive_array(at + 0x18, Type::Byte, &elements(&be))
            .primitive_array(at + 0x20, Type::Char, &units)
            .primitive_array(at + 0x28, Type::Int, &points)
            .primitive_array(at + 0x30, Type::Byte, &elements(&padded))
            .instance(at + 0x38, CARD, &[(Type::Short, 4711), (Type::Object, at), (Type::Long, 123_456)])
            .object_array(at + 0x40, OBJECT, &[at, at + 0x10, at + 0x38]);
    }
    let root = |kind, id| Root { at: 0, kind, id, thread: 1, frame: 1 };
    heap.root(&root(RootKind::ThreadObject, 0x2038)).root(&root(RootKind::JniGlobal, 0x2040))
}

fn small(size: IdSize, secrets: &[&str]) -> Vec<u8> {
    let mut w = Writer::new(Vec::new(), "1.0.2", size, 1_700_000_000_000).unwrap();
    prologue(&mut w, secrets);
    w.segment(&classes(size)).unwrap();
    w.segment(&objects(Heap::new(size), secrets)).unwrap();
    w.end().unwrap();
    w.into_inner()
}

/// Everything but values, in order.
#[derive(Default)]
struct Skeleton(Vec<String>);

impl Visitor for Skeleton {
    fn load_class(&mut self, class: &LoadClass) {
        self.0.push(format!("{class:?}"));
    }
    fn frame(&mut self, frame: &Frame) {
        self.0.push(format!("{frame:?}"));
    }
    fn trace(&mut self, trace: &Trace<'_>) {
        self.0.push(format!("{trace:?}"));
    }
    fn root(&mut self, root: &Root) {
        self.0.push(format!("{root:?}"));
    }
    fn class(&mut self, c: &Class<'_>) {
        let statics: Vec<_> =
            c.statics().map(|s| (s.name, s.ty, (s.ty == Type::Object).then_some(s.value))).collect();
        self.0.push(format!(
            "class {} {:x} {:x} {statics:?} {:?}",
            c.at,
            c.id,
            c.superclass,
            c.fields().collect::<Vec<_>>()
        ));
    }
    fn instance(&mut self, i: &Instance<'_>) {
        self.0.push(format!("instance {} {:x} {:x} {}", i.at, i.id, i.class, i.fields.len()));
    }
    fn references(&mut self, array: &ObjectArray, first: u64, ids: Ids<'_>) {
        self.0.push(format!("{array:?} {first} {:?}", ids.iter().collect::<Vec<_>>()));
    }
    fn primitive_array(&mut self, array: &PrimitiveArray) {
        self.0.push(format!("{array:?}"));
    }
}

fn rows(dump: &[u8]) -> (Vec<Row>, Summary) {
    let dump = open(dump).expect("a dump");
    let size = dump.header().id_size;
    let mut both = (Model::new(size, Limits::default()), Histogram::new(size));
    let summary = dump.scan(&mut both);
    let layouts = Layouts::of(&both.0);
    (both.1.rows(&both.0, &layouts), summary)
}

fn skeleton(dump: &[u8]) -> Vec<String> {
    let mut skeleton = Skeleton::default();
    open(dump).expect("a dump").scan(&mut skeleton);
    skeleton.0
}

#[test]
fn no_secret_survives_and_everything_else_does() {
    for size in [IdSize::Four, IdSize::Eight] {
        let dump = small(size, SECRETS);
        assert!(leaks(&dump, &SECRETS[2..3]).is_some(), "the check finds what is there");
        let (out, report) = redacted(&dump, &Policy::default());
        assert_eq!(leaks(&out, SECRETS), None);
        assert_eq!(out.len(), dump.len());
        assert!(report.is_faithful(), "{report:?}");
        assert_eq!(report.names_lost, 0);
        assert_eq!(report.names.count, 8);
        assert_eq!(report.other_texts.count, SECRETS.len() as u64);
        assert_eq!(report.texts.count, 5 * SECRETS.len() as u64);
        assert_eq!(report.zeroed.count, SECRETS.len() as u64);
        // A hash and a pin each, and a static pin.
        assert_eq!(report.fields.count, 2 * SECRETS.len() as u64 + 1);
        assert_eq!(skeleton(&out), skeleton(&dump));
        assert_eq!(rows(&out).0, rows(&dump).0);
    }
}

/// Fields of one instance, and the statics of its class.
fn card_of(dump: &[u8]) -> (Vec<u8>, Vec<u64>) {
    struct Card(Vec<u8>, Vec<u64>);
    impl Visitor for Card {
        fn instance(&mut self, i: &Instance<'_>) {
            if i.class == CARD {
                self.0 = i.fields.to_vec();
            }
        }
        fn class(&mut self, c: &Class<'_>) {
            if c.id == CARD {
                self.1 = c.statics().map(|s| s.value).collect();
            }
        }
    }
    let mut card = Card(Vec::new(), Vec::new());
    open(dump).expect("a dump").scan(&mut card);
    (card.0, card.1)
}

#[test]
fn only_chosen_fields_change() {
    let dump = small(IdSize::Eight, &SECRETS[..1]);
    let (before, statics) = card_of(&dump);
    let (after, new_statics) = card_of(&redacted(&dump, &Policy::default()).0);
    assert_ne!(before[..2], after[..2], "the pin");
    assert_eq!(before[2..], after[2..], "a reference and a number with a plain name");
    assert_eq!(statics[..2], new_statics[..2]);
    assert_ne!(statics[2], new_statics[2], "the static pin");
    let fields = vec![FieldRule::parse("com.example.Card.LIMIT").unwrap()];
    let policy = Policy { fields, secret_names: false, ..Policy::default() };
    let (after, new_statics) = card_of(&redacted(&dump, &policy).0);
    assert_eq!(before[..10], after[..10]);
    assert_ne!(before[10..], after[10..]);
    assert_eq!(statics[0], new_statics[0]);
    assert_ne!(statics[1], new_statics[1]);
    assert_eq!(statics[2], new_statics[2]);
}

#[test]
fn policies_for_arrays() {
    let dump = small(IdSize::Eight, &SECRETS[..1]);
    let (out, report) = redacted(&dump, &Policy { texts: Texts::Zero, ..Policy::default() });
    assert_eq!((report.texts.count, report.zeroed.count), (0, 6));
    assert_eq!(leaks(&out, SECRETS), None);
    assert_eq!(skeleton(&out), skeleton(&dump));
    let (_, report) = redacted(&dump, &Policy { numbers: Numbers::Keep, ..Policy::default() });
    assert_eq!((report.zeroed.count, report.kept_arrays.count), (0, 1));
}

#[test]
fn the_same_key_gives_the_same_copy_and_another_key_another() {
    let dump = small(IdSize::Eight, SECRETS);
    let (out, _) = redacted(&dump, &Policy::default());
    assert_eq!(redacted(&dump, &Policy::default()).0, out);
    let mut other = Vec::new();
    redact(dump.as_slice(), &mut other, &Policy::default(), &[1; 32]).unwrap();
    assert_ne!(other, out);
    assert_eq!(skeleton(&other), skeleton(&out));
}

#[test]
fn equal_texts_stay_equal_wherever_they_are() {
    let dump = small(IdSize::Eight, &["hunter2-not-real", "hunter2-not-real"]);
    let (out, _) = redacted(&dump, &Policy::default());
    struct Texts(Vec<String>);
    impl Visitor for Texts {
        fn text(&mut self, text: &Text<'_>) {
            if text.id >= 100 {
                self.0.push(String::from_utf8(text.bytes.to_vec()).unwrap());
            }
        }
        fn values(&mut self, array: &PrimitiveArray, _: u64, bytes: &[u8]) {
            match array.ty {
                Type::Byte if bytes.len() == 16 => self.0.push(String::from_utf8(bytes.to_vec()).unwrap()),
                Type::Byte if bytes.len() == 32 && bytes[1] == 0 => {
                    self.0.push(bytes.iter().step_by(2).map(|b| char::from(*b)).collect());
                }
                Type::Char => self.0.push(bytes.iter().skip(1).step_by(2).map(|b| char::from(*b)).collect()),
                _ => {}
            }
        }
    }
    let mut texts = Texts(Vec::new());
    open(out.as_slice()).unwrap().scan(&mut texts);
    assert_eq!(texts.0.len(), 8);
    assert!(texts.0.iter().all(|t| *t == texts.0[0]), "{:?}", texts.0);
}

#[test]
fn words_of_the_code_stay_readable_if_asked() {
    let dump = small(IdSize::Eight, &["/Card/number/4711/unknown"]);
    let (out, _) = redacted(&dump, &Policy { keep_words: true, ..Policy::default() });
    let has = |word: &[u8]| out.windows(word.len()).any(|w| w == word);
    assert!(has(b"/Card/number/"));
    assert!(!has(b"/Card/number/4711") && !has(b"unknown"));
}

/// A secret at every place where a large array may be cut into pieces.
#[test]
fn large_arrays_are_replaced_as_one() {
    let secret = b"/orders/48151623?session=hunter2NotReal0042 ";
    let text: Vec<u8> = secret.iter().copied().cycle().take(9 << 20).collect();
    let mut w = Writer::new(Vec::new(), "1.0.2", IdSize::Eight, 0).unwrap();
    let chars = text[..5 << 20].iter().map(|b| u64::from(*b)).collect::<Vec<_>>();
    let heap = Heap::new(IdSize::Eight)
        .primitive_array(0x10, Type::Byte, &elements(&text))
        .primitive_array(0x18, Type::Char, &chars)
        .primitive_array(0x20, Type::Long, &[0x6875_6e74_6572_3234; 1 << 20])
        .primitive_array(0x28, Type::Byte, &elements(secret));
    w.segment(&heap).unwrap();
    w.end().unwrap();
    let dump = w.into_inner();
    let (out, report) = redacted(&dump, &Policy::default());
    assert!(report.is_faithful(), "{report:?}");
    assert_eq!(report.texts.bytes, (9 << 20) + 44 + (10 << 20));
    assert_eq!(skeleton(&out), skeleton(&dump));
    struct Arrays(Vec<Vec<u8>>);
    impl Visitor for Arrays {
        fn values(&mut self, _: &PrimitiveArray, first: u64, bytes: &[u8]) {
            if first == 0 {
                self.0.push(Vec::new());
            }
            self.0.last_mut().unwrap().extend_from_slice(bytes);
        }
    }
    let mut arrays = Arrays(Vec::new());
    open(out.as_slice()).unwrap().scan(&mut arrays);
    let [bytes, chars, longs, once] = &arrays.0[..] else { panic!("four arrays") };
    assert!(bytes.chunks_exact(44).all(|c| c == once), "each time the same");
    let whole = 2 * 44 * (chars.len() / 88);
    assert!(chars[..whole].iter().skip(1).step_by(2).zip(once.iter().cycle()).all(|(a, b)| a == b));
    assert!(longs.iter().all(|b| *b == 0));
    assert!(once.windows(4).all(|w| w == b"    " || !secret.windows(4).any(|s| s == w)));
}

#[test]
fn packed_dumps_give_the_same_copy() {
    let dump = small(IdSize::Eight, SECRETS);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&dump).unwrap();
    let (out, report) = redacted(&gzip.finish().unwrap(), &Policy::default());
    assert_eq!(report.packing, Packing::Gzip);
    assert_eq!(out, redacted(&dump, &Policy::default()).0);
}

#[test]
fn objects_before_their_classes_need_a_survey() {
    let mut w = Writer::new(Vec::new(), "1.0.3", IdSize::Four, 0).unwrap();
    w.segment(&objects(Heap::new(IdSize::Four), SECRETS)).unwrap();
    prologue(&mut w, SECRETS);
    w.segment(&classes(IdSize::Four)).unwrap();
    w.end().unwrap();
    let dump = w.into_inner();
    let (blind, report) = redacted(&dump, &Policy::default());
    assert_eq!(leaks(&blind, SECRETS), None);
    assert!(!report.is_faithful());
    assert_eq!((report.unknown_objects.count, blind.len()), (2 * SECRETS.len() as u64, dump.len()));
    let known = survey(dump.as_slice(), 1 << 20).unwrap();
    let mut out = Vec::new();
    let report = redact_surveyed(known, dump.as_slice(), &mut out, &Policy::default(), &KEY).unwrap();
    assert!(report.is_faithful(), "{report:?}");
    assert_eq!((report.names.count, report.names_lost), (8, 0));
    assert_eq!(leaks(&out, SECRETS), None);
    assert_eq!(skeleton(&out), skeleton(&dump));
}

#[test]
fn names_beyond_the_memory_for_them_are_replaced_and_told() {
    let dump = small(IdSize::Eight, SECRETS);
    let (out, report) = redacted(&dump, &Policy { held: 100, ..Policy::default() });
    assert!(report.names_lost > 0, "{report:?}");
    assert_eq!(leaks(&out, SECRETS), None);
    assert_eq!(skeleton(&out), skeleton(&dump));
}

#[test]
fn a_cut_dump_is_copied_to_where_it_ends() {
    for size in [IdSize::Four, IdSize::Eight] {
        let dump = small(size, &SECRETS[..2]);
        for end in 40..dump.len() {
            let cut = &dump[..end];
            let (out, report) = redacted(cut, &Policy::default());
            assert_eq!(out.len(), end);
            assert_eq!(leaks(&out, &SECRETS[..2]), None, "cut at {end}");
            assert!(!report.summary.is_complete());
            let (before, after) = (rows(cut), rows(&out));
            assert_eq!(before.1.counts, after.1.counts, "cut at {end}");
            assert_eq!(skeleton(cut), skeleton(&out), "cut at {end}");
        }
    }
}

/// Whatever is damaged, what is not understood is not copied. One byte, or a run, anywhere.
#[test]
fn no_damage_lets_a_secret_through() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let dump = small(IdSize::Eight, SECRETS);
    let secrets = Finder::new(SECRETS);
    let header = 31;
    for _ in 0..2000 {
        let mut damaged = dump.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(header..damaged.len());
            match random.random_range(0..4) {
                0 => damaged[at] = random.random(),
                1 => damaged[at] = 0,
                2 => drop(damaged.remove(at)),
                _ => {
                    let end = (at + random.random_range(1..40)).min(damaged.len());
                    random.fill_bytes(&mut damaged[at..end]);
                }
            }
        }
        let (out, report) = redacted(&damaged, &Policy::default());
        assert_eq!(out.len(), damaged.len());
        let found = secrets.find(&out);
        assert!(found.is_none(), "{found:?} survives: {report:#?}");
    }
}

#[test]
fn what_the_reader_does_not_know_is_not_copied() {
    let mut w = Writer::new(Vec::new(), "1.0.2", IdSize::Eight, 0).unwrap();
    w.record(0x77, b"hunter2-not-real").unwrap();
    // Two samples of the processor, as the record itself says: it is known, and of no use.
    w.record(0x0d, b"\0\0\0\0\0\0\0\x02hunter2-not-real").unwrap();
    w.segment(&Heap::new(IdSize::Eight).raw(b"\x55hunter2-not-real")).unwrap();
    w.end().unwrap();
    let dump = w.into_inner();
    let (out, report) = redacted(&dump, &Policy::default());
    assert_eq!(leaks(&out, SECRETS), None);
    assert_eq!(report.not_understood.all.bytes, 4 + 16 + 24 + 17);
    assert_eq!(report.not_understood.kept[0].at, 32);
    assert!(!report.is_faithful());
    assert_eq!(rows(&out).1.warnings.count(), rows(&dump).1.warnings.count());
}

#[test]
fn a_copy_that_cannot_be_written_is_an_error() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 =
                self.0.checked_sub(bytes.len()).ok_or_else(|| std::io::Error::other("the disk is full"))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let dump = small(IdSize::Eight, SECRETS);
    for room in [0, 100, dump.len() - 1] {
        let result = redact(dump.as_slice(), Full(room), &Policy::default(), &KEY);
        assert!(matches!(result, Err(RedactError::Write(e)) if e.to_string() == "the disk is full"));
    }
    assert!(matches!(
        redact(&b"PK\x03\x04"[..], Vec::new(), &Policy::default(), &KEY),
        Err(RedactError::Open(_))
    ));
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("plimsoll-redact-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Whether the machine has these programs; where it must (CI) a missing one is a failure.
fn has(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|p| {
        Command::new(p).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
    });
    if let Some(name) = missing {
        assert!(std::env::var_os("CI").is_none(), "CI has no {name}");
        eprintln!("SKIPPED: this machine has no {name}");
    }
    missing.is_none()
}

fn run(command: &mut Command) {
    let out = command.output().expect("the program starts");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

const PLANTED: &[&str] =
    &["hunter2-not-real", "correct-horse-battery", "пароль-совершенно-секретно", "c0dep01ntS3cr3t"];

/// A program that holds secrets in all the ways there are, and many keys of a few templates.
const PROGRAM: &str = r#"import java.util.*; import java.util.concurrent.*;
public class Holder {
    static final ConcurrentHashMap<String, Object> BY_URL = new ConcurrentHashMap<>();
    static final Map<String, String> CONFIG = new HashMap<>();
    static char[] chars = "correct-horse-battery".toCharArray();
    static String wide = "пароль-совершенно-секретно";
    static int[] points = "c0dep01ntS3cr3t".codePoints().toArray();
    static UUID session = new UUID(0x1122334455667788L, 0x99aabbccddeeff00L);
    static String url = new String("jdbc:postgresql://app:hunter2-not-real@db:5432/x");
    static class Login { String password = new String("hunter2-not-real"); char[] secret = "hunter2-not-real".toCharArray(); String name = "hunter"; }
    static Map<String, String> of = Map.of("api.secret", new String("hunter2-not-real"), "a", "b", "c", "d");
    static Login login = new Login();
    static byte[] large = new byte[6 << 20];
    public static void main(String[] args) throws Exception {
        CONFIG.put("db.password", "hunter2-not-real");
        for (int i = 0; i < 20_000; i++) BY_URL.put("/orders/" + i + "?trace=" + Long.toHexString(0x123456789abcdefL * i), new Object());
        byte[] text = "password=hunter2-not-real;".getBytes();
        for (int i = 0; i < large.length; i++) large[i] = text[i % text.length];
        var bean = java.lang.management.ManagementFactory.newPlatformMXBeanProxy(java.lang.management.ManagementFactory.getPlatformMBeanServer(), "com.sun.management:type=HotSpotDiagnostic", com.sun.management.HotSpotDiagnosticMXBean.class);
        bean.dumpHeap(args[0], true);
    }
}"#;

/// The dump of the program above.
fn real_dump(folder: &Folder) -> Vec<u8> {
    let source = folder.file("Holder.java");
    std::fs::write(&source, PROGRAM).expect("the source is written");
    run(Command::new("javac").args(["-encoding", "UTF-8", "-d"]).arg(&folder.0).arg(&source));
    let path = folder.file("holder.hprof");
    run(Command::new("java").args(["-Xmx128m", "-cp"]).arg(&folder.0).arg("Holder").arg(&path));
    let mut dump = Vec::new();
    std::fs::File::open(path).and_then(|mut f| f.read_to_end(&mut dump)).expect("the dump is there");
    dump
}

fn graph(dump: &[u8]) -> HeapDump {
    heap_dump::read(dump, Options::default(), &Unwatched).expect("a graph")
}

/// The largest dominators: who, how much.
fn top(heap: &HeapDump) -> Vec<(String, u64, u64)> {
    let top = heap.tree().held_by(Holder::Roots, heap.retained(), 200).biggest;
    top.iter().map(|(object, bytes)| (heap.label(*object), heap.shallow(*object), *bytes)).collect()
}

/// Path, number, parameter and trace of keys such as `/orders/123?trace=ab12`.
#[derive(Default)]
struct Keys([HashSet<String>; 4]);

impl Keys {
    fn of(dump: &[u8]) -> [HashSet<String>; 4] {
        let mut keys = Keys::default();
        open(dump).expect("a dump").scan(&mut keys);
        keys.0
    }
}

impl Visitor for Keys {
    fn values(&mut self, array: &PrimitiveArray, _: u64, bytes: &[u8]) {
        let text = if array.ty == Type::Byte { std::str::from_utf8(bytes).unwrap_or_default() } else { "" };
        let parts: Vec<&str> = text.split(['/', '?', '=']).collect();
        if let ["", path, number, parameter, trace] = parts[..]
            && number.parse::<u32>().is_ok()
        {
            for (set, part) in self.0.iter_mut().zip([path, number, parameter, trace]) {
                set.insert(part.to_owned());
            }
        }
    }
}

#[test]
fn a_real_dump_keeps_its_graph_and_loses_its_secrets() {
    if !has(&["java", "javac"]) {
        return;
    }
    let dump = real_dump(&Folder::new("real"));
    assert!(PLANTED.iter().all(|secret| leaks(&dump, &[secret]).is_some() || *secret == "c0dep01ntS3cr3t"));
    let uuid = 0x1122_3344_5566_7788_u64.to_be_bytes();
    assert!(dump.windows(8).any(|w| w == uuid));
    let (out, report) = redacted(&dump, &Policy::default());
    assert!(report.is_faithful() && report.summary.is_complete(), "{report:#?}");
    assert_eq!((report.names_lost, out.len()), (0, dump.len()));
    assert_eq!(leaks(&out, PLANTED), None);
    assert!(!out.windows(8).any(|w| w == uuid), "the halves of a UUID");
    assert_eq!(rows(&out).0, rows(&dump).0);
    assert!(skeleton(&out) == skeleton(&dump));
    let (before, after) = (graph(&dump), graph(&out));
    assert_eq!(before.references, after.references);
    assert_eq!(top(&before), top(&after));
    // The template of the keys: one path, one parameter, as many numbers and traces as before.
    let keys = |dump: &[u8]| Keys::of(dump).map(|parts| parts.len());
    assert_eq!(keys(&dump), [1, 20_000, 1, 20_000]);
    assert_eq!(keys(&out), keys(&dump));
    assert!(!Keys::of(&out)[0].contains("orders"));
    eprintln!("texts {:?}, names {:?}, others {:?}", report.texts, report.names, report.other_texts);
}

fn secrets(dump: &[u8]) -> SecretsReport {
    secrets_in_dump(|| Ok(dump), Limits::default()).expect("a dump")
}

#[test]
fn secrets_of_a_real_dump_are_found_where_they_are() {
    if !has(&["java", "javac"]) {
        return;
    }
    let dump = real_dump(&Folder::new("secrets"));
    let report = secrets(&dump);
    let found = |kind, place: &str| {
        let of_kind = report.findings.iter().filter(|f| f.kind == kind);
        of_kind.filter(|f| f.place.contains(place)).map(|f| f.count).sum::<u64>()
    };
    let all = format!("{:#?}", report.findings);
    assert_eq!(found(Kind::Named, "java.util.HashMap$Node under the key \"db.password\""), 1, "{all}");
    assert_eq!(found(Kind::Named, "a map under the key \"api.secret\""), 1, "{all}");
    assert_eq!(found(Kind::PasswordInUrl, "Holder.url"), 1, "{all}");
    assert_eq!(found(Kind::Named, "Holder$Login.password"), 1, "{all}");
    assert_eq!(found(Kind::Named, "Holder$Login.secret"), 1, "{all}");
    assert!(found(Kind::Assignment, "Holder.large") >= 1, "{all}");
    assert!(report.findings.iter().all(|f| !f.example.contains("hunter") && f.example.len() < 40), "{all}");
    // A JVM that holds none has hardly any; what is found in the copy is only shaped like one.
    let planted = ["Holder", "db.password", "api.secret", "outside"];
    let ordinary = report.findings.iter().filter(|f| !planted.iter().any(|p| f.place.contains(p)));
    let ordinary: Vec<_> = ordinary.collect();
    assert!(ordinary.iter().map(|f| f.count).sum::<u64>() < 5, "{ordinary:#?}");
    eprintln!("beside the planted ones: {ordinary:#?}");
}

/// What the reader is given at once makes no difference to what is copied.
#[test]
fn the_buffer_of_the_reader_makes_no_difference() {
    let dump = small(IdSize::Eight, SECRETS);
    let (out, _) = redacted(&dump, &Policy::default());
    let mut a = Skeleton::default();
    open_with(out.as_slice(), 64).unwrap().scan(&mut a);
    assert_eq!(a.0, skeleton(&out));
}

#[test]
fn the_oracle_that_plants_a_password() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracles/gen");
    if !source.join("UrlCache.java").exists() {
        eprintln!("SKIPPED: the program is not beside the repository ({})", source.display());
        return;
    }
    if !has(&["java", "javac"]) {
        return;
    }
    let folder = Folder::new("urlcache");
    let files = ["UrlCache.java", "Common.java"].map(|name| source.join(name));
    run(Command::new("javac").arg("-d").arg(&folder.0).args(files));
    let path = folder.file("urlcache.hprof");
    let mut java = Command::new("java");
    java.args(["-Xmx512m", "-cp"]).arg(&folder.0).args(["UrlCache", "5000"]).arg(&path).arg("7");
    run(&mut java);
    let dump = std::fs::read(&path).expect("the dump is there");
    assert!(leaks(&dump, &PLANTED[..1]).is_some(), "the password was planted");
    let (out, report) = redacted(&dump, &Policy::default());
    assert!(report.is_faithful(), "{report:#?}");
    assert_eq!(leaks(&out, &PLANTED[..1]), None);
    assert_eq!(top(&graph(&dump)), top(&graph(&out)));
    let (before, after) = (keys_of(&dump), keys_of(&out));
    let kinds = |keys: &[(u64, Vec<(&'static str, u64)>)]| -> Vec<(u64, Vec<&'static str>)> {
        keys.iter().map(|(count, slots)| (*count, slots.iter().map(|slot| slot.0).collect())).collect()
    };
    assert_eq!(kinds(&before), kinds(&after), "what the keys are made from");
    let values = |keys: &[(u64, Vec<(&'static str, u64)>)]| -> Vec<u64> {
        keys.iter().flat_map(|(_, slots)| slots.iter().map(|slot| slot.1)).collect()
    };
    // Many values are estimated, by hashes that differ.
    let close = |(a, b): (u64, u64)| a == b || a.min(b) > 1000 && a.abs_diff(b) * 8 < a;
    let both = values(&before).into_iter().zip(values(&after));
    both.for_each(|(a, b)| assert!(close((a, b)), "{a} values are {b}: {before:?} {after:?}"));
    assert!(before.len() >= 8, "{before:?}");
}

/// Of the templates of the largest suspect's keys: keys, and kind and number of values of each slot.
fn keys_of(dump: &[u8]) -> Vec<(u64, Vec<(&'static str, u64)>)> {
    let said = heap_dump::report::report(&graph(dump), dump, &Unwatched).expect("a report");
    let keys = said.suspects.first().and_then(|s| s.keys.as_ref()).expect("a map with keys");
    let slots = |t: &plimsoll_core::keys::Template| {
        t.slots.iter().map(|slot| (slot.kind.name(), slot.distinct)).collect::<Vec<_>>()
    };
    keys.templates.iter().filter(|t| !t.slots.is_empty()).map(|t| (t.count, slots(t))).collect()
}

/// What is stepped over makes the copier write what it held back: what was decided for the bytes behind it must stay.
#[test]
fn a_secret_right_behind_damage_is_replaced() {
    for texts in [Texts::Tokens, Texts::Zero] {
        let mut w = Writer::new(Vec::new(), "1.0.2", IdSize::Eight, 0).expect("memory");
        w.text(1, "java/lang/Object").expect("memory");
        w.load_class(1, OBJECT, 1).expect("memory");
        let class = ClassSpec { id: OBJECT, ..ClassSpec::default() };
        let heap = Heap::new(IdSize::Eight)
            .class(&class)
            .primitive_array(0x2000, Type::Byte, &elements(SECRETS[0].as_bytes()))
            .instance(0x2100, OBJECT, &[])
            .instance(0x2200, OBJECT, &[]);
        w.segment(&heap).expect("memory");
        w.end().expect("memory");
        let mut dump = w.into_inner();
        let head = dump.len() - 9 - heap.bytes().len() - 9;
        // More than may be held back.
        dump.splice(head..head + 9, vec![0xee; 5000]);
        let policy = Policy { texts, held: 2048, ..Policy::default() };
        let (out, report) = redacted(&dump, &policy);
        assert_eq!((report.summary.counts.primitive_arrays, report.summary.damage.places), (1, 1));
        assert_eq!(out.len(), dump.len());
        assert_eq!(leaks(&out, SECRETS), None, "{texts:?}");
        assert!(!report.is_faithful());
    }
}
