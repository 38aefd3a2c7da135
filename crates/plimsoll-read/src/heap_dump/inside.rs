//! What lies inside a suspect: its objects by class, and its units: the entries of a map, the elements of a list.

use std::collections::HashMap;

use super::HeapDump;
use crate::graph::both::both;
use crate::graph::dominators::Holder;
use crate::graph::prefetch::prefetch;

/// Suspects looked into at once.
pub(super) const SUSPECTS: usize = 30;
/// Objects between one that is looked at and one whose cache lines are asked for.
const AHEAD: usize = 24;
/// Units kept of each suspect.
const KEPT: usize = 1 << 14;
/// The mark of objects that belong to the collection itself: its tables, segments, entries.
const STRUCTURE: u8 = 0x80;
/// The mark, beside it, of entries.
const ENTRY: u8 = 0x40;

/// Objects of one class inside a suspect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassInside {
    /// Name of the class.
    pub class: String,
    /// Objects.
    pub objects: u64,
    /// Their own bytes together.
    pub bytes: u64,
}

/// What lies inside one suspect.
#[derive(Debug, Clone, Default)]
pub(super) struct Inside {
    /// By the bytes of the objects themselves, most first.
    pub(super) classes: Vec<ClassInside>,
    /// Entries or elements.
    pub(super) units: u64,
    /// Whether the units are entries with a key each.
    pub(super) have_keys: bool,
    /// Some of the units, spread evenly.
    pub(super) sample: Vec<u32>,
    /// Class of most of the units' values: of the elements, or of what the entries hold beside the key.
    pub(super) unit_class: String,
}

/// Codes behind those of the classes: arrays of numbers, and objects without a class.
const ARRAY_KINDS: usize = 17;

/// How objects of a class take part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Entry,
    Array,
    Other,
}

/// Looks into the subtrees of up to [`SUSPECTS`] objects, none of which holds another, in one pass.
pub(super) fn inside(heap: &HeapDump, points: &[u32]) -> Vec<Inside> {
    let points = points.get(..SUSPECTS.min(points.len())).unwrap_or_default();
    let mut tags = Tags::new(heap, points);
    let mut tallies = tags.tallies(points);
    let walked = heap.tree.walked();
    for (at, object) in walked.iter().enumerate() {
        if let Some(soon) = walked.get(at + AHEAD) {
            tags.prefetch(*soon);
        }
        tags.walked(*object, &mut tallies);
    }
    // Leaves hold nothing: what one is depends on no other, so half of them are another thread's.
    let beside = || {
        let mut tallies = tags.tallies(points);
        tags.leaves(1, &mut tallies);
        tallies
    };
    let (theirs, ()) = both(beside, || tags.leaves(0, &mut tallies));
    let joined = tallies.into_iter().zip(theirs).map(|(tally, more)| tally.joined(more));
    joined.map(|tally| tally.finish(heap)).collect()
}

/// Which objects lie inside which suspect, and as what.
struct Tags<'a> {
    heap: &'a HeapDump,
    /// By object: 0 outside, else 1 + the suspect, with marks.
    tags: Vec<u8>,
    parts: Vec<Part>,
}

/// The tags of an object itself, if it has one already, and of what holds it: one of them is not 0.
#[derive(Clone, Copy)]
struct Place {
    own: u8,
    above: u8,
}

#[derive(Default)]
struct Tally {
    /// Objects and their bytes, by class.
    by_class: Vec<(u64, u64)>,
    entries: Sample,
    elements: Sample,
}

/// Every n-th of what is offered, n doubling as it fills.
#[derive(Default)]
struct Sample {
    seen: u64,
    every: u64,
    kept: Vec<u32>,
}

impl Sample {
    fn offer(&mut self, object: u32) {
        self.every = self.every.max(1);
        if self.seen.is_multiple_of(self.every) {
            self.kept.push(object);
            if self.kept.len() >= 2 * KEPT {
                self.thin();
            }
        }
        self.seen += 1;
    }

    /// Keeps half of them.
    fn thin(&mut self) {
        let mut even = false;
        self.kept.retain(|_| {
            even = !even;
            even
        });
        self.every *= 2;
    }

