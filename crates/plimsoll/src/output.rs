//! Where results and progress go: stdout is the result, stderr the progress.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use crate::error::{CliError, Kind};
use crate::render::paint;

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
    let text = harmless(text, colour());
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
    let text = harmless(text, colour());
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// What somebody else has named, without what a terminal would take for a command or the end of a line.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// Text of several lines without what a terminal would take for a command, but for the paint of our own screens: names of
/// threads, classes and files are somebody else's.
fn harmless(text: &str, is_painted: bool) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_harmful) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let painted = from.strip_prefix("\x1b[").filter(|_| is_painted);
        let painted =
            painted.and_then(|from| from.split_once('m')).filter(|(code, _)| paint::CODES.contains(code));
        rest = match painted {
            Some((code, rest)) => {
                out.extend(["\x1b[", code, "m"]);
                rest
            }
            None => {
                out.push('·');
                from.strip_prefix(is_harmful).unwrap_or_default()
            }
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Tells something on stderr.
pub(crate) fn tell(text: &str) {
    // Nowhere is left to report a closed stderr to.
    let _unreported = writeln!(io::stderr().lock(), "{}", harmless(text, false));
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
            let _unreported = write!(io::stderr().lock(), "\r\x1b[2K{}", harmless(text, false))
                .and_then(|()| io::stderr().flush());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::paint::Paint;

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        let paint = Paint::new(true);
        let ours = format!("{}\n{}\t{}\n", paint.red("a"), paint.dim("b"), paint.yellow("ü"));
        assert_eq!(harmless(&ours, true), ours);
        assert_eq!(harmless(&paint.bold("a"), false), "·[1ma·[0m");
        assert_eq!(harmless("plain\n", true), "plain\n");
        for (text, told) in [
            ("\x1b[2Jx", "·[2Jx"),
            ("\x1b[8mhidden", "·[8mhidden"),
            ("\x1b]0;title\x07", "·]0;title·"),
            ("\u{9b}2J", "·2J"),
            ("a\rb\x08", "a·b·"),
            ("\x1b", "·"),
            ("\x1b[", "·["),
            ("\x1b[1;1;31mx", "·[1;1;31mx"),
        ] {
            assert_eq!(harmless(text, true), told);
        }
    }
}
