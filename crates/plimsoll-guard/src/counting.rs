//! An allocator that counts what is held, in front of the system's or of another.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static HELD: AtomicU64 = AtomicU64::new(0);
static COUNTS: AtomicBool = AtomicBool::new(false);

/// Counts the bytes that the program holds, and has another allocator do the work.
///
/// What is asked for is counted, not what the allocator makes of it: a leak of 24 B is 24 B.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counting<A = System> {
    inner: A,
}

impl Counting<System> {
    /// In front of the system's allocator.
    pub const fn system() -> Counting<System> {
        Counting { inner: System }
    }
}

impl<A> Counting<A> {
    /// In front of another allocator.
    pub const fn before(inner: A) -> Counting<A> {
        Counting { inner }
    }
}

/// Bytes that are held; `None` where no [`Counting`] is the program's allocator.
pub fn held() -> Option<u64> {
    COUNTS.load(Ordering::Relaxed).then(|| HELD.load(Ordering::Relaxed))
}

fn taken(pointer: *mut u8, bytes: usize) {
    if !pointer.is_null() {
        HELD.fetch_add(bytes as u64, Ordering::Relaxed);
        COUNTS.store(true, Ordering::Relaxed);
    }
}

fn given_back(bytes: usize) {
    HELD.fetch_sub(bytes as u64, Ordering::Relaxed);
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; every call goes on as it came")]
// SAFETY: each method hands its arguments unchanged to an allocator whose contract is the same, and touches no memory.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        let pointer = unsafe { self.inner.alloc(layout) };
        taken(pointer, layout.size());
        pointer
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        let pointer = unsafe { self.inner.alloc_zeroed(layout) };
        taken(pointer, layout.size());
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { self.inner.dealloc(pointer, layout) };
        given_back(layout.size());
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promised.
        let moved = unsafe { self.inner.realloc(pointer, layout, size) };
        if !moved.is_null() {
            taken(moved, size);
            given_back(layout.size());
        }
        moved
    }
}
