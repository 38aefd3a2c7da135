//! From an object's address to its number and back: a bitmap over the address space with running counts.
//!
//! One bit per 8 bytes of the pages that hold objects, and a count per 512 bits: half a byte per object on a heap as
//! JVMs fill it, one or two cache misses a lookup, no sorting, any order of insertion. Addresses that are no
//! multiple of 8, and all of them where they lie too far apart for a bitmap, are kept as a sorted list.
#![expect(clippy::indexing_slicing, reason = "slots and words are computed here, from the sizes made here")]

use std::collections::HashMap;

use super::{GraphError, MOST_NODES, Node};

/// Bytes of address space per page, as a power of two.
const PAGE_BITS: u32 = 17;
/// Words of 64 bits per page.
const WORDS: usize = 1 << (PAGE_BITS - 3 - 6);
/// Words per running count.
const GROUP: usize = 8;
const GROUPS: usize = WORDS / GROUP;
/// Bytes of bitmap that may be spent without asking whether they pay.
const FREE_BYTES: usize = 64 << 20;
/// Bytes per address above which a sorted list is smaller.
const DEAR: usize = 16;
/// Directory slots per page above which pages are looked up by search.
const SPARSE: u64 = 64;

type Page = [u64; WORDS];

/// Addresses being collected.
#[derive(Debug, Default)]
pub struct AddressSet {
    slots: HashMap<u64, u32>,
    pages: Vec<Page>,
    /// The page of the last address: neighbours come in runs.
    last: Option<(u64, u32)>,
    aligned: u64,
    others: Vec<u64>,
    /// Bitmaps do not pay here.
    listed: bool,
    duplicates: u64,
}

impl AddressSet {
    /// An empty set.
    pub fn new() -> Self {
        AddressSet::default()
    }

    /// Adds an address; whether it was new is known at the end only for those that are no multiple of 8.
    pub fn insert(&mut self, address: u64) {
        if self.listed || !address.is_multiple_of(8) {
            return self.others.push(address);
        }
        let page = address >> PAGE_BITS;
        let slot = match self.last {
            Some((last, slot)) if last == page => slot,
            _ => self.slot(page),
        };
        self.last = Some((page, slot));
        let bit = (address >> 3) as usize & (WORDS * 64 - 1);
        let word = &mut self.pages[slot as usize][bit / 64];
        let mask = 1u64 << (bit % 64);
        if *word & mask == 0 {
            *word |= mask;
            self.aligned += 1;
        } else {
            self.duplicates += 1;
        }
    }

    fn slot(&mut self, page: u64) -> u32 {
        let next = self.pages.len() as u32;
        let slot = *self.slots.entry(page).or_insert(next);
        if slot == next {
            self.pages.push([0; WORDS]);
            self.weigh();
        }
        slot
    }

    /// Gives the bitmap up where addresses lie so far apart that a list is smaller: a hostile dump must not take
    /// more memory than its objects are worth.
    fn weigh(&mut self) {
        let bytes = self.pages.len() * size_of::<Page>();
        if bytes > FREE_BYTES && bytes as u64 > DEAR as u64 * self.aligned {
            // The page just made is still empty and stays so; insertion goes on in it once.
            self.listed = true;
        }
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        self.pages.capacity() * size_of::<Page>() + self.slots.capacity() * 17 + self.others.capacity() * 8
    }

    /// Numbers the addresses. An error when there are more than numbers.
    pub fn freeze(mut self) -> Result<AddressRank, GraphError> {
        let mut order: Vec<(u64, u32)> = self.slots.drain().collect();
        order.sort_unstable();
        let mut counts = vec![0u32; self.pages.len() * GROUPS];
        let mut total = 0u64;
        let mut firsts = Vec::with_capacity(order.len());
        for (_, slot) in &order {
            firsts.push(total.min(MOST_NODES) as u32);
            for (g, group) in self.pages[*slot as usize].chunks_exact(GROUP).enumerate() {
                counts[*slot as usize * GROUPS + g] = total.min(MOST_NODES) as u32;
                total += group.iter().map(|w| u64::from(w.count_ones())).sum::<u64>();
            }
        }
        let bitmap = total;
        let mut rank = AddressRank {
            directory: Directory::of(&order),
            order,
            firsts,
            pages: self.pages,
            counts,
            bitmap: 0,
            others: Vec::new(),
            duplicates: self.duplicates,
        };
        let listed = self.others.len();
        self.others.sort_unstable();
        self.others.dedup();
        // While the bitmap was being given up an address may have come both ways.
        self.others.retain(|a| rank.bit(*a).is_none());
        rank.duplicates += (listed - self.others.len()) as u64;
        rank.others = self.others;
        let all = bitmap + rank.others.len() as u64;
        if all > MOST_NODES {
            return Err(GraphError::TooMany(all));
        }
        rank.bitmap = bitmap as u32;
        Ok(rank)
    }
}

