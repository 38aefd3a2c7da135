//! What the agent keeps of what it sees: every sample of every watched process, its group and the machine; and what it
//! takes in again of that when it comes up.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_core::agent::Rules;
use plimsoll_core::fact::Fact;
use plimsoll_core::recording::Observation;
use plimsoll_read::series_file::Look;

use crate::fleet::{Fleet, Recall};
use crate::identify;
use crate::store::series::{self, GROUPS, PROCESSES, Rows, Series, Subject};
use crate::world::World;

/// How far back an agent that comes up looks, in looks at everything.
const LOOKS_BACK: f64 = 3600.0;

/// A subject with its number and what was seen of it now.
struct Seen {
    number: u64,
    class: u8,
    subject: Arc<Subject>,
    seen: Observation,
}

/// One that is watched, with its number.
type Watched = Option<(u64, Arc<Subject>)>;

/// Keeps series.
pub(super) struct Chronicle {
    series: Series,
    next: u64,
    machine: Arc<Subject>,
    groups: BTreeMap<String, (u64, Arc<Subject>)>,
    /// By pid and start, with the program that it ran: a shell becomes what it ends in.
    processes: BTreeMap<(i32, u64), (Option<PathBuf>, Watched)>,
}

impl Chronicle {
    pub(super) fn open(store: &Path) -> io::Result<Chronicle> {
        Ok(Chronicle {
            series: Series::open(store)?,
            next: 1,
            machine: Arc::new(Subject::Machine),
            groups: BTreeMap::new(),
            processes: BTreeMap::new(),
        })
    }

    /// Takes in again what the store has of what still runs. Gives how many processes, and what was wrong.
    pub(super) fn recall(fleet: &mut Fleet, store: &Path, rules: &Rules, now: f64) -> (usize, Vec<String>) {
        let page = rustix::param::page_size() as f64;
        let mut past = Past { recall: Recall::default(), page, places: BTreeMap::new() };
        match series::read(store, now - LOOKS_BACK * rules.every, &mut past) {
            Ok((wrong, _)) => (fleet.recall(past.recall), wrong),
            // A new store has none.
            Err(_) => (0, Vec::new()),
        }
    }

    /// Keeps what the newest look saw.
    pub(super) fn keep(&mut self, fleet: &mut Fleet, world: &World, rules: &Rules) {
        let Some((t, machine, groups)) = fleet.newest() else { return };
        let machine = Observation { facts: machine, ..Observation::at(t) };
        let mut all =
            vec![Seen { number: 0, class: GROUPS, subject: Arc::clone(&self.machine), seen: machine }];
        let members: Vec<(String, Vec<i32>)> =
            fleet.limited().into_iter().map(|l| (l.group.shown(), l.pids)).collect();
        let mut living = Vec::new();
        for (group, pids) in &members {
            let before = all.len();
            for pid in pids {
                let Some((seen, start, _)) = fleet.process_now(*pid) else { continue };
                living.push((*pid, start));
                if let Some((number, subject)) = self.process((*pid, start), group, fleet, world, rules) {
                    all.push(Seen { number, class: PROCESSES, subject, seen });
                }
            }
            if all.len() > before
                && groups
                && let Some(seen) = fleet.group_now(group)
            {
                let (number, subject) = self.group(group);
                all.push(Seen { number, class: GROUPS, subject, seen });
            }
        }
        self.processes.retain(|life, _| living.contains(life));
        self.groups.retain(|group, _| members.iter().any(|(g, _)| g == group));
        if all.len() > 1 {
            self.write(t, groups, all);
        }
    }

