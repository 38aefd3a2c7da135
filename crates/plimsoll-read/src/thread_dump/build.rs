//! Threads counted per pool, with their states and most common stacks, and the locks between them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::names;

/// Pools that are told apart.
const POOLS: usize = 10_000;
/// Stacks that a pool tells apart.
const STACKS: usize = 64;
/// Frames that are kept of a stack.
pub(super) const FRAMES: usize = 64;
/// Threads that hold locks, and locks that are waited for.
const LOCKERS: usize = 100_000;
/// Threads that wait for a lock and hold none, that are known by name: the JVM's report of deadlocks may name them.
const WAITERS: usize = 1000;
/// Executors that a pool's name tells apart.
const EXECUTORS: usize = 20_000;
/// What a pool without room for itself is called.
const REST: &str = "(other pools)";

/// Who runs a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Kind {
    /// A thread of the operating system that runs Java.
    #[default]
    Platform,
    /// A virtual thread.
    Virtual,
    /// A thread of the JVM's own.
    Jvm,
}

/// One thread as a dump tells it.
#[derive(Debug, Clone, Default)]
pub(super) struct Thread {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) state: Option<String>,
    /// Innermost first, normalised.
    pub(super) frames: Vec<String>,
    /// Locks that it holds.
    pub(super) holds: Vec<String>,
    /// The lock that it needs to go on, and what it is.
    pub(super) needs: Option<String>,
    /// The condition that it waits on, which frees the lock of the same name.
    pub(super) waits_on: Option<String>,
}

/// Threads with one normalised name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pool {
    /// How many.
    pub count: u64,
    /// How many in each state.
    pub states: BTreeMap<String, u64>,
    /// The most common stack, innermost frame first.
    pub stack: Vec<String>,
    /// How many stand in it.
    pub stack_count: u64,
    /// Different first numbers in the names: executors, where the name has the form `pool-N-thread-N`.
    pub executors: u64,
}

/// A thread that holds or waits for a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locker {
    /// Its name.
    pub name: String,
    /// The innermost frame of the program.
    pub at: String,
}

/// Threads that wait for one lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The lock as the dump names it.
    pub lock: String,
    /// How many wait for it.
    pub waiting: u64,
    /// Where most of the first ones stand.
    pub at: String,
    /// Who holds it, when the dump says it.
    pub holder: Option<Locker>,
}

/// One dump.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dump {
    /// When it was taken, as written.
    pub time: Option<String>,
    /// Feature version of the JVM (8, 21), when it says it.
    pub jvm: Option<u32>,
    /// Pools with the kind of their threads, largest first.
    pub pools: Vec<(String, Kind, Pool)>,
    /// All threads.
    pub total: u64,
    /// Virtual threads among them.
    pub virtuals: u64,
    /// Threads that carry a virtual thread at this moment.
    pub carriers: u64,
    /// Circles of threads, each of which waits for a lock that the next one holds.
    pub deadlocks: Vec<Vec<Locker>>,
    /// Queues at locks, longest first.
    pub queues: Vec<Queue>,
}

#[derive(Default)]
struct Open {
    pool: Pool,
    stacks: HashMap<u64, (u64, Vec<String>)>,
    executors: HashSet<u64>,
}

/// A dump while its threads come in.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) dump: Dump,
    pools: HashMap<(String, Kind), Open>,
    lockers: Vec<Locker>,
    holder: HashMap<String, usize>,
    /// Who holds a lock and needs another one: only they can stand in a circle.
    needs: Vec<(usize, String)>,
    /// By the address of a lock: who waits for it.
    waiting: HashMap<String, Queue>,
    waiters: usize,
    /// Who waits for whom by the JVM's own word.
    pub(super) reported: Vec<(String, String)>,
}

impl Builder {
    pub(super) fn add(&mut self, t: Thread) {
        self.dump.total += 1;
        self.dump.virtuals += u64::from(t.kind == Kind::Virtual);
        self.locks(&t);
        let mut key = (names::pool(&t.name), t.kind);
        if t.name.is_empty() && t.kind == Kind::Virtual {
            key.0 = "(unnamed virtual threads)".to_owned();
        }
        if self.pools.len() >= POOLS && !self.pools.contains_key(&key) {
            key.0 = REST.to_owned();
        }
        let open = self.pools.entry(key).or_default();
        open.pool.count += 1;
        if let Some(n) = names::first_number(&t.name).filter(|_| open.executors.len() < EXECUTORS) {
            open.executors.insert(n);
        }
        if let Some(state) = t.state {
            *open.pool.states.entry(state).or_insert(0) += 1;
        }
        let mut hash = DefaultHasher::new();
        t.frames.hash(&mut hash);
        let room = open.stacks.len() < STACKS;
        match open.stacks.get_mut(&hash.finish()) {
            Some((n, _)) => *n += 1,
            None if room => {
                open.stacks.insert(hash.finish(), (1, t.frames));
            }
            None => {}
        }
    }

