//! Drill: healthy, in Rust. A cache that fills to its bound and then replaces.
//! Arguments are key=value: rate (KiB per second), seed, entries.

use std::time::{Duration, Instant};

fn arg(key: &str, otherwise: u64) -> u64 {
    let prefix = format!("{key}=");
    std::env::args().find_map(|a| a.strip_prefix(&prefix)?.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    let rate = (arg("rate", 1024) * 1024) as f64;
    let bound = arg("entries", 40_000) as usize;
    let mut size = 300 + (arg("seed", 1) % 97) as usize;
    let mut cache: Vec<Box<[u8]>> = Vec::with_capacity(bound);
    let began = Instant::now();
    let (mut stored, mut n) = (0.0, 0usize);
    loop {
        while stored < rate * began.elapsed().as_secs_f64() {
            size = 300 + (size * 31 + 7) % 700;
            let entry = vec![1u8; size].into_boxed_slice();
            if cache.len() < bound {
                cache.push(entry);
            } else {
                cache[n % bound] = entry;
            }
            n += 1;
            stored += (size + 16) as f64;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
