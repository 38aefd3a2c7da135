//! What a heap dump says: who holds what, how many, and whether anything bounds it.

use std::cmp::Reverse;
use std::collections::HashMap;

use plimsoll_core::keys::{KeyReport, Keys};

use super::climb::{Owner, Path, climb};
use super::collections::{Collection, collection, is_collection};
use super::inside::{ClassInside, Inside, inside};
use super::lost::{LEAST, Lost};
use super::suspects::{Point, points};
use super::view::{View, resolved};
use super::{HeapDump, HeapDumpError, Source, opened, scanned};
use crate::graph::both::both;
use crate::graph::watch::{Phase, Watch};
use crate::hprof::visitor::Type;
use crate::secrets::names::announces_secret;

/// How many times as large as any other the one that is named in a cut dump must be.
const RIVALS: u64 = 3;
/// One reference of so many may lead to what is gone, if that is to be called little.
const DANGLING: u64 = 10;
/// Collections without their tables told of at most.
const LOST: usize = 3;
/// Suspects told of at most.
const TOLD: usize = 8;

/// Share of the reachable bytes from which on a suspect is accused.
const ACCUSED: f64 = 0.2;

/// A place where bytes pile up.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// The way from its owner; of the most common owner for a group.
    pub path: Path,
    /// Number of the object, the first one of a group.
    pub object: u32,
    /// The collection, else the object that bytes pile up at.
    pub label: String,
    /// Objects: 1, or those of a group that several objects hold together.
    pub count: u64,
    /// Bytes that go with it.
    pub retained: u64,
    /// Share of the reachable bytes, 0 to 1.
    pub share: f64,
    /// Whether it is named as what is wrong: it is large, and nothing is known to bound it.
    pub accused: bool,
    /// Whether it is a chain of objects of one class, each holding the next.
    pub is_chain: bool,
    /// The collection, where it is one that is known.
    pub collection: Option<Collection>,
    /// Entries or elements found inside it; those that something else holds too are not among them.
    pub units: u64,
    /// Class of the elements, or of the entries' values.
    pub unit_class: String,
    /// Its objects by class, by their own bytes, most first.
    pub classes: Vec<ClassInside>,
    /// Whether its table is in the part of the dump that is gone: what it retains is estimated then.
    pub lost: bool,
    /// What the keys of the entries are made from, or the elements where they are texts; by a sample of up to 32,768.
    pub keys: Option<KeyReport>,
}

impl Suspect {
    /// Entries, as the collection says, else as counted.
    pub fn entries(&self) -> u64 {
        self.collection.as_ref().and_then(|c| c.entries).unwrap_or(self.units)
    }

    /// The setting that bounds it, where it belongs to a cache or a registry of a known library.
    pub fn setting(&self) -> Option<&'static str> {
        let way = self.path.steps.iter().map(|s| s.label.as_str());
        super::caches::setting(way.chain([self.label.as_str()]))
    }

    /// Bytes that it would retain if all of its entries were in the dump: as many as it says, each as large as those found.
    fn expected(&self) -> u64 {
        let entries = u128::from(self.entries().max(self.units));
        match u128::from(self.units) {
            0 => self.retained,
            _ if self.lost => self.retained,
            units => u64::try_from(u128::from(self.retained) * entries / units).unwrap_or(u64::MAX),
        }
    }

    /// Whether it has more entries than the dump: what is gone is its own.
    fn goes_on(&self) -> bool {
        self.entries() > self.units && self.entries() >= LEAST
    }

    fn is_owned(&self) -> bool {
        !matches!(self.path.owner, Owner::Unknown(_))
    }

    /// Whether something keeps it from growing.
    pub fn is_bounded(&self) -> bool {
        self.collection.as_ref().is_some_and(|c| c.bound.is_some())
    }
}

/// What a heap dump says.
#[derive(Debug, Clone)]
pub struct Report {
    /// Places where a tenth of the reachable bytes or more pile up, most first.
    pub suspects: Vec<Suspect>,
    /// Classes of the largest part of the reachable bytes.
    pub classes: Vec<ClassInside>,
}

