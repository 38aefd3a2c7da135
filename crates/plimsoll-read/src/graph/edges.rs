//! References as packed lists: for each object the objects it refers to.
//!
//! A list holds differences from the object to its targets, in one to five bytes each: heaps are local, so
//! one or two bytes are usual. A few targets that everything refers to from far away (class objects) can be
//! named as hubs and take one byte. Lists of 255 bytes and more hold differences from one target to the next.
//!
//! The start of a list is found from a block of 64 bytes, one cache line, that serves 59 objects: the start of
//! the first list and the length of each. Lists may be appended in any order of their objects; ascending order
//! is the fast one.

use super::block::{BLOCK, Block, HAS_LONG, LONG, START};
use super::marks::Marks;
use super::prefetch::prefetch;
use super::{GraphError, MAX_OBJECTS, varint};

/// Blocks that share a bucket of bytes.
const BLOCKS: u32 = 1024;
/// Objects that share a bucket; fits `u16`.
const SPAN: u32 = BLOCK * BLOCKS;
/// The most hubs one graph names: each takes a one-byte code away from a near target.
pub const MAX_HUBS: usize = 48;
/// Slots of the hub finder: sparse, so that a miss usually takes one look.
const FINDER: usize = 1024;
/// The finder's mark for an empty slot.
const NO_HUB: u32 = u32::MAX;

/// The lists of [`SPAN`] objects, in index order, and padding.
#[derive(Debug, Default)]
struct Bucket {
    /// Where they begin among the bytes of the graph.
    start: usize,
    /// Index and length in bytes of the long lists, ascending.
    long: Vec<(u32, u32)>,
}

impl Bucket {
    fn long_length(&self, index: u32) -> u32 {
        long_length(&self.long, index)
    }
}

/// A bucket that still grows.
#[derive(Debug, Default)]
struct Growing {
    /// The chunks that its lists are in, in order of arrival.
    chunks: Vec<u32>,
    /// Bytes used of the last chunk.
    used: usize,
    /// The same of lists that another builder took before.
    before: Option<(Vec<u32>, usize)>,
    /// Index and length in bytes of the long lists.
    long: Vec<(u32, u32)>,
    /// Places in the bucket in order of arrival, once one came out of order.
    order: Option<Vec<u16>>,
    first: Option<u32>,
    last: Option<u32>,
}

/// Finds hubs while references are packed.
#[derive(Debug)]
struct Hubs {
    indices: Vec<u32>,
    finder: Vec<u32>,
}

impl Hubs {
    fn new(hubs: &[u32]) -> Self {
        let mut found = Self { indices: Vec::new(), finder: vec![NO_HUB; FINDER] };
        for &hub in hubs {
            let code = found.indices.len();
            if code == MAX_HUBS || found.code(hub).is_some() {
                continue;
            }
            let free = Self::probes(hub).find(|&at| found.finder.get(at) == Some(&NO_HUB));
            if let Some(slot) = free.and_then(|at| found.finder.get_mut(at)) {
                *slot = code as u32;
                found.indices.push(hub);
            }
        }
        found
    }

    #[inline]
    fn probes(target: u32) -> impl Iterator<Item = usize> {
        let first = (target.wrapping_mul(0x9E37_79B1) >> 22) as usize;
        (0..FINDER).map(move |step| (first + step) % FINDER)
    }

    /// The code of a reference, and what the next one in a chain starts from.
    #[inline]
    fn encode(&self, base: u32, target: u32) -> (u64, u32) {
        match self.code(target) {
            Some(code) => (code, base),
            None => (varint::delta(base, target) + self.indices.len() as u64, target),
        }
    }

    #[inline]
    fn code(&self, target: u32) -> Option<u64> {
        for at in Self::probes(target) {
            let code = *self.finder.get(at)?;
            if code == NO_HUB {
                return None;
            }
            if self.indices.get(code as usize) == Some(&target) {
                return Some(u64::from(code));
            }
        }
        None
    }
}

/// A graph being built: one list of targets for each object that has any.
#[derive(Debug)]
pub struct GraphBuilder {
    objects: u32,
    references: u64,
    blocks: Vec<Block>,
    buckets: Vec<Growing>,
    hubs: Hubs,
    chunks: Chunks,
    packed: Vec<u8>,
}

