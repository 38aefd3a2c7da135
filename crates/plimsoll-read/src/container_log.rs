//! What a program printed, out of the log that a container's runtime made of it: Docker's JSON lines
//! (`{"log":"text\\n","stream":"stderr","time":"…"}`) and the CRI's (`TIME stderr F text`, `P` for a part of a line).

use std::io::{BufRead, BufReader, Read, Result};

use serde::Deserialize;

use crate::line_prefix::Before;

/// Lines that are looked at to tell the form.
const PEEKED: usize = 4;
/// Bytes of a line that are held at once; a longer one is handed on in pieces, as it is.
const LINE: u64 = 256 << 10;

#[derive(Deserialize)]
struct Docker {
    log: String,
}

/// Who put something around each line: a runtime of containers, or something else before each line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    Docker,
    Cri,
    Before(Before),
}

/// The form of a log that begins like this; none when it is no container runtime's. A line without an end is not
/// looked at, unless it is the only one.
pub(crate) fn form(head: &str) -> Option<Form> {
    let whole = head.rfind('\n').and_then(|end| head.get(..end)).unwrap_or(head);
    let lines = || whole.lines().filter(|l| !l.is_empty()).take(PEEKED);
    lines().next()?;
    if lines().all(|l| docker(l).is_some()) {
        return Some(Form::Docker);
    }
    lines().all(|l| cri(l).is_some()).then_some(Form::Cri)
}

/// The printed text; none when the log is no container runtime's. Lines of another form are kept as they are.
pub(crate) fn unwrap(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    // Reading of text that is held cannot fail, and what was text stays text.
    Printed::new(text.as_bytes(), form(text)?).read_to_string(&mut out).ok()?;
    Some(out)
}

/// What was printed, as a stream.
pub(crate) struct Printed<R> {
    from: BufReader<R>,
    form: Form,
    line: Vec<u8>,
    at: usize,
    /// Whether the last line that was read had no end, so the next piece is not the begin of one.
    within: bool,
}

impl<R: Read> Printed<R> {
    pub(crate) fn new(from: R, form: Form) -> Self {
        let from = BufReader::with_capacity(64 << 10, from);
        Printed { from, form, line: Vec::new(), at: 0, within: false }
    }

    /// Reads a line and takes out of it what was printed; false at the end.
    fn next(&mut self) -> Result<bool> {
        self.line.clear();
        self.at = 0;
        if self.from.by_ref().take(LINE).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(false);
        }
        let begins = !std::mem::replace(&mut self.within, !self.line.ends_with(b"\n"));
        let printed =
            begins.then(|| std::str::from_utf8(&self.line).ok()).flatten().and_then(|l| match &self.form {
                Form::Docker => docker(l),
                Form::Cri => cri(l)
                    .map(|(text, part)| if part { text.trim_end_matches('\n') } else { text }.to_owned()),
                Form::Before(before) => bare(before, l),
            });
        if let Some(text) = printed {
            self.line = text.into_bytes();
        }
        Ok(true)
    }
}

impl<R: Read> Read for Printed<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        while self.at >= self.line.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let n = self.line.get(self.at..).unwrap_or_default().read(into)?;
        self.at += n;
        Ok(n)
    }
}

/// What stands behind `before` in a line with its end.
fn bare(before: &Before, line: &str) -> Option<String> {
    let text = line.trim_end_matches(['\n', '\r']);
    let end = line.get(text.len()..)?;
    Some(before.strip(text)?.into_owned() + end)
}

fn docker(line: &str) -> Option<String> {
    if !line.starts_with("{\"") {
        return None;
    }
    serde_json::from_str::<Docker>(line).ok().map(|d| d.log)
}

/// The text, and whether its line goes on.
fn cri(line: &str) -> Option<(&str, bool)> {
    let (time, rest) = line.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    let (tag, text) = rest.split_once(' ')?;
    let dated = time.len() >= 20 && time.starts_with(|c: char| c.is_ascii_digit()) && time.contains('T');
    (dated && matches!(stream, "stdout" | "stderr") && matches!(tag, "F" | "P")).then_some((text, tag == "P"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_what_was_printed() {
        let docker = "{\"log\":\"a\\tb\\n\",\"stream\":\"stderr\",\"time\":\"t\"}\n{\"log\":\"\\n\"}\n{\"log\":\"c\"}\n";
        assert_eq!(unwrap(docker).as_deref(), Some("a\tb\n\nc"));
        assert_eq!(
            unwrap(&format!("{docker}{{\"log\":\"d\"}}\nnot of docker\n")).as_deref(),
            Some("a\tb\n\ncdnot of docker\n")
        );
        assert_eq!(unwrap(&docker.replace("{\"log\":\"c\"}", "not of docker")), None);
        let cri = "2024-05-01T10:00:00.5Z stderr F a\n2024-05-01T10:00:00.51Z stderr P b\n2024-05-01T10:00:00.6Z stderr F c\n";
        assert_eq!(unwrap(cri).as_deref(), Some("a\nbc\n"));
        assert_eq!(unwrap("goroutine 1 [running]:\n"), None);
        assert_eq!(unwrap(""), None);
    }

    #[test]
    fn a_line_without_end_is_handed_on_in_pieces() {
        let long = "x".repeat(3 * LINE as usize);
        let log = format!("{{\"log\":\"a\\n\"}}\n{long}\n{{\"log\":\"b\\n\"}}\n");
        let mut out = String::new();
        Printed::new(log.as_bytes(), Form::Docker).read_to_string(&mut out).unwrap();
        assert_eq!(out, format!("a\n{long}\nb\n"));
    }
}
