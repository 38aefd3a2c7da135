//! A dump read by two threads, each half of it by one.
//!
//! Where one top-level record begins, its length says where the next one does: the border is the head of a heap dump
//! segment near the middle. It is the right one when the reading of the first half ends exactly there. When it does not, or
//! anything is damaged, the dump is to be read from its begin by one thread, which can step over damage.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use super::Source;
use crate::graph::watch::{Phase, Watch};
use crate::hprof::open::{Dump, Header, Packing};
use crate::hprof::plain::extent_of;
use crate::hprof::records::{Ending, Summary};
use crate::hprof::visitor::Visitor;

/// Bytes below which a dump is read by one thread.
const LEAST: u64 = 1 << 20;
/// The smaller part has this share of the dump at least, one in so many.
const SHARE: u64 = 4;
/// Heads followed at most.
const HEADS: u32 = 4 << 20;
/// Bytes read at once while heads are followed.
const PIECE: usize = 4096;

/// Where a dump is read by two threads.
pub(super) struct Halves<'s, S: ?Sized> {
    source: &'s S,
    header: Header,
    begin: u64,
    border: u64,
}

/// How far the second half is, and whether it shall go on.
#[derive(Debug, Default)]
struct Beside {
    read: AtomicU64,
    stopped: AtomicBool,
    border: u64,
}

impl Watch for Beside {
    fn step(&self, _: Phase, at: u64, _: u64) -> ControlFlow<()> {
        self.read.store(at.saturating_sub(self.border), Relaxed);
        if self.stopped.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Tells a watch of the first half how far both are.
struct Both<'w> {
    watch: &'w dyn Watch,
    beside: &'w Beside,
}

impl Watch for Both<'_> {
    fn step(&self, phase: Phase, at: u64, total: u64) -> ControlFlow<()> {
        let step = self.watch.step(phase, at.saturating_add(self.beside.read.load(Relaxed)), total);
        if step.is_break() {
            self.beside.stopped.store(true, Relaxed);
        }
        step
    }
}

impl<'s, S: Source + ?Sized> Halves<'s, S> {
    /// Of this dump, of which nothing but the header was read; nothing when one thread must read it.
    pub(super) fn of(source: &'s S, dump: &Dump<'_>) -> Option<Self> {
        let (header, begin) = (dump.header(), dump.at());
        let size = source.size().filter(|size| *size >= LEAST && dump.packing() == Packing::Plain)?;
        let border = border(source, begin, size)?;
        Some(Halves { source, header, begin, border })
    }

    /// Reads both halves: the first on this thread, the second beside it. Nothing when it must be done by one thread: what
    /// the visitors have gathered is of no use then.
    pub(super) fn scan(
        &self,
        progress: Progress<'_>,
        first: &mut impl Visitor,
        second: &mut (impl Visitor + Send),
    ) -> Option<Summary> {
        let Progress(phase, watch) = progress;
        let beside = Beside { border: self.border, ..Beside::default() };
        let part = |at, end| Dump::part(self.header, at, Part { source: self.source, at, end });
        let (ours, theirs) = thread::scope(|scope| {
            let (beside, part) = (&beside, &part);
            let other = thread::Builder::new()
                .spawn_scoped(scope, move || {
                    part(self.border, u64::MAX).scan(&mut (second, Progress(phase, beside)))
                })
                .ok()?;
            let both = Both { watch, beside };
            let ours = part(self.begin, self.border).scan(&mut (first, Progress(phase, &both)));
            // What the second half finds is of no use without the first.
            beside.stopped.fetch_or(!is_sound(&ours), Relaxed);
            let theirs = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Some((ours, theirs))
        })?;
        if matches!(ours.ending, Ending::Stopped { .. }) {
            return Some(ours);
        }
        let is_sound = is_sound(&theirs);
        ours.joined(theirs, self.border).filter(|_| is_sound)
    }
}

/// Whether a half was read, with nothing stepped over.
fn is_sound(summary: &Summary) -> bool {
    !matches!(summary.ending, Ending::Stopped { .. }) && summary.damage.places == 0
}

/// The head of the heap dump segment nearest to the middle.
fn border(source: &(impl Source + ?Sized), begin: u64, size: u64) -> Option<u64> {
    let middle = begin + size.saturating_sub(begin) / 2;
    let (mut at, mut best) = (begin, None::<u64>);
    let (mut piece, mut from, mut held) = (vec![0; PIECE], 0, 0);
    for _ in 0..HEADS {
        if at < from || at + 9 > from + held {
            (from, held) = (at, source.read_at(at, &mut piece).ok()? as u64);
        }
        let bytes = piece.get(..held as usize)?.get((at - from) as usize..)?;
        let Some((is_heap, length)) = extent_of(bytes) else { break };
        if is_heap && best.is_none_or(|best| at.abs_diff(middle) < best.abs_diff(middle)) {
            best = Some(at);
        }
        if at >= middle {
            break;
        }
        at += length;
    }
    best.filter(|border| (*border - begin).min(size.saturating_sub(*border)) >= size / SHARE)
}

/// Bytes of a source from one offset to another.
struct Part<'s, S: ?Sized> {
    source: &'s S,
    at: u64,
    end: u64,
}

impl<S: Source + ?Sized> Read for Part<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.source.read_at(self.at, buffer.get_mut(..most).unwrap_or_default())?;
        self.at += count as u64;
        Ok(count)
    }
}

/// A visitor that passes progress on.
#[derive(Clone, Copy)]
pub(super) struct Progress<'w>(pub(super) Phase, pub(super) &'w dyn Watch);

impl Visitor for Progress<'_> {
    fn progress(&mut self, at: u64) -> ControlFlow<()> {
        self.1.step(self.0, at, 0)
    }
}
