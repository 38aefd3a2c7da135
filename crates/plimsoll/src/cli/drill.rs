//! `plimsoll drill`: a war story for real, through the whole playbook, and the truth at the end.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_core::classify::{Cause, Certainty};
use plimsoll_core::judge::{Judgement, judge};
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::slope::Interval;
use plimsoll_core::units;
use plimsoll_host::drill::catalog::{self, DRILLS, Drill};
use plimsoll_host::drill::{self, CageKind, DrillError, Running, Settings};
use plimsoll_host::world::World;
use serde_json::{Value, json};

use super::live::{Session, Watch};
use super::triage::{self, stop_flag};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, Progress, tell};
use crate::render;

/// A war story for real, in a limited cgroup where allowed, through the whole playbook
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll drill                          the unbounded cache, as a native program
  plimsoll drill --list                   every war story
  plimsoll drill goroutine-leak           one of them
  plimsoll drill off-heap:native --seed 3 a variant, with other randomness
Exit codes: 0 Plimsoll was right, 1 it was wrong or could not tell, 2 usage or a missing tool.")]
pub(crate) struct Args {
    /// Name, or NAME:VARIANT.
    #[arg(default_value = "unbounded-cache")]
    name: String,

    /// List the war stories.
    #[arg(long)]
    list: bool,

    /// Growth in KiB per second (for churn: garbage per second).
    #[arg(long, value_name = "KIB")]
    rate: Option<u64>,

    /// Limit of the container, such as 256MiB.
    #[arg(long, value_name = "BYTES", value_parser = limit)]
    limit: Option<f64>,

    /// Seed of the program's randomness; also varies the rate by up to a third.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Longest time to judge.
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = duration)]
    watch: f64,

    /// Longest time of the whole drill, the wait for the end included.
    #[arg(long, value_name = "TIME", default_value = "170s", value_parser = duration)]
    max: f64,

    /// End right after the judgement: the clock is not held against the real end.
    #[arg(long)]
    no_wait: bool,

    /// Keep what was observed, as JSON lines.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// More arguments for the runtime, such as -XX:+UseParallelGC.
    #[arg(long = "runtime-arg", value_name = "ARG", allow_hyphen_values = true)]
    runtime_args: Vec<String>,
}

fn limit(text: &str) -> Result<f64, String> {
    units::parse_bytes(text).ok_or_else(|| format!("{text:?} is no amount; say 256MiB"))
}

fn duration(text: &str) -> Result<f64, String> {
    units::parse_duration(text).ok_or_else(|| format!("{text:?} is no time; say 60s"))
}

/// What came of a drill.
struct Outcome {
    drill: &'static Drill,
    settings: Settings,
    judgement: Judgement,
    judged_at: f64,
    started: f64,
    /// When it ended by itself, Unix seconds, and how.
    end: Option<(f64, String)>,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    if args.list {
        return list(format);
    }
    let drill = catalog::find(&args.name).ok_or_else(|| {
        CliError::usage(format!("no drill is called {:?}", args.name))
            .hint("plimsoll drill --list shows them")
    })?;
    let stop = stop_flag()?;
    let settings = settings(drill, args);
    tell(&format!("drill {}: {}", drill.full_name(), drill.story));
    let mut running = drill::start(drill, &settings).map_err(cannot_start)?;
    tell(&cage_words(&running, &settings));
    let outcome = play(drill, settings, &mut running, args, format, &stop)?;
    drop(running);
    conclude(&outcome, format)
}

/// The seed varies the rate, so that no threshold can be tuned to one.
fn settings(drill: &Drill, args: &Args) -> Settings {
    let spread = (args.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1u32 << 24);
    let factor = if args.seed == 1 { 1.0 } else { 0.75 + 0.6 * spread };
    Settings {
        rate: args.rate.unwrap_or((drill.rate as f64 * factor) as u64),
        limit: args.limit.map_or(drill.limit_mib << 20, |l| l as u64),
        seed: args.seed,
        runtime_args: args.runtime_args.clone(),
    }
}

fn cannot_start(e: DrillError) -> CliError {
    CliError::new(Kind::Usage, "the drill cannot run here")
        .because(e)
        .hint("plimsoll drill --list shows the others")
}

fn cage_words(running: &Running, s: &Settings) -> String {
    let bound = units::bytes(s.limit as f64);
    let cage = match running.cage().kind() {
        CageKind::GroupV1 | CageKind::GroupV2 => format!("in a control group of {bound}"),
        CageKind::DataLimit(why) => format!("under a data limit of {bound} ({why})"),
        CageKind::RuntimeOnly(why) => format!("under the runtime's own bound only ({why})"),
    };
    format!("pid {} {cage}, growing by about {}/s", running.pid(), units::bytes(s.rate as f64 * 1024.0))
}

