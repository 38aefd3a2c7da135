//! Deaths among the other artifacts: how they are recognised, and what is said of them.

use std::io::Read;

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::death::{Death, Kill, Manner, Task, Trace, Workload};
use plimsoll_core::units::{bytes, duration};
use serde::Serialize;

use super::{Deaths, parse};
use crate::formats::{Kind, Reading};
use crate::reading::{Context, Finding, Report, Source, Table, count};

/// Deaths told as findings; the table has more.
const FINDINGS: usize = 5;
/// Rows of a table.
const ROWS: usize = 12;

/// One death in JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    who: String,
    manner: &'static str,
    certainty: Certainty,
    count: u64,
    /// As the sources write them.
    times: Vec<String>,
    interval_seconds: Option<f64>,
    held_bytes: Option<u64>,
    limit_bytes: Option<u64>,
    control_group: Option<String>,
    pod_uid: Option<String>,
    text: String,
    #[serde(rename = "for")]
    pro: Vec<String>,
    #[serde(rename = "against")]
    contra: Vec<String>,
    next: String,
}

impl From<&Death> for Told {
    fn from(d: &Death) -> Self {
        Told {
            who: d.who.clone(),
            manner: d.manner.name(),
            certainty: d.certainty,
            count: d.count,
            times: d.times.iter().map(|t| t.said.clone()).collect(),
            interval_seconds: d.interval(),
            held_bytes: d.held,
            limit_bytes: d.limit,
            control_group: d.workload.as_ref().map(|w| w.path.clone()).filter(|p| !p.is_empty()),
            pod_uid: d.workload.as_ref().and_then(|w| w.pod_uid.clone()),
            text: d.text.clone(),
            pro: d.pro.clone(),
            contra: d.contra.clone(),
            next: d.next.clone(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    #[serde(flatten)]
    head: &'a Report,
    deaths: Vec<Told>,
}

/// What the deaths come to. `kind` says in words what was read.
pub fn told(deaths: &Deaths, kind: &str) -> Reading {
    let list = deaths.list();
    let source = Source { kind: kind.to_owned(), bytes: deaths.bytes, truncated: deaths.truncated.clone() };
    let head = Report {
        artifact: source,
        summary: summary(&list),
        findings: if list.is_empty() {
            vec![nobody()]
        } else {
            list.iter().take(FINDINGS).map(finding).collect()
        },
        groups: Vec::new(),
        warnings: deaths.warnings.list(),
    };
    let mut tables = vec![table(&list)];
    let last = deaths.traces.iter().rev().find_map(|t| match t {
        Trace::Kernel(kill) if !kill.tasks.is_empty() => Some(kill),
        _ => None,
    });
    tables.extend(last.map(|k| tasks(k)));
    Reading::new(&head, &Whole { head: &head, deaths: list.iter().map(Told::from).collect() }, tables)
}

fn summary(list: &[Death]) -> String {
    let all: u64 = list.iter().map(|d| d.count).sum();
    let Some(most) = list.first() else {
        return "nobody died for want of memory, as far as this tells".to_owned();
    };
    let often = |d: &Death| {
        let every = d.interval().map_or_else(String::new, |s| format!(", every {}", duration(s)));
        if d.count == 1 { String::new() } else { format!(" ({} times{every})", d.count) }
    };
    let limit = most.limit.map_or_else(String::new, |l| format!(" ({})", bytes(l as f64)));
    let sure =
        if most.certainty == Certainty::Certain || most.manner == Manner::Unclear { "" } else { "likely " };
    let one = format!("{}: {sure}{}{limit}{}", most.who, most.manner.words(), often(most));
    match list.len() {
        1 => one,
        n => format!("{}, of {n} kinds; the newest sure one: {one}", count(all, "death")),
    }
}

fn nobody() -> Finding {
    Finding::new(Certainty::CannotTell, "no kill, no eviction, no runtime that gave up is told of")
        .of(Cause::None)
        .but("a log is a ring or is rotated: an older death may be gone from it")
}

fn finding(d: &Death) -> Finding {
    let mut f = Finding::new(d.certainty, d.text.clone()).hint(d.next.clone());
    f.pro.clone_from(&d.pro);
    f.contra.clone_from(&d.contra);
    if let Some(every) = d.interval() {
        f.pro.push(format!("{} times, every {} (median)", d.count, duration(every)));
    }
    f
}

fn table(list: &[Death]) -> Table {
    let size = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| bytes(n as f64));
    let sure = |d: &Death| match d.certainty {
        Certainty::Certain => "certain",
        Certainty::Likely => "likely",
        Certainty::CannotTell => "maybe",
    };
    let row = |d: &Death| {
        let last = d.times.last().map_or_else(|| "?".to_owned(), |t| t.said.clone());
        let place = d.workload.as_ref().map_or_else(String::new, Workload::words);
        let by = d.manner.words().to_owned();
        vec![
            d.count.to_string(),
            last,
            d.who.clone(),
            by,
            size(d.held),
            size(d.limit),
            sure(d).to_owned(),
            place,
        ]
    };
    Table {
        title: "DEATHS".to_owned(),
        head: vec!["#times", "last", "who", "by", "#held", "#limit", "sure", "where"],
        rows: list.iter().take(ROWS).map(row).collect(),
    }
}

/// Who was in memory when the kernel chose last.
fn tasks(kill: &Kill) -> Table {
    let row = |t: &Task| {
        let size = |pages: u64| bytes(pages.saturating_mul(kill.page) as f64);
        let mark = if t.pid == kill.pid { "killed" } else { "" };
        let swap = size(t.swapped_pages);
        vec![
            t.pid.to_string(),
            t.name.clone(),
            size(t.resident_pages),
            swap,
            t.score_adj.to_string(),
            mark.to_owned(),
        ]
    };
    Table {
        title: format!("IN MEMORY when {} (pid {}) was killed", kill.name, kill.pid),
        head: vec!["#pid", "name", "#resident", "#swapped", "#oom_score_adj", ""],
        rows: kill.tasks.iter().take(ROWS).map(row).collect(),
    }
}

impl Kind for Deaths {
    const NAME: &'static str = "deaths";
    const IS_IN_LOGS: bool = true;

    fn looks_like(head: &[u8]) -> bool {
        let text = String::from_utf8_lossy(head);
        let line = |l: &str| {
            l.contains("invoked oom-killer:")
                || l.contains("oom-kill:constraint=")
                || l.contains("Killed process ") && l.contains("-rss:")
                || l.contains("killed by the OOM killer")
                || l.contains("Failed with result 'oom-kill'")
                || l.contains("TaskOOM event")
                || l.contains("low on resource: memory")
                || l.contains(super::cluster::SYSTEM_OOM)
                || l.contains(super::cluster::SEEN)
                || super::runtime::find(l).is_some()
        };
        text.lines().any(line) || is_pod(&text) || is_kernel(&text)
    }

    fn parse(from: &mut dyn Read) -> Option<Self> {
        let mut deaths = parse(from);
        deaths.known |= deaths.bytes > 0;
        deaths.known.then_some(deaths)
    }

    fn reading(&self, _: &Context) -> Reading {
        told(self, "log or status of deaths")
    }

    fn change(series: &[&Self], _: &Context) -> Option<Reading> {
        let mut all = Deaths::default();
        series.iter().for_each(|d| all.and((*d).clone()));
        Some(told(&all, "logs or statuses of deaths"))
    }
}

/// A pod, described or as an object, or `docker inspect`.
fn is_pod(text: &str) -> bool {
    let object = || {
        let kind = ["Pod", "PodList", "Event", "EventList", "List"];
        let is = |k: &&str| {
            let json = [format!("\"kind\": \"{k}\""), format!("\"kind\":\"{k}\"")];
            json.iter().any(|j| text.contains(j))
                || text.lines().any(|l| l.trim_end() == format!("kind: {k}"))
        };
        text.contains("apiVersion") && kind.iter().any(is)
    };
    let described =
        || text.starts_with("Name:") && text.contains("\nNamespace:") && text.contains("\nContainers:");
    described() || object() || text.contains("\"OOMKilled\":")
}

/// A kernel's log without a kill is an answer too: how it begins at boot, or a journal's records of it.
fn is_kernel(text: &str) -> bool {
    let boot = |l: &str| l.contains("] Linux version ") || l.contains(" kernel: Linux version ");
    let record = |l: &str| l.contains("\"_TRANSPORT\"") && l.contains("\"kernel\"");
    text.lines().take(20).any(boot) || text.lines().take(200).any(record)
}
