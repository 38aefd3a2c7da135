//! The panels that an incident leaves behind, as data: what is shown, in which unit, from which query. They speak of the series
//! that the rules record, and of little else.

use super::rules::{CLIMB, CLOCK, FDS, FLOOR, GOROUTINES, HEAP, HEAP_LIMIT, LIMIT, SLOPE, Source, THREADS};

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

/// A recorded series of the workloads that are chosen.
fn of(series: &str) -> String {
    format!(r#"{series}{{workload=~"$workload"}}"#)
}

/// A recorded series of the programs that are chosen: these tell an instance of themselves.
fn by_instance(series: &str) -> String {
    format!(r#"{series}{{instance=~"$instance"}}"#)
}

fn query(legend: &'static str, expr: impl Into<String>) -> Query {
    Query { legend, expr: expr.into() }
}

/// The panels for what these sources export, in the order in which they are read.
pub fn panels(sources: &[Source]) -> Vec<Panel> {
    let (kubernetes, agent) = (sources.contains(&Source::Kubernetes), sources.contains(&Source::Agent));
    let mut panels = Vec::new();
    if kubernetes || agent {
        panels.extend([clock(), firing(), memory(sources), slope(sources)]);
    }
    if sources.contains(&Source::Program) || agent {
        panels.extend([heap(sources), counts()]);
    }
    if kubernetes {
        panels.push(versions());
    }
    panels
}

fn clock() -> Panel {
    Panel {
        title: "Time to the limit",
        help: "Headroom by the slope of the floor, of who climbs and goes on. Empty: nobody does.",
        form: Form::Number,
        unit: Unit::Seconds,
        size: (8, 6),
        queries: vec![query("{{workload}}", format!("min by (workload) ({})", of(CLOCK)))],
    }
}

fn firing() -> Panel {
    Panel {
        title: "What fires",
        help: "Alerts of plimsoll guard rules that fire or are about to.",
        form: Form::Table,
        unit: Unit::Count,
        size: (16, 6),
        queries: vec![query(
            "",
            r#"sum by (alertname, alertstate, severity, namespace, workload, pod, instance) (ALERTS{alertname=~"Plimsoll.*"})"#,
        )],
    }
}

fn memory(sources: &[Source]) -> Panel {
    let mut queries = vec![
        query("floor {{pod}}{{instance}}", of(FLOOR)),
        query("limit {{workload}}", format!("max by (workload) ({})", of(LIMIT))),
    ];
    if sources.contains(&Source::Kubernetes) {
        let raw =
            r#"max by (pod) (container_memory_rss{container!="",container!="POD",pod=~"($workload)(-.+)?"})"#;
        queries.push(query("in use {{pod}}", raw));
    }
    if sources.contains(&Source::Agent) {
        queries.push(query("in use {{workload}}", of("plimsoll_used_bytes")));
    }
    Panel {
        title: "Memory: floor, in use, limit",
        help: "The floor is the lowest of 15 minutes: what collections leave. Marks are starts and flags.",
        form: Form::Lines,
        unit: Unit::Bytes,
        size: (24, 9),
        queries,
    }
}

fn slope(sources: &[Source]) -> Panel {
    let mut queries =
        vec![query("slope {{pod}}{{instance}}", of(SLOPE)), query("goes on {{pod}}{{instance}}", of(CLIMB))];
    if sources.contains(&Source::Agent) {
        queries.push(query("agent, {{quantile}} {{workload}}", of("plimsoll_floor_slope_bytes_per_second")));
    }
    Panel {
        title: "Slope of the floor",
        help: "Over three hours. \"goes on\" is the same where both halves climb, within one life, above yesterday.",
        form: Form::Lines,
        unit: Unit::BytesPerSecond,
        size: (24, 7),
        queries,
    }
}

fn heap(sources: &[Source]) -> Panel {
    let mut queries = Vec::new();
    if sources.contains(&Source::Program) {
        queries.extend([
            query("heap after collections {{instance}}", by_instance(HEAP)),
            query("bound of the heap {{instance}}", by_instance(HEAP_LIMIT)),
            query("beside the heap {{instance}}", by_instance("plimsoll:native:floor")),
            query("resident {{instance}}", by_instance("process_resident_memory_bytes")),
        ]);
    }
    if sources.contains(&Source::Agent) {
        queries.push(query("heap after collections {{workload}}", of("plimsoll_live_bytes")));
    }
    Panel {
        title: "Heap against resident memory",
        help: "Both climb: the heap leaks. Only what is beside the heap climbs: native memory or fragmentation, no heap dump shows it.",
        form: Form::Lines,
        unit: Unit::Bytes,
        size: (12, 8),
        queries,
    }
}

fn counts() -> Panel {
    Panel {
        title: "Goroutines, threads, descriptors",
        help: "Floors of what accumulates.",
        form: Form::Lines,
        unit: Unit::Count,
        size: (12, 8),
        queries: vec![
            query("goroutines {{instance}}", by_instance(GOROUTINES)),
            query("threads {{instance}}", by_instance(THREADS)),
            query("descriptors {{instance}}", by_instance(FDS)),
        ],
    }
}

fn versions() -> Panel {
    let info = "max by (namespace, pod, container, image) (kube_pod_container_info)";
    Panel {
        title: "Slope by version",
        help: "The mean slope of the pods of each image: which version brought it?",
        form: Form::Table,
        unit: Unit::BytesPerSecond,
        size: (24, 7),
        queries: vec![query(
            "",
            format!(
                "avg by (namespace, workload, image) ({} * on (namespace, pod, container) group_left (image) {info})",
                of(SLOPE)
            ),
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_panel_has_something_to_show_and_rows_are_full() {
        for sources in [Source::ALL, &[Source::Kubernetes], &[Source::Program], &[Source::Agent]] {
            let panels = panels(sources);
            assert!(!panels.is_empty() && panels.iter().all(|p| !p.queries.is_empty()), "{sources:?}");
            let width: u32 = panels.iter().map(|p| u32::from(p.size.0)).sum();
            assert_eq!(width % 24, 0, "{sources:?}");
        }
    }
}
