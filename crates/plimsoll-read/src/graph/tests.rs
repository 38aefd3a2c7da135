//! The tree against brute force, its certificate against wrong trees.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::dominators::{Dominators, dominators};
use super::edges::{Edges, EdgesBuilder};
use super::path::shortest;
use super::verify::{Flaw, verify};
use super::{GraphError, Node, unwatched};

struct Sample {
    lists: Vec<Vec<Node>>,
    roots: Vec<Node>,
}

impl Sample {
    fn edges(&self) -> Edges {
        let mut b = EdgesBuilder::new(self.lists.len() as u32);
        for (n, targets) in self.lists.iter().enumerate() {
            b.add(n as Node, targets).unwrap();
        }
        b.finish()
    }

    fn tree(&self) -> Dominators {
        dominators(self.edges(), &self.roots, weight, &unwatched).unwrap()
    }

    /// What is reached when `without` is gone.
    fn reached(&self, without: Option<Node>) -> Vec<bool> {
        let mut seen = vec![false; self.lists.len()];
        let mut stack: Vec<Node> = self.roots.clone();
        while let Some(n) = stack.pop() {
            if Some(n) != without && !std::mem::replace(&mut seen[n as usize], true) {
                stack.extend(&self.lists[n as usize]);
            }
        }
        seen
    }
}

fn weight(n: Node) -> u64 {
    u64::from(n) * 3 + 1
}

/// Cycles, self references, repeated references, unreachable parts and many roots, from sparse to dense.
fn random(seed: u64) -> Sample {
    let mut r = ChaCha8Rng::seed_from_u64(seed);
    let n = r.random_range(1..40u32);
    let most = r.random_range(0..4usize);
    let local = r.random_bool(0.5);
    let mut target = |from: u32| {
        if local { (from + r.random_range(0..6)).saturating_sub(2).min(n - 1) } else { r.random_range(0..n) }
    };
    let mut lists: Vec<Vec<Node>> = (0..n).map(|from| (0..most).map(|_| target(from)).collect()).collect();
    for list in &mut lists {
        let keep = r.random_range(0..=list.len());
        list.truncate(keep);
    }
    let roots = (0..r.random_range(0..4)).map(|_| r.random_range(0..n)).collect();
    Sample { lists, roots }
}

/// Removes each object in turn: what is lost then is what it dominates.
fn agrees_with_brute_force(s: &Sample) {
    let tree = s.tree();
    let all = s.reached(None);
    let lost: Vec<Vec<bool>> = (0..s.lists.len() as Node)
        .map(|v| {
            let left = s.reached(Some(v));
            all.iter().zip(left).map(|(a, b)| *a && !b).collect()
        })
        .collect();
    for v in 0..s.lists.len() {
        assert_eq!(tree.is_reachable(v as Node), all[v]);
        let retained: u64 = (0..s.lists.len()).filter(|w| lost[v][*w]).map(|w| weight(w as Node)).sum();
        assert_eq!(tree.retained(v as Node), retained, "retained by {v}");
        // The nearest of its dominators is the one that dominates least.
        let above = (0..s.lists.len()).filter(|d| *d != v && lost[*d][v]);
        let nearest = above.min_by_key(|d| lost[*d].iter().filter(|x| **x).count());
        assert_eq!(tree.of(v as Node), nearest.map(|d| d as Node), "dominator of {v}");
    }
    let total: u64 = (0..s.lists.len()).filter(|v| all[*v]).map(|v| weight(v as Node)).sum();
    assert_eq!(tree.total(), total);
    assert_eq!(verify(&s.edges(), &s.roots, &tree), Ok(()));
}

#[test]
fn thousands_of_random_graphs_agree_with_brute_force() {
    for seed in 0..6000 {
        agrees_with_brute_force(&random(seed));
    }
}

