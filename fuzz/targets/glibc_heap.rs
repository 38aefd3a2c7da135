//! A heap of glibc: any bytes; fed whole or in pieces gives the same, and no byte is booked twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_read::glibc_heap::{Chunks, Walk, WalkError, first_chunk, walk};

/// The walk in pieces of `size` bytes, as a reader of a large heap makes it.
fn in_pieces(bytes: &[u8], first: u64, size: usize) -> Result<Chunks, WalkError> {
    let mut walk = Walk::new(first, bytes.len() as u64);
    let mut at = 0;
    for piece in bytes.chunks(size) {
        walk.feed(at, piece)?;
        at += piece.len() as u64;
    }
    walk.finish()
}

fuzz_target!(|data: &[u8]| {
    let Some((head, bytes)) = data.split_at_checked(2) else { return };
    let size = usize::from(head[0]) + 1;
    let length = bytes.len() as u64;
    for first in [Some(0), Some(u64::from(head[1]) * 16), first_chunk(bytes, length)].into_iter().flatten() {
        let whole = walk(bytes, first);
        assert_eq!(whole, in_pieces(bytes, first, size), "pieces of {size} bytes tell something else");
        if let Ok(found) = whole {
            assert!(found.in_use + found.free <= length, "{found:?} in {length} bytes");
        }
    }
    let _claimed = first_chunk(bytes, u64::MAX);
});
