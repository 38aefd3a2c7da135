//! The shortest chain of references from a root to an object: why it is alive, in the fewest steps.

use super::GraphError;
use super::edges::Graph;
use super::watch::{Phase, Watch, check};

/// An object the search has not met.
const UNMET: u32 = 0;
/// A root met: its chain begins here.
const ROOT: u32 = 1;
/// What is added to an index so that it is neither mark.
const SHIFT: u32 = 2;

/// Finds a shortest path from any root to each target: the objects from the root to the target, both
/// included, or `None` where no root reaches it within `limit` references. One search serves all targets and
/// ends when the last is found; it takes four bytes an object and the objects of two steps.
///
/// # Errors
/// [`GraphError::NoSuchObject`] for a root or target outside the graph, [`GraphError::Stopped`] by the watch.
pub fn shortest_paths(
    graph: &Graph,
    roots: &[u32],
    targets: &[u32],
    limit: u32,
    watch: &dyn Watch,
) -> Result<Vec<Option<Vec<u32>>>, GraphError> {
    let objects = graph.objects();
    if let Some(&index) = roots.iter().chain(targets).find(|&&index| index >= objects) {
        return Err(GraphError::NoSuchObject { index, objects });
    }
    let mut search = Search::new(objects, targets);
    let mut front = Vec::new();
    for &root in roots {
        search.meet(root, ROOT, &mut front);
    }
    let (mut done, mut asked) = (0u64, 0u64);
    for _ in 0..limit {
        if search.wanted.is_empty() || front.is_empty() {
            break;
        }
        let mut next = Vec::new();
        for &object in &front {
            graph.targets(object).for_each(|target| search.meet(target, object + SHIFT, &mut next));
            done += 1;
            if done >= asked {
                asked += 1 << 16;
                check(watch, Phase::Path, done.min(u64::from(objects)), u64::from(objects))?;
            }
        }
        front = next;
    }
    Ok(targets.iter().map(|&target| search.path_to(target)).collect())
}

struct Search {
    /// By object: who led to it, shifted, or a mark.
    came_from: Vec<u32>,
    /// Targets not met yet, ascending.
    wanted: Vec<u32>,
}

impl Search {
    fn new(objects: u32, targets: &[u32]) -> Self {
        let mut wanted = targets.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        Self { came_from: vec![UNMET; objects as usize], wanted }
    }

    #[inline]
    fn meet(&mut self, object: u32, from: u32, front: &mut Vec<u32>) {
        if let Some(slot) = self.came_from.get_mut(object as usize)
            && *slot == UNMET
        {
            *slot = from;
            front.push(object);
            if let Ok(at) = self.wanted.binary_search(&object) {
                self.wanted.remove(at);
            }
        }
    }

    fn path_to(&self, target: u32) -> Option<Vec<u32>> {
        let mut path = vec![target];
        let mut at = target;
        loop {
            match *self.came_from.get(at as usize)? {
                UNMET => return None,
                ROOT => break,
                from => at = from - SHIFT,
            }
            path.push(at);
        }
        path.reverse();
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::super::edges::GraphBuilder;
    use super::super::watch::Unwatched;
    use super::*;

    fn graph(lists: &[&[u32]]) -> Graph {
        let mut builder = GraphBuilder::new(lists.len() as u32, &[]).unwrap();
        (0u32..).zip(lists).for_each(|(source, list)| assert!(builder.append(source, list).unwrap()));
        builder.finish().unwrap()
    }

    #[test]
    fn the_shortest_of_several_paths_is_found() {
        let graph = graph(&[&[1], &[2], &[3], &[0], &[3, 2], &[5], &[]]);
        let paths = |limit| shortest_paths(&graph, &[0, 4], &[3, 1, 4, 5, 3, 6], limit, &Unwatched).unwrap();
        let three = Some(vec![4, 3]);
        assert_eq!(paths(9), [three.clone(), Some(vec![0, 1]), Some(vec![4]), None, three, None]);
        assert_eq!(paths(0), [None, None, Some(vec![4]), None, None, None]);
    }

    #[test]
    fn the_limit_counts_references() {
        let lists: Vec<Vec<u32>> = (0..1000).map(|at| vec![(at + 1) % 1000]).collect();
        let graph = graph(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let to = |limit| shortest_paths(&graph, &[0], &[700], limit, &Unwatched).unwrap().remove(0);
        assert_eq!(to(699), None);
        assert_eq!(to(700).map(|path| path.len()), Some(701));
    }

    #[test]
    fn wrong_indices_and_a_stop_are_errors() {
        let graph = graph(&[&[1], &[]]);
        let beyond = Err(GraphError::NoSuchObject { index: 2, objects: 2 });
        assert_eq!(shortest_paths(&graph, &[0], &[2], 9, &Unwatched), beyond);
        assert_eq!(shortest_paths(&graph, &[2], &[0], 9, &Unwatched), beyond);
        let stop = |_, _, _| ControlFlow::Break(());
        let stopped = Err(GraphError::Stopped { phase: Phase::Path });
        assert_eq!(shortest_paths(&graph, &[0], &[1], 9, &stop), stopped);
    }
}