#[test]
fn every_wrong_dominator_is_caught() {
    let (mut changed, mut caught) = (0, 0);
    for seed in 0..1500 {
        let s = random(seed);
        let edges = s.edges();
        let tree = s.tree();
        for v in 0..s.lists.len() as Node {
            // A farther dominator was missed, another one is none; it must come before in preorder to be a tree.
            for other in (0..s.lists.len() as Node).filter(|o| tree.is_reachable(*o) && tree.is_reachable(v))
            {
                let before = tree.number_of(other) < tree.number_of(v);
                if other != v && before && tree.of(v) != Some(other) {
                    changed += 1;
                    caught += usize::from(verify(&edges, &s.roots, &s.tree().with_idom(v, other)).is_err());
                }
            }
        }
    }
    assert!(changed > 5000, "{changed}");
    assert_eq!(caught, changed);
}

#[test]
fn a_tree_of_other_roots_is_caught() {
    let s = Sample { lists: vec![vec![1], vec![2], vec![], vec![2]], roots: vec![0] };
    assert_eq!(verify(&s.edges(), &[0, 3], &s.tree()), Err(Flaw::Reach(3)));
    assert_eq!(verify(&s.edges(), &[9], &s.tree()), Err(Flaw::Foreign));
    let two = Sample { roots: vec![0, 1], ..s };
    assert_eq!(verify(&two.edges(), &[0], &two.tree()), Err(Flaw::Missed(1)));
}

#[test]
fn a_list_of_millions_and_a_wide_star_take_no_stack() {
    let n = 2_000_000u32;
    let list = Sample {
        lists: (0..n).map(|i| if i + 1 < n { vec![i + 1] } else { vec![] }).collect(),
        roots: vec![0],
    };
    let tree = list.tree();
    assert_eq!(tree.of(n - 1), Some(n - 2));
    assert_eq!(tree.retained(1), tree.total() - weight(0));
    let star = Sample {
        lists: std::iter::once((1..n).collect()).chain((1..n).map(|_| vec![0])).collect(),
        roots: vec![0],
    };
    let tree = star.tree();
    assert_eq!(tree.children(Some(0), 3), [n - 1, n - 2, n - 3]);
    assert_eq!(tree.children(None, 3), [0]);
    assert_eq!(verify(&star.edges(), &star.roots, &tree), Ok(()));
}

#[test]
fn the_largest_come_first_among_many_roots() {
    let n = 10_000u32;
    let s = Sample { lists: (0..n).map(|_| Vec::new()).collect(), roots: (0..n).chain(0..n).collect() };
    let tree = s.tree();
    assert_eq!(tree.children(None, 2), [n - 1, n - 2]);
    assert_eq!(tree.children(None, n as usize + 5).len(), n as usize);
    assert_eq!((tree.children(Some(3), 5).len(), tree.reached()), (0, n));
}

#[test]
fn a_root_that_is_no_object_and_a_watch_that_stops_are_errors() {
    let s = Sample { lists: vec![vec![]], roots: vec![1] };
    assert_eq!(dominators(s.edges(), &s.roots, weight, &unwatched).err(), Some(GraphError::NoNode(1)));
    assert_eq!(dominators(s.edges(), &[0], weight, &|_, _, _| false).err(), Some(GraphError::Stopped));
    let none = dominators(EdgesBuilder::new(0).finish(), &[], weight, &unwatched).unwrap();
    assert_eq!((none.total(), none.reached(), none.is_reachable(0)), (0, 0, false));
}

#[test]
fn the_shortest_way_goes_around_what_is_skipped() {
    let s = Sample { lists: vec![vec![1, 2], vec![4], vec![3], vec![4], vec![], vec![4]], roots: vec![0, 9] };
    let edges = s.edges();
    assert_eq!(shortest(&edges, &s.roots, 4, |_, _| false), Some(vec![0, 1, 4]));
    assert_eq!(shortest(&edges, &s.roots, 4, |a, b| (a, b) == (1, 4)), Some(vec![0, 2, 3, 4]));
    assert_eq!(shortest(&edges, &s.roots, 5, |_, _| false), None);
    assert_eq!(shortest(&edges, &s.roots, 0, |_, _| false), Some(vec![0]));
    assert_eq!(shortest(&edges, &s.roots, 77, |_, _| false), None);
}
