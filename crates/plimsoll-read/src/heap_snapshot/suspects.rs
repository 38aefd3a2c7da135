//! Where bytes pile up: down the dominator tree to what holds much and no part of which holds most of it.

use std::collections::HashMap;

use plimsoll_core::keys::{KeyReport, Keys};

use super::bound::{Bound, bound};
use super::climb::{Step, Ways, told};
use super::table::EdgeKind;
use super::{HeapSnapshot, NodeKind};
use crate::graph::dominators::Holder;
use crate::graph::marks::Marks;
use crate::heap_dump::Skeleton;
use crate::secrets::names::announces_secret;

/// Share of the reachable bytes from which on a place is told of.
const SHARE: f64 = 0.10;
/// Share of its holder's bytes at which the search follows one node down.
const FOLLOWED: f64 = 0.70;
/// Steps down at most.
const DEEP: usize = 1000;
/// Places told of at most.
const TOLD: usize = 8;
/// Keys looked at.
const KEYS: usize = 1 << 15;
/// Entries from which on something has piled up.
pub(super) const PILE: u64 = 100;

/// A place where bytes pile up.
#[derive(Debug, Clone)]
pub(super) struct Suspect {
    /// The engine's id for it (`@123` in developer tools).
    pub(super) id: u32,
    /// What it is: the collection, else the node that bytes pile up at.
    pub(super) label: String,
    /// The way from the root.
    pub(super) path: Vec<Step>,
    /// Bytes that go with it.
    pub(super) retained: u64,
    /// Share of the reachable bytes, 0 to 1.
    pub(super) share: f64,
    /// Entries or elements.
    pub(super) entries: u64,
    /// What most of them are; functions with their place.
    pub(super) entry: String,
    /// What the entries retain together, bytes.
    pub(super) entries_retained: u64,
    /// What keys that are strings are made from.
    pub(super) keys: Option<KeyReport>,
    /// What one of the entries keeps alive or calls, in words.
    pub(super) detail: Option<String>,
    /// Whether each entry holds the next: they are a chain.
    pub(super) is_chain: bool,
    /// What speaks for a bound or against one.
    pub(super) bound: Option<Bound>,
    /// Whether it belongs to the program, not to the engine.
    pub(super) is_programs: bool,
}

/// The places, most bytes first.
pub(super) fn suspects(heap: &HeapSnapshot) -> Vec<Suspect> {
    let total = heap.retained.reached_bytes();
    let least = ((total as f64 * SHARE) as u64).max(1);
    let skeleton = Skeleton::of(&heap.tree, &heap.retained, least);
    let mut points = Vec::new();
    below(heap, &skeleton, 0, 0, &mut points);
    points.sort_by_key(|node| std::cmp::Reverse(heap.retained.of(*node)));
    points.truncate(TOLD);
    if points.is_empty() {
        return Vec::new();
    }
    let ways = Ways::of(heap);
    points.iter().map(|point| suspect(heap, &ways, *point, total)).collect()
}

/// Follows what is large below a node; false when there is nothing worth it.
fn below(heap: &HeapSnapshot, skeleton: &Skeleton, node: u32, depth: usize, found: &mut Vec<u32>) -> bool {
    let large = skeleton.held_by(Some(node));
    let sum: u64 = large.iter().map(|(_, bytes)| bytes).sum();
    // A group of roots holds nothing by itself.
    let is_group = heap.kind(node) == NodeKind::Synthetic;
    let enough = is_group || sum as f64 >= FOLLOWED * heap.retained.of(node) as f64;
    if large.is_empty() || !enough || depth >= DEEP {
        return false;
    }
    for (inner, _) in large {
        if !below(heap, skeleton, *inner, depth + 1, found) && heap.kind(*inner) != NodeKind::Synthetic {
            found.push(*inner);
        }
    }
    true
}

