//! Whether something keeps a collection from growing: a number in its owner, or only a name that says so.
//!
//! The engine writes small numbers into a snapshot only when asked to (`exposeNumericValues`); without that the shape
//! of an object tells that it has a field `max`, and not what it is.

use super::table::{Edge, EdgeKind};
use super::{HeapSnapshot, NodeKind};

/// Names, in small letters, that programs and libraries give to the most entries of a collection.
const NAMES: [&str; 15] = [
    "max",
    "maxsize",
    "maxentries",
    "maxkeys",
    "maxitems",
    "maxlength",
    "maxcount",
    "maximum",
    "size",
    "maxcachesize",
    "cachesize",
    "limit",
    "maxlimit",
    "capacity",
    "cap",
];
/// Names of a time after which entries go.
const TIMES: [&str; 4] = ["ttl", "maxage", "stdttl", "expiry"];
/// Names of what an owner keeps its settings in.
const SETTINGS: [&str; 5] = ["options", "opts", "config", "settings", "_options"];
/// Libraries whose fields are always there, and which bound nothing unless they are set.
const OPEN_UNLESS_SET: [&str; 1] = ["NodeCache"];
/// References of an object that has fields; one with more is a collection, and its properties are keys.
const FIELDS: usize = 64;
/// Objects above a collection that may own it.
const OWNERS: usize = 2;
/// Steps up to those.
const STEPS: usize = 6;

/// What speaks for a collection having a bound, or against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bound {
    /// A number that was seen.
    Seen { field: String, most: u64 },
    /// A number that was seen and bounds nothing, as `-1`.
    Open { field: String, value: String },
    /// A name alone: whether and to how many it bounds is not in the snapshot.
    Named(String),
}

/// A field that is named like a bound; its value where the snapshot has it.
struct Field {
    name: String,
    value: Option<String>,
}

/// What bounds a collection: the nearest owner with a number says, then one that bounds nothing, then a name.
pub(super) fn bound(heap: &HeapSnapshot, node: u32, entries: u64) -> Option<Bound> {
    let mut found = Vec::new();
    for (at, owner) in owners(heap, node).into_iter().enumerate() {
        // What lies further away bounds this collection only if its entries came near.
        let is_far = at > 1 || heap.is_context(owner);
        let most = if is_far { entries.saturating_add(entries / 9) } else { u64::MAX };
        let class = heap.label(owner);
        let fields = fields(heap, owner).into_iter().chain(settings(heap, owner));
        let fields = fields.filter(|field| !is_far || field.value.is_some());
        found.extend(fields.filter_map(|field| judged(field, &class, entries, most)));
        if class.contains("LRU") {
            found.push(Bound::Named(class));
        }
    }
    let rank = |bound: &Bound| match bound {
        Bound::Seen { most, .. } => (0, *most),
        Bound::Open { .. } => (1, 0),
        Bound::Named(_) => (2, 0),
    };
    found.into_iter().min_by_key(rank)
}

/// The collection, and the objects above it that may be its owner.
fn owners(heap: &HeapSnapshot, node: u32) -> Vec<u32> {
    let above = heap.tree.holders_of(node).take(STEPS);
    let above = above.filter(|at| heap.kind(*at) == NodeKind::Object).take(OWNERS);
    std::iter::once(node).chain(above).collect()
}

/// What one field says of so many entries.
fn judged(field: Field, class: &str, entries: u64, most: u64) -> Option<Bound> {
    let lower = field.name.trim_start_matches(['_', '#']).replace('_', "").to_lowercase();
    let is_time = TIMES.contains(&lower.as_str());
    let name = if class == "context" {
        format!("variable {}", field.name)
    } else {
        format!("{class}.{}", field.name)
    };
    let Some(value) = field.value else {
        let says = !OPEN_UNLESS_SET.contains(&class) && lower != "size";
        return says.then_some(Bound::Named(name));
    };
    let number: f64 = value.parse().ok()?;
    if number <= 0.0 || number.is_infinite() {
        // A size of nothing counts something else.
        return (!is_time && lower != "size").then_some(Bound::Open { field: name, value });
    }
    if is_time {
        return Some(Bound::Named(name));
    }
    let bound = number as u64;
    // A field `size` that is the number of entries counts them.
    let counts = matches!(lower.as_str(), "size" | "cachesize") && bound <= entries;
    (!counts && (entries..=most).contains(&bound)).then_some(Bound::Seen { field: name, most: bound })
}

