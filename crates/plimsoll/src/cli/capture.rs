//! `plimsoll capture`: the right artifact, after a check that taking it does not kill. Nothing is done without `--go`.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_core::judge::{Judgement, judge};
use plimsoll_core::plan::{self, Step};
use plimsoll_core::preflight::{self, Check, Place};
use plimsoll_core::recording::{API_VERSION, Recording};
use plimsoll_core::runtime::rules::Cost;
use plimsoll_core::target::RuntimeKind;
use plimsoll_host::capture::{self, CaptureError, Folder, Order, place};
use plimsoll_host::export::object::{self, Uploaded};
use plimsoll_host::step::jvm_attach;
use plimsoll_host::world::World;
use serde_json::{Value, json};

use super::{calibrate, live, trail, triage, upload};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format};
use crate::render;
use crate::render::paint::Paint;

/// The artifact that answers the question, checked so that taking it does not kill
///
/// Without --go nothing is done: the plan is shown, with what it would cost and what is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll capture 4711                         what to take, what it costs, whether it is safe
  plimsoll capture 4711 --go --to /evidence     take it, check it, store it
  plimsoll capture 4711 --go --to s3://bucket/incidents    sent, read back, and removed here
  plimsoll capture name:java --artifact threads --go
  mkfifo p; zstd <p >heap.zst & plimsoll capture 4711 --artifact heap --go --to p

Artifacts: threads, nmt, gclog, histogram, heap, jfr (JVM); stacks, sites, goroutines, heap (Go); statistics, sampling, \
snapshot (Node.js); stacks (by py-spy), census (3.14) (Python); smaps, core (any process). \
A heap dump of a JVM leaves the container through a pipe: it takes no disk there.

Stacks and sites of a Go program are read out of its memory: it needs no endpoint and is not stopped. A core is copied \
while the process is frozen (root; no signal, no debugger), and it goes on even if plimsoll is killed.

Exit codes: 0 taken whole, or the plan is shown; 2 usage, 3 cannot judge, 4 refused as unsafe, 5 only a part was taken.")]
pub(crate) struct Args {
    /// PID, pid:N, name:GLOB, cgroup:PATH or container:ID.
    target: String,

    /// Do it.
    #[arg(long)]
    go: bool,

    /// What to take; else what the verdict calls for.
    #[arg(long, value_name = "NAME")]
    artifact: Option<String>,

    /// Folder in which a folder for this capture is made, a pipe with a name (mkfifo) for an artifact of one file, or object
    /// storage such as s3://BUCKET/PATH.
    #[arg(long, value_name = "PLACE", default_value = ".")]
    to: PathBuf,

    /// Longest time to watch before.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = triage::duration)]
    watch: f64,

    /// Time between the two of a pair, and how long a profile samples, a log is on or a recording runs.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = triage::duration)]
    window: f64,

    /// How long the target may stand still before its liveness probe has it restarted:
    /// (failureThreshold - 1) x periodSeconds.
    #[arg(long, value_name = "TIME", value_parser = triage::duration)]
    probe_budget: Option<f64>,

    /// Limit to judge against, such as 2GiB, where none can be read.
    #[arg(long, value_name = "BYTES", value_parser = triage::bytes)]
    limit: Option<f64>,

    /// Take it although it is refused: the target may be killed, or the disk filled.
    #[arg(long, requires = "go")]
    force: bool,
}

/// What would be taken, and whether it may.
pub(crate) struct Plan<'a> {
    pub(crate) recording: &'a Recording,
    pub(crate) judgement: &'a Judgement,
    /// The artifact chosen; none when nothing calls for one.
    pub(crate) step: Option<Step>,
    pub(crate) why: &'static str,
    pub(crate) cost: Result<Cost, String>,
    pub(crate) checks: Vec<Check>,
    /// Seconds until a JVM begins to answer; none of what is not asked by attach.
    pub(crate) attach: Option<f64>,
    pub(crate) place: Place,
    /// The others of the ladder.
    pub(crate) others: Vec<Step>,
}

