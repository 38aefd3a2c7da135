//! What captures cost on this machine: programs of ours of two sizes for each runtime that is here, each artifact taken of
//! them several times, the peak of their memory and how long they stood still.

mod busy;
mod subject;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plimsoll_core::calibration::{Calibration, Machine, Row, Run, lines};
use plimsoll_core::plan;
use plimsoll_core::recording::Recording;
use plimsoll_core::runtime::price::Per;
use plimsoll_core::runtime::rules::ArtifactRule;
use plimsoll_core::target::{RuntimeKind, Target};
use plimsoll_core::units::bytes;

use crate::capture::{self, Folder, Order, chain};
use crate::drill::build::{self, BuildError};
use crate::drill::catalog::Language;
use crate::identify;
use crate::own_memory;
use crate::sampler::Sampler;
use crate::source::host_memory;
use crate::world::World;
pub use busy::Busy;
use subject::Subject;

/// Looks at a program before it is measured, and the time between two.
const LOOKS: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);
/// How long what has a window is on.
const WINDOW: Duration = Duration::from_secs(1);
/// Artifacts that have one: the others are taken at once.
const WINDOWED: &[&str] = &["jfr", "sampling"];

/// Not measured: what mappings cost goes by their number, of which no program of ours has as many as a real one, and a log
/// of collections is written by a program that collects.
const LEFT: &[&str] = &["smaps", "gclog"];

/// A program that is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Program {
    /// Its runtime.
    pub runtime: RuntimeKind,
    /// The collector that it runs with, where there are several.
    pub collector: Option<&'static str>,
    language: Language,
    file: &'static str,
    source: &'static str,
    args: &'static [&'static str],
    /// What it is told to hold, smaller and larger: MiB, or goroutines.
    pub sizes: [u64; 2],
    /// Memory that the larger one and the dearest of its artifacts may take, bytes.
    pub needs: f64,
}

const MIB: f64 = 1_048_576.0;

const fn java(collector: &'static str, args: &'static [&'static str]) -> Program {
    Program {
        runtime: RuntimeKind::Jvm,
        collector: Some(collector),
        language: Language::Java,
        file: "Held.java",
        source: include_str!("programs/Held.java"),
        args,
        sizes: [48, 192],
        needs: 800.0 * MIB,
    }
}

/// Every program, one line for each runtime and collector.
pub const PROGRAMS: &[Program] = &[
    java("G1", &["-Xmx384m", "-XX:+UseG1GC", "-XX:NativeMemoryTracking=summary"]),
    java("Parallel", &["-Xmx384m", "-XX:+UseParallelGC", "-XX:NativeMemoryTracking=summary"]),
    java("Serial", &["-Xmx384m", "-XX:+UseSerialGC", "-XX:NativeMemoryTracking=summary"]),
    Program {
        runtime: RuntimeKind::Go,
        collector: None,
        language: Language::Go,
        file: "held.go",
        source: include_str!("programs/held.go"),
        args: &[],
        sizes: [5_000, 50_000],
        needs: 400.0 * MIB,
    },
    Program {
        runtime: RuntimeKind::Node,
        collector: None,
        language: Language::Node,
        file: "held.js",
        source: include_str!("programs/held.js"),
        args: &["--expose-gc"],
        sizes: [16, 48],
        needs: 1200.0 * MIB,
    },
    Program {
        runtime: RuntimeKind::Python,
        collector: None,
        language: Language::Python,
        file: "held.py",
        source: include_str!("programs/held.py"),
        args: &[],
        sizes: [64, 256],
        needs: 400.0 * MIB,
    },
    Program {
        runtime: RuntimeKind::Native,
        collector: None,
        language: Language::C,
        file: "held.c",
        source: include_str!("programs/held.c"),
        args: &[],
        sizes: [64, 256],
        needs: 400.0 * MIB,
    },
];

impl Program {
    /// Its runtime with its collector, in words.
    pub fn name(&self) -> String {
        let runtime = format!("{:?}", self.runtime);
        self.collector.map_or_else(|| runtime.clone(), |collector| format!("{runtime} {collector}"))
    }

    /// What is taken of it.
    pub fn artifacts(&self) -> impl Iterator<Item = &'static str> {
        plan::rungs(self.runtime).map(|rule| rule.id).filter(|id| self.gives(id))
    }

    fn gives(&self, id: &str) -> bool {
        let target = Target { runtime: self.runtime, ..identify::bare(0) };
        !LEFT.contains(&id) && capture::is_taken(&target, id)
    }

    /// What it holds, in words.
    pub fn holds(&self) -> String {
        let [low, high] = self.sizes;
        let unit = if self.runtime == RuntimeKind::Go { "goroutines" } else { "MiB" };
        format!("{low} and {high} {unit}")
    }

    /// Why it cannot be measured here; none when it can.
    pub fn refusal(&self, world: &World) -> Option<String> {
        if let Err(e) = build::find(build::tool(self.language)) {
            return Some(e.to_string());
        }
        let room = own_memory::ceiling(world).map_or(f64::INFINITY, |room| room as f64);
        (room < self.needs)
            .then(|| format!("it may take {}, and {} can be had here", bytes(self.needs), bytes(room)))
    }
}

