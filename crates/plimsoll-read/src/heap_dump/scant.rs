//! What can be said of a dump without its graph: in little memory, however many objects it has.
//!
//! The histogram needs a row for each class. The largest collections say themselves how many entries they have, and a few
//! readings find who refers to them. There are no retained sizes, and no share of the heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::collections::{Shape, class_shape};
use super::fetch::{Fetch, Fetched, Referrer, Via, Wanted};
use super::halves::{Halves, Progress};
use super::readings::{ended, opened, scanned};
use super::{HeapDumpError, Source};
use crate::graph::watch::{Phase, Watch};
use crate::hprof::kept::Kept;
use crate::hprof::layout::Layouts;
use crate::hprof::model::{ClassCache, Limits, Model};
use crate::hprof::records::Summary;
use crate::hprof::shallow::{Histogram, Row};
use crate::hprof::visitor::{Instance, Visitor};

/// Collections told of.
const TOLD: usize = 12;
/// Entries from which on a collection is of interest.
const LEAST: u64 = 1000;
/// Readings that follow references upwards.
const READINGS: usize = 8;
/// Referrers looked at of one object.
const REFERRERS: usize = 8;
const NO_CLASS: u32 = u32::MAX;

/// A large collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Large {
    /// Its class.
    pub class: String,
    /// Entries, as it says.
    pub entries: u64,
    /// Who refers to it, nearest first, up to a static field if one was reached.
    pub held_by: Vec<String>,
}

/// What was found.
#[derive(Debug)]
pub struct Scant {
    /// What the reading ended with.
    pub summary: Summary,
    /// Objects by class, by their own bytes, most first; reachable or not.
    pub histogram: Vec<Row>,
    /// The largest collections by their own count, most entries first.
    pub largest: Vec<Large>,
}

/// Reads a dump without its graph.
///
/// # Errors
/// As [`super::read`].
pub fn scant(
    source: &(impl Source + ?Sized),
    limits: Limits,
    watch: &dyn Watch,
) -> Result<Scant, HeapDumpError> {
    let dump = opened(source)?;
    let size = dump.header().id_size;
    let mut first = (Model::new(size, limits), Histogram::new(size));
    let summary = scanned(dump, &mut (&mut first, Progress(Phase::Survey, watch)), Phase::Survey)?;
    let (model, histogram) = first;
    let layouts = Layouts::of(&model);
    let mut find = Find::new(&model, &layouts, watch);
    scanned(opened(source)?, &mut find, Phase::Wiring)?;
    let found = find.finish();
    let mut largest: Vec<Way> = found.into_iter().map(Way::new).collect();
    for _ in 0..READINGS {
        let mut wanted = Wanted::new(REFERRERS);
        largest.iter().filter(|way| !way.done).for_each(|way| wanted.content_and_referrers(way.at));
        if wanted.is_empty() {
            break;
        }
        let mut fetch = Fetch::new(&model, &layouts, &wanted, watch);
        scanned(opened(source)?, &mut fetch, Phase::Fetch)?;
        let fetched = fetch.finish();
        largest.iter_mut().filter(|way| !way.done).for_each(|way| way.up(&model, &layouts, &fetched));
    }
    let large = |way: Way| Large {
        class: model.class_name(way.class).unwrap_or_else(|| "?".to_owned()),
        entries: way.entries,
        held_by: way.held_by,
    };
    let rows = histogram.rows(&model, &layouts);
    Ok(Scant { summary, histogram: rows, largest: largest.into_iter().map(large).collect() })
}

/// All objects by class.
#[derive(Debug)]
pub struct All {
    /// What the reading ended with.
    pub summary: Summary,
    /// By their own bytes, by the layout formula, most first; reachable or not.
    pub rows: Vec<Row>,
}

/// Counts all objects, in one reading.
///
/// # Errors
/// As [`super::read`].
pub fn histogram(
    source: &(impl Source + ?Sized),
    limits: Limits,
    watch: &dyn Watch,
) -> Result<All, HeapDumpError> {
    let dump = opened(source)?;
    let size = dump.header().id_size;
    let progress = Progress(Phase::Survey, watch);
    let fresh = || (Model::new(size, limits), Histogram::new(size));
    let (mut all, mut rest) = (fresh(), (Kept::default(), Histogram::new(size)));
    let halves = Halves::of(source, &dump);
    let summary = match halves.and_then(|halves| halves.scan(progress, &mut all, &mut rest)) {
        Some(summary) => {
            rest.0.replay(&mut all.0);
            all.1.join(&rest.1);
            ended(summary, Phase::Survey)?
        }
        None => {
            all = fresh();
            scanned(dump, &mut (&mut all, progress), Phase::Survey)?
        }
    };
    let (model, histogram) = all;
    let rows = histogram.rows(&model, &Layouts::of(&model));
    Ok(All { summary, rows })
}

/// Finds the collections with the most entries.
struct Find<'a> {
    model: &'a Model,
    shapes: Vec<Option<Shape>>,
    cache: ClassCache,
    /// Entries, address and class, the least first.
    found: BinaryHeap<Reverse<(u64, u64, u64)>>,
    watch: &'a dyn Watch,
}

impl<'a> Find<'a> {
    fn new(model: &'a Model, layouts: &'a Layouts, watch: &'a dyn Watch) -> Self {
        let classes = (0u32..).take(model.classes().len());
        let shapes = classes.map(|class| class_shape(model, layouts, class)).collect();
        Find { model, shapes, cache: ClassCache::default(), found: BinaryHeap::new(), watch }
    }

    fn finish(self) -> Vec<(u64, u64, u64)> {
        self.found.into_sorted_vec().into_iter().map(|Reverse(found)| found).collect()
    }
}

impl Visitor for Find<'_> {
    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        let model = self.model;
        let class = self.cache.get(instance.class, || model.index(instance.class).unwrap_or(NO_CLASS));
        let Some(Some(shape)) = self.shapes.get(class as usize) else { return };
        let Some((entries, _)) = shape.read(model, instance.fields) else { return };
        if entries >= LEAST {
            self.found.push(Reverse((entries, instance.id, instance.class)));
            if self.found.len() > TOLD {
                self.found.pop();
            }
        }
    }

    fn progress(&mut self, at: u64) -> ControlFlow<()> {
        self.watch.step(Phase::Wiring, at, 0)
    }
}

/// The way up from a collection.
struct Way {
    entries: u64,
    class: u64,
    /// The address that the next reading looks for.
    at: u64,
    seen: Vec<u64>,
    held_by: Vec<String>,
    done: bool,
}

impl Way {
    fn new((entries, at, class): (u64, u64, u64)) -> Way {
        Way { entries, class, at, seen: vec![at], held_by: Vec::new(), done: false }
    }

    fn up(&mut self, model: &Model, layouts: &Layouts, fetched: &Fetched) {
        let referrers = fetched.referrers.get(&self.at).map_or(&[][..], Vec::as_slice);
        let rank = |referrer: &&Referrer| match referrer.via {
            Via::Static(_) => 0,
            Via::Field(_) => 1,
            Via::Element(_) => 2,
        };
        let fresh = referrers.iter().filter(|referrer| !self.seen.contains(&referrer.from));
        let Some(best) = fresh.min_by_key(rank) else {
            self.done = true;
            return;
        };
        self.held_by.push(best.name(model, layouts));
        self.done = matches!(best.via, Via::Static(_));
        self.at = best.from;
        self.seen.push(best.from);
    }
}
