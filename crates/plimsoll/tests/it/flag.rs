//! A flag that leaks in real programs, switched on a canary against a control: blamed, let off, and switched back however it ends.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::prometheus::Prometheus;
use crate::rig::get;
use crate::{on_path, plimsoll_command, skipped, stderr, stdout, tools};

/// Keeps 30 MiB a second while the flag's file says so, and lets nothing go.
const SERVICE: &str = "import sys, time\nkept = []\nprint('ready', flush=True)\nwhile True:\n    if sys.argv[1] != 'none' and open(sys.argv[1]).read().strip() == 'on': kept.append(bytearray(b'x' * (3 << 19)))\n    time.sleep(0.05)\n";

/// The same, asking what the makers of flagd publish as its evaluation; an answer that is none ends it.
const EVALUATED: &str = "
const { FlagdCore } = require('@openfeature/flagd-core');
const { readFileSync } = require('fs');
const kept = [], core = new FlagdCore(), file = process.argv[1];
const mute = { debug() {}, info() {}, warn() {}, error() {} };
console.log('ready');
setInterval(() => {
  core.setConfigurations(readFileSync(file, 'utf8'));
  const told = core.resolveBooleanEvaluation('new-cache', false, { targetingKey: 'anybody' }, mute);
  if (told.errorCode || told.reason !== 'STATIC') process.exit(9);
  if (told.value) kept.push(Buffer.alloc(3 << 19, 1));
}, 50);";

/// A service whose flag is switched by a call, and which tells a Prometheus what it has in memory.
const SERVED: &str = "
import http.server, os, threading, time
on, kept = threading.Event(), []
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_PUT(self):
        said = self.rfile.read(int(self.headers['Content-Length'] or 0)).decode()
        known = self.path == '/flags/new-cache' and said in ('{\"enabled\": true}', '{\"enabled\": false}')
        if known: (on.set if 'true' in said else on.clear)()
        self.send_response(204 if known else 404); self.send_header('Content-Length', '0'); self.end_headers()
    def do_GET(self):
        pages = int(open('/proc/self/statm').read().split()[1])
        text = f'process_resident_memory_bytes {pages * os.sysconf(\"SC_PAGE_SIZE\")}\\nenabled {int(on.is_set())}\\n'.encode()
        self.send_response(200); self.send_header('Content-Type', 'text/plain; version=0.0.4'); self.send_header('Content-Length', str(len(text))); self.end_headers()
        self.wfile.write(text)
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
while True:
    if on.is_set(): kept.append(bytearray(b'x' * (3 << 19)))
    time.sleep(0.05)
";

struct Service(Child);

impl Service {
    fn start(flag: &str) -> Service {
        Service::run(Command::new("python3").args(["-c", SERVICE, flag]))
    }

    /// Follows a file of flagd, with the package of that folder.
    fn evaluated(file: &Path, modules: &Path) -> Service {
        Service::run(Command::new("node").env("NODE_PATH", modules).args(["-e", EVALUATED]).arg(file))
    }

    fn run(command: &mut Command) -> Service {
        Service::saying(command).0
    }

