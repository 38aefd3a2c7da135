//! What kills a process, as it was over time: a limit is changed while a container runs, and a pod comes back with another one.

use crate::series::Point;

/// Limits in order of time. Each holds until the next, and the first one before it was told as well.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits(Vec<Point>);

impl Limits {
    /// One that never changed.
    pub fn always(bytes: f64) -> Limits {
        Limits(vec![Point { t: f64::NEG_INFINITY, v: bytes }])
    }

    /// What was told, in order of time; bytes, infinite where there was none.
    pub fn told(points: impl IntoIterator<Item = Point>) -> Limits {
        let mut limits = Limits::default();
        for p in points {
            if limits.0.last().is_none_or(|last| last.v != p.v) {
                limits.0.push(p);
            }
        }
        limits
    }

    /// Whether there ever was one.
    pub fn is_any(&self) -> bool {
        self.0.iter().any(|p| p.v.is_finite())
    }

    /// The newest, bytes.
    pub fn now(&self) -> Option<f64> {
        self.0.last().map(|p| p.v).filter(|v| v.is_finite())
    }

    /// What it was at `t` (Unix seconds), bytes.
    pub fn at(&self, t: f64) -> Option<f64> {
        let told = self.0.partition_point(|p| p.t <= t);
        self.0.get(told.saturating_sub(1)).map(|p| p.v).filter(|v| v.is_finite())
    }

    /// What was known of it at `t` (Unix seconds).
    #[must_use]
    pub fn until(&self, t: f64) -> Limits {
        let told = self.0.partition_point(|p| p.t <= t);
        Limits(self.0[..told.max(1).min(self.0.len())].to_vec())
    }

    /// The same in another measure: each of them `by` a factor.
    #[must_use]
    pub fn times(&self, by: f64) -> Limits {
        Limits(self.0.iter().map(|p| Point { v: p.v * by, ..*p }).collect())
    }

    /// Each of them, unless it is more than can be.
    #[must_use]
    pub fn below(&self, most: f64) -> Limits {
        let kept = |p: &Point| if p.v > most { Point { v: f64::INFINITY, ..*p } } else { *p };
        Limits::told(self.0.iter().map(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_until_the_next() {
        let point = |(t, v)| Point { t, v };
        let limits = Limits::told([(10.0, 1.0), (20.0, 1.0), (30.0, f64::INFINITY), (40.0, 4.0)].map(point));
        let at = |t: f64| limits.at(t);
        assert_eq!([at(5.0), at(29.0), at(30.0), at(45.0)], [Some(1.0), Some(1.0), None, Some(4.0)]);
        assert_eq!(limits.now(), Some(4.0));
        assert_eq!(limits.until(35.0).now(), None);
        assert_eq!(limits.until(29.0).now(), Some(1.0));
        assert_eq!(limits.until(1.0).now(), Some(1.0), "the first was so before it was told");
        assert_eq!(limits.times(0.5).at(45.0), Some(2.0));
        assert_eq!((limits.below(2.0).now(), limits.below(2.0).at(1.0)), (None, Some(1.0)));
        let none = Limits::default();
        assert_eq!((none.now(), none.at(3.0), none.until(3.0).now()), (None, None, None));
        assert_eq!(Limits::always(7.0).until(1.0).at(-1.0), Some(7.0));
    }
}
