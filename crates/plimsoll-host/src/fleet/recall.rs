//! What an agent before has seen, taken in again: the samples of processes that still run, and the lives before of what
//! runs in the same group now.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_core::death::Workload;
use plimsoll_core::fact::Fact;
use plimsoll_core::recording::{Observation, Recording};
use plimsoll_core::target::Target;

use super::{Fleet, GROUP_FACTS, Held, KEPT, Process, STARTED_WITHIN, Tick, Track, put_tracks};
use crate::identify;

/// Lives before that are kept of one name in one group, and of all together.
const MOST_LIVES: usize = 3;
const MOST_FORMER: usize = 1000;
/// Changes in memory below which a life was too short to tell anything.
const SHORTEST: usize = 3;

/// One process of the past.
pub(crate) struct PastProcess {
    pub(crate) target: Target,
    pub(crate) group: String,
    pages: Held<(u32, u32)>,
    inner: BTreeMap<Fact, Held<Option<f64>>>,
    /// The newest instant at which it was seen.
    last: u32,
}

/// A life that is over.
pub(super) struct Former {
    name: String,
    started: f64,
    pages: Held<(u32, u32)>,
    inner: BTreeMap<Fact, Held<Option<f64>>>,
    /// The newest tick at which it was seen.
    last: u32,
    /// Of a group of its own; none when the group is still the same.
    tracks: Option<BTreeMap<Fact, Track>>,
}

/// Instants of the past, oldest first, in the form in which a fleet keeps them.
#[derive(Default)]
pub(crate) struct Recall {
    ticks: Vec<Tick>,
    processes: Vec<PastProcess>,
    groups: BTreeMap<String, BTreeMap<Fact, Track>>,
}

impl Recall {
    /// Begins an instant.
    pub(crate) fn instant(&mut self, t: f64, groups: bool) {
        self.ticks.push(Tick { t, available: None, groups });
    }

    fn tick(&self) -> u32 {
        self.ticks.len() as u32
    }

    /// Adds a process that was seen then; gives its place.
    pub(crate) fn process(&mut self, target: &Target, group: &str) -> usize {
        let same = |p: &PastProcess| is_life(&p.target, target.pid, target.started) && p.group == group;
        if let Some(at) = self.processes.iter().position(same) {
            return at;
        }
        let (pages, inner) = (Held::new(), BTreeMap::new());
        let (target, group) = (target.clone(), group.to_owned());
        self.processes.push(PastProcess { target, group, pages, inner, last: 0 });
        self.processes.len() - 1
    }

    /// Adds what was seen of the machine at this instant.
    pub(crate) fn machine(&mut self, facts: &BTreeMap<Fact, f64>) {
        if let Some(tick) = self.ticks.last_mut() {
            tick.available = facts.get(&Fact::HostAvailable).copied();
        }
    }

    /// Adds what was seen of a group at this instant.
    pub(crate) fn group(&mut self, name: &str, facts: &BTreeMap<Fact, f64>) {
        let tick = self.tick();
        let tracks = self.groups.entry(name.to_owned()).or_default();
        for (fact, v) in facts.iter().filter(|(fact, _)| GROUP_FACTS.contains(fact)) {
            let new = || Track { first: *v, since: Held::new() };
            let track = tracks.entry(*fact).or_insert_with(new);
            track.since.push(tick, (*v - track.first) as f32);
        }
    }

    /// Adds what was seen of a process at this instant; `page` is the size of one.
    pub(crate) fn sample(&mut self, at: usize, facts: &BTreeMap<Fact, f64>, page: f64) {
        let tick = self.tick();
        let Some(process) = self.processes.get_mut(at) else { return };
        process.last = tick;
        let pages = |fact| facts.get(&fact).map(|v: &f64| (v / page) as u32);
        if let Some((resident, anonymous)) = pages(Fact::Rss).zip(pages(Fact::RssAnon)) {
            process.pages.push(tick, (resident, anonymous));
        }
        for (fact, v) in facts.iter().filter(|(f, _)| !matches!(f, Fact::Rss | Fact::RssAnon)) {
            process.inner.entry(*fact).or_insert_with(Held::new).push(tick, Some(*v));
        }
        let silent = process.inner.iter_mut().filter(|(fact, _)| !facts.contains_key(fact));
        silent.for_each(|(_, held)| held.push(tick, None));
    }
}

fn is_life(target: &Target, pid: i32, started: f64) -> bool {
    target.pid == pid && (target.started - started).abs() < STARTED_WITHIN
}

impl Fleet {
    /// Goes on where the one before ended, before the first look of its own. Gives how many processes are known again.
    pub(crate) fn recall(&mut self, mut past: Recall) -> usize {
        if self.tick > 0 || past.ticks.is_empty() {
            return 0;
        }
        // Numbers of ticks go on from those of the past: what is cut off is before the first one kept.
        self.tick = past.tick();
        past.ticks.drain(..past.ticks.len().saturating_sub(KEPT));
        self.ticks = past.ticks.into();
        self.find();
        let mut known = 0;
        let mut over = Vec::new();
        for process in past.processes {
            let pid = process.target.pid;
            let lives = identify::started(&self.world, pid).is_some_and(|t| is_life(&process.target, pid, t));
            match self.processes.get_mut(&pid).filter(|_| lives) {
                Some(now) => {
                    (now.pages, now.inner) = (process.pages, process.inner);
                    known += 1;
                }
                None => over.push(process),
            }
        }
        self.recall_lives(over, &past.groups);
        for (name, tracks) in past.groups {
            if let Some(group) = self.groups.get_mut(&name) {
                // What was read while the group was found is read again at the first tick.
                group.tracks = tracks;
            }
        }
        known
    }

