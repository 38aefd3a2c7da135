//! Marks come from other systems and go to them: sites that answer as these do, a repository, a file of flags, webhooks.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{self, Agent, until};
use crate::{plimsoll, plimsoll_command, stderr, stdout};

const TOKEN: &str = "0123456789abcdef0123";

/// What a site knows.
#[derive(Default)]
struct Site {
    annotations: Mutex<Vec<Value>>,
    /// The flags as they are answered, and how they were changed.
    flags: Mutex<(Value, Vec<&'static str>)>,
}

/// A site on a port of its own, until the test ends.
fn site() -> (Arc<Site>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let site = Arc::new(Site::default());
    let shared = Arc::clone(&site);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let site = Arc::clone(&shared);
            // One that hangs up costs its own answer only.
            thread::spawn(move || drop(site.answer(stream)));
        }
    });
    (site, url)
}

impl Site {
    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let (head, body) = rig::received(&stream)?;
        let request = head.lines().next().unwrap_or_default().to_owned();
        if request.contains("EventStream") {
            return self.stream(stream, &head, &body);
        }
        let is_known = head.to_lowercase().contains(&format!("authorization: bearer {TOKEN}"));
        let (status, answer) = match request.split(['?', ' ']).take(2).collect::<Vec<_>>()[..] {
            [_, "/flagd.evaluation.v1.Service/ResolveAll"] => (200, self.resolved()),
            _ if !is_known => (401, json!({"message": "Unauthorized"})),
            ["GET", "/api/annotations"] => (200, self.page(&request)),
            ["POST", "/api/annotations"] => {
                let new: Value = serde_json::from_slice(&body).expect("JSON");
                self.all().push(new);
                (200, json!({"message": "Annotation added", "id": 1}))
            }
            ["GET", "/api/v1/applications"] => (200, applications()),
            _ => (404, json!({})),
        };
        let text = answer.to_string();
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        )
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Value>> {
        self.annotations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest first, as many as asked for, within the times.
    fn page(&self, request: &str) -> Value {
        let number = |name: &str| -> Option<f64> {
            let (_, rest) = request.split_once(name)?;
            rest.split(['&', ' ']).next()?.parse().ok()
        };
        let (from, to) = (number("from=").expect("from"), number("to=").expect("to"));
        let mut all: Vec<Value> = self.all().clone();
        all.retain(|a| (from..=to).contains(&a["time"].as_f64().expect("a time")));
        all.sort_by(|a, b| b["time"].as_f64().partial_cmp(&a["time"].as_f64()).expect("numbers"));
        all.truncate(number("limit=").map_or(100, |n| n as usize));
        Value::from(all)
    }

    /// As flagd answers; what is not there yet is off.
    fn resolved(&self) -> Value {
        let flag = self.flags().0.clone();
        json!({"flags": if flag.is_null() { json!({"new-cache": bool_flag(false)}) } else { flag }, "metadata": {}})
    }

    fn flags(&self) -> std::sync::MutexGuard<'_, (Value, Vec<&'static str>)> {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flags are these, of which one was changed so.
    fn changed(&self, flags: Value, kind: &'static str) {
        let mut now = self.flags();
        now.0 = flags;
        now.1.push(kind);
    }

    /// flagd's stream as it sends it, in chunks: ready, then a message for each change, and that it lives, as long as somebody reads.
    fn stream(&self, mut stream: TcpStream, head: &str, body: &[u8]) -> std::io::Result<()> {
        assert!(head.to_lowercase().contains("content-type: application/connect+json"), "{head}");
        assert_eq!(body, b"\0\0\0\0\x02{}");
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nConnect-Accept-Encoding: gzip\r\nContent-Type: application/connect+json\r\nVary: Origin\r\nTransfer-Encoding: chunked\r\n\r\n"
        )?;
        let mut send = |message: &Value| {
            let text = message.to_string();
            let length = u32::try_from(text.len()).expect("short").to_be_bytes();
            let envelope = [&[0][..], &length, text.as_bytes()].concat();
            write!(stream, "{:x}\r\n", envelope.len())?;
            stream.write_all(&[&envelope, &b"\r\n"[..]].concat())
        };
        send(&json!({"type": "provider_ready", "data": {}}))?;
        let mut told = self.flags().1.len();
        loop {
            thread::sleep(Duration::from_millis(20));
            let new: Vec<&str> = self.flags().1[told..].to_vec();
            for kind in &new {
                send(
                    &json!({"type": "configuration_change", "data": {"flags": {"new-cache": {"type": kind}}}}),
                )?;
                send(&json!({"type": "keep_alive", "data": null}))?;
            }
            told += new.len();
        }
    }
}

fn bool_flag(on: bool) -> Value {
    let variant = if on { "on" } else { "off" };
    json!({"reason": "STATIC", "variant": variant, "boolValue": on, "metadata": {}})
}

