//! The growth test on simulated runs with the noise that was measured on real runtimes: false alarms, power, and the
//! manual's own test and a threshold on resident memory beside it.
//!
//!     cargo run --release -p plimsoll-bench --bin guard [-- RUNS]

use std::io::Write as _;

use plimsoll_core::guard::growth::{Growth, LOOKS, Verdict, judge};
use plimsoll_core::guard::trend::Level;
use plimsoll_core::guard::{Metric, Tolerance};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Iterations of a round, and how alike neighbours are.
const PER_ROUND: f64 = 1000.0;
const CORRELATION: f64 = 0.3;
/// The manual's test: so much growth over so many iterations.
const MANUAL: (f64, usize) = (8.0 * 1_048_576.0, 100);

/// One metric of one runtime: its noise after a forced collection, bytes, and whether it alternates besides.
struct Profile {
    name: &'static str,
    metric: Metric,
    noise: f64,
    alternates: f64,
}

const fn profile(name: &'static str, metric: Metric, noise: f64, alternates: f64) -> Profile {
    Profile { name, metric, noise, alternates }
}

/// Measured on a service with a bounded cache, 24 rounds of 1,000 iterations.
const PROFILES: [Profile; 9] = [
    profile("Go heap (HeapAlloc)", Metric::Heap, 4.2e3, 0.0),
    profile("JVM heap (lower of two)", Metric::Heap, 4e3, 0.0),
    profile("JVM heap (one reading, alternates)", Metric::Heap, 9e3, 100e3),
    profile("Node.js heap", Metric::Heap, 25e3, 0.0),
    profile("CPython blocks", Metric::Blocks, 1.0, 0.0),
    profile("Go resident, pages returned", Metric::Native, 140e3, 0.0),
    profile("Go resident", Metric::Native, 850e3, 0.0),
    profile("JVM resident", Metric::Native, 500e3, 0.0),
    profile("Node.js resident", Metric::Native, 150e3, 0.0),
];

/// What the program does beside its noise.
#[derive(Clone, Copy)]
struct Truth {
    slope: f64,
    /// Height, and time in rounds.
    warm_up: (f64, f64),
}

const CLEAN: Truth = Truth { slope: 0.0, warm_up: (0.0, 1.0) };

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Heavier tails than the normal's: Student's t of four degrees, of unit variance.
fn heavy(rng: &mut ChaCha8Rng) -> f64 {
    let normal = |rng: &mut ChaCha8Rng| {
        let (u, v) = (uniform(rng).max(1e-300), uniform(rng));
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    };
    let chi: f64 = (0..4).map(|_| normal(rng).powi(2)).sum();
    normal(rng) / (chi / 4.0).sqrt() / 2.0_f64.sqrt()
}

fn levels(p: &Profile, truth: Truth, seed: u64) -> Vec<Level> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let fresh = (1.0 - CORRELATION * CORRELATION).sqrt();
    let mut drift = 0.0;
    let last = LOOKS[LOOKS.len() - 1];
    (0..last)
        .map(|k| {
            drift = CORRELATION * drift + fresh * heavy(&mut rng);
            let work = (k + 1) as f64 * PER_ROUND;
            let warm = truth.warm_up.0 * (1.0 - (-(k as f64) / truth.warm_up.1).exp());
            let turn = if k % 2 == 0 { p.alternates } else { -p.alternates };
            Level { work, value: 50e6 + truth.slope * work + warm + p.noise * drift + turn }
        })
        .collect()
}

/// The whole run: rounds that it took, and the verdict.
fn run(p: &Profile, truth: Truth, seed: u64) -> Option<(usize, Growth)> {
    let all = levels(p, truth, seed);
    let tolerance = Tolerance::default().of(p.metric);
    let grain = if p.metric == Metric::Native { 131_072.0 } else { 1.0 };
    let mut last = None;
    for n in LOOKS {
        let growth = judge(&all[..n], tolerance, grain)?;
        last = Some((n, growth));
        if growth.is_settled {
            break;
        }
    }
    last
}

/// How many runs ended in each verdict, and how many rounds they took.
#[derive(Default)]
struct Counts {
    growing: usize,
    flat: usize,
    saturating: usize,
    undecided: usize,
    rounds: usize,
    most: usize,
    manual: usize,
}

fn count(p: &Profile, truth: Truth, runs: usize, first: u64) -> Counts {
    let mut c = Counts::default();
    for seed in first..first + runs as u64 {
        let Some((rounds, growth)) = run(p, truth, seed) else { continue };
        match growth.verdict {
            Verdict::Growing => c.growing += 1,
            Verdict::Flat => c.flat += 1,
            Verdict::Saturating => c.saturating += 1,
            Verdict::Undecided => c.undecided += 1,
        }
        c.rounds += rounds;
        c.most = c.most.max(rounds);
        let all = levels(p, truth, seed);
        c.manual += usize::from(all[MANUAL.1 - 1].value - all[0].value > MANUAL.0);
    }
    c
}

fn row(out: &mut String, name: &str, c: &Counts, runs: usize) {
    use std::fmt::Write as _;
    let mean = c.rounds as f64 / runs as f64;
    // Writing to a string cannot fail.
    let _always = writeln!(
        out,
        "| {name} | {} | {} | {} | {} | {mean:.0} (most {}) | {} |",
        c.growing, c.flat, c.saturating, c.undecided, c.most, c.manual
    );
}

fn main() -> std::io::Result<()> {
    let runs: usize = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(2000);
    let head = "| runs | growing | flat | saturating | undecided | rounds | manual's test |\n|---|---|---|---|---|---|---|\n";
    let mut out = format!("{runs} runs each, rounds of {PER_ROUND} iterations.\n\nClean:\n\n{head}");
    let mut worst = 0;
    for p in &PROFILES {
        let c = count(p, CLEAN, runs, 1);
        worst = worst.max(c.growing);
        row(&mut out, p.name, &c, runs);
    }
    out += &format!("\nClean with a slow warm-up of 1 MB (in 8 rounds to a third):\n\n{head}");
    for p in PROFILES.iter().filter(|p| p.metric != Metric::Blocks) {
        let truth = Truth { warm_up: (1e6, 8.0), ..CLEAN };
        row(&mut out, p.name, &count(p, truth, runs, 100_000), runs);
    }
    out += &format!("\nLeaks:\n\n{head}");
    for p in &PROFILES {
        let slopes: &[f64] = match p.metric {
            Metric::Blocks => &[0.2, 1.0],
            Metric::Native => &[128.0, 256.0],
            _ => &[9.0, 16.0, 64.0],
        };
        for slope in slopes {
            let c = count(p, Truth { slope: *slope, ..CLEAN }, runs / 4, 200_000);
            row(&mut out, &format!("{}, {slope} per iteration", p.name), &c, runs / 4);
        }
    }
    std::io::stdout().write_all(out.as_bytes())?;
    // One false alarm in a thousand is what is promised.
    if worst * 1000 > runs {
        return Err(std::io::Error::other(format!("{worst} false alarms in {runs} clean runs")));
    }
    Ok(())
}
