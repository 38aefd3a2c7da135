//! Who refers to whom, in a few bytes per object.
//!
//! Each object's references are a count and the differences of target and source as variable-length numbers:
//! neighbours in memory are neighbours in number, so most take one or two bytes. Where an object's references begin
//! is kept for every eighth object only; the rest is skipped over.
#![expect(clippy::indexing_slicing, reason = "offsets point into the bytes written here")]

use super::{GraphError, Node};

/// Objects per known offset.
const BLOCK: usize = 8;
/// Blocks per wide offset: the narrow ones count from there.
const WIDE: usize = 1 << 10;

/// References being collected, in any order of objects. In their own order is the quick and small way.
#[derive(Debug)]
pub struct EdgesBuilder {
    nodes: u32,
    bytes: Vec<u8>,
    /// The next object in order.
    next: Node,
    /// Offset behind the references of each object so far; used once an object came out of order.
    starts: Option<Vec<u64>>,
    offsets: Offsets,
    count: u64,
}

/// No references were given.
const ABSENT: u64 = u64::MAX;

/// Where blocks begin.
#[derive(Debug, Default)]
struct Offsets {
    wide: Vec<u64>,
    narrow: Vec<u32>,
}

impl Offsets {
    /// The next block begins here.
    fn push(&mut self, offset: usize) {
        if self.narrow.len().is_multiple_of(WIDE) {
            self.wide.push(offset as u64);
        }
        let base = self.wide.last().copied().unwrap_or(0);
        // A thousand blocks hold eight thousand objects: 4 GiB of references among these do not fit a dump's
        // array lengths, which are 32 bits each and 4 bytes a reference at least.
        self.narrow.push(u32::try_from(offset as u64 - base).unwrap_or(u32::MAX));
    }

    #[inline]
    fn of(&self, block: usize) -> usize {
        self.wide[block / WIDE] as usize + self.narrow[block] as usize
    }
}

impl EdgesBuilder {
    /// For `nodes` objects.
    pub fn new(nodes: u32) -> Self {
        EdgesBuilder {
            nodes,
            bytes: Vec::new(),
            next: 0,
            starts: None,
            offsets: Offsets::default(),
            count: 0,
        }
    }

    /// The references of one object; what is left out has none.
    pub fn add(&mut self, node: Node, targets: &[Node]) -> Result<(), GraphError> {
        if let Some(wrong) = [node].iter().chain(targets).find(|n| **n >= self.nodes) {
            return Err(GraphError::NoNode(*wrong));
        }
        if self.starts.is_none() && node < self.next {
            self.disorder();
        }
        match &mut self.starts {
            Some(starts) => {
                let start = &mut starts[node as usize];
                if *start != ABSENT {
                    return Err(GraphError::Twice(node));
                }
                *start = self.bytes.len() as u64;
            }
            None => {
                self.fill(node);
                self.open(node);
                self.next = node + 1;
            }
        }
        self.count += targets.len() as u64;
        put(&mut self.bytes, targets.len() as u64);
        for target in targets {
            put(&mut self.bytes, zigzag(*target, node));
        }
        Ok(())
    }

    /// Objects before `node` that were left out.
    fn fill(&mut self, node: Node) {
        for absent in self.next..node {
            self.open(absent);
            self.bytes.push(0);
        }
    }

    fn open(&mut self, node: Node) {
        if (node as usize).is_multiple_of(BLOCK) {
            self.offsets.push(self.bytes.len());
        }
    }

    /// From here on each object's place is kept: they come out of order.
    fn disorder(&mut self) {
        let mut starts = vec![ABSENT; self.nodes as usize];
        let mut at = 0;
        for start in starts.iter_mut().take(self.next as usize) {
            let begin = at;
            let count = take(&self.bytes, &mut at);
            // What was left out may still come.
            if count > 0 {
                *start = begin as u64;
            }
            for _ in 0..count {
                take(&self.bytes, &mut at);
            }
        }
        self.starts = Some(starts);
        self.offsets = Offsets::default();
    }

    /// Done: put in order when they were not.
    pub fn finish(mut self) -> Edges {
        if let Some(starts) = self.starts.take() {
            let disordered = std::mem::take(&mut self.bytes);
            self.bytes.reserve_exact(disordered.len());
            for (node, start) in starts.into_iter().enumerate() {
                self.open(node as Node);
                if start == ABSENT {
                    self.bytes.push(0);
                    continue;
                }
                let begin = start as usize;
                let mut end = begin;
                for _ in 0..take(&disordered, &mut end) {
                    take(&disordered, &mut end);
                }
                self.bytes.extend_from_slice(&disordered[begin..end]);
            }
        } else {
            self.fill(self.nodes);
        }
        self.bytes.shrink_to_fit();
        Edges { nodes: self.nodes, bytes: self.bytes, offsets: self.offsets, count: self.count }
    }
}

/// The references of all objects.
#[derive(Debug)]
pub struct Edges {
    nodes: u32,
    bytes: Vec<u8>,
    offsets: Offsets,
    count: u64,
}

impl Edges {
    /// Objects.
    pub fn nodes(&self) -> u32 {
        self.nodes
    }