impl GraphBuilder {
    /// A graph of `objects` objects and no references yet. `hubs`: the objects most referred to, the first
    /// [`MAX_HUBS`] of which cost one byte a reference.
    ///
    /// # Errors
    /// [`GraphError::TooManyObjects`] beyond [`MAX_OBJECTS`].
    pub fn new(objects: u32, hubs: &[u32]) -> Result<Self, GraphError> {
        if objects > MAX_OBJECTS {
            return Err(GraphError::TooManyObjects);
        }
        if let Some(&index) = hubs.iter().find(|&&hub| hub >= objects) {
            return Err(GraphError::NoSuchObject { index, objects });
        }
        let mut buckets = Vec::new();
        buckets.resize_with(objects.div_ceil(SPAN) as usize, Growing::default);
        let blocks = vec![Block::default(); objects.div_ceil(BLOCK) as usize];
        Ok(Self {
            objects,
            references: 0,
            blocks,
            buckets,
            hubs: Hubs::new(hubs),
            chunks: Chunks::default(),
            packed: Vec::new(),
        })
    }

    /// Adds the targets of an object, in any order of objects. False when the object has a list already: the
    /// first one is kept.
    ///
    /// # Errors
    /// [`GraphError::NoSuchObject`] for an index at or above the number of objects,
    /// [`GraphError::ListTooLong`] when the packed list would take 4 GiB.
    pub fn append(&mut self, source: u32, targets: &[u32]) -> Result<bool, GraphError> {
        let objects = self.objects;
        let wrong = std::iter::once(&source).chain(targets).find(|&&index| index >= objects);
        if let Some(&index) = wrong {
            return Err(GraphError::NoSuchObject { index, objects });
        }
        if targets.is_empty() {
            return Ok(true);
        }
        let Some(block) = self.blocks.get_mut((source / BLOCK) as usize) else { return Ok(false) };
        let Some(growing) = self.buckets.get_mut((source / SPAN) as usize) else { return Ok(false) };
        if block.length(source % BLOCK) != 0 {
            return Ok(false);
        }
        self.packed.clear();
        match pack(&mut self.packed, &self.hubs, source, targets)? {
            Packed::Short(length) => block.set_length(source % BLOCK, length),
            Packed::Long(length) => {
                block.set_length(source % BLOCK, LONG);
                growing.long.push((source, length));
            }
        }
        self.chunks.append(growing, &self.packed);
        self.references += targets.len() as u64;
        self.arrived(source);
        Ok(true)
    }

    /// Notes the place of an arrival once order is lost.
    fn arrived(&mut self, source: u32) {
        let number = source / SPAN;
        let Some(growing) = self.buckets.get_mut(number as usize) else { return };
        if growing.order.is_none() && growing.last.is_some_and(|last| source < last) {
            // So far the order of arrival was that of the indices; the newcomer is noted below.
            let earlier = listed(&self.blocks, number).filter(|&place| u32::from(place) != source % SPAN);
            growing.order = Some(earlier.collect());
        }
        match &mut growing.order {
            Some(order) => order.push((source % SPAN) as u16),
            None => growing.last = Some(source),
        }
        growing.first.get_or_insert(source);
    }

    /// Takes the lists of another builder, made for as many objects and the same hubs; no object has one in both, and this
    /// is done once.
    pub(crate) fn join(&mut self, other: Self) {
        let Self { references, blocks, buckets, chunks, .. } = other;
        let moved = self.chunks.join(chunks);
        for ((number, mut theirs), ours) in (0u32..).zip(buckets).zip(&mut self.buckets) {
            theirs.chunks.iter_mut().for_each(|chunk| *chunk += moved);
            let Some(first) = theirs.first else { continue };
            if ours.first.is_none() {
                *ours = theirs;
                continue;
            }
            let follows = ours.last.is_some_and(|last| last < first);
            if !follows || ours.order.is_some() || theirs.order.is_some() {
                let ours_first = ours.order.take().unwrap_or_else(|| listed(&self.blocks, number).collect());
                let then = theirs.order.unwrap_or_else(|| listed(&blocks, number).collect());
                ours.order = Some([ours_first, then].concat());
            }
            ours.before = Some((std::mem::replace(&mut ours.chunks, theirs.chunks), ours.used));
            ours.used = theirs.used;
            ours.long.append(&mut theirs.long);
        }
        self.blocks.iter_mut().zip(blocks).for_each(|(ours, theirs)| ours.join(theirs));
        self.references += references;
    }

