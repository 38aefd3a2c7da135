//! `plimsoll capture` of real processes: the plan does nothing, `--go` takes what `plimsoll read` then understands.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::{plimsoll_command, skipped, stderr, stdout, tools};

pub(crate) const JAVA: &str = r#"
import java.util.*;
public class Hoarder {
    static final Map<String, byte[]> CACHE = new HashMap<>();
    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 60_000; i++) CACHE.put("/users/" + i, new byte[256]);
        System.out.println("ready");
        for (;;) {
            byte[] garbage = new byte[1 << 20];
            garbage[7] = 1;
            Thread.sleep(5);
        }
    }
}
"#;

const GO: &str = r#"
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
)

func await(c chan int) { <-c }

func main() {
	for i := 0; i < 1500; i++ {
		go await(make(chan int))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	http.Serve(listener, nil)
}
"#;

const NODE: &str = "const kept = []; for (let i = 0; i < 20000; i++) kept.push({i}); console.log('ready'); setInterval(() => kept.push({}), 50)";

/// A process that has said that it is ready, and is killed in the end.
pub(crate) struct Target(pub(crate) Child);

impl Target {
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Target> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), "ready");
        Ok(Target(child))
    }

    pub(crate) fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("plimsoll-capture-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a folder")
}

/// A Java program of the machine's JDK; none where there is none.
fn java(test: &str, folder: &Path) -> Option<Target> {
    let source = folder.join("Hoarder.java");
    fs::write(&source, JAVA).expect("written");
    let compiled = Command::new("javac").arg("-d").arg(folder).arg(&source).status();
    if !compiled.is_ok_and(|s| s.success()) {
        skipped(test, "there is no JDK");
        return None;
    }
    let mut command = Command::new("java");
    command.args(["-Xmx200m", "-XX:NativeMemoryTracking=summary", "-cp"]).arg(folder).arg("Hoarder");
    Some(Target::start(&mut command).expect("java runs"))
}

pub(crate) fn capture(state: &Path, args: &[&str]) -> (Value, Option<i32>, String) {
    let all = [&["capture", "-o", "json", "--for", "2s", "--window", "300ms"], args].concat();
    let out = plimsoll_command(&all).env("PLIMSOLL_STATE", state).output().expect("it runs");
    (serde_json::from_str(&stdout(&out)).unwrap_or(Value::Null), out.status.code(), stderr(&out))
}

pub(crate) fn read(path: &str) -> Value {
    let out = plimsoll_command(&["read", path, "-o", "json"]).output().expect("it runs");
    serde_json::from_str(&stdout(&out)).unwrap_or_else(|e| panic!("{e}: {}", stderr(&out)))
}

/// What a JVM gives, by its name on the command line, and the files of each.
pub(crate) const OF_A_JVM: [(&str, &[&str]); 6] = [
    ("threads", &["threads.txt"]),
    ("nmt", &["nmt.txt"]),
    ("gclog", &["gc.log"]),
    ("jfr", &["recording.jfr"]),
    ("histogram", &["histogram-1.txt", "histogram-2.txt"]),
    ("heap", &["heap.hprof"]),
];

/// What a capture took, checked against the disk: names, sizes, modes, sums.
pub(crate) fn pieces(result: &Value) -> Vec<String> {
    let folder = PathBuf::from(result["folder"].as_str().expect("a folder"));
    let list = result["artifacts"].as_array().expect("artifacts");
    for piece in list {
        let path = folder.join(piece["file"].as_str().expect("a name"));
        let about = fs::metadata(&path).expect("there");
        assert_eq!(about.len(), piece["bytes"].as_u64().expect("bytes"));
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
        assert_eq!(piece["complete"], true, "{piece}");
        let sum = Command::new("sha256sum").arg(&path).output().expect("sha256sum runs");
        assert!(String::from_utf8_lossy(&sum.stdout).starts_with(piece["sha256"].as_str().expect("a sum")));
    }
    let names = list.iter().map(|p| p["file"].as_str().expect("a name").to_owned());
    names.collect()
}

