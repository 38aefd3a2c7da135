//! The regression: every life has a level of its own, all share a slope, and a cause adds to it while it is active; beside what all
//! processes do as they get older, or without that.

use super::fit::{Floors, TENTH, centred, dot};
use crate::slope::Interval;

/// Times in which caches fill, seconds, and the share of a column that must be its own.
const FILLS: [f64; 3] = [2.0 * 3600.0, 8.0 * 3600.0, 30.0 * 3600.0];
const LEAST_OWN: f64 = 1e-3;
/// Share of the slope that a cause brings at least.
const MATERIAL: f64 = 0.3;

/// How well a cause explains the floors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    /// Logarithm of its likelihood, what it costs to have it taken off.
    pub(super) log: f64,
    /// What it adds to the slope.
    pub(super) adds: Interval,
}

impl Fit {
    /// One fit by the likelihoods of several, each as likely beforehand; what is added is that of the best.
    pub(super) fn of_both(fits: impl Iterator<Item = Fit>) -> Option<Fit> {
        fits.reduce(|a, b| {
            let (best, other) = if b.log > a.log { (b, a) } else { (a, b) };
            Fit { log: best.log + (other.log - best.log).exp().ln_1p(), ..best }
        })
    }
}

/// What each process does as it gets older, the same in all lives: it warms up, and its caches fill. Columns over all floors, at right
/// angles to each other.
#[derive(Default)]
pub(super) struct Aging(Vec<Vec<Vec<f64>>>);

impl Aging {
    /// Nothing where no life was seen young.
    pub(super) fn of(floors: &[Floors]) -> Option<Aging> {
        let mut aging = Aging::default();
        for time in FILLS {
            let of = |f: &Floors| centred(f.at.iter().map(|t| (-(t - f.start) / time).exp()).collect());
            let mut column: Vec<Vec<f64>> = floors.iter().map(of).collect();
            let before = total(&column, &column);
            aging.take_out(&mut column);
            let own = total(&column, &column);
            // All lives are older than that, or it goes along with the columns before.
            if own > LEAST_OWN * before && before > LEAST_OWN {
                column.iter_mut().flatten().for_each(|v| *v /= own.sqrt());
                aging.0.push(column);
            }
        }
        (!aging.0.is_empty()).then_some(aging)
    }

    /// Takes what goes with the age out of a column.
    fn take_out(&self, column: &mut [Vec<f64>]) {
        for own in &self.0 {
            let along = total(column, own);
            for (of, own) in column.iter_mut().zip(own) {
                of.iter_mut().zip(own).for_each(|(v, own)| *v -= along * own);
            }
        }
    }
}

/// The product of two columns over all floors.
fn total(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    a.iter().zip(b).map(|(a, b)| dot(a, b)).sum()
}

/// The floors as columns.
pub(super) struct View {
    aging: Aging,
    time: Vec<Vec<f64>>,
    value: Vec<Vec<f64>>,
    count: f64,
    effective: f64,
}

impl View {
    /// The floors without what goes with the age; so many of them are independent.
    pub(super) fn of(floors: &[Floors], aging: Aging, effective: f64) -> View {
        let mut time: Vec<Vec<f64>> = floors.iter().map(|f| f.time.clone()).collect();
        let mut value: Vec<Vec<f64>> = floors.iter().map(|f| f.value.clone()).collect();
        aging.take_out(&mut time);
        aging.take_out(&mut value);
        let count = floors.iter().map(|f| f.at.len()).sum::<usize>() as f64;
        View { aging, time, value, count, effective }
    }

    /// Logarithm of the likelihood of what is left, with what each column costs taken off.
    fn log(&self, rest: f64, causes: usize) -> f64 {
        let columns = (self.aging.0.len() + causes) as f64;
        -self.effective / 2.0 * (rest / self.count).ln() - 0.5 * columns * self.effective.ln()
    }

    /// The least that is taken to be left.
    fn least(&self) -> f64 {
        (1e-9 * total(&self.value, &self.value)).max(f64::MIN_POSITIVE)
    }

    /// What a slope that all share leaves.
    fn without(&self) -> f64 {
        let tv = total(&self.time, &self.value);
        (total(&self.value, &self.value) - tv * tv / total(&self.time, &self.time)).max(self.least())
    }

    /// The fit without any cause.
    pub(super) fn fit(&self) -> Fit {
        let none = Interval { low: 0.0, mid: 0.0, high: 0.0 };
        Fit { log: self.log(self.without(), 0), adds: none }
    }

    /// The fit of a cause by its column; `None` where it is never active, or always.
    pub(super) fn fit_of(&self, mut active: Vec<Vec<f64>>) -> Option<Fit> {
        self.aging.take_out(&mut active);
        let (tt, aa, ta) =
            (total(&self.time, &self.time), total(&active, &active), total(&self.time, &active));
        let (tv, av) = (total(&self.time, &self.value), total(&active, &self.value));
        // What is active for nearly all or nearly none of the time has no slope of its own.
        if aa <= 0.0 || tt * aa - ta * ta <= LEAST_OWN * tt * aa {
            return None;
        }
        let own = aa - ta * ta / tt;
        let adds = (av - ta * tv / tt) / own;
        let with = (self.without() - adds * adds * own).max(self.least());
        let error = (with / own / self.effective).sqrt();
        let base = (tv - adds * ta) / tt;
        let explained = if adds > 0.0 && adds >= MATERIAL * (base + adds) {
            with
        } else {
            // What brings less than that is no cause: it fits as well as the least that would be one.
            let beside = (1.0 - MATERIAL) / MATERIAL;
            let zv = (beside * tv + av).max(0.0);
            let zz = beside * beside * tt + 2.0 * beside * ta + aa;
            (total(&self.value, &self.value) - zv * zv / zz).max(self.least())
        };
        let adds = Interval { low: adds - TENTH * error, mid: adds, high: adds + TENTH * error };
        Some(Fit { log: self.log(explained, 1), adds })
    }

    /// How alike the columns of two causes are beside the slope that all share.
    pub(super) fn likeness(&self, a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
        let tt = total(&self.time, &self.time);
        let own =
            |x: &[Vec<f64>], y: &[Vec<f64>]| total(x, y) - total(&self.time, x) * total(&self.time, y) / tt;
        own(a, b) / (own(a, a) * own(b, b)).sqrt()
    }
}
