//! What the agent knows as OpenMetrics text. Series come and go with processes, so it is written anew each time.

use std::fmt::Write as _;

use plimsoll_core::agent::Level;
use plimsoll_host::agent::Row;

/// What the agent counts of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Own {
    pub(crate) resident: f64,
    pub(crate) cpu: f64,
    pub(crate) looks: u64,
    pub(crate) stored: u64,
    pub(crate) failed: u64,
    pub(crate) killed: u64,
}

/// The exposition, `# EOF` at its end.
pub(crate) fn text(rows: &[Row], own: &Own) -> String {
    let mut out = String::new();
    gauge(&mut out, rows, "plimsoll_limit_bytes", "Memory limit of the workload.", |r| Some(r.limit));
    gauge(&mut out, rows, "plimsoll_used_bytes", "Memory in use that cannot be reclaimed.", |r| {
        Some(r.limit - r.danger.headroom)
    });
    gauge(&mut out, rows, "plimsoll_headroom_bytes", "Memory left below the limit.", |r| {
        Some(r.danger.headroom)
    });
    gauge(&mut out, rows, "plimsoll_burn_bytes_per_second", "Growth over the last minute.", |r| {
        Some(r.danger.burn)
    });
    gauge(
        &mut out,
        rows,
        "plimsoll_leak_probability_ratio",
        "Probability of a climb without a plateau.",
        |r| r.forecast.map(|f| f.p_leak),
    );
    gauge(&mut out, rows, "plimsoll_level", "0 calm, 1 armed, 2 light, 3 heavy.", |r| {
        Some(match r.level {
            Level::Calm => 0.0,
            Level::Armed => 1.0,
            Level::Light => 2.0,
            Level::Heavy => 3.0,
        })
    });
    quantiles(&mut out, rows, "plimsoll_floor_slope_bytes_per_second", "Slope of the floor.", |r| {
        Some(r.forecast?.slope)
    });
    quantiles(
        &mut out,
        rows,
        "plimsoll_time_to_oom_seconds",
        "Time to the limit; absent without a climb.",
        |r| Some(r.forecast?.seconds),
    );
    own_numbers(&mut out, own);
    out.push_str("# EOF\n");
    out
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _always = writeln!(out, "# TYPE {name} {kind}\n# HELP {name} {help}");
}

fn labels(r: &Row) -> String {
    format!("workload=\"{}\",process=\"{}\",pid=\"{}\"", escape(&r.workload), escape(&r.name), r.pid)
}

fn gauge(out: &mut String, rows: &[Row], name: &str, help: &str, value: impl Fn(&Row) -> Option<f64>) {
    head(out, name, "gauge", help);
    for row in rows {
        if let Some(v) = value(row).filter(|v| v.is_finite()) {
            let _always = writeln!(out, "{name}{{{}}} {v}", labels(row));
        }
    }
}

/// The ends and the middle of an interval of 90 %.
fn quantiles(
    out: &mut String,
    rows: &[Row],
    name: &str,
    help: &str,
    value: impl Fn(&Row) -> Option<[f64; 3]>,
) {
    head(out, name, "gauge", help);
    for row in rows {
        let values = value(row).into_iter().flat_map(|v| ["0.05", "0.5", "0.95"].into_iter().zip(v));
        for (quantile, v) in values.filter(|(_, v)| v.is_finite()) {
            let _always = writeln!(out, "{name}{{{},quantile=\"{quantile}\"}} {v}", labels(row));
        }
    }
}

fn own_numbers(out: &mut String, own: &Own) {
    head(out, "plimsoll_agent_resident_bytes", "gauge", "Resident memory of the agent.");
    let _always = writeln!(out, "plimsoll_agent_resident_bytes {}", own.resident);
    for (name, help, value) in [
        ("plimsoll_agent_cpu_seconds", "Processor time of the agent.", own.cpu),
        ("plimsoll_agent_looks", "Looks at everything.", own.looks as f64),
        ("plimsoll_captures_stored", "Captures stored.", own.stored as f64),
        ("plimsoll_captures_failed", "Acts that failed.", own.failed as f64),
        ("plimsoll_kernel_kills", "Kills of the kernel's for want of memory.", own.killed as f64),
    ] {
        head(out, name, "counter", help);
        let _always = writeln!(out, "{name}_total {value}");
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_core::agent::Danger;
    use plimsoll_host::agent::Forecast;

    #[test]
    fn rows_become_series_and_hostile_names_stay_within_their_label() {
        let danger = Danger { headroom: 25.0, share: 0.75, burn: 2.0, estimate: None };
        let forecast = Forecast { p_leak: 0.9, slope: [1.0, 2.0, 3.0], seconds: [8.0, 12.0, f64::INFINITY] };
        let row = Row {
            workload: "a\"\n\\".to_owned(),
            pid: 7,
            name: "java".to_owned(),
            level: Level::Light,
            danger,
            limit: 100.0,
            forecast: Some(forecast),
        };
        let text = text(&[row], &Own { looks: 3, ..Own::default() });
        let labels = "workload=\"a\\\"\\n\\\\\",process=\"java\",pid=\"7\"";
        for line in [
            format!("plimsoll_used_bytes{{{labels}}} 75"),
            format!("plimsoll_time_to_oom_seconds{{{labels},quantile=\"0.5\"}} 12"),
            "plimsoll_agent_looks_total 3".to_owned(),
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(!text.contains("inf") && text.ends_with("# EOF\n"), "{text}");
    }
}
