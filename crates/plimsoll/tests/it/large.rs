//! A namespace with so many containers that it is asked for in parts, in a real Prometheus and a real VictoriaMetrics: each workload whole,
//! and once.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::cluster::{MIB, Place, STEP, Victoria, filled, text};
use crate::{on_path, skipped};

/// Deployments, pods of each, and samples of each pod: more than 4,000 series.
const DEPLOYMENTS: usize = 850;
const PODS: usize = 5;
const SAMPLES: usize = 24;

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
    let named = |name: &str, lines: &str| format!("# TYPE {name} gauge\n{lines}");
    named("container_memory_rss", &rss)
        + &named("kube_pod_owner", &pods)
        + &named("kube_replicaset_owner", &sets)
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
    want.sort();
    assert_eq!(names, want, "{}", text(&out.stderr));
    assert!(workloads.iter().all(|w| w["replicas"] == PODS), "{:#}", workloads[0]);
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
