//! Semi-NCA (Georgiadis): immediate dominators from the walk alone.
//!
//! First semidominators, from the highest walk number down, with path compression on the walk tree. Only the
//! smallest semidominator on a compressed path is needed, not whose it is, so an object costs eight bytes here.
//! Then, from the lowest number up, the immediate dominator is the nearest common ancestor, in the tree built
//! so far, of the walk parent and the semidominator.
//!
//! Leaves, objects that refer to nothing, dominate nothing and lie on no path to another object, so they have no number
//! here. A leaf with one referrer is dominated by it. One with more has a semidominator as any object has, found as if it
//! had been numbered right behind the number that led to it first.
#![expect(
    clippy::indexing_slicing,
    reason = "hot loops: every walk number here is below the number of reached objects plus one, the length of \
              both tables, because parents and referrers were numbered by the same walk"
)]

use std::sync::mpsc::sync_channel;
use std::thread;

use super::GraphError;
use super::parts::{Grouped, Inbound, LeafReference, PART_BITS, Parents, Runs};
use super::varint;
use super::watch::{Phase, Watch, check};

/// Below this many parts a second thread costs more than it saves.
const WORTH_A_THREAD: usize = 4;
/// Steps between two looks at the watch where a hostile graph can make one object take long.
const PATIENCE: u64 = 1 << 22;

/// Immediate dominators by walk number; 0 is the root of roots.
pub(super) struct Tree {
    pub(super) idom: Vec<u32>,
    /// The most bytes held here at once, the walk's own included.
    pub(super) peak: usize,
}

/// Finds the immediate dominators, and of the leaves that their first referrer does not dominate, who does: `leaf_held`
/// is told each with the number. Drops what it no longer needs as it goes.
pub(super) fn semi_nca(
    parents: Parents,
    inbound: Inbound,
    leaf_held: impl FnMut(u32, u32),
    watch: &dyn Watch,
) -> Result<Tree, GraphError> {
    let before = parents.bytes() + inbound.bytes();
    let sealing = before + inbound.bytes();
    let (semis, forest) = semidominators(&parents, inbound, watch)?;
    let after = parents.bytes() + semis.numbers.bytes() + semis.leaves.bytes();
    let idom = nearest_common(&parents, &semis.numbers, watch)?;
    drop(parents);
    nearest_common_of_leaves(&idom, &semis.leaves, leaf_held, watch)?;
    // The table fills from its end while the referrers empty from theirs: never more than both ends' larger.
    Ok(Tree { idom, peak: sealing.max(before.max(after) + forest) })
}

/// One part unpacked.
#[derive(Default)]
struct Unpacked {
    parents: Vec<u32>,
    referrers: Grouped,
    leaves: Vec<LeafReference>,
}

/// What has a semidominator that is not its parent, with the difference; by parts, the last part first.
#[derive(Default)]
struct Semis {
    /// Of numbers: place in the part, difference.
    numbers: Runs,
    /// Of leaves: place of the parent, difference, the leaf as a difference from the one before.
    leaves: Runs,
}

/// The semidominators, and the bytes of the table used to find them.
fn semidominators(
    parents: &Parents,
    inbound: Inbound,
    watch: &dyn Watch,
) -> Result<(Semis, usize), GraphError> {
    let (mut inbound, mut of_leaves) = inbound.seal();
    let mut forest = Forest { slots: vec![0; parents.len() as usize], path: Vec::new() };
    let mut semis = Semis::default();
    let total = u64::from(parents.len());
    let mut run = |part: usize, unpacked: &Unpacked| {
        forest.link_part(part, unpacked, &mut semis);
        check(watch, Phase::Semidominators, total - ((part as u64) << PART_BITS), total)
    };
    let mut unpack = |part: usize| {
        let mut unpacked = Unpacked::default();
        parents.unpack(part, &mut unpacked.parents);
        inbound.unpack(part, &mut unpacked.referrers);
        unpacked.leaves = of_leaves.unpack_leaves(part);
        unpacked
    };
    let parts = || (0..parents.parts()).rev();
    let mut threaded = false;
    if parents.parts() >= WORTH_A_THREAD {
        thread::scope(|scope| {
            let (send, receive) = sync_channel(1);
            // A closed channel means that the search was stopped.
            let (parts, unpack) = (&parts, &mut unpack);
            let ahead =
                move || parts().map(unpack).try_for_each(|unpacked| send.send(unpacked).map_err(drop));
            let Ok(_thread) = thread::Builder::new().spawn_scoped(scope, ahead) else { return Ok(()) };
            threaded = true;
            parts().zip(receive).try_for_each(|(part, unpacked)| run(part, &unpacked))
        })?;
    }
    if !threaded {
        parts().try_for_each(|part| run(part, &unpack(part)))?;
    }
    let table = forest.slots.capacity() * 8 + forest.path.capacity() * 4;
    Ok((semis, table))
}

/// The walk tree above the number under way, compressed: for each number an ancestor and the smallest
/// semidominator below that ancestor.
struct Forest {
    slots: Vec<u64>,
    path: Vec<u32>,
}

#[inline]
fn slot(ancestor: u32, label: u32) -> u64 {
    u64::from(ancestor) << 32 | u64::from(label)
}

#[inline]
fn ancestor(slot: u64) -> u32 {
    (slot >> 32) as u32
}

#[inline]
fn label(slot: u64) -> u32 {
    slot as u32
}

