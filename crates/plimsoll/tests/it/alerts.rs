//! Alerts come in and incidents go out, with a real Alertmanager on the other side.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use plimsoll_core::agent::What;
use serde_json::{Value, json};

use crate::rig::{Agent, Climber, MIB, cage, page, until};
use crate::{on_path, plimsoll, skipped, stderr, stdout};

const TOKEN: &str = "0123456789abcdef0123";

/// One request, one answer.
fn ask(address: &str, request: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json"
    );
    write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").ok()?;
    let mut out = String::new();
    stream.read_to_string(&mut out).ok()?;
    Some(out)
}

struct Alertmanager {
    child: Child,
    address: String,
}

impl Alertmanager {
    /// One that posts to `hook`.
    fn start(folder: &Path, hook: &str) -> Alertmanager {
        let config = folder.join("alertmanager.yml");
        let receiver = format!(
            "receivers:\n- name: plimsoll\n  webhook_configs:\n  - url: http://{hook}/alerts\n    http_config: {{authorization: {{credentials: {TOKEN}}}}}\n"
        );
        let route =
            "route: {receiver: plimsoll, group_wait: 0s, group_interval: 1s, group_by: [alertname]}\n";
        fs::write(&config, format!("{route}{receiver}")).expect("written");
        // Free now; nobody else on this machine asks for it before the server does.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let server = Alertmanager { child, address };
        until("Alertmanager listens", || {
            ask(&server.address, "GET /-/ready", "").is_some_and(|page| page.starts_with("HTTP/1.1 200"))
        });
        server
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn an_alert_opens_an_incident_with_its_triage_and_the_incident_is_posted_back() {
    let test = "alerts::an_alert_opens_an_incident_with_its_triage_and_the_incident_is_posted_back";
    if !on_path("prometheus-alertmanager") {
        return skipped(test, "there is no prometheus-alertmanager");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let Some(cage) = cage(test, "alerts", 400 * MIB) else { return };
    let mut climber = Climber::start(folder.path(), &[cage.0.as_path()], "alerted");
    climber.does("climb 1000 20");
    let (store, token) = (folder.path().join("store"), folder.path().join("token"));
    fs::write(&token, format!("{TOKEN}\n")).expect("written");
    let options = ["--listen", "127.0.0.1:0", "--alerts-token", token.to_str().expect("text")];
    let (mut agent, said) = Agent::run(&store, "mode: observe\nevery: 500ms\n", &options);
    let mut said = BufReader::new(said).lines().map_while(Result::ok);
    let address = said
        .find_map(|l| Some(l.split_once("http://")?.1.strip_suffix("/alerts")?.to_owned()))
        .expect("an address");
    page(&address, |text| text.contains(&cage.workload()));

    let alertmanager = Alertmanager::start(folder.path(), &address);
    let alert = json!([{
        "labels": {"alertname": "HighMemory", "severity": "page", "workload": cage.workload()},
        "annotations": {"summary": "at its limit soon"},
    }]);
    let posted = ask(&alertmanager.address, "POST /api/v2/alerts", &alert.to_string()).expect("an answer");
    assert!(posted.starts_with("HTTP/1.1 200"), "{posted}");
    let told = agent.of(&cage, What::Alerted);
    assert_eq!(told.text, "HighMemory (page) fires: at its limit soon");
    let workload = cage.workload();
    let triage = agent.until(|e| e.workload == workload && e.text.starts_with("triage: "));
    assert!(matches!(triage.what, What::Found | What::Alerted), "{triage:?}");

    // Another one that nobody here is meant by; it is told so, and no other is blamed.
    let alert = json!([{"labels": {"alertname": "Elsewhere", "namespace": "far", "pod": "away-0"}}]);
    ask(&alertmanager.address, "POST /api/v2/alerts", &alert.to_string()).expect("an answer");
    let elsewhere = agent.until(|e| e.workload == "far/away-0" && e.text.starts_with("no triage"));
    assert_eq!(elsewhere.what, What::Alerted);

    let path = store.to_str().expect("text");
    let list = plimsoll(&["incident", "--store", path, "list", "-o", "json"]);
    let document: Value = serde_json::from_slice(&list.stdout).expect("a document");
    let all = document["incidents"].as_array().expect("incidents");
    let mine = all.iter().find(|i| i["workload"] == workload.as_str()).expect("an incident");
    let id = mine["id"].as_str().expect("an id");
    let url = format!("http://{}", alertmanager.address);
    let out =
        plimsoll(&["incident", "--store", path, "post", id, "--as", "alertmanager", "--url", &url, "--go"]);
    assert_eq!(out.status.code(), Some(0), "{}{}", stdout(&out), stderr(&out));
    let alerts = ask(&alertmanager.address, "GET /api/v2/alerts", "").expect("alerts");
    assert!(alerts.contains("PlimsollIncident") && alerts.contains(id), "{alerts}");
}
