//! Learns how often a climb goes on to the level that kills: logistic loss over the numbers of ticks of which it is known what came of them.

use plimsoll_core::slope::{Features, Judge, NETS, Sign, standard};

use crate::layers::{Loss, Weights, descend, signs};
use crate::run::in_parallel;

/// Passes over all examples.
const PASSES: usize = 12;

/// One tick of which it is known what came of it.
#[derive(Debug, Clone)]
pub struct Example {
    /// The numbers of the question.
    pub x: Features,
    /// Whether a leak was under way.
    pub leaks: bool,
    /// How much it counts.
    pub weight: f64,
    /// Where it comes from.
    pub group: usize,
    /// Not learnt from: what was learnt is measured on it.
    pub kept_back: bool,
}

/// What was learnt.
pub struct Learnt {
    /// One for each number.
    pub signs: Vec<Sign<'static>>,
    /// The nets.
    pub nets: Vec<Weights<48, 24, 1>>,
}

impl Learnt {
    /// As the core takes it.
    pub fn judge(&self) -> Judge<'_> {
        Judge { signs: &self.signs, nets: std::array::from_fn(|k| self.nets[k].layers()) }
    }
}

/// Learns from all that is not kept back.
pub fn learn(examples: &[Example], seed: u64) -> Learnt {
    let own: Vec<&Example> = examples.iter().filter(|e| !e.kept_back).collect();
    let signs = signs(&own.iter().map(|e| &e.x));
    let x: Vec<_> = own.iter().map(|e| standard(&signs, &e.x)).collect();
    let usual = own.iter().map(|e| e.weight).sum::<f64>() / own.len().max(1) as f64;
    let dice: Vec<(usize, usize)> = (0..NETS).map(|k| (seed as usize * NETS + k, 0)).collect();
    let nets =
        in_parallel(&dice, |(seed, _)| descend(&x, &mut Logistic { of: &own, usual }, PASSES, seed as u64));
    Learnt { signs, nets }
}

/// What a wrong probability costs.
struct Logistic<'a> {
    of: &'a [&'a Example],
    /// Their mean weight.
    usual: f64,
}

impl Loss<48, 24, 1> for Logistic<'_> {
    fn slopes(&self, example: usize, [odds]: [f32; 1]) -> [f32; 1] {
        let Example { leaks, weight, .. } = self.of[example];
        let weight = (weight / self.usual) as f32;
        [weight * (1.0 / (1.0 + (-odds).exp()) - f32::from(u8::from(*leaks)))]
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_core::slope::NUMBERS;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::layers::unit;

    /// A leak is what has one number above the square of another.
    fn examples(n: usize) -> Vec<Example> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let one = |_| {
            let mut x = [0.0; NUMBERS];
            x[1] = 2.0 * unit(&mut random) - 1.0;
            x[4] = 2.0 * unit(&mut random) - 1.0;
            x[7] = f64::from((random.next_u64() % 7) as u32);
            let leaks = x[1] > x[4] * x[4] - 0.3;
            Example { x, leaks, weight: 1.0, group: 0, kept_back: false }
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn slopes_are_those_of_the_logarithm_of_the_probability() {
        let all = [(true, 2.0), (false, 0.5)].map(|(leaks, weight)| Example {
            leaks,
            weight,
            ..examples(1).remove(0)
        });
        let of: Vec<&Example> = all.iter().collect();
        let logistic = Logistic { of: &of, usual: 0.5 };
        for (k, side, weight) in [(0, 1.0, 4.0), (1, -1.0, 1.0)] {
            for odds in [-2.0_f32, 0.0, 3.0] {
                let loss = |odds: f64| weight * (-side * odds).exp().ln_1p();
                let by_hand = (loss(f64::from(odds) + 1e-4) - loss(f64::from(odds) - 1e-4)) / 2e-4;
                let [slope] = logistic.slopes(k, [odds]);
                assert!((f64::from(slope) - by_hand).abs() < 1e-4, "{k} {odds}: {slope} {by_hand}");
            }
        }
    }

    #[test]
    fn what_is_kept_back_changes_nothing() {
        let own = examples(2_000);
        let mut more = own.clone();
        let wrong =
            |e: &Example| Example { x: e.x.map(|x| 50.0 + x), leaks: !e.leaks, kept_back: true, ..e.clone() };
        more.extend(own.iter().map(wrong));
        let of = |examples: &[Example]| {
            let learnt = learn(examples, 1);
            let scales: Vec<(f64, f64)> = learnt.signs.iter().map(|s| (s.centre, s.scale)).collect();
            (scales, learnt.nets.iter().map(Weights::flat).collect::<Vec<_>>())
        };
        assert!(of(&own) == of(&more));
    }

    #[test]
    fn a_border_that_is_not_straight_is_found() {
        let all = examples(40_000);
        let learnt = learn(&all, 1);
        let judge = learnt.judge();
        let wrong = all.iter().filter(|e| (judge.log_odds(&e.x) > 0.0) != e.leaks).count();
        assert!(wrong * 20 < all.len(), "{wrong} of {}", all.len());
    }

    #[test]
    fn what_counts_for_more_is_wronged_less() {
        let odds = |weight: f64| {
            // Nothing tells them apart: the odds are those of the weights.
            let one = |k: usize| Example {
                x: [0.0; NUMBERS],
                leaks: k.is_multiple_of(2),
                weight: if k.is_multiple_of(2) { 1.0 } else { weight },
                group: 0,
                kept_back: false,
            };
            let learnt = learn(&(0..40_000).map(one).collect::<Vec<_>>(), 1);
            learnt.judge().log_odds(&[0.0; NUMBERS])
        };
        assert!(
            odds(1.0).abs() < 0.1 && (odds(3.0) + 3.0_f64.ln()).abs() < 0.1,
            "{} {}",
            odds(1.0),
            odds(3.0)
        );
    }
}
