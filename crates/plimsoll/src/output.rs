//! Where results and progress go: stdout is the result, stderr the progress.

use std::io::{self, IsTerminal, Write};

use crate::error::{CliError, Kind};

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document per line.
    Jsonl,
}

/// Writes the result. A reader that closed the pipe is no error.
pub(crate) fn result(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::new(Kind::Internal, "failed to write the result").because(e))
        }
        _ => Ok(()),
    }
}

/// Writes a line of the result; false when the reader closed the pipe.
pub(crate) fn line(text: &str) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// What somebody else has named, without what a terminal would take for a command or the end of a line.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// Tells something on stderr.
pub(crate) fn tell(text: &str) {
    // Nowhere is left to report a closed stderr to.
    let _unreported = writeln!(io::stderr().lock(), "{text}");
}

/// A progress line that overwrites itself on a terminal and is silent elsewhere.
pub(crate) struct Progress {
    live: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Progress { live: io::stderr().is_terminal() }
    }

    pub(crate) fn show(&self, text: &str) {
        if self.live {
            let _unreported =
                write!(io::stderr().lock(), "\r\x1b[2K{text}").and_then(|()| io::stderr().flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show("");
    }
}

/// True when the result may carry colours.
pub(crate) fn colour() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    !no_color && io::stdout().is_terminal()
}
