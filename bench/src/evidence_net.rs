//! Learns how often a climb goes on to the level that kills: logistic loss by Adam over a few hidden units.

use plimsoll_core::slope::{FARTHEST, Judge, Sign, UNITS, sign_names};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::quantile_net::{Adam, normal, unit};

/// Passes over all examples.
const PASSES: usize = 16;
/// Examples of one step.
const BATCH: usize = 512;
/// Length of the first steps; the last ones are short.
const STEP: f64 = 0.01;

/// One tick of which it is known what came of it.
#[derive(Debug, Clone)]
pub struct Example {
    /// Features and signs.
    pub x: Vec<f64>,
    /// Whether a leak was under way.
    pub leaks: bool,
    /// How much it counts.
    pub weight: f64,
    /// Where it comes from.
    pub group: usize,
    /// Not learnt from: what was learnt is measured on it.
    pub kept_back: bool,
}

/// What was learnt.
pub struct Learnt {
    /// One for each number.
    pub signs: Vec<Sign<'static>>,
    /// Constants of the hidden units.
    pub hidden: [f64; UNITS],
    /// Constant.
    pub direct: f64,
    /// Weights of the hidden units.
    pub outer: [f64; UNITS],
}

impl Learnt {
    /// As the core takes it.
    pub fn judge(&self) -> Judge<'_> {
        Judge { signs: &self.signs, hidden: self.hidden, direct: self.direct, outer: self.outer }
    }
}

const ROW: usize = UNITS + 1;

/// A row of weights for each number and one of constants, then the outer weights.
struct Parameters {
    values: Vec<f64>,
    rows: usize,
}

impl Parameters {
    fn random(numbers: usize, random: &mut ChaCha8Rng) -> Parameters {
        let rows = numbers + 1;
        let mut values = vec![0.0; rows * ROW + UNITS];
        let size = 0.7 / (numbers as f64).sqrt();
        for row in values.chunks_exact_mut(ROW).take(numbers) {
            row.iter_mut().take(UNITS).for_each(|w| *w = size * normal(random));
        }
        values[rows * ROW..].iter_mut().for_each(|w| *w = 0.05 * normal(random));
        Parameters { values, rows }
    }

    fn row(&self, k: usize) -> &[f64] {
        &self.values[k * ROW..(k + 1) * ROW]
    }

    fn outer(&self) -> [f64; UNITS] {
        std::array::from_fn(|k| self.values[self.rows * ROW + k])
    }

    /// Adds the gradient of one example.
    fn learn(&self, x: &[f64], leaks: bool, weight: f64, gradient: &mut [f64]) {
        let mut sums = [0.0; ROW];
        for (x, row) in x.iter().zip(self.values.chunks_exact(ROW)) {
            sums.iter_mut().zip(row).for_each(|(s, w)| *s += w * x);
        }
        let outer = self.outer();
        let hidden: [f64; UNITS] = std::array::from_fn(|k| sums[k].tanh());
        let odds = sums[UNITS] + hidden.iter().zip(&outer).map(|(h, w)| h * w).sum::<f64>();
        let slope = weight * (1.0 / (1.0 + (-odds).exp()) - f64::from(u8::from(leaks)));
        let mut row = [slope; ROW];
        for k in 0..UNITS {
            row[k] = slope * outer[k] * (1.0 - hidden[k] * hidden[k]);
            gradient[self.rows * ROW + k] += slope * hidden[k];
        }
        for (x, sums) in x.iter().zip(gradient.chunks_exact_mut(ROW)) {
            sums.iter_mut().zip(&row).for_each(|(g, s)| *g += s * x);
        }
    }
}

/// Mean and standard deviation of each number.
fn scales(examples: &[&Example]) -> Vec<(f64, f64)> {
    let n = examples.len().max(1) as f64;
    let of = |k: usize| {
        let mean = examples.iter().map(|e| e.x[k]).sum::<f64>() / n;
        let square = examples.iter().map(|e| (e.x[k] - mean).powi(2)).sum::<f64>() / n;
        (mean, square.sqrt().max(1e-3))
    };
    (0..sign_names().count()).map(of).collect()
}

