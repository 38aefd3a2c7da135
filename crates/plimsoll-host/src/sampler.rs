//! The sampling loop of one process: a steady grid of ticks, cheap sources on it, slow ones beside it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use plimsoll_core::fact::Fact;
use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;

use crate::identify::{self, IdentifyError, Life};
use crate::source::{Pace, SOURCES, Source};
use crate::world::{Clock, World};

/// How long one wait may last before the stop flag is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// A wall clock that moved this far against the monotonic one has been set, seconds.
const JUMP: f64 = 2.0;

/// Samples one process.
pub struct Sampler {
    world: World,
    target: Target,
    life: Life,
    clock: Clock,
    sources: Vec<Box<dyn Source>>,
    slow: Receiver<Observation>,
    /// Keeps the channel open when no slow source is.
    _sender: Sender<Observation>,
    stop_slow: Arc<AtomicBool>,
    slow_threads: Vec<Thread>,
    every: Duration,
    next: Instant,
    drift: f64,
    oom_kills: Option<f64>,
    ended: bool,
}

impl Sampler {
    /// Opens every source that applies to the process. The first tick is due at once.
    pub fn open(world: &World, pid: i32, every: Duration) -> Result<Sampler, IdentifyError> {
        let target = identify::identify(world, pid)?;
        let life = identify::life(world, pid)
            .map_err(|source| IdentifyError::Read { pid, source })?
            .ok_or(IdentifyError::Absent(pid))?;
        let clock = Clock::start();
        let (sender, slow) = channel();
        let stop_slow = Arc::new(AtomicBool::new(false));
        let (mut sources, mut slow_threads) = (Vec::new(), Vec::new());
        for kind in SOURCES {
            let Some(source) = (kind.open)(world, &target) else { continue };
            match kind.pace {
                Pace::EveryTick => sources.push(source),
                Pace::Slow(pause) => {
                    slow_threads.push(beside(source, pause, clock, sender.clone(), Arc::clone(&stop_slow)));
                }
            }
        }
        Ok(Sampler {
            world: world.clone(),
            target,
            life,
            clock,
            sources,
            slow,
            _sender: sender,
            stop_slow,
            slow_threads,
            every: every.max(Duration::from_millis(10)),
            next: Instant::now(),
            drift: clock.drift(),
            oom_kills: None,
            ended: false,
        })
    }

    /// Who is watched.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Waits for the next tick and reads. `None` when `stop` was set, or after the end was told.
    pub fn next(&mut self, stop: &AtomicBool) -> Option<Observation> {
        if self.ended {
            return None;
        }
        let mut late = Vec::new();
        while Instant::now() < self.next {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            match self.slow.recv_timeout(GLANCE.min(self.next.saturating_duration_since(Instant::now()))) {
                Ok(o) => late.push(o),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        late.extend(self.slow.try_iter());
        self.advance();
        Some(self.tick(late))
    }

    /// The grid is fixed: a late tick does not push the later ones, missed ones are left out.
    fn advance(&mut self) {
        let now = Instant::now();
        while self.next <= now {
            self.next += self.every;
        }
    }

    fn tick(&mut self, late: Vec<Observation>) -> Observation {
        let mut out = Observation::at(self.clock.now());
        if let Some(end) = self.end() {
            self.ended = true;
            out.ended = Some(end);
            return out;
        }
        for source in &mut self.sources {
            source.sample(&mut out);
        }
        late.into_iter().for_each(|o| merge(&mut out, o));
        if let Some(kills) = out.facts.get(&Fact::CgroupOomKills) {
            self.oom_kills.get_or_insert(*kills);
        }
        let drift = self.clock.drift();
        if (drift - self.drift).abs() > JUMP {
            let text =
                format!("the wall clock was set by {:+.1} s; times here go on as before", drift - self.drift);
            out.note = Some(out.note.take().map_or(text.clone(), |n| format!("{n}; {text}")));
            self.drift = drift;
        }
        out
    }

    /// What is known of the end of the process, when it has ended.
    fn end(&self) -> Option<String> {
        let gone = match identify::life(&self.world, self.target.pid) {
            Ok(Some(l)) if l.start_ticks == self.life.start_ticks && !matches!(l.state, 'Z' | 'X') => {
                return None;
            }
            Ok(Some(l)) if l.start_ticks != self.life.start_ticks => "its pid belongs to another process now",
            Ok(_) => "the process ended",
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return None,
            Err(_) => "the process cannot be read any more",
        };
        let mut last = Observation::at(0.0);
        self.read_oom_kills(&mut last);
        let killed =
            last.facts.get(&Fact::CgroupOomKills).zip(self.oom_kills).is_some_and(|(now, then)| *now > then);
        Some(if killed {
            "killed by the kernel: its control group ran out of memory".to_owned()
        } else {
            gone.to_owned()
        })
    }

    /// The group outlives its process for a moment: its counter says who killed.
    fn read_oom_kills(&self, out: &mut Observation) {
        crate::source::cgroup::read_oom_kills(&self.world, &self.target, out);
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop_slow.store(true, Ordering::Relaxed);
        self.slow_threads.iter().for_each(Thread::unpark);
    }
}

/// Runs a slow source on a thread of its own until the sampler is dropped. The thread is not joined: a read
/// that hangs must not hang the user.
fn beside(
    mut source: Box<dyn Source>,
    pause: Duration,
    clock: Clock,
    sender: Sender<Observation>,
    stop: Arc<AtomicBool>,
) -> Thread {
    let handle = thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let due = Instant::now() + pause;
            let mut out = Observation::at(clock.now());
            source.sample(&mut out);
            if !out.is_empty() && sender.send(out).is_err() {
                return;
            }
            while Instant::now() < due && !stop.load(Ordering::Relaxed) {
                thread::park_timeout(due.saturating_duration_since(Instant::now()));
            }
        }
    });
    handle.thread().clone()
}

/// What a slow source delivered since the last tick counts at this tick: times must not go back.
fn merge(out: &mut Observation, late: Observation) {
    let facts: BTreeMap<Fact, f64> = late.facts;
    for (fact, v) in facts {
        out.known(fact, v);
    }
    for (fact, why) in late.unknown {
        if !out.facts.contains_key(&fact) {
            out.unknown.insert(fact, why);
        }
    }
    out.artifacts.extend(late.artifacts);
    out.note = late.note.or(out.note.take());
}
