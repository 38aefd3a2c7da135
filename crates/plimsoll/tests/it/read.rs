//! `plimsoll read`: heap dumps, sound, cut and none at all.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{plimsoll, stderr, stdout};
use story::Story;

#[path = "../../../plimsoll-read/tests/jvm/mod.rs"]
#[expect(clippy::print_stderr, reason = "shared with the reader's tests")]
pub(super) mod jvm;
#[path = "../../../plimsoll-read/tests/common/mod.rs"]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "shared with the reader's tests")]
pub(super) mod story;

/// A folder of this test.
pub(super) fn folder(name: &str) -> tempfile::TempDir {
    tempfile::Builder::new().prefix(&format!("plimsoll-read-{name}-")).tempdir().expect("a folder")
}

pub(super) fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

/// A heap whose cache has this many entries.
fn dump(entries: u32) -> Vec<u8> {
    let mut story = Story::new();
    let pairs: Vec<(u64, u64)> = (0..entries)
        .map(|i| {
            (
                story.text(&format!("/users/{i}?trace={:08x}", i.wrapping_mul(2_654_435_761))),
                story.bytes(&[1; 64]),
            )
        })
        .collect();
    let map = story.map_of(story.map, &pairs, &[]);
    story.app_class("shop/Metrics", &[("BY_URL", map)], &[]);
    story.main();
    story.end()
}

pub(super) fn json(args: &[&str]) -> (Value, Option<i32>) {
    let out = plimsoll(args);
    (serde_json::from_str(&stdout(&out)).expect("one JSON document"), out.status.code())
}

#[test]
fn the_screen_and_the_document_name_the_field() {
    let folder = folder("screen");
    let path = file(folder.path(), "heap.hprof", &dump(2000));
    let path = path.to_str().expect("text");
    let out = plimsoll(&["read", path]);
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    let screen = stdout(&out);
    assert!(screen.contains("shop.Metrics.BY_URL retains"), "{screen}");
    assert!(screen.contains("2,000 entries"), "{screen}");

    let native = stdout(&plimsoll(&["read", path, "--rss", "2GiB"]));
    assert!(native.contains("stop reading it: look at native memory"), "{native}");

    let (document, code) = json(&["read", path, "--format", "json", "--histogram", "--dominators"]);
    assert_eq!(code, Some(1));
    assert_eq!(document["apiVersion"], "plimsoll/v1");
    assert_eq!(document["kind"], "Reading");
    assert_eq!(
        (&document["artifact"]["kind"], &document["artifact"]["truncated"]),
        (&"hprof".into(), &false.into())
    );
    let suspect = &document["suspects"][0];
    assert_eq!(suspect["owner"], "shop.Metrics.BY_URL");
    assert_eq!(suspect["entries"], 2000);
    assert!(suspect["share"].as_f64().expect("a share") > 0.9);
    assert!(suspect["path"].as_array().expect("a path").len() >= 2);
    assert_eq!(document["histogram"][0]["class"], "byte[]");
    assert!(document["dominators"][0]["retainedBytes"].as_u64().expect("bytes") > 100_000);
}

#[test]
fn growth_between_dumps_is_named_and_equal_dumps_are_equal() {
    let folder = folder("diff");
    let paths: Vec<String> = [1000, 2000, 4000]
        .iter()
        .map(|n| file(folder.path(), &format!("{n}.hprof"), &dump(*n)).display().to_string())
        .collect();
    let (document, code) = json(&["read", "diff", &paths[0], &paths[1], &paths[2], "-o", "json"]);
    assert_eq!(code, Some(1));
    assert_eq!(document["kind"], "ReadingDiff");
    let grown = &document["grown"][0];
    assert_eq!((&grown["owner"], &grown["everyStep"]), (&"shop.Metrics.BY_URL".into(), &true.into()));
    let retained: Vec<u64> =
        grown["retainedBytes"].as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
    assert!(retained.len() == 3 && retained[0] < retained[1] && retained[1] < retained[2], "{retained:?}");

    assert_eq!(grown["newTemplates"], serde_json::json!([]), "the same keys, only more of them");

    let same = plimsoll(&["read", "diff", &paths[0], &paths[0]]);
    assert_eq!(same.status.code(), Some(0));
    assert!(stdout(&same).contains("nothing grew"));
}

#[test]
fn a_cut_dump_is_told_to_be_cut_wherever_it_ends() {
    let folder = folder("cut");
    let whole = dump(1500);
    for percent in [20, 55, 80, 99] {
        let path = file(folder.path(), "cut.hprof", &whole[..whole.len() * percent / 100]);
        let out = plimsoll(&["read", path.to_str().expect("text")]);
        assert_eq!(out.status.code(), Some(5), "{percent} %: {}", stderr(&out));
        assert!(stdout(&out).contains("CUT"), "{percent} %: {}", stdout(&out));
        assert!(!stdout(&out).contains("of the heap"), "{percent} %: {}", stdout(&out));
    }
}

