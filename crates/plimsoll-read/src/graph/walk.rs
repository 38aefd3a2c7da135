//! The depth-first walk from the roots: it numbers the objects it meets and keeps what the search for
//! dominators needs, so that the graph itself may be dropped afterwards.
//!
//! A root is held by the root of roots alone, so a reference to a root changes no dominator and is skipped.
//! Every other reference that did not lead to a fresh object is kept as a pair of walk numbers; both are known
//! at the moment the walk sees it, so no second pass over the graph is needed. A second thread packs the pairs.
//!
//! Objects that refer to nothing, a third of a heap and more, dominate nothing: these leaves get no number of their own,
//! only that of the first object that leads to them.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::GraphError;
use super::edges::{Graph, Paused, Targets};
use super::marks::Marks;
use super::parts::{Inbound, LeafReference, Parents};
use super::prefetch::prefetch;
use super::watch::{Phase, Watch, check};

/// The mark of an object not reached.
pub(super) const UNREACHED: u32 = u32::MAX;
/// The mark of a root, which no reference leads to, during the walk.
const ROOT: u32 = u32::MAX - 1;
/// Set in the number of the object that first led to a leaf. Where there are so many objects that a number may have it,
/// leaves are numbered as all others are.
pub(super) const LEAF: u32 = 1 << 31;
/// Pairs handed over at once.
const BATCH: usize = 1 << 15;
/// References between one that is packed and one whose cache line is asked for.
const AHEAD: usize = 16;
/// Frames of the stack that may lie idle: 4 MiB.
const SPARE: usize = 1 << 18;
/// Below this many objects a second thread costs more than it saves.
const WORTH_A_THREAD: u32 = 1 << 18;

/// The result of a walk. Needs the graph no longer.
#[derive(Debug)]
pub struct Walk {
    /// The walk number of each object, 1 and up; of a leaf, that of the first object that led to it with [`LEAF`]; or a
    /// mark.
    pub(super) numbers: Vec<u32>,
    /// Leaves reached.
    leaves: u32,
    pub(super) parents: Parents,
    pub(super) inbound: Inbound,
}

