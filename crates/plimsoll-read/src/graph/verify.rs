//! A certificate for a dominator tree, by other means than those that made it.
//!
//! A tree is the dominator tree exactly when it has two properties (Georgiadis and Tarjan, "Dominator tree
//! certification and divergent spanning trees", 2015). *Parent*: whoever refers to an object lies below that object's
//! dominator, so every claimed dominator is one. *Sibling*: no child of a dominator dominates another, so none was
//! missed. The first is one look at every reference. For the second, references are drawn together to the children of
//! one dominator that they lead between, and the iterative method (Cooper, Harvey, Kennedy) must find
//! each of these small graphs flat.
#![expect(clippy::indexing_slicing, reason = "preorder numbers are dense and checked where they come in")]

use super::dominators::Dominators;
use super::edges::Edges;
use super::{GraphError, Node};

/// What is wrong with a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The tree and the graph are of different objects.
    #[error("the tree is not of this graph")]
    Foreign,
    /// Reached by the graph and not by the tree, or the other way round.
    #[error("object {0} is reachable in one of tree and graph only")]
    Reach(Node),
    /// A claimed dominator that can be gone around.
    #[error("object {from} refers to object {to} past its claimed dominator")]
    NotDominating {
        /// Who refers.
        from: Node,
        /// To whom.
        to: Node,
    },
    /// A dominator that was missed.
    #[error("object {0} has a nearer dominator than claimed")]
    Missed(Node),
}

/// Checks the tree against the graph; linear in memory, near linear in time.
pub fn verify(edges: &Edges, roots: &[Node], tree: &Dominators) -> Result<(), Flaw> {
    reach(edges, roots, tree)?;
    let shape = Shape::of(tree.idoms());
    let numbers = Numbers::of(tree);
    for root in roots {
        let number = tree.number_of(*root).ok_or(Flaw::Reach(*root))?;
        if tree.idoms()[number] != 0 {
            return Err(Flaw::NotDominating { from: *root, to: *root });
        }
    }
    let side = parents(edges, tree, &shape, &numbers)?;
    siblings(roots, tree, &shape, &numbers, side)
}

/// What the roots reach, found anew.
fn reach(edges: &Edges, roots: &[Node], tree: &Dominators) -> Result<(), Flaw> {
    let mut seen = vec![false; edges.nodes() as usize];
    let mut stack = Vec::new();
    for root in roots {
        let seen = seen.get_mut(*root as usize).ok_or(Flaw::Foreign)?;
        if !std::mem::replace(seen, true) {
            stack.push(*root);
        }
    }
    while let Some(node) = stack.pop() {
        for target in edges.of(node) {
            if !std::mem::replace(&mut seen[target as usize], true) {
                stack.push(target);
            }
        }
    }
    let wrong = seen.iter().enumerate().find(|(n, seen)| **seen != tree.is_reachable(*n as Node));
    wrong.map_or(Ok(()), |(n, _)| Err(Flaw::Reach(n as Node)))
}

/// Objects by preorder number.
struct Numbers(Vec<Node>);

impl Numbers {
    fn of(tree: &Dominators) -> Numbers {
        Numbers(tree.objects().to_vec())
    }
}

/// The tree's own preorder: an ancestor's interval holds its descendants'.
struct Shape {
    begin: Vec<u32>,
    size: Vec<u32>,
    /// Children by dominator, in order of their intervals.
    first_child: Vec<u32>,
    child: Vec<u32>,
}

impl Shape {
    fn of(idom: &[u32]) -> Shape {
        let n = idom.len();
        let mut size = vec![1u32; n];
        let mut first_child = vec![0u32; n + 1];
        for i in (1..n).rev() {
            size[idom[i] as usize] += size[i];
            first_child[idom[i] as usize + 1] += 1;
        }
        for i in 0..n {
            first_child[i + 1] += first_child[i];
        }
        let mut at = first_child.clone();
        let mut child = vec![0u32; n.saturating_sub(1)];
        let (mut begin, mut next) = (vec![0u32; n], vec![1u32; n]);
        for i in 1..n {
            let above = idom[i] as usize;
            begin[i] = next[above];
            next[above] += size[i];
            next[i] = begin[i] + 1;
            child[at[above] as usize] = i as u32;
            at[above] += 1;
        }
        Shape { begin, size, first_child, child }
    }

    fn is_above(&self, a: u32, b: u32) -> bool {
        let (a, b) = (a as usize, b as usize);
        (self.begin[a]..self.begin[a] + self.size[a]).contains(&self.begin[b])
    }

    fn children(&self, of: u32) -> &[u32] {
        &self.child[self.first_child[of as usize] as usize..self.first_child[of as usize + 1] as usize]
    }

    /// The child of `above` that lies above `below` or is it.
    fn child_towards(&self, above: u32, below: u32) -> u32 {
        let children = self.children(above);
        let place = self.begin[below as usize];
        children[children.partition_point(|c| self.begin[*c as usize] <= place) - 1]
    }
}

/// A reference drawn together: from one child of a dominator, or the dominator itself, to another child.
struct Drawn {
    above: u32,
    from: u32,
    to: u32,
}

