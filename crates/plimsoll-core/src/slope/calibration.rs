//! Stretches the interval so that it covers as often as it says.

use super::floor::Floor;
use super::{Interval, Question};

/// How far the two sides of the interval are stretched on the logarithmic scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stretch {
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The stretch for the regime of this question.
pub(super) fn stretch(_q: &Question<'_>, _floor: &Floor) -> Stretch {
    Stretch { low: 1.37, high: 1.37 }
}

/// Applies a stretch around the median.
pub(super) fn apply(raw: Interval, s: Stretch) -> Interval {
    if !raw.mid.is_finite() || raw.mid <= 0.0 {
        return raw;
    }
    let side = |x: f64, k: f64| if x.is_finite() && x > 0.0 { raw.mid * (x / raw.mid).powf(k) } else { x };
    Interval { low: side(raw.low, s.low), mid: raw.mid, high: side(raw.high, s.high) }
}
