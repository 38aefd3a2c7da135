//! Which metrics tell what, as data: one row a number. What nobody exports is no error: the next row is tried.

use plimsoll_core::slope::{Death, Samples};

/// A number that may run against a limit.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// Name of the metric.
    pub metric: &'static str,
    /// What it is, in words.
    pub words: &'static str,
    /// What its samples are.
    pub samples: Samples,
    /// How the limit ends the process.
    pub death: Death,
}

/// Numbers of containers, best first: the page cache in the working set is given back under pressure, and no leak.
pub const USAGE: &[Number] = &[
    Number {
        metric: "container_memory_rss",
        words: "anonymous memory (container_memory_rss)",
        samples: Samples::Raw,
        death: Death::AtUsage,
    },
    Number {
        metric: "container_memory_working_set_bytes",
        words: "working set (container_memory_working_set_bytes)",
        samples: Samples::Raw,
        death: Death::AtUsage,
    },
];

/// Limits, by namespace, pod and container; best first, with the labels that pick the limit of memory.
pub const LIMITS: &[(&str, &str)] = &[
    ("kube_pod_container_resource_limits", r#"resource="memory""#),
    ("container_spec_memory_limit_bytes", r#"container!="",container!="POD""#),
];

/// Start of a container's process, Unix seconds.
pub const START: &str = "container_start_time_seconds";
/// Who owns a pod, and who a replica set: labels `owner_kind`, `owner_name`.
pub const POD_OWNER: &str = "kube_pod_owner";
pub const REPLICASET_OWNER: &str = "kube_replicaset_owner";
/// Why a container ended last: label `reason`.
pub const ENDED: &str = "kube_pod_container_status_last_terminated_reason";
/// The reason of a kill for want of memory.
pub const KILLED: &str = "OOMKilled";
