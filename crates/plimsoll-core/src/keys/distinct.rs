//! How many different values there were, in bounded memory.

use std::collections::BTreeSet;

/// Smallest hashes kept. With more values than that their number is estimated, within about 3 %.
const KEPT: usize = 1024;

/// Counts different values by the smallest of their hashes (k minimum values): exact while there are few.
#[derive(Debug, Clone, Default)]
pub(super) struct Distinct {
    smallest: BTreeSet<u64>,
}

impl Distinct {
    pub(super) fn add(&mut self, hash: u64) {
        let full = self.smallest.len() >= KEPT;
        if full && self.smallest.last().is_some_and(|last| *last <= hash) {
            return;
        }
        if self.smallest.insert(hash) && full {
            self.smallest.pop_last();
        }
    }

    pub(super) fn merge(&mut self, other: &Distinct) {
        other.smallest.iter().for_each(|hash| self.add(*hash));
    }

    /// Different values.
    pub(super) fn count(&self) -> u64 {
        match self.smallest.last() {
            Some(last) if self.smallest.len() >= KEPT => {
                let share = (*last as f64 + 1.0) / 2f64.powi(64);
                ((KEPT - 1) as f64 / share) as u64
            }
            _ => self.smallest.len() as u64,
        }
    }
}

/// A hash that is the same in every run: FNV-1a with a final mix.
pub(super) fn hash(seed: u64, text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mix(hash)
}

/// Spreads the bits of a number.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_counted_and_many_estimated() {
        let mut distinct = Distinct::default();
        for value in 0..500u64 {
            distinct.add(mix(value));
            distinct.add(mix(value));
        }
        assert_eq!(distinct.count(), 500);
        let mut other = Distinct::default();
        (300..200_000u64).for_each(|value| other.add(mix(value)));
        distinct.merge(&other);
        let count = distinct.count() as f64;
        assert!((count / 200_000.0 - 1.0).abs() < 0.1, "{count}");
    }
}
