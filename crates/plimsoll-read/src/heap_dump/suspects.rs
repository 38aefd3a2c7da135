//! Which objects to suspect: down the dominator tree from the roots to where what is retained piles up.

use std::collections::HashMap;

use super::HeapDump;
use super::skeleton::Skeleton;
use crate::graph::both::both;

/// Share of the reachable bytes from which on an object is looked at.
const SHARE: f64 = 0.10;
/// Share of its holder's bytes at which the search follows one object down.
const FOLLOWED: f64 = 0.70;
/// Share of the holder's bytes that several large objects together must have for the search to follow them all.
const TOGETHER: f64 = 0.50;
/// Steps down at most.
const DEEP: usize = 1000;
/// Objects of one class, held by no single object, from which on they are looked at as a group.
const GROUP: u64 = 64;
/// Objects of a group that are looked at, at most.
const LOOKED_AT: usize = 48;

/// Where bytes pile up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    /// The object, or a few of the group's.
    pub(super) objects: Vec<u32>,
    /// Objects of the group; 1 for a single one.
    pub(super) count: u64,
    /// Bytes that go with it.
    pub(super) retained: u64,
    /// Whether it is a chain of objects of one class, each holding the next.
    pub(super) is_chain: bool,
    /// Entries of a collection whose table is not in the dump.
    pub(super) lost: Option<u64>,
}

/// The points, most bytes first.
pub(super) fn points(heap: &HeapDump) -> Vec<Point> {
    let total = heap.retained.reached_bytes();
    let least = ((total as f64 * SHARE) as u64).max(1);
    // The search goes down to things a quarter of that, to see whether something piles up or is spread.
    let skeleton = || Skeleton::of(&heap.tree, &heap.retained, (least / 4).max(1));
    let (groups, skeleton) = both(|| groups(heap, least), skeleton);
    let mut search = Search { heap, skeleton, least, found: Vec::new() };
    search.below(None, total, 0);
    let mut found = search.found;
    found.extend(groups);
    found.sort_by(|a, b| b.retained.cmp(&a.retained).then_with(|| a.objects.cmp(&b.objects)));
    found
}

struct Search<'a> {
    heap: &'a HeapDump,
    skeleton: Skeleton,
    least: u64,
    found: Vec<Point>,
}

impl Search<'_> {
    /// Follows the large objects below a holder; false when there is none worth it.
    fn below(&mut self, holder: Option<u32>, bytes: u64, depth: usize) -> bool {
        let large: Vec<(u32, u64)> =
            self.skeleton.held_by(holder).iter().filter(|(_, b)| *b >= self.least).copied().collect();
        let sum: u64 = large.iter().map(|(_, b)| b).sum();
        let enough = match large.as_slice() {
            [] => false,
            [(_, one)] => holder.is_none() || *one as f64 >= FOLLOWED * bytes as f64,
            _ => holder.is_none() || sum as f64 >= TOGETHER * bytes as f64,
        };
        if !enough || depth >= DEEP {
            return false;
        }
        for (object, bytes) in large {
            let is_chain = self.is_chain(object);
            if is_chain || !self.below(Some(object), bytes, depth + 1) {
                self.found.push(Point {
                    objects: vec![object],
                    count: 1,
                    retained: bytes,
                    is_chain,
                    lost: None,
                });
            }
        }
        true
    }

    /// Whether it holds one of its own class, which does too, and so on: a list of hand-linked objects.
    fn is_chain(&self, object: u32) -> bool {
        let class = self.heap.class_index(object);
        let mut at = object;
        for _ in 0..8 {
            let next = self.skeleton.held_by(Some(at)).first();
            match next {
                Some((next, _)) if self.heap.class_index(*next) == class => at = *next,
                _ => return false,
            }
        }
        true
    }
}

/// Objects of one class.
#[derive(Default)]
struct Group {
    /// Some of them, evenly from the first to the last.
    objects: Vec<u32>,
    count: u64,
    retained: u64,
    /// One of so many is looked at, as a power of two.
    apart: u32,
}

impl Group {
    fn add(&mut self, object: u32, retained: u64) {
        if self.count.trailing_zeros() >= self.apart {
            self.objects.push(object);
        }
        if self.objects.len() >= LOOKED_AT {
            let mut place = 0;
            self.objects.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.apart += 1;
        }
        self.count += 1;
        self.retained = self.retained.saturating_add(retained);
    }
}

/// Classes of many objects that no single object holds: they are held by several, as by two maps at once.
fn groups(heap: &HeapDump, least: u64) -> Vec<Point> {
    let mut groups: HashMap<u32, Group> = HashMap::new();
    for object in heap.tree.held_by_none().filter(|object| !heap.is_class(*object)) {
        let group = groups.entry(heap.class_index(object)).or_default();
        group.add(object, heap.retained.of(object));
    }
    let large = groups.into_values().filter(|group| group.count >= GROUP && group.retained >= least);
    large
        .map(|group| Point {
            objects: group.objects,
            count: group.count,
            retained: group.retained,
            is_chain: false,
            lost: None,
        })
        .collect()
}
