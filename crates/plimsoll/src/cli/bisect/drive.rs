//! The search, driven: version by version as the core says, each run in the log before the next one.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use plimsoll_core::bisect::{Evidence, Head, Journal, Next, Place, Rules, Search, Step, verdict};
use plimsoll_core::units;
use plimsoll_host::bisect::{Command, Ended, How, Log, LogError};
use plimsoll_read::guard_document;

use crate::cli::triage;
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, tell};
use crate::render::bisect as render;
use crate::render::paint::Paint;

/// Most runs by themselves: what halving takes four times, and some.
const RUNS: (usize, usize) = (4, 24);

/// What every search is told.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// A line of the shell that is run first; a version at which it fails or hangs is left out.
    #[arg(long, value_name = "LINE")]
    build: Option<String>,

    /// Judge this metric of the growth test (heap, native, threads, …); else the one that differs most between both ends.
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,

    /// How long one build or one run may take; what takes longer tells nothing.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = triage::duration)]
    timeout: f64,

    /// Probability from which on a change is called found.
    #[arg(long, value_name = "P", default_value_t = 0.98, value_parser = share)]
    sure: f64,

    /// How often a verdict by exit code is wrong, about; slopes bring their own error.
    #[arg(long, value_name = "P", default_value_t = 0.1, value_parser = share)]
    error: f64,

    /// Most runs; else by the number of changes.
    #[arg(long, value_name = "N")]
    most_runs: Option<usize>,

    /// The log of the search; the same command goes on with it.
    #[arg(long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,

    /// Forget the runs that the log holds.
    #[arg(long)]
    fresh: bool,

    /// The command, which measures one version: what `plimsoll guard run` prints counts, with its interval; else its exit code
    /// (0 good, 125 leave out, 126 and up nothing, else bad).
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

fn share(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|p| (0.001..=0.999).contains(p));
    value.ok_or_else(|| format!("{text:?} is no share between 0.001 and 0.999"))
}

impl Common {
    /// The head of the log.
    pub(super) fn head(&self, of: &str, good: &str, changes: &[plimsoll_core::bisect::Change]) -> Head {
        Head {
            build: self.build.clone(),
            metric: self.metric.clone(),
            ..Head::new(of, good, &self.command, changes)
        }
    }

    fn rules(&self, changes: usize) -> Rules {
        let most = self.most_runs.unwrap_or_else(|| default_most(changes));
        Rules { sure: self.sure, error: self.error, most }
    }
}

fn default_most(changes: usize) -> usize {
    RUNS.0 * (usize::BITS - changes.leading_zeros()) as usize + RUNS.1
}

/// Rules for a log that is only looked at.
pub(super) fn usual_rules(changes: usize) -> Rules {
    Rules { sure: 0.98, error: 0.1, most: default_most(changes) }
}

/// What has been found, or not.
pub(crate) struct Answer {
    pub(crate) journal: Journal,
    pub(crate) search: Search,
    /// How it ended; `None` when the user ended it.
    pub(crate) end: Option<Next>,
    pub(crate) log: PathBuf,
    pub(crate) notes: Vec<String>,
}

/// Where versions come from.
pub(super) trait Versions {
    /// Makes a version ready, and says where the command is to run; or why it cannot be.
    fn prepare(&self, id: &str) -> Result<PathBuf, String>;
}

/// A log by the search that it is of, so that the same command finds it again.
pub(super) fn name(head: &Head) -> String {
    let text = serde_json::to_string(head).unwrap_or_default();
    // FNV: nobody attacks the names of their own logs.
    let hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("bisect-{hash:016x}.jsonl")
}

