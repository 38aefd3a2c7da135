//! What is believed of each change, and what one more run promises to tell.

use std::collections::BTreeMap;

use super::likelihood::{Fit, Level, Scale, Side};
use super::search::{Posterior, Search};
use super::{Place, Run};
use crate::slope::Interval;

/// Beforehand, how likely it is that the history does not show any difference.
const NOTHING: f64 = 0.1;
/// Standard normal quantile of 90 %.
const TENTH: f64 = 1.2816;
/// So many of the likeliest classes say what a run may tell; classes below this probability take no part in the promise.
const TELLERS: usize = 10;
const FAINT: f64 = 1e-4;

/// The fit of every class of changes, and of there being no difference.
pub(super) struct Belief<'a> {
    search: &'a Search,
    scale: Scale,
    class_of: Vec<usize>,
    fits: Vec<Fit>,
    without: Fit,
    /// Probability of each change, and of no difference.
    changes: Vec<f64>,
    nothing: f64,
}

/// One class, or the part of it that the version in question holds, with its probability.
struct Cell<'a> {
    fit: &'a Fit,
    side: Side,
    p: f64,
}

impl<'a> Belief<'a> {
    pub(super) fn of(search: &'a Search) -> Belief<'a> {
        let scale = Scale::of(&search.runs, search.rules.error);
        let (class_of, patterns) = classes(search);
        let fit = |side: &dyn Fn(&Run) -> Side| {
            let mut fit = Fit::new(&scale);
            search.runs.iter().for_each(|run| fit.take(&scale, run.evidence, side(run)));
            fit
        };
        let fits: Vec<Fit> = patterns.iter().map(|pattern| fit(&|run| side(pattern, run))).collect();
        let without = fit(&|_| Side::Same);
        let logs: Vec<f64> = fits.iter().map(Fit::log).collect();
        let best = logs.iter().copied().fold(without.log(), f64::max);
        let all = search.history.changes();
        let weights: f64 = all.iter().map(|c| c.weight).sum();
        let p = |(change, class): (&super::Change, &usize)| {
            (1.0 - NOTHING) * change.weight / weights * (logs[*class] - best).exp()
        };
        let mut changes: Vec<f64> = all.iter().zip(&class_of).map(p).collect();
        let mut nothing = NOTHING * (without.log() - best).exp();
        let total = nothing + changes.iter().sum::<f64>();
        changes.iter_mut().for_each(|p| *p /= total);
        nothing /= total;
        Belief { search, scale, class_of, fits, without, changes, nothing }
    }

    pub(super) fn posterior(&self) -> Posterior {
        let likeliest =
            self.changes.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at);
        let interval = |level: Level| Interval {
            low: level.mean - TENTH * level.error(),
            mid: level.mean,
            high: level.mean + TENTH * level.error(),
        };
        let levels = self.fits[self.class_of[likeliest]].levels().map(interval);
        let is_measured = self.scale.is_measured();
        Posterior {
            changes: self.changes.clone(),
            nothing: self.nothing,
            levels: is_measured.then_some(levels),
        }
    }

    /// By how much one run of this version is expected to lower what is not known of the culprit (entropy, nats).
    pub(super) fn promise(&self, place: Place) -> f64 {
        let cells = self.cells(place);
        let mut tellers: Vec<&Cell<'_>> = cells.iter().collect();
        tellers.sort_by(|a, b| b.p.total_cmp(&a.p));
        tellers.truncate(TELLERS);
        let told: f64 = tellers.iter().map(|c| c.p).sum();
        let after: f64 = tellers
            .iter()
            .map(|cell| {
                let outcomes = cell.fit.outcomes(&self.scale, cell.side).into_iter();
                let left = outcomes.map(|(evidence, p)| p * self.entropy_after(&cells, evidence));
                cell.p / told * left.sum::<f64>()
            })
            .sum();
        entropy(cells.iter().map(|c| c.p)) - after
    }

    /// Within a cell a run changes nothing.
    fn cells(&self, place: Place) -> Vec<Cell<'_>> {
        let held = match place {
            Place::At(at) => {
                Some(self.search.held.get(&at).cloned().unwrap_or_else(|| self.search.history.held(at)))
            }
            Place::Good => None,
        };
        let mut shares = vec![[0.0; 2]; self.fits.len()];
        for (at, (class, p)) in self.class_of.iter().zip(&self.changes).enumerate() {
            shares[*class][usize::from(held.as_ref().is_some_and(|h| h[at]))] += p;
        }
        let halves = self.fits.iter().zip(shares).flat_map(|(fit, [without, with])| {
            [Cell { fit, side: Side::Without, p: without }, Cell { fit, side: Side::With, p: with }]
        });
        let nothing = Cell { fit: &self.without, side: Side::Same, p: self.nothing };
        halves.chain([nothing]).filter(|cell| cell.p > FAINT).collect()
    }

    fn entropy_after(&self, cells: &[Cell<'_>], evidence: super::Evidence) -> f64 {
        let p = |cell: &Cell<'_>| {
            let mut fit = *cell.fit;
            fit.take(&self.scale, evidence, cell.side);
            cell.p * (fit.log() - cell.fit.log()).exp()
        };
        let after: Vec<f64> = cells.iter().map(p).collect();
        let total: f64 = after.iter().sum();
        entropy(after.iter().map(|p| p / total))
    }
}

fn entropy(all: impl Iterator<Item = f64>) -> f64 {
    all.filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum()
}

/// Changes that every run so far holds alike are of one class: the class of each change, and for each class the versions
/// that hold it.
fn classes(search: &Search) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut class_of = vec![0; search.history.changes().len()];
    let mut patterns: Vec<Vec<usize>> = vec![Vec::new()];
    for (at, held) in &search.held {
        let mut split: BTreeMap<usize, usize> = BTreeMap::new();
        for (class, held) in class_of.iter_mut().zip(held) {
            if *held {
                *class = *split.entry(*class).or_insert_with(|| {
                    let mut pattern = patterns[*class].clone();
                    pattern.push(*at);
                    patterns.push(pattern);
                    patterns.len() - 1
                });
            }
        }
    }
    (class_of, patterns)
}

/// Whether a run holds the changes of a class.
fn side(pattern: &[usize], run: &Run) -> Side {
    match run.place {
        Place::At(at) if pattern.contains(&at) => Side::With,
        Place::At(_) | Place::Good => Side::Without,
    }
}
