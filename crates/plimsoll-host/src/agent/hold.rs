//! A planned restart that waits: the agent that holds the store is asked by a file and answers in its log; where there
//! is no agent, the evidence is taken here, in the same way and into the same store.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_core::agent::hold::{Progress, Request, stored_already};
use plimsoll_core::agent::{Event, Level, Mode, Rules, What};
use plimsoll_core::calibration::Calibration;
use plimsoll_core::clock::Clock;
use plimsoll_core::death::Workload;
use plimsoll_core::judge::judge;
use plimsoll_core::recording::Recording;
use plimsoll_core::target::Target;

use super::climb::{Climb, Journal};
use crate::identify;
use crate::sampler::Sampler;
use crate::source::cgroup::Group;
use crate::store::{self, Store, StoreError};
use crate::world::{self, Clock as Time, World};

/// Between two looks at whether there is an answer.
const GLANCE: Duration = Duration::from_millis(50);
/// Between two looks at whether the agent still holds its store.
const LIVES: Duration = Duration::from_secs(1);
/// Bytes of a request at most, and requests that are looked at.
const LARGEST: u64 = 64 << 10;
const MOST: usize = 100;
/// Looks at a process of which nothing is known.
const LOOKS: usize = 3;

/// Why nothing can be waited for.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The store.
    #[error("failed to use the store")]
    Store(#[source] StoreError),
    /// The agent cannot be asked.
    #[error("failed to ask the agent by {path}")]
    Ask {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A thread.
    #[error("failed to start a thread")]
    Thread(#[source] io::Error),
}

/// Who is to be restarted, and for how long that may wait.
pub struct Hold<'a> {
    /// The machine.
    pub world: &'a World,
    /// The store of the agent, or that of this program.
    pub store: &'a Path,
    /// The process.
    pub target: &'a Target,
    /// What captures cost on this machine.
    pub here: &'a Calibration,
    /// What must be stored; the most telling when it is empty.
    pub artifacts: &'a [String],
    /// Longest time to wait.
    pub patience: Duration,
    /// Set when the user does not want to wait any more.
    pub stop: &'a AtomicBool,
}

impl Hold<'_> {
    /// The workload that the log has it under; it must be asked while the process is there.
    pub fn workload(&self) -> String {
        workload(self.world, self.target)
    }

    /// Whether an agent holds the store.
    pub fn has_agent(&self) -> bool {
        store::is_held(self.store)
    }

    /// What is stored of this very process already, lately.
    pub fn stored_already(&self) -> Vec<(String, String, bool)> {
        let events = store::events(self.store).unwrap_or_default();
        stored_already(&events, (self.target.pid, self.target.started), Time::start().now())
    }

    /// Waits until all is stored, or for as long as it may; tells what happens.
    ///
    /// # Errors
    /// When nobody can be asked and nothing can be stored.
    pub fn wait(&self, tell: &mut dyn FnMut(&Event)) -> Result<Progress, HoldError> {
        let began = Instant::now();
        loop {
            match Store::open(self.store) {
                Ok((store, _)) => return self.take(store, began, tell),
                Err(StoreError::Taken(_)) => {
                    if let Some(progress) = self.ask(began, tell)? {
                        return Ok(progress);
                    }
                    let text = "the agent has ended before it answered: what is missing is taken here";
                    tell(&Event::new(Time::start().now(), "agent", What::Agent, text));
                    let stored =
                        Progress { stored: self.stored_already(), over: true, ..Progress::default() };
                    if stored.enough(self.artifacts, self.target.runtime).is_ok() {
                        return Ok(stored);
                    }
                }
                Err(e) => return Err(HoldError::Store(e)),
            }
        }
    }

    fn request(&self) -> Request {
        let time = world::since_boot();
        let id = format!("{time:014.3}-{}-{}", self.target.pid, std::process::id());
        let artifacts = self.artifacts.to_vec();
        Request {
            id,
            time,
            pid: self.target.pid,
            started: self.target.started - self.world.booted(),
            artifacts,
        }
    }

    fn is_over(&self, began: Instant) -> bool {
        self.stop.load(Ordering::Relaxed) || began.elapsed() >= self.patience
    }

    /// Asks the agent, and reads its log until it has answered; nothing when it has ended before.
    fn ask(&self, began: Instant, tell: &mut dyn FnMut(&Event)) -> Result<Option<Progress>, HoldError> {
        let request = self.request();
        let known = store::events(self.store).map_err(HoldError::Store)?.len();
        let file = put(&store::requests(self.store), &request)?;
        let (mut progress, mut seen, mut looked) = (Progress::default(), known, Instant::now());
        let mut gone = false;
        while !progress.over && !gone && !self.is_over(began) {
            thread::sleep(GLANCE);
            if looked.elapsed() >= LIVES {
                // Before the log is read: what it wrote last is not missed.
                (gone, looked) = (!self.has_agent(), Instant::now());
            }
            let events = store::events(self.store).map_err(HoldError::Store)?;
            for event in events.get(seen..).unwrap_or_default() {
                if progress.take(&request.id, event) {
                    tell(event);
                }
            }
            seen = events.len();
        }
        // Nobody waits any more: it need not be taken. The agent has removed it when it has begun.
        let _begun = fs::remove_file(&file);
        Ok((progress.over || !gone).then_some(progress))
    }

    /// Takes it here, as an agent would.
    fn take(
        &self,
        store: Store,
        began: Instant,
        tell: &mut dyn FnMut(&Event),
    ) -> Result<Progress, HoldError> {
        let request = self.request();
        let (send, events) = channel();
        let time = Time::start();
        let store = Arc::new(Mutex::new(store));
        let journal = Journal { store, tell: send, time, brakes: Arc::default() };
        let stop = Arc::new(AtomicBool::new(false));
        let climb = Climb {
            world: self.world.clone(),
            journal,
            rules: Rules { mode: Mode::Capture, ..Rules::default() },
            here: Arc::new(self.here.clone()),
            workload: workload(self.world, self.target),
            level: Level::Heavy,
            target: self.target.clone(),
            clock: clock(self.world, self.target, None, &stop),
            buy_first: false,
            stop: Arc::clone(&stop),
            request: Some(request.clone()),
            braking: Mutex::default(),
            taking: Mutex::default(),
        };
        thread::Builder::new().spawn(move || climb.run()).map_err(HoldError::Thread)?;
        let mut progress = Progress::default();
        while !progress.over && !self.is_over(began) {
            if let Ok(event) = events.recv_timeout(GLANCE)
                && progress.take(&request.id, &event)
            {
                tell(&event);
            }
        }
        if !progress.over {
            // What is half taken is given up; it says so in the log.
            stop.store(true, Ordering::Relaxed);
        }
        Ok(progress)
    }
}

