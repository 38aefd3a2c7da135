//! `plimsoll restart`: evidence first, then the restart.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_core::agent::hold::{Progress, wanted};
use plimsoll_core::agent::{About, Event, What};
use plimsoll_core::incident;
use plimsoll_core::recording::{API_VERSION, Recording};
use plimsoll_core::target::Target;
use plimsoll_core::units;
use plimsoll_core::{plan, preflight};
use plimsoll_host::agent::hold::{Hold, HoldError};
use plimsoll_host::capture;
use plimsoll_host::identify;
use plimsoll_host::sampler::Sampler;
use plimsoll_host::store;
use plimsoll_host::world::World;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};

use super::{calibrate, live, trail, triage};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, tell};
use crate::render::json;
use crate::render::paint::Paint;
use crate::render::reading::Screen;

/// Restarts a process when its evidence is stored, and not before
///
/// The agent that holds the store is asked for it; without one it is taken here, into the same store. Without --go nothing
/// is done: the plan is shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll restart name:java                                     what would be waited for, and what would be done
  plimsoll restart name:java --go -- systemctl restart shop      evidence, then the command
  plimsoll restart 4711 --signal TERM --go                       evidence, then the signal; it is waited for its end
  plimsoll restart 1 --wait 40s --go                             evidence only: as a preStop hook

Evidence of the same process that was stored in the last 10 minutes is not taken again.

Exit codes: 0 done, or the plan is shown; 2 usage, 3 no such process, 4 not restarted, as the evidence is not stored; \
5 the evidence is stored, but the restart failed.")]
pub(crate) struct Args {
    /// PID, pid:N, name:GLOB, cgroup:PATH or container:ID.
    target: String,

    /// Do it.
    #[arg(long)]
    go: bool,

    /// What must be stored, once for each; else what tells most of this runtime.
    #[arg(long, value_name = "NAME")]
    artifact: Vec<String>,

    /// Longest time to wait for the evidence, and for the end after a signal.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = triage::duration)]
    wait: f64,

    /// Folder of the agent's log and evidence.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,

    /// Signal that ends it; whatever keeps it running starts it anew.
    #[arg(long, value_name = "NAME", value_parser = signal, conflicts_with = "command")]
    signal: Option<Signal>,

    /// Restart it even if the evidence cannot be stored.
    #[arg(long, requires = "go")]
    anyway: bool,