    /// Takes those of another one, which come behind.
    fn join(&mut self, mut more: Sample) {
        let every = self.every.max(more.every);
        for sample in [&mut *self, &mut more] {
            while sample.every != 0 && sample.every < every {
                sample.thin();
            }
        }
        self.every = every;
        self.kept.append(&mut more.kept);
        self.seen += more.seen;
        if self.kept.len() >= 2 * KEPT {
            self.thin();
        }
    }
}

impl<'a> Tags<'a> {
    fn new(heap: &'a HeapDump, points: &[u32]) -> Self {
        let mut tags = vec![0; heap.objects() as usize];
        for (suspect, point) in (0u8..).zip(points) {
            if let Some(tag) = tags.get_mut(*point as usize) {
                *tag = (suspect + 1) | STRUCTURE;
            }
        }
        let parts = (0u32..).take(heap.model.classes().len()).map(|class| part_of(heap, class)).collect();
        Tags { heap, tags, parts }
    }

    /// Nothing counted yet, for each suspect.
    fn tallies(&self, points: &[u32]) -> Vec<Tally> {
        let classes = self.heap.model.classes().len() + ARRAY_KINDS;
        points.iter().map(|_| Tally { by_class: vec![(0, 0); classes], ..Tally::default() }).collect()
    }

    /// An object comes soon.
    #[inline]
    fn prefetch(&self, object: u32) {
        prefetch(&self.tags, object as usize);
        self.heap.tree.prefetch(object);
        self.heap.kinds.prefetch(object);
    }

    /// Tags an object that may hold others, and counts it.
    #[inline]
    fn walked(&mut self, object: u32, tallies: &mut [Tally]) {
        if let Some(place) = self.place(object) {
            let tag = self.count(object, place, tallies);
            if let Some(slot) = self.tags.get_mut(object as usize) {
                *slot = tag;
            }
        }
    }

    /// Counts one half of the leaves, or the other.
    fn leaves(&self, half: usize, tallies: &mut [Tally]) {
        for leaf in self.heap.tree.halves_of_leaves().into_iter().skip(half).take(1).flatten() {
            if let Some(place) = self.place(leaf) {
                self.count(leaf, place, tallies);
            }
        }
    }

    /// Where an object is; nothing outside.
    #[inline]
    fn place(&self, object: u32) -> Option<Place> {
        let own = self.tags.get(object as usize).copied().unwrap_or(0);
        let above = match self.heap.tree.holder(object) {
            Holder::Object(holder) => self.tags.get(holder as usize).copied().unwrap_or(0),
            Holder::Roots | Holder::Nothing => 0,
        };
        (own | above != 0).then_some(Place { own, above })
    }

    /// Counts an object inside; gives its tag.
    #[inline]
    fn count(&self, object: u32, Place { own, above }: Place, tallies: &mut [Tally]) -> u8 {
        let (class, size) = self.heap.kinds.class_and_bytes(object);
        let part = self.parts.get(class as usize).copied().unwrap_or(Part::Other);
        let tag = if own == 0 { mark(above, part) } else { own };
        let suspect = (tag & !(STRUCTURE | ENTRY)).wrapping_sub(1);
        let Some(tally) = tallies.get_mut(usize::from(suspect)) else { return tag };
        // Behind the last class come the kinds of arrays of numbers, then those without a class.
        let last = tally.by_class.len().saturating_sub(1);
        if let Some((objects, bytes)) = tally.by_class.get_mut((class as usize).min(last)) {
            *objects += 1;
            *bytes += size;
        }
        if own != 0 {
            return tag;
        }
        if tag & ENTRY != 0 {
            tally.entries.offer(object);
        } else if tag & STRUCTURE == 0 && above & STRUCTURE != 0 && above & ENTRY == 0 {
            tally.elements.offer(object);
        }
        tag
    }
}

/// The tag of an object from that of what holds it. Entries hold entries (of the same bucket) and their own content;
/// arrays of the collection hold arrays, entries and elements.
#[inline]
fn mark(above: u8, part: Part) -> u8 {
    let suspect = above & !(STRUCTURE | ENTRY);
    match part {
        _ if above & STRUCTURE == 0 => suspect,
        Part::Entry => suspect | STRUCTURE | ENTRY,
        Part::Array if above & ENTRY == 0 => suspect | STRUCTURE,
        Part::Array | Part::Other => suspect,
    }
}

