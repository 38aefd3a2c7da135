//! A Go program from outside: any bytes as the executable and as the memory; it is refused, or read within its bounds.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use plimsoll_read::go_runtime::{Bytes, Program, ReadAt};

/// The file, and behind it again as memory.
struct Image(Vec<u8>);

impl ReadAt for Image {
    fn read_at(&self, at: u64, to: &mut [u8]) -> usize {
        let rest = usize::try_from(at).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let n = rest.len().min(to.len());
        to[..n].copy_from_slice(&rest[..n]);
        n
    }
}

fuzz_target!(|data: &[u8]| {
    let (Some(bias), Some(image)) = (data.first(), data.get(1..)) else { return };
    let image: Bytes = Arc::new(Image(image.to_vec()));
    let Ok(mut program) = Program::open(&image, &image, u64::from(*bias)) else { return };
    let mut left = 8;
    let seen = program.goroutines(Some(1 << 50), || {
        left -= 1;
        left > 0
    });
    if let Ok(seen) = seen {
        assert!(seen.groups.iter().map(|g| g.count).sum::<u64>() <= seen.total());
    }
    let _refused = program.memory_profile();
});
