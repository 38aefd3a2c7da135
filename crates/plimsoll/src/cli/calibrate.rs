//! `plimsoll calibrate`: what captures cost on this machine, measured, in place of the shipped constants.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use jiff::Zoned;
use plimsoll_core::calibration::{Calibration, Row};
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::runtime::price::Per;
use plimsoll_core::target::RuntimeKind;
use plimsoll_core::units;
use plimsoll_host::calibrate::{self, Busy, CalibrateError, Measure, PROGRAMS, Program};
use plimsoll_host::capture::place;
use plimsoll_host::world::World;
use plimsoll_read::reading::Table;
use serde_json::{Value, json};

use super::{trail, triage};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, Progress, tell};
use crate::render::json;
use crate::render::paint::Paint;
use crate::render::reading::Screen;

/// Its name in the user's state.
const FILE: &str = "calibration.json";
const GIB: f64 = 1_073_741_824.0;

/// What captures cost on this machine, measured
///
/// Small programs of each runtime that is here hold a known size; each artifact is taken of them several times. Memory at
/// its peak, pause and time are kept, and from then on plans use and name them. Without --go nothing is done: it says what
/// would be done, and what is known already.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll calibrate                        what would be measured, and what is known already
  plimsoll calibrate --go                   all of it: about two minutes
  plimsoll calibrate --only jvm,go --go

It is refused while memory is short, or while others run: their time would be counted. --force measures on a busy machine; \
the figures then say so.

Exit codes: 0 measured, or the plan is shown; 2 usage, 3 nothing can be measured, 4 refused as unsafe, 5 only a part was measured.")]
pub(crate) struct Args {
    /// Measure.
    #[arg(long)]
    go: bool,

    /// Only these runtimes: jvm, go, node, python, native.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = runtime)]
    only: Vec<RuntimeKind>,

    /// Captures of each artifact at each size.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    runs: u8,

    /// Measure although others run: figures come out too high. Never while memory is short.
    #[arg(long, requires = "go")]
    force: bool,
}

fn runtime(text: &str) -> Result<RuntimeKind, String> {
    let named = |kind: RuntimeKind| format!("{kind:?}").to_lowercase();
    let known = PROGRAMS.iter().map(|p| p.runtime).find(|kind| named(*kind) == text.to_lowercase());
    known.ok_or_else(|| "there are jvm, go, node, python and native".to_owned())
}

/// Where it is kept.
fn file() -> Option<PathBuf> {
    trail::folder().map(|folder| folder.join(FILE))
}

/// What was measured on this machine; the shipped constants hold where that is nothing, or cannot be used.
pub(super) fn here(world: &World) -> Calibration {
    let Some(file) = file() else { return Calibration::default() };
    calibrate::load(&file, &calibrate::machine(world)).unwrap_or_else(|why| {
        tell(&format!("plimsoll: {why}; the shipped costs are used"));
        Calibration::default()
    })
}

/// A program, and why it is not measured.
type Candidate = (&'static Program, Option<String>);

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let world = World::default();
    let file = file().ok_or_else(|| {
        CliError::usage("there is no place for what is measured").hint("PLIMSOLL_STATE names one")
    })?;
    let wanted = PROGRAMS.iter().filter(|p| args.only.is_empty() || args.only.contains(&p.runtime));
    let candidates: Vec<Candidate> = wanted.map(|p| (p, p.refusal(&world))).collect();
    let busy = Busy::of(&world);
    if !args.go {
        show(&plan_of(&candidates, &busy, &file), &here(&world), &[], format)?;
        return Ok(exit_code::FINE);
    }
    if candidates.iter().all(|(_, why)| why.is_some()) {
        let why = candidates.iter().filter_map(|(p, why)| Some(format!("{}: {}", p.name(), why.as_ref()?)));
        return Err(CliError::cannot_judge("nothing can be measured here")
            .because(why.collect::<Vec<_>>().join("; ")));
    }
    if let Some(why) = busy.pressed.as_ref() {
        return Err(CliError::new(Kind::Refused, format!("nothing is measured: {why}"))
            .hint("measuring takes memory, and somebody would be killed for it"));
    }
    if let Some(why) = busy.busy.as_ref().filter(|_| !args.force) {
        return Err(CliError::new(Kind::Refused, format!("nothing is measured: {why}"))
            .hint("wait until it is quiet; --force measures, and the figures say that it was not"));
    }
    measure(args, (&world, &file), &candidates, busy.busy, format)
}

