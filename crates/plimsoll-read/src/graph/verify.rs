//! A check of a dominator tree that shares no code with what made it.
//!
//! [`verify`] proves a whole tree in two independent ways. First, for every reference from `a` to `b`, the
//! holder of `b` must hold `a` or be `a`: by induction along any path from a root, every holder claimed then
//! truly holds. This is linear and needs no algorithm. Second, no nearer holder may exist: semidominators are
//! found again, by the textbook, on a walk in another order, and each holder must be the nearest common
//! ancestor, in the tree under test, of the object's walk parent and semidominator.
//!
//! [`verify_by_removal`] checks one holder by the definition: without it, exactly what it is said to hold is
//! no longer reached.

use thiserror::Error;

use super::GraphError;
use super::dominators::{Dominators, Holder};
use super::edges::Graph;
use super::watch::{Phase, Watch, check};

/// What is wrong with a dominator tree, or why it could not be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Flaw {
    /// The tree is not one of this graph: other objects, no order, or an object twice.
    #[error("not a tree of this graph: object {object} is out of order")]
    NoTree {
        /// Where it shows.
        object: u32,
    },
    /// An object is said to be reached and is not, or the other way round.
    #[error("object {object} is wrongly said to be reached, or not to be")]
    WrongReach {
        /// The object.
        object: u32,
    },
    /// An object can be reached without its holder.
    #[error("object {target} can be reached without passing its holder")]
    Bypassed {
        /// The object.
        target: u32,
        /// Who refers to it from outside its holder, where one reference shows it.
        from: Option<u32>,
    },
    /// Another object holds this one, nearer than the holder named.
    #[error("object {object} has a nearer holder than the one named")]
    NearerHolder {
        /// The object.
        object: u32,
    },
    /// The check could not be made.
    #[error("failed to check the tree")]
    Unchecked(#[source] GraphError),
}

impl From<GraphError> for Flaw {
    fn from(error: GraphError) -> Self {
        Self::Unchecked(error)
    }
}

/// Number 0 is the root of roots everywhere below.
const TOP: u32 = 0;
/// An object the walk has not met.
const UNMET: u32 = u32::MAX;
/// Work between two looks at the watch.
const PATIENCE: u64 = 1 << 16;

/// Checks every claim of a tree. Takes about 30 bytes an object.
///
/// # Errors
/// The first [`Flaw`] found.
pub fn verify(graph: &Graph, roots: &[u32], tree: &Dominators, watch: &dyn Watch) -> Result<(), Flaw> {
    if tree.objects() != graph.objects() {
        return Err(Flaw::NoTree { object: tree.objects().min(graph.objects()) });
    }
    if let Some(&index) = roots.iter().find(|&&root| root >= graph.objects()) {
        return Err(GraphError::NoSuchObject { index, objects: graph.objects() }.into());
    }
    let spans = Spans::new(tree)?;
    let walk = Walked::new(graph, roots);
    for object in 0..graph.objects() {
        if tree.is_reached(object) != (at(&walk.numbers, object) != UNMET) {
            return Err(Flaw::WrongReach { object });
        }
    }
    holders_hold(graph, roots, tree, &spans, watch)?;
    drop(spans);
    none_is_nearer(graph, roots, tree, &walk, watch)
}

#[inline]
fn at(table: &[u32], index: u32) -> u32 {
    table.get(index as usize).copied().unwrap_or(UNMET)
}

#[inline]
fn put(table: &mut [u32], index: u32, value: u32) {
    if let Some(slot) = table.get_mut(index as usize) {
        *slot = value;
    }
}

/// For each object a stretch of numbers that holds those of everything below it in the tree.
struct Spans {
    first: Vec<u32>,
    /// One past the last.
    end: Vec<u32>,
}

impl Spans {
    /// Also proves that the order is one of a tree: every object once, its holder before it.
    fn new(tree: &Dominators) -> Result<Self, Flaw> {
        let objects = tree.objects() as usize;
        let (mut first, mut end) = (vec![UNMET; objects], vec![0; objects]);
        let mut below = vec![1; objects];
        for object in tree.reached() {
            let known = at(&first, object) == UNMET && (object as usize) < objects;
            let held = match tree.holder(object) {
                Holder::Object(holder) => holder != object && at(&first, holder) != UNMET,
                Holder::Roots => true,
                Holder::Nothing => false,
            };
            if !known || !held {
                return Err(Flaw::NoTree { object });
            }
            put(&mut first, object, 0);
        }
        for object in tree.reached().rev() {
            if let Holder::Object(holder) = tree.holder(object) {
                let sum = at(&below, holder) + at(&below, object);
                put(&mut below, holder, sum);
            }
        }
        // `end` of a holder is, while its own are placed, where the next of them goes.
        let mut next = 1;
        for object in tree.reached() {
            let size = at(&below, object);
            let start = match tree.holder(object) {
                Holder::Object(holder) => {
                    let start = at(&end, holder);
                    put(&mut end, holder, start + size);
                    start
                }
                Holder::Roots | Holder::Nothing => {
                    next += size;
                    next - size
                }
            };
            put(&mut first, object, start);
            put(&mut end, object, start + 1);
        }
        Ok(Self { first, end })
    }

