//! Learns how often a climb goes on to the level that kills: logistic loss by Adam, over nets of two hidden layers.

use plimsoll_core::slope::{FIRST, Judge, Layers, NETS, NUMBERS, SECOND, Sign, layer, sign_names, squash};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::quantile_net::{Adam, normal, unit};
use crate::run::in_parallel;

/// Passes over all examples.
const PASSES: usize = 12;
/// Examples of one step.
const BATCH: usize = 512;
/// Length of the first steps; the last ones are short.
const STEP: f64 = 0.004;
/// No pull of the weights towards zero: there are enough examples, and one that was tried brought nothing.
const RIDGE: f64 = 0.0;

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
    /// The nets.
    pub nets: Vec<Weights>,
}

impl Learnt {
    /// As the core takes it.
    pub fn judge(&self) -> Judge<'_> {
        Judge { signs: &self.signs, nets: std::array::from_fn(|k| self.nets[k].layers()) }
    }
}

/// Weights of one net, or how the loss changes with each of them: [`Layers`].
pub struct Weights {
    first: Vec<[f32; FIRST]>,
    second: Vec<[f32; SECOND]>,
    last: Vec<[f32; 1]>,
}

impl Weights {
    fn zero() -> Weights {
        Weights {
            first: vec![[0.0; FIRST]; NUMBERS + 1],
            second: vec![[0.0; SECOND]; FIRST + 1],
            last: vec![[0.0; 1]; SECOND + 1],
        }
    }

    fn random(random: &mut ChaCha8Rng) -> Weights {
        fn fill<const N: usize>(rows: &mut [[f32; N]], size: f64, random: &mut ChaCha8Rng) {
            let weights = rows.len() - 1;
            let own = rows[..weights].as_flattened_mut();
            own.iter_mut().for_each(|w| *w = (size * normal(random)) as f32);
        }
        let mut all = Weights::zero();
        fill(&mut all.first, 0.7 / (NUMBERS as f64).sqrt(), random);
        fill(&mut all.second, 1.0 / (FIRST as f64).sqrt(), random);
        fill(&mut all.last, 0.05, random);
        all
    }

    /// As the core takes it.
    pub fn layers(&self) -> Layers<'_> {
        Layers { first: &self.first, second: &self.second, last: &self.last }
    }

    /// All of them in a row.
    fn flat(&self) -> Vec<f64> {
        let [first, second, last] =
            [self.first.as_flattened(), self.second.as_flattened(), self.last.as_flattened()];
        first.iter().chain(second).chain(last).map(|w| f64::from(*w)).collect()
    }

    /// Takes them from such a row.
    fn set(&mut self, values: &[f64]) {
        let (first, second) = (self.first.as_flattened_mut(), self.second.as_flattened_mut());
        let all = first.iter_mut().chain(second).chain(self.last.as_flattened_mut());
        all.zip(values).for_each(|(w, value)| *w = *value as f32);
    }

    /// Adds to `gradient` that of one example.
    fn learn(&self, x: &[f32], leaks: bool, weight: f32, gradient: &mut Weights) {
        let first = layer(&self.first, x).map(squash);
        let second = layer(&self.second, &first).map(squash);
        let [odds] = layer(&self.last, &second);
        let slope = [weight * (1.0 / (1.0 + (-odds).exp()) - f32::from(u8::from(leaks)))];
        let of_second = through(&self.last, &slope, &second);
        let of_first = through(&self.second, &of_second, &first);
        add(&mut gradient.last, &slope, &second);
        add(&mut gradient.second, &of_second, &first);
        add(&mut gradient.first, &of_first, x);
    }
}

/// How the loss changes with what comes into the units that told `squashed`, where it changes by `slopes` with what they are weighed into. The
/// slope is that of the hyperbolic tangent, from which [`squash`] differs by less than the examples do from one another.
fn through<const N: usize, const M: usize>(
    rows: &[[f32; N]],
    slopes: &[f32; N],
    squashed: &[f32; M],
) -> [f32; M] {
    let of = |k: usize| rows[k].iter().zip(slopes).map(|(w, s)| w * s).sum::<f32>();
    std::array::from_fn(|k| of(k) * (1.0 - squashed[k] * squashed[k]))
}

/// How it changes with the weights of what came in, and with the constants behind them.
fn add<const N: usize>(gradient: &mut [[f32; N]], slopes: &[f32; N], x: &[f32]) {
    for (row, x) in gradient.iter_mut().zip(x.iter().chain([&1.0])) {
        row.iter_mut().zip(slopes).for_each(|(g, s)| *g += s * x);
    }
}