    /// Closes the graph.
    ///
    /// # Errors
    /// [`GraphError::ListTooLong`] when the lists of neighbouring objects take 512 GiB.
    pub fn finish(self) -> Result<Graph, GraphError> {
        let Self { objects, references, mut blocks, buckets, hubs, mut chunks, mut packed } = self;
        let mut frozen = Vec::with_capacity(buckets.len());
        let mut bytes = Vec::with_capacity(chunks.used + buckets.len() * varint::PADDING);
        let mut rest = blocks.as_mut_slice();
        for (number, growing) in (0u32..).zip(buckets) {
            let (own, others) = rest.split_at_mut(rest.len().min(BLOCKS as usize));
            rest = others;
            let start = bytes.len();
            if growing.order.is_none() {
                chunks.take(&growing, &mut bytes);
            } else {
                packed.clear();
                chunks.take(&growing, &mut packed);
            }
            let long = freeze(number * SPAN, growing, own, &packed, &mut bytes)?;
            frozen.push(Bucket { start, long });
        }
        Ok(Graph { objects, references, blocks, bytes, buckets: frozen, hubs: hubs.indices })
    }
}

/// Bytes of a chunk.
const CHUNK: usize = 4096;
/// Chunks that are allocated at once: 40 MiB, which the allocator gives back when they are dropped, as it does not with
/// many small blocks.
const CHUNKS: usize = 10 << 10;

/// The bytes of all buckets while they grow.
#[derive(Debug, Default)]
struct Chunks {
    slabs: Vec<Vec<u8>>,
    /// Chunks of each slab that are still needed.
    needed: Vec<usize>,
    /// Chunks given out.
    given: u32,
    /// Bytes used of them.
    used: usize,
}

impl Chunks {
    /// Adds bytes to a bucket.
    #[inline]
    fn append(&mut self, growing: &mut Growing, mut bytes: &[u8]) {
        self.used += bytes.len();
        while !bytes.is_empty() {
            if growing.chunks.is_empty() || growing.used == CHUNK {
                growing.chunks.push(self.fresh());
                growing.used = 0;
            }
            let Some(chunk) = growing.chunks.last().and_then(|number| self.chunk(*number)) else { return };
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - growing.used));
            if let Some(room) = chunk.get_mut(growing.used..growing.used + now.len()) {
                room.copy_from_slice(now);
            }
            growing.used += now.len();
            bytes = later;
        }
    }

    #[cold]
    fn fresh(&mut self) -> u32 {
        let number = self.given;
        self.given += 1;
        if (number as usize).is_multiple_of(CHUNKS) {
            self.slabs.push(vec![0; CHUNK * CHUNKS]);
            self.needed.push(0);
        }
        if let Some(needed) = self.needed.last_mut() {
            *needed += 1;
        }
        number
    }

    #[inline]
    fn chunk(&mut self, number: u32) -> Option<&mut [u8]> {
        let start = number as usize % CHUNKS * CHUNK;
        self.slabs.get_mut(number as usize / CHUNKS)?.get_mut(start..start + CHUNK)
    }

    /// Takes the chunks of another builder; tells by how much their numbers are more now.
    fn join(&mut self, other: Self) -> u32 {
        let moved = (self.slabs.len() * CHUNKS) as u32;
        self.slabs.extend(other.slabs);
        self.needed.extend(other.needed);
        self.given = (self.slabs.len() * CHUNKS) as u32;
        self.used += other.used;
        moved
    }

    /// Moves the bytes of a bucket out; a slab that nobody needs any more is given back.
    fn take(&mut self, growing: &Growing, into: &mut Vec<u8>) {
        if let Some((chunks, used)) = &growing.before {
            self.take_run(chunks, *used, into);
        }
        self.take_run(&growing.chunks, growing.used, into);
    }

    fn take_run(&mut self, chunks: &[u32], used_of_last: usize, into: &mut Vec<u8>) {
        for (at, number) in chunks.iter().enumerate() {
            let used = if at + 1 == chunks.len() { used_of_last } else { CHUNK };
            into.extend_from_slice(
                self.chunk(*number).and_then(|chunk| chunk.get(..used)).unwrap_or_default(),
            );
            let slab = *number as usize / CHUNKS;
            if let (Some(needed), Some(slab)) = (self.needed.get_mut(slab), self.slabs.get_mut(slab)) {
                *needed -= 1;
                if *needed == 0 {
                    *slab = Vec::new();
                }
            }
        }
    }
}

/// The length of a packed list in bytes, and how it is packed.
#[derive(Debug, Clone, Copy)]
enum Packed {
    /// From the source to each target.
    Short(u8),
    /// From target to target.
    Long(u32),
}

