//! `plimsoll watch`: evidence before the kill, time bought and given back, an agent that is killed itself.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use plimsoll_core::agent::{Event, Level, LimitChange, What};
use plimsoll_host::store::Store;
use serde_json::Value;

use crate::{plimsoll, plimsoll_command, skipped, stderr};

const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// Fills its heap at a rate, in MiB a second, once a line has come.
const JAVA: &str = r#"
import java.util.*;
public class NAME {
    static final List<byte[]> KEPT = new ArrayList<>();
    public static void main(String[] args) throws Exception {
        System.out.println("ready");
        System.in.read();
        int rate = Integer.parseInt(args[0]);
        long began = System.nanoTime();
        for (long n = 0; ; ) {
            long due = (long) ((System.nanoTime() - began) / 1e9 * rate * 4);
            for (; n < due; n++) { byte[] b = new byte[256 * 1024]; Arrays.fill(b, (byte) 1); KEPT.add(b); }
            Thread.sleep(5);
        }
    }
}
"#;

/// A control group of version 1 with a limit; removed again.
pub(crate) struct Cage(PathBuf);

impl Cage {
    fn make(name: &str, limit: u64) -> std::io::Result<Cage> {
        let path = PathBuf::from(format!("/sys/fs/cgroup/memory/plimsoll-{name}-{}", std::process::id()));
        fs::create_dir(&path)?;
        let cage = Cage(path);
        fs::write(cage.0.join("memory.limit_in_bytes"), limit.to_string())?;
        Ok(cage)
    }

    fn limit(&self) -> u64 {
        let text = fs::read_to_string(self.0.join("memory.limit_in_bytes")).expect("readable");
        text.trim().parse().expect("a number")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn workload(&self) -> String {
        format!("control group /{}", self.0.file_name().expect("a name").to_string_lossy())
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let end = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.0).is_err() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A program in a cage, killed in the end.
struct Target(Child);

impl Target {
    /// A JVM that fills its heap when it is told to; none where there is no JDK.
    /// Each test's has a name of its own, so that one test's agent leaves the others' alone.
    fn java(folder: &Path, cage: &Cage, (name, rate): (&str, u32)) -> Option<Target> {
        let source = folder.join(format!("{name}.java"));
        fs::write(&source, JAVA.replace("NAME", name)).expect("written");
        let compiled = Command::new("javac").arg("-d").arg(folder).arg(&source).status();
        if !compiled.is_ok_and(|s| s.success()) {
            return None;
        }
        let line = format!(
            "echo $$ > {}/cgroup.procs; exec java -Xmx1500m -XX:+UseSerialGC -cp {} {name} {rate}",
            cage.0.display(),
            folder.display()
        );
        let mut child = Command::new("sh")
            .args(["-c", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let mut ready = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut ready).expect("a line");
        Some(Target(child))
    }

    fn go(&mut self) {
        self.0.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("written");
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// An agent with its events.
pub(crate) struct Agent {
    child: Child,
    events: Receiver<Event>,
    pub(crate) seen: Vec<Event>,
}

impl Agent {
    pub(crate) fn start(store: &Path, rules: &str) -> Agent {
        Agent::run(store, rules, &[]).0
    }

    /// One that serves its metrics, and where.
    pub(crate) fn serving(store: &Path, rules: &str) -> (Agent, String) {
        let (agent, said) = Agent::run(store, rules, &["--listen", "127.0.0.1:0"]);
        let mut said = BufReader::new(said).lines().map_while(Result::ok);
        let address =
            said.find_map(|l| Some(l.split_once("http://")?.1.strip_suffix("/metrics")?.to_owned()));
        (agent, address.expect("an address"))
    }

    pub(crate) fn run(store: &Path, rules: &str, more: &[&str]) -> (Agent, ChildStderr) {
        let config = store.with_extension("yaml");
        fs::write(&config, rules).expect("written");
        let mut command = plimsoll_command(&["watch", "-o", "jsonl", "--config"]);
        Agent::spawn(command.arg(&config).arg("--store").arg(store).args(more))
    }

    /// The agent of a command line, and what it says beside its events.
    pub(crate) fn spawn(command: &mut Command) -> (Agent, ChildStderr) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let said = child.stderr.take().expect("a pipe");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (tell, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        let mut agent = Agent { child, events, seen: Vec::new() };
        agent.until(|e| e.what == What::Agent);
        (agent, said)
    }

    /// Ends it as it ends by itself.
    pub(crate) fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
        self.until(|e| e.what == What::Agent && e.text.starts_with("down"));
        assert!(self.child.wait().expect("ended").success());
    }

    /// Kills it as the kernel would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Waits for an event.
    pub(crate) fn until(&mut self, is_it: impl Fn(&Event) -> bool) -> Event {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left);
            let event = event.unwrap_or_else(|e| panic!("{e}; seen so far: {:#?}", self.seen));
            self.seen.push(event.clone());
            if is_it(&event) {
                return event;
            }
        }
    }

    fn of(&mut self, cage: &Cage, what: What) -> Event {
        let workload = cage.workload();
        self.until(|e| e.workload == workload && e.what == what)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn manifest(store: &Path, event: &Event) -> (PathBuf, Value) {
    let folder = store.join("captures").join(event.folder.as_ref().expect("a folder"));
    let text = fs::read_to_string(folder.join("manifest.json")).expect("a manifest");
    (folder, serde_json::from_str(&text).expect("JSON"))
}

pub(crate) fn cage(test: &str, name: &str, limit: u64) -> Option<Cage> {
    match Cage::make(name, limit) {
        Ok(cage) => Some(cage),
        Err(e) => {
            skipped(test, &format!("no control group of version 1 can be made: {e}"));
            None
        }
    }
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
    let raised = agent.of(&cage, What::Raised);
    let change = raised.limit.expect("a change");
    assert_eq!((change.from, change.to), (300 * MIB, 600 * MIB));
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
    let file = cage.0.join("memory.limit_in_bytes").display().to_string();
    let change = LimitChange { file, from: 100 * MIB, to: 200 * MIB, until: 9e9 };
    let name = Some("1-java-999999-heap".to_owned());
    for event in [
        Event { folder: name, ..Event::new(1.0, "w", What::Began, "a heap") },
        Event { limit: Some(change), ..Event::new(2.0, "w", What::Raised, "a limit") },
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
    assert!(open.captures.is_empty() && open.raised.is_empty(), "{open:?}");
}

#[test]
fn an_agent_that_is_killed_in_a_dump_leaves_a_living_target_and_nothing_else() {
    let test = "watch::an_agent_that_is_killed_in_a_dump_leaves_a_living_target";
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let Some(cage) = cage(test, "kill9", 600 * MIB) else { return };
    let store = folder.path().join("store");
    let rules = "mode: capture\nevery: 200ms\nonly: [Orphan]\nheavyBelow: 10m\n";
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

/// The page of metrics, once it says what is waited for.
pub(crate) fn page(address: &str, says: impl Fn(&str) -> bool) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let page = get(address, "/metrics", "application/openmetrics-text").expect("listens");
        if says(&page) {
            return page;
        }
        assert!(Instant::now() < end, "{page}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One answer of a server, with its head; none when it does not listen.
pub(crate) fn get(address: &str, path: &str, accept: &str) -> Option<String> {
    request(address, "GET", path, accept)
}

/// The same of any method without a body.
pub(crate) fn request(address: &str, method: &str, path: &str, accept: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    let ask = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page)
}
