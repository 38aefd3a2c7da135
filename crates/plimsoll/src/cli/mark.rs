//! `plimsoll mark`: puts a deploy, flag or setting on the time line.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use plimsoll_core::mark::{Mark, MarkKind};
use plimsoll_host::store::marks;

use super::series;
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, tell};

/// Put a deploy, a flag or a setting on the time line, for plimsoll bisect deploys
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll mark deploy v1.42 --workload shop/api
  plimsoll mark flag new-cache                      switched on now
  plimsoll mark flag new-cache --off
  plimsoll mark config pool-size=50 --at 2026-11-25T14:00:00Z")]
pub(crate) struct Args {
    /// What was changed.
    #[arg(value_enum)]
    kind: Kind,

    /// The version, flag or setting.
    name: String,

    /// It was switched off, or taken back.
    #[arg(long)]
    off: bool,

    /// When: 2026-11-25T14:00:00Z, or Unix seconds; else now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<f64>,

    /// Only this workload: NAMESPACE/NAME, or NAME.
    #[arg(long, value_name = "WORKLOAD")]
    workload: Option<String>,

    /// The agent's folder, in which marks are kept.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
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

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    if args.name.trim().is_empty() {
        return Err(CliError::usage("what was changed needs a name"));
    }
    let path = marks::path(&series::store(args.store.as_deref())?);
    let mark = Mark {
        unix_seconds: args.at.unwrap_or_else(|| Timestamp::now().as_millisecond() as f64 / 1000.0),
        kind: args.kind.of(),
        name: args.name.clone(),
        off: args.off,
        workload: args.workload.clone(),
    };
    marks::append(&path, &mark).map_err(|e| {
        CliError::usage(format!("failed to write {}", path.display()))
            .because(e)
            .hint("--store names another folder")
    })?;
    match format {
        Format::Table => tell(&format!("marked in {}", path.display())),
        _ => output::result(&format!("{}\n", serde_json::json!(mark)))?,
    }
    Ok(exit_code::FINE)
}

/// The marks of a store or a file, or none where there is no file.
pub(crate) fn read(named: Option<&Path>) -> Result<(Vec<Mark>, Option<String>), CliError> {
    let path = match named {
        Some(path) if path.is_dir() => marks::path(path),
        Some(path) => path.to_owned(),
        None => match series::store(None) {
            Ok(store) => marks::path(&store),
            Err(_) => return Ok((Vec::new(), None)),
        },
    };
    match marks::read(&path) {
        Ok(read) => Ok(read),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && named.is_none_or(Path::is_dir) => {
            Ok((Vec::new(), None))
        }
        Err(e) => Err(CliError::usage(format!("failed to read marks from {}", path.display())).because(e)),
    }
}