    /// Whether `above` is `object` or holds it, directly or not.
    #[inline]
    fn covers(&self, above: u32, object: u32) -> bool {
        (at(&self.first, above)..at(&self.end, above)).contains(&at(&self.first, object))
    }
}

/// Every reference into an object comes from its holder or from under it.
fn holders_hold(
    graph: &Graph,
    roots: &[u32],
    tree: &Dominators,
    spans: &Spans,
    watch: &dyn Watch,
) -> Result<(), Flaw> {
    if let Some(&target) = roots.iter().find(|&&root| tree.holder(root) != Holder::Roots) {
        return Err(Flaw::Bypassed { target, from: None });
    }
    let total = u64::from(tree.objects());
    for (done, source) in (0u64..).zip(tree.reached()) {
        if done.is_multiple_of(PATIENCE) {
            check(watch, Phase::Verify, done / 2, total)?;
        }
        for target in graph.targets(source) {
            if let Holder::Object(holder) = tree.holder(target)
                && !spans.covers(holder, source)
            {
                return Err(Flaw::Bypassed { target, from: Some(source) });
            }
        }
    }
    Ok(())
}

/// A depth-first walk of its own, targets from last to first.
struct Walked {
    /// By object.
    numbers: Vec<u32>,
    /// By number.
    objects: Vec<u32>,
    parents: Vec<u32>,
}

impl Walked {
    fn new(graph: &Graph, roots: &[u32]) -> Self {
        let mut numbers = vec![UNMET; graph.objects() as usize];
        let (mut objects, mut parents) = (vec![UNMET], vec![TOP]);
        let mut stack: Vec<(u32, u32)> = roots.iter().map(|&root| (root, TOP)).collect();
        while let Some((object, parent)) = stack.pop() {
            if at(&numbers, object) != UNMET {
                continue;
            }
            let number = objects.len() as u32;
            put(&mut numbers, object, number);
            objects.push(object);
            parents.push(parent);
            stack
                .extend(graph.targets(object).filter(|&to| at(&numbers, to) == UNMET).map(|to| (to, number)));
        }
        Self { numbers, objects, parents }
    }
}

/// Who refers to each number, as numbers.
struct Referrers {
    starts: Vec<u32>,
    sources: Vec<u32>,
}

impl Referrers {
    fn new(graph: &Graph, roots: &[u32], walk: &Walked) -> Self {
        let references = || {
            let from_roots = roots.iter().map(|&root| (TOP, root));
            let objects = (1u32..).zip(walk.objects.iter().skip(1));
            from_roots.chain(objects.flat_map(|(n, &object)| graph.targets(object).map(move |to| (n, to))))
        };
        let mut starts = vec![0u32; walk.objects.len() + 1];
        for (_, target) in references() {
            let slot = at(&walk.numbers, target) + 1;
            let count = at(&starts, slot) + 1;
            put(&mut starts, slot, count);
        }
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let mut sources = vec![TOP; total as usize];
        for (source, target) in references() {
            let number = at(&walk.numbers, target);
            let slot = at(&starts, number);
            put(&mut sources, slot, source);
            put(&mut starts, number, slot + 1);
        }
        Self { starts, sources }
    }

    /// The sources of a number from 1 up: its start has moved to its end.
    fn of(&self, number: u32) -> &[u32] {
        let (from, to) = (at(&self.starts, number - 1), at(&self.starts, number));
        self.sources.get(from as usize..to as usize).unwrap_or_default()
    }
}

/// The forest of the textbook: `best` is the vertex of smallest semidominator between a vertex and its
/// ancestor in the forest.
struct Forest {
    ancestors: Vec<u32>,
    best: Vec<u32>,
    semis: Vec<u32>,
    path: Vec<u32>,
}

