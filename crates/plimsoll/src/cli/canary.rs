//! `plimsoll canary`: how long and how large a canary must be to show a slope.

use std::path::PathBuf;

use plimsoll_core::bisect::deploys;
use plimsoll_core::canary::{Errors, Setting, length, smallest};
use plimsoll_core::cluster::{Replica, Workload};
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::slope::Interval;
use plimsoll_core::units;
use serde_json::{Value, json};

use super::prometheus;
use super::triage::{bytes, duration};
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format};

/// Numbers of replicas that are shown where none is given.
const REPLICAS: [u32; 4] = [1, 3, 10, 30];
/// A replica whose last sample is no older than this before the newest is alive, seconds.
const ALIVE: f64 = 3600.0;

/// How long must a canary run, and how large must it be, to show a slope?
///
/// A level shows at once, a slope only with time: some minutes of a canary see no leak.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll canary --noise 20MiB --headroom 600MiB --gone-in 24h
  plimsoll canary --noise 20MiB --headroom 600MiB --gone-in 24h --for 10m     would ten minutes see it?
  plimsoll canary --noise 20MiB --headroom 600MiB --gone-in 24h --replicas 1 --baseline-replicas 9 --false-alarms 0.01
  plimsoll canary --prometheus http://localhost:9090 --workload shop/api --gone-in 24h      noise and headroom as they are
  plimsoll canary --prometheus http://localhost:9090 --workload shop/api --running shop/api-canary
Exit codes: 0 told, or no more than the baseline; 1 the canary climbs more; 2 usage; 3 the length of --for
does not do (for all of --replicas; without them for no size at all), or it cannot be told.")]
#[command(group(clap::ArgGroup::new("history").args(["prometheus", "from"])))]
pub(crate) struct Args {
    /// How far a floor lies off its line (standard deviation).
    #[arg(long, value_name = "BYTES", value_parser = bytes, required_unless_present = "history")]
    noise: Option<f64>,

    /// For how long floors lie on the same side of it; 30 min where no history tells it.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    alike_for: Option<f64>,

    /// The leak that must be seen: it takes so much memory ...
    #[arg(long, value_name = "BYTES", value_parser = bytes, required_unless_present = "history")]
    headroom: Option<f64>,

    /// ... in this time.
    #[arg(long, value_name = "TIME", value_parser = duration, required_unless_present = "running")]
    gone_in: Option<f64>,

    /// Measure noise and headroom in what a Prometheus knows: http[s]://HOST[:PORT][/PREFIX].
    #[arg(long, value_name = "URL", requires = "workload")]
    prometheus: Option<String>,

    /// Or in a file: metrics text with times, or an answer of that API.
    #[arg(long, value_name = "FILE", requires = "workload", conflicts_with = "prometheus")]
    from: Option<PathBuf>,

    /// The workload that is the baseline: NAME, NAMESPACE/NAME or CLUSTER/NAMESPACE/NAME.
    #[arg(long, value_name = "WORKLOAD", requires = "history")]
    workload: Option<String>,

    /// A canary that runs already: does it climb more than the baseline does over the same time?
    #[arg(long, value_name = "WORKLOAD", requires = "workload")]
    running: Option<String>,

    /// Add this for the warm-up.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    warm_up: f64,

    /// Sizes of the canary: so many replicas. Without them several are shown.
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "running")]
    replicas: Vec<u32>,

    /// Replicas of the baseline; else those that --workload has now, or as many as the canary.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "running")]
    baseline_replicas: Option<u32>,

    /// Canaries without a leak that may be called leaking.
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = rare)]
    false_alarms: f64,

    /// Canaries with the leak that must be seen.
    #[arg(long, value_name = "SHARE", default_value = "0.9", value_parser = often)]
    seen: f64,

    /// A length that is planned: would it do?
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "running")]
    planned: Option<f64>,

    #[command(flatten)]
    history: prometheus::Args,
}

/// What the sizes come from.
struct Plan {
    noise: f64,
    alike_for: f64,
    difference: f64,
    warm_up: f64,
    planned: Option<f64>,
    /// Sizes of the canary; none where any may be chosen.
    replicas: Vec<u32>,
    baseline: Option<u32>,
    errors: Errors,
    /// Where noise and headroom come from.
    measured: Option<String>,
}

/// Neighbours go along for so long where nobody measured it, seconds.
const ALIKE_FOR: f64 = 1800.0;

/// One size of a canary.
struct Size {
    replicas: u32,
    seconds: f64,
    /// The smallest slope that the planned length shows; nothing when it is all warm-up.
    smallest: Option<f64>,
}

/// Beyond these, tossing a coin does better.
fn rare(text: &str) -> Result<f64, String> {
    share(text, |share| share > 0.0 && share < 0.5, "above 0 and below 0.5")
}

fn often(text: &str) -> Result<f64, String> {
    share(text, |share| (0.5..1.0).contains(&share), "0.5 or more and below 1")
}

