//! Uploads to a real server of S3's protocol: whole, resumed after a kill, captures at once; without secrets anywhere.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rig::{Agent, get, request};
use crate::{on_path, plimsoll_command, skipped, stderr, stdout};

/// The server only asks that somebody be named.
const ANYBODY: &str = "*/*\r\nAuthorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";
const SECRET: &str = "c2VjcmV0LW9mLXRoZS10ZXN0";

/// A server of our own with one bucket, ended with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(test: &str) -> Option<Server> {
        if !on_path("moto_server") {
            skipped(test, "there is no server of S3's protocol (scripts/setup gets one)");
            return None;
        }
        // Free now; nobody else on this machine asks for it before the server does.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let child = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let server = Server { child, address: format!("127.0.0.1:{port}") };
        server.until("answers", || {
            request(&server.address, "PUT", "/evidence", "").filter(|page| page.starts_with("HTTP/1.1 200"))
        });
        Some(server)
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < end, "nobody {what} at {}", self.address);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn with_credentials(&self, mut command: Command, state: &Path) -> Command {
        command
            .env("AWS_ENDPOINT", format!("http://{}", self.address))
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "somebody")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("PLIMSOLL_STATE", state);
        command
    }

    fn plimsoll(&self, args: &[&str], state: &Path) -> Output {
        self.with_credentials(plimsoll_command(args), state).output().expect("runs")
    }

    /// The length of an object, by the server's word.
    fn length(&self, object: &str) -> Option<u64> {
        let head = request(&self.address, "HEAD", &format!("/evidence/{object}"), ANYBODY)?;
        let line = head.lines().find(|l| l.to_ascii_lowercase().starts_with("content-length:"))?;
        head.starts_with("HTTP/1.1 200").then(|| line.split_once(':')?.1.trim().parse().ok()).flatten()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn capture(root: &Path, bytes: usize) -> PathBuf {
    let folder = root.join("plimsoll-api-7");
    fs::create_dir(&folder).expect("made");
    let heap: Vec<u8> = (0..bytes).map(|i| (i / 251) as u8).collect();
    fs::write(folder.join("heap.hprof"), heap).expect("written");
    fs::write(folder.join("manifest.json"), "{}\n").expect("written");
    folder
}

#[test]
fn an_upload_that_was_killed_goes_on_and_is_read_back() {
    let test = "object::an_upload_that_was_killed_goes_on_and_is_read_back";
    let Some(server) = Server::start(test) else { return };
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let bytes = 100 << 20;
    let folder = capture(root.path(), bytes);
    let name = folder.display().to_string();
    let args = ["upload", &name, "s3://evidence/incidents", "-o", "json"];
    let mut command = server.with_credentials(plimsoll_command(&args), root.path());
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs");
    let state = folder.join("upload.json");
    server.until("sends a part", || fs::read_to_string(&state).ok().filter(|s| s.contains("\"parts\"")));
    first.kill().expect("killed");
    first.wait().expect("ended");
    assert_eq!(server.length("incidents/plimsoll-api-7/heap.hprof"), None, "half of it is nothing");
    let out = server.plimsoll(&args, root.path());
    assert!(out.status.success(), "{}", stderr(&out));
    let done: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
    let heap = &done["objects"][0];
    assert!(heap["resumedParts"].as_u64().is_some_and(|n| n > 0), "{done:#}");
    assert_eq!((heap["bytes"].as_u64(), &heap["verified"]), (Some(bytes as u64), &true.into()));
    assert_eq!(server.length("incidents/plimsoll-api-7/heap.hprof"), Some(bytes as u64));
    assert_eq!(server.length("incidents/plimsoll-api-7/manifest.json"), Some(3));
    for text in [stdout(&out), stderr(&out), fs::read_to_string(&state).expect("a state")] {
        assert!(!text.contains(SECRET), "{text}");
    }
    // Nobody answers: it says so, without the secret, and what to do.
    let (address, state) = (server.address.clone(), root.path().to_owned());
    drop(server);
    let other = root.path().join("other");
    fs::create_dir(&other).expect("made");
    fs::write(other.join("a.txt"), "a").expect("written");
    let mut command = plimsoll_command(&["upload", &other.display().to_string(), "s3://evidence/x"]);
    command.env("AWS_ENDPOINT", format!("http://{address}")).env("AWS_ALLOW_HTTP", "true");
    command
        .env("AWS_ACCESS_KEY_ID", "somebody")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("PLIMSOLL_STATE", state);
    let out = command.output().expect("runs");
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    let said = stderr(&out);
    assert!(said.contains("goes on where this ended") && !said.contains(SECRET), "{said}");
}

#[test]
fn a_capture_goes_to_object_storage_and_an_agent_uploads_what_it_stored() {
    let test = "object::a_capture_goes_to_object_storage_and_an_agent_uploads_what_it_stored";
    let Some(server) = Server::start(test) else { return };
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut target = Command::new("sleep").arg("60").spawn().expect("runs");
    let pid = target.id().to_string();
    let to = "s3://evidence/captures";
    let args = ["capture", &pid, "--artifact", "smaps", "--go", "--for", "1s", "--to", to, "-o", "json"];
    let out = server.plimsoll(&args, root.path());
    target.kill().expect("killed");
    target.wait().expect("ended");
    assert!(out.status.success(), "{}", stderr(&out));
    let done: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
    for object in done["objects"].as_array().expect("objects") {
        let path = object["url"].as_str().expect("a URL").strip_prefix("s3://evidence/").expect("there");
        assert_eq!(server.length(path), object["bytes"].as_u64(), "{path}");
    }
    let outbox = fs::read_dir(root.path().join("outbox")).expect("a folder");
    assert_eq!(outbox.count(), 0, "what is uploaded is removed here");
    // What an agent before had stored and not sent.
    let store = root.path().join("store");
    fs::create_dir_all(store.join("captures")).expect("made");
    capture(&store.join("captures"), 1000);
    let config = root.path().join("rules.yaml");
    fs::write(&config, "upload: s3://evidence/host\n").expect("written");
    let (config, place) = (config.display().to_string(), store.display().to_string());
    let mut agent = server.with_credentials(
        plimsoll_command(&["watch", "-o", "jsonl", "--config", &config, "--store", &place, "--for", "60s"]),
        root.path(),
    );
    let mut agent = Agent::spawn(&mut agent).0;
    let told = agent.until(|e| e.text.contains("uploaded"));
    assert!(told.text.contains("read back whole"), "{told:?}");
    assert_eq!(server.length("host/plimsoll-api-7/heap.hprof"), Some(1000));
    let heap =
        get(&server.address, "/evidence/host/plimsoll-api-7/manifest.json", ANYBODY).expect("an answer");
    assert!(heap.ends_with("{}\n"), "{heap}");
}
