//! `plimsoll triage --prometheus URL`: every workload that a monitoring system knows, ranked by clock.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use plimsoll_core::cluster::{self, Row, Workload};
use plimsoll_core::mark::Mark;
use plimsoll_core::units;
use plimsoll_host::prometheus::{
    Client, History, HistoryError, Options, Pieces, QueryError, Server, Shard, Trust, basic, workloads,
    workloads_of,
};
use plimsoll_read::prometheus_api::Answer;

use super::from_file::{self, Opened};
use super::replay;
use super::triage::{FailOn, duration};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, Progress};
use crate::render;

/// Warnings that are shown.
const WARNINGS: usize = 12;
/// Difference of two clocks that does not matter, seconds.
const SKEW: f64 = 60.0;
/// Parts in a row without an answer, after which no more are asked for.
const IN_VAIN: usize = 3;
/// How a warning begins that tells of a part without an answer.
const MISSING: &str = "there is no answer for";

/// Where to ask, and for what.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "From a monitoring system")]
#[group(skip)]
pub(crate) struct Args {
    /// Which containers, by their labels: 'namespace="shop",pod=~"api-.*"'.
    #[arg(
        long,
        value_name = "MATCHERS",
        requires = "history",
        default_value = "",
        hide_default_value = true
    )]
    selector: String,

    /// How far back to look.
    #[arg(long, value_name = "TIME", requires = "history", default_value = "7d", value_parser = duration)]
    past: f64,

    /// Time between two floors.
    #[arg(long, value_name = "TIME", requires = "history", default_value = "5m", value_parser = duration)]
    step: f64,

    /// The counter of requests that were served, where it is none of the usual ones.
    #[arg(long, value_name = "METRIC", requires = "history")]
    load: Option<String>,

    /// Name of the cluster, where its series do not tell it by a label: lines of several servers are put together by --from.
    #[arg(long, value_name = "NAME", requires = "history", default_value = "", hide_default_value = true)]
    cluster: String,

    /// File with a bearer token; PLIMSOLL_PROMETHEUS_TOKEN holds one too.
    #[arg(long, value_name = "FILE", requires = "prometheus", conflicts_with = "user")]
    token_file: Option<PathBuf>,

    /// Who asks, with the password in --password-file or PLIMSOLL_PROMETHEUS_PASSWORD.
    #[arg(long, value_name = "NAME", requires = "prometheus")]
    user: Option<String>,

    /// File with the password of --user.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,

    /// Whose series, where several share a server: the header X-Scope-OrgID.
    #[arg(long, value_name = "NAME", requires = "prometheus")]
    tenant: Option<String>,

    /// A header for each query, such as 'X-Scope-OrgID: shop'; may be given again.
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "prometheus")]
    headers: Vec<String>,

    /// Authorities to trust over https, as PEM, in place of the system's.
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    ca: Option<PathBuf>,

    /// Our certificate, as PEM, where the server asks for one.
    #[arg(long, value_name = "FILE", requires_all = ["prometheus", "key"])]
    cert: Option<PathBuf>,

    /// The key of --cert, as PEM without a passphrase.
    #[arg(long, value_name = "FILE", requires_all = ["prometheus", "cert"])]
    key: Option<PathBuf>,

    /// Longest wait for one answer.
    #[arg(long, value_name = "TIME", requires = "prometheus", default_value = "60s", value_parser = duration)]
    patience: f64,

    /// More series than this are not asked for, so that the server is not hurt.
    #[arg(long, value_name = "N", requires = "history", default_value_t = 200_000)]
    most_series: usize,

    /// Only the namespaces of part K of N: the others are for other processes. Lines of -o jsonl are put together by --from.
    #[arg(long, value_name = "K/N", requires = "prometheus", value_parser = shard)]
    shard: Option<Shard>,
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    let shard = parts.map(|(number, of)| Shard { number, of });
    shard
        .filter(|s| (1..=s.of).contains(&s.number))
        .ok_or_else(|| format!("{text:?} is no part; say 1/4, 2/4, 3/4 or 4/4"))
}

