//! A line through few and noisy floor points: its slope with an interval that allows for what the points do not show.

use plimsoll_core::series::Point;
use plimsoll_core::slope::Interval;

/// Points that a slope is taken over at most: all pairs are looked at.
const PAIRS: usize = 400;
/// The normal distribution's 90 % quantile: an interval of 80 %, as all intervals here.
const NINETY: f64 = 1.281_6;
/// How many points the noise that is known beforehand weighs as much as.
const KNOWN: f64 = 2.0;
/// Points from which on the likeness of neighbours is believed.
const NEIGHBOURS: usize = 8;
/// The likeness of neighbours that is allowed for at most.
const ALIKE: f64 = 0.8;

/// A line through points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// Units per second, 80 % interval.
    pub slope: Interval,
    /// Its value at the last point.
    pub end: f64,
}

/// The median of the slopes of all pairs, with an interval of Student's t for it. When they `crowd`, as collections do
/// before a heap is full, each pair weighs as much as its points are apart: the many at the end do not outvote the others.
///
/// `noise` is how far one point may be off by the way it comes about (standard deviation). It joins with what the points
/// themselves scatter, which says little when they are few; neighbours that scatter alike widen the interval.
pub(super) fn line(points: &[Point], noise: f64, crowd: bool) -> Option<Line> {
    let stride = points.len().div_ceil(PAIRS).max(1);
    let points: Vec<Point> = points.iter().rev().step_by(stride).rev().copied().collect();
    let mid = weighed(slopes(&points, crowd))?;
    let end = points.last()?.t;
    let level = median(points.iter().map(|p| p.v + mid * (end - p.t)).collect())?;
    let off: Vec<f64> = points.iter().map(|p| p.v - level + mid * (end - p.t)).collect();
    let n = points.len() as f64;
    let freedom = KNOWN + n - 2.0;
    let scatter: f64 = off.iter().map(|e| e * e).sum();
    let variance = (KNOWN * noise * noise + scatter) / freedom;
    let mean = points.iter().map(|p| p.t).sum::<f64>() / n;
    let width: f64 = points.iter().map(|p| (p.t - mean).powi(2)).sum();
    let alike = likeness(&off);
    let error = (variance / width.max(1e-9) * (1.0 + alike) / (1.0 - alike)).sqrt() * student(freedom);
    Some(Line { slope: Interval { low: mid - error, mid, high: mid + error }, end: level })
}

/// The slope of every pair, and its weight.
fn slopes(points: &[Point], crowd: bool) -> Vec<(f64, f64)> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (i, a) in points.iter().enumerate() {
        for b in points.iter().skip(i + 1).filter(|b| b.t > a.t) {
            slopes.push(((b.v - a.v) / (b.t - a.t), if crowd { b.t - a.t } else { 1.0 }));
        }
    }
    slopes
}

/// The median of values with weights.
fn weighed(mut values: Vec<(f64, f64)>) -> Option<f64> {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = values.iter().map(|(_, w)| w).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    let mut below = None;
    for (value, weight) in values {
        if sum >= half {
            // Half of the weight ends between two values.
            return below.map(|b| f64::midpoint(b, value));
        }
        sum += weight;
        if sum > half {
            return Some(value);
        }
        below = Some(value);
    }
    below
}

/// How much each point is off as its neighbour is: 0 to [`ALIKE`].
fn likeness(off: &[f64]) -> f64 {
    let square: f64 = off.iter().map(|e| e * e).sum();
    if off.len() < NEIGHBOURS || square <= 0.0 {
        return 0.0;
    }
    let together: f64 = off.iter().zip(off.iter().skip(1)).map(|(a, b)| a * b).sum();
    (together / square).clamp(0.0, ALIKE)
}

/// The 90 % quantile of Student's t (Cornish and Fisher's series).
fn student(freedom: f64) -> f64 {
    let z = NINETY;
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    z + first / freedom + second / freedom.powi(2)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = values.len().checked_sub(1)?;
    Some(f64::midpoint(*values.get(at / 2)?, *values.get(at.div_ceil(2))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values.iter().enumerate().map(|(i, v)| Point { t: i as f64, v: *v }).collect()
    }

    #[test]
    fn the_quantile_of_t_is_near_the_tables() {
        for (freedom, table) in [(2.0, 1.886), (3.0, 1.638), (5.0, 1.476), (10.0, 1.372), (100.0, 1.290)] {
            assert!((student(freedom) - table).abs() < 0.04, "{freedom}: {}", student(freedom));
        }
    }

    #[test]
    fn two_points_are_as_sure_as_their_noise_allows() {
        let two = line(&points(&[10.0, 12.0]), 1.0, false).unwrap();
        assert_eq!((two.slope.mid, two.end), (2.0, 12.0));
        assert!(two.slope.low < 0.0 && two.slope.high > 4.0, "{two:?}");
        let exact = line(&points(&[10.0, 12.0]), 0.01, false).unwrap();
        assert!(exact.slope.low > 1.9 && exact.slope.high < 2.1, "{exact:?}");
        assert_eq!(line(&points(&[10.0]), 1.0, false), None);
    }

    #[test]
    fn points_that_crowd_do_not_outvote_the_others() {
        let t = [0.0, 10.0, 20.0, 30.0, 30.1, 30.2, 30.3, 30.4, 30.5, 30.6, 30.7, 30.8];
        let points: Vec<Point> = t.iter().map(|t| Point { t: *t, v: t.min(30.0) }).collect();
        let slope = line(&points, 0.1, true).unwrap().slope;
        assert!((slope.mid - 1.0).abs() < 0.03, "{slope:?}");
        let v = |values: &[(f64, f64)]| weighed(values.to_vec());
        assert_eq!((v(&[]), v(&[(3.0, 1.0)]), v(&[(3.0, 1.0), (1.0, 1.0)])), (None, Some(3.0), Some(2.0)));
        assert_eq!(v(&[(5.0, 1.0), (1.0, 1.0), (2.0, 9.0)]), Some(2.0));
    }

    #[test]
    fn neighbours_that_are_off_alike_widen_the_interval() {
        let width = |l: Line| l.slope.high - l.slope.low;
        let apart =
            line(&points(&[0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]), 0.1, false).unwrap();
        let alike =
            line(&points(&[0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]), 0.1, false).unwrap();
        assert!(width(alike) > 1.2 * width(apart), "{alike:?} {apart:?}");
    }
}
