//! The dashboard as Grafana takes it.

use plimsoll_core::guard::dashboard::{Form, Panel, STARTS, Unit, panels};
use plimsoll_core::guard::rules::Source;
use serde_json::{Value, json};

/// Version of Grafana's dashboard format that is written.
const SCHEMA: u32 = 39;

/// The whole dashboard.
pub(crate) fn document(title: &str, sources: &[Source]) -> Value {
    let mut at = (0, 0, 0);
    let panels: Vec<Value> =
        panels(sources).iter().zip(1..).map(|(p, id)| panel(p, id, &place(&mut at, p.size))).collect();
    json!({
        "uid": "plimsoll-memory",
        "title": title,
        "description": "What an incident leaves behind: floor, slope and time to the limit. Written by plimsoll guard dashboard.",
        "tags": ["plimsoll", "memory"],
        "schemaVersion": SCHEMA,
        "editable": true,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "timezone": "browser",
        "time": { "from": "now-3d", "to": "now" },
        "refresh": "1m",
        "templating": { "list": variables() },
        "annotations": { "list": annotations() },
        "links": [],
        "panels": panels,
    })
}

/// Where the next panel stands: x, y and the height of the row.
fn place(at: &mut (u8, u32, u8), (width, height): (u8, u8)) -> Value {
    let (x, y) = (at.0, at.1);
    at.2 = at.2.max(height);
    at.0 += width;
    if at.0 >= 24 {
        *at = (0, y + u32::from(at.2), 0);
    }
    json!({ "x": x, "y": y, "w": width, "h": height })
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn variables() -> Vec<Value> {
    let all = |name: &str, label: &str, of: &str| {
        json!({
            "name": name, "label": label, "type": "query", "datasource": source(),
            "query": { "query": of, "refId": name },
            "refresh": 2, "includeAll": true, "allValue": ".*", "multi": true, "sort": 1,
            "current": { "text": "All", "value": "$__all" }, "options": [], "regex": "",
        })
    };
    vec![
        json!({
            "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
            "current": { "text": "default", "value": "default" }, "options": [], "regex": "",
        }),
        all("workload", "Workload", "label_values(plimsoll:floor:bytes, workload)"),
        all("instance", "Instance", "label_values(plimsoll:start:seconds, instance)"),
    ]
}

fn annotations() -> Vec<Value> {
    vec![
        // The value of the series is the time of the mark.
        json!({
            "name": "Starts and deploys", "datasource": source(), "enable": true, "iconColor": "blue",
            "expr": STARTS, "useValueForTime": "on", "step": "60s",
            "titleFormat": "started", "textFormat": "{{namespace}} {{workload}}", "tagKeys": "workload",
        }),
        json!({
            "name": "Flags and changes", "enable": true, "iconColor": "orange",
            "datasource": { "type": "grafana", "uid": "-- Grafana --" },
            "target": { "refId": "Anno", "limit": 100, "matchAny": true, "tags": ["flag", "deploy", "config"], "type": "tags" },
        }),
    ]
}

fn panel(p: &Panel, id: u32, place: &Value) -> Value {
    let targets: Vec<Value> = p
        .queries
        .iter()
        .zip('A'..='Z')
        .map(|(q, letter)| {
            json!({
                "refId": letter.to_string(), "datasource": source(), "expr": q.expr,
                "legendFormat": q.legend, "range": p.form == Form::Lines, "instant": p.form != Form::Lines,
                "format": if p.form == Form::Table { "table" } else { "time_series" },
            })
        })
        .collect();
    let mut out = json!({
        "id": id, "type": kind(p.form), "title": p.title, "description": p.help, "gridPos": place,
        "datasource": source(), "targets": targets, "transformations": [],
        "fieldConfig": { "defaults": defaults(p), "overrides": overrides(p) }, "options": options(p.form),
    });
    if p.form == Form::Table {
        // The time of an instant query says nothing.
        out["transformations"] =
            json!([{ "id": "organize", "options": { "excludeByName": { "Time": true } } }]);
    }
    out
}

fn kind(form: Form) -> &'static str {
    match form {
        Form::Lines => "timeseries",
        Form::Number => "stat",
        Form::Table => "table",
    }
}

fn defaults(p: &Panel) -> Value {
    let unit = match p.unit {
        Unit::Bytes => "bytes",
        Unit::BytesPerSecond => "binBps",
        Unit::Seconds => "s",
        Unit::Count => "short",
    };
    // Red is near: two hours, a day.
    let steps = match p.form {
        Form::Number => json!([
            { "color": "red", "value": null }, { "color": "orange", "value": 7200 }, { "color": "green", "value": 86_400 }
        ]),
        _ => json!([{ "color": "green", "value": null }]),
    };
    let mut out = json!({ "unit": unit, "thresholds": { "mode": "absolute", "steps": steps } });
    match p.form {
        Form::Lines => {
            out["custom"] =
                json!({ "drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "showPoints": "never" });
        }
        Form::Number => out["noValue"] = json!("nobody climbs"),
        Form::Table => out["noValue"] = json!("none"),
    }
    out
}

/// The limit is drawn as what it is.
fn overrides(p: &Panel) -> Value {
    if !p.queries.iter().any(|q| q.legend.starts_with("limit")) {
        return json!([]);
    }
    json!([{
        "matcher": { "id": "byRegexp", "options": "limit .*" },
        "properties": [
            { "id": "color", "value": { "mode": "fixed", "fixedColor": "red" } },
            { "id": "custom.lineStyle", "value": { "fill": "dash", "dash": [10, 10] } },
        ],
    }])
}

fn options(form: Form) -> Value {
    match form {
        Form::Lines => json!({
            "legend": { "displayMode": "table", "placement": "right", "showLegend": true, "calcs": ["lastNotNull"] },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Form::Number => json!({
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
            "colorMode": "background", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
        }),
        Form::Table => json!({ "showHeader": true, "cellHeight": "sm" }),
    }
}
