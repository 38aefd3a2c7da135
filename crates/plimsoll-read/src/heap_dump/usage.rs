//! How well collections are used: how many there are of each class, how many are empty, what their free slots take.

use std::ops::ControlFlow;

use super::collections::{Shape, shape_of};
use super::kinds::NO_CLASS;
use super::{HeapDump, HeapDumpError, Source, opened, scanned};
use crate::graph::watch::{Phase, Watch};
use crate::hprof::model::ClassCache;
use crate::hprof::visitor::{Instance, Visitor};

/// Collections of one class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// The class.
    pub class: String,
    /// Reachable collections.
    pub collections: u64,
    /// Those without an entry.
    pub empty: u64,
    /// Entries of all.
    pub entries: u64,
    /// Slots of all their tables.
    pub slots: u64,
    /// Bytes of the slots that are free.
    pub wasted: u64,
    /// Entries of the largest.
    pub largest: u64,
}

/// By class, the most wasted bytes first.
///
/// # Errors
/// As [`super::read`].
pub fn usage(
    heap: &HeapDump,
    source: &(impl Source + ?Sized),
    watch: &dyn Watch,
) -> Result<Vec<Usage>, HeapDumpError> {
    let classes = (0u32..).take(heap.model.classes().len());
    let shapes: Vec<_> = classes.map(|class| shape_of(heap, class)).collect();
    let rows = shapes.iter().map(|_| Usage::default()).collect();
    let mut pass = Pass { heap, shapes, rows, cache: ClassCache::default(), watch };
    scanned(opened(source)?, &mut pass, Phase::Fetch)?;
    let named = (0u32..).zip(pass.rows).filter(|(_, row)| row.collections > 0);
    let mut rows: Vec<Usage> =
        named.map(|(class, row)| Usage { class: heap.name_of(class), ..row }).collect();
    rows.sort_by(|a, b| b.wasted.cmp(&a.wasted).then_with(|| a.class.cmp(&b.class)));
    Ok(rows)
}

struct Pass<'a> {
    heap: &'a HeapDump,
    shapes: Vec<Option<Shape>>,
    rows: Vec<Usage>,
    cache: ClassCache,
    watch: &'a dyn Watch,
}

impl Visitor for Pass<'_> {
    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        let (heap, model) = (self.heap, &self.heap.model);
        let class = self.cache.get(instance.class, || model.index(instance.class).unwrap_or(NO_CLASS));
        let Some(Some(shape)) = self.shapes.get(class as usize) else { return };
        let Some((entries, table)) = shape.read(model, instance.fields) else { return };
        let Some(row) = self.rows.get_mut(class as usize) else { return };
        if !heap.object_at(instance.id).is_some_and(|object| heap.tree.is_reached(object)) {
            return;
        }
        let slots = heap.object_at(table).map_or(0, |table| heap.kinds.length(table));
        row.collections += 1;
        row.empty += u64::from(entries == 0);
        row.entries = row.entries.saturating_add(entries);
        row.slots = row.slots.saturating_add(slots);
        row.wasted = row.wasted.saturating_add(slots.saturating_sub(entries) * heap.sizes.reference);
        row.largest = row.largest.max(entries);
    }

    fn progress(&mut self, at: u64) -> ControlFlow<()> {
        self.watch.step(Phase::Fetch, at, 0)
    }
}