/// Measures, and keeps it.
fn measure(
    args: &Args,
    (world, file): (&World, &Path),
    candidates: &[Candidate],
    busy: Option<String>,
    format: Format,
) -> Result<u8, CliError> {
    let stop = triage::stop_flag()?;
    let folder = scratch(file)?;
    trail::write(&act("begin", file))?;
    let date = Zoned::now().date().to_string();
    let measure =
        Measure { world, scratch: &folder, runs: usize::from(args.runs), date: &date, busy, stop: &stop };
    let (mut rows, mut missing, progress) = (Vec::new(), Vec::new(), Progress::new());
    for (program, refused) in candidates {
        if let Some(why) = refused {
            missing.push(format!("{}: {why}", program.name()));
            continue;
        }
        match measure.program(program, &mut |text| progress.show(text)) {
            Ok(measured) => {
                rows.extend(measured.rows);
                let each = measured.missing.iter();
                missing.extend(each.map(|(id, why)| format!("{} of {}: {why}", id, program.name())));
            }
            Err(e @ (CalibrateError::Stopped | CalibrateError::Pressed(_))) => {
                trail::write(&act("broken off", file))?;
                return Err(CliError::new(Kind::Refused, "nothing is kept: it was broken off").because(e));
            }
            Err(e) => missing.push(format!("{}: {}", program.name(), CliError::cannot_judge("").because(e))),
        }
    }
    let machine = calibrate::machine(world);
    let mut known = calibrate::load(file, &machine).unwrap_or_default();
    known.machine = machine;
    let measured = rows.len();
    known.learn(rows);
    calibrate::store(file, &known).map_err(|e| unusable(file, e))?;
    trail::write(&act("done", file))?;
    let title = format!("{measured} costs were measured; they are in {}", file.display());
    show(&Shown { title, ..Shown::default() }, &known, &missing, format)?;
    Ok(if missing.is_empty() { exit_code::FINE } else { exit_code::PARTIAL })
}

/// The folder of the user's state, when it is on a disk.
fn scratch(file: &Path) -> Result<PathBuf, CliError> {
    let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
    let made =
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).and_then(|()| place::of(&folder));
    let place = made.map_err(|e| unusable(&folder, e))?;
    if place.in_memory {
        return Err(CliError::new(Kind::Refused, format!("{} is memory, not a disk", folder.display()))
            .hint("PLIMSOLL_STATE names a folder on a disk: what is taken is written there for a moment"));
    }
    Ok(folder)
}

fn unusable(path: &Path, e: std::io::Error) -> CliError {
    CliError::cannot_judge(format!("cannot use {}", path.display())).because(e)
}

fn act(what: &str, file: &Path) -> Value {
    json!({"act": "calibrate", "what": what, "file": file.display().to_string(), "undo": "remove the file"})
}

