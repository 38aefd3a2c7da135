//! One climb: what is due for one process at one level, done on a thread of its own so that sampling goes on.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_core::agent::brake::{self, Choice, Held, Means, Scene, Version, Works};
use plimsoll_core::agent::hold::Request;
use plimsoll_core::agent::{Event, Level, Mode, Rules, What, is_covered, rungs};
use plimsoll_core::calibration::Calibration;
use plimsoll_core::clock::Clock;
use plimsoll_core::plan;
use plimsoll_core::preflight;
use plimsoll_core::recording::Recording;
use plimsoll_core::target::{RuntimeKind, Target};
use serde_json::json;

use super::brake::Brakes;
use crate::capture::{self, CaptureError, Folder, Order, chain, place};
use crate::fault;
use crate::identify;
use crate::sampler::Sampler;
use crate::source::room::{FOR_A_COMMAND, Room};
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
    pub(super) brakes: Arc<Brakes>,
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

    /// Takes a brake off and says so; why it stays on, while usage is above the old limit.
    pub(super) fn release(&self, workload: &str, held: &Held) -> Result<(), String> {
        fault::point("restore");
        self.brakes.take_off(held)?;
        fault::point("restored");
        let event = self.event(workload, What::Restored, held.end());
        self.write(Event { brake: Some(held.clone()), ..event });
        Ok(())
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
    /// What captures cost on this machine.
    pub(super) here: Arc<Calibration>,
    pub(super) workload: String,
    pub(super) level: Level,
    pub(super) target: Target,
    pub(super) clock: Clock,
    /// Whether there is so little time that some is bought before anything else.
    pub(super) buy_first: bool,
    pub(super) stop: Arc<AtomicBool>,
    /// The planned restart that waits for it: then rules that only observe do not hold it up.
    pub(super) request: Option<Request>,
    pub(super) braking: Mutex<Braking>,
    /// The artifact that is being taken.
    pub(super) taking: Mutex<Option<String>>,
}

/// Whether time was bought, by the climb or while it was under way.
#[derive(Default)]
pub(super) enum Braking {
    #[default]
    NotYet,
    On(On),
    /// The climb has ended: nothing is put on any more.
    Over,
}

/// A brake that is on.
#[derive(Clone)]
pub(super) struct On {
    held: Held,
    version: Version,
}

impl Climb {
    pub(super) fn run(&self) {
        if self.request.is_some() {
            self.capture();
            self.say(What::Answered, format!("all that could be taken of pid {} is taken", self.target.pid));
        } else if self.rules.mode == Mode::Observe {
            self.say(What::Refused, self.would());
        } else if self.level == Level::Armed {
            self.arm();
        } else {
            self.capture();
        }
    }

    /// What would be done if the rules allowed it.
    fn would(&self) -> String {
        let pid = self.target.pid;
        if self.level == Level::Armed {
            return format!("pid {pid} would be prepared; the rules only observe");
        }
        let ids = rungs(self.level, self.target.runtime);
        let ids = ids.iter().filter(|id| capture::is_taken(&self.target, id)).copied();
        let brake = match self.choose() {
            None => String::new(),
            Some(Ok((Choice { held: Some(held), .. }, _))) => {
                format!(", with a brake where time is short ({})", held.words())
            }
            Some(Ok((choice, _))) => format!(", without a brake, as none fits ({})", choice.reasons()),
            Some(Err(why)) => format!(", without a brake ({why})"),
        };
        let ids = ids.collect::<Vec<_>>().join(", ");
        format!("pid {pid} would be captured: {ids}{brake}; the rules only observe")
    }

    fn say(&self, what: What, text: impl Into<String>) -> bool {
        self.journal.write(self.event(what, text))
    }

    fn event(&self, what: What, text: impl Into<String>) -> Event {
        let request = self.request.as_ref().map(|r| r.id.clone());
        Event { request, ..self.journal.event(&self.workload, what, text) }
    }