/// The object whose storage a point is, else the point.
fn subject(heap: &HeapSnapshot, point: u32) -> u32 {
    let most = heap.retained.of(point).saturating_add(heap.retained.of(point) / 4);
    let named = |node: &u32| {
        matches!(heap.kind(*node), NodeKind::Object | NodeKind::Native) && !heap.is_context(*node)
    };
    if heap.kind(point) != NodeKind::Array {
        return point;
    }
    let mut above = heap.tree.holders_of(point).take(4).take_while(|at| heap.retained.of(*at) <= most);
    above.find(named).unwrap_or(point)
}

fn suspect(heap: &HeapSnapshot, ways: &Ways, point: u32, total: u64) -> Suspect {
    let mut node = subject(heap, point);
    let mut entries = Entries::of(heap, point);
    let chain = if entries.count < PILE { Chain::through(heap, point) } else { None };
    if let Some(chain) = &chain {
        node = chain.head;
        entries = chain.entries(heap);
    }
    let way = ways.down_to(node);
    let bound = if chain.is_some() { None } else { bound(heap, node, entries.count) };
    let kind = heap.kind(node);
    let is_programs = matches!(kind, NodeKind::Object | NodeKind::Closure | NodeKind::Array)
        && !heap.name(node).is_some_and(|name| name.starts_with("system / ") && !heap.is_context(node));
    Suspect {
        id: heap.nodes.id(node),
        label: heap.label(node),
        path: told(heap, &way),
        retained: heap.retained.of(node),
        share: heap.retained.of(node) as f64 / total.max(1) as f64,
        entries: entries.count,
        detail: entries.example.and_then(|example| detail(heap, example)),
        entry: entries.class,
        entries_retained: entries.retained,
        keys: entries.keys,
        bound,
        is_programs,
        is_chain: chain.is_some(),
    }
}

/// Objects of one constructor of which each holds the next, as a linked list or functions that keep the scope before.
struct Chain {
    head: u32,
    objects: u64,
}

impl Chain {
    /// The one that leads down to a node, if one does.
    fn through(heap: &HeapSnapshot, point: u32) -> Option<Chain> {
        let mut groups: HashMap<u32, (u64, u32)> = HashMap::new();
        let down_from = std::iter::once(point).chain(heap.tree.holders_of(point).take(2 * DEEP));
        for node in down_from.filter(|at| heap.kind(*at) == NodeKind::Object && !heap.is_context(*at)) {
            let group = groups.entry(heap.nodes.name(node)).or_insert((0, node));
            *group = (group.0 + 1, node);
        }
        let (name, (links, head)) = groups.into_iter().max_by_key(|(name, (links, _))| (*links, *name))?;
        if links < PILE {
            return None;
        }
        let mut inside = Marks::new(heap.nodes());
        let mut objects = 0;
        for node in heap.tree.reached() {
            let is_below = matches!(heap.tree.holder(node), Holder::Object(holder) if inside.has(holder));
            if node == head || is_below {
                inside.set(node);
                objects += u64::from(heap.kind(node) == NodeKind::Object && heap.nodes.name(node) == name);
            }
        }
        Some(Chain { head, objects })
    }

    fn entries(&self, heap: &HeapSnapshot) -> Entries {
        Entries {
            count: self.objects,
            class: heap.class(self.head),
            retained: heap.retained.of(self.head),
            example: None,
            keys: None,
        }
    }
}

/// By kind and name: how many, what they retain, one of them.
type Groups = HashMap<(NodeKind, u32), (u64, u64, u32)>;

/// What a node refers to as its content.
struct Entries {
    count: u64,
    class: String,
    retained: u64,
    example: Option<u32>,
    keys: Option<KeyReport>,
}

