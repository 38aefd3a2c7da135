//! The panels that an incident leaves behind, as data: what is shown, in which unit, from which query. They speak of the series
//! that the rules record, and of little else.

use super::rules::Source;

/// How a panel is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines over time.
    Lines,
    /// The number now.
    Number,
    /// Rows.
    Table,
}

/// Unit of a panel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Seconds.
    Seconds,
    /// A count.
    Count,
}

/// One query of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What it is called in the legend, with labels as `{{pod}}`.
    pub legend: &'static str,
    /// PromQL with `$workload` and `$instance` for what is chosen.
    pub expr: String,
}

/// One panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// How to read it.
    pub help: &'static str,
    /// How it is drawn.
    pub form: Form,
    /// Unit.
    pub unit: Unit,
    /// Width in 24ths, height in rows.
    pub size: (u8, u8),
    /// Its queries; only what somebody exports.
    pub queries: Vec<Query>,
}

/// A mark on the time line whose time is the value of a series, in milliseconds.
pub const STARTS: &str = r#"plimsoll:start:newest{workload=~"$workload"} * 1000"#;

/// A panel of the table: with each query, whose series it shows.
struct Row {
    title: &'static str,
    help: &'static str,
    form: Form,
    unit: Unit,
    size: (u8, u8),
    queries: &'static [(&'static [Source], &'static str, &'static str)],
}

const CLUSTER: &[Source] = &[Source::Kubernetes];
const PROGRAM: &[Source] = &[Source::Program];
const AGENT: &[Source] = &[Source::Agent];
const OF_MEMORY: &[Source] = &[Source::Kubernetes, Source::Agent];
const OF_COUNTS: &[Source] = &[Source::Program, Source::Agent];

/// All panels, in the order in which they are read. `{workload}` and `{instance}` stand for what is chosen of these.
const ROWS: &[Row] = &[
    Row {
        title: "Time to the limit",
        help: "Headroom by the slope of the floor, of who climbs and goes on. Empty: nobody does.",
        form: Form::Number,
        unit: Unit::Seconds,
        size: (8, 6),
        queries: &[(OF_MEMORY, "{{workload}}", "min by (workload) (plimsoll:clock:seconds{workload})")],
    },
    Row {
        title: "What fires",
        help: "Alerts of plimsoll guard rules that fire or are about to.",
        form: Form::Table,
        unit: Unit::Count,
        size: (16, 6),
        queries: &[(
            OF_MEMORY,
            "",
            r#"sum by (alertname, alertstate, severity, namespace, workload, pod, instance) (ALERTS{alertname=~"Plimsoll.*"})"#,
        )],
    },
    Row {
        title: "Memory: floor, in use, limit",
        help: "The floor is the lowest of 15 minutes: what collections leave. Marks are starts and flags.",
        form: Form::Lines,
        unit: Unit::Bytes,
        size: (24, 9),
        queries: &[
            (OF_MEMORY, "floor {{pod}}{{instance}}", "plimsoll:floor:bytes{workload}"),
            (OF_MEMORY, "limit {{workload}}", "max by (workload) (plimsoll:limit:bytes{workload})"),
            (
                CLUSTER,
                "in use {{pod}}",
                r#"max by (pod) (container_memory_rss{container!="",container!="POD",pod=~"($workload)(-.+)?"})"#,
            ),
            (AGENT, "in use {{workload}}", "plimsoll_used_bytes{workload}"),
        ],
    },
    Row {
        title: "Slope of the floor",
        help: "Over three hours. \"goes on\" is the same where both halves climb, within one life, above yesterday; \"steady\" is what tickets are written for.",
        form: Form::Lines,
        unit: Unit::BytesPerSecond,
        size: (24, 7),
        queries: &[
            (OF_MEMORY, "slope {{pod}}{{instance}}", "plimsoll:floor:slope{workload}"),
            (OF_MEMORY, "goes on {{pod}}{{instance}}", "plimsoll:floor:climb{workload}"),
            (OF_MEMORY, "steady {{pod}}{{instance}}", "plimsoll:floor:steady_climb{workload}"),
            (AGENT, "agent, {{quantile}} {{workload}}", "plimsoll_floor_slope_bytes_per_second{workload}"),
        ],
    },
    Row {
        title: "Heap against resident memory",
        help: "Both climb: the heap leaks. Only what is beside the heap climbs: native memory or fragmentation, no heap dump shows it.",
        form: Form::Lines,
        unit: Unit::Bytes,
        size: (12, 8),
        queries: &[
            (PROGRAM, "heap after collections {{instance}}", "plimsoll:heap:floor{instance}"),
            (PROGRAM, "bound of the heap {{instance}}", "plimsoll:heap:limit{instance}"),
            (PROGRAM, "beside the heap {{instance}}", "plimsoll:native:floor{instance}"),
            (PROGRAM, "resident {{instance}}", "process_resident_memory_bytes{instance}"),
            (AGENT, "heap after collections {{workload}}", "plimsoll_live_bytes{workload}"),
        ],
    },
    Row {
        title: "Goroutines, threads, descriptors",
        help: "Floors of what accumulates.",
        form: Form::Lines,
        unit: Unit::Count,
        size: (12, 8),
        queries: &[
            (OF_COUNTS, "goroutines {{instance}}", "plimsoll:goroutines:floor{instance}"),
            (OF_COUNTS, "threads {{instance}}", "plimsoll:threads:floor{instance}"),
            (OF_COUNTS, "descriptors {{instance}}", "plimsoll:fds:floor{instance}"),
        ],
    },
    Row {
        title: "Slope by version",
        help: "The mean slope of the pods of each image: which version brought it?",
        form: Form::Table,
        unit: Unit::BytesPerSecond,
        size: (24, 7),
        queries: &[(
            CLUSTER,
            "",
            "avg by (namespace, workload, image) (plimsoll:floor:slope{workload} * on (namespace, pod, container) group_left (image) max by (namespace, pod, container, image) (kube_pod_container_info))",
        )],
    },
];

