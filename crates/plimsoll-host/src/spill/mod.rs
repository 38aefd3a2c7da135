//! A memory ceiling that is kept by a disk: large blocks of this program's memory lie in files without a name.
//!
//! Nothing is spilled until [`Spill::begin`] is called, and then only where the program declares [`SpillingAllocator`] as
//! its allocator. What is resident is watched, and pages of the files are let go as it nears the ceiling: the kernel keeps
//! them in its page cache while there is room, and writes them to the disk when there is none.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plimsoll_core::units;
use plimsoll_read::graph::spill::Spill;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::capture::place;

mod allocator;
mod spare;

pub use allocator::SpillingAllocator;
pub use spare::Reuse;

/// Where files go when nothing else is said: /tmp is memory on many machines, this is not.
const FOLDER: &str = "/var/tmp";
/// Share of the ceiling from which on pages are let go, and the share they are let go down to.
const HIGH: f64 = 0.85;
const LOW: f64 = 0.5;
/// Memory left below the ceiling at least when pages are let go, bytes: what may be touched before that is seen.
const LEAST_SLACK: u64 = 12 << 20;
/// Bytes that may become resident in a second: a touch maps up to sixteen pages of a file that are in the page cache. It
/// tells for how long it need not be looked at.
const MAPPED_A_SECOND: f64 = 40e9;
/// Bounds of the time between two looks.
const LOOKS: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(10));
/// Room set aside, as times what is needed, and bytes more: tables that grow take room ahead, and so do those of a small dump.
const AHEAD: f64 = 1.25;
const MORE: u64 = 64 << 20;

/// Set while the watcher is to go on.
static WATCHING: AtomicBool = AtomicBool::new(false);

/// Room on a disk for one piece of work; dropped, spilling ends.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    ceiling: u64,
    watcher: Mutex<Option<JoinHandle<()>>>,
}

/// What was spilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spilled {
    /// Bytes on the disk at the highest.
    pub bytes: u64,
    /// Folder of the files, which have no name there.
    pub folder: PathBuf,
}

impl Disk {
    /// Room in this folder, else in TMPDIR, else in /var/tmp, to keep resident memory below `ceiling` bytes.
    pub fn new(folder: Option<&Path>, ceiling: u64) -> Disk {
        let named = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let folder = folder.map(Path::to_owned).or(named).unwrap_or_else(|| PathBuf::from(FOLDER));
        Disk { folder, ceiling, watcher: Mutex::new(None) }
    }

    /// Where files go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes of room that are set aside for a need.
    pub fn aside(bytes: u64) -> u64 {
        (bytes as f64 * AHEAD) as u64 + MORE
    }

    /// What was spilled, if anything was.
    pub fn spilled(&self) -> Option<Spilled> {
        let has_begun = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        has_begun.then(|| Spilled { bytes: allocator::account().0, folder: self.folder.clone() })
    }

    fn open(&self) -> Result<OwnedFd, String> {
        let name = self.folder.display();
        let place = place::of(&self.folder).map_err(|e| format!("{name}: {e}"))?;
        if place.in_memory {
            return Err(format!(
                "{name} is memory ({}): name a folder on a disk by --tmp",
                place.file_system
            ));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.folder, flags, Mode::empty()).map_err(|e| format!("{name}: {e}"))
    }

    fn why(&self, error: Errno, bytes: u64) -> String {
        let name = self.folder.display();
        match error {
            Errno::FBIG => {
                let bytes = units::bytes(bytes as f64);
                format!(
                    "no file of {bytes} may be in {name}: raise the limit (ulimit -f), or name another folder by --tmp"
                )
            }
            Errno::NOSPC | Errno::DQUOT => {
                let free = place::of(&self.folder).map_or(0.0, |place| place.free_bytes);
                let (bytes, free) = (units::bytes(bytes as f64), units::bytes(free));
                format!("{name} has no room for {bytes} ({free} are free): name another folder by --tmp")
            }
            Errno::OPNOTSUPP | Errno::NODEV => {
                format!("the file system of {name} cannot set room aside: name another folder by --tmp")
            }
            e => format!("{name}: {e}"),
        }
    }
}

impl Spill for Disk {
    fn begin(&self, bytes: u64) -> Result<(), String> {
        if !allocator::is_installed() {
            return Err("this program's memory cannot be spilled".to_owned());
        }
        let resident = Resident::open().ok_or("/proc tells nothing of this program's memory")?;
        let bytes = Disk::aside(bytes);
        let folder = self.open()?;
        allocator::begin(folder, bytes).map_err(|e| self.why(e, bytes))?;
        WATCHING.store(true, Ordering::Release);
        let ceiling = self.ceiling;
        let watcher =
            thread::Builder::new().name("spill".to_owned()).spawn(move || watch(&resident, ceiling));
        match watcher {
            Ok(watcher) => {
                *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher);
                Ok(())
            }
            Err(e) => {
                allocator::end();
                Err(format!("no thread could be started: {e}"))
            }
        }
    }

    fn step(&self) -> Result<(), String> {
        match allocator::account() {
            (_, None) => Ok(()),
            (taken, Some(e)) => Err(self.why(e, taken)),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take() {
            allocator::end();
            WATCHING.store(false, Ordering::Release);
            watcher.thread().unpark();
            let _panicked = watcher.join();
        }
    }
}

/// Resident memory of this process.
#[derive(Debug)]
struct Resident {
    file: File,
    page: u64,
}

impl Resident {
    fn open() -> Option<Resident> {
        let resident =
            Resident { file: File::open("/proc/self/statm").ok()?, page: rustix::param::page_size() as u64 };
        resident.bytes().map(|_| resident)
    }

    /// Bytes. Takes no memory itself.
    fn bytes(&self) -> Option<u64> {
        let mut text = [0; 128];
        let read = self.file.read_at(&mut text, 0).ok()?;
        let text = str::from_utf8(text.get(..read)?).ok()?;
        Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * self.page)
    }
}

/// Lets go of pages whenever too many are resident.
fn watch(resident: &Resident, ceiling: u64) {
    let below = |share: f64| ((ceiling as f64 * share) as u64).min(ceiling.saturating_sub(LEAST_SLACK));
    let (high, low) = (below(HIGH), below(LOW));
    while WATCHING.load(Ordering::Acquire) {
        let now = resident.bytes().unwrap_or(0);
        if now > high {
            allocator::let_go(|| resident.bytes().is_none_or(|now| now <= low));
        }
        let room = high.saturating_sub(resident.bytes().unwrap_or(0));
        let (shortest, longest) = LOOKS;
        let time = Duration::from_secs_f64(room as f64 / MAPPED_A_SECOND);
        thread::park_timeout(time.clamp(shortest, longest));
    }
}
