//! Incidents as list, screen, JSON, Markdown and one page of HTML.

mod chart;
mod post;
mod redact;
mod write_up;

use jiff::Timestamp;
use plimsoll_core::agent::{Event, Level, What};
use plimsoll_core::incident::{Debt, Incident};
use plimsoll_core::judge::{Judgement, judge};
use plimsoll_core::mark::Mark;
use plimsoll_core::recording::{API_VERSION, Recording};
use plimsoll_core::units::duration;
use serde_json::{Value, json};

use crate::output::plain;
use crate::render::paint::Paint;
use crate::render::reading::Screen;

pub(crate) use post::{Form, payload};
pub(crate) use redact::Words;
pub(crate) use write_up::{html, markdown};

/// Events of the time line that the screen shows at most.
const SHOWN: usize = 30;

/// An incident with what the store still has of its memory.
pub(crate) struct Seen<'a> {
    pub(crate) incident: &'a Incident,
    /// Those of the same leak before it.
    pub(crate) earlier: Vec<&'a Incident>,
    pub(crate) recording: Option<Recording>,
    pub(crate) judgement: Option<Judgement>,
    /// Deploys, flags and settings of that time.
    pub(crate) marks: Vec<Mark>,
    pub(crate) now: f64,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(
        incident: &'a Incident,
        earlier: Vec<&'a Incident>,
        recording: Option<Recording>,
        marks: Vec<Mark>,
        now: f64,
    ) -> Self {
        // As it was in the incident: what came after may be another life.
        let judgement = recording.as_ref().map(|r| judge(&r.until(incident.to), None));
        Seen { incident, earlier, recording, judgement, marks, now }
    }
}

fn when(t: f64) -> String {
    Timestamp::from_second(t as i64).unwrap_or_default().strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn state(i: &Incident) -> &'static str {
    match (i.closed, i.owed().next().is_some(), i.is_calm) {
        (Some(_), false, _) => "closed",
        (Some(_), true, _) => "closed, owed",
        (None, _, false) => "climbs now",
        (None, true, true) => "owed",
        (None, false, true) => "open, calm",
    }
}

/// What happened in words: the name of the kind of event.
fn what(e: &Event) -> String {
    format!("{:?}", e.what).to_lowercase()
}

fn mark_words(m: &Mark) -> String {
    format!("{}{} {}", m.kind.name(), if m.off { " off" } else { "" }, m.name)
}

fn debt_words(d: &Debt, i: &Incident, now: f64) -> String {
    let cost = d.cost.as_ref().map_or_else(|| cost_since(d, i), |c| format!("costs {c}"));
    format!("{} for {}: {}, {cost}", d.kind, duration(d.paid.unwrap_or(now) - d.since), d.text)
}

/// Where nobody said what it costs, what is counted.
fn cost_since(d: &Debt, i: &Incident) -> String {
    let kills = i.events.iter().filter(|e| e.what == What::Killed && e.time > d.since).count();
    if kills == 0 { "its cost was not noted".to_owned() } else { format!("{kills} kills since") }
}

/// What is owed first, oldest first; then the incidents, newest first.
pub(crate) fn list(told: &[&Incident], all: &[Incident], now: f64, paint: Paint) -> String {
    let mut s = Screen { out: String::new(), paint };
    let mut owed: Vec<(&Incident, &Debt)> = all.iter().flat_map(|i| i.owed().map(move |d| (i, d))).collect();
    owed.sort_by(|a, b| a.1.since.total_cmp(&b.1.since));
    for (number, (i, d)) in owed.iter().enumerate() {
        let text = plain(&format!("{} {}: {}", i.id, i.workload, debt_words(d, i, now)));
        s.row(if number == 0 { "OWED" } else { "" }, &text, |l| paint.yellow(l));
    }
    if told.is_empty() {
        s.line("nothing is open");
    } else if !owed.is_empty() {
        s.line("");
    }
    for i in told {
        let kills = if i.kills > 0 { format!(", {} kills", i.kills) } else { String::new() };
        let line = format!(
            "{}  {}  {:12} {:8} {} captures{kills}  {}",
            paint.bold(&i.id),
            when(i.from),
            state(i),
            if i.level == Level::Calm { "" } else { i.level.name() },
            i.captures.len(),
            plain(&i.workload),
        );
        s.line(&line);
        let again = plimsoll_core::incident::earlier(all, i);
        if let Some(print) = &i.fingerprint {
            let again =
                if again.is_empty() { String::new() } else { format!(", seen {} times before", again.len()) };
            s.line(&format!("        {}", paint.dim(&plain(&format!("{print}{again}")))));
        }
    }
    if let Some(i) = told.first() {
        s.row("NEXT", &format!("plimsoll incident show {}", i.id), |l| paint.bold(l));
    }
    s.out
}

