//! All processes of a machine at once, cheaply: one `pread` per process and tick, and a sample is kept only when
//! it differs from the one before. All samples together are bounded: when there are too many, the oldest go.
//!
//! The overview and the live view are readers of this. A process that deserves a closer look gets a
//! [`crate::sampler::Sampler`] of its own.

mod recall;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::{Observation, Recording};
use plimsoll_core::series::Point;

use crate::identify;
use crate::source::Source as _;
use crate::source::cgroup::{Group, GroupReader};
use crate::source::host_memory;
use crate::world::{Clock, World};
use recall::Former;
pub(crate) use recall::Recall;

/// Ticks kept: an hour at one per second.
const KEPT: usize = 3600;
/// Samples kept of all processes and groups together: with 12 bytes each, and queues that double when they
/// grow, some 28 MiB at worst.
const MOST_SAMPLES: usize = 1_200_000;
/// Ticks between two looks for new processes.
const RESCAN_EVERY: u32 = 5;
/// Looks after which a kernel thread's pid is looked at again: it may belong to a process by then.
const FORGET_KERNEL_EVERY: u32 = 12 * RESCAN_EVERY;
/// Seconds over which a process is new, and over which it is young.
const NEW: f64 = 5.0;
const YOUNG: f64 = 60.0;
/// Open files that are left to the rest of the program.
const FILES_LEFT: usize = 128;
/// Files that the reader of a group keeps open at most.
const FILES_OF_GROUP: usize = 7;
/// With more groups than this, groups are read every [`RESCAN_EVERY`] ticks only.
const MANY_GROUPS: usize = 50;

/// A process is known to the second: the machine's boot time is no more exact.
const STARTED_WITHIN: f64 = 2.0;

/// Facts kept of a group.
const GROUP_FACTS: &[Fact] = &[
    Fact::CgroupUsage,
    Fact::CgroupUnreclaimable,
    Fact::CgroupLimit,
    Fact::CgroupHigh,
    Fact::CgroupLimitHits,
    Fact::CgroupOomKills,
    Fact::CgroupRefaults,
    Fact::CgroupPsiFull,
];

/// Values with the tick from which each holds.
#[derive(Debug, Clone)]
struct Held<T>(VecDeque<(u32, T)>);

impl<T: Copy + PartialEq> Held<T> {
    fn new() -> Self {
        Held(VecDeque::new())
    }

    fn push(&mut self, tick: u32, value: T) {
        if self.0.back().is_none_or(|(_, v)| *v != value) {
            self.0.push_back((tick, value));
        }
    }

    fn at(&self, tick: u32) -> Option<T> {
        let after = self.0.partition_point(|(t, _)| *t <= tick);
        self.0.get(after.checked_sub(1)?).map(|(_, v)| *v)
    }

    /// Forgets what no longer holds at `oldest`.
    fn trim(&mut self, oldest: u32) {
        while self.0.get(1).is_some_and(|(t, _)| *t <= oldest) {
            self.0.pop_front();
        }
        // What a cut history no longer needs is given back, so that the bound holds for all together.
        if self.0.capacity() > 4 * self.0.len() + 16 {
            self.0.shrink_to(2 * self.0.len());
        }
    }
}

/// One process: its statm, kept open where the limit on open files allows, and its history in pages.
struct Process {
    start_ticks: u64,
    statm: Option<File>,
    group: Option<String>,
    /// When it was seen first.
    since: f64,
    /// It was the so many-th to be seen.
    number: u64,
    /// Resident pages, and those of them that are anonymous.
    pages: Held<(u32, u32)>,
    /// What its runtime tells, where it was asked; none from the tick on at which it no longer told.
    inner: BTreeMap<Fact, Held<Option<f64>>>,
    /// Why its runtime does not tell it.
    inner_unknown: BTreeMap<Fact, String>,
    /// Its name and its start (Unix seconds), where somebody asked who it is.
    name: Option<(String, f64)>,
}

