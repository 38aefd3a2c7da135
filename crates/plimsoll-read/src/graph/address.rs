//! Object addresses as dense indices: a bitmap over the address space with running counts.
//!
//! A heap is dense, so one bit per eight bytes of address space and one count per 448 bits name every object
//! in about half a byte, in address order, with no sort and in any order of arrival. The address space is cut
//! into pages of 512 KiB. A page with few objects is a sorted list instead, so that scattered or hostile
//! addresses cost at most about a hundred bytes each; a page whose addresses are not multiples of eight uses
//! one bit per four, two or one bytes.

use std::collections::HashMap;

use super::{GraphError, MAX_OBJECTS};

/// log2 of the bytes of address space in a page.
const PAGE_BITS: u32 = 19;
/// Mask of an address's place in its page.
const PLACE: u64 = (1 << PAGE_BITS) - 1;
/// Words of a bitmap that share one running count: with it they fill a cache line, so that a search takes one.
const LINE_WORDS: usize = 7;
/// Bits of them.
const LINE_BITS: u32 = 64 * LINE_WORDS as u32;
/// A list becomes a bitmap when the bitmap costs no more than this many bytes an object.
const DENSE_BYTES: usize = 16;
/// Empty pages bridged by the directory rather than starting a new extent: bounds it to 32 bytes a page.
const BRIDGE: u64 = 8;
/// The directory's mark for a page without objects.
const NO_PAGE: u32 = u32::MAX;

/// Addresses being collected, in any order.
#[derive(Debug, Default)]
pub struct AddressSet {
    slots: HashMap<u64, u32>,
    pages: Vec<Growing>,
    last: Option<(u64, u32)>,
    len: u32,
    repeated: u64,
}

/// A page that still grows.
#[derive(Debug)]
struct Growing {
    /// log2 of the bytes of address space a bit stands for, 0 to 3.
    shift: u32,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// Places in the page, ascending.
    List(Vec<u32>),
    /// One bit per `1 << shift` bytes.
    Bits(Vec<u64>),
}

impl Growing {
    /// Adds a place; false when it was there.
    #[inline(always)]
    fn insert(&mut self, place: u32) -> bool {
        if place.trailing_zeros() < self.shift {
            self.refine(place.trailing_zeros());
        }
        match &mut self.form {
            Form::Bits(words) => set_bit(words, place >> self.shift),
            Form::List(places) => {
                if !insert_sorted(places, place) {
                    return false;
                }
                if places.len() * DENSE_BYTES >= bitmap_bytes(self.shift) {
                    self.form = Form::Bits(bitmap(places, self.shift));
                }
                true
            }
        }
    }

    /// Takes the places of another page; how many were fresh, and how many there already.
    fn merge(&mut self, other: Growing) -> (u32, u32) {
        if matches!(&self.form, Form::List(places) if places.is_empty()) {
            *self = other;
            return (self.len(), 0);
        }
        if let (Form::Bits(ours), Form::Bits(theirs), true) =
            (&mut self.form, &other.form, self.shift == other.shift)
        {
            let (mut fresh, mut repeated) = (0, 0);
            for (word, more) in ours.iter_mut().zip(theirs) {
                fresh += (more & !*word).count_ones();
                repeated += (more & *word).count_ones();
                *word |= more;
            }
            return (fresh, repeated);
        }
        let (mut fresh, mut all) = (0, 0);
        let mut add = |place| {
            fresh += u32::from(self.insert(place));
            all += 1;
        };
        match &other.form {
            Form::List(places) => places.iter().for_each(|&place| add(place)),
            Form::Bits(words) => bits_of(words).for_each(|bit| add(bit << other.shift)),
        }
        (fresh, all - fresh)
    }

    /// Bytes of memory beside its own.
    fn bytes(&self) -> usize {
        match &self.form {
            Form::List(places) => places.capacity() * size_of::<u32>(),
            Form::Bits(words) => words.capacity() * size_of::<u64>(),
        }
    }

