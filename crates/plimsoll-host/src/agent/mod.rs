//! The agent: samples everything, keeps the clock of every group with a limit, and climbs the ladder as clocks run
//! down. Every act is in the log before it is done.
//!
//! One thread samples and decides, one watches the tripwires, and one at a time climbs: so there is never more than one
//! capture on a machine.

mod alerts;
mod brake;
mod chronicle;
mod climb;
pub mod hold;
mod inner;
mod outlook;
mod profiles;
mod tripwire;
mod upload;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plimsoll_core::agent::{
    About, Danger, Event, Level, Mode, Open, Past, Rules, What, brake::Held, heavy_seconds, level,
};
use plimsoll_core::calibration::Calibration;
use plimsoll_core::death::Workload;
use plimsoll_core::incident::fingerprint;
use plimsoll_core::judge::{Judgement, judge};
use plimsoll_core::recording::Recording;
use plimsoll_core::target::{RuntimeKind, Target};
use plimsoll_core::units::bytes;
use plimsoll_read::kernel_log::OomKill;

use crate::capture;
use crate::fleet::{Fleet, Limited};
use crate::identify;
use crate::source::kernel_log::{self, Kills};
use crate::store::{Store, StoreError};
use crate::world::{self, Clock as Time, Jumps, World};
use alerts::Heard;
use chronicle::Chronicle;
use climb::{Climb, Journal};
use inner::Inner;
pub use outlook::{Forecast, Row};
use profiles::Profiles;
use tripwire::{Trip, Tripwire, Wire};
use upload::Uploads;