impl Args {
    /// How far back to look, seconds.
    pub(super) fn past(&self) -> f64 {
        self.past
    }
}

/// Where history comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// A server.
    Url(&'a str),
    /// Series in a file.
    File(&'a Path),
}

impl<'a> Source<'a> {
    /// One of both must be there.
    pub(crate) fn of(url: Option<&'a str>, file: Option<&'a Path>) -> Result<Source<'a>, CliError> {
        let named = url.map(Source::Url).or_else(|| file.map(Source::File));
        named.ok_or_else(|| {
            CliError::usage("there is no history to look at").hint("--prometheus URL, or --from FILE")
        })
    }

    fn shown(self) -> String {
        match self {
            Source::Url(url) => url.to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }
}

/// How to show it.
pub(super) struct Show {
    pub(super) rows: usize,
    pub(super) limit: Option<f64>,
    pub(super) fail_on: FailOn,
    pub(super) format: Format,
    /// What is on the time line.
    pub(super) marks: Vec<Mark>,
    /// Walk the history instead of judging its end, with a look so often.
    pub(super) replay: Option<Option<f64>>,
}

/// What was asked for and what came.
pub(crate) struct Asked {
    pub(crate) from: String,
    pub(crate) past: f64,
    pub(crate) step: f64,
    pub(crate) now: f64,
    pub(crate) containers: usize,
    pub(crate) warnings: Vec<String>,
}

pub(super) fn run(url: &str, args: &Args, show: &Show) -> Result<u8, CliError> {
    if show.replay.is_some() {
        let (history, asked) = history(Source::Url(url), args, show.limit)?;
        return judge(&history, asked, show);
    }
    let client = client(url, args)?;
    let progress = Progress::new();
    progress.show(&format!("asking {url}"));
    let (now, skew) = now(&client);
    let options = options(args, now, show.limit);
    let pieces = Pieces::of(&client, &options, args.shard).map_err(|e| unanswered(e, args))?;
    let (rows, history) = streamed(&pieces, &options, &progress).map_err(|e| unanswered(e, args))?;
    drop(progress);
    let (_, mut asked) = asked(Source::Url(url), history, args, &options);
    asked.warnings.extend(skew);
    finish(rows, asked, show)
}

/// Judges piece by piece, while the next one is asked for: no more than two are held at once. A piece that fails costs its own
/// rows only, unless all do.
fn streamed(
    pieces: &Pieces<'_>,
    options: &Options,
    progress: &Progress,
) -> Result<(Vec<Row>, History), HistoryError> {
    let parts = pieces.pieces();
    let (send, come) = sync_channel(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut in_vain = 0;
            for piece in parts {
                let history = pieces.history(piece);
                in_vain = if history.is_ok() { 0 } else { in_vain + 1 };
                if send.send((piece, history)).is_err() || in_vain == IN_VAIN {
                    return;
                }
            }
        });
        let (mut rows, mut all, mut failed) = (Vec::new(), History::default(), None);
        let mut seen = 0;
        for (at, (piece, history)) in come.into_iter().enumerate() {
            seen = at + 1;
            progress.show(&format!("judging: part {} of {}", at + 1, parts.len()));
            match history {
                Ok(history) => {
                    rows.extend(judged(&history.workloads, options.time.1, options.step));
                    all.series += history.series;
                    let new = history
                        .warnings
                        .into_iter()
                        .filter(|w| !all.warnings.contains(w))
                        .collect::<Vec<_>>();
                    all.warnings.extend(new);
                }
                Err(e) => {
                    all.warnings.push(format!("{MISSING} {piece}: {e}"));
                    failed = Some(e);
                }
            }
        }
        if seen < parts.len() {
            all.warnings
                .push(format!("{MISSING} {} more parts, which were not asked for", parts.len() - seen));
        }
        match failed {
            Some(e) if rows.is_empty() => Err(e),
            _ => Ok((rows, all)),
        }
    })
}