    fn len(&self) -> u32 {
        match &self.form {
            Form::List(places) => places.len() as u32,
            Form::Bits(words) => words.iter().map(|word| word.count_ones()).sum(),
        }
    }

    /// Takes up a finer granularity: the places are kept, as a list where a bitmap would cost too much.
    fn refine(&mut self, shift: u32) {
        if let Form::Bits(words) = &self.form {
            let places: Vec<u32> = bits_of(words).map(|bit| bit << self.shift).collect();
            self.form = if places.len() * DENSE_BYTES >= bitmap_bytes(shift) {
                Form::Bits(bitmap(&places, shift))
            } else {
                Form::List(places)
            };
        }
        self.shift = shift;
    }
}

/// Adds to an ascending list; false when it was there. Ascending arrival only appends.
fn insert_sorted(places: &mut Vec<u32>, place: u32) -> bool {
    if places.last().is_none_or(|&last| last < place) {
        places.push(place);
        return true;
    }
    match places.binary_search(&place) {
        Ok(_) => false,
        Err(at) => {
            places.insert(at, place);
            true
        }
    }
}

fn bitmap_bytes(shift: u32) -> usize {
    1 << (PAGE_BITS - shift - 3)
}

fn bitmap(places: &[u32], shift: u32) -> Vec<u64> {
    let mut words = vec![0; bitmap_bytes(shift) / 8];
    for &place in places {
        set_bit(&mut words, place >> shift);
    }
    words
}

/// Sets a bit; false when it was set, or lies outside.
fn set_bit(words: &mut [u64], bit: u32) -> bool {
    let Some(word) = words.get_mut(bit as usize / 64) else { return false };
    let mask = 1 << (bit % 64);
    let fresh = *word & mask == 0;
    *word |= mask;
    fresh
}

/// The set bits of a bitmap, ascending.
fn bits_of(words: &[u64]) -> impl Iterator<Item = u32> + '_ {
    (0u32..).zip(words).flat_map(|(at, &word)| BitsOf { word, base: at * 64 })
}

/// The set bits of one word, ascending, from `base`.
struct BitsOf {
    word: u64,
    base: u32,
}

impl Iterator for BitsOf {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.word == 0 {
            return None;
        }
        let bit = self.word.trailing_zeros();
        self.word &= self.word - 1;
        Some(self.base + bit)
    }
}

impl AddressSet {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an address; false when it was there already, which [`Self::repeated`] counts.
    ///
    /// # Errors
    /// [`GraphError::TooManyObjects`] beyond [`MAX_OBJECTS`] addresses.
    pub fn insert(&mut self, address: u64) -> Result<bool, GraphError> {
        if self.len >= MAX_OBJECTS {
            return Err(GraphError::TooManyObjects);
        }
        let slot = self.slot(address >> PAGE_BITS);
        let place = (address & PLACE) as u32;
        let fresh = self.pages.get_mut(slot as usize).is_some_and(|page| page.insert(place));
        if fresh {
            self.len += 1;
        } else {
            self.repeated += 1;
        }
        Ok(fresh)
    }

    /// The slot of a page, made on first use.
    #[inline(always)]
    fn slot(&mut self, page: u64) -> u32 {
        match self.last {
            Some((last, slot)) if last == page => slot,
            _ => self.find_slot(page),
        }
    }

    fn find_slot(&mut self, page: u64) -> u32 {
        // No more pages than objects, so the count fits.
        let fresh = self.pages.len() as u32;
        let slot = *self.slots.entry(page).or_insert(fresh);
        if slot == fresh {
            self.pages.push(Growing { shift: 3, form: Form::List(Vec::new()) });
        }
        self.last = Some((page, slot));
        slot
    }