#[test]
fn a_share_of_a_damaged_dump_is_one_of_what_was_read() {
    let folder = folder("share");
    let mut bytes = dump(1500);
    let page = folder.path().join("heap.html");
    let all = |bytes: &[u8]| {
        let path = file(folder.path(), "heap.hprof", bytes);
        let path = path.to_str().expect("text");
        let screen = stdout(&plimsoll(&["read", path, "--html", page.to_str().expect("text")]));
        let (document, _) = json(&["read", path, "-o", "json"]);
        [screen, document.to_string(), fs::read_to_string(&page).expect("the page")]
    };
    for said in all(&bytes) {
        assert!(said.contains("of the heap") && !said.contains("of what was read"), "{said}");
    }
    let at = bytes.len() / 2;
    bytes[at..at + 40].fill(0xee);
    for said in all(&bytes) {
        assert!(!said.contains("of the heap") && said.contains("of what was read"), "{said}");
        assert!(said.contains("the dump is damaged"), "{said}");
    }
}

#[test]
fn a_real_dump_that_was_cut_names_the_leak_or_says_that_it_cannot_tell() {
    let folder = folder("cut-real");
    let scratch = jvm::Folder::new("cli");
    for jdk in jvm::jdks() {
        let Some(whole) = jdk.leak(&scratch, "G1", 3000) else { continue };
        for percent in [10, 50, 90] {
            let path = file(folder.path(), "cut.hprof", &whole[..whole.len() * percent / 100]);
            let out = plimsoll(&["read", path.to_str().expect("text")]);
            let screen = stdout(&out);
            let shown = format!("JDK {} at {percent} %: {screen}{}", jdk.version, stderr(&out));
            assert_eq!(out.status.code(), Some(5), "{shown}");
            assert!(screen.contains("CUT        the dump ends after"), "{shown}");
            let what = screen.lines().find(|line| line.starts_with("WHAT")).expect("a verdict");
            assert!(what.contains("Leak$Registry.BY_URL") || what.contains("cannot tell"), "{shown}");
        }
    }
}

#[test]
fn a_damaged_dump_still_names_the_field_and_tells_where_it_is_damaged() {
    let folder = folder("damaged");
    let mut bytes = dump(1500);
    let at = bytes.len() / 2;
    bytes[at..at + 40].fill(0xee);
    let path = file(folder.path(), "heap.hprof", &bytes);
    let out = plimsoll(&["read", path.to_str().expect("text")]);
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
    let screen = stdout(&out);
    assert!(screen.contains("DAMAGED    the dump is damaged: "), "{screen}");
    assert!(screen.contains("shop.Metrics.BY_URL retains"), "{screen}");
    let warning = screen.lines().find(|line| line.starts_with("WARNING")).expect("a warning");
    let offset = warning.split_once("offset ").and_then(|(_, rest)| rest.split_once(':')).expect("an offset");
    let offset: usize = offset.0.parse().expect("a number");
    assert!((at - 100..at + 40).contains(&offset), "damage at {at}: {warning}");

    let (document, code) = json(&["read", path.to_str().expect("text"), "-o", "json"]);
    assert_eq!((code, &document["artifact"]["truncated"]), (Some(5), &true.into()));
    assert_eq!(document["suspects"][0]["owner"], "shop.Metrics.BY_URL");
}

#[test]
fn a_packed_dump_that_ends_early_is_a_cut_one() {
    let folder = folder("gz");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&dump(1500)).expect("memory");
    let packed = packed.finish().expect("memory");
    let whole = file(folder.path(), "whole.hprof.gz", &packed);
    let out = plimsoll(&["read", whole.to_str().expect("text")]);
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    assert!(stdout(&out).contains("shop.Metrics.BY_URL retains"));
    let cut = file(folder.path(), "cut.hprof.gz", &packed[..packed.len() * 2 / 3]);
    let out = plimsoll(&["read", cut.to_str().expect("text")]);
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
}