/// Writes a request, whole or not at all.
fn put(folder: &Path, request: &Request) -> Result<PathBuf, HoldError> {
    let path = folder.join(format!("{}.json", request.id));
    let draft = folder.join(format!("{}.partial", request.id));
    let write = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(request)?)?;
        fs::rename(&draft, &path)
    };
    write().map_err(|source| HoldError::Ask { path: path.clone(), source })?;
    Ok(path)
}

/// The oldest request in a folder, which is removed from it; what is none is removed, too.
pub(super) fn next(folder: &Path) -> Option<Request> {
    let entries = fs::read_dir(folder).ok()?.flatten().take(MOST).map(|e| e.path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    files.iter().find_map(|path| {
        let request = read(path);
        // Else it would be done again and again.
        fs::remove_file(path).ok()?;
        request
    })
}

fn read(path: &Path) -> Option<Request> {
    let mut text = Vec::new();
    OpenOptions::new().read(true).open(path).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Whether a process is the one that is to be restarted.
pub(super) fn is_of(world: &World, target: &Target, request: &Request) -> bool {
    (target.started - world.booted() - request.started).abs() < identify::SAME_START
}

/// What the log calls a process: its group with a limit, else its own, else its name.
pub(super) fn workload(world: &World, target: &Target) -> String {
    match Group::of(world, target.pid) {
        Ok(group) => Workload::of(&group.binding(None).1.shown()).words(),
        Err(_) => target.name.clone(),
    }
}

/// The clock of a process; a few looks at it, where there is none yet.
pub(super) fn clock(world: &World, target: &Target, known: Option<Clock>, stop: &AtomicBool) -> Clock {
    known.filter(|c| !c.bounds.is_empty()).unwrap_or_else(|| {
        let mut r = Recording::new(target.clone());
        if let Ok(mut sampler) = Sampler::open(world, target.pid, Duration::from_millis(50)) {
            (0..LOOKS).filter_map(|_| sampler.next(stop)).for_each(|o| r.add(o));
        }
        judge(&r, None).clock
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_once_and_what_is_none_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("requests");
        assert_eq!(next(&place), None, "there is no folder");
        let request = |id: &str| Request {
            id: id.to_owned(),
            time: 1.0,
            pid: 7,
            started: 2.0,
            artifacts: vec!["heap".to_owned()],
        };
        for id in ["2", "1"] {
            put(&place, &request(id)).expect("written");
        }
        fs::write(place.join("0.json"), b"{\"id\": \"../../x\"").expect("written");
        fs::write(place.join("3.partial"), b"{").expect("written");
        assert_eq!(next(&place), Some(request("1")));
        assert_eq!(next(&place), Some(request("2")));
        assert_eq!(next(&place), None);
        assert!(!place.join("0.json").exists() && place.join("3.partial").exists());
    }
}