/// Searches to the end, and says what came out.
pub(super) fn search(
    common: &Common,
    head: Head,
    path: &Path,
    versions: &dyn Versions,
    notes: Vec<String>,
    format: Format,
) -> Result<u8, CliError> {
    let rules = common.rules(head.changes.len());
    let mut log = Log::open(path, head, common.fresh).map_err(unusable)?;
    if !log.journal().steps.is_empty() {
        tell(&format!(
            "goes on behind {} runs that {} holds (--fresh forgets them)",
            log.journal().steps.len(),
            path.display()
        ));
    }
    let stop = triage::stop_flag()?;
    let end = loop {
        let search = searched(log.journal(), rules)?;
        let Next::Run(place) = search.next() else { break Some(search.next()) };
        let Some(step) = measure(common, log.journal(), place, versions, &stop)? else { break None };
        log.push(step).map_err(unusable)?;
        tell(&said(log.journal(), rules)?);
    };
    let search = searched(log.journal(), rules)?;
    let answer = Answer { journal: log.journal().clone(), search, end, log: log.path().to_owned(), notes };
    answered(&answer, format)
}

/// The search as far as a log tells.
pub(super) fn searched(journal: &Journal, rules: Rules) -> Result<Search, CliError> {
    journal.search(rules).map_err(|e| CliError::usage("there is nothing to search").because(e))
}

pub(super) fn unusable(e: LogError) -> CliError {
    let hint = match &e {
        LogError::Other(_) => "name another file by --log, or forget what it holds by --fresh",
        LogError::Content(..) => "name another file by --log, or begin anew by --fresh",
        LogError::Busy(_) => "wait until it ends, or name another file by --log",
        LogError::File(..) => "name another file by --log",
    };
    CliError::usage("the log cannot be used").because(e).hint(hint)
}

/// Runs one version; nothing when the user wants to stop.
fn measure(
    common: &Common,
    journal: &Journal,
    place: Place,
    versions: &dyn Versions,
    stop: &AtomicBool,
) -> Result<Option<Step>, CliError> {
    let id = id(journal, place);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    let began = Instant::now();
    let nothing = |why: String| Told { bad: None, metrics: Vec::new(), why };
    let told = match versions.prepare(id) {
        Err(why) => Some(nothing(why)),
        Ok(folder) => match built(common, &folder, id, stop)? {
            Built::Stopped => None,
            Built::Failed(why) => Some(nothing(why)),
            Built::Ready => {
                let line: Vec<String> =
                    common.command.iter().map(|word| word.replace("{version}", id)).collect();
                told(&run(&line, &folder, id, common, stop)?)
            }
        },
    };
    let seconds = began.elapsed().as_secs_f64();
    Ok(told.map(|Told { bad, metrics, why }| Step { place, unix_seconds: now, seconds, bad, metrics, why }))
}

/// The version of a place.
pub(crate) fn id(journal: &Journal, place: Place) -> &str {
    match place {
        Place::Good => &journal.head.good,
        Place::At(at) => journal.head.changes.get(at).map_or("", |c| &c.id),
    }
}

enum Built {
    Ready,
    Failed(String),
    Stopped,
}

fn built(common: &Common, folder: &Path, id: &str, stop: &AtomicBool) -> Result<Built, CliError> {
    let Some(line) = &common.build else { return Ok(Built::Ready) };
    let shell = ["/bin/sh", "-c", line].map(str::to_owned);
    let ended = run(&shell, folder, id, common, stop)?;
    Ok(match ended.how {
        How::Code(0) => Built::Ready,
        How::Stopped => Built::Stopped,
        How::TooLong => Built::Failed(format!("the build took over {}", units::duration(common.timeout))),
        How::Code(_) | How::Signal(_) => Built::Failed(format!("it does not build: {}", last_line(&ended))),
    })
}

fn run(
    line: &[String],
    folder: &Path,
    id: &str,
    common: &Common,
    stop: &AtomicBool,
) -> Result<Ended, CliError> {
    // A growth test within the command then tells its interval and not only its verdict.
    let variables = [("PLIMSOLL_OUTPUT", "json"), ("PLIMSOLL_BISECT_VERSION", id)];
    let longest = Duration::try_from_secs_f64(common.timeout).unwrap_or(Duration::MAX);
    let command = Command { line, folder, variables: &variables, longest, stop };
    command.run().map_err(|e| {
        let name = line.first().map_or("", String::as_str);
        CliError::usage(format!("the command {name:?} cannot be started")).because(e)
    })
}

