//! The chunks of a glibc heap, walked over its bytes: how much is allocated and how much is free inside.
//!
//! Each chunk begins with two words, the size of the chunk before (only while that one is free) and its own
//! size, whose three low bits are flags; bit 0 says that the chunk *before* is in use. So a chunk is free when
//! its successor's bit 0 is clear. The last chunk is the top: free by definition. Small freed chunks that wait
//! in the thread cache or a fast bin keep looking allocated: the free share is a lower bound.
//! 64-bit little-endian only. Source of the layout: glibc's `malloc/malloc.c` and `arena.c`, unchanged since 2.3.

/// What a walk found, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chunks {
    /// In allocated chunks, headers included.
    pub in_use: u64,
    /// In free chunks and the top.
    pub free: u64,
    /// Chunks walked.
    pub count: u64,
}

impl Chunks {
    /// Adds another heap's chunks.
    pub fn add(&mut self, other: Chunks) {
        self.in_use = self.in_use.saturating_add(other.in_use);
        self.free = self.free.saturating_add(other.free);
        self.count = self.count.saturating_add(other.count);
    }
}

/// Why a walk ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// The chain left the heap: the bytes changed while they were read, or this is no glibc heap.
    #[error("the chain of chunks breaks after {0} bytes")]
    Broken(u64),
    /// The bytes ended before the heap did.
    #[error("the heap could be read for {0} bytes only")]
    Cut(u64),
}

const FLAGS: u64 = 0x7;
const PREVIOUS_IN_USE: u64 = 0x1;
const MAPPED: u64 = 0x2;
/// Smallest chunk and alignment.
const SMALLEST: u64 = 32;
const ALIGNMENT: u64 = 16;
/// What an arena leaves at the end of a heap that it has outgrown: a chunk of a bare header, then a size of 0.
const FENCE: u64 = 2 * ALIGNMENT;

/// glibc reserves an arena's heaps in blocks of this size, aligned to it.
pub const HEAP_MAX: u64 = 64 << 20;
const PAGE: u64 = 4096;

/// The head of one of an arena's heaps (`heap_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeapInfo {
    /// Where it begins: a multiple of [`HEAP_MAX`].
    pub base: u64,
    /// Bytes that the arena uses. A shrunk heap stays mapped behind them.
    pub size: u64,
    /// Bytes that are writable.
    pub writable: u64,
    /// True for the heap that the arena began with, which holds the arena's own state.
    pub first: bool,
}

impl HeapInfo {
    /// Bytes of a head.
    pub const BYTES: usize = 32;

    /// Reads the head at address `base`; `None` where the words there are no such head.
    pub fn read(base: u64, head: &[u8]) -> Option<HeapInfo> {
        let word = |i: usize| Some(u64::from_le_bytes(head.get(8 * i..8 * i + 8)?.try_into().ok()?));
        let (arena, previous, size, writable) = (word(0)?, word(1)?, word(2)?, word(3)?);
        let sizes = size.is_multiple_of(PAGE)
            && writable.is_multiple_of(PAGE)
            && (PAGE..=writable).contains(&size)
            && writable <= HEAP_MAX;
        // The arena's state lies in its first heap, right behind the head.
        let first = previous == 0;
        let own = arena.checked_sub(base).is_some_and(|d| (1..PAGE).contains(&d));
        let other = arena % HEAP_MAX < PAGE && arena >= HEAP_MAX;
        let linked =
            if first { own } else { other && !own && previous != base && previous.is_multiple_of(HEAP_MAX) };
        let sound = base.is_multiple_of(HEAP_MAX) && arena.is_multiple_of(ALIGNMENT) && sizes && linked;
        sound.then_some(HeapInfo { base, size, writable, first })
    }

    /// Offset of the heap's first chunk, told by the bytes at its begin.
    pub fn first_chunk(&self, bytes: &[u8]) -> Option<u64> {
        if self.first {
            return first_chunk(bytes, self.size);
        }
        // Behind the head alone, which got a fifth word in 2.35.
        let opens = |at: &u64| word_at(bytes, *at).is_some_and(|w| is_chunk(w) && w & PREVIOUS_IN_USE != 0);
        [32, 48].into_iter().find(opens)
    }
}

