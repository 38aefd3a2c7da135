//! How often a climb like this one goes on to the level that kills: learnt from healthy series and from leaks, by what
//! the question has at hand ([`super::features`]).
//!
//! The models answer what follows if one of them holds; how often a cache that fills, a burst of work or the rise of a day
//! looks as this climb does, is not for them to say. A logistic regression with a few hidden units does, shipped as a table.

use super::calibration::{FARTHEST, Standard};
use super::features::{FEATURES, SIGNS};

/// Hidden units of a [`Judge`].
pub const UNITS: usize = 32;

/// What a [`Judge`] does with one number.
#[derive(Debug, Clone, Copy)]
pub struct Sign<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its mean over what was learnt from.
    pub centre: f64,
    /// Its standard deviation there.
    pub scale: f64,
    /// Weights in the hidden units.
    pub hidden: [f64; UNITS],
    /// Weight in the logarithm of the odds.
    pub direct: f64,
}

/// Logarithm of the odds that a climb goes on, from features and signs.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// One for each number: features, then signs.
    pub signs: &'a [Sign<'a>],
    /// Constants of the hidden units.
    pub hidden: [f64; UNITS],
    /// Constant of the logarithm of the odds.
    pub direct: f64,
    /// Weights of the hidden units in it.
    pub outer: [f64; UNITS],
}

impl Judge<'_> {
    /// Logarithm of the odds, of numbers in the order of [`sign_names`].
    pub fn log_odds(&self, numbers: impl Iterator<Item = f64>) -> f64 {
        let (mut hidden, mut result) = (self.hidden, self.direct);
        for (sign, x) in self.signs.iter().zip(numbers) {
            let x = ((x - sign.centre) / sign.scale).clamp(-FARTHEST, FARTHEST);
            hidden.iter_mut().zip(&sign.hidden).for_each(|(h, w)| *h += w * x);
            result += sign.direct * x;
        }
        result + hidden.iter().zip(&self.outer).map(|(h, w)| w * h.tanh()).sum::<f64>()
    }

    /// The same as a probability.
    pub(super) fn probability(&self, standard: &Standard) -> f64 {
        1.0 / (1.0 + (-self.log_odds(standard.numbers())).exp())
    }
}

/// Names of all numbers, in their order.
pub fn sign_names() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().chain(&SIGNS).map(|f| f.name)
}

#[cfg(test)]
mod tests {
    use super::super::evidence_table::GOES_ON;
    use super::*;

    #[test]
    fn the_table_is_of_the_signs_that_there_are() {
        let learnt: Vec<&str> = GOES_ON.signs.iter().map(|s| s.name).collect();
        assert_eq!(learnt, sign_names().collect::<Vec<_>>(), "make the table again");
        assert!(GOES_ON.signs.iter().all(|s| s.scale > 0.0));
    }

    #[test]
    fn odds_stay_finite_however_far_a_number_lies() {
        let count = sign_names().count();
        for k in 0..count {
            for x in [-1e9, 0.0, 1e9] {
                let odds = GOES_ON.log_odds((0..count).map(|i| if i == k { x } else { 0.0 }));
                assert!(odds.abs() < 100.0, "{k} {x}: {odds}");
            }
        }
    }
}
