//! `plimsoll bisect`: which change brought the slope.

mod commits;
mod deploys;
mod drive;
mod flag;
mod releases;
mod replay;
mod suspects;

use crate::error::CliError;
use crate::output::Format;

pub(crate) use deploys::Told;
pub(crate) use drive::{Answer, id};

/// Which change brought the slope
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Commits(Box<commits::Args>),
    Releases(Box<releases::Args>),
    Deploys(Box<deploys::Args>),
    Flag(Box<flag::Args>),
    Suspects(suspects::Args),
    Replay(replay::Args),
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    match &args.command {
        Command::Commits(args) => commits::run(args, format),
        Command::Releases(args) => releases::run(args, format),
        Command::Deploys(args) => deploys::run(args, format),
        Command::Flag(args) => flag::run(args, format),
        Command::Suspects(args) => suspects::run(args, format),
        Command::Replay(args) => replay::run(args, format),
    }
}