impl Forest {
    /// The vertex of smallest semidominator above `vertex`, itself included, below its tree's root.
    fn best_above(&mut self, vertex: u32) -> u32 {
        let mut top = vertex;
        while at(&self.ancestors, top) != UNMET {
            self.path.push(top);
            top = at(&self.ancestors, top);
        }
        // The last one pushed hangs from the tree's root: nothing above it counts.
        let mut above = self.path.pop();
        while let (Some(upper), Some(lower)) = (above, self.path.pop()) {
            let (best_upper, best_lower) = (at(&self.best, upper), at(&self.best, lower));
            if at(&self.semis, best_upper) < at(&self.semis, best_lower) {
                put(&mut self.best, lower, best_upper);
            }
            put(&mut self.ancestors, lower, top);
            above = Some(lower);
        }
        at(&self.best, vertex)
    }
}

/// No object has a holder nearer than the one named.
fn none_is_nearer(
    graph: &Graph,
    roots: &[u32],
    tree: &Dominators,
    walk: &Walked,
    watch: &dyn Watch,
) -> Result<(), Flaw> {
    let referrers = Referrers::new(graph, roots, walk);
    let count = walk.objects.len() as u32;
    let mut forest = Forest {
        ancestors: vec![UNMET; count as usize],
        best: (0..count).collect(),
        semis: (0..count).collect(),
        path: Vec::new(),
    };
    for number in (1..count).rev() {
        if u64::from(number).is_multiple_of(PATIENCE) {
            check(watch, Phase::Verify, u64::from(count - number / 2), u64::from(count))?;
        }
        for &source in referrers.of(number) {
            let through = forest.best_above(source);
            let semi = at(&forest.semis, through).min(at(&forest.semis, number));
            put(&mut forest.semis, number, semi);
        }
        put(&mut forest.ancestors, number, at(&walk.parents, number));
    }
    drop(referrers);
    nearest_common(tree, walk, &forest.semis, watch)
}

/// Each holder is the nearest common ancestor of walk parent and semidominator in the tree under test.
fn nearest_common(tree: &Dominators, walk: &Walked, semis: &[u32], watch: &dyn Watch) -> Result<(), Flaw> {
    let holder = |number: u32| match tree.holder(at(&walk.objects, number)) {
        Holder::Object(holder) => at(&walk.numbers, holder),
        Holder::Roots | Holder::Nothing => TOP,
    };
    let total = walk.objects.len() as u64;
    let mut steps = 0u64;
    for number in 1..walk.objects.len() as u32 {
        let mut common = at(&walk.parents, number);
        while common > at(semis, number) {
            common = holder(common);
            steps += 1;
            if steps.is_multiple_of(PATIENCE) {
                check(watch, Phase::Verify, total, total)?;
            }
        }
        if common != holder(number) {
            return Err(Flaw::NearerHolder { object: at(&walk.objects, number) });
        }
    }
    Ok(())
}