fn share(text: &str, is_it: fn(f64) -> bool, words: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    is_it(share).then_some(share).ok_or_else(|| format!("it must be {words}"))
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let errors = Errors { false_alarms: args.false_alarms, seen: args.seen };
    let workloads = history(args)?;
    if let (Some(running), Some(workload)) = (&args.running, &args.workload) {
        return compare(named(&workloads, running)?, named(&workloads, workload)?, errors, format);
    }
    let plan = plan(args, errors, &workloads)?;
    sized(&plan, format)
}

fn history(args: &Args) -> Result<Vec<Workload>, CliError> {
    if args.workload.is_none() {
        return Ok(Vec::new());
    }
    let source = prometheus::Source::of(args.prometheus.as_deref(), args.from.as_deref())?;
    let (history, asked) = prometheus::history(source, &args.history, None)?;
    asked.warnings.iter().for_each(|w| output::tell(&format!("plimsoll: {}", output::plain(w))));
    Ok(history.workloads)
}

/// The workload that is meant: what the container uses as a whole before its heap.
fn named<'a>(all: &'a [Workload], words: &str) -> Result<&'a Workload, CliError> {
    let called = || all.iter().filter(|w| w.is_called(words));
    let one = called().min_by_key(|w| w.is_heap).ok_or_else(|| {
        CliError::cannot_judge(format!("no workload {words} is known there"))
            .hint("plimsoll triage --prometheus lists them")
    })?;
    let whole = |w: &Workload| [&w.cluster, &w.namespace, &w.name].map(String::clone);
    match called().find(|w| whole(w) != whole(one)) {
        None => Ok(one),
        Some(other) => Err(CliError::usage(format!(
            "{words} may be {} or {}",
            whole(one).join("/").trim_start_matches('/'),
            whole(other).join("/").trim_start_matches('/')
        ))
        .hint("name it with its namespace, and its cluster: CLUSTER/NAMESPACE/NAME")),
    }
}

fn plan(args: &Args, errors: Errors, workloads: &[Workload]) -> Result<Plan, CliError> {
    let workload = args.workload.as_ref().map(|words| named(workloads, words)).transpose()?;
    let measured = match workload {
        Some(w) => Some(deploys::noise(w).ok_or_else(|| {
            CliError::cannot_judge("no life of a replica there is long enough to measure its noise")
                .hint("a longer --past, or --noise")
        })?),
        None => None,
    };
    let headroom = args.headroom.or_else(|| room(workload?));
    let headroom = headroom.ok_or_else(|| {
        CliError::cannot_judge("no limit of that workload is known")
            .hint("--headroom says what a leak may take")
    })?;
    let missing = || CliError::usage("--noise and --gone-in say what is to be seen");
    let noise = args.noise.or(measured.map(|(noise, _)| noise)).ok_or_else(missing)?;
    Ok(Plan {
        noise,
        alike_for: args.alike_for.or(measured.map(|(_, alike)| alike)).unwrap_or(ALIKE_FOR),
        difference: headroom / args.gone_in.ok_or_else(missing)?,
        warm_up: args.warm_up,
        planned: args.planned,
        replicas: args.replicas.clone(),
        baseline: args.baseline_replicas.or_else(|| workload.map(alive)),
        errors,
        measured: workload.map(|w| {
            format!("{} of {} lives", w.number, w.replicas.iter().map(|r| r.lives.len()).sum::<usize>())
        }),
    })
}

/// Replicas that are there now.
fn alive(w: &Workload) -> u32 {
    let last = |r: &Replica| Some(r.lives.last()?.points.last()?.t);
    let newest = w.replicas.iter().filter_map(last).fold(f64::NEG_INFINITY, f64::max);
    let is_alive = |r: &&Replica| last(r).is_some_and(|t| newest - t <= ALIVE);
    w.replicas.iter().filter(is_alive).count().max(1) as u32
}

/// Bytes between the fullest replica and its limit.
fn room(w: &Workload) -> Option<f64> {
    let of = |r: &Replica| Some(r.limit()? - r.lives.last()?.points.last()?.v);
    w.replicas.iter().filter_map(of).reduce(f64::min).filter(|room| *room > 0.0)
}

