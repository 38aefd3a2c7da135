//! Drill: retention in Rust by leaked boxes: a buffer per request that `mem::forget` lets go of.
//! Arguments are key=value: rate (KiB per second), seed.

use std::time::{Duration, Instant};

fn arg(key: &str, otherwise: u64) -> u64 {
    let prefix = format!("{key}=");
    std::env::args().find_map(|a| a.strip_prefix(&prefix)?.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    let rate = (arg("rate", 1024) * 1024) as f64;
    let mut size = 200 + (arg("seed", 1) % 97) as usize;
    let began = Instant::now();
    let mut stored = 0.0;
    loop {
        while stored < rate * began.elapsed().as_secs_f64() {
            size = 200 + (size * 31 + 7) % 1800;
            let request = vec![1u8; size].into_boxed_slice();
            // The compiler may not leave the allocation out.
            std::mem::forget(std::hint::black_box(request));
            stored += (size + 16) as f64;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
