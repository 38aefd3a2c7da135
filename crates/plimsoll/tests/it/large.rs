//! A namespace with so many containers that it is asked for in parts, in a real Prometheus and a real VictoriaMetrics: each workload whole,
//! and once.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::cluster::{MIB, Place, STEP, Victoria, filled, text};
use crate::rig::get;
use crate::{on_path, skipped};

/// Deployments, pods of each, and samples of each pod: more than 4,000 series.
const DEPLOYMENTS: usize = 850;
const PODS: usize = 5;
const SAMPLES: usize = 24;
/// A deployment whose replica set's name is too long for its pods, and replicas of which the names are too long for a question.
const LONG: &str = "payment-reconciliation-batch-processor-of-the-night-shift";
const MANY: usize = 600;

/// Replica sets whose hash has no digit: only who is asked who owns them knows what is a name and what is not.
fn page(now: f64) -> String {
    let (mut rss, mut pods, mut sets) = (String::new(), String::new(), String::new());
    for deployment in 0..DEPLOYMENTS {
        let set = format!("service-{deployment}-bcdfghjklm");
        let _written = writeln!(
            sets,
            r#"kube_replicaset_owner{{namespace="shop",replicaset="{set}",owner_kind="Deployment",owner_name="service-{deployment}"}} 1 {}"#,
            now - STEP
        );
        for pod in 0..PODS {
            let pod = format!("{set}-x2x7{pod}");
            let _written = writeln!(
                pods,
                r#"kube_pod_owner{{namespace="shop",pod="{pod}",owner_kind="ReplicaSet",owner_name="{set}"}} 1 {}"#,
                now - STEP
            );
            for sample in (0..SAMPLES).rev() {
                let _written = writeln!(
                    rss,
                    r#"container_memory_rss{{namespace="shop",pod="{pod}",container="main",id="/{pod}"}} {} {}"#,
                    100.0 * MIB,
                    now - sample as f64 * STEP
                );
            }
        }
    }
    // One whose name is cut where its pods are named, one with so many pods that a question does not hold their names, and one of which
    // only the heap is known.
    let set = format!("{LONG}-5d4f8c7b9c");
    let mut others = vec![format!("{}x2x7z", &set[..58])];
    let _written = writeln!(
        sets,
        r#"kube_replicaset_owner{{namespace="shop",replicaset="{set}",owner_kind="Deployment",owner_name="{LONG}"}} 1 {}"#,
        now - STEP
    );
    let _written = writeln!(
        pods,
        r#"kube_pod_owner{{namespace="shop",pod="{}",owner_kind="ReplicaSet",owner_name="{set}"}} 1 {}"#,
        others[0],
        now - STEP
    );
    others.extend((0..MANY).map(|n| format!("stateful-with-a-name-{n}")));
    for pod in others {
        for sample in (0..SAMPLES).rev() {
            let t = now - sample as f64 * STEP;
            let _written = writeln!(
                rss,
                r#"container_memory_rss{{namespace="shop",pod="{pod}",container="main",id="/{pod}"}} 1e8 {t}"#
            );
        }
    }
    let mut heap = String::new();
    for sample in (0..SAMPLES).rev() {
        let t = now - sample as f64 * STEP;
        let labels = r#"namespace="shop",pod="virtual-0",container="main",space="old""#;
        let _written = writeln!(heap, "nodejs_heap_space_size_used_bytes{{{labels}}} 5e7 {t}");
    }
    let named = |name: &str, lines: &str| format!("# TYPE {name} gauge\n{lines}");
    named("container_memory_rss", &rss)
        + &named("kube_pod_owner", &pods)
        + &named("kube_replicaset_owner", &sets)
        + &named("nodejs_heap_space_size_used_bytes", &heap)
        + "# EOF\n"
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    (now / STEP).floor() * STEP
}

fn is_whole(place: &Place<'_>) {
    let out = place.ask(&["-o", "json", "--past", "6h"]);
    let document: Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", text(&out.stderr)));
    let workloads = document["workloads"].as_array().expect("rows");
    let mut names: Vec<&str> = workloads.iter().map(|w| w["name"].as_str().expect("a name")).collect();
    names.sort_unstable();
    let mut want: Vec<String> = (0..DEPLOYMENTS).map(|n| format!("service-{n}")).collect();
    want.extend([LONG, "stateful-with-a-name", "virtual"].map(str::to_owned));
    want.sort();
    assert_eq!(names, want, "{}", text(&out.stderr));
    for workload in workloads {
        let replicas = match workload["name"].as_str().expect("a name") {
            LONG | "virtual" => 1,
            "stateful-with-a-name" => MANY,
            _ => PODS,
        };
        assert_eq!(workload["replicas"], replicas, "{workload:#}");
    }
    // Who selects some pods knows their owners, too.
    let out =
        place.ask(&["-o", "json", "--past", "6h", "--selector", "pod=~\"service-7-.*\",container=\"main\""]);
    let document: Value = serde_json::from_slice(&out.stdout).expect("a document");
    assert_eq!(document["workloads"][0]["name"], "service-7", "{document:#}");
    assert_eq!(document["workloads"].as_array().map(Vec::len), Some(1), "{document:#}");
}

#[test]
fn a_large_namespace_of_a_prometheus_is_asked_for_in_parts() {
    let test = "large::a_large_namespace_of_a_prometheus_is_asked_for_in_parts";
    if !on_path("prometheus") || !on_path("promtool") {
        return skipped(test, "there is no Prometheus (scripts/setup gets one)");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let server = filled(folder.path(), &page(now()));
    is_whole(&Place("--prometheus", &format!("http://{}/metrics-of-all", server.address)));
    // One question for the names, and floors of each part.
    let page = get(&server.address, "/metrics-of-all/metrics", "").expect("it tells of itself");
    let count = |handler: &str| -> f64 {
        let of = |l: &&str| l.starts_with("prometheus_http_requests_total") && l.contains(handler);
        page.lines().filter(of).filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let (names, ranges) = (count("/api/v1/label/:name/values"), count("/api/v1/query_range"));
    assert!(names >= 1.0 && ranges >= 20.0, "{names} {ranges}");
}

#[test]
fn a_large_namespace_of_a_victoria_metrics_is_asked_for_in_parts() {
    let test = "large::a_large_namespace_of_a_victoria_metrics_is_asked_for_in_parts";
    if !on_path("victoria-metrics") {
        return skipped(test, "there is no VictoriaMetrics (scripts/setup gets one)");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let server = Victoria::start(folder.path());
    server.load(&page(now()));
    is_whole(&Place("--prometheus", &format!("http://{}", server.address)));
}
