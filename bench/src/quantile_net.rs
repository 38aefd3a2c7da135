//! Learns the quantiles of the standardised error of a time from what is known of the question: the smallest
//! pinball loss, of classes in which too few are covered less being left out. How many are covered is counted on answers that were not
//! learnt from.

use plimsoll_core::slope::{Features, Layers, Net, RESULTS, Sign, standard};

use crate::layers::{Loss, Weights, descend, signs};

/// Passes over all samples.
const PASSES: usize = 16;
/// Passes after which the tails of classes are moved.
const MOVED: std::ops::Range<usize> = 2..15;
/// How fast the tails of a class shrink where too few are covered, in their logarithm.
const GAIN: f64 = 3.0;
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
    /// Whether it is one of those of which as many are to be covered; says something of what is kept back only.
    pub counted: bool,
    /// Not learnt from: how many of each class are covered is counted on such.
    pub kept_back: bool,
}

/// What a net was made to be.
pub struct Learnt {
    /// One for each number.
    pub signs: Vec<Sign<'static>>,
    /// Of the layers.
    pub weights: Weights<64, 32, RESULTS>,
    /// Coverage by group of what was kept back. The tails were moved by it, so it shows whether that came to an end, and no more.
    pub coverage: Vec<f64>,
}

impl Learnt {
    /// As the core takes it.
    pub fn net(&self) -> Net<'_> {
        Net { signs: &self.signs, layers: self.weights.layers() }
    }
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

    /// Slopes of the loss of one error by the results, given the share to leave out on each side that there is.
    fn slopes(self, error: f64, tail: f64, results: [f32; RESULTS]) -> [f64; RESULTS] {
        let pinball = |rest: f64, q: f64| if rest > 0.0 { q } else { q - 1.0 };
        let [middle, below, above] = results.map(f64::from);
        let (below, above) = (below.clamp(-6.0, 4.0).exp(), above.clamp(-6.0, 4.0).exp());
        let low = pinball(error - middle + below, tail);
        let high = if self.bounded { pinball(error - middle - above, 1.0 - tail) } else { 0.0 };
        [-pinball(error - middle, 0.5) - low - high, low * below, -high * above]
    }

    /// Share of each group's counted samples that lie inside.
    fn coverage(self, net: &Net<'_>, samples: &[&Sample], groups: usize) -> Vec<f64> {
        let mut seen = vec![(0.0, 0.0); groups];
        for s in samples.iter().filter(|s| s.counted) {
            let [low, _, high] = net.quantiles(&s.features);
            let inside = low <= s.error && (s.error <= high || !self.bounded);
            let (sum, n) = &mut seen[s.group];
            (*sum, *n) = (*sum + f64::from(u8::from(inside)), *n + 1.0);
        }
        seen.into_iter().map(|(sum, n)| sum / n).collect()
    }
}

/// What errors outside of their interval cost.
struct Pinball<'a> {
    of: &'a [&'a Sample],
    /// Their mean weight.
    usual: f64,
    asked: Asked,
    /// Share of each class that is asked to be left out on each side.
    tails: Vec<f64>,
    signs: &'a [Sign<'a>],
    kept_back: &'a [&'a Sample],
}

impl Loss<64, 32, RESULTS> for Pinball<'_> {
    fn slopes(&self, example: usize, results: [f32; RESULTS]) -> [f32; RESULTS] {
        let Sample { error, group, weight, .. } = self.of[example];
        self.asked.slopes(*error, self.tails[*group], results).map(|s| (s * weight / self.usual) as f32)
    }

    fn passed(&mut self, passes: usize, net: Layers<'_, 64, 32, RESULTS>) {
        if MOVED.contains(&passes) {
            let net = Net { signs: self.signs, layers: net };
            let coverage = self.asked.coverage(&net, self.kept_back, self.tails.len());
            move_tails(&mut self.tails, &coverage);
        }
    }
}

/// Learns from samples of `groups` classes.
pub fn learn(samples: &[Sample], groups: usize, asked: Asked, seed: u64) -> Learnt {
    let (kept_back, own): (Vec<&Sample>, Vec<&Sample>) = samples.iter().partition(|s| s.kept_back);
    let signs = signs(&own.iter().map(|s| &s.features));
    let x: Vec<_> = own.iter().map(|s| standard(&signs, &s.features)).collect();
    let usual = own.iter().map(|s| s.weight).sum::<f64>() / own.len().max(1) as f64;
    let tails = vec![asked.low(); groups];
    let mut pinball = Pinball { of: &own, usual, asked, tails, signs: &signs, kept_back: &kept_back };
    let weights = descend(&x, &mut pinball, PASSES, seed);
    let mut learnt = Learnt { signs, weights, coverage: Vec::new() };
    learnt.coverage = asked.coverage(&learnt.net(), &kept_back, groups);
    learnt
}

