//! The rules that `plimsoll guard rules` writes, in a real promtool and a real Prometheus; and `guard replay`, which must say
//! what that server says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use plimsoll_core::guard::rules::shapes::{HOURS, SHAPES, Shape};
use serde_json::Value;

use crate::prometheus::Prometheus;
use crate::{on_path, plimsoll, skipped, stderr, stdout, tools};

const HOUR: f64 = 3600.0;
/// A server evaluates each group at a moment within its interval that it takes from the name of the file, which differs from run to
/// run: what rests on three levels of recordings, each every 300 s, is told so much sooner or later.
const SHIFTS: f64 = 900.0;
/// What was recorded afterwards has no marks of its end: it is seen for this long beyond it.
const LOOKBACK: f64 = 300.0;

fn promtool(args: &[&str]) {
    let out = Command::new("promtool").args(args).output().expect("promtool runs");
    assert!(out.status.success(), "promtool {args:?}\n{}{}", stdout(&out), stderr(&out));
}

fn can_run(test: &str) -> bool {
    let can = on_path("prometheus") && on_path("promtool");
    if !can {
        skipped(test, "there is no Prometheus (scripts/setup gets one)");
    }
    can
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    if !can_run("rules::promtool_takes_the_rules_and_their_tests_pass") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let place = folder.path().to_str().expect("text");
    for source in ["kubernetes,program", "agent"] {
        let out = plimsoll(&["guard", "rules", "--source", source, "--out", place, "--force"]);
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        promtool(&["check", "rules", &format!("{place}/plimsoll-rules.yml")]);
        promtool(&["test", "rules", &format!("{place}/plimsoll-rules-test.yml")]);
    }
    // A rule that says too much must fail them: they can.
    let rules = folder.path().join("plimsoll-rules.yml");
    let text = fs::read_to_string(&rules).expect("read");
    let loose = text.replace("/ plimsoll:floor:steady_climb < 86400", "> 0");
    assert_ne!(loose, text);
    fs::write(&rules, loose).expect("written");
    let test = folder.path().join("plimsoll-rules-test.yml");
    let out = Command::new("promtool").args(["test", "rules"]).arg(test).output().expect("promtool runs");
    assert!(!out.status.success(), "{}", stdout(&out));
    let again = plimsoll(&["guard", "rules", "--out", place]);
    assert_eq!(again.status.code(), Some(2), "what is there is not replaced");
}

