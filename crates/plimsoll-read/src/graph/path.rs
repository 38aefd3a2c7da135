//! The shortest way from a root to an object.
#![expect(clippy::indexing_slicing, reason = "numbers come from the graph itself")]

use super::edges::Edges;
use super::{NONE, Node};

/// The objects from a root to `to`, both included; `None` when no root reaches it. `skip` leaves out references
/// that hold nothing, such as those of weak references.
pub fn shortest(
    edges: &Edges,
    roots: &[Node],
    to: Node,
    skip: impl Fn(Node, Node) -> bool,
) -> Option<Vec<Node>> {
    let nodes = edges.nodes() as usize;
    // Who was reached from whom; a root from itself.
    let mut before = vec![NONE; nodes];
    let mut layer: Vec<Node> = Vec::new();
    for root in roots.iter().filter(|r| (**r as usize) < nodes) {
        if before[*root as usize] == NONE {
            before[*root as usize] = *root;
            layer.push(*root);
        }
    }
    while !layer.is_empty() && before.get(to as usize).is_some_and(|b| *b == NONE) {
        let mut next = Vec::new();
        for node in layer {
            for target in edges.of(node) {
                if before[target as usize] == NONE && !skip(node, target) {
                    before[target as usize] = node;
                    next.push(target);
                }
            }
        }
        layer = next;
    }
    let mut way = vec![to];
    let mut at = to;
    loop {
        let from = before.get(at as usize).copied().filter(|b| *b != NONE)?;
        if from == at {
            way.reverse();
            return Some(way);
        }
        way.push(from);
        at = from;
    }
}
