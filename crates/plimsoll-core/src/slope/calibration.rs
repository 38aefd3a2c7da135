//! Moves the quantiles of the time to where they cover as often as they say: regression of the quantiles of
//! the standardised logarithmic error.
//!
//! The models know how far they are off in kind (few points, a wandering floor, a long way to extrapolate) but
//! not exactly by how much. On leaks with a known death `ln(truth / median) / spread` is measured, and a small
//! [`Net`] learns its low, middle and high quantile from what the question has at hand ([`super::features`]). It is
//! shipped as a table; here the spread of the question at hand is multiplied back.

use super::calibration_table::{BOUNDED, OPEN};
use super::features::{Features, Times, features};
use super::forecast::{Forecast, Outlook};
use super::layers::{Layers, Sign, standard};
use super::{Interval, Posterior, Question};

/// Spread of the logarithm that no interval is believed to go below: the death level itself is blurred.
const BLUR: f64 = 0.04;

/// Below this age, seconds, a process is young: the simulated leaks of the table are hours long.
pub(super) const YOUNG: f64 = 900.0;
/// Logarithmic width that young processes need on top, each way: the last seconds of real programs are not
/// straight (tables are rehashed, the collector spirals). Chosen on the drills of `bench/src/bin/verdicts.rs`: 0.12 on its first
/// seed, held against the others, and 0.04 more for a cache that is rehashed and dies a second before that.
const YOUNG_WIDTH: f64 = 0.16;

/// Widens the interval of a young process.
pub(super) fn widen_young(time: &mut Interval) {
    time.low *= (-YOUNG_WIDTH).exp();
    time.high *= YOUNG_WIDTH.exp();
}

/// Results of a [`Net`]: middle, and logarithms of the widths below and above.
pub const RESULTS: usize = 3;
/// Bounds of the middle, and of the logarithms of the widths.
const MIDDLE: f64 = 4.0;
const WIDTH: (f64, f64) = (-6.0, 4.0);

/// Quantiles of the error, from the numbers of the question.
#[derive(Debug, Clone, Copy)]
pub struct Net<'a> {
    /// One for each number.
    pub signs: &'a [Sign<'a>],
    /// What is made of them.
    pub layers: Layers<'a, 64, 32, RESULTS>,
}

impl Net<'_> {
    /// Low, middle and high quantile of the standardised logarithmic error.
    pub fn quantiles(&self, features: &Features) -> [f64; 3] {
        let results = self.layers.results(&standard(self.signs, features));
        let [middle, below, above] = results.map(f64::from);
        let middle = middle.clamp(-MIDDLE, MIDDLE);
        let width = |x: f64| x.clamp(WIDTH.0, WIDTH.1).exp();
        [middle - width(below), middle, middle + width(above)]
    }
}

/// What the calibration of one answer starts from.
#[derive(Debug, Clone, Copy)]
pub struct Standard {
    /// Median of the draws that ever reach the limit, seconds.
    pub mid: f64,
    /// Spread of their logarithm.
    pub spread: f64,
    /// Whether the interval has an upper end.
    pub bounded: bool,
    /// What tells questions apart.
    pub features: Features,
}

impl Standard {
    /// Of a posterior that is not calibrated yet; `None` where there is nothing to calibrate.
    pub(super) fn of(
        q: &Question<'_>,
        o: &Outlook<'_>,
        p: &Posterior,
        forecast: &Forecast,
    ) -> Option<Standard> {
        let times = Times::of(&p.draws)?;
        let spread = times.spread(BLUR);
        let features = features(q, o, p, forecast, times, spread);
        Some(Standard { mid: times.mid, spread, bounded: p.time_to_limit.high.is_finite(), features })
    }

    /// Where the quantiles belong.
    fn interval(&self) -> Interval {
        let net = if self.bounded { &BOUNDED } else { &OPEN };
        let [low, mid, high] = net.quantiles(&self.features).map(|z| self.mid * (z * self.spread).exp());
        Interval { low, mid, high }
    }
}

/// Moves interval and draws to their calibrated places. What has no median or no upper end keeps none. Draws keep
/// their order: the logarithm of their distance from the middle of those that ever reach the limit is stretched, on either
/// side as the table says. Without an upper end the median counts the draws that never get there, as it did before:
/// leaks alone were learnt from, and whether this is one is not for them to say.
pub(super) fn apply(posterior: &mut Posterior, standard: &Standard) {
    let raw = posterior.time_to_limit;
    let to = standard.interval();
    let stretch = |new: f64, old: f64| {
        let (new, old) = ((new / to.mid).ln(), (old / standard.mid).ln());
        if old == 0.0 { 1.0 } else { (new / old).clamp(0.1, 10.0) }
    };
    let below = stretch(to.low, raw.low);
    let above = if standard.bounded { stretch(to.high, raw.high) } else { below };
    let moved = |time: f64| {
        let x = time / standard.mid;
        to.mid * x.powf(if x < 1.0 { below } else { above })
    };
    for d in posterior.draws.iter_mut().filter(|d| d.is_finite() && **d > 0.0) {
        *d = moved(*d);
    }
    posterior.time_to_limit = if standard.bounded {
        to
    } else {
        let mid = if raw.mid.is_finite() { moved(raw.mid) } else { raw.mid };
        Interval { low: to.low, mid, high: raw.high }
    };
}

#[cfg(test)]
mod tests {
    use super::super::layers::{NUMBERS, tests};
    use super::*;

    #[test]
    fn the_table_is_of_the_signs_that_there_are() {
        for net in [&BOUNDED, &OPEN] {
            tests::is_of_the_signs_that_there_are(net.signs);
            tests::has_a_row_for_each(&net.layers);
        }
    }

    #[test]
    fn quantiles_are_ordered_however_far_the_features_lie() {
        for net in [&BOUNDED, &OPEN] {
            for k in 0..NUMBERS {
                for x in [-1e9, -1.0, 0.0, 1.0, 1e9] {
                    let mut features = [0.0; NUMBERS];
                    features[k] = x;
                    let [low, mid, high] = net.quantiles(&features);
                    assert!(low < mid && mid < high && low.is_finite() && high.is_finite(), "{k} {x}");
                }
            }
        }
    }
}