/// Asks groups of which too few are covered to leave out less.
fn move_tails(tails: &mut [f64], coverage: &[f64]) {
    for (tail, covered) in tails.iter_mut().zip(coverage).filter(|(_, c)| c.is_finite()) {
        *tail = (*tail * (GAIN * (covered - COVERED)).exp()).clamp(TAILS.0, TAILS.1);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::layers::{normal, unit};

    /// Errors whose middle and width follow two of the features, in two groups, some of both kept back.
    fn samples(n: usize, seed: u64) -> Vec<Sample> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let one = |k: usize| {
            let mut features: Features = std::array::from_fn(|_| 0.0);
            features[3] = unit(&mut random) * 2.0 - 1.0;
            features[5] = unit(&mut random) * 2.0 - 1.0;
            let error = features[3] + features[5].exp() * normal(&mut random);
            Sample { features, error, weight: 1.0, group: k % 2, counted: true, kept_back: k % 5 == 4 }
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn what_is_learnt_covers_and_follows_middle_and_width() {
        let asked = Asked { bounded: true };
        let learnt = learn(&samples(20_000, 7), 2, asked, 1);
        let net = learnt.net();
        let unseen = samples(4_000, 8);
        let coverage = asked.coverage(&net, &unseen.iter().collect::<Vec<_>>(), 2);
        assert!(coverage.iter().all(|c| (0.76..0.84).contains(c)), "{coverage:?}");
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
        move_tails(&mut tails, &[0.7, 0.9, f64::NAN, 0.0, 1.0]);
        assert!(tails[0] < 0.1 && tails[1] > 0.1 && tails[2] == 0.1, "{tails:?}");
        assert_eq!(tails[3..], [TAILS.0, TAILS.1]);
    }

    #[test]
    fn classes_that_can_be_told_apart_are_covered_alike() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        // Of one class most errors are small and a few are large; a feature tells it, but not how to get there by its quantiles alone.
        let mut one = |k: usize| {
            let mut features: Features = std::array::from_fn(|_| 0.0);
            let group = k % 2;
            features[3] = group as f64 + 0.5 * normal(&mut random);
            let wide = if group == 1 && unit(&mut random) < 0.3 { 8.0 } else { 1.0 };
            let error = wide * normal(&mut random);
            Sample { features, error, weight: 1.0, group, counted: true, kept_back: k % 5 == 4 }
        };
        let all: Vec<Sample> = (0..12_000).map(&mut one).collect();
        let unseen: Vec<Sample> = (0..4_000).map(one).collect();
        let asked = Asked { bounded: true };
        let coverage = asked.coverage(&learn(&all, 2, asked, 1).net(), &unseen.iter().collect::<Vec<_>>(), 2);
        assert!(coverage.iter().all(|c| (0.76..0.84).contains(c)), "{coverage:?}");
    }

    #[test]
    fn without_an_upper_end_the_low_one_leaves_out_a_fifth() {
        let learnt = learn(&samples(20_000, 7), 2, Asked { bounded: false }, 1);
        let (net, unseen) = (learnt.net(), samples(4_000, 8));
        let above = unseen.iter().filter(|s| s.error >= net.quantiles(&s.features)[0]).count() as f64;
        assert!((above / unseen.len() as f64 - 0.8).abs() < 0.03, "{above}");
    }

    #[test]
    fn what_is_kept_back_moves_tails_and_nothing_else() {
        let own = samples(2_000, 7);
        let learnt = |counted: bool| {
            let far = |s: &Sample| Sample {
                features: s.features.map(|x| 50.0 + x),
                error: 9.0,
                kept_back: true,
                counted,
                ..s.clone()
            };
            let all = own.iter().filter(|s| !s.kept_back).flat_map(|s| [s.clone(), far(s)]);
            let learnt = learn(&all.collect::<Vec<_>>(), 2, Asked { bounded: true }, 1);
            (learnt.signs.iter().map(|s| (s.centre, s.scale)).collect::<Vec<_>>(), learnt.weights.flat())
        };
        let alone: Vec<Sample> = own.iter().filter(|s| !s.kept_back).cloned().collect();
        let without = learn(&alone, 2, Asked { bounded: true }, 1);
        let (signs, weights) = learnt(false);
        assert!(weights == without.weights.flat(), "of what does not count nothing is taken");
        let (also, moved) = learnt(true);
        assert!(signs == also && weights != moved, "what counts moves the tails");
    }

    #[test]
    fn slopes_are_those_of_the_loss() {
        let pinball = |rest: f64, q: f64| (q * rest).max((q - 1.0) * rest);
        for bounded in [true, false] {
            for error in [-3.0, -0.2, 0.4, 5.0] {
                let loss = |[middle, below, above]: [f64; RESULTS]| {
                    let (low, high) = (middle - below.exp(), middle + above.exp());
                    let above = if bounded { pinball(error - high, 0.85) } else { 0.0 };
                    pinball(error - middle, 0.5) + pinball(error - low, 0.15) + above
                };
                let at = [0.1, 0.3, 0.7];
                let slopes = Asked { bounded }.slopes(error, 0.15, at.map(|x| x as f32));
                for (k, slope) in slopes.iter().enumerate() {
                    let moved =
                        |by: f64| loss(std::array::from_fn(|i| if i == k { at[i] + by } else { at[i] }));
                    let by_hand = (moved(1e-4) - moved(-1e-4)) / 2e-4;
                    assert!((by_hand - slope).abs() < 1e-3, "{bounded} {error} {k}: {by_hand} {slope}");
                }
            }
        }
    }
}
