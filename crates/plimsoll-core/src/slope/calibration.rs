//! Moves the quantiles of the time to where they cover as often as they say: split conformal calibration of
//! the standardised logarithmic error, regime by regime.
//!
//! The models know how far they are off in kind (few points, a wandering floor, a long way to extrapolate) but
//! not exactly by how much. On services with a known death the quantiles of `ln(truth / median) / spread` are
//! measured per [`Regime`] and shipped as a table; here the spread of the question at hand is multiplied back.

use super::calibration_table::TABLE;
use super::forecast::Outlook;
use super::{Interval, Posterior, Question, Samples, noise};

/// Spread of the logarithm that no interval is believed to go below: the death level itself is blurred.
const BLUR: f64 = 0.04;
/// Bounds of the bins of [`Regime::reach`].
const REACH: [f64; 4] = [0.5, 1.0, 2.0, 4.0];
/// Bounds of the bins of [`Regime::wander`].
const WANDER: [f64; 3] = [1e-6, 0.05, 0.15];

/// Below this age, seconds, a process is young: the simulated leaks of the table are hours long.
pub(super) const YOUNG: f64 = 900.0;
/// Logarithmic width that young processes need on top, each way: the last seconds of real programs are not
/// straight (tables are rehashed, the collector spirals). Split conformal: chosen on the drills with the first
/// seed of `bench/src/bin/verdicts.rs`, held against the others.
const YOUNG_WIDTH: f64 = 0.12;

/// Widens the interval of a young process.
pub(super) fn widen_young(time: &mut Interval) {
    time.low *= (-YOUNG_WIDTH).exp();
    time.high *= YOUNG_WIDTH.exp();
}

/// What tells apart questions whose intervals err differently.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regime {
    /// Samples were taken after collections.
    pub post_collection: bool,
    /// Restarts hide the later life of the process.
    pub restarted: bool,
    /// The upper end of the interval is finite.
    pub bounded: bool,
    /// Median time left over the time seen.
    pub reach: f64,
    /// Spread of the logarithm of the time that a wandering floor brings.
    pub wander: f64,
    /// The climb follows the load, and the load has been seen for less than a day.
    pub young_load: bool,
    /// The climb comes in few jumps.
    pub jumpy: bool,
}

impl Regime {
    /// Number of regimes.
    pub const COUNT: usize = 128;

    pub(super) fn of(q: &Question<'_>, o: &Outlook<'_>, p: &Posterior, work_share: f64) -> Regime {
        let mid = p.time_to_limit.mid;
        let started = p.onset.map_or(o.floor.live_start, |x| x.mid.max(o.floor.live_start));
        let seen = (q.now - started.max(o.floor.live_first.min(q.now - o.floor.block))).max(o.floor.block);
        let headroom = ((p.death_level - p.floor) / o.fit.scale).max(1e-3);
        Regime {
            post_collection: q.samples == Samples::PostCollection,
            restarted: o.floor.hidden(),
            bounded: p.time_to_limit.high.is_finite(),
            reach: mid / seen,
            wander: if mid.is_finite() { o.wander(headroom, mid) } else { 0.0 },
            young_load: work_share > 0.2 && o.load.is_some_and(|l| l.span() < 82_000.0),
            jumpy: noise::jumps(o.floor) > 0.4,
        }
    }

    /// Row of the table, below [`Regime::COUNT`].
    pub fn index(&self) -> usize {
        let reach = REACH.iter().filter(|b| self.reach >= **b).count();
        let wander = WANDER.iter().filter(|b| self.wander >= **b).count();
        let cell = match (self.restarted, self.young_load, self.jumpy) {
            (true, _, _) => 25,
            (_, true, _) => 20 + reach,
            (_, _, true) => 26 + reach,
            _ => reach * 4 + wander,
        };
        cell + 32 * usize::from(self.bounded) + 64 * usize::from(self.post_collection)
    }
}

/// Spread of an uncalibrated interval on the logarithmic scale; `None` when it has no usable median.
pub fn spread(raw: Interval) -> Option<f64> {
    if !(raw.mid.is_finite() && raw.mid > 0.0 && raw.low > 0.0) {
        return None;
    }
    let low = (raw.mid / raw.low).ln();
    let wide = if raw.high.is_finite() { 0.5 * (low + (raw.high / raw.mid).ln()) } else { low };
    Some(wide.hypot(BLUR))
}

/// Moves interval and draws to their calibrated places.
pub(super) fn apply(posterior: &mut Posterior, regime: &Regime) {
    let raw = posterior.time_to_limit;
    let Some(spread) = spread(raw) else { return };
    let [low, mid, high] = TABLE[regime.index()];
    let at = |q: f64| raw.mid * (q * spread).exp();
    let high = if raw.high.is_finite() { at(high) } else { raw.high };
    let now = Interval { low: at(low), mid: at(mid), high };
    let side = |new: f64, old: f64| if new != 1.0 && old != 1.0 { new.ln() / old.ln() } else { 1.0 };
    let below = side(now.low / now.mid, raw.low / raw.mid).clamp(0.1, 10.0);
    let above =
        if high.is_finite() { side(high / now.mid, raw.high / raw.mid).clamp(0.1, 10.0) } else { below };
    for d in posterior.draws.iter_mut().filter(|d| d.is_finite() && **d > 0.0) {
        let x = *d / raw.mid;
        *d = now.mid * x.powf(if x < 1.0 { below } else { above });
    }
    posterior.time_to_limit = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_regime_has_a_row_with_ordered_quantiles() {
        for kind in [false, true] {
            for restarted in [false, true] {
                for bounded in [false, true] {
                    for reach in [0.1, 0.7, 1.5, 3.0, 9.0] {
                        for wander in [0.0, 0.05, 0.5] {
                            for young_load in [false, true] {
                                let r = Regime {
                                    post_collection: kind,
                                    restarted,
                                    bounded,
                                    reach,
                                    wander,
                                    young_load,
                                    jumpy: wander > 0.3,
                                };
                                assert!(r.index() < Regime::COUNT);
                                let [low, mid, high] = TABLE[r.index()];
                                assert!(low < mid && mid < high && low < 0.0 && high > 0.0, "{r:?}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_interval_without_a_median_is_left_alone() {
        assert_eq!(spread(Interval { low: 5.0, mid: f64::INFINITY, high: f64::INFINITY }), None);
        assert_eq!(spread(Interval { low: 0.0, mid: 0.0, high: 0.0 }), None);
    }
}
