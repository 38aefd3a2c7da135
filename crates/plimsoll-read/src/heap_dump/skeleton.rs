//! The few objects that retain much: where a search for suspects goes, without a pass over the heap for each step.

use std::collections::HashMap;

use crate::graph::dominators::{Dominators, Holder};
use crate::graph::retained::Retained;

/// Objects kept at most. A list of a million elements has a million objects that each retain much of the rest.
const MOST: usize = 1 << 16;

/// Objects that retain at least some share of the heap, and who holds them.
#[derive(Debug)]
pub(crate) struct Skeleton {
    /// By holder (none for the roots), biggest first.
    held: HashMap<Option<u32>, Vec<(u32, u64)>>,
}

impl Skeleton {
    /// The objects that retain `least` bytes or more; with more than 65,536 of them, the biggest.
    pub(crate) fn of(tree: &Dominators, retained: &Retained, least: u64) -> Skeleton {
        let mut big: Vec<(u64, u32)> = Vec::new();
        let mut least = least.max(1);
        for (object, bytes) in retained.at_least(least) {
            if bytes >= least && tree.is_reached(object) {
                big.push((bytes, object));
                if big.len() >= 2 * MOST {
                    big.sort_unstable_by(|a, b| b.cmp(a));
                    big.truncate(MOST);
                    least = big.last().map_or(least, |(bytes, _)| *bytes);
                }
            }
        }
        big.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        big.truncate(MOST);
        let mut held: HashMap<Option<u32>, Vec<(u32, u64)>> = HashMap::new();
        for (bytes, object) in big {
            let holder = match tree.holder(object) {
                Holder::Object(holder) => Some(holder),
                Holder::Roots => None,
                Holder::Nothing => continue,
            };
            held.entry(holder).or_default().push((object, bytes));
        }
        Skeleton { held }
    }

    /// What an object (or the roots) holds, of the objects kept, biggest first.
    pub(crate) fn held_by(&self, holder: Option<u32>) -> &[(u32, u64)] {
        self.held.get(&holder).map_or(&[], Vec::as_slice)
    }
}
