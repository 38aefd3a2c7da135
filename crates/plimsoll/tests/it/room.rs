//! What is watched right below its limit is asked nothing: each answer is made in its memory, and could be what kills it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::rig::{Agent, Cage, MIB, Target, cage, page, until};
use crate::{on_path, plimsoll_command, skipped, stderr, stdout};

/// Serves metrics, and counts who asks.
const PYTHON: &str = r##"
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open(sys.argv[1], "a").write(self.path + "\n")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"# TYPE python_gc_objects gauge\npython_gc_objects 7\npython_allocated_blocks 8\n")
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Page)
print("ready", flush=True)
server.serve_forever()
"##;

const NODE: &str = r##"
const page = "# TYPE nodejs_heap_size_used_bytes gauge\nnodejs_heap_size_used_bytes 7\n";
require("http").createServer((ask, answer) => {
  require("fs").appendFileSync(process.argv[1], ask.url + "\n");
  answer.end(page);
}).listen(0, "127.0.0.1", () => console.log("ready"));
"##;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// A program in a cage, once it is ready.
fn started(cage: &Cage, words: &[&str]) -> Child {
    let join = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", cage.0.display());
    let mut command = Command::new("sh");
    command
        .args(["-c", &join, "sh"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("sh runs");
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut ready).expect("a line");
    assert_eq!(ready.trim(), "ready");
    child
}

/// What triage sees of it.
fn facts(state: &Path, pid: u32) -> Value {
    let mut command = plimsoll_command(&["triage", &pid.to_string(), "--for", "3s", "-o", "json"]);
    let out = command.env("PLIMSOLL_STATE", state).output().expect("it runs");
    let said: Value = serde_json::from_str(&stdout(&out)).unwrap_or_else(|e| panic!("{e}: {}", stderr(&out)));
    said["targets"][0]["facts"].clone()
}

/// Asked nothing with 1 MiB of room, asked with 400.
fn served(test: &str, name: &str, words: &[&str], asked: &Path) {
    let state = folder();
    let Some(cage) = cage(test, name, 1024 * MIB) else { return };
    let mut child = started(&cage, words);
    cage.leave(MIB);
    let tight = facts(state.path(), child.id());
    assert!(!asked.exists(), "it was asked: {:?}", fs::read_to_string(asked));
    assert!(tight.to_string().contains("are left: the program is not asked"), "{tight:#}");
    cage.leave(400 * MIB);
    let wide = facts(state.path(), child.id());
    child.kill().expect("it lived");
    child.wait().expect("reaped");
    assert!(fs::read_to_string(asked).is_ok_and(|t| t.contains("/metrics")), "{wide:#}");
}

#[test]
fn metrics_of_a_python_program_are_not_asked_for_without_room() {
    let test = "room::metrics_of_a_python_program";
    if !on_path("python3") {
        return skipped(test, "there is no Python");
    }
    let folder = folder();
    let asked = folder.path().join("asked");
    served(test, "askpy", &["python3", "-c", PYTHON, &asked.display().to_string()], &asked);
}

#[test]
fn metrics_of_a_node_program_are_not_asked_for_without_room() {
    let test = "room::metrics_of_a_node_program";
    if !on_path("node") {
        return skipped(test, "there is no Node.js");
    }
    let folder = folder();
    let asked = folder.path().join("asked");
    served(test, "asknode", &["node", "-e", NODE, &asked.display().to_string()], &asked);
}

#[test]
fn an_inspector_is_not_asked_without_room() {
    let test = "room::an_inspector";
    if !on_path("node") {
        return skipped(test, "there is no Node.js");
    }
    let state = folder();
    let Some(cage) = cage(test, "inspect", 1024 * MIB) else { return };
    let program = "console.log('ready'); setInterval(() => 0, 1000)";
    let mut child = started(&cage, &["node", "--inspect=127.0.0.1:0", "-e", program]);
    cage.leave(MIB);
    let tight = facts(state.path(), child.id());
    cage.leave(400 * MIB);
    let wide = facts(state.path(), child.id());
    child.kill().expect("it lived");
    child.wait().expect("reaped");
    assert!(tight.to_string().contains("the program is not asked"), "{tight:#}");
    assert!(
        wide["v8.heap.used"].as_f64().or(wide["v8.heap.used"]["value"].as_f64()).is_some_and(|v| v > 1e6),
        "{wide:#}"
    );
}

#[test]
fn a_jvm_without_room_is_neither_prepared_nor_armed() {
    let test = "room::a_jvm_without_room";
    let folder = folder();
    let Some(cage) = cage(test, "unready", 1024 * MIB) else { return };
    let Some(java) = Target::java(folder.path(), &cage, ("Unready", 1)) else {
        return skipped(test, "there is no JDK");
    };
    let pid = java.0.id().to_string();
    cage.leave(MIB);
    let socket = format!("/tmp/.java_pid{pid}");
    let mut audit = plimsoll_command(&["audit", &pid, "--fix", "--go"]);
    let out = audit.env("PLIMSOLL_STATE", folder.path().join("state")).output().expect("it runs");
    assert_eq!(out.status.code(), Some(4), "{}{}", stdout(&out), stderr(&out));
    assert!(stderr(&out).contains("is left alone: only"), "{}", stderr(&out));
    let rules = "mode: capture\nevery: 300ms\nonly: [Unready]\n";
    let mut agent = Agent::start(&folder.path().join("store"), rules);
    let failed = agent.until(|e| e.text.contains("cannot be prepared"));
    assert!(failed.text.contains("the program is not asked"), "{}", failed.text);
    assert!(!Path::new(&socket).exists(), "it was attached to");
}

/// Says who asks it, and serves what pprof serves.
const GO: &str = r#"
package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := os.OpenFile(os.Args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		fmt.Fprintln(asked, r.URL)
		asked.Close()
		pprof.Index(w, r)
	}))
}
"#;