/// The machine, as far as costs depend on it.
pub fn machine(world: &World) -> Machine {
    let read = |path: &str| fs::read_to_string(world.proc_root.join(path)).unwrap_or_default();
    let processors = read("cpuinfo");
    let value = |line: &str| line.split_once(':').map(|(_, value)| value.trim().to_owned());
    Machine {
        processor: processors
            .lines()
            .find(|l| l.starts_with("model name") || l.starts_with("CPU part"))
            .and_then(value)
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        processors: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        memory_bytes: host_memory::total(world).unwrap_or(0.0),
        kernel: read("sys/kernel/osrelease").trim().to_owned(),
    }
}

/// What was measured before, on this machine; nothing where nothing was.
///
/// # Errors
/// Why what is there cannot be used.
pub fn load(file: &Path, machine: &Machine) -> Result<Calibration, String> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Calibration::default()),
        Err(e) => return Err(format!("{} cannot be read: {e}", file.display())),
    };
    let known: Calibration =
        serde_json::from_str(&text).map_err(|e| format!("{} is no calibration: {e}", file.display()))?;
    let finite = |row: &Row| {
        let lines = [row.memory, row.disk, row.pause, row.seconds];
        lines.iter().all(|l| l.base >= 0.0 && l.each >= 0.0) && row.sizes.iter().all(|s| *s >= 0.0)
    };
    if !known.rows.iter().all(finite) {
        return Err(format!("{} has costs below nothing", file.display()));
    }
    if !known.rows.is_empty() && !known.machine.is_like(machine) {
        return Err(format!(
            "{} was measured on another machine: {}",
            file.display(),
            known.machine.processor
        ));
    }
    Ok(known)
}

/// Stores it, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn store(file: &Path, known: &Calibration) -> io::Result<()> {
    let draft = file.with_extension("partial");
    let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    out.write_all(&serde_json::to_vec_pretty(known)?)?;
    out.sync_all()?;
    fs::rename(&draft, file)
}

