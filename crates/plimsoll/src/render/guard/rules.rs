//! Alert rules as a server takes them, and the unit tests beside them.

use std::fmt::Write as _;

use plimsoll_core::guard::rules::shapes::{HOURS, SHAPES, Shape};
use plimsoll_core::guard::rules::{self, Alert, Group, Makes, Rule, Source, Thresholds};
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units;
use serde_json::{Value, json};

/// Names of the two files.
pub(crate) const RULES: &str = "plimsoll-rules.yml";
pub(crate) const TESTS: &str = "plimsoll-rules-test.yml";
/// Seconds between two samples of a test.
const STEP: f64 = 300.0;

/// What rules are made from, as it stands in their file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Basis {
    pub(crate) sources: Vec<Source>,
    pub(crate) thresholds: Thresholds,
}

/// The mark of the line with the basis.
const BASIS: &str = "# basis: ";

impl Basis {
    pub(crate) fn groups(&self) -> Vec<Group> {
        rules::groups(&self.sources, &self.thresholds)
    }

    fn line(&self) -> String {
        let Thresholds { page, ticket, slow, borne, counts } = self.thresholds;
        let sources: Vec<&str> = self.sources.iter().map(|s| s.name()).collect();
        format!(
            "{BASIS}sources={} page={page} ticket={ticket} slow={slow} borne={borne} counts={counts}",
            sources.join(",")
        )
    }

    /// Out of a rule file of ours, if nobody has changed its rules since.
    pub(crate) fn read(text: &str) -> Result<Basis, &'static str> {
        let line = text.lines().find_map(|l| l.strip_prefix(BASIS));
        let line = line.ok_or("it was not written by plimsoll guard rules")?;
        let word = |name: &str| line.split(' ').find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        let number =
            |name| word(name).and_then(|w| w.parse::<f64>().ok()).filter(|v| v.is_finite() && *v > 0.0);
        let basis = || {
            let named = word("sources")?.split(',');
            let source = |name: &str| Source::ALL.iter().copied().find(|s| s.name() == name);
            let thresholds = Thresholds {
                page: number("page")?,
                ticket: number("ticket")?,
                slow: number("slow")?,
                borne: number("borne")?,
                counts: number("counts")?,
            };
            Some(Basis { sources: named.map(source).collect::<Option<_>>()?, thresholds })
        };
        let basis = basis().ok_or("its line of the basis makes no sense")?;
        let body = text.find("\ngroups:\n").and_then(|at| text.get(at + 1..));
        if body != Some(body_of(&basis.groups()).as_str()) {
            return Err("its rules were changed since they were written");
        }
        Ok(basis)
    }
}

/// The rule file. `why` says where its thresholds come from, a line each.
pub(crate) fn yaml(basis: &Basis, why: &[String]) -> String {
    let mut out = format!(
        "# Written by plimsoll guard rules. Check: promtool check rules {RULES}; promtool test rules {TESTS}\n{}\n",
        basis.line()
    );
    // Writing to a string cannot fail.
    why.iter().for_each(|line| {
        let _always = writeln!(out, "# {line}");
    });
    out + &body_of(&basis.groups())
}

fn body_of(groups: &[Group]) -> String {
    let mut out = "groups:\n".to_owned();
    for group in groups {
        let (name, every) = (group.name, group.every);
        let _always = writeln!(out, "- name: {name}\n  interval: {every}s\n  rules:");
        for rule in &group.rules {
            match &rule.makes {
                Makes::Exported(source, text) => {
                    recorded(&mut out, rule.name, text);
                    let _always = writeln!(out, "    labels:\n      source: {}", source.name());
                }
                Makes::Record(expr) => recorded(&mut out, rule.name, &expr.to_string()),
                Makes::Alert(alert) => alerting(&mut out, rule.name, alert),
            }
        }
    }
    out
}

fn recorded(out: &mut String, name: &str, expr: &str) {
    let _always = writeln!(out, "  - record: {name}\n    expr: |-\n{}", indented(expr));
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
}

fn alerting(out: &mut String, name: &str, alert: &Alert) {
    let Alert { when, lasting, severity, summary, next, .. } = alert;
    let _always = writeln!(
        out,
        "  - alert: {name}\n    expr: |-\n{}\n    for: {lasting}s\n    labels:\n      severity: {severity}",
        indented(&when.to_string())
    );
    let _always = writeln!(
        out,
        "    annotations:\n      summary: {}\n      next: {}",
        quoted(&format!("{WHO}: {summary}")),
        quoted(next)
    );
}

