//! The log of a search in a file: a line for each run, on the disk before the next one begins, so that an interruption costs one
//! run at most. One search at a time holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use plimsoll_core::bisect::{Head, Journal, JournalError, Step};

/// A larger file is none of ours.
const LARGEST: u64 = 256 << 20;

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file.
    #[error("failed to use {path}", path = .0.display())]
    File(PathBuf, #[source] io::Error),
    /// What is in it.
    #[error("{path} cannot be read", path = .0.display())]
    Content(PathBuf, #[source] JournalError),
    /// Another search is using it.
    #[error("another search is writing {path}", path = .0.display())]
    Busy(PathBuf),
    /// It is of something else.
    #[error("{path} is the log of another search", path = .0.display())]
    Other(PathBuf),
}

/// A log that is being written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    journal: Journal,
}

impl Log {
    /// Goes on with the log of the same search, or begins one; `fresh` forgets what is there.
    ///
    /// # Errors
    /// When it cannot be read or written, or is of another search.
    pub fn open(path: &Path, head: Head, fresh: bool) -> Result<Log, LogError> {
        let failed = |e: io::Error| LogError::File(path.to_owned(), e);
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::Busy(path.to_owned())),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        if fresh {
            file.set_len(0).map_err(failed)?;
        }
        let text = text(&mut file).map_err(failed)?;
        let mut log = Log { path: path.to_owned(), file, journal: Journal { head, steps: Vec::new() } };
        if text.contains('\n') {
            let (journal, whole) =
                Journal::parse(&text).map_err(|e| LogError::Content(path.to_owned(), e))?;
            if journal.head != log.journal.head {
                return Err(LogError::Other(path.to_owned()));
            }
            log.journal = journal;
            log.file.set_len(whole as u64).and_then(|()| log.file.seek(SeekFrom::End(0))).map_err(failed)?;
        } else {
            let head = serde_json::to_string(&log.journal.head).map_err(|e| failed(e.into()))?;
            log.file.set_len(0).and_then(|()| log.file.rewind()).map_err(failed)?;
            log.write(&head)?;
        }
        Ok(log)
    }

    /// A log that is only looked at.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Journal, LogError> {
        let text = File::open(path).and_then(|mut file| text(&mut file));
        let text = text.map_err(|e| LogError::File(path.to_owned(), e))?;
        let parsed = Journal::parse(&text).map_err(|e| LogError::Content(path.to_owned(), e))?;
        Ok(parsed.0)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Adds a run, and has it on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, step: Step) -> Result<(), LogError> {
        let line = serde_json::to_string(&step).map_err(|e| LogError::File(self.path.clone(), e.into()))?;
        self.write(&line)?;
        self.journal.steps.push(step);
        Ok(())
    }

    fn write(&mut self, line: &str) -> Result<(), LogError> {
        let written =
            self.file.write_all(format!("{line}\n").as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|e| LogError::File(self.path.clone(), e))
    }
}

fn text(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_core::bisect::{History, Place};

    fn head(command: &str) -> Head {
        let line = History::line(&["v1".into(), "v2".into()]).expect("a history");
        Head::new("releases", "v0", &[command.into()], line.changes())
    }

    fn step(place: Place) -> Step {
        Step { place, unix_seconds: 1.5, seconds: 0.25, bad: Some(true), metrics: vec![], why: String::new() }
    }

    #[test]
    fn a_search_goes_on_where_it_was_even_behind_a_torn_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/log.jsonl");
        let mut log = Log::open(&path, head("x"), false).expect("a log");
        log.push(step(Place::Good)).expect("written");
        assert!(matches!(Log::open(&path, head("x"), false), Err(LogError::Busy(_))));
        drop(log);
        let whole = fs::read_to_string(&path).expect("a file");
        fs::write(&path, format!("{whole}{{\"pla")).expect("written");
        let mut log = Log::open(&path, head("x"), false).expect("a log");
        assert_eq!(log.journal().steps, [step(Place::Good)]);
        log.push(step(Place::At(1))).expect("written");
        drop(log);
        assert_eq!(Log::read(&path).expect("a log").steps, [step(Place::Good), step(Place::At(1))]);
        assert!(matches!(Log::open(&path, head("y"), false), Err(LogError::Other(_))));
        assert!(Log::open(&path, head("y"), true).expect("a log").journal().steps.is_empty());
        fs::write(&path, "what is this\n").expect("written");
        assert!(matches!(Log::open(&path, head("x"), false), Err(LogError::Content(..))));
    }
}
