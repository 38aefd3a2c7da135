//! `/proc/PID/smaps` and its relatives: what each kind of mapping holds, and where glibc's heaps lie.
//!
//! [`read`] keeps every mapping, for who walks the heaps; [`survey`] sums them in one pass, as an artifact that concludes.

mod area;
#[cfg(test)]
mod artifact_tests;
mod conclude;
mod kind;
mod survey;

use crate::glibc_heap::{HEAP_MAX, HeapInfo};

pub use area::Area;
pub use conclude::MapsReport;
pub use survey::{Form, Sum, Survey, Use, survey};

/// What a mapping is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The brk heap.
    Brk,
    /// A secondary arena of glibc: the writable head of a 64 MiB aligned reservation.
    Arena,
    /// A thread's stack.
    Stack,
    /// Other anonymous memory.
    Anonymous,
    /// A file.
    File,
}

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// Writable.
    pub writable: bool,
    /// No access at all: a guard or a reservation.
    pub closed: bool,
    /// Name: a path, `[heap]`, or empty.
    pub name: String,
    /// Resident bytes.
    pub resident: u64,
}

/// Mappings with their kinds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Smaps {
    /// In order of address.
    pub mappings: Vec<(Mapping, Option<Kind>)>,
}

/// Stacks are larger than a guard and smaller than what nobody configures.
const STACK_SIZES: std::ops::RangeInclusive<u64> = (64 << 10)..=(256 << 20);
/// More mappings than this are not read: a process may have 65530 by default.
const MOST: usize = 200_000;

/// Reads `smaps` (or `maps`: then nothing is resident). A cut text gives what it holds.
pub fn read(text: &str) -> Smaps {
    let mut found: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        if let Some(mapping) = header(line) {
            if found.len() >= MOST {
                break;
            }
            found.push(mapping);
        } else if let (Some(last), Some(kib)) = (found.last_mut(), line.strip_prefix("Rss:").and_then(kib)) {
            last.resident = kib.saturating_mul(1024);
        }
    }
    let kinds: Vec<Option<Kind>> = (0..found.len()).map(|i| kind(&found, i)).collect();
    Smaps { mappings: found.into_iter().zip(kinds).collect() }
}

impl Smaps {
    /// Resident bytes of a kind.
    pub fn resident(&self, kind: Kind) -> u64 {
        self.of(kind).map(|m| m.resident).fold(0, u64::saturating_add)
    }

    /// Mappings of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().filter(move |(_, k)| *k == Some(kind)).map(|(m, _)| m)
    }

    /// Addresses at which one of glibc's secondary heaps can begin. Full neighbours, and blocks mapped beside
    /// them, are one mapping for the kernel: only the heads at these addresses tell.
    pub fn heap_places(&self) -> impl Iterator<Item = u64> {
        let candidates = self.mappings.iter().filter(|(m, kind)| {
            m.writable
                && m.name.is_empty()
                && matches!(kind, Some(Kind::Arena | Kind::Anonymous | Kind::Stack))
        });
        candidates.flat_map(|(m, _)| {
            let first = m.start.checked_next_multiple_of(HEAP_MAX).unwrap_or(m.end);
            (first..m.end).step_by(HEAP_MAX as usize)
        })
    }

    /// Cuts the mappings along the heaps that are really there, in order of address, and books them as arenas;
    /// what only looked like an arena becomes other anonymous memory. The resident bytes of a mapping count for
    /// its heaps first, up to the size that they use.
    pub fn settle(&mut self, heaps: &[HeapInfo]) {
        let all = std::mem::take(&mut self.mappings);
        for (mapping, kind) in all {
            let from = heaps.partition_point(|h| h.base < mapping.start);
            let inside = heaps.get(from..).unwrap_or_default().iter().take_while(|h| h.base < mapping.end);
            let inside: Vec<HeapInfo> = inside.copied().collect();
            if inside.is_empty() {
                let kind = if kind == Some(Kind::Arena) { Some(Kind::Anonymous) } else { kind };
                self.mappings.push((mapping, kind));
            } else {
                self.mappings.extend(cut(&mapping, &inside));
            }
        }
    }

    /// Base names of the mapped files that hold code.
    pub fn has_file(&self, test: impl Fn(&str) -> bool) -> bool {
        self.of(Kind::File).any(|m| test(m.name.rsplit('/').next().unwrap_or(&m.name)))
    }
}

