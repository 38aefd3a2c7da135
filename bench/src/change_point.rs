//! The change-point rule: the best split of a day into straight pieces, and a test of the newest piece's slope
//! that respects autocorrelation. It must have grown by three hundredths of the limit, as the r² sentinel's line must.

use crate::replay::TICK;
use crate::rivals::least_squares;

/// Minutes per mean.
const STEP: usize = 15;
/// Means looked at: a day.
const MOST: usize = 96;
/// Shortest piece, means.
const SHORTEST: usize = 8;
/// Growth inside the piece that matters, share of the limit.
const MATERIAL: f64 = 0.03;
/// Lags of the Newey–West variance.
const LAGS: usize = 4;

/// Flags per minute: the newest piece climbs (one-sided p < .01) and reaches the limit within `horizon` minutes.
pub fn flags(v: &[f64], horizon: f64) -> Vec<bool> {
    let mut out = vec![false; v.len()];
    for end in (3 * SHORTEST * STEP..v.len()).step_by(TICK) {
        let from = end.saturating_sub(MOST * STEP);
        let means: Vec<f64> =
            v[from..end].rchunks_exact(STEP).rev().map(|c| c.iter().sum::<f64>() / STEP as f64).collect();
        let piece = &means[newest_piece(&means)..];
        let (now, slope, _) = least_squares(piece);
        let reaches = now + slope / STEP as f64 * horizon > 1.0;
        let material = slope * (piece.len() - 1) as f64 >= MATERIAL;
        if slope > 0.0 && reaches && material && slope / newey_west(piece, slope) > 2.326 {
            out.iter_mut().skip(end).take(TICK).for_each(|x| *x = true);
        }
    }
    out
}

/// Start of the newest piece of the best split: least squares of all pieces plus a price per piece.
fn newest_piece(y: &[f64]) -> usize {
    let sums = Sums::of(y);
    let price = 3.0 * noise(y) * (y.len() as f64).ln();
    let mut best = vec![(0.0, 0); y.len() + 1];
    for end in SHORTEST..=y.len() {
        let starts = (0..=end - SHORTEST).filter(|s| *s == 0 || *s >= SHORTEST);
        let costs = starts.map(|s| (best[s].0 + sums.rest(s, end) + price, s));
        best[end] = costs.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0));
    }
    best[y.len()].1
}

/// Variance of the noise, from second differences.
fn noise(y: &[f64]) -> f64 {
    let mut squares: Vec<f64> = y.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).powi(2) / 6.0).collect();
    squares.sort_by(f64::total_cmp);
    // The median of a chi-square of one degree is 0.455 of its mean.
    squares.get(squares.len() / 2).map_or(1e-12, |m| (m / 0.455).max(1e-12))
}

/// Running sums, so that the residual of any straight piece costs nothing.
struct Sums {
    y: Vec<f64>,
    xy: Vec<f64>,
    yy: Vec<f64>,
}

impl Sums {
    fn of(y: &[f64]) -> Sums {
        let running = |f: &dyn Fn(usize, f64) -> f64| {
            let mut all = vec![0.0];
            all.extend(y.iter().enumerate().scan(0.0, |sum, (i, v)| {
                *sum += f(i, *v);
                Some(*sum)
            }));
            all
        };
        Sums { y: running(&|_, v| v), xy: running(&|i, v| i as f64 * v), yy: running(&|_, v| v * v) }
    }

    /// Sum of squared residuals of the straight line through `[s, e)`.
    fn rest(&self, s: usize, e: usize) -> f64 {
        let n = (e - s) as f64;
        let of = |sums: &[f64]| sums[e] - sums[s];
        let (y, yy) = (of(&self.y), of(&self.yy));
        let middle = (s + e - 1) as f64 / 2.0;
        let xy = of(&self.xy) - middle * y;
        let xx = n * (n * n - 1.0) / 12.0;
        (yy - y * y / n - xy * xy / xx).max(0.0)
    }
}

/// Standard error of a slope under autocorrelation.
fn newey_west(y: &[f64], slope: f64) -> f64 {
    let n = y.len();
    let (middle, mean) = ((n as f64 - 1.0) / 2.0, y.iter().sum::<f64>() / n as f64);
    let score: Vec<f64> = y
        .iter()
        .enumerate()
        .map(|(i, v)| {
            let x = i as f64 - middle;
            x * (v - mean - slope * x)
        })
        .collect();
    let product = |k: usize| score[k..].iter().zip(&score).map(|(a, b)| a * b).sum::<f64>();
    let lags = LAGS.min(n - 1);
    let sum =
        product(0) + 2.0 * (1..=lags).map(|k| (1.0 - k as f64 / (lags + 1) as f64) * product(k)).sum::<f64>();
    let nf = n as f64;
    let xx = nf * (nf * nf - 1.0) / 12.0;
    (sum.max(0.0).sqrt() / xx).max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wiggle(i: usize) -> f64 {
        (((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 1000) as f64 / 1000.0 * 0.002
    }

    #[test]
    fn the_newest_piece_begins_at_the_bend() {
        let y: Vec<f64> =
            (0..96).map(|i| 0.3 + wiggle(i) + if i > 60 { 0.004 * (i - 60) as f64 } else { 0.0 }).collect();
        let start = newest_piece(&y);
        assert!((58..=64).contains(&start), "{start}");
    }

    #[test]
    fn a_flat_day_is_calm_and_a_climb_is_not() {
        let day =
            |slope: f64| -> Vec<f64> { (0..1440).map(|i| 0.4 + wiggle(i) + slope * i as f64).collect() };
        assert!(flags(&day(0.0), 240.0 * 60.0).iter().filter(|x| **x).count() < 100);
        assert!(flags(&day(0.0003), 240.0 * 60.0).iter().filter(|x| **x).count() > 900);
    }
}
