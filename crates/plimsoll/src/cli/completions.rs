//! `plimsoll completions`: the shell's completion script, from the same definitions as the help.

use clap::CommandFactory;

use crate::error::CliError;
use crate::exit_code;
use crate::output;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shell to complete for.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(crate) fn run<C: CommandFactory>(args: &Args) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "plimsoll", &mut script);
    output::result(&String::from_utf8_lossy(&script))?;
    Ok(exit_code::FINE)
}
