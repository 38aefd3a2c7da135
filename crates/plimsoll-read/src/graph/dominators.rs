//! Who holds what: the immediate dominator of every object reached, that is the nearest object without which
//! it could be freed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::GraphError;
use super::both::{both, halves};
use super::edges::Graph;
use super::marks::Marks;
use super::prefetch::prefetch;
use super::retained::Retained;
use super::semi::{Tree, semi_nca};
use super::walk::{LEAF, UNREACHED, Walk, has_leaves};
use super::watch::Watch;

/// The mark of an object that no single object holds.
pub(super) const BY_ROOTS: u32 = u32::MAX - 1;
/// Objects from which on a second thread pays.
const WORTH_A_THREAD: usize = 1 << 19;
/// Objects looked at together when the objects under a holder are searched.
const STRETCH: usize = 64;

/// What keeps an object alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// This object alone: freeing it frees what it holds.
    Object(u32),
    /// The roots: it is one, or several chains of references lead to it that share no object.
    Roots,
    /// Nothing: no root reaches it.
    Nothing,
}

/// The dominator tree of a graph: four bytes an object, and four more where it refers to any.
#[derive(Debug)]
pub struct Dominators {
    /// By object: its holder's index or a mark.
    pub(super) holders: Vec<u32>,
    /// Objects that refer to any, and roots, in walk order: a holder comes before what it holds.
    order: Vec<u32>,
    /// The others that are reached.
    leaves: Marks,
    peak: usize,
}

/// Finds the dominators of a graph from these roots. To save the memory of the graph meanwhile, make a
/// [`Walk`], drop the graph, then call [`Dominators::new`].
///
/// # Errors
/// [`GraphError::NoSuchObject`] for a root outside the graph, [`GraphError::Stopped`] by the watch.
pub fn dominators(graph: &Graph, roots: &[u32], watch: &dyn Watch) -> Result<Dominators, GraphError> {
    Dominators::new(Walk::new(graph, roots, watch)?, watch)
}

impl Dominators {
    /// Finds the dominators from a walk.
    ///
    /// # Errors
    /// [`GraphError::Stopped`] by the watch.
    pub fn new(walk: Walk, watch: &dyn Watch) -> Result<Self, GraphError> {
        let Walk { numbers: mut holders, parents, inbound, .. } = walk;
        let held = |leaf: u32, number: u32| {
            if let Some(slot) = holders.get_mut(leaf as usize) {
                *slot = number | LEAF;
            }
        };
        let Tree { idom, peak } = semi_nca(parents, inbound, held, watch)?;
        let has_leaves = has_leaves(holders.len() as u32);
        let (order, leaves) = in_walk_order(&holders, has_leaves, idom.len());
        let by_object = holders.capacity() * 4 + leaves.bytes();
        let peak = by_object + peak.max((idom.capacity() + order.capacity()) * 4);
        name_holders(&mut holders, has_leaves, &idom, &order);
        Ok(Self { holders, order, leaves, peak })
    }

    /// Objects in the graph.
    #[must_use]
    pub fn objects(&self) -> u32 {
        self.holders.len() as u32
    }

    /// What holds an object; [`Holder::Nothing`] also for an index outside the graph.
    #[must_use]
    #[inline]
    pub fn holder(&self, object: u32) -> Holder {
        match self.holders.get(object as usize) {
            None | Some(&UNREACHED) => Holder::Nothing,
            Some(&BY_ROOTS) => Holder::Roots,
            Some(&holder) => Holder::Object(holder),
        }
    }

    /// An object's holder will be needed soon.
    #[inline]
    pub(crate) fn prefetch(&self, object: u32) {
        prefetch(&self.holders, object as usize);
    }

    /// Whether a root reaches an object.
    #[must_use]
    pub fn is_reached(&self, object: u32) -> bool {
        self.holder(object) != Holder::Nothing
    }

    /// The objects reached, each after its holder.
    pub fn reached(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        let leaves = (0..self.objects()).filter(|&object| self.leaves.has(object));
        self.walked().iter().copied().chain(leaves)
    }

    /// The objects reached that refer to any, and roots, each after its holder.
    pub(crate) fn walked(&self) -> &[u32] {
        self.order.get(1..).unwrap_or_default()
    }

