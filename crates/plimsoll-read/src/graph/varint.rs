//! Small numbers in few bytes: one to five bytes, the count of bytes readable off the first, so that reading
//! takes one load, one count of zeros and one mask.

/// Zero bytes that must follow the last number so that eight bytes can always be loaded.
pub(super) const PADDING: usize = 8;

/// The largest number, exclusive.
pub(super) const LIMIT: u64 = 1 << 35;

/// The bytes of a number below [`LIMIT`] in a word, and how many they are.
#[inline]
pub(super) fn word(value: u64) -> (u64, usize) {
    debug_assert!(value < LIMIT, "the callers' numbers have 35 bits at most");
    let significant = (64 - (value | 1).leading_zeros()) as usize;
    let len = significant.div_ceil(7);
    ((value << len) | (1 << (len - 1)), len)
}

/// Appends a number below [`LIMIT`].
#[inline]
pub(super) fn push(bytes: &mut Vec<u8>, value: u64) {
    let (word, len) = word(value);
    push_word(bytes, word, len);
}

/// The bytes of a 16-bit key and a number below [`LIMIT`] in a word, and how many they are.
#[inline]
pub(super) fn keyed_word(key: u16, value: u64) -> (u64, usize) {
    let (word, len) = word(value);
    ((word << 16) | u64::from(key), len + 2)
}

/// Appends a 16-bit key and a number below [`LIMIT`].
#[inline]
pub(super) fn push_keyed(bytes: &mut Vec<u8>, key: u16, value: u64) {
    let (word, len) = keyed_word(key, value);
    push_word(bytes, word, len);
}

/// A fixed-size copy and a cut are cheaper than a copy of varying size.
#[inline]
fn push_word(bytes: &mut Vec<u8>, word: u64, len: usize) {
    let end = bytes.len() + len;
    bytes.extend_from_slice(&word.to_le_bytes());
    bytes.truncate(end);
}

/// Reads a number and its length in bytes; `None` when fewer than eight bytes are left.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Option<(u64, usize)> {
    Some(decode(u64::from_le_bytes(*bytes.first_chunk()?)))
}

#[inline]
fn decode(word: u64) -> (u64, usize) {
    let len = (word.trailing_zeros() & 7) + 1;
    ((word << (64 - 8 * len)) >> (64 - 8 * len) >> len, len as usize)
}

/// Reads a key and a number, and their length in bytes; `None` when fewer than eight bytes are left.
#[inline]
pub(super) fn read_keyed(bytes: &[u8]) -> Option<((u16, u64), usize)> {
    let word = u64::from_le_bytes(*bytes.first_chunk()?);
    let (value, len) = decode(word >> 16);
    Some(((word as u16, value), len + 2))
}

/// The key and number pairs of a sequence made with [`push_keyed`] and closed with [`PADDING`] bytes.
pub(super) fn keyed(bytes: &[u8]) -> impl Iterator<Item = (u16, u64)> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.len() <= PADDING {
            return None;
        }
        let (pair, len) = read_keyed(rest)?;
        rest = rest.get(len..)?;
        Some(pair)
    })
}

/// Folds a signed number so that small magnitudes are small.
#[inline]
pub(super) fn fold(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Undoes [`fold`].
#[inline]
pub(super) fn unfold(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// From `base` to `value`, folded.
#[inline]
pub(super) fn delta(base: u32, value: u32) -> u64 {
    fold(i64::from(value) - i64::from(base))
}

/// Undoes [`delta`].
#[inline]
pub(super) fn apply(base: u32, folded: u64) -> u32 {
    base.wrapping_add(unfold(folded) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_reads_back() {
        for bits in 0..35 {
            for value in [1u64 << bits, (1 << bits) - 1, (1 << bits) + 1] {
                let mut bytes = Vec::new();
                push(&mut bytes, value);
                let len = bytes.len();
                assert!(len <= 5, "{len} bytes for {value}");
                bytes.extend([0xAA; PADDING]);
                assert_eq!(read(&bytes), Some((value, len)));
            }
        }
    }

    #[test]
    fn keyed_numbers_read_back() {
        let pairs = [(0u16, 0u64), (u16::MAX, (1 << 33) - 1), (7, 127), (8, 128), (9, 1 << 28)];
        let mut bytes = Vec::new();
        pairs.iter().for_each(|&(key, value)| push_keyed(&mut bytes, key, value));
        bytes.extend([0; PADDING]);
        assert!(keyed(&bytes).eq(pairs));
    }

    #[test]
    fn the_whole_range_of_differences_reads_back() {
        for base in [0, 1, 5_000, u32::MAX - 3] {
            for value in [0, 1, 4_999, 5_001, u32::MAX - 3] {
                let folded = delta(base, value);
                assert!(folded < 1 << 33);
                assert_eq!(apply(base, folded), value);
            }
        }
    }
}