/// One number of a group: small differences from its first value keep a counter exact in few bytes.
#[derive(Clone)]
struct Track {
    first: f64,
    since: Held<f32>,
}

impl Process {
    fn put_inner(&self, tick: u32, out: &mut Observation) {
        for (fact, held) in &self.inner {
            held.at(tick).flatten().into_iter().for_each(|v| out.known(*fact, v));
        }
    }

    fn trim(&mut self, oldest: u32) {
        self.pages.trim(oldest);
        self.inner.values_mut().for_each(|held| held.trim(oldest));
    }
}

/// A binding control group, shared by its processes.
struct GroupTrack {
    reader: GroupReader,
    tracks: BTreeMap<Fact, Track>,
    unknown: BTreeMap<Fact, String>,
}

impl GroupTrack {
    fn read(&mut self, tick: u32, t: f64) {
        let mut out = Observation::at(t);
        self.reader.sample(&mut out);
        for fact in GROUP_FACTS {
            if let Some(v) = out.facts.get(fact) {
                let new = || Track { first: *v, since: Held::new() };
                let track = self.tracks.entry(*fact).or_insert_with(new);
                track.since.push(tick, (*v - track.first) as f32);
            } else if let Some(why) = out.unknown.remove(fact) {
                self.unknown.insert(*fact, why);
            }
        }
    }

    fn put(&self, tick: u32, out: &mut Observation) {
        put_tracks(&self.tracks, tick, out);
    }
}

fn put_tracks(tracks: &BTreeMap<Fact, Track>, tick: u32, out: &mut Observation) {
    for (fact, track) in tracks {
        if let Some(since) = track.since.at(tick) {
            out.known(*fact, track.first + f64::from(since));
        }
    }
}

/// One look at all processes.
struct Tick {
    t: f64,
    /// What the machine could still hand out, bytes.
    available: Option<f64>,
    /// Groups were read, too.
    groups: bool,
}

/// A group with a limit.
pub(crate) struct Limited<'f> {
    pub(crate) group: &'f Group,
    /// Its limit, bytes.
    pub(crate) limit: f64,
    /// Its processes, the largest first.
    pub(crate) pids: Vec<i32>,
}

/// Samples every process of the machine.
pub struct Fleet {
    world: World,
    clock: Clock,
    /// Number of the newest tick; the first one is 1.
    tick: u32,
    ticks: VecDeque<Tick>,
    processes: BTreeMap<i32, Process>,
    groups: BTreeMap<String, GroupTrack>,
    /// Lives before of what runs in a group now, oldest first.
    former: BTreeMap<String, Vec<Former>>,
    kernel: BTreeSet<i32>,
    kept_open: usize,
    page: f64,
    unreadable: usize,
    /// Ticks between two looks for new processes.
    rescan_every: u32,
    /// Processes seen so far, and those of them that were told as new.
    seen: u64,
    told: u64,
}

impl Fleet {
    /// A fleet that has not looked yet.
    pub fn open(world: &World) -> Fleet {
        Fleet {
            world: world.clone(),
            clock: Clock::start(),
            tick: 0,
            ticks: VecDeque::new(),
            processes: BTreeMap::new(),
            groups: BTreeMap::new(),
            former: BTreeMap::new(),
            kernel: BTreeSet::new(),
            kept_open: files_to_keep(),
            page: rustix::param::page_size() as f64,
            unreadable: 0,
            rescan_every: RESCAN_EVERY,
            seen: 0,
            told: 0,
        }
    }

    /// Looks for new processes at every tick: for ticks that are far apart.
    #[must_use]
    pub fn rescanning_always(mut self) -> Fleet {
        self.rescan_every = 1;
        self
    }

    /// Looks for new processes between two ticks; gives those that were seen first since the last call.
    pub(crate) fn newcomers(&mut self) -> Vec<i32> {
        self.find();
        self.regroup(NEW);
        let told = std::mem::replace(&mut self.told, self.seen);
        self.processes.iter().filter(|(_, p)| p.number > told).map(|(pid, _)| *pid).collect()
    }

