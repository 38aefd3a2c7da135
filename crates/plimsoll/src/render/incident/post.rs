//! An incident in the forms that others take: a webhook, Alertmanager, Slack and what understands its payload.

use jiff::Timestamp;
use plimsoll_core::agent::{Event, Level, What};
use serde_json::{Map, Value, json};

use super::{Seen, Words, debt_words, document, state, warned, what, when};
use plimsoll_core::units::duration;

/// What a server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// The whole document of incident show -o json.
    Webhook,
    /// Alerts of Alertmanager's API, version 2.
    Alertmanager,
    /// Slack's payload, which others take, too.
    Slack,
}

/// Characters of one text that Slack takes, with room for what escapes add.
const SLACK: usize = 2800;
/// Events of the time line that are posted there.
const EVENTS: usize = 10;

/// The payload.
pub(crate) fn payload(seen: &Seen<'_>, form: Form, words: Words) -> Value {
    match form {
        Form::Webhook => masked(document(seen), words),
        Form::Alertmanager => alertmanager(seen, words),
        Form::Slack => slack(seen, words),
    }
}

/// Every text of a document as it may go out; names of fields stay.
fn masked(value: Value, words: Words) -> Value {
    match value {
        Value::String(text) => Value::String(words.of(&text)),
        Value::Array(all) => all.into_iter().map(|v| masked(v, words)).collect(),
        Value::Object(all) => {
            all.into_iter().map(|(k, v)| (k, masked(v, words))).collect::<Map<String, Value>>().into()
        }
        other => other,
    }
}

fn cause(seen: &Seen<'_>) -> String {
    match (&seen.judgement, &seen.incident.fingerprint) {
        (Some(j), _) => format!("{} ({})", j.verdict.cause.name(), j.verdict.certainty.words()),
        (None, Some(print)) => print.clone(),
        (None, None) => "not judged".to_owned(),
    }
}

/// What it is and what it cost, in one sentence.
fn summary(seen: &Seen<'_>) -> String {
    let i = seen.incident;
    let kills = if i.kills == 0 { "not killed".to_owned() } else { format!("killed {} times", i.kills) };
    let again = if seen.earlier.is_empty() {
        String::new()
    } else {
        format!(", the same leak {} times before", seen.earlier.len())
    };
    format!("memory of {}: {}, {}, {kills}{again}", i.workload, state(i), cause(seen))
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::Heavy => "page",
        Level::Light | Level::Armed => "ticket",
        Level::Calm => "info",
    }
}

fn alertmanager(seen: &Seen<'_>, words: Words) -> Value {
    let i = seen.incident;
    let time = |t: f64| Timestamp::from_second(t as i64).unwrap_or_default().to_string();
    let mut labels = json!({
        "alertname": "PlimsollIncident", "incident": i.id, "workload": words.of(&i.workload),
        "severity": severity(i.level),
    });
    if let Some(print) = &i.fingerprint {
        labels["leak"] = json!(words.of(print));
    }
    let owed: Vec<String> = i.owed().map(|d| words.of(&debt_words(d, i, seen.now))).collect();
    let mut alert = json!({
        "labels": labels,
        "annotations": {"summary": words.of(&summary(seen)), "description": owed.join("; ")},
        "startsAt": time(i.from),
    });
    // Without an end it would be over by itself after a while, which is right: it is posted again while it goes on.
    if let Some(closed) = i.closed {
        alert["endsAt"] = json!(time(closed));
    }
    json!([alert])
}

/// A text that cannot command the other side, and fits.
fn escaped(text: &str) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SLACK).collect();
    one_line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn slack(seen: &Seen<'_>, words: Words) -> Value {
    let i = seen.incident;
    let say = |text: &str| escaped(&words.of(text));
    let field =
        |name: &str, text: &str| json!({"type": "mrkdwn", "text": format!("*{name}*\n{}", say(text))});
    let line = |e: &Event| format!("{} {}: {}", when(e.time), what(e), e.text);
    let mut fields =
        vec![field("State", state(i)), field("Cause", &cause(seen)), field("From", &when(i.from))];
    fields.push(field("Kills, captures", &format!("{}, {}", i.kills, i.captures.len())));
    if let Some(seconds) = warned(i) {
        fields.push(field("Known before the kill", &duration(seconds)));
    }
    let told = |e: &&Event| !matches!(e.what, What::Armed | What::Agent);
    let all: Vec<String> = i.events.iter().filter(told).map(line).collect();
    let last: Vec<String> = all.iter().skip(all.len().saturating_sub(EVENTS)).map(|l| say(l)).collect();
    let mut text: String = last.join("\n").chars().take(SLACK).collect();
    if text.is_empty() {
        text.push_str("no events");
    }
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": format!("Incident {}", i.id)}}),
        json!({"type": "section", "text": {"type": "mrkdwn", "text": say(&summary(seen))}}),
        json!({"type": "section", "fields": fields}),
        json!({"type": "section", "text": {"type": "mrkdwn", "text": text}}),
    ];
    let owed: Vec<String> = i.owed().map(|d| say(&format!("owed: {}", debt_words(d, i, seen.now)))).collect();
    if !owed.is_empty() {
        let text: String = owed.join("\n").chars().take(SLACK).collect();
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": text}}));
    }
    json!({"text": say(&summary(seen)), "blocks": blocks})
}
