//! Who died for want of memory, and by which limit: what several sources say, each as far as it can be trusted, brought
//! together to deaths with what speaks for and against each.

mod control_group;
mod ended;
mod kill;

use std::collections::HashMap;

use crate::classify::Certainty;

pub use control_group::{Workload, pod_uid};

/// How tight it was where the kernel killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A memory control group was at its limit.
    Group,
    /// The whole machine was out of memory.
    Machine,
    /// The NUMA nodes allowed to the task were full, others were not.
    Nodes,
}

/// A time as a source tells it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Moment {
    /// As it is written.
    pub said: String,
    /// Seconds on the source's own clock: only for distances within one source.
    pub seconds: Option<f64>,
}

/// A process in the kernel's table of those that could have been killed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Task {
    /// In the kernel's own pid namespace.
    pub pid: i32,
    /// Its name (`comm`).
    pub name: String,
    /// All of its memory, pages.
    pub virtual_pages: u64,
    /// Resident memory, pages.
    pub resident_pages: u64,
    /// Swapped out, pages.
    pub swapped_pages: u64,
    /// Its `oom_score_adj`.
    pub score_adj: i32,
}

/// What a control group at its limit held, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Anonymous memory.
    pub anon: Option<u64>,
    /// Page cache, shared memory within it.
    pub file: Option<u64>,
    /// Shared memory and files in memory (tmpfs).
    pub shmem: Option<u64>,
    /// The kernel's own: slabs, stacks, page tables, sockets.
    pub kernel: Option<u64>,
}

/// One process killed by the kernel.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kill {
    /// Seconds since boot, when the line carries them.
    pub at: Option<f64>,
    /// When, as the line tells it.
    pub when: Option<Moment>,
    /// The victim, in the kernel's own pid namespace.
    pub pid: i32,
    /// Name of the victim (`comm`).
    pub name: String,
    /// What ran out; none when the log does not say.
    pub scope: Option<Scope>,
    /// The control group at its limit.
    pub limit_group: Option<String>,
    /// The control group of the victim.
    pub victim_group: Option<String>,
    /// Who asked for the page that could not be had (`comm`).
    pub invoked_by: Option<String>,
    /// Usage of the group at its limit, bytes.
    pub usage: Option<u64>,
    /// Limit of that group, bytes.
    pub limit: Option<u64>,
    /// What the group at its limit held.
    pub held: Held,
    /// Resident anonymous memory of the victim, bytes.
    pub anon: Option<u64>,
    /// Resident file mappings of the victim, bytes.
    pub file: Option<u64>,
    /// Resident shared memory of the victim, bytes.
    pub shmem: Option<u64>,
    /// Page tables of the victim, bytes.
    pub page_tables: Option<u64>,
    /// `oom_score_adj` of the victim.
    pub score_adj: Option<i32>,
    /// Who could have been killed, the largest first; empty when the log does not say.
    pub tasks: Vec<Task>,
    /// Bytes of a page.
    pub page: u64,
}

/// How a container ended, by its status.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ended {
    /// The pod, with its namespace when it is known; empty outside a cluster.
    pub pod: String,
    /// The pod's uid.
    pub pod_uid: Option<String>,
    /// The container's name.
    pub container: String,
    /// The container's id, without the runtime's name.
    pub id: Option<String>,
    /// Why, in the runtime's word (`OOMKilled`, `Error`).
    pub reason: Option<String>,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// When.
    pub when: Option<Moment>,
    /// How often the container was restarted.
    pub restarts: Option<u64>,
    /// Its memory limit, bytes.
    pub limit: Option<u64>,
}

/// What a runtime says when it gives up by itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GaveUp {
    /// The runtime.
    pub runtime: &'static str,
    /// What ran out.
    pub what: &'static str,
    /// Whether the process ends by it (else it may have been caught).
    pub fatal: bool,
    /// Where to go on.
    pub next: &'static str,
    /// The first line that says so.
    pub line: String,
    /// When, as the first and the last line tell it.
    pub when: Vec<Moment>,
    /// Lines that say so.
    pub count: u64,
}

