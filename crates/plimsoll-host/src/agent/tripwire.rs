//! The tripwire: told within milliseconds when a group's usage crosses a share of its limit.
//!
//! Version 1 has the kernel tell (usage thresholds by eventfd); version 2 tells only when a group has reached its limit or
//! its throttling line (`memory.events`), so its usage is polled, too, the more often the less time is left. Pressure is
//! no help: without swap or cache it shows nothing before the kill.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};

/// Shares of the limit that are watched.
const SHARES: &[f64] = &[0.80, 0.85, 0.92, 0.97];
/// Groups watched at most: each takes a file per share.
const GROUPS: usize = 512;
/// Bounds of the time between two polls of usage, and between two looks at what is to be watched.
const SOONEST: Duration = Duration::from_millis(5);
const LATEST: Duration = Duration::from_millis(1000);
const LOOK: Duration = Duration::from_millis(50);
/// Seconds in which the rate that was seen of a polled group counts half.
const HALVED: f64 = 0.25;

/// A group to watch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wire {
    /// Its name among the groups.
    pub(super) group: String,
    /// The file of its usage.
    pub(super) usage: PathBuf,
    /// Whether the kernel tells of thresholds.
    pub(super) told: bool,
    /// Its limit, bytes.
    pub(super) limit: f64,
}

/// A group crossed a share of its limit upwards.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trip {
    pub(super) group: String,
    pub(super) share: f64,
}

/// The thread that watches.
pub(super) struct Tripwire {
    wanted: Sender<Vec<Wire>>,
    trips: Receiver<Trip>,
    set: Vec<Wire>,
    thread: Option<JoinHandle<()>>,
}

impl Tripwire {
    pub(super) fn start() -> io::Result<Tripwire> {
        let (wanted, wishes) = channel();
        let (tell, trips) = channel();
        let thread = std::thread::Builder::new()
            .name("tripwire".to_owned())
            .spawn(move || Watch::new(tell).run(&wishes))?;
        Ok(Tripwire { wanted, trips, set: Vec::new(), thread: Some(thread) })
    }

    /// Watches these groups, and no others.
    pub(super) fn watch(&mut self, mut wires: Vec<Wire>) {
        wires.truncate(GROUPS);
        if wires != self.set {
            self.set.clone_from(&wires);
            // Only a thread that is gone cannot be told, and then there is nobody to trip either.
            let _unheard = self.wanted.send(wires);
        }
    }

    /// The next trip, at most `patience` away.
    pub(super) fn next(&self, patience: Duration) -> Option<Trip> {
        match self.trips.recv_timeout(patience) {
            Ok(trip) => Some(trip),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(patience);
                None
            }
        }
    }
}

impl Drop for Tripwire {
    fn drop(&mut self) {
        // The thread ends when nobody wishes for anything any more.
        let (nobody, _) = channel();
        self.wanted = nobody;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// One threshold that the kernel watches.
struct Threshold {
    group: String,
    share: f64,
    event: OwnedFd,
    usage: PathBuf,
    bytes: f64,
    /// The kernel forgets the threshold when the file is closed.
    _usage: File,
}

/// One group that is polled.
struct Polled {
    wire: Wire,
    pace: Pace,
    at: Instant,
    due: Instant,
}

/// How fast a group climbs. The kernel counts in steps of some MiB, so that between two polls that are close it seems to
/// stand still: the fastest that was seen counts on, halved in each [`HALVED`].
#[derive(Default)]
struct Pace {
    usage: f64,
    rate: f64,
}

impl Pace {
    /// Takes in the usage after so many seconds.
    fn take(&mut self, usage: f64, took: f64) {
        let seen = (usage - self.usage).max(0.0) / took.max(1e-3);
        (self.usage, self.rate) = (usage, seen.max(self.rate * 0.5_f64.powf(took / HALVED)));
    }

    /// Until the next poll: a third of the time to the next share, as it may burn faster by then.
    fn pause(&self, limit: f64) -> Duration {
        let left = (next_share(self.usage, limit) - self.usage) / self.rate / 3.0;
        Duration::try_from_secs_f64(left).unwrap_or(LATEST).clamp(SOONEST, LATEST)
    }
}

/// The file by which version 2 tells that a group was held up at its limit.
struct Events {
    wire: Wire,
    file: File,
    /// How often it was, when it was read last.
    seen: u64,
    /// When it tripped last: at its limit a group is held up a hundred times a second.
    tripped: Option<Instant>,
}

impl Events {
    fn open(wire: &Wire) -> io::Result<Events> {
        let file = File::open(wire.usage.with_file_name("memory.events"))?;
        let mut events = Events { wire: wire.clone(), file, seen: 0, tripped: None };
        events.seen = events.count().unwrap_or(0);
        Ok(events)
    }

    /// How often the group was held up at its limit or its line; reading it makes the kernel tell of the next time.
    fn count(&self) -> Option<u64> {
        let mut buffer = [0; 512];
        let have = self.file.read_at(&mut buffer, 0).ok()?;
        let text = std::str::from_utf8(buffer.get(..have)?).ok()?;
        let of = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<u64>().ok());
        Some(of("max ")? + of("high ")?)
    }

    /// The trip, when it was held up since; not more often than once in [`LATEST`].
    fn trip(&mut self) -> Option<Trip> {
        let count = self.count()?;
        let more = std::mem::replace(&mut self.seen, count) < count;
        if !more || self.tripped.is_some_and(|at| at.elapsed() < LATEST) {
            return None;
        }
        self.tripped = Some(Instant::now());
        let share = read(&self.wire.usage)? / self.wire.limit;
        Some(Trip { group: self.wire.group.clone(), share })
    }
}

struct Watch {
    tell: Sender<Trip>,
    thresholds: Vec<Threshold>,
    polled: Vec<Polled>,
    events: Vec<Events>,
    wires: BTreeMap<String, Wire>,
}

impl Watch {
    fn new(tell: Sender<Trip>) -> Watch {
        Watch { tell, thresholds: Vec::new(), polled: Vec::new(), events: Vec::new(), wires: BTreeMap::new() }
    }

