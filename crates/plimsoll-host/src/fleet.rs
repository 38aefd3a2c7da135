//! All processes of a machine at once, cheaply: one `pread` per process and tick, a few bytes per sample.
//!
//! The overview and the live view are readers of this. A process that deserves a closer look gets a
//! [`crate::sampler::Sampler`] of its own.

mod group_history;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;

use plimsoll_core::fact::Fact;
use plimsoll_core::recording::{Observation, Recording};

use self::group_history::GroupHistory;
use crate::identify;
use crate::source::Source as _;
use crate::source::cgroup::{Group, GroupReader};
use crate::source::host_memory;
use crate::world::{Clock, World};

/// Samples kept per process: an hour at one per second.
const KEPT: usize = 3600;
/// Ticks between two looks for new processes.
const RESCAN_EVERY: u64 = 5;
/// Open files that are left to the rest of the program.
const FILES_LEFT: usize = 128;
/// With more groups than this, groups are read every [`RESCAN_EVERY`] ticks only.
const MANY_GROUPS: usize = 50;

/// One process: its statm, kept open where the limit on open files allows, and its history in pages.
struct Process {
    start_ticks: u64,
    statm: Option<File>,
    group: Option<String>,
    /// Tick of the first sample kept.
    first: u64,
    resident: VecDeque<u32>,
    anonymous: VecDeque<u32>,
}

/// A binding control group, shared by its processes.
struct GroupTrack {
    reader: GroupReader,
    history: GroupHistory,
}

/// Samples every process of the machine.
pub struct Fleet {
    world: World,
    clock: Clock,
    tick: u64,
    /// Time of each tick kept; the last one belongs to `tick`.
    times: VecDeque<f64>,
    available: VecDeque<f64>,
    processes: BTreeMap<i32, Process>,
    groups: BTreeMap<String, GroupTrack>,
    kept_open: usize,
    page: f64,
    unreadable: usize,
}

impl Fleet {
    /// A fleet that has not looked yet.
    pub fn open(world: &World) -> Fleet {
        Fleet {
            world: world.clone(),
            clock: Clock::start(),
            tick: 0,
            times: VecDeque::new(),
            available: VecDeque::new(),
            processes: BTreeMap::new(),
            groups: BTreeMap::new(),
            kept_open: files_to_keep(),
            page: rustix::param::page_size() as f64,
            unreadable: 0,
        }
    }

    /// Reads every process once.
    pub fn tick(&mut self) {
        if self.tick.is_multiple_of(RESCAN_EVERY) {
            self.rescan();
        }
        self.tick += 1;
        let now = self.clock.now();
        keep(&mut self.times, now);
        keep(&mut self.available, host_memory::available(&self.world).unwrap_or(f64::NAN));
        self.read_processes();
        if self.groups.len() <= MANY_GROUPS || self.tick % RESCAN_EVERY == 1 {
            let oldest = self.times.front().copied().unwrap_or(now);
            for group in self.groups.values_mut() {
                let mut out = Observation::at(now);
                group.reader.sample(&mut out);
                group.history.push(out, oldest);
            }
        }
    }