impl Plan<'_> {
    pub(crate) fn allowed(&self) -> Option<bool> {
        match (&self.step, &self.cost) {
            (Some(_), Ok(_)) => preflight::allowed(&self.checks),
            _ => None,
        }
    }
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let stop = triage::stop_flag()?;
    let watch =
        live::Watch { seconds: args.watch, every: 1.0, whole: false, record: None, limit: args.limit };
    let recording = live::watch(&args.target, &watch, &stop)?;
    let judgement = judge(&recording, args.limit);
    let plan = plan(args, &recording, &judgement)?;
    let Some(step) = plan.step.as_ref().filter(|_| args.go) else {
        show_plan(args, &plan, format)?;
        return Ok(exit_code::FINE);
    };
    if let Some(refusal) = refusal(&plan, step).filter(|_| !args.force) {
        show_plan(args, &plan, format)?;
        return Err(refusal);
    }
    let order = Order {
        world: &World::default(),
        target: &recording.target,
        id: step.id,
        window: Duration::from_secs_f64(args.window.clamp(0.0, 3600.0)),
        stop: &stop,
    };
    let to = folder(args)?;
    let mut folder = match place::is_pipe(&to) {
        true => Folder::pipe(&to),
        false => Folder::make(&to, &name(&recording)).map_err(|e| failed(&args.target, e))?,
    };
    audit(&recording, step, "begin", folder.path())?;
    let taken = capture::take(&order, &mut folder);
    let end = if taken.is_ok() { "taken" } else { "failed" };
    audit(&recording, step, end, folder.path())?;
    if folder.pieces.is_empty() {
        folder.discard_if_empty();
        return Err(failed(&args.target, taken.err().unwrap_or(CaptureError::Stopped)));
    }
    let head = manifest(&plan, step, taken.as_ref().err());
    folder.close(head.clone()).map_err(|e| failed(&args.target, e))?;
    let uploaded = match object_url(args) {
        Some(url) => Some(upload::upload(url, folder.path(), &stop)?),
        None => None,
    };
    show_result(&folder, head, uploaded.as_deref(), format)?;
    if uploaded.is_some() {
        // What is there was read back whole: the copy here only took room.
        let _left_behind = std::fs::remove_dir_all(folder.path());
    }
    let whole = taken.is_ok() && folder.pieces.iter().all(|p| p.cut.is_none());
    Ok(if whole { exit_code::FINE } else { exit_code::PARTIAL })
}

/// The place in object storage, when that is meant.
fn object_url(args: &Args) -> Option<&str> {
    args.to.to_str().filter(|to| object::is_object_url(to))
}

/// Where the folder is made: on the way to object storage, in the user's state.
fn folder(args: &Args) -> Result<PathBuf, CliError> {
    if object_url(args).is_none() {
        return Ok(args.to.clone());
    }
    if !object::AVAILABLE {
        return Err(CliError::usage("this build has no object storage")
            .hint("build it with --features object-store, or name a folder"));
    }
    let outbox = trail::folder().map(|f| f.join("outbox"));
    let outbox = outbox.ok_or_else(|| {
        CliError::usage("there is no folder for what is on its way").hint("PLIMSOLL_STATE names one")
    })?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&outbox)
        .map_err(|e| CliError::usage(format!("cannot use {}", outbox.display())).because(e))?;
    Ok(outbox)
}

fn plan<'a>(args: &Args, r: &'a Recording, j: &'a Judgement) -> Result<Plan<'a>, CliError> {
    let to = folder(args)?;
    let place = place::of(&to).map_err(|e| {
        CliError::usage(format!("cannot use {}", to.display()))
            .because(e)
            .hint("--to names a folder that is there")
    })?;
    let world = World::default();
    let here = calibrate::here(&world);
    let places = place::with_inside(place, &world, r.target.pid);
    let mut ladder = plan::ladder(r, &j.clock, &here);
    let (step, why) = match &args.artifact {
        Some(id) => {
            let known: Vec<&str> = ladder.iter().map(|s| s.id).collect();
            let found = ladder.iter().position(|s| s.id == id).ok_or_else(|| {
                CliError::usage(format!("no artifact of this runtime is called {id}"))
                    .hint(format!("there are: {}", known.join(", ")))
            })?;
            (Some(ladder.remove(found)), "asked for")
        }
        None => {
            let fitting = j.plan.next.iter().chain(&j.plan.others).map(|s| s.id);
            let takeable: Vec<&str> = fitting.filter(|id| capture::is_taken(&r.target, id)).collect();
            // The heaviest that is safe tells the most; the first, where none is.
            let safe = |id: &&&str| ladder.iter().any(|s| s.id == **id && s.safe == Some(true));
            let chosen = takeable.iter().rev().find(safe).or(takeable.first());
            let found = chosen.and_then(|id| ladder.iter().position(|s| s.id == *id));
            (found.map(|at| ladder.remove(at)), "the verdict calls for it")
        }
    };
    let cost = match &step {
        Some(step) => plan::cost(r, step.id, &here).unwrap_or_else(|| Err("its cost is unknown".to_owned())),
        None => Err("nothing is to be taken".to_owned()),
    };
    let checks = cost
        .as_ref()
        .map_or_else(|_| Vec::new(), |c| preflight::checks(c, &j.clock, r, &places, args.probe_budget));
    let asked = r.target.runtime == RuntimeKind::Jvm
        && step.as_ref().is_some_and(|s| !matches!(s.id, "smaps" | "core" | "profile"));
    let attach =
        asked.then(|| if jvm_attach::is_warm(&world, r.target.pid) { 0.0 } else { preflight::ATTACH });
    Ok(Plan { recording: r, judgement: j, step, why, cost, checks, attach, place: places.to, others: ladder })
}

