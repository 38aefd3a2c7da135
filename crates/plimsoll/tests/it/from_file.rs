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

/// Whom a table of two days ranks, by namespace, name and movement, as `-o json` tells them; and all that it says.
fn ranked(text: &str, more: &[&str]) -> (Vec<String>, serde_json::Value) {
    let o = from(text, &[&["--unit", "MiB", "-o", "json"], more].concat());
    assert_eq!(o.status.code(), Some(1), "{}", stderr(&o));
    let doc: serde_json::Value = serde_json::from_str(&stdout(&o)).expect("JSON");
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or("-").to_owned();
    let rows = doc["workloads"].as_array().expect("workloads");
    let row = |row| format!("{}/{}: {}", text(row, "namespace"), text(row, "name"), text(row, "movement"));
    (rows.iter().map(row).collect(), doc)
}

/// MiB of a target that climbs by so much an hour, some noise on top.
fn mib(minute: u32, per_hour: f64) -> f64 {
    120.0 + per_hour * f64::from(minute) / 60.0 + f64::from(minute * 7 % 5) * 0.2
}

#[test]
fn targets_of_one_table_are_ranked_as_those_of_a_cluster() {
    let mut rows = "time,namespace,workload,pod,value,limit\n".to_owned();
    let mut columns = "Time;{namespace=\"shop\", pod=\"api-5d4f8c7b9c-x2x7z\"};shop/db-0\n".to_owned();
    let mut json = String::new();
    for minute in (0..2880).step_by(5) {
        let t = 1_795_000_000 + minute * 60;
        let (leaks, rests) = (mib(minute, 3.0), mib(minute, 0.0));
        rows += &format!(
            "{t},shop,api,api-a,{leaks},512\n{t},shop,api,api-b,{leaks},512\n{t},shop,db,db-0,{rests},512\n"
        );
        columns += &format!("{t};{leaks};{rests}\n").replace('.', ",");
        json += &format!(
            "{{\"time\":{t},\"host\":\"api-0\",\"usage\":{leaks}}}\n{{\"time\":{t},\"host\":\"db\",\"usage\":{rests}}}\n"
        );
    }
    let (found, doc) = ranked(&rows, &[]);
    assert_eq!(found, ["shop/api: leak", "shop/db: flat"], "{doc}");
    assert_eq!(doc["workloads"][0]["replicas"], 2);
    let left = doc["workloads"][0]["timeToLimitSeconds"]["p50"].as_f64().expect("a time");
    let truth = (512.0 - mib(2875, 3.0)) / 3.0 * 3600.0;
    assert!((left / truth - 1.0).abs() < 0.1, "{left} {truth}");
    assert_eq!(ranked(&columns, &["--limit", "512MiB"]).0, ["shop/api: leak", "shop/db: flat"]);
    assert_eq!(ranked(&json, &["--limit", "512MiB"]).0, ["/api: leak", "/db: flat"]);
}

#[test]
fn what_is_wrong_with_a_table_of_many_is_said_with_its_line() {
    for (text, why) in [
        ("time,pod\n1,a\n", "line 1: no column \"value\""),
        ("time,pod,host,value\n1,a,b,2\n", "line 1: two columns tell the same"),
        ("time,pod,value\n1,a,x\n", "the first in line 2"),
        ("[\n]\n", "no row of the table"),
    ] {
        let o = from(text, &[]);
        assert_eq!(o.status.code(), Some(3), "{text:?}: {}", stderr(&o));
        assert!(stderr(&o).contains(why), "{text:?}: {}", stderr(&o));
    }
    let mut text = "time,pod,value\n".to_owned();
    for i in 0..600 {
        text += &format!("{},a,{}\n", 1_795_000_000 + i * 300, mib(i * 5, 3.0));
    }
    text += "soon,a,1\n";
    let (_, doc) = ranked(&text, &["--limit", "512MiB"]);
    assert!(doc["warnings"].to_string().contains("the first in line 602"), "{doc}");
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
