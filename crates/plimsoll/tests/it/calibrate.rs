//! `plimsoll calibrate`: nothing without --go, and plans that name what was measured here.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::rig::{Climber, MIB, cage, until};
use crate::{on_path, plimsoll_command, skipped, stderr, stdout};

fn run(state: &Path, args: &[&str]) -> Output {
    plimsoll_command(args).env("PLIMSOLL_STATE", state).output().expect("it runs")
}

/// Measures; not while other tests make memory short, which refuses it.
fn measured(state: &Path, runtime: &str) -> (Output, Value) {
    let args = ["calibrate", "--only", runtime, "--runs", "1", "--go", "--force", "-o", "json"];
    let out = when_memory_is_not_short(|| run(state, &args));
    let document = serde_json::from_str(&stdout(&out)).unwrap_or_else(|e| panic!("{e}: {}", stderr(&out)));
    (out, document)
}

fn when_memory_is_not_short(run: impl Fn() -> Output) -> Output {
    let mut out = run();
    until("memory is not short", || {
        let refused = out.status.code() == Some(4) && stderr(&out).contains("waited for memory");
        if refused {
            out = run();
        }
        !refused
    });
    out
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

#[test]
fn without_go_it_says_what_it_would_measure_and_does_nothing() {
    let state = folder();
    let out = run(state.path(), &["calibrate"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    for part in ["Jvm G1", "threads, nmt, histogram, heap, jfr, core", "nothing was done yet", "nothing yet"]
    {
        assert!(stdout(&out).contains(part), "{part}: {}", stdout(&out));
    }
    assert_eq!(fs::read_dir(state.path()).expect("listed").count(), 0);
    let out = run(state.path(), &["calibrate", "--only", "cobol"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("there are jvm, go, node, python and native"), "{}", stderr(&out));
}

#[test]
fn what_is_measured_is_named_by_plans_until_it_is_another_machines() {
    let test = "calibrate::what_is_measured";
    if !rustix::process::geteuid().is_root() {
        return skipped(test, "a raw copy needs root");
    }
    let state = folder();
    let (out, document) = measured(state.path(), "python");
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let rows = document["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["artifact"] == "core").expect("measured");
    assert_eq!(
        (&row["artifact"], &row["per"], &row["runs"]),
        (&"core".into(), &"resident".into(), &2.into())
    );
    // A copy of all that is resident takes about as much, and nothing of the program.
    let each = row["diskBytes"]["each"].as_f64().expect("a number");
    assert!((0.8..1.3).contains(&each), "{row:#}");
    assert!(row["memoryBytes"]["base"].as_f64().is_some_and(|bytes| bytes < 4e6), "{row:#}");
    assert!(row["pauseSeconds"]["each"].as_f64().is_some_and(|seconds| seconds > 0.0), "{row:#}");
    assert_eq!(row["shipped"]["memoryBytes"], 0.0);
    let left: Vec<_> = fs::read_dir(state.path()).expect("listed").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 2, "the trail and the table: {left:?}");

    let climber = Climber::start(state.path(), &[], "Measured");
    let pid = climber.child.id().to_string();
    let plan = ["capture", &pid, "--artifact", "core", "--for", "1s"];
    let out = run(state.path(), &plan);
    assert!(stdout(&out).contains("measured here on 20"), "{}", stdout(&out));
    // As if the folder had been copied.
    let file = state.path().join("calibration.json");
    let text = fs::read_to_string(&file).expect("the table");
    let other = text.replace("\"processors\": ", "\"processors\": 9");
    fs::write(&file, other).expect("written");
    let out = run(state.path(), &plan);
    assert!(!stdout(&out).contains("measured here"), "{}", stdout(&out));
    assert!(stderr(&out).contains("was measured on another machine"), "{}", stderr(&out));
    // Rubbish is told and costs nothing.
    fs::write(&file, "{\"rows\": [{\"per\"").expect("written");
    let out = run(state.path(), &plan);
    assert!(stderr(&out).contains("is no calibration"), "{}", stderr(&out));
    assert!(stdout(&out).contains("reckoned with 300"), "the shipped one: {}", stdout(&out));
}

#[test]
fn a_heap_is_held_as_large_as_it_is_said_and_its_dump_costs_what_was_measured() {
    let test = "calibrate::a_heap_is_held";
    if !on_path("javac") || !rustix::process::geteuid().is_root() {
        return skipped(test, "there is no JDK, or no root");
    }
    let state = folder();
    let (out, document) = measured(state.path(), "jvm");
    assert!(matches!(out.status.code(), Some(0 | 5)), "{}", stderr(&out));
    let rows = document["rows"].as_array().expect("rows");
    let heap = |gc: &str| {
        let is_it = |r: &&Value| r["artifact"] == "heap" && r["collector"] == gc;
        rows.iter().find(is_it).unwrap_or_else(|| panic!("no heap of {gc}: {document:#}"))
    };
    for gc in ["G1", "Parallel", "Serial"] {
        let row = heap(gc);
        let sizes = [0, 1].map(|n| row["sizes"][n].as_f64().expect("a size") / f64::from(1 << 20));
        assert!((40.0..64.0).contains(&sizes[0]) && (170.0..230.0).contains(&sizes[1]), "{sizes:?}");
        // Small objects take more in a dump than in a heap.
        assert!(row["diskBytes"]["each"].as_f64().is_some_and(|each| (1.0..2.0).contains(&each)), "{row:#}");
        assert!(row["pauseSeconds"]["each"].as_f64().is_some_and(|each| each > 0.0), "{row:#}");
    }
}

#[test]
fn it_is_refused_where_nothing_can_be_measured() {
    let state = folder();
    let out = plimsoll_command(&["calibrate", "--only", "jvm", "--go"])
        .env("PLIMSOLL_STATE", state.path())
        .env("PATH", "/nowhere")
        .env("XDG_CACHE_HOME", state.path())
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    assert!(stderr(&out).contains("javac is not installed"), "{}", stderr(&out));
    let memory = Path::new("/dev/shm");
    let is_memory = Command::new("stat").args(["-f", "-c", "%T"]).arg(memory).output();
    if !is_memory.is_ok_and(|o| stdout(&o).trim() == "tmpfs") {
        return skipped("calibrate::it_is_refused", "there is no file system in memory");
    }
    let state = tempfile::tempdir_in(memory).expect("a folder");
    let python = ["calibrate", "--only", "python", "--go", "--force"];
    let out = when_memory_is_not_short(|| run(state.path(), &python));
    assert_eq!(out.status.code(), Some(4), "{}", stderr(&out));
    assert!(stderr(&out).contains("is memory, not a disk"), "{}", stderr(&out));
}

#[test]
fn a_program_without_room_is_asked_nothing_that_would_kill_it() {
    let test = "calibrate::a_program_without_room";
    if !on_path("go") {
        return skipped(test, "there is no Go");
    }
    let folder = folder();
    let Some(cage) = cage(test, "noroom", 1024 * MIB) else { return };
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../plimsoll-host/src/calibrate/programs/held.go");
    let program = folder.path().join("held");
    let mut built = Command::new("go");
    built.arg("build").arg("-o").arg(&program).arg(source).env("GO111MODULE", "off");
    assert!(built.status().expect("go runs").success());
    let line = format!("echo $$ > {}/cgroup.procs; exec {} 20000", cage.0.display(), program.display());
    let mut child = Command::new("sh")
        .args(["-c", &line])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut ready).expect("a line");
    cage.leave(MIB);
    let out = run(folder.path(), &["triage", &child.id().to_string(), "--for", "3s", "-o", "json"]);
    assert!(child.try_wait().expect("asked").is_none(), "it lives: {}", stderr(&out));
    let said: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
    let facts = &said["targets"][0]["facts"];
    // Counted from outside.
    assert!(facts.to_string().contains("the program is not asked"), "{facts:#}");
    child.kill().expect("it lived");
    child.wait().expect("reaped");
}