/// Reads on in the dump for what the graph does not know, and tells what it comes to.
///
/// # Errors
/// As [`super::read`].
pub fn report(
    heap: &HeapDump,
    source: &(impl Source + ?Sized),
    watch: &dyn Watch,
) -> Result<Report, HeapDumpError> {
    let mut found = points(heap);
    found.truncate(TOLD);
    if !heap.summary.is_complete() {
        found.extend(lost(heap, source, &found, watch)?);
    }
    let subjects: Vec<u32> = found.iter().filter_map(|point| subject(heap, point)).collect();
    let (classes, insides) = both(|| reachable_classes(heap), || inside(heap, &subjects));
    let mut suspects = resolved(heap, source, watch, |view| {
        let all = found.iter().zip(&subjects).zip(&insides);
        all.map(|((point, subject), inside)| suspect(view, point, *subject, inside)).collect::<Vec<_>>()
    })?;
    accuse(heap, &mut suspects);
    Ok(Report { suspects, classes })
}

/// Names what is wrong.
fn accuse(heap: &HeapDump, suspects: &mut [Suspect]) {
    if heap.summary.is_complete() || heap.is_nearly_whole() {
        let is_complete = heap.summary.is_complete();
        for suspect in suspects.iter_mut().filter(|s| !s.lost && !s.is_bounded()) {
            suspect.accused = suspect.share >= ACCUSED && (is_complete || suspect.is_owned());
        }
    } else if let Some(one) = outstanding(suspects, is_little_gone(heap)) {
        one.accused = true;
    }
    suspects.sort_by_key(|s| (Reverse(s.accused), Reverse(s.retained)));
}

/// The one to name in a dump that was cut. A share of what is left is no share of the heap: what lies early in the file, and
/// whole, seems large. So it must have an owner with a name, be by far the largest of all that is seen, and say itself that
/// it has more entries than are there; unless little is gone.
fn outstanding(suspects: &mut [Suspect], is_little_gone: bool) -> Option<&mut Suspect> {
    let is_large = |s: &Suspect| s.lost || s.share >= ACCUSED && (is_little_gone || s.goes_on());
    let has_name = |s: &Suspect| matches!(s.path.owner, Owner::Static(..) | Owner::Thread(..));
    let is_above = |at: usize, one: &Suspect| {
        let mut others = suspects.iter().enumerate().filter(|(i, s)| *i != at && !s.is_bounded());
        others.all(|(_, other)| is_by_far_larger(one, other))
    };
    let is_it = |(at, s): (usize, &Suspect)| {
        is_large(s) && has_name(s) && !s.is_bounded() && s.count == 1 && is_above(at, s)
    };
    let named = suspects.iter().enumerate().position(is_it);
    suspects.get_mut(named?)
}

/// By what they say of their own entries. Objects that several hold, or nobody that is left, may well be its own.
fn is_by_far_larger(one: &Suspect, other: &Suspect) -> bool {
    let may_be_its_own = other.count > 1 || !other.is_owned();
    match (one.lost, other.lost) {
        (true, true) => one.entries() >= other.entries().saturating_mul(RIVALS),
        (true, false) => one.retained >= other.expected(),
        (false, _) if may_be_its_own => one.expected() >= other.expected(),
        (false, _) => one.expected() >= other.expected().saturating_mul(RIVALS),
    }
}

/// Whether the part of a cut dump that is gone can hide nothing large, as far as can be told: few references lead there,
/// and no static field of the application does.
fn is_little_gone(heap: &HeapDump) -> bool {
    let all = heap.references.saturating_add(heap.dangling);
    let of_application = heap.model.classes().iter().filter(|class| class.loader != 0);
    let statics =
        of_application.flat_map(|class| &class.statics).filter(|s| s.ty == Type::Object && s.value != 0);
    let mut gone = statics.filter(|s| heap.object_at(s.value).is_none());
    // HotSpot adds some that are no fields, such as `<resolved_references>`.
    let is_field = |name: u64| heap.model.text(name).is_none_or(|name| !name.starts_with(b"<"));
    heap.dangling.saturating_mul(DANGLING) <= all && !gone.any(|s| is_field(s.name))
}

/// Collections of a cut dump without their tables, as points.
fn lost(
    heap: &HeapDump,
    source: &(impl Source + ?Sized),
    found: &[Point],
    watch: &dyn Watch,
) -> Result<Vec<Point>, HeapDumpError> {
    let mut lost = Lost::new(heap, watch);
    scanned(opened(source)?, &mut lost, Phase::Fetch)?;
    let point = |(object, entries): (u32, u64)| {
        // What is left of the entries tells what one of them weighs.
        let entry = format!("{}$", heap.class_name(object));
        let group = found.iter().find(|point| {
            point.count > 1 && point.objects.first().is_some_and(|o| heap.class_name(*o).starts_with(&entry))
        });
        let each = group.map_or(0, |group| group.retained / group.count.max(1));
        let retained = heap.retained.of(object).saturating_add(each.saturating_mul(entries));
        Point { objects: vec![object], count: 1, retained, is_chain: false, lost: Some(entries) }
    };
    Ok(lost.finish().into_iter().take(LOST).map(point).collect())
}