    /// The other objects reached, which hold none.
    pub(crate) fn reached_leaves(&self) -> impl Iterator<Item = u32> + '_ {
        self.leaves.iter()
    }

    /// The same as two halves.
    pub(crate) fn halves_of_leaves(&self) -> [impl Iterator<Item = u32> + '_; 2] {
        self.leaves.halves()
    }

    /// The holder of an object, its holder, and so on up to below the roots.
    pub fn holders_of(&self, object: u32) -> impl Iterator<Item = u32> + '_ {
        let above = |object| match self.holder(object) {
            Holder::Object(holder) => Some(holder),
            Holder::Roots | Holder::Nothing => None,
        };
        std::iter::successors(above(object), move |&object| above(object))
    }

    /// The objects a holder directly holds, biggest first, at most `limit` of them by name. Takes a pass over
    /// all objects, four bytes each.
    #[must_use]
    pub fn held_by(&self, holder: Holder, retained: &Retained, limit: usize) -> Held {
        let mark = match holder {
            Holder::Object(object) if object >= self.objects() => return Held::default(),
            Holder::Object(object) => object,
            Holder::Roots => BY_ROOTS,
            Holder::Nothing => UNREACHED,
        };
        let mut held = Held::default();
        let mut biggest = BinaryHeap::new();
        for object in self.marked(mark) {
            let bytes = retained.of(object);
            held.objects += 1;
            held.bytes = held.bytes.saturating_add(bytes);
            biggest.push(Reverse((bytes, Reverse(object))));
            if biggest.len() > limit {
                biggest.pop();
            }
        }
        let sorted = biggest.into_sorted_vec();
        held.biggest = sorted.into_iter().map(|Reverse((bytes, Reverse(object)))| (object, bytes)).collect();
        held
    }

    /// The objects that are reached and that no single object holds, ascending.
    pub(crate) fn held_by_none(&self) -> impl Iterator<Item = u32> + '_ {
        self.marked(BY_ROOTS)
    }

    /// The objects whose holder is this one or this mark, ascending. Most have another: they are looked at many at once.
    fn marked(&self, mark: u32) -> impl Iterator<Item = u32> + '_ {
        let stretches = (0u32..).step_by(STRETCH).zip(self.holders.chunks(STRETCH));
        stretches.filter(move |(_, stretch)| stretch.contains(&mark)).flat_map(move |(first, stretch)| {
            (first..).zip(stretch).filter(move |(_, found)| **found == mark).map(|(object, _)| object)
        })
    }

    /// Retained sizes; `shallow` gives an object's own bytes and is called once for each object, by two threads.
    ///
    /// # Errors
    /// [`GraphError::Stopped`] by the watch.
    pub fn retained(
        &self,
        shallow: impl Fn(u32) -> u64 + Sync,
        watch: &dyn Watch,
    ) -> Result<Retained, GraphError> {
        Retained::new(self, shallow, watch)
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (self.holders.capacity() + self.order.capacity()) * 4 + self.leaves.bytes()
    }

    /// The most bytes held at once from the end of the walk to here, without the graph. An upper bound.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        self.peak
    }
}

/// What one holder directly holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// How many objects.
    pub objects: u32,
    /// What they retain together, in bytes.
    pub bytes: u64,
    /// The biggest of them: object and retained bytes, biggest first, ties by index.
    pub biggest: Vec<(u32, u64)>,
}

/// The objects by walk number, the roots' mark first; and the leaves. By two threads: a number is that of one object.
fn in_walk_order(numbers: &[u32], has_leaves: bool, walked: usize) -> (Vec<u32>, Marks) {
    let order: Vec<AtomicU32> = std::iter::repeat_with(|| AtomicU32::new(BY_ROOTS)).take(walked).collect();
    let fill = |numbers: &[u32], first: u32, leaves: &mut Marks| {
        for (object, &number) in (first..).zip(numbers) {
            match order.get(number as usize) {
                Some(slot) => slot.store(object, Relaxed),
                None if has_leaves && number != UNREACHED => leaves.set(object),
                None => {}
            }
        }
    };
    let (left, right) = numbers.split_at(numbers.len() / 2);
    let fresh = || Marks::new(numbers.len() as u32);
    let right = || {
        let mut leaves = fresh();
        fill(right, left.len() as u32, &mut leaves);
        leaves
    };
    let left = || {
        let mut leaves = fresh();
        fill(left, 0, &mut leaves);
        leaves
    };
    let (mut leaves, more) =
        if numbers.len() < WORTH_A_THREAD { (left(), right()) } else { both(left, right) };
    leaves.join(&more);
    (order.into_iter().map(AtomicU32::into_inner).collect(), leaves)
}

/// Turns each object's walk number, or a leaf's holder's, into its holder's index, on two threads.
fn name_holders(numbers: &mut [u32], has_leaves: bool, idom: &[u32], order: &[u32]) {
    let name = |half: &mut [u32]| {
        for slot in half {
            let above = match idom.get(*slot as usize) {
                Some(&above) => Some(above),
                None if has_leaves && *slot != UNREACHED => Some(*slot & !LEAF),
                None => None,
            };
            let holder = above.and_then(|above| order.get(above as usize));
            *slot = holder.copied().unwrap_or(UNREACHED);
        }
    };
    halves(numbers, |_, half| name(half));
}
