//! What kubelets, container runtimes and service managers write as text: `kubectl describe pod`, `kubectl get events`,
//! logs of kubelet, containerd and systemd.

use std::collections::BTreeSet;

use plimsoll_core::death::{Ended, Kill, Moment, Scope, Trace};
use plimsoll_core::units::parse_quantity;

use crate::{kernel_log, moment};

/// Units remembered that were told dead and have not been told failed.
const UNITS: usize = 10_000;

/// What a kubelet says of a kill that it heard of.
pub(super) const SYSTEM_OOM: &str = "System OOM encountered, victim process: ";
/// What its watcher of the kernel's log says of one.
pub(super) const SEEN: &str = "Got sys oom event";
/// What a description ends with: its events, or what stands right before them when it was made without.
const LAST: [&str; 3] = ["Tolerations", "Topology Spread Constraints", "Events"];

/// Reads line by line.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pod: Pod,
    units: BTreeSet<String>,
    /// Within the description of a pod, before what comes last in it.
    is_open: bool,
}

/// A pod while it is described.
#[derive(Debug, Default)]
struct Pod {
    name: String,
    namespace: String,
    /// Within the list of containers.
    within: bool,
    container: Option<Ended>,
    /// Within the state that counts: `State: Terminated` or `Last State: Terminated`.
    ended: bool,
    /// Why the pod as a whole ended.
    evicted: bool,
}

impl Reader {
    /// Takes in one line.
    pub(super) fn line(&mut self, line: &str, out: &mut Vec<Trace>) {
        self.described(line, out);
        if let Some(trace) = self.unit(line) {
            out.push(trace);
        } else if let Some(trace) = evicted(line).or_else(|| heard(line)).or_else(|| runtime_event(line)) {
            out.push(trace);
        }
    }

    /// Whether the description of the last pod ends before its last part.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// What was begun and not told to its end.
    pub(super) fn finish(&mut self, out: &mut Vec<Trace>) {
        self.pod.close(out);
    }

    /// `worker.service: A process of this unit has been killed by the OOM killer.`, and the failure that follows.
    fn unit(&mut self, line: &str) -> Option<Trace> {
        let (before, killed) =
            match line.split_once(": A process of this unit has been killed by the OOM killer") {
                Some((before, _)) => (before, true),
                None => (line.split_once(": Failed with result 'oom-kill'")?.0, false),
            };
        let unit = before.rsplit(' ').next().filter(|u| !u.is_empty())?.to_owned();
        if killed && self.units.len() < UNITS {
            self.units.insert(unit.clone());
        } else if !killed && self.units.remove(&unit) {
            return None;
        }
        Some(Trace::Unit { unit, when: moment::of(line) })
    }

    /// `kubectl describe pod`: keys by their indentation.
    fn described(&mut self, line: &str, out: &mut Vec<Trace>) {
        let indent = line.len() - line.trim_start().len();
        let Some((key, value)) = line.trim_start().split_once(':') else { return };
        let (key, value) = (key.trim_end(), value.trim());
        match (indent, key) {
            (0, "Name") if !value.is_empty() => {
                self.pod.close(out);
                self.pod = Pod { name: value.to_owned(), ..Pod::default() };
            }
            (0, "Namespace") => value.clone_into(&mut self.pod.namespace),
            (0, "Containers" | "Init Containers" | "Ephemeral Containers") => {
                self.pod.close(out);
                self.pod.within = !self.pod.name.is_empty();
                self.is_open |= self.pod.within;
            }
            (0, "Reason") => self.pod.evicted = value == "Evicted",
            (0, "Message") if self.pod.evicted && low_on_memory(value) => {
                out.push(Trace::Evicted { pod: self.pod.full_name(), message: value.to_owned(), when: None });
            }
            (0, _) => {
                self.is_open &= !LAST.contains(&key);
                self.pod.close(out);
                self.pod.within = false;
            }
            (2, name) if self.pod.within && value.is_empty() => {
                self.pod.close(out);
                let pod = self.pod.full_name();
                self.pod.container = Some(Ended { pod, container: name.to_owned(), ..Ended::default() });
            }
            _ => self.pod.field(key, value, out),
        }
    }
}

