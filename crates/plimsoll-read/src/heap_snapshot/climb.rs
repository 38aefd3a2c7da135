//! The way from a root down to a node, as a person would tell it.

use std::collections::VecDeque;

use super::table::{Edge, EdgeKind};
use super::{HeapSnapshot, NodeKind, holds};

/// Mark of a node that no way leads to.
const NONE: u32 = u32::MAX;
/// Steps shown at each end of a long way.
const ENDS: usize = 6;

/// One node on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How the step above refers to it.
    pub via: String,
    /// What it is.
    pub label: String,
}

/// The shortest ways from the root, those through compiled code and the stack last: they say less.
pub(super) struct Ways {
    above: Vec<u32>,
}

impl Ways {
    pub(super) fn of(heap: &HeapSnapshot) -> Ways {
        let mut above = vec![NONE; heap.nodes() as usize];
        let (mut near, mut far) = (VecDeque::from([0]), VecDeque::new());
        if let Some(root) = above.first_mut() {
            *root = 0;
        }
        while let Some(node) = near.pop_front().or_else(|| far.pop_front()) {
            for edge in heap.edges_of(node).filter(|e| holds(&heap.nodes, &heap.strings, node, e)) {
                let Some(slot) = above.get_mut(edge.to as usize).filter(|slot| **slot == NONE) else {
                    continue;
                };
                *slot = node;
                if says_little(heap, edge.to) { far.push_back(edge.to) } else { near.push_back(edge.to) }
            }
        }
        Ways { above }
    }

    /// The nodes from the root down to `node`.
    pub(super) fn down_to(&self, node: u32) -> Vec<u32> {
        let mut way = vec![node];
        let mut at = node;
        while let Some(above) = self.above.get(at as usize).copied().filter(|a| *a != NONE && at != 0) {
            way.push(above);
            at = above;
        }
        way.reverse();
        way
    }
}

fn says_little(heap: &HeapSnapshot, node: u32) -> bool {
    match heap.kind(node) {
        NodeKind::Code | NodeKind::Hidden | NodeKind::Shape => true,
        NodeKind::Synthetic => heap.name(node).is_some_and(|name| name == "(Stack roots)"),
        _ => false,
    }
}

/// How one node refers to another, by the reference that says most.
fn between(heap: &HeapSnapshot, from: u32, to: u32) -> Option<Edge> {
    let rank = |edge: &Edge| match edge.kind {
        EdgeKind::Property | EdgeKind::Context => 0,
        EdgeKind::Element => 1,
        EdgeKind::Internal => 2,
        _ => 3,
    };
    let all = heap.edges_of(from).filter(|edge| edge.to == to);
    all.filter(|edge| holds(&heap.nodes, &heap.strings, from, edge)).min_by_key(rank)
}

/// The way in words: engine's own steps left out, runs of the same folded.
pub(super) fn told(heap: &HeapSnapshot, way: &[u32]) -> Vec<Step> {
    let contexts: Vec<u32> = way.iter().copied().filter(|node| heap.is_context(*node)).take(64).collect();
    let functions = heap.functions_of(&contexts);
    let mut steps: Vec<Step> = Vec::new();
    let mut from = None;
    for &node in way.iter().filter(|node| **node != 0) {
        let via = from.and_then(|from| between(heap, from, node));
        let label = match functions.get(&node).map(Vec::as_slice) {
            Some([first, ..]) => format!("context shared by {}", heap.label(*first)),
            _ => heap.label(node),
        };
        let via = via.filter(|edge| edge.kind != EdgeKind::Hidden).map(|edge| heap.edge_name(&edge));
        from = Some(node);
        steps.push(Step { via: via.unwrap_or_default(), label });
    }
    shortened(steps)
}

/// The two ends of a way, and how much lies between.
fn shortened(steps: Vec<Step>) -> Vec<Step> {
    if steps.len() <= 2 * ENDS + 1 {
        return steps;
    }
    let between = steps.len() - 2 * ENDS;
    let mut tail = steps;
    let rest = tail.split_off(ENDS);
    let label = format!("… {between} more steps …");
    tail.push(Step { via: String::new(), label });
    tail.extend(rest.into_iter().skip(between));
    tail
}

/// `global .cache → Map .table → (storage)`.
pub(super) fn text(steps: &[Step]) -> String {
    let mut line = String::new();
    for step in steps {
        if !line.is_empty() {
            line.push_str(if step.via.starts_with('[') || step.via.is_empty() { " " } else { " ." });
            line.push_str(&step.via);
            line.push_str(if step.via.is_empty() { "→ " } else { " → " });
        }
        line.push_str(&step.label);
    }
    line
}
