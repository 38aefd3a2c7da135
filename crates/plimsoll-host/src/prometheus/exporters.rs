//! The names and labels of the registry against pages that well-known libraries really serve.
//!
//! `pages/` has what they served when they were run, without the help lines and cut to memory, limits, starts and requests; the first line of
//! each says which library it was, in which version, and on what. The values are those of that moment.

use plimsoll_core::cluster::Workload;
use plimsoll_core::series::Point;
use plimsoll_read::openmetrics;
use plimsoll_read::prometheus_api::Labelled;

use super::workloads::{Options, workloads_of};

const STEP: f64 = 300.0;
const MIB: f64 = 1_048_576.0;

const POD: &[(&str, &str)] = &[("namespace", "shop"), ("pod", "api-0"), ("container", "api")];

/// The workloads of a page that was scraped every five minutes, with the labels of whom it was scraped.
fn scraped(page: &str, of: &[(&str, &str)], container_limit: Option<f64>) -> Vec<Workload> {
    // After the pages were recorded: what ran then had begun.
    let (from, to) = (1_796_000_000.0, 1_796_000_000.0 + 20.0 * STEP);
    let times: Vec<f64> = (1..=20).map(|k| from + f64::from(k) * STEP).collect();
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let timed = lines.flat_map(|line| times.iter().map(move |t| format!("{line} {t}\n")));
    let answer = openmetrics::read(timed.collect::<String>().as_bytes());
    let series = answer.series.into_iter().map(|mut one| {
        one.labels.extend(of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        one
    });
    let limit = container_limit.map(|v| Labelled {
        labels: of
            .iter()
            .copied()
            .chain([("resource", "memory")])
            .chain([(super::NAME, "kube_pod_container_resource_limits")])
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect(),
        points: times.iter().map(|t| Point { t: *t, v }).collect(),
    });
    let options = Options {
        selector: String::new(),
        time: (from, to),
        step: STEP,
        limit: None,
        most_series: 100,
        load: None,
        cluster: String::new(),
    };
    workloads_of(series.chain(limit).collect(), &options).expect("numbers are known").workloads
}

/// The number that is taken of a page, what it says, and its limit; bytes.
fn told(page: &str, is_heap: bool) -> Option<(String, f64, Option<f64>)> {
    let all = scraped(page, POD, Some(512.0 * MIB));
    let mut of = all.iter().filter(|w| w.is_heap == is_heap);
    let one = of.next()?;
    assert!(of.next().is_none() && one.replicas.len() == 1, "one process has one number: {all:#?}");
    let replica = &one.replicas[0];
    Some((one.number.clone(), replica.lives.last()?.points.last()?.v, replica.limit()))
}

#[test]
fn heaps_and_their_limits_are_those_that_runtimes_export() {
    for (page, number, used, limit) in [
        (
            include_str!("pages/jvm-micrometer-g1.txt"),
            "heap after collection (jvm_gc_live_data_size_bytes)",
            1.144_978_4e7,
            2.684_354_56e8,
        ),
        (
            include_str!("pages/jvm-otel-g1.txt"),
            "heap after collection (jvm.memory.used_after_last_gc)",
            2.502_912_8e7,
            2.684_354_56e8,
        ),
        (include_str!("pages/go-client.txt"), "live heap (go_gc_heap_live_bytes)", 376_784.0, 512.0 * MIB),
        (
            include_str!("pages/go-otel.txt"),
            "heap before its next collection (go.memory.gc.goal)",
            4_194_304.0,
            512.0 * MIB,
        ),
        // No limit of the program's own: half of the container's.
        (
            include_str!("pages/go-prometheus-3.txt"),
            "live heap (go_gc_heap_live_bytes)",
            f64::NAN,
            256.0 * MIB,
        ),
        (include_str!("pages/node-otel.txt"), "old space (v8js.memory.heap.used)", 6_706_200.0, 512.0 * MIB),
        // What it calls a limit is what is committed.
        (include_str!("pages/node-otel-old.txt"), "old space (v8js.memory.heap.used)", f64::NAN, 512.0 * MIB),
        (
            include_str!("pages/node-prom-client.txt"),
            "old space (nodejs_heap_space_size_used_bytes)",
            f64::NAN,
            512.0 * MIB,
        ),
    ] {
        let (name, value, bytes) = told(page, true).unwrap_or_else(|| panic!("no heap: {page}"));
        assert_eq!((name.as_str(), bytes), (number, Some(limit)), "{page}");
        assert!(used.is_nan() || value == used, "{value}: {page}");
    }
}

#[test]
fn processes_are_told_by_what_their_libraries_export() {
    let resident = "resident memory (process_resident_memory_bytes)";
    for page in [
        include_str!("pages/python-client.txt"),
        include_str!("pages/python-otel.txt"),
        include_str!("pages/go-client.txt"),
        include_str!("pages/node-prom-client.txt"),
    ] {
        let (number, _, limit) = told(page, false).unwrap_or_else(|| panic!("no process: {page}"));
        assert_eq!((number.as_str(), limit), (resident, Some(512.0 * MIB)), "{page}");
        let started = page.lines().find_map(|l| l.strip_prefix("process_start_time_seconds "));
        let started: f64 = started.and_then(|v| v.parse().ok()).expect("a start");
        let life = &scraped(page, POD, None)[0].replicas[0].lives[0];
        assert_eq!(life.start, started, "{page}");
    }
    let of = |drop: &str| {
        let page = include_str!("pages/python-otel.txt");
        let lines: Vec<&str> = page.lines().filter(|l| !drop.split('|').any(|d| l.starts_with(d))).collect();
        told(&lines.join("\n"), false).map(|(number, ..)| number)
    };
    assert_eq!(of("process_resident").as_deref(), Some("resident memory (process.memory.usage)"));
    assert_eq!(
        of("process_resident|process_memory_usage").as_deref(),
        Some("resident memory (process.runtime.cpython.memory)")
    );
    // By the group of the exporter, wherever it runs.
    let all =
        scraped(include_str!("pages/process-exporter.txt"), &[("job", "host"), ("instance", "h:9256")], None);
    assert_eq!(all[0].number, "resident memory (process-exporter)", "{all:#?}");
    assert_eq!(all[0].replicas[0].lives[0].points[0].v, 1_687_552.0);
}

#[test]
fn requests_are_counted_by_what_servers_export() {
    for page in [
        include_str!("pages/jvm-micrometer-g1.txt"),
        include_str!("pages/jvm-otel-g1.txt"),
        include_str!("pages/node-express.txt"),
        include_str!("pages/node-otel.txt"),
        include_str!("pages/node-otel-old.txt"),
        include_str!("pages/python-fastapi.txt"),
    ] {
        let with_memory = format!("{page}\nprocess_resident_memory_bytes 1e8\n");
        let all = scraped(&with_memory, POD, None);
        assert!(!all[0].replicas[0].load.is_empty(), "{page}");
    }
}

/// What cAdvisor tells of a machine with Docker: names of containers, no pods, and groups of the machine that are none.
#[test]
fn containers_of_a_machine_without_a_cluster_are_told_by_their_names() {
    let of = |name: &str, id: &str, mib: f64| {
        let labels = format!(r#"{{id="{id}",image="shop:1",name="{name}"}}"#);
        format!(
            "container_memory_rss{labels} {}\ncontainer_spec_memory_limit_bytes{labels} {}\ncontainer_start_time_seconds{labels} 1789999000\n",
            mib * MIB,
            256.0 * MIB
        )
    };
    let machine = "container_memory_rss{id=\"/system.slice\"} 5e9\ncontainer_memory_rss{id=\"/\"} 9e9\n";
    let page = of("shop-api-1", "/docker/a1", 100.0) + &of("shop-db-1", "/docker/b2", 50.0) + machine;
    let all = scraped(&page, &[("job", "cadvisor"), ("instance", "h:8080")], None);
    let told: Vec<_> = all.iter().map(|w| (w.name.as_str(), w.replicas[0].limit())).collect();
    let limit = Some(256.0 * MIB);
    assert_eq!(told, [("shop-api-1", limit), ("shop-db-1", limit)], "{all:#?}");
    assert_eq!(all[0].replicas[0].lives[0].start, 1_789_999_000.0);
}