/// What one source says.
#[derive(Debug, Clone, PartialEq)]
pub enum Trace {
    /// The kernel's log: a kill in full.
    Kernel(Box<Kill>),
    /// A control group's own count of kills.
    Counter {
        /// Its path.
        group: String,
        /// Kills within it.
        kills: u64,
        /// Its limit, bytes.
        limit: Option<u64>,
        /// Processes that live in it now.
        alive: usize,
    },
    /// A container's status.
    Ended(Box<Ended>),
    /// The kubelet took a pod off its node.
    Evicted {
        /// The pod.
        pod: String,
        /// What the kubelet says.
        message: String,
        /// When.
        when: Option<Moment>,
    },
    /// A runtime's own error.
    GaveUp(Box<GaveUp>),
    /// The service manager's word.
    Unit {
        /// The unit.
        unit: String,
        /// When.
        when: Option<Moment>,
    },
}

/// What killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// The control group of the victim was at its own limit.
    ContainerLimit,
    /// A group above the victim's was at its limit: a pod's, a slice's, all pods of the node.
    AncestorLimit,
    /// The machine (or the memory nodes allowed) had nothing left.
    Machine,
    /// The kubelet evicted the pod, before the machine ran out.
    Eviction,
    /// The runtime gave up at its own limit.
    Runtime,
    /// A process within the container was killed, not its first: the container goes on.
    ChildOnly,
    /// Killed, and nothing says that memory was the reason.
    Unclear,
}

impl Manner {
    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Manner::ContainerLimit => "container-limit",
            Manner::AncestorLimit => "ancestor-limit",
            Manner::Machine => "machine",
            Manner::Eviction => "eviction",
            Manner::Runtime => "runtime",
            Manner::ChildOnly => "child-only",
            Manner::Unclear => "unclear",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Manner::ContainerLimit => "its own limit",
            Manner::AncestorLimit => "a limit above it",
            Manner::Machine => "the whole machine",
            Manner::Eviction => "evicted by the kubelet",
            Manner::Runtime => "the runtime's own limit",
            Manner::ChildOnly => "only a child died",
            Manner::Unclear => "unclear",
        }
    }
}

/// A death, or the same death again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Death {
    /// Who died, in words.
    pub who: String,
    /// Of which workload, when a source says it.
    pub workload: Option<Workload>,
    /// By what.
    pub manner: Manner,
    /// How sure that is.
    pub certainty: Certainty,
    /// How often.
    pub count: u64,
    /// When, as far as it is told, in the order of the source.
    pub times: Vec<Moment>,
    /// What the victim held when it died last, bytes.
    pub held: Option<u64>,
    /// The limit that was reached, bytes.
    pub limit: Option<u64>,
    /// What happened, one sentence.
    pub text: String,
    /// What speaks for it.
    pub pro: Vec<String>,
    /// What speaks against it, or shows who is really to blame.
    pub contra: Vec<String>,
    /// What to do next.
    pub next: String,
}

impl Death {
    /// Seconds between two deaths in the middle, when there were three or more at known times.
    pub fn interval(&self) -> Option<f64> {
        let at: Vec<f64> = self.times.iter().filter_map(|t| t.seconds).collect();
        let mut gaps: Vec<f64> =
            at.iter().zip(at.get(1..)?).map(|(a, b)| b - a).filter(|g| *g > 0.0).collect();
        if gaps.len() < 2 {
            return None;
        }
        gaps.sort_by(f64::total_cmp);
        gaps.get(gaps.len() / 2).copied()
    }