    fn write(&mut self, t: f64, groups: bool, mut all: Vec<Seen>) {
        all.retain(|s| groups || s.class != GROUPS);
        all.sort_by_key(|s| s.number);
        let texts: Vec<Box<dyn Fn() -> String + '_>> =
            all.iter().map(|s| Box::new(|| s.subject.text()) as Box<dyn Fn() -> String + '_>).collect();
        let looks: Vec<Look<'_>> = all
            .iter()
            .zip(&texts)
            .map(|(s, text)| Look {
                number: s.number,
                class: s.class,
                text,
                facts: &s.seen.facts,
                unknown: &s.seen.unknown,
            })
            .collect();
        let classes = 1 << PROCESSES | u8::from(groups) << GROUPS;
        self.series.row(t, classes, &looks);
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    fn group(&mut self, name: &str) -> (u64, Arc<Subject>) {
        if let Some((number, subject)) = self.groups.get(name) {
            return (*number, Arc::clone(subject));
        }
        let new = (self.number(), Arc::new(Subject::Group(name.to_owned())));
        self.groups.insert(name.to_owned(), new.clone());
        new
    }

    fn process(
        &mut self,
        life: (i32, u64),
        group: &str,
        fleet: &mut Fleet,
        world: &World,
        rules: &Rules,
    ) -> Watched {
        let program = identify::program(world, life.0);
        let moved = |s: &Arc<Subject>| matches!(&**s, Subject::Process(_, g) if g != group);
        if let Some((was, known)) = self.processes.get(&life)
            && *was == program
            && !known.as_ref().is_some_and(|(_, s)| moved(s))
        {
            return known.clone();
        }
        // One that cannot be identified is asked again at the next look.
        let target = identify::identify(world, life.0).ok()?;
        fleet.name(life.0, &target.name, target.started);
        let new = rules
            .watches(&target.name)
            .then(|| (self.number(), Arc::new(Subject::Process(Box::new(target), group.to_owned()))));
        self.processes.insert(life, (program, new.clone()));
        new
    }

    /// What went wrong since the last call.
    pub(super) fn trouble(&self) -> Option<String> {
        self.series.trouble()
    }

    /// Bytes written since the start.
    pub(super) fn written(&self) -> u64 {
        self.series.written()
    }

    /// Removes what is old.
    pub(super) fn prune(&self, rules: &Rules, now: f64) -> usize {
        self.series.prune(rules.keep_series_bytes, rules.keep_series_for, now)
    }
}

/// Rows as a fleet takes them in.
struct Past {
    recall: Recall,
    page: f64,
    /// Places of processes, by where their subject lies; it is held, so that no other lies there.
    places: BTreeMap<usize, (Arc<Subject>, usize)>,
}

impl Rows for Past {
    fn row(&mut self, t: f64, classes: u8, seen: &[(Arc<Subject>, BTreeMap<Fact, f64>)]) {
        self.recall.instant(t, classes & 1 << GROUPS != 0);
        for (subject, facts) in seen {
            match &**subject {
                Subject::Machine => self.recall.machine(facts),
                Subject::Group(path) => self.recall.group(path, facts),
                Subject::Process(target, group) => {
                    let recall = &mut self.recall;
                    let new = || (Arc::clone(subject), recall.process(target, group));
                    let at = self.places.entry(Arc::as_ptr(subject).addr()).or_insert_with(new).1;
                    self.recall.sample(at, facts, self.page);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use plimsoll_core::judge::judge;

    use super::*;

    const PAGE: u64 = 4096;

    fn now() -> f64 {
        crate::world::Clock::start().now()
    }

    /// A machine of one process in a group with a limit, whose files the test writes.
    struct Machine {
        _root: tempfile::TempDir,
        world: World,
        store: PathBuf,
        rules: Rules,
    }

    impl Machine {
        fn new() -> Machine {
            let root = tempfile::tempdir().expect("a folder");
            let world = World::under(root.path());
            let store = root.path().join("store");
            let machine = Machine { _root: root, world, store, rules: Rules::default() };
            machine.proc("stat", "btime 1700000000\n");
            machine.proc("meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n");
            machine.group("cgroup.controllers", "memory\n");
            machine.group("app/memory.max", "268435456\n");
            machine.group("app/memory.events", "low 0\nhigh 0\nmax 3\noom 0\noom_kill 0\n");
            machine
        }

        fn write(path: PathBuf, text: &str) {
            fs::create_dir_all(path.parent().expect("has one")).expect("a folder");
            fs::write(path, text).expect("a file");
        }

        fn proc(&self, name: &str, text: &str) {
            Self::write(self.world.proc_root.join(name), text);
        }

        fn group(&self, name: &str, text: &str) {
            Self::write(self.world.cgroup_root.join(name), text);
        }

        fn starts(&self, pid: i32, ticks: u64) {
            let stat = format!("{pid} (app) S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {ticks} 1000 1");
            self.proc(&format!("{pid}/stat"), &stat);
            self.proc(&format!("{pid}/comm"), "app\n");
            self.proc(&format!("{pid}/cgroup"), "0::/app\n");
            self.pages(pid, 100);
        }

        fn ends(&self, pid: i32) {
            fs::remove_dir_all(self.world.proc_root.join(pid.to_string())).expect("removed");
        }

        fn pages(&self, pid: i32, pages: u64) {
            self.proc(&format!("{pid}/statm"), &format!("5000 {pages} 10 0 0 0 0"));
            let bytes = pages * PAGE;
            self.group("app/memory.current", &format!("{bytes}\n"));
            self.group(
                "app/memory.stat",
                &format!("anon {bytes}\nfile 0\nkernel 8192\nshmem 0\nslab_reclaimable 100\n"),
            );
        }

        fn look(&self, fleet: &mut Fleet, chronicle: &mut Chronicle) {
            // The clock has milliseconds; two looks within one would be one instant.
            let began = std::time::Instant::now();
            while began.elapsed() < std::time::Duration::from_millis(2) {
                std::hint::spin_loop();
            }
            fleet.tick();
            chronicle.keep(fleet, &self.world, &self.rules);
        }

        /// An agent that looks so many times at a process that grows, and is killed.
        fn run(&self, pid: i32, looks: u64) -> Fleet {
            let mut fleet = Fleet::open(&self.world).rescanning_always();
            let (_, wrong) = Chronicle::recall(&mut fleet, &self.store, &self.rules, now());
            assert_eq!(wrong, Vec::<String>::new());
            let mut chronicle = Chronicle::open(&self.store).expect("opens");
            for i in 0..looks {
                self.pages(pid, 1000 + i * 7);
                self.look(&mut fleet, &mut chronicle);
            }
            assert_eq!(chronicle.trouble(), None);
            fleet
        }
    }

    #[test]
    fn what_is_kept_is_judged_as_what_was_seen() {
        let machine = Machine::new();
        machine.starts(7, 12345);
        let fleet = machine.run(7, 50);
        let live = fleet.recording(7).expect("alive");
        let (kept, wrong, sums) = series::recordings(&machine.store, 0.0, &|_| true).expect("kept");
        let [one] = kept.as_slice() else { panic!("{} kept", kept.len()) };
        assert!(wrong.is_empty() && sums.rows >= 50, "{wrong:?} {sums:?}");
        assert_eq!(one.workload, "control group /app");
        assert!(one.recording == live, "what is kept differs from what was seen");
        assert!(live.series(Fact::CgroupUnreclaimable).points().len() >= 50);
        // Judged anew from its form as lines, too.
        let mut lines = Vec::new();
        one.recording.write(&mut lines).expect("written");
        let again = plimsoll_core::recording::Recording::read(lines.as_slice()).expect("read");
        let judged = |r| format!("{:?}", judge(r, None));
        assert!(judged(&again) == judged(&live), "the judgements differ");
    }

    #[test]
    fn an_agent_that_comes_up_goes_on_where_the_last_one_ended() {
        let machine = Machine::new();
        machine.starts(7, 12345);
        let before = machine.run(7, 40).recording(7).expect("alive");
        let after = machine.run(7, 5).recording(7).expect("alive");
        let points = |r: &plimsoll_core::recording::Recording, fact| r.series(fact).points().to_vec();
        for fact in [Fact::Rss, Fact::CgroupUnreclaimable, Fact::CgroupLimit, Fact::HostAvailable] {
            let (was, is) = (points(&before, fact), points(&after, fact));
            assert!(is.starts_with(&was), "{fact} is not what it was");
            assert!(is.len() >= was.len() + 5, "{fact}: {} after {}", is.len(), was.len());
        }
        assert_eq!(after.epochs.len(), 1);
    }

    #[test]
    fn a_new_life_of_a_workload_has_the_ones_before_as_epochs() {
        let machine = Machine::new();
        machine.starts(7, 12345);
        let before = machine.run(7, 40).recording(7).expect("alive").series(Fact::Rss).points().len();
        // It restarts while no agent looks.
        machine.ends(7);
        let boot = 1_700_000_000.0;
        machine.starts(9, ((now() + 1.0 - boot) * 100.0) as u64);
        let mut fleet = Fleet::open(&machine.world).rescanning_always();
        let (known, _) = Chronicle::recall(&mut fleet, &machine.store, &machine.rules, now());
        assert_eq!(known, 0);
        let mut chronicle = Chronicle::open(&machine.store).expect("opens");
        machine.look(&mut fleet, &mut chronicle);
        let r = fleet.recording(9).expect("alive");
        assert_eq!(r.epochs.len(), 2, "{:?}", r.epochs);
        let points = r.series(Fact::Rss).points();
        let old = points.iter().filter(|p| Some(**p) != points.last().copied()).count();
        assert_eq!(old, before);
    }
}
