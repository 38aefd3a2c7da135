//! `plimsoll read` on what is no heap dump, or a bad one: a word with the offset, an exit code, no panic, bounded memory.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use plimsoll_read::hprof::open::IdSize;
use plimsoll_read::hprof::visitor::{Root, RootKind, Type};
use plimsoll_read::hprof::write::{ClassSpec, Heap, Writer};

use super::{plimsoll, skipped, stderr, stdout};

const SIZE: IdSize = IdSize::Eight;
const OBJECT: u64 = 0x1000;
const THING: u64 = 0x1100;
const ITEM: u64 = 0x2000;

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("plimsoll-bad-dumps-").tempdir().expect("a folder")
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

fn read(path: &Path) -> Output {
    plimsoll(&["read", path.to_str().expect("text")])
}

fn assert_told(path: &Path, code: i32, words: &[&str]) {
    let out = read(path);
    let said = stdout(&out) + &stderr(&out);
    assert_eq!(out.status.code(), Some(code), "{}: {said}", path.display());
    for word in words {
        assert!(said.contains(word), "{} lacks {word:?}: {said}", path.display());
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// Two classes, with what stands behind them.
struct Bad {
    /// Superclasses of the two.
    supers: [u64; 2],
    name: u64,
    rest: Heap,
}

impl Default for Bad {
    fn default() -> Bad {
        Bad { supers: [0, OBJECT], name: 2, rest: items(0) }
    }
}

impl Bad {
    fn bytes(self) -> Vec<u8> {
        let mut w = Writer::new(Vec::new(), "1.0.2", SIZE, 1_700_000_000_000).expect("memory");
        w.text(1, "java/lang/Object").expect("memory");
        w.text(2, "shop/Thing").expect("memory");
        w.load_class(1, OBJECT, 1).expect("memory");
        w.load_class(2, THING, self.name).expect("memory");
        let class = |id, superclass| ClassSpec {
            id,
            superclass,
            fields: &[(2, Type::Object)],
            ..ClassSpec::default()
        };
        let heap = Heap::new(SIZE).class(&class(OBJECT, self.supers[0])).class(&class(THING, self.supers[1]));
        let thread = Root { at: 0, kind: RootKind::ThreadObject, id: OBJECT, thread: 1, frame: 1 };
        w.segment(&heap.raw(self.rest.bytes()).root(&thread)).expect("memory");
        w.end().expect("memory");
        w.into_inner()
    }
}

/// A hundred things, from a number on.
fn items(from: u64) -> Heap {
    (from..from + 100).fold(Heap::new(SIZE), |heap, i| {
        let next = ITEM + (i + 1) * 32;
        heap.instance(ITEM + i * 32, THING, &[(Type::Object, next), (Type::Object, 0)])
    })
}

#[test]
fn what_is_no_dump_is_refused() {
    let folder = folder();
    let path = |name: &str, bytes: &[u8]| file(folder.path(), name, bytes);
    let mut three = b"JAVA PROFILE 1.0.2\0".to_vec();
    three.extend([0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    three.extend([0; 600]);
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01";
    assert_told(&folder.path().join("nowhere.hprof"), 2, &["cannot open", "nowhere.hprof"]);
    assert_told(&path("image", png), 2, &["cannot tell what", "hint"]);
    assert_told(&path("empty", b""), 2, &["an empty file"]);
    assert_told(&path("text", b"2026-11-26 12:00:00 INFO started\n"), 2, &["it looks like text"]);
    assert_told(&path("ids", &three), 2, &["identifiers of 3 bytes (4 or 8 are known)"]);
    assert_told(&path("version", b"JAVA PROFILE 9.9\0aaaaaaaaaaaaaaaa"), 2, &["cannot read"]);
    assert_told(&path("header", b"JAVA PROFILE 1.0.2\0\0\0"), 2, &["ends in its header, after 21 bytes"]);
    let inside = folder.path().join("folder");
    fs::create_dir(&inside).expect("a folder");
    assert_told(&inside, 2, &["holds nothing that is read"]);
}

#[test]
fn a_file_that_may_not_be_read_is_refused() {
    let folder = folder();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("ours");
    let path = file(folder.path(), "secret.hprof", &Bad::default().bytes());
    fs::set_permissions(&path, Permissions::from_mode(0o000)).expect("ours");
    let out = if fs::File::open(&path).is_err() {
        read(&path)
    } else {
        // Root may read all: as somebody else, with a copy of the program that they may run.
        let program = folder.path().join("plimsoll");
        fs::copy(env!("CARGO_BIN_EXE_plimsoll"), &program).expect("a copy");
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).arg("read").arg(&path);
        match other.output() {
            Ok(out) if !stderr(&out).contains("setpriv:") => out,
            _ => {
                return skipped(
                    "a_file_that_may_not_be_read_is_refused",
                    "root may read all, and setpriv fails",
                );
            }
        }
    };
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
    assert!(
        stderr(&out).contains("cannot open") && stderr(&out).contains("Permission denied"),
        "{}",
        stderr(&out)
    );
}

#[test]
fn a_dump_that_ends_early_or_lies_about_a_length_is_partial() {
    let folder = folder();
    let whole = Bad::default().bytes();
    assert_told(&file(folder.path(), "sound.hprof", &whole), 0, &["nothing to accuse"]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&whole).expect("memory");
    let packed = packed.finish().expect("memory");
    let cut = file(folder.path(), "cut.hprof.gz", &packed[..packed.len() / 2]);
    assert_told(&cut, 5, &["CUT        the dump ends after "]);

    // An array that says more elements than the file has bytes; behind it are more objects.
    let array =
        [&[0x23][..], &0x9000_u64.to_be_bytes(), &[0; 4], &0x7fff_fff0_u32.to_be_bytes(), &[8], &[1; 30]]
            .concat();
    let rest = items(0).raw(&array).raw(items(200).bytes());
    let long = Bad { rest, ..Bad::default() }.bytes();
    let at = 31 + (9 + 8 + 16) + (9 + 8 + 10) + 2 * 33 + 9 + 2 * 80 + items(0).bytes().len();
    let told = format!(
        "offset {at}: heap record 0x23 says 2147483650 bytes, more than its segment has; 48 bytes not read"
    );
    assert_told(&file(folder.path(), "long.hprof", &long), 5, &["DAMAGED", &told]);
}

#[test]
fn a_dump_that_contradicts_itself_is_partial() {
    let folder = folder();
    let told = |name: &str, bad: Bad, words: &[&str]| {
        assert_told(
            &file(folder.path(), name, &bad.bytes()),
            5,
            &[&["DAMAGED", "WARNING"][..], words].concat(),
        );
    };
    let own = Bad { supers: [0, THING], ..Bad::default() };
    told("own-superclass.hprof", own, &["offset ", "class 0x1100 is its own ancestor"]);
    let cycle = Bad { supers: [THING, OBJECT], ..Bad::default() };
    told("cycle.hprof", cycle, &["class 0x1000 is its own ancestor", "class 0x1100 is its own ancestor"]);
    let unnamed = Bad { name: 77, ..Bad::default() };
    told("unnamed.hprof", unnamed, &["offset ", "class 0x1100 has no name"]);
    let orphan = Bad { supers: [0, 0x5550], ..Bad::default() };
    told("orphan.hprof", orphan, &["superclass 0x5550 of class 0x1100 is not in the dump"]);
    let twins = Bad { rest: items(0).raw(items(0).bytes()), ..Bad::default() };
    // Behind the header, the names, the classes and the first hundred.
    let at = 31 + (9 + 8 + 16) + (9 + 8 + 10) + 2 * 33 + 9 + 2 * 80 + items(0).bytes().len();
    let first = format!("offset {at}: identifier 0x2000 given twice");
    told("twins.hprof", twins, &[&first, "100 objects have the identifier of another one"]);
}

#[test]
fn ten_million_roots_fit_into_little_memory() {
    let folder = folder();
    let path = folder.path().join("roots.hprof");
    let mut rest = Writer::new(Vec::new(), "1.0.2", SIZE, 0).expect("memory");
    for part in 0..100_u32 {
        let roots = (0..100_000_u64).fold(Heap::new(SIZE), |heap, i| {
            heap.root(&Root {
                at: 0,
                kind: RootKind::JavaFrame,
                id: ITEM + i % 100 * 32,
                thread: 1,
                frame: part,
            })
        });
        rest.segment(&roots).expect("memory");
    }
    rest.end().expect("memory");
    let head = Bad::default().bytes();
    let (head, _end) = head.split_at(head.len() - 9);
    fs::write(&path, [head, &rest.into_inner()[31..]].concat()).expect("a file");
    // Address space of 400 MiB for all of it: the file alone has 166 MiB, the roots as a list would have 320.
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 409600 && exec \"$0\" read \"$1\" --memory 128MiB"]);
    let out = limited.arg(env!("CARGO_BIN_EXE_plimsoll")).arg(&path).output().expect("sh starts");
    let said = stdout(&out) + &stderr(&out);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("102 objects, 3.12 KiB reachable from the roots"), "{said}");
}
