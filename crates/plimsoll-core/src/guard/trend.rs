//! The slope of levels over work: Theil and Sen's median of all pairs, with Kendall's interval, widened where
//! neighbours go along.

use crate::slope::linalg::median;

/// A level after so much work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Iterations since the start of the run.
    pub work: f64,
    /// What was read.
    pub value: f64,
}

/// A slope with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// The median slope.
    pub slope: f64,
    /// Lower bound; negative infinity when so few rounds prove none.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Standard error, as the width of the interval says.
    pub error: f64,
}

/// Correlation of neighbours beyond which it is the shape of the growth, not noise.
const MOST_ALIKE: f64 = 0.6;
/// Fewest levels that have a slope.
pub const FEWEST: usize = 4;

/// The trend of levels in order of work. `z` is the bound of the interval in standard errors; `grain` is the step below
/// which two levels are not told apart. `None` for too few levels.
pub fn trend(levels: &[Level], z: f64, grain: f64) -> Option<Trend> {
    let (first, last) = (levels.first()?, levels.last()?);
    let span = last.work - first.work;
    if levels.len() < FEWEST || span <= 0.0 {
        return None;
    }
    let mut slopes = slopes(levels);
    slopes.sort_unstable_by(f64::total_cmp);
    let slope = slopes[slopes.len() / 2];
    let n = levels.len() as f64;
    let spread = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0 * inflation(levels, slope)).sqrt();
    let (low, high) = bounds(&slopes, z * spread);
    // The usual width tells the error even where the asked one has no bounds.
    let error = match (high - low) / (2.0 * z) {
        e if e.is_finite() => e,
        _ => {
            let (low, high) = bounds(&slopes, spread);
            (high - low) / 2.0
        }
    };
    let step = grain / span;
    Some(Trend { slope, low: low - step, high: high + step, error })
}

fn slopes(levels: &[Level]) -> Vec<f64> {
    let mut out = Vec::with_capacity(levels.len() * levels.len() / 2);
    for (k, a) in levels.iter().enumerate() {
        for b in levels.iter().skip(k + 1).filter(|b| b.work > a.work) {
            out.push((b.value - a.value) / (b.work - a.work));
        }
    }
    out
}

/// Slopes so far from the middle rank that chance does not reach them.
fn bounds(sorted: &[f64], reach: f64) -> (f64, f64) {
    let pairs = sorted.len() as f64;
    let below = ((pairs - reach) / 2.0).floor();
    let low = if below >= 1.0 { sorted[below as usize - 1] } else { f64::NEG_INFINITY };
    let above = ((pairs + reach) / 2.0).ceil() as usize;
    let high = sorted.get(above).copied().unwrap_or(f64::INFINITY);
    (low, high)
}

/// How much wider chance reaches when a level is like the one before: `(1 + r) / (1 - r)` with the correlation of
/// neighbours, which a fitted line makes look smaller than it is. Levels that alternate prove no more than independent ones;
/// steps of a growing table are no noise, however alike neighbours are.
fn inflation(levels: &[Level], slope: f64) -> f64 {
    let residuals = residuals(levels, slope);
    let all: f64 = residuals.iter().map(|r| r * r).sum();
    if all <= 0.0 {
        return 1.0;
    }
    let pairs: f64 = residuals.windows(2).map(|w| w[0] * w[1]).sum();
    let raw = pairs / all;
    let r = (raw + (1.0 + 3.0 * raw.max(0.0)) / levels.len() as f64).clamp(0.0, MOST_ALIKE);
    (1.0 + r) / (1.0 - r)
}

/// What a line of that slope leaves, about its median.
pub(super) fn residuals(levels: &[Level], slope: f64) -> Vec<f64> {
    let mut rest: Vec<f64> = levels.iter().map(|l| l.value - slope * l.work).collect();
    let middle = median(&mut rest.clone());
    rest.iter_mut().for_each(|r| *r -= middle);
    rest
}
