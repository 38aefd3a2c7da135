//! The doors to the machine, as parameters: roots of /proc and of the control groups, and the clock.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Where the machine's interfaces are. A test gives a folder with a fake tree.
#[derive(Debug, Clone)]
pub struct World {
    /// Root of procfs, normally `/proc`.
    pub proc_root: PathBuf,
    /// Root of the control groups, normally `/sys/fs/cgroup`.
    pub cgroup_root: PathBuf,
    /// The kernel log, normally `/dev/kmsg`.
    pub kernel_log: PathBuf,
    /// See [`World::booted`].
    pub(crate) booted: Arc<OnceLock<f64>>,
}

impl World {
    /// A machine as files: `proc`, `cg` and `kmsg` in a folder.
    pub fn under(root: &Path) -> World {
        World {
            proc_root: root.join("proc"),
            cgroup_root: root.join("cg"),
            kernel_log: root.join("kmsg"),
            booted: Arc::default(),
        }
    }

    /// Unix time of boot, seconds, as it was read first: the machine tells it by its wall clock, and when that is set anew
    /// a process must not seem to be another one, which started at another time.
    pub(crate) fn booted(&self) -> f64 {
        *self.booted.get_or_init(|| {
            let text = std::fs::read_to_string(self.proc_root.join("stat")).unwrap_or_default();
            crate::source::text::field(&text, "btime").unwrap_or(0.0)
        })
    }
}

impl Default for World {
    fn default() -> Self {
        World {
            proc_root: PathBuf::from("/proc"),
            cgroup_root: PathBuf::from("/sys/fs/cgroup"),
            kernel_log: PathBuf::from("/dev/kmsg"),
            booted: Arc::default(),
        }
    }
}

/// Unix time that only moves forward: wall time at the start plus monotonic time since, so that a clock
/// jump (NTP, a suspended machine) cannot bend a slope.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    wall: f64,
}

impl Clock {
    /// A clock that starts at the machine's wall time.
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
        Clock { began: Instant::now(), wall }
    }

    /// Unix seconds.
    pub fn now(&self) -> f64 {
        // Millisecond steps: recordings stay short and read back exactly.
        ((self.wall + self.began.elapsed().as_secs_f64()) * 1000.0).round() / 1000.0
    }

    /// How far the wall clock has moved away from this one, seconds.
    fn drift(&self) -> f64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
        wall - self.now()
    }
}

/// What a clock of the machine shows, seconds.
pub(crate) fn reading(id: ClockId) -> f64 {
    let t = clock_gettime(id);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Seconds since boot, sleep among them; no wall clock that is set moves it.
pub(crate) fn since_boot() -> f64 {
    reading(ClockId::Boottime)
}

/// A wall clock that moves away from ours by more than this, seconds, was set.
const JUMP: f64 = 2.0;

/// Notices that the wall clock was set.
#[derive(Debug)]
pub(crate) struct Jumps {
    drift: f64,
}

impl Jumps {
    /// From now on.
    pub(crate) fn since(clock: &Clock) -> Self {
        Jumps { drift: clock.drift() }
    }

    /// By how much, in words, when it was set since the last call.
    pub(crate) fn news(&mut self, clock: &Clock) -> Option<String> {
        let drift = clock.drift();
        let by = drift - self.drift;
        (by.abs() > JUMP).then(|| {
            self.drift = drift;
            format!("the wall clock was set by {by:+.1} s; times here go on as before")
        })
    }
}
