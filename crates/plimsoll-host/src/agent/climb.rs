//! One climb: what is due for one process at one level, done on a thread of its own so that sampling goes on.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_core::agent::{Event, Level, LimitChange, Mode, Rules, What, is_covered, rungs};
use plimsoll_core::clock::Clock;
use plimsoll_core::plan;
use plimsoll_core::preflight;
use plimsoll_core::recording::Recording;
use plimsoll_core::target::{RuntimeKind, Target};
use serde_json::json;

use super::brake;
use crate::capture::{self, Folder, Order, place};
use crate::sampler::Sampler;
use crate::source::cgroup::Group;
use crate::step::jvm_attach;
use crate::store::Store;
use crate::world::{Clock as Time, World};

/// How long a JVM may take to answer when it is warmed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between the two of a pair, and how long a sampling profile samples.
const WINDOW: Duration = Duration::from_secs(2);

/// Where events go: to the disk first, then to whoever listens.
#[derive(Clone)]
pub(super) struct Journal {
    pub(super) store: Arc<Mutex<Store>>,
    pub(super) tell: Sender<Event>,
    pub(super) time: Time,
}

impl Journal {
    pub(super) fn now(&self) -> f64 {
        self.time.now()
    }

    pub(super) fn event(&self, workload: &str, what: What, text: impl Into<String>) -> Event {
        Event::new(self.now(), workload, what, text)
    }

    /// Writes an event; false when the disk did not take it. Then what it announces must not be done.
    pub(super) fn write(&self, event: Event) -> bool {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let written = store.log.write(&event);
        let lost = written.as_ref().err().map(|e| format!("{} (not written down: {e})", event.text));
        // Who listens may have gone; the log has it.
        let _unheard = self.tell.send(match lost {
            Some(text) => Event { text, ..event },
            None => event,
        });
        written.is_ok()
    }

    fn captures(&self) -> PathBuf {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).captures()
    }
}

/// What is to be done.
pub(super) struct Climb {
    pub(super) world: World,
    pub(super) journal: Journal,
    pub(super) rules: Rules,
    pub(super) workload: String,
    pub(super) level: Level,
    pub(super) target: Target,
    pub(super) clock: Clock,
    /// Whether there is so little time that some is bought before anything else.
    pub(super) buy_first: bool,
    pub(super) stop: Arc<AtomicBool>,
}

impl Climb {
    pub(super) fn run(self) {
        if self.rules.mode == Mode::Observe {
            let would = match self.level {
                Level::Armed => "prepared".to_owned(),
                level => format!("captured: {}", rungs(level, self.target.runtime).join(", ")),
            };
            self.say(
                What::Refused,
                format!("pid {} would be {would}; the rules only observe", self.target.pid),
            );
        } else if self.level == Level::Armed {
            self.arm();
        } else {
            self.capture();
        }
    }

    fn say(&self, what: What, text: impl Into<String>) -> bool {
        self.journal.write(self.journal.event(&self.workload, what, text))
    }

    /// Prepares what would cost time later.
    fn arm(&self) {
        let pid = self.target.pid;
        if self.target.runtime != RuntimeKind::Jvm {
            self.say(What::Armed, format!("pid {pid} is watched closely"));
            return;
        }
        match jvm_attach::jcmd(&self.world, pid, "VM.version", PATIENCE) {
            Ok(_) => self.say(What::Armed, format!("the JVM {pid} answers: a dump can begin at once")),
            Err(e) => self.say(What::Failed, format!("the JVM {pid} cannot be prepared: {e}")),
        };
        if self.rules.arm_net {
            let flag = ("HeapDumpOnOutOfMemoryError", "true");
            match jvm_attach::set_flag(&self.world, pid, flag, PATIENCE) {
                Ok(()) => self.say(What::Armed, format!("the JVM {pid} will dump its heap when it is full")),
                Err(e) => self.say(What::Failed, format!("the net of JVM {pid} cannot be armed: {e}")),
            };
        }
    }

    /// One look, for what an artifact would cost.
    fn look(&self) -> Recording {
        let mut r = Recording::new(self.target.clone());
        if let Ok(mut sampler) = Sampler::open(&self.world, self.target.pid, Duration::from_millis(100)) {
            r.target = sampler.target().clone();
            sampler.next(&self.stop).into_iter().for_each(|o| r.add(o));
        }
        r
    }

    fn capture(&self) {
        let mut raised = self.buy();
        let recording = self.look();
        let mut taken = Vec::new();
        for id in rungs(self.level, self.target.runtime) {
            let runtime = recording.target.runtime;
            if !capture::is_taken(&recording.target, id) || is_covered(runtime, id, &taken) {
                continue;
            }
            match self.admit(&recording, id, &mut raised) {
                Ok(()) if self.take(&recording, id) => taken.push(*id),
                Ok(()) => {}
                Err(why) => {
                    self.say(What::Refused, format!("{id} of pid {} is not taken: {why}", self.target.pid));
                }
            }
        }
        if taken.is_empty() && recording.target.runtime != RuntimeKind::Native {
            // Better the mappings than nothing: they cost the target no memory.
            self.take(&recording, "smaps");
        }
        if let Some(change) = raised {
            self.restore(&change);
        }
    }

    /// Buys time before the first look, where every moment counts.
    fn buy(&self) -> Option<LimitChange> {
        if !self.buy_first || self.rules.brake.is_none() {
            return None;
        }
        match self.raise() {
            Ok(change) => Some(change),
            Err(why) => {
                self.say(What::Failed, format!("no time could be bought: {why}"));
                None
            }
        }
    }