    /// Processes seen now.
    pub fn pids(&self) -> impl Iterator<Item = i32> + '_ {
        self.processes.keys().copied()
    }

    /// Processes whose memory could not be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Growth of the anonymous memory of a process over what is kept, bytes.
    pub fn growth(&self, pid: i32) -> f64 {
        let Some(p) = self.processes.get(&pid) else { return 0.0 };
        let ends = p.anonymous.front().zip(p.anonymous.back());
        ends.map_or(0.0, |(a, b)| (f64::from(*b) - f64::from(*a)) * self.page)
    }

    /// Resident set of a process now, bytes.
    pub fn resident(&self, pid: i32) -> Option<f64> {
        Some(f64::from(*self.processes.get(&pid)?.resident.back()?) * self.page)
    }

    /// Everything kept of one process as a recording; `None` when it is gone.
    pub fn recording(&self, pid: i32) -> Option<Recording> {
        let process = self.processes.get(&pid)?;
        let target = identify::identify(&self.world, pid).ok()?;
        let mut r = Recording::new(target);
        let group = process.group.as_ref().and_then(|g| self.groups.get(g));
        let mut group = group.map(|g| g.history.walk());
        let total = host_memory::total(&self.world);
        let oldest = self.tick + 1 - self.times.len() as u64;
        for (i, (resident, anonymous)) in process.resident.iter().zip(&process.anonymous).enumerate() {
            let Some(at) = (process.first + i as u64).checked_sub(oldest).map(|x| x as usize) else {
                continue;
            };
            let Some(t) = self.times.get(at) else { continue };
            let mut o = Observation::at(*t);
            o.known(Fact::Rss, f64::from(*resident) * self.page);
            o.known(Fact::RssAnon, f64::from(*anonymous) * self.page);
            if let Some(available) = self.available.get(at).filter(|v| v.is_finite()) {
                o.known(Fact::HostAvailable, *available);
            }
            if let (0, Some(total)) = (i, total) {
                o.known(Fact::HostTotal, total);
            }
            if let Some(group) = &mut group {
                group.add_to(&mut o);
            }
            r.add(o);
        }
        Some(r)
    }

    fn rescan(&mut self) {
        let entries = std::fs::read_dir(&self.world.proc_root).into_iter().flatten().flatten();
        let pids: Vec<i32> = entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
        for pid in pids {
            let Ok(Some(life)) = identify::life(&self.world, pid) else { continue };
            if life.kernel {
                continue;
            }
            let reused = self.processes.get(&pid).is_some_and(|p| p.start_ticks != life.start_ticks);
            if reused {
                self.processes.remove(&pid);
            }
            if !self.processes.contains_key(&pid) && !matches!(life.state, 'Z' | 'X') {
                self.add(pid, life.start_ticks);
            }
        }
        let used: BTreeSet<&String> = self.processes.values().filter_map(|p| p.group.as_ref()).collect();
        self.groups.retain(|g, _| used.contains(g));
    }

    fn add(&mut self, pid: i32, start_ticks: u64) {
        let open = self.processes.values().filter(|p| p.statm.is_some()).count();
        let path = self.world.proc_root.join(pid.to_string()).join("statm");
        let statm = (open < self.kept_open).then(|| File::open(path).ok()).flatten();
        let group = Group::of(&self.world, pid).ok().and_then(|g| self.track(&g));
        let history = (VecDeque::new(), VecDeque::new());
        self.processes.insert(
            pid,
            Process {
                start_ticks,
                statm,
                group,
                first: self.tick + 1,
                resident: history.0,
                anonymous: history.1,
            },
        );
    }

    /// Begins to read the group that binds, unless it is the machine.
    fn track(&mut self, own: &Group) -> Option<String> {
        let reader = GroupReader::open(&self.world, own)?;
        let key = reader.key();
        self.groups
            .entry(key.clone())
            .or_insert_with(|| GroupTrack { reader, history: GroupHistory::default() });
        Some(key)
    }

    fn read_processes(&mut self) {
        let mut buffer = [0u8; 128];
        let root = &self.world.proc_root;
        let mut unreadable = 0;
        self.processes.retain(|pid, p| {
            let n = match &p.statm {
                Some(file) => file.read_at(&mut buffer, 0),
                None => File::open(root.join(pid.to_string()).join("statm"))
                    .and_then(|f| f.read_at(&mut buffer, 0)),
            };
            match n.ok().and_then(|n| parse(buffer.get(..n)?)) {
                // All zero: the process has let go of its memory and is about to end.
                Some((0, _)) | None => false,
                Some((resident, shared)) => {
                    if keep(&mut p.resident, resident) {
                        p.first += 1;
                    }
                    keep(&mut p.anonymous, resident.saturating_sub(shared));
                    unreadable += usize::from(p.resident.is_empty());
                    true
                }
            }
        });
        self.unreadable = unreadable;
    }
}

/// Appends and forgets the oldest beyond [`KEPT`]; true when one was forgotten.
///
/// Room is doubled, but never beyond what is kept: there are two queues per process of the machine.
fn keep<T>(queue: &mut VecDeque<T>, value: T) -> bool {
    let full = queue.len() >= KEPT;
    if full {
        queue.pop_front();
    } else if queue.len() == queue.capacity() {
        queue.reserve_exact(queue.len().max(16).min(KEPT - queue.len()));
    }
    queue.push_back(value);
    full
}

/// Resident and shared pages out of a statm line.
fn parse(line: &[u8]) -> Option<(u32, u32)> {
    let mut words = line.split(|b| *b == b' ').skip(1).map(|w| {
        w.iter().try_fold(0u32, |n, b| {
            b.is_ascii_digit().then(|| n.saturating_mul(10).saturating_add(u32::from(b - b'0')))
        })
    });
    Some((words.next()??, words.next()??))
}

/// How many statm files may stay open: the soft limit on open files is raised as far as it goes.
fn files_to_keep() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        limit = getrlimit(Resource::Nofile);
    }
    usize::try_from(limit.current.unwrap_or(u64::MAX)).unwrap_or(usize::MAX).saturating_sub(FILES_LEFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statm_lines() {
        assert_eq!(parse(b"5000 1200 300 1 0 900 0\n"), Some((1200, 300)));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"1 x 2"), None);
    }

    #[test]
    fn this_process_is_seen_and_recorded() {
        let mut fleet = Fleet::open(&World::default());
        fleet.tick();
        fleet.tick();
        let me = std::process::id().cast_signed();
        assert!(fleet.pids().any(|p| p == me));
        let r = fleet.recording(me).expect("alive");
        assert!(r.last(Fact::Rss).expect("seen") > 1e5);
        assert!(r.last(Fact::HostTotal).is_some());
        assert!(r.series(Fact::Rss).points().len() <= 2);
    }

    #[test]
    fn history_is_bounded() {
        let mut q = VecDeque::new();
        let dropped = (0..KEPT + 5).filter(|i| keep(&mut q, *i)).count();
        assert_eq!((q.len(), dropped, q.capacity()), (KEPT, 5, KEPT));
    }
}
