//! Circles in who waits for whom.

use std::collections::{HashMap, HashSet};

/// Circles told at most.
const MOST: usize = 16;

/// Every circle of a graph in which each node points to one other at most; each starts at its smallest number.
pub(super) fn circles(next: &HashMap<usize, usize>) -> Vec<Vec<usize>> {
    let mut done: HashSet<usize> = HashSet::new();
    let mut out = Vec::new();
    let mut starts: Vec<usize> = next.keys().copied().collect();
    starts.sort_unstable();
    for start in starts {
        let mut path: Vec<usize> = Vec::new();
        let mut here: HashMap<usize, usize> = HashMap::new();
        let mut at = Some(start);
        while let Some(node) = at.filter(|n| !done.contains(n)) {
            if let Some(&from) = here.get(&node) {
                out.push(path.get(from..).unwrap_or_default().to_vec());
                break;
            }
            here.insert(node, path.len());
            path.push(node);
            at = next.get(&node).copied();
        }
        done.extend(path);
        if out.len() == MOST {
            break;
        }
    }
    for circle in &mut out {
        let least = circle.iter().enumerate().min_by_key(|(_, n)| **n).map_or(0, |(i, _)| i);
        circle.rotate_left(least);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_once_and_tails_are_none() {
        let next = HashMap::from([(5, 3), (3, 4), (4, 3), (9, 5), (1, 2), (7, 7)]);
        assert_eq!(circles(&next), [vec![3, 4], vec![7]]);
        assert!(circles(&HashMap::from([(1, 2), (2, 3)])).is_empty());
    }
}
