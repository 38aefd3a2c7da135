//! The allocator of a program that may spill: small blocks are the system's, large ones are mappings of their own: of memory,
//! or of files while spilling is on.
//!
//! The system's allocator keeps large blocks that were freed for what may come, up to tens of megabytes; a mapping is given
//! back at once, which is a tenth of the memory that a heap dump of gigabytes takes, or kept for the next one where that
//! takes none ([`super::spare`]).
//!
//! A spilled block is a shared mapping of a file without a name, on a disk. Room on the disk is taken before the block is, so that
//! a full disk is an error here and never a signal at a later touch. Freed, the block's file is gone, with what the kernel
//! would still have written. Pages of a block may be let go at any time: they are read back when they are touched.
#![expect(
    unsafe_code,
    reason = "an allocator is unsafe to write, and so is mapping memory; every call says why it holds"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MremapFlags, ProtFlags};

use super::spare;

/// Allocations of at least so many bytes are mappings: smaller ones take more in files than they free in memory.
pub(super) const LARGE: usize = 1 << 20;
/// Blocks at once; what is beyond stays in memory. Each has an open file, of which a process may have 1024 for the most part.
const BLOCKS: usize = 768;
/// The smallest page there is: what is aligned to it is at the begin of any.
const PAGE: usize = 4096;
/// Bytes of address space let go at once.
const PIECE: usize = 16 << 20;

static STATE: Mutex<State> = Mutex::new(State::new());
/// Whether large blocks are spilled now.
static ON: AtomicBool = AtomicBool::new(false);
/// Blocks that there are: without any, no pointer can be of one.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// Whether this is the allocator of the program at all.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// The allocator, to be declared by the program as its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpillingAllocator;

/// A mapped file.
struct Block {
    at: NonNull<u8>,
    bytes: usize,
    file: OwnedFd,
}

// SAFETY: the pointer is only the address of the mapping, which belongs to whoever holds the allocation; what is done to it
// here is done under the lock.
unsafe impl Send for Block {}

/// All of the allocator's own.
struct State {
    blocks: [Option<Block>; BLOCKS],
    folder: Option<OwnedFd>,
    /// Room on the disk that is set aside and not yet used.
    ballast: Option<OwnedFd>,
    /// Bytes of it; and as many as it and the blocks had together at first.
    aside: u64,
    promised: u64,
    /// Bytes in blocks, and the most there were.
    taken: u64,
    highest: u64,
    /// Why a block could not be had.
    refused: Option<Errno>,
    /// Block at which the next letting go begins.
    hand: usize,
}

impl State {
    const fn new() -> State {
        State {
            blocks: [const { None }; BLOCKS],
            folder: None,
            ballast: None,
            aside: 0,
            promised: 0,
            taken: 0,
            highest: 0,
            refused: None,
            hand: 0,
        }
    }