    /// And the first line that it says.
    fn saying(command: &mut Command) -> (Service, String) {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("ready");
        (Service(child), line.trim().to_owned())
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A flag in a file, a service that follows it and one that does not.
struct Rig {
    folder: tempfile::TempDir,
    canary: Service,
    control: Service,
}

impl Rig {
    fn new(follows: bool) -> Rig {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("flag");
        fs::write(&path, "off\n").expect("written");
        let flag = path.display().to_string();
        let canary = Service::start(if follows { &flag } else { "none" });
        Rig { canary, control: Service::start("none"), folder }
    }

    fn flag(&self) -> PathBuf {
        self.folder.path().join("flag")
    }

    fn search(&self, more: &[&str]) -> Command {
        // Another file takes its place at once: nobody reads half of one.
        let line = "printf '{state}\\n' > flag.new && mv flag.new flag";
        let mut command = plimsoll_command(&["bisect", "flag", "new-cache", "--command", line]);
        command.args(["--canary", &self.canary.pid(), "--control", &self.control.pid()]).args(more);
        command.current_dir(self.folder.path()).env("PLIMSOLL_STATE", self.folder.path().join("state"));
        command
    }
}

fn says(path: &Path, word: &str) {
    let end = Instant::now() + Duration::from_secs(30);
    while fs::read_to_string(path).map(|t| t.trim().to_owned()).ok().as_deref() != Some(word) {
        assert!(Instant::now() < end, "{} does not become {word}", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_flag_that_leaks_is_blamed_and_one_that_does_nothing_is_let_off() {
    let test = "flag::a_flag_that_leaks_is_blamed_and_one_that_does_nothing_is_let_off";
    if !on_path("python3") {
        return skipped(test, "there is no python3");
    }
    let rig = Rig::new(true);
    let out = rig.search(&["--phase", "3s", "-o", "json"]).output().expect("it runs");
    assert_eq!(out.status.code(), Some(1), "{}{}", stdout(&out), stderr(&out));
    let document: Value = serde_json::from_str(&stdout(&out)).expect("a document");
    let adds = document["found"]["adds"]["mid"].as_f64().expect("a rate") / f64::from(1 << 20);
    assert!((10.0..60.0).contains(&adds), "{document:#}");
    says(&rig.flag(), "off");
    let left: Vec<_> = fs::read_dir(rig.folder.path().join("state")).expect("a folder").flatten().collect();
    assert!(left.iter().all(|e| !e.file_name().to_string_lossy().starts_with("flag-")), "{left:?}");

    let calm = Rig::new(false);
    let out = calm.search(&["--phase", "2s", "--matters", "36GiB"]).output().expect("it runs");
    assert_eq!(out.status.code(), Some(0), "{}{}", stdout(&out), stderr(&out));
    assert!(
        stdout(&out).starts_with("CALM  new-cache brings less than what would matter"),
        "{}",
        stdout(&out)
    );
    says(&calm.flag(), "off");
}

#[test]
fn the_flag_is_switched_back_however_it_ends() {
    let test = "flag::the_flag_is_switched_back_however_it_ends";
    if !on_path("python3") {
        return skipped(test, "there is no python3");
    }
    let rig = Rig::new(false);
    for signal in ["TERM", "KILL"] {
        let mut search = rig
            .search(&["--phase", "10m"])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("it runs");
        says(&rig.flag(), "on");
        let pid = search.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().expect("kill runs").success());
        search.wait().expect("it ends");
        says(&rig.flag(), "off");
    }
    // The canary ends in the middle.
    let mut search =
        rig.search(&["--phase", "2s"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it runs");
    says(&rig.flag(), "on");
    drop(rig.canary);
    assert_eq!(search.wait().expect("it ends").code(), Some(3));
    says(&rig.folder.path().join("flag"), "off");
}

const FLAGS: &str = r#"{
  "flags": {
    "other": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"},
    "new-cache": {
      "state": "ENABLED",
      "variants": {"on": true, "off": false},
      "defaultVariant": "off",
      "targeting": {}
    }
  }
}
"#;

/// What a service with flagd's own evaluation does is what was meant, whichever way the flag stood.
#[test]
fn a_flag_of_flagd_is_switched_as_flagd_reads_it_and_put_back() {
    let test = "flag::a_flag_of_flagd_is_switched_as_flagd_reads_it_and_put_back";
    let modules = tools().join("flagd/node_modules");
    if !on_path("node") || !modules.join("@openfeature/flagd-core").is_dir() {
        return skipped(test, "flagd's evaluation is not here (scripts/setup gets it)");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (file, calm) = (folder.path().join("flags.json"), folder.path().join("calm.json"));
    fs::write(&calm, FLAGS).expect("written");
    for word in ["off", "on"] {
        let before = FLAGS.replace("\"defaultVariant\": \"off\"", &format!("\"defaultVariant\": \"{word}\""));
        fs::write(&file, &before).expect("written");
        let (canary, control) = (Service::evaluated(&file, &modules), Service::evaluated(&calm, &modules));
        let out =
            plimsoll_command(&["bisect", "flag", "new-cache", "--phase", "3s", "-o", "json", "--flagd"])
                .arg(&file)
                .args(["--canary", &canary.pid(), "--control", &control.pid()])
                .env("PLIMSOLL_STATE", folder.path().join("state"))
                .output()
                .expect("it runs");
        assert_eq!(out.status.code(), Some(1), "{word}: {}{}", stdout(&out), stderr(&out));
        let document: Value = serde_json::from_str(&stdout(&out)).expect("a document");
        assert_eq!(document["isOn"], word == "on");
        assert_eq!(fs::read_to_string(&file).expect("read"), before, "as it was, to the letter");
    }
}

/// Switched by calls, seen by what a real Prometheus scrapes of two services.
#[test]
fn a_flag_switched_by_calls_is_found_in_what_a_prometheus_scrapes() {
    let test = "flag::a_flag_switched_by_calls_is_found_in_what_a_prometheus_scrapes";
    if !on_path("python3") || !on_path("prometheus") {
        return skipped(test, "there is no python3, or no Prometheus (scripts/setup gets both)");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let served = || Service::saying(Command::new("python3").args(["-c", SERVED]));
    let ((_canary, port), (_control, other)) = (served(), served());
    let job = |name: &str, port: &str| {
        format!(
            "- job_name: {name}\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n"
        )
    };
    let scrapes = format!("scrape_configs:\n{}{}", job("canary", &port), job("control", &other));
    let server = Prometheus::start(folder.path(), &scrapes, "");
    let memory = |job: &str| format!("sum(process_resident_memory_bytes{{job=\"{job}\"}})");
    for job in ["canary", "control"] {
        let query = format!("/api/v1/query?query=process_resident_memory_bytes{{job=%22{job}%22}}");
        server.until(|| server.answer(&query)?["data"]["result"].get(0).cloned());
    }
    let url = format!("http://{}", server.address);
    let out = plimsoll_command(&["bisect", "flag", "new-cache", "--prometheus", &url, "-o", "json"])
        .args(["--http", &format!("PUT http://127.0.0.1:{port}/flags/new-cache")])
        .args(["--body", "{\"enabled\": {state}}", "--states", "true,false", "--phase", "6s"])
        .args(["--canary", &memory("canary"), "--control", &memory("control")])
        .env("PLIMSOLL_STATE", folder.path().join("state"))
        .output()
        .expect("it runs");
    assert_eq!(out.status.code(), Some(1), "{}{}", stdout(&out), stderr(&out));
    let document: Value = serde_json::from_str(&stdout(&out)).expect("a document");
    let adds = document["found"]["adds"]["mid"].as_f64().expect("a rate") / f64::from(1 << 20);
    assert!((10.0..60.0).contains(&adds), "{document:#}");
    let page = get(&format!("127.0.0.1:{port}"), "/metrics", "").expect("it lives");
    assert!(page.contains("enabled 0"), "it is switched back: {page}");
    // A call that is refused switches nothing, and is told.
    let out = plimsoll_command(&["bisect", "flag", "new-cache", "--prometheus", &url, "--phase", "6s"])
        .args(["--http", &format!("PUT http://127.0.0.1:{port}/flags/other?to={{state}}")])
        .args(["--canary", &memory("canary"), "--control", &memory("control")])
        .env("PLIMSOLL_STATE", folder.path().join("state"))
        .output()
        .expect("it runs");
    assert!(out.status.code() == Some(3) && stderr(&out).contains("404"), "{}{}", stdout(&out), stderr(&out));
    // A query with no number, or with two, is no canary.
    for (query, words) in
        [("sum(nothing)", "gives 0 numbers"), ("process_resident_memory_bytes", "gives 2 numbers")]
    {
        let out =
            plimsoll_command(&["bisect", "flag", "f", "--prometheus", &url, "--command", "echo {state}"])
                .args(["--canary", query, "--control", &memory("control")])
                .env("PLIMSOLL_STATE", folder.path().join("other"))
                .output()
                .expect("it runs");
        assert!(out.status.code() == Some(3) && stderr(&out).contains(words), "{}", stderr(&out));
    }
}

#[test]
fn what_cannot_be_switched_is_refused_before_anything_is_done() {
    let me = std::process::id().to_string();
    let both = ["--canary", &me, "--control", &me];
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("written");
        folder.path().join(name).display().to_string()
    };
    let flags = file("flags.json", "{\"flags\":{}}");
    let off = file("off.json", FLAGS);
    let ruled =
        file("ruled.json", &FLAGS.replace("\"targeting\": {}", "\"targeting\": {\"if\": [true, \"on\"]}"));
    for (more, code, words) in [
        (&["f"][..], 2, "how is it switched?"),
        (&["f", "--command", "true"], 2, "{state} must stand"),
        (&["f", "--http", "PUT http://x/"], 2, "{state} must stand"),
        (&["f", "--flagd", &flags], 3, "there is no flag \"f\""),
        (&["f", "--flagd", "/none"], 2, "failed to open /none"),
        (&["new-cache", "--flagd", &off, "--was-on"], 2, "is off in that file"),
        (&["new-cache", "--flagd", &ruled], 3, "rules (targeting)"),
        (&["f", "--command", "exit 3 # {state}"], 3, "ended with 3"),
        (&["f", "--command", "echo {state}", "--states", "x"], 2, "--states names two"),
    ] {
        let out = plimsoll_command(&["bisect", "flag"])
            .args(more)
            .args(both)
            .env("PLIMSOLL_STATE", tempfile::tempdir_in(folder.path()).expect("a folder").keep())
            .output()
            .expect("it runs");
        assert_eq!(out.status.code(), Some(code), "{more:?} {}", stderr(&out));
        assert!(stderr(&out).contains(words), "{more:?} {}", stderr(&out));
    }
}
