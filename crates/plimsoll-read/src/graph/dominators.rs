//! Dominators and retained sizes: what would be freed if one object were gone.
//!
//! An object's dominator is the last one through which every path from the roots must pass; its retained size is what
//! it dominates. Semi-NCA (Georgiadis, Tarjan, Werneck, "Finding Dominators in Practice", 2006): a depth-first
//! search, semidominators by path compression, then the nearest common ancestor of parent and semidominator. Only
//! references outside the search tree matter for the semidominators, and only the smallest value on a
//! compressed path, not where it was found. Preorder number 0 is the virtual root above all roots.
#![expect(
    clippy::indexing_slicing,
    reason = "preorder numbers are dense and made here; this is the hot path"
)]

use std::borrow::Borrow;

use super::edges::{Cursor, Edges};
use super::{GraphError, NONE, Node, Phase, Watch, tell};

/// Who dominates whom, and what each keeps alive.
#[derive(Debug)]
pub struct Dominators {
    /// Preorder number by object; 0 for what no root reaches.
    number: Vec<u32>,
    /// Object by preorder number; [`NONE`] for the virtual root.
    object: Vec<Node>,
    /// Dominator by preorder number, as a preorder number: always the smaller of the two.
    idom: Vec<u32>,
    /// Bytes kept alive, by preorder number.
    retained: Vec<u64>,
}

/// The search tree, in preorder numbers.
struct Tree {
    number: Vec<u32>,
    parent: Vec<u32>,
}

/// Finds dominators from `roots` (repetitions are fine) and adds up `shallow` sizes, bytes.
///
/// Edges that are handed over are freed on the way, lent ones stay.
pub fn dominators(
    edges: impl Borrow<Edges>,
    roots: &[Node],
    shallow: impl Fn(Node) -> u64,
    watch: &Watch<'_>,
) -> Result<Dominators, GraphError> {
    let mut tree = search(edges.borrow(), roots, watch)?;
    let inbound = Inbound::of(edges.borrow(), &tree, watch)?;
    drop(edges);
    let idom = semi_nca(&mut tree, inbound, watch)?;
    let reached = idom.len();
    let mut object = vec![NONE; reached];
    for (node, number) in tree.number.iter().enumerate().filter(|(_, n)| **n != 0) {
        object[*number as usize] = node as Node;
    }
    let mut retained = vec![0u64; reached];
    for i in (1..reached).rev() {
        tell(watch, Phase::Retained, reached - i, reached)?;
        retained[i] = retained[i].saturating_add(shallow(object[i]));
        let above = idom[i] as usize;
        retained[above] = retained[above].saturating_add(retained[i]);
    }
    Ok(Dominators { number: tree.number, object, idom, retained })
}

/// Depth first from the virtual root. A root's parent is the virtual root, whoever else refers to it.
fn search(edges: &Edges, roots: &[Node], watch: &Watch<'_>) -> Result<Tree, GraphError> {
    let nodes = edges.nodes();
    if let Some(wrong) = roots.iter().find(|r| **r >= nodes) {
        return Err(GraphError::NoNode(*wrong));
    }
    let mut tree = Tree { number: vec![0; nodes as usize], parent: vec![0] };
    // Roots look visited until their turn comes: what refers to one does not matter, it is reached anyway.
    roots.iter().for_each(|r| tree.number[*r as usize] = NONE);
    let mut stack: Vec<(Cursor, u32)> = Vec::new();
    for root in roots {
        if tree.number[*root as usize] != NONE {
            continue;
        }
        let number = tree.enter(*root, 0);
        stack.push((edges.of(*root).cursor(), number));
        while let Some((cursor, from)) = stack.pop() {
            let mut targets = edges.resume(cursor);
            while let Some(target) = targets.next() {
                if tree.number[target as usize] != 0 {
                    continue;
                }
                // What has no reference left is not come back to: a list takes no stack.
                if targets.len() > 0 {
                    stack.push((targets.cursor(), from));
                }
                let number = tree.enter(target, from);
                tell(watch, Phase::Reach, number as usize, nodes as usize)?;
                stack.push((edges.of(target).cursor(), number));
                break;
            }
        }
    }
    Ok(tree)
}

impl Tree {
    fn enter(&mut self, node: Node, parent: u32) -> u32 {
        let number = self.parent.len() as u32;
        self.number[node as usize] = number;
        self.parent.push(parent);
        number
    }
}

/// References outside the tree, turned around: who refers to whom, in preorder numbers.
struct Inbound {
    /// End of each object's part; its begin is the end of the one before.
    ends: Vec<u32>,
    from: Vec<u32>,
}

impl Inbound {
    fn of(edges: &Edges, tree: &Tree, watch: &Watch<'_>) -> Result<Inbound, GraphError> {
        let nodes = edges.nodes() as usize;
        let mut ends = vec![0u32; tree.parent.len() + 1];
        each_side_edge(
            edges,
            tree,
            |_, to| ends[to as usize + 1] += 1,
            |n| tell(watch, Phase::Inbound, n, 2 * nodes),
        )?;
        let mut sum = 0u64;
        for end in &mut ends {
            sum += u64::from(*end);
            *end = u32::try_from(sum).map_err(|_| GraphError::TooMany(sum))?;
        }
        let mut from = vec![0u32; sum as usize];
        // `ends[i]` is the begin of i's part now and its end when all are in.
        each_side_edge(
            edges,
            tree,
            |source, to| {
                let at = &mut ends[to as usize];
                from[*at as usize] = source;
                *at += 1;
            },
            |n| tell(watch, Phase::Inbound, nodes + n, 2 * nodes),
        )?;
        Ok(Inbound { ends, from })
    }