/// Now, by the server's clock where it tells it, and what is to be said of the difference.
fn now(client: &Client) -> (f64, Option<String>) {
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64().floor());
    match client.time().filter(|theirs| theirs.is_finite() && (theirs - ours).abs() > SKEW) {
        None => (ours, None),
        Some(theirs) => {
            let (by, way) = ((theirs - ours).abs(), if theirs < ours { "behind" } else { "ahead of" });
            let told = format!("the server's clock is {} {way} ours: its own is taken", units::duration(by));
            (theirs.floor(), Some(told))
        }
    }
}

/// The same of series that came in a file.
pub(super) fn run_file(path: &Path, answer: Answer, args: &Args, show: &Show) -> Result<u8, CliError> {
    let (history, asked) = of_answer(path, answer, args, show.limit)?;
    judge(&history, asked, show)
}

fn judge(history: &History, asked: Asked, show: &Show) -> Result<u8, CliError> {
    if let Some(every) = show.replay {
        return replay::cluster(&history.workloads, &asked, every, show.format);
    }
    let progress = Progress::new();
    progress.show(&format!("judging {} workloads", history.workloads.len()));
    let rows = judged(&history.workloads, asked.now, asked.step);
    drop(progress);
    finish(rows, asked, show)
}

/// Ranks, shows, and says by the exit code what was found.
fn finish(mut rows: Vec<Row>, mut asked: Asked, show: &Show) -> Result<u8, CliError> {
    cluster::set_against(&mut rows, &show.marks);
    cluster::rank(&mut rows);
    let more = asked.warnings.len().saturating_sub(WARNINGS);
    if more > 0 {
        // What is missing matters more than what was left out.
        asked.warnings.sort_by_key(|w| !is_partial(w));
        asked.warnings.truncate(WARNINGS);
        asked.warnings.push(format!("{more} more of the kind"));
    }
    let unlimited = rows.iter().filter(|r| r.limit.is_none()).count();
    if unlimited > 0 {
        asked
            .warnings
            .push(format!("{unlimited} workloads have no limit that is known: no time can be told for them"));
    }
    tell(&rows, &asked, show)?;
    Ok(code(&rows, &asked, show.fail_on))
}

/// Rows that other processes judged, put together.
pub(super) fn merge(path: &Path, lines: &[String], show: &Show) -> Result<u8, CliError> {
    let mut asked = Asked {
        from: path.display().to_string(),
        past: 0.0,
        step: 0.0,
        now: 0.0,
        containers: 0,
        warnings: Vec::new(),
    };
    let mut rows: Vec<Row> = Vec::new();
    for line in lines {
        match serde_json::from_str(line).ok().as_ref().and_then(render::cluster::parse) {
            Some(row) => rows.push(row),
            None => asked.warnings.push("a line is no judged workload, and was left out".to_owned()),
        }
    }
    asked.warnings.dedup();
    asked.containers = rows.iter().map(|r| r.replicas).sum();
    cluster::rank(&mut rows);
    tell(&rows, &asked, show)?;
    let partial = if asked.warnings.is_empty() { exit_code::FINE } else { exit_code::PARTIAL };
    Ok(code(&rows, &asked, show.fail_on).max(partial))
}

/// What is known there, and what was asked for; `limit` where it knows none.
pub(crate) fn history(
    source: Source<'_>,
    args: &Args,
    limit: Option<f64>,
) -> Result<(History, Asked), CliError> {
    let url = match source {
        Source::Url(url) => url,
        Source::File(path) => match from_file::read(path, 1.0, limit)? {
            Opened::Series(answer) => return of_answer(path, answer, args, limit),
            _ => {
                return Err(CliError::cannot_judge(format!(
                    "{} holds no series of a cluster",
                    path.display()
                ))
                .hint("metrics text with times, or an answer of the Prometheus API"));
            }
        },
    };
    let client = client(url, args)?;
    let progress = Progress::new();
    progress.show(&format!("asking {url}"));
    let (now, skew) = now(&client);
    let options = options(args, now, limit);
    let mut history = workloads(&client, &options).map_err(|e| unanswered(e, args))?;
    history.warnings.extend(skew);
    Ok(asked(source, history, args, &options))
}

