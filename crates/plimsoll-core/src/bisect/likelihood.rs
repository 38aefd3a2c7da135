//! How well the runs fit when some of them hold the change and the others do not, run by run.
//!
//! Verdicts: how often a version without the change is called bad, and one with it good, is not known; both rates have a
//! beta distribution beforehand. Slopes: each side has a level that is not known, and runs of one version differ by more than
//! their error says, by an amount that is not known either: levels in closed form, the amount over a grid. A run may be
//! a stray that tells nothing: that bounds what one run alone can claim.

use super::{Evidence, Run};
use crate::slope::linalg::median;
use crate::slope::normal_cdf;

/// How firmly the usual error of a verdict is believed beforehand, in runs.
const FIRM: f64 = 30.0;
/// Share of runs that are strays: half of them look like the other side (another version was run, the load did not come),
/// half like nothing.
const STRAYS: f64 = 0.02;
/// A level lies about this many spans of what was measured from their middle, beforehand.
const WIDE: f64 = 1.0;
/// Differences between runs of one version, in spans of all that was measured.
const SPREADS: [f64; 6] = [0.0, 1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0 / 2.0];
/// How likely each of them is beforehand: errors are told by who measured.
const LIKELY: [f64; 6] = [0.85, 0.05, 0.04, 0.03, 0.02, 0.01];
/// Where and how heavily a normal distribution is looked at, in its deviations.
const NODES: [(f64, f64); 3] = [(-1.732_050_8, 1.0 / 6.0), (0.0, 2.0 / 3.0), (1.732_050_8, 1.0 / 6.0)];

/// Whether a run holds the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Without,
    With,
    /// There is no difference between the two.
    Same,
}

/// The level of one side as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Level {
    pub(super) mean: f64,
    /// One over its variance.
    precision: f64,
}

impl Level {
    pub(super) fn error(self) -> f64 {
        self.precision.sqrt().recip()
    }

    /// How likely a run with this deviation is to give this value.
    fn density(self, value: f64, own: f64) -> f64 {
        let foreseen = self.precision.recip() + own * own;
        let off = value - self.mean;
        (-off * off / (2.0 * foreseen)).exp() / (std::f64::consts::TAU * foreseen).sqrt()
    }
}

/// What all runs have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Usual error of a verdict beforehand.
    wrong: f64,
    middle: f64,
    span: f64,
    /// Usual error of a slope; `None` where none was measured.
    error: Option<f64>,
}

impl Scale {
    pub(super) fn of(runs: &[Run], wrong: f64) -> Scale {
        let slope = |r: &Run| match r.evidence {
            Evidence::Slope { value, error } => Some((value, error)),
            Evidence::Verdict { .. } | Evidence::Nothing => None,
        };
        let (values, mut errors): (Vec<f64>, Vec<f64>) = runs.iter().filter_map(slope).unzip();
        if values.is_empty() {
            return Scale { wrong, middle: 0.0, span: 1.0, error: None };
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let error = median(&mut errors);
        let span = (high - low).max(error).max(1e-9 * high.abs().max(low.abs())).max(1e-300);
        Scale { wrong, middle: f64::midpoint(low, high), span, error: Some(error) }
    }

    /// Whether any slope was measured.
    pub(super) fn is_measured(&self) -> bool {
        self.error.is_some()
    }
}

/// How well runs fit so far, for one way to take sides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    /// Bad and good verdicts: without the change, with it, and where there is no difference.
    verdicts: [[f64; 2]; 3],
    verdicts_fit: f64,
    /// For each spread how well slopes fit, and both levels.
    slopes: [(f64, [Level; 2]); SPREADS.len()],
    is_same: bool,
}

impl Fit {
    pub(super) fn new(scale: &Scale) -> Fit {
        let (wrong, right) = (FIRM * scale.wrong, FIRM * (1.0 - scale.wrong));
        let start = Level { mean: scale.middle, precision: (WIDE * scale.span).powi(-2) };
        Fit {
            verdicts: [[wrong, right], [right, wrong], [1.0, 1.0]],
            verdicts_fit: 0.0,
            slopes: [(0.0, [start; 2]); SPREADS.len()],
            is_same: false,
        }
    }

