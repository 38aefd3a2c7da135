//! War stories through the whole playbook. The full matrix is `bench/verdicts`; here one of each kind.

use std::process::Stdio;

use crate::{plimsoll, plimsoll_command, skipped, stderr, stdout};

/// Runs a drill; its document and the pid it ran under. `None` where its tool is missing.
fn drill(test: &str, args: &[&str]) -> Option<(serde_json::Value, u32)> {
    let mut command = plimsoll_command(&["drill", "-o", "json"]);
    let child =
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let pid = child.id();
    let o = child.wait_with_output().expect("it ends");
    if stderr(&o).contains("is not installed") {
        skipped(test, &stderr(&o));
        return None;
    }
    let doc = serde_json::from_str(&stdout(&o)).unwrap_or_else(|e| panic!("{e}: {}", stderr(&o)));
    Some((doc, pid))
}

#[test]
fn the_native_cache_is_found_and_its_cage_is_gone() {
    let ran = drill("unbounded-cache", &["unbounded-cache", "--for", "30s", "--no-wait"]);
    let Some((doc, pid)) = ran else { return };
    assert_eq!(doc["cause"], "retention", "{doc}");
    assert_eq!(doc["found"], true, "{doc}");
    let left = std::fs::read_dir("/sys/fs/cgroup/memory").into_iter().flatten().flatten();
    let cage = format!("plimsoll-drill-unbounded-cache-{pid}");
    assert!(!left.into_iter().any(|e| e.file_name().to_string_lossy() == cage), "the cage is left");
}

#[test]
fn a_healthy_cache_is_not_accused() {
    let Some((doc, _)) = drill("bounded-cache", &["bounded-cache", "--for", "45s"]) else { return };
    assert_ne!(doc["certainty"], "certain", "{doc}");
    assert_eq!(doc["found"], true, "{doc}");
}

#[test]
fn the_list_names_every_story() {
    let text = stdout(&plimsoll(&["drill", "--list"]));
    for name in
        ["unbounded-cache:jvm", "goroutine-leak:go", "fragmentation:glibc", "closures:node", "diurnal:python"]
    {
        assert!(text.contains(name), "{text}");
    }
    assert_eq!(plimsoll(&["drill", "nonsense"]).status.code(), Some(2));
}
