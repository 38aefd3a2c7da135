//! The views of a heap dump: figures of a table and of JSON are the same ones, from whatever the dump comes; and no
//! screen shows a key, which may be a secret, or what a terminal would obey.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use plimsoll_core::units;
use plimsoll_read::hprof::visitor::{RootKind, Type};
use serde_json::Value;

use super::read::story::Story;
use super::read::{file, folder, json, jvm};
use super::{plimsoll, plimsoll_command, stderr, stdout};

/// All views, but for `--path`.
const VIEWS: [&str; 5] = ["--histogram", "--dominators", "--threads", "--strings", "--collections"];
const SECRET: &str = "hunter2-not-real";
const TOKEN: &str = "Zk3mQ9x1LpW77aBcD4";

/// A cache whose keys have a constant secret in them, with one key that is a secret; and a thread with a strange name.
fn dump(requests: u32) -> Vec<u8> {
    let mut story = Story::new();
    let key = |i: u32| match i {
        0 => SECRET.to_owned(),
        i => format!("/v1/users/{i}/orders?apikey={TOKEN}&password=secrecy&page=20"),
    };
    let pairs: Vec<(u64, u64)> =
        (0..requests).map(|i| (story.text(&key(i)), story.bytes(&[1; 64]))).collect();
    let map = story.map_of(story.map, &pairs, &[]);
    story.app_class("shop/Metrics", &[("BY_URL", map)], &[]);
    let class = story.thread_class();
    let name = story.text("evil\u{1b}[2J\nWHAT nothing to accuse");
    let locals = story.bytes(&[7; 60_000]);
    let thread = story.instance(class, &[(Type::Object, name), (Type::Object, locals)]);
    story.trace(1, 1, "shop/Worker", "run");
    story.root_of(thread, RootKind::ThreadObject, 1, 1);
    story.root_of(locals, RootKind::JavaFrame, 1, 0);
    story.end()
}

fn table(path: &str, more: &[&str]) -> String {
    let out = plimsoll(&[&["read", path], more].concat());
    assert!(out.status.code().is_some_and(|code| code <= 1), "{}", stderr(&out));
    stdout(&out)
}

