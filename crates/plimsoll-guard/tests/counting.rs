//! The allocator counts: in a program of its own, as it counts for all of it.

use std::alloc::{GlobalAlloc as _, Layout, System};

use plimsoll_guard::{Counting, held};

#[test]
#[expect(unsafe_code, reason = "the allocator is called as the language calls it")]
fn what_is_given_back_is_no_longer_held() {
    let allocator = Counting::before(System);
    assert_eq!(held(), None, "it is not the allocator of this program");
    let layout = Layout::from_size_align(1000, 8).expect("a layout");
    // SAFETY: the layout is not empty, and what is given back was taken with it.
    unsafe {
        let first = allocator.alloc(layout);
        assert_eq!(held(), Some(1000));
        let zeroed = allocator.alloc_zeroed(layout);
        let grown = allocator.realloc(first, layout, 3000);
        assert_eq!(held(), Some(4000));
        allocator.dealloc(zeroed, layout);
        allocator.dealloc(grown, Layout::from_size_align(3000, 8).expect("a layout"));
    }
    assert_eq!(held(), Some(0));
}
