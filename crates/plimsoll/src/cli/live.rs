//! Watching one live target: resolve it, sample it, record it, stop when the answer is certain.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use plimsoll_core::judge::{Judgement, judge};
use plimsoll_core::recording::{Observation, Recording, head_line, observation_line};
use plimsoll_core::units;
use plimsoll_host::identify::{self, IdentifyError};
use plimsoll_host::sampler::Sampler;
use plimsoll_host::world::World;

use crate::error::{CliError, Kind};
use crate::output::{Progress, tell};

/// How to watch.
pub(crate) struct Watch<'a> {
    /// Longest time, seconds.
    pub(crate) seconds: f64,
    /// Time between two samples, seconds.
    pub(crate) every: f64,
    /// Watch on although the answer is certain.
    pub(crate) whole: bool,
    /// Where to keep what is seen.
    pub(crate) record: Option<&'a Path>,
    /// Limit to judge against.
    pub(crate) limit: Option<f64>,
}

/// Judgements while watching come at most this often, and not before the second of these, seconds.
const JUDGE_EVERY: f64 = 2.0;
const JUDGE_FROM: f64 = 10.0;

/// The one process that a target expression means.
pub(crate) fn resolve(world: &World, target: &str) -> Result<i32, CliError> {
    let (kind, rest) = target.split_once(':').unwrap_or(("pid", target));
    let found = match kind {
        "pid" => {
            let pid = rest.parse().map_err(|_| {
                CliError::usage(format!("{target:?} is no target"))
                    .hint("say PID, pid:N, name:GLOB, cgroup:PATH or container:ID")
            })?;
            return Ok(pid);
        }
        "name" => identify::by_name(world, rest),
        "cgroup" => identify::by_cgroup(world, rest),
        "container" => identify::by_container(world, rest),
        _ => {
            return Err(CliError::usage(format!("{target:?} is no target of this machine"))
                .hint("say PID, pid:N, name:GLOB, cgroup:PATH or container:ID"));
        }
    };
    let me = std::process::id().cast_signed();
    let found: Vec<i32> = found.into_iter().filter(|p| *p != me).collect();
    match found.as_slice() {
        [] if kind == "container" => Err(CliError::cannot_judge(format!("no process matches {target}"))
            .hint("engines are not asked for names: docker inspect -f '{{.Id}}' NAME, or crictl ps, says the id")),
        [] => Err(CliError::cannot_judge(format!("no process matches {target}"))),
        [one] => Ok(*one),
        many => Ok(largest(world, target, many)),
    }
}

/// Several match: the largest is the one that a memory incident is about; the others are named.
fn largest(world: &World, target: &str, pids: &[i32]) -> i32 {
    let resident = |pid: &i32| {
        let text =
            std::fs::read_to_string(world.proc_root.join(pid.to_string()).join("statm")).unwrap_or_default();
        text.split_ascii_whitespace().nth(1).and_then(|w| w.parse::<u64>().ok()).unwrap_or(0)
    };
    let pid = pids.iter().copied().max_by_key(resident).unwrap_or_default();
    tell(&format!("{} processes match {target}; watching the largest, pid {pid}", pids.len()));
    pid
}

/// Watches a target expression.
pub(crate) fn watch(target: &str, how: &Watch<'_>, stop: &AtomicBool) -> Result<Recording, CliError> {
    let world = World::default();
    let pid = resolve(&world, target)?;
    let mut session = Session::open(&world, pid, how)?;
    let progress = Progress::new();
    while let Some(judgement) = session.step(stop)? {
        let settled = judgement.is_some_and(|j| j.settled());
        if session.watched() >= how.seconds || (settled && !how.whole) {
            break;
        }
        let left = (how.seconds - session.watched()).max(0.0);
        progress.show(&format!("watching pid {pid}, {} left at most", units::duration(left)));
    }
    Ok(session.recording)
}

/// A live watch: the recording grows with each step.
pub(crate) struct Session {
    sampler: Sampler,
    /// What was seen.
    pub(crate) recording: Recording,
    file: Option<BufWriter<File>>,
    limit: Option<f64>,
    judged: f64,
}

impl Session {
    pub(crate) fn open(world: &World, pid: i32, how: &Watch<'_>) -> Result<Session, CliError> {
        let every = Duration::from_secs_f64(how.every.clamp(0.01, 3600.0));
        let sampler = Sampler::open(world, pid, every).map_err(|e| unreadable(pid, e))?;
        let recording = Recording::new(sampler.target().clone());
        let mut file = how.record.map(create).transpose()?;
        if let Some(f) = &mut file {
            write(f, &head_line(sampler.target()))?;
        }
        Ok(Session { sampler, recording, file, limit: how.limit, judged: 0.0 })
    }

    /// Takes one sample. `None` at the end (stop, or the process is gone); a judgement now and then.
    pub(crate) fn step(&mut self, stop: &AtomicBool) -> Result<Option<Option<Judgement>>, CliError> {
        let Some(o) = self.sampler.next(stop) else { return Ok(None) };
        self.keep(o)?;
        let watched = self.watched();
        let due = watched >= JUDGE_FROM && watched >= self.judged + JUDGE_EVERY;
        if !due {
            return Ok(Some(None));
        }
        self.judged = watched;
        Ok(Some(Some(judge(&self.recording, self.limit))))
    }

    fn keep(&mut self, o: Observation) -> Result<(), CliError> {
        if let Some(f) = &mut self.file {
            write(f, &observation_line(&o))?;
        }
        self.recording.add(o);
        Ok(())
    }

    /// Seconds watched.
    pub(crate) fn watched(&self) -> f64 {
        self.recording.now().zip(self.recording.from()).map_or(0.0, |(now, from)| now - from)
    }
}

/// A new file that only its owner may read: class names and stacks may be confidential.
fn create(path: &Path) -> Result<BufWriter<File>, CliError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.map(BufWriter::new)
        .map_err(|e| CliError::usage(format!("failed to create {}", path.display())).because(e))
}

/// Each line is flushed: a recording that is cut keeps all that was seen.
fn write(file: &mut BufWriter<File>, line: &str) -> Result<(), CliError> {
    writeln!(file, "{line}")
        .and_then(|()| file.flush())
        .map_err(|e| CliError::new(Kind::Internal, "failed to write the recording").because(e))
}

fn unreadable(pid: i32, e: IdentifyError) -> CliError {
    let hint = match &e {
        IdentifyError::Absent(_) => {
            "it may have ended, or it lives in another pid namespace: use the host's pid"
        }
        IdentifyError::Kernel(_) => "kernel memory is shown by `slabtop` and /proc/meminfo",
        IdentifyError::Zombie(_) => "look at what it left: `dmesg`, its logs, its parent",
        IdentifyError::Read { .. } => "run as the same user or as root",
    };
    CliError::cannot_judge(format!("cannot watch pid {pid}")).because(e).hint(hint)
}
