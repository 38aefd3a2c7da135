//! `plimsoll bisect releases`: the same search over versions that are there already, as images or binaries.

use std::path::PathBuf;

use plimsoll_core::bisect::History;

use super::drive::{self, Common, Versions};
use crate::error::CliError;
use crate::output::Format;

/// Which release brought the growth, of images or binaries that are there already?
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll bisect releases --versions v1.38,v1.39,v1.40,v1.41,v1.42 -- \\
      plimsoll guard run --http 'http://127.0.0.1:8080/u/{i}' -- ./builds/{version}/shop
  plimsoll bisect releases --versions 1.0,1.1,1.2 -- ./measure.sh {version}
Exit codes: 1 found, 2 usage, 3 not found, 70 internal.")]
pub(super) struct Args {
    /// The versions, the good one first and the bad one last.
    #[arg(long, value_name = "LIST", value_delimiter = ',', required = true, num_args = 1..)]
    versions: Vec<String>,

    #[command(flatten)]
    common: Common,
}

/// They are there.
struct Ready;

impl Versions for Ready {
    fn prepare(&self, _id: &str) -> Result<PathBuf, String> {
        std::env::current_dir().map_err(|e| format!("there is no current folder: {e}"))
    }
}

pub(super) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let versions: Vec<String> = args.versions.iter().map(|v| v.trim().to_owned()).collect();
    let twice = versions.iter().enumerate().find(|(at, v)| versions[..*at].contains(v));
    if let Some((_, twice)) = twice {
        return Err(CliError::usage(format!("version {twice:?} is named twice")));
    }
    let Some((good, later)) = versions.split_first().filter(|(_, later)| !later.is_empty()) else {
        return Err(CliError::usage("two versions are the least: a good one and a bad one"));
    };
    let history =
        History::line(later).map_err(|e| CliError::usage("there is nothing to search").because(e))?;
    let head = args.common.head("releases", good, history.changes());
    let path =
        args.common.log.clone().unwrap_or_else(|| PathBuf::from(format!("plimsoll-{}", drive::name(&head))));
    drive::search(&args.common, head, &path, &Ready, Vec::new(), format)
}