impl Walk {
    /// Walks the graph from these roots; repeats among them are ignored.
    ///
    /// # Errors
    /// [`GraphError::NoSuchObject`] for a root outside the graph, [`GraphError::Stopped`] by the watch.
    pub fn new(graph: &Graph, roots: &[u32], watch: &dyn Watch) -> Result<Self, GraphError> {
        let (numbers, roots) = mark_roots(graph.objects(), roots)?;
        let mut walker = Walker::new(graph, &numbers, watch);
        let packed = thread::scope(|scope| {
            let (send, receive) = sync_channel(4);
            let numbers = &numbers;
            let packer = (graph.objects() >= WORTH_A_THREAD)
                .then(|| thread::Builder::new().spawn_scoped(scope, move || take_all(&receive, numbers)).ok())
                .flatten();
            let mut met = Met::new(numbers, packer.is_some().then_some(send));
            let walked = walker.walk(&roots, &mut met);
            let own = met.finish();
            let packed = packer.map_or(Ok(own), thread::ScopedJoinHandle::join);
            walked.map(|()| packed.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        let Walker { mut parents, root_numbers, .. } = walker;
        parents.close();
        let mut numbers: Vec<u32> = numbers.into_iter().map(AtomicU32::into_inner).collect();
        for (&root, number) in roots.iter().zip(root_numbers) {
            if let Some(slot) = numbers.get_mut(root as usize) {
                *slot = number;
            }
        }
        let Packed { inbound, leaves } = packed;
        Ok(Self { numbers, leaves, parents, inbound })
    }

    /// Objects reached.
    #[must_use]
    pub fn reached(&self) -> u32 {
        self.parents.len() - 1 + self.leaves
    }

    /// Whether the walk reached an object.
    #[must_use]
    pub fn is_reached(&self, object: u32) -> bool {
        self.numbers.get(object as usize).is_some_and(|&number| number != UNREACHED)
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.numbers.capacity() * 4 + self.parents.bytes() + self.inbound.bytes()
    }
}

/// Whether leaves have no numbers in a graph of so many objects: then none of their marks is one of the others.
pub(super) fn has_leaves(objects: u32) -> bool {
    objects < ROOT & !LEAF
}

/// The numbers with the roots marked, and the roots without repeats. A root has a number of its own, leaf or not.
fn mark_roots(objects: u32, roots: &[u32]) -> Result<(Vec<AtomicU32>, Vec<u32>), GraphError> {
    let mut numbers: Vec<AtomicU32> = Vec::new();
    numbers.resize_with(objects as usize, || AtomicU32::new(UNREACHED));
    let mut distinct = Vec::with_capacity(roots.len());
    for &index in roots {
        let number = numbers.get_mut(index as usize).ok_or(GraphError::NoSuchObject { index, objects })?;
        if *number.get_mut() != ROOT {
            *number.get_mut() = ROOT;
            distinct.push(index);
        }
    }
    Ok((numbers, distinct))
}

/// References that lead on to nothing fresh, on their way to the thread that packs them: source and target.
enum Batch {
    /// Both by number: the target was met before.
    Numbers(Vec<(u32, u32)>),
    /// The target is a leaf, by its index as an object, met before or not.
    Leaves(Vec<(u32, u32)>),
}

/// What the packing of references leaves behind.
#[derive(Default)]
struct Packed {
    inbound: Inbound,
    /// Leaves reached.
    leaves: u32,
}

impl Packed {
    fn take(&mut self, batch: &Batch, numbers: &[AtomicU32]) {
        match batch {
            Batch::Numbers(pairs) => {
                pairs.iter().for_each(|&(source, target)| self.inbound.take(source, target));
            }
            Batch::Leaves(pairs) => {
                for (at, &(source, leaf)) in pairs.iter().enumerate() {
                    if let Some(&(_, soon)) = pairs.get(at + AHEAD) {
                        prefetch(numbers, soon as usize);
                    }
                    self.take_leaf(source, leaf, numbers);
                }
            }
        }
    }

    #[inline]
    fn take_leaf(&mut self, source: u32, leaf: u32, numbers: &[AtomicU32]) {
        let Some(slot) = numbers.get(leaf as usize) else { return };
        match slot.load(Relaxed) {
            ROOT => {}
            UNREACHED => {
                slot.store(source | LEAF, Relaxed);
                self.leaves += 1;
            }
            parent if parent == source | LEAF => {}
            parent => self.inbound.take_leaf(LeafReference { parent: parent & !LEAF, leaf, source }),
        }
    }
}

fn take_all(receive: &Receiver<Batch>, numbers: &[AtomicU32]) -> Packed {
    let mut packed = Packed::default();
    receive.iter().for_each(|batch| packed.take(&batch, numbers));
    packed
}

/// Collects references that lead on to nothing fresh and hands them over by the batch: to the packing thread, or packed
/// here without one.
struct Met<'a> {
    pairs: Vec<(u32, u32)>,
    leaves: Vec<(u32, u32)>,
    numbers: &'a [AtomicU32],
    send: Option<SyncSender<Batch>>,
    own: Packed,
}

impl<'a> Met<'a> {
    fn new(numbers: &'a [AtomicU32], send: Option<SyncSender<Batch>>) -> Self {
        Met { pairs: Vec::new(), leaves: Vec::new(), numbers, send, own: Packed::default() }
    }

    #[inline]
    fn push(&mut self, source: u32, target: u32) {
        self.pairs.push((source, target));
        if self.pairs.len() >= BATCH {
            self.flush();
        }
    }

    #[inline]
    fn push_leaf(&mut self, source: u32, leaf: u32) {
        self.leaves.push((source, leaf));
        if self.leaves.len() >= BATCH {
            self.flush_leaves();
        }
    }

    #[cold]
    fn flush(&mut self) {
        let full = std::mem::replace(&mut self.pairs, Vec::with_capacity(BATCH));
        self.hand_over(Batch::Numbers(full));
    }

    #[cold]
    fn flush_leaves(&mut self) {
        let full = std::mem::replace(&mut self.leaves, Vec::with_capacity(BATCH));
        self.hand_over(Batch::Leaves(full));
    }

    fn hand_over(&mut self, batch: Batch) {
        match &self.send {
            // The packer ends only after this end is dropped; were it gone, joining it tells why.
            Some(send) => drop(send.send(batch)),
            None => self.own.take(&batch, self.numbers),
        }
    }

    fn finish(mut self) -> Packed {
        self.flush();
        self.flush_leaves();
        self.own
    }
}

struct Walker<'a> {
    graph: &'a Graph,
    watch: &'a dyn Watch,
    /// Shared with the packer, which alone sets those of leaves.
    numbers: &'a [AtomicU32],
    leaves: Marks,
    parents: Parents,
    root_numbers: Vec<u32>,
    stack: Stack,
}

/// An object whose targets are being followed.
struct Current<'a> {
    object: u32,
    number: u32,
    targets: Targets<'a>,
}

