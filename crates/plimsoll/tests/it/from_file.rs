//! Recordings and tables: what is judged, what is refused, what is said of damage.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::{plimsoll, stderr, stdout};

/// A table of a leak of 1 MiB per minute over `rows` minutes, in MiB.
fn table(rows: u32) -> String {
    let mut text = "time,value\n".to_owned();
    for i in 0..rows {
        text +=
            &format!("{},{}\n", 1_700_000_000 + i * 60, 100.0 + f64::from(i) + f64::from(i * 7 % 5) * 0.05);
    }
    text
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut f = tempfile::NamedTempFile::new().expect("a file");
    f.write_all(text.as_bytes()).expect("written");
    f
}

fn from(text: &str, more: &[&str]) -> std::process::Output {
    let f = file(text);
    let path = f.path().display().to_string();
    let mut args = vec!["triage", "--from", &path];
    args.extend(more);
    plimsoll(&args)
}

#[test]
fn a_leak_in_a_table_gets_a_clock() {
    let o = from(&table(120), &["--unit", "MiB", "--limit", "512MiB", "-o", "json"]);
    assert_eq!(o.status.code(), Some(1), "{}", stderr(&o));
    let doc: serde_json::Value = serde_json::from_str(&stdout(&o)).expect("JSON");
    let target = &doc["targets"][0];
    assert_eq!(doc["apiVersion"], "plimsoll/v1");
    let truth = (512.0 - 219.0) * 60.0;
    let time = &target["clock"]["timeToOomSeconds"];
    let (low, high) = (time["p10"].as_f64().expect("low"), time["p90"].as_f64().expect("high"));
    assert!(low < truth && truth < high * 1.05, "{low} {truth} {high}");
    assert!(target["slope"]["bytesPerSecond"].as_f64().is_some_and(|s| (s - 17476.0).abs() < 900.0));
    assert_eq!(target["verdict"]["cause"], "retention");
}

#[test]
fn a_damaged_table_is_judged_and_the_damage_is_said() {
    let mut text = table(100);
    text += "1699999000,nan\n1700000030,-5\n1700000031,1e40\nnonsense\n1700000010,3,4,5,6,7,8,9\n";
    let cut = &text[..text.len() - 3];
    let o = from(cut, &["--unit", "MiB", "--limit", "512MiB"]);
    assert_eq!(o.status.code(), Some(1), "{}", stderr(&o));
    assert!(stdout(&o).contains("WARNING    4 rows skipped"), "{}", stdout(&o));
    assert!(stdout(&o).contains("not in order of time"), "{}", stdout(&o));
}

#[test]
fn what_cannot_be_judged_exits_with_three_and_says_why() {
    for (text, why) in [
        ("", "is empty"),
        ("{\"no\":1}\n", "not the head"),
        ("time,value\n", "no row of the table"),
        ("when,what\n1,2\n", "no column \"time\""),
        (
            "{\"apiVersion\":\"plimsoll/v9\",\"kind\":\"Recording\",\"target\":{\"pid\":1,\"name\":\"x\",\"runtime\":\"go\",\"started\":1}}\n",
            "plimsoll/v9",
        ),
    ] {
        let o = from(text, &[]);
        assert_eq!(o.status.code(), Some(3), "{text:?}: {}", stderr(&o));
        assert!(stderr(&o).contains(why), "{text:?}: {}", stderr(&o));
    }
    assert_eq!(from("time,value\n1,2\n", &[]).status.code(), Some(3), "one row is no slope");
    assert_eq!(plimsoll(&["triage", "--from", "/no/such/file"]).status.code(), Some(2));
}

#[test]
fn a_replay_never_looks_ahead() {
    let replay = |rows: u32| {
        let o = from(&table(rows), &["--unit", "MiB", "--limit", "512MiB", "--replay", "--every", "10m"]);
        stdout(&o).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (short, long) = (replay(120), replay(240));
    assert_eq!(short.len(), 11);
    assert_eq!(short[..], long[..11]);
    let last: serde_json::Value = serde_json::from_str(&long[long.len() - 1]).expect("JSON");
    assert_eq!(last["kind"], "ReplayTick");
    assert_eq!(last["alarm"], true, "{last}");
    assert!(last["pLeak"].as_f64().is_some_and(|p| p > 0.9), "{last}");
    assert_eq!(last["pOomWithin"]["hours"], 240.0);
}

#[test]
fn restarts_do_not_hide_a_leak() {
    // Restarted every 100 minutes: from 100 MiB at 1 MiB a minute it never gets far.
    let mut text = "time,value,start\n".to_owned();
    for i in 0..600u32 {
        let start = 1_700_000_000 + (i / 100) * 6000;
        text += &format!("{},{},{start}\n", 1_700_000_000 + i * 60, 100 + i % 100);
    }
    let o = from(&text, &["--unit", "MiB", "--limit", "512MiB", "-o", "json"]);
    let doc: serde_json::Value = serde_json::from_str(&stdout(&o)).expect("JSON");
    let target = &doc["targets"][0];
    assert!(target["pLeak"].as_f64().is_some_and(|p| p > 0.8), "{}", target["pLeak"]);
    assert!(target["slope"]["bytesPerSecond"].as_f64().is_some_and(|s| (s - 17476.0).abs() < 1800.0));
}

#[test]
fn a_recording_can_come_through_a_pipe() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["triage", "--from", "-", "--unit", "MiB", "--limit", "512MiB"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    child.stdin.take().expect("a pipe").write_all(table(60).as_bytes()).expect("written");
    let o = child.wait_with_output().expect("ends");
    assert!(stdout(&o).contains("HOW LONG"));
}
