//! Normal draws by a seeded low-discrepancy sequence: smoother than independent draws, so that the answer
//! does not flicker from tick to tick.

use std::sync::OnceLock;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TABLE: usize = 4_096;
/// Dimensions: first those of the coefficients, then these four.
pub(super) const LEVEL: usize = 10;
/// The hazard of bursts.
pub(super) const BURST: usize = LEVEL + 1;
/// The load to come.
pub(super) const PACE: usize = LEVEL + 2;
/// The wander of the floor.
pub(super) const DRIFT: usize = LEVEL + 3;
/// All of them.
const DIMENSIONS: usize = LEVEL + 4;

/// A rotated additive recurrence in [`DIMENSIONS`] dimensions.
pub(super) struct Quasi {
    state: [f64; DIMENSIONS],
    step: [f64; DIMENSIONS],
}

impl Quasi {
    /// The sequence that belongs to a seed.
    pub(super) fn new(seed: u64) -> Quasi {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let state = std::array::from_fn(|_| (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64);
        Quasi { state, step: steps() }
    }

    /// Moves on to the next point.
    pub(super) fn advance(&mut self) {
        for (u, s) in self.state.iter_mut().zip(&self.step) {
            *u += s;
            *u -= f64::from(u8::from(*u >= 1.0));
        }
    }

    /// The present point in dimension `k`, uniform between zero and one.
    pub(super) fn uniform(&self, k: usize) -> f64 {
        self.state[k]
    }

    /// The present point in dimension `k`, standard normal.
    pub(super) fn normal(&self, k: usize) -> f64 {
        normal_quantile(self.state[k])
    }
}

/// Powers of the root of `x^(d+1) = x + 1`: the most evenly spreading steps known.
fn steps() -> [f64; DIMENSIONS] {
    static STEPS: OnceLock<[f64; DIMENSIONS]> = OnceLock::new();
    *STEPS.get_or_init(powers_of_the_root)
}

fn powers_of_the_root() -> [f64; DIMENSIONS] {
    let mut root = 1.5_f64;
    for _ in 0..40 {
        root = (1.0 + root).powf(1.0 / (DIMENSIONS as f64 + 1.0));
    }
    std::array::from_fn(|k| root.powi(-(k as i32 + 1)))
}

/// Quantile of the standard normal distribution, from a table.
pub(super) fn normal_quantile(u: f64) -> f64 {
    static QUANTILES: OnceLock<Vec<f64>> = OnceLock::new();
    let table = QUANTILES.get_or_init(quantiles);
    table[((u * TABLE as f64) as usize).min(TABLE - 1)]
}

/// The table. From the middle outwards, as each quantile is near the one before: Newton's method needs two steps from there.
fn quantiles() -> Vec<f64> {
    const STEPS: usize = 5;
    let mut upper = Vec::with_capacity(TABLE / 2);
    let mut x = 0.0_f64;
    for k in TABLE / 2..TABLE {
        let wanted = (k as f64 + 0.5) / TABLE as f64;
        for _ in 0..STEPS {
            let step = (wanted - normal_cdf(x)) / density(x);
            x += step;
            if step.abs() < 1e-12 {
                break;
            }
        }
        upper.push(x);
    }
    upper.iter().rev().map(|x| -x).chain(upper.iter().copied()).collect()
}

/// Density of the standard normal distribution.
fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Distribution function of the standard normal: the series near zero, the continued fraction in the tails.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    let density = density(x);
    let a = x.abs();
    if a > 8.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    if a < 3.0 {
        let (mut term, mut sum, mut k) = (x, x, 1.0);
        while term.abs() > 1e-15 {
            k += 2.0;
            term *= x * x / k;
            sum += term;
        }
        return 0.5 + density * sum;
    }
    let fraction = (1..=30).rev().fold(a, |f, k| a + f64::from(k) / f);
    let tail = density / fraction;
    if x > 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distribution_and_quantile_agree_with_known_values() {
        assert!((normal_cdf(1.959_964) - 0.975).abs() < 1e-6);
        assert!((normal_cdf(-3.5) - 2.326_291e-4).abs() < 1e-9);
        assert!((normal_quantile(0.9) - 1.281_55).abs() < 2e-3);
    }

    #[test]
    fn the_table_inverts_the_distribution() {
        let table = quantiles();
        assert_eq!(table.len(), TABLE);
        for (k, x) in table.iter().enumerate() {
            let p = (k as f64 + 0.5) / TABLE as f64;
            assert!((normal_cdf(*x) - p).abs() < 1e-12, "{k}: {x}");
        }
    }

    #[test]
    fn draws_are_standard_and_belong_to_the_seed() {
        let mut q = Quasi::new(7);
        let draw = |q: &mut Quasi| {
            q.advance();
            (0..DIMENSIONS).map(|k| q.normal(k)).collect()
        };
        let draws: Vec<Vec<f64>> = (0..4000).map(|_| draw(&mut q)).collect();
        for k in 0..DIMENSIONS {
            let mean = draws.iter().map(|d| d[k]).sum::<f64>() / 4000.0;
            let square = draws.iter().map(|d| d[k] * d[k]).sum::<f64>() / 4000.0;
            assert!(mean.abs() < 0.05 && (square - 1.0).abs() < 0.1, "{k}: {mean} {square}");
        }
        assert_eq!(Quasi::new(7).uniform(0), Quasi::new(7).uniform(0));
        assert_ne!(Quasi::new(7).uniform(0), Quasi::new(8).uniform(0));
    }
}