/// What a point belongs to: the collection whose table it is, else the object itself.
fn subject(heap: &HeapDump, point: &Point) -> Option<u32> {
    let object = *point.objects.first()?;
    if point.count > 1 || point.lost.is_some() {
        return Some(object);
    }
    let most = point.retained.saturating_add(point.retained / 4);
    let near = std::iter::once(object).chain(heap.tree.holders_of(object).take(4));
    // What holds a class is a loader's list of its classes, and no collection to blame.
    let is_class =
        |at: u32| heap.address_of(at).is_some_and(|address| heap.model.class_of(address).is_some());
    let mut near = near.take_while(|at| heap.retained.of(*at) <= most && !is_class(*at));
    Some(near.find(|at| is_collection(heap, heap.class_index(*at))).unwrap_or(object))
}

fn suspect(view: &View<'_>, point: &Point, subject: u32, inside: &Inside) -> Suspect {
    let heap = view.heap;
    let path = common_path(view, point, subject);
    let holder = path.steps.iter().rev().nth(1).map(|step| step.object);
    let total = heap.retained.reached_bytes().max(1);
    let lost = point.lost.is_some();
    let retained = if point.count > 1 || lost { point.retained } else { heap.retained.of(subject) };
    // What is estimated comes on top of what is there.
    let total =
        if lost { total.saturating_add(retained - retained.min(heap.retained.of(subject))) } else { total };
    let keys = keys(view, inside);
    Suspect {
        path,
        object: subject,
        label: heap.label(subject),
        count: point.count,
        retained,
        share: retained as f64 / total as f64,
        accused: false,
        is_chain: point.is_chain,
        collection: collection(view, subject, holder),
        units: inside.units,
        unit_class: unit_class(view, inside),
        classes: inside.classes.clone(),
        lost,
        keys,
    }
}

/// The way to a single object; for a group, the way to one of those with the most common owner.
fn common_path(view: &View<'_>, point: &Point, subject: u32) -> Path {
    if point.count == 1 {
        return climb(view, subject);
    }
    let paths: Vec<Path> = point.objects.iter().map(|object| climb(view, *object)).collect();
    let mut owners: HashMap<String, usize> = HashMap::new();
    for path in &paths {
        *owners.entry(path.owner.to_string()).or_default() += 1;
    }
    let best = paths.into_iter().max_by_key(|path| {
        (owners.get(&path.owner.to_string()).copied().unwrap_or(0), Reverse(path.steps.len()))
    });
    best.unwrap_or_else(|| climb(view, subject))
}

/// The key field of an entry, or of a node of a list.
fn key_of(view: &View<'_>, entry: u32) -> Option<u64> {
    let address = view.heap.address_of(entry)?;
    view.reference(address, "key").or_else(|| view.reference(address, "item"))
}

fn keys(view: &View<'_>, inside: &Inside) -> Option<KeyReport> {
    let text = |unit: &u32| {
        let address = if inside.have_keys { key_of(view, *unit)? } else { view.heap.address_of(*unit)? };
        view.text(address)
    };
    let mut keys = Keys::hiding(announces_secret);
    inside.sample.iter().filter_map(text).for_each(|key| keys.push(&key));
    Some(keys.finish()).filter(|report| report.keys > 0)
}

/// Class of the values of entries, by a few of them; of the elements where there are no entries.
fn unit_class(view: &View<'_>, inside: &Inside) -> String {
    if !inside.have_keys {
        return inside.unit_class.clone();
    }
    let heap = view.heap;
    let value = |entry: &u32| {
        let address = heap.address_of(*entry)?;
        let names = ["value", "val", "item"];
        let value = names.iter().find_map(|name| view.reference(address, name))?;
        Some(heap.class_index(heap.object_at(value)?))
    };
    let mut counts: HashMap<u32, u32> = HashMap::new();
    for class in inside.sample.iter().take(256).filter_map(value) {
        *counts.entry(class).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(class, count)| (*count, Reverse(*class)));
    most.map_or_else(|| inside.unit_class.clone(), |(class, _)| heap.name_of(class))
}

/// Reachable objects by class, by their own bytes: the largest.
fn reachable_classes(heap: &HeapDump) -> Vec<ClassInside> {
    let mut rows = heap.histogram(true);
    rows.truncate(10);
    rows
}