    fn run(mut self, wishes: &Receiver<Vec<Wire>>) {
        loop {
            loop {
                match wishes.try_recv() {
                    Ok(wires) => self.set(wires),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
            }
            let patience = self.poll_usage();
            self.wait(patience.min(LOOK));
        }
    }

    /// Keeps what is watched already: a threshold set anew could miss a crossing.
    fn set(&mut self, wires: Vec<Wire>) {
        let new: BTreeMap<String, Wire> = wires.into_iter().map(|w| (w.group.clone(), w)).collect();
        let same = |group: &String| new.contains_key(group) && new.get(group) == self.wires.get(group);
        self.thresholds.retain(|t| same(&t.group));
        self.polled.retain(|p| same(&p.wire.group));
        self.events.retain(|e| same(&e.wire.group));
        let now = Instant::now();
        for (group, wire) in &new {
            if same(group) {
                continue;
            }
            let set = if wire.told { thresholds(wire) } else { Err(io::Error::other("not told")) };
            match set {
                Ok(set) => self.thresholds.extend(set),
                Err(_) => {
                    self.polled.push(Polled { wire: wire.clone(), pace: Pace::default(), at: now, due: now });
                    // Where there is no such file, polling is all there is.
                    self.events.extend(Events::open(wire));
                }
            }
        }
        self.wires = new;
    }

    /// Waits for the kernel.
    fn wait(&mut self, patience: Duration) {
        let told = self.thresholds.iter().map(|t| PollFd::new(&t.event, PollFlags::IN));
        let held_up = self.events.iter().map(|e| PollFd::new(&e.file, PollFlags::PRI));
        let mut fds: Vec<PollFd<'_>> = told.chain(held_up).collect();
        let timeout = Timespec::try_from(patience).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 50_000_000 });
        if fds.is_empty() || rustix::event::poll(&mut fds, Some(&timeout)).is_err() {
            std::thread::sleep(patience);
            return;
        }
        // What is no file of the kernel's is always said to be in error: only a word of the kernel counts.
        let heard: Vec<bool> =
            fds.iter().map(|fd| fd.revents().intersects(PollFlags::IN | PollFlags::PRI)).collect();
        let (told, held_up) = heard.split_at(self.thresholds.len());
        for (t, _) in self.thresholds.iter().zip(told).filter(|(_, heard)| **heard) {
            t.drain();
            // It tells of crossings in both directions, and of the group's end.
            if read(&t.usage).is_some_and(|usage| usage >= t.bytes) {
                let _nobody = self.tell.send(Trip { group: t.group.clone(), share: t.share });
            }
        }
        for (e, _) in self.events.iter_mut().zip(held_up).filter(|(_, heard)| **heard) {
            if let Some(trip) = e.trip() {
                let _nobody = self.tell.send(trip);
            }
        }
    }

    /// Reads what is due; gives the time until the next.
    fn poll_usage(&mut self) -> Duration {
        let now = Instant::now();
        let mut soonest = LATEST;
        for p in &mut self.polled {
            if p.due <= now {
                let Some(usage) = read(&p.wire.usage) else {
                    p.due = now + LATEST;
                    continue;
                };
                let crossed = |s: &&f64| p.pace.usage < **s * p.wire.limit && usage >= **s * p.wire.limit;
                if let Some(share) = SHARES.iter().rev().find(crossed) {
                    let _nobody = self.tell.send(Trip { group: p.wire.group.clone(), share: *share });
                }
                p.pace.take(usage, now.duration_since(p.at).as_secs_f64());
                (p.at, p.due) = (now, now + p.pace.pause(p.wire.limit));
            }
            soonest = soonest.min(p.due.saturating_duration_since(now));
        }
        soonest
    }
}