/// Walks a heap of `length` bytes, fed in pieces of any size: a heap of gigabytes needs no gigabytes here.
#[derive(Debug)]
pub struct Walk {
    length: u64,
    /// Offset of the chunk whose size word comes next.
    at: u64,
    /// Offset behind the bytes fed so far.
    fed: u64,
    /// Size of the chunk before `at`, whose state its successor tells.
    pending: Option<u64>,
    /// Bytes of a size word that is split between two pieces.
    word: [u8; 8],
    have: usize,
    found: Chunks,
    done: bool,
}

impl Walk {
    /// A walk over a heap whose first chunk lies at offset `first` of its `length` bytes.
    pub fn new(first: u64, length: u64) -> Walk {
        Walk {
            length,
            at: first,
            fed: 0,
            pending: None,
            word: [0; 8],
            have: 0,
            found: Chunks::default(),
            done: false,
        }
    }

    /// Offset of the next byte that matters: pieces up to there need not be read.
    pub fn wants(&self) -> u64 {
        self.at.saturating_add(8).saturating_add(self.have as u64).max(self.fed)
    }

    /// True when the top has been reached.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The heap is longer than it was when the walk began: a walk that broke at a top which reaches beyond the end
    /// may go on.
    pub fn grow(&mut self, length: u64) {
        self.length = self.length.max(length);
    }

    /// Takes in the bytes at `offset`, which must not lie behind [`Walk::wants`].
    pub fn feed(&mut self, offset: u64, piece: &[u8]) -> Result<(), WalkError> {
        let end = offset.saturating_add(piece.len() as u64);
        while !self.done {
            let from = self.at.saturating_add(8 + self.have as u64);
            if from >= end {
                break;
            }
            let Some(start) = from.checked_sub(offset) else { return Err(WalkError::Broken(self.at)) };
            let rest = piece.get(start as usize..).unwrap_or_default();
            let take = rest.len().min(8 - self.have);
            for (slot, byte) in self.word.iter_mut().skip(self.have).zip(rest) {
                *slot = *byte;
            }
            self.have += take;
            if self.have < 8 {
                break;
            }
            self.have = 0;
            self.chunk(u64::from_le_bytes(self.word))?;
        }
        self.fed = self.fed.max(end);
        Ok(())
    }

    /// One size word: it closes the chunk before and opens its own.
    fn chunk(&mut self, word: u64) -> Result<(), WalkError> {
        let size = word & !FLAGS;
        let left = self.length.saturating_sub(self.at);
        if is_fence(word, left) {
            if let Some(before) = self.pending.take() {
                self.book(before, word & PREVIOUS_IN_USE != 0);
            }
            self.done = true;
            return Ok(());
        }
        if !is_chunk(word) || size > left {
            return Err(WalkError::Broken(self.at));
        }
        if let Some(before) = self.pending.take() {
            self.book(before, word & PREVIOUS_IN_USE != 0);
        }
        self.at = self.at.saturating_add(size);
        // The top ends with the heap; what is left behind it is less than a chunk or a fence.
        if self.length - self.at < ALIGNMENT {
            self.book(size, false);
            self.done = true;
        } else {
            self.pending = Some(size);
        }
        Ok(())
    }

    fn book(&mut self, size: u64, in_use: bool) {
        self.found.count += 1;
        let side = if in_use { &mut self.found.in_use } else { &mut self.found.free };
        *side = side.saturating_add(size);
    }

    /// What was found; an error when the top was not reached.
    pub fn finish(self) -> Result<Chunks, WalkError> {
        if self.done { Ok(self.found) } else { Err(WalkError::Cut(self.at)) }
    }
}

/// Walks bytes that are all in memory.
pub fn walk(bytes: &[u8], first: u64) -> Result<Chunks, WalkError> {
    let mut walk = Walk::new(first, bytes.len() as u64);
    walk.feed(0, bytes)?;
    walk.finish()
}

