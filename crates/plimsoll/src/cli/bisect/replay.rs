//! `plimsoll bisect replay`: what the runs of a log say, without running anything.

use std::path::PathBuf;

use plimsoll_core::bisect::Next;
use plimsoll_host::bisect::Log;

use super::drive::{self, Answer};
use crate::error::CliError;
use crate::output::Format;

/// What the runs of a log say, without running anything
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The log of a search.
    #[arg(value_name = "LOG")]
    log: PathBuf,
}

pub(super) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let journal = Log::read(&args.log).map_err(drive::unusable)?;
    let search = drive::searched(&journal, drive::usual_rules(journal.head.changes.len()))?;
    // A log without its end is one that was interrupted.
    let end = Some(search.next()).filter(|next| !matches!(next, Next::Run(_)));
    drive::answered(&Answer { journal, search, end, log: args.log.clone(), notes: Vec::new() }, format)
}