    /// References.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.offsets.wide.capacity() * 8 + self.offsets.narrow.capacity() * 4
    }

    /// What an object refers to, in the order given.
    #[inline]
    pub fn of(&self, node: Node) -> Targets<'_> {
        let mut at = self.offsets.of(node as usize / BLOCK);
        for _ in 0..node as usize % BLOCK {
            let count = take(&self.bytes, &mut at);
            skip(&self.bytes, &mut at, count);
        }
        self.targets(node, &mut at)
    }

    /// Every object with what it refers to, in order: the quick way over all of them.
    pub fn each(
        &self,
        mut f: impl FnMut(Node, Targets<'_>) -> Result<(), GraphError>,
    ) -> Result<(), GraphError> {
        let mut at = 0;
        for node in 0..self.nodes {
            let targets = self.targets(node, &mut at);
            skip(&self.bytes, &mut at, u64::from(targets.left));
            f(node, targets)?;
        }
        Ok(())
    }

    #[inline]
    fn targets(&self, source: Node, at: &mut usize) -> Targets<'_> {
        let left = take(&self.bytes, at) as u32;
        Targets { bytes: &self.bytes, at: *at, left, source }
    }

    /// Goes on where a walk was left.
    #[inline]
    pub(super) fn resume(&self, cursor: Cursor) -> Targets<'_> {
        let Cursor { at, left, source } = cursor;
        Targets { bytes: &self.bytes, at: at as usize, left, source }
    }
}

/// Where a walk over an object's references stands: small enough to be kept on a stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    at: u64,
    left: u32,
    source: Node,
}

/// The references of one object.
#[derive(Debug, Clone)]
pub struct Targets<'e> {
    bytes: &'e [u8],
    at: usize,
    left: u32,
    source: Node,
}

impl Targets<'_> {
    /// The rest of this walk, to be resumed.
    #[inline]
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { at: self.at as u64, left: self.left, source: self.source }
    }
}

impl Iterator for Targets<'_> {
    type Item = Node;

    #[inline]
    fn next(&mut self) -> Option<Node> {
        self.left = self.left.checked_sub(1)?;
        Some(unzigzag(take(self.bytes, &mut self.at), self.source))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Targets<'_> {}

fn zigzag(target: Node, source: Node) -> u64 {
    let d = i64::from(target) - i64::from(source);
    ((d << 1) ^ (d >> 63)) as u64
}

#[inline]
fn unzigzag(v: u64, source: Node) -> Node {
    let d = (v >> 1) as i64 ^ -((v & 1) as i64);
    (i64::from(source) + d) as Node
}

/// Writes a number, seven bits a byte, the lowest first.
fn put(bytes: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        bytes.push(v as u8 | 0x80);
        v >>= 7;
    }
    bytes.push(v as u8);
}

#[inline]
fn take(bytes: &[u8], at: &mut usize) -> u64 {
    let first = bytes[*at];
    *at += 1;
    if first < 0x80 {
        return u64::from(first);
    }
    let mut v = u64::from(first & 0x7f);
    let mut shift = 7;
    loop {
        let byte = bytes[*at];
        *at += 1;
        v |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return v;
        }
        shift += 7;
    }
}

/// Steps over numbers.
#[inline]
fn skip(bytes: &[u8], at: &mut usize, count: u64) {
    for _ in 0..count {
        while bytes[*at] >= 0x80 {
            *at += 1;
        }
        *at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(edges: &Edges) -> Vec<Vec<Node>> {
        (0..edges.nodes()).map(|n| edges.of(n).collect()).collect()
    }

    fn sample(nodes: u32) -> Vec<Vec<Node>> {
        let mix = |x: u32| x.wrapping_mul(0x9E37_79B9) >> 7;
        (0..nodes).map(|n| (0..mix(n) % 4).map(|k| mix(n * 5 + k) % nodes).collect()).collect()
    }

    #[test]
    fn in_order_with_gaps_and_out_of_order_give_the_same() {
        let want = sample(1000);
        let build = |order: &mut dyn Iterator<Item = u32>| {
            let mut b = EdgesBuilder::new(1000);
            for n in order.filter(|n| !want[*n as usize].is_empty()) {
                b.add(n, &want[n as usize]).unwrap();
            }
            b.finish()
        };
        let straight = build(&mut (0..1000));
        assert_eq!(lists(&straight), want);
        assert_eq!(lists(&build(&mut (0..1000).rev())), want);
        assert_eq!(lists(&build(&mut (0..1000).map(|i| i * 777 % 1000))), want);
        assert_eq!(straight.count(), want.iter().map(Vec::len).sum::<usize>() as u64);
        let mut seen = Vec::new();
        straight
            .each(|n, t| {
                seen.push((n, t.collect::<Vec<_>>()));
                Ok(())
            })
            .unwrap();
        assert!(seen.into_iter().eq((0..).zip(want)));
    }

    #[test]
    fn a_walk_is_resumed_where_it_was_left() {
        let mut b = EdgesBuilder::new(9);
        b.add(3, &[8, 0, 3]).unwrap();
        let edges = b.finish();
        let mut walk = edges.of(3);
        assert_eq!(walk.next(), Some(8));
        assert_eq!(edges.resume(walk.cursor()).collect::<Vec<_>>(), [0, 3]);
    }

    #[test]
    fn wrong_numbers_and_repetitions_are_refused() {
        let mut b = EdgesBuilder::new(5);
        assert_eq!(b.add(5, &[]), Err(GraphError::NoNode(5)));
        assert_eq!(b.add(0, &[1, 7]), Err(GraphError::NoNode(7)));
        b.add(2, &[1]).unwrap();
        b.add(1, &[2]).unwrap();
        assert_eq!(b.add(2, &[1]), Err(GraphError::Twice(2)));
        assert_eq!(lists(&b.finish()), [vec![], vec![2], vec![1], vec![], vec![]]);
        assert_eq!(EdgesBuilder::new(0).finish().nodes(), 0);
    }

    #[test]
    fn neighbours_take_few_bytes() {
        let mut b = EdgesBuilder::new(100_000);
        for n in 0..100_000u32 {
            b.add(n, &[(n + 1) % 100_000, n.saturating_sub(5)]).unwrap();
        }
        let edges = b.finish();
        assert!(edges.memory() < 380_000, "{}", edges.memory());
    }
}
