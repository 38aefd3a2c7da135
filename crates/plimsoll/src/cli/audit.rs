//! `plimsoll audit`: would the safety net fire at this limit, for live processes and for manifests.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use plimsoll_core::audit::{self, Finding, Severity, State, Subject};
use plimsoll_core::recording::Recording;
use plimsoll_core::target::RuntimeKind;
use plimsoll_host::sampler::Sampler;
use plimsoll_host::step::jvm_attach;
use plimsoll_host::world::World;
use plimsoll_host::{audit as host, identify};
use plimsoll_read::manifest;
use serde_json::{Value, json};

use super::{live, trail, triage};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, tell};
use crate::render;
use crate::render::paint::Paint;

/// How long a JVM may take to set one flag.
const PATIENCE: Duration = Duration::from_secs(10);

/// Would the safety net fire at this limit?
///
/// Each check says what it saw, whether it holds, and the fix. Without a target every process with a managed runtime
/// is audited. Nothing is changed without --fix --go.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll audit                            every managed process of this machine
  plimsoll audit name:java                  one process, with every check
  plimsoll audit deploy/*.yaml --sarif out.sarif --junit out.xml     in CI
  helm template . | plimsoll audit -        from a pipe
  plimsoll audit 4711 --fix --dump-path /dumps --go     arm a live JVM; --undo --go takes it back
Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 usage, 3 nothing could be checked.")]
pub(crate) struct Args {
    /// PID, pid:N, name:GLOB, cgroup:PATH, container:ID, or manifests of Kubernetes (- is stdin).
    targets: Vec<String>,

    /// The lowest severity that fails.
    #[arg(long, value_enum, default_value = "error")]
    fail_on: FailOn,

    /// How long the target may stand still before its liveness probe has it restarted:
    /// (failureThreshold - 1) x periodSeconds.
    #[arg(long, value_name = "TIME", value_parser = triage::duration)]
    probe_budget: Option<f64>,

    /// Write the findings as SARIF 2.1.0 too.
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,

    /// Write the findings as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Arm what can be armed on a live JVM; shows what it would set.
    #[arg(long, conflicts_with = "undo")]
    fix: bool,

    /// Folder, as the target sees it, for the dumps of a JVM that is armed.
    #[arg(long, value_name = "FOLDER", requires = "fix")]
    dump_path: Option<String>,

    /// Take back what --fix set.
    #[arg(long)]
    undo: bool,

    /// With --fix or --undo: do it.
    #[arg(long)]
    go: bool,
}

/// Severities by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    Info,
    Warning,
    Error,
    Never,
}

/// One subject with what came of its checks.
pub(crate) struct Audited {
    pub(crate) subject: Subject,
    pub(crate) findings: Vec<Finding>,
}

impl Audited {
    fn of(subject: Subject) -> Self {
        let findings = audit::audit(&subject);
        Audited { subject, findings }
    }

    /// The worst finding.
    pub(crate) fn worst(&self) -> Option<Severity> {
        self.findings.iter().filter_map(|f| f.severity).max()
    }
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let stop = triage::stop_flag()?;
    if args.undo {
        return undo(args);
    }
    let mut all = if args.targets.is_empty() { everything(&stop) } else { named(args, &stop)? };
    if let Some(budget) = args.probe_budget {
        for audited in all.iter_mut().filter(|a| a.subject.pid.is_some()) {
            audited.subject.probe_budget = Ok(Some(budget));
            audited.findings = audit::audit(&audited.subject);
        }
    }
    if args.fix {
        return fix(args, &all);
    }
    show(args, &all, format)?;
    Ok(exit(args, &all))
}

fn exit(args: &Args, all: &[Audited]) -> u8 {
    let least = match args.fail_on {
        FailOn::Info => Severity::Info,
        FailOn::Warning => Severity::Warning,
        FailOn::Error => Severity::Error,
        FailOn::Never => return exit_code::FINE,
    };
    if all.iter().filter_map(Audited::worst).any(|worst| worst >= least) {
        exit_code::FINDINGS
    } else if all.iter().flat_map(|a| &a.findings).all(|f| f.state == State::Unknown) {
        exit_code::CANNOT_JUDGE
    } else {
        exit_code::FINE
    }
}

fn named(args: &Args, stop: &AtomicBool) -> Result<Vec<Audited>, CliError> {
    let world = World::default();
    let mut all = Vec::new();
    for target in &args.targets {
        if is_manifest(target) {
            all.extend(manifests(target)?);
        } else {
            let pid = live::resolve(&world, target)?;
            let recording = look(&world, pid, stop)?;
            all.push(Audited::of(host::subject(&world, &recording)));
        }
    }
    Ok(all)
}

/// Whether a target is a file, and no process.
fn is_manifest(target: &str) -> bool {
    let path = Path::new(target);
    let named =
        path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|k| e.eq_ignore_ascii_case(k)));
    target == "-" || named || path.is_file()
}

fn manifests(file: &str) -> Result<Vec<Audited>, CliError> {
    let failed = |e: std::io::Error| CliError::usage(format!("cannot read {file}")).because(e);
    let mut text = String::new();
    let most = manifest::LARGEST as u64 + 1;
    if file == "-" {
        std::io::stdin().lock().take(most).read_to_string(&mut text).map_err(failed)?;
    } else {
        fs::File::open(file).and_then(|f| f.take(most).read_to_string(&mut text)).map_err(failed)?;
    }
    if text.len() > manifest::LARGEST {
        return Err(CliError::usage(format!("cannot read {file}: it is larger than any manifest")));
    }
    let name = if file == "-" { "stdin" } else { file };
    let subjects = manifest::subjects(&text, name)
        .map_err(|e| CliError::usage(format!("cannot audit {file}")).because(e))?;
    Ok(subjects.into_iter().map(Audited::of).collect())
}

/// One sample of a process is enough: an audit asks what is set, not what moves.
fn look(world: &World, pid: i32, stop: &AtomicBool) -> Result<Recording, CliError> {
    let unreadable = |e| CliError::cannot_judge(format!("cannot look at pid {pid}")).because(e);
    let mut sampler = Sampler::open(world, pid, Duration::from_millis(100)).map_err(unreadable)?;
    let observation = sampler.next(stop);
    let mut recording = Recording::new(sampler.target().clone());
    observation.into_iter().for_each(|o| recording.add(o));
    Ok(recording)
}

/// Every process with a managed runtime; those that may not be read are told.
fn everything(stop: &AtomicBool) -> Vec<Audited> {
    let world = World::default();
    let me = std::process::id().cast_signed();
    let managed = |pid: &i32| {
        identify::identify(&world, *pid).is_ok_and(|t| t.runtime != RuntimeKind::Native) && *pid != me
    };
    let looked = identify::processes(&world)
        .into_iter()
        .filter(managed)
        .filter_map(|pid| look(&world, pid, stop).map_err(|e| tell(&format!("plimsoll: {e}"))).ok());
    looked.map(|r| Audited::of(host::subject(&world, &r))).collect()
}

fn show(args: &Args, all: &[Audited], format: Format) -> Result<(), CliError> {
    let write = |path: &PathBuf, text: String| {
        fs::write(path, text)
            .map_err(|e| CliError::usage(format!("cannot write {}", path.display())).because(e))
    };
    if let Some(path) = &args.sarif {
        write(path, render::ci::sarif(all))?;
    }
    if let Some(path) = &args.junit {
        write(path, render::ci::junit(all))?;
    }
    let text = match format {
        Format::Table => render::audit::screen(all, Paint::new(output::colour())),
        _ => render::json::text(&render::audit::json(all), format),
    };
    output::result(&text)
}

/// One flag that would be set on a live JVM.
struct Arm {
    pid: i32,
    flag: String,
    value: String,
}

fn arms(args: &Args, all: &[Audited]) -> Vec<Arm> {
    let mut out = Vec::new();
    for audited in all {
        let Some(pid) = audited.subject.pid.filter(|_| audited.subject.runtime == Some(RuntimeKind::Jvm))
        else {
            continue;
        };
        let arm = |(flag, value): (String, String)| Arm { pid, flag, value };
        // The place first: a dump that is switched on must have somewhere to go.
        out.extend(args.dump_path.clone().map(|path| arm(("HeapDumpPath".to_owned(), path))));
        let live = audited.findings.iter().filter_map(|f| f.fix.as_ref()).flat_map(|f| f.live.clone());
        out.extend(live.map(arm));
    }
    out
}

fn fix(args: &Args, all: &[Audited]) -> Result<u8, CliError> {
    let arms = arms(args, all);
    if arms.is_empty() {
        output::result("nothing here can be armed live\n")?;
        return Ok(exit_code::FINE);
    }
    let world = World::default();
    for arm in &arms {
        let Arm { pid, flag, value } = arm;
        room_to_ask(&world, *pid)?;
        let failed = |e| CliError::cannot_judge(format!("failed to set {flag} of pid {pid}")).because(e);
        let before = jvm_attach::flag(&world, *pid, flag, PATIENCE).map_err(failed)?.unwrap_or_default();
        if !args.go {
            output::result(&format!(
                "would set {flag} of pid {pid} from {before:?} to {value:?}; --go does it\n"
            ))?;
            continue;
        }
        let started = identify::identify(&world, *pid).map_or(0.0, |t| t.started);
        trail::write(&json!({"act": "arm", "pid": pid, "started": started, "flag": flag, "before": before,
            "after": value, "undo": format!("plimsoll audit {pid} --undo --go")}))?;
        jvm_attach::set_flag(&world, *pid, (flag, value), PATIENCE).map_err(failed)?;
        let now = jvm_attach::flag(&world, *pid, flag, PATIENCE).map_err(failed)?;
        if now.as_deref() != Some(value) {
            return Err(CliError::new(
                Kind::Internal,
                format!("{flag} of pid {pid} reads {now:?} after it was set"),
            ));
        }
        output::result(&format!("set {flag} of pid {pid} to {value:?} (was {before:?})\n"))?;
    }
    Ok(exit_code::FINE)
}

/// A JVM right below its limit is not asked: it could be what kills it.
fn room_to_ask(world: &World, pid: i32) -> Result<(), CliError> {
    host::why_not_asked(world, pid).map_or(Ok(()), |why| {
        Err(CliError::new(Kind::Refused, format!("pid {pid} is left alone: {why}"))
            .hint("raise its limit first, or restart it with the flags"))
    })
}

/// Sets back what the trail says was set in the same life of the process, the newest first.
fn undo(args: &Args) -> Result<u8, CliError> {
    let world = World::default();
    let [target] = args.targets.as_slice() else {
        return Err(CliError::usage("--undo needs the one process that was armed"));
    };
    let pid = live::resolve(&world, target)?;
    let life = identify::identify(&world, pid)
        .map_err(|e| CliError::cannot_judge(format!("cannot look at pid {pid}")).because(e))?
        .started;
    let same =
        |act: &&Value| act["pid"] == pid && act["started"].as_f64().is_some_and(|s| (s - life).abs() < 1.0);
    let acts = trail::read();
    let ours: Vec<&Value> = acts.iter().filter(same).collect();
    let undone = ours.iter().rposition(|a| a["act"] == "disarm").map_or(0, |at| at + 1);
    let arms: Vec<&Value> = ours.into_iter().skip(undone).filter(|a| a["act"] == "arm").collect();
    if arms.is_empty() {
        output::result(&format!("nothing was armed of pid {pid}\n"))?;
        return Ok(exit_code::FINE);
    }
    for act in arms.iter().rev() {
        let (Some(flag), Some(before)) = (act["flag"].as_str(), act["before"].as_str()) else { continue };
        if !args.go {
            output::result(&format!("would set {flag} of pid {pid} back to {before:?}; --go does it\n"))?;
            continue;
        }
        room_to_ask(&world, pid)?;
        jvm_attach::set_flag(&world, pid, (flag, before), PATIENCE).map_err(|e| {
            CliError::cannot_judge(format!("failed to set {flag} of pid {pid} back")).because(e)
        })?;
        output::result(&format!("set {flag} of pid {pid} back to {before:?}\n"))?;
    }
    if args.go {
        trail::write(&json!({"act": "disarm", "pid": pid, "started": life}))?;
    }
    Ok(exit_code::FINE)
}