    /// Reads every process once.
    pub fn tick(&mut self) {
        let full_look = self.tick.is_multiple_of(self.rescan_every);
        if full_look {
            self.rescan();
            self.forget();
        }
        self.tick += 1;
        let t = self.clock.now();
        let groups = full_look || self.groups.len() <= MANY_GROUPS;
        self.ticks.push_back(Tick { t, available: host_memory::available(&self.world), groups });
        self.read_processes();
        if groups {
            let tick = self.tick;
            self.groups.values_mut().for_each(|g| g.read(tick, t));
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
        let ends = p.pages.0.front().zip(p.pages.0.back());
        ends.map_or(0.0, |((_, a), (_, b))| (f64::from(b.1) - f64::from(a.1)) * self.page)
    }

    /// Resident set of a process now, bytes.
    pub fn resident(&self, pid: i32) -> Option<f64> {
        let (_, (resident, _)) = self.processes.get(&pid)?.pages.0.back()?;
        Some(f64::from(*resident) * self.page)
    }

    /// Everything kept of one process as a recording, with the lives before it; `None` when it is gone.
    pub fn recording(&self, pid: i32) -> Option<Recording> {
        let process = self.processes.get(&pid)?;
        let mut r = Recording::new(identify::identify(&self.world, pid).ok()?);
        let group = process.group.as_ref().and_then(|g| self.groups.get(g));
        self.add_former(&mut r, process);
        let began = r.target.started - STARTED_WITHIN;
        let mut total = host_memory::total(&self.world);
        for (tick, look) in (self.oldest()..).zip(&self.ticks) {
            let Some((resident, anonymous)) = process.pages.at(tick).filter(|_| look.t >= began) else {
                continue;
            };
            let mut o = Observation::at(look.t);
            o.known(Fact::Rss, f64::from(resident) * self.page);
            o.known(Fact::RssAnon, f64::from(anonymous) * self.page);
            process.put_inner(tick, &mut o);
            look.available.into_iter().for_each(|v| o.known(Fact::HostAvailable, v));
            total.take().into_iter().for_each(|v| o.known(Fact::HostTotal, v));
            if let Some(g) = group.filter(|_| look.groups) {
                g.put(tick, &mut o);
            }
            r.add(o);
        }
        let mut missing = self.missing(group);
        missing.unknown.extend(process.inner_unknown.clone());
        r.add(missing);
        Some(r)
    }

    /// Adds what the runtime of a process said at this tick. What it said before and does not now is not known any more.
    pub(crate) fn tell_inner(&mut self, pid: i32, seen: &Observation) {
        let tick = self.tick;
        let Some(process) = self.processes.get_mut(&pid) else { return };
        for (fact, v) in &seen.facts {
            process.inner.entry(*fact).or_insert_with(Held::new).push(tick, Some(*v));
            process.inner_unknown.remove(fact);
        }
        for (fact, why) in &seen.unknown {
            process.inner_unknown.insert(*fact, why.clone());
        }
        let silent = process.inner.iter_mut().filter(|(fact, _)| !seen.facts.contains_key(fact));
        silent.for_each(|(_, held)| held.push(tick, None));
    }

    /// What was seen at the newest tick beside processes and groups: the time, the machine, and whether groups were read.
    pub(crate) fn newest(&self) -> Option<(f64, BTreeMap<Fact, f64>, bool)> {
        let look = self.ticks.back()?;
        let mut o = Observation::at(look.t);
        look.available.into_iter().for_each(|v| o.known(Fact::HostAvailable, v));
        host_memory::total(&self.world).into_iter().for_each(|v| o.known(Fact::HostTotal, v));
        Some((look.t, o.facts, look.groups))
    }

    /// What was seen of one process at the newest tick, and what its runtime does not tell; with its start and its group.
    pub(crate) fn process_now(&self, pid: i32) -> Option<(Observation, u64, Option<&str>)> {
        let process = self.processes.get(&pid)?;
        let (resident, anonymous) = process.pages.at(self.tick)?;
        let mut o = Observation::at(0.0);
        o.known(Fact::Rss, f64::from(resident) * self.page);
        o.known(Fact::RssAnon, f64::from(anonymous) * self.page);
        process.put_inner(self.tick, &mut o);
        o.unknown.clone_from(&process.inner_unknown);
        Some((o, process.start_ticks, process.group.as_deref()))
    }

    /// What was seen of one group at the newest tick.
    pub(crate) fn group_now(&self, name: &str) -> Option<Observation> {
        let group = self.groups.get(name)?;
        let mut o = Observation::at(0.0);
        group.put(self.tick, &mut o);
        o.unknown.clone_from(&group.unknown);
        Some(o)
    }

    /// Every group with a limit, with its processes, the largest first.
    pub(crate) fn limited(&self) -> Vec<Limited<'_>> {
        let mut members: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (pid, process) in &self.processes {
            if let Some(group) = &process.group {
                members.entry(group).or_default().push(*pid);
            }
        }
        let limited = |(name, mut pids): (&str, Vec<i32>)| {
            let track = self.groups.get(name)?;
            let limit = track.tracks.get(&Fact::CgroupLimit)?;
            let limit = limit.first + f64::from(limit.since.at(self.tick)?);
            pids.sort_by(|a, b| {
                self.resident(*b).unwrap_or(0.0).total_cmp(&self.resident(*a).unwrap_or(0.0))
            });
            Some(Limited { group: track.reader.group(), limit, pids })
        };
        members.into_iter().filter_map(limited).collect()
    }