/// Mean and standard deviation of each number.
fn signs(examples: &[&Example]) -> Vec<Sign<'static>> {
    let n = examples.len().max(1) as f64;
    let sign = |(k, name): (usize, &'static str)| {
        let centre = examples.iter().map(|e| e.x[k]).sum::<f64>() / n;
        let square = examples.iter().map(|e| (e.x[k] - centre).powi(2)).sum::<f64>() / n;
        Sign { name, centre, scale: square.sqrt().max(1e-3) }
    };
    sign_names().enumerate().map(sign).collect()
}

/// Learns from all that is not kept back.
pub fn learn(examples: &[Example], seed: u64) -> Learnt {
    let own: Vec<&Example> = examples.iter().filter(|e| !e.kept_back).collect();
    let signs = signs(&own);
    let standard = |e: &&Example| signs.iter().zip(&e.x).map(|(sign, x)| sign.standard(*x)).collect();
    let x: Vec<Vec<f32>> = own.iter().map(standard).collect();
    let dice: Vec<(usize, usize)> = (0..NETS).map(|k| (seed as usize * NETS + k, 0)).collect();
    let nets = in_parallel(&dice, |(seed, _)| one(&own, &x, seed as u64));
    Learnt { signs, nets }
}

/// One net.
fn one(own: &[&Example], x: &[Vec<f32>], seed: u64) -> Weights {
    let usual = own.iter().map(|e| e.weight).sum::<f64>() / own.len().max(1) as f64;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = Weights::random(&mut random);
    let mut values = weights.flat();
    let mut adam = Adam::new(values.len(), RIDGE);
    let mut order: Vec<usize> = (0..own.len()).collect();
    for pass in 0..PASSES {
        for k in (1..order.len()).rev() {
            order.swap(k, (unit(&mut random) * (k + 1) as f64) as usize);
        }
        let length = STEP * 0.5 * (1.0 + (std::f64::consts::PI * pass as f64 / PASSES as f64).cos());
        for batch in order.chunks(BATCH) {
            let mut gradient = Weights::zero();
            for i in batch {
                let weight = (own[*i].weight / (usual * batch.len() as f64)) as f32;
                weights.learn(&x[*i], own[*i].leaks, weight, &mut gradient);
            }
            adam.step(&mut values, &gradient.flat(), length);
            weights.set(&values);
        }
    }
    weights
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
    fn the_gradient_is_how_the_loss_changes() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut weights = Weights::random(&mut random);
        let values: Vec<f64> = weights.flat().iter().map(|w| w + 0.1 * normal(&mut random)).collect();
        let x: Vec<f32> = (0..NUMBERS).map(|_| normal(&mut random) as f32).collect();
        let mut gradient = Weights::zero();
        weights.set(&values);
        weights.learn(&x, true, 2.0, &mut gradient);
        let gradient = gradient.flat();
        let mut loss = |k: usize, by: f64| {
            let mut moved = values.clone();
            moved[k] += by;
            weights.set(&moved);
            let first = layer(&weights.first, &x).map(squash);
            let [odds] = layer(&weights.last, &layer(&weights.second, &first).map(squash));
            2.0 * (-f64::from(odds)).exp().ln_1p()
        };
        let (second, last) = ((NUMBERS + 1) * FIRST, values.len() - SECOND - 1);
        let asked = (0..second).step_by(97).chain((second..last).step_by(41)).chain(last..values.len());
        let mut moved = 0;
        for k in asked {
            let by_hand = (loss(k, 0.01) - loss(k, -0.01)) / 0.02;
            assert!(
                (by_hand - gradient[k]).abs() < 0.02 * by_hand.abs() + 2e-3,
                "{k}: {by_hand} {}",
                gradient[k]
            );
            moved += usize::from(by_hand.abs() > 0.02);
        }
        assert!(moved > 40, "{moved} of them matter");
    }

    #[test]
    fn what_is_kept_back_changes_nothing() {
        let own = examples(2_000);
        let mut more = own.clone();
        let wrong = |e: &Example| Example {
            x: e.x.iter().map(|x| 50.0 + x).collect(),
            leaks: !e.leaks,
            kept_back: true,
            ..e.clone()
        };
        more.extend(own.iter().map(wrong));
        let of = |examples: &[Example]| {
            let learnt = learn(examples, 1);
            let scales: Vec<(f64, f64)> = learnt.signs.iter().map(|s| (s.centre, s.scale)).collect();
            (scales, learnt.nets.iter().map(Weights::flat).collect::<Vec<_>>())
        };
        assert!(of(&own) == of(&more));
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