/// `7f00-7f10 rw-p 00000000 00:00 0    [heap]`
fn header(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    let access = words.next()?.as_bytes();
    let name = words.nth(3).unwrap_or_default();
    let ordered = end > start && access.len() == 4;
    ordered.then(|| Mapping {
        start,
        end,
        writable: access.get(1) == Some(&b'w'),
        closed: access.starts_with(b"---"),
        name: name.to_owned(),
        resident: 0,
    })
}

fn kib(text: &str) -> Option<u64> {
    text.trim().strip_suffix(" kB")?.trim().parse().ok()
}

fn kind(all: &[Mapping], i: usize) -> Option<Kind> {
    kind_of(all.get(i)?, i.checked_sub(1).and_then(|j| all.get(j)), all.get(i + 1))
}

/// What a mapping is for, by its name and its neighbours.
fn kind_of(m: &Mapping, before: Option<&Mapping>, after: Option<&Mapping>) -> Option<Kind> {
    let before = before.filter(|b| b.end == m.start);
    let after = after.filter(|a| a.start == m.end);
    match m.name.as_str() {
        "[heap]" => Some(Kind::Brk),
        name if name.starts_with("[stack") => Some(Kind::Stack),
        name if name.starts_with('/') => Some(Kind::File),
        name if name.starts_with("[v") => None,
        _ if m.closed => None,
        _ if is_arena(m, after) => Some(Kind::Arena),
        _ if is_stack(m, before) => Some(Kind::Stack),
        _ => Some(Kind::Anonymous),
    }
}

/// The writable head of an aligned reservation, and the closed rest up to its end.
fn is_arena(m: &Mapping, after: Option<&Mapping>) -> bool {
    let aligned = m.start.is_multiple_of(HEAP_MAX) && m.writable;
    let full = m.end.checked_sub(m.start) == Some(HEAP_MAX);
    let end = m.start.checked_add(HEAP_MAX);
    aligned && (full || after.is_some_and(|a| a.closed && Some(a.end) == end))
}

/// The pieces of a mapping that holds heaps.
fn cut(mapping: &Mapping, heaps: &[HeapInfo]) -> Vec<(Mapping, Option<Kind>)> {
    let piece = |start, end| Mapping { start, end, resident: 0, ..mapping.clone() };
    let mut pieces: Vec<(Mapping, Option<Kind>)> = Vec::new();
    let mut at = mapping.start;
    let mut left = mapping.resident;
    for heap in heaps {
        let end = heap.base.saturating_add(heap.writable).min(mapping.end);
        if heap.base > at {
            pieces.push((piece(at, heap.base), Some(Kind::Anonymous)));
        }
        let resident = left.min(heap.size);
        left -= resident;
        pieces.push((Mapping { resident, ..piece(heap.base, end) }, Some(Kind::Arena)));
        at = end;
    }
    if at < mapping.end {
        pieces.push((piece(at, mapping.end), Some(Kind::Anonymous)));
    }
    // What is left lies outside the heaps, or in a heap's shrunk end.
    let rest = pieces.iter_mut().rev().max_by_key(|(_, kind)| *kind == Some(Kind::Anonymous));
    if let Some((rest, _)) = rest {
        rest.resident = rest.resident.saturating_add(left);
    }
    pieces
}

