//! Groups of goroutines that wait for the same thing at the same stack, started at the same line.

use std::collections::{BTreeMap, HashMap};

use super::frames::Frame;
use super::wait::Wait;

/// Groups that are told apart; goroutines beyond them are only counted.
pub(super) const GROUPS: usize = 20_000;
/// Frames that a group keeps.
pub(super) const FRAMES: usize = 256;
/// Bytes that all groups' frames may take together.
const BYTES: usize = 64 << 20;
/// Bytes that a name keeps.
pub(super) const NAME: usize = 512;
/// Different labels that a group keeps.
const LABELS: usize = 32;

/// Goroutines with one stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Parked {
    /// How many.
    pub count: u64,
    /// What they wait for.
    pub wait: Wait,
    /// The same in the artifact's words, when it has them.
    pub state: Option<String>,
    /// The stack, innermost first; `...` stands for frames that the runtime left out.
    pub frames: Vec<Frame>,
    /// Who started them.
    pub creator: Option<Frame>,
    /// How many the runtime proved to be leaked.
    pub leaked: u64,
    /// Shortest and longest wait that was printed, minutes, as printed.
    pub minutes: Option<(u64, u64)>,
    /// How many had a printed wait.
    pub dated: u64,
    /// Labels (`key: value`) with how many carry them.
    pub labels: BTreeMap<String, u64>,
    /// How many labels were not kept.
    pub labels_lost: u64,
    /// What a text without the runtime's frames still tells of them.
    pub(super) lead: Option<Lead>,
}

/// The innermost frames that a text leaves out: the address of the first, and how many they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Lead {
    pub(super) address: u64,
    pub(super) left_out: usize,
}

/// What one goroutine adds to its group beside being one more.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct One<'a> {
    pub(crate) count: u64,
    pub(crate) leaked: bool,
    pub(crate) minutes: Option<u64>,
    pub(crate) labels: &'a [String],
}

/// The groups so far, found by a hash of what makes them one. Two groups fall together only if 64 bits of a
/// keyless hash collide, which costs a hostile dump nothing but its own clarity.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(super) groups: Vec<Parked>,
    by_hash: HashMap<u64, usize>,
    bytes: usize,
    pub(super) total: u64,
    /// Goroutines that found no room for a group of their own.
    pub(super) lumped: u64,
}

impl Table {
    /// Adds to the group with this hash; `make` describes it when it is new.
    pub(crate) fn add(&mut self, hash: u64, one: One<'_>, make: impl FnOnce() -> Parked) {
        self.total = self.total.saturating_add(one.count);
        let at = match self.by_hash.get(&hash) {
            Some(&at) => at,
            None if self.groups.len() >= GROUPS || self.bytes >= BYTES => {
                self.lumped = self.lumped.saturating_add(one.count);
                return;
            }
            None => self.insert(hash, make()),
        };
        if let Some(group) = self.groups.get_mut(at) {
            group.take(one);
        }
    }

    fn insert(&mut self, hash: u64, group: Parked) -> usize {
        let text = |f: &Frame| f.function.len() + f.location.len() + size_of::<Frame>();
        self.bytes += group.frames.iter().map(text).sum::<usize>() + size_of::<Parked>();
        self.groups.push(group);
        self.by_hash.insert(hash, self.groups.len() - 1);
        self.groups.len() - 1
    }
}

impl Parked {
    /// A group of nobody yet.
    pub(crate) fn new(wait: Wait, state: Option<String>, frames: Vec<Frame>, creator: Option<Frame>) -> Self {
        let labels = BTreeMap::new();
        let (count, leaked, dated, labels_lost) = (0, 0, 0, 0);
        let (minutes, lead) = (None, None);
        Parked { count, wait, state, frames, creator, leaked, minutes, dated, labels, labels_lost, lead }
    }

    fn take(&mut self, one: One<'_>) {
        self.count = self.count.saturating_add(one.count);
        if one.leaked {
            self.leaked = self.leaked.saturating_add(one.count);
        }
        if let Some(m) = one.minutes {
            let (low, high) = self.minutes.unwrap_or((m, m));
            self.minutes = Some((low.min(m), high.max(m)));
            self.dated = self.dated.saturating_add(one.count);
        }
        for label in one.labels {
            if let Some(n) = self.labels.get_mut(label) {
                *n = n.saturating_add(one.count);
            } else if self.labels.len() < LABELS {
                self.labels.insert(label.clone(), one.count);
            } else {
                self.labels_lost = self.labels_lost.saturating_add(one.count);
            }
        }
    }
}
