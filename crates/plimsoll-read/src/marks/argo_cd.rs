//! Applications of Argo CD, as its API, `argocd app get -o json` and `kubectl get applications -o json` give them: each sync
//! that its history holds is a deploy of the workloads among its resources.

use plimsoll_core::mark::{Mark, MarkKind};
use serde_json::Value;

use super::{Known, each, holds_pods, moment, revision, text};

/// The application, which notifications may hold as `app`.
fn application(entry: &Value) -> &Value {
    entry.get("app").filter(|app| app.is_object()).unwrap_or(entry)
}

pub(super) fn fits(entry: &Value) -> bool {
    let app = application(entry);
    let is_named = text(app, &["metadata", "name"]).is_some();
    is_named && (app.pointer("/spec/destination").is_some() || app.pointer("/status/history").is_some())
}

pub(super) fn marks(entry: &Value, _known: &Known) -> Vec<Mark> {
    let app = application(entry);
    let Some(name) = text(app, &["metadata", "name"]) else { return Vec::new() };
    let workloads = workloads(app);
    let history = app.pointer("/status/history").and_then(Value::as_array).into_iter().flatten();
    let syncs = history.filter_map(|sync| {
        let mark = Mark {
            unix_seconds: moment(sync.get("deployedAt")?)?,
            kind: MarkKind::Deploy,
            name: format!("{name}@{}", revisions(sync)?),
            off: false,
            workload: None,
        };
        Some(each(&mark, workloads.clone()))
    });
    syncs.flatten().collect()
}

/// The revision that was synced, or those of several sources.
fn revisions(sync: &Value) -> Option<String> {
    let several = sync.get("revisions").and_then(Value::as_array).into_iter().flatten();
    let several: Vec<String> = several.filter_map(Value::as_str).take(8).map(revision).collect();
    if several.is_empty() { text(sync, &["revision"]).map(|r| revision(&r)) } else { Some(several.join("+")) }
}

/// What of it holds pods; else all of the namespace that it goes to.
fn workloads(app: &Value) -> Vec<String> {
    let home = text(app, &["spec", "destination", "namespace"]);
    let resources = app.pointer("/status/resources").and_then(Value::as_array).into_iter().flatten();
    let named = resources.filter_map(|r| {
        text(r, &["kind"]).filter(|kind| holds_pods(kind))?;
        let namespace = text(r, &["namespace"]).or_else(|| home.clone())?;
        Some(format!("{namespace}/{}", text(r, &["name"])?))
    });
    let named: Vec<String> = named.collect();
    if named.is_empty() { home.map(|h| format!("{h}/*")).into_iter().collect() } else { named }
}
