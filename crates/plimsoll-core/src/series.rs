//! Samples in time, with gaps.

use serde::{Deserialize, Serialize};

/// One sample: Unix time in seconds and a value in the fact's unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Unix time, seconds.
    pub t: f64,
    /// Value in the fact's unit.
    pub v: f64,
}

/// Samples of one fact, ordered by time. Appending out of order or a non-finite number is refused.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    points: Vec<Point>,
}

impl Series {
    /// No samples.
    pub const EMPTY: Series = Series { points: Vec::new() };

    /// Appends a sample; false when it is not finite or not later than the last one.
    pub fn push(&mut self, t: f64, v: f64) -> bool {
        let ordered = self.points.last().is_none_or(|p| t > p.t);
        let good = ordered && t.is_finite() && v.is_finite();
        if good {
            self.points.push(Point { t, v });
        }
        good
    }

    /// A copy of samples that are known to be ordered: those of another series.
    pub fn from_ordered(points: &[Point]) -> Self {
        debug_assert!(points.is_sorted_by(|a, b| a.t < b.t));
        Series { points: points.to_vec() }
    }

    /// All samples.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The newest sample.
    pub fn last(&self) -> Option<Point> {
        self.points.last().copied()
    }

    /// The oldest sample.
    pub fn first(&self) -> Option<Point> {
        self.points.first().copied()
    }

    /// Samples at or after `t`.
    pub fn since(&self, t: f64) -> &[Point] {
        &self.points[self.points.partition_point(|p| p.t < t)..]
    }

    /// Samples at or before `t`.
    pub fn until(&self, t: f64) -> &[Point] {
        &self.points[..self.points.partition_point(|p| p.t <= t)]
    }

    /// The value that held at `t`: the newest sample not after it.
    pub fn at(&self, t: f64) -> Option<f64> {
        self.until(t).last().map(|p| p.v)
    }

    /// Rate of a counter over the last `window` seconds, per second. `None` with fewer than two samples
    /// there or after a reset.
    pub fn rate(&self, window: f64) -> Option<f64> {
        let last = self.last()?;
        let first = self.since(last.t - window).first().copied()?;
        let dt = last.t - first.t;
        (dt > 0.0 && last.v >= first.v).then(|| (last.v - first.v) / dt)
    }

    /// Seconds between the first and the last sample.
    pub fn span(&self) -> f64 {
        self.first().zip(self.last()).map_or(0.0, |(a, b)| b.t - a.t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_disorder_and_nonsense() {
        let mut s = Series::default();
        assert!(s.push(1.0, 5.0));
        assert!(!s.push(1.0, 6.0), "same instant");
        assert!(!s.push(2.0, f64::NAN));
        assert!(s.push(3.0, 9.0));
        assert_eq!(s.at(2.5), Some(5.0));
        assert_eq!(s.rate(10.0), Some(2.0));
        assert_eq!(s.since(2.0).len(), 1);
    }

    #[test]
    fn a_counter_that_fell_has_no_rate() {
        let mut s = Series::default();
        s.push(1.0, 5.0);
        s.push(2.0, 1.0);
        assert_eq!(s.rate(10.0), None);
    }
}