    /// Takes in one more run: how well it was foreseen from those before it on its side.
    pub(super) fn take(&mut self, scale: &Scale, evidence: Evidence, side: Side) {
        self.is_same |= side == Side::Same;
        match evidence {
            Evidence::Verdict { bad } => {
                self.verdicts_fit += self.p_verdict(bad, side).ln();
                self.verdicts[side as usize][usize::from(!bad)] += 1.0;
            }
            Evidence::Slope { value, error } => {
                for ((fit, levels), spread) in self.slopes.iter_mut().zip(SPREADS) {
                    let at = usize::from(side == Side::With);
                    let own = own(scale, error, spread);
                    let other = levels[if side == Side::Same { at } else { 1 - at }].density(value, own);
                    let stray = STRAYS / 2.0 * (other + 1.0 / (2.0 * scale.span));
                    *fit += foresee(&mut levels[at], value, own, stray);
                }
            }
            Evidence::Nothing => {}
        }
    }

    fn p_verdict(&self, bad: bool, side: Side) -> f64 {
        let [bads, goods] = self.verdicts[side as usize];
        (if bad { bads } else { goods }) / (bads + goods)
    }

    /// The logarithm of how well all runs fit.
    pub(super) fn log(&self) -> f64 {
        let fits = self.slopes.map(|(fit, levels)| fit + self.order(&levels));
        let best = fits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = fits.iter().zip(LIKELY).map(|(fit, likely)| likely * (fit - best).exp()).sum();
        self.verdicts_fit + best + sum.ln()
    }

    /// The change makes the number larger: what says otherwise fits as ill as that is likely.
    fn order(&self, levels: &[Level; 2]) -> f64 {
        if self.is_same {
            return 0.0;
        }
        let apart = (levels[1].mean - levels[0].mean) / levels[0].error().hypot(levels[1].error());
        (2.0 * normal_cdf(apart)).max(1e-12).ln()
    }

    /// The spread that fits best.
    fn best(&self) -> usize {
        let fit = |at: &usize| LIKELY[*at].ln() + self.slopes[*at].0 + self.order(&self.slopes[*at].1);
        (0..SPREADS.len()).max_by(|a, b| fit(a).total_cmp(&fit(b))).unwrap_or(0)
    }

    /// Both levels, by the spread that fits best.
    pub(super) fn levels(&self) -> [Level; 2] {
        self.slopes[self.best()].1
    }

    /// What one more run may tell on this side, and how likely.
    pub(super) fn outcomes(&self, scale: &Scale, side: Side) -> Vec<(Evidence, f64)> {
        let Some(error) = scale.error else {
            return [true, false].map(|bad| (Evidence::Verdict { bad }, self.p_verdict(bad, side))).to_vec();
        };
        let best = self.best();
        let level = self.slopes[best].1[usize::from(side == Side::With)];
        let wide = level.error().hypot(own(scale, error, SPREADS[best]));
        NODES.map(|(at, weight)| (Evidence::Slope { value: level.mean + at * wide, error }, weight)).to_vec()
    }
}

/// The deviation of one run from its level: nothing is measured without any error.
fn own(scale: &Scale, error: f64, spread: f64) -> f64 {
    error.hypot(spread * scale.span).max(1e-6 * scale.span)
}

/// How well a level foresaw a value; as far as that is no stray, it tells of the level.
fn foresee(level: &mut Level, value: f64, own: f64, stray: f64) -> f64 {
    let usual = (1.0 - STRAYS) * level.density(value, own);
    let told = usual / (usual + stray) / (own * own);
    level.mean = (level.mean * level.precision + value * told) / (level.precision + told);
    level.precision += told;
    (usual + stray).ln()
}