fn applications() -> Value {
    json!({"metadata": {}, "items": [{
        "metadata": {"name": "shop"}, "spec": {"destination": {"namespace": "shop"}},
        "status": {"resources": [{"kind": "Deployment", "namespace": "shop", "name": "api"}],
            "history": [{"revision": "33cb5f6a1b2c3d4e5f60718293a4b5c6d7e8f901", "deployedAt": stamp(2.0)}]},
    }]})
}

/// So many hours ago.
fn ago(hours: f64) -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    (now.as_secs_f64() - hours * 3600.0).floor()
}

fn stamp(hours: f64) -> String {
    jiff::Timestamp::from_second(ago(hours) as i64).expect("a time").to_string()
}

fn document(out: &Output) -> Value {
    assert_eq!(out.status.code(), Some(0), "{}{}", stdout(out), stderr(out));
    serde_json::from_slice(&out.stdout).expect("a document")
}

fn names(document: &Value) -> Vec<&str> {
    document["marks"].as_array().expect("marks").iter().map(|m| m["name"].as_str().expect("a name")).collect()
}

#[test]
fn annotations_are_read_and_written_once() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (site, url) = site();
    let at = |hours: f64| (ago(hours) * 1000.0) as u64;
    site.all().push(
        json!({"time": at(3.0), "text": "v1.42", "tags": ["deploy", "workload:shop/api"], "newState": ""}),
    );
    site.all().push(json!({"time": at(1.0), "text": "lunch", "tags": ["team"], "newState": ""}));
    site.all().push(json!({"time": at(999.0), "text": "v1", "tags": ["deploy"], "newState": ""}));
    let token = folder.path().join("token");
    fs::write(&token, format!("{TOKEN}\n")).expect("written");
    let token = token.to_str().expect("text");
    let store = |name: &str| folder.path().join(name).display().to_string();
    let (mine, theirs) = (store("mine"), store("theirs"));
    let import = |store: &str, more: &[&str]| {
        plimsoll(&[&["mark", "import", "--grafana", &url, "--store", store], more].concat())
    };
    let out = import(&mine, &[]);
    assert_eq!(out.status.code(), Some(3), "{}", stdout(&out));
    assert!(stderr(&out).contains("401") && stderr(&out).contains("--token-file"), "{}", stderr(&out));
    let dry = document(&import(&mine, &["--token-file", token, "--dry-run", "-o", "json"]));
    assert_eq!((names(&dry), &dry["kept"]), (vec!["v1.42"], &Value::from(false)));
    let new = document(&import(&mine, &["--token-file", token, "-o", "json"]));
    assert_eq!((names(&new), &new["leftOut"]), (vec!["v1.42"], &Value::from(1)));
    let again = document(&import(&mine, &["--token-file", token, "-o", "json"]));
    assert_eq!((names(&again).len(), &again["known"]), (0, &Value::from(1)));

    assert!(plimsoll(&["mark", "flag", "new-cache", "--off", "--store", &mine]).status.success());
    let export = |more: &[&str]| {
        let all = ["mark", "export", "--grafana", &url, "--store", &mine, "--token-file", token];
        plimsoll(&[&all[..], more].concat())
    };
    let out = export(&[]);
    assert!(stdout(&out).contains("new-cache off") && stderr(&out).contains("--go"), "{}", stderr(&out));
    assert_eq!(site.all().len(), 3, "nothing was written");
    // What came from there is there.
    assert_eq!(names(&document(&export(&["--go", "-o", "json"]))), ["new-cache"]);
    assert_eq!(site.all().len(), 4);
    assert!(stdout(&export(&["--go"])).contains("nothing that Grafana does not have"));
    let read = document(&import(&theirs, &["--token-file", token, "-o", "json"]));
    assert_eq!(names(&read), ["v1.42", "new-cache"]);
    assert_eq!(read["marks"][1]["off"], true);
    let list = stdout(&plimsoll(&["mark", "list", "--store", &theirs]));
    assert!(list.contains("deploy  v1.42") && list.contains("any workload"), "{list}");
}

#[test]
fn pages_of_annotations_are_asked_for_until_there_are_no_more() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (site, url) = site();
    let first = (ago(20.0) * 1000.0) as u64;
    for n in 0..5500_u64 {
        site.all().push(json!({"time": first + n * 1000, "text": format!("v{n}"), "tags": ["deploy"]}));
    }
    let store = folder.path().display().to_string();
    let mut import =
        plimsoll_command(&["mark", "import", "--grafana", &url, "--store", &store, "-o", "json"]);
    let read = document(&import.env("PLIMSOLL_GRAFANA_TOKEN", TOKEN).output().expect("run"));
    assert_eq!(names(&read).len(), 5500);
}