    /// Adds every address of another set, as when two threads read two halves of a dump.
    ///
    /// # Errors
    /// [`GraphError::TooManyObjects`] beyond [`MAX_OBJECTS`] addresses.
    pub fn merge(&mut self, other: Self) -> Result<(), GraphError> {
        let Self { slots, mut pages, repeated, .. } = other;
        self.repeated += repeated;
        for (page, slot) in slots {
            let Some(growing) = pages.get_mut(slot as usize) else { continue };
            let theirs = std::mem::replace(growing, Growing { shift: 3, form: Form::List(Vec::new()) });
            let own = self.slot(page);
            let Some(ours) = self.pages.get_mut(own as usize) else { continue };
            let (fresh, repeated) = ours.merge(theirs);
            self.repeated += u64::from(repeated);
            self.len = self
                .len
                .checked_add(fresh)
                .filter(|len| *len <= MAX_OBJECTS)
                .ok_or(GraphError::TooManyObjects)?;
        }
        Ok(())
    }

    /// Distinct addresses so far.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether no address was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How often an address was added that was there already.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Bytes of memory it takes; a pass over its pages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // A map has a byte beside each entry, and room for one in seven that there are not.
        let slots = self.slots.capacity() * (size_of::<(u64, u32)>() + 1) * 8 / 7;
        let pages = self.pages.capacity() * size_of::<Growing>();
        slots + pages + self.pages.iter().map(Growing::bytes).sum::<usize>()
    }

    /// Closes the set: from here on every address has its index.
    #[must_use]
    pub fn freeze(self) -> AddressRank {
        let mut keys: Vec<(u64, u32)> = self.slots.into_iter().collect();
        keys.sort_unstable();
        let mut pages = self.pages;
        let mut rank = AddressRank::default();
        let lines = pages.iter().filter(|page| matches!(page.form, Form::Bits(_)));
        rank.lines.reserve_exact(lines.map(|page| lines_of(page.shift)).sum());
        for (page, slot) in keys {
            if let Some(growing) = pages.get_mut(slot as usize) {
                let form = std::mem::replace(&mut growing.form, Form::List(Vec::new()));
                rank.push_page(page, growing.shift, form);
            }
        }
        rank.shrink();
        rank
    }
}

/// A frozen set of addresses: each has an index, its place in address order.
#[derive(Debug, Default)]
pub struct AddressRank {
    extents: Vec<Extent>,
    directory: Vec<u32>,
    pages: Vec<Page>,
    lines: Vec<Line>,
    places: Vec<u32>,
    len: u32,
}

/// Bits of a count that say how many objects a line's first words hold, for each of three pairs of words.
const PAIR_BITS: usize = 10;

/// Some words of a bitmap, and how many objects are before them.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line {
    /// Objects before the line, and those in its first two, four and six words.
    count: u64,
    words: [u64; LINE_WORDS],
}

impl Line {
    /// The line of up to [`LINE_WORDS`] words, and the objects up to its end.
    fn of(before: u32, words: &[u64]) -> (Line, u32) {
        let mut line = Line { count: u64::from(before), words: [0; LINE_WORDS] };
        line.words.iter_mut().zip(words).for_each(|(word, from)| *word = *from);
        let mut within = 0;
        for (pair, words) in (0..).zip(line.words.chunks(2)) {
            if pair > 0 {
                line.count |= u64::from(within) << (32 + PAIR_BITS * (pair - 1));
            }
            within += words.iter().map(|word| word.count_ones()).sum::<u32>();
        }
        (line, before + within)
    }

    /// Objects before the one at a bit of the line; nothing when none is there.
    #[inline]
    fn rank(&self, bit: u32) -> Option<u32> {
        let at = (bit / 64) as usize;
        let word = *self.words.get(at)?;
        let mask = 1u64 << (bit % 64);
        if word & mask == 0 {
            return None;
        }
        // Only the word that holds the bit is counted up to it, only the first of a pair before it is counted whole.
        let whole = if at % 2 == 1 { *self.words.get(at - 1)? } else { 0 };
        let in_pairs = in_pairs(self.count, at / 2);
        Some(before(self.count) + in_pairs + whole.count_ones() + (word & (mask - 1)).count_ones())
    }
}

/// Lines of a bitmap page.
fn lines_of(shift: u32) -> usize {
    (1usize << (PAGE_BITS - shift)).div_ceil(LINE_BITS as usize)
}

