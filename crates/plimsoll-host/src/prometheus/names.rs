//! Which metrics tell what, as data: one row a number. What nobody exports is no error: the next row is tried.

use plimsoll_core::slope::{Death, Samples};

/// A condition on a label: one of these values, or none of them.
#[derive(Debug, Clone, Copy)]
pub struct Matcher {
    /// Name of the label.
    pub label: &'static str,
    /// Whether the values are those that it must not have.
    pub not: bool,
    /// Values, letter by letter.
    pub values: &'static [&'static str],
}

/// Series of one name.
#[derive(Debug, Clone, Copy)]
pub struct Metric<'a> {
    /// The name.
    pub name: &'a str,
    /// Which of them.
    pub only: &'a [Matcher],
}

/// A number that may run against a limit.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// The metric.
    pub metric: Metric<'static>,
    /// What it is, in words.
    pub words: &'static str,
    /// What its samples are.
    pub samples: Samples,
    /// How the limit ends the process.
    pub death: Death,
    /// Labels of its parts, which are summed: spaces and generations of one heap.
    pub parts: &'static [&'static str],
    /// What limits it, best first, and the share of that which it reaches.
    pub limits: &'static [(Metric<'static>, f64)],
    /// Share of the container's limit at which it ends, where none of these limits is known.
    pub of_container: Option<f64>,
}

impl Number {
    /// Whether it is the heap of a runtime, a part of what the process uses.
    pub fn is_heap(&self) -> bool {
        HEAPS.iter().any(|heap| heap.metric.name == self.metric.name)
    }
}

