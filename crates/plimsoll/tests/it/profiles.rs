//! Profiles that `plimsoll watch` takes all the time: kept, readable, and pushed to a receiver of our own that speaks as
//! much of Pyroscope's `/ingest` as a push needs.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::rig::{self, Agent, cage};
use crate::{on_path, plimsoll, skipped, stderr, stdout};

const PROGRAM: &str = r#"
package main

import (
	"net"
	"net/http"
	_ "net/http/pprof"
)

var kept [][]byte

func main() {
	for i := 0; i < 2000; i++ {
		kept = append(kept, make([]byte, 10000))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	panic(http.Serve(l, nil))
}
"#;

struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Takes one push: its head and its body.
fn receive(listener: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().expect("a caller");
    let (head, body) = rig::received(&stream).expect("a request");
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").expect("answered");
    (head, body)
}

#[test]
fn profiles_are_taken_kept_and_pushed() {
    let test = "profiles::profiles_are_taken_kept_and_pushed";
    if !on_path("go") {
        return skipped(test, "there is no Go");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let Some(cage) = cage(test, "profiles", 500 << 20) else { return };
    let (source, program) = (folder.path().join("profiled.go"), folder.path().join("profiled"));
    fs::write(&source, PROGRAM).expect("written");
    let built =
        Command::new("go").args(["build", "-o"]).arg(&program).arg(&source).status().expect("go runs");
    assert!(built.success());
    let line = format!("echo $$ > {}/cgroup.procs; exec {}", cage.0.display(), program.display());
    let child = Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).spawn().expect("sh runs");
    let _target = Target(child);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = listener.local_addr().expect("bound");
    let store = folder.path().join("store");
    let rules =
        format!("every: 500ms\nonly: [profiled]\nprofiles: {{every: 1s, pushTo: 'http://{server}'}}\n");
    let agent = Agent::start(&store, &rules);
    let (head, body) = receive(&listener);
    let first = head.lines().next().expect("a line");
    assert!(first.starts_with("POST /ingest?name=profiled.heap%7Bworkload%3D"), "{head}");
    assert!(
        first.contains("format=pprof") && head.to_ascii_lowercase().contains("multipart/form-data"),
        "{head}"
    );
    let form = String::from_utf8_lossy(&body);
    assert!(form.contains("name=\"profile\""), "{form}");
    // The second is of the goroutines.
    let (head, _) = receive(&listener);
    assert!(head.contains("name=profiled.goroutines"), "{head}");
    drop(agent);
    let kept = fs::read_dir(store.join("profiles")).expect("a folder").flatten().map(|e| e.path());
    let heap = kept.into_iter().find(|p| p.to_string_lossy().ends_with("-heap.pb.gz")).expect("a profile");
    let bytes = fs::read(&heap).expect("read");
    assert!(body.windows(bytes.len()).any(|w| w == bytes), "what was pushed is what is kept");
    let out = plimsoll(&["read", &heap.display().to_string(), "-o", "json"]);
    let reading: Value =
        serde_json::from_str(&stdout(&out)).unwrap_or_else(|e| panic!("{e}: {}", stderr(&out)));
    assert!(reading.to_string().contains("main.main"), "{reading:#}");
}
