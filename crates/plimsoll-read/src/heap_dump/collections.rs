//! Collections of the Java library and of the well-known caches: how many entries, how full, and whether something
//! bounds them. One table: a collection more is a row more.

use super::HeapDump;
use super::fields::{descends_from, fields_of};
use super::view::View;
use crate::hprof::layout::Layouts;
use crate::hprof::model::Model;
use crate::hprof::visitor::Type;

/// How to read the number of entries.
#[derive(Debug, Clone, Copy)]
enum Count {
    /// A field of its own.
    Field(&'static str),
    /// `ConcurrentHashMap`: a base and cells that threads add to.
    Cells,
    /// An `AtomicInteger` in a field.
    Atomic(&'static str),
    /// The collection that a field refers to.
    Inner(&'static str),
    /// It does not say.
    Unknown,
}

/// One kind of collection.
struct Kind {
    class: &'static str,
    count: Count,
    /// The field with the array, whose length is the capacity.
    table: Option<&'static str>,
}

const fn kind(class: &'static str, count: Count, table: Option<&'static str>) -> Kind {
    Kind { class, count, table }
}

/// The collections that are known, subclasses before what they descend from.
const KINDS: &[Kind] = &[
    kind("java.util.HashMap", Count::Field("size"), Some("table")),
    kind("java.util.concurrent.ConcurrentHashMap", Count::Cells, Some("table")),
    kind("java.util.Hashtable", Count::Field("count"), Some("table")),
    kind("java.util.WeakHashMap", Count::Field("size"), Some("table")),
    kind("java.util.IdentityHashMap", Count::Field("size"), Some("table")),
    kind("java.util.TreeMap", Count::Field("size"), None),
    kind("java.util.EnumMap", Count::Field("size"), Some("vals")),
    kind("java.util.concurrent.ConcurrentSkipListMap", Count::Unknown, None),
    kind("java.util.HashSet", Count::Inner("map"), None),
    kind("java.util.TreeSet", Count::Inner("m"), None),
    kind("java.util.concurrent.CopyOnWriteArraySet", Count::Inner("al"), None),
    kind("java.util.concurrent.ConcurrentSkipListSet", Count::Inner("m"), None),
    kind("java.util.ArrayList", Count::Field("size"), Some("elementData")),
    kind("java.util.Vector", Count::Field("elementCount"), Some("elementData")),
    kind("java.util.LinkedList", Count::Field("size"), None),
    kind("java.util.ArrayDeque", Count::Unknown, Some("elements")),
    kind("java.util.PriorityQueue", Count::Field("size"), Some("queue")),
    kind("java.util.concurrent.CopyOnWriteArrayList", Count::Unknown, Some("array")),
    kind("java.util.concurrent.LinkedBlockingQueue", Count::Atomic("count"), None),
    kind("java.util.concurrent.LinkedBlockingDeque", Count::Field("count"), None),
    kind("java.util.concurrent.ArrayBlockingQueue", Count::Field("count"), Some("items")),
    kind("java.util.concurrent.PriorityBlockingQueue", Count::Field("size"), Some("queue")),
    kind("java.util.concurrent.ConcurrentLinkedQueue", Count::Unknown, None),
    kind("java.util.concurrent.ConcurrentLinkedDeque", Count::Unknown, None),
    kind("java.util.concurrent.DelayQueue", Count::Inner("q"), None),
    kind("com.github.benmanes.caffeine.cache.BoundedLocalCache", Count::Inner("data"), None),
    kind("com.github.benmanes.caffeine.cache.UnboundedLocalCache", Count::Inner("data"), None),
    kind("com.google.common.cache.LocalCache", Count::Unknown, Some("segments")),
    kind("com.google.common.collect.MapMakerInternalMap", Count::Unknown, Some("segments")),
    kind("it.unimi.dsi.fastutil.objects.Object2ObjectOpenHashMap", Count::Field("size"), Some("key")),
    kind("scala.collection.mutable.HashMap", Count::Field("contentSize"), Some("table")),
    kind("scala.collection.concurrent.TrieMap", Count::Unknown, None),
];

/// Names of fields that bound a collection when their value is at least its size.
const BOUND_NAMES: [&str; 8] = ["cap", "max", "limit", "bound", "maximum", "evict", "lru", "quota"];
/// Names of fields that are never bounds although they begin like one.
const NO_BOUNDS: [&str; 3] = ["modCount", "maxBatch", "threshold"];

/// What bounds a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The field that says so: `Class.field`.
    pub field: String,
    /// Entries at most.
    pub entries: u64,
}

/// A collection as it is found in a heap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Its number.
    pub object: u32,
    /// Its class.
    pub class: String,
    /// Entries, as it says itself.
    pub entries: Option<u64>,
    /// Slots of its table or array.
    pub capacity: Option<u64>,
    /// What bounds it, if anything does.
    pub bound: Option<Bound>,
}

/// Whether a class is a collection that is known.
pub(super) fn is_collection(heap: &HeapDump, class: u32) -> bool {
    kind_of(heap, class).is_some()
}

fn kind_of(heap: &HeapDump, class: u32) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| heap.descends_from(class, kind.class))
}

