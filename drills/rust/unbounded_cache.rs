//! Drill: retention in Rust. A cache keyed by the full request URL: every distinct URL stays for ever.
//! Arguments are key=value: rate (KiB per second), seed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

fn arg(key: &str, otherwise: u64) -> u64 {
    let prefix = format!("{key}=");
    std::env::args().find_map(|a| a.strip_prefix(&prefix)?.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    let rate = (arg("rate", 1024) * 1024) as f64;
    let mut seed = arg("seed", 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut cache: HashMap<String, Vec<u8>> = HashMap::new();
    let began = Instant::now();
    let (mut stored, mut n) = (0.0, 0u64);
    loop {
        while stored < rate * began.elapsed().as_secs_f64() {
            let url = format!("/users/{n}/orders?session={:x}", random());
            let answer = vec![1u8; 300 + (random() % 700) as usize];
            stored += (answer.len() + url.len() + 100) as f64;
            cache.insert(url, answer);
            n += 1;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