#[test]
fn no_screen_shows_a_key_unless_it_is_asked_to() {
    let folder = folder("keys");
    let path = file(folder.path(), "heap.hprof", &dump(1500)).display().to_string();
    let earlier = file(folder.path(), "earlier.hprof", &dump(700)).display().to_string();
    let page = folder.path().join("heap.html");
    let all = [
        table(&path, &[]),
        table(&path, &["--html", page.to_str().expect("text"), "--path", "byte[]"]),
        table(&path, &VIEWS),
        fs::read_to_string(&page).expect("the page"),
        stdout(&plimsoll(&[&["read", &path, "-o", "json"], &VIEWS[..]].concat())),
        stdout(&plimsoll(&["read", "diff", &earlier, &path])),
        stdout(&plimsoll(&["read", "diff", &earlier, &path, "-o", "json"])),
        stdout(&plimsoll(&["read", &path, &earlier])),
        stdout(&plimsoll(&["read", &path, "--memory", "1MiB"])),
        stdout(&plimsoll(&["read", "secrets", &path])),
    ];
    for said in &all {
        assert!(said.contains("shop.Metrics") || said.contains("a secret's name"), "{said}");
        for secret in [SECRET, "hunter2", TOKEN, "=secrecy"] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
    let template = "/v1/users/{number}/orders?apikey={token}&password={word}&page=20";
    assert!(all[0].contains(template) && all[4].contains(template), "{}", all[0]);
    let raw = table(&path, &["--raw-keys"]);
    assert!(raw.contains(template) && raw.contains(&format!("such as {SECRET}")), "{raw}");
    let (document, _) = json(&["read", &path, "--raw-keys", "-o", "json"]);
    let templates = document["suspects"][0]["keys"]["templates"].as_array().expect("a list");
    assert!(templates.iter().any(|t| t["example"] == SECRET), "{templates:?}");
}

#[test]
fn no_name_in_a_dump_commands_the_terminal() {
    let folder = folder("control");
    let path = file(folder.path(), "heap.hprof", &dump(200)).display().to_string();
    let all = [
        table(&path, &["--raw-keys"]),
        table(&path, &VIEWS),
        table(&path, &["--path", "java.lang.Thread"]),
        table(&path, &["--path", "byte[]"]),
    ];
    assert!(all[1].contains("evil·[2J·WHAT") && all[2].contains("evil·[2J·WHAT"), "{}", all[1]);
    for said in all {
        let is_one = |c: char| c.is_control() && c != '\n';
        assert!(!said.contains(is_one) && !said.contains("\nWHAT nothing"), "{said:?}");
    }
}

/// Every number of a document by how it may be written, and the texts that stand beside it.
#[derive(Default)]
struct Known {
    /// For each object of the document, its texts, and what its numbers and those around it read as.
    objects: Vec<(Vec<String>, BTreeSet<String>)>,
    labels: BTreeSet<String>,
}

impl Known {
    fn of(document: &Value) -> Known {
        let mut known = Known::default();
        let total = document["reachableBytes"].as_f64().expect("bytes");
        known.learn(document, total, &BTreeSet::new());
        known
    }

    /// `above`: what the numbers around it read as.
    fn learn(&mut self, value: &Value, total: f64, above: &BTreeSet<String>) {
        match value {
            Value::Array(all) => all.iter().for_each(|value| self.learn(value, total, above)),
            Value::Object(fields) => {
                let texts: Vec<String> = fields.values().flat_map(texts).collect();
                self.labels.extend(texts.iter().cloned());
                let numbers: Vec<f64> = fields.values().filter_map(Value::as_f64).collect();
                let mut written = above.clone();
                for number in &numbers {
                    written.extend([units::thousands(*number as u64), units::bytes(*number)]);
                    written.extend([units::percent(*number), units::percent(number / total)]);
                    let ratios = numbers.iter().filter(|other| **other > 0.0).map(|other| number / other);
                    written.extend(ratios.flat_map(|ratio| [units::percent(ratio), units::bytes(ratio)]));
                }
                fields.values().for_each(|value| self.learn(value, total, &written));
                self.objects.push((texts, written));
            }
            _ => {}
        }
    }

    /// Figures of a line that are in no object which the line names.
    fn strange(&self, line: &str) -> Vec<String> {
        let named =
            |texts: &[String]| texts.iter().any(|text| text.len() > 2 && line.contains(text.as_str()));
        let mut near: Vec<_> = self.objects.iter().filter(|(texts, _)| named(texts)).collect();
        if near.is_empty() {
            near = self.objects.iter().collect();
        }
        let figures = figures(&self.without_labels(line));
        figures.into_iter().filter(|f| !near.iter().any(|(_, written)| written.contains(f))).collect()
    }

    /// Digits in a name are no figures.
    fn without_labels(&self, line: &str) -> String {
        let mut labels: Vec<&String> =
            self.labels.iter().filter(|label| line.contains(label.as_str())).collect();
        labels.sort_by_key(|label| std::cmp::Reverse(label.len()));
        labels
            .into_iter()
            .filter(|l| l.chars().any(char::is_alphabetic))
            .fold(line.to_owned(), |line, label| line.replace(label.as_str(), "§"))
    }
}

/// Texts as a screen shows them.
fn texts(value: &Value) -> Vec<String> {
    let shown = |text: &str| text.replace(char::is_control, "·");
    match value {
        Value::String(text) => vec![shown(text)],
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(shown).collect(),
        _ => Vec::new(),
    }
}

/// Numbers with their unit: `12,345`, `1.20 MiB`, `58 %`.
fn figures(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split([' ', ';', '(', ')']).filter(|word| !word.is_empty()).collect();
    let is_figure = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.chars().all(|c| c.is_ascii_digit() || c == ',' || c == '.')
    };
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let word = word.trim_start_matches('~').trim_end_matches([',', ':']);
        if is_figure(word) {
            let unit = words.get(at + 1).map(|unit| unit.trim_end_matches([',', ':']));
            let unit = unit.filter(|unit| ["B", "KiB", "MiB", "GiB", "%"].contains(unit));
            // So many beside the one that is shown.
            let more = word.parse::<u64>().ok().filter(|_| words.get(at + 1) == Some(&"more"));
            let number = more.map_or_else(|| word.to_owned(), |more| units::thousands(more + 1));
            found.push(unit.map_or_else(|| number, |unit| format!("{word} {unit}")));
        }
    }
    found
}

