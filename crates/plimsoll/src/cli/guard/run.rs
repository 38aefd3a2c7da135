//! `plimsoll guard run`: does the program grow with its work.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use plimsoll_core::guard::{Course, KeyMode, Outcome, Template, Tolerance, bearable};
use plimsoll_core::units;
use plimsoll_host::growth::load::{
    CommandLoad, HttpLoad, Keys, Load, MarkerLoad, Request, StdinLoad, Subject,
};
use plimsoll_host::growth::{self, GrowthError, Program, Ran, Spec};
use plimsoll_host::world::World;

use super::{culprit, place};
use crate::cli::{live, triage};
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
  plimsoll guard run --http 'GET http://127.0.0.1:8080/users/{i}?q={uuid}' -- java -jar shop.jar
  plimsoll guard run --http 'http://127.0.0.1:8080/users/{i}' --keys both     who listens there, and is it the keys
  plimsoll guard run --command './request {i}' --target name:shop
  plimsoll guard run --stdin '{hex}' -- ./worker    a program that answers each line with a line
  plimsoll guard run --survive 30d --rps 200 --headroom 1GiB --junit guard.xml -- ./growth-test

Placeholders: {i} the number of the key, {n%1000} within a range, {uuid}, {hex}, {hex32}, {session}, {token}, {word},
{one|other} of a list; {{ is a brace. plimsoll guard keys makes them out of an access log or of a heap.
Exit codes: 0 flat, 1 growing, 2 usage, 3 saturating, undecided or withdrawn, 126 the program cannot be
started, 70 internal.")]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,

    /// Write the result as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Write what is not flat as SARIF too.
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,

    /// Write a chart of the rounds too: as PNG where the name ends so, else as SVG.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,

    /// A process that runs anyway: PID, pid:N, name:GLOB, cgroup:PATH or container:ID.
    #[arg(long, conflicts_with_all = ["program", "stdin"])]
    target: Option<String>,

    /// The program and its arguments.
    #[arg(last = true, value_name = "COMMAND", required_unless_present_any = ["http", "command"])]
    program: Vec<String>,
}

/// How the test is run: load, rounds, what is borne.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Send a request for each iteration: METHOD URL, with placeholders.
    #[arg(long, value_name = "REQUEST", group = "load")]
    http: Option<String>,

    /// A header of the request, with placeholders; may come several times.
    #[arg(long, value_name = "NAME: VALUE", requires = "http")]
    header: Vec<String>,

    /// The body of the request, with placeholders.
    #[arg(long, value_name = "TEXT", requires = "http")]
    data: Option<String>,

    /// Run a line of the shell for each iteration, with placeholders.
    #[arg(long, value_name = "LINE", group = "load")]
    command: Option<String>,

    /// Write a line to the program for each iteration, with placeholders; it answers with a line.
    #[arg(long, value_name = "LINE", group = "load")]
    stdin: Option<String>,

    /// Requests or commands at a time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,

    /// Whether keys come again; both compares the two.
    #[arg(long, value_enum, default_value = "distinct", requires = "load")]
    keys: KeysOf,

    /// How many keys the pool has.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pool: u64,

    /// Number of the first key; else a process that runs anyway gets keys that it has not seen from here.
    #[arg(long, value_name = "N")]
    first: Option<u64>,

    /// Keep what tells who grew (profiles, histograms) in this folder.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,

    /// Iterations of one round, where the load is driven from here.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    round: u64,

    /// Most rounds: 16 at least, 128 at most.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(16..=128))]
    rounds: u16,

    /// Rounds that are done though it could be told before: a longer run sees smaller leaks.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=128))]
    least: u16,

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
}

/// Whom it is run on.
pub(super) struct Test<'a> {
    pub(super) options: &'a Options,
    pub(super) program: &'a [String],
    pub(super) target: Option<&'a str>,
}

/// Whether keys come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum KeysOf {
    /// Each is new.
    Distinct,
    /// They come out of a pool.
    Pool,
    /// First out of a pool, then new ones: does it grow with the keys or with every call?
    Both,
}

impl KeysOf {
    fn modes(self, pool: u64) -> Vec<KeyMode> {
        match self {
            KeysOf::Distinct => vec![KeyMode::Distinct],
            KeysOf::Pool => vec![KeyMode::Pool(pool)],
            KeysOf::Both => vec![KeyMode::Pool(pool), KeyMode::Distinct],
        }
    }
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let tolerance = tolerance(&args.options)?;
    let stop = triage::stop_flag()?;
    let on = Test { options: &args.options, program: &args.program, target: args.target.as_deref() };
    let tested = test(&on, tolerance, &stop)?;
    let text = match format {
        Format::Table => render::screen(&tested, Paint::new(output::colour())),
        _ => crate::render::json::text(&render::json(&tested), format),
    };
    output::result(&text)?;
    leave(args, &tested)?;
    Ok(exit(&tested))
}

