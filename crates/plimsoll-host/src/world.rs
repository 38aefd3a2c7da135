//! The doors to the machine, as parameters: roots of /proc and of the control groups, and the clock.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the machine's interfaces are. A test gives a folder with a fake tree.
#[derive(Debug, Clone)]
pub struct World {
    /// Root of procfs, normally `/proc`.
    pub proc_root: PathBuf,
    /// Root of the control groups, normally `/sys/fs/cgroup`.
    pub cgroup_root: PathBuf,
    /// The kernel log, normally `/dev/kmsg`.
    pub kernel_log: PathBuf,
}

impl Default for World {
    fn default() -> Self {
        World {
            proc_root: PathBuf::from("/proc"),
            cgroup_root: PathBuf::from("/sys/fs/cgroup"),
            kernel_log: PathBuf::from("/dev/kmsg"),
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

    /// How far the wall clock has moved away from this one, seconds: a jump to be noted.
    pub fn drift(&self) -> f64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
        wall - self.now()
    }
}