/// Fields of the settings that an owner keeps in an object of their own.
fn settings(heap: &HeapSnapshot, owner: u32) -> Vec<Field> {
    let named = |edge: &Edge| {
        edge.kind == EdgeKind::Property
            && heap.kind(edge.to) == NodeKind::Object
            && heap.strings.get(edge.name).is_some_and(|name| SETTINGS.contains(&name.as_ref()))
    };
    let inner = few(heap, owner).into_iter().find(named).map(|edge| edge.to);
    inner.map(|inner| fields(heap, inner)).unwrap_or_default()
}

/// References of an object that is no collection itself.
fn few(heap: &HeapSnapshot, node: u32) -> Vec<Edge> {
    let edges = heap.edges_of(node);
    if heap.nodes.edges(node).len() > FIELDS {
        let is_field = |edge: &Edge| matches!(edge.kind, EdgeKind::Property | EdgeKind::Context);
        let fields: Vec<Edge> = edges.filter(is_field).take(FIELDS + 1).collect();
        return if fields.len() > FIELDS { Vec::new() } else { fields };
    }
    edges.collect()
}

/// Fields of an object, or variables of a context, that are named like a bound.
fn fields(heap: &HeapSnapshot, node: u32) -> Vec<Field> {
    let mut found: Vec<Field> = Vec::new();
    for edge in few(heap, node) {
        let is_field = matches!(edge.kind, EdgeKind::Property | EdgeKind::Context);
        if is_field
            && heap.kind(edge.to) == NodeKind::Number
            && let Some(name) = named(heap, edge.name)
        {
            found.push(Field { name, value: number(heap, edge.to) });
        }
    }
    // A name that the object has a reference for is told by that.
    let told: Vec<u32> = few(heap, node).iter().map(|edge| edge.name).collect();
    for (name, at) in shape(heap, node) {
        if !told.contains(&at) && found.iter().all(|field| field.name != name) {
            found.push(Field { name, value: None });
        }
    }
    found
}

/// Names like a bound in the shape of an object: its numbers are there and no references of its own.
fn shape(heap: &HeapSnapshot, node: u32) -> Vec<(String, u32)> {
    let inner = |node: u32, name: &str| {
        let wanted = |edge: &Edge| {
            edge.kind == EdgeKind::Internal && heap.strings.get(edge.name).as_deref() == Some(name)
        };
        heap.edges_of(node).take(4096).find(wanted).map(|edge| edge.to)
    };
    let Some(names) = inner(node, "map").and_then(|map| inner(map, "descriptors")) else {
        return Vec::new();
    };
    let names = heap.edges_of(names).take(2 * FIELDS).filter(|edge| heap.kind(edge.to) == NodeKind::String);
    let names = names.map(|edge| heap.nodes.name(edge.to));
    names.filter_map(|at| named(heap, at).map(|name| (name, at))).collect()
}

/// A name, if it is one of a bound.
fn named(heap: &HeapSnapshot, name: u32) -> Option<String> {
    let name = heap.strings.get(name)?;
    let lower = name.trim_start_matches(['_', '#']).replace('_', "").to_lowercase();
    let is_one = NAMES.contains(&lower.as_str()) || TIMES.contains(&lower.as_str());
    is_one.then(|| name.into_owned())
}

/// The text of a number, where the snapshot has it.
fn number(heap: &HeapSnapshot, node: u32) -> Option<String> {
    let text = heap.inner(node, "value").filter(|at| heap.kind(*at) == NodeKind::String)?;
    heap.name(text).map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, value: Option<&str>, entries: u64, most: u64) -> Option<Bound> {
        let field = Field { name: name.to_owned(), value: value.map(str::to_owned) };
        judged(field, "Recent", entries, most)
    }

    #[test]
    fn only_a_number_that_was_seen_and_fits_is_a_bound() {
        let seen = |field: &str, most| Some(Bound::Seen { field: format!("Recent.{field}"), most });
        assert_eq!(said("max", Some("5000"), 5000, u64::MAX), seen("max", 5000));
        assert_eq!(said("_max_size", Some("9000"), 5000, u64::MAX), seen("_max_size", 9000));
        assert_eq!(said("max", Some("9000"), 5000, 5555), None);
        assert_eq!(said("max", Some("100"), 5000, u64::MAX), None);
        assert_eq!(said("size", Some("5000"), 5000, u64::MAX), None);
        for value in ["-1", "0", "Infinity"] {
            let open = Bound::Open { field: "Recent.maxKeys".to_owned(), value: value.to_owned() };
            assert_eq!(said("maxKeys", Some(value), 5000, u64::MAX), Some(open));
        }
        assert_eq!(said("#max", None, 5000, u64::MAX), Some(Bound::Named("Recent.#max".to_owned())));
        assert_eq!(said("ttl", Some("0"), 5000, u64::MAX), None);
    }
}