#[test]
fn syncs_of_argo_cd_and_files_of_events_are_deploys() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (_site, url) = site();
    let store = folder.path().display().to_string();
    let mut import = plimsoll_command(&["mark", "import", "--argocd", &url, "--store", &store, "-o", "json"]);
    let read = document(&import.env("PLIMSOLL_ARGOCD_TOKEN", TOKEN).output().expect("run"));
    assert_eq!(read["marks"][0]["name"], "shop@33cb5f6a1b2c");
    assert_eq!(read["marks"][0]["workload"], "shop/api");
    let events = folder.path().join("events.json");
    let flux = json!({"involvedObject": {"kind": "HelmRelease", "namespace": "shop", "name": "api"}, "severity": "info",
        "timestamp": stamp(1.0), "message": "Helm upgrade succeeded for release shop/api.v7 with chart api@1.4.2",
        "reason": "UpgradeSucceeded", "metadata": {}, "reportingController": "helm-controller"});
    fs::write(&events, flux.to_string()).expect("written");
    let file = |path: &Path| {
        plimsoll(&["mark", "import", path.to_str().expect("text"), "--store", &store, "-o", "json"])
    };
    assert_eq!(names(&document(&file(&events))), ["api@1.4.2"]);
    fs::write(&events, r#"{"flags": {}}"#).expect("written");
    let out = file(&events);
    assert!(out.status.code() == Some(3) && stderr(&out).contains("mark follow"), "{}", stderr(&out));
    fs::write(&events, "<html>").expect("written");
    assert_eq!(file(&events).status.code(), Some(3));
    assert_eq!(file(&folder.path().join("none")).status.code(), Some(2));
    let nobody = ["mark", "import", "--argocd", "http://127.0.0.1:9", "--store", &store];
    assert_eq!(plimsoll(&nobody).status.code(), Some(3));
}