#[test]
fn what_is_no_heap_dump_is_refused_with_a_word() {
    let folder = folder("none");
    let mut strange_ids = b"JAVA PROFILE 1.0.2\0".to_vec();
    strange_ids.extend([0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    let cases: [(PathBuf, &str); 5] = [
        (folder.path().join("nowhere.hprof"), "cannot open"),
        (folder.path().to_owned(), "holds nothing that is read"),
        (file(folder.path(), "empty", b""), "an empty file"),
        (file(folder.path(), "text", b"hello, this is a log line\n"), "it looks like text"),
        (file(folder.path(), "ids", &strange_ids), "identifier"),
    ];
    for (path, word) in cases {
        let out = plimsoll(&["read", path.to_str().expect("text")]);
        assert_eq!(out.status.code(), Some(2), "{}", path.display());
        assert!(stderr(&out).contains(word), "{}: {}", path.display(), stderr(&out));
        assert_eq!(stdout(&out), "", "{}", path.display());
    }
}

#[test]
fn a_dump_through_a_pipe_says_the_same() {
    use std::process::Stdio;
    let folder = folder("pipe");
    let bytes = dump(1200);
    let path = file(folder.path(), "heap.hprof", &bytes);
    let (from_file, code) = json(&["read", path.to_str().expect("text"), "-o", "json"]);
    let mut child = super::plimsoll_command(&["read", "-", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("a pipe").write_all(&bytes).expect("it is read");
    let out = child.wait_with_output().expect("it ends");
    assert_eq!(out.status.code(), code);
    let piped: Value = serde_json::from_str(&stdout(&out)).expect("one JSON document");
    assert_eq!(piped["suspects"], from_file["suspects"]);
}

#[test]
fn a_path_says_how_many_objects_were_looked_at() {
    let folder = folder("paths");
    let path = file(folder.path(), "heap.hprof", &dump(1500));
    let path = path.to_str().expect("text");
    let screen = stdout(&plimsoll(&["read", path, "--path", "byte[]"]));
    assert!(screen.starts_with("the 16 largest of 3,001 objects:\nshop.Metrics.BY_URL ("), "{screen}");
    let screen = stdout(&plimsoll(&["read", path, "--path", "shop.Nothing"]));
    assert!(screen.contains("no such object is reachable"), "{screen}");
}

#[test]
fn too_little_memory_for_the_graph_still_names_the_largest_map() {
    let folder = folder("scant");
    let path = file(folder.path(), "heap.hprof", &dump(3000));
    let (said, code) = json(&["read", path.to_str().expect("text"), "--memory", "1MiB", "-o", "json"]);
    assert_eq!(code, Some(5));
    assert_eq!(said["suspects"], Value::Null);
    assert!(said["neededBytes"].as_u64() > said["ceilingBytes"].as_u64());
    let largest = &said["largestCollections"][0];
    assert_eq!((&largest["owner"], &largest["entries"]), (&"shop.Metrics.BY_URL".into(), &3000.into()));
    let screen = plimsoll(&["read", path.to_str().expect("text"), "--memory", "1MiB"]);
    assert!(stdout(&screen).contains("cannot tell who holds how much"), "{}", stdout(&screen));
}

#[test]
fn the_page_is_one_private_file_without_anything_from_elsewhere() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder("page");
    let path = file(folder.path(), "heap.hprof", &dump(1500));
    let page = folder.path().join("heap.html");
    let out = plimsoll(&["read", path.to_str().expect("text"), "--html", page.to_str().expect("text")]);
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    let text = fs::read_to_string(&page).expect("the page");
    assert_eq!(fs::metadata(&page).expect("the page").permissions().mode() & 0o777, 0o600);
    assert!(text.contains("shop.Metrics.BY_URL retains") && !text.contains("/*DATA*/"));
    assert!(!text.contains("http://") && !text.contains("https://"));
    let nowhere = plimsoll(&["read", path.to_str().expect("text"), "--html", "/nowhere/at/all.html"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(stderr(&nowhere).contains("cannot write"), "{}", stderr(&nowhere));
}

#[test]
fn a_redacted_copy_says_the_same_and_holds_no_secret() {
    let folder = folder("redact");
    let mut story = Story::new();
    let (name, secret) = (story.text("db.password"), story.text("hunter2-not-real"));
    let config = story.map_of(story.map, &[(name, secret)], &[]);
    story.app_class("shop/Config", &[("VALUES", config)], &[]);
    let pairs: Vec<(u64, u64)> =
        (0..1500).map(|i| (story.text(&format!("/users/{i}")), story.bytes(&[1; 64]))).collect();
    let map = story.map_of(story.map, &pairs, &[]);
    story.app_class("shop/Metrics", &[("BY_URL", map)], &[]);
    story.main();
    let bytes = story.end();
    let path = file(folder.path(), "heap.hprof", &bytes);
    let copy = folder.path().join("copy.hprof");
    let (path, copy) = (path.to_str().expect("text"), copy.to_str().expect("text"));

    let (found, code) = json(&["read", "secrets", path, "-o", "json"]);
    assert_eq!(code, Some(1));
    assert_eq!(found["findings"][0]["count"], 1);
    assert!(!found.to_string().contains("hunter2"), "{found}");

    let (report, code) = json(&["read", "redact", path, copy, "-o", "json"]);
    assert_eq!((code, &report["faithful"]), (Some(0), &true.into()), "{report}");
    let copied = fs::read(copy).expect("the copy");
    assert_eq!(copied.len(), bytes.len());
    assert!(!copied.windows(7).any(|part| part == b"hunter2"));
    assert_eq!(json(&["read", "secrets", copy, "-o", "json"]).1, Some(0));
    let of = |file: &str| {
        let suspect = json(&["read", file, "-o", "json"]).0["suspects"][0].clone();
        (suspect["owner"].clone(), suspect["retainedBytes"].clone(), suspect["entries"].clone())
    };
    assert_eq!(of(copy), of(path));

    let onto_itself = plimsoll(&["read", "redact", path, path]);
    assert_eq!(onto_itself.status.code(), Some(2));
    assert_eq!(fs::read(path).expect("the dump"), bytes);
}