impl Forest {
    /// Finds the semidominators of a part, highest first, and packs those that are not the parent.
    fn link_part(&mut self, part: usize, unpacked: &Unpacked, semis: &mut Semis) {
        let first = (part << PART_BITS) as u32;
        let mut unusual: Vec<(u16, u32)> = Vec::new();
        let mut leaves = unpacked.leaves.as_slice();
        let mut unusual_leaves: Vec<(u32, u32, u32)> = Vec::new();
        for (place, &parent) in unpacked.parents.iter().enumerate().rev() {
            let number = first + place as u32;
            let mut semi = parent;
            if parent != 0 {
                for &source in unpacked.referrers.sources(place) {
                    semi = semi.min(self.through(source, number));
                }
                if semi != parent {
                    unusual.push((place as u16, parent - semi));
                }
            }
            self.slots[number as usize] = slot(parent, semi);
            while let Some((own, rest)) = leaf_of(leaves, number) {
                let semi =
                    own.iter().fold(number, |semi, found| semi.min(self.through(found.source, number)));
                if semi != number {
                    unusual_leaves.push((number, own[0].leaf, semi));
                }
                leaves = rest;
            }
        }
        semis.numbers.push(|packed| {
            for &(place, back) in unusual.iter().rev() {
                varint::push_keyed(packed, place, u64::from(back));
            }
            packed.extend_from_slice(&[0; varint::PADDING]);
        });
        semis.leaves.push(|packed| pack_leaves(&unusual_leaves, packed));
    }

    /// The smallest semidominator by which a path through `source` passes `number`.
    #[inline]
    fn through(&mut self, source: u32, number: u32) -> u32 {
        if source <= number { source } else { self.smallest(source, number) }
    }

    /// The smallest semidominator from `source` up to below the first ancestor at or under `number`.
    #[inline]
    fn smallest(&mut self, source: u32, number: u32) -> u32 {
        let slot = self.slots[source as usize];
        if ancestor(slot) <= number { label(slot) } else { self.compress(source, number) }
    }

    fn compress(&mut self, source: u32, number: u32) -> u32 {
        self.path.clear();
        let mut at = source;
        let mut top = self.slots[at as usize];
        while ancestor(top) > number {
            self.path.push(at);
            at = ancestor(top);
            top = self.slots[at as usize];
        }
        let mut smallest = label(top);
        while let Some(below) = self.path.pop() {
            let below = &mut self.slots[below as usize];
            smallest = smallest.min(label(*below));
            *below = slot(ancestor(top), smallest);
        }
        smallest
    }
}

/// Of sorted references, the last ones: those to one leaf that this number led to; and what comes before them.
#[inline]
fn leaf_of(references: &[LeafReference], number: u32) -> Option<(&[LeafReference], &[LeafReference])> {
    let last = references.last().filter(|last| last.parent == number)?;
    let own =
        references.iter().rev().take_while(|found| (found.parent, found.leaf) == (number, last.leaf)).count();
    let (rest, own) = references.split_at(references.len() - own);
    Some((own, rest))
}

/// Parent, leaf and semidominator of each.
fn pack_leaves(unusual: &[(u32, u32, u32)], packed: &mut Vec<u8>) {
    let mut last = 0;
    for &(number, leaf, semi) in unusual {
        varint::push_keyed(packed, number as u16, u64::from(number - semi));
        varint::push(packed, varint::delta(last, leaf));
        last = leaf;
    }
    packed.extend_from_slice(&[0; varint::PADDING]);
}

/// Immediate dominators, lowest number first.
fn nearest_common(parents: &Parents, semis: &Runs, watch: &dyn Watch) -> Result<Vec<u32>, GraphError> {
    let total = u64::from(parents.len());
    let mut idom: Vec<u32> = Vec::with_capacity(parents.len() as usize);
    let mut steps = 0u64;
    for part in 0..parents.parts() {
        let first = part << PART_BITS;
        check(watch, Phase::Dominators, first as u64, total)?;
        parents.unpack(part, &mut idom);
        // Only where the semidominator is not the parent is there anything to climb.
        for (place, back) in varint::keyed(semis.get(parents.parts() - 1 - part)) {
            let number = first + place as usize;
            let parent = idom[number];
            idom[number] = climb(&idom, parent, parent - back as u32, &mut steps, watch)?;
        }
    }
    Ok(idom)
}

/// The same for leaves; each is told with the number that dominates it.
fn nearest_common_of_leaves(
    idom: &[u32],
    semis: &Runs,
    mut held: impl FnMut(u32, u32),
    watch: &dyn Watch,
) -> Result<(), GraphError> {
    let mut steps = 0u64;
    for at in 0..semis.len() {
        let first = ((semis.len() - 1 - at) << PART_BITS) as u32;
        let (mut rest, mut leaf) = (semis.get(at), 0);
        while rest.len() > varint::PADDING {
            let Some(((place, back), length)) = varint::read_keyed(rest) else { break };
            rest = rest.get(length..).unwrap_or_default();
            let Some((of_leaf, length)) = varint::read(rest) else { break };
            rest = rest.get(length..).unwrap_or_default();
            leaf = varint::apply(leaf, of_leaf);
            let parent = first + u32::from(place);
            held(leaf, climb(idom, parent, parent - back as u32, &mut steps, watch)?);
        }
    }
    Ok(())
}

/// The first dominator of a number, itself among them, at or below its semidominator.
#[inline]
fn climb(
    idom: &[u32],
    number: u32,
    semi: u32,
    steps: &mut u64,
    watch: &dyn Watch,
) -> Result<u32, GraphError> {
    let mut dominator = number;
    while dominator > semi {
        dominator = idom[dominator as usize];
        *steps += 1;
        if steps.is_multiple_of(PATIENCE) {
            check(watch, Phase::Dominators, u64::from(number), idom.len() as u64)?;
        }
    }
    Ok(dominator)
}
