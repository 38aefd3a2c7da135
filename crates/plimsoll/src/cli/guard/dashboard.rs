//! `plimsoll guard dashboard`: the panels beside the alert rules.

use std::path::PathBuf;

use super::rules::{Choice, write};
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format};
use crate::render;

/// Write a Grafana dashboard for what the rules record
///
/// Time to the limit, what fires, floor beside what is in use and the limit, slope, heap against resident memory, counts,
/// and the slope of each version; starts and flags are marks on the time line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll guard dashboard --out plimsoll-memory.json     then import it, or provision it
  plimsoll guard dashboard --source agent

It shows the series that the rules of plimsoll guard rules record, so these must be loaded. Flags are annotations of Grafana's own
with a tag flag, deploy or config.")]
pub(crate) struct Args {
    /// Write it there instead of to stdout.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace what is there.
    #[arg(long, requires = "out")]
    force: bool,

    /// Its title.
    #[arg(long, value_name = "TEXT", default_value = "Memory: floor, slope, time to the limit")]
    title: String,

    #[command(flatten)]
    choice: Choice,
}

pub(crate) fn run(args: &Args) -> Result<u8, CliError> {
    let document = render::guard::dashboard::document(&args.title, &args.choice.sources());
    let text = render::json::text(&document, Format::Json);
    match &args.out {
        None => output::result(&text)?,
        Some(path) => {
            write(path, &text, args.force)?;
            output::result(&format!(
                "{}: {} panels\nNEXT       load the rules of plimsoll guard rules; then import it in Grafana (Dashboards, New, Import)\n",
                path.display(),
                document["panels"].as_array().map_or(0, Vec::len)
            ))?;
        }
    }
    Ok(exit_code::FINE)
}
