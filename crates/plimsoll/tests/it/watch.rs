//! `plimsoll watch`: evidence before the kill, time bought and given back, an agent that is killed itself.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use plimsoll_core::agent::brake::{Act, Below, Held, Means};
use plimsoll_core::agent::{Event, Level, What};
use plimsoll_host::store::Store;
use serde_json::Value;

use crate::rig::{Agent, Climber, MIB, Target, cage, page};
use crate::{plimsoll, plimsoll_command, skipped, stderr};

fn manifest(store: &Path, event: &Event) -> (PathBuf, Value) {
    let folder = store.join("captures").join(event.folder.as_ref().expect("a folder"));
    let text = fs::read_to_string(folder.join("manifest.json")).expect("a manifest");
    (folder, serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn the_heap_is_stored_before_the_kernel_kills() {
    let test = "watch::the_heap_is_stored_before_the_kernel_kills";
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let Some(cage) = cage(test, "watch", 400 * MIB) else { return };
    let store = folder.path().join("store");
    let mut agent = Agent::start(&store, "mode: capture\nevery: 500ms\nonly: [Climber]\n");
    let Some(mut java) = Target::java(folder.path(), &cage, ("Climber", 12)) else {
        return skipped(test, "there is no JDK");
    };
    agent.of(&cage, What::Armed);
    java.go();
    let heap =
        agent.until(|e| e.what == What::Stored && e.folder.as_ref().is_some_and(|f| f.ends_with("-heap")));
    assert_eq!((heap.workload, heap.level), (cage.workload(), Some(Level::Heavy)));
    agent.of(&cage, What::Killed);
    let killed = agent.seen.last().cloned().expect("the kill");
    let heap = agent.seen.iter().rfind(|e| e.folder.as_ref().is_some_and(|f| f.ends_with("-heap"))).cloned();
    let heap = heap.expect("the heap");
    assert!(heap.time < killed.time);
    let (place, manifest) = manifest(&store, &heap);
    assert_eq!(manifest["artifacts"][0]["complete"], true, "{manifest:#}");
    let out = plimsoll(&["read", &place.join("heap.hprof").display().to_string(), "-o", "json"]);
    let reading = String::from_utf8_lossy(&out.stdout);
    assert!(reading.contains("Climber.KEPT"), "{reading}{}", stderr(&out));
}

#[test]
fn a_kill_of_what_the_rules_leave_out_is_not_told() {
    let test = "watch::a_kill_of_what_the_rules_leave_out_is_not_told";
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let rules = "mode: observe\nevery: 300ms\nonly: [Minded.py]\n";
    let mut agent = Agent::start(&folder.path().join("store"), rules);
    let killed = |name: &str| {
        let cage = cage(test, name, 60 * MIB)?;
        let mut climber = Climber::start(folder.path(), &[&cage.0], name);
        climber.tell("climb 20 200");
        Some((climber.child.wait().expect("ended").signal(), cage))
    };
    let Some((signal, other)) = killed("Other") else { return };
    let Some((_, cage)) = killed("Minded") else { return };
    assert_eq!(signal, Some(9), "the other was killed too");
    agent.of(&cage, What::Killed);
    assert!(agent.seen.iter().all(|e| e.workload != other.workload()), "{:#?}", agent.seen);
}

#[test]
fn time_is_bought_for_a_fast_one_and_given_back() {
    let test = "watch::time_is_bought_for_a_fast_one_and_given_back";
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let Some(cage) = cage(test, "brake", 300 * MIB) else { return };
    let store = folder.path().join("store");
    let rules =
        "mode: capture\nevery: 500ms\nonly: [Sprinter]\nheavyBelow: 60s\nbrake: {raiseShare: 1, for: 1s}\n";
    let mut agent = Agent::start(&store, rules);
    let Some(mut java) = Target::java(folder.path(), &cage, ("Sprinter", 80)) else {
        return skipped(test, "there is no JDK");
    };
    agent.of(&cage, What::Armed);
    java.go();
    let braked = agent.of(&cage, What::Braked);
    assert_eq!(braked.brake.expect("a brake").gained, (300 * MIB) as f64);
    assert!(braked.text.contains("300 MiB → 600 MiB"), "{}", braked.text);
    agent.until(|e| e.what == What::Stored);
    drop(java);
    agent.until(|e| e.what == What::Restored);
    assert_eq!(cage.limit(), 300 * MIB);
}

#[test]
fn an_agent_that_comes_up_ends_what_the_last_one_left_half_done() {
    let test = "watch::an_agent_that_comes_up_ends_what_the_last_one_left_half_done";
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let Some(cage) = cage(test, "owed", 200 * MIB) else { return };
    let path = folder.path().join("store");
    let (mut store, _) = Store::open(&path).expect("opens");
    let half = store.captures().join("1-java-999999-heap");
    fs::create_dir(&half).expect("made");
    fs::write(half.join("heap.hprof.partial"), b"JAVA").expect("written");
    fs::write(half.join("threads.txt"), b"whole").expect("written");
    let file = |name: &str| cage.0.join(name).display().to_string();
    let act = Act::Write {
        file: file("memory.limit_in_bytes"),
        from: (100 * MIB).to_string(),
        to: (200 * MIB).to_string(),
        shown: (200 * MIB).to_string(),
        below: Some(Below { usage: file("memory.usage_in_bytes"), bytes: 95 * MIB }),
    };
    let group = "/g".to_owned();
    let held = Held { means: Means::Raise, group, acts: vec![act], until: 9e9, gained: 1.0 };
    let name = Some("1-java-999999-heap".to_owned());
    for event in [
        Event { folder: name, ..Event::new(1.0, "w", What::Began, "a heap") },
        Event { brake: Some(held), ..Event::new(2.0, "w", What::Braked, "a limit") },
    ] {
        store.log.write(&event).expect("written");
    }
    drop(store);
    let mut agent = Agent::start(&path, "mode: observe\n");
    let failed = agent.until(|e| e.what == What::Failed);
    assert!(failed.text.contains("1 whole files are kept, 1 parts removed"), "{failed:?}");
    agent.until(|e| e.what == What::Restored);
    assert_eq!(cage.limit(), 100 * MIB);
    assert!(half.join("threads.txt").exists() && !half.join("heap.hprof.partial").exists());
    drop(agent);
    let (_, open) = Store::open(&path).expect("opens");
    assert!(open.captures.is_empty() && open.brakes.is_empty(), "{open:?}");
}

#[test]
fn an_agent_that_is_killed_in_a_dump_leaves_a_living_target_and_nothing_else() {
    let test = "watch::an_agent_that_is_killed_in_a_dump_leaves_a_living_target";
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let Some(cage) = cage(test, "kill9", 600 * MIB) else { return };
    let store = folder.path().join("store");
    // Late, so that there is much to dump: it must not be done before the agent is killed.
    let rules = "mode: capture\nevery: 200ms\nonly: [Orphan]\nheavyBelow: 12s\n";
    let mut agent = Agent::start(&store, rules);
    let Some(mut java) = Target::java(folder.path(), &cage, ("Orphan", 20)) else {
        return skipped(test, "there is no JDK");
    };
    agent.of(&cage, What::Armed);
    java.go();
    let began =
        agent.until(|e| e.what == What::Began && e.folder.as_ref().is_some_and(|f| f.ends_with("-heap")));
    agent.child.kill().expect("killed");
    agent.child.wait().expect("ended");
    // The dump breaks off with its reader, and the JVM goes on.
    let pid = java.0.id();
    let (pid_said, to) = (pid.to_string(), folder.path().display().to_string());
    let out = plimsoll_command(&[
        "capture",
        &pid_said,
        "--artifact",
        "threads",
        "--for",
        "1s",
        "--to",
        &to,
        "--go",
    ])
    .env("PLIMSOLL_STATE", folder.path().join("state"))
    .output()
    .expect("runs");
    assert_eq!(out.status.code(), Some(0), "it answers: {}", stderr(&out));
    assert!(java.0.try_wait().expect("asked").is_none(), "it lives");
    let mut agent = Agent::start(&store, "mode: observe\n");
    agent.until(|e| e.what == What::Failed && e.folder == began.folder);
    let pipes = fs::read_dir("/tmp").expect("a folder").flatten();
    let ours = format!(".plimsoll-{pid}-");
    assert!(!pipes.map(|e| e.file_name().to_string_lossy().into_owned()).any(|n| n.starts_with(&ours)));
    let parts = fs::read_dir(store.join("captures")).expect("a folder").flatten();
    let parts = parts.flat_map(|f| fs::read_dir(f.path()).into_iter().flatten().flatten());
    assert!(!parts.map(|e| e.path()).any(|p| p.extension().is_some_and(|e| e == "partial")));
}

#[test]
fn one_agent_at_a_time_and_a_typo_is_named_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let _first = Agent::start(&store, "mode: observe\n");
    let place = store.display().to_string();
    let second = plimsoll(&["watch", "--store", &place, "--for", "1s"]);
    assert_eq!(second.status.code(), Some(3));
    assert!(stderr(&second).contains("used by another agent"), "{}", stderr(&second));
    let config = folder.path().join("typo.yaml");
    fs::write(&config, "mode: capture\nheavyBelwo: 3s\n").expect("written");
    let typo = plimsoll(&["watch", "--config", &config.display().to_string(), "--store", &place]);
    assert_eq!(typo.status.code(), Some(2));
    let said = stderr(&typo);
    assert!(said.contains("heavyBelwo") && said.contains("line 2"), "{said}");
}

#[test]
fn metrics_are_served_while_it_watches() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store").display().to_string();
    let mut child =
        plimsoll_command(&["watch", "--store", &store, "--listen", "127.0.0.1:0", "--for", "30s"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
    let said = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let address = said
        .filter_map(|l| Some(l.split_once("http://")?.1.strip_suffix("/metrics")?.to_owned()))
        .next()
        .expect("an address");
    let page = page(&address, |page| page.contains("plimsoll_agent_looks_total"));
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(page.starts_with("HTTP/1.1 200 OK") && page.ends_with("# EOF\n"), "{page}");
    assert!(page.contains("plimsoll_agent_resident_bytes "), "{page}");
}
