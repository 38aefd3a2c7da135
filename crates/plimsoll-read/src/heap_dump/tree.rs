//! The dominator tree as a person walks it: the largest objects, what they hold, and the rest as a sum.

use std::collections::HashMap;

use super::HeapDump;
use super::climb::thread_name;
use super::skeleton::Skeleton;
use super::view::resolved;
use super::{HeapDumpError, Source};
use crate::graph::dominators::{Dominators, Holder};
use crate::graph::marks::Marks;
use crate::graph::retained::Retained;
use crate::graph::watch::Watch;

/// One object of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Its number.
    pub object: u32,
    /// What it is; a thread with its name.
    pub label: String,
    /// Its own bytes.
    pub shallow: u64,
    /// Bytes that go with it.
    pub retained: u64,
    /// The largest that it holds, largest first.
    pub held: Vec<Branch>,
    /// The others that it holds, by class: the most bytes first.
    pub others: Vec<Others>,
}

/// Objects of one class that one object holds, told of together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Others {
    /// The class.
    pub class: String,
    /// The largest of them, where there is more to say of each than its class: of classes, their names.
    pub largest: Vec<String>,
    /// How many.
    pub objects: u64,
    /// Bytes that go with them.
    pub retained: u64,
}

/// What a tree must know of a heap, whatever its format.
pub(crate) trait Named {
    /// Who dominates whom.
    fn tree(&self) -> &Dominators;
    /// What goes with each object.
    fn retained(&self) -> &Retained;
    /// Bytes of the object itself.
    fn shallow(&self, object: u32) -> u64;
    /// The object in words.
    fn label(&self, object: u32) -> String;
    /// A number for its class.
    fn class(&self, object: u32) -> u64;
    /// The name of that class.
    fn class_name(&self, class: u64) -> String;
}

impl Named for HeapDump {
    fn tree(&self) -> &Dominators {
        &self.tree
    }

    fn retained(&self) -> &Retained {
        &self.retained
    }

    fn shallow(&self, object: u32) -> u64 {
        HeapDump::shallow(self, object)
    }

    fn label(&self, object: u32) -> String {
        HeapDump::label(self, object)
    }

    fn class(&self, object: u32) -> u64 {
        u64::from(self.class_index(object))
    }

    fn class_name(&self, class: u64) -> String {
        self.name_of(u32::try_from(class).unwrap_or(u32::MAX))
    }
}

/// Classes told of below one object.
const CLASSES: usize = 8;
/// Objects named of those told of together.
const NAMED: usize = 3;

/// Objects of one class that one object holds.
#[derive(Default)]
struct Sum {
    objects: u64,
    retained: u64,
    /// The largest, with what they retain, largest first.
    largest: [Option<(u64, u32)>; NAMED],
}

impl Sum {
    fn add(&mut self, object: u32, retained: u64) {
        self.objects += 1;
        self.retained = self.retained.saturating_add(retained);
        let mut candidate = Some((retained, object));
        for place in &mut self.largest {
            if place.is_none_or(|(bytes, _)| candidate.is_some_and(|(more, _)| more > bytes)) {
                std::mem::swap(place, &mut candidate);
            }
        }
    }

    /// What the sum tells of a class of this name.
    fn told(self, heap: &impl Named, class: String) -> Others {
        let Sum { objects, retained, largest } = self;
        let labels = largest.into_iter().flatten().map(|(_, object)| heap.label(object));
        let largest = labels.filter(|label| *label != class).collect();
        Others { class, largest, objects, retained }
    }
}

/// The tree below the roots: `width` objects a step, `depth` steps. Below the first step, of a heap with very
/// many objects only the largest 65,536 are looked at: what is missing below an object is small.
///
/// # Errors
/// As [`super::read`].
pub fn tree(
    heap: &HeapDump,
    source: &(impl Source + ?Sized),
    width: usize,
    depth: usize,
    watch: &dyn Watch,
) -> Result<Vec<Branch>, HeapDumpError> {
    let skeleton = Skeleton::of(&heap.tree, &heap.retained, 1);
    // The largest of all are exact, however many objects are larger than they are further down.
    let mut top = heap.tree.held_by(Holder::Roots, &heap.retained, width).biggest;
    top.retain(|(_, bytes)| *bytes > 0);
    let mut branches = branches(heap, &skeleton, &top, width, depth);
    let threads: Vec<u32> = branches.iter().map(|b| b.object).filter(|o| heap.is_thread(*o)).collect();
    let names = resolved(heap, source, watch, |view| {
        threads.iter().map(|thread| (*thread, thread_name(view, *thread))).collect::<Vec<_>>()
    })?;
    for branch in &mut branches {
        if let Some((_, name)) = names.iter().find(|(thread, _)| *thread == branch.object) {
            branch.label = format!("{} \"{name}\"", branch.label);
        }
    }
    Ok(branches)
}

/// Objects with what they hold: `width` objects a step, `depth` steps, and the rest as sums.
pub(crate) fn branches(
    heap: &impl Named,
    skeleton: &Skeleton,
    top: &[(u32, u64)],
    width: usize,
    depth: usize,
) -> Vec<Branch> {
    let top = top.iter();
    let mut branches =
        top.map(|(object, bytes)| branch(heap, skeleton, *object, *bytes, width, depth)).collect::<Vec<_>>();
    add_others(heap, &mut branches);
    branches
}

fn branch(
    heap: &impl Named,
    skeleton: &Skeleton,
    object: u32,
    retained: u64,
    width: usize,
    depth: usize,
) -> Branch {
    let below = if depth > 1 { skeleton.held_by(Some(object)) } else { &[] };
    let held = below.iter().take(width);
    Branch {
        object,
        label: heap.label(object),
        shallow: heap.shallow(object),
        retained,
        held: held.map(|(held, bytes)| branch(heap, skeleton, *held, *bytes, width, depth - 1)).collect(),
        others: Vec::new(),
    }
}

/// Fills in what the objects of a tree hold beside what is in it, in one pass.
fn add_others(heap: &impl Named, tree: &mut [Branch]) {
    let objects = heap.tree().objects();
    let (mut shown, mut sums) = (Marks::new(objects), HashMap::new());
    each(tree, &mut |branch| shown.set(branch.object));
    for object in 0..objects {
        // Classes of arrays have no bytes of their own: they would be rows that say nothing.
        if let Holder::Object(holder) = heap.tree().holder(object)
            && shown.has(holder)
            && !shown.has(object)
            && let retained @ 1.. = heap.retained().of(object)
        {
            let sum: &mut Sum = sums.entry((holder, heap.class(object))).or_default();
            sum.add(object, retained);
        }
    }
    let mut others: HashMap<u32, Vec<Others>> = HashMap::new();
    for ((holder, class), sum) in sums {
        others.entry(holder).or_default().push(sum.told(heap, heap.class_name(class)));
    }
    each(tree, &mut |branch| {
        branch.others = others.remove(&branch.object).unwrap_or_default();
        branch.others.sort_by(|a, b| b.retained.cmp(&a.retained).then_with(|| a.class.cmp(&b.class)));
        branch.others.truncate(CLASSES);
    });
}

fn each(tree: &mut [Branch], f: &mut impl FnMut(&mut Branch)) {
    for branch in tree {
        f(branch);
        each(&mut branch.held, f);
    }
}