    /// Whether an artifact may be taken, after time was bought where that helps.
    fn admit(&self, r: &Recording, id: &str, raised: &mut Option<LimitChange>) -> Result<(), String> {
        let place = place::of(&self.journal.captures()).map_err(|e| e.to_string())?;
        let cost = plan::cost(r, id).unwrap_or_else(|| Err("its cost is unknown".to_owned()))?;
        let checks = preflight::checks(&cost, &self.clock, r, &place, None);
        let failed = checks.iter().find(|c| c.ok == Some(false));
        let unsure = checks.iter().find(|c| c.ok.is_none() && cost.memory > 0.0);
        let Some(check) = failed.or(unsure) else { return Ok(()) };
        let buys = check.term == preflight::Term::Memory && raised.is_none();
        let why = match &check.lever {
            Some(lever) => format!("{}: {lever}", check.text),
            None => check.text.clone(),
        };
        if !buys {
            return Err(why);
        }
        let change = self.raise().map_err(|e| format!("{why} ({e})"))?;
        let gained = (change.to - change.from) as f64;
        *raised = Some(change);
        // The clock is of the old limit: what was bought comes on top of it.
        let missing = check.needed.unwrap_or(0.0) - check.have.unwrap_or(0.0);
        if missing <= gained { Ok(()) } else { Err(format!("{why}, and the raised limit is not enough")) }
    }

    /// Raises the limit of the group that binds; the log has it before.
    fn raise(&self) -> Result<LimitChange, String> {
        let brake = self.rules.brake.as_ref().ok_or("the rules allow no brake")?;
        let group = Group::of(&self.world, self.target.pid)?.binding(None).1;
        let change = brake::change(&group, brake, self.journal.now())?;
        let text =
            format!("the limit of {} is raised from {} to {} bytes", group.shown(), change.from, change.to);
        let event = self.journal.event(&self.workload, What::Raised, text);
        if !self.journal.write(Event { limit: Some(change.clone()), ..event }) {
            return Err("it could not be written down".to_owned());
        }
        brake::raise(&change).map_err(|e| {
            let event = self.journal.event(&self.workload, What::Restored, format!("it was not raised: {e}"));
            self.journal.write(Event { limit: Some(change.clone()), ..event });
            e.to_string()
        })?;
        Ok(change)
    }

    /// Sets it back when usage allows; else the agent does it later.
    fn restore(&self, change: &LimitChange) {
        if brake::restore(change).is_ok() {
            let event = self.journal.event(&self.workload, What::Restored, "the limit is as it was");
            self.journal.write(Event { limit: Some(change.clone()), ..event });
        }
    }

    /// Takes one artifact into a folder of the store.
    fn take(&self, r: &Recording, id: &str) -> bool {
        let now = self.journal.now();
        let name = format!("{now:.0}-{}-{}-{id}", plain(&self.target.name), self.target.pid);
        let path = self.journal.captures().join(&name);
        let level = Some(self.level);
        let begin = Event {
            level,
            folder: Some(name.clone()),
            ..self.journal.event(&self.workload, What::Began, format!("{id} of pid {}", self.target.pid))
        };
        if !self.journal.write(begin) {
            return false;
        }
        let failed = |why: String| {
            let event = self.journal.event(&self.workload, What::Failed, why);
            self.journal.write(Event { folder: Some(name.clone()), ..event });
            false
        };
        let mut folder = match Folder::make(&self.journal.captures(), &name) {
            Ok(folder) => folder,
            Err(e) => return failed(chain(&e)),
        };
        let order = Order { world: &self.world, target: &r.target, id, window: WINDOW, stop: &self.stop };
        let took = capture::take(&order, &mut folder);
        if folder.pieces.is_empty() {
            folder.discard_if_empty();
            let why = took.err().map_or_else(|| "nothing came".to_owned(), |e| chain(&e));
            return failed(format!("{id} of pid {}: {why}", self.target.pid));
        }
        let head = json!({
            "apiVersion": plimsoll_core::recording::API_VERSION,
            "kind": "CaptureResult",
            "takenSeconds": now,
            "artifact": id,
            "workload": self.workload,
            "target": r.target,
            "level": self.level.name(),
            "failed": took.as_ref().err().map(|e| chain(e)),
        });
        if let Err(e) = folder.close(head) {
            return failed(chain(&e));
        }
        let cut = folder.pieces.iter().find_map(|p| p.cut.clone());
        let text = match (&took, cut) {
            (Ok(()), None) => {
                format!("{id} of pid {} is stored: plimsoll read {}", self.target.pid, path.display())
            }
            (Err(e), _) => format!(
                "a part of {id} of pid {} is stored ({}): {}",
                self.target.pid,
                chain(e),
                path.display()
            ),
            (_, Some(cut)) => {
                format!("{id} of pid {} is stored, cut ({cut}): {}", self.target.pid, path.display())
            }
        };
        let event = self.journal.event(&self.workload, What::Stored, text);
        self.journal.write(Event { level, folder: Some(name), ..event });
        took.is_ok()
    }
}

/// A name that is safe as a part of a file's.
pub(super) fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    name.chars().map(plain).take(32).collect()
}

/// An error with its causes.
fn chain(e: &dyn std::error::Error) -> String {
    let mut out = e.to_string();
    let mut next = e.source();
    while let Some(cause) = next {
        out.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    out
}