/// Whoever it is about, by the labels that it has.
const WHO: &str = "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ or $labels.pod $labels.workload $labels.instance }}\
    {{ with $labels.container }}:{{ . }}{{ end }}";

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// All rules as a document.
pub(crate) fn document(groups: &[Group]) -> Value {
    let rules = groups.iter().flat_map(|g| g.rules.iter().map(move |r| (g, r)));
    let rule = |(group, rule): (&Group, &Rule)| {
        let (kind, expr, source, alert) = match &rule.makes {
            Makes::Exported(source, text) => ("record", text.clone(), Some(source.name()), None),
            Makes::Record(expr) => ("record", expr.to_string(), None, None),
            Makes::Alert(alert) => ("alert", alert.when.to_string(), None, Some(alert)),
        };
        json!({
            "name": rule.name, "kind": kind, "expr": expr, "source": source, "everySeconds": group.every,
            "forSeconds": alert.map(|a| a.lasting), "severity": alert.map(|a| a.severity),
        })
    };
    json!({ "apiVersion": API_VERSION, "kind": "GuardRules", "rules": rules.map(rule).collect::<Vec<_>>() })
}

/// Unit tests of the rules for promtool: eight courses of memory, and what accumulates; nothing else may fire.
pub(crate) fn tests(basis: &Basis) -> String {
    let groups = basis.groups();
    let sources = &basis.sources;
    let order: Vec<&str> = groups.iter().map(|g| g.name).collect();
    let mut out = format!(
        "# Written by plimsoll guard rules. Run: promtool test rules {TESTS}\n\
         rule_files: [{RULES}]\nevaluation_interval: 5m\ngroup_eval_order: [{}]\ntests:\n",
        order.join(", ")
    );
    for source in [Source::Kubernetes, Source::Agent] {
        if sources.contains(&source) {
            courses(&mut out, source);
        }
    }
    if sources.contains(&Source::Program) {
        accumulating(&mut out);
    }
    out
}

/// The eight courses, as one exporter tells them.
fn courses(out: &mut String, source: Source) {
    let _always =
        writeln!(out, "- name: courses of memory, {}\n  interval: 5m\n  input_series:", source.name());
    for shape in SHAPES {
        let _always = writeln!(out, "  # {}", shape.what);
        let lives = lives(shape);
        let (_, _, limit) = series(source, shape, (0.0, HOURS));
        line(out, &limit, &format!("{}+0x{}", shape.limit, steps(HOURS)));
        if source == Source::Agent {
            let (used, start, _) = series(source, shape, (0.0, HOURS));
            let starts: Vec<String> = lives.iter().map(|life| began(shape, *life)).collect();
            line(out, &used, &floors(shape, (0.0, HOURS)));
            line(out, &start, &starts.join(" "));
            continue;
        }
        // A container that is started anew is another series.
        for life in lives {
            let (rss, start, _) = series(source, shape, life);
            let from = steps(life.0);
            let blank = if from > 0 { format!("_x{from} ") } else { String::new() };
            let ends = if life.1 < HOURS { " stale" } else { "" };
            line(out, &rss, &format!("{blank}{}{ends}", floors(shape, life)));
            line(out, &start, &format!("{blank}{}{ends}", began(shape, life)));
        }
    }
    out.push_str("  promql_expr_test:\n");
    let expected = SHAPES.iter().flat_map(|s| s.fires.iter().map(|alert| (s.name, *alert)));
    what_fired(out, &expected.collect::<Vec<_>>());
    for shape in SHAPES {
        if let Some(first) = shape.fires.first() {
            fired_between(out, shape, first);
        }
    }
}

/// The floors of a time, in MB.
fn floors(shape: &Shape, (from, to): (f64, f64)) -> String {
    let floor = |k: u32| format!("{:.0}e6", shape.floor(f64::from(k) * STEP / 3600.0) / 1e6);
    (steps(from)..steps(to)).map(floor).collect::<Vec<_>>().join(" ")
}

/// The start of a life, for as long as it lasts.
fn began(shape: &Shape, life: (f64, f64)) -> String {
    let more = steps(life.1) - steps(life.0) - 1;
    format!("{}+0x{more}", shape.start(life.0) * 3600.0)
}

/// Which alerts fired for whom at any time, and no others.
fn what_fired(out: &mut String, expected: &[(&str, &str)]) {
    let _always = writeln!(
        out,
        "  - expr: count by (workload, alertname) (count_over_time(ALERTS{{alertstate=\"firing\"}}[72h]))\n    \
         eval_time: 72h\n    exp_samples:"
    );
    for (workload, alert) in expected {
        let _always = writeln!(
            out,
            "    - labels: '{{workload=\"{workload}\",alertname=\"{alert}\"}}'\n      value: 1"
        );
    }
}

