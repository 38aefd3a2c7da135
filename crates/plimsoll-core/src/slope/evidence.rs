//! How often a climb like this one goes on to the level that kills: learnt from healthy series and from leaks, by what
//! the question has at hand ([`super::features`]).
//!
//! The models answer what follows if one of them holds; how often a cache that fills, a burst of work or the rise of a day
//! looks as this climb does, is not for them to say. The mean of a few small nets does, shipped as a table.

use super::features::Features;
use super::layers::{Layers, Sign, standard};

/// Nets whose mean is taken: each was learnt from other dice, and what they do not share is chance.
pub const NETS: usize = 2;

/// Logarithm of the odds that a climb goes on, from the numbers of the question.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// One for each number.
    pub signs: &'a [Sign<'a>],
    /// The nets.
    pub nets: [Layers<'a, 48, 24, 1>; NETS],
}

impl Judge<'_> {
    /// Logarithm of the odds.
    pub fn log_odds(&self, features: &Features) -> f64 {
        let x = standard(self.signs, features);
        self.nets.iter().map(|net| f64::from(net.results(&x)[0])).sum::<f64>() / NETS as f64
    }

    /// The same as a probability.
    pub(super) fn probability(&self, features: &Features) -> f64 {
        1.0 / (1.0 + (-self.log_odds(features)).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence_table::GOES_ON;
    use super::super::layers::{NUMBERS, tests};

    #[test]
    fn the_table_is_of_the_signs_that_there_are() {
        tests::is_of_the_signs_that_there_are(GOES_ON.signs);
        GOES_ON.nets.iter().for_each(tests::has_a_row_for_each);
    }

    #[test]
    fn odds_stay_finite_however_far_a_number_lies() {
        for k in 0..NUMBERS {
            let odds = |x: f64| GOES_ON.log_odds(&std::array::from_fn(|i| if i == k { x } else { 0.0 }));
            for (far, farther) in [(-1e9, f64::NEG_INFINITY), (1e9, f64::INFINITY)] {
                assert!(odds(far).abs() < 20.0, "{k} {far}: {}", odds(far));
                assert_eq!(odds(far), odds(farther), "{k}: as far as it counts");
            }
        }
    }
}