    fn locks(&mut self, t: &Thread) {
        let held: Vec<&String> = t
            .holds
            .iter()
            .filter(|l| Some(*l) != t.waits_on.as_ref() && Some(*l) != t.needs.as_ref())
            .collect();
        let at = || names::own(&t.frames).cloned().unwrap_or_default();
        if let Some(lock) = &t.needs {
            self.queue(lock, at);
        }
        let room = if held.is_empty() { t.needs.is_some() && self.waiters < WAITERS } else { true };
        if (held.is_empty() && t.needs.is_none()) || !room || self.lockers.len() >= LOCKERS {
            return;
        }
        self.waiters += usize::from(held.is_empty());
        let me = self.lockers.len();
        self.lockers.push(Locker { name: t.name.clone(), at: at() });
        for lock in &held {
            self.holder.insert(address(lock).to_owned(), me);
        }
        if !held.is_empty() {
            self.needs.extend(t.needs.clone().map(|lock| (me, lock)));
        }
    }

    fn queue(&mut self, lock: &str, at: impl Fn() -> String) {
        if let Some(queue) = self.waiting.get_mut(address(lock)) {
            queue.waiting += 1;
        } else if self.waiting.len() < LOCKERS {
            let queue = Queue { lock: lock.to_owned(), waiting: 1, at: at(), holder: None };
            self.waiting.insert(address(lock).to_owned(), queue);
        }
    }

    pub(super) fn finish(mut self) -> Option<Dump> {
        if self.dump.total == 0 {
            return None;
        }
        self.dump.deadlocks = self.circles();
        self.dump.queues = self.queues();
        let close = |((name, kind), mut open): ((String, Kind), Open)| {
            let best = open.stacks.into_values().max_by(|a, b| (a.0, &b.1).cmp(&(b.0, &a.1)));
            (open.pool.stack_count, open.pool.stack) = best.unwrap_or_default();
            open.pool.executors = open.executors.len() as u64;
            (name, kind, open.pool)
        };
        self.dump.pools = self.pools.into_iter().map(close).collect();
        self.dump.pools.sort_by(|a, b| (b.2.count, &a.0, a.1).cmp(&(a.2.count, &b.0, b.1)));
        Some(self.dump)
    }

    fn circles(&self) -> Vec<Vec<Locker>> {
        let mut next: HashMap<usize, usize> = HashMap::new();
        for (me, lock) in &self.needs {
            next.extend(self.holder.get(address(lock)).filter(|h| *h != me).map(|h| (*me, *h)));
        }
        let found = super::locks::circles(&next);
        if !found.is_empty() {
            let who = |c: Vec<usize>| c.into_iter().filter_map(|i| self.lockers.get(i).cloned()).collect();
            return found.into_iter().map(who).collect();
        }
        let mut ids: HashMap<&str, usize> = HashMap::new();
        let mut all: Vec<&str> = Vec::new();
        let mut next = HashMap::new();
        for (waiter, holder) in &self.reported {
            let [a, b] = [waiter, holder].map(|n| {
                *ids.entry(n).or_insert_with(|| {
                    all.push(n);
                    all.len() - 1
                })
            });
            next.insert(a, b);
        }
        let at =
            |n: &str| self.lockers.iter().find(|l| l.name == n).map(|l| l.at.clone()).unwrap_or_default();
        let who = |i: usize| all.get(i).map(|n| Locker { name: (*n).to_owned(), at: at(n) });
        super::locks::circles(&next).into_iter().map(|c| c.into_iter().filter_map(who).collect()).collect()
    }

    fn queues(&mut self) -> Vec<Queue> {
        let mut out: Vec<Queue> =
            std::mem::take(&mut self.waiting).into_values().filter(|q| q.waiting > 1).collect();
        out.sort_by(|a, b| (b.waiting, &a.lock).cmp(&(a.waiting, &b.lock)));
        out.truncate(16);
        for queue in &mut out {
            let holder = self.holder.get(address(&queue.lock)).and_then(|h| self.lockers.get(*h));
            queue.holder = holder.cloned();
        }
        out
    }
}

/// `0x000000069d92fb60` of `0x000000069d92fb60 (a java.lang.Object)`; other forms name a lock by one word.
fn address(lock: &str) -> &str {
    lock.split_once(' ').map_or(lock, |(address, _)| address)
}
