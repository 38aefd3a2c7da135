//! Incidents out of a store's log: opened, mitigated, written up, and closed only when a guard is proved.

use std::fs;
use std::path::Path;
use std::process::Output;

use plimsoll_core::agent::{About, Event, Level, What};
use plimsoll_core::mark::{Mark, MarkKind};
use plimsoll_host::store;
use serde_json::Value;

use crate::{on_path, plimsoll, skipped, stderr, stdout};

const DAY: f64 = 86_400.0;

fn incident(folder: &Path, more: &[&str]) -> Output {
    let words = [&["incident", "--store", folder.to_str().expect("text")], more].concat();
    plimsoll(&words)
}

/// Two incidents of the same leak, of which the second one was killed, with what an agent writes of them.
fn log(folder: &Path) -> Vec<String> {
    let found = |t: f64, workload: &str| Event {
        about: Some(About { fingerprint: Some("java/retention/UrlCache".to_owned()), ..About::default() }),
        ..Event::new(t, workload, What::Found, "retention (likely): the heap <climbs> | 3 MiB/h")
    };
    let level = |t: f64, workload: &str, level: Level| Event {
        level: Some(level),
        ..Event::new(t, workload, What::Level, "calm → light: 10 min left")
    };
    let stored = Event {
        folder: Some("7-heap".to_owned()),
        whole: Some(true),
        ..Event::new(
            DAY + 60.0,
            "shop-2",
            What::Stored,
            "heap is stored: plimsoll read /var/lib/plimsoll/captures/7-heap",
        )
    };
    let events = [
        level(10.0, "shop-1", Level::Light),
        found(11.0, "shop-1"),
        level(20.0, "shop-1", Level::Calm),
        level(DAY, "shop-2", Level::Heavy),
        found(DAY + 1.0, "shop-2"),
        stored,
        Event::new(DAY + 300.0, "shop-2", What::Killed, "the kernel killed java, seen from 10.1.2.3"),
    ];
    events.iter().for_each(|e| store::append(folder, e).expect("written"));
    let out = incident(folder, &["list", "-o", "json"]);
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let all = document["incidents"].as_array().expect("incidents");
    all.iter().map(|i| i["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn what_is_owed_is_told_until_a_fix_and_a_proved_guard_close_it() {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = root.path().join("store");
    assert_eq!(incident(&folder, &["list"]).status.code(), Some(3), "there is none yet");
    let ids = log(&folder);
    let [second, first] = ids.as_slice() else { panic!("{ids:?}") };
    let show = stdout(&incident(&folder, &["show", second]));
    assert!(show.contains("the same leak 1 times before") && show.contains(first.as_str()), "{show}");
    let restart = [
        "note",
        second,
        "restarted every night",
        "--mitigation",
        "restart",
        "--cost",
        "4 min of errors a night",
    ];
    let noted = incident(&folder, &restart);
    assert!(stdout(&noted).contains(second.as_str()), "{}{}", stdout(&noted), stderr(&noted));
    let list = stdout(&incident(&folder, &["list"]));
    assert!(list.starts_with(&format!("OWED       {second} shop-2: restart for")), "{list}");
    assert!(list.contains("costs 4 min of errors a night") && list.contains("seen 1 times before"), "{list}");

    // It stays open without a guard, and with one that proves nothing.
    let refused = incident(&folder, &["close", second, "--fix", "1.4.2"]);
    assert_eq!(refused.status.code(), Some(4), "{}", stdout(&refused));
    let guard = root.path().join("rules.replay.json");
    let path = guard.to_str().expect("text");
    for (document, code) in [
        (r#"{"kind":"GuardReplay","guard":"r.yml","proved":false,"recordings":[{"as":"incident"}]}"#, 4),
        (r#"{"kind":"GuardReplay","guard":"r.yml","proved":true,"recordings":[{"as":"clean"}]}"#, 4),
        (r#"{"kind":"Guard","outcome":"growing"}"#, 4),
        (r#"{"kind":"Triage"}"#, 2),
        ("no document", 2),
    ] {
        fs::write(&guard, document).expect("written");
        let out = incident(&folder, &["close", second, "--fix", "1.4.2", "--guard", path]);
        assert_eq!(out.status.code(), Some(code), "{document}: {}{}", stdout(&out), stderr(&out));
    }
    fs::write(
        &guard,
        r#"{"kind":"GuardReplay","guard":"r.yml","proved":true,"recordings":[{"as":"incident"}]}"#,
    )
    .expect("written");
    let closed = incident(&folder, &["close", second, "--fix", "1.4.2", "--guard", path]);
    assert_eq!(closed.status.code(), Some(0), "{}", stderr(&closed));
    assert!(!stdout(&incident(&folder, &["list"])).contains("OWED"), "nothing is owed");
    let closed = stdout(&incident(&folder, &["show", second]));
    assert!(
        closed.contains("guarded by r.yml, proved by replay") && closed.contains("paid: restart"),
        "{closed}"
    );
}

#[test]
fn a_report_is_redacted_and_no_event_writes_into_the_page() {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = root.path().join("store");
    let ids = log(&folder);
    for (at, workload, name) in
        [(DAY - 60.0, None, "1.4.1"), (DAY, Some("other"), "foreign"), (10.0, None, "too-early")]
    {
        let mark = Mark {
            unix_seconds: at,
            kind: MarkKind::Deploy,
            name: name.to_owned(),
            off: false,
            workload: workload.map(str::to_owned),
        };
        store::marks::append(&store::marks::path(&folder), &[mark]).expect("written");
    }
    let markdown = stdout(&incident(&folder, &["report", &ids[0]]));
    assert!(!markdown.contains("foreign") && !markdown.contains("too-early"), "{markdown}");
    for words in [
        "# Incident",
        "| 1970-01-01 23:59:00Z | mark | deploy 1.4.1 |",
        "| Seen before | 1 times before",
        "it was known 5 min before the kill",
        "plimsoll read …/7-heap",
        "the heap &lt;climbs> \\| 3 MiB/h",
        "seen from (address)",
        "- [ ] leave a guard",
    ] {
        assert!(markdown.contains(words), "no {words:?}:\n{markdown}");
    }
    let raw = stdout(&incident(&folder, &["report", &ids[0], "--raw"]));
    assert!(raw.contains("/var/lib/plimsoll/captures/7-heap") && raw.contains("10.1.2.3"), "{raw}");
    let page = root.path().join("report.html");
    let path = page.to_str().expect("text");
    assert_eq!(incident(&folder, &["report", &ids[0], "--html", path]).status.code(), Some(0));
    let html = fs::read_to_string(&page).expect("written");
    assert!(html.contains("the heap &lt;climbs&gt;") && !html.contains("<climbs>"), "{html}");
    assert!(
        !html.contains("http://") && !html.contains("10.1.2.3"),
        "it needs nothing else, and tells no address"
    );
    assert_eq!(
        incident(&folder, &["report", &ids[0], "--html", path]).status.code(),
        Some(2),
        "it is not replaced"
    );
    // One that begins by hand, and words that name none.
    let begun = incident(&folder, &["note", "--workload", "by hand", "seen on a graph"]);
    assert_eq!(begun.status.code(), Some(0), "{}", stderr(&begun));
    assert_eq!(incident(&folder, &["show", "zzz"]).status.code(), Some(2));
    assert_eq!(incident(&folder, &["note", "zzz"]).status.code(), Some(2));
}

/// A server that takes one post and answers it; what it got.
fn receiver(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
    use std::io::Write as _;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let taken = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let (head, body) = crate::rig::received(&stream).expect("a request");
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            .expect("answered");
        head + "\n" + &String::from_utf8(body).expect("text")
    });
    (address, taken)
}

#[test]
fn an_incident_is_shown_before_it_is_posted_and_is_redacted() {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = root.path().join("store");
    let id = log(&folder)[0].clone();
    for form in ["webhook", "alertmanager", "slack"] {
        let dry = incident(&folder, &["post", &id, "--as", form]);
        let text = stdout(&dry);
        let _document: Value = serde_json::from_str(&text).expect("a document");
        assert!(stderr(&dry).contains("nothing was posted"), "{}", stderr(&dry));
        assert!(!text.contains("10.1.2.3") && !text.contains("/var/lib/plimsoll/captures"), "{form}: {text}");
        assert!(text.contains("shop-2"), "{form}: {text}");
    }
    let slack = stdout(&incident(&folder, &["post", &id, "--as", "slack"]));
    assert!(slack.contains("&lt;climbs&gt;") && slack.contains("plimsoll read …/7-heap"), "{slack}");
    let raw = stdout(&incident(&folder, &["post", &id, "--as", "webhook", "--raw"]));
    assert!(raw.contains("10.1.2.3"), "{raw}");

    let token = root.path().join("token");
    fs::write(&token, "s3cret\n").expect("written");
    let (address, taken) = receiver("200 OK");
    let url = format!("http://{address}/hooks/T0/path-that-is-secret");
    let words =
        ["post", &id, "--as", "slack", "--url", &url, "--token", token.to_str().expect("text"), "--go"];
    let out = incident(&folder, &words);
    assert_eq!(out.status.code(), Some(0), "{}{}", stdout(&out), stderr(&out));
    let got = taken.join().expect("taken");
    assert!(got.to_ascii_lowercase().contains("authorization: bearer s3cret"), "{got}");
    assert_eq!(got.split_once('{').map(|(_, rest)| format!("{{{rest}")), Some(slack));
    let show = stdout(&incident(&folder, &["show", &id]));
    assert!(show.contains(&format!("posted to {address} as slack")) && !show.contains("T0"), "{show}");

    let (address, taken) = receiver("403 Forbidden");
    let url = format!("http://{address}/");
    let out = incident(&folder, &["post", &id, "--as", "webhook", "--url", &url, "--go"]);
    taken.join().expect("taken");
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    assert!(stderr(&out).contains("the server answers 403"), "{}", stderr(&out));
    assert_eq!(
        incident(&folder, &["post", &id, "--as", "slack", "--url", "ftp://h/"]).status.code(),
        Some(2)
    );
}

/// A server of Python that takes one post over TLS, and writes what it got beside its certificate.
const TLS_RECEIVER: &str = r#"
import http.server, ssl, sys
class Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        open("got", "wb").write(body)
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Taker)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

#[test]
fn an_incident_is_posted_over_tls_to_whom_an_authority_vouches_for() {
    use std::io::BufRead as _;
    let test = "incident::an_incident_is_posted_over_tls_to_whom_an_authority_vouches_for";
    if !on_path("openssl") || !on_path("python3") {
        return skipped(test, "there is no openssl, or no python3");
    }
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = root.path().join("store");
    let id = log(&folder)[0].clone();
    crate::cluster::certificates(root.path());
    let mut server = std::process::Command::new("python3")
        .args(["-c", TLS_RECEIVER])
        .current_dir(root.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut port = String::new();
    std::io::BufReader::new(server.stdout.take().expect("piped")).read_line(&mut port).expect("a port");
    let url = format!("https://localhost:{}/hooks/secret", port.trim());
    let post = |more: &[&str]| {
        let words = ["post", &id, "--as", "webhook", "--url", &url, "--go"];
        incident(&folder, &[words.as_slice(), more].concat())
    };
    // Whom nobody vouches for gets nothing.
    let refused = post(&[]);
    let ca = root.path().join("ca.pem").display().to_string();
    let taken = post(&["--ca", &ca]);
    let key = root.path().join("ca.key").display().to_string();
    let wrong = post(&["--ca", &key]);
    server.kill().expect("killed");
    server.wait().expect("reaped");
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("--ca FILE"), "{}", stderr(&refused));
    assert_eq!(taken.status.code(), Some(0), "{}", stderr(&taken));
    let got: Value = serde_json::from_slice(&fs::read(root.path().join("got")).expect("got")).expect("JSON");
    assert!(got.to_string().contains("shop-2"), "{got}");
    assert_eq!(wrong.status.code(), Some(3), "{}", stderr(&wrong));
    assert!(stderr(&wrong).contains("no certificate in PEM form"), "{}", stderr(&wrong));
    assert!(!stderr(&taken).contains("secret") && !stderr(&refused).contains("secret"));
}