/// Seconds between two judgements of one workload that is not near its end.
const JUDGE_EVERY: f64 = 30.0;
/// Growth that is worth a judgement, as a share of the limit.
const GREW: f64 = 0.01;
/// Looks in a row that must be calmer before a level is left.
const CALMER: u32 = 3;
/// Longest wait before a stop or the end of a climb is noticed.
const GLANCE: Duration = Duration::from_millis(100);
/// Between the two looks that tell how fast a group burns that has tripped.
const BURST: Duration = Duration::from_millis(30);
/// Between two looks for new processes: a fast one is born and dead between two ticks.
const NEW: Duration = Duration::from_secs(1);
/// Age, seconds, from which a process has set itself up so far that it can be prepared.
const GROWN_UP: f64 = 3.0;
/// Age, seconds, up to which a process may still become another program, and how long it is known afterwards.
const YOUNG: f64 = 60.0;
const KNOWN_FOR: f64 = 300.0;
/// Newcomers that wait to be prepared.
const WAITING: usize = 1000;
/// Seconds to the limit below which time is bought before anything else.
const BUY_BELOW: f64 = 10.0;
/// Seconds between two looks at what may be removed.
const CHORES: f64 = 30.0;

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The store.
    #[error("failed to open the store")]
    Store(#[source] StoreError),
    /// A thread.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
    /// The series in the store.
    #[error("failed to keep series in the store")]
    Series(#[source] std::io::Error),
}

/// Who a process is, for a while.
struct Known {
    start: u64,
    until: f64,
    target: Target,
}

/// One workload while it is watched.
#[derive(Debug, Clone)]
struct Watched {
    level: Level,
    calmer: u32,
    judged: f64,
    forecast: Option<Forecast>,
    /// What it was found to be last.
    found: Option<String>,
}

/// A climb that is under way.
struct Climbing {
    climb: Arc<Climb>,
    thread: JoinHandle<()>,
}

/// The agent.
pub struct Agent {
    world: World,
    rules: Rules,
    here: Arc<Calibration>,
    fleet: Fleet,
    chronicle: Chronicle,
    inner: Inner,
    uploads: Option<Uploads>,
    profiles: Profiles,
    journal: Journal,
    events: Receiver<Event>,
    news: Vec<Event>,
    tripwire: Tripwire,
    kills: Kills,
    open: Open,
    watched: BTreeMap<String, Watched>,
    rows: Vec<Row>,
    known: BTreeMap<i32, Known>,
    climbing: Option<Climbing>,
    arming: Option<JoinHandle<()>>,
    /// Processes that were seen newly and are to be prepared when they are old enough.
    newcomers: VecDeque<i32>,
    looked_for_new: Instant,
    climb_stop: Arc<AtomicBool>,
    chores_at: f64,
    looks: u64,
    heard: Heard,
    jumps: Jumps,
}

impl Agent {
    /// Opens the store, and ends what an agent before left half done.
    ///
    /// # Errors
    /// When the store is another agent's, or no thread can be started.
    pub fn open(world: &World, rules: Rules, store: &Path) -> Result<Agent, AgentError> {
        let folder = store;
        let (store, open) = Store::open(folder).map_err(AgentError::Store)?;
        let (tell, events) = channel();
        let mut fleet = Fleet::open(world).rescanning_always();
        let journal =
            Journal { store: Arc::new(Mutex::new(store)), tell, time: Time::start(), brakes: Arc::default() };
        let jumps = Jumps::since(&journal.time);
        let recalled = Chronicle::recall(&mut fleet, folder, &rules, journal.now());
        let mut agent = Agent {
            fleet,
            chronicle: Chronicle::open(folder).map_err(AgentError::Series)?,
            inner: Inner::default(),
            profiles: Profiles::of(folder),
            uploads: rules.upload.clone().map(Uploads::start).transpose().map_err(AgentError::Thread)?,
            kills: Kills::open(world),
            tripwire: Tripwire::start().map_err(AgentError::Thread)?,
            world: world.clone(),
            rules,
            here: Arc::default(),
            journal,
            events,
            news: Vec::new(),
            open,
            watched: BTreeMap::new(),
            rows: Vec::new(),
            known: BTreeMap::new(),
            climbing: None,
            arming: None,
            newcomers: VecDeque::new(),
            looked_for_new: Instant::now(),
            climb_stop: Arc::new(AtomicBool::new(false)),
            chores_at: 0.0,
            looks: 0,
            heard: Heard::default(),
            jumps,
        };
        agent.come_up(recalled);
        Ok(agent)
    }

    /// The same, with what captures cost as it was measured on this machine.
    #[must_use]
    pub fn calibrated(self, here: Calibration) -> Agent {
        Agent { here: Arc::new(here), ..self }
    }

    /// Says that it runs, and what it found open.
    fn come_up(&mut self, (known, wrong): (usize, Vec<String>)) {
        let damaged = self.store(|s| s.log.damaged);
        let also = if damaged > 0 {
            format!("; {damaged} damaged lines of its log are left out")
        } else {
            String::new()
        };
        let known =
            if known > 0 { format!("; {known} processes are known from before") } else { String::new() };
        self.write(self.journal.event(
            "agent",
            What::Agent,
            format!("up, {:?}{also}{known}", self.rules.mode).to_lowercase(),
        ));
        for wrong in wrong {
            self.write(self.journal.event("agent", What::Failed, format!("series: {wrong}")));
        }
        for (workload, folder) in std::mem::take(&mut self.open.captures) {
            let why = self.half_done(&folder);
            let event = self.journal.event(&workload, What::Failed, why);
            self.write(Event { folder: Some(folder), ..event });
        }
        if let Some(uploads) = &self.uploads {
            // What an agent before could not send.
            let captures = fs::read_dir(self.store(Store::captures)).into_iter().flatten().flatten();
            captures.for_each(|capture| uploads.add(capture.path()));
        }
        self.set_back(true);
        for (workload, level) in &self.open.incidents {
            let watched = Watched { level: *level, calmer: 0, judged: 0.0, forecast: None, found: None };
            self.watched.insert(workload.clone(), watched);
        }
    }

    /// What is left of a capture that an agent did not end: whole files stay, parts go.
    fn half_done(&self, name: &str) -> String {
        // The name is from our own log, and still must not lead out of the folder.
        let Some(name) = Path::new(name).file_name() else { return "its folder has no name".to_owned() };
        let folder = self.store(|s| s.captures()).join(name);
        // `TIME-NAME-PID-ARTIFACT`
        let pid = name.to_str().and_then(|n| n.rsplit('-').nth(1)?.parse().ok());
        pid.into_iter().for_each(|pid| capture::sweep(&self.world, pid));
        let files = fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path());
        let (parts, whole): (Vec<_>, Vec<_>) =
            files.partition(|p| p.extension().is_some_and(|e| e == "partial"));
        for part in &parts {
            // What cannot be removed goes with the folder when it is old.
            let _left = fs::remove_file(part);
        }
        if whole.is_empty() {
            let _left = fs::remove_dir(&folder);
        }
        format!(
            "the agent ended while it was taken: {} whole files are kept, {} parts removed",
            whole.len(),
            parts.len()
        )
    }

    fn store<T>(&self, f: impl FnOnce(&Store) -> T) -> T {
        f(&self.journal.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&mut self, event: Event) {
        self.journal.write(event);
        self.hear();
    }

    /// Takes in what was written, by whichever thread.
    fn hear(&mut self) {
        for event in self.events.try_iter() {
            self.open.take(&event);
            if let (What::Stored, Some(folder), Some(uploads)) = (event.what, &event.folder, &self.uploads) {
                uploads.add(self.store(Store::captures).join(folder));
            }
            self.news.push(event);
        }
    }

    /// Takes the profile that is due, where the rules want any.
    fn take_profiles(&mut self, now: f64) {
        let Some(rules) = &self.rules.profiles else { return };
        if let Some(why) = self.profiles.look(&self.rows, &self.world, rules, now) {
            self.write(self.journal.event("agent", What::Failed, format!("profiles: {why}")));
        }
    }

    /// Tells what was uploaded, and what was not.
    fn tell_uploads(&mut self) {
        for outcome in self.uploads.as_ref().map(Uploads::outcomes).unwrap_or_default() {
            let name = outcome.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (what, text) = match outcome.uploaded {
                Ok(all) => {
                    let size: u64 = all.iter().map(|u| u.bytes).sum();
                    let last = all.last().map_or_else(String::new, |u| u.url.clone());
                    (
                        What::Agent,
                        format!("{name} is uploaded and read back whole, {}: {last}", bytes(size as f64)),
                    )
                }
                Err(e) => (What::Failed, format!("{name} is not uploaded, and will be tried again: {e}")),
            };
            self.write(self.journal.event("agent", what, text));
        }
    }

    /// What happened since the last call.
    pub fn news(&mut self) -> Vec<Event> {
        self.hear();
        std::mem::take(&mut self.news)
    }

    /// What is known of every workload with a limit.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Looks at everything since the start.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Runs until `stop`, and calls `tell` after every look and event.
    pub fn run(&mut self, stop: &AtomicBool, tell: &mut dyn FnMut(&mut Agent)) {
        let every = Duration::from_secs_f64(self.rules.every);
        let mut next = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            self.look();
            tell(self);
            next = (next + every).max(Instant::now());
            while Instant::now() < next && !stop.load(Ordering::Relaxed) {
                let left = next.saturating_duration_since(Instant::now());
                if let Some(trip) = self.tripwire.next(left.min(GLANCE)) {
                    self.tripped(&trip);
                }
                self.ended(false);
                self.greet();
                tell(self);
            }
        }
        self.go_down();
        tell(self);
    }

    fn go_down(&mut self) {
        self.climb_stop.store(true, Ordering::Relaxed);
        self.ended(true);
        self.set_back(true);
        let owed: Vec<&str> = self.open.brakes.iter().map(|held| held.group.as_str()).collect();
        let owed = if owed.is_empty() {
            String::new()
        } else {
            format!("; a guard sets back, when usage allows it, the limit of {}", owed.join(", "))
        };
        self.write(self.journal.event("agent", What::Agent, format!("down{owed}")));
    }

    /// Wires groups of new processes, and prepares the processes: there may be no time for it later.
    fn greet(&mut self) {
        if self.looked_for_new.elapsed() >= NEW {
            self.looked_for_new = Instant::now();
            self.answer_requests();
            self.set_back(false);
            let new = self.fleet.newcomers();
            if !new.is_empty() {
                self.wire();
            }
            self.newcomers.extend(new);
            self.newcomers.truncate(WAITING);
        }
        if self.arming.as_ref().is_some_and(JoinHandle::is_finished) {
            self.arming = None;
        }
        if self.arming.is_none() && self.rules.prepare && self.rules.mode == Mode::Capture {
            self.prepare_next();
        }
    }

    /// Takes what a planned restart waits for, when nobody climbs.
    fn answer_requests(&mut self) {
        if self.climbing.is_some() {
            return;
        }
        let folder = self.store(Store::requests);
        let Some(request) = hold::next(&folder) else { return };
        let target = identify::identify(&self.world, request.pid).ok();
        let same = target.filter(|t| hold::is_of(&self.world, t, &request));
        let refused = request.refusal(world::since_boot(), same.is_some());
        let (workload, target) = match (same, refused) {
            (Some(target), None) => (hold::workload(&self.world, &target), target),
            (_, why) => {
                let why = why.unwrap_or_default();
                for what in [What::Refused, What::Answered] {
                    let event = self.journal.event("agent", what, format!("a planned restart: {why}"));
                    self.write(Event { request: Some(request.id.clone()), ..event });
                }
                return;
            }
        };
        let text = format!("pid {} is to be restarted when its evidence is stored", target.pid);
        let event = self.journal.event(&workload, What::Asked, text);
        self.write(Event { request: Some(request.id.clone()), ..event });
        self.open.past.entry(workload.clone()).or_default().act(Level::Heavy, self.journal.now());
        self.climb_stop = Arc::new(AtomicBool::new(false));
        let view = self.view(target.pid);
        let climb = Climb {
            world: self.world.clone(),
            journal: self.journal.clone(),
            rules: self.rules.clone(),
            here: Arc::clone(&self.here),
            workload,
            level: Level::Heavy,
            clock: hold::clock(&self.world, &target, view.map(|(_, j)| j.clock), &self.climb_stop),
            target,
            buy_first: false,
            stop: Arc::clone(&self.climb_stop),
            request: Some(request),
            braking: Mutex::default(),
            taking: Mutex::default(),
        };
        self.spawn(climb);
    }

    /// Prepares the newcomer that has waited longest, of those that are old enough and have a limit.
    fn prepare_next(&mut self) {
        if self.newcomers.is_empty() {
            return;
        }
        let limited: BTreeMap<i32, String> = self
            .fleet
            .limited()
            .iter()
            .flat_map(|l| l.pids.iter().map(|pid| (*pid, l.group.shown())))
            .collect();
        let waiting = std::mem::take(&mut self.newcomers);
        for pid in waiting {
            let Ok(target) = identify::identify(&self.world, pid) else { continue };
            // It may still be moved into its group, and become what it is going to be.
            if self.arming.is_some() || self.journal.now() - target.started < GROWN_UP {
                self.newcomers.push_back(pid);
            } else if let Some(group) = limited.get(&pid)
                && target.runtime == RuntimeKind::Jvm
                && self.rules.watches(&target.name)
            {
                let workload = Workload::of(group).words();
                self.climb(&workload, Level::Armed, target, None, f64::INFINITY);
            }
        }
    }

    /// Has the tripwire watch every group with a limit.
    fn wire(&mut self) {
        let wire = |limited: Limited<'_>| {
            let (usage, told) = limited.group.usage_file();
            Wire { group: limited.group.shown(), usage, told, limit: limited.limit }
        };
        let wires = self.fleet.limited().into_iter().map(wire).collect();
        self.tripwire.watch(wires);
    }

    /// Waits for the climb, or sees whether it has ended.
    fn ended(&mut self, wait: bool) {
        let done = self.climbing.as_ref().is_some_and(|c| wait || c.thread.is_finished());
        if let Some(climbing) = self.climbing.take_if(|_| done)
            && climbing.thread.join().is_err()
        {
            self.write(self.journal.event("agent", What::Failed, "a capture broke off"));
        }
        self.hear();
    }

    /// One look at everything.
    fn look(&mut self) {
        self.looks += 1;
        if let Some(text) = self.jumps.news(&self.journal.time) {
            self.write(self.journal.event("agent", What::Agent, text));
        }
        self.fleet.tick();
        self.inner.look(&mut self.fleet, &self.world, &self.rules);
        self.keep_series();
        self.tell_kills();
        self.tell_uploads();
        self.judge_all(None);
        let now = self.journal.now();
        self.take_profiles(now);
        if now >= self.chores_at {
            self.chores_at = now + CHORES;
            self.prune();
        }
    }

    fn keep_series(&mut self) {
        self.chronicle.keep(&mut self.fleet, &self.world, &self.rules);
        if let Some(why) = self.chronicle.trouble() {
            self.write(self.journal.event("agent", What::Failed, format!("series: {why}")));
        }
    }

    /// Bytes of series written since the start.
    pub fn series_bytes(&self) -> u64 {
        self.chronicle.written()
    }

    fn tell_kills(&mut self) {
        for kill in self.kills.next() {
            let workload =
                kill.victim_group.as_deref().map_or_else(|| kill.name.clone(), |g| Workload::of(g).words());
            if !self.concerns(&kill, &workload) {
                continue;
            }
            self.write(self.journal.event(&workload, What::Killed, kernel_log::sentence(&kill)));
        }
    }

    /// Whether the rules watch what was killed: the program, or the workload that a process of another name belongs to.
    fn concerns(&self, kill: &OomKill, workload: &str) -> bool {
        let name = self.known.get(&kill.pid).map_or(&kill.name, |k| &k.target.name);
        self.watched.contains_key(workload) || self.rules.watches(name)
    }

    /// A group crossed a share of its limit: two quick looks tell how fast it burns.
    fn tripped(&mut self, trip: &Trip) {
        self.fleet.tick();
        self.keep_series();
        std::thread::sleep(BURST);
        self.fleet.tick();
        self.keep_series();
        self.judge_all(Some(trip));
    }

    /// Judges every group with a limit, or the one that tripped.
    fn judge_all(&mut self, trip: Option<&Trip>) {
        let mut subjects = Vec::new();
        for limited in self.fleet.limited() {
            let name = limited.group.shown();
            if trip.is_none_or(|t| t.group == name)
                && let Some(pid) = limited.pids.first()
            {
                subjects.push((name, *pid, limited.limit));
            }
        }
        if trip.is_none() {
            self.wire();
            self.rows.clear();
        }
        for (group, pid, limit) in subjects {
            self.judge_one(&group, pid, limit, trip.is_some());
        }
    }

    fn judge_one(&mut self, group: &str, pid: i32, limit: f64, tripped: bool) {
        let points = self.fleet.usage(pid);
        let Some(quick) = Danger::of(&points, limit, None) else { return };
        let workload = Workload::of(group).words();
        let now = self.journal.now();
        let known = self.watched.get(&workload).cloned();
        let lowest = points.iter().map(|p| p.v).fold(f64::INFINITY, f64::min);
        let grows = points.last().is_some_and(|p| p.v - lowest >= GREW * limit);
        let due = known.as_ref().is_none_or(|w| now - w.judged >= JUDGE_EVERY);
        let mut forecast = known.as_ref().and_then(|w| w.forecast.clone()).filter(|_| grows);
        let mut judged = known.as_ref().map_or(0.0, |w| w.judged);
        let mut view = None;
        if grows && due && !tripped {
            view = self.view(pid);
            forecast = view.as_ref().and_then(|(_, j)| Forecast::of(j));
            judged = now;
        }
        let danger = forecast.as_ref().map_or(quick, |f| f.beside(quick));
        let heavy = heavy_seconds(danger.share * limit);
        let level = level(&danger, heavy, &self.rules);
        let Some(target) = self.target(pid) else { return };
        if !self.rules.watches(&target.name) {
            return;
        }
        if !tripped {
            let inner = self.fleet.process_now(pid).map_or_else(BTreeMap::new, |(seen, ..)| seen.facts);
            let (name, runtime, net) = (target.name.clone(), target.runtime, self.inner.net(pid));
            let (workload, forecast) = (workload.clone(), forecast.clone());
            let started = target.started;
            self.rows.push(Row {
                workload,
                pid,
                name,
                started,
                level,
                danger,
                limit,
                forecast,
                runtime,
                inner,
                net,
            });
        }
        let mut watched =
            known.unwrap_or(Watched { level: Level::Calm, calmer: 0, judged, forecast: None, found: None });
        (watched.judged, watched.forecast) = (judged, forecast);
        self.change(&workload, &mut watched, level, &danger);
        if level > Level::Calm
            && let Some((recording, judgement)) = &view
        {
            self.find(&workload, &mut watched, recording, judgement);
        }
        self.watched.insert(workload.clone(), watched);
        if level > Level::Calm {
            // A brake on the group is no answer to another limit: only the time to the group's own counts.
            self.climb(&workload, level, target, view, danger.to_limit());
        }
    }

    /// Who a process is. Its mappings are not read again at each look, unless it is so young that it may become another.
    fn target(&mut self, pid: i32) -> Option<Target> {
        let now = self.journal.now();
        let start = identify::life(&self.world, pid).ok()??.start_ticks;
        if let Some(known) = self.known.get(&pid).filter(|k| k.start == start && now < k.until) {
            return Some(known.target.clone());
        }
        let target = identify::identify(&self.world, pid).ok()?;
        let until = if now - target.started < YOUNG { now } else { now + KNOWN_FOR };
        self.known.retain(|_, k| now < k.until);
        self.known.insert(pid, Known { start, until, target: target.clone() });
        Some(target)
    }

    /// What is known of one process, judged.
    fn view(&self, pid: i32) -> Option<(Recording, Judgement)> {
        let recording = self.fleet.recording(pid)?;
        let judgement = judge(&recording, None);
        Some((recording, judgement))
    }

    /// Tells a level that is higher at once, one that is lower when it stays.
    fn change(&mut self, workload: &str, watched: &mut Watched, level: Level, danger: &Danger) {
        watched.calmer = if level < watched.level { watched.calmer + 1 } else { 0 };
        if level > watched.level || watched.calmer >= CALMER {
            let outlook = outlook::in_words(danger, watched.forecast.as_ref());
            let text = format!("{} → {}: {outlook}", watched.level.name(), level.name());
            (watched.level, watched.calmer) = (level, 0);
            let event = self.journal.event(workload, What::Level, text);
            self.write(Event { level: Some(level), ..event });
        }
    }

    /// Says what it was found to be, once for each finding.
    fn find(&mut self, workload: &str, watched: &mut Watched, recording: &Recording, judgement: &Judgement) {
        let Some(found) = fingerprint(recording, judgement) else { return };
        if watched.found.as_ref() == Some(&found) {
            return;
        }
        let about = Some(About { fingerprint: Some(found.clone()), ..About::default() });
        let event = self.journal.event(workload, What::Found, outlook::finding(judgement));
        self.write(Event { about, ..event });
        watched.found = Some(found);
    }

    /// Does what is due, when the rules allow it and nobody climbs.
    fn climb(
        &mut self,
        workload: &str,
        level: Level,
        target: Target,
        view: Option<(Recording, Judgement)>,
        left: f64,
    ) {
        let busy_with = match level {
            Level::Armed => self.arming.as_ref().map(|_| Level::Armed),
            _ => self.climbing.as_ref().map(|c| c.climb.level),
        };
        // A heavy one that is due ends a lighter one that is under way.
        if busy_with.is_some_and(|busy| busy < level && level == Level::Heavy) {
            self.climb_stop.store(true, Ordering::Relaxed);
            self.ended(true);
        } else if busy_with.is_some() {
            self.hurry(workload, left);
            return;
        }
        let (now, life) = (self.journal.now(), (target.pid, target.started as i64));
        let past: &mut Past = self.open.past.entry(workload.to_owned()).or_default();
        let done = match level {
            Level::Armed => past.armed.contains(&life),
            level => past.allows(level, now, &self.rules).is_err(),
        };
        if done {
            return;
        }
        if level == Level::Armed {
            past.armed.push(life);
        } else {
            past.act(level, now);
        }
        let Some((_, judgement)) = view.or_else(|| self.view(target.pid)) else { return };
        if level > Level::Armed {
            self.climb_stop = Arc::new(AtomicBool::new(false));
        }
        let climb = Climb {
            world: self.world.clone(),
            journal: self.journal.clone(),
            rules: self.rules.clone(),
            here: Arc::clone(&self.here),
            workload: workload.to_owned(),
            level,
            target,
            clock: judgement.clock,
            buy_first: left <= BUY_BELOW,
            stop: Arc::clone(&self.climb_stop),
            request: None,
            braking: Mutex::default(),
            taking: Mutex::default(),
        };
        self.spawn(climb);
    }

    /// Buys time for a climb that is under way, where it burns faster than it seemed at first.
    fn hurry(&self, workload: &str, left: f64) {
        let climbing = self.climbing.as_ref().filter(|c| c.climb.workload == workload);
        if let Some(climbing) = climbing.filter(|_| left <= BUY_BELOW && self.rules.mode == Mode::Capture) {
            climbing.climb.hurry();
        }
    }

    fn spawn(&mut self, climb: Climb) {
        let climb = Arc::new(climb);
        let runs = Arc::clone(&climb);
        match std::thread::Builder::new().name("climb".to_owned()).spawn(move || runs.run()) {
            Ok(thread) if climb.level == Level::Armed => self.arming = Some(thread),
            Ok(thread) => self.climbing = Some(Climbing { climb, thread }),
            Err(e) => self.write(self.journal.event(
                &climb.workload,
                What::Failed,
                format!("no thread can be started: {e}"),
            )),
        }
    }

    /// Takes brakes off whose time is over; at the start all of them, as nobody climbs.
    fn set_back(&mut self, all: bool) {
        if self.climbing.is_some() {
            return;
        }
        let now = self.journal.now();
        let due: Vec<Held> = self.open.brakes.iter().filter(|h| all || h.until <= now).cloned().collect();
        for held in due {
            // While usage is above the old limit it stays on.
            let _later = self.journal.release(&Workload::of(&held.group).words(), &held);
        }
        self.hear();
    }

    /// Removes old series, and old evidence, never that of an open incident.
    fn prune(&mut self) {
        if let Some(rules) = &self.rules.profiles {
            self.profiles.prune(rules, self.journal.now());
        }
        let files = self.chronicle.prune(&self.rules, self.journal.now());
        if files > 0 {
            let text = format!("{files} files of series were removed: they were old, or too many");
            self.write(self.journal.event("agent", What::Agent, text));
        }
        let (most, age) = (self.rules.keep_bytes, Duration::from_secs_f64(self.rules.keep_for));
        let now = self.journal.now();
        let gone = self.store(|s| s.prune(now, (most, age), &|name| self.open.is_evidence(name)));
        for name in gone {
            self.write(self.journal.event(
                "agent",
                What::Agent,
                format!("the capture {name} was removed: it was old"),
            ));
        }
    }
}