/// Objects before a line.
#[inline]
fn before(count: u64) -> u32 {
    count as u32
}

/// Objects in a line's first `pairs` pairs of words, 0 to 3.
#[inline]
fn in_pairs(count: u64, pairs: usize) -> u32 {
    // Shifted up by one pair of zeros, so that no pairs need no case of their own.
    ((count >> 32 << PAIR_BITS) >> (PAIR_BITS * pairs)) as u32 & ((1 << PAIR_BITS) - 1)
}

/// A line that was looked at, and the addresses that it is of: nothing at the begin.
#[derive(Debug, Default)]
pub(crate) struct Near {
    first: u64,
    span: u64,
    shift: u32,
    line: usize,
}

/// A run of pages with no wide hole, which shares a stretch of the directory.
#[derive(Debug, Clone, Copy)]
struct Extent {
    first: u64,
    pages: u64,
    directory: u32,
}

#[derive(Debug, Clone, Copy)]
struct Page {
    number: u64,
    /// Objects on earlier pages.
    before: u32,
    /// Bitmap: its first line. List: its first place.
    start: u32,
    form: Frozen,
}

#[derive(Debug, Clone, Copy)]
enum Frozen {
    List { len: u32 },
    Bits { shift: u32 },
}

impl AddressRank {
    /// Appends a page; pages come in ascending order.
    fn push_page(&mut self, number: u64, shift: u32, form: Form) {
        self.enter(number);
        let before = self.len;
        match form {
            Form::List(places) => {
                let page = Page {
                    number,
                    before,
                    start: self.places.len() as u32,
                    form: Frozen::List { len: places.len() as u32 },
                };
                self.pages.push(page);
                self.len += places.len() as u32;
                self.places.extend_from_slice(&places);
            }
            Form::Bits(words) => {
                let start = self.lines.len() as u32;
                self.pages.push(Page { number, before, start, form: Frozen::Bits { shift } });
                for words in words.chunks(LINE_WORDS) {
                    let (line, total) = Line::of(self.len, words);
                    self.lines.push(line);
                    self.len = total;
                }
            }
        }
    }

    /// Enters the next page into the directory, in the last extent where the hole before it is small.
    fn enter(&mut self, number: u64) {
        let slot = self.pages.len() as u32;
        match self.extents.last_mut() {
            Some(extent) if number - (extent.first + extent.pages) <= BRIDGE => {
                let hole = (number - (extent.first + extent.pages)) as usize;
                self.directory.extend(std::iter::repeat_n(NO_PAGE, hole));
                extent.pages = number - extent.first + 1;
            }
            _ => {
                let directory = self.directory.len() as u32;
                self.extents.push(Extent { first: number, pages: 1, directory });
            }
        }
        self.directory.push(slot);
    }

    fn shrink(&mut self) {
        self.extents.shrink_to_fit();
        self.directory.shrink_to_fit();
        self.pages.shrink_to_fit();
        self.places.shrink_to_fit();
    }

    /// Addresses in the set.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether the set holds no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The index of an address; `None` when it is not that of an object.
    #[must_use]
    #[inline]
    pub fn index_of(&self, address: u64) -> Option<u32> {
        let page = self.page(address >> PAGE_BITS)?;
        let place = (address & PLACE) as u32;
        match page.form {
            Frozen::Bits { shift } => self.rank_in_bits(page.start, shift, place),
            Frozen::List { len } => {
                let start = page.start as usize;
                let at = self.places.get(start..start + len as usize)?.binary_search(&place).ok()?;
                Some(page.before + at as u32)
            }
        }
    }

    /// The same for addresses each of which is near the one before, for the most part.
    #[inline]
    pub(crate) fn index_near(&self, near: &mut Near, address: u64) -> Option<u32> {
        let offset = address.wrapping_sub(near.first);
        if offset >= near.span {
            return self.index_of_far(near, address);
        }
        let bit = (offset >> near.shift) as u32;
        let line = self.lines.get(near.line).filter(|_| u64::from(bit) << near.shift == offset)?;
        line.rank(bit)
    }