    /// What the group of a process has in use that cannot be reclaimed, over what is kept.
    pub(crate) fn usage(&self, pid: i32) -> Vec<Point> {
        let group = self.processes.get(&pid).and_then(|p| self.groups.get(p.group.as_ref()?));
        let track = group.and_then(|g| {
            g.tracks.get(&Fact::CgroupUnreclaimable).or_else(|| g.tracks.get(&Fact::CgroupUsage))
        });
        let Some(track) = track else { return Vec::new() };
        let looks = (self.oldest()..).zip(&self.ticks).filter(|(_, look)| look.groups);
        looks
            .filter_map(|(tick, look)| {
                Some(Point { t: look.t, v: track.first + f64::from(track.since.at(tick)?) })
            })
            .collect()
    }

    /// What the group does not tell, and why.
    fn missing(&self, group: Option<&GroupTrack>) -> Observation {
        let mut o = Observation::at(self.ticks.back().map_or(0.0, |look| look.t));
        match group {
            Some(g) => o.unknown.clone_from(&g.unknown),
            None => {
                let why = "no control group below the root counts the process's memory";
                GROUP_FACTS.iter().for_each(|f| o.put(*f, Reading::unknown(why)));
            }
        }
        o
    }

    /// Number of the oldest tick kept.
    fn oldest(&self) -> u32 {
        self.tick + 1 - u32::try_from(self.ticks.len()).unwrap_or(self.tick)
    }

    /// Keeps time and memory within their bounds.
    fn forget(&mut self) {
        let inner = |p: &Process| p.inner.values().map(|h| h.0.len()).sum::<usize>();
        let samples: usize = self.processes.values().map(|p| p.pages.0.len() + 2 * inner(p)).sum::<usize>()
            + self.former_samples()
            + self.groups.values().flat_map(|g| g.tracks.values()).map(|t| t.since.0.len()).sum::<usize>();
        let keep = if samples > MOST_SAMPLES { self.ticks.len() / 4 * 3 } else { KEPT };
        let surplus = self.ticks.len().saturating_sub(keep);
        self.ticks.drain(..surplus);
        let oldest = self.oldest();
        self.processes.values_mut().for_each(|p| p.trim(oldest));
        let tracks = self.groups.values_mut().flat_map(|g| g.tracks.values_mut());
        tracks.for_each(|t| t.since.trim(oldest));
        self.forget_former();
    }

