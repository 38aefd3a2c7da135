//! How noisy the floor is around the best model: robust weights, scale, and how many independent points the
//! correlated ones are worth.

use super::floor::Floor;
use super::linalg::median;

/// Correlation time assumed before any is measured, seconds.
const MEMORY: f64 = 3_600.0;
/// Weight of that assumption, in floor points.
const MEMORY_WEIGHT: f64 = 8.0;

/// Noise of the floor around a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise {
    /// Robust standard deviation of one floor point.
    pub(super) scale: f64,
    /// Correlation of neighbouring floor points.
    pub(super) rho: f64,
    /// Effective number of independent points.
    pub(super) n_eff: f64,
    /// Variance inflation, `n / n_eff`.
    pub(super) inflation: f64,
    /// How far the floor wanders off its trend for good, per square root of a block: a climb in jumps is
    /// a drift with such a wander.
    pub(super) wander: f64,
}

/// Robust scale of residuals, at least `least`. Reorders `scratch`.
pub(super) fn scale(residuals: &[f64], scratch: &mut Vec<f64>, least: f64) -> f64 {
    scratch.clear();
    scratch.extend_from_slice(residuals);
    let middle = median(scratch);
    scratch.iter_mut().for_each(|r| *r = (*r - middle).abs());
    (1.4826 * median(scratch)).max(least)
}

/// Robust weights that distrust upward residuals more: what lies above the envelope is garbage or a burst.
pub(super) fn weigh(residuals: &[f64], scale: f64, weights: &mut [f64]) {
    for (w, r) in weights.iter_mut().zip(residuals) {
        let u = r / scale;
        *w = if u > 1.5 {
            let excess = u / 1.5;
            1.0 / (excess * excess.sqrt())
        } else if u < -2.5 {
            -2.5 / u
        } else {
            1.0
        };
    }
}

/// Correlation and effective size. Only neighbours of the same run, one block apart, count as pairs.
pub(super) fn measure(floor: &Floor, residuals: &[f64], weights: &[f64], scale: f64) -> Noise {
    let n = residuals.len() as f64;
    let all: f64 = residuals.iter().zip(weights).map(|(r, w)| r * r * w).sum::<f64>() + 1e-300;
    let mut pairs = 0.0;
    for (k, p) in floor.points.windows(2).enumerate() {
        if p[0].run == p[1].run && p[1].t - p[0].t < 2.5 * floor.block {
            pairs += residuals[k] * residuals[k + 1] * (weights[k] * weights[k + 1]).sqrt();
        }
    }
    let raw = (pairs / all).clamp(-0.99, 0.99);
    let unbiased = (raw + (1.0 + 4.0 * raw.max(0.0)) / n).clamp(0.0, 0.97);
    let memory = MEMORY.min(floor.span / 12.0).max(1e-9);
    let assumed = (-floor.block / memory).exp().min(0.85);
    let rho = (n * unbiased + MEMORY_WEIGHT * assumed) / (n + MEMORY_WEIGHT);
    // Every further run costs a level of its own.
    let free = (n - (floor.runs - 1) as f64).max(0.3 * n);
    let n_eff = (free * (1.0 - rho) / (1.0 + rho)).max(3.0);
    Noise { scale, rho, n_eff, inflation: n / n_eff, wander: wander(floor, residuals) }
}

/// Growth of the variance of differences with their distance. Noise that comes back adds the same to both
/// distances and cancels.
fn wander(floor: &Floor, residuals: &[f64]) -> f64 {
    let longest = floor.bounds.windows(2).map(|b| b[1] - b[0]).max().unwrap_or(0);
    if longest < 8 {
        return 0.0;
    }
    let k = (longest / 24).max(1);
    let spread = |lag: usize| {
        let (mut sum, mut count) = (0.0, 0.0);
        for b in floor.bounds.windows(2) {
            let run = &residuals[b[0]..b[1]];
            for (early, late) in run.iter().zip(run.iter().skip(lag)) {
                sum += (late - early) * (late - early);
                count += 1.0;
            }
        }
        if count > 0.0 { sum / count } else { 0.0 }
    };
    ((spread(3 * k) - spread(k)).max(0.0) / (2 * k) as f64).sqrt()
}

/// Share of the live run's climb that came in single large moves of the floor; moves up and down cancel.
pub(super) fn jumps(floor: &Floor) -> f64 {
    let begin = floor.bounds[floor.bounds.len() - 2];
    let moves: Vec<f64> = floor.points[begin..].windows(2).map(|p| p[1].v - p[0].v).collect();
    let total: f64 = moves.iter().sum();
    if moves.len() < 6 || total <= 0.0 {
        return 0.0;
    }
    let mut sizes = moves.clone();
    let middle = median(&mut sizes);
    sizes.iter_mut().for_each(|m| *m = (*m - middle).abs());
    let usual = 1.4826 * median(&mut sizes) + middle.abs();
    let large: f64 = moves.iter().filter(|m| (**m - middle).abs() > 4.0 * usual).sum();
    large / total
}