const fn all(name: &'static str) -> Metric<'static> {
    Metric { name, only: &[] }
}

const fn is(label: &'static str, values: &'static [&'static str]) -> Matcher {
    Matcher { label, not: false, values }
}

/// Real containers: cAdvisor also has rows for pods as a whole, and for what holds their namespaces.
const CONTAINERS: &[Matcher] = &[Matcher { label: "container", not: true, values: &["", "POD"] }];

/// Spaces of a JVM's heap in which what lives long ends up, as its collectors name them.
const OLD: &[&str] = &[
    "G1 Old Gen",
    "PS Old Gen",
    "Tenured Gen",
    "CMS Old Gen",
    "ZHeap",
    "ZGC Old Generation",
    "Shenandoah",
    "Shenandoah Old Gen",
];

const fn whole(name: &'static str, words: &'static str, only: &'static [Matcher]) -> Number {
    Number {
        metric: Metric { name, only },
        words,
        samples: Samples::Raw,
        death: Death::AtUsage,
        parts: &[],
        limits: &[],
        of_container: Some(1.0),
    }
}

/// What a collection left, of a heap that has a limit of its own.
const fn floor(metric: Metric<'static>, words: &'static str, parts: &'static [&'static str]) -> Number {
    Number {
        metric,
        words,
        samples: Samples::PostCollection,
        death: Death::AtFloor,
        parts,
        limits: &[],
        of_container: None,
    }
}

/// Numbers of containers, best first: the page cache in the working set is given back under pressure, and no leak.
pub const USAGE: &[Number] = &[
    whole("container_memory_rss", "anonymous memory (container_memory_rss)", CONTAINERS),
    whole(
        "container_memory_working_set_bytes",
        "working set (container_memory_working_set_bytes)",
        CONTAINERS,
    ),
    whole("container_memory_rss", "anonymous memory (container_memory_rss)", NAMED),
];

/// Containers of a machine without a cluster: there cAdvisor tells the name that the container has, and no pod.
pub const NAMED: &[Matcher] = &[
    Matcher { label: "container", not: false, values: &[""] },
    Matcher { label: "name", not: true, values: &[""] },
];

/// What a table in a file has: its header does not say more.
pub const TABLE: Number = whole(plimsoll_read::table::USAGE, "usage, as the table has it", &[]);

/// Numbers of processes, where nobody tells of containers.
pub const PROCESSES: &[Number] = &[
    whole("process_resident_memory_bytes", "resident memory (process_resident_memory_bytes)", &[]),
    whole(
        "namedprocess_namegroup_memory_bytes",
        "resident memory (process-exporter)",
        &[is("memtype", &["resident"])],
    ),
    whole("process_memory_usage_bytes", "resident memory (process.memory.usage)", &[]),
    whole(
        "process_runtime_cpython_memory_bytes",
        "resident memory (process.runtime.cpython.memory)",
        &[is("type", &["rss"])],
    ),
    whole(
        "dotnet_process_memory_working_set_bytes",
        "resident memory (dotnet.process.memory.working_set)",
        &[],
    ),
    whole("process_working_set_bytes", "resident memory (process_working_set_bytes)", &[]),
    whole("process_private_memory_bytes", "private memory (process_private_memory_bytes)", &[]),
];

/// Floors of heaps, best first: of each process the first one is taken that it has.
pub const HEAPS: &[Number] = &[
    Number {
        limits: &[
            (Metric { name: "jvm_memory_pool_max_bytes", only: &[is("pool", OLD)] }, 1.0),
            (Metric { name: "jvm_memory_pool_bytes_max", only: &[is("pool", OLD)] }, 1.0),
            (Metric { name: "jvm_memory_max_bytes", only: &[is("area", &["heap"])] }, 1.0),
            (Metric { name: "jvm_memory_bytes_max", only: &[is("area", &["heap"])] }, 1.0),
        ],
        ..floor(
            Metric { name: "jvm_memory_pool_collection_used_bytes", only: &[is("pool", OLD)] },
            "heap after collection (jvm_memory_pool_collection_used_bytes)",
            &["pool"],
        )
    },
    Number {
        limits: &[
            (all("jvm_gc_max_data_size_bytes"), 1.0),
            (Metric { name: "jvm_memory_max_bytes", only: &[is("id", OLD)] }, 1.0),
        ],
        ..floor(
            all("jvm_gc_live_data_size_bytes"),
            "heap after collection (jvm_gc_live_data_size_bytes)",
            &[],
        )
    },
    Number {
        limits: &[(Metric { name: "jvm_memory_limit_bytes", only: &[is("jvm_memory_pool_name", OLD)] }, 1.0)],
        ..floor(
            Metric { name: "jvm_memory_used_after_last_gc_bytes", only: &[is("jvm_memory_pool_name", OLD)] },
            "heap after collection (jvm.memory.used_after_last_gc)",
            &["jvm_memory_pool_name", "jvm_memory_type"],
        )
    },
    // With GOGC=100 the heap grows to twice what lives before it is collected.
    Number {
        limits: &[(all("go_gc_gomemlimit_bytes"), 1.0)],
        of_container: Some(0.5),
        ..floor(all("go_gc_heap_live_bytes"), "live heap (go_gc_heap_live_bytes)", &[])
    },
    Number {
        limits: &[(all("go_gc_gomemlimit_bytes"), 1.0)],
        of_container: Some(1.0),
        ..floor(
            all("go_memstats_next_gc_bytes"),
            "heap before its next collection (go_memstats_next_gc_bytes)",
            &[],
        )
    },
    Number {
        limits: &[(all("go_memory_limit_bytes"), 1.0)],
        of_container: Some(1.0),
        ..floor(all("go_memory_gc_goal_bytes"), "heap before its next collection (go.memory.gc.goal)", &[])
    },
    v8(
        Metric { name: "v8js_memory_heap_used_bytes", only: OLD_SPACE },
        "old space (v8js.memory.heap.used)",
        &["v8js_heap_space_name"],
    ),
    // The exporter of OpenTelemetry for Node.js adds no unit to its names; whoever translates them elsewhere does.
    v8(
        Metric { name: "v8js_memory_heap_used", only: OLD_SPACE },
        "old space (v8js.memory.heap.used)",
        &["v8js_heap_space_name"],
    ),
    v8(
        Metric { name: "nodejs_heap_space_size_used_bytes", only: &[is("space", &["old"])] },
        "old space (nodejs_heap_space_size_used_bytes)",
        &["space"],
    ),
    v8(all("nodejs_heap_size_used_bytes"), "heap (nodejs_heap_size_used_bytes)", &[]),
    Number {
        of_container: Some(OF_DOTNET),
        ..floor(
            all("dotnet_gc_last_collection_heap_size_bytes"),
            "heap after collection (dotnet.gc.last_collection.heap.size)",
            &["gc_heap_generation", "dotnet_gc_heap_generation"],
        )
    },
    Number {
        of_container: Some(OF_DOTNET),
        ..floor(
            all("process_runtime_dotnet_gc_heap_size_bytes"),
            "heap after collection (process.runtime.dotnet.gc.heap.size)",
            &["generation"],
        )
    },
    Number {
        samples: Samples::Raw,
        of_container: Some(OF_DOTNET),
        ..floor(all("dotnet_total_memory_bytes"), "managed heap (dotnet_total_memory_bytes)", &[])
    },
];

/// Share of its container's limit that .NET gives its heap, where nobody says otherwise.
const OF_DOTNET: f64 = 0.75;
/// The space of V8's heap in which what lives long ends up, as OpenTelemetry names it.
const OLD_SPACE: &[Matcher] = &[is("v8js_heap_space_name", &["old_space"])];

/// A heap of V8. Nobody exports its limit (what OpenTelemetry once called so was what is committed): it is somewhere below the container's.
const fn v8(metric: Metric<'static>, words: &'static str, parts: &'static [&'static str]) -> Number {
    Number { samples: Samples::Raw, of_container: Some(1.0), ..floor(metric, words, parts) }
}