    /// Finds new processes. One that we hold a file of cannot be taken for another: reading it fails when the
    /// process ends, whoever has its pid then.
    fn rescan(&mut self) {
        if self.tick.is_multiple_of(FORGET_KERNEL_EVERY) {
            self.kernel.clear();
        }
        self.find();
        self.regroup(YOUNG);
        let used: BTreeSet<String> = self.processes.values().filter_map(|p| p.group.clone()).collect();
        self.leave_groups(&used);
        self.groups.retain(|name, _| used.contains(name));
    }

    fn find(&mut self) {
        let entries = std::fs::read_dir(&self.world.proc_root).into_iter().flatten().flatten();
        let pids: Vec<i32> = entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
        for pid in pids {
            let held = self.processes.get(&pid).is_some_and(|p| p.statm.is_some());
            if !held && !self.kernel.contains(&pid) {
                self.look_at(pid);
            }
        }
    }

    /// A process is often seen before it is moved into its container's group; one older than `age` is moved rarely.
    fn regroup(&mut self, age: f64) {
        let all = self.tick.is_multiple_of(FORGET_KERNEL_EVERY) && age == YOUNG;
        let now = self.clock.now();
        let due: Vec<i32> =
            self.processes.iter().filter(|(_, p)| all || now - p.since < age).map(|(pid, _)| *pid).collect();
        for pid in due {
            let group = Group::of(&self.world, pid).ok().and_then(|g| self.track(&g));
            if let Some(process) = self.processes.get_mut(&pid) {
                process.group = group;
            }
        }
    }

    fn look_at(&mut self, pid: i32) {
        let Ok(Some(life)) = identify::life(&self.world, pid) else { return };
        if life.kernel {
            self.kernel.insert(pid);
            return;
        }
        let same = self.processes.get(&pid).map(|p| p.start_ticks == life.start_ticks);
        if same != Some(true) && !matches!(life.state, 'Z' | 'X') {
            self.add(pid, life.start_ticks);
        }
    }

    fn add(&mut self, pid: i32, start_ticks: u64) {
        self.seen += 1;
        let may_stay_open = self.processes.len() + FILES_OF_GROUP * self.groups.len() < self.kept_open;
        let path = self.world.proc_root.join(pid.to_string()).join("statm");
        let statm = may_stay_open.then(|| File::open(path).ok()).flatten();
        let group = Group::of(&self.world, pid).ok().and_then(|g| self.track(&g));
        self.processes.insert(
            pid,
            Process {
                start_ticks,
                statm,
                group,
                since: self.clock.now(),
                number: self.seen,
                pages: Held::new(),
                inner: BTreeMap::new(),
                inner_unknown: BTreeMap::new(),
                name: None,
            },
        );
    }

    /// Begins to read the group that binds, unless it is the machine.
    fn track(&mut self, own: &Group) -> Option<String> {
        let reader = GroupReader::open(&self.world, own)?;
        let key = reader.key();
        let (tick, t) = (self.tick, self.clock.now());
        // It is read at once: a fast one may be gone by the next tick.
        let new = || {
            let mut track = GroupTrack { reader, tracks: BTreeMap::new(), unknown: BTreeMap::new() };
            track.read(tick, t);
            track
        };
        self.groups.entry(key.clone()).or_insert_with(new);
        Some(key)
    }