/// Three days of the eight courses as cAdvisor and kube-state-metrics tell them, every minute, with garbage.
fn page(begin: f64) -> String {
    let (mut rss, mut starts, mut limits) = (String::new(), String::new(), String::new());
    for Shape { name, limit, .. } in SHAPES {
        let shape = SHAPES.iter().find(|s| s.name == *name).expect("it is one of them");
        let pod = format!(r#"namespace="test",pod="{name}-5d4f8c7b9c-x2x7z",container="main""#);
        for k in 0..=minutes() {
            let hour = f64::from(k) / 60.0;
            let t = begin + hour * HOUR;
            let start = begin + shape.start(hour) * HOUR;
            let labels = format!(r#"{pod},id="/{start}""#);
            let _written = writeln!(rss, "container_memory_rss{{{labels}}} {} {t}", shape.usage(hour));
            let _written = writeln!(starts, "container_start_time_seconds{{{labels}}} {start} {t}");
            let _written = writeln!(
                limits,
                "kube_pod_container_resource_limits{{{pod},resource=\"memory\"}} {limit} {t}"
            );
        }
    }
    let families = [
        ("container_memory_rss", rss),
        ("container_start_time_seconds", starts),
        ("kube_pod_container_resource_limits", limits),
    ];
    families.iter().map(|(name, lines)| format!("# TYPE {name} gauge\n{lines}")).collect::<String>()
        + "# EOF\n"
}

fn minutes() -> u32 {
    (HOURS * 60.0) as u32
}

/// Has a server evaluate some rules over the whole time, and keep what they give.
fn record(folder: &Path, rules: &[&Value], (begin, end): (f64, f64)) {
    let mut yaml = String::new();
    for (i, rule) in rules.iter().enumerate() {
        let expr = rule["expr"].as_str().expect("text").replace('\n', "\n      ");
        let _written = write!(
            yaml,
            "- name: g{i}\n  interval: {}s\n  rules:\n  - record: {}\n    expr: |-\n      {expr}\n",
            rule["everySeconds"].as_f64().expect("set"),
            rule["name"].as_str().expect("text")
        );
        if let Some(source) = rule["source"].as_str() {
            let _written = writeln!(yaml, "    labels: {{source: {source}}}");
        }
    }
    let file = folder.join("level.yml");
    fs::write(&file, format!("groups:\n{yaml}")).expect("written");
    let server = Prometheus::start(folder, "scrape_configs: []\n", "");
    let time = |t: f64| format!("{t}");
    promtool(&[
        "tsdb",
        "create-blocks-from",
        "rules",
        &format!("--url=http://{}", server.address),
        &format!("--start={}", time(begin)),
        &format!("--end={}", time(end)),
        "--eval-interval=60s",
        &format!("--output-dir={}", folder.join("tsdb").display()),
        file.to_str().expect("text"),
    ]);
}

/// When each alert of a workload fired first, by what it must hold for.
fn first_fired(server: &Prometheus, rule: &Value, time: (f64, f64)) -> BTreeMap<String, f64> {
    let (every, lasting) =
        (rule["everySeconds"].as_f64().expect("set"), rule["forSeconds"].as_f64().expect("set"));
    let mut first = BTreeMap::new();
    for series in server.range(rule["expr"].as_str().expect("text"), time, every).unwrap_or_default() {
        let times: Vec<f64> = series["values"]
            .as_array()
            .expect("values")
            .iter()
            .map(|v| v[0].as_f64().expect("a time"))
            .collect();
        let run = times
            .chunk_by(|a, b| b - a < every * 1.5)
            .find(|run| run[run.len() - 1] - run[0] >= lasting + LOOKBACK);
        if let Some(run) = run {
            first.insert(series["metric"]["workload"].as_str().expect("a name").to_owned(), run[0] + lasting);
        }
    }
    first
}

/// One course as a table.
fn table(folder: &Path, shape: &Shape, begin: f64) -> PathBuf {
    let mut table = "time,value,limit,start\n".to_owned();
    for k in 0..=minutes() {
        let hour = f64::from(k) / 60.0;
        let start = begin + shape.start(hour) * HOUR;
        let _written =
            writeln!(table, "{},{},{},{start}", begin + hour * HOUR, shape.usage(hour), shape.limit);
    }
    let file = folder.join(format!("{}.csv", shape.name));
    fs::write(&file, table).expect("written");
    file
}

/// What `guard replay` says of a course: alert and first time.
fn replayed(folder: &Path, shape: &Shape, begin: f64) -> BTreeMap<String, f64> {
    let file = table(folder, shape, begin);
    let out = plimsoll(&["guard", "replay", "rules", file.to_str().expect("text"), "-o", "json"]);
    let document: Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(&out)));
    let mut first = BTreeMap::new();
    for firing in document["recordings"][0]["firings"].as_array().expect("firings") {
        let (alert, from) = (&firing["alert"], firing["fromSeconds"].as_f64().expect("a time"));
        first.entry(alert.as_str().expect("a name").to_owned()).or_insert(from);
    }
    first
}

