//! The sampling loop of one process: a steady grid of ticks, cheap sources on it, slow ones beside it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;

use crate::identify::{self, IdentifyError, Life};
use crate::source::cgroup::Group;
use crate::source::{Pace, SOURCES, Source, SourceKind, kernel_log, note};
use crate::world::{Clock, Jumps, World};

/// How long one wait may last before the stop flag is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// A slow source is called silent after this many of its pauses, and not before [`PATIENCE`].
const PAUSES: u32 = 3;
/// A slow source may take this long to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a slow source said, with its place in [`Sampler::beside`].
type Late = (usize, Observation);

/// A slow source on its own thread.
struct Beside {
    name: &'static str,
    facts: &'static [Fact],
    thread: Thread,
    patience: Duration,
    answered: Instant,
    told: bool,
}

impl Beside {
    /// Says once per silence that nothing has come for long.
    fn silence(&mut self, out: &mut Observation) {
        if self.told || self.answered.elapsed() < self.patience {
            return;
        }
        self.told = true;
        let why = format!("{} has not answered for {} s", self.name, self.answered.elapsed().as_secs());
        for fact in self.facts {
            out.put(*fact, Reading::unknown(why.clone()));
        }
        note(out, why);
    }
}

/// Samples one process.
pub struct Sampler {
    world: World,
    target: Target,
    life: Life,
    clock: Clock,
    sources: Vec<Box<dyn Source>>,
    slow: Receiver<Late>,
    /// Keeps the channel open when no slow source is.
    _sender: Sender<Late>,
    stop_slow: Arc<AtomicBool>,
    beside: Vec<Beside>,
    every: Duration,
    next: Instant,
    jumps: Jumps,
    program: Option<PathBuf>,
    group: Option<Group>,
    oom_kills: Option<f64>,
    ended: bool,
}

impl Sampler {
    /// Opens every source that applies to the process. The first tick is due at once.
    pub fn open(world: &World, pid: i32, every: Duration) -> Result<Sampler, IdentifyError> {
        Self::choosing(world, pid, every, &|kind| Some(kind.pace))
    }

