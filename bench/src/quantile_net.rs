//! Learns the quantiles of the standardised error of a time from what is known of the question: the smallest
//! pinball loss by Adam, of classes in which too few are covered less being left out, and then the split conformal
//! factors of the widths on answers that were not learnt from.

use plimsoll_core::slope::{FARTHEST, Features, HIDDEN, Input, Net, RESULTS, feature_names};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Passes over all samples.
const PASSES: usize = 40;
/// Samples of one step.
const BATCH: usize = 256;
/// Length of the first steps; the last ones are short.
const STEP: f64 = 0.01;
/// Pull of all weights towards zero.
const RIDGE: f64 = 1e-4;
/// Passes before the tails of classes move, and passes after which they stay.
const MOVED: std::ops::Range<usize> = 4..36;
/// How fast the tails of a class shrink where too few are covered, in their logarithm.
const GAIN: f64 = 1.0;
/// Bounds of the share that the interval of a class is asked to leave out on each side that it has. What tells classes apart is learnt by asking
/// different shares of them; where nothing does, no share makes all of them right, and none is asked at any price.
const TAILS: (f64, f64) = (0.01, 0.45);
/// Share of the truths that an interval has to hold.
const COVERED: f64 = 0.8;

/// One answer whose truth is known.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What is known of the question.
    pub features: Features,
    /// `ln(truth / median) / spread`.
    pub error: f64,
    /// How much it counts.
    pub weight: f64,
    /// Class, for equal coverage of all.
    pub group: usize,
    /// Whether it is one of those whose coverage moves the tails of its class.
    pub counted: bool,
    /// Not learnt from: the conformal factors are measured on it.
    pub kept_back: bool,
}

/// What a net was made to be.
pub struct Learnt {
    /// The net's inputs.
    pub inputs: Vec<Input<'static>>,
    /// All else of it.
    pub hidden: [f64; HIDDEN],
    /// Constants of the results.
    pub direct: [f64; RESULTS],
    /// Weights of the hidden units.
    pub outer: [[f64; HIDDEN]; RESULTS],
    /// Conformal factors.
    pub widen: [f64; 2],
    /// Coverage by group of what was kept back.
    pub coverage: Vec<f64>,
}

impl Learnt {
    /// As the core takes it.
    pub fn net(&self) -> Net<'_> {
        Net {
            inputs: &self.inputs,
            hidden: self.hidden,
            direct: self.direct,
            outer: self.outer,
            widen: self.widen,
        }
    }
}

const ROW: usize = HIDDEN + RESULTS;

/// The parameters in one row: a row for each feature and one of constants, then the outer weights.
struct Parameters {
    values: Vec<f64>,
    rows: usize,
}

impl Parameters {
    fn random(features: usize, random: &mut ChaCha8Rng) -> Parameters {
        let rows = features + 1;
        let mut values = vec![0.0; rows * ROW + RESULTS * HIDDEN];
        let size = 0.7 / (features as f64).sqrt();
        for row in 0..features {
            values[row * ROW..row * ROW + HIDDEN].iter_mut().for_each(|w| *w = size * normal(random));
        }
        values[rows * ROW..].iter_mut().for_each(|w| *w = 0.05 * normal(random));
        Parameters { values, rows }
    }

    fn outer(&self, result: usize) -> &[f64] {
        let from = self.rows * ROW + result * HIDDEN;
        &self.values[from..from + HIDDEN]
    }

    /// Hidden units and results of standardised features, the last of which is one.
    fn forward(&self, x: &[f64]) -> ([f64; HIDDEN], [f64; RESULTS]) {
        let mut sums = [0.0; ROW];
        for (x, row) in x.iter().zip(self.values.chunks_exact(ROW)) {
            sums.iter_mut().zip(row).for_each(|(s, w)| *s += w * x);
        }
        let hidden: [f64; HIDDEN] = std::array::from_fn(|k| sums[k].tanh());
        let results = std::array::from_fn(|r| {
            sums[HIDDEN + r] + self.outer(r).iter().zip(&hidden).map(|(w, h)| w * h).sum::<f64>()
        });
        (hidden, results)
    }