fn last_line(ended: &Ended) -> String {
    let lines = ended.errors.lines().rev().chain(ended.output.lines().rev());
    let mut lines = lines.filter(|l| !l.trim().is_empty());
    lines.next().map_or_else(|| "it says nothing".to_owned(), |line| line.trim().chars().take(200).collect())
}

/// What a run told.
struct Told {
    bad: Option<bool>,
    metrics: Vec<plimsoll_core::bisect::Measured>,
    why: String,
}

fn told(ended: &Ended) -> Option<Told> {
    let nothing = |why: String| Some(Told { bad: None, metrics: Vec::new(), why });
    let code = match ended.how {
        How::Stopped => return None,
        How::TooLong => {
            return nothing(format!("it took over {}", units::duration(ended.took.as_secs_f64())));
        }
        How::Signal(signal) => return nothing(format!("the command was ended by signal {signal}")),
        How::Code(code) => code,
    };
    let Some(guard) = guard_document::last(&ended.output) else {
        return match verdict(code) {
            Ok(bad) => Some(Told { bad: Some(bad), metrics: Vec::new(), why: String::new() }),
            Err(why) => nothing(format!("{why}: {}", last_line(ended))),
        };
    };
    match guard.outcome.as_str() {
        "withdrawn" => nothing(format!("the growth test was withdrawn: {}", guard.withdrawn.join("; "))),
        outcome => {
            let bad = match outcome {
                "growing" => Some(true),
                "flat" => Some(false),
                _ => None,
            };
            Some(Told { bad, metrics: guard.metrics, why: String::new() })
        }
    }
}

/// One line on the last run and what is believed now.
fn said(journal: &Journal, rules: Rules) -> Result<String, CliError> {
    let search = searched(journal, rules)?;
    let posterior = search.posterior();
    let (Some(step), Some(run)) = (journal.steps.last(), search.runs().last()) else {
        return Ok(String::new());
    };
    let told = match run.evidence {
        Evidence::Nothing => format!("tells nothing ({})", output::plain(&step.why)),
        evidence => render::told(evidence, journal.metric().as_deref()),
    };
    let likeliest = posterior.likeliest(0.0).first().map_or_else(String::new, |at| {
        format!("; likeliest {} ({:.2})", render::short(&journal.head, *at), posterior.changes[*at])
    });
    Ok(format!(
        "run {}: {} {told} in {}{likeliest}",
        journal.steps.len(),
        render::place(&journal.head, run.place),
        units::duration(step.seconds)
    ))
}

/// Shows the answer; the exit code.
pub(super) fn answered(answer: &Answer, format: Format) -> Result<u8, CliError> {
    let text = match format {
        Format::Table => render::screen(answer, Paint::new(output::colour())),
        _ => crate::render::json::text(&render::document(answer), format),
    };
    output::result(&text)?;
    Ok(match answer.end {
        Some(Next::Found(_)) => exit_code::FINDINGS,
        _ => exit_code::CANNOT_JUDGE,
    })
}

/// What git did not do, as the user sees it.
pub(super) fn git_failed(e: plimsoll_host::bisect::GitError) -> CliError {
    use plimsoll_host::bisect::GitError;
    let (kind, hint) = match &e {
        GitError::Apart { shallow: true, .. } => {
            (Kind::Usage, "the clone is shallow, and the common commit may be missing: git fetch --unshallow")
        }
        GitError::Apart { .. } => (Kind::Usage, "name a good commit that the bad one follows"),
        GitError::Unknown(_) => {
            (Kind::Usage, "is it there? a shallow clone or one without tags lacks some: git fetch --tags")
        }
        GitError::TooMany => (Kind::Usage, "name a later good commit, or search along --first-parent"),
        GitError::Start(_) => (Kind::CannotJudge, "install git"),
        GitError::Failed { .. } => {
            (Kind::CannotJudge, "is this folder in a repository? --repository says where it is")
        }
        GitError::Folder(_) => (Kind::CannotJudge, "TMPDIR says where there is room"),
    };
    CliError::new(kind, "the history cannot be searched").because(e).hint(hint)
}