#[test]
fn every_figure_of_a_table_is_in_the_document() {
    let folder = folder("figures");
    let scratch = jvm::Folder::new("figures");
    let real = jvm::jdks().into_iter().filter_map(|jdk| jdk.leak(&scratch, "G1", 3000));
    for (number, bytes) in std::iter::once(dump(1500)).chain(real).enumerate() {
        let path = file(folder.path(), "heap.hprof", &bytes).display().to_string();
        for view in [
            &[][..],
            &["--histogram"],
            &["--dominators", "--depth", "4"],
            &["--strings"],
            &["--collections"],
            &["--path", "byte[]"],
        ] {
            let (document, _) = json(&[&["read", &path, "-o", "json"], view].concat());
            let (known, text) = (Known::of(&document), table(&path, view));
            let mut seen = 0;
            for line in text.lines() {
                let strange = known.strange(line);
                assert!(
                    strange.is_empty(),
                    "dump {number} {view:?}: {strange:?} of {line:?} in {document:#}"
                );
                seen += figures(line).len();
            }
            assert!(seen >= 3, "{view:?}: {text}");
        }
        let text = table(&path, &["--dominators", "--depth", "4"]);
        let empty = text.lines().find(|line| line.starts_with("       0 B"));
        assert_eq!(empty, None, "what holds nothing is no row");
    }
}

/// A figure that is not in the document must be found out: the check above could pass for want of figures.
#[test]
fn a_strange_figure_is_found_out() {
    let document =
        serde_json::json!({"reachableBytes": 1000, "rows": [{"class": "a.B1", "bytes": 2048, "objects": 7}]});
    let known = Known::of(&document);
    assert_eq!(known.strange("   7   2.00 KiB  a.B1"), Vec::<String>::new());
    assert_eq!(known.strange("   8   2.01 KiB  a.B1"), ["8", "2.01 KiB"]);
    assert_eq!(known.strange("1000 a.B1"), ["1000"]);
}

fn packed(folder: &Path, bytes: &[u8]) -> [String; 2] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).expect("memory");
    let gzip = file(folder, "heap.hprof.gz", &gzip.finish().expect("memory"));
    let zstd = ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    [gzip, file(folder, "heap.hprof.zst", &zstd)].map(|path| path.display().to_string())
}

#[test]
fn a_dump_says_the_same_from_wherever_it_comes() {
    let folder = folder("sources");
    let bytes = dump(1500);
    let path = file(folder.path(), "heap.hprof", &bytes).display().to_string();
    let of = |said: &[u8]| {
        let mut said: Value = serde_json::from_slice(said).expect("one document");
        said["artifact"].as_object_mut().expect("an object").remove("file").expect("always there");
        said
    };
    let args = [&["-o", "json", "--path", "byte[]"], &VIEWS[..]].concat();
    let wanted = of(&plimsoll(&[&["read", &path], &args[..]].concat()).stdout);
    for packed in packed(folder.path(), &bytes) {
        let out = plimsoll(&[&["read", &packed], &args[..]].concat());
        assert_eq!(of(&out.stdout), wanted, "{packed}: {}", stderr(&out));
    }
    let fifo = folder.path().join("pipe").display().to_string();
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("every system has it");
    assert!(made.success());
    for from in ["-", &fifo] {
        let mut command = plimsoll_command(&[&["read", from], &args[..]].concat());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the binary runs");
        let stdin = child.stdin.take().expect("a pipe");
        if from == "-" {
            let mut stdin = stdin;
            stdin.write_all(&bytes).expect("it is read");
        } else {
            fs::write(&fifo, &bytes).expect("it is read");
        }
        let out = child.wait_with_output().expect("it ends");
        assert_eq!(of(&out.stdout), wanted, "from {from}");
    }
}