#[test]
fn a_real_prometheus_fires_where_it_must_and_replay_says_the_same() {
    if !can_run("rules::a_real_prometheus_fires_where_it_must_and_replay_says_the_same") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = folder.path();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    // On round hours: servers evaluate subqueries on a grid of whole multiples of their steps, whenever this runs.
    let begin = ((now - HOURS * HOUR) / HOUR).floor() * HOUR;
    let time = (begin, begin + HOURS * HOUR);
    fs::write(folder.join("page.om"), page(begin)).expect("written");
    let place = |name: &str| folder.join(name).to_str().expect("text").to_owned();
    promtool(&["tsdb", "create-blocks-from", "openmetrics", &place("page.om"), &place("tsdb")]);
    let out = plimsoll(&["guard", "rules", "--source", "kubernetes", "-o", "json"]);
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let rules = document["rules"].as_array().expect("rules");
    let is = |r: &&Value, kind: &str| r["kind"] == kind;
    let exported: Vec<&Value> = rules.iter().filter(|r| r["source"].is_string()).collect();
    let others: Vec<&Value> = rules.iter().filter(|r| is(r, "record") && r["source"].is_null()).collect();
    // These rest on others that are recorded.
    let later = ["plimsoll:clock:seconds", "plimsoll:floor:slow_climb"];
    let (last, slopes): (Vec<&Value>, Vec<&Value>) =
        others.into_iter().partition(|r| later.iter().any(|name| r["name"] == *name));
    for level in [exported, slopes, last] {
        record(folder, &level, time);
    }
    let written = plimsoll(&["guard", "rules", "--source", "kubernetes"]);
    let quick =
        stdout(&written).replace("interval: 60s", "interval: 1s").replace("interval: 300s", "interval: 1s");
    fs::write(folder.join("all.yml"), quick).expect("written");
    let config = format!("rule_files: ['{}']\nscrape_configs: []\n", place("all.yml"));
    let server = Prometheus::start(folder, &config, "");

    let mut fired: BTreeMap<&str, BTreeMap<String, f64>> = BTreeMap::new();
    for rule in rules.iter().filter(|r| is(r, "alert")) {
        for (workload, at) in first_fired(&server, rule, time) {
            let shape = SHAPES.iter().find(|s| s.name == workload).expect("one of them");
            fired.entry(shape.name).or_default().insert(rule["name"].as_str().expect("text").to_owned(), at);
        }
    }
    for shape in SHAPES {
        let there = fired.remove(shape.name).unwrap_or_default();
        let mut expected = shape.fires.to_vec();
        expected.sort_unstable();
        assert_eq!(
            there.keys().map(String::as_str).collect::<Vec<_>>(),
            expected,
            "{}: {there:?} since {begin}",
            shape.name
        );
        if let Some(first) = shape.fires.first() {
            let hour = (there[*first] - begin) / HOUR;
            assert!(shape.between.0 < hour && hour <= shape.between.1, "{}: at {hour}", shape.name);
        }
        let here = replayed(folder, shape, begin);
        assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>(), "{}", shape.name);
        for (alert, at) in &here {
            assert!((at - there[alert]).abs() <= SHIFTS, "{} {alert}: {at} and {}", shape.name, there[alert]);
        }
    }
    shown(&server, time.1);
    // The server takes the file as it is, and every rule of it is healthy.
    server.until(|| {
        let answer = server.answer("/api/v1/rules")?;
        let groups = answer["data"]["groups"].as_array()?;
        let all: Vec<&Value> = groups.iter().flat_map(|g| g["rules"].as_array().expect("rules")).collect();
        assert!(all.iter().all(|r| r["health"] != "err"), "{all:#?}");
        (all.len() == rules.len() && all.iter().all(|r| r["health"] == "ok")).then_some(())
    });
}

/// Every query of the dashboard is answered; those of what this cluster exports are not empty.
fn shown(server: &Prometheus, now: f64) {
    let out = plimsoll(&["guard", "dashboard", "--source", "kubernetes,program,agent"]);
    let dashboard: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|p| p["targets"].as_array().expect("queries"));
    let marks = dashboard["annotations"]["list"].as_array().expect("marks");
    let mut told = 0;
    for expr in targets.chain(marks).filter_map(|t| t["expr"].as_str()) {
        let words = expr.replace("$workload", ".*").replace("$instance", ".*");
        // A query that the server does not understand is an error there, not an empty answer.
        let answer = server.range(&words, (now - 6.0 * HOUR, now), 300.0).unwrap_or_default();
        told += usize::from(!answer.is_empty());
        let must = [
            "plimsoll:floor:bytes{",
            "plimsoll:clock:seconds{",
            "container_memory_rss{",
            "plimsoll:start:newest{",
        ];
        if must.iter().any(|m| words.contains(m)) {
            assert!(!answer.is_empty(), "nothing to show: {words}");
        }
    }
    assert!(told >= 7, "{told} queries have an answer");
}