#[test]
fn a_plan_shows_the_cost_and_does_nothing() {
    let folder = folder();
    let Some(target) = java("a_plan_shows_the_cost", folder.path()) else { return };
    let to = folder.path().display().to_string();
    let before = fs::read_dir(folder.path()).expect("listed").count();
    let (plan, code, _) = capture(folder.path(), &[&target.pid(), "--artifact", "heap", "--to", &to]);
    assert_eq!(code, Some(0));
    assert_eq!(plan["kind"], "CapturePlan");
    assert_eq!((&plan["artifact"]["id"], &plan["artifact"]["byPlimsoll"]), (&"heap".into(), &true.into()));
    assert!(plan["cost"]["diskBytes"].as_f64().is_some_and(|b| b > 1e6), "{plan}");
    let terms: Vec<&str> =
        plan["checks"].as_array().expect("checks").iter().filter_map(|c| c["term"].as_str()).collect();
    assert!(terms.contains(&"memory") && terms.contains(&"disk"), "{terms:?}");
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), before, "nothing is made");
    // Whoever watches a JVM has attached to it; what is read from outside needs none of that.
    assert_eq!(plan["attachSeconds"], 0.0, "{plan}");
    let (plan, ..) = capture(folder.path(), &[&target.pid(), "--artifact", "smaps", "--to", &to]);
    assert_eq!(plan["attachSeconds"], Value::Null, "{plan}");
}

#[test]
fn a_jvm_gives_all_that_is_asked_of_it_and_lives() {
    let folder = folder();
    let Some(mut target) = java("a_jvm_gives_all", folder.path()) else { return };
    let (pid, to) = (target.pid(), folder.path().display().to_string());
    for (id, files) in OF_A_JVM {
        let (result, code, said) = capture(folder.path(), &[&pid, "--artifact", id, "--to", &to, "--go"]);
        assert_eq!(code, Some(0), "{id}: {said}");
        assert_eq!(pieces(&result), files, "{id}");
        if id == "gclog" {
            let log = read(&format!("{}/gc.log", result["folder"].as_str().expect("a folder")));
            assert_eq!(log["artifact"]["kind"], "gc-log", "{log}");
        }
        if id == "heap" {
            let path = format!("{}/heap.hprof", result["folder"].as_str().expect("a folder"));
            assert_eq!(read(&path)["suspects"][0]["owner"], "Hoarder.CACHE");
            let bundle = read(result["folder"].as_str().expect("a folder"));
            assert_eq!(bundle["findings"][0]["cause"], "retention", "{bundle:#}");
            assert_eq!(bundle["notRead"], serde_json::json!([]), "the manifest is understood");
        }
    }
    nothing_is_left(&pid);
    assert!(target.0.try_wait().expect("asked").is_none(), "it lives");
    let audit = fs::read_to_string(folder.path().join("audit.jsonl")).expect("an audit");
    assert_eq!(audit.lines().count(), 12, "two lines for each act: {audit}");
}

/// Nothing of ours is in a process's `/tmp`.
pub(crate) fn nothing_is_left(pid: &str) {
    let left = fs::read_dir(format!("/proc/{pid}/root/tmp")).expect("its /tmp").flatten();
    let ours = |name: &str| name.starts_with(&format!(".plimsoll-{pid}"));
    assert!(!left.into_iter().any(|e| ours(&e.file_name().to_string_lossy())), "a pipe or a file is left");
}

/// The newest JDK beside the one on `PATH`, where there is one.
fn newest_java() -> PathBuf {
    let homes =
        fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten().map(|e| e.path().join("bin/java"));
    let number = |p: &Path| {
        let name = p.to_string_lossy().replace(|c: char| !c.is_ascii_digit(), " ");
        name.split_whitespace().filter_map(|n| n.parse::<u32>().ok()).find(|n| *n > 1).unwrap_or(0)
    };
    homes.filter(|p| p.is_file()).max_by_key(|p| number(p)).unwrap_or_else(|| PathBuf::from("java"))
}