    /// Prepares what would cost time later.
    fn arm(&self) {
        let pid = self.target.pid;
        if self.target.runtime != RuntimeKind::Jvm {
            self.say(What::Armed, format!("pid {pid} is watched closely"));
            return;
        }
        let mut room = Room::of(&self.world, &self.target);
        if let Some(why) = room.refuses(self.journal.now(), FOR_A_COMMAND) {
            self.say(What::Failed, format!("the JVM {pid} cannot be prepared: {why}"));
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

    /// One look, for what an artifact would cost; none when the process is not that one any more.
    fn look(&self) -> Option<Recording> {
        let mut r = Recording::new(self.target.clone());
        if let Ok(mut sampler) = Sampler::open(&self.world, self.target.pid, Duration::from_millis(100)) {
            r.target = sampler.target().clone();
            sampler.next(&self.stop).into_iter().for_each(|o| r.add(o));
        }
        if identify::is_same(&self.world, &self.target) {
            return Some(r);
        }
        self.say(What::Failed, format!("pid {} has ended: nothing is taken", self.target.pid));
        None
    }

    fn capture(&self) {
        if self.buy_first {
            self.hurry();
        }
        if let Some(recording) = self.look() {
            self.take_all(&recording);
        }
        let braking = std::mem::replace(&mut *self.braking(), Braking::Over);
        if let Braking::On(on) = braking
            && on.held.means.hurts()
        {
            let _later = self.journal.release(&self.workload, &on.held);
        }
        // A limit that is raised stays for its time: without it what comes after the capture is the kill.
    }

    fn braking(&self) -> MutexGuard<'_, Braking> {
        self.braking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The brake that is on.
    fn on(&self) -> Option<On> {
        if let Braking::On(on) = &*self.braking() { Some(on.clone()) } else { None }
    }

    /// The brake that is on, or one that is put on now, and whether it is new.
    fn on_or_put_on(&self) -> Result<(On, bool), String> {
        let mut braking = self.braking();
        if let Braking::On(on) = &*braking {
            return Ok((on.clone(), false));
        }
        let on = self.brake()?;
        *braking = Braking::On(on.clone());
        Ok((on, true))
    }

    /// Buys time where every moment counts: before the first look, or while something is taken.
    pub(super) fn hurry(&self) {
        if self.rules.brake.is_none() {
            return;
        }
        let mut braking = self.braking();
        if matches!(*braking, Braking::NotYet) {
            *braking = match self.brake() {
                Ok(on) => Braking::On(on),
                Err(why) => {
                    self.say(What::Failed, format!("no time could be bought: {why}"));
                    Braking::Over
                }
            };
        }
    }

    fn take_all(&self, recording: &Recording) {
        let runtime = recording.target.runtime;
        let all = match &self.request {
            Some(request) => request.ids(runtime),
            None => rungs(self.level, runtime).iter().map(|id| (*id).to_owned()).collect(),
        };
        let ids = match self.on() {
            Some(on) => brake::rungs_under(on.held.means, on.version, runtime, all),
            None => all,
        };
        let mut taken: Vec<&str> = Vec::new();
        for id in &ids {
            let id = id.as_str();
            if !capture::is_taken(&recording.target, id) || is_covered(runtime, id, &taken) {
                continue;
            }
            match self.admit(recording, id) {
                Ok(()) => {
                    *self.taking.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
                    if self.take(recording, id) {
                        taken.push(id);
                    }
                    *self.taking.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                Err(why) => {
                    self.say(What::Refused, format!("{id} of pid {} is not taken: {why}", self.target.pid));
                }
            }
        }
        if taken.is_empty() && runtime != RuntimeKind::Native {
            // Better the mappings than nothing: they cost the target no memory.
            self.take(recording, "smaps");
        }
    }

    /// Whether an artifact may be taken, after time was bought where that helps.
    fn admit(&self, r: &Recording, id: &str) -> Result<(), String> {
        let place = place::of(&self.journal.captures()).map_err(|e| e.to_string())?;
        let places = place::with_inside(place, &self.world, self.target.pid);
        let cost = plan::cost(r, id, &self.here).unwrap_or_else(|| Err("its cost is unknown".to_owned()))?;
        // The limit may have been changed since the clock was read.
        let checks = preflight::checks(&cost, &self.clock.as_of(r), r, &places, None);
        let failed = checks.iter().find(|c| c.ok == Some(false));
        let unsure = checks.iter().find(|c| c.ok.is_none() && cost.memory > 0.0);
        let Some(check) = failed.or(unsure) else { return Ok(()) };
        let why = match &check.lever {
            Some(lever) => format!("{}: {lever}", check.text),
            None => check.text.clone(),
        };
        if check.term != preflight::Term::Memory {
            return Err(why);
        }
        let (on, new) = self.on_or_put_on().map_err(|e| format!("{why} ({e})"))?;
        let missing = check.needed.unwrap_or(0.0) - check.have.unwrap_or(0.0);
        match (on.held.means, on.version) {
            // What was bought before the look is in it already.
            (Means::Raise, _) if new && missing <= on.held.gained => Ok(()),
            (Means::Raise, _) => Err(format!("{why}, and the raised limit is not enough")),
            // Nobody is killed at the limit: at worst there is no answer.
            (Means::Park, Version::One) => Ok(()),
            _ => match brake::works(on.held.means, on.version, r.target.runtime, id) {
                Works::No(but) => Err(format!("{why}; {but}")),
                Works::Yes | Works::Perhaps(_) => Err(why),
            },
        }
    }

    /// What fits, by what is found on the machine; none without a brake in the rules.
    fn choose(&self) -> Option<Result<(Choice, Scene), String>> {
        let rule = self.rules.brake.as_ref()?;
        let runtime = self.target.runtime;
        Some(self.journal.brakes.scene(&self.world, self.target.pid).map(|scene| {
            let ids = rungs(self.level, runtime);
            (brake::choose(rule, &scene, runtime, ids, self.journal.now()), scene)
        }))
    }

    /// Puts a brake on; the log has it before.
    fn brake(&self) -> Result<On, String> {
        let (choice, scene) = self.choose().ok_or("the rules allow no brake")??;
        let reasons = choice.reasons();
        let held = choice.held.ok_or_else(|| reasons.clone())?;
        let taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(id) = taking
            && let Works::No(why) = brake::works(held.means, scene.version, self.target.runtime, &id)
        {
            return Err(format!("{id} is being taken, and under {} {why}", held.means.name()));
        }
        let also = if reasons.is_empty() { String::new() } else { format!(" (not {reasons})") };
        let event = self.event(What::Braked, format!("{}{also}", held.words()));
        if !self.journal.write(Event { brake: Some(held.clone()), ..event }) {
            return Err("it could not be written down".to_owned());
        }
        fault::point("brake-written");
        self.journal.brakes.put_on(&self.world, &held, self.journal.now()).inspect_err(|why| {
            let text = format!("it was not put on: {why}");
            let event = self.event(What::Restored, text);
            self.journal.write(Event { brake: Some(held.clone()), ..event });
        })?;
        fault::point("braked");
        Ok(On { held, version: scene.version })
    }

    /// Takes one artifact into a folder of the store.
    fn take(&self, r: &Recording, id: &str) -> bool {
        let now = self.journal.now();
        // To the millisecond: the log names the folder before it is made, so no other may have the name.
        let name = format!("{now:.3}-{}-{}-{id}", plain(&self.target.name), self.target.pid);
        let level = Some(self.level);
        let begin = Event {
            level,
            folder: Some(name.clone()),
            ..self.event(What::Began, format!("{id} of pid {}", self.target.pid))
        };
        if !self.journal.write(begin) {
            return false;
        }
        fault::point("capture-written");
        let failed = |why: String| {
            let event = self.event(What::Failed, why);
            self.journal.write(Event { folder: Some(name.clone()), ..event });
            false
        };
        let mut folder = match Folder::make(&self.journal.captures(), &name) {
            Ok(folder) => folder,
            Err(e) => return failed(chain(&e)),
        };
        fault::point("folder-made");
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
        fault::point("closed");
        let (text, whole) = self.outcome(id, &took, &folder);
        let event = self.event(What::Stored, text);
        self.journal.write(Event { level, folder: Some(name), whole: Some(whole), ..event });
        fault::point("stored-written");
        whole
    }

    /// What became of an artifact of which something came, in words, and whether it is whole.
    fn outcome(&self, id: &str, took: &Result<(), CaptureError>, folder: &Folder) -> (String, bool) {
        let what = format!("{id} of pid {}", self.target.pid);
        let path = folder.path().display();
        let cut = folder.pieces.iter().find_map(|p| p.cut.clone());
        match (took, cut) {
            (_, Some(cut)) if took.is_ok() => (format!("{what} is stored, cut ({cut}): {path}"), false),
            (Ok(()), _) => (format!("{what} is stored: plimsoll read {path}"), true),
            (Err(e @ CaptureError::Alone(_)), None) => {
                (format!("{what} is stored ({e}): plimsoll read {path}"), true)
            }
            (Err(e), _) => (format!("a part of {what} is stored ({}): {path}", chain(e)), false),
        }
    }
}

/// A name that is safe as a part of a file's.
pub(super) fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    name.chars().map(plain).take(32).collect()
}
