//! Many small pieces of memory in few reads: neighbours are read together.

use super::ReadAt;

/// Bytes between two pieces that are read along: no more than a page that nobody asked for.
const GAP: u64 = 4096;
/// Bytes of one read.
const MOST: u64 = 256 << 10;

/// A piece to read, and the number that its reader knows it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) at: u64,
    pub(super) size: u64,
    pub(super) number: usize,
}

/// Reads all pieces in order of their addresses and hands each to `take`: what could be read of it, which is less than
/// was asked for where memory ends.
pub(super) fn read(memory: &dyn ReadAt, mut pieces: Vec<Wanted>, mut take: impl FnMut(usize, &[u8])) {
    pieces.sort_unstable_by_key(|p| p.at);
    let mut buffer = Vec::new();
    let mut rest = pieces.as_slice();
    while let Some(first) = rest.first() {
        let mut end = first.at.saturating_add(first.size);
        let mut together = 1;
        for p in rest.iter().skip(1) {
            let further = p.at.saturating_add(p.size).max(end);
            if p.at > end.saturating_add(GAP) || further - first.at > MOST {
                break;
            }
            (end, together) = (further, together + 1);
        }
        buffer.resize(usize::try_from(end - first.at).unwrap_or(0), 0);
        let have = memory.read_at(first.at, &mut buffer);
        let (these, others) = rest.split_at(together);
        for p in these {
            let from = usize::try_from(p.at - first.at).unwrap_or(usize::MAX);
            let to = from.saturating_add(usize::try_from(p.size).unwrap_or(usize::MAX)).min(have);
            match buffer.get(from..to) {
                Some(bytes) if !bytes.is_empty() || p.size == 0 => take(p.number, bytes),
                // Where a piece before it ends, this one may begin again.
                _ if together > 1 => alone(memory, p, &mut take),
                _ => take(p.number, &[]),
            }
        }
        rest = others;
    }
}

fn alone(memory: &dyn ReadAt, p: &Wanted, take: &mut impl FnMut(usize, &[u8])) {
    let mut own = vec![0; usize::try_from(p.size).unwrap_or(0)];
    let have = memory.read_at(p.at, &mut own);
    take(p.number, own.get(..have).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Every byte is the low byte of its address; nothing can be read from 0x5000 to 0x6000.
    struct Pages(AtomicUsize);

    impl ReadAt for Pages {
        fn read_at(&self, at: u64, to: &mut [u8]) -> usize {
            self.0.fetch_add(1, Ordering::Relaxed);
            let mut n = 0;
            for (i, b) in to.iter_mut().enumerate() {
                let here = at + i as u64;
                if (0x5000..0x6000).contains(&here) {
                    break;
                }
                (*b, n) = (here as u8, i + 1);
            }
            n
        }
    }

    fn all(pieces: &[(u64, u64)]) -> (Vec<Vec<u8>>, usize) {
        let memory = Pages(AtomicUsize::new(0));
        let wanted = |(number, &(at, size))| Wanted { at, size, number };
        let mut out = vec![Vec::new(); pieces.len()];
        read(&memory, pieces.iter().enumerate().map(wanted).collect(), |n, bytes| out[n] = bytes.to_vec());
        (out, memory.0.into_inner())
    }

    #[test]
    fn neighbours_are_read_together_whatever_their_order() {
        let (out, reads) = all(&[(0x1010, 3), (0x1000, 2), (0x9_0000, 1)]);
        assert_eq!(out, [vec![0x10, 0x11, 0x12], vec![0, 1], vec![0]]);
        assert_eq!(reads, 2);
        let (out, _) = all(&[(0x1000, 4), (0x1002, 4)]);
        assert_eq!(out, [vec![0, 1, 2, 3], vec![2, 3, 4, 5]], "they may overlap");
    }

    #[test]
    fn a_hole_takes_only_what_lies_in_it() {
        let (out, _) = all(&[(0x4ffe, 4), (0x5800, 2), (0x6000, 2)]);
        assert_eq!(out, [vec![0xfe, 0xff], vec![], vec![0, 1]]);
        let (out, reads) = all(&[(0, MOST), (MOST, MOST)]);
        assert_eq!((out.len(), reads), (2, 2), "bounded");
    }
}
