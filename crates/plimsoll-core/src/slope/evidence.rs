//! How often a climb like this one goes on to the level that kills: learnt from healthy series and from leaks, by what
//! the question has at hand ([`super::features`]).
//!
//! The models answer what follows if one of them holds; how often a cache that fills, a burst of work or the rise of a day
//! looks as this climb does, is not for them to say. The mean of a few small nets does, shipped as a table.

use super::calibration::{FARTHEST, Standard};
use super::features::{FEATURES, SIGNS};

/// How many numbers there are: features, then signs.
pub const NUMBERS: usize = FEATURES.len() + SIGNS.len();
/// Units of the first hidden layer of [`Layers`], and of the second.
pub const FIRST: usize = 48;
/// See [`FIRST`].
pub const SECOND: usize = 24;
/// Nets whose mean is taken: each was learnt from other dice, and what they do not share is chance.
pub const NETS: usize = 2;

/// One number as the nets take it.
#[derive(Debug, Clone, Copy)]
pub struct Sign<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its mean over what was learnt from.
    pub centre: f64,
    /// Its standard deviation there.
    pub scale: f64,
}

impl Sign<'_> {
    /// Standardised.
    pub fn standard(&self, x: f64) -> f32 {
        ((x - self.centre) / self.scale).clamp(-FARTHEST, FARTHEST) as f32
    }
}

/// Two hidden layers of [`squash`]. Of each layer: a row of weights for each number that comes in, and one of constants.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// From the numbers.
    pub first: &'a [[f32; FIRST]],
    /// From the first layer.
    pub second: &'a [[f32; SECOND]],
    /// From the second layer to the logarithm of the odds.
    pub last: &'a [[f32; 1]],
}

/// What one layer makes of what comes in, before it is squashed.
pub fn layer<const N: usize>(rows: &[[f32; N]], x: &[f32]) -> [f32; N] {
    debug_assert_eq!(rows.len(), x.len() + 1, "a row for each number, and constants");
    let mut sums = rows.last().copied().unwrap_or([0.0; N]);
    for (row, x) in rows.iter().zip(x) {
        sums.iter_mut().zip(row).for_each(|(sum, w)| *sum += w * x);
    }
    sums
}

/// The hyperbolic tangent within 1e-4, by its continued fraction: no call for each unit.
pub fn squash(x: f32) -> f32 {
    // From here on the fraction would be more than one.
    let x = x.clamp(-4.97, 4.97);
    let q = x * x;
    x * (135_135.0 + q * (17_325.0 + q * (378.0 + q)))
        / (135_135.0 + q * (62_370.0 + q * (3_150.0 + q * 28.0)))
}

/// Logarithm of the odds that a climb goes on, from features and signs.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// One for each number: features, then signs.
    pub signs: &'a [Sign<'a>],
    /// The nets.
    pub nets: [Layers<'a>; NETS],
}

impl Judge<'_> {
    /// Logarithm of the odds, of numbers in the order of [`sign_names`].
    pub fn log_odds(&self, numbers: impl Iterator<Item = f64>) -> f64 {
        let mut x = [0.0; NUMBERS];
        let standard = self.signs.iter().zip(numbers).map(|(sign, x)| sign.standard(x));
        x.iter_mut().zip(standard).for_each(|(x, standard)| *x = standard);
        let odds = |net: &Layers<'_>| {
            let first = layer(net.first, &x).map(squash);
            let second = layer(net.second, &first).map(squash);
            f64::from(layer(net.last, &second)[0])
        };
        self.nets.iter().map(odds).sum::<f64>() / NETS as f64
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
        for net in GOES_ON.nets {
            let rows = [net.first.len(), net.second.len(), net.last.len()];
            assert_eq!(
                rows,
                [NUMBERS + 1, FIRST + 1, SECOND + 1],
                "a row for each that comes in, and constants"
            );
        }
    }

    #[test]
    fn odds_stay_finite_however_far_a_number_lies() {
        for k in 0..NUMBERS {
            let odds = |x: f64| GOES_ON.log_odds((0..NUMBERS).map(|i| if i == k { x } else { 0.0 }));
            for (far, farther) in [(-1e9, f64::NEG_INFINITY), (1e9, f64::INFINITY)] {
                assert!(odds(far).abs() < 20.0, "{k} {far}: {}", odds(far));
                assert_eq!(odds(far), odds(farther), "{k}: as far as it counts");
            }
        }
    }

    #[test]
    fn what_squashes_is_the_hyperbolic_tangent() {
        for k in -1_000..=1_000 {
            let x = k as f32 * 0.01;
            let (own, known) = (squash(x), x.tanh());
            assert!((own - known).abs() < 1e-4 && own.abs() <= 1.0, "{x}: {own} for {known}");
        }
    }

    #[test]
    fn a_layer_adds_its_constants_once() {
        assert_eq!(layer(&[[1.0, -2.0], [10.0, 0.5], [3.0, 4.0]], &[2.0, 0.1]), [6.0, 0.05]);
    }
}
