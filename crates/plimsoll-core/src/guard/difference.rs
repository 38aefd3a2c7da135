//! Two programs, or two settings of one, under the same work: by how much the second grows less or more.

use super::course::Judged;
use super::growth::Growth;
use super::metric::Metric;

/// What the second does beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It grows by less, for certain.
    Less,
    /// It grows by more, for certain.
    More,
    /// They differ by less than is borne: proved.
    Same,
    /// The rounds do not tell.
    Unclear,
}

impl Change {
    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Change::Less => "less",
            Change::More => "more",
            Change::Same => "same",
            Change::Unclear => "unclear",
        }
    }
}

/// The difference of one metric: second less first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Which metric.
    pub metric: Metric,
    /// What is borne per iteration.
    pub tolerance: f64,
    /// Growth of both.
    pub growth: (Growth, Growth),
    /// Difference per iteration, and its interval.
    pub slope: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// What it comes to.
    pub change: Change,
}

/// The differences of all metrics that both have.
pub fn differences(first: &[Judged], second: &[Judged]) -> Vec<Difference> {
    let one = |a: &Judged| {
        let b = second.iter().find(|b| b.metric == a.metric)?;
        Some(difference(a.metric, a.tolerance, *a.growth.as_ref().ok()?, *b.growth.as_ref().ok()?))
    };
    first.iter().filter_map(one).collect()
}

/// The interval of a difference out of two that need not be even: the distances that work against each other, squared.
fn difference(metric: Metric, tolerance: f64, a: Growth, b: Growth) -> Difference {
    let slope = b.trend.slope - a.trend.slope;
    let low = slope - (b.trend.slope - b.trend.low).hypot(a.trend.high - a.trend.slope);
    let high = slope + (b.trend.high - b.trend.slope).hypot(a.trend.slope - a.trend.low);
    let change = if high < 0.0 && slope < -tolerance {
        Change::Less
    } else if low > 0.0 && slope > tolerance {
        Change::More
    } else if -tolerance < low && high < tolerance {
        Change::Same
    } else {
        Change::Unclear
    };
    Difference { metric, tolerance, growth: (a, b), slope, low, high, change }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::growth::Verdict;
    use crate::guard::trend::Trend;

    fn growth(slope: f64, width: f64) -> Growth {
        Growth {
            verdict: Verdict::Growing,
            is_settled: true,
            trend: Trend { slope, low: slope - width, high: slope + width, error: width },
            warm_up: 2,
            smallest_seen: 1.0,
            needs: None,
            levels: (0.0, 1.0),
        }
    }

    #[test]
    fn a_difference_is_told_where_its_interval_tells_it() {
        for (a, b, change) in [
            ((40.0, 3.0), (10.0, 4.0), Change::Less),
            ((10.0, 3.0), (40.0, 4.0), Change::More),
            ((10.0, 1.0), (11.0, 1.0), Change::Same),
            ((10.0, 30.0), (40.0, 40.0), Change::Unclear),
            ((10.0, f64::INFINITY), (10.0, 1.0), Change::Unclear),
            // Certain, and less than anybody minds.
            ((10.0, 0.1), (14.0, 0.1), Change::Same),
        ] {
            let d = difference(Metric::Heap, 8.0, growth(a.0, a.1), growth(b.0, b.1));
            assert_eq!(d.change, change, "{a:?} {b:?}: {d:?}");
        }
        let d = difference(Metric::Heap, 8.0, growth(10.0, 3.0), growth(20.0, 4.0));
        assert_eq!((d.slope, d.low, d.high), (10.0, 5.0, 15.0));
    }
}
