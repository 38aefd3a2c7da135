//! `plimsoll read` of the artifacts beside heap dumps: recognised, concluded, compared, bundled; cut and unknown ones.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{plimsoll, stderr, stdout};

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("plimsoll-artifacts-").tempdir().expect("a folder")
}

fn file(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path: PathBuf = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, bytes).expect("a file");
    path.display().to_string()
}

fn json(args: &[&str]) -> (Value, Option<i32>) {
    let out = plimsoll(args);
    let text = stdout(&out);
    (serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{}", stderr(&out))), out.status.code())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}

/// A dump of goroutines, this many of which wait for a channel.
fn goroutines(parked: usize) -> String {
    let main = "goroutine 1 [running]:\nmain.main()\n\t/src/main.go:9 +0x1\n\n";
    let one = |i| {
        format!(
            "goroutine {} [chan receive, 31 minutes]:\nmain.await(0xc{i:08x})\n\t/src/leak.go:35 +0x24\ncreated by main.handle in goroutine 1\n\t/src/leak.go:20 +0x7c\n\n",
            i + 7
        )
    };
    main.to_owned() + &(0..parked).map(one).collect::<String>()
}

/// A thread dump with a pool of this many.
fn threads(pool: usize) -> String {
    let thread = |i| {
        format!(
            "\"pool-1-thread-{i}\" #{i} prio=5 os_prio=0 cpu=1.0ms elapsed=1.0s tid=0x{i:016x} nid=0x{i:x} waiting on condition  [0x1]\n   java.lang.Thread.State: WAITING (parking)\n\tat jdk.internal.misc.Unsafe.park(java.base@17/Native Method)\n\tat shop.Worker.run(Worker.java:12)\n\n"
        )
    };
    let head =
        "2026-05-01 10:00:00\nFull thread dump OpenJDK 64-Bit Server VM (17.0.1+12 mixed mode, sharing):\n\n";
    head.to_owned() + &(1..=pool).map(thread).collect::<String>() + "JNI global refs: 15, weak refs: 0\n\n"
}

#[test]
fn names_that_a_terminal_would_obey_are_only_text() {
    let folder = folder();
    let hostile = threads(3).replace("pool-1", "\x1b[2J\x1b[8m\u{9b}31m\rpool-1");
    let name = file(folder.path(), "host\x1b[2Jile.txt", &hostile);
    for args in [&["read", &name][..], &["read", &name, "-o", "json"], &["read", "diff", &name, &name]] {
        let out = plimsoll(args);
        let said = stdout(&out) + &stderr(&out);
        assert!(said.contains("pool-") && said.contains("ile.txt"), "{said}");
        assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{said:?}");
    }
}

#[test]
fn goroutines_that_pile_up_are_named_with_creator_and_fix() {
    let folder = folder();
    let path = file(folder.path(), "goroutines.txt", goroutines(3000));
    let out = plimsoll(&["read", &path]);
    let screen = stdout(&out);
    assert!(
        screen.contains("3000 goroutines (100 %) wait in `chan receive` at main.await (leak.go:35)"),
        "{screen}"
    );
    assert!(screen.contains("main.handle (leak.go:20)") && screen.contains("  NEXT "), "{screen}");
    let (document, _) = json(&["read", &path, "-o", "json"]);
    assert_eq!((&document["apiVersion"], &document["kind"]), (&"plimsoll/v1".into(), &"Reading".into()));
    let artifact = &document["artifact"];
    assert_eq!((&artifact["kind"], &artifact["truncated"]), (&"goroutines".into(), &false.into()));
    assert_eq!(artifact["file"], path.as_str());
    let group = &document["groups"][0];
    assert_eq!((&group["count"], &group["state"]), (&3000.into(), &"chan receive".into()));
    assert_eq!(document["findings"][0]["cause"], "accumulation");
}

#[test]
fn packed_and_piped_are_read_and_a_cut_one_is_partial() {
    let folder = folder();
    let text = goroutines(500);
    let packed = gzip(text.as_bytes());
    let path = file(folder.path(), "g.gz", &packed);
    let (document, _) = json(&["read", &path, "-o", "json"]);
    assert_eq!(document["groups"][0]["count"], 500);
    let cut = file(folder.path(), "cut.gz", &packed[..packed.len() / 2]);
    let (document, code) = json(&["read", &cut, "-o", "json"]);
    assert_eq!((code, &document["artifact"]["truncated"]), (Some(5), &true.into()));
    assert!(document["artifact"]["truncatedWhy"].as_str().expect("a reason").contains("packed stream"));

    let mut child = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["read", "-", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("plimsoll");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("a reader");
    let out = child.wait_with_output().expect("an end");
    let document: Value = serde_json::from_slice(&out.stdout).expect("one document");
    assert_eq!(document["groups"][0]["count"], 500);
}

#[test]
fn what_grew_is_told_and_kinds_are_not_mixed() {
    let folder = folder();
    let paths: Vec<String> =
        [100, 900, 2500].iter().map(|n| file(folder.path(), &format!("g{n}.txt"), goroutines(*n))).collect();
    let (document, code) = json(&["read", "diff", &paths[0], &paths[1], &paths[2], "-o", "json"]);
    assert_eq!(code, Some(1));
    assert_eq!(document["changes"][0]["counts"], serde_json::json!([100, 900, 2500]));
    assert!(document["findings"][0]["for"].to_string().contains("it grew at every step: 100 → 900 → 2500"));
    let (same, code) = json(&["read", "diff", &paths[2], &paths[2], "-o", "json"]);
    assert!(
        same["summary"].as_str().expect("text").ends_with("no group grew by more than chance."),
        "{same}"
    );
    assert_ne!(code, Some(5));

    let other = file(folder.path(), "t.txt", threads(5));
    let mixed = plimsoll(&["read", "diff", &paths[0], &other]);
    assert_eq!(mixed.status.code(), Some(2));
    assert!(stderr(&mixed).contains("artifacts of one kind are compared"), "{}", stderr(&mixed));
}

#[test]
fn a_folder_and_an_archive_give_one_conclusion() {
    let folder = folder();
    let bundle = folder.path().join("bundle");
    for n in [100, 1500, 4000] {
        file(&bundle, &format!("pod-a/goroutines-{n:05}.txt"), goroutines(n));
    }
    file(&bundle, "pod-b/threads.txt", threads(12));
    file(&bundle, "pod-b/notes.md", "nothing to see\n");
    let check = |document: &Value, code: Option<i32>| {
        assert_eq!(code, Some(5), "a file that is not read makes it partial");
        assert_eq!(document["artifact"]["kind"], "bundle");
        assert_eq!(
            document["artifacts"].as_array().expect("a list").len(),
            5,
            "three dumps, their series, one of threads"
        );
        let first = &document["findings"][0];
        assert_eq!((&first["cause"], &first["certainty"]), (&"accumulation".into(), &"likely".into()));
        assert!(
            document["summary"].as_str().expect("text").contains("3900 more wait in `chan receive`"),
            "{document:#}"
        );
        assert!(document["notRead"][0].as_str().expect("text").contains("notes.md"));
    };
    let (document, code) = json(&["read", bundle.to_str().expect("text"), "-o", "json"]);
    check(&document, code);

    for (name, packed) in [("b.tar", false), ("b.tar.gz", true)] {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_dir_all("incident", &bundle).expect("an archive");
        let bytes = tar.into_inner().expect("an archive");
        let path = file(folder.path(), name, if packed { gzip(&bytes) } else { bytes.clone() });
        let (document, code) = json(&["read", &path, "-o", "json"]);
        check(&document, code);
        let cut = file(folder.path(), "cut.tar", &bytes[..bytes.len() / 2]);
        let out = plimsoll(&["read", &cut]);
        assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
        assert!(stdout(&out).contains("the archive"), "{}", stdout(&out));
    }
}

#[test]
fn a_zip_archive_is_a_bundle_and_a_bomb_is_refused() {
    use std::io::Write as _;
    let folder = folder();
    let options = zip::write::SimpleFileOptions::default();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in [("incident/g1.txt", goroutines(40)), ("../../outside.txt", goroutines(400))] {
        zip.start_file(name, options).expect("a file");
        zip.write_all(text.as_bytes()).expect("its text");
    }
    let bytes = zip.finish().expect("an archive").into_inner();
    let path = file(folder.path(), "b.zip", &bytes);
    let (document, _) = json(&["read", &path, "-o", "json"]);
    assert_eq!(
        (&document["artifact"]["kind"], document["artifacts"].as_array().expect("parts").len()),
        (&"bundle".into(), 2)
    );
    assert!(!folder.path().join("../../outside.txt").exists());
    let cut = file(folder.path(), "cut.zip", &bytes[..bytes.len() - 30]);
    let out = plimsoll(&["read", &cut]);
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("list of files at its end"), "{}", stderr(&out));

    // Its list says that the one file unpacks to more than it does, and to more than may be.
    let mut bomb = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    bomb.start_file("a.txt", options).expect("a file");
    bomb.write_all(&vec![b'a'; 1 << 20]).expect("its text");
    let mut bytes = bomb.finish().expect("an archive").into_inner();
    let list = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").expect("a list");
    bytes[list + 24..list + 28].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    let out = plimsoll(&["read", &file(folder.path(), "bomb.zip", &bytes)]);
    assert_eq!(out.status.code(), Some(2), "{}", stdout(&out));
}

#[test]
fn what_another_tool_reads_is_named_with_the_tool() {
    let folder = folder();
    let path = file(folder.path(), "r.jfr", b"FLR\0\0\x02");
    let out = plimsoll(&["read", &path]);
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("a flight recording (JFR), which is not read here"), "{}", stderr(&out));
    assert!(stderr(&out).contains(&format!("jfr summary {path}")), "{}", stderr(&out));
}

#[test]
fn what_is_not_read_is_said_with_what_to_do() {
    let folder = folder();
    let cases = [
        (file(folder.path(), "a.txt", "just words\n"), "it looks like text"),
        (file(folder.path(), "empty", ""), "an empty file"),
        (file(folder.path(), "zeros", [0; 4096]), "zeros"),
        (file(folder.path(), "app.zip", b"PK\x03\x04rest"), "a zip archive"),
    ];
    for (path, says) in &cases {
        let out = plimsoll(&["read", path]);
        assert_eq!(out.status.code(), Some(2), "{path}");
        assert!(stderr(&out).contains(says), "{path}: {}", stderr(&out));
    }
    let own = format!("/proc/{}", std::process::id());
    let out = plimsoll(&["read", &own]);
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains(&format!("plimsoll triage {}", std::process::id())), "{}", stderr(&out));
    let dump = file(folder.path(), "g.txt", goroutines(1));
    let out = plimsoll(&["read", &dump, "--histogram"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("--histogram is of heap dumps"), "{}", stderr(&out));
}

/// A heap snapshot of a real Node.js program with this many entries in a map, one for each of `counts`.
fn snapshots(test: &str, folder: &Path, counts: usize) -> Option<Vec<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drills/node-snapshot/leak.js");
    let base = folder.join("heap.heapsnapshot").display().to_string();
    let run = Command::new("node").arg(script).args(["cache", "3011", &base, &counts.to_string()]).output();
    if !run.is_ok_and(|o| o.status.success()) {
        super::skipped(test, "there is no Node.js");
        return None;
    }
    Some(if counts == 1 { vec![base] } else { (1..=counts).map(|n| format!("{base}.{n}")).collect() })
}

