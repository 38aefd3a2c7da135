//! The first reading: classes, names, roots, and the address of every object.

use std::ops::ControlFlow;

use super::kinds::NO_CLASS;
use super::roots::{self, Start};
use crate::graph::GraphError;
use crate::graph::address::{AddressRank, AddressSet};
use crate::graph::watch::{Phase, Watch};
use crate::hprof::layout::Layouts;
use crate::hprof::model::{ClassCache, Model};
use crate::hprof::shallow::{Sizes, WidthGuess};
use crate::hprof::visitor::{
    Class, Frame, Instance, LoadClass, ObjectArray, PrimitiveArray, Root, Text, Trace, Visitor,
};

/// What the first reading gathers.
pub(super) struct Survey<'w> {
    model: Model,
    addresses: AddressSet,
    roots: Vec<Root>,
    width: WidthGuess,
    /// Instances by class index, of the classes known by then.
    instances: Vec<u32>,
    cache: ClassCache,
    failed: Option<GraphError>,
    /// Memory that may be used at most, bytes.
    ceiling: Option<u64>,
    watch: &'w dyn Watch,
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
}

impl<'w> Survey<'w> {
    pub(super) fn new(model: Model, ceiling: Option<u64>, watch: &'w dyn Watch) -> Self {
        Survey {
            model,
            addresses: AddressSet::new(),
            roots: Vec::new(),
            width: WidthGuess::default(),
            instances: Vec::new(),
            cache: ClassCache::default(),
            failed: None,
            ceiling,
            watch,
        }
    }

    /// Objects met so far.
    pub(super) fn objects(&self) -> u32 {
        self.addresses.len()
    }

    /// Whether names, classes and addresses alone take more memory than there is: half a byte an address.
    pub(super) fn outgrew(&self) -> bool {
        let held = self.model.memory() as u64 + u64::from(self.objects()) / 2;
        self.ceiling.is_some_and(|ceiling| held > ceiling)
    }

    pub(super) fn finish(self) -> Result<Surveyed, GraphError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let Survey { model, addresses, roots, width, instances, .. } = self;
        let addresses = addresses.freeze();
        let start = Start::of(&model, &addresses, &roots);
        let mut counted: Vec<(u32, u32)> = model
            .classes()
            .iter()
            .zip(instances)
            .filter_map(|(class, count)| Some((count, addresses.index_of(class.id)?)))
            .filter(|(count, object)| *count > 0 && !start.has(*object))
            .collect();
        counted.sort_unstable_by(|a, b| b.cmp(a));
        let hubs = counted.into_iter().map(|(_, object)| object).collect();
        let layouts = Layouts::of(&model);
        let sizes = Sizes::new(model.id_size(), width.is_compressed());
        Ok(Surveyed { model, layouts, sizes, addresses, start, hubs })
    }

    #[inline(always)]
    fn object(&mut self, id: u64, class: u64) {
        if let Err(error) = self.addresses.insert(id) {
            self.failed = Some(error);
        }
        let model = &self.model;
        let index = self.cache.get(class, || model.index(class).unwrap_or(NO_CLASS));
        match self.instances.get_mut(index as usize) {
            Some(count) => *count = count.saturating_add(1),
            None if index != NO_CLASS => self.instances.resize(self.model.classes().len(), 0),
            None => {}
        }
    }
}

impl Visitor for Survey<'_> {
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
        if let Err(error) = self.addresses.insert(class.id) {
            self.failed = Some(error);
        }
    }

    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        self.width.object(instance.id);
        self.object(instance.id, instance.class);
    }

    #[inline(always)]
    fn object_array(&mut self, array: &ObjectArray) {
        self.width.array(array.id, array.length);
        self.object(array.id, array.class);
    }

    #[inline(always)]
    fn primitive_array(&mut self, array: &PrimitiveArray) {
        self.width.object(array.id);
        if let Err(error) = self.addresses.insert(array.id) {
            self.failed = Some(error);
        }
    }

    fn progress(&mut self, at: u64) -> ControlFlow<()> {
        if self.failed.is_some() || self.outgrew() {
            return ControlFlow::Break(());
        }
        self.watch.step(Phase::Survey, at, 0)
    }
}