    /// A block of its own file.
    fn take(&mut self, bytes: usize) -> Result<NonNull<u8>, Errno> {
        let slot = self.blocks.iter().position(Option::is_none).ok_or(Errno::MFILE)?;
        let folder = self.folder.as_ref().ok_or(Errno::NOENT)?;
        let file = nameless(folder)?;
        let mapped = whole_pages(bytes);
        self.lighten(mapped);
        if let Err(e) = reserve(&file, 0, mapped as u64) {
            self.set_aside();
            return Err(e);
        }
        // SAFETY: a new mapping at an address that the kernel chooses.
        let at = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                mapped,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &file,
                0,
            )
        }?;
        // Page by page: read-ahead would bring back up to megabytes at a touch, more than a small ceiling can bear.
        // SAFETY: the mapping is ours and this long; the advice changes no content.
        let _only_slower = unsafe { rustix::mm::madvise(at, mapped, Advice::Random) };
        let at = NonNull::new(at.cast()).ok_or(Errno::NOMEM)?;
        if let Some(slot) = self.blocks.get_mut(slot) {
            *slot = Some(Block { at, bytes: mapped, file });
        }
        LIVE.fetch_add(1, Ordering::Release);
        self.account(0, mapped);
        Ok(at)
    }

    fn slot_of(&self, at: *mut u8) -> Option<usize> {
        self.blocks.iter().position(|block| block.as_ref().is_some_and(|block| block.at.as_ptr() == at))
    }

    /// Unmaps a block; its file goes with it, and the room is set aside again. False when it is none.
    fn give_back(&mut self, at: *mut u8) -> bool {
        let Some(block) = self.slot_of(at).and_then(|slot| self.blocks.get_mut(slot)?.take()) else {
            return false;
        };
        // SAFETY: the block is no longer in the table, and its owner gave it up.
        let _cannot_fail_for_a_whole_mapping =
            unsafe { rustix::mm::munmap(block.at.as_ptr().cast(), block.bytes) };
        LIVE.fetch_sub(1, Ordering::Release);
        self.account(block.bytes, 0);
        drop(block);
        self.set_aside();
        true
    }

    /// A block of another size, where it is or elsewhere, without a copy.
    fn resize(&mut self, slot: usize, bytes: usize) -> Result<NonNull<u8>, Errno> {
        let new = whole_pages(bytes);
        let old = self.blocks.get(slot).and_then(Option::as_ref).ok_or(Errno::INVAL)?.bytes;
        if new > old {
            self.lighten(new - old);
        }
        let block = self.blocks.get_mut(slot).and_then(Option::as_mut).ok_or(Errno::INVAL)?;
        if new > old
            && let Err(e) = reserve(&block.file, old as u64, (new - old) as u64)
        {
            self.set_aside();
            return Err(e);
        }
        // SAFETY: the mapping is ours and `old` long; its owner waits for the new address.
        let at = unsafe { rustix::mm::mremap(block.at.as_ptr().cast(), old, new, MremapFlags::MAYMOVE) }?;
        block.at = NonNull::new(at.cast()).ok_or(Errno::NOMEM)?;
        block.bytes = new;
        let at = block.at;
        if new < old {
            // Behind the mapping, so that nobody can touch what is gone. Kept, it is only room.
            let _kept = rustix::fs::ftruncate(&block.file, new as u64);
        }
        self.account(old, new);
        Ok(at)
    }

    fn account(&mut self, gone: usize, come: usize) {
        self.taken = (self.taken + come as u64).saturating_sub(gone as u64);
        self.highest = self.highest.max(self.taken);
    }

    /// Frees room on the disk that was set aside, for a block that is about to take it.
    fn lighten(&mut self, bytes: usize) {
        let left = self.aside.saturating_sub(bytes as u64);
        if let Some(ballast) = &self.ballast
            && left < self.aside
            && rustix::fs::ftruncate(ballast, left).is_ok()
        {
            self.aside = left;
        }
    }

    /// Sets aside what blocks gave back, as far as it was promised.
    fn set_aside(&mut self) {
        let due = self.promised.saturating_sub(self.taken);
        if let Some(ballast) = &self.ballast
            && due > self.aside
            && reserve(ballast, self.aside, due - self.aside).is_ok()
        {
            self.aside = due;
        }
    }

    /// Lets go of pages until `enough`, block by block in turn.
    fn let_go(&mut self, enough: impl Fn() -> bool) {
        for _ in 0..BLOCKS {
            self.hand = (self.hand + 1) % BLOCKS;
            let Some(Some(block)) = self.blocks.get(self.hand) else { continue };
            for start in (0..block.bytes).step_by(PIECE) {
                let length = PIECE.min(block.bytes - start);
                // SAFETY: the range is within a shared mapping of a file that is in the table, so it is still mapped, and
                // its pages keep their content in the file: who touches them has them back.
                let gone = unsafe {
                    rustix::mm::madvise(block.at.as_ptr().add(start).cast(), length, Advice::LinuxDontNeed)
                };
                if gone.is_err() || enough() {
                    return;
                }
            }
        }
    }
}

