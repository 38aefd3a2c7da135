//! `plimsoll triage`: clock and cause now.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use plimsoll_core::classify::Certainty;
use plimsoll_core::judge::{Judgement, judge};
use plimsoll_core::recording::Recording;
use plimsoll_core::units;

use super::from_file::{self, Opened};
use super::{kept, live, mark, overview, prometheus, replay, series};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format};
use crate::render;

/// Clock and cause now: sample, slope, verdict, what to capture, is the net on
///
/// Without a target, everything on this machine, ranked by clock.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll triage                                everything on this machine, ranked by clock
  plimsoll triage 4711 --for 60s                 one process, watched for a minute at most
  plimsoll triage name:java --record inc.jsonl   and keep what was seen
  plimsoll triage --from inc.jsonl               the same verdict from the recording
  plimsoll triage --from STORE                   everybody whom plimsoll watch has kept, ranked by clock
  plimsoll triage --from STORE --target api      one of them
  plimsoll triage --prometheus http://localhost:9090   every workload of a cluster, from a week of history
  plimsoll triage --from mem.csv --unit MiB --limit 2GiB --replay

TARGET is PID, pid:N, name:GLOB, cgroup:PATH or container:ID.
Exit codes: 0 nothing found, 1 a finding, 2 usage, 3 cannot judge, 5 partial, 70 internal.")]
#[command(group(clap::ArgGroup::new("history").args(["prometheus", "from"]).multiple(true)))]
pub(crate) struct Args {
    /// PID, pid:N, name:GLOB, cgroup:PATH or container:ID.
    target: Option<String>,

    /// Longest time to watch; less when the answer is already certain.
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = duration)]
    watch: f64,

    /// Watch for the whole time, even when the answer is certain before.
    #[arg(long)]
    whole: bool,

    /// Time between two samples.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    every_sample: f64,

    /// Keep what was observed, as JSON lines (mode 0600).
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    record: Option<PathBuf>,

    /// Judge a recording or a CSV table (header time,value[,live][,limit][,load][,start][,version]); - is stdin.
    /// Or what an agent has kept: its folder, of one with --target. Or many at once: a table with a column that names the target
    /// or with a column for each, metrics text with times (OpenMetrics), an answer of the Prometheus API, or lines that -o jsonl
    /// gave.
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    from: Option<PathBuf>,

    /// Whom to judge of those that an agent has kept: PID, pid:N, name:GLOB or a name.
    #[arg(long = "target", value_name = "TARGET", requires = "from")]
    kept: Option<String>,

    /// Walk the history as if live: when it would have warned, how long before the end, and what was false. Of one target, one
    /// JSON line per tick.
    #[arg(long, requires = "history")]
    replay: bool,

    /// Time between two ticks of the replay; ten minutes, or a two-hundredth of a shorter history, where none is given.
    #[arg(long, value_name = "TIME", requires = "replay", value_parser = duration)]
    every: Option<f64>,

    /// Limit to judge against, such as 2GiB, where none can be read.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    limit: Option<f64>,

    /// Unit of the values of a table: B, KiB, MiB, GiB, MB …
    #[arg(long, value_name = "UNIT", default_value = "B", value_parser = unit)]
    unit: f64,

    /// Certainty from which a finding makes the exit code 1.
    #[arg(long, value_enum, default_value = "likely")]
    fail_on: FailOn,

    /// Rows of the overview.
    #[arg(long, default_value_t = 20)]
    rows: usize,

    /// Judge what a Prometheus, or what speaks its API, knows of containers and processes: http[s]://HOST[:PORT][/PREFIX].
    #[arg(long, value_name = "URL", conflicts_with_all = ["target", "from", "record"])]
    prometheus: Option<String>,

    /// The agent's folder, or a file of marks, to set onsets against; else the usual store.
    #[arg(long, value_name = "FILE", requires = "history")]
    marks: Option<PathBuf>,

    #[command(flatten)]
    history: prometheus::Args,
}

/// What counts as a finding for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FailOn {
    /// A cause that is at least likely, or no time left.
    Likely,
    /// A certain cause, or no time left.
    Certain,
    /// Nothing: the exit code tells only whether it could be judged.
    Never,
}