    fn to(&self, number: usize) -> &[u32] {
        &self.from[self.ends[number - 1] as usize..self.ends[number] as usize]
    }
}

/// Every reference between reached objects that is not the tree's and does not lead to a root.
fn each_side_edge(
    edges: &Edges,
    tree: &Tree,
    mut f: impl FnMut(u32, u32),
    mut told: impl FnMut(usize) -> Result<(), GraphError>,
) -> Result<(), GraphError> {
    edges.each(|node, targets| {
        told(node as usize)?;
        let source = tree.number[node as usize];
        if source == 0 {
            return Ok(());
        }
        for target in targets {
            let to = tree.number[target as usize];
            let parent = tree.parent[to as usize];
            // A root has the virtual root as its only way in that counts.
            if parent != source && parent != 0 {
                f(source, to);
            }
        }
        Ok(())
    })
}

/// Immediate dominators by preorder number.
fn semi_nca(tree: &mut Tree, inbound: Inbound, watch: &Watch<'_>) -> Result<Vec<u32>, GraphError> {
    let mut idom = std::mem::take(&mut tree.parent);
    let reached = idom.len();
    let mut ancestor = idom.clone();
    let mut least = vec![0u32; reached];
    let mut semi = vec![0u32; reached];
    let mut path = Vec::new();
    for i in (1..reached).rev() {
        tell(watch, Phase::Dominators, reached - i, reached)?;
        let linked = i as u32 + 1;
        let mut best = idom[i];
        for v in inbound.to(i) {
            let value =
                if *v < linked { *v } else { compress(&mut ancestor, &mut least, *v, linked, &mut path) };
            best = best.min(value);
        }
        semi[i] = best;
        least[i] = best;
    }
    drop((inbound, ancestor, least));
    for i in 1..reached {
        let mut above = idom[i];
        while above > semi[i] {
            above = idom[above as usize];
        }
        idom[i] = above;
    }
    Ok(idom)
}

/// The smallest semidominator from `v` up to the linked forest's root, with the path to it shortened.
#[inline]
fn compress(ancestor: &mut [u32], least: &mut [u32], v: u32, linked: u32, path: &mut Vec<u32>) -> u32 {
    let mut at = v;
    let mut above = ancestor[at as usize];
    if above >= linked {
        while above >= linked {
            path.push(at);
            at = above;
            above = ancestor[at as usize];
        }
        let mut smallest = least[at as usize];
        while let Some(below) = path.pop() {
            let own = &mut least[below as usize];
            smallest = smallest.min(*own);
            *own = smallest;
            ancestor[below as usize] = above;
        }
    }
    least[v as usize]
}

impl Dominators {
    /// True when a root reaches the object.
    pub fn is_reachable(&self, node: Node) -> bool {
        self.number.get(node as usize).is_some_and(|n| *n != 0)
    }

    /// Objects that a root reaches.
    pub fn reached(&self) -> u32 {
        (self.object.len() - 1) as u32
    }

    /// Bytes of all that is reached.
    pub fn total(&self) -> u64 {
        self.retained[0]
    }

    /// Bytes that would be freed with the object, its own among them; 0 for what is not reached.
    pub fn retained(&self, node: Node) -> u64 {
        self.number_of(node).map_or(0, |n| self.retained[n])
    }

    /// The immediate dominator; `None` for what only the roots together hold, and for what is not reached.
    pub fn of(&self, node: Node) -> Option<Node> {
        let above = self.idom[self.number_of(node)?];
        (above != 0).then(|| self.object[above as usize])
    }

    /// Preorder number of a reached object.
    pub(super) fn number_of(&self, node: Node) -> Option<usize> {
        self.number.get(node as usize).copied().filter(|n| *n != 0).map(|n| n as usize)
    }

    /// Object of each preorder number; the virtual root is none.
    pub(super) fn objects(&self) -> &[Node] {
        &self.object
    }

    /// Dominator of each preorder number, itself a preorder number.
    pub(super) fn idoms(&self) -> &[u32] {
        &self.idom
    }

    /// What an object (or, with `None`, no single object) immediately dominates, the largest retained size first,
    /// at most `most` of them. One pass over all objects.
    pub fn children(&self, node: Option<Node>, most: usize) -> Vec<Node> {
        let above = match node {
            None => 0,
            Some(node) => match self.number_of(node) {
                None => return Vec::new(),
                Some(n) => n as u32,
            },
        };
        let mut found: Vec<u32> = Vec::new();
        let larger =
            |a: &u32, b: &u32| (self.retained[*b as usize], *a).cmp(&(self.retained[*a as usize], *b));
        // The dominated come behind their dominator in preorder.
        for i in above as usize + 1..self.idom.len() {
            if self.idom[i] == above {
                found.push(i as u32);
                // Kept small where a root has millions of children.
                if found.len() >= 2 * most.max(1024) {
                    found.select_nth_unstable_by(most, larger);
                    found.truncate(most);
                }
            }
        }
        found.sort_unstable_by(larger);
        found.truncate(most);
        found.into_iter().map(|i| self.object[i as usize]).collect()
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        4 * (self.number.capacity() + self.object.capacity() + self.idom.capacity())
            + 8 * self.retained.capacity()
    }

    #[cfg(test)]
    pub(super) fn with_idom(mut self, node: Node, above: Node) -> Dominators {
        let (at, above) = (self.number_of(node).unwrap(), self.number_of(above).unwrap());
        self.idom[at] = above as u32;
        self
    }
}
