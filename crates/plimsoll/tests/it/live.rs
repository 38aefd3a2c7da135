//! Live targets: processes of this machine, and those that cannot be watched.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::{plimsoll, stderr, stdout};

#[test]
fn targets_that_cannot_be_watched_say_why() {
    for (target, code, why) in [
        ("2147483000", 3, "no process has pid"),
        ("pid:x", 2, "is no target"),
        ("pod/api", 2, "is no target"),
        ("name:no-such-name-anywhere", 3, "no process matches"),
        ("cgroup:/no/such/group", 3, "no process matches"),
    ] {
        let o = plimsoll(&["triage", target, "--for", "1s"]);
        assert_eq!(o.status.code(), Some(code), "{target}: {}", stderr(&o));
        assert!(stderr(&o).contains(why), "{target}: {}", stderr(&o));
    }
}

#[test]
fn a_zombie_is_named_as_one() {
    let mut child = Command::new("true").stdout(Stdio::null()).spawn().expect("true runs");
    let stat = format!("/proc/{}/stat", child.id());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !std::fs::read_to_string(&stat).is_ok_and(|s| s.contains(") Z ")) {
        assert!(std::time::Instant::now() < deadline, "it does not end");
        std::thread::yield_now();
    }
    let o = plimsoll(&["triage", &child.id().to_string()]);
    assert_eq!(o.status.code(), Some(3));
    assert!(stderr(&o).contains("zombie"), "{}", stderr(&o));
    child.wait().expect("reaped");
}

#[test]
fn the_verdict_from_the_recording_is_the_live_one_byte_for_byte() {
    let mut sleeper = Command::new("sleep").arg("60").spawn().expect("sleep runs");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("seen.jsonl");
    let shown = path.display().to_string();
    let pid = sleeper.id().to_string();
    let live = plimsoll(&[
        "triage",
        &pid,
        "--for",
        "3s",
        "--every-sample",
        "100ms",
        "--record",
        &shown,
        "-o",
        "json",
    ]);
    let again = plimsoll(&["triage", "--from", &shown, "-o", "json"]);
    sleeper.kill().expect("killed");
    sleeper.wait().expect("reaped");
    assert_eq!(stdout(&live), stdout(&again));
    assert_eq!(live.status.code(), again.status.code());
    let mode = std::fs::metadata(&path).expect("written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let doc: serde_json::Value = serde_json::from_str(&stdout(&live)).expect("JSON");
    assert_eq!(doc["targets"][0]["target"]["name"], "sleep");
    assert_eq!(doc["targets"][0]["verdict"]["cause"], "none", "{}", stdout(&live));
}

#[test]
fn a_target_that_exits_while_watched_is_judged_until_then() {
    let mut short = Command::new("sleep").arg("2").spawn().expect("sleep runs");
    let pid = short.id().to_string();
    // Reaped beside the watch, as a parent does.
    let reaper = std::thread::spawn(move || short.wait());
    let o = plimsoll(&["triage", &pid, "--for", "30s", "--every-sample", "100ms", "-o", "json"]);
    reaper.join().expect("joined").expect("reaped");
    let doc: serde_json::Value = serde_json::from_str(&stdout(&o)).expect("JSON");
    assert_eq!(doc["targets"][0]["ended"], "the process ended");
    assert!(doc["targets"][0]["watchedSeconds"].as_f64().is_some_and(|s| s < 10.0));
}

#[test]
fn everything_on_the_machine_fits_one_screen() {
    let o = plimsoll(&["triage", "--for", "2s", "--rows", "5"]);
    assert!(matches!(o.status.code(), Some(0 | 1)), "{}", stderr(&o));
    assert!(stdout(&o).contains("TIME LEFT"), "{}", stdout(&o));
    assert!(stdout(&o).lines().count() <= 10, "{}", stdout(&o));
}
