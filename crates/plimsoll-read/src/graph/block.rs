//! Where the lists of 59 objects begin, in one cache line.

/// Objects that share a block.
pub(super) const BLOCK: u32 = 59;
/// Bytes of a block taken by the start of its first list.
const HEAD: u32 = 5;
/// Set in a block's head when one of its lists is long.
pub(super) const HAS_LONG: u64 = 1 << 39;
/// A block's start, without the mark.
pub(super) const START: u64 = HAS_LONG - 1;
/// The length that stands for "this or more, see the bucket".
pub(super) const LONG: u8 = 255;

/// One cache line: five bytes of start, 59 lengths.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Block([u64; 8]);

impl Block {
    /// The length of one of the lists, [`LONG`] when longer.
    #[inline]
    pub(super) fn length(&self, lane: u32) -> u8 {
        let at = HEAD + lane;
        self.0.get(at as usize / 8).map_or(0, |word| (word >> (at % 8 * 8)) as u8)
    }

    pub(super) fn set_length(&mut self, lane: u32, length: u8) {
        let at = HEAD + lane;
        if let Some(word) = self.0.get_mut(at as usize / 8) {
            *word |= u64::from(length) << (at % 8 * 8);
        }
    }

    pub(super) fn head(&self) -> u64 {
        self.0[0]
    }

    pub(super) fn set_start(&mut self, start: u64, has_long: bool) {
        self.0[0] |= (start & START) | if has_long { HAS_LONG } else { 0 };
    }

    /// Whether one of the lists is long.
    pub(super) fn has_long(&self) -> bool {
        self.lengths().any(|lengths| zero_bytes(!lengths) != 0)
    }

    /// The lists that are empty, one bit each.
    pub(super) fn empty(&self) -> u64 {
        // The head's bytes come before the first length.
        let lanes = (0u32..).step_by(8).zip(self.0).map(|(at, word)| (at, gathered(zero_bytes(word))));
        lanes.fold(0, |empty, (at, bits)| empty | if at == 0 { bits >> HEAD } else { bits << (at - HEAD) })
    }

    /// The words, without the head.
    fn lengths(&self) -> impl Iterator<Item = u64> {
        (0..).zip(self.0).map(|(at, word)| if at == 0 { word & !((1 << (HEAD * 8)) - 1) } else { word })
    }

    /// Takes lengths from a block that has none in the same place.
    pub(super) fn join(&mut self, other: Block) {
        self.0.iter_mut().zip(other.0).for_each(|(word, more)| *word |= more);
    }

    /// The sum of the lengths before `lane`, each taken as it stands.
    #[inline]
    pub(super) fn sum_before(&self, lane: u32) -> u64 {
        const EVEN: u64 = 0x00FF_00FF_00FF_00FF;
        let end = HEAD + lane;
        let mut lanes = 0;
        // All words, with what is not to be counted masked away: a loop that ends at the lane would be guessed wrong.
        for (at, word) in (0u32..).step_by(8).zip(self.lengths()) {
            let bytes = end.saturating_sub(at).min(8);
            let word = word & u64::MAX.checked_shr(64 - 8 * bytes).unwrap_or(0);
            lanes += (word & EVEN) + ((word >> 8) & EVEN);
        }
        lanes.wrapping_mul(0x0001_0001_0001_0001) >> 48
    }
}

/// The highest bit of each byte that is zero.
fn zero_bytes(word: u64) -> u64 {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    !(((word & LOW) + LOW) | word | LOW)
}

/// The highest bits of the bytes, side by side.
fn gathered(high: u64) -> u64 {
    (high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}
