//! What the agent keeps, in one folder for one agent: a log of events, and captures with their files.
//!
//! The log is the truth: what is open, what was done and when follows from it, so there is no second state that could
//! disagree with it after a crash.

mod log;
pub mod marks;
pub mod series;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use plimsoll_core::agent::{Event, Open};
use rustix::fs::FlockOperation;

pub use log::Log;

/// Names of the lock, the log and the folder of requests.
const LOCK: &str = "lock";
const LOG: &str = "events.log";
const REQUESTS: &str = "requests";

/// Times that the lock is tried, and the pause between two: somebody may just look whether it is held.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another agent has it.
    #[error("{0} is used by another agent")]
    Taken(PathBuf),
    /// A file could not be used.
    #[error("failed to use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    fn file(path: &Path, source: io::Error) -> Self {
        StoreError::File { path: path.to_owned(), source }
    }
}

/// The folder, held by this agent until it ends.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// The lock goes with the file, whatever ends the agent.
    _lock: File,
    /// The log of events.
    pub log: Log,
}

impl Store {
    /// Opens or makes it, and takes it for this process. Gives what the log says is open.
    ///
    /// # Errors
    /// When another agent has it, or it cannot be written.
    pub fn open(path: &Path) -> Result<(Store, Open), StoreError> {
        let captures = path.join("captures");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&captures)
            .map_err(|e| StoreError::file(&captures, e))?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(|e| StoreError::file(&lock_path, e))?;
        if !(0..TRIES).any(|n| take(&lock, n)) {
            return Err(StoreError::Taken(path.to_owned()));
        }
        let file = path.join(LOG);
        let (log, events) = Log::open(&file).map_err(|e| StoreError::file(&file, e))?;
        let open = Open::replay(&events);
        Ok((Store { path: path.to_owned(), _lock: lock, log }, open))
    }

    /// Where captures go.
    pub fn captures(&self) -> PathBuf {
        self.path.join("captures")
    }

    /// Where planned restarts ask for evidence.
    pub fn requests(&self) -> PathBuf {
        self.path.join(REQUESTS)
    }

    /// Removes captures that are too old, and the oldest while all together are too large; never one of `kept`.
    /// Gives their names. What is old must be old by the agent's time and by the machine's: a clock that jumps ahead
    /// takes no evidence away.
    pub fn prune(
        &self,
        now: f64,
        (most_bytes, most_age): (f64, Duration),
        kept: &dyn Fn(&str) -> bool,
    ) -> Vec<String> {
        let now = Duration::try_from_secs_f64(now).unwrap_or_default();
        let now = SystemTime::now().min(SystemTime::UNIX_EPOCH + now);
        let mut all = captures(&self.captures());
        all.sort_by_key(|c| c.modified);
        let mut total: f64 = all.iter().map(|c| c.bytes).sum();
        let mut gone = Vec::new();
        for c in all {
            let old = now.duration_since(c.modified).is_ok_and(|age| age > most_age);
            if (old || total > most_bytes) && !kept(&c.name) {
                // What cannot be removed is tried again the next time.
                if fs::remove_dir_all(&c.path).is_ok() {
                    total -= c.bytes;
                    gone.push(c.name);
                }
            }
        }
        gone
    }
}

/// Takes the lock for this process, at the first try at once.
fn take(lock: &File, tried: u32) -> bool {
    if tried > 0 {
        std::thread::sleep(PAUSE);
    }
    rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// What a store that somebody else holds has in its log, oldest first.
///
/// # Errors
/// When there is none, or it may not be read.
pub fn events(store: &Path) -> Result<Vec<Event>, StoreError> {
    let file = store.join(LOG);
    Log::read(&file).map_err(|e| StoreError::file(&file, e))
}

/// Adds an event to the log of a store that an agent may hold; the store is made where there is none.
///
/// # Errors
/// When it cannot be written.
pub fn append(store: &Path, event: &Event) -> Result<(), StoreError> {
    let file = store.join(LOG);
    DirBuilder::new().recursive(true).mode(0o700).create(store).map_err(|e| StoreError::file(store, e))?;
    Log::beside(&file).and_then(|mut log| log.write(event)).map_err(|e| StoreError::file(&file, e))
}

/// Bytes of a store's log: whoever keeps a view of it looks again when they change.
pub fn log_size(store: &Path) -> u64 {
    fs::metadata(store.join(LOG)).map_or(0, |m| m.len())
}

/// Whether an agent holds a store; nothing is changed.
pub fn is_held(store: &Path) -> bool {
    let Ok(lock) = File::open(store.join(LOCK)) else { return false };
    // It is let go with the file, at once.
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err()
}

/// Where planned restarts ask the agent that holds a store.
pub fn requests(store: &Path) -> PathBuf {
    store.join(REQUESTS)
}

struct Capture {
    path: PathBuf,
    name: String,
    bytes: f64,
    modified: SystemTime,
}

fn captures(folder: &Path) -> Vec<Capture> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let capture = |entry: fs::DirEntry| {
        let meta = entry.metadata().ok().filter(fs::Metadata::is_dir)?;
        let files = fs::read_dir(entry.path()).into_iter().flatten().flatten();
        let bytes = files.filter_map(|f| f.metadata().ok()).map(|m| m.len() as f64).sum();
        let name = entry.file_name().to_str()?.to_owned();
        Some(Capture { path: entry.path(), name, bytes, modified: meta.modified().ok()? })
    };
    entries.filter_map(capture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agent_at_a_time() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("store");
        let (first, _) = Store::open(&path).expect("opens");
        assert!(matches!(Store::open(&path), Err(StoreError::Taken(_))));
        assert!(is_held(&path));
        drop(first);
        assert!(!is_held(&path) && !is_held(root.path()));
        assert!(Store::open(&path).is_ok());
    }

    #[test]
    fn the_oldest_goes_first_and_what_is_kept_stays() {
        let root = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(root.path()).expect("opens");
        for (name, age) in [("a", 300), ("b", 200), ("c", 100)] {
            let folder = store.captures().join(name);
            fs::create_dir(&folder).expect("made");
            fs::write(folder.join("x"), [0; 1000]).expect("written");
            let at = SystemTime::now() - Duration::from_secs(age);
            File::open(&folder).and_then(|f| f.set_modified(at)).expect("dated");
        }
        let (day, now) = (Duration::from_secs(86_400), f64::from(u32::MAX));
        assert_eq!(store.prune(now, (2500.0, day), &|name| name == "a"), ["b"]);
        assert!(store.prune(now, (2500.0, day), &|_| false).is_empty());
        let old = (1e9, Duration::from_secs(150));
        assert!(store.prune(1e9, old, &|_| false).is_empty(), "an agent whose clock stood still keeps it");
        assert_eq!(store.prune(now, old, &|_| false), ["a"]);
        assert!(store.captures().join("c").exists());
    }
}
