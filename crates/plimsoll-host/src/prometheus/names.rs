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
    whole("process_private_memory_bytes", "private memory (process_private_memory_bytes)", &[]),
];

/// Floors of heaps, best first: of each process the first one is taken that it has.
pub const HEAPS: &[Number] = &[
    Number {
        limits: &[
            (Metric { name: "jvm_memory_pool_max_bytes", only: &[is("pool", OLD)] }, 1.0),
            (Metric { name: "jvm_memory_max_bytes", only: &[is("area", &["heap"])] }, 1.0),
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
        samples: Samples::Raw,
        limits: &[(all("v8js_memory_heap_limit_bytes"), 1.0)],
        ..floor(
            Metric {
                name: "v8js_memory_heap_used_bytes",
                only: &[is("v8js_heap_space_name", &["old_space"])],
            },
            "old space (v8js.memory.heap.used)",
            &["v8js_heap_space_name"],
        )
    },
    Number {
        samples: Samples::Raw,
        ..floor(
            Metric { name: "nodejs_heap_space_size_used_bytes", only: &[is("space", &["old"])] },
            "old space (nodejs_heap_space_size_used_bytes)",
            &["space"],
        )
    },
    floor(
        all("dotnet_gc_last_collection_heap_size_bytes"),
        "heap after collection (dotnet.gc.last_collection.heap.size)",
        &["gc_heap_generation", "dotnet_gc_heap_generation"],
    ),
    Number {
        samples: Samples::Raw,
        ..floor(all("dotnet_total_memory_bytes"), "managed heap (dotnet_total_memory_bytes)", &[])
    },
];

/// Requests that were served, as counters; best first.
pub const LOADS: &[Metric<'_>] = &[
    all("http_server_requests_seconds_count"),
    all("http_server_request_duration_seconds_count"),
    all("http_server_duration_milliseconds_count"),
    all("http_request_duration_seconds_count"),
    all("http_requests_total"),
    all("http_requests_received_total"),
    all("grpc_server_handled_total"),
    all("rpc_server_duration_milliseconds_count"),
    all("istio_requests_total"),
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
pub const LIMITS: &[Metric<'_>] =
    &[SPECIFIED, Metric { name: "container_spec_memory_limit_bytes", only: CONTAINERS }];

/// Memory of a node, best first: no limit of a container is above that of the largest.
pub const NODES: &[Metric<'_>] = &[
    Metric { name: "kube_node_status_capacity", only: &[is("resource", &["memory"])] },
    all("machine_memory_bytes"),
    all("node_memory_MemTotal_bytes"),
];

/// Start of a container's process, Unix seconds; and of a process that tells of itself.
pub const START: Metric<'_> = Metric { name: "container_start_time_seconds", only: CONTAINERS };
pub const PROCESS_START: &[Metric<'_>] =
    &[all("process_start_time_seconds"), all("namedprocess_namegroup_oldest_start_time_seconds")];
/// Who owns a pod, and who a replica set: labels `owner_kind`, `owner_name`.
pub const POD_OWNER: Metric<'_> = all("kube_pod_owner");
pub const REPLICASET_OWNER: Metric<'_> = all("kube_replicaset_owner");
/// Which image a container runs, by its digest: labels `image`, `image_id`.
pub const INFO: Metric<'_> = all("kube_pod_container_info");
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
            assert!(seen.insert(number.metric.name), "{} stands twice", number.metric.name);
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