/// Who asks a server, as whom the arguments say.
pub(crate) fn client(url: &str, args: &Args) -> Result<Client, CliError> {
    Client::new(server(url, args)?)
        .map_err(|e| CliError::usage(format!("{url} cannot be asked over https")).because(e))
}

fn of_answer(
    path: &Path,
    answer: Answer,
    args: &Args,
    limit: Option<f64>,
) -> Result<(History, Asked), CliError> {
    let ends = answer.series.iter().filter_map(|s| s.points.last()).map(|p| p.t);
    let now = ends
        .reduce(f64::max)
        .ok_or_else(|| CliError::cannot_judge(format!("{} holds no sample with a time", path.display())))?;
    let options = options(args, now, limit);
    let Answer { series, warnings, left_out } = answer;
    let mut history = workloads_of(series, &options).map_err(|e| unanswered(e, args))?;
    history.warnings.extend(warnings);
    if left_out > 0 {
        history
            .warnings
            .push(format!("{left_out} lines or samples were left out: no numbers, or twice the same time"));
    }
    Ok(asked(Source::File(path), history, args, &options))
}

fn options(args: &Args, now: f64, limit: Option<f64>) -> Options {
    let step = args.step.max(1.0);
    Options {
        selector: matchers(&args.selector),
        time: (now - args.past.max(step), now),
        step,
        limit,
        most_series: args.most_series,
        load: args.load.clone(),
        cluster: args.cluster.clone(),
    }
}

fn asked(source: Source<'_>, mut history: History, args: &Args, options: &Options) -> (History, Asked) {
    let asked = Asked {
        from: source.shown(),
        past: args.past,
        step: options.step,
        now: options.time.1,
        containers: history.series,
        warnings: std::mem::take(&mut history.warnings),
    };
    (history, asked)
}

/// With or without its braces.
fn matchers(selector: &str) -> String {
    selector.trim().trim_start_matches('{').trim_end_matches('}').trim().trim_end_matches(',').to_owned()
}

fn server(url: &str, args: &Args) -> Result<Server, CliError> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(CliError::usage(format!(
            "{url:?} is no address of the form http://HOST:PORT or https://HOST"
        )));
    }
    let mut headers = Vec::new();
    for header in &args.headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| CliError::usage(format!("{header:?} is no header of the form NAME: VALUE")))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    headers.extend(args.tenant.iter().map(|t| ("X-Scope-OrgID".to_owned(), t.clone())));
    headers.extend(authorization(args)?.map(|value| ("Authorization".to_owned(), value)));
    let pem = |path: &PathBuf| {
        fs::read(path).map_err(|e| CliError::usage(format!("failed to read {}", path.display())).because(e))
    };
    let identity = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => Some((pem(cert)?, pem(key)?)),
        _ => None,
    };
    let trust = Trust { authorities: args.ca.as_ref().map(pem).transpose()?, identity };
    Ok(Server { url: url.to_owned(), headers, patience: args.patience, trust })
}

/// Who asks: a user with a password, or a token.
fn authorization(args: &Args) -> Result<Option<String>, CliError> {
    let secret = |file: &Option<PathBuf>, variable: &str, what: &str| match file {
        Some(path) => fs::read_to_string(path).map(Some).map_err(|e| {
            CliError::usage(format!("failed to read the {what} in {}", path.display())).because(e)
        }),
        None => Ok(std::env::var(variable).ok()),
    };
    if let Some(user) = &args.user {
        let password = secret(&args.password_file, "PLIMSOLL_PROMETHEUS_PASSWORD", "password")?;
        let password = password.ok_or_else(|| {
            CliError::usage("--user needs a password")
                .hint("--password-file, or PLIMSOLL_PROMETHEUS_PASSWORD")
        })?;
        return Ok(Some(basic(user, password.trim_end_matches(['\r', '\n']))));
    }
    let token = secret(&args.token_file, "PLIMSOLL_PROMETHEUS_TOKEN", "token")?;
    Ok(token.map(|t| format!("Bearer {}", t.trim())))
}

