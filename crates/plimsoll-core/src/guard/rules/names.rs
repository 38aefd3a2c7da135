//! Which metrics tell what, by who exports them: from these come the recorded series that every rule speaks of.

use super::{
    FDS, FDS_LIMIT, FLOOR, GOROUTINES, HEAP, HEAP_LIMIT, LIMIT, NATIVE_NOW, NO_LIMIT, OOM, START, THREADS,
};

/// Who exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Kubernetes: cAdvisor in the kubelets, and kube-state-metrics.
    Kubernetes,
    /// The program itself: Prometheus's clients for Go, Java (also Micrometer), Node.js, Python.
    Program,
    /// `plimsoll watch`.
    Agent,
}

impl Source {
    /// All.
    pub const ALL: &'static [Source] = &[Source::Kubernetes, Source::Program, Source::Agent];

    /// The label that tells it.
    pub fn name(self) -> &'static str {
        match self {
            Source::Kubernetes => "kubernetes",
            Source::Program => "program",
            Source::Agent => "agent",
        }
    }
}

/// A recorded series from what somebody exports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw {
    pub(super) source: Source,
    pub(super) record: &'static str,
    /// PromQL; `{window}` is that of the floor.
    pub(super) text: &'static str,
    /// Whether labels of a container are made out of it.
    pub(super) of_container: bool,
}

const fn of_container(record: &'static str, text: &'static str) -> Raw {
    Raw { source: Source::Kubernetes, record, text, of_container: true }
}

const fn program(record: &'static str, text: &'static str) -> Raw {
    Raw { source: Source::Program, record, text, of_container: false }
}

const fn agent(record: &'static str, text: &'static str) -> Raw {
    Raw { source: Source::Agent, record, text, of_container: false }
}

/// Every one, each only where somebody exports it. The page cache in a working set is given back under pressure and no leak:
/// anonymous memory is what climbs.
pub(super) const RAW: &[Raw] = &[
    of_container(FLOOR, r#"min_over_time(container_memory_rss{container!="",container!="POD"}[{window}])"#),
    of_container(
        LIMIT,
        r#"kube_pod_container_resource_limits{resource="memory"}
or on (namespace, pod, container)
(container_spec_memory_limit_bytes{container!="",container!="POD"} > 0) < 9e18"#,
    ),
    of_container(START, r#"container_start_time_seconds{container!="",container!="POD"}"#),
    of_container(
        OOM,
        r#"(kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1)
and on (namespace, pod, container)
increase(kube_pod_container_status_restarts_total[1h]) > 0
or increase(container_oom_events_total{container!="",container!="POD"}[1h]) > 0"#,
    ),
    of_container(
        NO_LIMIT,
        r#"kube_pod_container_info
unless on (namespace, pod, container)
kube_pod_container_resource_limits{resource="memory"}"#,
    ),
    program(START, "process_start_time_seconds"),
    program(GOROUTINES, "min_over_time(go_goroutines[{window}])"),
    program(
        THREADS,
        "min_over_time(jvm_threads_current[{window}])
or min_over_time(jvm_threads_live_threads[{window}])
or min_over_time(go_threads[{window}])",
    ),
    program(FDS, "min_over_time(process_open_fds[{window}])"),
    program(FDS_LIMIT, "process_max_fds"),
    program(
        NATIVE_NOW,
        r#"process_resident_memory_bytes
- (
  sum without (area, id) (jvm_memory_committed_bytes{area="heap"})
  or sum without (area) (jvm_memory_bytes_committed{area="heap"})
  or go_memstats_sys_bytes - go_memstats_heap_released_bytes
  or nodejs_heap_size_total_bytes + nodejs_external_memory_bytes
)"#,
    ),
    program(
        HEAP,
        "min_over_time(jvm_gc_live_data_size_bytes[{window}])
or sum without (pool) (min_over_time(jvm_memory_pool_collection_used_bytes[{window}]))",
    ),
    program(
        HEAP_LIMIT,
        r#"jvm_gc_max_data_size_bytes > 0
or sum without (area, id) (jvm_memory_max_bytes{area="heap"}) > 0"#,
    ),
    agent(FLOOR, "min_over_time(plimsoll_used_bytes[{window}])"),
    agent(LIMIT, "plimsoll_limit_bytes"),
    agent(START, "plimsoll_start_time_seconds"),
    agent(GOROUTINES, r#"sum without (kind) (min_over_time(plimsoll_tasks{kind="goroutine"}[{window}]))"#),
    agent(THREADS, r#"sum without (kind) (min_over_time(plimsoll_tasks{kind="thread"}[{window}]))"#),
    agent(OOM, "increase(plimsoll_kernel_kills_total[1h])"),
];

impl Raw {
    /// The rule's expression.
    pub(super) fn promql(&self, window: &str) -> String {
        let text = self.text.replace("{window}", window);
        if self.of_container { container(&text) } else { text }
    }
}

/// By container and by what owns its pod, told by the pod's name without what a controller adds: a container that is started
/// anew is the same one, and pods of one deployment are one workload.
fn container(text: &str) -> String {
    let inner = text.replace('\n', "\n    ");
    format!(
        r#"max by (namespace, workload, pod, container) (
  label_replace(label_replace(
    {inner},
    "workload", "$1", "pod", "(.*)"),
    "workload", "$1", "pod", "(.+?)(?:(?:-[0-9bcdfghjklmnpqrstvwxz]{{8,10}})?-[a-z0-9]{{5}}|-[0-9]+)")
)"#
    )
}
