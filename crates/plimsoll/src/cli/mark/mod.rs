//! `plimsoll mark`: the time line of deploys, flags and settings: put on it by hand, taken from others, told to others.

mod export;
mod follow;
mod import;
mod site;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use plimsoll_core::mark::{Mark, MarkKind};
use plimsoll_host::store::marks;

use super::series;
use super::triage::duration;
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, tell};
use crate::render::marks as render;
use crate::render::paint::Paint;

/// Put deploys, flags and settings on the time line, for plimsoll triage and bisect deploys
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll mark deploy v1.42 --workload shop/api
  plimsoll mark flag new-cache                      switched on now
  plimsoll mark flag new-cache --off
  plimsoll mark config pool-size=50 --at 2026-11-25T14:00:00Z
  plimsoll mark import --grafana http://grafana:3000 --token-file token
  plimsoll mark follow --flagd http://localhost:8013
Images and revisions that Prometheus knows need no marks: they are told apart without.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,

    /// The agent's folder, in which marks are kept.
    #[arg(long, global = true, value_name = "FOLDER")]
    store: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Another version was rolled out
    Deploy(Put),
    /// A flag was switched
    Flag(Put),
    /// A setting was changed
    Config(Put),
    Import(import::Args),
    Export(export::Args),
    Follow(follow::Args),
    List(List),
}

#[derive(Debug, clap::Args)]
struct Put {
    /// The version, flag or setting.
    name: String,

    /// It was switched off, or taken back.
    #[arg(long)]
    off: bool,

    /// When: 2026-11-25T14:00:00Z, or Unix seconds; else now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<f64>,

    /// Only this workload: NAMESPACE/NAME, NAMESPACE/*, or NAME.
    #[arg(long, value_name = "WORKLOAD")]
    workload: Option<String>,
}

/// What is on the time line
#[derive(Debug, clap::Args)]
struct List {
    /// How far back to look.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = duration)]
    past: f64,

    /// Most marks, the newest of them.
    #[arg(long, default_value_t = 50)]
    rows: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Deploy,
    Flag,
    Config,
}

impl Kind {
    fn of(self) -> MarkKind {
        match self {
            Kind::Deploy => MarkKind::Deploy,
            Kind::Flag => MarkKind::Flag,
            Kind::Config => MarkKind::Config,
        }
    }
}

fn instant(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|s| (0.0..1e11).contains(s));
    let stamp = || text.parse::<Timestamp>().ok().map(|t| t.as_millisecond() as f64 / 1000.0);
    seconds
        .or_else(stamp)
        .ok_or_else(|| format!("{text:?} is no time; say 2026-11-25T14:00:00Z or Unix seconds"))
}

fn now() -> f64 {
    Timestamp::now().as_millisecond() as f64 / 1000.0
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let path = marks::path(&series::store(args.store.as_deref())?);
    match &args.what {
        What::Deploy(put) => self::put(&path, Kind::Deploy, put, format),
        What::Flag(put) => self::put(&path, Kind::Flag, put, format),
        What::Config(put) => self::put(&path, Kind::Config, put, format),
        What::Import(args) => import::run(&path, args, format),
        What::Export(args) => export::run(&path, args, format),
        What::Follow(args) => follow::run(&path, args, format),
        What::List(args) => list(&path, args, format),
    }
}

fn put(path: &Path, kind: Kind, args: &Put, format: Format) -> Result<u8, CliError> {
    if args.name.trim().is_empty() {
        return Err(CliError::usage("what was changed needs a name"));
    }
    let mark = Mark {
        unix_seconds: args.at.unwrap_or_else(now),
        kind: kind.of(),
        name: args.name.clone(),
        off: args.off,
        workload: args.workload.clone(),
    };
    marks::append(path, std::slice::from_ref(&mark)).map_err(|e| unwritten(path, e))?;
    match format {
        Format::Table => tell(&format!("marked in {}", path.display())),
        _ => output::result(&format!("{}\n", serde_json::json!(mark)))?,
    }
    Ok(exit_code::FINE)
}

fn unwritten(path: &Path, e: std::io::Error) -> CliError {
    CliError::usage(format!("failed to write {}", path.display()))
        .because(e)
        .hint("--store names another folder")
}

fn list(path: &Path, args: &List, format: Format) -> Result<u8, CliError> {
    let (mut all, wrong) = kept(path)?;
    let since = now() - args.past;
    all.retain(|m| m.unix_seconds >= since);
    let more = all.len().saturating_sub(args.rows);
    let shown = &all[more..];
    let text = match format {
        Format::Table => render::list(shown, more, path, Paint::new(output::colour())),
        _ => crate::render::json::text(&render::document(shown), format),
    };
    output::result(&text)?;
    if let Some(wrong) = wrong {
        tell(&format!("plimsoll: in {}, {wrong}", path.display()));
        return Ok(exit_code::PARTIAL);
    }
    Ok(exit_code::FINE)
}

/// The marks of the store; none where nobody has marked anything.
fn kept(path: &Path) -> Result<(Vec<Mark>, Option<String>), CliError> {
    match marks::read(path) {
        Ok(read) => Ok(read),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok((Vec::new(), None)),
        Err(e) => Err(CliError::usage(format!("failed to read marks from {}", path.display())).because(e)),
    }
}

/// The marks of a store or a file, or none where there is no file.
pub(crate) fn read(named: Option<&Path>) -> Result<(Vec<Mark>, Option<String>), CliError> {
    match named {
        Some(path) if path.is_dir() => kept(&marks::path(path)),
        Some(path) => marks::read(path)
            .map_err(|e| CliError::usage(format!("failed to read marks from {}", path.display())).because(e)),
        None => match series::store(None) {
            Ok(store) => kept(&marks::path(&store)),
            Err(_) => Ok((Vec::new(), None)),
        },
    }
}