/// Where an instance of a collection says how many entries it has, and what its table is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    count: (usize, Type),
    table: usize,
}

/// The shape of a class that counts its own entries and has a table.
pub(super) fn shape_of(heap: &HeapDump, class: u32) -> Option<Shape> {
    class_shape(&heap.model, &heap.layouts, class)
}

/// The same without a graph.
pub(super) fn class_shape(model: &Model, layouts: &Layouts, class: u32) -> Option<Shape> {
    let kind = KINDS.iter().find(|kind| descends_from(model, layouts, class, kind.class))?;
    let count = match kind.count {
        Count::Field(name) => name,
        Count::Cells => "baseCount",
        _ => return None,
    };
    let at = |name: &str| fields_of(model, layouts, class).find(|field| field.name == name.as_bytes());
    let (count, table) = (at(count)?, at(kind.table?)?);
    Some(Shape { count: (count.offset, count.ty), table: table.offset })
}

impl Shape {
    /// Entries, and the address of the table.
    pub(super) fn read(&self, model: &Model, fields: &[u8]) -> Option<(u64, u64)> {
        let width = model.id_size().bytes();
        let number = |at: usize, ty: Type| {
            let bytes = fields.get(at..)?.get(..ty.bytes(width))?;
            Some(bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)))
        };
        let (at, ty) = self.count;
        let entries = match ty {
            Type::Int => u64::try_from(number(at, ty)? as u32 as i32).ok()?,
            Type::Long => u64::try_from(number(at, ty)? as i64).ok()?,
            _ => return None,
        };
        Some((entries, number(self.table, Type::Object)?))
    }
}

/// The collection that an object is; nothing when it is none that is known.
pub(super) fn collection(view: &View<'_>, object: u32, holder: Option<u32>) -> Option<Collection> {
    let class = view.heap.class_index(object);
    let kind = kind_of(view.heap, class)?;
    let address = view.heap.address_of(object)?;
    let entries = entries_of(view, address, kind, 0);
    let table = kind.table.and_then(|field| view.reference(address, field));
    let capacity = table.and_then(|table| view.length(table)).map(u64::from);
    let bound = entries.and_then(|entries| bound_of(view, object, holder, entries));
    Some(Collection { object, class: view.heap.class_name(object), entries, capacity, bound })
}

fn entries_of(view: &View<'_>, address: u64, kind: &Kind, depth: u32) -> Option<u64> {
    match kind.count {
        Count::Field(name) => view.number(address, name),
        Count::Atomic(name) => view.number(view.reference(address, name)?, "value"),
        Count::Cells => counted_by_cells(view, address),
        Count::Inner(name) if depth < 4 => {
            let inner = view.reference(address, name)?;
            let class = view.heap.class_index(view.heap.object_at(inner)?);
            entries_of(view, inner, kind_of(view.heap, class)?, depth + 1)
        }
        Count::Inner(_) | Count::Unknown => None,
    }
}

/// A base that is added to when nobody is in the way, and a cell for each thread that was.
fn counted_by_cells(view: &View<'_>, address: u64) -> Option<u64> {
    let signed = |address, name| view.field(address, name).map(|(_, value)| value as i64);
    let base = signed(address, "baseCount")?;
    let mut sum = base;
    if let Some(cells) = view.reference(address, "counterCells") {
        for cell in view.elements(cells)? {
            if *cell != 0 {
                sum = sum.saturating_add(signed(*cell, "value")?);
            }
        }
    }
    u64::try_from(sum).ok()
}

/// A number in the collection that is named like a limit and not below the entries; or one in what holds it, if the
/// entries have come near it, as a number there may limit something else.
fn bound_of(view: &View<'_>, object: u32, holder: Option<u32>, entries: u64) -> Option<Bound> {
    let near = entries.saturating_add(entries / 9);
    let own = (object, u64::from(u32::MAX / 2 - 1));
    [Some(own), holder.map(|holder| (holder, near))].into_iter().flatten().find_map(|(object, most)| {
        let address = view.heap.address_of(object)?;
        let class = view.heap.class_name(object);
        view.numbers(address)
            .into_iter()
            .filter(|(name, _)| is_bound_name(name))
            .filter(|(_, value)| *value > 0 && (entries..=most).contains(value))
            .map(|(name, value)| Bound { field: format!("{class}.{name}"), entries: value })
            .min_by_key(|bound| bound.entries)
    })
}

fn is_bound_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    !NO_BOUNDS.contains(&name) && BOUND_NAMES.iter().any(|part| lower.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_limits_are_told_from_counters() {
        for name in ["cap", "capacity", "maxSize", "maximum", "limit", "MAX_ENTRIES", "lruSize"] {
            assert!(is_bound_name(name), "{name}");
        }
        for name in ["size", "modCount", "threshold", "count", "hash"] {
            assert!(!is_bound_name(name), "{name}");
        }
    }
}
