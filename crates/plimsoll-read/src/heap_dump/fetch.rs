//! A further reading that brings the content of chosen objects, and who refers to them.
//!
//! The graph knows who refers to whom but not by which field, and no object's content: names are looked up for the few
//! objects that a report shows, in one reading for all of them.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::fields::fields_of;
use super::kinds::NO_CLASS;
use super::{HeapDump, Source};
use crate::graph::both::both;
use crate::graph::watch::{Phase, Unwatched, Watch};
use crate::hprof::layout::Layouts;
use crate::hprof::model::{ClassCache, Model};
use crate::hprof::records::scan_records;
use crate::hprof::visitor::{Class, Ids, Instance, ObjectArray, PrimitiveArray, Type, Visitor};

/// Bytes kept of one array of numbers, unless told otherwise.
const VALUES: usize = 4096;
/// References kept of one array.
const REFERENCES: usize = 4096;
/// Bits of the filter that most objects fail at.
const FILTER_BITS: u64 = 1 << 21;

/// What is looked for.
#[derive(Debug)]
pub(super) struct Wanted {
    filter: Vec<u64>,
    /// By address; true where the referrers are wanted too.
    exact: HashMap<u64, bool>,
    /// Referrers kept of one object.
    referrers: usize,
}

impl Wanted {
    /// Nothing yet; at most so many referrers of an object.
    pub(super) fn new(referrers: usize) -> Wanted {
        Wanted { filter: vec![0; FILTER_BITS as usize / 64], exact: HashMap::new(), referrers }
    }

    /// The content of the object at this address.
    pub(super) fn content(&mut self, address: u64) {
        self.add(address, false);
    }

    /// Its content, and who refers to it.
    pub(super) fn content_and_referrers(&mut self, address: u64) {
        self.add(address, true);
    }

    fn add(&mut self, address: u64, referrers: bool) {
        if address == 0 {
            return;
        }
        let bit = bit_of(address);
        if let Some(word) = self.filter.get_mut(bit as usize / 64) {
            *word |= 1 << (bit % 64);
        }
        *self.exact.entry(address).or_insert(referrers) |= referrers;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }

    #[inline(always)]
    fn get(&self, address: u64) -> Option<bool> {
        let bit = bit_of(address);
        let may_be = self.filter.get(bit as usize / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1);
        if may_be { self.exact.get(&address).copied() } else { None }
    }
}

#[inline(always)]
fn bit_of(address: u64) -> u64 {
    (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % FILTER_BITS
}

/// The content of an object, as much as is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// The fields of an instance as they lie in the dump, and its class.
    Fields(u64, Box<[u8]>),
    /// The static references of a class are in the model.
    Class,
    /// An array of references: its first ones, and its length.
    References(Vec<u64>, u32),
    /// An array of numbers: its first bytes, and its length in elements.
    Values(Type, Vec<u8>, u32),
}

/// How one object refers to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Referrer {
    /// Address of the one that refers.
    pub(super) from: u64,
    /// Its class; 0 for a class itself.
    pub(super) class: u64,
    pub(super) via: Via,
}

impl Referrer {
    /// How the reference reads: `Class.field`, or an element of an array.
    pub(super) fn name(&self, model: &Model, layouts: &Layouts) -> String {
        let class_name = |id: u64| model.class_name(id).unwrap_or_else(|| "?".to_owned());
        match self.via {
            Via::Element(index) => format!("[{index}]"),
            Via::Static(name) => {
                let field = model.string(name).unwrap_or_else(|| "?".to_owned());
                format!("{}.{field}", class_name(self.from))
            }
            Via::Field(number) => {
                let class = model.index(self.class).unwrap_or(NO_CLASS);
                let mut references = fields_of(model, layouts, class).filter(|f| f.ty == Type::Object);
                match references.nth(number as usize) {
                    Some(field) => {
                        let declared = model.classes().get(field.declared as usize).map_or(0, |c| c.id);
                        format!("{}.{}", class_name(declared), String::from_utf8_lossy(field.name))
                    }
                    None => format!("{}.?", class_name(self.class)),
                }
            }
        }
    }
}

/// What a reference stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// The n-th reference field of an instance, as [`crate::hprof::layout::Layout`] counts.
    Field(u32),
    /// A static field, by the identifier of its name.
    Static(u64),
    /// An element of an array.
    Element(u64),
}

/// What a reading brought.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) contents: HashMap<u64, Content>,
    pub(super) referrers: HashMap<u64, Vec<Referrer>>,
    /// What was looked for so far, found or not, and whether with its referrers.
    pub(super) looked_for: HashMap<u64, bool>,
}

impl Fetched {
    /// Adds what one more reading brought.
    pub(super) fn add(&mut self, wanted: Wanted, more: Fetched) {
        self.contents.extend(more.contents);
        self.referrers.extend(more.referrers);
        for (address, referrers) in wanted.exact {
            *self.looked_for.entry(address).or_insert(referrers) |= referrers;
        }
    }
}