/// Checks the parent property; gives the references that the sibling property asks about.
fn parents(edges: &Edges, tree: &Dominators, shape: &Shape, numbers: &Numbers) -> Result<Vec<Drawn>, Flaw> {
    let mut drawn = Vec::new();
    let mut flaw = None;
    let looked = edges.each(|node, targets| {
        let Some(from) = tree.number_of(node) else { return Ok(()) };
        for target in targets {
            let Some(to) = tree.number_of(target) else { continue };
            let above = tree.idoms()[to];
            let from = from as u32;
            if !shape.is_above(above, from) {
                flaw = Some(Flaw::NotDominating { from: node, to: numbers.0[to] });
                return Err(GraphError::Stopped);
            }
            let from = if from == above { above } else { shape.child_towards(above, from) };
            if from != to as u32 {
                drawn.push(Drawn { above, from, to: to as u32 });
            }
        }
        Ok(())
    });
    match (flaw, looked) {
        (Some(flaw), _) => Err(flaw),
        (None, _) => Ok(drawn),
    }
}

/// Checks the sibling property, one dominator's children at a time.
fn siblings(
    roots: &[Node],
    tree: &Dominators,
    shape: &Shape,
    numbers: &Numbers,
    mut drawn: Vec<Drawn>,
) -> Result<(), Flaw> {
    drawn.extend(roots.iter().filter_map(|r| {
        let to = tree.number_of(*r)? as u32;
        Some(Drawn { above: 0, from: 0, to })
    }));
    drawn.sort_unstable_by_key(|d| (d.above, d.to, d.from));
    let mut rest = drawn.as_slice();
    for above in 0..shape.size.len() as u32 {
        let children = shape.children(above);
        let here = rest.partition_point(|d| d.above == above);
        let (own, behind) = rest.split_at(here);
        rest = behind;
        if let Some(missed) = Flat::of(above, children, own).missed() {
            return Err(Flaw::Missed(numbers.0[missed as usize]));
        }
    }
    Ok(())
}

/// One dominator, its children, and who leads to whom among them. Local number 0 is the dominator.
struct Flat<'a> {
    children: &'a [u32],
    /// From and to, by local number, in order of `to`.
    ways: Vec<(u32, u32)>,
}

impl<'a> Flat<'a> {
    fn of(above: u32, children: &'a [u32], drawn: &[Drawn]) -> Flat<'a> {
        let local = |n: u32| {
            if n == above { 0 } else { children.partition_point(|c| *c < n) as u32 + 1 }
        };
        // Children are listed in order of preorder number as well.
        let mut ways: Vec<(u32, u32)> = drawn.iter().map(|d| (local(d.from), local(d.to))).collect();
        ways.dedup();
        Flat { children, ways }
    }

    /// A child that another child dominates, or that nothing leads to.
    fn missed(&self) -> Option<u32> {
        let n = self.children.len() + 1;
        let mut direct = vec![false; n];
        self.ways.iter().filter(|w| w.0 == 0).for_each(|w| direct[w.1 as usize] = true);
        if direct.iter().skip(1).all(|d| *d) {
            return None;
        }
        let order = self.reverse_postorder(n);
        let mut place = vec![u32::MAX; n];
        order.iter().enumerate().for_each(|(i, v)| place[*v as usize] = i as u32);
        let idom = self.iterate(&order, &place, n);
        (1..n).find(|v| idom[*v] != Some(0)).map(|v| self.children[v - 1])
    }

    fn into(&self, v: u32) -> impl Iterator<Item = u32> {
        let from = self.ways.partition_point(|w| w.1 < v);
        self.ways[from..].iter().take_while(move |w| w.1 == v).map(|w| w.0)
    }

    fn reverse_postorder(&self, n: usize) -> Vec<u32> {
        let mut out = self.ways.clone();
        out.sort_unstable();
        let begin = |v: u32| out.partition_point(|w| w.0 < v);
        let (mut seen, mut order) = (vec![false; n], Vec::with_capacity(n));
        let mut stack = vec![(0u32, begin(0))];
        seen[0] = true;
        while let Some((v, at)) = stack.last_mut() {
            match out.get(*at).filter(|w| w.0 == *v) {
                Some((_, to)) => {
                    *at += 1;
                    if !std::mem::replace(&mut seen[*to as usize], true) {
                        stack.push((*to, begin(*to)));
                    }
                }
                None => {
                    order.push(*v);
                    stack.pop();
                }
            }
        }
        order.reverse();
        order
    }

    /// Cooper, Harvey, Kennedy: the nearest common dominator of all that lead to an object, until nothing changes.
    fn iterate(&self, order: &[u32], place: &[u32], n: usize) -> Vec<Option<u32>> {
        let mut idom: Vec<Option<u32>> = vec![None; n];
        idom[0] = Some(0);
        let mut changed = true;
        while changed {
            changed = false;
            for v in order.iter().skip(1) {
                let known = self.into(*v).filter(|p| idom[*p as usize].is_some());
                let new = known.reduce(|a, b| common(&idom, place, a, b));
                if new.is_some() && new != idom[*v as usize] {
                    idom[*v as usize] = new;
                    changed = true;
                }
            }
        }
        idom
    }
}

fn common(idom: &[Option<u32>], place: &[u32], mut a: u32, mut b: u32) -> u32 {
    while a != b {
        while place[a as usize] > place[b as usize] {
            a = idom[a as usize].unwrap_or(0);
        }
        while place[b as usize] > place[a as usize] {
            b = idom[b as usize].unwrap_or(0);
        }
    }
    a
}
