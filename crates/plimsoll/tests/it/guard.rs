//! The growth test on real programs. What it decides on simulated runs is tested in core.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::{plimsoll, plimsoll_command, skipped, stderr, stdout};

/// A program of Python that speaks the marker protocol; `work` is one iteration.
fn speaker(folder: &Path, work: &str) -> String {
    let text = format!(
        "import gc, os, sys, threading\nkept, cache, n = [], {{}}, 0\nwhile True:\n    for _ in range(500):\n        n += 1\n        {work}\n    gc.collect()\n    print(f'PLIMSOLL ROUND iterations=500 blocks={{sys.getallocatedblocks()}}', flush=True)\n    if sys.stdin.readline().strip() != 'next': break\n"
    );
    let path = folder.join("program.py");
    fs::write(&path, text).expect("a program");
    path.display().to_string()
}

fn has(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|o| o.status.success())
}

fn guard(args: &[&str]) -> (Output, Value) {
    let o = plimsoll_command(&["guard", "run", "-o", "json"]).args(args).output().expect("the binary runs");
    let document = serde_json::from_str(&stdout(&o)).unwrap_or(Value::Null);
    (o, document)
}

fn metric<'a>(document: &'a Value, name: &str) -> &'a Value {
    let all = document["metrics"].as_array().expect("metrics");
    all.iter().find(|m| m["name"] == name).unwrap_or(&Value::Null)
}

#[test]
fn a_program_that_speaks_is_told_growing_or_flat() {
    if !has("python3") {
        return skipped("a_program_that_speaks_is_told_growing_or_flat", "python3 is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let junit = folder.path().join("guard.xml").display().to_string();
    let leaking = speaker(folder.path(), "kept.append('key-%d' % n)");
    let (o, document) = guard(&["--junit", &junit, "--", "python3", &leaking]);
    assert_eq!(o.status.code(), Some(1), "{document} {}", stderr(&o));
    assert_eq!(metric(&document, "blocks")["verdict"], "growing", "{document}");
    let slope = metric(&document, "blocks")["slopePerIteration"]["value"].as_f64().expect("a slope");
    assert!((0.9..1.1).contains(&slope), "a block for each iteration: {slope}");
    assert_eq!(metric(&document, "threads")["verdict"], "flat", "{document}");
    assert!(fs::read_to_string(&junit).expect("written").contains("<failure type=\"growing\""));
    let clean = speaker(folder.path(), "cache[n % 100] = 'key-%d' % n");
    let (o, document) = guard(&["--", "python3", &clean]);
    assert_eq!((o.status.code(), &document["outcome"]), (Some(0), &Value::from("flat")), "{document}");
}

#[test]
fn descriptors_that_pile_up_are_seen_without_any_memory_that_grows() {
    if !has("python3") {
        return skipped("descriptors_that_pile_up_are_seen", "python3 is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = speaker(folder.path(), "n % 100 or kept.append(os.open('/dev/null', 0))");
    let (o, document) = guard(&["--", "python3", &program]);
    assert_eq!(metric(&document, "fds")["verdict"], "growing", "{document} {}", stderr(&o));
    assert_eq!(o.status.code(), Some(1));
}

#[test]
fn a_program_that_dies_or_does_not_speak_proves_nothing() {
    if !has("python3") {
        return skipped("a_program_that_dies_or_does_not_speak_proves_nothing", "python3 is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let dies = speaker(folder.path(), "n < 2000 or os._exit(7)");
    for (command, why) in [
        (vec!["python3", &dies], "exit status: 7"),
        (vec!["true"], "does not speak the marker protocol"),
        (vec!["echo", "PLIMSOLL ROUND iterations=none"], "a line of the protocol is wrong"),
    ] {
        let (o, document) = guard(&[&["--"], command.as_slice()].concat());
        assert_eq!(
            (o.status.code(), &document["outcome"]),
            (Some(3), &Value::from("withdrawn")),
            "{document}"
        );
        assert!(
            document["phases"][0]["withdrawn"][0].as_str().is_some_and(|w| w.contains(why)),
            "{document}"
        );
    }
    assert_eq!(plimsoll(&["guard", "run", "--", "/no/such/program"]).status.code(), Some(2));
    assert_eq!(plimsoll(&["guard", "run", "--tolerance", "0", "--", "true"]).status.code(), Some(2));
}