/// Appends a packed list: from target to target when it would take [`LONG`] bytes from the source.
fn pack(bytes: &mut Vec<u8>, hubs: &Hubs, source: u32, targets: &[u32]) -> Result<Packed, GraphError> {
    let start = bytes.len();
    for &target in targets {
        varint::push(bytes, hubs.encode(source, target).0);
        if bytes.len() - start >= usize::from(LONG) {
            break;
        }
    }
    match u8::try_from(bytes.len() - start) {
        Ok(length) if length < LONG => return Ok(Packed::Short(length)),
        _ => bytes.truncate(start),
    }
    let mut base = source;
    for &target in targets {
        let (code, next) = hubs.encode(base, target);
        varint::push(bytes, code);
        base = next;
    }
    let length = u32::try_from(bytes.len() - start);
    length.map(Packed::Long).map_err(|_| GraphError::ListTooLong { object: source })
}

/// Notes where each block of a bucket starts, having appended its lists in index order if they did not arrive in it;
/// gives the long ones back.
fn freeze(
    first: u32,
    growing: Growing,
    blocks: &mut [Block],
    packed: &[u8],
    bytes: &mut Vec<u8>,
) -> Result<Vec<(u32, u32)>, GraphError> {
    let Growing { mut long, order, .. } = growing;
    long.sort_unstable();
    long.shrink_to_fit();
    let length = |blocks: &[Block], place: u32| match blocks
        .get((place / BLOCK) as usize)
        .map_or(0, |block| block.length(place % BLOCK))
    {
        LONG => long_length(&long, first + place),
        short => u32::from(short),
    };
    if let Some(order) = order {
        let mut at = 0;
        let mut lists: Vec<(u16, usize, usize)> = Vec::with_capacity(order.len());
        for place in order {
            let end = at + length(blocks, u32::from(place)) as usize;
            lists.push((place, at, end));
            at = end;
        }
        lists.sort_unstable();
        for (_, from, to) in lists {
            bytes.extend_from_slice(packed.get(from..to).unwrap_or_default());
        }
    }
    let mut start = 0u64;
    let mut longs = long.iter();
    for block in blocks {
        let has_long = block.has_long();
        block.set_start(start, has_long);
        start += block.sum_before(BLOCK);
        if has_long {
            // Ascending, as the blocks are.
            for (_, (_, length)) in (0..BLOCK).filter(|&lane| block.length(lane) == LONG).zip(&mut longs) {
                start = start - u64::from(LONG) + u64::from(*length);
            }
        }
    }
    if start > START {
        return Err(GraphError::ListTooLong { object: first });
    }
    bytes.extend_from_slice(&[0; varint::PADDING]);
    Ok(long)
}

/// The places in a bucket that have a list.
fn listed(blocks: &[Block], bucket: u32) -> impl Iterator<Item = u16> {
    let blocks = blocks.iter().skip((bucket * BLOCKS) as usize).take(BLOCKS as usize);
    (0u32..).zip(blocks).flat_map(|(at, block)| {
        (0..BLOCK).filter(|&lane| block.length(lane) != 0).map(move |lane| (at * BLOCK + lane) as u16)
    })
}

fn long_length(long: &[(u32, u32)], index: u32) -> u32 {
    let found = long.binary_search_by_key(&index, |&(at, _)| at);
    found.ok().and_then(|at| long.get(at)).map_or(0, |&(_, length)| length)
}

/// A frozen graph: objects by index and their references.
#[derive(Debug)]
pub struct Graph {
    objects: u32,
    references: u64,
    blocks: Vec<Block>,
    bytes: Vec<u8>,
    buckets: Vec<Bucket>,
    hubs: Vec<u32>,
}

impl Graph {
    /// Objects in the graph; their indices are below this.
    #[must_use]
    pub fn objects(&self) -> u32 {
        self.objects
    }

    /// References in the graph, repeats included.
    #[must_use]
    pub fn references(&self) -> u64 {
        self.references
    }

