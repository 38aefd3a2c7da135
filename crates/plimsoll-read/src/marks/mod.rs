//! Marks out of what other systems say of changes: answers of their APIs, lists of events, payloads of webhooks.
//!
//! One table, a line each: what it looks like, and what marks it makes. Whatever is no change (an alert on a dashboard, a sync that
//! failed, a flag whose state nobody tells) is left out and counted. Texts are cut and have no control characters; how many
//! marks are kept is bounded.

mod argo_cd;
mod events;
pub mod flagd;
mod grafana;
mod launch_darkly;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use plimsoll_core::mark::{Mark, MarkKind, changes};
use serde_json::Value;

pub use grafana::annotation;

/// Marks that are kept of one reading.
const MOST: usize = 20_000;
/// Workloads that one change concerns, of which each has its mark.
const WORKLOADS: usize = 64;
/// Characters of a name.
const CHARACTERS: usize = 200;
/// Characters of a commit that are shown.
const COMMIT: usize = 12;

/// What the reader must be told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Now, Unix seconds: for what says no time.
    pub now: f64,
    /// Of flags, only this environment.
    pub environment: Option<String>,
    /// What annotations mark whose tags do not say it.
    pub kind: Option<MarkKind>,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Marks in order of time; none says what was so before.
    pub marks: Vec<Mark>,
    /// Entries that are no change, or do not say which.
    pub left_out: usize,
    /// What they were, in words.
    pub shapes: Vec<&'static str>,
    /// Environments of the flags, where flags have them.
    pub environments: Vec<String>,
}

/// One kind of entry.
struct Shape {
    name: &'static str,
    fits: fn(&Value) -> bool,
    marks: fn(&Value, &Known) -> Vec<Mark>,
}

/// Who tells of changes. What is named first is tried first.
const SHAPES: &[Shape] = &[
    Shape {
        name: "entries of LaunchDarkly's audit log",
        fits: launch_darkly::fits,
        marks: launch_darkly::marks,
    },
    Shape { name: "applications of Argo CD", fits: argo_cd::fits, marks: argo_cd::marks },
    Shape { name: "events of Flux, Argo CD or Kubernetes", fits: events::fits, marks: events::marks },
    Shape { name: "annotations of Grafana", fits: grafana::fits, marks: grafana::marks },
    Shape { name: "marks", fits: is_own, marks: own },
];

/// Reads entries: one, a list, the `items` of an answer, or one after the other.
///
/// # Errors
/// When it is no JSON, or holds nothing of what is known here.
pub fn read(bytes: &[u8], known: &Known) -> Result<Found, String> {
    let mut found = Found::default();
    let mut entries = 0;
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<Value>() {
        let value = value.map_err(|e| format!("no JSON: {e}"))?;
        let list = value.as_array().or_else(|| value.get("items")?.as_array());
        for entry in list.map_or(std::slice::from_ref(&value), Vec::as_slice) {
            entries += 1;
            found.take(entry, known);
        }
    }
    if found.shapes.is_empty() && entries > 0 {
        let known: Vec<&str> = SHAPES.iter().map(|s| s.name).collect();
        return Err(format!("nothing of what tells of changes: {}", known.join("; ")));
    }
    found.marks = changes(found.marks);
    Ok(found)
}

impl Found {
    fn take(&mut self, entry: &Value, known: &Known) {
        let shape = SHAPES.iter().find(|s| (s.fits)(entry));
        let marks = shape.map(|s| (s.marks)(entry, known)).unwrap_or_default();
        if let Some(shape) = shape.filter(|s| !self.shapes.contains(&s.name)) {
            self.shapes.push(shape.name);
        }
        if let Some(environment) =
            launch_darkly::environment(entry).filter(|e| !self.environments.contains(e))
        {
            self.environments.push(environment);
        }
        let room = MOST.saturating_sub(self.marks.len());
        if marks.is_empty() || marks.len() > room {
            self.left_out += 1;
        }
        self.marks.extend(marks.into_iter().take(room));
    }
}

/// A mark as this program writes it, but for the time, which may be a text or missing: what templates of webhooks can write.
fn is_own(entry: &Value) -> bool {
    entry.get("kind").and_then(kind).is_some() && text(entry, &["name"]).is_some()
}

fn own(entry: &Value, known: &Known) -> Vec<Mark> {
    let at = ["unixSeconds", "at", "time"].iter().find_map(|name| entry.get(name));
    let unix_seconds = match at {
        None => Some(known.now),
        Some(at) => at.as_f64().filter(is_time).or_else(|| moment(at)),
    };
    let mark = || {
        Some(Mark {
            unix_seconds: unix_seconds?,
            kind: entry.get("kind").and_then(kind)?,
            name: text(entry, &["name"])?,
            off: entry.get("off").and_then(Value::as_bool).unwrap_or(false),
            workload: text(entry, &["workload"]),
        })
    };
    mark().into_iter().collect()
}

fn kind(value: &Value) -> Option<MarkKind> {
    [MarkKind::Deploy, MarkKind::Flag, MarkKind::Config]
        .into_iter()
        .find(|k| value.as_str() == Some(k.name()))
}

/// The text at a path, without control characters, cut; none where it is empty.
fn text(value: &Value, path: &[&str]) -> Option<String> {
    let found = path.iter().try_fold(value, |v, name| v.get(name))?;
    Some(clean(found.as_str()?)).filter(|t| !t.is_empty())
}

fn clean(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_control()).take(CHARACTERS).collect();
    kept.trim().to_owned()
}

fn is_time(seconds: &f64) -> bool {
    (0.0..1e11).contains(seconds)
}

/// `2026-11-25T14:00:00Z` as Unix seconds.
fn moment(value: &Value) -> Option<f64> {
    let stamp: Timestamp = value.as_str()?.parse().ok()?;
    Some(stamp.as_millisecond() as f64 / 1000.0).filter(is_time)
}

/// Milliseconds as seconds.
fn milliseconds(value: &Value) -> Option<f64> {
    Some(value.as_f64()? / 1000.0).filter(is_time)
}

/// The part of a revision that tells it from others: of `main@sha1:33cb…` and of commits their first digits.
fn revision(full: &str) -> String {
    let last = full.rsplit([':', '/']).next().unwrap_or(full);
    let is_commit = last.len() >= 40 && last.bytes().all(|b| b.is_ascii_hexdigit());
    if is_commit { last.chars().take(COMMIT).collect() } else { clean(full) }
}

/// The same change of several workloads: a mark each.
fn each(mark: &Mark, workloads: Vec<String>) -> Vec<Mark> {
    if workloads.is_empty() {
        return vec![mark.clone()];
    }
    let of = |workload| Mark { workload: Some(workload), ..mark.clone() };
    workloads.into_iter().take(WORKLOADS).map(of).collect()
}

/// Whether a kind of object holds pods.
fn holds_pods(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet" | "Rollout" | "ReplicaSet" | "CronJob" | "Job")
}