#[test]
fn a_go_program_without_room_is_neither_audited_nor_profiled_over_its_port() {
    let test = "room::a_go_program";
    if !on_path("go") {
        return skipped(test, "there is no Go");
    }
    let folder = folder();
    let (source, program) = (folder.path().join("roomy.go"), folder.path().join("roomy"));
    fs::write(&source, GO).expect("written");
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(&source).status();
    assert!(built.expect("go runs").success());
    let Some(cage) = cage(test, "roomy", 1024 * MIB) else { return };
    let asked = folder.path().join("asked");
    let mut child = started(&cage, &[&program.display().to_string(), &asked.display().to_string()]);
    cage.leave(MIB);
    let mut audit = plimsoll_command(&["audit", &child.id().to_string(), "-o", "json"]);
    let out = audit.env("PLIMSOLL_STATE", folder.path().join("state")).output().expect("it runs");
    assert!(stdout(&out).contains("are left: the program is not asked"), "{}{}", stdout(&out), stderr(&out));
    let store = folder.path().join("store");
    let rules = "every: 300ms\nonly: [roomy]\nprofiles: {every: 1s}\n";
    let (agent, address) = Agent::serving(&store, rules);
    // It has looked at it more than once by then.
    page(&address, |text| text.contains("roomy"));
    page(&address, |text| text.contains("roomy"));
    assert!(!asked.exists(), "it was asked: {:?}", fs::read_to_string(&asked));
    cage.leave(400 * MIB);
    let profiled = || fs::read_dir(store.join("profiles")).is_ok_and(|mut all| all.next().is_some());
    until("a profile is taken once there is room", profiled);
    assert!(fs::read_to_string(&asked).is_ok_and(|t| t.contains("/debug/pprof/heap")));
    drop(agent);
    child.kill().expect("it lived");
    child.wait().expect("reaped");
}

#[test]
fn that_another_process_has_the_inspectors_port_is_said() {
    let test = "room::that_another_process_has_the_inspectors_port";
    if !on_path("node") {
        return skipped(test, "there is no Node.js");
    }
    if !rustix::process::geteuid().is_root() || !on_path("ip") {
        return skipped(test, "a network of its own needs root and ip");
    }
    let folder = folder();
    let Some(cage) = cage(test, "port", 1024 * MIB) else { return };
    // In a network of its own: elsewhere other tests need the port.
    let script = "ip link set lo up
        node --inspect=127.0.0.1:9229 -e 'setInterval(() => 0, 1000)' >/dev/null 2>&1 &
        until grep -q ':240D' /proc/net/tcp; do sleep 0.02; done
        exec node -e \"console.log('ready'); setInterval(() => 0, 1000)\"";
    let mut child = started(&cage, &["unshare", "--net", "sh", "-c", script]);
    let (pid, to) = (child.id().to_string(), folder.path().display().to_string());
    let args = ["capture", &pid, "--artifact", "statistics", "--for", "1s", "--to", &to, "--go"];
    let mut command = plimsoll_command(&args);
    let out = command.env("PLIMSOLL_STATE", folder.path().join("state")).output().expect("it runs");
    for pid in cage.text("cgroup.procs").lines() {
        assert!(Command::new("kill").args(["-9", pid]).status().is_ok_and(|s| s.success()));
    }
    child.wait().expect("reaped");
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    assert!(
        stderr(&out).contains("port 9229, which SIGUSR1 opens, is another process's"),
        "{}",
        stderr(&out)
    );
}
