//! Deaths that other sources than the kernel's log tell of: container statuses, evictions, runtimes, units, counters.

use super::control_group::Workload;
use super::{Death, Ended, GaveUp, Kill, Manner, Moment};
use crate::classify::Certainty;
use crate::units::bytes;

/// What a shell or a container's runtime makes of SIGKILL.
const KILLED: i32 = 137;

impl Ended {
    /// Whether the kernel killed in this container.
    pub(super) fn is_of(&self, kill: &Kill) -> bool {
        let Some(group) = &kill.victim_group else { return false };
        let workload = Workload::of(group);
        match (&self.id, &workload.container) {
            (Some(id), Some(container)) => id == container,
            _ => false,
        }
    }

    /// Whether it is a status of the same container of the same pod.
    pub(super) fn is_same(&self, other: &Ended) -> bool {
        (&self.pod, &self.pod_uid, &self.container) == (&other.pod, &other.pod_uid, &other.container)
    }

    fn who(&self) -> String {
        if self.pod.is_empty() {
            format!("container {}", self.container)
        } else {
            format!("container {} of {}", self.container, self.pod)
        }
    }
}

/// A container's end without a kill in the kernel's log; none when it has nothing to do with memory. `log` says whether
/// there is a kernel log at all, `told` how many restarts an earlier status of the same container counted already.
pub(super) fn judge(e: &Ended, told: Option<u64>, log: bool) -> Option<Death> {
    let code = e.exit_code;
    let killed = code == Some(KILLED);
    let oom = e.reason.as_deref() == Some("OOMKilled");
    let told_already = e.restarts.zip(told).is_some_and(|(n, before)| n <= before);
    if (!oom && !killed) || told_already {
        return None;
    }
    let mut d = blank(e.who(), if oom { Manner::ContainerLimit } else { Manner::Unclear });
    d.workload = e.pod_uid.clone().map(|uid| Workload { pod_uid: Some(uid), ..Workload::default() });
    d.times.extend(e.when.clone());
    d.count = e.restarts.filter(|_| oom).map_or(1, |n| n.saturating_sub(told.unwrap_or(0))).max(1);
    d.limit = e.limit;
    let limit = e.limit.map_or_else(String::new, |l| format!(" of {}", bytes(l as f64)));
    let said = code.map_or_else(String::new, |c| format!(" with exit code {c}"));
    let who = &d.who;
    if oom {
        d.certainty = if killed || code.is_none() { Certainty::Likely } else { Certainty::CannotTell };
        d.text = match code {
            Some(_) => format!("{who} was killed at its limit{limit}"),
            None => format!("a process in {who} was killed at the limit{limit}"),
        };
        d.pro.push(format!("its status says OOMKilled{said}"));
        d.contra.push("OOMKilled comes from the group's count of kills since its start: a child that was killed earlier marks a later end too".to_owned());
        if let Some(other) = code.filter(|_| !killed) {
            d.manner = Manner::ChildOnly;
            d.text = format!("{who}: a process in it was killed at the limit{limit}, and it ended by itself");
            d.contra.push(format!("exit code {other} is not that of a kill ({KILLED})"));
        }
        if let Some(n) = e.restarts.filter(|n| *n > 1) {
            d.contra.push(format!("{n} restarts are counted, not all of them need be kills"));
        }
    } else {
        d.text = format!("{who} was killed, and nothing shows that memory was the reason");
        d.pro.push(format!("its exit code is {KILLED}, that of SIGKILL"));
        d.contra.push(
            "a failed liveness probe, a stop that took too long and a kill by hand end alike".to_owned(),
        );
    }
    if log {
        d.contra.push("the kernel's log given here holds no kill in this container".to_owned());
    }
    d.next = "read the node's kernel log beside it: plimsoll oom STATUS dmesg.txt; plimsoll triage while it climbs again".to_owned();
    Some(d)
}

