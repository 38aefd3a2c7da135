//! Small nets of two hidden layers over the numbers of a question: what the tables of [`super::calibration`] and [`super::evidence`] are
//! made of.

use super::features::{FEATURES, Features};

/// How many numbers come in.
pub const NUMBERS: usize = FEATURES.len();
/// A number counts at most so many standard deviations from its mean: beyond that nothing was learnt.
const FARTHEST: f64 = 4.0;

/// How one number is standardised.
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
    fn standard(&self, x: f64) -> f32 {
        ((x - self.centre) / self.scale).clamp(-FARTHEST, FARTHEST) as f32
    }
}

/// All numbers of a question, standardised, with one of `signs` for each.
pub fn standard(signs: &[Sign<'_>], features: &Features) -> [f32; NUMBERS] {
    debug_assert_eq!(signs.len(), NUMBERS);
    let mut x = [0.0; NUMBERS];
    let standard = signs.iter().zip(features).map(|(sign, x)| sign.standard(*x));
    x.iter_mut().zip(standard).for_each(|(x, standard)| *x = standard);
    x
}

/// Two hidden layers of [`squash`]. Of each layer: a row of weights for each number that comes in, and one of constants.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a, const FIRST: usize, const SECOND: usize, const RESULTS: usize> {
    /// From the numbers.
    pub first: &'a [[f32; FIRST]],
    /// From the first layer.
    pub second: &'a [[f32; SECOND]],
    /// From the second layer to what is told.
    pub last: &'a [[f32; RESULTS]],
}

impl<const FIRST: usize, const SECOND: usize, const RESULTS: usize> Layers<'_, FIRST, SECOND, RESULTS> {
    /// What comes out of standardised numbers.
    pub fn results(&self, x: &[f32; NUMBERS]) -> [f32; RESULTS] {
        let first = layer(self.first, x).map(squash);
        let second = layer(self.second, &first).map(squash);
        layer(self.last, &second)
    }
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

/// Names of the numbers, in their order.
pub fn feature_names() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|f| f.name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// That a table was made for the numbers that there are.
    pub(in super::super) fn is_of_the_signs_that_there_are(signs: &[Sign<'_>]) {
        let learnt: Vec<&str> = signs.iter().map(|s| s.name).collect();
        assert_eq!(learnt, feature_names().collect::<Vec<_>>(), "make the table again");
        assert!(signs.iter().all(|s| s.scale > 0.0));
    }

    /// That each layer of a net has a row for each that comes in, and constants.
    pub(in super::super) fn has_a_row_for_each<const A: usize, const B: usize, const C: usize>(
        net: &Layers<'_, A, B, C>,
    ) {
        assert_eq!([net.first.len(), net.second.len(), net.last.len()], [NUMBERS + 1, A + 1, B + 1]);
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
