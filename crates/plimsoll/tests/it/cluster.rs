//! A week of a cluster in a real Prometheus, in a VictoriaMetrics and in a file: who leaks is named with a time that holds, who does not is left alone.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::prometheus::Prometheus;
use crate::rig::get;
use crate::{on_path, plimsoll, skipped};

pub(crate) const MIB: f64 = 1_048_576.0;
pub(crate) const HOUR: f64 = 3600.0;
pub(crate) const DAY: f64 = 24.0 * HOUR;
pub(crate) const STEP: f64 = 300.0;

/// Seconds before now at which a workload was rolled out anew.
const ROLLED: f64 = 3.0 * DAY;

/// One container's life: seconds before now at which it began and ended, image, and its level in MiB by its age.
struct Life<'a> {
    pod: &'a str,
    began: f64,
    ended: f64,
    image: &'a str,
    level: &'a dyn Fn(f64) -> f64,
}

/// What swings about each level, MiB, by seconds after now (before it where negative): the same week whenever it is made.
pub(crate) fn noise(t: f64) -> f64 {
    ((t * 0.017).sin() + (t * 0.0031).cos()) * 0.4
}

/// A page of metrics over time, as promtool takes it: all samples of a metric together.
#[derive(Default)]
struct Week {
    rss: String,
    starts: String,
    limits: String,
    owners: String,
    heaps: String,
    heap_limits: String,
    requests: String,
    waits: String,
    nets: String,
}

