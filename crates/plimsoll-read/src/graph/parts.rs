//! What the walk leaves behind, packed by parts of 65,536 walk numbers: the walk parent of each number, for each number
//! the numbers that refer to it apart from its parent, and who else refers to the leaves that it leads to.

use super::varint;

/// log2 of the walk numbers in a part.
pub(super) const PART_BITS: u32 = 16;
/// Walk numbers in a part.
pub(super) const PART: usize = 1 << PART_BITS;
/// Mask of a number's place in its part.
pub(super) const PLACE: u32 = PART as u32 - 1;

/// Bytes part by part in one block of memory: the allocator gives a large block back, as it does not with many small ones.
#[derive(Debug, Default)]
pub(super) struct Runs {
    bytes: Vec<u8>,
    /// Where each part begins and ends.
    spans: Vec<(usize, usize)>,
}

impl Runs {
    /// Appends the next part; `fill` must end what it appends with [`varint::PADDING`].
    pub(super) fn push(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        fill(&mut self.bytes);
        self.spans.push((start, self.bytes.len()));
    }

    /// The bytes of a part, in order of appending.
    pub(super) fn get(&self, at: usize) -> &[u8] {
        self.spans.get(at).and_then(|&(start, end)| self.bytes.get(start..end)).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn bytes(&self) -> usize {
        // The spare capacity is address space that was never touched.
        self.bytes.len() + self.spans.capacity() * 16
    }
}

/// The walk parents of numbers 0, 1, 2 and on, about one byte each.
#[derive(Debug)]
pub(super) struct Parents {
    bytes: Vec<u8>,
    /// Where each part begins.
    starts: Vec<usize>,
    next: u32,
}

impl Parents {
    /// Holds number 0, the root of roots, its own parent.
    pub(super) fn new() -> Self {
        let mut parents = Self { bytes: Vec::new(), starts: Vec::new(), next: 0 };
        parents.push(0);
        parents
    }

    /// Appends the parent of the next number; true when that began a part.
    #[inline]
    pub(super) fn push(&mut self, parent: u32) -> bool {
        let begins = self.next & PLACE == 0;
        if begins {
            self.starts.push(self.bytes.len());
        }
        varint::push(&mut self.bytes, if parent == 0 { 0 } else { u64::from(self.next - parent) });
        self.next = self.next.wrapping_add(1);
        begins
    }

    /// Ends the last part.
    pub(super) fn close(&mut self) {
        self.bytes.extend_from_slice(&[0; varint::PADDING]);
    }

    /// Numbers pushed, the root of roots included.
    pub(super) fn len(&self) -> u32 {
        self.next
    }

    pub(super) fn parts(&self) -> usize {
        self.starts.len()
    }