    fn index_of_far(&self, near: &mut Near, address: u64) -> Option<u32> {
        let page = self.page(address >> PAGE_BITS)?;
        if let Frozen::Bits { shift } = page.form {
            let number = ((address & PLACE) as u32 >> shift) / LINE_BITS;
            let first = (number * LINE_BITS) << shift;
            // The last line of a page goes beyond it.
            let span = (LINE_BITS << shift).min((1 << PAGE_BITS) - first);
            let first = (page.number << PAGE_BITS) + u64::from(first);
            *near = Near { first, span: u64::from(span), shift, line: page.start as usize + number as usize };
        }
        self.index_of(address)
    }

    #[inline]
    fn page(&self, number: u64) -> Option<Page> {
        let at = self.extents.partition_point(|extent| extent.first <= number).checked_sub(1)?;
        let extent = self.extents.get(at)?;
        let offset = number - extent.first;
        if offset >= extent.pages {
            return None;
        }
        let slot = *self.directory.get(extent.directory as usize + offset as usize)?;
        self.pages.get(slot as usize).copied()
    }

    #[inline]
    fn rank_in_bits(&self, start: u32, shift: u32, place: u32) -> Option<u32> {
        let bit = place >> shift;
        if bit << shift != place {
            return None;
        }
        self.lines.get(start as usize + (bit / LINE_BITS) as usize)?.rank(bit % LINE_BITS)
    }

    /// The address of an index; `None` at or above [`Self::len`].
    #[must_use]
    pub fn address_of(&self, index: u32) -> Option<u64> {
        if index >= self.len {
            return None;
        }
        let at = self.pages.partition_point(|page| page.before <= index).checked_sub(1)?;
        let page = self.pages.get(at)?;
        let place = match page.form {
            Frozen::List { .. } => *self.places.get((page.start + (index - page.before)) as usize)?,
            Frozen::Bits { shift } => self.select_in_bits(page.start, shift, index)?,
        };
        Some((page.number << PAGE_BITS) + u64::from(place))
    }

    /// The place in a bitmap page of the object with this index.
    fn select_in_bits(&self, start: u32, shift: u32, index: u32) -> Option<u32> {
        let start = start as usize;
        let lines = self.lines.get(start..start + lines_of(shift))?;
        let at = lines.partition_point(|line| before(line.count) <= index).checked_sub(1)?;
        let line = lines.get(at)?;
        let nth = (index - before(line.count)) as usize;
        let bit = at as u32 * LINE_BITS + bits_of(&line.words).nth(nth)?;
        Some(bit << shift)
    }