/// Where the page of an address is.
#[derive(Debug)]
enum Directory {
    /// By its distance from the first page.
    Direct { base: u64, slots: Vec<u32> },
    /// By search in the order of pages.
    Search,
}

impl Directory {
    fn of(order: &[(u64, u32)]) -> Directory {
        let Some(((first, _), (last, _))) = order.first().zip(order.last()) else { return Directory::Search };
        let span = last - first + 1;
        if span > SPARSE * order.len() as u64 {
            return Directory::Search;
        }
        let mut slots = vec![u32::MAX; span as usize];
        for (page, slot) in order {
            slots[(page - first) as usize] = *slot;
        }
        Directory::Direct { base: *first, slots }
    }
}

/// Addresses with their numbers: those of the bitmap in order of address, then the listed ones in theirs.
#[derive(Debug)]
pub struct AddressRank {
    directory: Directory,
    /// Pages in order of address, with their slots.
    order: Vec<(u64, u32)>,
    /// Number of the first object of each page in that order.
    firsts: Vec<u32>,
    pages: Vec<Page>,
    /// Number of the first object of each group of words, by slot.
    counts: Vec<u32>,
    bitmap: u32,
    others: Vec<u64>,
    duplicates: u64,
}

impl AddressRank {
    /// Objects.
    pub fn len(&self) -> u32 {
        self.bitmap + self.others.len() as u32
    }

