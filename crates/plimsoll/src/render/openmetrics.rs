//! What the agent knows as metrics text. Series come and go with processes, so it is written anew each time.
//!
//! Labels are bounded: a workload and the name of its largest process, for so many workloads, the most endangered first.

use std::fmt::Write as _;

use plimsoll_core::agent::Level;
use plimsoll_core::fact::Fact;
use plimsoll_core::target::RuntimeKind;
use plimsoll_host::agent::Row;

/// Workloads that are told at most.
const MOST: usize = 500;
/// Characters of a label at most.
const LONGEST: usize = 200;

/// Which of the two texts: scrapers say which they read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// OpenMetrics 1.0.
    Open,
    /// Prometheus's older text.
    Plain,
}

impl Form {
    /// By a request's `Accept`.
    pub(crate) fn accepted(accept: &str) -> Form {
        if accept.contains("application/openmetrics-text") { Form::Open } else { Form::Plain }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Form::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Form::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What the agent counts of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Own {
    pub(crate) resident: f64,
    pub(crate) cpu: f64,
    pub(crate) looks: u64,
    pub(crate) stored: u64,
    pub(crate) failed: u64,
    pub(crate) killed: u64,
    pub(crate) series_bytes: u64,
    /// Samples sent to a remote server, and those that were given up.
    pub(crate) sent: u64,
    pub(crate) unsent: u64,
}

/// One number with its labels.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: f64,
}

/// A family of metrics.
struct Family {
    name: &'static str,
    kind: &'static str,
    unit: &'static str,
    help: &'static str,
    /// The numbers of one row.
    values: fn(&Row) -> Values,
}

/// Numbers, each with a label of its own where there are several.
type Values = Vec<(Option<(&'static str, &'static str)>, f64)>;

const FAMILIES: &[Family] = &[
    Family {
        name: "plimsoll_limit_bytes",
        kind: "gauge",
        unit: "bytes",
        help: "Memory limit of the workload.",
        values: |r| one(Some(r.limit)),
    },
    Family {
        name: "plimsoll_used_bytes",
        kind: "gauge",
        unit: "bytes",
        help: "Memory in use that cannot be reclaimed.",
        values: |r| one(Some(r.limit - r.danger.headroom)),
    },
    Family {
        name: "plimsoll_headroom_bytes",
        kind: "gauge",
        unit: "bytes",
        help: "Memory left below the limit.",
        values: |r| one(Some(r.danger.headroom)),
    },
    Family {
        name: "plimsoll_start_time_seconds",
        kind: "gauge",
        unit: "seconds",
        help: "Start of the workload's largest process, Unix seconds.",
        values: |r| one(Some(r.started).filter(|t| *t > 0.0)),
    },
    Family {
        name: "plimsoll_burn_bytes_per_second",
        kind: "gauge",
        unit: "bytes_per_second",
        help: "Growth over the last minutes that is believed to go on; 0 without one.",
        values: |r| one(Some(r.danger.burn)),
    },
    Family {
        name: "plimsoll_floor_bytes",
        kind: "gauge",
        unit: "bytes",
        help: "What stays of the number that runs against the limit that binds: the floor.",
        values: |r| one(r.forecast.as_ref().map(|f| f.floor)),
    },
    Family {
        name: "plimsoll_floor_slope_bytes_per_second",
        kind: "summary",
        unit: "bytes_per_second",
        help: "Slope of the floor: the ends and the middle of an interval of 80 %.",
        values: |r| quantiles(r.forecast.as_ref().map(|f| f.slope)),
    },
    Family {
        name: "plimsoll_time_to_oom_seconds",
        kind: "summary",
        unit: "seconds",
        help: "Time to the limit: the ends and the middle of an interval of 80 %; absent where it may never come.",
        values: |r| quantiles(r.forecast.as_ref().map(|f| f.seconds)),
    },
    Family {
        name: "plimsoll_leak_probability_ratio",
        kind: "gauge",
        unit: "ratio",
        help: "Probability of a climb without a plateau.",
        values: |r| one(r.forecast.as_ref().map(|f| f.p_leak)),
    },
    Family {
        name: "plimsoll_live_bytes",
        kind: "gauge",
        unit: "bytes",
        help: "Heap in use after the last collection.",
        values: |r| one(live(r)),
    },
    Family {
        name: "plimsoll_post_gc_occupancy_ratio",
        kind: "gauge",
        unit: "ratio",
        help: "Heap in use after the last collection, as a share of the workload's limit, and of the heap's own bound.",
        values: |r| {
            let of_limit = live(r).map(|v| (Some(("of", "limit")), v / r.limit));
            let of_heap = live(r).zip(heap_bound(r)).map(|(v, bound)| (Some(("of", "heap")), v / bound));
            of_limit.into_iter().chain(of_heap).collect()
        },
    },
    Family {
        name: "plimsoll_tasks",
        kind: "gauge",
        unit: "",
        help: "Goroutines of a Go program, Java threads of a JVM, threads of the process: what accumulates.",
        values: |r| {
            let of = |fact, kind| Some((Some(("kind", kind)), *r.inner.get(&fact)?));
            [of(Fact::Goroutines, "goroutine"), of(Fact::JvmThreads, "java"), of(Fact::Threads, "thread")]
                .into_iter()
                .flatten()
                .collect()
        },
    },
    Family {
        name: "plimsoll_net_ready",
        kind: "gauge",
        unit: "",
        help: "Whether evidence would be written at this limit, by an audit: 1 yes, 0 no; absent where it cannot be told.",
        values: |r| one(r.net.map(|on| f64::from(u8::from(on)))),
    },
    Family {
        name: "plimsoll_level",
        kind: "gauge",
        unit: "",
        help: "0 calm, 1 armed, 2 light, 3 heavy.",
        values: |r| {
            one(Some(match r.level {
                Level::Calm => 0.0,
                Level::Armed => 1.0,
                Level::Light => 2.0,
                Level::Heavy => 3.0,
            }))
        },
    },
];

fn one(value: Option<f64>) -> Values {
    value.map(|v| (None, v)).into_iter().collect()
}

/// The ends and the middle of an interval of 80 %.
fn quantiles(values: Option<[f64; 3]>) -> Values {
    let names = ["0.1", "0.5", "0.9"];
    values
        .into_iter()
        .flat_map(|v| names.into_iter().zip(v))
        .map(|(q, v)| (Some(("quantile", q)), v))
        .collect()
}

/// What is in use after a collection, of whichever runtime.
fn live(r: &Row) -> Option<f64> {
    [Fact::JvmLive, Fact::GoLive, Fact::V8Live].iter().find_map(|fact| r.inner.get(fact)).copied()
}

/// The bound of what [`live`] counts.
fn heap_bound(r: &Row) -> Option<f64> {
    let bounds = [Fact::JvmOldMax, Fact::JvmHeapMax, Fact::GoMemLimit, Fact::V8HeapLimit];
    bounds.iter().find_map(|fact| r.inner.get(fact)).copied().filter(|v| *v > 0.0)
}

/// The rows that are told: the nearest to their end first.
fn told(rows: &[Row]) -> Vec<&Row> {
    let mut told: Vec<&Row> = rows.iter().collect();
    told.sort_by(|a, b| {
        let seconds = a.danger.seconds().total_cmp(&b.danger.seconds());
        seconds.then(b.danger.share.total_cmp(&a.danger.share))
    });
    told.truncate(MOST);
    told
}

/// Every number of the page.
pub(crate) fn samples(rows: &[Row], own: &Own) -> Vec<Sample> {
    let gauges = own_gauges(rows, own).into_iter().map(|(name, _, _, v)| (name.to_owned(), v));
    let counters = own_counters(own).into_iter().map(|(name, _, _, v)| (format!("{name}_total"), v));
    let mut all = of_rows(rows);
    all.extend(gauges.chain(counters).map(|(name, value)| Sample { name, labels: Vec::new(), value }));
    all
}

fn of_rows(rows: &[Row]) -> Vec<Sample> {
    let told = told(rows);
    let of = |family: &Family| {
        let samples = told.iter().flat_map(|row| {
            let values = (family.values)(row).into_iter().filter(|(_, v)| v.is_finite());
            values.map(|(label, value)| {
                let mut labels = labels(row);
                labels.extend(label.map(|(name, text)| (name, text.to_owned())));
                Sample { name: family.name.to_owned(), labels, value }
            })
        });
        samples.collect::<Vec<_>>()
    };
    FAMILIES.iter().flat_map(of).collect()
}

fn labels(r: &Row) -> Vec<(&'static str, String)> {
    let short = |text: &str| text.chars().take(LONGEST).collect::<String>();
    vec![("process", short(&r.name)), ("workload", short(&r.workload))]
}

/// The whole page.
pub(crate) fn text(rows: &[Row], own: &Own, form: Form) -> String {
    let mut out = String::new();
    let samples = of_rows(rows);
    for family in FAMILIES {
        let head = Head { name: family.name, kind: family.kind, unit: family.unit, help: family.help };
        head.write(&mut out, form);
        for sample in samples.iter().filter(|s| s.name == family.name) {
            line(&mut out, &sample.name, &sample.labels, sample.value);
        }
    }
    info(&mut out, rows, form);
    own_numbers(&mut out, rows, own, form);
    if form == Form::Open {
        out.push_str("# EOF\n");
    }
    out
}

/// What stands above the numbers of a family.
struct Head {
    name: &'static str,
    kind: &'static str,
    unit: &'static str,
    help: &'static str,
}

impl Head {
    fn write(&self, out: &mut String, form: Form) {
        let Head { name, kind, unit, help } = self;
        // The older text knows no info, and names a counter with its ending.
        let (end, kind) = match (form, *kind) {
            (Form::Plain, "counter") => ("_total", "counter"),
            (Form::Plain, "info") => ("_info", "gauge"),
            (_, kind) => ("", kind),
        };
        // Writing to a string cannot fail.
        let _always = writeln!(out, "# TYPE {name}{end} {kind}");
        if form == Form::Open && !unit.is_empty() {
            let _always = writeln!(out, "# UNIT {name} {unit}");
        }
        let _always = writeln!(out, "# HELP {name}{end} {help}");
    }
}

fn line(out: &mut String, name: &str, labels: &[(&'static str, String)], value: f64) {
    let labels: Vec<String> =
        labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escape(text))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _always = writeln!(out, "{name}{labels} {value}");
}

/// What changes with every restart stands in one series only.
fn info(out: &mut String, rows: &[Row], form: Form) {
    let head = Head {
        name: "plimsoll_workload",
        kind: "info",
        unit: "",
        help: "The largest process of a workload.",
    };
    head.write(out, form);
    for row in told(rows) {
        let mut labels = labels(row);
        labels.push(("pid", row.pid.to_string()));
        labels.push(("runtime", runtime(row.runtime).to_owned()));
        line(out, "plimsoll_workload_info", &labels, 1.0);
    }
}

fn runtime(kind: RuntimeKind) -> &'static str {
    match kind {
        RuntimeKind::Jvm => "jvm",
        RuntimeKind::Go => "go",
        RuntimeKind::Node => "node",
        RuntimeKind::Python => "python",
        RuntimeKind::Dotnet => "dotnet",
        RuntimeKind::Native => "native",
    }
}

/// Name, unit, help, number.
type OwnNumber = (&'static str, &'static str, &'static str, f64);

fn own_gauges(rows: &[Row], own: &Own) -> [OwnNumber; 3] {
    let left_out = rows.len().saturating_sub(MOST) as f64;
    [
        ("plimsoll_agent_resident_bytes", "bytes", "Resident memory of the agent.", own.resident),
        ("plimsoll_agent_workloads", "", "Workloads with a limit that are watched.", rows.len() as f64),
        (
            "plimsoll_agent_workloads_left_out",
            "",
            "Watched workloads that this page leaves out, the least endangered.",
            left_out,
        ),
    ]
}

fn own_counters(own: &Own) -> [OwnNumber; 8] {
    [
        ("plimsoll_agent_cpu_seconds", "seconds", "Processor time of the agent.", own.cpu),
        ("plimsoll_agent_looks", "", "Looks at everything.", own.looks as f64),
        ("plimsoll_agent_series_bytes", "bytes", "Bytes of series written.", own.series_bytes as f64),
        ("plimsoll_agent_remote_samples", "", "Samples that a remote server took.", own.sent as f64),
        ("plimsoll_agent_remote_samples_lost", "", "Samples that no remote server took.", own.unsent as f64),
        ("plimsoll_captures_stored", "", "Captures stored.", own.stored as f64),
        ("plimsoll_captures_failed", "", "Acts that failed.", own.failed as f64),
        ("plimsoll_kernel_kills", "", "Kills of the kernel's for want of memory.", own.killed as f64),
    ]
}

fn own_numbers(out: &mut String, rows: &[Row], own: &Own, form: Form) {
    for (name, unit, help, value) in own_gauges(rows, own) {
        Head { name, kind: "gauge", unit, help }.write(out, form);
        line(out, name, &[], value);
    }
    for (name, unit, help, value) in own_counters(own) {
        Head { name, kind: "counter", unit, help }.write(out, form);
        line(out, &format!("{name}_total"), &[], value);
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use plimsoll_core::agent::Danger;
    use plimsoll_host::agent::Forecast;

    fn row(workload: &str, headroom: f64) -> Row {
        let danger = Danger { headroom, share: 0.75, burn: 2.0, estimate: None, binding: None };
        let seconds = [8.0, 12.0, f64::INFINITY];
        let forecast = Forecast {
            limit: "container limit".to_owned(),
            to_group: None,
            p_leak: 0.9,
            slope: [1.0, 2.0, 3.0],
            seconds,
            floor: 50.0,
        };
        Row {
            workload: workload.to_owned(),
            pid: 7,
            name: "java".to_owned(),
            started: 1000.0,
            level: Level::Light,
            danger,
            limit: 100.0,
            forecast: Some(forecast),
            runtime: RuntimeKind::Jvm,
            inner: BTreeMap::from([
                (Fact::JvmLive, 40.0),
                (Fact::JvmHeapMax, 80.0),
                (Fact::JvmThreads, 12.0),
                (Fact::Threads, 20.0),
            ]),
            net: Some(false),
        }
    }

    #[test]
    fn rows_become_series_and_hostile_names_stay_within_their_label() {
        let text = text(&[row("a\"\n\\", 25.0)], &Own { looks: 3, ..Own::default() }, Form::Open);
        let labels = "process=\"java\",workload=\"a\\\"\\n\\\\\"";
        for line in [
            format!("plimsoll_used_bytes{{{labels}}} 75"),
            format!("plimsoll_time_to_oom_seconds{{{labels},quantile=\"0.5\"}} 12"),
            format!("plimsoll_floor_bytes{{{labels}}} 50"),
            format!("plimsoll_post_gc_occupancy_ratio{{{labels},of=\"limit\"}} 0.4"),
            format!("plimsoll_post_gc_occupancy_ratio{{{labels},of=\"heap\"}} 0.5"),
            format!("plimsoll_tasks{{{labels},kind=\"java\"}} 12"),
            format!("plimsoll_net_ready{{{labels}}} 0"),
            format!("plimsoll_workload_info{{{labels},pid=\"7\",runtime=\"jvm\"}} 1"),
            format!("plimsoll_start_time_seconds{{{labels}}} 1000"),
            "# UNIT plimsoll_time_to_oom_seconds seconds".to_owned(),
            "plimsoll_agent_looks_total 3".to_owned(),
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(!text.lines().any(|l| l.ends_with(" inf")) && text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn every_family_with_a_unit_ends_in_it() {
        for family in FAMILIES.iter().filter(|f| !f.unit.is_empty()) {
            assert!(family.name.ends_with(&format!("_{}", family.unit)), "{}", family.name);
        }
    }

    #[test]
    fn only_so_many_workloads_are_told_the_most_endangered_first() {
        let rows: Vec<Row> = (0..MOST + 7).map(|i| row(&format!("w{i}"), 1000.0 - i as f64)).collect();
        let text = text(&rows, &Own::default(), Form::Plain);
        let limits = text.lines().filter(|l| l.starts_with("plimsoll_limit_bytes{"));
        assert_eq!(limits.count(), MOST);
        assert!(text.contains(&format!("workload=\"w{}\"", MOST + 6)) && !text.contains("workload=\"w0\""));
        assert!(text.lines().any(|l| l == "plimsoll_agent_workloads_left_out 7"), "{text}");
        assert!(text.contains("# TYPE plimsoll_agent_looks_total counter") && !text.contains("# EOF"));
    }
}