/// The views that a Java heap dump has, of a snapshot; those that make no sense are refused.
fn views_of_a_snapshot(folder: &Path, file: &str) {
    let page = folder.join("page.html").display().to_string();
    let asked =
        ["--dominators", "--strings", "--histogram", "--verify", "--path", "Session", "--html", &page];
    let (r, code) = json(&[&["read", file, "-o", "json"], asked.as_slice()].concat());
    assert_eq!(code, Some(1), "{r:#}");
    assert!(r["dominators"].to_string().contains("Map @"), "{:#}", r["dominators"]);
    assert!(r["paths"].to_string().contains("sessionCache"), "{:#}", r["paths"]);
    assert!(r["histogram"].as_array().is_some_and(|rows| rows.iter().any(|row| row["class"] == "Session")));
    assert!(r["strings"]["strings"].as_u64().is_some_and(|n| n > 3000), "{:#}", r["strings"]);
    assert!(fs::read_to_string(&page).is_ok_and(|page| page.contains("sessionCache")));
    for flag in [["--threads"].as_slice(), &["--collections"], &["--memory", "1GiB"], &["--sizes", "formula"]]
    {
        let out = plimsoll(&[&["read", file], flag].concat());
        assert_eq!(out.status.code(), Some(2), "{flag:?}");
        assert!(stderr(&out).contains(&format!("{} is of Java heap dumps", flag[0])), "{}", stderr(&out));
    }
    let out = plimsoll(&["read", file, "--path", "NoSuchClass"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("nothing of that name is reached"), "{}", stderr(&out));
}

/// A full cache looks like a leak: only a bound that is seen and positive clears it, and a hint of one leaves it open.
#[test]
fn a_bounded_map_in_a_heap_snapshot_is_not_accused() {
    let folder = folder();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drills/node-snapshot/leak.js");
    let said = |shape: &str, entries: &str, numbers: &str| {
        let path =
            folder.path().join(format!("{shape}{entries}{numbers}.heapsnapshot")).display().to_string();
        let run = Command::new("node").arg(&script).args([shape, entries, &path, "1", numbers]).output();
        run.is_ok_and(|o| o.status.success()).then(|| json(&["read", &path, "-o", "json"]))
    };
    let Some((r, code)) = said("recent", "20002", "numbers") else {
        return super::skipped("a_bounded_map_is_not_accused", "there is no Node.js");
    };
    assert_eq!(code, Some(0), "{r:#}");
    assert!(r.to_string().contains("bounded: 10,001 of 10,001 (Recent.max)"), "{r:#}");
    for (shape, entries, numbers, code, part) in [
        ("recent", "20002", "", 0, "Recent.max seems to bound it"),
        ("unbounded", "10001", "numbers", 1, "Recent.max is -1: no bound"),
        ("cache", "10000", "", 0, "a round number"),
        ("cache", "10001", "", 1, "one snapshot does not show growth"),
    ] {
        let (r, said) = said(shape, entries, numbers).expect("a snapshot");
        assert_eq!(said, Some(code), "{shape} {entries} {numbers}: {r:#}");
        assert!(r.to_string().contains(part), "{part} in {r:#}");
    }
}

#[test]
fn a_heap_snapshot_of_another_engine_is_told() {
    let folder = folder();
    let other = file(folder.path(), "bun.json", r#"{"version":2,"type":"Inspector","nodes":[0,1,2]}"#);
    let out = plimsoll(&["read", &other]);
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("JavaScriptCore"), "{}", stderr(&out));
}

#[test]
fn a_heap_snapshot_names_the_map_its_entries_and_what_their_keys_are_made_from() {
    let folder = folder();
    let test = "a_heap_snapshot_names_the_map";
    let Some(files) = snapshots(test, folder.path(), 3) else { return };
    let (r, code) = json(&["read", &files[2], "-o", "json"]);
    assert_eq!(code, Some(1), "{r:#}");
    let text = r.to_string();
    for part in ["Map", "Session", "sessionCache", "/api/user/"] {
        assert!(text.contains(part), "{part} in {r:#}");
    }
    views_of_a_snapshot(folder.path(), &files[2]);
    let (grown, _) = json(&["read", "diff", &files[0], &files[1], &files[2], "-o", "json"]);
    assert!(grown.to_string().contains("Session"), "{grown:#}");
    assert!(grown.to_string().contains("keys like /api/user/"), "{grown:#}");
    // Cut in the middle, as a process that is killed leaves it.
    let bytes = fs::read(&files[0]).expect("a file");
    let cut = file(folder.path(), "cut.heapsnapshot", &bytes[..bytes.len() / 2]);
    let (r, code) = json(&["read", &cut, "-o", "json"]);
    assert_eq!((code, &r["artifact"]["truncated"]), (Some(5), &true.into()), "{r:#}");
    let packed = gzip(&fs::read(&files[2]).expect("a file"));
    let packed = file(folder.path(), "heap.heapsnapshot.gz", packed);
    assert_eq!(json(&["read", &packed, "-o", "json"]).1, Some(1));
}