/// Checks one holder by the definition: without it, what it is said to hold is no longer reached, and all
/// else still is. Takes a byte an object and one walk of the graph.
///
/// # Errors
/// [`Flaw::Bypassed`] for an object still reached, [`Flaw::NearerHolder`] for one lost though not said to be
/// held, [`Flaw::Unchecked`] for a holder or root outside the graph or a stop by the watch.
pub fn verify_by_removal(
    graph: &Graph,
    roots: &[u32],
    tree: &Dominators,
    holder: u32,
    watch: &dyn Watch,
) -> Result<(), Flaw> {
    let objects = graph.objects();
    if let Some(&index) = roots.iter().chain([&holder]).find(|&&index| index >= objects) {
        return Err(GraphError::NoSuchObject { index, objects }.into());
    }
    let mut left = vec![false; objects as usize];
    let mut stack: Vec<u32> = Vec::new();
    let mut done = 0u64;
    for &root in roots {
        stack.push(root);
        while let Some(object) = stack.pop() {
            let Some(seen) = left.get_mut(object as usize) else { continue };
            if object == holder || std::mem::replace(seen, true) {
                continue;
            }
            done += 1;
            if done.is_multiple_of(PATIENCE) {
                check(watch, Phase::Verify, done, u64::from(objects))?;
            }
            stack.extend(graph.targets(object).filter(|&to| left.get(to as usize) == Some(&false)));
        }
    }
    let mut held = vec![false; objects as usize];
    for object in tree.reached() {
        let above = match tree.holder(object) {
            Holder::Object(above) => held.get(above as usize) == Some(&true),
            Holder::Roots | Holder::Nothing => false,
        };
        let below = above || object == holder;
        if let Some(slot) = held.get_mut(object as usize) {
            *slot = below;
        }
        match (below, left.get(object as usize) == Some(&true)) {
            (true, true) => return Err(Flaw::Bypassed { target: object, from: None }),
            (false, false) => return Err(Flaw::NearerHolder { object }),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::dominators::{BY_ROOTS, dominators};
    use super::super::edges::GraphBuilder;
    use super::super::walk::UNREACHED;
    use super::super::watch::Unwatched;
    use super::*;

    /// Seeded small graphs with cycles, repeats, dead parts and any number of roots.
    fn small_graphs(count: u32, mut each: impl FnMut(&Graph, &[u32])) {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut draw = |below: u32| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u32 % below
        };
        for _ in 0..count {
            let objects = 1 + draw(14);
            let mut builder = GraphBuilder::new(objects, &[]).unwrap();
            let density = 2 + draw(3);
            for source in 0..objects {
                let targets: Vec<u32> = (0..draw(density)).map(|_| draw(objects)).collect();
                builder.append(source, &targets).unwrap();
            }
            let roots: Vec<u32> = (0..draw(3)).map(|_| draw(objects)).collect();
            each(&builder.finish().unwrap(), &roots);
        }
    }

    #[test]
    fn right_trees_pass() {
        small_graphs(3_000, |graph, roots| {
            let tree = dominators(graph, roots, &Unwatched).unwrap();
            assert_eq!(verify(graph, roots, &tree, &Unwatched), Ok(()));
            for holder in 0..graph.objects() {
                assert_eq!(verify_by_removal(graph, roots, &tree, holder, &Unwatched), Ok(()));
            }
        });
    }

    #[test]
    fn every_wrong_holder_is_caught() {
        let mut kinds = [0u32; 4];
        small_graphs(600, |graph, roots| {
            let mut tree = dominators(graph, roots, &Unwatched).unwrap();
            for object in 0..graph.objects() {
                let right = tree.holders[object as usize];
                for wrong in (0..graph.objects()).chain([BY_ROOTS, UNREACHED]).filter(|&wrong| wrong != right)
                {
                    tree.holders[object as usize] = wrong;
                    let kind = match verify(graph, roots, &tree, &Unwatched).unwrap_err() {
                        Flaw::NoTree { .. } => 0,
                        Flaw::WrongReach { .. } => 1,
                        Flaw::Bypassed { .. } => 2,
                        Flaw::NearerHolder { .. } => 3,
                        Flaw::Unchecked(error) => panic!("{error}"),
                    };
                    kinds[kind] += 1;
                }
                tree.holders[object as usize] = right;
            }
        });
        assert!(kinds.iter().all(|&count| count > 100), "each kind of flaw was met: {kinds:?}");
    }

    /// A holder's holder holds too: most such trees break no reference, so the second half must catch them.
    #[test]
    fn a_true_but_distant_holder_is_caught() {
        let mut second = 0;
        small_graphs(600, |graph, roots| {
            let mut tree = dominators(graph, roots, &Unwatched).unwrap();
            for object in 0..graph.objects() {
                let Holder::Object(holder) = tree.holder(object) else { continue };
                let distant = tree.holders[holder as usize];
                let right = std::mem::replace(&mut tree.holders[object as usize], distant);
                let flaw = verify(graph, roots, &tree, &Unwatched).unwrap_err();
                assert!(matches!(flaw, Flaw::NearerHolder { .. } | Flaw::Bypassed { .. }), "{flaw}");
                assert_eq!(
                    verify_by_removal(graph, roots, &tree, right, &Unwatched),
                    Err(Flaw::NearerHolder { object })
                );
                tree.holders[object as usize] = right;
                second += u32::from(matches!(flaw, Flaw::NearerHolder { .. }));
            }
        });
        assert!(second > 500, "the second check alone caught {second} holders moved up");
    }

    #[test]
    fn a_tree_of_another_graph_is_refused() {
        let graph = GraphBuilder::new(3, &[]).unwrap().finish().unwrap();
        let other = GraphBuilder::new(4, &[]).unwrap().finish().unwrap();
        let tree = dominators(&other, &[0], &Unwatched).unwrap();
        assert_eq!(verify(&graph, &[0], &tree, &Unwatched), Err(Flaw::NoTree { object: 3 }));
        let beyond = GraphError::NoSuchObject { index: 4, objects: 4 };
        assert_eq!(verify(&other, &[4], &tree, &Unwatched), Err(Flaw::Unchecked(beyond)));
        assert_eq!(verify(&other, &[1], &tree, &Unwatched), Err(Flaw::WrongReach { object: 0 }));
    }
}