    /// What restarts it; its output goes to stderr.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

const SIGNALS: &[(&str, Signal)] = &[
    ("TERM", Signal::TERM),
    ("INT", Signal::INT),
    ("HUP", Signal::HUP),
    ("QUIT", Signal::QUIT),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("KILL", Signal::KILL),
];

fn signal(text: &str) -> Result<Signal, String> {
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let names: Vec<&str> = SIGNALS.iter().map(|(n, _)| *n).collect();
    let known = SIGNALS.iter().find(|(n, _)| *n == name).map(|(_, s)| *s);
    known.ok_or_else(|| format!("there are {}", names.join(", ")))
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let stop = triage::stop_flag()?;
    let world = World::default();
    let pid = live::resolve(&world, &args.target)?;
    // Opened first: whoever gets the number later is not meant by it.
    let process = process(pid)?;
    let target =
        identify::identify(&world, pid).map_err(|e| CliError::cannot_judge("no such target").because(e))?;
    check(args, &target)?;
    let store = args.store.clone().or_else(|| trail::folder().map(|f| f.join("store")));
    let store =
        store.ok_or_else(|| CliError::usage("there is no place for the store").hint("--store names one"))?;
    let here = calibrate::here(&world);
    let hold = Hold {
        world: &world,
        here: &here,
        store: &store,
        target: &target,
        artifacts: &args.artifact,
        patience: Duration::from_secs_f64(args.wait.clamp(0.0, 86_400.0)),
        stop: &stop,
    };
    if !args.go {
        show_plan(args, &hold, format)?;
        return Ok(exit_code::FINE);
    }
    trail::write(&act(args, &target, "begin"))?;
    let (progress, began) = (evidence(&hold)?, Instant::now());
    let enough = progress.enough(&args.artifact, target.runtime);
    if let Err(why) = &enough
        && !args.anyway
    {
        trail::write(&act(args, &target, "not restarted"))?;
        let stored = stored(&hold, &progress);
        let also =
            if stored.is_empty() { String::new() } else { format!("; stored is {}", stored.join(", ")) };
        let refused = CliError::new(Kind::Refused, format!("{} is not restarted: {why}{also}", args.target));
        return Err(refused.hint("--artifact names what is enough; --anyway restarts it without"));
    }
    let workload = hold.workload();
    let restarted = restart(args, &process, hold.patience.saturating_sub(began.elapsed()));
    trail::write(&act(args, &target, if restarted.is_ok() { "done" } else { "failed" }))?;
    if restarted.is_ok() && (args.signal.is_some() || !args.command.is_empty()) {
        owe(hold.store, &workload, &then(args, &target));
    }
    show_result(args, &hold, &progress, &restarted, format)?;
    Ok(if restarted.is_ok() { exit_code::FINE } else { exit_code::PARTIAL })
}

/// A restart of a workload whose incident is open cures nothing: it is owed until a fix and a guard close it.
fn owe(folder: &Path, workload: &str, how: &str) {
    let Ok(events) = store::events(folder) else { return };
    let all = incident::incidents(&events);
    let Some(open) = all.iter().rfind(|i| i.workload == workload && i.closed.is_none()) else { return };
    let about =
        About { incident: Some(open.id.clone()), mitigation: Some("restart".to_owned()), ..About::default() };
    let now = Timestamp::now().as_millisecond() as f64 / 1e3;
    let event = Event { about: Some(about), ..Event::new(now, workload, What::Mitigated, how) };
    // The restart is done, whether it is written down or not; the trail of acts has it too.
    match store::append(folder, &event) {
        Ok(()) => tell(&format!("plimsoll: the restart is owed for incident {}", open.id)),
        Err(e) => tell(&format!("plimsoll: what is owed was not noted: {e}")),
    }
}

fn process(pid: i32) -> Result<OwnedFd, CliError> {
    let raw =
        Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(|| CliError::usage(format!("{pid} is no pid")))?;
    pidfd_open(raw, PidfdFlags::empty()).map_err(|e| {
        CliError::cannot_judge(format!("no process has pid {pid}")).because(std::io::Error::from(e))
    })
}

/// What is asked for must be something that can be taken.
fn check(args: &Args, target: &Target) -> Result<(), CliError> {
    match args.artifact.iter().find(|id| !capture::is_taken(target, id)) {
        Some(id) => Err(CliError::usage(format!("plimsoll takes no {id} of this runtime"))
            .hint(format!("`plimsoll capture {}` shows what there is", args.target))),
        None => Ok(()),
    }
}

/// What is stored already, or is stored now.
fn evidence(hold: &Hold<'_>) -> Result<Progress, CliError> {
    let progress = Progress { stored: hold.stored_already(), ..Progress::default() };
    if progress.enough(hold.artifacts, hold.target.runtime).is_ok() {
        tell("plimsoll: the evidence was stored just before");
        return Ok(progress);
    }
    hold.wait(&mut |event: &Event| tell(&format!("plimsoll: {}", output::plain(&event.text)))).map_err(failed)
}

fn failed(e: HoldError) -> CliError {
    CliError::new(Kind::Refused, "no evidence can be stored, so nothing is restarted").because(e)
}

/// What is done in the end, in words.
fn then(args: &Args, target: &Target) -> String {
    match (&args.signal, args.command.as_slice()) {
        (Some(signal), _) => format!("signal {} to pid {}", name(*signal), target.pid),
        (None, []) => "nothing: it only waits, as a hook before a stop does".to_owned(),
        (None, words) => words.join(" "),
    }
}

fn name(signal: Signal) -> &'static str {
    SIGNALS.iter().find(|(_, s)| *s == signal).map_or("", |(n, _)| n)
}

/// Restarts it; says how, or why not.
fn restart(args: &Args, process: &OwnedFd, patience: Duration) -> Result<String, String> {
    if let Some(signal) = args.signal {
        return end(process, signal, patience);
    }
    let Some((program, words)) = args.command.split_first() else {
        return Ok("nothing was to be restarted".to_owned());
    };
    let status = Command::new(program).args(words).stdin(Stdio::null()).stdout(std::io::stderr()).status();
    match status {
        Ok(status) if status.success() => Ok(format!("{program} ended well")),
        Ok(status) => Err(format!("{program} failed: {status}")),
        Err(e) => Err(format!("{program} cannot be run: {e}")),
    }
}

fn end(process: &OwnedFd, signal: Signal, patience: Duration) -> Result<String, String> {
    pidfd_send_signal(process, signal).map_err(|e| format!("the signal was not taken: {e}"))?;
    let mut ended = [PollFd::new(process, PollFlags::IN)];
    let timeout = Timespec::try_from(patience.max(Duration::from_secs(1))).ok();
    match poll(&mut ended, timeout.as_ref()) {
        Ok(1..) => Ok("it has ended".to_owned()),
        _ => Err("it still runs after the signal".to_owned()),
    }
}

fn act(args: &Args, target: &Target, what: &str) -> Value {
    json!({
        "act": "restart",
        "what": what,
        "pid": target.pid,
        "name": target.name,
        "by": then(args, target),
        "undo": "none: a restart cannot be taken back; the evidence is in the store",
    })
}

fn stored(hold: &Hold<'_>, progress: &Progress) -> Vec<String> {
    let captures = hold.store.join("captures");
    let shown = |(id, folder, whole): &(String, String, bool)| {
        let cut = if *whole { "" } else { " (cut)" };
        format!("{id}{cut} in {}", captures.join(folder).display())
    };
    progress.stored.iter().map(shown).collect()
}

