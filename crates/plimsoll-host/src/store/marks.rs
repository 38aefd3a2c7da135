//! Marks in the store: a file of lines, which anybody may append to while the agent runs.

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

/// Adds a mark, whole or not at all, and has it on the disk.
///
/// # Errors
/// When it cannot be written.
pub fn append(path: &Path, mark: &Mark) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let line = serde_json::to_string(mark)?;
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    // One write at the end of the file: two that mark at once do not mix their lines. An empty line ends one that was torn.
    file.write_all(format!("\n{line}\n").as_bytes())?;
    file.sync_data()
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
        append(&path, &mark(2.0)).expect("written");
        let torn = fs::read_to_string(&path).expect("read") + "{\"unixSec";
        fs::write(&path, torn).expect("written");
        append(&path, &mark(1.0)).expect("written");
        let (marks, wrong) = read(&path).expect("read");
        assert_eq!(marks, [mark(1.0), mark(2.0)]);
        assert!(wrong.is_some_and(|w| w.starts_with("1 lines are no marks")));
    }
}
