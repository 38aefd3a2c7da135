//! Measures the calibration table of the estimator on leaking services with a known death and prints it as
//! the Rust source that the core ships:
//!
//! `cargo run --release -p plimsoll-bench --bin calibrate > crates/plimsoll-core/src/slope/calibration_table.rs`
#![expect(clippy::print_stdout, reason = "its output is the table")]

use plimsoll_bench::replay::Seen;
use plimsoll_bench::run::{in_parallel, jobs, number};
use plimsoll_bench::services::{Service, generate};
use plimsoll_core::slope::{Regime, estimate_raw, spread};

/// Seeds of the calibration set; the benchmark reports others.
const SEEDS: std::ops::Range<u64> = 9_000..9_008;
/// Shares of a life at which is asked.
const SHARES: [f64; 9] = [0.15, 0.2, 0.25, 0.33, 0.42, 0.5, 0.6, 0.7, 0.8];
/// Fewest errors that carry a row of their own.
const FEWEST: usize = 120;

/// Standardised error of one answer.
struct Error {
    regime: Regime,
    score: f64,
}

fn main() {
    let per_class = number("--per-class").map_or(110, |n| n as usize);
    let mut errors = Vec::new();
    for seed in SEEDS {
        let all = in_parallel(&jobs(0, per_class), |(class, index)| {
            let service = generate(seed, class, index);
            let mut found = errors_of(&service, &Seen::new(&service, true));
            if service.managed {
                found.extend(errors_of(&service, &Seen::after_collections(&service)));
            }
            found
        });
        errors.extend(all.into_iter().flatten());
    }
    println!("//! Quantiles of the standardised logarithmic error by regime: low, middle, high.");
    println!("//!");
    println!(
        "//! Made by `cargo run --release -p plimsoll-bench --bin calibrate` from {} answers",
        errors.len()
    );
    println!("//! on simulated leaks; do not edit. Rows: `Regime::index`.\n");
    println!("#[rustfmt::skip]");
    println!("pub(super) const TABLE: [[f64; 3]; {}] = [", Regime::COUNT);
    for row in 0..Regime::COUNT {
        let (quantiles, n) = row_of(&errors, row);
        println!("    [{:.3}, {:.3}, {:.3}], // {n}", quantiles[0], quantiles[1], quantiles[2]);
    }
    println!("];");
}

fn errors_of(service: &Service, seen: &Seen<'_>) -> Vec<Error> {
    let (Some(onset), Some(life)) = (service.onset, service.life()) else { return Vec::new() };
    let at = |share: &f64| {
        let minute = onset + (share * life) as usize;
        let left = service.time_left(minute).filter(|l| *l >= 1.0 && minute + 1 < service.rss.len())? * 60.0;
        let (posterior, regime) = seen.with_question(minute, estimate_raw).ok()?;
        let raw = posterior.time_to_limit;
        Some(Error { regime, score: (left / raw.mid).ln() / spread(raw)? })
    };
    SHARES.iter().filter_map(at).collect()
}

/// Quantiles of a row, from the row alone where it has enough errors, else from all of its kind.
fn row_of(errors: &[Error], row: usize) -> ([f64; 3], usize) {
    let own: Vec<f64> = errors.iter().filter(|e| e.regime.index() == row).map(|e| e.score).collect();
    let n = own.len();
    let (bounded, restarted) = (row & 32 != 0, row & 31 == 25);
    let kin = |e: &&Error| e.regime.bounded == bounded && e.regime.restarted == restarted;
    let scores = if n >= FEWEST { own } else { errors.iter().filter(kin).map(|e| e.score).collect() };
    // Without an upper end the interval is one-sided: the low end alone leaves out a fifth.
    let low = if bounded { 0.1 } else { 0.2 };
    let mid = quantile(&scores, 0.5).clamp(-1.0, 1.0);
    (
        [
            quantile(&scores, low).min(mid - 0.2).min(-0.05),
            mid,
            quantile(&scores, 0.9).max(mid + 0.2).max(0.05),
        ],
        n,
    )
}

fn quantile(scores: &[f64], q: f64) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    // The conformal correction for a finite sample: the next rank outwards.
    let n = sorted.len() as f64;
    let rank = if q > 0.5 { ((n + 1.0) * q).ceil() } else { ((n + 1.0) * q).floor() };
    sorted.get((rank.max(1.0) as usize - 1).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}