    /// The targets of an object; none for an index at or above [`Self::objects`].
    #[must_use]
    #[inline]
    pub fn targets(&self, source: u32) -> Targets<'_> {
        let nothing = Targets { rest: &[], left: 0, base: source, chained: false, hubs: &self.hubs };
        let Some(block) = self.blocks.get((source / BLOCK) as usize) else { return nothing };
        let Some(bucket) = self.buckets.get((source / SPAN) as usize) else { return nothing };
        let lane = source % BLOCK;
        let short = block.length(lane);
        if short == 0 {
            return nothing;
        }
        let mut start = (block.head() & START) + block.sum_before(lane);
        let mut left = u32::from(short);
        if block.head() & HAS_LONG != 0 {
            let first = source - lane;
            for index in (first..source).filter(|&index| block.length(index - first) == LONG) {
                start = start + u64::from(bucket.long_length(index)) - u64::from(LONG);
            }
            if short == LONG {
                left = bucket.long_length(source);
            }
        }
        let rest = self.bytes.get(bucket.start + start as usize..).unwrap_or_default();
        Targets { rest, left, base: source, chained: short == LONG, hubs: &self.hubs }
    }

    /// The objects that refer to nothing.
    pub(super) fn leaves(&self) -> Marks {
        let mut leaves = Marks::new(self.objects);
        for (first, block) in (0u32..).step_by(BLOCK as usize).zip(&self.blocks) {
            let there = (1 << BLOCK.min(self.objects - first)) - 1;
            leaves.set_all(first, block.empty() & there);
        }
        leaves
    }

    /// What an object's targets are found by will be needed soon.
    #[inline]
    pub(super) fn prefetch(&self, source: u32) {
        prefetch(&self.blocks, (source / BLOCK) as usize);
    }

    /// Where a walk of an object's targets stands, to go on later.
    #[inline]
    pub(super) fn pause(&self, source: u32, targets: &Targets<'_>) -> Paused {
        let at = (self.bytes.len() - targets.rest.len() - self.start_around(source)) as u64;
        Paused { at, left: targets.left, base: targets.base, chained: targets.chained }
    }

    /// Goes on where [`Self::pause`] stood.
    #[inline]
    pub(super) fn resume(&self, source: u32, paused: Paused) -> Targets<'_> {
        let rest = self.bytes.get(self.start_around(source) + paused.at as usize..).unwrap_or_default();
        Targets { rest, left: paused.left, base: paused.base, chained: paused.chained, hubs: &self.hubs }
    }

    /// Where the lists of an object and those around it begin.
    #[inline]
    fn start_around(&self, source: u32) -> usize {
        self.buckets.get((source / SPAN) as usize).map_or(0, |bucket| bucket.start)
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let buckets: usize =
            self.buckets.iter().map(|bucket| bucket.long.capacity() * 8 + size_of::<Bucket>()).sum();
        self.bytes.capacity()
            + buckets
            + self.blocks.capacity() * size_of::<Block>()
            + self.hubs.capacity() * 4
    }
}

/// A place in an object's list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paused {
    /// Bytes into the object's bucket; below 2^39.
    pub(super) at: u64,
    /// Bytes of the list left.
    pub(super) left: u32,
    /// What the next difference starts from.
    pub(super) base: u32,
    /// Whether differences go from target to target.
    pub(super) chained: bool,
}

/// The targets of one object, in the order they were given.
#[derive(Debug, Clone)]
pub struct Targets<'a> {
    rest: &'a [u8],
    left: u32,
    base: u32,
    chained: bool,
    hubs: &'a [u32],
}

impl Targets<'_> {
    /// Whether no target is left.
    #[must_use]
    #[inline]
    pub fn is_done(&self) -> bool {
        self.left == 0
    }
}

