//! What changes under a workload within a week: its limit, its image, how much it serves. A real Prometheus, a VictoriaMetrics and a
//! file tell the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::cluster::{DAY, HOUR, MIB, Place, STEP, Victoria, filled, noise, text};
use crate::{on_path, plimsoll, skipped};

/// Seconds before now at which what changes did.
const CHANGED: f64 = 2.0 * DAY;

/// Samples by metric, as promtool takes them: all of a metric together.
struct Page {
    now: f64,
    metrics: BTreeMap<&'static str, String>,
}

/// One incarnation of a pod: seconds before now at which it began and ended, what is told of it, and its level in MiB by its age.
struct Pod<'a> {
    name: &'a str,
    time: (f64, f64),
    /// MiB; none where it has none.
    limit: Option<f64>,
    image: &'a str,
    level: &'a dyn Fn(f64) -> f64,
}

impl Page {
    fn say(&mut self, metric: &'static str, labels: &str, v: f64, t: f64) {
        let lines = self.metrics.entry(metric).or_default();
        let _written = writeln!(lines, "{metric}{{namespace=\"shop\",{labels}}} {v} {t}");
    }

    /// cAdvisor tells no image of it here; kube-state-metrics tells of each pod by its own identity.
    fn pod(&mut self, pod: &Pod<'_>) {
        let Pod { name, time: (began, ended), limit, image, level } = *pod;
        let (own, id) = (format!(r#"pod="{name}",container="main""#), format!("/kubepods/{name}/{began}"));
        let mut t = self.now - began;
        while t <= self.now - ended {
            let mib = level(t - (self.now - began)) + noise(t - self.now);
            let by_group = format!(r#"{own},id="{id}""#);
            self.say("container_memory_rss", &by_group, mib * MIB, t);
            self.say("container_start_time_seconds", &by_group, self.now - began, t);
            let by_pod = format!(r#"{own},uid="{began}""#);
            let says = format!(r#"{by_pod},image="registry/{image}",image_id="sha256:{image}""#);
            self.say("kube_pod_container_info", &says, 1.0, t);
            if let Some(limit) = limit {
                let limited = format!(r#"{by_pod},resource="memory""#);
                self.say("kube_pod_container_resource_limits", &limited, limit * MIB, t);
            }
            t += STEP;
        }
    }

    /// A pod that comes back under its name with another limit and another image, of which the second climbs 4 MiB an hour.
    fn comes_back(&mut self, name: &str, limits: (f64, Option<f64>)) {
        let climbs = |age: f64| 200.0 + 4.0 * age / HOUR;
        let flat = |_: f64| 200.0;
        let pod = |time, limit, image, level| Pod { name, time, limit, image, level };
        self.pod(&pod((5.0 * DAY, CHANGED + STEP), Some(limits.0), "db:1", &flat));
        self.pod(&pod((CHANGED, 0.0), limits.1, "db:2", &climbs));
    }

    /// One whose limit is changed while it runs; who tells of it is restarted for it, and has another address.
    fn resized(&mut self) {
        let level = |age: f64| 200.0 + 4.0 * age / HOUR;
        let own = r#"pod="resized-0",container="main""#;
        self.pod(&Pod {
            name: "resized-0",
            time: (4.0 * DAY, 0.0),
            limit: None,
            image: "x:1",
            level: &level,
        });
        let mut t = self.now - 4.0 * DAY;
        while t <= self.now {
            let (teller, limit) =
                if t < self.now - DAY { ("10.0.0.1", 1024.0) } else { ("10.0.0.0", 2048.0) };
            let labels = format!(r#"{own},instance="{teller}",resource="memory""#);
            self.say("kube_pod_container_resource_limits", &labels, limit * MIB, t);
            t += STEP;
        }
    }

    /// Killed at 512 MiB twice, then given 4 GiB: 8 MiB an hour from 200, 39 hours.
    fn died(&mut self) {
        let level = |age: f64| 200.0 + 8.0 * age / HOUR;
        for (began, ended, limit) in [(100.0, 61.0, 512.0), (60.8, 21.8, 512.0), (21.6, 0.0, 4096.0)] {
            let time = (began * HOUR, ended * HOUR);
            self.pod(&Pod { name: "died-0", time, limit: Some(limit), image: "d:1", level: &level });
        }
    }

    /// Requests as a counter that begins anew with each address of the pod, and memory by what was served.
    fn serves(&mut self, name: &str, rate: &dyn Fn(f64) -> f64, level: &dyn Fn(f64, f64) -> f64) {
        let mut parts = Vec::new();
        for (began, ended) in [(6.0 * DAY, CHANGED + STEP), (CHANGED, 0.0)] {
            let (mut t, mut sum) = (self.now - began, 0.0);
            while t <= self.now - ended {
                let labels = format!(r#"pod="{name}",instance="10.1.0.{}:80",code="200""#, began / DAY);
                self.say("http_requests_total", &labels, sum, t);
                parts.push((t, sum));
                sum += rate(t - self.now) * STEP;
                t += STEP;
            }
        }
        let now = self.now;
        for (began, ended) in [(6.0 * DAY, CHANGED + STEP), (CHANGED, 0.0)] {
            let level = |age: f64| {
                let t = now - began + age;
                let at = parts.partition_point(|(of, _)| *of <= t) - 1;
                level(rate(t - now), parts[at].1)
            };
            let pod = Pod { name, time: (began, ended), limit: Some(1024.0), image: "s:1", level: &level };
            self.pod(&pod);
        }
    }

    fn text(&self) -> String {
        let metrics = self.metrics.iter().map(|(name, lines)| format!("# TYPE {name} gauge\n{lines}"));
        metrics.collect::<String>() + "# EOF\n"
    }
}

fn page(now: f64) -> String {
    let mut page = Page { now, metrics: BTreeMap::new() };
    page.comes_back("raised-0", (1024.0, Some(4096.0)));
    page.comes_back("lowered-0", (4096.0, Some(512.0)));
    page.comes_back("freed-0", (1024.0, None));
    page.resized();
    page.died();
    // Traffic doubles within the last three days, with day and night above it; each request a second takes 15 MiB.
    let day = |t: f64| 1.0 + 0.3 * (t / DAY * std::f64::consts::TAU).sin();
    let busy = |t: f64| day(t) * (10.0 + 10.0 * ((t + 3.0 * DAY) / (3.0 * DAY)).clamp(0.0, 1.0));
    page.serves("busy-week-0", &busy, &|rate, _| 150.0 + 15.0 * rate);
    // And a leak of 100 bytes a request.
    page.serves("leaky-0", &|t| 10.0 * day(t), &|_, served| 200.0 + served * 100.0 / MIB);
    page.text()
}

/// The limit that is in force now is judged against, and deaths are those of the limit that was.
fn holds(place: &Place<'_>) {
    let out = place.ask(&["-o", "json"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let of = |name: &str| {
        let all = document["workloads"].as_array().expect("rows");
        all.iter().find(|w| w["name"] == name).unwrap_or_else(|| panic!("no {name}: {document:#}"))
    };
    let hours = |w: &Value, q: &str| w["timeToLimitSeconds"][q].as_f64().map_or(f64::INFINITY, |s| s / HOUR);
    // 200 MiB and 4 an hour for two days, or four.
    for (name, limit, used) in
        [("raised", 4096.0, 392.0), ("lowered", 512.0, 392.0), ("resized", 2048.0, 584.0)]
    {
        let row = of(name);
        assert_eq!(row["limitBytes"].as_f64(), Some(limit * MIB), "{row:#}");
        let truth = (limit - used) / 4.0;
        let (low, high) = (hours(row, "p10"), hours(row, "p90"));
        assert!(low < 1.02 * truth && 0.98 * truth < high, "{truth} in {low} .. {high}: {row:#}");
    }
    assert_eq!(of("raised")["sinceVersion"], "registry/db:2", "{:#}", of("raised"));
    let freed = of("freed");
    assert_eq!((&freed["limitBytes"], hours(freed, "p10")), (&Value::Null, f64::INFINITY), "{freed:#}");
    let busy = of("busy-week");
    assert!(!["leak", "restart-masked"].contains(&busy["movement"].as_str().expect("judged")), "{busy:#}");
    let leaky = of("leaky");
    let request = |q: &str| leaky["work"]["bytesPerRequest"][q].as_f64().expect("a number");
    assert_eq!(leaky["movement"], "leak", "{leaky:#}");
    assert!(request("p10") < 103.0 && request("p90") > 97.0, "{leaky:#}");
    let out = place.ask(&["--selector", "pod=\"died-0\"", "--replay", "--every", "2h", "-o", "json"]);
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let died = &document["workloads"][0]["tally"];
    assert_eq!((&died["deaths"], &died["missed"]), (&2.into(), &Value::Array(Vec::new())), "{document:#}");
}

/// A version that leaks until the next one, and a flag that was switched on meanwhile: each has its own effect, and only what is left is
/// to be looked at. Where both brought as much, nobody knows which of them was mended.
#[test]
fn a_version_a_flag_and_what_mends_are_told_apart() {
    told_apart(3.0, "NEXT  switch new-cache back on one replica and watch its slope\n");
    told_apart(2.0, "then plimsoll bisect commits; and switch new-cache back on one replica");
}

fn told_apart(leak: f64, next: &str) {
    let now = now();
    let mut page = Page { now, metrics: BTreeMap::new() };
    let (leaks, switched, mends) = (72.0 * HOUR, 48.0 * HOUR, 24.0 * HOUR);
    for pod in ["api-x-1", "api-x-2"] {
        for (began, ended, image) in
            [(5.0 * DAY, leaks, "db:1"), (leaks, mends, "db:2"), (mends, 0.0, "db:3")]
        {
            let of_version = if image == "db:2" { leak } else { 0.0 };
            let level = |age: f64| {
                let on = (age - (began - switched).max(0.0)).max(0.0);
                200.0 + of_version * age / HOUR + 2.0 * on / HOUR
            };
            let time = (began, ended + if ended > 0.0 { STEP } else { 0.0 });
            page.pod(&Pod { name: pod, time, limit: Some(2048.0), image, level: &level });
        }
    }
    let folder = folder();
    let (path, marks) = (folder.path().join("page.om"), folder.path().join("marks").display().to_string());
    fs::write(&path, page.text()).expect("written");
    let at = (now - switched).to_string();
    plimsoll(&["mark", "flag", "new-cache", "--at", &at, "--store", &marks]);
    let path = path.display().to_string();
    let ask = |more: &[&str]| {
        let of = ["bisect", "deploys", "--from", &path, "--marks", &marks, "--selector", "pod=~\"api.*\""];
        plimsoll(&[&of[..], more].concat())
    };
    let out = ask(&["-o", "json"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    let told = &document["workloads"][0];
    let effect = |list: &str, name: &str| {
        let all = told[list].as_array().expect("causes");
        let one = all.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no {name}: {told:#}"));
        assert!(one["p"].as_f64().expect("p") > 0.9, "{told:#}");
        one["addsBytesPerSecond"]["p50"].as_f64().expect("a rate") * HOUR / MIB
    };
    assert!((effect("causes", "registry/db:2") - leak).abs() < 0.3, "{told:#}");
    assert!((effect("causes", "new-cache") - 2.0).abs() < 0.2, "{told:#}");
    assert!((effect("mended", "registry/db:3") + leak).abs() < 0.3, "{told:#}");
    let screen = text(&ask(&[]).stdout);
    for words in ["version registry/db:3 mended a climb, since ", next] {
        assert!(screen.contains(words), "no {words:?}:\n{screen}");
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// Times on the grid of the clock, where VictoriaMetrics puts its floors.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    (now / STEP).floor() * STEP
}

fn written(folder: &Path) -> String {
    let path = folder.join("week.om");
    fs::write(&path, page(now())).expect("written");
    path.display().to_string()
}

#[test]
fn what_changes_within_a_file_is_judged_as_it_is_now() {
    let folder = folder();
    holds(&Place("--from", &written(folder.path())));
}

#[test]
fn what_changes_within_the_history_of_a_prometheus_is_judged_as_it_is_now() {
    let test = "changes::what_changes_within_the_history_of_a_prometheus_is_judged_as_it_is_now";
    if !on_path("prometheus") || !on_path("promtool") {
        return skipped(test, "there is no Prometheus (scripts/setup gets one)");
    }
    let folder = folder();
    let server = filled(folder.path(), &page(now()));
    holds(&Place("--prometheus", &format!("http://{}/metrics-of-all", server.address)));
}

#[test]
fn what_changes_within_the_history_of_a_victoria_metrics_is_judged_as_it_is_now() {
    let test = "changes::what_changes_within_the_history_of_a_victoria_metrics_is_judged_as_it_is_now";
    if !on_path("victoria-metrics") {
        return skipped(test, "there is no VictoriaMetrics (scripts/setup gets one)");
    }
    let folder = folder();
    let server = Victoria::start(folder.path());
    server.load(&page(now()));
    holds(&Place("--prometheus", &format!("http://{}", server.address)));
}
