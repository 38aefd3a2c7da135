//! `plimsoll guard run`: does the program grow with its work.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use plimsoll_core::guard::{Course, KeyMode, Outcome, Tolerance, bearable};
use plimsoll_core::units;
use plimsoll_host::growth::load::{Load, MarkerLoad};
use plimsoll_host::growth::{self, GrowthError, Program, Spec};
use plimsoll_host::world::World;

use crate::cli::triage;
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, Progress, tell};
use crate::render::guard::{self as render, Phase, Tested};
use crate::render::paint::Paint;

/// Does the program grow with its work?
///
/// Rounds of work, a forced collection and a reading after each: growth per iteration with its interval, for heap,
/// native memory, threads, goroutines and descriptors apart. Flat is proved, not merely unseen.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll guard run -- ./growth-test               a program that does its rounds itself: after each it collects,
                                                    prints PLIMSOLL ROUND iterations=1000 heap=12345 and reads a line
                                                    of its standard input (next: another round, stop: the end)
  plimsoll guard run --survive 30d --rps 200 --headroom 1GiB --junit guard.xml -- ./growth-test

Exit codes: 0 flat, 1 growing, 2 usage, 3 saturating, undecided or withdrawn, 70 internal.")]
pub(crate) struct Args {
    /// Iterations of one round, where the load is driven from here.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    round: u64,

    /// Most rounds: 16 at least, 128 at most.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(16..=128))]
    rounds: u16,

    /// No round begins after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = triage::duration)]
    longest: Option<f64>,

    /// Rest before each reading: as long as the longest timer of the program.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = triage::duration)]
    settle: f64,

    /// How long one round may last.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = triage::duration)]
    patience: f64,

    /// Growth per iteration that is borne, for all memory (else 8 B of heap, 64 B of resident memory).
    #[arg(long, value_name = "BYTES", value_parser = triage::bytes, conflicts_with = "survive")]
    tolerance: Option<f64>,

    /// Threads, goroutines and descriptors per iteration that are borne.
    #[arg(long, value_name = "N", default_value_t = 0.001)]
    counts: f64,

    /// The same in words: the time that the program must survive ...
    #[arg(long, value_name = "TIME", value_parser = triage::duration, requires = "rps", requires = "headroom")]
    survive: Option<f64>,

    /// ... at so many iterations per second ...
    #[arg(long, value_name = "N")]
    rps: Option<f64>,

    /// ... in so much memory above its floor.
    #[arg(long, value_name = "BYTES", value_parser = triage::bytes)]
    headroom: Option<f64>,

    /// Write the result as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Write a chart of the rounds too, as SVG.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,

    /// The program and its arguments.
    #[arg(last = true, value_name = "COMMAND", required = true)]
    program: Vec<String>,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let tolerance = tolerance(args)?;
    let stop = triage::stop_flag()?;
    let tested = test(args, tolerance, &stop)?;
    let text = match format {
        Format::Table => render::screen(&tested, Paint::new(output::colour())),
        _ => crate::render::json::text(&render::json(&tested), format),
    };
    output::result(&text)?;
    leave(args, &tested)?;
    Ok(exit(&tested))
}

/// What is borne, in bytes or in words.
fn tolerance(args: &Args) -> Result<Tolerance, CliError> {
    let words = |survive: f64| {
        let bytes = args.headroom.zip(args.rps).and_then(|(room, rps)| bearable(room, survive, rps));
        bytes.ok_or_else(|| CliError::usage("--survive, --rps and --headroom must be above zero"))
    };
    let bytes = args.survive.map(words).transpose()?.or(args.tolerance);
    if bytes.is_some_and(|b| b <= 0.0) || args.counts.is_nan() || args.counts <= 0.0 {
        return Err(CliError::usage("what is borne must be above zero")
            .hint("flat is proved by an interval below it: no run proves exactly nothing"));
    }
    Ok(Tolerance { counts: args.counts, ..bytes.map_or_else(Tolerance::default, Tolerance::bytes) })
}

fn test(args: &Args, tolerance: Tolerance, stop: &AtomicBool) -> Result<Tested, CliError> {
    let world = World::default();
    let patience = Duration::from_secs_f64(args.patience);
    let program = Program::start(&args.program).map_err(failed)?;
    let mut load = MarkerLoad::new(program, patience, tell);
    let phase = phase(args, tolerance, &world, &mut load, KeyMode::Distinct, stop)?;
    let command = args.program.first().cloned().unwrap_or_default();
    Ok(Tested { command, phases: vec![phase], rps: args.rps, headroom: args.headroom })
}

fn phase(
    args: &Args,
    tolerance: Tolerance,
    world: &World,
    load: &mut dyn Load,
    keys: KeyMode,
    stop: &AtomicBool,
) -> Result<Phase, CliError> {
    let began = Instant::now();
    let spec = Spec {
        world,
        per_round: args.round,
        settle: Duration::from_secs_f64(args.settle),
        keys,
        until: args.longest.map(|s| began + Duration::from_secs_f64(s)),
        stop,
    };
    let mut course = Course::new(tolerance, usize::from(args.rounds));
    let progress = Progress::new();
    let ran = growth::run(&spec, load, &mut course, |c| {
        let (rounds, done) = (c.rounds().len(), units::thousands(c.iterations()));
        progress.show(&format!("round {rounds}: {done} iterations in {}", seconds(began)));
    });
    drop(progress);
    let ran = ran.map_err(failed)?;
    Ok(Phase { keys, course, target: ran.target, notes: ran.notes, seconds: began.elapsed().as_secs_f64() })
}

fn seconds(began: Instant) -> String {
    units::duration(began.elapsed().as_secs_f64())
}

fn failed(e: GrowthError) -> CliError {
    match e {
        GrowthError::Start { .. } | GrowthError::Load(_) => {
            CliError::usage("the test could not begin").because(e)
        }
        GrowthError::Target(_) => CliError::cannot_judge("the test could not begin").because(e),
    }
}

/// Files and annotations for those who asked for them.
fn leave(args: &Args, tested: &Tested) -> Result<(), CliError> {
    let write = |path: &Path, text: &str| {
        fs::write(path, text).map_err(|e| {
            CliError::new(Kind::Internal, format!("failed to write {}", path.display())).because(e)
        })
    };
    if let Some(path) = &args.junit {
        write(path, &render::junit(tested))?;
    }
    if let Some(path) = &args.chart {
        write(path, &render::svg(tested))?;
    }
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|v| v == "true") {
        render::annotations(tested).iter().for_each(|line| tell(line));
    }
    if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|p| !p.is_empty()) {
        // Other steps have written there before.
        use std::io::Write as _;
        let path = PathBuf::from(path);
        let opened = fs::OpenOptions::new().create(true).append(true).open(&path);
        if let Err(e) = opened.and_then(|mut f| f.write_all(render::summary(tested).as_bytes())) {
            tell(&format!("plimsoll: the step's summary {} could not be written: {e}", path.display()));
        }
    }
    Ok(())
}

fn exit(tested: &Tested) -> u8 {
    match tested.outcome() {
        Outcome::Growing => exit_code::FINDINGS,
        Outcome::Flat => exit_code::FINE,
        Outcome::Saturating | Outcome::Undecided | Outcome::Withdrawn => exit_code::CANNOT_JUDGE,
    }
}