fn fired_between(out: &mut String, shape: &Shape, alert: &str) {
    let (from, to) = (shape.between.0 * 3600.0, shape.between.1 * 3600.0);
    let name = shape.name;
    let first = format!(
        "min(min_over_time(timestamp(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",workload=\"{name}\"}})[72h:5m]))"
    );
    let _always = writeln!(
        out,
        "  # {}: first within {}\n  - expr: {first} > bool {from} and {first} <= {to}\n    eval_time: 72h\n    \
         exp_samples:\n    - labels: '{{}}'\n      value: 1",
        shape.name,
        units::duration(to - from)
    );
}

fn steps(hour: f64) -> u32 {
    (hour * 3600.0 / STEP).round() as u32
}

/// From when to when each life is seen, hours.
fn lives(shape: &Shape) -> Vec<(f64, f64)> {
    let mut lives: Vec<(f64, f64)> = Vec::new();
    for k in 0..steps(HOURS) {
        let hour = f64::from(k) * STEP / 3600.0;
        match lives.last_mut() {
            Some(last) if shape.start(last.0) == shape.start(hour) => last.1 = hour + STEP / 3600.0,
            _ => lives.push((hour, hour + STEP / 3600.0)),
        }
    }
    lives
}

/// Names of use, start and limit.
fn series(source: Source, shape: &Shape, life: (f64, f64)) -> (String, String, String) {
    let name = shape.name;
    if source == Source::Kubernetes {
        let pod = format!("namespace=\"test\",pod=\"{name}-0\",container=\"main\"");
        let container = format!("{{{pod},id=\"/{name}/{}\"}}", steps(life.0));
        return (
            format!("container_memory_rss{container}"),
            format!("container_start_time_seconds{container}"),
            format!("kube_pod_container_resource_limits{{{pod},resource=\"memory\"}}"),
        );
    }
    let labels = format!("{{instance=\"host\",process=\"main\",workload=\"{name}\"}}");
    (
        format!("plimsoll_used_bytes{labels}"),
        format!("plimsoll_start_time_seconds{labels}"),
        format!("plimsoll_limit_bytes{labels}"),
    )
}

fn line(out: &mut String, series: &str, values: &str) {
    let _always = writeln!(out, "  - series: '{series}'\n    values: '{values}'");
}

/// Programs whose goroutines, threads, descriptors, native memory and heap climb from the 50th hour on; and one in which
/// none does.
fn accumulating(out: &mut String) {
    out.push_str("- name: what accumulates in a program\n  interval: 5m\n  input_series:\n");
    let cases: [(&str, &str, u64, u64); 5] = [
        ("goroutines", "go_goroutines", 200, 10),
        ("threads", "jvm_threads_current", 50, 2),
        ("descriptors", "process_open_fds", 100, 2),
        ("native", "process_resident_memory_bytes", 600_000_000, 8_000_000),
        ("heap", "jvm_gc_live_data_size_bytes", 200_000_000, 4_000_000),
    ];
    let all = [
        ("process_start_time_seconds", 1),
        ("process_max_fds", 1024),
        ("jvm_memory_committed_bytes{area=\"heap\"}", 300_000_000),
        ("jvm_gc_max_data_size_bytes", 1_000_000_000),
    ];
    let named = |metric: &str, who: &str| match metric.split_once('{') {
        Some((name, rest)) => format!("{name}{{job=\"shop\",workload=\"{who}\",{rest}"),
        None => format!("{metric}{{job=\"shop\",workload=\"{who}\"}}"),
    };
    for who in cases.map(|c| c.0).into_iter().chain(["calm"]) {
        for (metric, value) in all {
            // It runs since long before.
            let value =
                if metric.ends_with("start_time_seconds") { "-360000".to_owned() } else { value.to_string() };
            line(out, &named(metric, who), &format!("{value}+0x864"));
        }
        for (of, metric, level, step) in cases {
            let rest = if of == who { format!("{level}+{step}x263") } else { format!("{level}+0x263") };
            line(out, &named(metric, who), &format!("{level}+0x599 {rest}"));
        }
    }
    out.push_str("  promql_expr_test:\n");
    what_fired(
        out,
        &[
            ("goroutines", "PlimsollGoroutines"),
            ("threads", "PlimsollThreads"),
            ("descriptors", "PlimsollDescriptors"),
            ("native", "PlimsollNativeGap"),
            ("heap", "PlimsollHeapClimbs"),
        ],
    );
}