/// Why it is not done, when it must not be.
fn refusal(plan: &Plan<'_>, step: &Step) -> Option<CliError> {
    let refused =
        |why: String| CliError::new(Kind::Refused, format!("{} is not taken: {why}", step.artifact));
    if !capture::is_taken(&plan.recording.target, step.id) {
        return Some(match &plan.cost {
            Err(why) => refused(why.clone()),
            Ok(_) => refused("plimsoll cannot take it".to_owned()).hint(format!("by hand: {}", step.command)),
        });
    }
    if let Err(why) = &plan.cost {
        return Some(
            refused(format!("what it costs cannot be told: {why}")).hint("--force takes it nevertheless"),
        );
    }
    let failed = plan.checks.iter().find(|c| c.ok == Some(false));
    let unsure =
        plan.checks.iter().find(|c| c.ok.is_none() && plan.cost.as_ref().is_ok_and(|c| c.memory > 0.0));
    let check = failed.or(unsure.filter(|_| !is_without_limit(plan)))?;
    let mut error = refused(check.text.clone());
    if let Some(lever) = &check.lever {
        error = error.hint(lever.clone());
    }
    Some(error.hint("--force takes it nevertheless: the target may be killed, or the disk filled"))
}

/// Where there is no limit there is nothing to be killed by.
fn is_without_limit(plan: &Plan<'_>) -> bool {
    plan.judgement.clock.bounds.is_empty()
}

/// A name for the folder: the program's, the process's, the time.
fn name(r: &Recording) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    let program: String = r.target.name.chars().map(plain).take(32).collect();
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    format!("plimsoll-{program}-{}-{now}", r.target.pid)
}

fn failed(target: &str, e: CaptureError) -> CliError {
    let kind = if matches!(e, CaptureError::ByHand { .. }) { Kind::Refused } else { Kind::CannotJudge };
    CliError::new(kind, format!("nothing was taken of {target}")).because(e)
}

fn audit(r: &Recording, step: &Step, what: &str, folder: &Path) -> Result<(), CliError> {
    trail::write(&json!({
        "act": "capture",
        "what": what,
        "artifact": step.id,
        "pid": r.target.pid,
        "name": r.target.name,
        "folder": folder.display().to_string(),
        "undo": "remove what was written",
    }))
}

fn show_plan(args: &Args, plan: &Plan<'_>, format: Format) -> Result<(), CliError> {
    let text = match format {
        Format::Table => render::capture::plan(&args.target, plan, Paint::new(output::colour())),
        _ => render::json::text(&render::capture::plan_json(plan), format),
    };
    output::result(&text)
}

fn show_result(
    folder: &Folder,
    mut head: Value,
    uploaded: Option<&[Uploaded]>,
    format: Format,
) -> Result<(), CliError> {
    let text = match (format, uploaded) {
        (Format::Table, Some(uploaded)) => upload::table(uploaded),
        (Format::Table, None) => render::capture::result(folder, &head, Paint::new(output::colour())),
        _ => {
            head["artifacts"] = folder.pieces.iter().map(capture::Piece::json).collect();
            match uploaded {
                Some(uploaded) => head["objects"] = upload::objects(uploaded),
                None if folder.is_pipe() => head["pipe"] = folder.path().display().to_string().into(),
                None => head["folder"] = folder.path().display().to_string().into(),
            }
            render::json::text(&head, format)
        }
    };
    output::result(&text)
}

/// What the manifest says beside the files.
fn manifest(plan: &Plan<'_>, step: &Step, failed: Option<&CaptureError>) -> Value {
    let r = plan.recording;
    let binding = plan.judgement.clock.binding();
    let verdict = &plan.judgement.verdict;
    json!({
        "apiVersion": API_VERSION,
        "kind": "CaptureResult",
        "taken": Timestamp::now().to_string(),
        "artifact": step.id,
        "target": {
            "pid": r.target.pid,
            "name": r.target.name,
            "runtime": r.target.runtime,
            "runtimeVersion": r.target.runtime_version,
            "container": r.target.container,
        },
        "residentBytes": r.last(plimsoll_core::fact::Fact::Rss),
        "limitBytes": binding.map(|b| b.limit).filter(|l| l.is_finite()),
        "verdict": {"cause": verdict.cause, "certainty": verdict.certainty},
        // Beside what came of it: so the next prediction can be judged.
        "predicted": plan.cost.as_ref().ok().map(|c| json!({
            "memoryBytes": c.memory, "diskBytes": c.disk, "targetTmpBytes": c.inside, "pauseSeconds": c.pause, "basis": c.basis,
        })),
        "failed": failed.map(|e| CliError::cannot_judge("it was not taken whole").because(e.to_string()).to_string()),
        "plimsoll": env!("CARGO_PKG_VERSION"),
    })
}