/// Standardised numbers, and one.
fn standardised(x: &[f64], scales: &[(f64, f64)]) -> Vec<f64> {
    let x = x.iter().zip(scales).map(|(x, s)| ((x - s.0) / s.1).clamp(-FARTHEST, FARTHEST));
    x.chain([1.0]).collect()
}

/// Learns from all that is not kept back.
pub fn learn(examples: &[Example], seed: u64) -> Learnt {
    let own: Vec<&Example> = examples.iter().filter(|e| !e.kept_back).collect();
    let scales = scales(&own);
    let x: Vec<Vec<f64>> = own.iter().map(|e| standardised(&e.x, &scales)).collect();
    let usual = own.iter().map(|e| e.weight).sum::<f64>() / own.len().max(1) as f64;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut parameters = Parameters::random(scales.len(), &mut random);
    let size = parameters.values.len();
    let mut adam = Adam::new(size);
    let mut order: Vec<usize> = (0..own.len()).collect();
    for pass in 0..PASSES {
        for k in (1..order.len()).rev() {
            order.swap(k, (unit(&mut random) * (k + 1) as f64) as usize);
        }
        let length = STEP * 0.5 * (1.0 + (std::f64::consts::PI * pass as f64 / PASSES as f64).cos());
        for batch in order.chunks(BATCH) {
            let mut gradient = vec![0.0; size];
            for i in batch {
                let weight = own[*i].weight / (usual * batch.len() as f64);
                parameters.learn(&x[*i], own[*i].leaks, weight, &mut gradient);
            }
            adam.step(&mut parameters.values, &gradient, length);
        }
    }
    finish(&parameters, &scales)
}

fn finish(parameters: &Parameters, scales: &[(f64, f64)]) -> Learnt {
    let hidden = |k: usize| std::array::from_fn(|j| parameters.row(k)[j]);
    let sign = |(k, (name, scale)): (usize, (&'static str, &(f64, f64)))| Sign {
        name,
        centre: scale.0,
        scale: scale.1,
        hidden: hidden(k),
        direct: parameters.row(k)[UNITS],
    };
    Learnt {
        signs: sign_names().zip(scales).enumerate().map(sign).collect(),
        hidden: hidden(scales.len()),
        direct: parameters.row(scales.len())[UNITS],
        outer: parameters.outer(),
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    /// A leak is what has one number above the square of another.
    fn examples(n: usize) -> Vec<Example> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let one = |_| {
            let mut x = vec![0.0; sign_names().count()];
            x[1] = 2.0 * unit(&mut random) - 1.0;
            x[4] = 2.0 * unit(&mut random) - 1.0;
            x[7] = f64::from((random.next_u64() % 7) as u32);
            let leaks = x[1] > x[4] * x[4] - 0.3;
            Example { x, leaks, weight: 1.0, group: 0, kept_back: false }
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn a_border_that_is_not_straight_is_found() {
        let all = examples(40_000);
        let learnt = learn(&all, 1);
        let judge = learnt.judge();
        let wrong = all.iter().filter(|e| (judge.log_odds(e.x.iter().copied()) > 0.0) != e.leaks).count();
        assert!(wrong * 20 < all.len(), "{wrong} of {}", all.len());
    }

    #[test]
    fn what_counts_for_more_is_wronged_less() {
        let odds = |weight: f64| {
            // Nothing tells them apart: the odds are those of the weights.
            let one = |k: usize| Example {
                x: vec![0.0; sign_names().count()],
                leaks: k.is_multiple_of(2),
                weight: if k.is_multiple_of(2) { 1.0 } else { weight },
                group: 0,
                kept_back: false,
            };
            let learnt = learn(&(0..40_000).map(one).collect::<Vec<_>>(), 1);
            learnt.judge().log_odds(sign_names().map(|_| 0.0))
        };
        assert!(
            odds(1.0).abs() < 0.1 && (odds(3.0) + 3.0_f64.ln()).abs() < 0.1,
            "{} {}",
            odds(1.0),
            odds(3.0)
        );
    }
}
