//! Monitoring systems that are down, slow, closed, broken, or wrong: what can be judged is, and what is wrong is told.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::{plimsoll, rig, stderr, stdout};

const MIB: f64 = 1_048_576.0;
const STEP: f64 = 300.0;

/// One question: the query, from when to when, and the head of the request.
struct Asked {
    query: String,
    head: String,
    from: f64,
    to: f64,
}

type Answers = dyn Fn(&Asked) -> (u16, String) + Send + Sync;

/// A server that answers by a function, and what it was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (shared, answers): (_, Arc<Answers>) = (Arc::clone(&asked), Arc::new(answers));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, answers) = (Arc::clone(&shared), Arc::clone(&answers));
                // One that hangs up costs its own answer only.
                thread::spawn(move || drop(answer(stream, &shared, &*answers)));
            }
        });
        Server { url, asked }
    }

    fn triage(&self, more: &[&str]) -> Output {
        plimsoll(&[&["triage", "--prometheus", &self.url], more].concat())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn answer(stream: TcpStream, asked: &Mutex<Vec<String>>, answers: &Answers) -> std::io::Result<()> {
    let (head, body) = rig::received(&stream)?;
    let form = String::from_utf8_lossy(&body).into_owned();
    let field =
        |name: &str| form.split('&').find_map(|f| f.strip_prefix(name)?.strip_prefix('=').map(decoded));
    let time = |name: &str| field(name).and_then(|t| t.parse::<f64>().ok());
    let to = time("end").or(time("time")).unwrap_or(0.0);
    let question =
        Asked { query: field("query").unwrap_or_default(), head, from: time("start").unwrap_or(to), to };
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(question.query.clone());
    let (status, text) = answers(&question);
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).unwrap_or(0) as u8;
        out.push(if byte == b'%' { hex(bytes.next()) << 4 | hex(bytes.next()) } else { byte });
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn success(kind: &str, result: &Value) -> (u16, String) {
    (200, json!({"status": "success", "data": {"resultType": kind, "result": result}}).to_string())
}

fn nothing() -> (u16, String) {
    success("vector", &json!([]))
}

/// A cluster with one container, which climbs 4 MiB an hour, as this function changes its samples.
#[derive(Clone, Copy)]
struct Cluster {
    /// Series that are counted.
    count: usize,
    /// What is sent at a time in place of a climb; none: no sample.
    level: fn(f64, f64) -> Option<String>,
    /// The value of the limit.
    limit: Option<&'static str>,
    /// How often the series is sent.
    times: usize,
    /// How far its clock is ahead, seconds.
    ahead: f64,
}

fn climb(age: f64) -> String {
    format!("{}", (300.0 + 4.0 * age / 3600.0 + (age * 0.017).sin()) * MIB)
}

const GOOD: Cluster =
    Cluster { count: 1, level: |age, _| Some(climb(age)), limit: Some("1073741824"), times: 1, ahead: 0.0 };

impl Cluster {
    fn answer(self, asked: &Asked) -> (u16, String) {
        let labels = json!({"namespace": "shop", "pod": "api-0", "container": "api", "id": "/a"});
        let is_about = |name: &str| asked.query.contains(name);
        let now = self.now();
        if asked.query == "vector(time())" {
            return success("vector", &json!([{"metric": {}, "value": [now, now.to_string()]}]));
        }
        if asked.query.starts_with("count") && is_about("container_memory_rss") {
            let by =
                if asked.query.contains("by(namespace)") { json!({"namespace": "shop"}) } else { json!({}) };
            let value = json!([asked.to, self.count.to_string()]);
            return match asked.from < asked.to {
                true => success("matrix", &json!([{"metric": by, "values": [value]}])),
                false => success("vector", &json!([{"metric": by, "value": value}])),
            };
        }
        if asked.query.starts_with("min_over_time(container_memory_rss") {
            let steps = ((asked.to - asked.from) / STEP) as usize;
            let at = |i: usize| asked.from + i as f64 * STEP;
            let there = (0..=steps).map(at).filter(|t| *t <= now);
            let values: Vec<Value> =
                there.filter_map(|t| Some(json!([t, (self.level)(t - asked.from, now - t)?]))).collect();
            let series = json!({"metric": labels, "values": values});
            return success("matrix", &Value::from(vec![series; self.times]));
        }
        if is_about("kube_node_status_capacity") {
            let memory = json!([asked.to, (64.0 * 1024.0 * MIB).to_string()]);
            return success("vector", &json!([{"metric": {}, "value": memory}]));
        }
        let is_told = is_about("last_over_time(kube_pod_container_resource_limits") && !is_about("count");
        match self.limit.filter(|_| is_told) {
            Some(limit) => success("vector", &json!([{"metric": labels, "value": [asked.to, limit]}])),
            None => nothing(),
        }
    }

    fn now(self) -> f64 {
        let ours = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        ours + self.ahead
    }

    fn serve(self) -> Server {
        Server::start(move |asked| self.answer(asked))
    }

    /// The only row.
    fn row(self, more: &[&str]) -> (Value, Output) {
        let out = self.serve().triage(&[&["-o", "json"], more].concat());
        let document: Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", stderr(&out)));
        (document["workloads"][0].clone(), out)
    }

    /// Hours to the limit.
    fn hours(self) -> f64 {
        let (row, out) = self.row(&[]);
        assert_eq!(row["movement"], "leak", "{row:#} {}", stdout(&out));
        row["timeToLimitSeconds"]["p50"].as_f64().expect("a time") / 3600.0
    }
}

/// 300 MiB and 4 an hour for 168 hours: 52 are left of 1,024.
fn holds(hours: f64) {
    assert!((8.0..17.0).contains(&hours), "{hours}");
}

#[test]
fn a_server_that_refuses_or_is_broken_is_told_by_its_words_with_what_to_do() {
    let refused = r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples"}"#;
    for (status, body, words, hint) in [
        (401, "<html>no", "answers 401", "--token-file"),
        (403, "", "answers 403", "--token-file"),
        (422, refused, "too many samples", "ask for less"),
        (200, "<html>Log in", "no answer of the Prometheus API", "prefix"),
        (200, "{\"status\":\"succ", "breaks off", "prefix"),
    ] {
        let server = Server::start(move |_| (status, body.to_owned()));
        let out = server.triage(&[]);
        assert_eq!(out.status.code(), Some(3), "{status} {body}: {}", stdout(&out));
        let said = stderr(&out);
        assert!(said.contains(words) && said.contains(hint), "{status} {body}: {said}");
    }
    let down = plimsoll(&["triage", "--prometheus", "http://127.0.0.1:9"]);
    assert_eq!(down.status.code(), Some(3));
    assert!(stderr(&down).contains("does not answer"), "{}", stderr(&down));
}

/// As Mimir and Thanos do behind a gateway: nobody without a token and a tenant is answered, on any question.
#[test]
fn a_token_and_a_tenant_go_with_every_question() {
    let server = Server::start(|asked| {
        let has = |line: &str| asked.head.lines().any(|l| l.eq_ignore_ascii_case(line));
        match (has("authorization: Bearer s3cret"), has("x-scope-orgid: shop"), has("x-team: night")) {
            (false, ..) => (401, "no token".to_owned()),
            (_, false, _) => (401, "no org id".to_owned()),
            (.., false) => (403, "no team".to_owned()),
            _ => GOOD.answer(asked),
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n").expect("written");
    let token = token.display().to_string();
    let of_tenant = ["--tenant", "shop", "--header", "X-Team: night"];
    let out = server.triage(&[&of_tenant[..], &["--token-file", &token, "-o", "json"]].concat());
    let document: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", stderr(&out)));
    assert_eq!(document["workloads"][0]["movement"], "leak", "{document:#}");
    let by_variable = crate::plimsoll_command(&["triage", "--prometheus", &server.url, "-o", "json"])
        .args(of_tenant)
        .env("PLIMSOLL_PROMETHEUS_TOKEN", "s3cret")
        .output()
        .expect("it runs");
    assert!(stdout(&by_variable).contains("\"movement\": \"leak\""), "{}", stderr(&by_variable));
    for without in
        [&["--token-file", &token][..], &of_tenant[..], &["--tenant", "shop", "--token-file", &token]]
    {
        let out = server.triage(without);
        assert_eq!(out.status.code(), Some(3), "{without:?}: {}", stdout(&out));
        assert!(!format!("{}{}", stdout(&out), stderr(&out)).contains("s3cret"), "the token is shown");
    }
}

#[test]
fn a_busy_server_is_asked_again_and_a_slow_one_not_waited_for() {
    let refusals = Arc::new(Mutex::new(0));
    let count = Arc::clone(&refusals);
    let server = Server::start(move |asked| {
        let mut refusals = count.lock().unwrap_or_else(PoisonError::into_inner);
        *refusals += 1;
        // The first answer of each two: it is busy.
        if *refusals % 2 == 1 { (503, "busy".to_owned()) } else { GOOD.answer(asked) }
    });
    let out = server.triage(&["-o", "json"]);
    assert_eq!(out.status.code(), Some(1), "{}{}", stdout(&out), stderr(&out));
    let slow = Server::start(|_| {
        thread::sleep(Duration::from_secs(600));
        nothing()
    });
    let begun = Instant::now();
    let out = slow.triage(&["--patience", "1s"]);
    assert_eq!(out.status.code(), Some(3), "{}", stdout(&out));
    assert!(stderr(&out).contains("does not answer"), "{}", stderr(&out));
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn a_million_series_are_counted_and_not_asked_for() {
    let server = Cluster { count: 1_000_000, ..GOOD }.serve();
    let out = server.triage(&[]);
    assert_eq!(out.status.code(), Some(3));
    let said = stderr(&out);
    assert!(said.contains("1000000 series match") && said.contains("--selector"), "{said}");
    let asked = server.asked();
    assert_eq!(asked.len(), 2, "the time, and one count: {asked:?}");
    assert!(
        asked[1].starts_with("count(last_over_time(container_memory_rss{") && asked[1].ends_with("[900s]))"),
        "{asked:?}"
    );
}

#[test]
fn parts_without_an_answer_are_told_and_the_others_judged() {
    let many = |asked: &Asked| -> (u16, String) {
        if asked.query.starts_with("count by(namespace)") && asked.query.contains("container_memory_rss") {
            let of = |name: &str| json!({"metric": {"namespace": name}, "values": [[asked.to, "900"]]});
            return success("matrix", &json!([of("shop"), of("team-b"), of("team-c")]));
        }
        let is_other =
            asked.query.contains("namespace=\"team-b\"") && asked.query.starts_with("min_over_time");
        let refused = r#"{"status":"error","errorType":"execution","error":"too many samples"}"#;
        if is_other { (422, refused.to_owned()) } else { GOOD.answer(asked) }
    };
    let server = Server::start(many);
    let out = server.triage(&["-o", "json", "--fail-on", "never"]);
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    assert_eq!(document["workloads"].as_array().expect("rows").len(), 2);
    let said = document["warnings"].to_string();
    assert!(said.contains("no answer for namespace") && said.contains("team-b"), "{said}");
    // Each namespace is of one process only, and their lines are put together.
    let mut all = String::new();
    for part in ["1/2", "2/2"] {
        let out = Server::start(|asked| {
            if asked.query.starts_with("count by(namespace)") && asked.query.contains("container_memory_rss")
            {
                let of = |name: &str| json!({"metric": {"namespace": name}, "values": [[asked.to, "900"]]});
                return success("matrix", &json!([of("shop"), of("team-b"), of("team-c"), of("team-d")]));
            }
            GOOD.answer(asked)
        })
        .triage(&["-o", "jsonl", "--shard", part]);
        let lines = stdout(&out);
        assert!((1..4).contains(&lines.lines().count()), "{part}: {lines}");
        all += &lines;
    }
    assert_eq!(all.lines().count(), 4, "{all}");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, &all).expect("written");
    let whole = plimsoll(&["triage", "--from", path.to_str().expect("text"), "-o", "json"]);
    let document: Value = serde_json::from_slice(&whole.stdout).expect("a document");
    assert_eq!(document["workloads"].as_array().expect("rows").len(), 4);
    assert_eq!(server.triage(&["--shard", "3/2"]).status.code(), Some(2));
}

#[test]
fn partial_results_are_told() {
    let server = Server::start(|asked| {
        let (status, text) = GOOD.answer(asked);
        let mut answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["warnings"] = json!(["a store did not answer"]);
        (status, answer.to_string())
    });
    let out = server.triage(&["--fail-on", "never"]);
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
    let screen = stdout(&out);
    assert_eq!(screen.matches("WARNING  the server warns: a store did not answer").count(), 1, "{screen}");
}

#[test]
fn samples_that_are_no_numbers_gaps_and_series_that_come_twice_do_not_move_the_clock() {
    holds(GOOD.hours());
    let broken = |age: f64, _| match (age / STEP) as usize % 7 {
        0 => Some("NaN".to_owned()),
        1 => Some("+Inf".to_owned()),
        _ => Some(climb(age)),
    };
    let broken = Cluster { level: broken, ..GOOD };
    holds(broken.hours());
    let (_, out) = broken.row(&[]);
    assert!(stdout(&out).contains("samples were no numbers"), "{}", stdout(&out));
    // A day and a half without samples, and an hour of every four.
    let gaps = |age: f64, _| {
        let is_gone = (200_000.0..330_000.0).contains(&age) || age % 14_400.0 < 3600.0;
        (!is_gone).then(|| climb(age))
    };
    holds(Cluster { level: gaps, ..GOOD }.hours());
    let twice = Cluster { times: 2, ..GOOD };
    holds(twice.hours());
    let (_, out) = twice.row(&[]);
    assert!(
        stdout(&out).contains("2017 samples were no numbers, out of order, or came twice"),
        "{}",
        stdout(&out)
    );
}

#[test]
fn another_clock_is_the_servers_and_told() {
    for (ahead, way) in [(-7200.0, "behind"), (7200.0, "ahead of")] {
        let skewed = Cluster { ahead, ..GOOD };
        holds(skewed.hours());
        let (_, out) = skewed.row(&[]);
        let said = stdout(&out);
        assert!(said.contains("the server's clock is") && said.contains(&format!("{way} ours")), "{said}");
    }
}

#[test]
fn a_limit_that_is_missing_or_of_another_unit_gives_no_time() {
    let (row, out) = Cluster { limit: None, ..GOOD }.row(&[]);
    assert_eq!(
        (&row["limitBytes"], &row["timeToLimitSeconds"]["p50"]),
        (&Value::Null, &Value::Null),
        "{row:#}"
    );
    assert!(stdout(&out).contains("have no limit that is known"), "{}", stdout(&out));
    holds({
        let (row, _) = Cluster { limit: None, ..GOOD }.row(&["--limit", "1GiB"]);
        row["timeToLimitSeconds"]["p50"].as_f64().expect("a time") / 3600.0
    });
    // Of 1 GiB the number of KiB: what uses 900 times as much and lives has another limit.
    let (row, out) = Cluster { limit: Some("1048576"), ..GOOD }.row(&[]);
    let why = row["unknown"].as_str().unwrap_or_else(|| panic!("{}", stdout(&out)));
    assert!(why.contains("is that limit in bytes"), "{why}");
    // The same number of MiB, 1,024 times too much: no node has so much.
    let (row, out) = Cluster { limit: Some("1099511627776"), ..GOOD }.row(&[]);
    assert_eq!(row["limitBytes"], Value::Null);
    assert!(stdout(&out).contains("above the 64.0 GiB of the largest node"), "{}", stdout(&out));
    for none in ["0", "-1", "9223372036854771712", "+Inf", "NaN"] {
        let (row, _) = Cluster { limit: Some(none), ..GOOD }.row(&[]);
        assert_eq!(row["limitBytes"], Value::Null, "{none}");
    }
}
