//! The command line: one file per command.

pub(crate) mod audit;
pub(crate) mod bisect;
mod calibrate;
mod canary;
pub(crate) mod capture;
mod completions;
mod drill;
mod from_file;
mod guard;
mod incident;
mod kept;
mod live;
pub(crate) mod mark;
mod oom;
mod overview;
pub(crate) mod prometheus;
mod read;
pub(crate) mod replay;
mod restart;
mod series;
#[cfg(feature = "tui")]
mod top;
mod trail;
mod triage;
mod upload;
mod watch;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format};

/// The load line for a service's memory: how long have I got, what is it, what do I do next, and how sure
/// are you.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Form of the result on stdout.
    #[arg(
        short,
        long,
        alias = "format",
        global = true,
        value_enum,
        default_value = "table",
        env = "PLIMSOLL_OUTPUT"
    )]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    Triage(Box<triage::Args>),
    Capture(capture::Args),
    Audit(audit::Args),
    Read(read::Args),
    Oom(oom::Args),
    #[cfg(feature = "tui")]
    Top(top::Args),
    Watch(watch::Args),
    Series(series::Args),
    Upload(upload::Args),
    Restart(restart::Args),
    Calibrate(calibrate::Args),
    Guard(guard::Args),
    Incident(incident::Args),
    Bisect(bisect::Args),
    Mark(mark::Args),
    Canary(Box<canary::Args>),
    Drill(drill::Args),
    Completions(completions::Args),
}

/// Runs one command line and returns the exit code.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            // clap prints help to stdout and mistakes to stderr; only a closed terminal can fail here.
            let _unreported = e.print();
            return if e.use_stderr() { exit_code::USAGE } else { exit_code::FINE };
        }
    };
    let result = match &cli.command {
        Command::Triage(args) => triage::run(args, cli.output),
        Command::Capture(args) => capture::run(args, cli.output),
        Command::Audit(args) => audit::run(args, cli.output),
        Command::Read(args) => read::run(args, cli.output),
        Command::Oom(args) => oom::run(args, cli.output),
        #[cfg(feature = "tui")]
        Command::Top(args) => top::run(args),
        Command::Watch(args) => watch::run(args, cli.output),
        Command::Series(args) => series::run(args, cli.output),
        Command::Upload(args) => upload::run(args, cli.output),
        Command::Restart(args) => restart::run(args, cli.output),
        Command::Calibrate(args) => calibrate::run(args, cli.output),
        Command::Incident(args) => incident::run(args, cli.output),
        Command::Guard(args) => guard::run(args, cli.output),
        Command::Bisect(args) => bisect::run(args, cli.output),
        Command::Mark(args) => mark::run(args, cli.output),
        Command::Canary(args) => canary::run(args, cli.output),
        Command::Drill(args) => drill::run(args, cli.output),
        Command::Completions(args) => completions::run::<Cli>(args),
    };
    result.unwrap_or_else(|e: CliError| {
        output::tell(&format!("plimsoll: {e}"));
        e.exit_code()
    })
}
