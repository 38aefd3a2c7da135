//! What grew between dumps of one program: by the way down the dominator tree, not only by class, so that the strings of
//! a cache are told from those of a queue.

use std::collections::HashMap;

use super::HeapDump;
use super::climb::{Owner, climb};
use super::view::resolved;
use super::{HeapDumpError, Source};
use crate::graph::dominators::Holder;
use crate::graph::watch::Watch;

/// Ways told apart at most; objects further down count with what holds them.
const WAYS: usize = 1 << 20;
/// Steps of a way at most.
const DEEP: u16 = 24;
/// Share of the growth of a way at which one below it takes its place.
const FOLLOWED: f64 = 0.7;
/// Share of all growth from which on a way is told of.
const TOLD: f64 = 0.05;
/// Slots of the memory of ways gone lately.
const SLOTS: usize = 1 << 14;
/// The mark of a class that is itself an object of the tree.
const ITSELF: u32 = 1 << 31;
/// The way of the roots.
const TOP: u32 = 0;

/// A way down the tree: all objects of one class that are held by the objects of another way.
#[derive(Debug, Clone, Copy)]
struct Way {
    parent: u32,
    code: u32,
    depth: u16,
    objects: u64,
    retained: u64,
    /// The object of the way that retains most.
    largest: u32,
}

/// The dominator tree of one dump with like objects taken together.
#[derive(Debug)]
pub struct Ways {
    /// By parent and label.
    held: HashMap<(u32, String), u32>,
    children: HashMap<u32, Vec<(String, u32)>>,
    ways: Vec<Way>,
}

/// What one way came to in each dump.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// What owns it, in the last dump.
    pub owner: Owner,
    /// Labels from the top of the tree down.
    pub labels: Vec<String>,
    /// Bytes that go with it, by dump.
    pub retained: Vec<u64>,
    /// Objects, by dump.
    pub objects: Vec<u64>,
    /// Whether it grew from every dump to the next.
    pub every_step: bool,
}

impl Growth {
    /// Bytes gained from the first dump to the last.
    pub fn gained(&self) -> i64 {
        let first = self.retained.first().copied().unwrap_or(0);
        let last = self.retained.last().copied().unwrap_or(0);
        last as i64 - first as i64
    }
}

/// Takes the objects of a dump together.
pub fn ways(heap: &HeapDump) -> Ways {
    let mut pass = Pass {
        heap,
        of: vec![u32::MAX; heap.objects() as usize],
        ways: vec![Way { parent: TOP, code: 0, depth: 0, objects: 0, retained: 0, largest: 0 }],
        by_step: HashMap::new(),
        lately: vec![((u32::MAX, 0), 0); SLOTS],
    };
    for object in heap.tree.reached() {
        pass.object(object);
    }
    let mut all = Ways { held: HashMap::new(), children: HashMap::new(), ways: pass.ways };
    for (number, way) in (0u32..).zip(&all.ways).skip(1) {
        let label = match way.code & ITSELF {
            0 => heap.name_of(way.code),
            _ => format!("class {}", heap.name_of(way.code & !ITSELF)),
        };
        // Two classes of one name, from two loaders, keep their first way.
        all.held.entry((way.parent, label.clone())).or_insert(number);
        all.children.entry(way.parent).or_default().push((label, number));
    }
    all
}

struct Pass<'a> {
    heap: &'a HeapDump,
    /// The way of each object.
    of: Vec<u32>,
    ways: Vec<Way>,
    by_step: HashMap<(u32, u32), u32>,
    lately: Vec<((u32, u32), u32)>,
}

impl Pass<'_> {
    #[inline]
    fn object(&mut self, object: u32) {
        let parent = match self.heap.tree.holder(object) {
            Holder::Object(holder) => self.of.get(holder as usize).copied().unwrap_or(TOP),
            Holder::Roots | Holder::Nothing => TOP,
        };
        let code = self.code(object);
        let way = self.step(parent, code);
        if let Some(slot) = self.of.get_mut(object as usize) {
            *slot = way;
        }
        let bytes = self.heap.retained.of(object);
        let Some(found) = self.ways.get_mut(way as usize) else { return };
        found.objects += 1;
        if way != parent {
            if found.retained == 0 || bytes > self.heap.retained.of(found.largest) {
                found.largest = object;
            }
            found.retained = found.retained.saturating_add(bytes);
        }
    }

    fn code(&self, object: u32) -> u32 {
        let class = self.heap.kinds.class(object);
        let itself = if self.heap.kinds.is_class_object(object) {
            self.heap.address_of(object).and_then(|address| self.heap.model.index(address))
        } else {
            None
        };
        itself.map_or(class & !ITSELF, |index| ITSELF | index)
    }

    #[inline]
    fn step(&mut self, parent: u32, code: u32) -> u32 {
        let slot = (parent.wrapping_mul(0x9E37_79B9) ^ code.wrapping_mul(0x85EB_CA6B)) as usize >> 8;
        match self.lately.get(slot % SLOTS) {
            Some((step, way)) if *step == (parent, code) => *way,
            _ => self.fresh_step(parent, code, slot % SLOTS),
        }
    }

    #[cold]
    fn fresh_step(&mut self, parent: u32, code: u32, slot: usize) -> u32 {
        let Some(above) = self.ways.get(parent as usize).copied() else { return parent };
        let next = self.ways.len();
        // One that holds its like is a chain: all of it is one way.
        let way = if parent != TOP && above.code == code || above.depth >= DEEP {
            parent
        } else if let Some(known) = self.by_step.get(&(parent, code)) {
            *known
        } else if next >= WAYS {
            parent
        } else {
            let depth = above.depth + 1;
            self.ways.push(Way { parent, code, depth, objects: 0, retained: 0, largest: 0 });
            self.by_step.insert((parent, code), next as u32);
            next as u32
        };
        if let Some(slot) = self.lately.get_mut(slot) {
            *slot = ((parent, code), way);
        }
        way
    }
}