impl Iterator for Targets<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.left == 0 {
            return None;
        }
        let (code, length) = varint::read(self.rest)?;
        self.rest = self.rest.get(length..)?;
        self.left = self.left.saturating_sub(length as u32);
        if let Some(&hub) = self.hubs.get(code as usize) {
            return Some(hub);
        }
        let target = varint::apply(self.base, code - self.hubs.len() as u64);
        if self.chained {
            self.base = target;
        }
        Some(target)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn model(objects: u32, seed: u64) -> Vec<Vec<u32>> {
        let mut state = seed | 1;
        let mut draw = |below: u32| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 20) as u32 % below
        };
        let mut lists = vec![Vec::new(); objects as usize];
        for list in &mut lists {
            let length = match draw(1000) {
                0 => draw(1000),
                1..400 => 0,
                _ => draw(4) + 1,
            };
            list.extend((0..length).map(|_| draw(objects)));
        }
        lists
    }

    fn build(lists: &[Vec<u32>], order: &[u32], hubs: &[u32]) -> Graph {
        let mut builder = GraphBuilder::new(lists.len() as u32, hubs).unwrap();
        for &source in order {
            assert!(builder.append(source, &lists[source as usize]).unwrap());
        }
        builder.finish().unwrap()
    }

    fn agrees(graph: &Graph, lists: &[Vec<u32>]) {
        assert_eq!(graph.references(), lists.iter().map(|list| list.len() as u64).sum::<u64>());
        for (source, list) in (0u32..).zip(lists) {
            assert_eq!(&graph.targets(source).collect::<Vec<_>>(), list, "targets of {source}");
        }
        assert_eq!(graph.targets(lists.len() as u32).count(), 0);
        assert_eq!(graph.targets(u32::MAX).count(), 0);
    }

    #[test]
    fn lists_read_back_whatever_the_order_they_came_in() {
        let lists = model(150_000, 7);
        let ascending: Vec<u32> = (0..150_000).collect();
        agrees(&build(&lists, &ascending, &[]), &lists);
        let mut order = ascending;
        order.reverse();
        agrees(&build(&lists, &order, &[5, 149_999, 5, 70_000]), &lists);
        order.sort_by_key(|&index| (index.wrapping_mul(0x9E37_79B1), index));
        agrees(&build(&lists, &order, &[1, 2, 3]), &lists);
        order.sort_by_key(|&index| (index % 3, index));
        agrees(&build(&lists, &order, &[]), &lists);
    }

    #[test]
    fn a_walk_goes_on_where_it_paused() {
        let lists = model(70_000, 11);
        let graph = build(&lists, &(0..70_000).collect::<Vec<_>>(), &[9]);
        for (source, list) in (0u32..).zip(&lists) {
            let mut targets = graph.targets(source);
            let half = list.len() / 2;
            let mut read: Vec<u32> = targets.by_ref().take(half).collect();
            read.extend(graph.resume(source, graph.pause(source, &targets)));
            assert_eq!(&read, list, "targets of {source}");
        }
    }

    #[test]
    fn hubs_make_far_references_cheap() {
        let lists: Vec<Vec<u32>> = (0..200_000u32).map(|i| vec![i / 2, i % 40]).collect();
        let order: Vec<u32> = (0..200_000).collect();
        let hubs: Vec<u32> = (0..40).collect();
        let (with, without) = (build(&lists, &order, &hubs), build(&lists, &order, &[]));
        agrees(&with, &lists);
        assert!(with.bytes() + 250_000 < without.bytes(), "{} against {}", with.bytes(), without.bytes());
    }

    #[test]
    fn wrong_indices_and_second_lists_are_refused() {
        let mut builder = GraphBuilder::new(10, &[]).unwrap();
        let beyond = GraphError::NoSuchObject { index: 10, objects: 10 };
        assert_eq!(builder.append(10, &[]), Err(beyond));
        assert_eq!(builder.append(3, &[1, 10]), Err(beyond));
        assert_eq!(builder.append(3, &[1]), Ok(true));
        assert_eq!(builder.append(3, &[2]), Ok(false));
        assert_eq!(GraphBuilder::new(u32::MAX, &[]).err(), Some(GraphError::TooManyObjects));
        assert_eq!(GraphBuilder::new(10, &[10]).err(), Some(beyond));
        let graph = builder.finish().unwrap();
        assert_eq!(graph.targets(3).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn two_builders_make_one_graph() {
        let lists = model(150_000, 13);
        let ascending: Vec<u32> = (0..150_000).collect();
        let mut scattered = ascending.clone();
        scattered.sort_by_key(|&index| (index.wrapping_mul(0x9E37_79B1), index));
        // In the middle of a bucket, behind it, on a border; the second before the first; in no order.
        let halves = [(70_000, &ascending), (1, &ascending), (SPAN, &ascending), (75_000, &scattered)];
        for (border, order) in halves {
            for swapped in [false, true] {
                let mut parts =
                    [order.get(..border as usize).unwrap(), order.get(border as usize..).unwrap()];
                if swapped {
                    parts.reverse();
                }
                let [mut first, second] = parts.map(|part| {
                    let mut builder = GraphBuilder::new(150_000, &[7]).unwrap();
                    part.iter().for_each(|&i| assert!(builder.append(i, &lists[i as usize]).unwrap()));
                    builder
                });
                first.join(second);
                agrees(&first.finish().unwrap(), &lists);
            }
        }
    }

    proptest! {
        #[test]
        fn any_lists_read_back(
            lists in prop::collection::vec(prop::collection::vec(0u32..300, 0..300), 300),
            hubs in prop::collection::vec(0u32..300, 0..80),
        ) {
            let order: Vec<u32> = (0..300).collect();
            agrees(&build(&lists, &order, &hubs), &lists);
        }
    }
}
