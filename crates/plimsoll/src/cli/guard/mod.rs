//! `plimsoll guard`: what an incident leaves behind, so that it does not come back.

mod compare;
mod culprit;
mod dashboard;
mod init;
mod keys;
mod place;
mod replay;
mod rules;
mod run;

use crate::error::CliError;
use crate::output::Format;
pub(crate) use rules::write;

/// The growth test for any program, and the alert rules that an incident leaves behind
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Init(init::Args),
    Keys(keys::Args),
    Compare(Box<compare::Args>),
    Rules(Box<rules::Args>),
    Dashboard(dashboard::Args),
    Replay(replay::Args),
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    match &args.command {
        Command::Run(args) => run::run(args, format),
        Command::Init(args) => init::run(args),
        Command::Keys(args) => keys::run(args, format),
        Command::Compare(args) => compare::run(args, format),
        Command::Rules(args) => rules::run(args, format),
        Command::Dashboard(args) => dashboard::run(args),
        Command::Replay(args) => replay::run(args, format),
    }
}
