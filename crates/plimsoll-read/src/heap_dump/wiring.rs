//! The second reading: who refers to whom, and the class and size of each object.

use std::ops::ControlFlow;

use super::kinds::{Kind, Kinds, NO_CLASS, array_class};
use super::pack::{Lists, Packer};
use super::places::Collector;
use super::survey::Surveyed;
use crate::graph::GraphError;
use crate::graph::address::Near;
use crate::graph::marks::Marks;
use crate::hprof::model::ClassCache;
use crate::hprof::visitor::{Class, Ids, Instance, ObjectArray, PrimitiveArray, Type, Visitor};
use crate::hprof::warnings::{Fault, Warning};

/// What is the same for all instances of a class.
#[derive(Clone, Copy)]
struct OfClass {
    /// The class object where it is no root: who refers to a root holds nothing by that.
    object: Option<u32>,
    /// Code of its instances among the [`Kinds`].
    code: u32,
}

/// What the second reading found beside the references.
pub(super) struct Wired {
    pub(super) kinds: Kinds,
    pub(super) places: Collector,
    /// The first object that has the identifier of one before it.
    pub(super) twin: Option<Warning>,
    /// What was packed, if by the thread that read.
    pub(super) packed: Option<Result<Packer, GraphError>>,
}

impl Wired {
    /// Takes what was found in the second half of the dump.
    pub(super) fn join(&mut self, next: Wired) {
        self.kinds.join(next.kinds);
        self.places.join(next.places);
    }
}

/// What the second reading gathers.
pub(super) struct Wiring<'a> {
    known: &'a Surveyed,
    cache: ClassCache,
    classes: Vec<OfClass>,
    /// Index of `java.lang.Class`.
    meta: u32,
    lists: Lists<'a>,
    /// Where the last object was.
    near: Near,
    places: Collector,
    kinds: Kinds,
    seen: Marks,
    twin: Option<Warning>,
    /// Threads whose stacks hold anything.
    threads: Marks,
    /// The object whose references are being collected.
    open: Option<u32>,
    /// Its class object, where it holds that.
    class: Option<u32>,
    /// Addresses of what it refers to beside.
    targets: Vec<u64>,
}

impl<'a> Wiring<'a> {
    pub(super) fn new(known: &'a Surveyed, lists: Lists<'a>) -> Self {
        let Surveyed { model, addresses, start, .. } = known;
        let mut kinds = Kinds::new(addresses.len());
        let classes = (0u32..).zip(model.classes()).map(|(index, class)| OfClass {
            object: addresses.index_of(class.id).filter(|object| !start.has(*object)),
            code: kinds.code(Kind::of(index, 0)),
        });
        let classes = classes.collect();
        let mut threads = Marks::new(addresses.len());
        start.stacks().keys().for_each(|thread| threads.set(*thread));
        let meta = model.classes().iter().find(|c| model.raw_class_name(c.id) == Some(b"java/lang/Class"));
        Wiring {
            known,
            cache: ClassCache::default(),
            classes,
            meta: meta.and_then(|c| model.index(c.id)).unwrap_or(NO_CLASS),
            lists,
            near: Near::default(),
            places: Collector::default(),
            kinds,
            seen: Marks::new(addresses.len()),
            twin: None,
            threads,
            open: None,
            class: None,
            targets: Vec::new(),
        }
    }

    pub(super) fn finish(mut self) -> Wired {
        self.close();
        Wired { kinds: self.kinds, places: self.places, twin: self.twin, packed: self.lists.finish() }
    }

    /// A new object begins, at this offset (classes need none: the model has them): the one before is complete. False for an
    /// object told twice, whose first telling stays.
    #[inline]
    fn begin(&mut self, at: Option<u64>, id: u64, code: u32, class: Option<u32>) -> bool {
        self.close();
        let Some(object) = self.known.addresses.index_near(&mut self.near, id) else { return false };
        if self.seen.has(object) {
            self.twin = self.twin.or(at.map(|at| Warning { at, fault: Fault::Duplicate { id } }));
            return false;
        }
        self.seen.set(object);
        if let Some(at) = at {
            self.places.object(at, object);
        }
        self.kinds.set(object, code);
        self.open = Some(object);
        self.class = class;
        true
    }

    #[inline]
    fn close(&mut self) {
        if let Some(object) = self.open.take() {
            if self.threads.has(object)
                && let Some(held) = self.known.start.stacks().get(&object)
            {
                self.targets.extend(held.iter().filter_map(|held| self.known.addresses.address_of(*held)));
            }
            self.lists.push(object, self.class, &self.targets);
            self.targets.clear();
        }
    }

    #[inline(always)]
    fn refer(&mut self, id: u64) {
        if id != 0 {
            self.targets.push(id);
        }
    }

    #[inline]
    fn class_index(&mut self, class: u64) -> u32 {
        let model = &self.known.model;
        self.cache.get(class, || model.index(class).unwrap_or(NO_CLASS))
    }

    #[inline]
    fn of_class(&self, index: u32) -> OfClass {
        self.classes.get(index as usize).copied().unwrap_or(OfClass { object: None, code: 0 })
    }
}

impl Visitor for Wiring<'_> {
    fn segment(&mut self, _at: u64) {
        self.places.segment();
    }

    fn class(&mut self, class: &Class<'_>) {
        let (model, sizes) = (&self.known.model, self.known.sizes);
        let bytes = model.class_of(class.id).map_or(0, |c| sizes.class_object(c));
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        let code = self.kinds.code(Kind { class: self.meta, length, is_class_object: true });
        let class_object = self.of_class(self.meta).object;
        if !self.begin(None, class.id, code, class_object) {
            return;
        }
        for value in class.statics().filter(|s| s.ty == Type::Object) {
            self.refer(value.value);
        }
        for id in [class.superclass, class.loader, class.signers, class.domain] {
            self.refer(id);
        }
    }

    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        let index = self.class_index(instance.class);
        let class = self.of_class(index);
        if !self.begin(Some(instance.at), instance.id, class.code, class.object) {
            return;
        }
        if let Some(layout) = self.known.layouts.get(index) {
            let id_size = self.known.model.id_size();
            layout.for_each_reference(instance.fields, id_size, |id| self.refer(id));
        }
    }

    #[inline(always)]
    fn object_array(&mut self, array: &ObjectArray) {
        let index = self.class_index(array.class);
        let code = self.kinds.code(Kind::of(index, array.length));
        let class_object = self.of_class(index).object;
        self.begin(Some(array.at), array.id, code, class_object);
    }

    #[inline(always)]
    fn references(&mut self, _array: &ObjectArray, _first: u64, ids: Ids<'_>) {
        if self.open.is_none() {
            return;
        }
        ids.for_each(|id| self.refer(id));
    }

    #[inline(always)]
    fn primitive_array(&mut self, array: &PrimitiveArray) {
        let class = array_class(self.classes.len(), array.ty);
        let code = self.kinds.code(Kind::of(class, array.length));
        self.begin(Some(array.at), array.id, code, None);
        self.close();
    }

    fn progress(&mut self, _at: u64) -> ControlFlow<()> {
        if self.lists.are_refused() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
