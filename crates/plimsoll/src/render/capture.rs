//! The plan of a capture, and what was taken.

use plimsoll_core::classify::Certainty;
use plimsoll_core::plan::Step;
use plimsoll_core::preflight::{self, Check, Term};
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units;
use plimsoll_host::capture::{Folder, is_taken};
use serde_json::{Value, json};

use super::paint::Paint;
use super::reading::Screen;
use crate::cli::capture::Plan;

/// The plan as text.
pub(crate) fn plan(target: &str, plan: &Plan<'_>, paint: Paint) -> String {
    let mut s = Screen { out: String::new(), paint };
    let t = &plan.recording.target;
    let version = t.runtime_version.as_deref().unwrap_or("");
    s.line(&format!("{} · pid {} · {:?} {version}", paint.bold(&t.name), t.pid, t.runtime));
    s.line("");
    let verdict = &plan.judgement.verdict;
    let sure = match verdict.certainty {
        Certainty::Certain => "certain",
        Certainty::Likely => "likely",
        Certainty::CannotTell => "cannot tell yet",
    };
    s.row("WHAT", &format!("{}, {sure}", verdict.cause.name()), str::to_owned);
    let Some(step) = &plan.step else {
        s.row("TAKE", "nothing: the verdict calls for no artifact; --artifact names one", |l| paint.green(l));
        others(&mut s, plan);
        return s.out;
    };
    s.row("TAKE", &format!("{}, as {}: it shows {}", step.artifact, plan.why, step.shows), |l| paint.bold(l));
    match &plan.cost {
        Ok(cost) => s.row("COST", &preflight::in_words(cost), str::to_owned),
        Err(why) => s.row("COST", &format!("cannot be told: {why}"), |l| paint.yellow(l)),
    }
    match plan.attach {
        Some(0.0) => s.row("ATTACH", "it was attached to before: it answers at once", str::to_owned),
        Some(most) => s.row(
            "ATTACH",
            &format!("the first time: 0.02 s on an idle machine, {most} s reckoned, and it may fail; plimsoll watch does it ahead of need"),
            str::to_owned,
        ),
        None => {}
    }
    plan.checks.iter().for_each(|c| check(&mut s, c));
    s.row(
        "TO",
        &format!(
            "{} ({}, {} free)",
            plan.place.path,
            plan.place.file_system,
            units::bytes(plan.place.free_bytes)
        ),
        str::to_owned,
    );
    let command = format!("plimsoll capture {target} --artifact {} --go", step.id);
    let next = match (plan.allowed(), is_taken(&plan.recording.target, step.id)) {
        (_, false) if plan.cost.is_err() => "another artifact: this one cannot be had here".to_owned(),
        (_, false) => format!("by hand: {}", step.command),
        (Some(false), _) => "refused: do what is named above first".to_owned(),
        _ => format!("{command}   (nothing was done yet)"),
    };
    s.row("NEXT", &next, |l| paint.bold(l));
    others(&mut s, plan);
    s.out
}

fn check(s: &mut Screen, c: &Check) {
    let paint = s.paint;
    let label = match c.term {
        Term::Memory => "MEMORY",
        Term::Disk => "DISK",
        Term::Inodes => "FILES",
        Term::Pause => "PAUSE",
        Term::Life => "TARGET",
    };
    let lever = c.lever.as_ref().map_or_else(String::new, |l| format!(": {l}"));
    let text = format!("{}{lever}", c.text);
    match c.ok {
        Some(true) => s.row(label, &format!("ok, {text}"), |l| paint.green(l)),
        Some(false) => s.row(label, &format!("refused, {text}"), |l| paint.red(l)),
        None => s.row(label, &format!("cannot tell, {text}"), |l| paint.yellow(l)),
    }
}

fn others(s: &mut Screen, plan: &Plan<'_>) {
    let paint = s.paint;
    for (number, step) in plan.others.iter().enumerate() {
        let hand = if is_taken(&plan.recording.target, step.id) { "" } else { ", by hand" };
        let text = format!("{}{hand}: {}", step.id, step.why);
        s.row(if number == 0 { "OTHERS" } else { "" }, &text, |l| paint.dim(l));
    }
}

/// The `CapturePlan` document.
pub(crate) fn plan_json(plan: &Plan<'_>) -> Value {
    let t = &plan.recording.target;
    let verdict = &plan.judgement.verdict;
    let step = |s: &Step| {
        let mut value = json!(s.json());
        value["byPlimsoll"] = is_taken(t, s.id).into();
        value
    };
    let cost = plan.cost.as_ref().ok().map(|c| {
        json!({
            "memoryBytes": c.memory, "diskBytes": c.disk, "targetTmpBytes": c.inside, "pauseSeconds": c.pause, "runningSeconds": c.running,
            "basis": c.basis,
        })
    });
    json!({
        "apiVersion": API_VERSION,
        "kind": "CapturePlan",
        "target": {"pid": t.pid, "name": t.name, "runtime": t.runtime, "runtimeVersion": t.runtime_version},
        "verdict": {"cause": verdict.cause, "certainty": verdict.certainty},
        "artifact": plan.step.as_ref().map(step),
        "because": plan.why,
        "cost": cost,
        "costUnknown": plan.cost.as_ref().err(),
        "checks": plan.checks,
        "attachSeconds": plan.attach,
        "allowed": plan.allowed(),
        "destination": plan.place,
        "others": plan.others.iter().map(step).collect::<Vec<_>>(),
    })
}

/// What was taken, as text.
pub(crate) fn result(folder: &Folder, head: &Value, paint: Paint) -> String {
    let mut s = Screen { out: String::new(), paint };
    for (number, piece) in folder.pieces.iter().enumerate() {
        let whole = match &piece.cut {
            None => "whole".to_owned(),
            Some(why) => format!("cut: {why}"),
        };
        let size = units::bytes(piece.bytes as f64);
        let text = format!(
            "{}  {size} in {:.2} s, {whole}, sha256 {:.12}…",
            piece.file,
            piece.took.as_secs_f64(),
            piece.sha256
        );
        s.row(if number == 0 { "TAKEN" } else { "" }, &text, |l| {
            if piece.cut.is_none() { paint.green(l) } else { paint.yellow(l) }
        });
    }
    if let Some(why) = head["failed"].as_str() {
        s.row("FAILED", why, |l| paint.red(l));
    }
    let next = match folder.is_pipe() {
        true => "whoever read the pipe has it: compare the checksum, then plimsoll read it".to_owned(),
        false => format!("plimsoll read {}", folder.path().display()),
    };
    s.row("NEXT", &next, |l| paint.bold(l));
    s.out
}