/// One incident on one screen.
pub(crate) fn screen(seen: &Seen<'_>, paint: Paint) -> String {
    let i = seen.incident;
    let mut s = Screen { out: String::new(), paint };
    let long = duration(i.to - i.from);
    s.line(&format!("{} · {} · {} · {long}", paint.bold(&i.id), plain(&i.workload), state(i)));
    s.line("");
    let verdict = seen.judgement.as_ref().map(|j| &j.verdict);
    let what_it_was = match (verdict, &i.fingerprint) {
        (Some(v), _) => format!("{} ({})", v.cause.name(), v.certainty.words()),
        (None, Some(print)) => print.clone(),
        (None, None) => "nobody has judged it, and the store has no series of it".to_owned(),
    };
    s.row("WHAT", &what_it_was, |l| paint.bold(l));
    for (label, findings) in [("FOR", verdict.map(|v| &v.pro)), ("AGAINST", verdict.map(|v| &v.contra))] {
        for (number, f) in findings.into_iter().flatten().enumerate() {
            s.row(if number == 0 { label } else { "" }, &f.text, str::to_owned);
        }
    }
    if let Some(last) = seen.earlier.last() {
        let text = format!(
            "the same leak {} times before, last in {} ({})",
            seen.earlier.len(),
            last.id,
            when(last.from)
        );
        s.row("AGAIN", &text, |l| paint.red(l));
    }
    for (number, d) in i.debts.iter().enumerate() {
        let paid = if d.paid.is_some() { "paid" } else { "owed" };
        s.row(
            if number == 0 { "OWED" } else { "" },
            &format!("{paid}: {}", plain(&debt_words(d, i, seen.now))),
            |l| paint.yellow(l),
        );
    }
    s.line("");
    let skipped = i.events.len().saturating_sub(SHOWN);
    if skipped > 0 {
        s.line(&format!("         {skipped} events before these"));
    }
    for e in i.events.iter().skip(skipped) {
        s.line(&format!("{}  {:9} {}", when(e.time), what(e), plain(&e.text)));
    }
    s.row("NEXT", &next(seen), |l| paint.bold(l));
    s.out
}

fn next(seen: &Seen<'_>) -> String {
    let i = seen.incident;
    let id = &i.id;
    if i.owed().next().is_some() {
        return format!("find and fix it; then plimsoll incident close {id} --fix WHAT --guard FILE");
    }
    match (i.closed, i.telling()) {
        (Some(_), _) => format!("plimsoll incident report {id} --html report.html"),
        (None, None) => format!("plimsoll incident report {id}; no evidence is stored: plimsoll capture"),
        (None, Some(folder)) => {
            format!("read what tells most: plimsoll read STORE/captures/{folder}")
        }
    }
}

fn debt_document(d: &Debt, now: f64) -> Value {
    json!({
        "kind": d.kind, "text": d.text, "sinceSeconds": d.since, "ageSeconds": d.paid.unwrap_or(now) - d.since,
        "cost": d.cost, "paidSeconds": d.paid,
    })
}

fn head(i: &Incident, now: f64) -> Value {
    json!({
        "id": i.id, "workload": i.workload, "state": state(i), "open": i.is_open(), "fromSeconds": i.from,
        "toSeconds": i.to, "closedSeconds": i.closed, "level": i.level, "kills": i.kills, "captures": i.captures,
        "fingerprint": i.fingerprint, "debts": i.debts.iter().map(|d| debt_document(d, now)).collect::<Vec<_>>(),
    })
}

pub(crate) fn list_document(told: &[&Incident], all: &[Incident], now: f64) -> Value {
    let owed: Vec<Value> = all
        .iter()
        .flat_map(|i| i.owed().map(move |d| (i, d)))
        .map(|(i, d)| json!({ "incident": i.id, "workload": i.workload, "debt": debt_document(d, now) }))
        .collect();
    json!({
        "apiVersion": API_VERSION, "kind": "IncidentList", "owed": owed,
        "incidents": told.iter().map(|i| head(i, now)).collect::<Vec<_>>(),
    })
}

pub(crate) fn document(seen: &Seen<'_>) -> Value {
    let mut out = head(seen.incident, seen.now);
    out["apiVersion"] = json!(API_VERSION);
    out["kind"] = json!("Incident");
    out["earlier"] = json!(seen.earlier.iter().map(|i| &i.id).collect::<Vec<_>>());
    out["events"] = json!(seen.incident.events);
    out["marks"] = json!(seen.marks);
    let verdict = seen.judgement.as_ref().map(|j| &j.verdict);
    let texts = |f: &[plimsoll_core::classify::Finding]| f.iter().map(|f| f.text.clone()).collect::<Vec<_>>();
    out["verdict"] = verdict.map_or(Value::Null, |v| {
        json!({
            "cause": v.cause.name(), "certainty": v.certainty.words(), "for": texts(&v.pro), "against": texts(&v.contra),
            "notSeen": v.missing, "refutedBy": v.refuted_by,
        })
    });
    out
}

/// How long the first warning came before the first kill.
fn warned(i: &Incident) -> Option<f64> {
    let kill = i.events.iter().find(|e| e.what == What::Killed)?.time;
    let warning =
        i.events.iter().find(|e| e.what == What::Level && e.level.is_some_and(|l| l > Level::Calm))?.time;
    (warning < kill).then_some(kill - warning)
}