impl FailOn {
    pub(crate) fn holds(self, j: &Judgement) -> bool {
        match self {
            FailOn::Likely => j.finding(),
            FailOn::Certain => j.finding() && (j.verdict.certainty == Certainty::Certain || j.pressing()),
            FailOn::Never => false,
        }
    }
}

pub(crate) fn duration(text: &str) -> Result<f64, String> {
    units::parse_duration(text).ok_or_else(|| format!("{text:?} is no time; say 30s, 5m or 2h"))
}

pub(crate) fn bytes(text: &str) -> Result<f64, String> {
    units::parse_bytes(text).ok_or_else(|| format!("{text:?} is no amount; say 512MiB or 2GiB"))
}

pub(crate) fn unit(text: &str) -> Result<f64, String> {
    units::parse_bytes(&format!("1{text}"))
        .ok_or_else(|| format!("{text:?} is no unit; say B, KiB, MiB or GiB"))
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let replayed = args.replay.then_some(args.every);
    let show = prometheus::Show {
        rows: args.rows,
        limit: args.limit,
        fail_on: args.fail_on,
        format,
        marks: if args.prometheus.is_some() || args.from.is_some() {
            mark::read(args.marks.as_deref())?.0
        } else {
            Vec::new()
        },
        replay: replayed,
    };
    if let Some(path) = &args.from {
        let recording = match &args.kept {
            Some(words) => series::open(path, words, f64::NEG_INFINITY)?,
            None if path.is_dir() && args.replay => {
                return Err(CliError::usage(format!("{} is a folder", path.display()))
                    .hint("--target says whom to walk of those that an agent has kept there"));
            }
            None if path.is_dir() => {
                let (past, rows, limit, fail_on) = (args.history.past(), args.rows, args.limit, args.fail_on);
                return kept::run(path, &kept::Options { past, rows, limit, fail_on, format });
            }
            None => match from_file::read(path, args.unit, args.limit)? {
                Opened::Recording(recording) => *recording,
                Opened::Series(answer) => return prometheus::run_file(path, answer, &args.history, &show),
                Opened::Judged(lines) => return prometheus::merge(path, &lines, &show),
            },
        };
        if args.replay {
            return replay::run(&recording, args.every, args.limit);
        }
        return judged(&recording, args, format);
    }
    if let Some(url) = &args.prometheus {
        return prometheus::run(url, &args.history, &show);
    }
    let stop = stop_flag()?;
    match &args.target {
        None => {
            let options =
                overview::Options { watch: args.watch, rows: args.rows, fail_on: args.fail_on, format };
            overview::run(&options, &stop)
        }
        Some(target) => {
            let watch = live::Watch {
                seconds: args.watch,
                every: args.every_sample,
                whole: args.whole,
                record: args.record.as_deref(),
                limit: args.limit,
            };
            let recording = live::watch(target, &watch, &stop)?;
            judged(&recording, args, format)
        }
    }
}

/// Set by Ctrl-C and SIGTERM: what was seen until then is still judged.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>, CliError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|e| CliError::new(Kind::Internal, "failed to catch signals").because(e))?;
    }
    Ok(stop)
}

/// Judges, shows, and says by the exit code what was found.
fn judged(recording: &Recording, args: &Args, format: Format) -> Result<u8, CliError> {
    let judgement = judge(recording, args.limit);
    show(recording, &judgement, format)?;
    Ok(code(recording, &judgement, args.fail_on))
}

pub(crate) fn show(recording: &Recording, judgement: &Judgement, format: Format) -> Result<(), CliError> {
    match format {
        Format::Table => {
            let paint = render::paint::Paint::new(output::colour());
            output::result(&render::triage::screen(recording, judgement, paint))
        }
        Format::Json | Format::Jsonl => {
            let document =
                render::json::triage(&[render::json::target(recording, judgement)], &recording.warnings);
            output::result(&render::json::text(&document, format))
        }
    }
}

fn code(recording: &Recording, judgement: &Judgement, fail_on: FailOn) -> u8 {
    if judgement.blind() {
        exit_code::CANNOT_JUDGE
    } else if fail_on.holds(judgement) {
        exit_code::FINDINGS
    } else if recording.warnings.is_empty() {
        exit_code::FINE
    } else {
        exit_code::PARTIAL
    }
}