/// The next share above, bytes; the limit above all.
fn next_share(usage: f64, limit: f64) -> f64 {
    SHARES.iter().map(|s| s * limit).find(|b| *b > usage).unwrap_or(limit)
}

/// One number, by one read: every group is polled each second.
fn read(path: &Path) -> Option<f64> {
    let mut buffer = [0; 32];
    let have = File::open(path).ok()?.read_at(&mut buffer, 0).ok()?;
    std::str::from_utf8(buffer.get(..have)?).ok()?.trim().parse().ok()
}

/// Asks the kernel to tell of each share.
fn thresholds(wire: &Wire) -> io::Result<Vec<Threshold>> {
    let control = wire.usage.with_file_name("cgroup.event_control");
    let set = |share: &f64| {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let usage = File::open(&wire.usage)?;
        let bytes = (share * wire.limit).floor();
        let line = format!("{} {} {bytes:.0}", event.as_raw_fd(), usage.as_raw_fd());
        fs::write(&control, line)?;
        let group = wire.group.clone();
        Ok(Threshold { group, share: *share, event, usage: wire.usage.clone(), bytes, _usage: usage })
    };
    SHARES.iter().map(set).collect()
}

impl Threshold {
    fn drain(&self) {
        let mut count = [0; 8];
        // An empty one is as good as a drained one.
        let _drained = rustix::io::read(self.event.as_fd(), &mut count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polled_group_trips_once_for_each_share_and_not_downwards() {
        let root = tempfile::tempdir().expect("a folder");
        let usage = root.path().join("memory.current");
        fs::write(&usage, "10\n").expect("written");
        let mut wire = Tripwire::start().expect("starts");
        wire.watch(vec![Wire { group: "g".to_owned(), usage: usage.clone(), told: false, limit: 100.0 }]);
        assert_eq!(wire.next(Duration::from_millis(100)), None);
        let write = |n: u32| {
            let draft = root.path().join("draft");
            fs::write(&draft, n.to_string()).and_then(|()| fs::rename(&draft, &usage)).expect("written");
        };
        let patience = Duration::from_secs(10);
        write(86);
        assert_eq!(wire.next(patience).map(|t| t.share), Some(0.85));
        write(50);
        assert_eq!(wire.next(Duration::from_millis(1500)), None);
        write(98);
        assert_eq!(wire.next(patience), Some(Trip { group: "g".to_owned(), share: 0.97 }));
    }

    #[test]
    fn a_group_that_is_held_up_trips_once_in_a_while() {
        let root = tempfile::tempdir().expect("a folder");
        let usage = root.path().join("memory.current");
        fs::write(&usage, "50\n").expect("written");
        let held_up = |max: u32, high: u32| {
            let text = format!("low 0\nhigh {high}\nmax {max}\noom 0\noom_kill 0\n");
            fs::write(root.path().join("memory.events"), text).expect("written");
        };
        held_up(1, 0);
        let wire = Wire { group: "g".to_owned(), usage, told: false, limit: 100.0 };
        let mut events = Events::open(&wire).expect("opens");
        assert_eq!(events.trip(), None, "it was before");
        held_up(1, 3);
        assert_eq!(events.trip(), Some(Trip { group: "g".to_owned(), share: 0.5 }));
        held_up(9, 3);
        assert_eq!(events.trip(), None, "a moment ago");
        events.tripped = None;
        assert_eq!(events.trip(), None, "it was told");
        held_up(10, 3);
        assert!(events.trip().is_some());
    }

    #[test]
    fn a_climb_in_steps_is_not_taken_for_a_standstill() {
        // 85 MiB a second in steps of 2 MiB, towards 80 % of 440 MiB.
        let (mib, limit) = (1_048_576.0, 440.0 * 1_048_576.0);
        let (mut pace, mut t) = (Pace::default(), 3.0);
        pace.take(255.0 * mib, 1.0);
        while t < 5.0 {
            let took = pace.pause(limit).as_secs_f64();
            t += took;
            pace.take((t * 85.0 / 2.0).floor() * 2.0 * mib, took);
            let late = pace.pause(limit).as_secs_f64() * 85.0 / 440.0;
            assert!(late < 0.05, "{late} of the limit unseen at {t}");
        }
        // One that comes to rest is polled seldom again.
        pace.take(pace.usage, 3.0);
        assert_eq!(pace.pause(limit), LATEST);
    }

    #[test]
    fn the_next_share_is_above() {
        assert_eq!(
            (next_share(10.0, 100.0), next_share(95.0, 100.0), next_share(99.0, 100.0)),
            (80.0, 97.0, 100.0)
        );
    }
}
