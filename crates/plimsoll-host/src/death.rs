//! What this machine still tells of deaths: the kernel's log, the counts of control groups, and what the dead left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use plimsoll_core::death::Trace;

use crate::source::cgroup::Group;
use crate::source::kernel_log;
use crate::world::World;

/// Files looked at in one folder.
const FILES: usize = 20_000;
/// Files named, the newest.
const NAMED: usize = 50;
/// Where runtimes and the kernel leave things when nobody says otherwise.
const PLACES: &[&str] = &["/tmp", "/var/tmp", "/var/crash", "/var/lib/systemd/coredump"];

/// What was found, and what could not be looked at.
#[derive(Debug, Default)]
pub struct Found {
    /// What each source tells.
    pub traces: Vec<Trace>,
    /// Sources in words, with the reason when one could not be read.
    pub sources: Vec<(&'static str, Result<String, String>)>,
}

/// Asks the kernel's log and the control groups.
pub fn traces(world: &World) -> Found {
    let mut found = Found::default();
    let log = kernel_log::kills(world).map(|log| {
        let said = format!("{} kills", log.kills.len());
        found.traces.extend(log.kills.into_iter().map(|k| Trace::Kernel(Box::new(k))));
        said
    });
    found.sources.push(("kernel log", log));
    let counted = Group::with_kills(world).map(|groups| {
        let said = format!("{} groups count kills", groups.len());
        found.traces.extend(groups.into_iter().map(|(group, kills)| Trace::Counter {
            kills,
            limit: group.limit().map(|l| l as u64),
            alive: group.processes().unwrap_or(0),
            group: group.shown(),
        }));
        said
    });
    found.sources.push(("control groups", counted));
    found
}

/// A file that a dead process may have left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where.
    pub path: PathBuf,
    /// What it is, by its name.
    pub what: &'static str,
    /// Bytes.
    pub bytes: u64,
    /// When it was written last.
    pub modified: Option<SystemTime>,
}

/// Files in the usual places, where the kernel puts cores, and in `more`, the newest first.
pub fn leftovers(world: &World, more: &[PathBuf]) -> Vec<Leftover> {
    let mut folders: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).chain(cores(world)).collect();
    folders.extend(std::env::current_dir());
    folders.extend(more.iter().cloned());
    let mut seen: Vec<PathBuf> = folders.iter().filter_map(|f| f.canonicalize().ok()).collect();
    seen.sort();
    seen.dedup();
    let mut found: Vec<Leftover> = seen.iter().flat_map(|f| in_folder(f)).collect();
    found.sort_by_key(|l| std::cmp::Reverse(l.modified));
    found.truncate(NAMED);
    found
}

/// The folder that the kernel writes cores to, when it is a folder and no program.
fn cores(world: &World) -> Option<PathBuf> {
    let pattern = fs::read_to_string(world.proc_root.join("sys/kernel/core_pattern")).ok()?;
    let pattern = pattern.trim();
    let folder = Path::new(pattern).parent().filter(|_| pattern.starts_with('/'))?;
    Some(folder.to_owned())
}

fn in_folder(folder: &Path) -> Vec<Leftover> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(FILES);
    let leftover = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let what = what(name.to_str()?)?;
        let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some(Leftover { path: entry.path(), what, bytes: meta.len(), modified: meta.modified().ok() })
    };
    entries.filter_map(leftover).collect()
}

/// What a file is, by the name that runtimes give it.
fn what(name: &str) -> Option<&'static str> {
    let between = |head: &str, tail: &str| name.starts_with(head) && name.ends_with(tail);
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match () {
        () if between("java_pid", ".hprof") || name.ends_with(".hprof") => Some("Java heap dump"),
        () if between("hs_err_pid", ".log") => Some("JVM crash report"),
        () if name.ends_with(".heapsnapshot") => Some("Node.js heap snapshot"),
        () if between("report.", ".json") => Some("Node.js report"),
        () if name == "core"
            || name.strip_prefix("core.").is_some_and(|rest| rest.split('.').any(number)) =>
        {
            Some("core")
        }
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_the_names_that_runtimes_give() {
        let cases = [
            ("java_pid12.hprof", Some("Java heap dump")),
            ("hs_err_pid12.log", Some("JVM crash report")),
            ("Heap.20261123.110000.1.0.001.heapsnapshot", Some("Node.js heap snapshot")),
            ("core", Some("core")),
            ("core.1234", Some("core")),
            ("core.java.1000.abc.1234.zst", Some("core")),
            ("core.rs", None),
            ("notes.txt", None),
        ];
        for (name, expected) in cases {
            assert_eq!(what(name), expected, "{name}");
        }
    }

    #[test]
    fn what_was_left_is_found_and_folders_are_not() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("java_pid7.hprof"), b"JAVA").expect("written");
        fs::create_dir(root.path().join("core")).expect("made");
        let found = leftovers(&World::default(), &[root.path().to_owned()]);
        let place = root.path().canonicalize().expect("is there");
        let ours: Vec<_> = found.iter().filter(|l| l.path.starts_with(&place)).collect();
        assert_eq!(ours.len(), 1, "{found:?}");
        assert_eq!((ours[0].what, ours[0].bytes), ("Java heap dump", 4));
    }
}