/// Why a program was not measured.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// It could not be built.
    #[error("failed to build the program")]
    Build(#[source] BuildError),
    /// It could not be run, or did not answer.
    #[error("failed to run the program")]
    Run(#[source] io::Error),
    /// A file could not be written.
    #[error("failed to use the folder")]
    Folder(#[source] io::Error),
    /// It could not be looked at.
    #[error("failed to look at the program: {0}")]
    Look(String),
    /// Memory became short.
    #[error("memory is short by now: {0}")]
    Pressed(String),
    /// The user wants no more.
    #[error("stopped")]
    Stopped,
}

/// How it is measured.
pub struct Measure<'a> {
    /// The machine.
    pub world: &'a World,
    /// A folder on a disk, for programs and what is taken of them.
    pub scratch: &'a Path,
    /// Captures of each artifact at each size.
    pub runs: usize,
    /// Today, as a date.
    pub date: &'a str,
    /// What makes the machine busy, when it is measured all the same.
    pub busy: Option<String>,
    /// Set when the user wants no more.
    pub stop: &'a AtomicBool,
}

/// What was measured of one program, and what was not, with the reason.
#[derive(Debug, Default)]
pub struct Measured {
    /// One for each artifact.
    pub rows: Vec<Row>,
    /// Artifacts that could not be taken.
    pub missing: Vec<(String, String)>,
}

/// What was taken of one artifact.
struct Taken {
    rule: &'static ArtifactRule,
    per: Per,
    runs: Vec<Run>,
}

impl Measure<'_> {
    /// Measures every artifact of a program that can be taken here.
    ///
    /// # Errors
    /// When nothing can be told of it.
    pub fn program(&self, program: &Program, tell: &mut dyn FnMut(&str)) -> Result<Measured, CalibrateError> {
        let folder = tempfile::Builder::new().prefix("calibrate-").tempdir_in(self.scratch);
        let folder = folder.map_err(CalibrateError::Folder)?;
        let args = program.args.iter().map(|a| (*a).to_owned()).collect();
        let source = (program.file, program.source);
        let command = build::program(program.language, source, folder.path(), args);
        let command = command.map_err(CalibrateError::Build)?;
        let (mut taken, mut measured, mut version) = (Vec::new(), Measured::default(), None);
        for size in program.sizes {
            let mut subject = Subject::start(&command, size, folder.path()).map_err(CalibrateError::Run)?;
            let r = self.look(subject.pid())?;
            version = r.target.runtime_version.clone().or_else(|| subject.version.clone());
            for rule in plan::rungs(r.target.runtime) {
                if !program.gives(rule.id) || measured.has_given_up(rule.id) {
                    continue;
                }
                tell(&format!("{} of {}, {}", rule.id, program.name(), size));
                if let Some(why) = self.artifact(rule, &r, &mut subject, folder.path(), &mut taken)? {
                    measured.missing.push((rule.id.to_owned(), why));
                }
            }
        }
        let rows = taken.into_iter().filter(|t| !measured.has_given_up(t.rule.id));
        measured.rows = rows.filter_map(|t| self.row(program, version.as_deref(), &t)).collect();
        Ok(measured)
    }

    fn look(&self, pid: i32) -> Result<Recording, CalibrateError> {
        let mut sampler =
            Sampler::open(self.world, pid, PAUSE).map_err(|e| CalibrateError::Look(e.to_string()))?;
        let seen: Vec<_> = (0..LOOKS).filter_map(|_| sampler.next(self.stop)).collect();
        let mut r = Recording::new(sampler.target().clone());
        seen.into_iter().for_each(|o| r.add(o));
        Ok(r)
    }

    /// Takes one artifact several times; why it cannot be taken.
    fn artifact(
        &self,
        rule: &'static ArtifactRule,
        r: &Recording,
        subject: &mut Subject,
        folder: &Path,
        taken: &mut Vec<Taken>,
    ) -> Result<Option<String>, CalibrateError> {
        let price = (rule.price)(r);
        let size = |per: Per| match per {
            // Only the program itself knows.
            Per::JavaHeap | Per::V8Heap => Ok(subject.size),
            per => per.of(r),
        };
        let (per, size) = match price.and_then(|price| Ok((price.per, size(price.per)?))) {
            Ok(found) => found,
            Err(why) => return Ok(Some(why)),
        };
        for n in 0..self.runs {
            self.may_go_on()?;
            // What was taken before may have left it larger than it was.
            let size = if per == Per::Resident { subject.resident().unwrap_or(size) } else { size };
            match self.once(rule.id, r, size, subject, (folder, n)) {
                Ok(run) => match taken.iter_mut().find(|t| t.rule.id == rule.id) {
                    Some(t) => t.runs.push(run),
                    None => taken.push(Taken { rule, per, runs: vec![run] }),
                },
                Err(_) if self.stop.load(Ordering::Relaxed) => return Err(CalibrateError::Stopped),
                Err(why) => return Ok(Some(why)),
            }
        }
        Ok(None)
    }

    fn may_go_on(&self) -> Result<(), CalibrateError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(CalibrateError::Stopped);
        }
        Busy::of(self.world).pressed.map_or(Ok(()), |why| Err(CalibrateError::Pressed(why)))
    }

    /// One capture.
    fn once(
        &self,
        id: &'static str,
        r: &Recording,
        size: f64,
        subject: &mut Subject,
        (folder, n): (&Path, usize),
    ) -> Result<Run, String> {
        let window = if WINDOWED.contains(&id) { WINDOW } else { Duration::ZERO };
        let mut to = Folder::make(folder, &format!("{id}-{n}")).map_err(|e| chain(&e))?;
        let failed = |e: io::Error| e.to_string();
        let before = subject.settle().map_err(failed)?;
        subject.lap().map_err(failed)?;
        let began = Instant::now();
        let order = Order { world: self.world, target: &r.target, id, window, stop: self.stop };
        let took = capture::take(&order, &mut to).map_err(|e| chain(&e));
        let seconds = began.elapsed().saturating_sub(window).as_secs_f64();
        let pause = subject.lap().map_err(failed)?;
        let memory = (subject.peak().map_err(failed)? - before).max(0.0);
        let disk = to.pieces.iter().map(|piece| piece.bytes as f64).sum();
        // It is as large as the program, and of no use.
        let _left = fs::remove_dir_all(to.path());
        took.map(|()| Run { size, memory, disk, pause, seconds })
    }

    fn row(&self, program: &Program, version: Option<&str>, taken: &Taken) -> Option<Row> {
        let lines = lines(&taken.runs)?;
        Some(Row {
            runtime: program.runtime,
            version: version.map(str::to_owned),
            collector: program.collector.map(str::to_owned),
            artifact: taken.rule.id.to_owned(),
            date: self.date.to_owned(),
            busy: self.busy.clone(),
            per: taken.per,
            sizes: lines.sizes,
            runs: taken.runs.len(),
            memory: lines.memory,
            disk: lines.disk,
            pause: lines.pause,
            seconds: lines.seconds,
        })
    }
}

impl Measured {
    fn has_given_up(&self, id: &str) -> bool {
        self.missing.iter().any(|(missing, _)| missing == id)
    }
}
