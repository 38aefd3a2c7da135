//! The regression: every life has a level of its own, all share a slope, and each cause adds to it, or takes away from it, while it is
//! active. All that is needed of the floors is what their columns have in common.

use super::fit::TENTH;
use crate::slope::Interval;

/// Share of a column that must be its own.
pub(super) const LEAST_OWN: f64 = 1e-3;
/// Share of the slope that a cause brings at least; where several do, of an equal share of it.
const MATERIAL: f64 = 0.3;
/// Times the error by the floors alone: replicas share the work unevenly, and it goes with the day (of simulated effects 70 in 100 lay in the
/// interval of 80 that the floors alone give).
const UNEVEN: f64 = 1.2;
/// Most causes that are fitted together.
pub(super) const MOST: usize = 3;

/// How well some causes explain the floors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    /// Logarithm of the likelihood, what they cost to have it taken off.
    pub(super) log: f64,
    /// What each adds to the slope.
    pub(super) adds: Vec<Interval>,
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

/// Products of columns over all floors: of time, of the floors, and of when each cause was active. Those of two causes are only there where
/// they are looked at together.
pub(super) struct Products {
    pub(super) time: f64,
    pub(super) time_value: f64,
    pub(super) value: f64,
    pub(super) active_time: Vec<f64>,
    pub(super) active_value: Vec<f64>,
    pub(super) active: Vec<f64>,
    /// Of each cause with those before it.
    pub(super) both: Vec<Vec<f64>>,
    /// Columns that were taken out before.
    pub(super) columns: usize,
    /// Floors, and those of them that are independent.
    pub(super) count: f64,
    pub(super) effective: f64,
}

impl Products {
    /// Logarithm of the likelihood of what is left, with what each column costs taken off.
    fn log(&self, rest: f64, causes: usize) -> f64 {
        let columns = (self.columns + causes) as f64;
        -self.effective / 2.0 * (rest / self.count).ln() - 0.5 * columns * self.effective.ln()
    }

    /// The least that is taken to be left.
    fn least(&self) -> f64 {
        (1e-9 * self.value).max(f64::MIN_POSITIVE)
    }

    /// What a slope that all share leaves.
    fn without(&self) -> f64 {
        (self.value - self.time_value.powi(2) / self.time).max(self.least())
    }

    /// The fit without any cause.
    pub(super) fn none(&self) -> Fit {
        Fit { log: self.log(self.without(), 0), adds: Vec::new() }
    }

    /// The fit of one cause that brings a climb; `None` where it is never active, or always.
    pub(super) fn one(&self, k: usize) -> Option<Fit> {
        let free = self.free(&[k])?;
        let adds = free.adds[0];
        if adds.mid > 0.0 && adds.mid >= MATERIAL * (free.base + adds.mid) {
            return Some(Fit { log: self.log(free.rest, 1), adds: free.adds });
        }
        // What brings less than that is no cause: it fits as well as the least that would be one.
        let beside = (1.0 - MATERIAL) / MATERIAL;
        let zv = (beside * self.time_value + self.active_value[k]).max(0.0);
        let zz = beside * beside * self.time + 2.0 * beside * self.active_time[k] + self.active[k];
        let rest = (self.value - zv * zv / zz).max(self.least());
        let (least, half) = (zv / zz, 0.5 * (adds.high - adds.low));
        let adds = vec![Interval { low: least - half, mid: least, high: least + half }];
        Some(Fit { log: self.log(rest, 1), adds })
    }

    /// The fit of some causes together, each of which brings a part of the climb or mends one; `None` where they are not told apart, or one
    /// of them hardly does anything.
    pub(super) fn together(&self, causes: &[usize]) -> Option<Fit> {
        let free = self.free(causes)?;
        let climbs = free.adds.iter().filter(|a| a.mid > 0.0);
        let steepest = free.base.max(0.0) + climbs.clone().map(|a| a.mid).sum::<f64>();
        let least = MATERIAL * steepest / climbs.count().max(1) as f64;
        // What mends takes away no more than there is.
        let mends: f64 = free.adds.iter().map(|a| a.mid.min(0.0)).sum();
        let is_material = free.adds.iter().all(|a| a.mid.abs() >= least);
        let is_there = -mends <= (1.0 + MATERIAL) * steepest;
        (is_material && is_there).then(|| Fit { log: self.log(free.rest, causes.len()), adds: free.adds })
    }

    /// The regression on some causes.
    fn free(&self, causes: &[usize]) -> Option<Free> {
        let both = |a: usize, b: usize| if a == b { self.active[a] } else { self.both[a.max(b)][a.min(b)] };
        let own = |a: usize, b: usize| both(a, b) - self.active_time[a] * self.active_time[b] / self.time;
        let along = |k: usize| self.active_value[k] - self.active_time[k] * self.time_value / self.time;
        let inverse = inverse(causes, own, |k| self.active[k])?;
        let adds: Vec<f64> =
            inverse.iter().map(|row| row.iter().zip(causes).map(|(of, k)| of * along(*k)).sum()).collect();
        let explained: f64 = adds.iter().zip(causes).map(|(a, k)| a * along(*k)).sum();
        let rest = (self.without() - explained).max(self.least());
        let active: f64 = adds.iter().zip(causes).map(|(a, k)| a * self.active_time[*k]).sum();
        let interval = |at: usize| {
            let error = UNEVEN * (rest * inverse[at][at] / self.effective).sqrt();
            Interval { low: adds[at] - TENTH * error, mid: adds[at], high: adds[at] + TENTH * error }
        };
        let adds = (0..causes.len()).map(interval).collect();
        Some(Free { rest, base: (self.time_value - active) / self.time, adds })
    }
}

/// A fit whose effects may be anything.
struct Free {
    /// What is left.
    rest: f64,
    /// The slope that all share.
    base: f64,
    adds: Vec<Interval>,
}

/// The inverse of what is each cause's own beside time; `None` where one of them has next to nothing of its own: it is active for nearly all
/// or nearly none of the time, or whenever others are.
fn inverse(
    causes: &[usize],
    own: impl Fn(usize, usize) -> f64,
    whole: impl Fn(usize) -> f64,
) -> Option<Vec<Vec<f64>>> {
    let n = causes.len();
    let mut rows: Vec<Vec<f64>> =
        causes.iter().map(|a| causes.iter().map(|b| own(*a, *b)).collect()).collect();
    for (at, row) in rows.iter_mut().enumerate() {
        row.extend((0..n).map(|k| if k == at { 1.0 } else { 0.0 }));
    }
    for at in 0..n {
        let pivot = rows[at][at];
        if pivot.is_nan() || pivot <= LEAST_OWN * whole(causes[at]) || pivot <= 0.0 {
            return None;
        }
        rows[at].iter_mut().for_each(|v| *v /= pivot);
        let own = rows[at].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(k, _)| *k != at) {
            let along = row[at];
            row.iter_mut().zip(&own).for_each(|(v, own)| *v -= along * own);
        }
    }
    Some(rows.into_iter().map(|row| row[n..].to_vec()).collect())
}