/// Offset of the first chunk of a secondary heap: behind `heap_info` and, in an arena's first heap, behind the
/// arena's own state. Found by trying: the right one is followed by a chain that holds for `DEPTH` chunks.
pub fn first_chunk(head: &[u8], length: u64) -> Option<u64> {
    const DEPTH: usize = 16;
    const TRIED: u64 = 4096;
    (ALIGNMENT..TRIED).step_by(ALIGNMENT as usize).find(|first| {
        let mut at = *first;
        let mut seen = 0;
        while seen < DEPTH {
            let Some(word) = word_at(head, at) else { return seen >= 2 };
            let size = word & !FLAGS;
            if seen > 0 && is_fence(word, length - at) {
                return true;
            }
            // The first chunk of a heap has nothing before it, which counts as in use.
            if !is_chunk(word) || (seen == 0 && word & PREVIOUS_IN_USE == 0) {
                return false;
            }
            // Where a chunk ends is checked before it is believed: its size may be any number.
            let Some(end) = at.checked_add(size).filter(|end| *end <= length) else { return false };
            at = end;
            seen += 1;
            if length - at < ALIGNMENT {
                return true;
            }
        }
        true
    })
}

/// True for a word that can be the size of a chunk inside a heap.
fn is_chunk(word: u64) -> bool {
    let size = word & !FLAGS;
    word & MAPPED == 0 && size >= SMALLEST && size.is_multiple_of(ALIGNMENT)
}

/// True for the size words that close a heap with `left` bytes before its end.
fn is_fence(word: u64, left: u64) -> bool {
    let size = word & !FLAGS;
    word & MAPPED == 0 && ((size == ALIGNMENT && left == FENCE) || (size == 0 && left == ALIGNMENT))
}

