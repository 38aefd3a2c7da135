//! Learns the weights of nets of two hidden layers, for whatever is asked of their results: the smallest loss by Adam.

use plimsoll_core::slope::{Features, Layers, NUMBERS, Sign, feature_names, layer, squash};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Examples of one step.
const BATCH: usize = 512;
/// Length of the first steps; the last ones are short.
const STEP: f64 = 0.004;

/// Mean and standard deviation of each number.
pub fn signs<'f>(features: &(impl Iterator<Item = &'f Features> + Clone)) -> Vec<Sign<'static>> {
    let n = features.clone().count().max(1) as f64;
    let sign = |(k, name): (usize, &'static str)| {
        let centre = features.clone().map(|f| f[k]).sum::<f64>() / n;
        let square = features.clone().map(|f| (f[k] - centre).powi(2)).sum::<f64>() / n;
        Sign { name, centre, scale: square.sqrt().max(1e-3) }
    };
    feature_names().enumerate().map(sign).collect()
}

/// What is asked of the results.
pub trait Loss<const A: usize, const B: usize, const C: usize> {
    /// How it changes with the results of an example.
    fn slopes(&self, example: usize, results: [f32; C]) -> [f32; C];

    /// All examples have been seen so often; this is the net by now.
    fn passed(&mut self, _passes: usize, _net: Layers<'_, A, B, C>) {}
}

/// Weights of one net, or how the loss changes with each of them: [`Layers`].
pub struct Weights<const A: usize, const B: usize, const C: usize> {
    first: Vec<[f32; A]>,
    second: Vec<[f32; B]>,
    last: Vec<[f32; C]>,
}

impl<const A: usize, const B: usize, const C: usize> Weights<A, B, C> {
    fn zero() -> Self {
        Weights {
            first: vec![[0.0; A]; NUMBERS + 1],
            second: vec![[0.0; B]; A + 1],
            last: vec![[0.0; C]; B + 1],
        }
    }

    fn random(random: &mut ChaCha8Rng) -> Self {
        fn fill<const N: usize>(rows: &mut [[f32; N]], size: f64, random: &mut ChaCha8Rng) {
            let weights = rows.len() - 1;
            let own = rows[..weights].as_flattened_mut();
            own.iter_mut().for_each(|w| *w = (size * normal(random)) as f32);
        }
        let mut all = Self::zero();
        fill(&mut all.first, 0.7 / (NUMBERS as f64).sqrt(), random);
        fill(&mut all.second, 1.0 / (A as f64).sqrt(), random);
        fill(&mut all.last, 0.05, random);
        all
    }

    /// As the core takes it.
    pub fn layers(&self) -> Layers<'_, A, B, C> {
        Layers { first: &self.first, second: &self.second, last: &self.last }
    }

    /// All of them in a row.
    pub(crate) fn flat(&self) -> Vec<f64> {
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

    /// Adds to `gradient` that of one example, whose loss changes with its results as `slopes` tells.
    fn learn(&self, x: &[f32; NUMBERS], slopes: impl FnOnce([f32; C]) -> [f32; C], gradient: &mut Self) {
        let first = layer(&self.first, x).map(squash);
        let second = layer(&self.second, &first).map(squash);
        let slopes = slopes(layer(&self.last, &second));
        let of_second = through(&self.last, &slopes, &second);
        let of_first = through(&self.second, &of_second, &first);
        add(&mut gradient.last, &slopes, &second);
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

/// The net that is learnt from examples of such standardised numbers, with so many passes over all of them.
pub fn descend<const A: usize, const B: usize, const C: usize>(
    x: &[[f32; NUMBERS]],
    loss: &mut impl Loss<A, B, C>,
    passes: usize,
    seed: u64,
) -> Weights<A, B, C> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = Weights::random(&mut random);
    let mut values = weights.flat();
    let mut adam = Adam::new(values.len());
    let mut order: Vec<usize> = (0..x.len()).collect();
    for pass in 0..passes {
        for k in (1..order.len()).rev() {
            order.swap(k, (unit(&mut random) * (k + 1) as f64) as usize);
        }
        let length = STEP * 0.5 * (1.0 + (std::f64::consts::PI * pass as f64 / passes as f64).cos());
        for batch in order.chunks(BATCH) {
            let mut gradient = Weights::zero();
            let share = 1.0 / batch.len() as f32;
            for i in batch {
                let slopes = |results| loss.slopes(*i, results).map(|s| s * share);
                weights.learn(&x[*i], slopes, &mut gradient);
            }
            adam.step(&mut values, &gradient.flat(), length);
            weights.set(&values);
        }
        loss.passed(pass + 1, weights.layers());
    }
    weights
}

/// Adam: steps by the mean gradient over its usual size.
struct Adam {
    mean: Vec<f64>,
    square: Vec<f64>,
    steps: i32,
}

impl Adam {
    fn new(size: usize) -> Adam {
        Adam { mean: vec![0.0; size], square: vec![0.0; size], steps: 0 }
    }

    fn step(&mut self, values: &mut [f64], gradient: &[f64], length: f64) {
        self.steps += 1;
        let (a, b) = (1.0 - 0.9_f64.powi(self.steps), 1.0 - 0.999_f64.powi(self.steps));
        for (k, v) in values.iter_mut().enumerate() {
            let g = gradient[k];
            self.mean[k] += 0.1 * (g - self.mean[k]);
            self.square[k] += 0.001 * (g * g - self.square[k]);
            *v -= length * (self.mean[k] / a) / ((self.square[k] / b).sqrt() + 1e-9);
        }
    }
}

/// Standard normal number, by a sum of twelve.
pub(crate) fn normal(random: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| unit(random)).sum::<f64>() - 6.0
}

pub(crate) fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use plimsoll_core::slope::standard;

    use super::*;

    #[test]
    fn the_gradient_is_how_the_loss_changes() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut weights = Weights::<48, 24, 2>::random(&mut random);
        let values: Vec<f64> = weights.flat().iter().map(|w| w + 0.1 * normal(&mut random)).collect();
        let x: [f32; NUMBERS] = std::array::from_fn(|_| normal(&mut random) as f32);
        let mut gradient = Weights::zero();
        weights.set(&values);
        // Of `a² + 3 b`.
        weights.learn(&x, |[a, _]| [2.0 * a, 3.0], &mut gradient);
        let gradient = gradient.flat();
        let mut loss = |k: usize, by: f64| {
            let mut moved = values.clone();
            moved[k] += by;
            weights.set(&moved);
            let [a, b] = weights.layers().results(&x).map(f64::from);
            a * a + 3.0 * b
        };
        let (second, last) = ((NUMBERS + 1) * 48, values.len() - 2 * 25);
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
    fn numbers_that_never_change_are_no_reason_to_divide_by_nothing() {
        let all: Vec<Features> =
            (0..4).map(|k| std::array::from_fn(|i| if i == 1 { f64::from(k) } else { 7.0 })).collect();
        let signs = signs(&all.iter());
        assert_eq!((signs[0].centre, signs[0].scale), (7.0, 1e-3));
        assert!((signs[1].centre - 1.5).abs() < 1e-12 && (signs[1].scale - 1.25_f64.sqrt()).abs() < 1e-12);
        let told = standard(&signs, &all[3]);
        assert!(told[0] == 0.0 && (told[1] - 1.5 / 1.25_f32.sqrt()).abs() < 1e-6);
    }
}