    /// True without any object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Addresses that were inserted more than once, counted each further time.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        let directory = match &self.directory {
            Directory::Direct { slots, .. } => slots.capacity() * 4,
            Directory::Search => 0,
        };
        let pages = self.pages.capacity() * size_of::<Page>() + self.counts.capacity() * 4;
        directory
            + pages
            + self.order.capacity() * 16
            + self.firsts.capacity() * 4
            + self.others.capacity() * 8
    }

    /// Slot and bit of an address that the bitmap holds.
    #[inline]
    fn bit(&self, address: u64) -> Option<(usize, usize)> {
        let page = address >> PAGE_BITS;
        let slot = match &self.directory {
            Directory::Direct { base, slots } => *slots.get(page.wrapping_sub(*base) as usize)?,
            Directory::Search => {
                let at = self.order.binary_search_by_key(&page, |p| p.0).ok()?;
                self.order[at].1
            }
        };
        let bit = (address >> 3) as usize & (WORDS * 64 - 1);
        let there = address.is_multiple_of(8)
            && slot != u32::MAX
            && self.pages[slot as usize][bit / 64] >> (bit % 64) & 1 == 1;
        there.then_some((slot as usize, bit))
    }

    /// The number of the object at an address.
    #[inline]
    pub fn index_of(&self, address: u64) -> Option<Node> {
        let Some((slot, bit)) = self.bit(address) else {
            let at = self.others.binary_search(&address).ok()?;
            return Some(self.bitmap + at as u32);
        };
        let (page, word) = (&self.pages[slot], bit / 64);
        let group = word / GROUP;
        let before: u32 = page[group * GROUP..word].iter().map(|w| w.count_ones()).sum();
        let inside = (page[word] & ((1u64 << (bit % 64)) - 1)).count_ones();
        Some(self.counts[slot * GROUPS + group] + before + inside)
    }

    /// The address of an object.
    pub fn address_of(&self, node: Node) -> Option<u64> {
        if node >= self.bitmap {
            return self.others.get((node - self.bitmap) as usize).copied();
        }
        // Pages may be empty: the last one that begins at or before the node holds it.
        let at = self.firsts.partition_point(|f| *f <= node) - 1;
        let (page, slot) = self.order[at];
        let counts = &self.counts[slot as usize * GROUPS..][..GROUPS];
        let group = counts.partition_point(|c| *c <= node) - 1;
        let mut left = node - counts[group];
        for word in group * GROUP..(group + 1) * GROUP {
            let mut bits = self.pages[slot as usize][word];
            if left >= bits.count_ones() {
                left -= bits.count_ones();
                continue;
            }
            for _ in 0..left {
                bits &= bits - 1;
            }
            let bit = word * 64 + bits.trailing_zeros() as usize;
            return Some((page << PAGE_BITS) + ((bit as u64) << 3));
        }
        None
    }

    /// All addresses, in order of their numbers.
    pub fn addresses(&self) -> impl Iterator<Item = u64> {
        let mapped = self.order.iter().flat_map(move |(page, slot)| {
            self.pages[*slot as usize].iter().enumerate().flat_map(move |(word, bits)| {
                let mut bits = *bits;
                std::iter::from_fn(move || {
                    let bit = (bits != 0).then(|| bits.trailing_zeros())?;
                    bits &= bits - 1;
                    Some((page << PAGE_BITS) + ((word as u64 * 64 + u64::from(bit)) << 3))
                })
            })
        });
        mapped.chain(self.others.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(addresses: &[u64]) -> AddressRank {
        let mut set = AddressSet::new();
        addresses.iter().for_each(|a| set.insert(*a));
        set.freeze().unwrap()
    }

    fn agrees(rank: &AddressRank, mut expected: Vec<u64>) {
        expected.sort_unstable();
        expected.dedup();
        let listed: Vec<u64> = rank.addresses().collect();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected);
        assert_eq!(rank.len() as usize, expected.len());
        for (i, a) in listed.iter().enumerate() {
            assert_eq!(rank.index_of(*a), Some(i as u32), "{a:x}");
            assert_eq!(rank.address_of(i as u32), Some(*a));
        }
        assert_eq!(rank.address_of(rank.len()), None);
        for a in expected {
            for near in [a.wrapping_sub(8), a.wrapping_add(1), a.wrapping_add(8), a.wrapping_add(1 << 20)] {
                assert_eq!(rank.index_of(near).is_some(), listed.contains(&near));
            }
        }
    }

    #[test]
    fn any_order_any_distance_and_any_alignment() {
        agrees(&rank(&[]), vec![]);
        agrees(&rank(&[0]), vec![0]);
        let dense: Vec<u64> = (0..500).map(|i| 0xe000_0000 + (i * 7919 % 500) * 24).collect();
        agrees(&rank(&dense), dense);
        let mixed =
            vec![0x7f00_0000_0010, 3, 0xffff_ffff_ffff_fff8, 16, 8, 0x7f00_0000_0011, u64::MAX, 1 << 40];
        agrees(&rank(&mixed), mixed);
    }

    #[test]
    fn duplicates_are_counted_however_they_lie() {
        let r = rank(&[16, 8, 16, 16, 5, 5]);
        assert_eq!((r.len(), r.duplicates()), (3, 3));
    }

    #[test]
    fn a_dense_heap_takes_half_a_byte_per_object() {
        let mut set = AddressSet::new();
        (0..2_000_000u64).for_each(|i| set.insert(0x7_0000_0000 + i * 32));
        let r = set.freeze().unwrap();
        let each = r.memory() as f64 / f64::from(r.len());
        assert!(each < 0.75, "{each}");
    }

    #[test]
    fn addresses_far_apart_take_no_more_than_a_list() {
        let mut set = AddressSet::new();
        (0..400_000u64).for_each(|i| set.insert(i.wrapping_mul(0x9E37_79B9_7F4A_7C15) & !7));
        assert!(set.memory() < 150 << 20, "{}", set.memory());
        let r = set.freeze().unwrap();
        assert_eq!(u64::from(r.len()) + r.duplicates(), 400_000);
        let some = 77u64.wrapping_mul(0x9E37_79B9_7F4A_7C15) & !7;
        assert_eq!(r.index_of(some).and_then(|i| r.address_of(i)), Some(some));
    }

    proptest::proptest! {
        #[test]
        fn any_addresses_come_back(addresses in proptest::collection::vec(proptest::num::u64::ANY, 0..200), shift in 0u32..60) {
            let addresses: Vec<u64> = addresses.iter().map(|a| a >> shift).collect();
            let r = rank(&addresses);
            for a in &addresses {
                assert_eq!(r.index_of(*a).and_then(|i| r.address_of(i)), Some(*a));
            }
            let all: Vec<u64> = r.addresses().collect();
            assert_eq!(all.len(), r.len() as usize);
        }
    }
}
