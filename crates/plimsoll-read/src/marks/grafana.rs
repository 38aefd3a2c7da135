//! Annotations of Grafana, read and written. Their tags say what they mark: `deploy`, `flag:new-cache`, `workload:shop/api`.

use plimsoll_core::mark::{Mark, MarkKind};
use serde_json::{Value, json};

use super::{Known, clean, milliseconds, text};

/// Tags that say what was changed.
const KINDS: &[(MarkKind, &[&str])] = &[
    (MarkKind::Deploy, &["deploy", "deployment", "deployed", "release", "rollout", "version"]),
    (MarkKind::Flag, &["flag", "feature-flag", "featureflag", "feature_flag", "toggle"]),
    (MarkKind::Config, &["config", "configuration", "setting", "settings"]),
];
/// Tags that say of what.
const WORKLOADS: &[&str] = &["workload", "service", "app", "application"];
/// What is put on our own, so that they are found again.
const OURS: &str = "plimsoll";

pub(super) fn fits(entry: &Value) -> bool {
    entry.get("time").is_some_and(Value::is_number)
        && entry.get("tags").is_some()
        && entry.get("text").is_some()
}

pub(super) fn marks(entry: &Value, known: &Known) -> Vec<Mark> {
    mark(entry, known).into_iter().collect()
}

fn mark(entry: &Value, known: &Known) -> Option<Mark> {
    // What an alert wrote is no change.
    if text(entry, &["newState"]).is_some() {
        return None;
    }
    let tags: Vec<(String, String)> = tags(entry).collect();
    let of = |names: &[&str]| tags.iter().find(|(key, _)| names.contains(&key.as_str()));
    let said = KINDS.iter().find_map(|(kind, words)| Some((*kind, of(words)?)));
    let kind = said.map(|(kind, _)| kind).or(known.kind)?;
    let named = said.map(|(_, (_, value))| value).filter(|v| !v.is_empty());
    let named = of(&["name"]).map(|(_, value)| value).or(named).cloned();
    let workload = of(WORKLOADS).map(|(_, value)| value.clone()).filter(|w| !w.is_empty());
    let namespace = of(&["namespace"]).map(|(_, value)| value);
    Some(Mark {
        unix_seconds: milliseconds(entry.get("time")?)?,
        kind,
        name: named.or_else(|| first_line(entry.get("text")?.as_str()?))?,
        off: of(&["off", "disabled"]).is_some() && kind != MarkKind::Deploy,
        workload: match (workload, namespace) {
            (Some(w), Some(n)) if !w.contains('/') => Some(format!("{n}/{w}")),
            (None, Some(n)) => Some(format!("{n}/*")),
            (workload, _) => workload,
        },
    })
}

/// Tags as key and value; a plain word is a key.
fn tags(entry: &Value) -> impl Iterator<Item = (String, String)> {
    let all = entry.get("tags").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).take(64).map(|tag| {
        let (key, value) = tag.split_once([':', '=']).unwrap_or((tag, ""));
        (key.trim().to_lowercase(), clean(value))
    })
}

/// The first line of a text that may be HTML.
fn first_line(html: &str) -> Option<String> {
    let mut is_tag = false;
    let plain: String = html
        .chars()
        .take(4096)
        .filter(|c| {
            let hidden = is_tag || *c == '<';
            is_tag = (is_tag || *c == '<') && *c != '>';
            !hidden
        })
        .collect();
    plain.lines().map(clean).find(|line| !line.is_empty())
}

/// The annotation for a mark, which reads back as the same.
pub fn annotation(mark: &Mark) -> Value {
    let mut tags = vec![OURS.to_owned(), mark.kind.name().to_owned(), format!("name:{}", mark.name)];
    tags.extend(mark.workload.iter().map(|w| format!("workload:{w}")));
    tags.extend(mark.off.then(|| "off".to_owned()));
    let of = mark.workload.as_ref().map_or_else(String::new, |w| format!(" of {w}"));
    let off = if mark.off { " off" } else { "" };
    json!({
        "time": (mark.unix_seconds * 1000.0).round() as i64, "tags": tags,
        "text": format!("{} {}{off}{of}", mark.kind.name(), mark.name),
    })
}
