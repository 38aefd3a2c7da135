//! Events: those that Flux's notification controller posts, and those of Kubernetes (`kubectl get events -o json`) by Flux, Argo
//! CD and the controller of deployments. One line of the table for each controller.

use plimsoll_core::mark::{Mark, MarkKind};
use serde_json::Value;

use super::{Known, clean, each, holds_pods, moment, revision, text};

/// What an event says.
struct Event<'a> {
    entry: &'a Value,
    unix_seconds: f64,
    reason: String,
    /// Several lines, uncut.
    message: &'a str,
}

type Reader = fn(&Event<'_>) -> Vec<Mark>;

/// Who tells of changes, by the name that it reports under, and how.
const CONTROLLERS: &[(&str, Reader)] = &[
    ("kustomize-controller", kustomization),
    ("helm-controller", release),
    ("argocd-application-controller", sync),
    ("deployment-controller", replica_set),
];

pub(super) fn fits(entry: &Value) -> bool {
    text(entry, &["involvedObject", "kind"]).is_some() && entry.get("reason").is_some()
}

pub(super) fn marks(entry: &Value, known: &Known) -> Vec<Mark> {
    let by = [&["reportingController"][..], &["reportingComponent"], &["source", "component"]];
    let by = by.iter().find_map(|path| text(entry, path)).unwrap_or_default();
    let Some((_, read)) = CONTROLLERS.iter().find(|(name, _)| *name == by) else { return Vec::new() };
    let is_bad = matches!(text(entry, &["severity"]).as_deref(), Some("error" | "trace"))
        || text(entry, &["type"]).as_deref() == Some("Warning");
    let times = ["timestamp", "firstTimestamp", "eventTime", "lastTimestamp"];
    let time = times.iter().find_map(|name| moment(entry.get(name)?)).unwrap_or(known.now);
    let message = entry.get("message").and_then(Value::as_str).unwrap_or_default();
    let reason = text(entry, &["reason"]).unwrap_or_default();
    if is_bad { Vec::new() } else { read(&Event { entry, unix_seconds: time, reason, message }) }
}

impl Event<'_> {
    fn object(&self) -> Option<String> {
        text(self.entry, &["involvedObject", "name"])
    }

    fn mark(&self, kind: MarkKind, name: String) -> Mark {
        Mark { unix_seconds: self.unix_seconds, kind, name, off: false, workload: None }
    }

    /// What Flux says beside the message: plain in what is posted, as annotations in Kubernetes.
    fn revision(&self) -> Option<String> {
        let beside = self.entry.pointer("/metadata/annotations").or_else(|| self.entry.get("metadata"))?;
        let mut all = beside.as_object()?.iter();
        let (_, found) = all.find(|(key, _)| *key == "revision" || key.ends_with("/revision"))?;
        found.as_str().map(revision)
    }
}

/// A kustomization lists what it changed, `Deployment/shop/api configured`; one that changed nothing lists nothing.
fn kustomization(event: &Event<'_>) -> Vec<Mark> {
    let (mut workloads, mut settings) = (Vec::new(), Vec::new());
    for line in event.message.lines() {
        let Some((object, "configured" | "created")) = line.trim().split_once(' ') else { continue };
        let mut parts = object.splitn(3, '/').map(clean);
        let (Some(kind), Some(namespace), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        if holds_pods(&kind) {
            workloads.push(format!("{namespace}/{name}"));
        } else if matches!(kind.as_str(), "ConfigMap" | "Secret") {
            let mark = event.mark(MarkKind::Config, format!("{kind} {name}"));
            settings.push(Mark { workload: Some(format!("{namespace}/*")), ..mark });
        }
    }
    let revision = event.revision().map_or_else(String::new, |r| format!("@{r}"));
    let deploy = event.object().filter(|_| !workloads.is_empty());
    let deploys =
        deploy.map(|name| each(&event.mark(MarkKind::Deploy, format!("{name}{revision}")), workloads));
    settings.truncate(super::WORKLOADS);
    deploys.into_iter().flatten().chain(settings).collect()
}

/// `Helm upgrade succeeded for release shop/api.v7 with chart api@1.4.2`.
fn release(event: &Event<'_>) -> Vec<Mark> {
    if !matches!(event.reason.as_str(), "InstallSucceeded" | "UpgradeSucceeded" | "RollbackSucceeded") {
        return Vec::new();
    }
    let after = |what: &str| event.message.split_once(what)?.1.split_whitespace().next().map(clean);
    let namespace = after("release ").and_then(|r| Some(r.split_once('/')?.0.to_owned()));
    let namespace = namespace.or_else(|| text(event.entry, &["involvedObject", "namespace"]));
    let chart = after("with chart ").or_else(|| Some(format!("{}@{}", event.object()?, event.revision()?)));
    let mark = chart.map(|chart| event.mark(MarkKind::Deploy, chart));
    mark.into_iter().map(|m| Mark { workload: namespace.clone().map(|n| format!("{n}/*")), ..m }).collect()
}

/// `Sync operation to 33cb5f… succeeded`.
fn sync(event: &Event<'_>) -> Vec<Mark> {
    let to = event.message.strip_prefix("Sync operation to ").and_then(|m| m.split_once(" succeeded"));
    let to = to.filter(|_| event.reason == "OperationCompleted").map(|(to, _)| to);
    let name = to.and_then(|to| Some(format!("{}@{}", event.object()?, revision(to))));
    name.map(|name| event.mark(MarkKind::Deploy, name)).into_iter().collect()
}

/// `Scaled up replica set api-7d4b9c to 1`, from nothing.
fn replica_set(event: &Event<'_>) -> Vec<Mark> {
    let rest = event.message.strip_prefix("Scaled up replica set ").unwrap_or_default();
    let mut words = rest.split_whitespace();
    let (name, from) = (words.next().map(clean), (words.next(), words.next()));
    let is_new = matches!(from, (Some("from"), Some("0")) | (Some("to"), _));
    let workload = event.object().map(|object| match text(event.entry, &["involvedObject", "namespace"]) {
        Some(namespace) => format!("{namespace}/{object}"),
        None => object,
    });
    let mark = name.filter(|_| is_new).map(|name| event.mark(MarkKind::Deploy, name));
    mark.into_iter().map(|m| Mark { workload: workload.clone(), ..m }).collect()
}
