//! The first reading: classes, names, roots, and the address of every object.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::TOUCHED_AN_OBJECT;
use super::roots::{self, Start};
use crate::graph::GraphError;
use crate::graph::address::{AddressRank, AddressSet};
use crate::hprof::kept::Kept;
use crate::hprof::layout::Layouts;
use crate::hprof::model::{ClassCache, Model};
use crate::hprof::shallow::{Sizes, WidthGuess};
use crate::hprof::visitor::{
    Class, Frame, Instance, LoadClass, ObjectArray, PrimitiveArray, Root, Text, Trace, Visitor,
};

/// What the first reading gathers: the objects, and what is said besides. Of a half that is read beside another, the latter
/// is [`Kept`] for it.
pub(super) struct Survey<S = Said> {
    said: S,
    objects: Objects,
}

/// What a dump says besides its objects.
pub(super) struct Said {
    model: Model,
    roots: Vec<Root>,
}

/// Addresses and classes of objects.
#[derive(Default)]
pub(super) struct Objects {
    addresses: AddressSet,
    width: WidthGuess,
    /// Instances by class, in the order the classes were met, and their places by class.
    instances: Vec<u32>,
    classes: HashMap<u64, u32>,
    cache: ClassCache,
    failed: Option<GraphError>,
    /// Memory that bounds them, bytes.
    ceiling: Option<u64>,
    /// Objects that there were when the memory for their addresses was looked at.
    looked_at: u32,
}

/// What the second reading needs of the first.
pub(super) struct Surveyed {
    pub(super) model: Model,
    pub(super) layouts: Layouts,
    pub(super) sizes: Sizes,
    pub(super) addresses: AddressRank,
    pub(super) start: Start,
    /// Numbers of the class objects with the most instances, most first.
    pub(super) hubs: Vec<u32>,
    /// Whether no identifier was given twice.
    pub(super) is_single: bool,
}

/// Classes whose instances are counted.
const CLASSES: usize = 1 << 20;
/// Share of the ceiling that addresses may take while they are collected, one in so many: those of a heap take a tenth of it
/// when the graph just fits, and two threads collect.
const ADDRESSES: u64 = 4;
/// Objects below which the memory for addresses is not looked at.
const LOOK: u32 = 1 << 15;

impl Survey {
    /// `ceiling`: bytes of memory that no graph of the objects will fit into when it gives up.
    pub(super) fn new(model: Model, ceiling: Option<u64>) -> Self {
        let objects = Objects { ceiling, ..Objects::default() };
        Survey { said: Said { model, roots: Vec::new() }, objects }
    }

    /// Of the second half of a dump.
    pub(super) fn beside(ceiling: Option<u64>) -> Survey<Kept> {
        Survey { said: Kept::default(), objects: Objects { ceiling, ..Objects::default() } }
    }

    /// Takes what was gathered of the second half.
    pub(super) fn join(&mut self, rest: Survey<Kept>) {
        rest.said.replay(&mut self.said);
        self.objects.join(rest.objects);
    }

    pub(super) fn finish(self) -> Result<Surveyed, GraphError> {
        let Survey { said: Said { model, roots }, objects } = self;
        let Objects { addresses, width, instances, classes, failed, .. } = objects;
        if let Some(error) = failed {
            return Err(error);
        }
        let is_single = addresses.repeated() == 0;
        let addresses = addresses.freeze();
        let start = Start::of(&model, &addresses, &roots);
        let counted = |id: &u64| instances.get(*classes.get(id)? as usize).copied();
        let mut counted: Vec<(u32, u32)> = model
            .classes()
            .iter()
            .filter_map(|class| Some((counted(&class.id)?, addresses.index_of(class.id)?)))
            .filter(|(_, object)| !start.has(*object))
            .collect();
        counted.sort_unstable_by(|a, b| b.cmp(a));
        let hubs = counted.into_iter().map(|(_, object)| object).collect();
        let layouts = Layouts::of(&model);
        let sizes = Sizes::new(model.id_size(), width.is_compressed());
        Ok(Surveyed { model, layouts, sizes, addresses, start, hubs, is_single })
    }
}

impl Objects {
    #[inline(always)]
    fn address(&mut self, id: u64) {
        if let Err(error) = self.addresses.insert(id) {
            self.failed = Some(error);
        }
    }

