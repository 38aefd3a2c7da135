//! What Alertmanager posts to a webhook (JSON, version 4), and the list of alerts that Prometheus posts to Alertmanager.
//!
//! Fields that are missing or of another type are left out, as a template may have changed the payload; what is no
//! alert at all is an error. How many alerts, labels and characters are kept is bounded.

use std::collections::BTreeMap;

use plimsoll_core::incident::alert::Alert;
use serde_json::Value;

/// Alerts of one notification that are kept.
const ALERTS: usize = 256;
/// Labels of an alert, and characters of a text.
const LABELS: usize = 64;
const CHARACTERS: usize = 500;

/// What was posted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Notification {
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// Alerts that were left out, by the sender or here.
    pub left_out: u64,
}

/// Reads a notification.
///
/// # Errors
/// What is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Notification, String> {
    let document: Value = serde_json::from_slice(bytes).map_err(|e| format!("no JSON: {e}"))?;
    let list = document.as_array().or_else(|| document.get("alerts")?.as_array());
    let list = list.ok_or("no notification of Alertmanager: it has no list of alerts")?;
    let alerts: Vec<Alert> = list.iter().filter_map(alert).take(ALERTS).collect();
    if alerts.is_empty() && !list.is_empty() {
        return Err("none of its alerts has labels".to_owned());
    }
    let truncated = document.get("truncatedAlerts").and_then(Value::as_u64).unwrap_or(0);
    let left_out = truncated.saturating_add(list.len().saturating_sub(alerts.len()) as u64);
    Ok(Notification { alerts, left_out })
}

fn alert(value: &Value) -> Option<Alert> {
    let text = |v: &Value| v.as_str().map(|t| t.chars().take(CHARACTERS).collect::<String>());
    let pairs = |name: &str| -> BTreeMap<String, String> {
        let all = value.get(name).and_then(Value::as_object).into_iter().flatten();
        all.filter_map(|(k, v)| Some((k.chars().take(CHARACTERS).collect(), text(v)?))).take(LABELS).collect()
    };
    let labels = pairs("labels");
    if labels.is_empty() {
        return None;
    }
    let annotations = pairs("annotations");
    let said = ["summary", "description", "message"].iter().find_map(|k| annotations.get(*k));
    let of = |name: &str| value.get(name).and_then(text).unwrap_or_default();
    // Prometheus says by the end, Alertmanager by a word.
    let fires = match of("status").as_str() {
        "" => true,
        status => status == "firing",
    };
    let identity = match of("fingerprint") {
        f if f.is_empty() => labels.iter().map(|(k, v)| format!("{k}={v},")).collect(),
        f => f,
    };
    let identity = format!("{identity} {}", of("startsAt"));
    Some(Alert { fires, labels, text: said.cloned().unwrap_or_default(), identity })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSTED: &str = r#"{"version":"4","groupKey":"{}:{}","truncatedAlerts":3,"status":"firing","receiver":"x",
        "alerts":[{"status":"firing","labels":{"alertname":"High","pod":"a","n":5},"annotations":{"summary":"s"},
        "startsAt":"2026-03-01T00:00:00Z","fingerprint":"ff"},{"status":"resolved","labels":{"alertname":"Low"}},{"labels":7}]}"#;

    #[test]
    fn a_notification_is_read_and_what_is_missing_is_left_out() {
        let n = parse(POSTED.as_bytes()).expect("one");
        assert_eq!((n.alerts.len(), n.left_out), (2, 4));
        let (high, low) = (&n.alerts[0], &n.alerts[1]);
        assert_eq!((high.fires, high.text.as_str(), high.labels.len()), (true, "s", 2));
        assert_eq!(high.identity, "ff 2026-03-01T00:00:00Z");
        assert_eq!((low.fires, low.identity.as_str()), (false, "alertname=Low, "));
        let direct = parse(br#"[{"labels":{"alertname":"High"}}]"#).expect("one");
        assert!(direct.alerts[0].fires);
        assert_eq!(parse(br#"{"alerts":[]}"#), Ok(Notification::default()));
    }

    #[test]
    fn what_is_none_is_refused_and_what_is_too_much_is_cut() {
        for none in ["", "{}", "[1]", r#"{"alerts":{}}"#, r#"{"alerts":[{"labels":{"a":1}}]}"#] {
            assert!(parse(none.as_bytes()).is_err(), "{none}");
        }
        let one = format!(r#"{{"labels":{{"a":"{}"}}}}"#, "ä".repeat(2 * CHARACTERS));
        let many = format!("[{}]", vec![one; 300].join(","));
        let n = parse(many.as_bytes()).expect("many");
        assert_eq!((n.alerts.len(), n.left_out), (ALERTS, 300 - ALERTS as u64));
        assert_eq!(n.alerts[0].labels["a"].chars().count(), CHARACTERS);
    }
}