/// The lock; nothing that is done under it can leave it half done.
fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn whole_pages(bytes: usize) -> usize {
    bytes.next_multiple_of(rustix::param::page_size())
}

/// A file without a name, that its owner alone may read.
fn nameless(folder: &OwnedFd) -> Result<OwnedFd, Errno> {
    let (flags, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
    let nameless = flags | OFlags::TMPFILE | OFlags::EXCL;
    match rustix::fs::openat(folder, ".", nameless, mode) {
        // What these say where the file system, or the kernel, has no such files.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {}
        opened => return opened,
    }
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!(".plimsoll-spill-{}-{number}", std::process::id());
    let file = rustix::fs::openat(folder, &name, flags | OFlags::CREATE | OFlags::EXCL, mode)?;
    rustix::fs::unlinkat(folder, &name, rustix::fs::AtFlags::empty())?;
    Ok(file)
}

/// Takes room on the disk for a part of a file.
fn reserve(file: &OwnedFd, from: u64, bytes: u64) -> Result<(), Errno> {
    // Beyond the limit of a file's size the kernel would end this program by a signal.
    let most = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    if most.is_some_and(|most| from.saturating_add(bytes) > most) {
        return Err(Errno::FBIG);
    }
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), from, bytes) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// Switches spilling on, with so many bytes of room set aside in a folder.
pub(super) fn begin(folder: OwnedFd, bytes: u64) -> Result<(), Errno> {
    let mut state = state();
    let ballast = nameless(&folder)?;
    reserve(&ballast, 0, bytes.max(1))?;
    state.folder = Some(folder);
    state.ballast = Some(ballast);
    (state.aside, state.promised, state.refused) = (bytes, bytes + state.taken, None);
    // Some file systems cannot be written through a mapping: one block tells.
    let probe = state.take(LARGE);
    match probe {
        Ok(at) => state.give_back(at.as_ptr()),
        Err(e) => {
            (state.folder, state.ballast, state.aside) = (None, None, 0);
            return Err(e);
        }
    };
    ON.store(true, Ordering::Release);
    spare::give_all_back();
    Ok(())
}

/// Switches it off: blocks that there are stay until they are freed.
pub(super) fn end() {
    ON.store(false, Ordering::Release);
    let mut state = state();
    (state.folder, state.ballast, state.aside, state.promised) = (None, None, 0, 0);
}

/// Lets go of pages of blocks until `enough`.
pub(super) fn let_go(enough: impl Fn() -> bool) {
    if LIVE.load(Ordering::Acquire) > 0 {
        state().let_go(enough);
    }
}

/// Bytes in blocks at the highest, and why a block could not be had.
pub(super) fn account() -> (u64, Option<Errno>) {
    let state = state();
    (state.highest, state.refused)
}

/// Whether large blocks go through this allocator.
pub(super) fn is_installed() -> bool {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
    INSTALLED.load(Ordering::Relaxed)
}

/// Whether an allocation is a mapping of its own. Depends on nothing else: who frees it must see the same.
fn is_mapped(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= PAGE
}

/// A mapping of a file while spilling is on and the disk has room, else of memory; null when neither can be had. Its content
/// is zero when that is asked for.
fn map(bytes: usize, zeroed: bool) -> *mut u8 {
    INSTALLED.store(true, Ordering::Relaxed);
    if ON.load(Ordering::Acquire) {
        let mut state = state();
        match state.take(bytes) {
            Ok(at) => return at.as_ptr(),
            Err(e) => state.refused = Some(e),
        }
    }
    let mapped = whole_pages(bytes);
    if let Some(at) = spare::take(mapped) {
        if zeroed {
            // SAFETY: the block is nobody else's, and this long.
            unsafe { ptr::write_bytes(at.as_ptr(), 0, bytes) };
        }
        return at.as_ptr();
    }
    let (reading, of_its_own) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a new mapping at an address that the kernel chooses.
    let at = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), mapped, reading, of_its_own) };
    at.map_or(ptr::null_mut(), <*mut _>::cast)
}

