//! Collections of a cut dump whose tables are gone: they still say how many entries they have.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::HeapDump;
use super::collections::{Shape, shape_of};
use super::kinds::NO_CLASS;
use crate::graph::watch::{Phase, Watch};
use crate::hprof::model::ClassCache;
use crate::hprof::visitor::{Instance, Visitor};

/// Collections kept.
const KEPT: usize = 32;
/// Entries from which on a collection is of interest.
pub(super) const LEAST: u64 = 1000;

/// The largest collections without their tables, found in one reading.
pub(super) struct Lost<'a> {
    heap: &'a HeapDump,
    /// By class: where its count and its table lie.
    shapes: Vec<Option<Shape>>,
    cache: ClassCache,
    /// Entries and address, the least first.
    found: BinaryHeap<Reverse<(u64, u64)>>,
    watch: &'a dyn Watch,
}

impl<'a> Lost<'a> {
    pub(super) fn new(heap: &'a HeapDump, watch: &'a dyn Watch) -> Self {
        let classes = (0u32..).take(heap.model.classes().len());
        let shapes = classes.map(|class| shape_of(heap, class)).collect();
        Lost { heap, shapes, cache: ClassCache::default(), found: BinaryHeap::new(), watch }
    }

    /// Object and entries, most entries first.
    pub(super) fn finish(self) -> Vec<(u32, u64)> {
        let sorted = self.found.into_sorted_vec();
        sorted.into_iter().filter_map(|Reverse((n, id))| Some((self.heap.object_at(id)?, n))).collect()
    }
}

impl Visitor for Lost<'_> {
    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        let model = &self.heap.model;
        let class = self.cache.get(instance.class, || model.index(instance.class).unwrap_or(NO_CLASS));
        let Some(Some(shape)) = self.shapes.get(class as usize) else { return };
        let Some((entries, table)) = shape.read(model, instance.fields) else { return };
        if entries >= LEAST && table != 0 && self.heap.object_at(table).is_none() {
            self.found.push(Reverse((entries, instance.id)));
            if self.found.len() > KEPT {
                self.found.pop();
            }
        }
    }

    fn progress(&mut self, at: u64) -> ControlFlow<()> {
        self.watch.step(Phase::Fetch, at, 0)
    }
}
