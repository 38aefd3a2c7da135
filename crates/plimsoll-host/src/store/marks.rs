//! Marks in the store: a file of lines, which anybody may append to while the agent runs.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use plimsoll_core::mark::{self, Mark};

/// A larger file is none of ours.
const LARGEST: u64 = 64 << 20;

/// The file of marks in a store.
pub fn path(store: &Path) -> PathBuf {
    store.join("marks.jsonl")
}

/// Adds marks, all or none, and has them on the disk.
///
/// # Errors
/// When they cannot be written, or the file is as large as it may be.
pub fn append(path: &Path, marks: &[Mark]) -> io::Result<()> {
    if marks.is_empty() {
        return Ok(());
    }
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut lines = String::from("\n");
    for mark in marks {
        lines += &serde_json::to_string(mark)?;
        lines.push('\n');
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    if file.metadata()?.len() + lines.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "no more marks are kept in one file"));
    }
    // One write at the end of the file: two that mark at once do not mix their lines. An empty line ends one that was torn.
    file.write_all(lines.as_bytes())?;
    file.sync_data()
}

/// Adds those that are not there yet; which these were.
///
/// # Errors
/// When the file cannot be read or written.
pub fn add(path: &Path, marks: Vec<Mark>) -> io::Result<Vec<Mark>> {
    let known = match read(path) {
        Ok((known, _)) => known,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(e),
    };
    let identity = |m: &Mark| (m.unix_seconds.to_bits(), m.kind, m.name.clone(), m.off, m.workload.clone());
    let known: HashSet<_> = known.iter().map(identity).collect();
    let new: Vec<Mark> = marks.into_iter().filter(|m| !known.contains(&identity(m))).collect();
    append(path, &new)?;
    Ok(new)
}

/// The marks of a file, in order of time, and what is wrong with it.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> io::Result<(Vec<Mark>, Option<String>)> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(mark::parse(&String::from_utf8_lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_core::mark::MarkKind;

    #[test]
    fn a_torn_line_costs_no_other_mark() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = path(&folder.path().join("store"));
        let mark = |at: f64| Mark {
            unix_seconds: at,
            kind: MarkKind::Config,
            name: "pool".into(),
            off: false,
            workload: None,
        };
        append(&path, &[mark(2.0)]).expect("written");
        let torn = fs::read_to_string(&path).expect("read") + "{\"unixSec";
        fs::write(&path, torn).expect("written");
        append(&path, &[mark(1.0)]).expect("written");
        let (marks, wrong) = read(&path).expect("read");
        assert_eq!(marks, [mark(1.0), mark(2.0)]);
        assert!(wrong.is_some_and(|w| w.starts_with("1 lines are no marks")));
        assert_eq!(add(&path, vec![mark(2.0), mark(3.0)]).expect("written"), [mark(3.0)]);
        assert_eq!(read(&path).expect("read").0.len(), 3);
    }

    #[test]
    fn a_file_of_marks_does_not_grow_without_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = path(folder.path());
        fs::File::create(&path).and_then(|f| f.set_len(LARGEST)).expect("a large file");
        let mark =
            Mark { unix_seconds: 1.0, kind: MarkKind::Flag, name: "f".into(), off: false, workload: None };
        assert_eq!(append(&path, &[mark]).expect_err("full").kind(), io::ErrorKind::FileTooLarge);
    }
}