    /// All addresses in ascending order, which is index order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.pages.iter().flat_map(|page| {
            let base = page.number << PAGE_BITS;
            self.page_places(page).map(move |place| base + u64::from(place))
        })
    }

    fn page_places(&self, page: &Page) -> impl Iterator<Item = u32> + '_ {
        let start = page.start as usize;
        let (places, lines, shift) = match page.form {
            Frozen::List { len } => (self.places.get(start..start + len as usize), None, 0),
            Frozen::Bits { shift } => (None, self.lines.get(start..start + lines_of(shift)), shift),
        };
        let listed = places.unwrap_or_default().iter().copied();
        let lines = (0..).step_by(LINE_BITS as usize).zip(lines.unwrap_or_default());
        let bits = lines.flat_map(|(first, line)| bits_of(&line.words).map(move |bit| first + bit));
        listed.chain(bits.map(move |bit: u32| bit << shift))
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.extents.capacity() * size_of::<Extent>()
            + self.directory.capacity() * 4
            + self.pages.capacity() * size_of::<Page>()
            + self.lines.capacity() * size_of::<Line>()
            + self.places.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn rank_of(addresses: impl IntoIterator<Item = u64>) -> AddressRank {
        let mut set = AddressSet::new();
        for address in addresses {
            set.insert(address).unwrap();
        }
        set.freeze()
    }

    fn agrees(rank: &AddressRank, model: &BTreeSet<u64>) {
        assert_eq!(rank.len() as usize, model.len());
        assert!(rank.iter().eq(model.iter().copied()), "iteration in address order");
        let mut last = Near::default();
        for (index, &address) in (0u32..).zip(model) {
            assert_eq!(rank.index_of(address), Some(index), "index of {address:#x}");
            assert_eq!(rank.address_of(index), Some(address), "address of {index}");
            assert_eq!(
                rank.index_near(&mut last, address),
                Some(index),
                "index of {address:#x} after the last"
            );
            for near in [address.wrapping_sub(1), address.wrapping_add(1), address ^ 8, address ^ (1 << 40)] {
                assert_eq!(rank.index_of(near).is_some(), model.contains(&near), "near {near:#x}");
                assert_eq!(rank.index_near(&mut last, near), rank.index_of(near), "near {near:#x}");
            }
        }
        assert_eq!(rank.address_of(rank.len()), None);
    }

    #[test]
    fn a_dense_heap_costs_half_a_byte_an_object() {
        let mut address = 0x7_0000_0000u64;
        let rank = rank_of((0..1_000_000u64).map(|i| {
            address += 16 + (i.wrapping_mul(0x9E37_79B9) >> 7) % 5 * 8;
            address
        }));
        let cost = rank.bytes() as f64 / f64::from(rank.len());
        assert!(cost <= 0.6, "{cost} bytes an object");
    }

    #[test]
    fn hostile_addresses_cost_what_they_count_not_what_they_span() {
        let mut address = 1u64;
        let rank = rank_of((0..100_000).map(|_| {
            address = address.wrapping_mul(0xD129_0A5F_2B3C_71E5).wrapping_add(11);
            address
        }));
        let cost = rank.bytes() as f64 / f64::from(rank.len());
        assert!(cost <= 100.0, "{cost} bytes an object");
        assert_eq!(rank_of([0, u64::MAX]).address_of(1), Some(u64::MAX));
    }

    #[test]
    fn repeats_are_counted_and_change_nothing() {
        let mut set = AddressSet::new();
        assert!(set.insert(64).unwrap());
        assert!(!set.insert(64).unwrap());
        assert!(set.insert(8).unwrap());
        assert_eq!((set.len(), set.repeated()), (2, 1));
        let rank = set.freeze();
        assert_eq!((rank.index_of(8), rank.index_of(64), rank.index_of(16)), (Some(0), Some(1), None));
    }

    #[test]
    fn an_odd_address_on_a_full_page_loses_nothing() {
        for odd in [1u64, 2, 4, 1 << 18 | 1] {
            for count in [600u64, 40_000] {
                let model: BTreeSet<u64> = (0..count).map(|i| i * 8).chain([odd]).collect();
                agrees(&rank_of((0..count).map(|i| i * 8).chain([odd])), &model);
            }
        }
    }

    #[test]
    fn two_sets_merge_into_their_union() {
        let (mut left, mut right) = (AddressSet::new(), AddressSet::new());
        let mut model = BTreeSet::new();
        for i in 0..5_000u64 {
            let address = i * 24 + i % 3;
            model.insert(address);
            if i % 2 == 0 || i % 5 == 0 {
                left.insert(address).unwrap();
            }
            if i % 2 == 1 || i % 5 == 0 {
                right.insert(address).unwrap();
            }
        }
        left.merge(right).unwrap();
        assert_eq!(left.repeated(), 1_000);
        agrees(&left.freeze(), &model);
    }

    proptest! {
        #[test]
        fn any_addresses_in_any_order_agree_with_a_tree_set(
            near in prop::collection::vec(0u64..200_000, 0..3_000),
            far in prop::collection::vec(any::<u64>(), 0..50),
            step in prop::sample::select(vec![1u64, 2, 4, 8, 16]),
        ) {
            let all: Vec<u64> = near.iter().map(|n| n * step).chain(far).collect();
            agrees(&rank_of(all.iter().copied()), &all.iter().copied().collect());
        }
    }
}