    fn read_processes(&mut self) {
        let mut buffer = [0u8; 128];
        let root = &self.world.proc_root;
        let (tick, mut unreadable) = (self.tick, 0);
        let ended = self.processes.extract_if(.., |pid, p| {
            let n = match &p.statm {
                Some(file) => file.read_at(&mut buffer, 0),
                None => File::open(root.join(pid.to_string()).join("statm"))
                    .and_then(|f| f.read_at(&mut buffer, 0)),
            };
            if n.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied) {
                unreadable += 1;
                return false;
            }
            match n.ok().and_then(|n| parse(buffer.get(..n)?)) {
                // All zero: the process has let go of its memory and is about to end.
                Some((0, _)) | None => true,
                Some((resident, shared)) => {
                    p.pages.push(tick, (resident, resident.saturating_sub(shared)));
                    false
                }
            }
        });
        let ended: Vec<Process> = ended.map(|(_, process)| process).collect();
        ended.into_iter().for_each(|process| self.bury(process));
        self.unreadable = unreadable;
    }
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

    /// A machine of one process whose statm is a file that the test writes.
    fn machine(statm: &str) -> (tempfile::TempDir, World) {
        let root = tempfile::tempdir().expect("a folder");
        let world = World::under(root.path());
        let folder = world.proc_root.join("7");
        std::fs::create_dir_all(&folder).expect("a folder");
        let stat = "7 (app) S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1000 1";
        std::fs::write(folder.join("stat"), stat).expect("a file");
        std::fs::write(folder.join("statm"), statm).expect("a file");
        (root, world)
    }

    #[test]
    fn what_holds_is_kept_once_and_told_at_every_tick() {
        let (_keep, world) = machine("100 50 10 0 0 0 0");
        let mut fleet = Fleet::open(&world);
        for i in 0..12 {
            if i == 8 {
                std::fs::write(world.proc_root.join("7/statm"), "100 60 10 0 0 0 0").expect("a file");
            }
            fleet.tick();
            // The clock has milliseconds; two ticks within one would be one instant.
            let t = fleet.clock.now();
            while fleet.clock.now() <= t {
                std::hint::spin_loop();
            }
        }
        assert_eq!(fleet.processes[&7].pages.0.len(), 2);
        assert_eq!(fleet.growth(7), 10.0 * fleet.page);
        let r = fleet.recording(7).expect("alive");
        let pages: Vec<f64> = r.series(Fact::Rss).points().iter().map(|p| p.v / fleet.page).collect();
        assert_eq!(pages, [[50.0; 8].as_slice(), &[60.0; 4]].concat());
        assert!(r.unknown[&Fact::CgroupLimit].contains("no control group"), "{:?}", r.unknown);
    }

    #[test]
    fn history_is_bounded_and_what_holds_survives_the_cut() {
        let (_keep, world) = machine("100 50 10 0 0 0 0");
        let mut fleet = Fleet::open(&world);
        let ticks = KEPT + 3 * RESCAN_EVERY as usize;
        for _ in 0..ticks {
            fleet.tick();
        }
        assert!(fleet.ticks.len() <= KEPT + RESCAN_EVERY as usize, "{}", fleet.ticks.len());
        assert_eq!(fleet.processes[&7].pages.at(fleet.oldest()), Some((50, 40)));
        let pages = &mut fleet.processes.get_mut(&7).expect("alive").pages;
        let first = fleet.tick - u32::try_from(fleet.ticks.len()).expect("small") + 1;
        pages.0 = (0..=MOST_SAMPLES as u32).map(|i| (first.saturating_sub(i), (i, i))).rev().collect();
        fleet.forget();
        assert!(fleet.ticks.len() <= KEPT * 3 / 4 + RESCAN_EVERY as usize);
        assert!(fleet.processes[&7].pages.0.len() < MOST_SAMPLES / 2);
    }

    #[test]
    fn a_counter_of_a_group_stays_exact_beside_a_large_start() {
        let mut track = Track { first: 3e12, since: Held::new() };
        for (tick, v) in [(1, 3e12), (2, 3e12 + 5.0), (3, 3e12 + 5.0), (4, 3e12 + 7.0)] {
            track.since.push(tick, (v - track.first) as f32);
        }
        assert_eq!(track.since.0.len(), 3);
        assert_eq!(track.since.at(3).map(|s| track.first + f64::from(s)), Some(3e12 + 5.0));
        assert_eq!(track.since.at(0), None);
    }
}
