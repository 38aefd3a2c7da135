//! Blocks that were freed, kept for the next ones while a large piece of work goes on: a page that the kernel gives out costs
//! a fault and is cleared, which takes three times as long as to write a page that is already there.
//!
//! To keep them takes no more memory than to give them back: what is in use, as if all of it were touched, and what is kept
//! stay together below what the program had resident at its highest.
#![expect(unsafe_code, reason = "a kept block is given back to the kernel; every call says why it holds")]

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Resident;

/// Ranges kept at once; the smallest goes when one more comes.
const RANGES: usize = 64;
/// What is resident of the program beside its large blocks, bytes: its text, its stacks, its small blocks.
const OTHERS: usize = 16 << 20;

static SPARE: Mutex<Spare> = Mutex::new(Spare::new());
/// Bytes of large blocks that are in use, in memory.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// While there is one, large blocks that are freed are kept for the next.
#[derive(Debug)]
pub struct Reuse(());

impl Reuse {
    /// Begins to keep blocks. Where the kernel does not tell what is resident, none is kept.
    pub fn begin() -> Reuse {
        // Opened before the lock is taken: this may allocate.
        let resident = Resident::open();
        let mut spare = spare();
        spare.users += 1;
        let unused = match spare.resident {
            None => {
                spare.resident = resident;
                None
            }
            Some(_) => resident,
        };
        drop(spare);
        drop(unused);
        Reuse(())
    }
}

impl Drop for Reuse {
    fn drop(&mut self) {
        let mut spare = spare();
        spare.users = spare.users.saturating_sub(1);
        if spare.users > 0 {
            return;
        }
        spare.give_back(usize::MAX);
        let resident = spare.resident.take();
        drop(spare);
        drop(resident);
    }
}

/// Whole pages in a row that nobody uses.
#[derive(Debug, Clone, Copy)]
struct Range {
    at: usize,
    bytes: usize,
}

struct Spare {
    /// Those without bytes are none.
    ranges: [Range; RANGES],
    /// Bytes that were resident at the highest, as far as was seen.
    highest: usize,
    /// Tells what is resident; nothing while no block is to be kept.
    resident: Option<Resident>,
    users: usize,
}

impl Spare {
    const fn new() -> Spare {
        Spare { ranges: [Range { at: 0, bytes: 0 }; RANGES], highest: 0, resident: None, users: 0 }
    }

    fn kept(&self) -> usize {
        self.ranges.iter().map(|range| range.bytes).sum()
    }

    /// Keeps a range, as one with those beside it.
    fn keep(&mut self, mut new: Range) {
        for range in &mut self.ranges {
            if range.bytes > 0 && (range.at + range.bytes == new.at || new.at + new.bytes == range.at) {
                new = Range { at: new.at.min(range.at), bytes: new.bytes + range.bytes };
                range.bytes = 0;
            }
        }
        let Some(smallest) = self.ranges.iter_mut().min_by_key(|range| range.bytes) else { return };
        if smallest.bytes < new.bytes {
            std::mem::swap(smallest, &mut new);
        }
        // SAFETY: the range was kept, or came to be, so nobody uses it, and it is in the table no more.
        unsafe { give_back(new) };
    }

    /// Takes so many bytes out of the range that fits best.
    fn take(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        let fitting = self.ranges.iter_mut().filter(|range| range.bytes >= bytes);
        let range = fitting.min_by_key(|range| range.bytes)?;
        let at = range.at;
        *range = Range { at: at + bytes, bytes: range.bytes - bytes };
        NonNull::new(ptr::with_exposed_provenance_mut(at))
    }

    /// Gives so many bytes back to the kernel, of the smallest ranges first.
    fn give_back(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let some = self.ranges.iter_mut().filter(|range| range.bytes > 0);
            let Some(range) = some.min_by_key(|range| range.bytes) else { return };
            let gone = bytes.min(range.bytes);
            range.bytes -= gone;
            bytes -= gone;
            // SAFETY: the range was kept, so nobody uses it, and this part of it is in the table no more.
            unsafe { give_back(Range { at: range.at + range.bytes, bytes: gone }) };
        }
    }

    /// Gives back what would raise the highest there was, if all that is in use were touched.
    fn trim(&mut self) {
        let kept = self.kept();
        let Some(resident) = self.resident.as_ref().filter(|_| kept > 0) else { return };
        let now = resident.bytes().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        self.highest = self.highest.max(now);
        let might_be = IN_USE.load(Ordering::Relaxed) + kept + OTHERS;
        self.give_back(might_be.saturating_sub(self.highest));
    }
}

/// The lock; nothing that is done under it can leave it half done.
fn spare() -> MutexGuard<'static, Spare> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// The range is whole pages of mappings that nobody uses.
unsafe fn give_back(range: Range) {
    if range.bytes > 0 {
        let at = ptr::with_exposed_provenance_mut(range.at);
        // SAFETY: as the caller promised.
        let _cannot_fail_for_whole_mappings = unsafe { rustix::mm::munmap(at, range.bytes) };
    }
}

/// So many bytes, which are whole pages, of what was freed: not zero. They count as in use, as do those that the caller has to
/// ask the kernel for instead.
pub(super) fn take(bytes: usize) -> Option<NonNull<u8>> {
    IN_USE.fetch_add(bytes, Ordering::Relaxed);
    let mut spare = spare();
    let taken = spare.take(bytes);
    if taken.is_none() {
        spare.trim();
    }
    taken
}

/// Whether there is a range of so many bytes.
pub(super) fn has(bytes: usize) -> bool {
    spare().ranges.iter().any(|range| range.bytes >= bytes)
}

/// A block grew by so many bytes where it was.
pub(super) fn grown(bytes: usize) {
    IN_USE.fetch_add(bytes, Ordering::Relaxed);
    spare().trim();
}

/// Frees whole pages: kept when that is wanted, else given back.
///
/// # Safety
/// They are of mappings in memory, and nobody uses them any more.
pub(super) unsafe fn free(at: NonNull<u8>, bytes: usize, keep: bool) {
    IN_USE.fetch_sub(bytes, Ordering::Relaxed);
    let range = Range { at: at.as_ptr().expose_provenance(), bytes };
    let mut spare = spare();
    if keep && spare.resident.is_some() {
        spare.keep(range);
        spare.trim();
    } else {
        // SAFETY: as the caller promised.
        unsafe { give_back(range) };
    }
}

/// Gives back all that is kept.
pub(super) fn give_all_back() {
    spare().give_back(usize::MAX);
}