fn word_at(bytes: &[u8], chunk: u64) -> Option<u64> {
    let at = usize::try_from(chunk.checked_add(8)?).ok()?;
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heap of chunks `(size, in use)`, the last one being the top.
    fn heap(chunks: &[(u64, bool)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut before = true;
        for (size, used) in chunks {
            let mut chunk = vec![0u8; *size as usize];
            chunk[8..16].copy_from_slice(&(size | u64::from(before)).to_le_bytes());
            out.extend(chunk);
            before = *used;
        }
        out
    }

    #[test]
    fn a_chunk_is_free_when_its_successor_says_so() {
        let h = heap(&[(0x290, true), (48, true), (64, false), (32, true), (4096, false)]);
        let c = walk(&h, 0).expect("whole");
        assert_eq!((c.in_use, c.free, c.count), (0x290 + 48 + 32, 64 + 4096, 5));
    }

    #[test]
    fn pieces_of_any_size_give_the_same() {
        let h = heap(&[(0x290, true), (48, false), (64, true), (1024, true), (512, false)]);
        let whole = walk(&h, 0).expect("whole");
        for size in 1..40 {
            let mut w = Walk::new(0, h.len() as u64);
            for (i, piece) in h.chunks(size).enumerate() {
                w.feed((i * size) as u64, piece).expect("sound");
            }
            assert_eq!(w.finish(), Ok(whole), "pieces of {size}");
        }
    }

    #[test]
    fn a_torn_or_cut_heap_is_an_error() {
        let mut h = heap(&[(64, true), (64, true), (128, false)]);
        assert_eq!(walk(&h[..100], 0), Err(WalkError::Broken(64)));
        h[72] = 5;
        assert!(matches!(walk(&h, 0), Err(WalkError::Broken(64))));
        let mut w = Walk::new(0, 256);
        w.feed(0, &heap(&[(64, true)])).expect("sound so far");
        assert_eq!(w.finish(), Err(WalkError::Cut(64)));
    }

    #[test]
    fn the_first_chunk_of_a_secondary_heap_is_found_behind_its_state() {
        let mut h = vec![0xffu8; 0x8b0];
        let chunks: Vec<(u64, bool)> = (0..40).map(|i| (32 + 16 * (i % 5), i % 3 != 0)).collect();
        h.extend(heap(&chunks));
        assert_eq!(first_chunk(&h, h.len() as u64), Some(0x8b0));
        assert_eq!(first_chunk(&[0u8; 5000], 5000), None);
    }

    /// A heap that its arena has outgrown: the fence of two bare headers stands at its end.
    fn outgrown(chunks: &[(u64, bool)]) -> Vec<u8> {
        let mut h = heap(chunks);
        let last_used = chunks.last().is_some_and(|(_, used)| *used);
        for word in [0, 16 | u64::from(last_used), 0, PREVIOUS_IN_USE] {
            h.extend(u64::to_le_bytes(word));
        }
        h
    }

    #[test]
    fn the_fence_of_an_outgrown_heap_ends_the_walk() {
        let c = walk(&outgrown(&[(64, true), (96, true), (4096, false)]), 0).expect("whole");
        assert_eq!((c.in_use, c.free, c.count), (160, 4096, 3));
        let c = walk(&outgrown(&[(64, false), (96, true)]), 0).expect("whole");
        assert_eq!((c.in_use, c.free, c.count), (96, 64, 2));
        // Where not even a smallest chunk was left, the last chunk reaches up to the size of 0.
        let mut short = heap(&[(64, true), (48, true)]);
        short.extend([0, PREVIOUS_IN_USE].map(u64::to_le_bytes).concat());
        assert_eq!(walk(&short, 0).expect("whole").in_use, 112);
        assert_eq!(
            first_chunk(&[&[0u8; 48][..], &outgrown(&[(64, true), (96, true)])].concat(), 240),
            Some(48)
        );
    }

    #[test]
    fn a_top_that_has_grown_goes_on_when_the_heap_is_known_to_be_longer() {
        let h = heap(&[(64, true), (96, true), (4096, false)]);
        let short = &h[..1024];
        let mut w = Walk::new(0, 1024);
        assert_eq!(w.feed(0, short), Err(WalkError::Broken(160)));
        w.grow(h.len() as u64);
        w.feed(w.wants(), &h[w.wants() as usize..]).expect("sound");
        assert_eq!(w.finish().map(|c| (c.in_use, c.free)), Ok((160, 4096)));
    }

    #[test]
    fn a_bare_header_inside_a_heap_is_no_fence() {
        let mut h = outgrown(&[(64, true)]);
        h.extend([0u8; 64]);
        assert_eq!(walk(&h, 0), Err(WalkError::Broken(64)));
    }

    #[test]
    fn a_head_is_believed_only_when_its_words_agree() {
        const BASE: u64 = 0x7f00_0000_0000;
        let head = |words: [u64; 4]| HeapInfo::read(BASE, &words.map(u64::to_le_bytes).concat());
        let first = HeapInfo { base: BASE, size: 0x21000, writable: 0x30000, first: true };
        assert_eq!(head([BASE + 0x30, 0, 0x21000, 0x30000]), Some(first));
        let second = HeapInfo { base: BASE, size: HEAP_MAX, writable: HEAP_MAX, first: false };
        assert_eq!(head([BASE - HEAP_MAX + 0x30, BASE - HEAP_MAX, HEAP_MAX, HEAP_MAX]), Some(second));
        for wrong in [
            [0, 0, 0x21000, 0x30000],
            [BASE + 0x30, 0, 0x31000, 0x30000],
            [BASE + 0x30, 0, 0x21001, 0x30000],
            [BASE + 0x30, 0, 0x21000, HEAP_MAX + PAGE],
            [BASE + 0x30, BASE, 0x21000, 0x30000],
            [BASE - HEAP_MAX + 0x30, BASE + 5, PAGE, PAGE],
            [BASE - 0x30, BASE - HEAP_MAX, PAGE, PAGE],
        ] {
            assert_eq!(head(wrong), None, "{wrong:x?}");
        }
        assert_eq!(HeapInfo::read(BASE, &[0; 31]), None);
        // One free chunk may fill a second heap: its first chunk is known without a chain.
        for at in [32, 48] {
            let mut bytes = vec![0u8; at + 16];
            bytes[at + 8..].copy_from_slice(&0x3fff_ff01_u64.to_le_bytes());
            assert_eq!(second.first_chunk(&bytes), Some(at as u64));
        }
    }

    #[test]
    fn a_chunk_whose_end_is_no_address_is_no_first_chunk() {
        // Found by fuzzing: where the heap's length is any number, the end of the chunk overflowed.
        let mut head = vec![0u8; 4200];
        head[16 + 8..16 + 16].copy_from_slice(&(!0xe_u64).to_le_bytes());
        assert_eq!(first_chunk(&head, u64::MAX), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600), first in 0u64..700) {
            let _walked = walk(&bytes, first);
            let _first = first_chunk(&bytes, first);
            let _head = HeapInfo::read(first, &bytes);
        }
    }
}
