//! `plimsoll guard replay`: would this guard have caught the incident, and how often would it have been wrong.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use plimsoll_core::guard::rules::{self, Firing, Silent, Walk};
use plimsoll_core::recording::Recording;
use plimsoll_core::replay;

use crate::cli::{from_file, triage};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format};
use crate::render;
use crate::render::guard::replay::{self as render_replay, End, Replayed};
use crate::render::guard::rules::Basis;
use crate::render::paint::Paint;

/// Would it have caught the incident, how much earlier, and how often would it have been wrong?
///
/// The rules that plimsoll guard rules has written are walked as a server would evaluate them, never looking ahead. A rule
/// file that was changed since, or another's, is refused: promtool test rules is for those.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll guard replay monitoring/plimsoll-rules.yml incident.jsonl --clean march.jsonl
  plimsoll guard replay estimator incident.jsonl          the alarm of plimsoll itself
  plimsoll guard replay rules mem.csv --unit MiB --limit 2GiB --noticed 2026-03-01T04:10:00Z

What is found lies beside the rule file, as plimsoll-rules.replay.json.
Exit codes: 0 caught and no false alarm, 1 missed or false alarms, 2 usage, 3 the recordings do not tell.")]
pub(crate) struct Args {
    /// A file of plimsoll guard rules, rules (those with the usual thresholds), or estimator.
    guard: String,

    /// Recorded incidents: JSON lines of triage --record or plimsoll series, or CSV.
    recordings: Vec<PathBuf>,

    /// Recorded times in which nothing may fire.
    #[arg(long, value_name = "RECORDING")]
    clean: Vec<PathBuf>,

    /// When the incident was noticed: what is earlier is counted from then, else from its end.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    noticed: Option<f64>,

    /// Limit of the recordings, where they have none.
    #[arg(long, value_name = "BYTES", value_parser = triage::bytes)]
    limit: Option<f64>,

    /// Unit of the values of a CSV table.
    #[arg(long, value_name = "UNIT", default_value = "B", value_parser = triage::unit)]
    unit: f64,

    /// Time between two looks of the estimator.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = triage::duration)]
    every: f64,
}

fn moment(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<Timestamp>().ok().map(|t| t.as_millisecond() as f64 / 1e3);
    seconds
        .or_else(|| text.parse().ok())
        .ok_or_else(|| format!("{text:?} is no time; say 2026-03-01T04:10:00Z"))
}

/// What is replayed.
enum Guard {
    Rules(Vec<rules::Group>),
    Estimator,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    if args.recordings.is_empty() && args.clean.is_empty() {
        return Err(CliError::usage("on which recording?").hint(
            "plimsoll series exports what plimsoll watch has kept; triage --record keeps what it saw",
        ));
    }
    let guard = guard(&args.guard)?;
    let incidents = args.recordings.iter().map(|path| (path, true));
    let mut all = Vec::new();
    for (path, is_incident) in incidents.chain(args.clean.iter().map(|path| (path, false))) {
        let recording = from_file::open(path, args.unit, args.limit)?;
        let walk = match &guard {
            Guard::Rules(groups) => rules::walk(&recording, groups, args.limit),
            Guard::Estimator => alarms(&recording, args),
        };
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let end = End::of(&recording, args.noticed);
        all.push(Replayed { file: output::plain(&file), is_incident, end, walk });
    }
    let name =
        Path::new(&args.guard).file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let document = render_replay::document(&name, &all);
    let text = match format {
        Format::Table => render_replay::screen(&name, &all, Paint::new(output::colour())),
        _ => render::json::text(&document, format),
    };
    output::result(&text)?;
    if Path::new(&args.guard).is_file() {
        keep(Path::new(&args.guard), &render::json::text(&document, Format::Json))?;
    }
    Ok(match render_replay::proved(&all) {
        Some(true) => exit_code::FINE,
        Some(false) => exit_code::FINDINGS,
        None => exit_code::CANNOT_JUDGE,
    })
}

fn guard(words: &str) -> Result<Guard, CliError> {
    match words {
        "estimator" => return Ok(Guard::Estimator),
        "rules" => {
            return Ok(Guard::Rules(rules::groups(rules::Source::ALL, &rules::Thresholds::default())));
        }
        _ => {}
    }
    let text = fs::read_to_string(words).map_err(|e| {
        CliError::usage(format!("failed to read the guard {words}"))
            .because(e)
            .hint("a file of plimsoll guard rules, or the words rules or estimator")
    })?;
    let basis = Basis::read(&text).map_err(|why| {
        CliError::new(Kind::CannotJudge, format!("{words} cannot be replayed: {why}"))
            .hint("plimsoll guard rules writes one that can be; promtool test rules runs any other")
    })?;
    Ok(Guard::Rules(basis.groups()))
}

/// When the estimator's alarm would have been on.
fn alarms(recording: &Recording, args: &Args) -> Walk {
    let span = (recording.from().unwrap_or(0.0), recording.now().unwrap_or(0.0));
    let mut walk = Walk { span, ..Walk::default() };
    let mut could = false;
    let mut on = false;
    let mut why = "the recording is shorter than one look (--every)".to_owned();
    for tick in replay::replay(recording, args.every.max(1.0), args.limit) {
        could |= tick.p_leak.is_some();
        why = tick.p_leak_unknown.clone().unwrap_or(why);
        if tick.alarm && !on {
            let value = tick.time_to_oom_seconds.and_then(|q| q.p50).unwrap_or(f64::NAN);
            let (from, until) = (tick.time_seconds, span.1);
            walk.firings.push(Firing { alert: "estimator", severity: "ticket", from, until, value });
        }
        if on
            && !tick.alarm
            && let Some(last) = walk.firings.last_mut()
        {
            last.until = tick.time_seconds;
        }
        on = tick.alarm;
    }
    if could {
        walk.decided.push("estimator");
    } else {
        walk.silent.push(Silent { alert: "estimator", why });
    }
    walk
}

/// The proof lies beside the guard.
fn keep(guard: &Path, text: &str) -> Result<(), CliError> {
    let path = guard.with_extension("replay.json");
    fs::write(&path, text)
        .map_err(|e| CliError::new(Kind::Internal, format!("failed to write {}", path.display())).because(e))
}
