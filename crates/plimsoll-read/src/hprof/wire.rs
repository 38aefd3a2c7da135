//! Numbers as the format writes them: big-endian, identifiers of one width throughout a dump.

use super::open::IdSize;

/// Reads identifiers of one width; the parser is compiled once for each.
pub(super) trait Width {
    const SIZE: IdSize;
    const BYTES: usize;
    /// The identifier at the front, and what follows.
    fn split(bytes: &[u8]) -> Option<(u64, &[u8])>;
}

pub(super) struct Four;
pub(super) struct Eight;

impl Width for Four {
    const SIZE: IdSize = IdSize::Four;
    const BYTES: usize = 4;

    #[inline(always)]
    fn split(bytes: &[u8]) -> Option<(u64, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        Some((u64::from(u32::from_be_bytes(*head)), rest))
    }
}

impl Width for Eight {
    const SIZE: IdSize = IdSize::Eight;
    const BYTES: usize = 8;

    #[inline(always)]
    fn split(bytes: &[u8]) -> Option<(u64, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*head), rest))
    }
}

#[inline(always)]
pub(super) fn u8_of(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (head, rest) = bytes.split_first()?;
    Some((*head, rest))
}

#[inline(always)]
pub(super) fn u16_of(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*head), rest))
}

#[inline(always)]
pub(super) fn u32_of(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*head), rest))
}

/// An identifier of either width.
pub(crate) fn id_of(size: IdSize, bytes: &[u8]) -> Option<(u64, &[u8])> {
    match size {
        IdSize::Four => Four::split(bytes),
        IdSize::Eight => Eight::split(bytes),
    }
}

/// An unsigned number that fills `bytes`, eight at most.
pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}