/// What is borne, in bytes or in words.
pub(super) fn tolerance(args: &Options) -> Result<Tolerance, CliError> {
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

pub(super) fn test(on: &Test<'_>, tolerance: Tolerance, stop: &AtomicBool) -> Result<Tested, CliError> {
    let args = on.options;
    let world = World::default();
    let mut load = load(on, &world)?;
    let mut phases = Vec::new();
    for keys in args.keys.modes(args.pool) {
        phases.push(phase(args, tolerance, &world, load.as_mut(), keys, stop)?);
        if !phases.iter().all(|p| p.course.withdrawn().is_empty()) {
            break;
        }
    }
    load.end();
    let place = place::find(&phases, Path::new("."));
    let command = on.program.first().map(String::as_str).or(on.target).map(str::to_owned);
    Ok(Tested {
        command: command.unwrap_or_else(|| "who listens there".to_owned()),
        phases,
        rps: args.rps,
        headroom: args.headroom,
        place,
    })
}

/// Who does the work.
fn load(on: &Test<'_>, world: &World) -> Result<Box<dyn Load>, CliError> {
    let args = on.options;
    let patience = Duration::from_secs_f64(args.patience);
    let workers = usize::from(args.parallel);
    let keys = first_keys(on);
    if let Some(line) = &args.http {
        let request = Request::parse(line, &args.header, args.data.as_deref()).map_err(failed)?;
        return Ok(Box::new(HttpLoad::new(subject(on, world)?, request, keys, workers)));
    }
    let template = |text: &str| {
        Template::parse(text).map_err(|e| CliError::usage(format!("cannot read {text:?}")).because(e))
    };
    if let Some(line) = &args.command {
        let line = template(line)?;
        let subject = subject(on, world)?
            .ok_or_else(|| CliError::usage("whose memory?").hint("--target PID, or the program after --"))?;
        return Ok(Box::new(CommandLoad { subject, line, keys, workers }));
    }
    if on.program.is_empty() {
        return Err(CliError::usage("whom is it run on?").hint("the program stands after --"));
    }
    let program = Program::start(on.program, true).map_err(failed)?;
    match &args.stdin {
        Some(line) => Ok(Box::new(StdinLoad { program, line: template(line)?, keys, patience })),
        None => Ok(Box::new(MarkerLoad::new(program, patience, tell))),
    }
}

fn subject(on: &Test<'_>, world: &World) -> Result<Option<Subject>, CliError> {
    if let Some(target) = on.target {
        return live::resolve(world, target).map(|pid| Some(Subject::Running(pid)));
    }
    let started = |command: &[String]| Program::start(command, false).map(Subject::Started).map_err(failed);
    if on.program.is_empty() { Ok(None) } else { started(on.program).map(Some) }
}

/// A process that runs anyway has seen the keys of the last run.
fn first_keys(on: &Test<'_>) -> Keys {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let fresh = if on.program.is_empty() { now * 1000 } else { 0 };
    Keys { next: on.options.first.unwrap_or(fresh), seed: on.options.first.unwrap_or(now) }
}

fn phase(
    args: &Options,
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
    let mut course = Course::new(tolerance, usize::from(args.rounds)).at_least(usize::from(args.least));
    let progress = Progress::new();
    let ran = growth::run(&spec, load, &mut course, |c| {
        let (rounds, done) = (c.rounds().len(), units::thousands(c.iterations()));
        progress.show(&format!("round {rounds}: {done} iterations in {}", seconds(began)));
    });
    drop(progress);
    let ran = ran.map_err(failed)?;
    keep(args, &ran, keys)?;
    let culprits = culprit::read(&ran);
    Ok(Phase {
        keys,
        culprits,
        course,
        target: ran.target,
        notes: ran.notes,
        seconds: began.elapsed().as_secs_f64(),
    })
}

fn seconds(began: Instant) -> String {
    units::duration(began.elapsed().as_secs_f64())
}

fn failed(e: GrowthError) -> CliError {
    match e {
        GrowthError::Start { .. } => CliError::new(Kind::NotRun, "the test could not begin").because(e),
        GrowthError::Load(_) => CliError::usage("the test could not begin").because(e),
        GrowthError::Target(_) => CliError::cannot_judge("the test could not begin").because(e),
    }
}

/// What tells who grew, as files.
fn keep(args: &Options, ran: &Ran, keys: KeyMode) -> Result<(), CliError> {
    let Some(folder) = &args.keep else { return Ok(()) };
    let phase = if keys == KeyMode::Distinct { "" } else { "pool-" };
    let failed =
        |e: std::io::Error| CliError::usage(format!("cannot write into {}", folder.display())).because(e);
    fs::create_dir_all(folder).map_err(failed)?;
    for (when, pieces) in [("before", &ran.before), ("after", &ran.after)] {
        for piece in pieces {
            fs::write(folder.join(format!("{phase}{when}-{}", piece.name)), &piece.bytes).map_err(failed)?;
        }
    }
    Ok(())
}

/// Files and annotations for those who asked for them.
fn leave(args: &Args, tested: &Tested) -> Result<(), CliError> {
    let write = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes).map_err(|e| {
            CliError::new(Kind::Internal, format!("failed to write {}", path.display())).because(e)
        })
    };
    if let Some(path) = &args.junit {
        write(path, render::junit(tested).as_bytes())?;
    }
    if let Some(path) = &args.chart {
        let picture = render::picture(tested);
        let is_png = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
        write(path, &if is_png { picture.png() } else { picture.svg().into_bytes() })?;
    }
    if let Some(path) = &args.sarif {
        write(path, render::sarif(tested).as_bytes())?;
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