#[test]
fn a_jvm_in_namespaces_of_its_own_gives_the_same_and_nothing_is_left_in_its_tmp() {
    let test = "a_jvm_in_namespaces";
    let folder = folder();
    // What it runs was compiled for it.
    let Some(outer) = java(test, folder.path()) else { return };
    drop(outer);
    if !is_root() {
        return skipped(test, "only root makes namespaces here");
    }
    let script = "mount -t tmpfs none /tmp && exec \"$0\" -Xmx200m -cp \"$1\" Hoarder";
    let mut apart = Command::new("unshare");
    apart.args(["--mount", "--pid", "--mount-proc", "--fork", "--kill-child", "sh", "-c", script]);
    let target = Target::start(apart.arg(newest_java()).arg(folder.path())).expect("unshare runs");
    let pid = child_of(&target.pid());
    let to = folder.path().display().to_string();
    for (id, file) in
        [("threads", "threads.txt"), ("gclog", "gc.log"), ("jfr", "recording.jfr"), ("heap", "heap.hprof")]
    {
        let (result, code, said) = capture(folder.path(), &[&pid, "--artifact", id, "--to", &to, "--go"]);
        assert_eq!((code, pieces(&result)), (Some(0), vec![file.to_owned()]), "{id}: {said}");
    }
    nothing_is_left(&pid);
}

/// Runs what follows as an ordinary user.
fn nobody() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command
}

