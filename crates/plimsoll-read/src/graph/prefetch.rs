//! Cache lines ahead of their use. It is advice to the processor: nothing that a program computes depends on it, only how
//! long the walk of a graph waits for memory.

/// Asks for the cache line of an element that will be needed soon; nothing for one that is not there.
#[inline(always)]
pub(crate) fn prefetch<T>(table: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = table.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(
            unsafe_code,
            reason = "a prefetch neither reads nor writes for the program, and the element is there"
        )]
        unsafe {
            // SAFETY: the address is that of a live element, and even a wrong one could not fault.
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (table, at);
}