    /// The same death: the same victim of the same workload, by the same limit.
    fn is_again(&self, other: &Death) -> bool {
        let one_workload = match (&self.workload, &other.workload) {
            (Some(a), Some(b)) => a.is_same(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        one_workload && self.manner == other.manner && self.who == other.who
    }

    /// `later` is told with it, and what it says of itself counts.
    fn again(&mut self, later: Death) {
        let mut times = std::mem::take(&mut self.times);
        times.extend(later.times.iter().cloned());
        *self = Death { count: self.count + later.count, times, ..later };
    }
}

/// Brings together what the sources say: one entry for each death, the same death again counted; the sure ones first,
/// and of those the one that came last.
pub fn deaths(traces: &[Trace]) -> Vec<Death> {
    let traces = once(traces);
    let told: Vec<&Kill> = traces.iter().filter_map(|t| t.kill()).collect();
    let kills: Vec<&Kill> = told.iter().filter(|k| !is_hearsay(k, &told)).copied().collect();
    let mut out: Vec<Death> = Vec::new();
    for kill in &kills {
        let also: Vec<&Ended> = traces.iter().filter_map(|t| t.ended()).filter(|e| e.is_of(kill)).collect();
        add(&mut out, kill::judge(kill, &kills, &also));
    }
    for (at, trace) in traces.iter().enumerate() {
        match trace {
            Trace::Ended(e) if !kills.iter().any(|k| e.is_of(k)) => {
                let before = traces.iter().take(at).filter_map(|t| t.ended());
                let told = before.filter(|b| b.is_same(e)).filter_map(|b| b.restarts).max();
                ended::judge(e, told, !kills.is_empty()).into_iter().for_each(|d| add(&mut out, d));
            }
            Trace::Evicted { pod, message, when } => {
                add(&mut out, ended::evicted(pod, message, when.clone()));
            }
            Trace::GaveUp(gave_up) => add(&mut out, ended::gave_up(gave_up)),
            Trace::Unit { unit, when } => ended::unit(unit, when.clone(), &mut out),
            Trace::Counter { .. } | Trace::Kernel(_) | Trace::Ended(_) => {}
        }
    }
    for trace in traces {
        if let Trace::Counter { group, kills: counted, limit, alive } = trace {
            ended::counted(group, *counted, *limit, *alive, &kills, &mut out);
        }
    }
    out.reverse();
    out.sort_by_key(|d| (d.manner == Manner::Unclear, std::cmp::Reverse(d.certainty)));
    out
}

/// Whether a kill is told by name and number only, and the kernel tells the same one itself.
fn is_hearsay(kill: &Kill, all: &[&Kill]) -> bool {
    let is_bare = |k: &Kill| k.scope.is_none() && k.anon.is_none();
    is_bare(kill) && all.iter().any(|k| k.pid == kill.pid && k.name == kill.name && !is_bare(k))
}

/// What sources say, each thing once: the same log or status may be given twice. What has no time may be another one.
fn once(traces: &[Trace]) -> Vec<&Trace> {
    let mut at: HashMap<String, Vec<&Trace>> = HashMap::new();
    let mut out = Vec::new();
    for trace in traces {
        if let Some(moment) = trace.moment() {
            let known = at.entry(moment).or_default();
            if known.contains(&trace) {
                continue;
            }
            known.push(trace);
        }
        out.push(trace);
    }
    out
}

fn add(deaths: &mut Vec<Death>, death: Death) {
    match deaths.iter().position(|d| d.is_again(&death)) {
        Some(at) => {
            let mut known = deaths.remove(at);
            known.again(death);
            deaths.push(known);
        }
        None => deaths.push(death),
    }
}

impl Trace {
    /// When it happened, for what is told once.
    fn moment(&self) -> Option<String> {
        let when = match self {
            Trace::Kernel(k) => {
                return k.at.map(|s| s.to_string()).or(k.when.as_ref().map(|w| w.said.clone()));
            }
            Trace::Ended(e) => e.when.as_ref(),
            Trace::Evicted { when, .. } | Trace::Unit { when, .. } => when.as_ref(),
            Trace::GaveUp(g) => g.when.first(),
            Trace::Counter { .. } => None,
        };
        when.map(|w| w.said.clone())
    }

    fn kill(&self) -> Option<&Kill> {
        if let Trace::Kernel(kill) = self { Some(kill) } else { None }
    }

    fn ended(&self) -> Option<&Ended> {
        if let Trace::Ended(ended) = self { Some(ended) } else { None }
    }
}

#[cfg(test)]
mod tests;