/// A pod that the kubelet took off its node.
pub(super) fn evicted(pod: &str, message: &str, when: Option<Moment>) -> Death {
    let mut d = blank(pod.to_owned(), Manner::Eviction);
    d.certainty = Certainty::Certain;
    d.times.extend(when);
    d.text = format!("{pod} was evicted: the node was low on memory");
    d.pro.push(message.to_owned());
    d.contra.push(
        "the kubelet ranks by use above the request, not by growth: a pod that did not climb may have gone"
            .to_owned(),
    );
    d.next = "compare requests with working sets on that node; an eviction has no grace and leaves no dump"
        .to_owned();
    d
}

/// A runtime that gave up by itself.
pub(super) fn gave_up(g: &GaveUp) -> Death {
    let mut d = blank(format!("{} ({})", g.runtime, g.what), Manner::Runtime);
    d.certainty = if g.fatal { Certainty::Certain } else { Certainty::Likely };
    d.count = g.count;
    d.times.clone_from(&g.when);
    d.text = format!("{} ran out of {}{}", g.runtime, g.what, if g.fatal { "" } else { ", says its log" });
    d.pro.push(g.line.clone());
    if !g.fatal {
        d.contra.push("a program may catch this error and go on".to_owned());
    }
    d.next = g.next.to_owned();
    d
}

/// The service manager's word, unless the kernel's log told of that unit already.
pub(super) fn unit(unit: &str, when: Option<Moment>, deaths: &mut Vec<Death>) {
    let known = deaths
        .iter_mut()
        .find(|d| d.workload.as_ref().and_then(|w| w.unit.as_deref()) == Some(unit) || d.who == unit);
    let word = format!("the service manager says that a process of {unit} was killed for want of memory");
    match known {
        Some(d) if d.who == unit => {
            d.count += 1;
            d.times.extend(when);
        }
        Some(d) if d.pro.contains(&word) => {}
        Some(d) => d.pro.push(word),
        None => {
            let mut d = blank(unit.to_owned(), Manner::Unclear);
            d.certainty = Certainty::Likely;
            d.times.extend(when);
            d.text = format!("a process of {unit} was killed for want of memory");
            d.pro.push(word);
            d.contra.push("it does not say by which limit".to_owned());
            d.next = "read the kernel's log of that time beside it: journalctl -k".to_owned();
            deaths.push(d);
        }
    }
}

/// A group's own count of kills: an entry of its own only when the log tells of fewer.
pub(super) fn counted(
    group: &str,
    counted: u64,
    limit: Option<u64>,
    alive: usize,
    kills: &[&Kill],
    deaths: &mut Vec<Death>,
) {
    let within = |k: &&&Kill| {
        k.victim_group.as_deref().is_some_and(|v| v == group || v.starts_with(&format!("{group}/")))
    };
    let told = kills.iter().filter(within).count() as u64;
    let missing = counted.saturating_sub(told);
    if missing == 0 {
        return;
    }
    let workload = Workload::of(group);
    let mut d = blank(workload.words(), if alive > 0 { Manner::ChildOnly } else { Manner::Unclear });
    d.certainty = Certainty::Likely;
    d.count = missing;
    d.limit = limit;
    let times = if missing == 1 { "once".to_owned() } else { format!("{missing} times") };
    d.text = format!("the kernel killed {times} in {}, and its log does not tell of it any more", d.who);
    d.pro.push(format!("the group counts {counted} kills since it was made, the log tells of {told}"));
    if alive > 0 {
        d.pro.push(format!("{alive} processes live in it now"));
        d.contra.push("what lives in it now may have been started since".to_owned());
    }
    d.contra.push("the count does not say who, when, or by which limit".to_owned());
    d.workload = Some(workload);
    d.next = "keep the kernel's log longer, or let plimsoll triage --record watch the group".to_owned();
    deaths.push(d);
}

fn blank(who: String, manner: Manner) -> Death {
    Death {
        who,
        workload: None,
        manner,
        certainty: Certainty::CannotTell,
        count: 1,
        times: Vec::new(),
        held: None,
        limit: None,
        text: String::new(),
        pro: Vec::new(),
        contra: Vec::new(),
        next: String::new(),
    }
}
