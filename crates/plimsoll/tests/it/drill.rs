//! War stories through the whole playbook. The full matrix is `bench/verdicts`; here one of each kind.

use crate::{plimsoll, skipped, stderr, stdout};

/// Runs a drill and returns its document; `None` where its tool is missing.
fn drill(test: &str, args: &[&str]) -> Option<serde_json::Value> {
    let mut all = vec!["drill", "-o", "json"];
    all.extend(args);
    let o = plimsoll(&all);
    if stderr(&o).contains("is not installed") {
        skipped(test, &stderr(&o));
        return None;
    }
    Some(serde_json::from_str(&stdout(&o)).unwrap_or_else(|e| panic!("{e}: {}", stderr(&o))))
}

#[test]
fn the_native_cache_is_found_and_its_cage_is_gone() {
    let Some(doc) = drill("unbounded-cache", &["unbounded-cache", "--for", "30s", "--no-wait"]) else {
        return;
    };
    assert_eq!(doc["cause"], "retention", "{doc}");
    assert_eq!(doc["found"], true, "{doc}");
    let left = std::fs::read_dir("/sys/fs/cgroup/memory").into_iter().flatten().flatten();
    let cage =
        |e: std::fs::DirEntry| e.file_name().to_string_lossy().starts_with("plimsoll-drill-unbounded-cache");
    assert!(!left.into_iter().any(cage), "a cage is left");
}

#[test]
fn a_healthy_cache_is_not_accused() {
    let Some(doc) = drill("bounded-cache", &["bounded-cache", "--for", "45s"]) else { return };
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