#[test]
fn a_repository_tells_of_its_tags_and_of_flags() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let home = folder.path().join("repository");
    fs::create_dir_all(home.join("deploy")).expect("a folder");
    let git = |hours: f64, args: &[&str]| {
        let date = format!("@{} +0000", ago(hours));
        let mut git = Command::new("git");
        git.current_dir(&home).env("GIT_COMMITTER_DATE", &date).env("GIT_AUTHOR_DATE", &date);
        git.args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]).args(args);
        let out = git.output().expect("git runs");
        assert!(out.status.success(), "{}", stderr(&out));
    };
    git(9.0, &["init", "-q", "-b", "main"]);
    let flags = |variant: &str| {
        let file = json!({"flags": {"new-cache": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": variant}}});
        fs::write(home.join("deploy/flags.json"), file.to_string()).expect("written");
    };
    for (hours, variant) in [(8.0, "off"), (6.0, "on"), (2.0, "off")] {
        flags(variant);
        git(hours, &["add", "."]);
        git(hours, &["commit", "-q", "-m", variant]);
    }
    git(3.0, &["tag", "-a", "-m", "x", "v1.42", "HEAD~1"]);
    let (store, at) = (folder.path().join("store").display().to_string(), home.display().to_string());
    let import = |more: &[&str]| {
        plimsoll(&[&["mark", "import", "--git", &at, "--store", &store, "-o", "json"], more].concat())
    };
    let tags = document(&import(&["--workload", "shop/api"]));
    assert_eq!(names(&tags), ["v1.42"]);
    assert_eq!(
        (tags["marks"][0]["unixSeconds"].as_f64(), &tags["marks"][0]["workload"]),
        (Some(ago(3.0)), &"shop/api".into())
    );
    let switched = document(&import(&["--flags", "deploy/flags.json"]));
    assert_eq!(names(&switched), ["new-cache", "new-cache"]);
    assert_eq!(
        (&switched["marks"][0]["off"], &switched["marks"][1]["off"]),
        (&Value::Null, &Value::from(true))
    );
    assert_eq!(import(&["--flags", "flags.json"]).status.code(), Some(3));
    let none = folder.path().display().to_string();
    let out = plimsoll(&["mark", "import", "--git", &format!("{none}/nowhere"), "--store", &store]);
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
}

/// A follower whose lines are read; ended with the test.
struct Follower(Child, BufReader<std::process::ChildStdout>);

impl Follower {
    fn start(flagd: &str, store: &str) -> Follower {
        let args =
            ["mark", "follow", "--flagd", flagd, "--store", store, "-o", "jsonl", "--workload", "shop/api"];
        let mut child =
            plimsoll_command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let mut said = String::new();
        BufReader::new(child.stderr.take().expect("piped")).read_line(&mut said).expect("a line");
        assert!(said.contains("are marked in"), "{said}");
        Follower(child, out)
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.1.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("a mark")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn flags_are_marked_as_they_are_switched() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = folder.path().join("store").display().to_string();
    let (site, url) = site();
    let mut follower = Follower::start(&url, &store);
    let of = |flag: Value| json!({"new-cache": flag});
    let in_error = json!({"reason": "ERROR", "variant": "", "boolValue": false, "metadata": {}});
    let disabled = json!({"reason": "DISABLED", "variant": "", "boolValue": false, "metadata": {}});
    for (flags, kind, name, off) in [
        (of(bool_flag(true)), "update", "new-cache", Value::Null),
        // Rules that nobody without a context meets, and rules that name no variant: it is not off.
        (of(bool_flag(true)), "update", "new-cache (definition)", Value::Null),
        (of(in_error), "update", "new-cache (definition)", Value::Null),
        (of(disabled), "update", "new-cache", Value::from(true)),
        (of(bool_flag(true)), "update", "new-cache", Value::Null),
        (json!({}), "delete", "new-cache", Value::from(true)),
        (of(bool_flag(true)), "write", "new-cache", Value::Null),
    ] {
        site.changed(flags, kind);
        let mark = follower.next();
        assert_eq!(
            (&mark["name"], &mark["off"], &mark["workload"]),
            (&name.into(), &off, &"shop/api".into())
        );
    }
    let file = folder.path().join("flags.json");
    let flags = |variant: &str| {
        json!({"flags": {"limit": {"state": "ENABLED", "variants": {"low": 1, "high": 9}, "defaultVariant": variant}}}).to_string()
    };
    fs::write(&file, flags("low")).expect("written");
    let mut follower = Follower::start(file.to_str().expect("text"), &store);
    // Half of a file is none; what is whole later is seen.
    fs::write(&file, "{\"flags\":").expect("written");
    fs::write(&file, flags("high")).expect("written");
    let marks = [follower.next(), follower.next()];
    assert_eq!((&marks[0]["name"], &marks[0]["off"]), (&"limit=low".into(), &Value::from(true)));
    assert_eq!((&marks[1]["name"], &marks[1]["off"]), (&"limit=high".into(), &Value::Null));
    let kept = document(&plimsoll(&["mark", "list", "--store", &store, "-o", "json"]));
    assert_eq!(names(&kept).len(), 9);
    let none = plimsoll(&["mark", "follow", "--flagd", "http://127.0.0.1:9", "--store", &store]);
    assert_eq!(none.status.code(), Some(3), "{}", stderr(&none));
}

/// A webhook marks the time line of the agent, and the triage of a climb that began then names it.
#[test]
fn what_a_webhook_marks_is_set_against_the_onset_of_a_climb() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (store, token) = (folder.path().join("store"), folder.path().join("token"));
    fs::write(&token, format!("{TOKEN}\n")).expect("written");
    let options = ["--listen", "127.0.0.1:0", "--alerts-token", token.to_str().expect("text")];
    let (_agent, said) = Agent::run(&store, "mode: observe\nevery: 500ms\n", &options);
    let mut said = BufReader::new(said).lines().map_while(Result::ok);
    let address = said
        .find_map(|l| Some(l.split_once("http://")?.1.strip_suffix("/marks")?.to_owned()))
        .expect("an address");
    let body =
        json!({"kind": "flag", "name": "new-cache", "workload": "shop/*", "at": stamp(40.0)}).to_string();
    let mut stream = TcpStream::connect(&address).expect("connected");
    write!(
        stream,
        "POST /marks HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    until("the mark is kept", || store.join("marks.jsonl").exists());

    let mut page = String::new();
    let labels = r#"namespace="shop",pod="api-0",container="api",id="/a""#;
    for step in 0..1000 {
        let t = ago(1000.0 / 12.0) + f64::from(step) * 300.0;
        let climb = ((t - ago(40.0)) / 3600.0).max(0.0) * 8.0;
        let noise = (f64::from(step) * 5.1).sin() + (f64::from(step) * 0.93).cos();
        let _written =
            writeln!(page, "container_memory_rss{{{labels}}} {} {t}", (300.0 + climb + noise) * 1048576.0);
    }
    page += "# EOF\n";
    let file = folder.path().join("series.txt");
    fs::write(&file, page).expect("written");
    let triage = |more: &[&str]| {
        let all = ["triage", "--from", file.to_str().expect("text"), "--limit", "1GiB", "--marks"];
        plimsoll(&[&all[..], &[store.to_str().expect("text")], more].concat())
    };
    let screen = stdout(&triage(&[]));
    assert!(
        screen.contains("MARK  shop/api") && screen.contains("when flag new-cache was marked"),
        "{screen}"
    );
    let rows: Value = serde_json::from_slice(&triage(&["-o", "json"]).stdout).expect("a document");
    assert_eq!(rows["workloads"][0]["sinceMark"]["name"], "new-cache", "{rows:#}");
}
