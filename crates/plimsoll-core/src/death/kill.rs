//! A kill of the kernel's, judged: which limit, whether the victim is to blame, what else filled it.

use super::control_group::{Workload, ancestor};
use super::{Death, Ended, Kill, Manner, Moment, Scope, Task};
use crate::classify::Certainty;
use crate::units::{bytes, percent};

/// Part of the usage that the processes must explain, else something else fills it.
const EXPLAINED: f64 = 0.5;
/// Part of the usage from which files in memory, or the kernel's own memory, are told.
const NOTABLE: f64 = 0.25;

/// Judges one of `kills`, with what container statuses say of the same container.
pub(super) fn judge(kill: &Kill, kills: &[&Kill], also: &[&Ended]) -> Death {
    let workload = kill.victim_group.as_deref().map(Workload::of);
    let manner = manner(kill, kills, also);
    let mut death = Death {
        who: who(kill, also),
        workload,
        manner,
        certainty: if kill.scope.is_some() && !is_nameless(kill) {
            Certainty::Certain
        } else {
            Certainty::Likely
        },
        count: 1,
        times: time(kill).into_iter().collect(),
        held: resident(kill),
        limit: kill.limit,
        text: String::new(),
        pro: Vec::new(),
        contra: Vec::new(),
        next: next(manner, kill),
    };
    death.text = text(kill, &death);
    evidence(kill, also, &mut death);
    death
}

fn who(kill: &Kill, also: &[&Ended]) -> String {
    match also.first() {
        Some(e) if !e.pod.is_empty() => format!("{} in container {} of {}", kill.name, e.container, e.pod),
        _ => kill.name.clone(),
    }
}

fn time(kill: &Kill) -> Option<Moment> {
    let since_boot = || {
        let at = kill.at?;
        Some(Moment { said: format!("{at:.0} s after boot"), seconds: Some(at) })
    };
    kill.when.clone().or_else(since_boot)
}

fn manner(kill: &Kill, kills: &[&Kill], also: &[&Ended]) -> Manner {
    // A group that is killed as a whole loses its first process too.
    let died = |pid| kills.iter().any(|k| k.pid == pid && k.limit_group == kill.limit_group);
    let goes_on = also.iter().any(|e| e.reason.is_none()) || first(kill).is_some_and(|f| !died(f.pid));
    match kill.scope {
        Some(Scope::Machine | Scope::Nodes) => Manner::Machine,
        Some(Scope::Group) if goes_on => Manner::ChildOnly,
        Some(Scope::Group) if above(kill).is_some() => Manner::AncestorLimit,
        Some(Scope::Group) => Manner::ContainerLimit,
        None => Manner::Unclear,
    }
}

/// The first process of the victim's group, when the table holds that group and no other: the group at its limit is
/// the victim's own.
fn first(kill: &Kill) -> Option<&Task> {
    if kill.scope != Some(Scope::Group) || above(kill).is_some() {
        return None;
    }
    // In a container the first process has the lowest pid: pids wrap too rarely to matter, and the rule asks for more
    // than one process. A plain group has no first process.
    Workload::of(kill.victim_group.as_deref()?).container?;
    kill.tasks.iter().filter(|t| t.name != "pause").min_by_key(|t| t.pid).filter(|_| kill.tasks.len() > 1)
}

/// Whether a group was at its limit, and nothing says which: the line of the kill alone does not.
fn is_nameless(kill: &Kill) -> bool {
    kill.scope == Some(Scope::Group) && kill.limit_group.is_none()
}

/// The group at its limit, when it is above the victim's.
fn above(kill: &Kill) -> Option<&str> {
    let (limit, victim) = (kill.limit_group.as_deref()?, kill.victim_group.as_deref()?);
    let rest = victim.strip_prefix(limit.trim_end_matches('/'))?;
    rest.starts_with('/').then_some(limit)
}

/// Resident memory of the victim, bytes.
fn resident(kill: &Kill) -> Option<u64> {
    Some(kill.anon? + kill.file.unwrap_or(0) + kill.shmem.unwrap_or(0))
}

fn text(kill: &Kill, death: &Death) -> String {
    let held = death.held.map_or_else(String::new, |h| format!(", which held {},", bytes(h as f64)));
    let limit = kill.limit.map_or_else(String::new, |l| format!(" of {}", bytes(l as f64)));
    let place = death.workload.as_ref().map_or_else(String::new, |w| format!(" in {}", w.words()));
    let by = match (death.manner, kill.scope) {
        (Manner::ContainerLimit, _) if is_nameless(kill) => {
            format!("its own limit{limit}, or one above it, was reached")
        }
        (Manner::ContainerLimit, _) => format!("its own limit{limit} was reached"),
        (Manner::AncestorLimit, _) => {
            format!("{}{limit} was reached", above(kill).map(ancestor).unwrap_or_default())
        }
        (Manner::ChildOnly, _) => {
            format!("the limit{limit} was reached; the container's first process was left alive")
        }
        (_, Some(Scope::Nodes)) => "the memory nodes that it may use were full".to_owned(),
        (Manner::Machine, _) => "the whole machine was out of memory".to_owned(),
        _ => "the log does not say what ran out".to_owned(),
    };
    format!("the kernel killed {} (pid {}){place}{held} because {by}", kill.name, kill.pid)
}

