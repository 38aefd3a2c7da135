//! What the walk leaves behind, packed by parts of 65,536 walk numbers: the walk parent of each number, and
//! for each number the numbers that refer to it apart from its parent.

use super::varint;

/// log2 of the walk numbers in a part.
pub(super) const PART_BITS: u32 = 16;
/// Walk numbers in a part.
pub(super) const PART: usize = 1 << PART_BITS;
/// Mask of a number's place in its part.
pub(super) const PLACE: u32 = PART as u32 - 1;

/// The walk parents of numbers 0, 1, 2 and on, about one byte each.
#[derive(Debug)]
pub(super) struct Parents {
    parts: Vec<Vec<u8>>,
    next: u32,
}

impl Parents {
    /// Holds number 0, the root of roots, its own parent.
    pub(super) fn new() -> Self {
        let mut parents = Self { parts: Vec::new(), next: 0 };
        parents.push(0);
        parents
    }

    /// Appends the parent of the next number; true when that began a part.
    #[inline]
    pub(super) fn push(&mut self, parent: u32) -> bool {
        let begins = self.next & PLACE == 0;
        if begins {
            self.close();
            let expected = self.parts.last().map_or(0, |part| part.len() + part.len() / 16);
            self.parts.push(Vec::with_capacity(expected));
        }
        if let Some(part) = self.parts.last_mut() {
            varint::push(part, if parent == 0 { 0 } else { u64::from(self.next - parent) });
        }
        self.next = self.next.wrapping_add(1);
        begins
    }

    /// Ends the last part.
    pub(super) fn close(&mut self) {
        if let Some(part) = self.parts.last_mut() {
            part.extend_from_slice(&[0; varint::PADDING]);
            part.shrink_to_fit();
        }
    }

    /// Numbers pushed, the root of roots included.
    pub(super) fn len(&self) -> u32 {
        self.next
    }

    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Unpacks the parents of one part.
    pub(super) fn unpack(&self, part: usize, into: &mut Vec<u32>) {
        into.clear();
        let first = (part << PART_BITS) as u32;
        let mut rest = self.parts.get(part).map_or(&[][..], Vec::as_slice);
        for number in first..self.next.min(first.saturating_add(PART as u32)) {
            let Some((back, length)) = varint::read(rest) else { break };
            rest = rest.get(length..).unwrap_or_default();
            into.push(if back == 0 { 0 } else { number.wrapping_sub(back as u32) });
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.capacity() + size_of::<Vec<u8>>()).sum()
    }
}

/// Bytes of the slab given to a part at once.
const CHUNK: usize = 4096;

/// References between walk numbers, sorted by part of the target as they come.
///
/// All bytes lie in one growing slab, in chunks that each belong to a part: nothing is moved while it grows,
/// and the allocator holds one large block that it can give back, not thousands that it cannot.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    slab: Vec<u8>,
    parts: Vec<Referrers>,
}

/// The references into one part: target and source, the source as a difference from the one before. Sources
/// come in walk order, so the differences are small even where the targets are scattered.
#[derive(Debug, Default)]
struct Referrers {
    /// Where the full chunks start in the slab, and the bytes used of each.
    full: Vec<(u64, u32)>,
    /// Where the next reference goes.
    at: usize,
    /// Where the open chunk starts.
    start: usize,
    /// Where the open chunk ends; 0 without one.
    end: usize,
    last: u32,
    count: u32,
}

impl Referrers {
    /// Closes the open chunk.
    fn close(&mut self) {
        if self.end != 0 {
            self.full.push((self.start as u64, (self.at - self.start) as u32));
            self.end = 0;
        }
    }
}

impl Inbound {
    /// Takes pairs of source and target.
    pub(super) fn take(&mut self, pairs: &[(u32, u32)]) {
        for &(source, target) in pairs {
            let part = (target >> PART_BITS) as usize;
            if part >= self.parts.len() {
                self.parts.resize_with(part + 1, Referrers::default);
            }
            let Some(referrers) = self.parts.get_mut(part) else { continue };
            if referrers.at + varint::PADDING > referrers.end {
                referrers.close();
                (referrers.start, referrers.at) = (self.slab.len(), self.slab.len());
                self.slab.resize(self.slab.len() + CHUNK, 0);
                referrers.end = self.slab.len();
            }
            let (word, length) = varint::keyed_word(target as u16, varint::delta(referrers.last, source));
            if let Some(slot) = self.slab.get_mut(referrers.at..).and_then(<[u8]>::first_chunk_mut) {
                *slot = word.to_le_bytes();
            }
            referrers.at += length;
            referrers.last = source;
            referrers.count += 1;
        }
    }

