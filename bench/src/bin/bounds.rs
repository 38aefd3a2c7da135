//! How narrow an interval of the time to death can be for who knows everything but the future: the classes of the generator whose death
//! is up to chance.
//!
//!     cargo run --release -p plimsoll-bench --bin bounds [-- --services N] [--seed N]
//!
//! A leak in jumps dies when their sum fills the headroom: how often they come and how large they are is known here, when the next ones come
//! and how large they will be is not. A process under batch work that dies of its usage dies in a burst: how fast it climbs, how far apart
//! bursts are and how high they may be is known, when they come is not.
#![expect(clippy::print_stdout, reason = "a benchmark prints its tables")]

use plimsoll_bench::run::{number, only};
use plimsoll_bench::score::median;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Futures of each service, and shares of its life at which it is asked.
const FUTURES: usize = 1000;
const SHARES: [f64; 3] = [0.25, 0.5, 0.75];

fn uniform(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn log_uniform(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    uniform(rng, low.ln(), high.ln()).exp()
}

fn exponential(rng: &mut ChaCha8Rng, mean: f64) -> f64 {
    -mean * uniform(rng, 1e-12, 1.0).ln()
}

/// Hours until jumps of a mean of 1, so many an hour, fill what would take so many hours on average.
fn by_jumps(rng: &mut ChaCha8Rng, per_hour: f64, hours: f64) -> f64 {
    let (mut sum, mut t) = (0.0, 0.0);
    while sum < per_hour * hours {
        t += exponential(rng, 1.0 / per_hour);
        sum += exponential(rng, 0.5) + exponential(rng, 0.5);
    }
    t
}

/// Hours until a floor that would take so many to the limit, by so much an hour, meets a burst that reaches it.
fn by_bursts(rng: &mut ChaCha8Rng, gap: f64, slope: f64, hours: f64) -> f64 {
    let mut t = 0.0;
    loop {
        t += exponential(rng, gap);
        if t >= hours {
            return hours;
        }
        if uniform(rng, 0.05, 0.25) >= slope * (hours - t) {
            return t;
        }
    }
}

/// The higher end of the interval that holds 80 of 100 futures over its lower end.
fn ratio(mut futures: Vec<f64>) -> f64 {
    futures.sort_by(f64::total_cmp);
    let at = |share: f64| futures[(share * futures.len() as f64) as usize].max(1.0 / 60.0);
    at(0.9) / at(0.1)
}

fn main() {
    only(&["--services", "--seed"]);
    let services = number("--services").unwrap_or(400);
    let mut rng = ChaCha8Rng::seed_from_u64(number("--seed").unwrap_or(1));
    println!(
        "| 80 % interval for who knows all but the future: hi/lo, median (over 2) | 25 % of life | 50 % | 75 % |"
    );
    println!("|---|---|---|---|");
    for (name, is_jumps) in [("leak in jumps", true), ("under batch work, dies of its usage", false)] {
        let mut cells = String::new();
        for share in SHARES {
            let mut all: Vec<f64> = Vec::new();
            for _ in 0..services {
                let life = log_uniform(&mut rng, 5.0, 240.0);
                let left = (1.0 - share) * life;
                let (rate, gap) = (log_uniform(&mut rng, 0.3, 3.0), uniform(&mut rng, 4.0, 24.0));
                let slope = uniform(&mut rng, 0.5, 0.85) / life;
                let mut future = || match is_jumps {
                    true => by_jumps(&mut rng, rate, left),
                    false => by_bursts(&mut rng, gap, slope, left),
                };
                all.push(ratio((0..FUTURES).map(|_| future()).collect()));
            }
            let over = all.iter().filter(|r| **r > 2.0).count() as f64 / all.len() as f64;
            cells += &format!(" {:.2} ({:.0} %) |", median(all), 100.0 * over);
        }
        println!("| {name} |{cells}");
    }
}
