//! `plimsoll guard`: what an incident leaves behind, so that it does not come back.

mod culprit;
mod init;
mod run;

use crate::error::CliError;
use crate::output::Format;

/// The growth test for any program
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Init(init::Args),
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    match &args.command {
        Command::Run(args) => run::run(args, format),
        Command::Init(args) => init::run(args),
    }
}