fn show_plan(args: &Args, hold: &Hold<'_>, format: Format) -> Result<(), CliError> {
    let t = hold.target;
    let ids = if args.artifact.is_empty() { wanted(t.runtime) } else { args.artifact.clone() };
    let must: Vec<&String> = ids.iter().take(if args.artifact.is_empty() { 1 } else { ids.len() }).collect();
    let agent = hold.has_agent();
    let already = hold.stored_already();
    if format != Format::Table {
        let document = json!({
            "apiVersion": API_VERSION,
            "kind": "RestartPlan",
            "target": {"pid": t.pid, "name": t.name, "runtime": t.runtime},
            "artifacts": ids,
            "required": must,
            "waitSeconds": args.wait,
            "store": hold.store.display().to_string(),
            "byAgent": agent,
            "storedAlready": already.iter().map(|(id, ..)| id).collect::<Vec<_>>(),
            "then": then(args, t),
        });
        return output::result(&json::text(&document, format));
    }
    let paint = Paint::new(output::colour());
    let mut s = Screen { out: String::new(), paint };
    s.line(&format!("{} · pid {} · {:?}", paint.bold(&output::plain(&t.name)), t.pid, t.runtime));
    s.line("");
    s.row("TAKE", &ids.join(", "), |l| paint.bold(l));
    let must = must.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
    s.row(
        "WAIT",
        &format!("for {must} to be stored whole, at most {}", units::duration(args.wait)),
        str::to_owned,
    );
    let by = if agent { "by the agent that holds it" } else { "taken here, as no agent holds it" };
    s.row("STORE", &format!("{}, {by}", hold.store.display()), str::to_owned);
    if !already.is_empty() {
        let ids: Vec<&str> = already.iter().map(|(id, ..)| id.as_str()).collect();
        s.row(
            "THERE",
            &format!("{} of it is stored already: not taken again", ids.join(", ")),
            str::to_owned,
        );
    }
    for (number, text) in costs(hold, &ids).iter().enumerate() {
        s.row(if number == 0 { "COST" } else { "" }, text, str::to_owned);
    }
    s.row("THEN", &then(args, t), |l| paint.bold(l));
    s.row("NEXT", "the same with --go   (nothing was done yet)", |l| paint.bold(l));
    output::result(&s.out)
}

/// What each artifact costs the target; what does not fit is not taken.
fn costs(hold: &Hold<'_>, ids: &[String]) -> Vec<String> {
    let mut r = Recording::new(hold.target.clone());
    if let Ok(mut sampler) = Sampler::open(hold.world, hold.target.pid, Duration::from_millis(50)) {
        sampler.next(hold.stop).into_iter().for_each(|o| r.add(o));
    }
    let cost = |id: &String| match plan::cost(&r, id, hold.here) {
        Some(Ok(cost)) => format!("{id}: {}", preflight::in_words(&cost)),
        Some(Err(why)) => format!("{id}: cannot be told, {why}"),
        None => format!("{id}: cannot be told"),
    };
    ids.iter().map(cost).collect()
}

fn show_result(
    args: &Args,
    hold: &Hold<'_>,
    progress: &Progress,
    restarted: &Result<String, String>,
    format: Format,
) -> Result<(), CliError> {
    let t = hold.target;
    if format != Format::Table {
        let piece = |(id, folder, whole): &(String, String, bool)| {
            let folder = hold.store.join("captures").join(folder).display().to_string();
            json!({"artifact": id, "folder": folder, "complete": whole})
        };
        let document = json!({
            "apiVersion": API_VERSION,
            "kind": "RestartResult",
            "target": {"pid": t.pid, "name": t.name, "runtime": t.runtime},
            "stored": progress.stored.iter().map(piece).collect::<Vec<_>>(),
            "notTaken": progress.missing,
            "then": then(args, t),
            "restarted": restarted.as_ref().ok(),
            "restartFailed": restarted.as_ref().err(),
        });
        return output::result(&json::text(&document, format));
    }
    let paint = Paint::new(output::colour());
    let mut s = Screen { out: String::new(), paint };
    s.line(&format!("{} · pid {} · {:?}", paint.bold(&output::plain(&t.name)), t.pid, t.runtime));
    s.line("");
    for (number, text) in stored(hold, progress).iter().enumerate() {
        s.row(if number == 0 { "STORED" } else { "" }, text, |l| paint.green(l));
    }
    for (number, text) in progress.missing.iter().enumerate() {
        s.row(if number == 0 { "MISSING" } else { "" }, text, |l| paint.yellow(l));
    }
    s.row("THEN", &then(args, t), str::to_owned);
    match restarted {
        Ok(how) => s.row("DONE", how, |l| paint.green(l)),
        Err(why) => s.row("FAILED", why, |l| paint.red(l)),
    }
    output::result(&s.out)
}