/// The visitor of the reading.
pub(super) struct Fetch<'a> {
    model: &'a Model,
    layouts: &'a Layouts,
    wanted: &'a Wanted,
    any_referrers: bool,
    cache: ClassCache,
    fetched: Fetched,
    watch: &'a dyn Watch,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(
        model: &'a Model,
        layouts: &'a Layouts,
        wanted: &'a Wanted,
        watch: &'a dyn Watch,
    ) -> Self {
        let any_referrers = wanted.exact.values().any(|referrers| *referrers);
        Fetch {
            model,
            layouts,
            wanted,
            any_referrers,
            cache: ClassCache::default(),
            fetched: Fetched::default(),
            watch,
        }
    }

    /// Reads the objects alone where the dump knows their places; false where it does not, or where something may lie
    /// anywhere in it.
    pub(super) fn in_place(&mut self, heap: &HeapDump, source: &(impl Source + ?Sized)) -> bool {
        let Some(places) = heap.places.as_ref().filter(|_| !self.any_referrers) else { return false };
        let (classes, others): (Vec<u64>, Vec<u64>) =
            self.wanted.exact.keys().partition(|address| heap.model.index(**address).is_some());
        self.fetched.contents.extend(classes.into_iter().map(|class| (class, Content::Class)));
        let objects = others.into_iter().filter_map(|address| heap.object_at(address));
        let mut runs: Vec<(u64, u32)> = objects.flat_map(|object| places.of(object)).collect();
        runs.sort_unstable();
        runs.dedup();
        let (low, high) = runs.split_at(runs.len() / 2);
        let (model, layouts, wanted, watch) = (self.model, self.layouts, self.wanted, self.watch);
        let beside = || Fetch::new(model, layouts, wanted, &Unwatched).runs(source, high);
        let (theirs, ours) = both(beside, || Fetch::new(model, layouts, wanted, watch).runs(source, low));
        let (Some(theirs), Some(ours)) = (theirs, ours) else { return false };
        self.fetched.contents.extend(ours.contents);
        self.fetched.contents.extend(theirs.contents);
        true
    }

    /// Reads runs of records; nothing where one cannot be read.
    fn runs(mut self, source: &(impl Source + ?Sized), runs: &[(u64, u32)]) -> Option<Fetched> {
        let mut buffer = Vec::new();
        for &(at, length) in runs {
            buffer.resize(length as usize, 0);
            let count = source.read_at(at, &mut buffer).ok()?;
            scan_records(buffer.get(..count)?, at, self.model.id_size(), &mut self);
        }
        Some(self.finish())
    }

    pub(super) fn finish(self) -> Fetched {
        self.fetched
    }

    #[inline(always)]
    fn refers(&mut self, from: u64, class: u64, to: u64, via: Via) {
        if self.wanted.get(to) == Some(true) {
            let known = self.fetched.referrers.entry(to).or_default();
            if known.len() < self.wanted.referrers {
                known.push(Referrer { from, class, via });
            }
        }
    }
}

impl Visitor for Fetch<'_> {
    fn class(&mut self, class: &Class<'_>) {
        if self.wanted.get(class.id).is_some() {
            self.fetched.contents.insert(class.id, Content::Class);
        }
        for value in class.statics().filter(|s| s.ty == Type::Object) {
            self.refers(class.id, 0, value.value, Via::Static(value.name));
        }
    }

    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        if self.wanted.get(instance.id).is_some() {
            let content = Content::Fields(instance.class, instance.fields.into());
            self.fetched.contents.insert(instance.id, content);
        }
        if !self.any_referrers {
            return;
        }
        let model = self.model;
        let class = self.cache.get(instance.class, || model.index(instance.class).unwrap_or(NO_CLASS));
        if let Some(layout) = self.layouts.get(class) {
            let mut number = 0;
            layout.for_each_reference(instance.fields, self.model.id_size(), |id| {
                self.refers(instance.id, instance.class, id, Via::Field(number));
                number += 1;
            });
        }
    }

    #[inline(always)]
    fn object_array(&mut self, array: &ObjectArray) {
        if self.wanted.get(array.id).is_some() {
            self.fetched.contents.insert(array.id, Content::References(Vec::new(), array.length));
        }
    }

    #[inline(always)]
    fn references(&mut self, array: &ObjectArray, first: u64, ids: Ids<'_>) {
        if self.wanted.get(array.id).is_some()
            && let Some(Content::References(kept, _)) = self.fetched.contents.get_mut(&array.id)
        {
            let room = REFERENCES.saturating_sub(kept.len());
            kept.extend(ids.iter().take(room));
        }
        if self.any_referrers {
            let mut at = first;
            ids.for_each(|id| {
                self.refers(array.id, array.class, id, Via::Element(at));
                at += 1;
            });
        }
    }

    #[inline(always)]
    fn primitive_array(&mut self, array: &PrimitiveArray) {
        if self.wanted.get(array.id).is_some() {
            self.fetched.contents.insert(array.id, Content::Values(array.ty, Vec::new(), array.length));
        }
    }

    #[inline(always)]
    fn values(&mut self, array: &PrimitiveArray, _first: u64, bytes: &[u8]) {
        if self.wanted.get(array.id).is_some()
            && let Some(Content::Values(_, kept, _)) = self.fetched.contents.get_mut(&array.id)
        {
            let room = VALUES.saturating_sub(kept.len());
            kept.extend(bytes.iter().take(room));
        }
    }

    fn progress(&mut self, at: u64) -> ControlFlow<()> {
        self.watch.step(Phase::Fetch, at, 0)
    }
}
