//! The log of events: one line each, a checksum in front. What a crash tore off at the end is cut off; a damaged line
//! within is left out and counted, and costs no other.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use plimsoll_core::agent::Event;
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};

/// Bytes of a log that are read at most.
const LARGEST: u64 = 256 << 20;
/// Digits of the checksum.
const SUM: usize = 8;

/// The log, open to be written.
#[derive(Debug)]
pub struct Log {
    file: File,
    /// Lines that were damaged when it was opened.
    pub damaged: usize,
}

impl Log {
    /// Opens or makes it; gives what is in it, oldest first.
    pub(super) fn open(path: &Path) -> io::Result<(Log, Vec<Event>)> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        let mut bytes = Vec::new();
        io::Read::by_ref(&mut file).take(LARGEST).read_to_end(&mut bytes)?;
        let (events, damaged, whole) = parse(&bytes);
        file.set_len(whole as u64)?;
        rustix::fs::flock(&file, FlockOperation::Unlock)?;
        Ok((Log { file, damaged }, events))
    }

    /// The log of an agent that may be writing, for one who adds to it.
    pub(super) fn beside(path: &Path) -> io::Result<Log> {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        Ok(Log { file, damaged: 0 })
    }

    /// What is in a log that somebody else may be writing.
    pub(super) fn read(path: &Path) -> io::Result<Vec<Event>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(parse(&bytes).0)
    }

    /// Writes an event; it is on the disk then. Others may add to the same log: each holds it for one line.
    ///
    /// # Errors
    /// When the disk does not take it; nothing of it stays in the log.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        rustix::fs::flock(&self.file, FlockOperation::LockExclusive)?;
        let written = self.add(event);
        rustix::fs::flock(&self.file, FlockOperation::Unlock)?;
        written
    }

    fn add(&mut self, event: &Event) -> io::Result<()> {
        let text = serde_json::to_string(event)?;
        let before = self.file.seek(SeekFrom::End(0))?;
        // What somebody else's end tore off must not spoil this line, too.
        let mut last = [b'\n'];
        if before > 0 {
            self.file.read_exact_at(&mut last, before - 1)?;
        }
        let line_end = if last == [b'\n'] { "" } else { "\n" };
        let line = format!("{line_end}{} {text}\n", sum(text.as_bytes()));
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // A torn line at the end is cut off at the next start, too.
            let _as_it_was = self.file.set_len(before);
        }
        written
    }
}

/// Events, damaged lines, and the bytes up to the last line that has an end.
fn parse(bytes: &[u8]) -> (Vec<Event>, usize, usize) {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let (mut events, mut damaged) = (Vec::new(), 0);
    let lines = bytes.get(..whole).unwrap_or_default().split(|b| *b == b'\n').filter(|l| !l.is_empty());
    for line in lines {
        match event(line) {
            Some(event) => events.push(event),
            None => damaged += 1,
        }
    }
    (events, damaged, whole)
}

fn event(line: &[u8]) -> Option<Event> {
    let (head, text) = (line.get(..SUM)?, line.get(SUM + 1..)?);
    (sum(text).as_bytes() == head).then(|| serde_json::from_slice(text).ok()).flatten()
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(SUM / 2).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_core::agent::What;

    fn event(n: usize) -> Event {
        Event::new(n as f64, "w", What::Armed, format!("number {n}"))
    }

    #[test]
    fn every_tear_keeps_what_was_whole() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("log");
        let (mut log, _) = Log::open(&path).expect("opens");
        (0..3).for_each(|n| log.write(&event(n)).expect("written"));
        drop(log);
        let bytes = std::fs::read(&path).expect("read");
        let ends: Vec<usize> =
            bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1).collect();
        for cut in 0..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).expect("written");
            let (mut log, events) = Log::open(&path).expect("opens");
            let whole = ends.iter().filter(|e| **e <= cut).count();
            assert_eq!(events.len(), whole, "cut at {cut}");
            log.write(&event(9)).expect("written");
            let after = Log::read(&path).expect("read");
            assert_eq!((after.len(), after.last()), (whole + 1, Some(&event(9))));
        }
    }

    #[test]
    fn two_may_add_to_one_log_and_a_torn_end_costs_only_itself() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("log");
        let (mut agent, _) = Log::open(&path).expect("opens");
        let mut other = Log::beside(&path).expect("opens");
        for n in 0..3 {
            agent.write(&event(2 * n)).expect("written");
            other.write(&event(2 * n + 1)).expect("written");
        }
        OpenOptions::new().append(true).open(&path).expect("opens").write_all(b"torn").expect("written");
        other.write(&event(6)).expect("written");
        let (read, whole) = (Log::read(&path).expect("read"), (0..7).map(event).collect::<Vec<_>>());
        assert_eq!(read, whole);
    }

    #[test]
    fn a_damaged_line_costs_no_other() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("log");
        let (mut log, _) = Log::open(&path).expect("opens");
        (0..3).for_each(|n| log.write(&event(n)).expect("written"));
        let mut bytes = std::fs::read(&path).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).expect("written");
        let (log, events) = Log::open(&path).expect("opens");
        assert_eq!((events.len(), log.damaged), (2, 1));
    }
}