impl Week {
    fn life(&mut self, now: f64, life: &Life<'_>) {
        let Life { pod, began, ended, image, level } = life;
        let id = format!("/kubepods/{pod}/{began}");
        let labels =
            format!(r#"namespace="shop",pod="{pod}",container="main",id="{id}",image="registry/{image}""#);
        let mut t = now - began;
        while t <= now - ended {
            let age = t - (now - began);
            let mib = level(age) + noise(t - now);
            let _written = writeln!(self.rss, "container_memory_rss{{{labels}}} {} {t}", mib * MIB);
            let _written =
                writeln!(self.starts, "container_start_time_seconds{{{labels}}} {} {t}", now - began);
            t += STEP;
        }
        // Now and before: who asks looks back.
        for t in [now - began.min(DAY), now - STEP] {
            let _written = writeln!(
                self.limits,
                r#"kube_pod_container_resource_limits{{namespace="shop",pod="{pod}",container="main",resource="memory"}} {} {t}"#,
                1024.0 * MIB
            );
        }
    }

    fn owned(&mut self, now: f64, pod: &str, kind: &str, owner: &str) {
        let _written = writeln!(
            self.owners,
            r#"kube_pod_owner{{namespace="shop",pod="{pod}",owner_kind="{kind}",owner_name="{owner}"}} 1 {}"#,
            now - STEP
        );
    }

    /// A JVM of five days: old space after collections, 3 MiB an hour from 150 of 600, within a container that it filled at once.
    fn heap(&mut self, now: f64) {
        let pod = "jvm-0";
        let level = |_: f64| 850.0;
        self.life(now, &Life { pod, began: 5.0 * DAY, ended: 0.0, image: "jvm:6", level: &level });
        let labels = r#"namespace="shop",pod="jvm-0",pool="G1 Old Gen""#;
        let mut t = now - 5.0 * DAY;
        while t <= now {
            let used = (150.0 + 3.0 * (t - now + 5.0 * DAY) / HOUR) * MIB;
            let _written =
                writeln!(self.heaps, "jvm_memory_pool_collection_used_bytes{{{labels}}} {used} {t}");
            let _written =
                writeln!(self.heap_limits, "jvm_memory_pool_max_bytes{{{labels}}} {} {t}", 600.0 * MIB);
            t += STEP;
        }
    }

    /// A service that leaks with its requests, 100 bytes each, ten a second by day and one by night.
    fn busy(&mut self, now: f64) {
        let pod = "busy-0";
        let rate = |t: f64| 5.5 + 4.5 * (t / DAY * std::f64::consts::TAU).sin();
        let begin = now - 5.0 * DAY;
        let mut served = vec![0.0];
        let mut t = begin;
        while t <= now {
            let sum = served.last().expect("one") + rate(t) * STEP;
            served.push(sum);
            let _written = writeln!(
                self.requests,
                r#"http_requests_total{{namespace="shop",pod="{pod}",code="200"}} {sum} {t}"#
            );
            t += STEP;
        }
        let level = |age: f64| {
            let at = (age / STEP) as usize;
            200.0 + served.get(at + 1).or(served.last()).expect("one") * 100.0 / MIB
        };
        self.life(now, &Life { pod, began: 5.0 * DAY, ended: 0.0, image: "busy:7", level: &level });
    }

    /// A pod that waits for memory for a quarter of the time, and an agent that says of another one that its net would hold.
    fn watched(&mut self, now: f64) {
        for ago in (0..30).rev() {
            let (t, seconds) = (now - f64::from(ago) * STEP, f64::from(30 - ago) * STEP / 4.0);
            let _written = writeln!(
                self.waits,
                r#"container_pressure_memory_waiting_seconds_total{{namespace="shop",pod="dies-0",container="main",id="x"}} {seconds} {t}"#
            );
        }
        for n in 1..4 {
            let group = format!("control group /kubepods/leak-5d4f8c7b9c-aaaa{n}/{}", 4.0 * DAY);
            let _written = writeln!(
                self.nets,
                r#"plimsoll_net_ready{{namespace="agents",pod="plimsoll-1",process="main",workload="{group}"}} 1 {}"#,
                now - 60.0
            );
        }
    }

    fn page(&self) -> String {
        let types = [
            ("container_memory_rss", &self.rss),
            ("container_start_time_seconds", &self.starts),
            ("kube_pod_container_resource_limits", &self.limits),
            ("kube_pod_owner", &self.owners),
            ("jvm_memory_pool_collection_used_bytes", &self.heaps),
            ("jvm_memory_pool_max_bytes", &self.heap_limits),
            ("http_requests_total", &self.requests),
            ("container_pressure_memory_waiting_seconds_total", &self.waits),
            ("plimsoll_net_ready", &self.nets),
        ];
        let mut page = String::new();
        for (name, lines) in types {
            let _written = write!(page, "# TYPE {name} gauge\n{lines}");
        }
        page + "# EOF\n"
    }
}

/// Four stories, each with its truth.
fn week(now: f64) -> Week {
    let mut week = Week::default();
    // A leak of 4 MiB an hour in three replicas born together, 300 MiB at first: now 684, 340 MiB are left, 85 hours, 0.2 less where it swings.
    for pod in ["leak-5d4f8c7b9c-aaaa1", "leak-5d4f8c7b9c-aaaa2", "leak-5d4f8c7b9c-aaaa3"] {
        let level = |age: f64| 300.0 + 4.0 * age / HOUR;
        week.life(now, &Life { pod, began: 4.0 * DAY, ended: 0.0, image: "leak:1.0", level: &level });
    }
    // One that is restarted every 12 hours, and never gets far: 20 MiB an hour.
    for n in 0..12 {
        let ended = f64::from(n) * 12.0 * HOUR;
        let level = |age: f64| 200.0 + 20.0 * age / HOUR;
        let life = Life {
            pod: "hidden-0",
            began: ended + 12.0 * HOUR - STEP,
            ended,
            image: "hidden:2",
            level: &level,
        };
        week.life(now, &life);
    }
    // A cache that fills: 400 MiB, with a time constant of six hours.
    let level = |age: f64| 200.0 + 400.0 * (1.0 - (-age / (6.0 * HOUR)).exp());
    week.life(now, &Life { pod: "cache-0", began: 6.0 * DAY, ended: 0.0, image: "cache:3", level: &level });
    // Flat until it was rolled out anew three days ago: 5 MiB an hour since.
    for pod in ["rolled-5d4f8c7b9c-bbbb1", "rolled-5d4f8c7b9c-bbbb2"] {
        let level = |_: f64| 200.0;
        week.life(now, &Life { pod, began: 6.0 * DAY, ended: ROLLED, image: "rolled:1", level: &level });
    }
    for pod in ["rolled-6e5f9d8c1a-bbbb3", "rolled-6e5f9d8c1a-bbbb4"] {
        let level = |age: f64| 200.0 + 5.0 * age / HOUR;
        week.life(now, &Life { pod, began: ROLLED, ended: 0.0, image: "rolled:2", level: &level });
    }
    // One shard of three leaks: 3 MiB an hour.
    for (pod, rate) in [("shard-0", 0.0), ("shard-1", 3.0), ("shard-2", 0.0)] {
        let level = |age: f64| 200.0 + rate * age / HOUR;
        week.life(now, &Life { pod, began: 4.0 * DAY, ended: 0.0, image: "shard:8", level: &level });
        week.owned(now, pod, "StatefulSet", "shard");
    }
    // Flat, and far below its limit; and one that has just begun.
    let level = |_: f64| 150.0;
    week.life(now, &Life { pod: "calm-x2x7z", began: 6.0 * DAY, ended: 0.0, image: "calm:4", level: &level });
    week.life(now, &Life { pod: "young-0", began: 1200.0, ended: 0.0, image: "young:5", level: &level });
    week.owned(now, "calm-x2x7z", "DaemonSet", "calm-daemon");
    // Killed at its limit twice, after 45 hours of 16 MiB each, and on its way again.
    for (began, ended) in [(100.0, 55.0), (54.8, 9.8), (9.6, 0.0)] {
        let level = |age: f64| 300.0 + 16.0 * age / HOUR;
        let life =
            Life { pod: "dies-0", began: began * HOUR, ended: ended * HOUR, image: "dies:8", level: &level };
        week.life(now, &life);
    }
    week.heap(now);
    week.busy(now);
    week.watched(now);
    week
}

/// Where history comes from: an option and its value.
pub(crate) struct Place<'a>(pub(crate) &'a str, pub(crate) &'a str);

impl Place<'_> {
    pub(crate) fn ask(&self, more: &[&str]) -> Output {
        plimsoll(&[&["triage", self.0, self.1], more].concat())
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A Prometheus with a page's history, behind a path of its own. The page stays in the folder.
pub(crate) fn filled(folder: &Path, page: &str) -> Prometheus {
    let path = folder.join("week.om");
    fs::write(&path, page).expect("written");
    let load = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&path, &folder.join("tsdb")])
        .output()
        .expect("promtool runs");
    assert!(load.status.success(), "{}", text(&load.stderr));
    Prometheus::start(folder, "scrape_configs: []\n", "/metrics-of-all")
}

