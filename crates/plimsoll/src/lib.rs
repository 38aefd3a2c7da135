//! Plimsoll says here: the command line and the terminal view. It holds no logic another front would need.

mod cli;
mod error;
mod exit_code;
mod output;
mod render;
#[cfg(feature = "tui")]
mod top;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs one command line, the program's name first, and returns the process's exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::from(cli::run(args))
}