impl Entries {
    /// By constructor, the one that retains most; strings that are not the most are keys.
    fn of(heap: &HeapSnapshot, point: u32) -> Entries {
        let mut groups = Groups::new();
        let (mut keys, mut strings, mut properties) = (Keys::hiding(announces_secret), 0usize, 0usize);
        let content = |kind| matches!(kind, EdgeKind::Element | EdgeKind::Property | EdgeKind::Internal);
        for edge in heap.edges_of(point).filter(|edge| content(edge.kind)) {
            let kind = heap.kind(edge.to);
            if heap.tree.holder(edge.to) == Holder::Object(point) || kind == NodeKind::String {
                let by = if matches!(kind, NodeKind::Object | NodeKind::Native) {
                    heap.nodes.name(edge.to)
                } else {
                    0
                };
                let group = groups.entry((kind, by)).or_insert((0, 0, edge.to));
                group.0 += 1;
                group.1 += heap.retained.of(edge.to);
            }
            properties += usize::from(edge.kind == EdgeKind::Property);
            if edge.kind == EdgeKind::Property && properties <= KEYS {
                keys.push(&heap.strings.get(edge.name).unwrap_or_default());
            } else if matches!(kind, NodeKind::String | NodeKind::Concatenated) && strings < KEYS {
                strings += 1;
                keys.push(&heap.text(edge.to));
            }
        }
        if groups.values().all(|group| group.0 < PILE) {
            groups.extend(below_alone(heap, point));
        }
        let most = groups.iter().max_by_key(|(key, group)| (group.1, **key));
        let (count, retained, example) =
            most.map_or((0, 0, None), |(_, (n, bytes, at))| (*n, *bytes, Some(*at)));
        let has_keys = (strings.max(properties) as u64) >= count.min(KEYS as u64) / 2;
        Entries {
            count,
            class: example.map(|at| entry_name(heap, at)).unwrap_or_default(),
            retained,
            example,
            keys: Some(keys.finish()).filter(|report| report.keys >= PILE && has_keys),
        }
    }
}

/// What a node alone holds without a reference of its own, as the elements of a linked list.
fn below_alone(heap: &HeapSnapshot, point: u32) -> Groups {
    let mut groups = Groups::new();
    for node in 0..heap.nodes() {
        let kind = heap.kind(node);
        if kind == NodeKind::Object && heap.tree.holder(node) == Holder::Object(point) {
            let group = groups.entry((kind, heap.nodes.name(node))).or_insert((0, 0, node));
            group.0 += 1;
            group.1 += heap.retained.of(node);
        }
    }
    groups
}

fn entry_name(heap: &HeapSnapshot, node: u32) -> String {
    match heap.kind(node) {
        NodeKind::Closure => heap.label(node),
        _ => heap.class(node),
    }
}

/// What an entry keeps or calls that a person would look for.
fn detail(heap: &HeapSnapshot, entry: u32) -> Option<String> {
    if heap.kind(entry) == NodeKind::Closure {
        let kept = captured(heap, entry)?;
        return Some(format!("each function keeps its context alive; most by {kept}"));
    }
    if let Some(called) = heap.inner(entry, "_onTimeout").filter(|at| heap.kind(*at) == NodeKind::Closure) {
        let kept = captured(heap, called).map(|kept| format!(", which keeps most by {kept}"));
        return Some(format!("a timer calls {}{}", heap.label(called), kept.unwrap_or_default()));
    }
    let store = heap.inner(entry, "<symbol kResourceStore>")?;
    Some(format!("each keeps the store of an AsyncLocalStorage alive ({})", heap.class(store)))
}

/// What a function keeps that is large: the variable of its context, and what it is.
fn captured(heap: &HeapSnapshot, closure: u32) -> Option<String> {
    let context = heap.inner(closure, "context").filter(|context| heap.is_context(*context))?;
    let variables = heap.edges_of(context).filter(|edge| edge.kind == EdgeKind::Context);
    if let Some(largest) = variables.max_by_key(|edge| heap.retained.of(edge.to)) {
        return Some(format!("variable {} ({})", heap.edge_name(&largest), heap.class(largest.to)));
    }
    // Of a function that was not compiled yet the engine tells no names.
    let slots = heap.edges_of(context).filter(|edge| edge.kind == EdgeKind::Hidden);
    let largest = slots.max_by_key(|edge| heap.retained.of(edge.to))?;
    Some(format!("a variable without a name in the snapshot ({})", heap.class(largest.to)))
}