/// Frees a mapping, of a file or of memory.
///
/// # Safety
/// `at` is what [`map`] gave for this many bytes, or [`remap`] since, and nobody uses it any more.
unsafe fn unmap(at: *mut u8, bytes: usize) {
    if LIVE.load(Ordering::Acquire) > 0 && state().give_back(at) {
        return;
    }
    if let Some(at) = NonNull::new(at) {
        // SAFETY: as the caller promised, and it is none of a file.
        unsafe { spare::free(at, whole_pages(bytes), !ON.load(Ordering::Acquire)) };
    }
}

/// A mapping of another size without a copy; nothing when it must be copied: a file that the disk has no room for, memory
/// that is to be a file from now on, or what a freed block has room for: to copy is less than to have as many pages anew.
///
/// # Safety
/// `at` is what [`map`] gave for `old` bytes, or this since, and its owner waits for the new address.
unsafe fn remap(at: *mut u8, old: usize, new: usize) -> Option<NonNull<u8>> {
    if LIVE.load(Ordering::Acquire) > 0 {
        let mut state = state();
        if let Some(slot) = state.slot_of(at) {
            let resized = state.resize(slot, new);
            if let Err(e) = resized {
                state.refused = Some(e);
            }
            return resized.ok();
        }
    }
    let is_spilling = ON.load(Ordering::Acquire);
    let (old, new) = (whole_pages(old), whole_pages(new));
    if new <= old {
        if new < old {
            // SAFETY: the rest of the block is whole pages of it, none of a file, and its owner wants it no more.
            let rest = NonNull::new(unsafe { at.add(new) })?;
            // SAFETY: the same.
            unsafe { spare::free(rest, old - new, !is_spilling) };
        }
        return NonNull::new(at);
    }
    if is_spilling || spare::has(new) {
        return None;
    }
    // SAFETY: as the caller promised, and it is none of a file.
    let at = unsafe { rustix::mm::mremap(at.cast(), old, new, MremapFlags::MAYMOVE) }.ok()?;
    spare::grown(new - old);
    NonNull::new(at.cast())
}

// SAFETY: which allocations are mappings follows from their layout alone. A mapping is at least as large as asked for, page
// aligned, zero where that was asked for, and unmapped only when it is freed; every other call is handed on to the system's
// allocator as it is.
unsafe impl GlobalAlloc for SpillingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_mapped(layout) {
            return map(layout.size(), false);
        }
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_mapped(layout) {
            return map(layout.size(), true);
        }
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if is_mapped(layout) {
            // SAFETY: as the caller promised: it was allocated here with this layout.
            return unsafe { unmap(at, layout.size()) };
        }
        // SAFETY: as the caller promised, and it is no mapping.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promised: a size that is not zero, of this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_mapped(layout), is_mapped(wanted)) {
            // SAFETY: as the caller promised, and it is no mapping.
            (false, false) => return unsafe { System.realloc(at, layout, size) },
            (true, true) => {
                // SAFETY: as the caller promised: it was allocated here with this layout.
                if let Some(at) = unsafe { remap(at, layout.size(), size) } {
                    return at.as_ptr();
                }
            }
            _ => {}
        }
        // SAFETY: the layout is sound, as above.
        let new = unsafe { self.alloc(wanted) };
        if !new.is_null() {
            // SAFETY: both are there, and apart, and this long.
            unsafe { ptr::copy_nonoverlapping(at, new, layout.size().min(size)) };
            // SAFETY: as the caller promised; nobody uses the old one any more.
            unsafe { self.dealloc(at, layout) };
        }
        new
    }
}