impl Ways {
    /// The way with these labels: objects and bytes; nothing is 0 of both.
    fn find(&self, labels: &[String]) -> (u64, u64) {
        let step = |at: u32, label: &String| self.held.get(&(at, label.clone())).copied();
        let found = labels.iter().try_fold(TOP, step).and_then(|way| self.ways.get(way as usize));
        found.map_or((0, 0), |way| (way.objects, way.retained))
    }
}

/// What grew from the first of these dumps to the last, most first. `heap` and `source` are the last one's.
///
/// # Errors
/// As [`super::read`].
pub fn grown(
    all: &[Ways],
    heap: &HeapDump,
    source: &(impl Source + ?Sized),
    watch: &dyn Watch,
) -> Result<Vec<Growth>, HeapDumpError> {
    let mut search = Search { all, found: Vec::new() };
    let gains = search.below(TOP, &mut Vec::new());
    let total: f64 = gains.iter().map(|(_, _, gain)| *gain as f64).sum();
    for (label, way, gain) in gains {
        search.follow(way, gain, total * TOLD, &mut vec![label]);
    }
    let found = search.found;
    let owners = resolved(heap, source, watch, |view| {
        found.iter().map(|(_, largest)| climb(view, *largest).owner).collect::<Vec<_>>()
    })?;
    let mut grown: Vec<Growth> = found
        .into_iter()
        .zip(owners)
        .map(|((labels, _), owner)| {
            let (objects, retained): (Vec<u64>, Vec<u64>) = all.iter().map(|w| w.find(&labels)).unzip();
            let every_step = retained.windows(2).all(|pair| pair.first() < pair.last());
            Growth { owner, labels, retained, objects, every_step }
        })
        .collect();
    grown.sort_by_key(|growth| std::cmp::Reverse(growth.gained()));
    Ok(grown)
}

struct Search<'a> {
    all: &'a [Ways],
    /// Labels, and the largest object in the last dump.
    found: Vec<(Vec<String>, u32)>,
}

impl Search<'_> {
    /// The ways below one of the last dump that gained, and by how much, most first.
    fn below(&self, way: u32, labels: &mut Vec<String>) -> Vec<(String, u32, u64)> {
        let (Some(first), Some(last)) = (self.all.first(), self.all.last()) else { return Vec::new() };
        let children = last.children.get(&way).map_or(&[][..], Vec::as_slice);
        let mut gains: Vec<(String, u32, u64)> = Vec::new();
        for (label, child) in children {
            let now = last.ways.get(*child as usize).map_or(0, |way| way.retained);
            labels.push(label.clone());
            let (_, before) = first.find(labels);
            labels.pop();
            if now > before {
                gains.push((label.clone(), *child, now - before));
            }
        }
        gains.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
        gains
    }

    /// Down to where what was gained is spread.
    fn follow(&mut self, way: u32, gain: u64, least: f64, labels: &mut Vec<String>) {
        if (gain as f64) < least {
            return;
        }
        let below = self.below(way, labels);
        let next = below.first().filter(|(label, ..)| Some(label) != labels.last());
        if let Some((label, child, more)) = next
            && *more as f64 >= FOLLOWED * gain as f64
            && !is_spread(self.all, *child)
        {
            labels.push(label.clone());
            self.follow(*child, *more, least, labels);
            labels.pop();
            return;
        }
        let last = self.all.last().and_then(|ways| ways.ways.get(way as usize));
        self.found.push((labels.clone(), last.map_or(0, |way| way.largest)));
    }
}

/// Whether a way of the last dump has many objects: it is what is held, not what holds.
fn is_spread(all: &[Ways], way: u32) -> bool {
    all.last().and_then(|ways| ways.ways.get(way as usize)).is_some_and(|way| way.objects > 16)
}
