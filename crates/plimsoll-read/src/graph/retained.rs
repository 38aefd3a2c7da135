//! Retained sizes: what would be freed with an object, its own bytes included.

use super::GraphError;
use super::both::halves;
use super::dominators::{Dominators, Holder};
use super::prefetch::prefetch;
use super::watch::{Phase, Watch, check};

/// The largest size kept; sizes of a hostile dump end here.
pub const MAX_RETAINED: u64 = (1 << 48) - 1;

/// Objects between one that is summed and one whose cache lines are asked for.
const AHEAD: usize = 24;
/// Objects whose upper parts are kept together.
const BLOCK: usize = 1 << 16;
/// Objects looked at together when large ones are searched; a block has a whole number of them.
const STRETCH: usize = 64;

/// Retained sizes of all objects, four bytes each, and six where there are any of 4 GiB or more around.
#[derive(Debug)]
pub struct Retained {
    low: Vec<u32>,
    /// The upper part by blocks of objects; a block is there when one of its objects has one.
    high: Vec<Option<Box<[u16]>>>,
    reached: u64,
    unreached: u64,
}

impl Retained {
    pub(super) fn new(
        dominators: &Dominators,
        shallow: impl Fn(u32) -> u64 + Sync,
        watch: &dyn Watch,
    ) -> Result<Self, GraphError> {
        let objects = dominators.objects();
        let walked = dominators.walked();
        let total = u64::from(objects) + walked.len() as u64;
        let mut sizes = Self::shallow(dominators, shallow);
        check(watch, Phase::Retained, u64::from(objects), total)?;
        dominators.reached_leaves().for_each(|leaf| sizes.add_to_holder(dominators, leaf));
        for (done, at) in (u64::from(objects)..).zip((0..walked.len()).rev()) {
            if let Some(&soon) = at.checked_sub(AHEAD).and_then(|at| walked.get(at)) {
                prefetch(&sizes.low, soon as usize);
                dominators.prefetch(soon);
            }
            if let Some(&object) = walked.get(at) {
                sizes.add_to_holder(dominators, object);
            }
            if done & 0xFFFF == 0 {
                check(watch, Phase::Retained, done, total)?;
            }
        }
        Ok(sizes)
    }

    /// Each object's own bytes.
    fn shallow(dominators: &Dominators, shallow: impl Fn(u32) -> u64 + Sync) -> Self {
        let objects = dominators.objects() as usize;
        let mut low = vec![0; objects];
        let pass = |first: usize, half: &mut [u32]| {
            let (mut reached, mut unreached, mut large) = (0u64, 0u64, Vec::new());
            for (object, low) in (first as u32..).zip(half) {
                let bytes = shallow(object).min(MAX_RETAINED);
                *low = bytes as u32;
                if bytes >> 32 != 0 {
                    large.push((object, (bytes >> 32) as u16));
                }
                let sum = if dominators.is_reached(object) { &mut reached } else { &mut unreached };
                *sum = sum.saturating_add(bytes);
            }
            (reached, unreached, large)
        };
        let (left, right) = halves(&mut low, pass);
        let mut sizes = Self {
            low,
            high: vec![None; objects.div_ceil(BLOCK)],
            reached: left.0.saturating_add(right.0),
            unreached: left.1.saturating_add(right.1),
        };
        left.2.into_iter().chain(right.2).for_each(|(object, high)| sizes.set_high(object, high));
        sizes
    }

    #[inline]
    fn add_to_holder(&mut self, dominators: &Dominators, object: u32) {
        if let Holder::Object(holder) = dominators.holder(object) {
            self.add(holder, self.of(object));
        }
    }

    #[inline]
    fn add(&mut self, object: u32, bytes: u64) {
        let Some(low) = self.low.get_mut(object as usize) else { return };
        let sum = u64::from(*low) + bytes;
        *low = sum as u32;
        // The upper part is touched for the few objects that retain 4 GiB or more.
        if sum >> 32 != 0 {
            let all = (u64::from(self.high(object)) << 32) + sum;
            self.set_high(object, (all.min(MAX_RETAINED) >> 32) as u16);
            if all > MAX_RETAINED
                && let Some(low) = self.low.get_mut(object as usize)
            {
                *low = u32::MAX;
            }
        }
    }

    #[inline]
    fn high(&self, object: u32) -> u16 {
        let block = self.high.get(object as usize / BLOCK).and_then(Option::as_ref);
        block.and_then(|block| block.get(object as usize % BLOCK)).copied().unwrap_or(0)
    }

    #[cold]
    fn set_high(&mut self, object: u32, high: u16) {
        let Some(block) = self.high.get_mut(object as usize / BLOCK) else { return };
        let block = block.get_or_insert_with(|| vec![0; BLOCK].into_boxed_slice());
        if let Some(slot) = block.get_mut(object as usize % BLOCK) {
            *slot = high;
        }
    }

    /// Bytes that would be freed with this object; its own bytes when nothing reaches it, 0 outside the graph.
    /// [`MAX_RETAINED`] means that or more.
    #[must_use]
    #[inline]
    pub fn of(&self, object: u32) -> u64 {
        let low = self.low.get(object as usize).map_or(0, |low| u64::from(*low));
        u64::from(self.high(object)) << 32 | low
    }

    /// The objects that retain so many bytes or more, and what they retain, ascending. Most retain less: they are looked at
    /// many at once.
    pub(crate) fn at_least(&self, bytes: u64) -> impl Iterator<Item = (u32, u64)> + '_ {
        let least = u32::try_from(bytes).ok();
        let stretches = (0u32..).step_by(STRETCH).zip(self.low.chunks(STRETCH));
        let may_have = move |(first, low): &(u32, &[u32])| {
            let has_high = self.high.get(*first as usize / BLOCK).is_some_and(Option::is_some);
            // Without a branch for each, so that the compiler can look at several at once.
            has_high || least.is_some_and(|least| low.iter().fold(false, |any, low| any | (*low >= least)))
        };
        let each = |(first, low): (u32, &[u32])| first..first + low.len() as u32;
        let objects = stretches.filter(may_have).flat_map(each);
        objects.map(|object| (object, self.of(object))).filter(move |(_, retained)| *retained >= bytes)
    }

    /// Bytes of all objects that a root reaches.
    #[must_use]
    pub fn reached_bytes(&self) -> u64 {
        self.reached
    }

    /// Bytes of all objects that no root reaches.
    #[must_use]
    pub fn unreached_bytes(&self) -> u64 {
        self.unreached
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let blocks = self.high.iter().flatten().count();
        self.low.capacity() * 4 + self.high.capacity() * 16 + blocks * BLOCK * 2
    }
}