/// Requests that were served, as counters; best first.
pub const LOADS: &[Metric<'_>] = &[
    all("http_server_requests_seconds_count"),
    all("http_server_request_duration_seconds_count"),
    all("http_server_request_duration_count"),
    all("http_server_duration_milliseconds_count"),
    all("http_server_duration_count"),
    all("http_request_duration_seconds_count"),
    all("http_requests_total"),
    all("http_requests_received_total"),
    all("grpc_server_handled_total"),
    all("rpc_server_duration_milliseconds_count"),
    all("rpc_server_call_duration_seconds_count"),
    // What a pod asks of others is counted by its own side, too.
    Metric { name: "istio_requests_total", only: &[is("reporter", &["destination"])] },
];

/// Labels that tell the cluster, where one server knows several.
pub const CLUSTERS: &[&str] = &["cluster", "cluster_name", "k8s_cluster_name"];

/// Seconds in which something in a container waited for memory, as a counter; its pressure (PSI).
pub const WAITS: Metric<'_> =
    Metric { name: "container_pressure_memory_waiting_seconds_total", only: CONTAINERS };
/// What our own agent says of the net, and its label for whom it says it of.
pub const NET: Metric<'_> = all("plimsoll_net_ready");
pub const NET_OF: &str = "workload";

/// The limit of a container's specification, which is told only where there is one.
pub const SPECIFIED: Metric<'_> =
    Metric { name: "kube_pod_container_resource_limits", only: &[is("resource", &["memory"])] };
/// Limits, by namespace, pod and container; best first.
pub const LIMITS: &[Metric<'_>] = &[
    SPECIFIED,
    Metric { name: "container_spec_memory_limit_bytes", only: CONTAINERS },
    Metric { name: "container_spec_memory_limit_bytes", only: NAMED },
];

/// Memory of a node, best first: no limit of a container is above that of the largest.
pub const NODES: &[Metric<'_>] = &[
    Metric { name: "kube_node_status_capacity", only: &[is("resource", &["memory"])] },
    all("machine_memory_bytes"),
    all("node_memory_MemTotal_bytes"),
];

/// Start of a container's process, Unix seconds; and of a process that tells of itself.
pub const START: &[Metric<'_>] = &[
    Metric { name: "container_start_time_seconds", only: CONTAINERS },
    Metric { name: "container_start_time_seconds", only: NAMED },
];
pub const PROCESS_START: &[Metric<'_>] =
    &[all("process_start_time_seconds"), all("namedprocess_namegroup_oldest_start_time_seconds")];
/// Who owns a pod, and who a replica set: labels `owner_kind`, `owner_name`.
pub const POD_OWNER: Metric<'_> = all("kube_pod_owner");
pub const REPLICASET_OWNER: Metric<'_> = all("kube_replicaset_owner");
/// Which image a container runs, by its digest: labels `image`, `image_id`.
pub const INFO: Metric<'_> = all("kube_pod_container_info");
/// Labels of containers that the series of some metrics do not have: who selects by them means these series, too.
const WITHOUT: &[(&str, &[&str])] = &[
    (POD_OWNER.name, &["container", "id", "image", "name"]),
    (REPLICASET_OWNER.name, &["pod", "container", "id", "image", "name", "node"]),
];

/// Whether the series of a metric have no such label.
pub fn is_without(metric: &str, label: &str) -> bool {
    WITHOUT.iter().any(|(name, labels)| *name == metric && labels.contains(&label))
}

/// Why a container ended last: label `reason`.
pub const ENDED: Metric<'_> = all("kube_pod_container_status_last_terminated_reason");
/// The reason of a kill for want of memory.
pub const KILLED: &str = "OOMKilled";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_whole_and_stands_once() {
        let mut seen = std::collections::BTreeSet::new();
        for number in USAGE.iter().chain(PROCESSES).chain(HEAPS) {
            let only: Vec<_> = number.metric.only.iter().map(|m| (m.label, m.not, m.values)).collect();
            assert!(seen.insert((number.metric.name, only)), "{} stands twice", number.metric.name);
            assert!(!number.words.is_empty());
            for m in number.metric.only {
                assert!(!m.values.is_empty(), "{} of {}", m.label, number.metric.name);
            }
            for (_, share) in number.limits {
                assert!(*share > 0.0 && *share <= 1.0);
            }
        }
    }
}