    /// Lives that are over, with the numbers of their groups where these are gone too.
    fn recall_lives(&mut self, over: Vec<PastProcess>, groups: &BTreeMap<String, BTreeMap<Fact, Track>>) {
        for process in over {
            let gone = !self.groups.contains_key(&process.group);
            let former = Former {
                name: process.target.name,
                started: process.target.started,
                pages: process.pages,
                inner: process.inner,
                last: process.last,
                tracks: gone.then(|| groups.get(&process.group).cloned()).flatten(),
            };
            self.keep_former(process.group, former);
        }
    }

    /// Names a process, so that its life counts for what runs in its place when it is over.
    pub(crate) fn name(&mut self, pid: i32, name: &str, started: f64) {
        if let Some(process) = self.processes.get_mut(&pid) {
            process.name = Some((name.to_owned(), started));
        }
    }

    /// Keeps what is known of a process that has just ended.
    pub(super) fn bury(&mut self, process: Process) {
        let (Some((name, started)), Some(group)) = (process.name, process.group) else { return };
        let (pages, inner, last) = (process.pages, process.inner, self.tick.saturating_sub(1));
        self.keep_former(group, Former { name, started, pages, inner, last, tracks: None });
    }

    fn keep_former(&mut self, group: String, former: Former) {
        if former.pages.0.len() < SHORTEST {
            return;
        }
        let lives = self.former.entry(group).or_default();
        let of_name = lives.iter().filter(|l| l.name == former.name).count();
        if of_name >= MOST_LIVES
            && let Some(oldest) = lives.iter().position(|l| l.name == former.name)
        {
            lives.remove(oldest);
        }
        lives.push(former);
        lives.sort_by(|a, b| a.started.total_cmp(&b.started));
        if self.former.values().map(Vec::len).sum::<usize>() > MOST_FORMER {
            self.former.pop_first();
        }
    }

    /// Groups that are about to be forgotten leave their numbers to the lives that were in them.
    pub(super) fn leave_groups(&mut self, used: &BTreeSet<String>) {
        let gone = self.groups.iter().filter(|(name, _)| !used.contains(*name));
        for (name, track) in gone {
            for life in self.former.get_mut(name).into_iter().flatten().filter(|l| l.tracks.is_none()) {
                life.tracks = Some(track.tracks.clone());
            }
        }
    }

    /// The lives before of the same name in the same group, each as an epoch of its own.
    pub(super) fn add_former(&self, r: &mut Recording, process: &Process) {
        let Some(own) = &process.group else { return };
        let workload = Workload::of(own);
        let same = |f: &&Former| f.name == r.target.name && f.started + STARTED_WITHIN < r.target.started;
        let groups = self.former.iter().filter(|(g, _)| *g == own || Workload::of(g).is_same(&workload));
        let mut lives: Vec<(&String, &Former)> =
            groups.flat_map(|(g, f)| f.iter().filter(same).map(move |f| (g, f))).collect();
        lives.sort_by(|a, b| a.1.started.total_cmp(&b.1.started));
        let lives = lives.get(lives.len().saturating_sub(MOST_LIVES)..).unwrap_or_default();
        for (i, (group, life)) in lives.iter().enumerate() {
            // Where two overlapped, as at a rolling restart, the later one is told from its start on.
            let end = lives.get(i + 1).map_or(r.target.started, |(_, next)| next.started);
            let tracks = life.tracks.as_ref().or_else(|| Some(&self.groups.get(*group)?.tracks));
            let looks = (self.oldest()..).zip(&self.ticks).take_while(|(tick, _)| *tick <= life.last);
            for (tick, look) in looks.filter(|(_, look)| look.t >= life.started && look.t < end) {
                let Some((resident, anonymous)) = life.pages.at(tick) else { continue };
                let mut o = Observation::at(look.t);
                o.start = Some(life.started);
                o.known(Fact::Rss, f64::from(resident) * self.page);
                o.known(Fact::RssAnon, f64::from(anonymous) * self.page);
                for (fact, held) in &life.inner {
                    held.at(tick).flatten().into_iter().for_each(|v| o.known(*fact, v));
                }
                look.available.into_iter().for_each(|v| o.known(Fact::HostAvailable, v));
                if let Some(tracks) = tracks.filter(|_| look.groups) {
                    put_tracks(tracks, tick, &mut o);
                }
                r.add(o);
            }
        }
        if r.from().is_some() {
            let now = Observation { start: Some(r.target.started), ..Observation::at(r.target.started) };
            r.add(now);
        }
    }

    pub(super) fn forget_former(&mut self) {
        let oldest = self.oldest();
        self.former.retain(|_, lives| {
            lives.retain(|life| life.last >= oldest);
            !lives.is_empty()
        });
    }

    /// Samples that the lives before take.
    pub(super) fn former_samples(&self) -> usize {
        let of = |l: &Former| {
            let tracks = l.tracks.iter().flat_map(BTreeMap::values).map(|t| t.since.0.len()).sum::<usize>();
            l.pages.0.len() + tracks + 2 * l.inner.values().map(|h| h.0.len()).sum::<usize>()
        };
        self.former.values().flatten().map(of).sum()
    }
}
