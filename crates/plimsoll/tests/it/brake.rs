//! The agent's brakes: each put on, used and taken off again, whatever becomes of the agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_core::agent::brake::Means;
use plimsoll_core::agent::{Event, What};
use plimsoll_host::store::Store;
use rustix::fs::{FlockOperation, flock};

use crate::rig::{Agent, Cage, Climber, MIB, Target, cage, until};
use crate::skipped;

/// Rules for one program, with its brake. A program of a test climbs fast, and is frozen or parked briefly.
fn rules(name: &str, brake: &str) -> String {
    format!(
        "mode: capture\nevery: 300ms\nonly: [{name}.py]\nheavyBelow: 60s\nlightBelow: 2m\nbrake: {brake}\n"
    )
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// What happened to a workload, without the levels.
fn course(agent: &Agent, cage: &Cage) -> Vec<What> {
    let ours = agent.seen.iter().filter(|e| e.workload == cage.workload() && e.what != What::Level);
    ours.map(|e| e.what).collect()
}

fn means(event: &Event) -> Means {
    event.brake.as_ref().expect("a brake").means
}

#[test]
fn a_limit_that_is_raised_takes_the_one_above_along_and_both_come_back() {
    let test = "brake::a_limit_that_is_raised";
    let folder = folder();
    let Some(outer) = cage(test, "outer", 210 * MIB) else { return };
    fs::write(outer.0.join("memory.use_hierarchy"), "1").ok();
    let inner = Cage::within(&outer, "inner", 200 * MIB);
    let mut climber = Climber::start(folder.path(), &[&inner.0], "Ancestor");
    let mut agent =
        Agent::start(&folder.path().join("store"), &rules("Ancestor", "{raiseShare: 0.5, for: 1s}"));
    climber.tell("climb 40 190");
    let braked = agent.of(&inner, What::Braked);
    let held = braked.brake.as_ref().expect("a brake");
    assert_eq!((held.means, held.acts.len()), (Means::Raise, 2), "{held:?}");
    agent.of(&inner, What::Stored);
    assert_eq!(climber.answer(), "done");
    climber.does("free");
    let seen = agent.seen.iter().find(|e| e.what == What::Restored).cloned();
    let restored = seen.unwrap_or_else(|| agent.until(|e| e.what == What::Restored));
    assert!(
        restored.text.contains("is as it was") && restored.brake.as_ref() == Some(held),
        "{}",
        restored.text
    );
    assert_eq!((inner.limit(), outer.limit()), (200 * MIB, 210 * MIB));
    assert!(climber.lives());
}

#[test]
fn a_limit_that_is_raised_stays_so_after_the_capture_for_its_time() {
    let test = "brake::a_limit_stays_raised";
    let folder = folder();
    let Some(cage) = cage(test, "stays", 200 * MIB) else { return };
    let mut climber = Climber::start(folder.path(), &[&cage.0], "Stays");
    let mut agent = Agent::start(&folder.path().join("store"), &rules("Stays", "{use: raise, for: 20s}"));
    climber.tell("climb 100 170");
    let braked = agent.of(&cage, What::Braked);
    agent.of(&cage, What::Stored);
    assert_eq!(climber.answer(), "done");
    // Whatever it wanted beyond its old limit it has, and it lives.
    climber.does("climb 200 215");
    assert_eq!(cage.limit(), 250 * MIB);
    climber.does("free");
    let restored = agent.of(&cage, What::Restored);
    let until = braked.brake.expect("a brake").until;
    assert!(restored.time >= until, "{} is before {until}", restored.time);
    assert_eq!((cage.limit(), climber.lives()), (200 * MIB, true));
}

/// Starts what it is told with files open that the program does not know of, one of them locked.
const LOCKER: &str = "
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
for number in (3, 47):
    os.dup2(lock, number, inheritable=True)
os.execv(sys.argv[2], sys.argv[2:])
";

#[test]
fn guards_that_outlive_the_agent_hold_nothing_of_whoever_started_it() {
    let test = "brake::guards_hold_nothing";
    let folder = folder();
    let Some(cage) = cage(test, "locks", 200 * MIB) else { return };
    let mut climber = Climber::start(folder.path(), &[&cage.0], "Locks");
    let (lock, config) = (folder.path().join("lock"), folder.path().join("rules.yaml"));
    fs::write(&config, rules("Locks", "raise")).expect("written");
    let mut command = Command::new("python3");
    command.arg("-c").arg(LOCKER).arg(&lock).arg(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(["watch", "-o", "jsonl", "--config"]).arg(&config);
    let (mut agent, _said) = Agent::spawn(command.arg("--store").arg(folder.path().join("store")));
    climber.tell("climb 100 215");
    agent.of(&cage, What::Braked);
    assert_eq!(climber.answer(), "done");
    let lock = fs::File::open(&lock).expect("opens");
    let is_free = || flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
    assert!(!is_free(), "whoever started it, and that is the agent now, holds it");
    agent.kill();
    // Its guards wait until usage is below the old limit.
    until("the lock is free", is_free);
    assert_eq!(cage.limit(), 250 * MIB, "the guard waits");
    climber.does("free");
    until("the guard takes it back", || cage.limit() == 200 * MIB);
    assert!(climber.lives());
}

#[test]
fn a_parked_program_is_killed_only_after_its_evidence_is_stored() {
    let test = "brake::a_parked_program";
    let folder = folder();
    let Some(cage) = cage(test, "park", 150 * MIB) else { return };
    let mut climber = Climber::start(folder.path(), &[&cage.0], "Parked");
    // A limit that may not be raised: of all that is left, parking hurts least.
    let rules = rules("Parked", "{use: auto, neverAbove: 100MiB}");
    let mut agent = Agent::start(&folder.path().join("store"), &rules);
    climber.tell("climb 100 1000");
    let braked = agent.of(&cage, What::Braked);
    assert_eq!(means(&braked), Means::Park);
    assert!(braked.text.contains("not raise: the rules allow no limit above"), "{}", braked.text);
    agent.of(&cage, What::Restored);
    agent.until(|e| e.workload == cage.workload() && e.what == What::Killed);
    let course = course(&agent, &cage);
    let at =
        |what| course.iter().position(|w| *w == what).unwrap_or_else(|| panic!("no {what:?}: {course:?}"));
    assert!(at(What::Braked) < at(What::Stored) && at(What::Stored) < at(What::Restored), "{course:?}");
    assert!(cage.text("memory.oom_control").contains("oom_kill_disable 0"));
    until("it is killed as it would have been", || !climber.lives());
}

#[test]
fn a_heap_is_stored_whole_under_a_parked_jvm() {
    let test = "brake::a_heap_is_stored_whole";
    let folder = folder();
    let Some(cage) = cage(test, "parkjvm", 300 * MIB) else { return };
    let store = folder.path().join("store");
    // So late that time is bought before anything is taken.
    let late = "lightBelow: 9s\nheavyBelow: 9s\nheavyReserve: 0.1\n";
    let rules = format!("mode: capture\nevery: 500ms\nonly: [Parker]\nbrake: park\n{late}");
    let mut agent = Agent::start(&store, &rules);
    let Some(mut java) = Target::java(folder.path(), &cage, ("Parker", 30)) else {
        return skipped(test, "there is no JDK");
    };
    agent.of(&cage, What::Armed);
    java.go();
    let heap =
        agent.until(|e| e.what == What::Stored && e.folder.as_ref().is_some_and(|f| f.ends_with("-heap")));
    assert_eq!((heap.workload, heap.whole), (cage.workload(), Some(true)), "{}", heap.text);
    agent.until(|e| e.workload == cage.workload() && e.what == What::Restored);
    let killed = agent.seen.iter().any(|e| e.workload == cage.workload() && e.what == What::Killed);
    assert!(!killed, "nothing is killed while it is parked: {:#?}", agent.seen);
    agent.of(&cage, What::Killed);
}

/// The folder of a test's group in another hierarchy; none where there is none.
fn beside(cage: &Cage, hierarchy: &str) -> Option<Cage> {
    let folder = PathBuf::from("/sys/fs/cgroup").join(hierarchy).join(cage.0.file_name()?);
    fs::create_dir(&folder).ok()?;
    Some(Cage(folder))
}

#[test]
fn a_throttled_program_gets_its_processor_time_back() {
    let test = "brake::a_throttled_program";
    let folder = folder();
    let Some(cage) = cage(test, "throttle", 300 * MIB) else { return };
    let Some(time) = beside(&cage, "cpu") else {
        return skipped(test, "no group for processor time can be made");
    };
    let mut climber = Climber::start(folder.path(), &[&cage.0, &time.0], "Throttled");
    let mut agent = Agent::start(&folder.path().join("store"), &rules("Throttled", "throttle"));
    climber.tell("climb 60 280");
    let braked = agent.of(&cage, What::Braked);
    assert_eq!(means(&braked), Means::Throttle);
    assert!(braked.text.contains("cpu.cfs_quota_us -1 → 10000"), "{}", braked.text);
    agent.of(&cage, What::Stored);
    agent.of(&cage, What::Restored);
    assert_eq!(time.text("cpu.cfs_quota_us"), "-1");
    assert!(climber.lives());
}

#[test]
fn a_frozen_program_is_read_from_outside_and_runs_on_where_it_was() {
    let test = "brake::a_frozen_program";
    let folder = folder();
    let Some(cage) = cage(test, "freeze", 300 * MIB) else { return };
    let mut climber = Climber::start(folder.path(), &[&cage.0], "Frozen");
    let groups = || fs::read_to_string(format!("/proc/{}/cgroup", climber.child.id())).expect("it lives");
    let before = groups();
    let mut agent = Agent::start(&folder.path().join("store"), &rules("Frozen", "freeze"));
    climber.tell("climb 80 280");
    assert_eq!(means(&agent.of(&cage, What::Braked)), Means::Freeze);
    agent.of(&cage, What::Stored);
    agent.of(&cage, What::Restored);
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", climber.child.id())).expect("it lives");
    assert_eq!(groups, before, "it is where it was");
    climber.does("free");
}

#[test]
fn a_program_that_observes_says_which_brake_it_would_put_on() {
    let test = "brake::a_program_that_observes";
    let folder = folder();
    let Some(cage) = cage(test, "dry", 200 * MIB) else { return };
    let mut climber = Climber::start(folder.path(), &[&cage.0], "Observed");
    let rules = rules("Observed", "auto").replace("mode: capture", "mode: observe");
    let mut agent = Agent::start(&folder.path().join("store"), &rules);
    climber.tell("climb 40 180");
    let would = agent.of(&cage, What::Refused);
    assert!(would.text.contains("would be captured: core, stacks, smaps"), "{}", would.text);
    assert!(would.text.contains("200 MiB → 250 MiB"), "{}", would.text);
    assert_eq!(cage.limit(), 200 * MIB);
}

/// Every step between the first act and the last.
const STEPS: &[&str] = &[
    "brake-written",
    "brake-half",
    "braked",
    "capture-written",
    "folder-made",
    "piece-begun",
    "piece-whole",
    "closed",
    "stored-written",
    "restore",
    "restored",
];

#[test]
fn an_agent_that_is_killed_at_any_step_leaves_nothing_on() {
    let test = "brake::an_agent_that_is_killed_at_any_step";
    // A limit that is raised comes back when its time is over: soon, so that there is an end to be killed at.
    for (name, brake) in [("raise", "{use: raise, for: 1s}"), ("freeze", "freeze"), ("park", "park")] {
        for step in STEPS {
            let folder = folder();
            let name = format!("{name}-{step}");
            let Some(cage) = cage(test, &name, 200 * MIB) else { return };
            killed_at(step, (&name, brake), &cage, folder.path());
        }
    }
}

fn killed_at(step: &str, (name, brake): (&str, &str), cage: &Cage, folder: &Path) {
    let (store, name) = (folder.join("store"), format!("At-{name}"));
    let mut climber = Climber::start(folder, &[&cage.0], &name);
    let before = fs::read_to_string(format!("/proc/{}/cgroup", climber.child.id())).expect("it lives");
    let rules = rules(&name, brake);
    let mut agent = Agent::start_to_die(&store, &rules, step);
    climber.tell("climb 150 170");
    until(&format!("killed at {step}"), || agent.child.try_wait().expect("asked").is_some());
    climber.does("free");
    // Without any agent: the guards take it back.
    let parked = || cage.text("memory.oom_control").contains("oom_kill_disable 1");
    let moved =
        || fs::read_to_string(format!("/proc/{}/cgroup", climber.child.id())).expect("it lives") != before;
    until(&format!("taken back after {step}"), || cage.limit() == 200 * MIB && !parked() && !moved());
    // The next agent knows how far it came, and ends it.
    let next = Agent::start(&store, &rules.replace("mode: capture", "mode: observe"));
    drop(next);
    let (_, open) = Store::open(&store).expect("opens");
    assert!(open.captures.is_empty() && open.brakes.is_empty(), "{step}: {open:?}");
    let captures = fs::read_dir(store.join("captures")).expect("listed").flatten();
    let files: Vec<_> =
        captures.flat_map(|c| fs::read_dir(c.path()).into_iter().flatten().flatten()).collect();
    assert!(files.iter().all(|f| !f.path().to_string_lossy().ends_with(".partial")), "{step}: {files:?}");
    assert!(climber.lives());
}