#[test]
fn a_week_of_a_cluster_is_ranked_by_clock() {
    let test = "cluster::a_week_of_a_cluster_is_ranked_by_clock";
    if !on_path("prometheus") || !on_path("promtool") {
        return skipped(test, "there is no Prometheus (scripts/setup gets one)");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64().floor();
    let server = filled(folder.path(), &week(now).page());
    let url = format!("http://{}/metrics-of-all", server.address);
    let place = Place("--prometheus", &url);
    ranked(&place);
    for (more, words) in [
        (&["--selector", "namespace=\"none\""][..], "nobody's memory is known there"),
        (&["--most-series", "2"][..], "series match, more than 2"),
        (&["--selector", "pod="][..], "bad_data"),
    ] {
        let out = place.ask(more);
        assert_eq!(out.status.code(), Some(3), "{more:?}");
        assert!(text(&out.stderr).contains(words), "{}", text(&out.stderr));
    }
    blamed(&place, folder.path(), now);
    // The same page as a file.
    let page = folder.path().join("week.om").display().to_string();
    let file = Place("--from", &page);
    ranked(&file);
    blamed(&file, folder.path(), now);
    audited(&file);
    let out = file.ask(&["--selector", "pod=~\"a[bc]\""]);
    assert_eq!(out.status.code(), Some(3));
    assert!(
        text(&out.stderr).contains("is no matcher that is understood for files"),
        "{}",
        text(&out.stderr)
    );
    merged(&file, folder.path());
    replayed(&file);
    compared(&file);
}

/// The one rollout of the week climbs more than what ran before; where there is none, that is said.
fn audited(file: &Place<'_>) {
    let ask = |more: &[&str]| plimsoll(&[&["bisect", "rollouts", file.0, file.1], more].concat());
    let out = ask(&["-o", "json"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let [one] = document["rollouts"].as_array().expect("rollouts").as_slice() else { panic!("{document:#}") };
    assert_eq!(
        (&one["name"], &one["from"], &one["to"]),
        (&"rolled".into(), &"registry/rolled:1".into(), &"registry/rolled:2".into())
    );
    let adds = |q: &str| one["addsBytesPerSecond"][q].as_f64().expect("a rate") * HOUR / MIB;
    assert!(
        adds("p10") < 5.1 && adds("p90") > 4.9 && one["climbsMore"] == true && one["sameAge"] == true,
        "{one:#}"
    );
    let screen = text(&ask(&[]).stdout);
    for words in [
        "1 rollouts, 1 of which climb more",
        "1 → 2 ",
        "NEXT  what 2 brought: plimsoll bisect suspects --good 1 --bad 2",
    ] {
        assert!(screen.contains(words), "no {words:?}:\n{screen}");
    }
    let out = ask(&["--workload", "shop/leak"]);
    assert_eq!(out.status.code(), Some(3));
    assert!(text(&out.stdout).contains("no workload had two versions"), "{}", text(&out.stdout));
}

/// A canary is as long as the noise asks for, and one that runs is told from its baseline.
fn compared(file: &Place<'_>) {
    let ask = |more: &[&str]| plimsoll(&[&["canary", file.0, file.1, "-o", "json"], more].concat());
    let of = |out: &Output| -> Value { serde_json::from_slice(&out.stdout).expect("a document") };
    let out = ask(&["--workload", "shop/leak", "--gone-in", "24h"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let plan = of(&out);
    // 0.4 MiB of two waves; 340 MiB in a day.
    let noise = plan["noiseBytes"].as_f64().expect("measured") / MIB;
    assert!((0.05..0.6).contains(&noise), "{plan:#}");
    let difference = plan["bytesPerSecond"].as_f64().expect("a rate") * HOUR / MIB;
    assert!((13.0..15.5).contains(&difference), "{plan:#}");
    let out = ask(&["--workload", "calm-daemon", "--running", "leak"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    let more = of(&out);
    let adds = |q: &str| more["addsBytesPerSecond"][q].as_f64().expect("a rate") * HOUR / MIB;
    assert!(adds("p10") < 4.1 && adds("p90") > 3.9 && more["climbsMore"] == true, "{more:#}");
    let out = ask(&["--workload", "leak", "--running", "calm-daemon"]);
    assert_eq!((out.status.code(), &of(&out)["climbsMore"]), (Some(0), &false.into()));
    for (more, words) in [
        (&["--workload", "leak", "--running", "young"][..], "has not run long enough"),
        (&["--workload", "nobody", "--gone-in", "24h"], "no workload nobody is known"),
    ] {
        let out = ask(more);
        assert_eq!(out.status.code(), Some(3));
        assert!(text(&out.stderr).contains(words), "{}", text(&out.stderr));
    }
}

/// Walked as if live, deaths are warned of and what is calm is left alone.
fn replayed(file: &Place<'_>) {
    let out = file.ask(&["--replay", "--every", "2h", "-o", "json"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let of = |name: &str| {
        let all = document["workloads"].as_array().expect("rows");
        &all.iter().find(|w| w["name"] == name).unwrap_or_else(|| panic!("no {name}"))["tally"]
    };
    let dies = of("shop/dies:main");
    assert_eq!((&dies["deaths"], &dies["missed"]), (&2.into(), &Value::Array(Vec::new())), "{dies:#}");
    assert!(dies["warnings"][0]["leadSeconds"].as_f64().expect("right") > 6.0 * HOUR, "{dies:#}");
    for calm in ["shop/calm-daemon:main", "shop/cache:main"] {
        assert_eq!(of(calm)["warnings"], Value::Array(Vec::new()), "{calm}");
    }
    let screen = text(&file.ask(&["--replay", "--every", "2h"]).stdout);
    assert!(screen.contains("2 deaths, 2 of them warned of"), "{screen}");
}

/// Lines that were judged apart are put together by whoever concatenates them.
fn merged(file: &Place<'_>, folder: &Path) {
    let part = |pods: &str| text(&file.ask(&["--selector", pods, "-o", "jsonl"]).stdout);
    let lines = part(r#"pod=~"cache.*|leak.*""#) + "what\n" + &part(r#"pod!~"cache.*|leak.*""#);
    let path = folder.join("judged.jsonl");
    fs::write(&path, lines).expect("written");
    let path = path.display().to_string();
    let out = Place("--from", &path).ask(&["-o", "jsonl"]);
    let rows = |out: &Output| -> Vec<Value> {
        text(&out.stdout).lines().map(|l| serde_json::from_str(l).expect("a row")).collect()
    };
    assert_eq!(rows(&out), rows(&file.ask(&["-o", "jsonl"])), "{}", text(&out.stderr));
    let screen = text(&Place("--from", &path).ask(&[]).stdout);
    assert!(screen.contains("a line is no judged workload"), "{screen}");
}

/// Every story ends as it is true, wherever it comes from.
fn ranked(place: &Place<'_>) {
    let out = place.ask(&["-o", "json"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let workloads = document["workloads"].as_array().expect("rows");
    let of = |name: &str| {
        workloads.iter().find(|w| w["name"] == name).unwrap_or_else(|| panic!("no {name}: {document:#}"))
    };
    let leak = of("leak");
    assert_eq!((&leak["movement"], leak["replicas"].as_u64()), (&"leak".into(), Some(3)), "{leak:#}");
    let hours = |w: &Value, q: &str| w["timeToLimitSeconds"][q].as_f64().map_or(f64::INFINITY, |s| s / HOUR);
    let full = (0..).map(|n| f64::from(n) * STEP).find(|t| 684.0 + 4.0 * t / HOUR + noise(*t) >= 1024.0);
    let full = full.expect("it climbs") / HOUR;
    // Four times in five the truth is inside, else next to it.
    assert!(hours(leak, "p10") < 1.01 * full && 0.99 * full < hours(leak, "p90"), "{leak:#}");
    assert_eq!(leak["wave"]["replicas"], 3, "{leak:#}");
    let shard = of("shard");
    assert_eq!(
        (&shard["movement"], &shard["pod"], &shard["unlike"]),
        (&"leak".into(), &"shard-1".into(), &serde_json::json!({"replicas": 2, "of": 2})),
        "{shard:#}"
    );
    let hidden = of("hidden");
    assert_eq!(
        (&hidden["movement"], hidden["restarts"].as_u64()),
        (&"restart-masked".into(), Some(11)),
        "{hidden:#}"
    );
    assert!(
        !["leak", "restart-masked"].contains(&of("cache")["movement"].as_str().expect("judged")),
        "{:#}",
        of("cache")
    );
    let calm = of("calm-daemon");
    assert_eq!(calm["movement"], "flat", "{calm:#}");
    assert!(calm["enoughBytes"].as_f64().expect("room") < 250.0 * MIB, "{calm:#}");
    assert!(of("young")["unknown"].as_str().expect("why").contains("points"), "{:#}", of("young"));
    // 24 hours, 29, and 85.
    let first: Vec<&Value> = workloads.iter().take(2).map(|w| &w["name"]).collect();
    assert!(first.contains(&&"jvm".into()) && first.contains(&&"hidden".into()), "{document:#}");

    told(&document);
    let screen = text(&place.ask(&[]).stdout);
    for words in [
        "shop/leak:main",
        "WAVE  shop/leak:main: 3 replicas",
        "ROOM  shop/calm-daemon:main",
        "NEXT  look at pod",
        "HEAP  shop/jvm:main: heap after collection",
        "LOAD  shop/busy:main: ",
        "WAITS shop/dies:main: in 25 % of the last hour something in dies-0 waited",
        "ALONE shop/shard:main: shard-1 climbs as the other 2 do not",
        "NET   nothing would be left of 5 that climb: ",
        "NET   shop/jvm:main: its heap is full before",
    ] {
        assert!(screen.contains(words), "no {words:?}:\n{screen}");
    }
    let some = text(&place.ask(&["--selector", "{pod=~\"cache.*\"}", "-o", "jsonl"]).stdout);
    assert_eq!(some.lines().count(), 1, "{some}");
}

/// A heap climbs below a flat whole; a service climbs with its requests, and not by itself.
fn told(document: &Value) {
    let workloads = document["workloads"].as_array().expect("rows");
    let of = |name: &str| {
        workloads.iter().find(|w| w["name"] == name).unwrap_or_else(|| panic!("no {name}: {document:#}"))
    };
    let jvm = of("jvm");
    assert_eq!((&jvm["movement"], &jvm["isHeap"]), (&"leak".into(), &true.into()), "{jvm:#}");
    assert_eq!(jvm["limitBytes"].as_f64(), Some(600.0 * MIB), "{jvm:#}");
    assert_eq!(jvm["other"]["movement"], "flat", "{jvm:#}");
    // 150 + 3 * 120 = 510 of 600 * 0.97: 24 hours.
    let hours = |q: &str| jvm["timeToLimitSeconds"][q].as_f64().expect("a time") / HOUR;
    assert!(hours("p10") < 25.0 && hours("p90") > 22.0, "{jvm:#}");
    let busy = &of("busy")["work"];
    let request = |q: &str| busy["bytesPerRequest"][q].as_f64().expect("a number");
    assert!(request("p10") < 105.0 && request("p90") > 100.0, "{busy:#}");
    assert!(busy["share"].as_f64().expect("a share") > 0.9, "{busy:#}");
    assert_eq!(of("leak")["work"], Value::Null);
    let nets = ["leak", "dies", "jvm"].map(|name| of(name)["net"].as_str().expect("a net"));
    assert_eq!(nets, ["ready", "none-seen", "own"], "{document:#}");
    let waits = &of("dies")["waits"];
    let share = waits["share"].as_f64().expect("a share");
    assert!(waits["pod"] == "dies-0" && (share - 0.25).abs() < 0.01, "{waits:#}");
    assert_eq!(of("leak")["waits"], Value::Null);
}

/// The version is blamed and not the flag of another day; a flag that was switched along with it cannot be told from it.
fn blamed(place: &Place<'_>, folder: &Path, now: f64) {
    let store = tempfile::tempdir_in(folder).expect("a folder");
    let store = store.path().display().to_string();
    let ask = |more: &[&str]| {
        plimsoll(&[&["bisect", "deploys", place.0, place.1, "--marks", &store], more].concat())
    };
    let mark = |name: &str, ago: f64, more: &[&str]| {
        let at = (now - ago).to_string();
        let out = plimsoll(&[&["mark", "flag", name, "--at", &at, "--store", &store], more].concat());
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    };
    mark("other-cache", 5.0 * DAY, &["--workload", "shop/rolled"]);
    mark("elsewhere", ROLLED, &["--workload", "shop/api"]);
    let out = ask(&["--workload", "shop/rolled", "-o", "json"]);
    assert_eq!(out.status.code(), Some(1), "{} {}", text(&out.stdout), text(&out.stderr));
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let rolled = &document["workloads"][0];
    let first = &rolled["causes"][0];
    assert_eq!(
        (&first["kind"], &first["name"]),
        (&"version".into(), &"registry/rolled:2".into()),
        "{rolled:#}"
    );
    assert!(first["p"].as_f64().expect("p") > 0.9, "{rolled:#}");
    let adds = |q: &str| first["addsBytesPerSecond"][q].as_f64().expect("a rate") * HOUR / MIB;
    assert!(adds("p10") > 4.5 && adds("p90") < 5.5, "{rolled:#}");
    assert_eq!(rolled["versions"][0]["replicas"], 2, "{rolled:#}");
    // The same moment, the same replicas.
    mark("new-cache", ROLLED, &[]);
    let out = ask(&["--workload", "shop/rolled"]);
    assert_eq!(out.status.code(), Some(3), "{}", text(&out.stderr));
    let screen = text(&out.stdout);
    for words in [
        "TIED  version registry/rolled:2 and flag new-cache",
        "SLOPE registry/rolled:1",
        "the experiment above",
    ] {
        assert!(screen.contains(words), "no {words:?}:\n{screen}");
    }
    // What always climbed is no version's fault; what is calm is not shown.
    let out = ask(&["-o", "json"]);
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let all = document["workloads"].as_array().expect("rows");
    assert!(all.iter().all(|w| w["name"] != "calm-daemon"), "{document:#}");
    let leak = all.iter().find(|w| w["name"] == "leak").expect("it climbs");
    assert_eq!(leak["causes"][0]["kind"], "never", "{leak:#}");
    assert_eq!(ask(&["--workload", "nobody"]).status.code(), Some(3));
    for wrong in
        [&["mark", "flag", " "][..], &["mark", "flag", "x", "--at", "yesterday"], &["mark", "what", "x"]]
    {
        assert_eq!(plimsoll(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn clusters_on_one_server_are_told_apart_by_their_label() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let now = 1_790_000_000.0;
    let mut week = Week::default();
    let level = |age: f64| 300.0 + 4.0 * age / HOUR;
    week.life(now, &Life { pod: "api-0", began: 4.0 * DAY, ended: 0.0, image: "api:1", level: &level });
    let leak = week.page().replace("namespace=", "cluster=\"eu\",namespace=");
    let mut week = Week::default();
    week.life(now, &Life { pod: "api-0", began: 4.0 * DAY, ended: 0.0, image: "api:1", level: &|_| 300.0 });
    let calm = week.page().replace("namespace=", "cluster=\"us\",namespace=");
    let path = folder.path().join("two.om");
    let ask = |page: &str, more: &[&str]| {
        fs::write(&path, page).expect("written");
        plimsoll(&[&["triage", "--from", path.to_str().expect("a name")][..], more].concat())
    };
    let both = leak.replace("# EOF\n", "") + &calm;
    let screen = text(&ask(&both, &[]).stdout);
    for words in ["2 workloads, 2 series", "eu/shop/api:main ", "us/shop/api:main "] {
        assert!(screen.contains(words), "no {words:?}:\n{screen}");
    }
    // A label that only some have is none of a cluster: an application's own.
    let some = both.replace("cluster=\"us\",", "");
    let screen = text(&ask(&some, &[]).stdout);
    assert!(screen.contains("1 workloads") && !screen.contains("eu/"), "{screen}");
    // What no label tells is told by who asks, and lines of several servers are put together.
    let line = |page: &str, name: &str| text(&ask(page, &["--cluster", name, "-o", "jsonl"]).stdout);
    let plain = |page: &str| page.replace("cluster=\"eu\",", "").replace("cluster=\"us\",", "");
    let lines = line(&plain(&leak), "one") + &line(&plain(&calm), "two");
    let screen = text(&ask(&lines, &[]).stdout);
    assert!(screen.contains("one/shop/api:main ") && screen.contains("two/shop/api:main "), "{screen}");
}

/// A VictoriaMetrics of our own, ended with the test.
pub(crate) struct Victoria {
    child: Child,
    pub(crate) address: String,
}

impl Victoria {
    pub(crate) fn start(folder: &Path) -> Victoria {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new("victoria-metrics")
            .arg(format!("-storageDataPath={}", folder.join("data").display()))
            .arg(format!("-httpListenAddr={address}"))
            .args(["-loggerOutput=stdout", "-search.latencyOffset=0s"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let server = Victoria { child, address };
        let end = Instant::now() + Duration::from_secs(60);
        while !get(&server.address, "/health", "").is_some_and(|page| page.contains("200 OK")) {
            assert!(Instant::now() < end, "VictoriaMetrics does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    pub(crate) fn load(&self, page: &str) {
        // It takes milliseconds.
        let mut lines = String::new();
        for line in page.lines().filter(|l| !l.starts_with('#')) {
            let (head, t) = line.rsplit_once(' ').expect("a time");
            let ms = t.parse::<f64>().expect("a number") * 1e3;
            let _written = writeln!(lines, "{head} {ms:.0}");
        }
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let head = format!(
            "POST /api/v1/import/prometheus HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            lines.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(lines.as_bytes())).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        get(&self.address, "/internal/force_flush", "").expect("flushed");
    }
}

impl Drop for Victoria {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn victoria_metrics_tells_the_same() {
    let test = "cluster::victoria_metrics_tells_the_same";
    if !on_path("victoria-metrics") {
        return skipped(test, "there is no VictoriaMetrics (scripts/setup gets one)");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    // Its grid is that of the clock: floors lie on multiples of their distance.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let now = (now / STEP).floor() * STEP;
    let server = Victoria::start(folder.path());
    server.load(&week(now).page());
    let url = format!("http://{}", server.address);
    ranked(&Place("--prometheus", &url));
    blamed(&Place("--prometheus", &url), folder.path(), now);
}

/// An authority, a server's certificate and a client's, as PEM in a folder.
pub(crate) fn certificates(folder: &Path) {
    let openssl = |line: &str| {
        let out =
            Command::new("openssl").args(line.split(' ')).current_dir(folder).output().expect("it runs");
        assert!(out.status.success(), "openssl {line}: {}", text(&out.stderr));
    };
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
    );
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1").expect("written");
    for of in ["server", "client"] {
        openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={of} -keyout {of}.key -out {of}.csr"
        ));
        openssl(&format!(
            "x509 -req -in {of}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {of}.pem"
        ));
    }
}

#[test]
fn https_with_an_authority_of_ones_own_a_certificate_and_a_password() {
    let test = "cluster::https_with_an_authority_of_ones_own_a_certificate_and_a_password";
    if !on_path("prometheus") || !on_path("openssl") {
        return skipped(test, "there is no Prometheus, or no openssl (scripts/setup gets both)");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    certificates(folder.path());
    // The password is "secret", as bcrypt hashes it at its lowest cost.
    let config = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\nbasic_auth_users:\n  ops: $2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";
    fs::write(folder.path().join("web.yml"), config).expect("written");
    fs::write(folder.path().join("password"), "secret\n").expect("written");
    let server = Prometheus::start_with(folder.path(), "scrape_configs: []\n", "", Some("web.yml"));
    let url = format!("https://{}", server.address);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let [ca, cert, key, password] = ["ca.pem", "client.pem", "client.key", "password"].map(path);
    let asked = |more: &[&str]| {
        let out = plimsoll(&[&["triage", "--prometheus", &url, "--patience", "5s"], more].concat());
        (out.status.code(), text(&out.stderr))
    };
    let all = ["--ca", &ca, "--cert", &cert, "--key", &key, "--user", "ops", "--password-file", &password];
    // It answers, and knows nobody.
    let (code, said) = asked(&all);
    assert!(code == Some(3) && said.contains("nobody's memory is known there"), "{said}");
    let (code, said) = asked(&all[..6]);
    assert!(code == Some(3) && said.contains("answers 401") && said.contains("--user"), "{said}");
    let (code, said) = asked(&all[..2]);
    assert!(code == Some(3) && said.contains("--cert and --key"), "{said}");
    let (code, said) = asked(&[]);
    assert!(code == Some(3) && said.contains("--ca names the authority"), "{said}");
    let (code, said) = asked(&["--ca", &key]);
    assert!(code == Some(2) && said.contains("no certificate in PEM form"), "{said}");
    let (code, said) = asked(&["--ca", &ca, "--cert", &cert, "--key", &path("server.key")]);
    assert!(code == Some(2) && said.contains("the certificate and the key cannot be used"), "{said}");
}
