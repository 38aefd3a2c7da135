//! `plimsoll triage --prometheus URL`: every workload that a monitoring system knows, ranked by clock.

use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use plimsoll_core::cluster::{self, Row, Workload};
use plimsoll_host::prometheus::{Client, History, HistoryError, Options, QueryError, Server, workloads};

use super::triage::{FailOn, duration};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, Progress};
use crate::render;

/// Where to ask, and for what.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "From a monitoring system")]
#[group(skip)]
pub(crate) struct Args {
    /// Which containers, by their labels: 'namespace="shop",pod=~"api-.*"'.
    #[arg(
        long,
        value_name = "MATCHERS",
        requires = "prometheus",
        default_value = "",
        hide_default_value = true
    )]
    selector: String,

    /// How far back to look.
    #[arg(long, value_name = "TIME", requires = "prometheus", default_value = "7d", value_parser = duration)]
    past: f64,

    /// Time between two floors.
    #[arg(long, value_name = "TIME", requires = "prometheus", default_value = "5m", value_parser = duration)]
    step: f64,

    /// File with a bearer token; PLIMSOLL_PROMETHEUS_TOKEN holds one too.
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    token_file: Option<PathBuf>,

    /// A header for each query, such as 'X-Scope-OrgID: shop'; may be given again.
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "prometheus")]
    headers: Vec<String>,

    /// Longest wait for one answer.
    #[arg(long, value_name = "TIME", requires = "prometheus", default_value = "60s", value_parser = duration)]
    patience: f64,

    /// More series than this are not asked for, so that the server is not hurt.
    #[arg(long, value_name = "N", requires = "prometheus", default_value_t = 50_000)]
    most_series: usize,
}

/// How to show it.
pub(super) struct Show {
    pub(super) rows: usize,
    pub(super) limit: Option<f64>,
    pub(super) fail_on: FailOn,
    pub(super) format: Format,
}

/// What was asked for and what came.
pub(crate) struct Asked {
    pub(crate) url: String,
    pub(crate) past: f64,
    pub(crate) step: f64,
    pub(crate) now: f64,
    pub(crate) containers: usize,
    pub(crate) warnings: Vec<String>,
}

pub(super) fn run(url: &str, args: &Args, show: &Show) -> Result<u8, CliError> {
    let (history, mut asked) = history(url, args, show.limit)?;
    let progress = Progress::new();
    progress.show(&format!("judging {} workloads", history.workloads.len()));
    let mut rows = judged(&history.workloads, asked.now, asked.step);
    cluster::rank(&mut rows);
    drop(progress);
    let unlimited = rows.iter().filter(|r| r.limit.is_none()).count();
    if unlimited > 0 {
        asked
            .warnings
            .push(format!("{unlimited} workloads have no limit that is known: no time can be told for them"));
    }
    tell(&rows, &asked, show)?;
    Ok(code(&rows, &asked, show.fail_on))
}

/// What the server has, and what was asked for; `limit` where it knows none.
pub(crate) fn history(url: &str, args: &Args, limit: Option<f64>) -> Result<(History, Asked), CliError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64().floor());
    let step = args.step.max(1.0);
    let options = Options {
        selector: matchers(&args.selector),
        time: (now - args.past.max(step), now),
        step,
        limit,
        most_series: args.most_series,
    };
    let client = Client::new(server(url, args)?);
    let progress = Progress::new();
    progress.show(&format!("asking {url}"));
    let mut history = workloads(&client, &options).map_err(|e| unanswered(e, args))?;
    let warnings = std::mem::take(&mut history.warnings);
    let containers = history.series;
    Ok((history, Asked { url: url.to_owned(), past: args.past, step, now, containers, warnings }))
}

/// With or without its braces.
fn matchers(selector: &str) -> String {
    selector.trim().trim_start_matches('{').trim_end_matches('}').trim().trim_end_matches(',').to_owned()
}

fn server(url: &str, args: &Args) -> Result<Server, CliError> {
    if !url.starts_with("http://") {
        return Err(CliError::usage(format!("{url:?} is no address of the form http://HOST:PORT")).hint(
            "https is not built in: forward a port (kubectl port-forward), or ask through a local proxy",
        ));
    }
    let mut headers = Vec::new();
    for header in &args.headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| CliError::usage(format!("{header:?} is no header of the form NAME: VALUE")))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let token = match &args.token_file {
        Some(path) => Some(fs::read_to_string(path).map_err(|e| {
            CliError::usage(format!("failed to read the token in {}", path.display())).because(e)
        })?),
        None => std::env::var("PLIMSOLL_PROMETHEUS_TOKEN").ok(),
    };
    headers.extend(token.map(|t| ("Authorization".to_owned(), format!("Bearer {}", t.trim()))));
    Ok(Server { url: url.to_owned(), headers, patience: args.patience })
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
        HistoryError::Query(QueryError::Status { status: 401 | 403, .. }) => {
            "say who is asking by --token-file or --header".to_owned()
        }
        HistoryError::Query(QueryError::Status { status: 422 | 503, .. }) => {
            "ask for less: --selector, a shorter --past, a longer --step".to_owned()
        }
        HistoryError::Query(QueryError::Answer { .. }) => {
            "the address is that of the API, with the prefix of its path if it has one".to_owned()
        }
        HistoryError::Query(_) => "is the address right, and can it be reached from here?".to_owned(),
    };
    CliError::new(Kind::CannotJudge, "there is no history to judge").because(e).hint(hint)
}

/// All cores judge.
pub(crate) fn judged(workloads: &[Workload], now: f64, step: f64) -> Vec<Row> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = workloads.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
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
    })
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

fn code(rows: &[Row], asked: &Asked, fail_on: FailOn) -> u8 {
    if rows.iter().all(|row| row.verdict.is_err()) {
        exit_code::CANNOT_JUDGE
    } else if fail_on != FailOn::Never && rows.iter().any(Row::is_finding) {
        exit_code::FINDINGS
    } else if asked.warnings.iter().any(|w| w.starts_with("the server warns")) {
        exit_code::PARTIAL
    } else {
        exit_code::FINE
    }
}
