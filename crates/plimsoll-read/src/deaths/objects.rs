//! Objects of a cluster or of Docker, as JSON or YAML: pods, lists of them, events, `docker inspect`.

use plimsoll_core::death::{Ended, Moment, Trace};
use plimsoll_core::units::parse_quantity;
use serde_json::Value;

use super::cluster::{low_on_memory, system_oom};
use crate::moment;

/// Objects that are looked at of one list.
const MOST: usize = 100_000;

/// What a document tells of deaths; none when it is no object of a cluster or of Docker.
pub(super) fn read(document: &Value) -> Option<Vec<Trace>> {
    let mut out = Vec::new();
    let known = match document {
        Value::Array(list) => list.iter().take(MOST).filter(|c| docker(c, &mut out)).count() > 0,
        Value::Object(_) => object(document, &mut out) || docker(document, &mut out),
        _ => false,
    };
    known.then_some(out)
}

fn object(value: &Value, out: &mut Vec<Trace>) -> bool {
    match value.get("kind").and_then(Value::as_str) {
        Some("Pod") => pod(value, out),
        Some("Event") => event(value, out),
        Some(kind) if kind.ends_with("List") => {
            let items = value.get("items").and_then(Value::as_array);
            // Items of a typed list do not repeat their kind.
            let of = kind.strip_suffix("List").filter(|k| !k.is_empty());
            for item in items.into_iter().flatten().take(MOST) {
                match of {
                    Some("Pod") => pod(item, out),
                    Some("Event") => event(item, out),
                    _ => {
                        object(item, out);
                    }
                }
            }
        }
        Some(_) => return value.get("apiVersion").is_some(),
        None => return false,
    }
    true
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn full_name(metadata: &str, value: &Value) -> String {
    let at = |field: &str| text(value, &format!("{metadata}/{field}")).unwrap_or_default();
    match at("namespace") {
        "" => at("name").to_owned(),
        namespace => format!("{namespace}/{}", at("name")),
    }
}

fn pod(value: &Value, out: &mut Vec<Trace>) {
    let name = full_name("/metadata", value);
    if text(value, "/status/reason") == Some("Evicted") {
        let message = text(value, "/status/message").unwrap_or_default();
        if low_on_memory(message) {
            out.push(Trace::Evicted { pod: name.clone(), message: message.to_owned(), when: None });
        }
    }
    for (statuses, specs) in [
        ("/status/containerStatuses", "/spec/containers"),
        ("/status/initContainerStatuses", "/spec/initContainers"),
        ("/status/ephemeralContainerStatuses", "/spec/ephemeralContainers"),
    ] {
        let statuses = value.pointer(statuses).and_then(Value::as_array);
        for status in statuses.into_iter().flatten().take(MOST) {
            let container = text(status, "/name").unwrap_or_default();
            let limit = limit(value.pointer(specs), container);
            for state in ["/lastState/terminated", "/state/terminated"] {
                let Some(end) = status.pointer(state).filter(|e| e.is_object()) else { continue };
                out.push(Trace::Ended(Box::new(Ended {
                    pod: name.clone(),
                    pod_uid: text(value, "/metadata/uid").map(str::to_owned),
                    container: container.to_owned(),
                    id: text(end, "/containerID").map(id),
                    reason: text(end, "/reason").map(str::to_owned),
                    exit_code: end
                        .get("exitCode")
                        .and_then(Value::as_i64)
                        .and_then(|c| i32::try_from(c).ok()),
                    when: text(end, "/finishedAt").map(when),
                    restarts: status.get("restartCount").and_then(Value::as_u64),
                    limit,
                })));
            }
        }
    }
}

/// `containerd://<id>`.
fn id(uri: &str) -> String {
    uri.rsplit('/').next().unwrap_or(uri).to_owned()
}

fn limit(specs: Option<&Value>, container: &str) -> Option<u64> {
    let spec = specs?.as_array()?.iter().find(|s| text(s, "/name") == Some(container))?;
    match spec.pointer("/resources/limits/memory")? {
        Value::String(quantity) => parse_quantity(quantity),
        number => number.as_u64(),
    }
}

fn event(value: &Value, out: &mut Vec<Trace>) {
    let message = text(value, "/message").or_else(|| text(value, "/note")).unwrap_or_default();
    let time =
        ["/lastTimestamp", "/eventTime", "/deprecatedLastTimestamp"].iter().find_map(|p| text(value, p));
    let object = if value.get("regarding").is_some() { "/regarding" } else { "/involvedObject" };
    if text(value, "/reason") == Some("Evicted") && low_on_memory(message) {
        let pod = full_name(object, value);
        out.push(Trace::Evicted { pod, message: message.to_owned(), when: time.map(when) });
    } else if let Some(mut kill) =
        system_oom(message).or_else(|| crate::kernel_log::Reader::default().text(message))
    {
        kill.when = time.map(when);
        out.push(Trace::Kernel(Box::new(kill)));
    }
}

/// One container of `docker inspect`.
fn docker(value: &Value, out: &mut Vec<Trace>) -> bool {
    let Some(state) = value.get("State").filter(|s| s.get("OOMKilled").is_some()) else { return false };
    let oom = state.get("OOMKilled").and_then(Value::as_bool) == Some(true);
    let running = state.get("Running").and_then(Value::as_bool) == Some(true);
    let exit_code = state.get("ExitCode").and_then(Value::as_i64).and_then(|c| i32::try_from(c).ok());
    if running && !oom {
        return true;
    }
    out.push(Trace::Ended(Box::new(Ended {
        container: text(value, "/Name").unwrap_or_default().trim_start_matches('/').to_owned(),
        id: text(value, "/Id").map(str::to_owned),
        reason: oom.then(|| "OOMKilled".to_owned()),
        exit_code: exit_code.filter(|_| !running),
        when: text(state, "/FinishedAt").filter(|_| !running).map(when),
        restarts: value.get("RestartCount").and_then(Value::as_u64),
        limit: value.pointer("/HostConfig/Memory").and_then(Value::as_u64).filter(|l| *l > 0),
        ..Ended::default()
    })));
    true
}

fn when(said: &str) -> Moment {
    let seconds = moment::of(said).and_then(|m| m.seconds);
    Moment { said: said.to_owned(), seconds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod_object() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "api", "namespace": "shop", "uid": "u-1"},
            "spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": "512Mi"}}}]},
            "status": {"containerStatuses": [{
                "name": "app", "restartCount": 4, "state": {"running": {}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137,
                    "containerID": "containerd://abc", "finishedAt": "2026-11-23T11:00:00Z"}}
            }]}
        })
    }

    #[test]
    fn pods_alone_and_in_lists_say_the_same() {
        let alone = read(&pod_object()).unwrap();
        let [Trace::Ended(e)] = alone.as_slice() else { panic!("{alone:?}") };
        assert_eq!((e.pod.as_str(), e.container.as_str(), e.id.as_deref()), ("shop/api", "app", Some("abc")));
        assert_eq!((e.limit, e.restarts, e.exit_code), (Some(512 << 20), Some(4), Some(137)));
        assert_eq!(read(&json!({"kind": "List", "items": [pod_object()]})).unwrap(), alone);
        assert_eq!(read(&json!({"kind": "PodList", "items": [pod_object()]})).unwrap(), alone);
    }

    #[test]
    fn events_carry_the_kernels_words_and_evictions() {
        let kill = json!({"kind": "Event", "reason": "OOMKilling", "lastTimestamp": "2026-11-23T11:00:00Z",
            "involvedObject": {"kind": "Node", "name": "n1"},
            "message": "Memory cgroup out of memory: Killed process 7 (java) total-vm:8kB, anon-rss:4kB, file-rss:0kB"});
        let traces = read(&kill).unwrap();
        assert!(
            matches!(traces.as_slice(), [Trace::Kernel(k)] if k.pid == 7 && k.when.is_some()),
            "{traces:?}"
        );
        let gone = json!({"kind": "Event", "reason": "Evicted", "involvedObject": {"namespace": "a", "name": "b"},
            "message": "The node was low on resource: memory. Threshold"});
        let traces = read(&gone).unwrap();
        assert!(matches!(traces.as_slice(), [Trace::Evicted { pod, .. }] if pod == "a/b"), "{traces:?}");
    }

    #[test]
    fn docker_tells_of_a_child_by_a_container_that_runs_on() {
        let inspect = |running: bool| {
            json!([{"Id": "abc", "Name": "/web", "State": {"OOMKilled": true, "Running": running, "ExitCode": 137},
                "HostConfig": {"Memory": 1048576}}])
        };
        let traces = read(&inspect(true)).unwrap();
        assert!(
            matches!(traces.as_slice(), [Trace::Ended(e)] if e.container == "web" && e.exit_code.is_none())
        );
        let traces = read(&inspect(false)).unwrap();
        assert!(matches!(traces.as_slice(), [Trace::Ended(e)] if e.exit_code == Some(137)), "{traces:?}");
    }

    #[test]
    fn other_documents_are_none() {
        for value in [json!(null), json!([1, 2]), json!({"kind": 3}), json!({"a": {"b": []}}), json!([])] {
            assert_eq!(read(&value), None, "{value}");
        }
    }
}
