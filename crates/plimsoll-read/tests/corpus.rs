//! The artifacts of `corpus/`: what is concluded of each, and of each cut at ten places, is what its folder expects.
//! `PLIMSOLL_BLESS=1` writes what is expected anew.

#![expect(clippy::disallowed_methods, reason = "the corpus lies beside the crate")]
#![expect(clippy::print_stderr, reason = "what was written anew is said")]

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use plimsoll_read::formats::{self, Reading, Recognised};
use plimsoll_read::graph::watch::Unwatched;
use plimsoll_read::heap_snapshot;
use plimsoll_read::reading::Context;
use serde_json::{Value, json};

/// Places at which every input is cut.
const CUTS: usize = 10;
/// Groups of a report that are compared; the rest is as long as the program is.
const GROUPS: usize = 3;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus")
}

/// Every case: a folder within the folder of a kind.
fn cases() -> Vec<PathBuf> {
    let folders = |of: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(of).unwrap_or_else(|e| panic!("{}: {e}", of.display()));
        entries.map(|e| e.expect("an entry").path()).filter(|p| p.is_dir()).collect()
    };
    let kinds = folders(&folder()).into_iter().filter(|p| p.file_name().is_some_and(|n| n != "programs"));
    let mut cases: Vec<PathBuf> = kinds.flat_map(|k| folders(&k)).collect();
    cases.sort();
    cases
}

/// The input, unpacked: a cut is one of the text.
fn input(case: &Path) -> Vec<u8> {
    if let Ok(bytes) = fs::read(case.join("input")) {
        return bytes;
    }
    let packed = fs::read(case.join("input.gz")).unwrap_or_else(|e| panic!("{}: {e}", case.display()));
    let mut bytes = Vec::new();
    formats::unpacked(packed.as_slice()).and_then(|mut r| r.read_to_end(&mut bytes)).expect("an input");
    bytes
}

fn read(bytes: &[u8]) -> Option<(&'static str, Reading)> {
    match formats::read(bytes).expect("bytes can be opened") {
        Recognised::Artifact(found) => Some((found.format, found.reading(&Context::default())?)),
        Recognised::HeapSnapshot => {
            let heap =
                heap_snapshot::read(bytes, heap_snapshot::Options { verify: true }, &Unwatched).ok()?;
            let report = heap.report(&Context::default());
            Some(("heap-snapshot", Reading::new(&report.head, &report, report.tables())))
        }
        _ => None,
    }
}

/// What a cut says: nothing, or that it is cut, or not.
fn cut(bytes: &[u8]) -> &'static str {
    match read(bytes) {
        None => "nothing",
        Some((_, reading)) if reading.head.artifact.truncated.is_some() => "cut",
        Some(_) => "silent",
    }
}

/// Shortens lists: what is expected is read by people.
fn shortened(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.truncate(GROUPS.max(if items.iter().any(|i| i.get("certainty").is_some()) {
                9
            } else {
                0
            }));
            items.iter_mut().for_each(shortened);
        }
        Value::Object(fields) => fields.values_mut().for_each(shortened),
        _ => {}
    }
}

fn told(bytes: &[u8]) -> Value {
    let cuts: Vec<&str> = (1..=CUTS)
        .map(|i| bytes.len() * i / (CUTS + 1))
        .map(|at| cut(bytes.get(..at).expect("within")))
        .collect();
    let whole = read(bytes).map(|(kind, reading)| {
        let mut value = reading.value;
        shortened(&mut value);
        json!({ "kind": kind, "reading": value })
    });
    json!({ "whole": whole, "cutAtTenPlaces": cuts })
}

#[test]
fn every_case_is_read_as_expected() {
    let bless = std::env::var_os("PLIMSOLL_BLESS").is_some();
    let cases = cases();
    assert!(cases.len() >= 30, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let about = fs::read_to_string(case.join("about.toml")).unwrap_or_default();
        for key in ["origin", "tool", "truth"] {
            assert!(
                about.lines().any(|l| l.starts_with(&format!("{key} = \""))),
                "{}: {key}",
                case.display()
            );
        }
        let told = serde_json::to_string_pretty(&told(&input(case))).expect("plain data") + "\n";
        let path = case.join("expected.json");
        if fs::read_to_string(&path).is_ok_and(|expected| expected == told) {
            continue;
        }
        if bless {
            fs::write(&path, told).expect("the corpus can be written");
            eprintln!("written: {}", path.display());
        } else {
            wrong.push(format!("{}\n{told}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "not as expected (PLIMSOLL_BLESS=1 writes anew):\n{}", wrong.join("\n"));
}

/// A kind stands under its own name, and no cut is taken for another kind.
#[test]
fn every_case_is_of_the_kind_of_its_folder() {
    for case in cases() {
        let kind = case.parent().and_then(Path::file_name).and_then(|n| n.to_str()).expect("a kind");
        let bytes = input(&case);
        for i in (1..=CUTS + 1).rev() {
            let part = bytes.get(..bytes.len() * i / (CUTS + 1)).expect("within");
            if let Some((format, _)) = read(part) {
                assert_eq!(format, kind, "{} cut at {}", case.display(), part.len());
            }
        }
    }
}
