//! `plimsoll restart`: nothing is restarted before its evidence is stored.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use plimsoll_core::agent::What;
use plimsoll_host::store::Store;
use serde_json::Value;

use crate::rig::{Agent, Climber, MIB, Target, cage, until};
use crate::{plimsoll_command, skipped, stderr, stdout};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn restart(folder: &Path, args: &[&str]) -> Output {
    restart_that_dies(folder, "", args)
}

/// One that is killed at a step.
fn restart_that_dies(folder: &Path, step: &str, args: &[&str]) -> Output {
    let store = folder.join("store").display().to_string();
    let (head, tail) = args.split_at(args.iter().position(|a| *a == "--").unwrap_or(args.len()));
    let all = [&["restart", "--store", &store], head, tail].concat();
    let mut command = plimsoll_command(&all);
    command.env("PLIMSOLL_STATE", folder.join("state")).env("PLIMSOLL_DIES_AT", step);
    command.output().expect("it runs")
}

fn climber(folder: &Path, name: &str) -> (Climber, String) {
    let climber = Climber::start(folder, &[], name);
    let pid = climber.child.id().to_string();
    (climber, pid)
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder.join("store/captures")).into_iter().flatten().flatten();
    listed.map(|e| e.path()).collect()
}

#[test]
fn a_plan_says_what_is_waited_for_and_does_nothing() {
    let folder = folder();
    let (mut climber, pid) = climber(folder.path(), "Planned");
    let out = restart(folder.path(), &[&pid, "--", "touch", "never"]);
    let said = stdout(&out);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    for part in [
        "core to be stored whole, at most 2 min",
        "as no agent holds it",
        "touch never",
        "nothing was done yet",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!folder.path().join("store").exists() && climber.lives());
    let out = restart(folder.path(), &[&pid, "--artifact", "heap"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("plimsoll takes no heap of this runtime"), "{}", stderr(&out));
}

#[test]
fn without_an_agent_the_evidence_is_taken_here_and_then_the_command_runs() {
    let folder = folder();
    let (_climber, pid) = climber(folder.path(), "Alone");
    let mark = folder.path().join("mark");
    // The command sees what was stored before it.
    let script = format!("ls {}/store/captures > {}", folder.path().display(), mark.display());
    let out = restart(folder.path(), &[&pid, "--go", "-o", "json", "--", "sh", "-c", &script]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let result: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
    let stored = &result["stored"][0];
    assert_eq!((&stored["artifact"], &stored["complete"]), (&"core".into(), &true.into()), "{result}");
    assert!(Path::new(stored["folder"].as_str().expect("a folder")).join("manifest.json").exists());
    assert!(fs::read_to_string(&mark).expect("it ran").contains("-core"));
    let audit = fs::read_to_string(folder.path().join("state/audit.jsonl")).expect("an audit");
    assert_eq!(audit.lines().count(), 2, "{audit}");
    // A moment later it need not be taken again; a command that fails is told.
    let taken = captures(folder.path()).len();
    let out = restart(folder.path(), &[&pid, "--go", "--", "false"]);
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
    assert!(
        stderr(&out).contains("stored just before") && stdout(&out).contains("FAILED"),
        "{}",
        stdout(&out)
    );
    assert_eq!(captures(folder.path()).len(), taken);
}

#[test]
fn the_agent_is_asked_though_its_rules_only_observe_and_the_signal_comes_after() {
    let test = "restart::the_agent_is_asked";
    let folder = folder();
    let Some(cage) = cage(test, "hold", 300 * MIB) else { return };
    let mut climber = Climber::start(folder.path(), &[&cage.0], "Held");
    let mut agent =
        Agent::start(&folder.path().join("store"), "mode: observe\nevery: 300ms\nonly: [Held.py]\n");
    let out = restart(folder.path(), &["name:Held.py", "--go", "--signal", "TERM"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert!(stdout(&out).contains("it has ended") && stdout(&out).contains("core in "), "{}", stdout(&out));
    until("it has ended", || !climber.lives());
    agent.of(&cage, What::Asked);
    agent.of(&cage, What::Stored);
    agent.of(&cage, What::Answered);
    assert_eq!(fs::read_dir(folder.path().join("store/requests")).expect("a folder").count(), 0);
}

#[test]
fn the_heap_of_a_jvm_is_stored_before_it_is_told_to_end() {
    let test = "restart::the_heap_of_a_jvm";
    let folder = folder();
    let Some(cage) = cage(test, "holdjvm", 900 * MIB) else { return };
    let Some(mut java) = Target::java(folder.path(), &cage, ("Planner", 1)) else {
        return skipped(test, "there is no JDK");
    };
    let mut agent =
        Agent::start(&folder.path().join("store"), "mode: observe\nevery: 300ms\nonly: [Planner]\n");
    let plan = stdout(&restart(folder.path(), &["name:Planner"]));
    for part in
        ["heap, threads", "for heap to be stored whole", "by the agent that holds it", "heap: predicted"]
    {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    let out = restart(folder.path(), &["name:Planner", "--go", "--signal", "TERM"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    java.0.wait().expect("it has ended");
    let stored = agent.until(|e| e.what == What::Stored && e.whole == Some(true));
    let heap = folder.path().join("store/captures").join(stored.folder.expect("a folder")).join("heap.hprof");
    assert!(fs::metadata(&heap).is_ok_and(|m| m.len() > 100_000), "{}", heap.display());
}

#[test]
fn without_evidence_there_is_no_restart_unless_it_is_wanted_anyway() {
    let folder = folder();
    let (mut climber, pid) = climber(folder.path(), "Kept");
    // The store cannot take anything: its place for captures is a file.
    fs::create_dir_all(folder.path().join("store")).expect("made");
    fs::write(folder.path().join("store/captures"), "").expect("written");
    let out = restart(folder.path(), &[&pid, "--go", "--signal", "KILL"]);
    assert_eq!(out.status.code(), Some(4), "{}", stderr(&out));
    assert!(climber.lives(), "it is not restarted");
    fs::remove_file(folder.path().join("store/captures")).expect("removed");
    // No time to wait is no evidence.
    let out = restart(folder.path(), &[&pid, "--go", "--wait", "0s", "--signal", "KILL"]);
    assert_eq!(out.status.code(), Some(4), "{}", stderr(&out));
    assert!(
        stderr(&out).contains("no answer came in time") && stderr(&out).contains("--anyway"),
        "{}",
        stderr(&out)
    );
    assert!(climber.lives(), "it is not restarted");
    let out = restart(folder.path(), &[&pid, "--go", "--wait", "0s", "--anyway", "--signal", "KILL"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    until("it is killed", || !climber.lives());
}

/// Every step of taking evidence.
const STEPS: &[&str] =
    &["capture-written", "folder-made", "piece-begun", "piece-whole", "closed", "stored-written"];

/// The next agent ends what the last one left half done.
fn nothing_is_left_half_done(folder: &Path, step: &str) {
    let store = folder.join("store");
    drop(Agent::start(&store, "mode: observe\n"));
    let (_, open) = Store::open(&store).expect("opens");
    assert!(open.captures.is_empty(), "{step}: {open:?}");
    let files = captures(folder).into_iter().flat_map(|c| fs::read_dir(c).into_iter().flatten().flatten());
    let parts: Vec<PathBuf> =
        files.map(|f| f.path()).filter(|f| f.extension().is_some_and(|e| e == "partial")).collect();
    assert!(parts.is_empty(), "{step}: {parts:?}");
}

#[test]
fn an_agent_that_is_killed_while_a_restart_waits_does_not_let_it_go_without_evidence() {
    for step in STEPS {
        let folder = folder();
        let (mut climber, pid) = climber(folder.path(), "Waits");
        let rules = "mode: observe\nevery: 300ms\nonly: [Waits.py]\n";
        let mut agent = Agent::start_to_die(&folder.path().join("store"), rules, step);
        agent.until(|e| e.what == What::Agent);
        let script = format!("ls {0}/store/captures/*/manifest.json > {0}/mark", folder.path().display());
        let out = restart(folder.path(), &[&pid, "--go", "--", "sh", "-c", &script]);
        assert_eq!(out.status.code(), Some(0), "{step}: {}", stderr(&out));
        assert!(agent.child.wait().expect("ended").code().is_none(), "{step}: the agent is killed");
        assert!(stderr(&out).contains("has ended before it answered"), "{step}: {}", stderr(&out));
        let mark = fs::read_to_string(folder.path().join("mark")).expect("it ran");
        assert!(mark.contains("-core/manifest.json"), "{step}: the evidence came first: {mark}");
        assert!(climber.lives(), "{step}");
        nothing_is_left_half_done(folder.path(), step);
    }
}

#[test]
fn a_restart_that_is_killed_itself_restarts_nothing_and_can_be_done_again() {
    for step in STEPS {
        let folder = folder();
        let (mut climber, pid) = climber(folder.path(), "Again");
        let mark = folder.path().join("mark").display().to_string();
        let args = [&pid, "--go", "--", "touch", &mark];
        let out = restart_that_dies(folder.path(), step, &args);
        assert_eq!(out.status.code(), None, "{step}: it is killed");
        assert!(!Path::new(&mark).exists() && climber.lives(), "{step}");
        let out = restart(folder.path(), &args);
        assert_eq!(out.status.code(), Some(0), "{step}: {}", stderr(&out));
        assert!(Path::new(&mark).exists(), "{step}");
        nothing_is_left_half_done(folder.path(), step);
    }
}