/// A folder of that user's; none where the tests run as an ordinary user already, or that user cannot reach the build.
fn folder_of_nobody(test: &str) -> Option<tempfile::TempDir> {
    let folder = folder();
    if !is_root() {
        skipped(test, "the other tests run as an ordinary user already");
        return None;
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("changed");
    let reachable = nobody().arg("test").arg("-x").arg(env!("CARGO_BIN_EXE_plimsoll")).status();
    if !reachable.is_ok_and(|s| s.success()) {
        skipped(test, "another user cannot reach the build");
        return None;
    }
    Some(folder)
}

/// What that user takes of a process of that user's.
fn captured_by_nobody(folder: &Path, pid: &str, id: &str) -> Vec<String> {
    let mut command = nobody();
    command.arg(env!("CARGO_BIN_EXE_plimsoll")).args(["capture", pid, "--artifact", id, "--to"]).arg(folder);
    command.args(["--go", "--for", "2s", "--window", "300ms", "-o", "json"]).env("PLIMSOLL_STATE", folder);
    let out = command.output().expect("it runs");
    assert_eq!(out.status.code(), Some(0), "{id}: {}{}", stdout(&out), stderr(&out));
    let result: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
    pieces(&result)
}

#[test]
fn a_jvm_of_an_ordinary_user_gives_to_that_user() {
    let test = "a_jvm_of_an_ordinary_user";
    let Some(folder) = folder_of_nobody(test) else { return };
    let Some(outer) = java(test, folder.path()) else { return };
    drop(outer);
    let mut command = nobody();
    command.args(["java", "-Xmx200m", "-cp"]).arg(folder.path()).arg("Hoarder");
    let target = Target::start(&mut command).expect("java runs");
    let pid = target.pid();
    // An earlier JVM of this number, killed, may have left a socket that only root can remove.
    let _none = fs::remove_file(format!("/tmp/.java_pid{pid}"));
    for (id, file) in [("gclog", "gc.log"), ("heap", "heap.hprof")] {
        assert_eq!(captured_by_nobody(folder.path(), &pid, id), [file]);
    }
    nothing_is_left(&pid);
}

#[test]
fn programs_of_an_ordinary_user_give_to_that_user() {
    let test = "programs_of_an_ordinary_user";
    let Some(folder) = folder_of_nobody(test) else { return };
    let Some(program) = go(test, folder.path(), GO) else { return };
    let target = Target::start(nobody().arg(&program)).expect("it runs");
    for (id, file) in [
        ("stacks", "goroutines-outside.txt"),
        ("sites", "sites-1.txt"),
        ("goroutines", "goroutines.pb.gz"),
        ("smaps", "smaps.txt"),
    ] {
        let files = captured_by_nobody(folder.path(), &target.pid(), id);
        assert!(files.iter().any(|f| f == file), "{id}: {files:?}");
    }
    let Ok(target) = Target::start(nobody().args(["node", "--inspect=127.0.0.1:0", "-e", NODE])) else {
        return skipped(test, "there is no Node.js");
    };
    assert_eq!(captured_by_nobody(folder.path(), &target.pid(), "statistics"), ["statistics.json"]);
}

#[test]
fn a_heap_dump_goes_through_a_pipe_and_nothing_is_kept_here() {
    let folder = folder();
    let Some(mut target) = java("a_heap_dump_goes_through_a_pipe", folder.path()) else { return };
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|s| s.success()));
    let (pid, to) = (target.pid(), pipe.display().to_string());
    let heap = |id: &str| capture(folder.path(), &[&pid, "--artifact", id, "--to", &to, "--go"]);
    let (_, code, said) = heap("heap");
    assert!(code == Some(3) && said.contains("nobody reads from the pipe"), "{said}");
    // Open before it is written to; what comes is read until the writer has gone.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut reader = fs::OpenOptions::new().read(true).custom_flags(flags).open(&pipe).expect("opened");
    let dump = folder.path().join("read.hprof");
    let mut out = fs::File::create(&dump).expect("made");
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ends = std::sync::Arc::clone(&over);
    let copying = std::thread::spawn(move || {
        let mut piece = vec![0; 1 << 16];
        loop {
            match reader.read(&mut piece) {
                Ok(n) if n > 0 => out.write_all(&piece[..n]).expect("written"),
                _ if ends.load(std::sync::atomic::Ordering::Relaxed) => return,
                _ => std::thread::sleep(std::time::Duration::from_millis(1)),
            }
        }
    });
    let (result, code, said) = heap("heap");
    assert_eq!(code, Some(0), "{said}");
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    copying.join().expect("read");
    let sum = Command::new("sha256sum").arg(&dump).output().expect("sha256sum runs");
    assert!(stdout(&sum).starts_with(result["artifacts"][0]["sha256"].as_str().expect("a sum")), "{result}");
    assert_eq!(read(&dump.display().to_string())["suspects"][0]["owner"], "Hoarder.CACHE");
    let left = fs::read_dir(folder.path()).expect("listed").flatten().filter(|e| e.path().is_dir());
    assert_eq!(left.filter(|e| e.file_name().to_string_lossy().starts_with("plimsoll-")).count(), 0);
    nothing_is_left(&pid);
    assert!(target.0.try_wait().expect("asked").is_none(), "it lives");
}

