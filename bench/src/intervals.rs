//! Coverage, width and error of time-to-death intervals at fixed shares of a leak's life.

use crate::score::median;

/// One answer set against the truth; hours or minutes, as long as all are the same.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Class of the service.
    pub class: usize,
    /// Index of the share of life.
    pub share: usize,
    /// The truth.
    pub truth: f64,
    /// Low end of the interval.
    pub low: f64,
    /// Median.
    pub mid: f64,
    /// High end.
    pub high: f64,
}

impl Answer {
    /// Whether the truth lies inside.
    pub fn covers(&self) -> bool {
        self.low <= self.truth && self.truth <= self.high
    }
}

/// Figures of a set of answers.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// How many answers.
    pub count: usize,
    /// Share that covers, of all answers.
    pub coverage: f64,
    /// Share with a finite median: the answers that name a time.
    pub answered: f64,
    /// Share that covers, of the answers that name a time.
    pub coverage_answered: f64,
    /// Share with a finite upper end.
    pub bounded: f64,
    /// Median of high/low among the bounded.
    pub ratio: f64,
    /// Median |log(mid/truth)| among the finite medians.
    pub error: f64,
    /// Median log(mid/truth): the bias.
    pub bias: f64,
}

/// Sums answers up.
pub fn figures<'a>(answers: impl Iterator<Item = &'a Answer>) -> Figures {
    let all: Vec<&Answer> = answers.collect();
    let n = all.len().max(1) as f64;
    let bounded: Vec<&&Answer> = all.iter().filter(|a| a.high.is_finite()).collect();
    let named: Vec<&&Answer> = all.iter().filter(|a| a.mid.is_finite()).collect();
    let finite = || all.iter().filter(|a| a.mid.is_finite() && a.mid > 0.0).map(|a| (a.mid / a.truth).ln());
    Figures {
        count: all.len(),
        coverage: all.iter().filter(|a| a.covers()).count() as f64 / n,
        answered: named.len() as f64 / n,
        coverage_answered: named.iter().filter(|a| a.covers()).count() as f64 / named.len().max(1) as f64,
        bounded: bounded.len() as f64 / n,
        ratio: median(bounded.iter().filter(|a| a.low > 0.0).map(|a| a.high / a.low).collect()),
        error: median(finite().map(f64::abs).collect()),
        bias: median(finite().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unbounded_answers_cover_but_do_not_count_for_width() {
        let a = Answer { class: 8, share: 0, truth: 10.0, low: 5.0, mid: 10.0, high: f64::INFINITY };
        let b = Answer { high: 20.0, ..a };
        let c = Answer { low: 11.0, ..b };
        let f = figures([a, b, c].iter());
        assert_eq!(f.count, 3);
        assert!((f.coverage - 2.0 / 3.0).abs() < 1e-12 && (f.bounded - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(f.error, 0.0);
    }
}