/// A canary that runs already, against its baseline.
fn compare(canary: &Workload, baseline: &Workload, errors: Errors, format: Format) -> Result<u8, CliError> {
    let c = deploys::compare(canary, baseline, errors).ok_or_else(|| {
        CliError::cannot_judge("one of both has not run long enough for a slope")
            .hint("a warm-up and some floors of half an hour are needed")
    })?;
    let range =
        |i: Interval| format!("{} [{} .. {}]", units::rate(i.mid), units::rate(i.low), units::rate(i.high));
    let (head, next) = if c.is_more {
        (
            "MORE  the canary climbs more than its baseline",
            "stop the rollout; plimsoll bisect commits finds the change",
        )
    } else {
        (
            "CALM  it is not shown that the canary climbs more",
            "a smaller slope needs a longer canary: plimsoll canary --gone-in",
        )
    };
    let youth = if c.same_age {
        ""
    } else {
        "BUT   the baseline was not seen as young as the canary: a warm-up, or a cache that fills, looks like a climb\n"
    };
    let text = match format {
        Format::Table => format!(
            "{head}: {}\nCANARY   {}\nBASELINE {} over the same time\nSURE  {} false alarms however often one looks; {} and more would have been seen by now {} of the time\n{youth}NEXT  {next}\n",
            range(c.adds),
            range(c.canary),
            range(c.baseline),
            percent(errors.false_alarms),
            units::rate(c.told_from),
            percent(errors.seen),
        ),
        _ => {
            let interval = |i: Interval| json!({"p10": i.low, "p50": i.mid, "p90": i.high});
            let document = json!({
                "apiVersion": API_VERSION, "kind": "CanaryVerdict", "climbsMore": c.is_more, "addsBytesPerSecond": interval(c.adds),
                "canaryBytesPerSecond": interval(c.canary), "baselineBytesPerSecond": interval(c.baseline),
                "smallestBytesPerSecond": c.told_from, "sameAge": c.same_age,
                "falseAlarms": errors.false_alarms, "power": errors.seen,
            });
            crate::render::json::text(&document, format)
        }
    };
    output::result(&text)?;
    Ok(if c.is_more { exit_code::FINDINGS } else { exit_code::FINE })
}

fn sized(args: &Plan, format: Format) -> Result<u8, CliError> {
    let difference = args.difference;
    let size = |replicas: u32| {
        let setting = Setting {
            noise: args.noise,
            alike_for: args.alike_for,
            replicas: f64::from(replicas),
            baseline: f64::from(args.baseline.unwrap_or(replicas)),
            difference,
            errors: args.errors,
        };
        let planned = args.planned.map(|planned| planned - args.warm_up);
        let smallest = planned.and_then(|seconds| smallest(&setting, seconds));
        Some(Size { replicas, seconds: args.warm_up + length(&setting)?, smallest })
    };
    let replicas = if args.replicas.is_empty() { &REPLICAS[..] } else { &args.replicas };
    let sizes: Option<Vec<Size>> = replicas.iter().map(|n| size(*n)).collect();
    let sizes =
        sizes.ok_or_else(|| CliError::usage("--noise, --headroom and --gone-in must be above zero"))?;
    let text = match format {
        Format::Table => screen(args, difference, &sizes),
        _ => crate::render::json::text(&document(args, difference, &sizes), format),
    };
    output::result(&text)?;
    let does = |planned: f64| sizes.iter().filter(|s| s.seconds <= planned).count();
    let least = if args.replicas.is_empty() { 1 } else { sizes.len() };
    let is_enough = |planned: f64| does(planned) >= least;
    Ok(if args.planned.is_none_or(is_enough) { exit_code::FINE } else { exit_code::CANNOT_JUDGE })
}

fn screen(args: &Plan, difference: f64, sizes: &[Size]) -> String {
    let mut out = format!(
        "a leak of {} against a baseline of {}, {} of warm-up counted; {} false alarms, {} seen\n",
        units::rate(difference),
        args.baseline.map_or_else(|| "as many replicas".to_owned(), replicas),
        units::duration(args.warm_up),
        percent(args.errors.false_alarms),
        percent(args.errors.seen)
    );
    if let Some(of) = &args.measured {
        let noise = units::bytes(args.noise);
        out += &format!(
            "measured: floors lie {noise} off their line, for {} on the same side ({of})\n",
            units::duration(args.alike_for)
        );
    }
    for s in sizes {
        let planned = match (args.planned, s.smallest) {
            (None, _) => String::new(),
            (Some(_), None) => "; the planned time is all warm-up".to_owned(),
            (Some(planned), Some(smallest)) => {
                let word = if s.seconds <= planned { "does" } else { "is too short" };
                format!("; {} {word}: it shows {} and more", units::duration(planned), units::rate(smallest))
            }
        };
        out += &format!("{:>12}  {}{planned}\n", replicas(s.replicas), units::duration(s.seconds));
    }
    out
}

fn replicas(count: u32) -> String {
    format!("{count} replica{}", if count == 1 { "" } else { "s" })
}

/// As many digits as it has: 5 %, 0.1 %.
fn percent(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

/// The document (`docs/json.md`).
fn document(args: &Plan, difference: f64, sizes: &[Size]) -> Value {
    let size = |s: &Size| {
        let is_enough = args.planned.map(|planned| s.seconds <= planned);
        json!({"replicas": s.replicas, "seconds": s.seconds, "smallestBytesPerSecond": s.smallest, "plannedIsEnough": is_enough})
    };
    json!({
        "apiVersion": API_VERSION, "kind": "CanaryPlan", "bytesPerSecond": difference, "warmUpSeconds": args.warm_up,
        "noiseBytes": args.noise, "alikeForSeconds": args.alike_for, "falseAlarms": args.errors.false_alarms, "power": args.errors.seen,
        "baselineReplicas": args.baseline, "sizes": sizes.iter().map(size).collect::<Vec<_>>(),
    })
}