/// Entries are known by their fields; what belongs to a collection's own structure, by being an array of them, of
/// segments, or a segment.
fn part_of(heap: &HeapDump, class: u32) -> Part {
    let mut fields: Vec<&[u8]> = heap.fields_of(class).map(|field| field.name).collect();
    fields.truncate(64);
    let has = |names: &[&[u8]]| fields.iter().any(|field| names.contains(field));
    if has(&[b"key"]) && has(&[b"value", b"val", b"valueReference"]) || has(&[b"item"]) && has(&[b"next"]) {
        return Part::Entry;
    }
    let name = heap.name_of(class);
    let inner = ["$Segment", "$Node", "$Entry", "$TreeBin", "$HashIterator", "Segment"];
    let element = name.trim_end_matches("[]");
    let library = ["java.util.", "com.google.common.", "com.github.benmanes.", "scala.collection."];
    let own = library.iter().any(|package| name.starts_with(package));
    match name.ends_with("[]") {
        true if own && inner.iter().any(|suffix| element.ends_with(suffix)) => Part::Array,
        true if element == "java.lang.Object" => Part::Array,
        false if own && (element.ends_with("Segment") || element.ends_with("$TreeBin")) => Part::Array,
        false if element.ends_with("AtomicReferenceArray") => Part::Array,
        _ => Part::Other,
    }
}

impl Tally {
    /// With what another one counted of the same suspect, behind it.
    fn joined(mut self, more: Tally) -> Tally {
        for (ours, theirs) in self.by_class.iter_mut().zip(more.by_class) {
            *ours = (ours.0 + theirs.0, ours.1 + theirs.1);
        }
        self.entries.join(more.entries);
        self.elements.join(more.elements);
        self
    }

    fn finish(self, heap: &HeapDump) -> Inside {
        let rows = (0u32..).zip(&self.by_class).filter(|(_, (objects, _))| *objects > 0);
        let mut rows: Vec<_> = rows.map(|(class, (objects, bytes))| (class, *objects, *bytes)).collect();
        rows.sort_unstable_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
        let have_keys = self.entries.seen > 0 && self.entries.seen >= self.elements.seen;
        let units = if have_keys { self.entries } else { self.elements };
        let unit_class = common_class(heap, &units.kept);
        let classes = rows.into_iter().take(8).map(|(class, objects, bytes)| ClassInside {
            class: heap.name_of(class),
            objects,
            bytes,
        });
        Inside { classes: classes.collect(), units: units.seen, have_keys, sample: units.kept, unit_class }
    }
}

fn common_class(heap: &HeapDump, objects: &[u32]) -> String {
    let mut counts: HashMap<u32, u32> = HashMap::new();
    for object in objects {
        *counts.entry(heap.kinds.class(*object)).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(class, count)| (*count, std::cmp::Reverse(*class)));
    most.map(|(class, _)| heap.name_of(class)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_samples_make_an_even_one() {
        for (left, right) in [(0, 0), (10, 0), (0, 10), (40_000, 100_000), (200_000, 3), (30_000, 30_000)] {
            let [mut first, mut second] = [Sample::default(), Sample::default()];
            (0..left).for_each(|object| first.offer(object));
            (left..left + right).for_each(|object| second.offer(object));
            first.join(second);
            assert_eq!(first.seen, u64::from(left + right));
            assert!(first.kept.len() < 2 * KEPT && first.kept.is_sorted());
            let few = first.seen < 2 * KEPT as u64;
            let least = if few { first.seen as usize } else { KEPT / 2 };
            assert!(first.kept.len() >= least, "{left} and {right}: {}", first.kept.len());
            // As many of each part as its share, but for one at each end.
            let of_left = first.kept.iter().filter(|object| **object < left).count();
            let due = u64::from(left).div_ceil(first.every.max(1));
            assert!(due.abs_diff(of_left as u64) <= 1, "{left} and {right}: {of_left} of {due}");
        }
    }
}
