//! What tests of the agent share: cages, programs that climb in them, agents with their events.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use plimsoll_core::agent::{Event, What};

use crate::{plimsoll_command, skipped};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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

/// One request over HTTP: its head, line by line, and its body.
pub(crate) fn received(stream: &TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut input = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse().expect("a length");
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    Ok((head, body))
}

/// A control group of version 1 with a limit; removed again.
pub(crate) struct Cage(pub(crate) PathBuf);

impl Cage {
    pub(crate) fn make(name: &str, limit: u64) -> std::io::Result<Cage> {
        let path = PathBuf::from(format!("/sys/fs/cgroup/memory/plimsoll-{name}-{}", std::process::id()));
        fs::create_dir(&path)?;
        let cage = Cage(path);
        fs::write(cage.0.join("memory.limit_in_bytes"), limit.to_string())?;
        Ok(cage)
    }

    /// A cage within a cage.
    pub(crate) fn within(outer: &Cage, name: &str, limit: u64) -> Cage {
        let cage = Cage(outer.0.join(name));
        fs::create_dir(&cage.0).expect("made");
        fs::write(cage.0.join("memory.limit_in_bytes"), limit.to_string()).expect("written");
        cage
    }

    pub(crate) fn limit(&self) -> u64 {
        self.text("memory.limit_in_bytes").parse().expect("a number")
    }

    /// A file of the cage.
    pub(crate) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).expect("readable").trim().to_owned()
    }

    /// Leaves it so much room, the page cache not counted.
    pub(crate) fn leave(&self, room: u64) {
        let stat = self.text("memory.stat");
        let files: u64 = ["inactive_file ", "active_file "]
            .iter()
            .filter_map(|k| stat.lines().find_map(|l| l.strip_prefix(k)?.parse::<u64>().ok()))
            .sum();
        let used: u64 = self.text("memory.usage_in_bytes").parse().expect("a number");
        fs::write(self.0.join("memory.limit_in_bytes"), (used - files + room).to_string()).expect("written");
    }

    pub(crate) fn workload(&self) -> String {
        let inner = self.0.strip_prefix("/sys/fs/cgroup/memory").expect("below it");
        format!("control group /{}", inner.display())
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
pub(crate) struct Target(pub(crate) Child);

impl Target {
    /// A JVM that fills its heap when it is told to; none where there is no JDK.
    /// Each test's has a name of its own, so that one test's agent leaves the others' alone.
    pub(crate) fn java(folder: &Path, cage: &Cage, (name, rate): (&str, u32)) -> Option<Target> {
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

    pub(crate) fn go(&mut self) {
        self.0.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("written");
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The command line of an agent with these rules.
fn watch(store: &Path, rules: &str) -> Command {
    let config = store.with_extension("yaml");
    fs::write(&config, rules).expect("written");
    let mut command = plimsoll_command(&["watch", "-o", "jsonl", "--config"]);
    command.arg(&config).arg("--store").arg(store);
    command
}

/// An agent with its events.
pub(crate) struct Agent {
    pub(crate) child: Child,
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
        Agent::spawn(watch(store, rules).args(more))
    }

    /// An agent that is killed at a step.
    pub(crate) fn start_to_die(store: &Path, rules: &str, step: &str) -> Agent {
        Agent::launch(watch(store, rules).env("PLIMSOLL_DIES_AT", step)).0
    }

    /// The agent of a command line once it is up, and what it says beside its events.
    pub(crate) fn spawn(command: &mut Command) -> (Agent, ChildStderr) {
        let (mut agent, said) = Agent::launch(command);
        agent.until(|e| e.what == What::Agent);
        (agent, said)
    }

    fn launch(command: &mut Command) -> (Agent, ChildStderr) {
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
        (Agent { child, events, seen: Vec::new() }, said)
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

    pub(crate) fn of(&mut self, cage: &Cage, what: What) -> Event {
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

/// Does what it is told, a line for each: `climb RATE UPTO` in MiB (a second), `free`.
const PYTHON: &str = r#"
import sys, time
kept = []
print("ready", flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "climb":
        began, rate, upto = time.monotonic(), float(words[1]), int(words[2])
        first = len(kept)
        while len(kept) < upto:
            while len(kept) < upto and len(kept) - first < (time.monotonic() - began) * rate:
                kept.append(bytearray(b"x" * 1048576))
            time.sleep(0.002)
    else:
        kept.clear()
    print("done", flush=True)
"#;

/// A program in a cage that climbs as it is told.
pub(crate) struct Climber {
    pub(crate) child: Child,
    said: BufReader<ChildStdout>,
}

impl Climber {
    /// In the groups of these folders; each test's has a name of its own.
    pub(crate) fn start(folder: &Path, groups: &[&Path], name: &str) -> Climber {
        let source = folder.join(format!("{name}.py"));
        fs::write(&source, PYTHON).expect("written");
        let moves: Vec<String> =
            groups.iter().map(|g| format!("echo $$ > '{}/cgroup.procs' && ", g.display())).collect();
        let mut child = Command::new("sh")
            .args(["-c", &format!("{}exec python3 \"$0\"", moves.concat())])
            .arg(&source)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let said = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut climber = Climber { child, said };
        assert_eq!(climber.answer(), "ready");
        climber
    }

    /// Waits for what it says next.
    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    /// Tells it, without waiting.
    pub(crate) fn tell(&mut self, line: &str) {
        self.child
            .stdin
            .as_mut()
            .expect("a pipe")
            .write_all(format!("{line}\n").as_bytes())
            .expect("written");
    }

    /// Tells it, and waits until it is done.
    pub(crate) fn does(&mut self, line: &str) {
        self.tell(line);
        assert_eq!(self.answer(), "done", "{line}");
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().expect("asked").is_none()
    }
}

impl Drop for Climber {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, is_it: impl FnMut() -> bool) {
    let (end, mut is_it) = (Instant::now() + PATIENCE, is_it);
    while !is_it() {
        assert!(Instant::now() < end, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
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