impl<'a> Walker<'a> {
    fn new(graph: &'a Graph, numbers: &'a [AtomicU32], watch: &'a dyn Watch) -> Self {
        let leaves = if has_leaves(graph.objects()) { graph.leaves() } else { Marks::new(0) };
        let (parents, stack) = (Parents::new(), Stack::default());
        Walker { graph, watch, numbers, leaves, parents, root_numbers: Vec::new(), stack }
    }

    fn walk(&mut self, roots: &[u32], met: &mut Met<'_>) -> Result<(), GraphError> {
        for &root in roots {
            let number = self.parents.len();
            self.root_numbers.push(number);
            self.enter(0)?;
            self.follow(Current { object: root, number, targets: self.graph.targets(root) }, met)?;
        }
        Ok(())
    }

    /// Gives out the next number.
    #[inline]
    fn enter(&mut self, parent: u32) -> Result<(), GraphError> {
        if self.parents.push(parent) {
            let (done, total) = (u64::from(self.parents.len()), self.numbers.len() as u64);
            check(self.watch, Phase::Walk, done.min(total), total)?;
        }
        Ok(())
    }

    /// Follows everything fresh from one root.
    fn follow(&mut self, mut current: Current<'a>, met: &mut Met<'_>) -> Result<(), GraphError> {
        loop {
            let Some(target) = current.targets.next() else {
                match self.stack.pop(self.graph) {
                    Some(paused) => current = paused,
                    None => return Ok(()),
                }
                continue;
            };
            if self.leaves.has(target) {
                met.push_leaf(current.number, target);
                continue;
            }
            let Some(slot) = self.numbers.get(target as usize) else { continue };
            match slot.load(Relaxed) {
                ROOT => {}
                UNREACHED => {
                    let targets = self.graph.targets(target);
                    let number = self.parents.len();
                    slot.store(number, Relaxed);
                    self.enter(current.number)?;
                    if let Some(next) = current.targets.clone().next() {
                        // By the time the walk comes back, what the next target needs is at hand.
                        prefetch(self.numbers, next as usize);
                        self.graph.prefetch(next);
                        self.stack.push(self.graph, &current);
                    }
                    current = Current { object: target, number, targets };
                }
                number if number == current.number => {}
                number => met.push(current.number, number),
            }
        }
    }
}

/// The objects between the root and the current one that have targets left, 16 bytes each: nothing is kept of
/// an object whose last target is being followed, so that most long lists take no room at all.
#[derive(Default)]
struct Stack {
    frames: Vec<Frame>,
    /// What does not fit a frame of a long list: bytes left and what the next difference starts from.
    long: Vec<(u32, u32)>,
}

#[derive(Clone, Copy)]
struct Frame {
    object: u32,
    number: u32,
    /// Place in the bucket times 512, bytes left times two, whether the list is long.
    place: u64,
}

impl Stack {
    #[inline]
    fn push(&mut self, graph: &Graph, current: &Current<'_>) {
        let Paused { at, left, base, chained } = graph.pause(current.object, &current.targets);
        let mut place = at << 9;
        if chained {
            self.long.push((left, base));
            place |= 1;
        } else {
            // A short list has less than 255 bytes.
            place |= u64::from(left & 0xFF) << 1;
        }
        self.frames.push(Frame { object: current.object, number: current.number, place });
    }

    #[inline]
    fn pop<'a>(&mut self, graph: &'a Graph) -> Option<Current<'a>> {
        let Frame { object, number, place } = self.frames.pop()?;
        if self.frames.len().is_multiple_of(SPARE) {
            // The walk is deepest in its middle, and the most memory is needed at its end.
            self.frames.shrink_to(self.frames.len() + SPARE);
        }
        let chained = place & 1 == 1;
        let (left, base) = if chained { self.long.pop()? } else { ((place >> 1) as u32 & 0xFF, object) };
        let targets = graph.resume(object, Paused { at: place >> 9, left, base, chained });
        Some(Current { object, number, targets })
    }
}