    /// The same with some of the sources only, each at the pace that `choose` gives it.
    ///
    /// # Errors
    /// As [`Sampler::open`].
    pub(crate) fn choosing(
        world: &World,
        pid: i32,
        every: Duration,
        choose: &dyn Fn(&SourceKind) -> Option<Pace>,
    ) -> Result<Sampler, IdentifyError> {
        let target = identify::identify(world, pid)?;
        let life = identify::life(world, pid)
            .map_err(|source| IdentifyError::Read { pid, source })?
            .ok_or(IdentifyError::Absent(pid))?;
        let group = Group::of(world, pid).ok();
        let clock = Clock::start();
        let (sender, slow) = channel();
        let stop_slow = Arc::new(AtomicBool::new(false));
        let (mut sources, mut beside) = (Vec::new(), Vec::new());
        for kind in SOURCES {
            let Some(pace) = choose(kind) else { continue };
            let Some(source) = (kind.open)(world, &target) else { continue };
            match pace {
                Pace::EveryTick => sources.push(source),
                Pace::Slow(pause) => {
                    let (at, sender, stop) = (beside.len(), sender.clone(), Arc::clone(&stop_slow));
                    let say = move |o| sender.send((at, o)).is_ok();
                    beside.push(Beside {
                        name: kind.name,
                        facts: kind.facts,
                        thread: run_beside(source, pause, clock, say, stop),
                        patience: (pause * PAUSES).max(PATIENCE),
                        answered: Instant::now(),
                        told: false,
                    });
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
            beside,
            every: every.max(Duration::from_millis(10)),
            next: Instant::now(),
            jumps: Jumps::since(&clock),
            program: identify::program(world, pid),
            oom_kills: group.as_ref().and_then(Group::oom_kills),
            group,
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

    fn tick(&mut self, late: Vec<Late>) -> Observation {
        let mut out = Observation::at(self.clock.now());
        if let Some(end) = self.end() {
            self.ended = true;
            out.ended = Some(end);
            return out;
        }
        for source in &mut self.sources {
            source.sample(&mut out);
        }
        for (at, o) in late {
            if let Some(source) = self.beside.get_mut(at) {
                (source.answered, source.told) = (Instant::now(), false);
            }
            merge(&mut out, o);
        }
        self.beside.iter_mut().for_each(|source| source.silence(&mut out));
        self.oom_kills = self.group.as_ref().and_then(Group::oom_kills).or(self.oom_kills);
        self.exec(&mut out);
        if let Some(text) = self.jumps.news(&self.clock) {
            note(&mut out, text);
        }
        out
    }

    /// A process may become another program (a shell that ends in `exec java`): what was recognised is void.
    fn exec(&mut self, out: &mut Observation) {
        let now = identify::program(&self.world, self.target.pid);
        let (Some(before), Some(after)) = (&self.program, &now) else { return };
        if before != after {
            let (before, after) = (before.display(), after.display());
            note(
                out,
                format!("the process ran {before} and runs {after} now: watch it anew to have it recognised"),
            );
            self.program = now;
        }
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
        Some(self.kernel_said().unwrap_or_else(|| gone.to_owned()))
    }

    /// Who the kernel killed, by its own word where the log may be read. The group's counter does not name
    /// the victim: a count that rose since the last tick is a sign, not a proof.
    fn kernel_said(&self) -> Option<String> {
        let started = identify::seconds(self.life.start_ticks);
        if let Some(kill) = kernel_log::kill_of(&self.world, self.target.pid, started) {
            return Some(format!("killed for want of memory: {}", kernel_log::sentence(&kill)));
        }
        let (now, then) = self.group.as_ref().and_then(Group::oom_kills).zip(self.oom_kills)?;
        (now > then).then(|| {
            "the process ended, probably killed by the kernel: its control group counted an OOM kill at that time"
                .to_owned()
        })
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop_slow.store(true, Ordering::Relaxed);
        self.beside.iter().for_each(|b| b.thread.unpark());
    }
}

/// Runs a slow source on a thread of its own until the sampler is dropped. The thread is not joined: a read
/// that hangs must not hang the user.
fn run_beside(
    mut source: Box<dyn Source>,
    pause: Duration,
    clock: Clock,
    say: impl Fn(Observation) -> bool + Send + 'static,
    stop: Arc<AtomicBool>,
) -> Thread {
    let handle = thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let due = Instant::now() + pause;
            let mut out = Observation::at(clock.now());
            source.sample(&mut out);
            if !say(out) {
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
    out.learned.extend(late.learned);
    if let Some(text) = late.note {
        note(out, text);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn source(patience: Duration) -> Beside {
        Beside {
            name: "a port",
            facts: &[Fact::GoLive],
            thread: thread::current(),
            patience,
            answered: Instant::now(),
            told: false,
        }
    }

    #[test]
    fn a_silent_source_is_told_once_and_its_facts_are_unknown() {
        let mut out = Observation::at(1.0);
        source(Duration::from_secs(60)).silence(&mut out);
        assert!(out.is_empty());
        let mut silent = source(Duration::ZERO);
        silent.silence(&mut out);
        assert!(out.unknown[&Fact::GoLive].contains("a port has not answered"));
        assert!(out.note.take().is_some());
        silent.silence(&mut out);
        assert_eq!(out.note, None);
    }

    #[test]
    fn late_words_lose_nothing() {
        let mut out = Observation::at(2.0);
        note(&mut out, "first");
        let mut late = Observation::at(1.0);
        late.known(Fact::GoLive, 5.0);
        late.learned.push("gc=G1".to_owned());
        note(&mut late, "second");
        merge(&mut out, late);
        assert_eq!((out.t, out.facts[&Fact::GoLive]), (2.0, 5.0));
        assert_eq!((out.note.as_deref(), out.learned.len()), (Some("first; second"), 1));
    }

    /// A child of our own that sleeps; killed when dropped.
    struct Child(std::process::Child);

    impl Child {
        fn sleeping() -> Child {
            Child(Command::new("sleep").arg("60").spawn().expect("sleep runs"))
        }

        fn pid(&self) -> i32 {
            self.0.id().cast_signed()
        }
    }

    impl Drop for Child {
        fn drop(&mut self) {
            let _gone = self.0.kill();
            let _reaped = self.0.wait();
        }
    }

    #[test]
    fn a_child_is_sampled_on_a_steady_grid_until_its_end() {
        let mut child = Child::sleeping();
        let every = Duration::from_millis(50);
        let mut sampler = Sampler::open(&World::default(), child.pid(), every).expect("alive");
        let grid = sampler.next;
        let times: Vec<f64> = (0..5)
            .map(|_| {
                let o = sampler.next(&NEVER).expect("a tick");
                assert!(o.facts[&Fact::Rss] > 0.0);
                o.t
            })
            .collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        let off = sampler.next.duration_since(grid).as_nanos() % every.as_nanos();
        assert_eq!(off, 0, "a tick moved the grid");
        child.0.kill().expect("killed");
        let end = std::iter::from_fn(|| sampler.next(&NEVER)).find_map(|o| o.ended).expect("an end");
        assert_eq!(end, "the process ended");
        assert!(sampler.next(&NEVER).is_none(), "the end is told once");
    }

    #[test]
    fn a_process_that_becomes_another_program_is_told() {
        let mut child = Command::new("sh");
        let mut child = Child(
            child.args(["-c", "read line; exec sleep 60"]).stdin(Stdio::piped()).spawn().expect("runs"),
        );
        let mut sampler =
            Sampler::open(&World::default(), child.pid(), Duration::from_millis(20)).expect("alive");
        let first = sampler.next(&NEVER).expect("a tick").note.unwrap_or_default();
        assert!(!first.contains("runs"), "{first}");
        writeln!(child.0.stdin.as_mut().expect("piped"), "go").expect("told");
        let end = Instant::now() + Duration::from_secs(20);
        let told = std::iter::from_fn(|| sampler.next(&NEVER).filter(|_| Instant::now() < end))
            .find_map(|o| o.note.filter(|n| n.contains("watch it anew")));
        assert!(told.is_some_and(|n| n.contains("sleep now")), "not told");
    }

    #[test]
    fn a_stop_ends_a_long_wait_soon() {
        let child = Child::sleeping();
        let mut sampler =
            Sampler::open(&World::default(), child.pid(), Duration::from_secs(60)).expect("alive");
        assert!(sampler.next(&NEVER).is_some(), "the first tick is due at once");
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let began = Instant::now();
        let setter = thread::spawn(move || flag.store(true, Ordering::Relaxed));
        assert!(sampler.next(&stop).is_none());
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        setter.join().expect("joined");
        drop(sampler);
        assert!(began.elapsed() < Duration::from_secs(5), "dropping hangs");
    }
}