/// Grafana's own types of a dashboard, by its package, must take what is written.
#[test]
fn the_dashboard_is_one_by_grafanas_types() {
    let test = "rules::the_dashboard_is_one_by_grafanas_types";
    let modules = tools().join("grafana/node_modules");
    if !on_path("node") || !modules.join("@grafana/schema").is_dir() {
        return skipped(test, "Grafana's types are not here (scripts/setup gets them)");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    std::os::unix::fs::symlink(&modules, folder.path().join("node_modules")).expect("linked");
    let check = |edit: &dyn Fn(String) -> String| {
        let out = plimsoll(&["guard", "dashboard", "--source", "kubernetes,program,agent"]);
        let mut dashboard: Value = serde_json::from_slice(&out.stdout).expect("a document");
        // A data source adds to the types of marks: they are checked by a name, which allows more. An enumeration is taken by
        // its name only.
        let marks = dashboard["annotations"]["list"].take();
        dashboard["annotations"] = serde_json::json!({});
        let text = format!(
            "import {{ ThresholdsMode, type AnnotationQuery, type Dashboard }} from '@grafana/schema';\n\
             const marks = {marks};\nexport const m: AnnotationQuery[] = marks;\nexport const d: Dashboard = {};\n",
            edit(format!("{dashboard:#}")).replace("\"absolute\"", "ThresholdsMode.Absolute")
        );
        fs::write(folder.path().join("d.ts"), text).expect("written");
        Command::new("node")
            .arg(modules.join("typescript/bin/tsc"))
            .args([
                "--noEmit",
                "--strict",
                "--skipLibCheck",
                "--moduleResolution",
                "bundler",
                "--module",
                "esnext",
            ])
            .arg("d.ts")
            .current_dir(folder.path())
            .output()
            .expect("node runs")
    };
    let good = check(&|text| text);
    assert!(good.status.success(), "{}", stdout(&good));
    let bad = check(&|text| text.replace("\"schemaVersion\": 39", "\"schemaVersion\": \"new\""));
    assert!(!bad.status.success(), "a wrong dashboard must be told");
}

#[test]
fn a_replay_is_kept_beside_its_guard_and_a_changed_guard_is_refused() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = folder.path();
    let course = |name: &str| {
        let shape = SHAPES.iter().find(|s| s.name == name).expect("one of them");
        table(folder, shape, 1_700_000_000.0).to_str().expect("text").to_owned()
    };
    let (leak, flat) = (course("leak"), course("flat"));
    let made = plimsoll(&["guard", "rules", "--from", &leak, "--out", folder.to_str().expect("text")]);
    let said = stdout(&made);
    assert!(said.contains("INCIDENT   PlimsollMemoryClimbs would have fired 9 h"), "{said}");
    assert!(said.contains("made for an incident that climbed by 1"), "{said}");
    let rules = folder.join("plimsoll-rules.yml").to_str().expect("text").to_owned();
    let replay = |more: &[&str]| plimsoll(&[&["guard", "replay", &rules], more].concat());
    let good = replay(&[&leak, "--clean", &flat]);
    assert_eq!(good.status.code(), Some(0), "{}", stdout(&good));
    let screen = stdout(&good);
    for words in [
        "proved · 1 incident, 3.0 days clean",
        "QUIET      flat.csv: 0 false alarms",
        "goroutines (PlimsollGoroutines)",
    ] {
        assert!(screen.contains(words), "no {words:?}:\n{screen}");
    }
    let kept = fs::read_to_string(folder.join("plimsoll-rules.replay.json")).expect("kept");
    let kept: Value = serde_json::from_str(&kept).expect("a document");
    assert_eq!(kept["proved"], true, "{kept:#}");
    assert!(kept["recordings"][0]["firings"][0]["earlierSeconds"].as_f64().expect("known") > 9.0 * HOUR);
    // What must be quiet and is not; what is too short; what was noticed before anything fired.
    assert_eq!(replay(&[&flat, "--clean", &leak]).status.code(), Some(1));
    let short = folder.join("short.csv");
    fs::write(&short, "time,value,limit\n1000,1,9\n1060,2,9\n").expect("written");
    let out = replay(&[short.to_str().expect("text")]);
    assert_eq!(out.status.code(), Some(3), "{}", stdout(&out));
    fs::write(&short, "time,value,limit\n1000,1,9\n900000000000,2,9\n").expect("written");
    let out = replay(&[short.to_str().expect("text")]);
    assert_eq!(out.status.code(), Some(3), "{}", stdout(&out));
    assert!(stdout(&out).contains("five are walked at most"), "{}", stdout(&out));
    let early = replay(&[&leak, "--noticed", "2023-11-14T23:00:00Z"]);
    assert!(stdout(&early).contains("nothing fired before it was noticed"), "{}", stdout(&early));
    let text = fs::read_to_string(&rules).expect("read");
    fs::write(&rules, text.replace("* 0.6", "* 0.5")).expect("written");
    let changed = replay(&[&leak]);
    assert_eq!(changed.status.code(), Some(3), "{}", stderr(&changed));
    assert!(stderr(&changed).contains("its rules were changed"), "{}", stderr(&changed));
}