impl Pod {
    fn full_name(&self) -> String {
        if self.namespace.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }

    /// A field of a container: of its state, or of itself.
    fn field(&mut self, key: &str, value: &str, out: &mut Vec<Trace>) {
        let Some(container) = &mut self.container else { return };
        match key {
            // The state now and the last one are two ends, if both are.
            "State" | "Last State" => {
                let now = container.clone();
                self.close(out);
                let reset = Ended { reason: None, exit_code: None, when: None, ..now };
                self.container = Some(reset);
                self.ended = value == "Terminated";
            }
            "Reason" if self.ended => container.reason = Some(value.to_owned()),
            "Exit Code" if self.ended => container.exit_code = value.parse().ok(),
            "Finished" if self.ended => {
                container.when = moment::of(value).or_else(|| Some(said(value)));
            }
            "Restart Count" => container.restarts = value.parse().ok(),
            "memory" if container.limit.is_none() => container.limit = parse_quantity(value),
            "Ready" => {}
            _ => {}
        }
    }

    fn close(&mut self, out: &mut Vec<Trace>) {
        self.ended = false;
        let Some(container) = self.container.take() else { return };
        if container.exit_code.is_some() {
            out.push(Trace::Ended(Box::new(container)));
        }
    }
}

fn said(text: &str) -> Moment {
    Moment { said: text.to_owned(), seconds: None }
}

/// Whether an eviction was for memory.
pub(super) fn low_on_memory(message: &str) -> bool {
    message.contains("low on resource: memory") || message.contains("resourceName=\"memory\"")
}

/// `5m  Warning  Evicted  pod/api  The node was low on resource: memory. …`.
fn evicted(line: &str) -> Option<Trace> {
    let at = line.find("The node was low on resource: memory")?;
    let before = line.get(..at)?;
    // The pod's own message is read where the pod is described.
    if before.trim_end().ends_with("Message:") {
        return None;
    }
    let named = before.split_whitespace().find_map(|w| w.strip_prefix("pod/"));
    let quoted = before.split_once("pod=\"").and_then(|(_, r)| r.split('"').next());
    let pod = named.or(quoted).map_or_else(|| "a pod".to_owned(), str::to_owned);
    let message = line.get(at..)?.trim_end().to_owned();
    Some(Trace::Evicted { pod, message, when: moment::of(line) })
}

/// `System OOM encountered, victim process: java, pid: 4711`: who, and nothing of why.
fn heard(line: &str) -> Option<Trace> {
    let kill = system_oom(line).or_else(|| seen(line))?;
    Some(Trace::Kernel(Box::new(Kill { when: moment::of(line), ..kill })))
}

/// `"Got sys oom event" event=&{Pid:77 ProcessName:java TimeOfDeath:… ContainerName:/a VictimContainerName:/a/b
/// Constraint:CONSTRAINT_MEMCG}`, or the same as JSON. Versions differ in what stands behind the name.
fn seen(line: &str) -> Option<Kill> {
    let (_, event) = line.split_once(SEEN)?.1.split_once('{')?;
    let (event, _) = event.rsplit_once('}')?;
    if event.starts_with('"') {
        let fields: serde_json::Value = serde_json::from_str(&format!("{{{event}}}")).ok()?;
        let pid = fields.get("Pid")?.as_i64().and_then(|pid| i32::try_from(pid).ok())?;
        return Some(of_event(pid, |key| fields.get(key)?.as_str().map(str::to_owned)));
    }
    // A name may hold blanks: a value ends where the next of the keys begins.
    const KEYS: [&str; 6] =
        ["Pid:", "ProcessName:", "TimeOfDeath:", "ContainerName:", "VictimContainerName:", "Constraint:"];
    let value = |key: &str| {
        let event = format!(" {event}");
        let (_, rest) = event.split_once(&format!(" {key}:"))?;
        let end = KEYS.iter().filter_map(|key| rest.find(&format!(" {key}"))).min().unwrap_or(rest.len());
        rest.get(..end).map(|value| value.trim().to_owned())
    };
    Some(of_event(value("Pid")?.parse().ok()?, value))
}