    /// Appends the parents of one part.
    pub(super) fn unpack(&self, part: usize, into: &mut Vec<u32>) {
        let first = (part << PART_BITS) as u32;
        let start = self.starts.get(part).copied().unwrap_or(usize::MAX);
        let mut rest = self.bytes.get(start..).unwrap_or_default();
        for number in first..self.next.min(first.saturating_add(PART as u32)) {
            let Some((back, length)) = varint::read(rest) else { break };
            rest = rest.get(length..).unwrap_or_default();
            into.push(if back == 0 { 0 } else { number.wrapping_sub(back as u32) });
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.starts.capacity() * 8
    }
}

/// Bytes of the slab given to a part at once.
const CHUNK: usize = 4096;
/// Bytes of one entry at most, as they are written: what is behind its end is overwritten by the next.
const ENTRY: usize = 16;

/// Entries sorted by part as they come.
///
/// All bytes lie in one growing slab, in chunks that each belong to a part: nothing is moved while it grows,
/// and the allocator holds one large block that it can give back, not thousands that it cannot.
#[derive(Debug, Default)]
struct Parted {
    slab: Vec<u8>,
    parts: Vec<Chunks>,
}

/// The entries of one part. Sources come in walk order, so their differences are small even where the targets are
/// scattered.
#[derive(Debug, Default)]
struct Chunks {
    /// Where the full chunks start in the slab, and the bytes used of each.
    full: Vec<(u64, u32)>,
    /// Where the next entry goes.
    at: usize,
    /// Where the open chunk starts.
    start: usize,
    /// Where the open chunk ends; 0 without one.
    end: usize,
    last_source: u32,
    last_leaf: u32,
    count: u32,
}

impl Chunks {
    /// Closes the open chunk.
    fn close(&mut self) {
        if self.end != 0 {
            self.full.push((self.start as u64, (self.at - self.start) as u32));
            self.end = 0;
        }
    }
}

impl Parted {
    /// A new entry of a part: its chunks, and room for the entry, of which `write` tells the bytes it took.
    #[inline]
    fn enter(&mut self, part: usize, write: impl FnOnce(&mut Chunks, &mut [u8; ENTRY]) -> usize) {
        if part >= self.parts.len() {
            self.parts.resize_with(part + 1, Chunks::default);
        }
        let Some(chunks) = self.parts.get_mut(part) else { return };
        if chunks.at + ENTRY > chunks.end {
            chunks.close();
            (chunks.start, chunks.at) = (self.slab.len(), self.slab.len());
            self.slab.resize(self.slab.len() + CHUNK, 0);
            chunks.end = self.slab.len();
        }
        if let Some(room) = self.slab.get_mut(chunks.at..).and_then(<[u8]>::first_chunk_mut) {
            let taken = write(chunks, room);
            chunks.at += taken;
            chunks.count += 1;
        }
    }

    /// The bytes of each part come together, in the order of the parts.
    fn seal(mut self) -> Sealed {
        self.parts.iter_mut().for_each(Chunks::close);
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

    fn bytes(&self) -> usize {
        let full: usize = self.parts.iter().map(|part| part.full.capacity() * 16).sum();
        // The slab's spare capacity is address space that was never touched.
        self.slab.len() + full + self.parts.capacity() * size_of::<Chunks>()
    }
}

/// A further reference to a leaf, which has no number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LeafReference {
    /// The number that led to the leaf first.
    pub(super) parent: u32,
    /// The leaf, by its index as an object.
    pub(super) leaf: u32,
    /// The number that refers to it too.
    pub(super) source: u32,
}

/// References that did not lead to anything fresh.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    numbers: Parted,
    leaves: Parted,
}

impl Inbound {
    /// Takes a reference from one number to another.
    #[inline]
    pub(super) fn take(&mut self, source: u32, target: u32) {
        self.numbers.enter((target >> PART_BITS) as usize, |chunks, room| {
            let folded = varint::delta(chunks.last_source, source);
            chunks.last_source = source;
            write_keyed(room, target as u16, folded)
        });
    }

    /// Takes a reference to a leaf.
    pub(super) fn take_leaf(&mut self, LeafReference { parent, leaf, source }: LeafReference) {
        self.leaves.enter((parent >> PART_BITS) as usize, |chunks, room| {
            let of_leaf = varint::delta(chunks.last_leaf, leaf);
            let of_source = varint::delta(chunks.last_source, source);
            (chunks.last_leaf, chunks.last_source) = (leaf, source);
            let taken = write_keyed(room, parent as u16, of_leaf);
            let (word, length) = varint::word(of_source);
            if let Some(rest) = room.get_mut(taken..).and_then(<[u8]>::first_chunk_mut) {
                *rest = word.to_le_bytes();
            }
            taken + length
        });
    }

    /// Ends the taking: references to numbers, and to leaves.
    pub(super) fn seal(self) -> (Sealed, Sealed) {
        (self.numbers.seal(), self.leaves.seal())
    }

