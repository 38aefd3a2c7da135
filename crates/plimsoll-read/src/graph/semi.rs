//! Semi-NCA (Georgiadis): immediate dominators from the walk alone.
//!
//! First semidominators, from the highest walk number down, with path compression on the walk tree. Only the
//! smallest semidominator on a compressed path is needed, not whose it is, so an object costs eight bytes here.
//! Then, from the lowest number up, the immediate dominator is the nearest common ancestor, in the tree built
//! so far, of the walk parent and the semidominator.
#![expect(
    clippy::indexing_slicing,
    reason = "hot loops: every walk number here is below the number of reached objects plus one, the length of \
              both tables, because parents and referrers were numbered by the same walk"
)]

use std::sync::mpsc::sync_channel;
use std::thread;

use super::GraphError;
use super::parts::{Grouped, Inbound, PART_BITS, Parents};
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

/// Finds the immediate dominators; drops what it no longer needs as it goes.
pub(super) fn semi_nca(parents: Parents, inbound: Inbound, watch: &dyn Watch) -> Result<Tree, GraphError> {
    let before = parents.bytes() + inbound.bytes();
    let sealing = before + inbound.bytes();
    let (semis, forest) = semidominators(&parents, inbound, watch)?;
    let after = parents.bytes() + semis.iter().map(Vec::capacity).sum::<usize>();
    let idom = nearest_common(&parents, &semis, watch)?;
    drop(parents);
    // The table fills from its end while the referrers empty from theirs: never more than both ends' larger.
    Ok(Tree { idom, peak: sealing.max(before.max(after) + forest) })
}

/// One part unpacked.
#[derive(Default)]
struct Unpacked {
    parents: Vec<u32>,
    referrers: Grouped,
}

/// For each part the numbers whose semidominator is not their parent, with the difference; and the bytes of
/// the table used.
fn semidominators(
    parents: &Parents,
    inbound: Inbound,
    watch: &dyn Watch,
) -> Result<(Vec<Vec<u8>>, usize), GraphError> {
    let mut inbound = inbound.seal();
    let mut forest = Forest { slots: vec![0; parents.len() as usize], path: Vec::new() };
    let mut semis = vec![Vec::new(); parents.parts()];
    let total = u64::from(parents.len());
    let mut run = |part: usize, unpacked: &Unpacked| {
        semis[part] = forest.link_part(part, unpacked);
        check(watch, Phase::Semidominators, total - ((part as u64) << PART_BITS), total)
    };
    let mut unpack = |part: usize| {
        let mut unpacked = Unpacked::default();
        parents.unpack(part, &mut unpacked.parents);
        inbound.unpack(part, &mut unpacked.referrers);
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
    fn link_part(&mut self, part: usize, unpacked: &Unpacked) -> Vec<u8> {
        let first = (part << PART_BITS) as u32;
        let mut unusual: Vec<(u16, u32)> = Vec::new();
        for (place, &parent) in unpacked.parents.iter().enumerate().rev() {
            let number = first + place as u32;
            let mut semi = parent;
            if parent != 0 {
                for &source in unpacked.referrers.sources(place) {
                    let through = if source <= number { source } else { self.smallest(source, number) };
                    semi = semi.min(through);
                }
                if semi != parent {
                    unusual.push((place as u16, parent - semi));
                }
            }
            self.slots[number as usize] = slot(parent, semi);
        }
        let mut packed = Vec::with_capacity(unusual.len() * 4 + varint::PADDING);
        for &(place, back) in unusual.iter().rev() {
            varint::push_keyed(&mut packed, place, u64::from(back));
        }
        packed.extend_from_slice(&[0; varint::PADDING]);
        packed.shrink_to_fit();
        packed
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

/// Immediate dominators, lowest number first.
fn nearest_common(parents: &Parents, semis: &[Vec<u8>], watch: &dyn Watch) -> Result<Vec<u32>, GraphError> {
    let total = u64::from(parents.len());
    let mut idom: Vec<u32> = Vec::with_capacity(parents.len() as usize);
    let mut own = Vec::new();
    let mut steps = 0u64;
    for (part, semis) in semis.iter().enumerate() {
        let first = part << PART_BITS;
        check(watch, Phase::Dominators, first as u64, total)?;
        parents.unpack(part, &mut own);
        idom.extend_from_slice(&own);
        // Only where the semidominator is not the parent is there anything to climb.
        for (place, back) in varint::keyed(semis) {
            let number = first + place as usize;
            let mut dominator = idom[number];
            let semi = dominator - back as u32;
            while dominator > semi {
                dominator = idom[dominator as usize];
                steps += 1;
                if steps.is_multiple_of(PATIENCE) {
                    check(watch, Phase::Dominators, number as u64, total)?;
                }
            }
            idom[number] = dominator;
        }
    }
    Ok(idom)
}