/// A writable block right behind a guard.
fn is_stack(m: &Mapping, before: Option<&Mapping>) -> bool {
    let guard = before.is_some_and(|b| b.closed && b.name.is_empty() && b.end - b.start <= 64 << 10);
    m.writable && guard && STACK_SIZES.contains(&(m.end - m.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
55a0-55b0 r-xp 00000000 08:01 1   /usr/bin/app
Rss:                  64 kB
560000000000-560000100000 rw-p 00000000 00:00 0    [heap]
Size:               1024 kB
Rss:                 512 kB
7f0000000000-7f0000021000 rw-p 00000000 00:00 0
Rss:                 100 kB
7f0000021000-7f0004000000 ---p 00000000 00:00 0
Rss:                   0 kB
7f1000000000-7f1000001000 ---p 00000000 00:00 0
Rss:                   0 kB
7f1000001000-7f1000801000 rw-p 00000000 00:00 0
Rss:                  16 kB
7f2000000000-7f2000100000 rw-p 00000000 00:00 0
Rss:                 256 kB
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0   [stack]
Rss:                  12 kB
7ffc00030000-7ffc00032000 r-xp 00000000 00:00 0   [vdso]
Rss:                   8 kB
";

    #[test]
    fn kinds_by_place_and_neighbours() {
        let s = read(TEXT);
        assert_eq!(s.resident(Kind::Brk), 512 << 10);
        assert_eq!(s.resident(Kind::Arena), 100 << 10);
        assert_eq!(s.resident(Kind::Stack), 28 << 10);
        assert_eq!(s.resident(Kind::Anonymous), 256 << 10);
        assert_eq!(s.resident(Kind::File), 64 << 10);
        assert!(s.has_file(|n| n == "app"));
    }

    #[test]
    fn every_cut_is_survived() {
        for i in 0..TEXT.len() {
            assert!(read(&TEXT[..i]).mappings.len() <= 9);
        }
        assert_eq!(read("zz-yy rw-p\n5-3 rw-p 0 0 0\n"), Smaps::default());
    }

    #[test]
    fn heaps_that_the_kernel_shows_as_one_mapping_are_told_apart() {
        // A mapped block, a full heap, its full neighbour and the head of a third; then a block that only
        // happens to be aligned.
        let text = "\
7effffff0000-7f0008400000 rw-p 00000000 00:00 0
Rss:              140000 kB
7f0008400000-7f000c000000 ---p 00000000 00:00 0
7f0010000000-7f0014000000 rw-p 00000000 00:00 0
Rss:                 100 kB
";
        let mut s = read(text);
        assert_eq!(s.resident(Kind::Anonymous), 140_000 << 10);
        let places: Vec<u64> = s.heap_places().collect();
        assert_eq!(places, [0x7f00_0000_0000, 0x7f00_0400_0000, 0x7f00_0800_0000, 0x7f00_1000_0000]);
        let full = |base, first| HeapInfo { base, size: HEAP_MAX, writable: HEAP_MAX, first };
        let third = HeapInfo { base: places[2], size: 4 << 20, writable: 4 << 20, first: false };
        s.settle(&[full(places[0], true), full(places[1], false), third]);
        assert_eq!(s.of(Kind::Arena).count(), 3);
        assert_eq!(s.resident(Kind::Arena), 132 << 20);
        assert_eq!(s.resident(Kind::Anonymous), (140_000 << 10) - (132 << 20) + (100 << 10));
        let bytes = |s: &Smaps| s.mappings.iter().map(|(m, _)| m.end - m.start).sum::<u64>();
        assert_eq!(bytes(&s), bytes(&read(text)), "no address is lost");
    }

    #[test]
    fn the_shrunk_end_of_a_heap_stays_its_own() {
        let mut s = read(
            "7f0000000000-7f0000100000 rw-p 0 0 0\nRss: 1024 kB\n7f0000100000-7f0004000000 ---p 0 0 0\n",
        );
        s.settle(&[HeapInfo { base: 0x7f00_0000_0000, size: 0x21000, writable: 0x10_0000, first: true }]);
        assert_eq!((s.resident(Kind::Arena), s.resident(Kind::Anonymous)), (1 << 20, 0));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([0-9a-f]{1,16}-[0-9a-f]{1,16} (rw-p|---p) 0 0 0 ?(\\[heap\\]|/x)?\n|Rss: [0-9]{1,20} kB\n|.){0,40}") {
            let mut seen = read(&text);
            let heaps: Vec<HeapInfo> = seen
                .heap_places()
                .take(100)
                .map(|base| HeapInfo { base, size: 4096, writable: HEAP_MAX, first: true })
                .collect();
            seen.settle(&heaps);
        }
    }
}