    #[inline(always)]
    fn of_class(&mut self, id: u64, class: u64) {
        self.address(id);
        let (classes, instances) = (&mut self.classes, &mut self.instances);
        let place = self.cache.get(class, || place_of(class, classes, instances));
        if let Some(count) = self.instances.get_mut(place as usize) {
            *count = count.saturating_add(1);
        }
    }

    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        self.width.object(instance.id);
        self.of_class(instance.id, instance.class);
    }

    #[inline(always)]
    fn object_array(&mut self, array: &ObjectArray) {
        self.width.array(array.id, array.length);
        self.of_class(array.id, array.class);
    }

    #[inline(always)]
    fn primitive_array(&mut self, array: &PrimitiveArray) {
        self.width.object(array.id);
        self.address(array.id);
    }

    /// Whether there may be a graph of them: there are not too many, and they are not too scattered.
    fn fit(&mut self, ceiling: u64) -> bool {
        let objects = self.addresses.len();
        if u64::from(objects) > ceiling / TOUCHED_AN_OBJECT {
            return false;
        }
        // Looked at whenever there are an eighth more.
        if objects < self.looked_at.saturating_add(self.looked_at / 8).max(LOOK) {
            return true;
        }
        self.looked_at = objects;
        self.addresses.bytes() as u64 <= ceiling / ADDRESSES
    }

    fn progress(&mut self) -> ControlFlow<()> {
        if self.ceiling.is_some_and(|ceiling| !self.fit(ceiling)) {
            self.failed = Some(GraphError::NoMemory { objects: self.addresses.len() });
        }
        if self.failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn join(&mut self, other: Objects) {
        let merged = self.addresses.merge(other.addresses);
        self.failed = self.failed.or(other.failed).or(merged.err());
        self.width.join(other.width);
        for (class, theirs) in other.classes {
            let place = place_of(class, &mut self.classes, &mut self.instances);
            let count = other.instances.get(theirs as usize).copied().unwrap_or(0);
            if let Some(ours) = self.instances.get_mut(place as usize) {
                *ours = ours.saturating_add(count);
            }
        }
    }
}

/// Where the instances of a class are counted; nowhere when there are too many classes.
#[cold]
fn place_of(class: u64, classes: &mut HashMap<u64, u32>, instances: &mut Vec<u32>) -> u32 {
    if instances.len() >= CLASSES {
        return classes.get(&class).copied().unwrap_or(u32::MAX);
    }
    *classes.entry(class).or_insert_with(|| {
        instances.push(0);
        instances.len() as u32 - 1
    })
}

impl Visitor for Said {
    fn text(&mut self, text: &Text<'_>) {
        Visitor::text(&mut self.model, text);
    }

    fn load_class(&mut self, class: &LoadClass) {
        self.model.load_class(class);
    }

    fn frame(&mut self, frame: &Frame) {
        self.model.frame(frame);
    }

    fn trace(&mut self, trace: &Trace<'_>) {
        self.model.trace(trace);
    }

    fn root(&mut self, root: &Root) {
        self.model.root(root);
        roots::keep(&mut self.roots, root);
    }

    fn class(&mut self, class: &Class<'_>) {
        self.model.class(class);
    }
}

impl<S: Visitor> Visitor for Survey<S> {
    fn text(&mut self, text: &Text<'_>) {
        self.said.text(text);
    }

    fn load_class(&mut self, class: &LoadClass) {
        self.said.load_class(class);
    }

    fn frame(&mut self, frame: &Frame) {
        self.said.frame(frame);
    }

    fn trace(&mut self, trace: &Trace<'_>) {
        self.said.trace(trace);
    }

    fn root(&mut self, root: &Root) {
        self.said.root(root);
    }

    fn class(&mut self, class: &Class<'_>) {
        self.said.class(class);
        self.objects.address(class.id);
    }

    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        self.objects.instance(instance);
    }

    #[inline(always)]
    fn object_array(&mut self, array: &ObjectArray) {
        self.objects.object_array(array);
    }

    #[inline(always)]
    fn primitive_array(&mut self, array: &PrimitiveArray) {
        self.objects.primitive_array(array);
    }

    fn progress(&mut self, at: u64) -> ControlFlow<()> {
        self.said.progress(at)?;
        self.objects.progress()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects at every so many bytes, until memory is said not to suffice: how many there were, and bytes of their addresses.
    fn collected(step: u64, ceiling: u64) -> (u64, u64) {
        let mut objects = Objects { ceiling: Some(ceiling), ..Objects::default() };
        let is_full = |objects: &mut Objects, n| n % 1024 == 0 && objects.progress().is_break();
        let mut count = 0;
        while count < 1 << 20 && !is_full(&mut objects, count) {
            objects.address(step * (count + 1));
            count += 1;
        }
        (count, objects.addresses.bytes() as u64)
    }

    #[test]
    fn scattered_addresses_take_no_more_memory_than_there_is() {
        let ceiling = 32 << 20;
        let (count, bytes) = collected(64, ceiling);
        assert!(count == 1 << 20 && bytes < ceiling / 8, "{count} near ones, {bytes} bytes");
        let (count, bytes) = collected(1 << 20, ceiling);
        assert!(count < 1 << 18 && bytes < ceiling / 2, "{count} scattered ones, {bytes} bytes");
        let (count, bytes) = collected(1 << 10, ceiling);
        assert!(count < 1 << 20 && bytes < ceiling / 2, "{count} sparse ones, {bytes} bytes");
    }
}
