//! What holds for every kind of text, whatever it is: it is read behind what a shipper or a terminal puts before each
//! line, and one that ends in the middle of a line says so. The texts are those of `corpus/`.

#![expect(clippy::disallowed_methods, reason = "the corpus lies beside the crate")]

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use plimsoll_read::formats::{self, Reading, Recognised};
use plimsoll_read::reading::Context;

/// What is read whole, as a graph, and not line by line.
const GRAPH: &str = "heap-snapshot";

/// Every text of the corpus with its kind.
fn texts() -> Vec<(String, PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    let inside = |of: &Path| -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> =
            fs::read_dir(of).expect("a folder").map(|e| e.expect("an entry").path()).collect();
        all.retain(|p| p.is_dir() && !p.ends_with("programs") && !p.ends_with(GRAPH));
        all.sort();
        all
    };
    let mut out = Vec::new();
    for kind in inside(&folder) {
        for case in inside(&kind) {
            let input = ["input", "input.gz"].map(|n| case.join(n)).into_iter().find(|p| p.is_file());
            let packed = fs::read(input.expect("an input")).expect("it can be read");
            let mut bytes = Vec::new();
            formats::unpacked(packed.as_slice())
                .and_then(|mut r| r.read_to_end(&mut bytes))
                .expect("it unpacks");
            let name = kind.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
            if let Ok(text) = String::from_utf8(bytes) {
                out.push((name, case, text));
            }
        }
    }
    out
}

fn read(bytes: &[u8]) -> Option<(&'static str, Reading)> {
    match formats::read(bytes).expect("bytes can be opened") {
        Recognised::Artifact(found) => Some((found.format, found.reading(&Context::default())?)),
        _ => None,
    }
}

/// What puts something before each line, with its name.
type Prefix = (&'static str, fn(&str) -> String);

const PREFIXES: &[Prefix] = &[
    ("kubectl logs --timestamps", |l| format!("2026-05-01T10:00:00.123456789Z {l}\n")),
    ("kubectl logs --prefix", |l| format!("[pod/web-1/app] {l}\n")),
    ("journalctl", |l| format!("May 01 10:00:00 node1 app[4711]: {l}\n")),
    ("journalctl -o short-iso", |l| format!("2026-05-01T10:00:00+0000 node1 app[4711]: {l}\n")),
    ("syslog", |l| format!("<14>May  1 10:00:00 node1 app: {l}\n")),
    ("docker compose logs", |l| format!("\u{1b}[36mapp-1  | \u{1b}[0m{l}\n")),
    ("a container's log (CRI)", |l| format!("2026-05-01T10:00:00.5Z stdout F {l}\n")),
    ("a container's log (Docker)", |l| {
        format!("{}\n", serde_json::json!({"log": format!("{l}\n"), "stream": "stdout", "time": "t"}))
    }),
    ("JSON lines", |l| format!("{}\n", serde_json::json!({"ts": 1, "msg": l}))),
];

#[test]
fn every_kind_of_text_is_read_behind_what_stands_before_its_lines() {
    let mut wrong = Vec::new();
    for (kind, case, text) in texts() {
        let (_, bare) = read(text.as_bytes()).expect("it is read");
        for (name, prefix) in PREFIXES {
            let wrapped: String = text.lines().map(prefix).collect();
            match read(wrapped.as_bytes()) {
                None => wrong.push(format!("{}: nothing behind {name}", case.display())),
                Some((format, _)) if format != kind => {
                    wrong.push(format!("{}: {format} behind {name}", case.display()));
                }
                Some((_, reading)) if reading.head.summary != bare.head.summary => wrong.push(format!(
                    "{}: behind {name}\n  {}\n  {}",
                    case.display(),
                    reading.head.summary,
                    bare.head.summary
                )),
                Some((_, reading)) if reading.head.artifact.truncated != bare.head.artifact.truncated => {
                    wrong.push(format!(
                        "{}: behind {name}: {:?}",
                        case.display(),
                        reading.head.artifact.truncated
                    ));
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Cut at ten places, within the next line of five bytes or more.
#[test]
fn what_ends_within_a_line_says_so() {
    let mut wrong = Vec::new();
    for (_, case, text) in texts() {
        for place in (1..=10).map(|i| text.floor_char_boundary(text.len() * i / 11)) {
            let lines = text[place..].split_inclusive('\n').scan(place, |at, l| {
                *at += l.len();
                Some((*at - l.len(), l.len()))
            });
            // The first may begin within a line already.
            let Some((at, length)) = lines.skip(1).find(|(_, length)| *length >= 5) else { continue };
            let cut = text.floor_char_boundary(at + length / 2);
            if let Some((_, reading)) = read(&text.as_bytes()[..cut])
                && reading.head.artifact.truncated.is_none()
            {
                wrong.push(format!("{} cut at {cut} says nothing", case.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