/// Watches until the judgement stands, shows it, then waits for the end to hold the clock against it.
fn play(
    drill: &'static Drill,
    settings: Settings,
    running: &mut Running,
    args: &Args,
    format: Format,
    stop: &AtomicBool,
) -> Result<Outcome, CliError> {
    let how =
        Watch { seconds: args.watch, every: 1.0, whole: false, record: args.record.as_deref(), limit: None };
    let mut session = Session::open(&World::default(), running.pid(), &how)?;
    let progress = Progress::new();
    let mut judged: Option<(f64, Judgement)> = None;
    while let Some(judgement) = session.step(stop)? {
        let watched = session.watched();
        let settled = judgement.as_ref().is_some_and(Judgement::settled);
        if judged.is_none() && (settled || watched >= args.watch) {
            let judgement = judgement.unwrap_or_else(|| judge(&session.recording, None));
            progress.show("");
            if format == Format::Table {
                triage::show(&session.recording, &judgement, format)?;
            }
            judged = Some((watched, judgement));
        }
        let over = judged.is_some() && (args.no_wait || !ends_by_itself(drill));
        if over || watched >= args.max {
            break;
        }
        progress.show(&waiting(judged.is_some(), watched, args));
    }
    if stop.load(Ordering::Relaxed) {
        tell("stopped; the drill is cleaned up");
    }
    drop(progress);
    let judged_now = || (session.watched(), judge(&session.recording, None));
    let (judged_at, judgement) = judged.unwrap_or_else(judged_now);
    Ok(Outcome {
        drill,
        settings,
        judgement,
        judged_at: session.recording.from().unwrap_or(0.0) + judged_at,
        started: session.recording.target.started,
        end: session.recording.ended.clone(),
    })
}

/// Churn and the healthy ones go on for ever.
fn ends_by_itself(drill: &Drill) -> bool {
    drill.leaks() && drill.truth != Cause::Churn
}

fn waiting(judged: bool, watched: f64, args: &Args) -> String {
    let left = units::duration((args.max - watched).max(0.0));
    if judged {
        format!("waiting for the end, to hold the clock against it ({left} at most; Ctrl-C ends)")
    } else {
        format!("watching for {} so far", units::duration(watched))
    }
}

/// Says what the truth was and whether it was found.
fn conclude(o: &Outcome, format: Format) -> Result<u8, CliError> {
    match format {
        Format::Table => output::result(&truth(o))?,
        Format::Json | Format::Jsonl => output::result(&render::json::text(&document(o), format))?,
    }
    Ok(if found(o) { exit_code::FINE } else { exit_code::FINDINGS })
}

/// Right: the cause for a leak; for a healthy program that nothing was named with certainty.
fn found(o: &Outcome) -> bool {
    let v = &o.judgement.verdict;
    if o.drill.leaks() {
        let right = v.cause == o.drill.truth || o.drill.accepted.contains(&v.cause);
        right && v.certainty >= Certainty::Likely
    } else {
        matches!(v.cause, Cause::None | Cause::Undecided) || v.certainty < Certainty::Certain
    }
}

/// Predicted and real time from the judgement to the end, seconds.
fn clock_check(o: &Outcome) -> Option<(Interval, f64)> {
    let end = o.end.as_ref()?;
    let predicted = o.judgement.clock.binding()?.posterior.as_ref().ok()?.time_to_limit;
    Some((predicted, end.0 - o.judged_at))
}

fn truth(o: &Outcome) -> String {
    let paint = render::paint::Paint::new(output::colour());
    let v = &o.judgement.verdict;
    let verdict =
        if found(o) { paint.green("Plimsoll found it") } else { paint.red("Plimsoll did not find it") };
    let mut out = format!("\n{}{}: {}\n", paint.bold("TRUTH      "), o.drill.truth.name(), o.drill.story);
    let judged = units::duration(o.judged_at - o.started);
    out += &format!("           {verdict}: it said {} {judged} after the start\n", v.cause.name());
    if let Some((p, real)) = clock_check(o) {
        let inside = if real >= p.low && real <= p.high { "inside" } else { "outside" };
        out += &format!(
            "           the clock said {} ({} to {}); it took {}: {inside} the interval\n",
            units::duration(p.mid),
            units::duration(p.low),
            units::duration(p.high),
            units::duration(real)
        );
    }
    if let Some((_, how)) = &o.end {
        out += &format!("           the end: {how}\n");
    }
    out + &format!("           the fix: {}\n", o.drill.fix)
}

fn document(o: &Outcome) -> Value {
    let v = &o.judgement.verdict;
    let finite = |x: f64| x.is_finite().then_some(x);
    let clock = clock_check(o).map(|(p, real)| {
        json!({
            "predictedSeconds": {"p10": finite(p.low), "p50": finite(p.mid), "p90": finite(p.high)},
            "realSeconds": real, "inside": real >= p.low && real <= p.high,
        })
    });
    json!({
        "apiVersion": API_VERSION, "kind": "Drill", "drill": o.drill.full_name(), "seed": o.settings.seed,
        "rateKibPerSecond": o.settings.rate, "limitBytes": o.settings.limit, "truth": o.drill.truth,
        "cause": v.cause, "certainty": v.certainty, "found": found(o), "clock": clock,
        "judgedAfterSeconds": o.judged_at - o.started,
        "endedAfterSeconds": o.end.as_ref().map(|e| e.0 - o.started), "ended": o.end.as_ref().map(|e| &e.1),
    })
}

fn list(format: Format) -> Result<u8, CliError> {
    if format != Format::Table {
        let all: Vec<Value> = DRILLS
            .iter()
            .map(|d| json!({"drill": d.full_name(), "truth": d.truth, "story": d.story, "fix": d.fix}))
            .collect();
        let document = json!({"apiVersion": API_VERSION, "kind": "DrillList", "drills": all});
        output::result(&render::json::text(&document, format))?;
        return Ok(exit_code::FINE);
    }
    let mut out = String::new();
    for d in DRILLS {
        out += &format!("{:<24} {:<14} {}\n", d.full_name(), d.truth.name(), d.story);
    }
    output::result(&out)?;
    Ok(exit_code::FINE)
}
