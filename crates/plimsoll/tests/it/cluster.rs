//! A week of a cluster in a real Prometheus: who leaks is named with a time that holds, who does not is left alone.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::prometheus::Prometheus;
use crate::{on_path, plimsoll, skipped};

const MIB: f64 = 1_048_576.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
const STEP: f64 = 300.0;

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

/// A page of metrics over time, as promtool takes it: all samples of a metric together.
#[derive(Default)]
struct Week {
    rss: String,
    starts: String,
    limits: String,
    owners: String,
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
            let noise = ((t * 0.017).sin() + (t * 0.0031).cos()) * 0.4;
            let _written =
                writeln!(self.rss, "container_memory_rss{{{labels}}} {} {t}", (level(age) + noise) * MIB);
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

    fn page(&self) -> String {
        let types = [
            ("container_memory_rss", &self.rss),
            ("container_start_time_seconds", &self.starts),
            ("kube_pod_container_resource_limits", &self.limits),
            ("kube_pod_owner", &self.owners),
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
    // A leak of 4 MiB an hour in three replicas born together, 300 MiB at first: now 684, 340 MiB are left, 85 hours.
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
    // Flat, and far below its limit; and one that has just begun.
    let level = |_: f64| 150.0;
    week.life(now, &Life { pod: "calm-x2x7z", began: 6.0 * DAY, ended: 0.0, image: "calm:4", level: &level });
    week.life(now, &Life { pod: "young-0", began: 1200.0, ended: 0.0, image: "young:5", level: &level });
    week.owned(now, "calm-x2x7z", "DaemonSet", "calm-daemon");
    week
}

/// Where the API is: below a prefix.
struct Server(Prometheus);

impl Server {
    fn ask(&self, more: &[&str]) -> Output {
        let url = format!("http://{}/metrics-of-all", self.0.address);
        plimsoll(&[&["triage", "--prometheus", &url], more].concat())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_week_of_a_cluster_is_ranked_by_clock() {
    let test = "cluster::a_week_of_a_cluster_is_ranked_by_clock";
    if !on_path("prometheus") || !on_path("promtool") {
        return skipped(test, "there is no Prometheus (scripts/setup gets one)");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64().floor();
    let page = folder.path().join("week.om");
    fs::write(&page, week(now).page()).expect("written");
    let load = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&page, &folder.path().join("tsdb")])
        .output()
        .expect("promtool runs");
    assert!(load.status.success(), "{}", text(&load.stderr));
    let scrapes = "scrape_configs: []\n";
    let server = Server(Prometheus::start(folder.path(), scrapes, "/metrics-of-all"));

    let out = server.ask(&["-o", "json"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let workloads = document["workloads"].as_array().expect("rows");
    let of = |name: &str| {
        workloads.iter().find(|w| w["name"] == name).unwrap_or_else(|| panic!("no {name}: {document:#}"))
    };
    let leak = of("leak");
    assert_eq!((&leak["movement"], leak["replicas"].as_u64()), (&"leak".into(), Some(3)), "{leak:#}");
    let hours = |w: &Value, q: &str| w["timeToLimitSeconds"][q].as_f64().map_or(f64::INFINITY, |s| s / HOUR);
    assert!(hours(leak, "p10") < 85.0 && 85.0 < hours(leak, "p90"), "{leak:#}");
    assert_eq!(leak["wave"]["replicas"], 3, "{leak:#}");
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
    assert!(workloads[0]["name"] == "hidden" || workloads[0]["name"] == "leak", "{document:#}");

    let screen = text(&server.ask(&[]).stdout);
    for words in [
        "shop/leak:main",
        "WAVE  shop/leak:main: 3 replicas",
        "ROOM  shop/calm-daemon:main",
        "NEXT  look at pod",
    ] {
        assert!(screen.contains(words), "no {words:?}:\n{screen}");
    }
    // Only those that match; none at all; more than may be asked for; no address of the API.
    let some = text(&server.ask(&["--selector", "{pod=~\"cache.*\"}", "-o", "jsonl"]).stdout);
    assert_eq!(some.lines().count(), 1, "{some}");
    for (more, words) in [
        (&["--selector", "namespace=\"none\""][..], "no container's memory is known there"),
        (&["--most-series", "2"][..], "series match, more than 2"),
        (&["--selector", "pod="][..], "bad_data"),
    ] {
        let out = server.ask(more);
        assert_eq!(out.status.code(), Some(3), "{more:?}");
        assert!(text(&out.stderr).contains(words), "{}", text(&out.stderr));
    }
    blamed(&server, folder.path(), now);
}

/// The version is blamed and not the flag of another day; a flag that was switched along with it cannot be told from it.
fn blamed(server: &Server, folder: &std::path::Path, now: f64) {
    let store = folder.join("store").display().to_string();
    let url = format!("http://{}/metrics-of-all", server.0.address);
    let ask = |more: &[&str]| {
        plimsoll(&[&["bisect", "deploys", "--prometheus", &url, "--marks", &store], more].concat())
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