/// What is said above the table.
#[derive(Default)]
struct Shown {
    title: String,
    /// Each program with what is taken of it, or why it is not measured.
    programs: Vec<(&'static Program, String)>,
    busy: Option<String>,
}

fn plan_of(candidates: &[Candidate], busy: &Busy, file: &Path) -> Shown {
    let each = |(program, why): &Candidate| {
        let does = match why {
            Some(why) => format!("not measured: {why}"),
            None => program.artifacts().collect::<Vec<_>>().join(", "),
        };
        (*program, does)
    };
    Shown {
        title: format!(
            "what captures cost on this machine would be measured, and kept in {}",
            file.display()
        ),
        programs: candidates.iter().map(each).collect(),
        busy: busy.pressed.clone().or_else(|| busy.busy.clone()),
    }
}

fn show(shown: &Shown, known: &Calibration, missing: &[String], format: Format) -> Result<(), CliError> {
    if format != Format::Table {
        let document = json!({
            "apiVersion": API_VERSION,
            "kind": "Calibration",
            "machine": known.machine,
            "rows": known.rows.iter().map(row_json).collect::<Vec<_>>(),
            "programs": shown.programs.iter().map(program_json).collect::<Vec<_>>(),
            "notMeasured": missing,
            "busy": shown.busy,
        });
        return output::result(&json::text(&document, format));
    }
    let paint = Paint::new(output::colour());
    let mut s = Screen { out: String::new(), paint };
    s.line(&paint.bold(&shown.title));
    s.table(&Table {
        title: "WOULD BE MEASURED".to_owned(),
        head: vec!["program", "holds", "#may take", "captures"],
        rows: shown
            .programs
            .iter()
            .map(|(p, does)| vec![p.name(), p.holds(), units::bytes(p.needs), does.clone()])
            .collect(),
    });
    if !shown.programs.is_empty() {
        s.line("");
    }
    if let Some(why) = &shown.busy {
        s.row("NOT NOW", &format!("it would be refused: {why}"), |l| paint.yellow(l));
    }
    if known.rows.is_empty() {
        s.row("KNOWN", "nothing yet: plans use the shipped costs", |l| paint.dim(l));
    } else {
        s.table(&table(known));
        s.line("");
        let m = &known.machine;
        let machine = format!(
            "{}, {} of them, {}, Linux {}",
            m.processor,
            m.processors,
            units::bytes(m.memory_bytes),
            m.kernel
        );
        s.row("MACHINE", &machine, str::to_owned);
        s.row(
            "SO",
            "memory counts a quarter more in plans; beyond 8 times the size the shipped cost counts",
            |l| paint.dim(l),
        );
    }
    for (number, why) in missing.iter().enumerate() {
        s.row(if number == 0 { "MISSING" } else { "" }, why, |l| paint.yellow(l));
    }
    let next = if shown.programs.is_empty() {
        "plimsoll capture PID   (its plan names what was measured)"
    } else {
        "the same with --go   (nothing was done yet)"
    };
    s.row("NEXT", next, |l| paint.bold(l));
    output::result(&s.out)
}

/// What was measured beside what is shipped, at the largest size measured.
fn table(known: &Calibration) -> Table {
    let head =
        ["program", "artifact", "of", "#memory", "#shipped", "#pause", "#shipped", "#disk", "#a GiB", "date"];
    let seconds = |s: f64| if s < 0.1 { format!("{:.1} ms", s * 1e3) } else { format!("{s:.2} s") };
    let cells = |row: &Row| {
        let (size, shipped) = (row.sizes[1], row.shipped());
        let of_shipped = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
        let gib = matches!(row.per, Per::JavaHeap | Per::V8Heap | Per::Resident)
            .then(|| seconds(row.seconds.each * GIB));
        vec![
            row.program(),
            row.artifact.clone(),
            row.per.shown(size),
            units::bytes(row.memory.at(size)),
            of_shipped(shipped.as_ref().map(|c| units::bytes(c.memory))),
            seconds(row.pause.at(size)),
            of_shipped(shipped.as_ref().map(|c| seconds(c.pause))),
            units::bytes(row.disk.at(size)),
            gib.unwrap_or_default(),
            if row.busy.is_some() { format!("{}, busy", row.date) } else { row.date.clone() },
        ]
    };
    Table {
        title: "MEASURED HERE, and what is shipped".to_owned(),
        head: head.to_vec(),
        rows: known.rows.iter().map(cells).collect(),
    }
}

fn program_json((program, does): &(&Program, String)) -> Value {
    json!({"name": program.name(), "holds": program.holds(), "needsBytes": program.needs, "does": does})
}

fn row_json(row: &Row) -> Value {
    let mut value = json!(row);
    if let Some(shipped) = row.shipped() {
        value["shipped"] = json!({
            "memoryBytes": shipped.memory, "diskBytes": shipped.disk, "pauseSeconds": shipped.pause,
            "basis": shipped.basis,
        });
    }
    value
}
