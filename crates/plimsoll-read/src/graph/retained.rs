//! Retained sizes: what would be freed with an object, its own bytes included.

use super::GraphError;
use super::dominators::{Dominators, Holder};
use super::watch::{Phase, Watch, check};

/// The largest size kept; sizes of a hostile dump end here.
pub const MAX_RETAINED: u64 = (1 << 48) - 1;

/// Retained sizes of all objects, six bytes each.
#[derive(Debug)]
pub struct Retained {
    low: Vec<u32>,
    high: Vec<u16>,
    reached: u64,
    unreached: u64,
}

impl Retained {
    pub(super) fn new(
        dominators: &Dominators,
        mut shallow: impl FnMut(u32) -> u64,
        watch: &dyn Watch,
    ) -> Result<Self, GraphError> {
        let objects = dominators.objects();
        let mut sizes = Self {
            low: Vec::with_capacity(objects as usize),
            high: Vec::with_capacity(objects as usize),
            reached: 0,
            unreached: 0,
        };
        let total = u64::from(objects) + dominators.reached().len() as u64;
        for object in 0..objects {
            let bytes = shallow(object).min(MAX_RETAINED);
            sizes.low.push(bytes as u32);
            sizes.high.push((bytes >> 32) as u16);
            let sum = if dominators.is_reached(object) { &mut sizes.reached } else { &mut sizes.unreached };
            *sum = sum.saturating_add(bytes);
            if object & 0xFFFF == 0 {
                check(watch, Phase::Retained, u64::from(object), total)?;
            }
        }
        for (done, &object) in (u64::from(objects)..).zip(dominators.reached().iter().rev()) {
            if let Holder::Object(holder) = dominators.holder(object) {
                sizes.add(holder, sizes.of(object));
            }
            if done & 0xFFFF == 0 {
                check(watch, Phase::Retained, done, total)?;
            }
        }
        Ok(sizes)
    }

    #[inline]
    fn add(&mut self, object: u32, bytes: u64) {
        let Some(low) = self.low.get_mut(object as usize) else { return };
        let sum = u64::from(*low) + bytes;
        *low = sum as u32;
        // The upper part is touched for the few objects that retain 4 GiB or more.
        if sum >> 32 != 0
            && let Some(high) = self.high.get_mut(object as usize)
        {
            let all = (u64::from(*high) << 32) + sum;
            if all > MAX_RETAINED {
                (*low, *high) = (u32::MAX, u16::MAX);
            } else {
                *high = (all >> 32) as u16;
            }
        }
    }

    /// Bytes that would be freed with this object; its own bytes when nothing reaches it, 0 outside the graph.
    /// [`MAX_RETAINED`] means that or more.
    #[must_use]
    #[inline]
    pub fn of(&self, object: u32) -> u64 {
        let at = object as usize;
        match (self.low.get(at), self.high.get(at)) {
            (Some(&low), Some(&high)) => u64::from(high) << 32 | u64::from(low),
            _ => 0,
        }
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
        self.low.capacity() * 4 + self.high.capacity() * 2
    }
}