fn of_event(pid: i32, value: impl Fn(&str) -> Option<String>) -> Kill {
    let group = |key| value(key).filter(|group| group.starts_with('/'));
    let scope = value("Constraint").and_then(|constraint| kernel_log::scope(&constraint));
    Kill {
        pid,
        name: value("ProcessName").unwrap_or_default(),
        scope,
        // Of a kill by the machine this is the root of all groups, which has no limit.
        limit_group: group("ContainerName").filter(|_| scope == Some(Scope::Group)),
        victim_group: group("VictimContainerName"),
        ..Kill::default()
    }
}

/// The kill that a kubelet heard of.
pub(super) fn system_oom(text: &str) -> Option<Kill> {
    let (name, rest) = text.split_once(SYSTEM_OOM)?.1.split_once(", pid: ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Kill { name: name.to_owned(), pid: digits.parse().ok()?, ..Kill::default() })
}

/// containerd's `TaskOOM event`: somebody in the container was killed.
fn runtime_event(line: &str) -> Option<Trace> {
    let (_, rest) = line.split_once("TaskOOM event")?;
    let is_digit = |c: char| c.is_ascii_hexdigit();
    let id = rest.split(|c: char| !is_digit(c)).find(|w| w.len() == 64)?;
    let container = id.get(..12)?.to_owned();
    let when = moment::of(line).or_else(|| moment::of(line.split_once("time=\"")?.1));
    Some(Trace::Ended(Box::new(Ended {
        container,
        id: Some(id.to_owned()),
        reason: Some("OOMKilled".to_owned()),
        when,
        ..Ended::default()
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Trace> {
        let (mut reader, mut out) = (Reader::default(), Vec::new());
        text.lines().for_each(|l| reader.line(l, &mut out));
        reader.finish(&mut out);
        out
    }

    const DESCRIBED: &str = "\
Name:             api-7d9
Namespace:        shop
Node:             ip-10/10.0.0.1
Status:           Running
Containers:
  app:
    Container ID:  containerd://aa
    State:          Running
      Started:      Mon, 23 Nov 2026 10:00:00 +0000
    Last State:     Terminated
      Reason:       OOMKilled
      Exit Code:    137
      Started:      Mon, 23 Nov 2026 09:00:00 +0000
      Finished:     Mon, 23 Nov 2026 10:00:00 +0000
    Ready:          True
    Restart Count:  5
    Limits:
      cpu:     1
      memory:  512Mi
    Requests:
      memory:  256Mi
  side:
    State:          Running
    Last State:     Terminated
      Reason:       Error
      Exit Code:    1
    Restart Count:  1
Conditions:
  Type              Status
";

    #[test]
    fn a_described_pod_gives_each_end_of_its_containers() {
        let traces = read(DESCRIBED);
        let [Trace::Ended(app), Trace::Ended(side)] = traces.as_slice() else { panic!("{traces:#?}") };
        assert_eq!((app.pod.as_str(), app.container.as_str()), ("shop/api-7d9", "app"));
        assert_eq!((app.reason.as_deref(), app.exit_code), (Some("OOMKilled"), Some(137)));
        assert_eq!((app.restarts, app.limit), (Some(5), Some(512 << 20)));
        assert_eq!(app.when.as_ref().unwrap().seconds, Some(1_795_428_000.0));
        assert_eq!((side.container.as_str(), side.exit_code), ("side", Some(1)));
    }

    #[test]
    fn an_evicted_pod_says_it_once() {
        let text = "Name: a\nNamespace: b\nStatus: Failed\nReason: Evicted\nMessage: The node was low on resource: memory. Threshold quantity: 100Mi.\n";
        let traces = read(text);
        assert!(matches!(traces.as_slice(), [Trace::Evicted { pod, .. }] if pod == "b/a"), "{traces:?}");
        let traces = read("5m  Warning  Evicted  pod/api  The node was low on resource: memory. Threshold\n");
        assert!(matches!(traces.as_slice(), [Trace::Evicted { pod, .. }] if pod == "api"), "{traces:?}");
        assert!(
            read("5m Warning Evicted pod/api The node was low on resource: ephemeral-storage.\n").is_empty()
        );
    }

    #[test]
    fn a_unit_is_told_once_per_death() {
        let one = "Nov 23 11:00:00 host systemd[1]: w.service: A process of this unit has been killed by the OOM killer.\n\
                   Nov 23 11:00:01 host systemd[1]: w.service: Failed with result 'oom-kill'.\n";
        assert_eq!(read(&one.repeat(3)).len(), 3);
        let failed = one.lines().nth(1).unwrap();
        assert!(matches!(read(failed).as_slice(), [Trace::Unit { unit, .. }] if unit == "w.service"));
    }

    #[test]
    fn containerd_names_the_container() {
        let id = "0123456789abcdef".repeat(4);
        let line = format!(
            "time=\"2026-11-23T11:00:00.1Z\" level=info msg=\"TaskOOM event container_id:\\\"{id}\\\"\""
        );
        let traces = read(&line);
        let [Trace::Ended(e)] = traces.as_slice() else { panic!("{traces:?}") };
        assert_eq!((e.id.as_deref(), e.when.is_some()), (Some(id.as_str()), true));
    }

    #[test]
    fn a_kill_that_a_kubelet_heard_of_has_a_name_and_no_cause() {
        for line in [
            "7m  Warning  SystemOOM  node/n1  System OOM encountered, victim process: my java, pid: 4711\n",
            "I1123 11:00:02.1 1 event.go:307] \"Event occurred\" reason=\"SystemOOM\" message=\"System OOM encountered, victim process: my java, pid: 4711\"\n",
        ] {
            let traces = read(line);
            let [Trace::Kernel(kill)] = traces.as_slice() else { panic!("{traces:?}") };
            assert_eq!((kill.name.as_str(), kill.pid, kill.scope), ("my java", 4711, None));
        }
        assert!(read("System OOM encountered, victim process: a, pid: x\n").is_empty());
    }

    #[test]
    fn a_kill_that_a_kubelets_watcher_saw_has_its_group() {
        let head = "I0501 10:00:00.000000    1234 oom_watcher_linux.go:86] \"Got sys oom event\" event=";
        let group = "/kubepods/burstable/pod1";
        let told = format!(
            "&{{Pid:77 ProcessName:my java TimeOfDeath:2026-05-01 10:00:00 +0000 UTC ContainerName:{group} \
             VictimContainerName:{group}/c1 Constraint:CONSTRAINT_MEMCG}}"
        );
        let json = format!(
            "{{\"Pid\":77,\"ProcessName\":\"my java\",\"TimeOfDeath\":\"2026-05-01T10:00:00Z\",\
             \"ContainerName\":\"{group}\",\"VictimContainerName\":\"{group}/c1\",\"Constraint\":\"CONSTRAINT_MEMCG\"}}"
        );
        for event in [&told, &json] {
            let traces = read(&format!("{head}{event}\n"));
            let [Trace::Kernel(kill)] = traces.as_slice() else { panic!("{event}: {traces:?}") };
            assert_eq!((kill.name.as_str(), kill.pid, kill.scope), ("my java", 77, Some(Scope::Group)));
            assert_eq!(kill.limit_group.as_deref(), Some(group));
            assert_eq!(kill.victim_group, Some(format!("{group}/c1")));
        }
        // Older ones say no more than who.
        let old = read(&format!("{head}&{{Pid:77 ProcessName:java}}\n"));
        assert!(matches!(old.as_slice(), [Trace::Kernel(kill)] if kill.pid == 77 && kill.scope.is_none()));
        for end in 0..json.len() {
            assert!(read(&format!("{head}{}\n", &json[..end])).is_empty());
        }
        assert!(read(&format!("{head}&{{Pid:x}}\n")).is_empty());
    }

    #[test]
    fn every_cut_of_a_description_is_read() {
        for end in 0..DESCRIBED.len() {
            assert!(read(&DESCRIBED[..end]).len() <= 2);
        }
    }
}