fn unanswered(e: HistoryError, args: &Args) -> CliError {
    let hint = match &e {
        HistoryError::TooMany(..) => {
            "name fewer by --selector (a namespace, say), or allow more by --most-series".to_owned()
        }
        HistoryError::Nothing if args.selector.is_empty() => {
            "is this the server that scrapes the kubelets (cAdvisor)?".to_owned()
        }
        HistoryError::Nothing => "does --selector match anything there? try without it".to_owned(),
        HistoryError::Selector(_) => "a server understands more than is understood here".to_owned(),
        HistoryError::Query(QueryError::Status { status: 401 | 403, .. }) => {
            "say who is asking by --token-file, --user, --cert or --header".to_owned()
        }
        HistoryError::Query(QueryError::Status { status: 422 | 503, .. }) => {
            "ask for less: --selector, a shorter --past, a longer --step".to_owned()
        }
        HistoryError::Query(QueryError::Answer { .. }) => {
            "the address is that of the API, with the prefix of its path if it has one".to_owned()
        }
        HistoryError::Query(e @ QueryError::Silent { .. }) if e.is_about_trust() => {
            "--ca names the authority that the server's certificate is of; --cert and --key say who we are"
                .to_owned()
        }
        HistoryError::Query(QueryError::Silent { url, .. })
            if url.starts_with("https:") && args.cert.is_none() =>
        {
            "is the address right? a server that asks for a certificate hangs up too: --cert and --key"
                .to_owned()
        }
        HistoryError::Query(_) => "is the address right, and can it be reached from here?".to_owned(),
    };
    CliError::new(Kind::CannotJudge, "there is no history to judge").because(e).hint(hint)
}

/// All cores judge; of each workload, one row.
pub(crate) fn judged(workloads: &[Workload], now: f64, step: f64) -> Vec<Row> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = workloads.len().div_ceil(threads).max(1);
    let rows = thread::scope(|scope| {
        let parts: Vec<_> = workloads
            .chunks(share)
            .map(|part| {
                scope.spawn(move || part.iter().map(|w| cluster::judge(w, now, step)).collect::<Vec<_>>())
            })
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    cluster::bind(rows)
}

fn tell(rows: &[Row], asked: &Asked, show: &Show) -> Result<(), CliError> {
    match show.format {
        Format::Table => {
            let paint = render::paint::Paint::new(output::colour());
            output::result(&render::cluster::screen(rows, asked, show.rows, paint))
        }
        Format::Json => {
            output::result(&render::json::text(&render::cluster::document(rows, asked), show.format))
        }
        // A line a workload, so that parts of a cluster can be put together.
        Format::Jsonl => {
            let all = rows.iter().take_while(|row| output::line(&render::cluster::row(row).to_string()));
            let _told = all.count();
            Ok(())
        }
    }
}

/// Whether a warning says that something is missing.
fn is_partial(warning: &str) -> bool {
    warning.starts_with("the server warns") || warning.starts_with(MISSING)
}

fn code(rows: &[Row], asked: &Asked, fail_on: FailOn) -> u8 {
    if rows.iter().all(|row| row.verdict.is_err()) {
        exit_code::CANNOT_JUDGE
    } else if fail_on != FailOn::Never && rows.iter().any(Row::is_finding) {
        exit_code::FINDINGS
    } else if asked.warnings.iter().any(|w| is_partial(w)) {
        exit_code::PARTIAL
    } else {
        exit_code::FINE
    }
}