    /// Ends the taking: the bytes of each part come together, in the order of the parts.
    pub(super) fn seal(mut self) -> Sealed {
        self.parts.iter_mut().for_each(Referrers::close);
        let chunks = || self.parts.iter().flat_map(|part| &part.full);
        let total: usize = chunks().map(|&(_, used)| used as usize).sum();
        let mut sealed = Sealed { bytes: Vec::with_capacity(total + varint::PADDING), parts: Vec::new() };
        for part in &self.parts {
            sealed.parts.push((sealed.bytes.len(), part.count));
            for &(start, used) in &part.full {
                let chunk = self.slab.get(start as usize..start as usize + used as usize);
                sealed.bytes.extend_from_slice(chunk.unwrap_or_default());
            }
        }
        sealed.bytes.extend_from_slice(&[0; varint::PADDING]);
        sealed
    }

    pub(super) fn bytes(&self) -> usize {
        let full: usize = self.parts.iter().map(|part| part.full.capacity() * 16).sum();
        // The slab's spare capacity is address space that was never touched.
        self.slab.len() + full + self.parts.capacity() * size_of::<Referrers>()
    }
}

/// References between walk numbers, part by part, to be unpacked from the last part to the first.
#[derive(Debug)]
pub(super) struct Sealed {
    bytes: Vec<u8>,
    /// Where each part starts, and how many references it has.
    parts: Vec<(usize, u32)>,
}

impl Sealed {
    /// Unpacks the references into one part, the last one left, grouped by target; gives its memory back.
    pub(super) fn unpack(&mut self, part: usize, into: &mut Grouped) {
        let (start, count) = self.parts.get(part).copied().unwrap_or((usize::MAX, 0));
        let bytes = self.bytes.get(start..).unwrap_or_default();
        into.starts.clear();
        into.starts.resize(PART + 1, 0);
        for (target, _) in varint::keyed(bytes) {
            into.count(target);
        }
        into.accumulate();
        into.sources.clear();
        into.sources.resize(count as usize, 0);
        let mut last = 0;
        for (target, folded) in varint::keyed(bytes) {
            last = varint::apply(last, folded);
            into.place(target, last);
        }
        // What is left of this part serves as the padding of the one before.
        self.bytes.truncate(start.saturating_add(varint::PADDING));
        self.bytes.shrink_to_fit();
    }
}

/// The referrers of one part, target by target.
#[derive(Debug, Default)]
pub(super) struct Grouped {
    /// Where each target's sources end, once all are placed.
    starts: Vec<u32>,
    sources: Vec<u32>,
}

impl Grouped {
    /// Counts a source of this target.
    fn count(&mut self, target: u16) {
        if let Some(count) = self.starts.get_mut(target as usize + 1) {
            *count += 1;
        }
    }

    /// Counts become starts.
    fn accumulate(&mut self) {
        let mut total = 0;
        for start in &mut self.starts {
            total += *start;
            *start = total;
        }
    }

    /// Places a source; the target's start moves up to its end, which is the next one's start.
    fn place(&mut self, target: u16, source: u32) {
        if let Some(start) = self.starts.get_mut(target as usize)
            && let Some(slot) = self.sources.get_mut(*start as usize)
        {
            *slot = source;
            *start += 1;
        }
    }

    /// The sources of the target at this place of the part.
    #[inline]
    pub(super) fn sources(&self, place: usize) -> &[u32] {
        let from = place.checked_sub(1).and_then(|before| self.starts.get(before)).map_or(0, |&end| end);
        let to = self.starts.get(place).map_or(0, |&end| end);
        self.sources.get(from as usize..to as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_unpack_part_by_part() {
        let parent =
            |number: u32| if number.is_multiple_of(7) { 0 } else { (number - 1).saturating_sub(number % 6) };
        let mut parents = Parents::new();
        for number in 1..200_000 {
            assert_eq!(parents.push(parent(number)), number & PLACE == 0);
        }
        parents.close();
        assert_eq!((parents.len(), parents.parts()), (200_000, 4));
        let mut unpacked = Vec::new();
        for part in 0..4 {
            parents.unpack(part, &mut unpacked);
            for (number, &found) in ((part << PART_BITS) as u32..).zip(&unpacked) {
                assert_eq!(found, parent(number), "parent of {number}");
            }
        }
        assert_eq!(unpacked.len(), 200_000 - 3 * PART);
    }

    #[test]
    fn referrers_unpack_by_target() {
        let pairs: Vec<(u32, u32)> =
            (0..300_000u32).map(|i| (i / 2, i.wrapping_mul(0x9E37_79B1) >> 14)).collect();
        let mut inbound = Inbound::default();
        pairs.chunks(1000).for_each(|chunk| inbound.take(chunk));
        let mut expected = vec![Vec::new(); 1 << 18];
        for &(source, target) in &pairs {
            expected[target as usize].push(source);
        }
        let mut inbound = inbound.seal();
        let mut grouped = Grouped::default();
        for part in (0..4).rev() {
            inbound.unpack(part, &mut grouped);
            for place in 0..PART {
                assert_eq!(grouped.sources(place), expected[(part << PART_BITS) + place]);
            }
        }
    }
}
