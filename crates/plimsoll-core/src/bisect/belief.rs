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

/// What one more run may tell, as far as it does not depend on the version that is run.
pub(super) struct Chances {
    /// The outcomes that are looked at: from which cell, and with which share of what that may tell.
    outcomes: Vec<(usize, f64)>,
    /// For each cell how likely it is to give each of the outcomes.
    foreseen: Vec<Vec<f64>>,
}

impl<'a> Belief<'a> {
    pub(super) fn of(search: &'a Search) -> Belief<'a> {
        let scale = Scale::of(&search.runs, search.rules.error);
        let (class_of, patterns) = classes(search);
        let fit = |side: &dyn Fn(&Run) -> Side| Fit::of(&scale, &search.runs, side);
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
        let levels = self.fits[self.class_of[likeliest]].levels();
        Posterior {
            changes: self.changes.clone(),
            nothing: self.nothing,
            levels: levels.map(|two| two.map(interval)),
        }
    }

    /// What one more run may tell, by the likeliest classes.
    pub(super) fn chances(&self) -> Chances {
        let mut shares = vec![0.0; self.fits.len()];
        self.class_of.iter().zip(&self.changes).for_each(|(class, p)| shares[*class] += p);
        let mut tellers: Vec<usize> = (0..shares.len()).filter(|class| shares[*class] > FAINT).collect();
        tellers.sort_by(|a, b| shares[*b].total_cmp(&shares[*a]));
        tellers.truncate(TELLERS);
        let mut cells: Vec<usize> =
            tellers.into_iter().flat_map(|class| [2 * class, 2 * class + 1]).collect();
        cells.extend((self.nothing > FAINT).then_some(2 * shares.len()));
        let (mut outcomes, mut evidence) = (Vec::new(), Vec::new());
        for cell in cells {
            let (fit, side) = self.cell(cell);
            for (told, weight) in fit.outcomes(&self.scale, side) {
                outcomes.push((cell, weight));
                evidence.push(told);
            }
        }
        let foresees = |cell: usize| {
            let (fit, side) = self.cell(cell);
            let is_faint = shares.get(cell / 2).is_some_and(|share| *share <= FAINT);
            let looked = if is_faint { &[][..] } else { &evidence[..] };
            looked.iter().map(|e| fit.foresees(&self.scale, *e, side)).collect()
        };
        let foreseen = (0..=2 * shares.len()).map(foresees).collect();
        Chances { outcomes, foreseen }
    }

    /// Two cells for each class, without the change and with it, and a last one for no difference.
    fn cell(&self, cell: usize) -> (&Fit, Side) {
        match self.fits.get(cell / 2) {
            Some(fit) if cell.is_multiple_of(2) => (fit, Side::Without),
            Some(fit) => (fit, Side::With),
            None => (&self.without, Side::Same),
        }
    }

    /// By how much one run of this version is expected to lower what is not known of the culprit (entropy, nats).
    pub(super) fn promise(&self, chances: &Chances, place: Place) -> f64 {
        let cells = self.split(place);
        let mut mixed = vec![0.0; chances.outcomes.len()];
        for (p, foreseen) in cells.iter().zip(&chances.foreseen).filter(|(p, _)| **p > FAINT) {
            mixed.iter_mut().zip(foreseen).for_each(|(mixed, foreseen)| *mixed += p * foreseen);
        }
        let (mut told, mut promise) = (0.0, 0.0);
        for (k, (cell, weight)) in chances.outcomes.iter().enumerate() {
            let p = cells[*cell] * weight;
            if cells[*cell] > FAINT {
                told += p;
                promise += p * (chances.foreseen[*cell][k] / mixed[k]).max(1e-300).ln();
            }
        }
        promise / f64::max(told, 1e-300)
    }

    /// What is believed of each cell, when this version is run: within a cell the run changes nothing.
    fn split(&self, place: Place) -> Vec<f64> {
        let held = match place {
            Place::At(at) => {
                Some(self.search.held.get(&at).cloned().unwrap_or_else(|| self.search.history.held(at)))
            }
            Place::Good => None,
        };
        let mut cells = vec![0.0; 2 * self.fits.len() + 1];
        for (at, (class, p)) in self.class_of.iter().zip(&self.changes).enumerate() {
            cells[2 * class + usize::from(held.as_ref().is_some_and(|h| h[at]))] += p;
        }
        cells[2 * self.fits.len()] = self.nothing;
        cells
    }
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