/// The panels for what these sources export, in the order in which they are read.
pub fn panels(sources: &[Source]) -> Vec<Panel> {
    ROWS.iter().map(|row| row.panel(sources)).filter(|panel| !panel.queries.is_empty()).collect()
}

impl Row {
    fn panel(&self, sources: &[Source]) -> Panel {
        let shown = self.queries.iter().filter(|(of, ..)| of.iter().any(|source| sources.contains(source)));
        let queries = shown.map(|(_, legend, expr)| Query { legend, expr: chosen(expr) }).collect();
        let Row { title, help, form, unit, size, .. } = *self;
        Panel { title, help, form, unit, size, queries }
    }
}

/// With the selectors of what is chosen: programs tell an instance of themselves, and no workload.
fn chosen(expr: &str) -> String {
    expr.replace("{workload}", r#"{workload=~"$workload"}"#)
        .replace("{instance}", r#"{instance=~"$instance"}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::rules::{Thresholds, groups};

    #[test]
    fn every_panel_has_something_to_show_and_rows_are_full() {
        for sources in [Source::ALL, &[Source::Kubernetes], &[Source::Program], &[Source::Agent]] {
            let panels = panels(sources);
            assert!(!panels.is_empty() && panels.iter().all(|p| !p.queries.is_empty()), "{sources:?}");
            let width: u32 = panels.iter().map(|p| u32::from(p.size.0)).sum();
            assert_eq!(width % 24, 0, "{sources:?}");
        }
    }

    #[test]
    fn what_is_shown_is_recorded() {
        let recorded: Vec<&str> = groups(Source::ALL, &Thresholds::default())
            .iter()
            .flat_map(|group| group.rules.iter().map(|rule| rule.name))
            .collect();
        for query in ROWS.iter().flat_map(|row| row.queries) {
            let named = |at: usize| query.2[at..].split(|c| "{() ".contains(c)).next().unwrap_or_default();
            for (at, _) in query.2.match_indices("plimsoll:") {
                assert!(recorded.contains(&named(at)), "{}", query.2);
            }
        }
    }
}