fn evidence(kill: &Kill, also: &[&Ended], death: &mut Death) {
    death.pro.push(match kill.scope {
        Some(Scope::Group) if is_nameless(kill) => {
            "the kernel says that a group of processes was at its limit".to_owned()
        }
        Some(Scope::Group) => "the kernel's log names the group at its limit".to_owned(),
        Some(_) => "the kernel's log says that no limit of a group was involved".to_owned(),
        None => {
            "the kernel's log tells of the kill, not of its cause: the lines before it are missing".to_owned()
        }
    });
    if let (Some(usage), Some(limit)) = (kill.usage, kill.limit) {
        death.pro.push(format!("usage {} of {}", bytes(usage as f64), bytes(limit as f64)));
    }
    for e in also {
        death.pro.push(status(e));
    }
    if is_nameless(kill) {
        death
            .contra
            .push("the lines that name the group are missing: it may be one above its own".to_owned());
    }
    let blame = blame(kill);
    death.contra.extend(blame);
    death.contra.extend(elsewhere(kill));
}

fn status(e: &Ended) -> String {
    let code = e.exit_code.map_or_else(String::new, |c| format!(", exit code {c}"));
    match &e.reason {
        Some(reason) => format!("the container's status says {reason}{code}"),
        None => "the container's status shows no end of it: it went on".to_owned(),
    }
}

/// Whether somebody else was larger than the victim.
fn blame(kill: &Kill) -> Option<String> {
    let victim = kill.tasks.iter().find(|t| t.pid == kill.pid)?;
    let largest = kill.tasks.iter().max_by_key(|t| t.resident_pages)?;
    if largest.pid == kill.pid || largest.resident_pages <= victim.resident_pages {
        return None;
    }
    let size = |t: &Task| bytes((t.resident_pages.saturating_mul(kill.page)) as f64);
    let why = if largest.score_adj < victim.score_adj {
        format!(
            ": its oom_score_adj of {} spared it (the victim's is {})",
            largest.score_adj, victim.score_adj
        )
    } else {
        String::new()
    };
    Some(format!(
        "the victim ({}) was not the largest: {} (pid {}) held {}{why}",
        size(victim),
        largest.name,
        largest.pid,
        size(largest)
    ))
}

/// What filled the group that is no process's own memory.
fn elsewhere(kill: &Kill) -> Vec<String> {
    let mut out = Vec::new();
    let Some(usage) = kill.usage.filter(|u| *u > 0) else { return out };
    let share = |part: u64| part as f64 / usage as f64;
    for (part, what) in [
        (
            kill.held.shmem,
            "files in memory (tmpfs, a volume of medium Memory) or shared memory, which no dump of a process shows",
        ),
        (kill.held.kernel, "the kernel's own: slabs, stacks, page tables, sockets"),
    ] {
        if let Some(part) = part.filter(|p| share(*p) >= NOTABLE) {
            out.push(format!("{} of the usage ({}) was {what}", percent(share(part)), bytes(part as f64)));
        }
    }
    let resident: u64 = kill.tasks.iter().map(|t| t.resident_pages.saturating_mul(kill.page)).sum();
    if out.is_empty() && !kill.tasks.is_empty() && share(resident) < EXPLAINED {
        out.push(format!(
            "the processes held only {} of the {} in use: look at page cache, files in memory and the kernel's memory",
            bytes(resident as f64),
            bytes(usage as f64)
        ));
    }
    out
}

fn next(manner: Manner, kill: &Kill) -> String {
    match manner {
        Manner::Machine => {
            "look at who was large on the machine (below), then at requests against the machine's memory: the victim need not be the culprit".to_owned()
        }
        Manner::AncestorLimit => {
            "look at the neighbours under the same limit before the victim; plimsoll triage shows each".to_owned()
        }
        Manner::ChildOnly => format!(
            "look at the process {}, not at the container's restarts: there are none; memory.oom.group=1 makes the container die as a whole",
            kill.name
        ),
        Manner::Unclear => "read the whole kernel log: plimsoll oom FILE, from dmesg or journalctl -k".to_owned(),
        _ => format!("plimsoll triage {} while it climbs again: it tells how long it has, and what to capture", kill.name),
    }
}