    pub(super) fn bytes(&self) -> usize {
        self.numbers.bytes() + self.leaves.bytes()
    }
}

/// Writes a key and a number at the front; tells how many bytes they are.
#[inline]
fn write_keyed(room: &mut [u8; ENTRY], key: u16, value: u64) -> usize {
    let (word, length) = varint::keyed_word(key, value);
    if let Some(front) = room.first_chunk_mut() {
        *front = word.to_le_bytes();
    }
    length
}

/// Entries part by part, to be unpacked from the last part to the first.
#[derive(Debug)]
pub(super) struct Sealed {
    bytes: Vec<u8>,
    /// Where each part starts, and how many entries it has.
    parts: Vec<(usize, u32)>,
}

impl Sealed {
    fn part(&self, part: usize) -> (&[u8], usize, usize) {
        let (start, count) = self.parts.get(part).copied().unwrap_or((usize::MAX, 0));
        (self.bytes.get(start..).unwrap_or_default(), start, count as usize)
    }

    /// Gives the memory of the last part back; what is left of it serves as the padding of the one before.
    fn drop_from(&mut self, start: usize) {
        self.bytes.truncate(start.saturating_add(varint::PADDING));
        self.bytes.shrink_to_fit();
    }

    /// Unpacks the references into one part, the last one left, grouped by target; gives its memory back.
    pub(super) fn unpack(&mut self, part: usize, into: &mut Grouped) {
        let (bytes, start, count) = self.part(part);
        into.starts.clear();
        into.starts.resize(PART + 1, 0);
        for (target, _) in varint::keyed(bytes) {
            into.count(target);
        }
        into.accumulate();
        into.sources.clear();
        into.sources.resize(count, 0);
        let mut last = 0;
        for (target, folded) in varint::keyed(bytes) {
            last = varint::apply(last, folded);
            into.place(target, last);
        }
        self.drop_from(start);
    }

    /// Unpacks the references to leaves of one part, the last one left, sorted; gives its memory back.
    pub(super) fn unpack_leaves(&mut self, part: usize) -> Vec<LeafReference> {
        let (mut rest, start, count) = self.part(part);
        let first = (part << PART_BITS) as u32;
        let mut references = Vec::with_capacity(count);
        let (mut leaf, mut source) = (0, 0);
        while references.len() < count {
            let Some(((key, of_leaf), length)) = varint::read_keyed(rest) else { break };
            rest = rest.get(length..).unwrap_or_default();
            let Some((of_source, length)) = varint::read(rest) else { break };
            rest = rest.get(length..).unwrap_or_default();
            (leaf, source) = (varint::apply(leaf, of_leaf), varint::apply(source, of_source));
            references.push(LeafReference { parent: first + u32::from(key), leaf, source });
        }
        self.drop_from(start);
        references.sort_unstable();
        references
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
            unpacked.clear();
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
        pairs.iter().for_each(|&(source, target)| inbound.take(source, target));
        let mut expected = vec![Vec::new(); 1 << 18];
        for &(source, target) in &pairs {
            expected[target as usize].push(source);
        }
        let (mut inbound, _) = inbound.seal();
        let mut grouped = Grouped::default();
        for part in (0..4).rev() {
            inbound.unpack(part, &mut grouped);
            for place in 0..PART {
                assert_eq!(grouped.sources(place), expected[(part << PART_BITS) + place]);
            }
        }
    }

    #[test]
    fn references_to_leaves_unpack_sorted() {
        let draw = |i: u32, salt: u32, below: u32| (i.wrapping_mul(0x9E37_79B1) ^ salt) % below;
        let mut expected: Vec<LeafReference> = (0..200_000)
            .map(|i| LeafReference { parent: draw(i, 7, 200_000), leaf: draw(i, 9, u32::MAX - 2), source: i })
            .collect();
        let mut inbound = Inbound::default();
        expected.iter().for_each(|reference| inbound.take_leaf(*reference));
        let (_, mut leaves) = inbound.seal();
        expected.sort_unstable();
        let mut unpacked: Vec<Vec<LeafReference>> =
            (0..4).rev().map(|part| leaves.unpack_leaves(part)).collect();
        unpacked.reverse();
        assert_eq!(unpacked.concat(), expected);
    }
}