#[test]
fn a_heap_dump_is_given_up_on_ctrl_c_and_the_jvm_lives() {
    let folder = folder();
    let Some(mut target) = java("a_heap_dump_is_given_up", folder.path()) else { return };
    let (pid, to) = (target.pid(), folder.path().display().to_string());
    let args =
        ["capture", &pid, "--artifact", "histogram", "--window", "10m", "--for", "1s", "--to", &to, "--go"];
    let child = plimsoll_command(&args)
        .env("PLIMSOLL_STATE", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.expect("it runs");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let begun = || {
        let made = fs::read_dir(folder.path()).expect("listed").flatten();
        made.into_iter().any(|e| e.path().join("histogram-1.txt").exists())
    };
    while !begun() {
        assert!(std::time::Instant::now() < deadline, "it does not begin");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let out = child.wait_with_output().expect("it ends");
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
    let said = stdout(&out).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("the second did not come: stopped before it was whole"), "{said}");
    assert!(target.0.try_wait().expect("asked").is_none(), "it lives");
}

/// A stripped program of the machine's Go; none where there is none.
fn go(test: &str, folder: &Path, text: &str) -> Option<PathBuf> {
    let source = folder.join("hoard.go");
    fs::write(&source, text).expect("written");
    let program = folder.join("hoard");
    let own = tools().join("bin/go");
    let go = if own.exists() { own } else { PathBuf::from("go") };
    let mut build = Command::new(go);
    build.args(["build", "-ldflags", "-s -w", "-o"]).arg(&program).arg(&source);
    if !build.status().is_ok_and(|s| s.success()) {
        skipped(test, "there is no Go");
        return None;
    }
    Some(program)
}

/// The process that a process has started.
pub(crate) fn child_of(pid: &str) -> String {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it runs");
    children.split_whitespace().next().expect("one child").to_owned()
}

#[test]
fn a_go_program_without_an_endpoint_in_namespaces_of_its_own_is_read_from_outside() {
    let test = "a_go_program_without_an_endpoint";
    let folder = folder();
    let text = GO.replace("_ \"net/http/pprof\"", "").replace("\"net/http\"", "\"time\"");
    let text = text.replace("http.Serve(listener, nil)", "time.Sleep(time.Hour)\n\tlistener.Close()");
    let Some(program) = go(test, folder.path(), &text) else { return };
    let mut apart = Command::new("unshare");
    apart.args(["--mount", "--pid", "--net", "--fork", "--kill-child"]).arg(&program);
    let root = fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    let (target, pid) = if root {
        let target = Target::start(&mut apart).expect("unshare runs");
        let inner = child_of(&target.pid());
        (target, inner)
    } else {
        let target = Target::start(&mut Command::new(&program)).expect("it runs");
        let pid = target.pid();
        (target, pid)
    };
    let to = folder.path().display().to_string();
    let (result, code, said) = capture(folder.path(), &[&pid, "--artifact", "stacks", "--to", &to, "--go"]);
    assert_eq!((code, pieces(&result)), (Some(0), vec!["goroutines-outside.txt".to_owned()]), "{said}");
    let stacks = read(&format!("{}/goroutines-outside.txt", result["folder"].as_str().expect("a folder")));
    let first = &stacks["groups"][0];
    assert_eq!((&first["count"], &first["state"]), (&1500.into(), &"chan receive".into()));
    // The entry was inlined, and whoever started them is told although no symbol is left.
    assert!(first["top"].as_str().is_some_and(|t| t.starts_with("main.await (hoard.go:")), "{first}");
    assert!(first["creator"].as_str().is_some_and(|c| c.starts_with("main.main (hoard.go:")), "{first}");
    // Nothing in it asks for memory profiles: the linker has switched them off.
    let (_, code, said) = capture(folder.path(), &[&pid, "--artifact", "sites", "--to", &to, "--go"]);
    assert!(code == Some(3) && said.contains("the linker left it out"), "{code:?} {said}");
    let out = plimsoll_command(&["triage", &pid, "--for", "3s", "-o", "json"]).output().expect("it runs");
    assert!(stdout(&out).contains("goroutine"), "{}", stdout(&out));
    drop(target);
}

#[test]
fn a_go_program_gives_its_goroutines_and_its_heap() {
    let folder = folder();
    let Some(program) = go("a_go_program_gives", folder.path(), GO) else { return };
    let target = Target::start(&mut Command::new(&program)).expect("it runs");
    let (pid, to) = (target.pid(), folder.path().display().to_string());
    let (result, code, said) =
        capture(folder.path(), &[&pid, "--artifact", "goroutines", "--to", &to, "--go"]);
    assert_eq!(code, Some(0), "{said}");
    let files = pieces(&result);
    assert!(
        files.contains(&"goroutines.pb.gz".to_owned()) && files.contains(&"goroutine-stacks.txt".to_owned()),
        "{files:?}"
    );
    let stacks = read(&format!("{}/goroutine-stacks.txt", result["folder"].as_str().expect("a folder")));
    assert_eq!(
        (&stacks["groups"][0]["count"], &stacks["groups"][0]["state"]),
        (&1500.into(), &"chan receive".into())
    );
    for (id, files) in [("heap", ["heap-1.pb.gz", "heap-2.pb.gz"]), ("sites", ["sites-1.txt", "sites-2.txt"])]
    {
        let (result, code, said) = capture(folder.path(), &[&pid, "--artifact", id, "--to", &to, "--go"]);
        assert_eq!((code, pieces(&result)), (Some(0), files.map(str::to_owned).to_vec()), "{said}");
    }
}

#[test]
fn a_node_program_gives_what_its_inspector_has_and_the_inspector_is_closed_again() {
    let folder = folder();
    let Ok(target) = Target::start(Command::new("node").args(["-e", NODE])) else {
        return skipped("a_node_program_gives", "there is no Node.js");
    };
    let (pid, to) = (target.pid(), folder.path().display().to_string());
    for (id, file) in [
        ("statistics", "statistics.json"),
        ("sampling", "sampling.heapprofile"),
        ("snapshot", "heap.heapsnapshot"),
    ] {
        let args = [pid.as_str(), "--artifact", id, "--to", &to, "--go", "--force"];
        let (result, code, said) = capture(folder.path(), &args);
        assert_eq!((code, pieces(&result)), (Some(0), vec![file.to_owned()]), "{id}: {said}");
        let path = format!("{}/{file}", result["folder"].as_str().expect("a folder"));
        let document: Value = serde_json::from_str(&fs::read_to_string(path).expect("text")).expect("JSON");
        assert!(document.is_object(), "{id}");
        if id == "sampling" {
            let reading = read(&format!("{}/{file}", result["folder"].as_str().expect("a folder")));
            assert_eq!(reading["artifact"]["kind"], "profile", "{reading}");
        }
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let listens = || {
        let tcp = fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("text");
        tcp.lines().any(|l| l.contains(":240D ") && l.contains(" 0A "))
    };
    while listens() {
        assert!(std::time::Instant::now() < deadline, "the inspector stays open");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn what_is_not_safe_is_refused_with_the_number_and_the_lever() {
    let folder = folder();
    let Some(target) = java("what_is_not_safe", folder.path()) else { return };
    let to = folder.path().display().to_string();
    let args = [&target.pid(), "--artifact", "heap", "--to", &to, "--go", "--probe-budget", "10ms"];
    let (plan, code, said) = capture(folder.path(), &args);
    assert_eq!(code, Some(4), "{said}");
    assert_eq!(plan["allowed"], false);
    assert!(said.contains("probe") && said.contains("hint"), "{said}");
    let (_, code, said) =
        capture(folder.path(), &[&target.pid(), "--artifact", "heap", "--to", "/dev/shm", "--go"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("memory, not a disk"), "{said}");
    let (_, code, said) = capture(folder.path(), &[&target.pid(), "--artifact", "nonsense", "--to", &to]);
    assert_eq!(code, Some(2));
    assert!(said.contains("there are: threads, nmt, gclog, histogram, heap"), "{said}");
}

#[test]
fn what_another_tool_takes_is_refused_with_its_command() {
    let folder = folder();
    let Ok(target) = Target::start(Command::new("python3").args(["-c", KEEPER])) else {
        return skipped("what_another_tool_takes", "there is no Python");
    };
    let (pid, to) = (target.pid(), folder.path().display().to_string());
    let (_, code, said) = capture(folder.path(), &[&pid, "--artifact", "memray", "--to", &to, "--go"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains(&format!("by hand: memray attach {pid}")), "{said}");
}

/// A program that keeps some megabytes of one text, then says again and again that it lives.
const KEEPER: &str = "import time\nkept = bytearray(b'load line ' * 3_000_000)\nprint('ready', flush=True)\nwhile True: time.sleep(0.01)\n";

/// Where a process is in the hierarchies, and the groups that a capture has made and not removed.
fn groups(pid: &str) -> (String, Vec<PathBuf>) {
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    let roots = ["/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let left = roots.iter().flat_map(|r| fs::read_dir(r).into_iter().flatten().flatten()).map(|e| e.path());
    let head = format!("plimsoll-{pid}-");
    let is_ours = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&head));
    (own, left.filter(is_ours).collect())
}

/// Waits until a process has used the processor again: it runs.
fn runs_on(pid: &str) {
    let switches = || {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        let line =
            text.lines().find(|l| l.starts_with("voluntary_ctxt_switches")).expect("a line").to_owned();
        line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number")
    };
    let (before, began) = (switches(), std::time::Instant::now());
    while switches() <= before {
        assert!(began.elapsed().as_secs() < 30, "pid {pid} stands still");
        std::thread::yield_now();
    }
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

#[test]
fn a_process_is_copied_while_it_stands_still_and_goes_on_as_before() {
    let test = "a_process_is_copied";
    let folder = folder();
    let Ok(target) = Target::start(Command::new("python3").args(["-c", KEEPER])) else {
        return skipped(test, "there is no Python");
    };
    let (pid, to) = (target.pid(), folder.path().display().to_string());
    let before = groups(&pid);
    let (result, code, said) = capture(folder.path(), &[&pid, "--artifact", "core", "--to", &to, "--go"]);
    if code != Some(0) && !is_root() {
        assert!(said.contains("cannot be frozen"), "{said}");
        return skipped(test, "only root may freeze here");
    }
    assert_eq!((code, pieces(&result)), (Some(0), vec!["core".to_owned()]), "{said}");
    runs_on(&pid);
    assert_eq!(groups(&pid), before, "it is where it was, and no group is left");
    let path = format!("{}/core", result["folder"].as_str().expect("a folder"));
    let bytes = fs::read(&path).expect("there");
    let found = bytes.windows(10).filter(|w| w == b"load line ").count();
    assert!(found >= 3_000_000, "{found} of 3,000,000 texts are in the copy");
    assert!((bytes.len() as f64) < 3.0 * 30e6, "{} bytes: only what is its own", bytes.len());
    let report = read(&path);
    assert_eq!((&report["program"], &report["signal"]), (&"python3".into(), &0.into()), "{report}");
    assert!(
        report["artifact"]["truncated"].is_null() || report["artifact"]["truncated"] == false,
        "{report}"
    );
    assert!(report["anonymousBytes"].as_u64().is_some_and(|b| b > 30_000_000), "{report}");
}

#[test]
fn a_process_goes_on_when_the_copying_is_killed() {
    let test = "a_process_goes_on";
    let folder = folder();
    let Ok(target) =
        Target::start(Command::new("python3").args(["-c", &KEEPER.replace("3_000_000", "60_000_000")]))
    else {
        return skipped(test, "there is no Python");
    };
    let (pid, to) = (target.pid(), folder.path().display().to_string());
    let before = groups(&pid);
    let args = ["capture", &pid, "--artifact", "core", "--to", &to, "--go", "--for", "1s"];
    let mut copying = plimsoll_command(&args).env("PLIMSOLL_STATE", folder.path()).spawn().expect("it runs");
    let began = std::time::Instant::now();
    while groups(&pid).1.is_empty() {
        assert!(began.elapsed().as_secs() < 60, "it was never frozen");
        if copying.try_wait().expect("waited").is_some_and(|s| !s.success()) && !is_root() {
            return skipped(test, "only root may freeze here");
        }
        std::thread::yield_now();
    }
    copying.kill().expect("killed");
    copying.wait().expect("reaped");
    runs_on(&pid);
    while groups(&pid) != before {
        assert!(began.elapsed().as_secs() < 60, "left behind: {:?}", groups(&pid));
        std::thread::yield_now();
    }
}