    /// Adds the gradient of one sample, given those of its results.
    fn backward(&self, x: &[f64], hidden: &[f64; HIDDEN], slopes: &[f64; RESULTS], gradient: &mut [f64]) {
        let mut row = [0.0; ROW];
        for (r, slope) in slopes.iter().enumerate() {
            row[HIDDEN + r] = *slope;
            let from = self.rows * ROW + r * HIDDEN;
            for k in 0..HIDDEN {
                row[k] += slope * self.values[from + k] * (1.0 - hidden[k] * hidden[k]);
                gradient[from + k] += slope * hidden[k];
            }
        }
        for (x, sums) in x.iter().zip(gradient.chunks_exact_mut(ROW)) {
            sums.iter_mut().zip(&row).for_each(|(g, s)| *g += s * x);
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

/// Quantiles that are asked for; without an upper end the low one alone leaves out a fifth.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Whether there is an upper end.
    pub bounded: bool,
}

impl Asked {
    fn low(self) -> f64 {
        if self.bounded { 0.5 * (1.0 - COVERED) } else { 1.0 - COVERED }
    }

    /// Slopes of the loss of one error by the results, given the share to leave out on each side that there is, and whether it is covered.
    fn slopes(self, error: f64, tail: f64, [middle, below, above]: [f64; RESULTS]) -> ([f64; RESULTS], bool) {
        let pinball = |rest: f64, q: f64| if rest > 0.0 { q } else { q - 1.0 };
        let (below, above) = (below.clamp(-6.0, 4.0).exp(), above.clamp(-6.0, 4.0).exp());
        let (under, over) = (error - middle + below, error - middle - above);
        let low = pinball(under, tail);
        let high = if self.bounded { pinball(over, 1.0 - tail) } else { 0.0 };
        let slopes = [-pinball(error - middle, 0.5) - low - high, low * below, -high * above];
        (slopes, under >= 0.0 && (over <= 0.0 || !self.bounded))
    }
}

/// Mean and standard deviation of each feature over what is learnt from.
fn scales(samples: &[&Sample]) -> Vec<(f64, f64)> {
    let n = samples.len().max(1) as f64;
    let of = |k: usize| {
        let mean = samples.iter().map(|s| s.features[k]).sum::<f64>() / n;
        let square = samples.iter().map(|s| (s.features[k] - mean).powi(2)).sum::<f64>() / n;
        (mean, square.sqrt().max(1e-3))
    };
    (0..feature_names().count()).map(of).collect()
}

/// Standardised features, and one.
fn standardised(features: &Features, scales: &[(f64, f64)]) -> Vec<f64> {
    let x = features.iter().zip(scales).map(|(x, s)| ((x - s.0) / s.1).clamp(-FARTHEST, FARTHEST));
    x.chain([1.0]).collect()
}

/// Adam: steps by the mean gradient over its usual size.
pub(crate) struct Adam {
    /// Pull of all weights towards zero.
    ridge: f64,
    mean: Vec<f64>,
    square: Vec<f64>,
    steps: i32,
}

impl Adam {
    pub(crate) fn new(size: usize, ridge: f64) -> Adam {
        Adam { ridge, mean: vec![0.0; size], square: vec![0.0; size], steps: 0 }
    }

    pub(crate) fn step(&mut self, values: &mut [f64], gradient: &[f64], length: f64) {
        self.steps += 1;
        let (a, b) = (1.0 - 0.9_f64.powi(self.steps), 1.0 - 0.999_f64.powi(self.steps));
        for (k, v) in values.iter_mut().enumerate() {
            let g = gradient[k] + 2.0 * self.ridge * *v;
            self.mean[k] += 0.1 * (g - self.mean[k]);
            self.square[k] += 0.001 * (g * g - self.square[k]);
            *v -= length * (self.mean[k] / a) / ((self.square[k] / b).sqrt() + 1e-9);
        }
    }
}

/// Learns from samples of `groups` classes.
pub fn learn(samples: &[Sample], groups: usize, asked: Asked, seed: u64) -> Learnt {
    let own: Vec<&Sample> = samples.iter().filter(|s| !s.kept_back).collect();
    let scales = scales(&own);
    let x: Vec<Vec<f64>> = own.iter().map(|s| standardised(&s.features, &scales)).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut parameters = Parameters::random(scales.len(), &mut random);
    let size = parameters.values.len();
    let mut adam = Adam::new(size, RIDGE);
    let mut tails = vec![asked.low(); groups];
    let mut order: Vec<usize> = (0..own.len()).collect();
    for pass in 0..PASSES {
        for k in (1..order.len()).rev() {
            order.swap(k, (unit(&mut random) * (k + 1) as f64) as usize);
        }
        let length = STEP * 0.5 * (1.0 + (std::f64::consts::PI * pass as f64 / PASSES as f64).cos());
        let mut seen = vec![(0.0, 0.0); groups];
        for batch in order.chunks(BATCH) {
            let mut gradient = vec![0.0; size];
            let total: f64 = batch.iter().map(|i| own[*i].weight).sum();
            for i in batch {
                let sample = own[*i];
                let (hidden, results) = parameters.forward(&x[*i]);
                let (slopes, is_covered) = asked.slopes(sample.error, tails[sample.group], results);
                let weight = sample.weight / total.max(1e-9);
                parameters.backward(&x[*i], &hidden, &slopes.map(|s| s * weight), &mut gradient);
                if sample.counted {
                    seen[sample.group].0 += f64::from(u8::from(is_covered));
                    seen[sample.group].1 += 1.0;
                }
            }
            adam.step(&mut parameters.values, &gradient, length);
        }
        if MOVED.contains(&pass) {
            move_tails(&mut tails, &seen);
        }
    }
    finish(&parameters, &scales, samples, groups, asked)
}

/// Asks groups of which too few are covered to leave out less.
fn move_tails(tails: &mut [f64], seen: &[(f64, f64)]) {
    for (tail, (covered, all)) in tails.iter_mut().zip(seen).filter(|(_, s)| s.1 > 0.0) {
        *tail = (*tail * (GAIN * (covered / all - COVERED)).exp()).clamp(TAILS.0, TAILS.1);
    }
}

/// The net, with the factors that its widths need on samples that it has not seen.
fn finish(
    parameters: &Parameters,
    scales: &[(f64, f64)],
    samples: &[Sample],
    groups: usize,
    asked: Asked,
) -> Learnt {
    let row = |k: usize| &parameters.values[k * ROW..(k + 1) * ROW];
    let input = |(k, (name, scale)): (usize, (&'static str, &(f64, f64)))| Input {
        name,
        centre: scale.0,
        scale: scale.1,
        hidden: std::array::from_fn(|j| row(k)[j]),
        direct: std::array::from_fn(|j| row(k)[HIDDEN + j]),
    };
    let last = row(scales.len());
    let mut learnt = Learnt {
        inputs: feature_names().zip(scales).enumerate().map(input).collect(),
        hidden: std::array::from_fn(|j| last[j]),
        direct: std::array::from_fn(|j| last[HIDDEN + j]),
        outer: std::array::from_fn(|r| std::array::from_fn(|j| parameters.outer(r)[j])),
        widen: [1.0, 1.0],
        coverage: Vec::new(),
    };
    let net = learnt.net();
    let (mut under, mut over) = (Vec::new(), Vec::new());
    for s in samples.iter().filter(|s| s.kept_back) {
        let ([low, middle, high], weight) = (net.quantiles(&s.features), s.weight);
        under.push(((middle - s.error) / (middle - low), weight));
        over.push(((s.error - middle) / (high - middle), weight));
    }
    let high = if asked.bounded { quantile(over, 1.0 - asked.low()) } else { 1.0 };
    learnt.widen = [quantile(under, 1.0 - asked.low()), high].map(|w| w.clamp(0.5, 3.0));
    learnt.coverage = coverage(&learnt.net(), samples, groups, asked);
    learnt
}

/// Share of each group's counted samples that lie inside, of those that were kept back.
fn coverage(net: &Net<'_>, samples: &[Sample], groups: usize, asked: Asked) -> Vec<f64> {
    let share = |group: usize| {
        let own = samples.iter().filter(|s| s.kept_back && s.counted && s.group == group);
        let inside = own.map(|s| {
            let [low, _, high] = net.quantiles(&s.features);
            f64::from(u8::from(low <= s.error && (s.error <= high || !asked.bounded)))
        });
        let (sum, n) = inside.fold((0.0, 0.0), |(sum, n), x| (sum + x, n + 1.0));
        sum / n
    };
    (0..groups).map(share).collect()
}

/// The value that a share of the weight does not exceed, and the next one: the conformal correction for a finite sample.
fn quantile(mut scores: Vec<(f64, f64)>, share: f64) -> f64 {
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wanted = share * scores.iter().map(|s| s.1).sum::<f64>();
    let mut sum = 0.0;
    let found = scores.iter().position(|s| {
        sum += s.1;
        sum > wanted
    });
    let next = found.map_or(scores.len(), |k| k + 1).min(scores.len().saturating_sub(1));
    scores.get(next).map_or(1.0, |s| s.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors whose middle and width follow two of the features, in two groups.
    fn samples(n: usize) -> Vec<Sample> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let one = |k: usize| {
            let mut features: Features = std::array::from_fn(|_| 0.0);
            features[3] = unit(&mut random) * 2.0 - 1.0;
            features[5] = unit(&mut random) * 2.0 - 1.0;
            let error = features[3] + features[5].exp() * normal(&mut random);
            Sample { features, error, weight: 1.0, group: k % 2, counted: true, kept_back: k % 4 == 3 }
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn what_is_learnt_covers_and_follows_middle_and_width() {
        let learnt = learn(&samples(3000), 2, Asked { bounded: true }, 1);
        assert!(learnt.coverage[1] > 0.75 && learnt.coverage[1] < 0.85, "{:?}", learnt.coverage);
        let net = learnt.net();
        let at = |a: f64, b: f64| {
            let mut features: Features = std::array::from_fn(|_| 0.0);
            (features[3], features[5]) = (a, b);
            net.quantiles(&features)
        };
        let ([_, low, _], [_, high, _]) = (at(-0.8, 0.0), at(0.8, 0.0));
        assert!((high - low - 1.6).abs() < 0.4, "{low} {high}");
        let width = |b: f64| at(0.0, b)[2] - at(0.0, b)[0];
        let ratio = width(0.8) / width(-0.8);
        assert!((ratio.ln() - 1.6).abs() < 0.4, "{ratio}");
    }

    #[test]
    fn tails_move_towards_what_is_covered() {
        let mut tails = vec![0.1, 0.1, 0.1, TAILS.0, TAILS.1];
        move_tails(&mut tails, &[(7.0, 10.0), (9.0, 10.0), (0.0, 0.0), (0.0, 10.0), (10.0, 10.0)]);
        assert!(tails[0] < 0.1 && tails[1] > 0.1 && tails[2] == 0.1, "{tails:?}");
        assert_eq!(tails[3..], [TAILS.0, TAILS.1]);
    }

    #[test]
    fn classes_that_can_be_told_apart_are_covered_alike() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        // Of one class most errors are small and a few are large; a feature tells it, but not how to get there by its quantiles alone.
        let one = |k: usize| {
            let mut features: Features = std::array::from_fn(|_| 0.0);
            let group = k % 2;
            features[3] = group as f64 + 0.5 * normal(&mut random);
            let wide = if group == 1 && unit(&mut random) < 0.3 { 8.0 } else { 1.0 };
            let error = wide * normal(&mut random);
            Sample { features, error, weight: 1.0, group, counted: true, kept_back: k % 5 == 4 }
        };
        let all: Vec<Sample> = (0..12_000).map(one).collect();
        let learnt = learn(&all, 2, Asked { bounded: true }, 1);
        assert!(learnt.coverage.iter().all(|c| (0.76..0.84).contains(c)), "{:?}", learnt.coverage);
    }

    #[test]
    fn without_an_upper_end_the_low_one_leaves_out_a_fifth() {
        let all = samples(3000);
        let learnt = learn(&all, 2, Asked { bounded: false }, 1);
        let net = learnt.net();
        let above = all.iter().filter(|s| s.error >= net.quantiles(&s.features)[0]).count() as f64;
        assert!((above / all.len() as f64 - 0.8).abs() < 0.03, "{above}");
    }
}
