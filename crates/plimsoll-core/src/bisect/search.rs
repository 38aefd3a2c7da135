//! The search itself: what is believed after the runs so far, and which version to run next.

use std::collections::BTreeMap;

use super::belief::Belief;
use super::{Evidence, History, Place, Run};
use crate::slope::Interval;

/// From here on that is looked into first.
const DOUBTED: f64 = 0.4;
/// And from here on it is said: between no difference and a very small one no number of runs tells.
const NONE: f64 = 0.8;
/// What is not told apart from the likeliest change is looked for in this share of what is believed, in this many changes.
const ALL: f64 = 0.9999;
const GROUP: usize = 4096;
/// Runs of an end that told nothing before it is given up.
const TRIES: usize = 3;
/// A version that has run already is run again only if it promises so much more than any other.
const AGAIN: f64 = 1.02;
/// Next to a version that does not build the others hardly do either: what is left right beside it, and the share of the
/// history after which half of that is gone.
const BROKEN: f64 = 0.1;
const REACH: f64 = 1.0 / 32.0;
/// Shares of what is believed that a version is to hold to be looked at.
const SPLITS: [f64; 3] = [0.5, 0.3, 0.7];

/// When the search ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Probability of one change from which on it is called found.
    pub sure: f64,
    /// How often a verdict is wrong, about.
    pub error: f64,
    /// Most runs.
    pub most: usize,
}

/// What is believed.
#[derive(Debug, Clone, PartialEq)]
pub struct Posterior {
    /// Probability of each change.
    pub changes: Vec<f64>,
    /// Probability that the history does not show any difference.
    pub nothing: f64,
    /// The measured number without and with the change, with what holds at 80 %; `None` without any.
    pub levels: Option<[Interval; 2]>,
}

impl Posterior {
    /// The most likely changes that hold `share` of what is believed of changes, the likeliest first.
    pub fn likeliest(&self, share: f64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.changes.len()).collect();
        order.sort_by(|a, b| self.changes[*b].total_cmp(&self.changes[*a]).then(a.cmp(b)));
        let enough = (share * self.changes.iter().sum::<f64>()).max(f64::MIN_POSITIVE);
        let mut sum = 0.0;
        let is_needed = |at: &usize| {
            let before = sum;
            sum += self.changes[*at];
            before < enough
        };
        order.into_iter().take_while(is_needed).collect()
    }
}

/// A change, or several that nothing tells apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The changes, the likeliest first. More than one where no version between them could be run.
    pub changes: Vec<usize>,
    /// Probability that it is one of them.
    pub sure: f64,
}

/// Why the search ends without a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unfound {
    /// The bad version does not differ from the good one, with this probability.
    NoDifference(f64),
    /// A version at the end of the history tells nothing, however often it is run.
    End(Place),
    /// It took more runs than were allowed.
    TooManyRuns,
    /// No version that could still be run would tell anything.
    NothingToRun,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Run this version.
    Run(Place),
    /// That is it.
    Found(Found),
    /// It cannot be told.
    Unfound(Unfound),
}

/// A search, with all its runs.
#[derive(Debug, Clone)]
pub struct Search {
    pub(super) history: History,
    pub(super) rules: Rules,
    pub(super) runs: Vec<Run>,
    /// For each version that was run: which changes it holds.
    pub(super) held: BTreeMap<usize, Vec<bool>>,
}

impl Search {
    /// A search that has seen nothing.
    pub fn new(history: History, rules: Rules) -> Search {
        Search { history, rules, runs: Vec::new(), held: BTreeMap::new() }
    }

    /// What is searched.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// All runs so far.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Takes a run in. One of a change that is not in the history is left out.
    pub fn push(&mut self, run: Run) {
        if let Place::At(at) = run.place {
            if at > self.history.last() {
                return;
            }
            if !self.held.contains_key(&at) {
                self.held.insert(at, self.history.held(at));
            }
        }
        self.runs.push(run);
    }

    /// What is believed after the runs so far.
    pub fn posterior(&self) -> Posterior {
        Belief::of(self).posterior()
    }

    /// The runs that speak against a change, by their number: they look like the other side.
    pub fn against(&self, change: usize, posterior: &Posterior) -> Vec<usize> {
        let speaks = |run: &Run| {
            let holds = match run.place {
                Place::At(at) => self.held.get(&at).is_some_and(|held| held[change]),
                Place::Good => false,
            };
            match (run.evidence, posterior.levels) {
                (Evidence::Verdict { bad }, _) => bad != holds,
                (Evidence::Slope { value, .. }, Some([without, with])) => {
                    (value > f64::midpoint(without.mid, with.mid)) != holds
                }
                _ => false,
            }
        };
        (0..self.runs.len()).filter(|at| speaks(&self.runs[*at])).collect()
    }

    /// What to do next.
    pub fn next(&self) -> Next {
        let end = Place::At(self.history.last());
        for place in [Place::Good, end] {
            if self.told(place) == 0 {
                let tried = self.runs.iter().filter(|r| r.place == place).count();
                let lost = tried >= TRIES;
                return if lost { Next::Unfound(Unfound::End(place)) } else { self.allowed(place) };
            }
        }
        let belief = Belief::of(self);
        let posterior = belief.posterior();
        if posterior.nothing >= NONE {
            return Next::Unfound(Unfound::NoDifference(posterior.nothing));
        }
        if posterior.nothing > DOUBTED {
            let fewer = self.told(end) < self.told(Place::Good);
            return self.allowed(if fewer { end } else { Place::Good });
        }
        if let Some(found) = self.found(&posterior) {
            return Next::Found(found);
        }
        self.best(&belief, &posterior)
            .map_or(Next::Unfound(Unfound::NothingToRun), |place| self.allowed(place))
    }

    fn allowed(&self, place: Place) -> Next {
        if self.runs.len() >= self.rules.most {
            return Next::Unfound(Unfound::TooManyRuns);
        }
        Next::Run(place)
    }

    /// Runs of a version that told something.
    fn told(&self, place: Place) -> usize {
        self.runs.iter().filter(|r| r.place == place && r.evidence != Evidence::Nothing).count()
    }

    /// Which versions may still be run: not those that told nothing when they were.
    fn usable(&self) -> Vec<bool> {
        let mut usable = vec![true; self.history.changes().len()];
        for run in &self.runs {
            if let Place::At(at) = run.place {
                usable[at] = self.told(run.place) > 0;
            }
        }
        usable
    }

    fn found(&self, posterior: &Posterior) -> Option<Found> {
        let first = *posterior.likeliest(0.0).first()?;
        let sure = posterior.changes[first];
        if sure >= self.rules.sure {
            return Some(Found { changes: vec![first], sure });
        }
        let usable = self.usable();
        if usable.iter().all(|u| *u) {
            return None;
        }
        // What no version that runs tells apart from the likeliest one belongs to it.
        let holders = self.history.holders(first, &usable);
        let mut changes = posterior.likeliest(ALL);
        changes.truncate(GROUP);
        changes.retain(|at| self.history.holders(*at, &usable) == holders);
        let sure: f64 = changes.iter().map(|at| posterior.changes[*at]).sum();
        (sure >= self.rules.sure).then_some(Found { changes, sure })
    }

    /// The version whose run promises most; where others promise as much, one that has not run yet.
    fn best(&self, belief: &Belief<'_>, posterior: &Posterior) -> Option<Place> {
        let usable = self.usable();
        let chances = belief.chances();
        let promise = |place: &Place| {
            let (builds, fresh) = match place {
                Place::At(at) => (self.builds(*at, &usable), !self.held.contains_key(at)),
                Place::Good => (1.0, false),
            };
            belief.promise(&chances, *place) * builds * if fresh { AGAIN } else { 1.0 }
        };
        let options = self.options(posterior, &usable)?;
        let promised: Vec<(Place, f64)> = options.iter().map(|place| (*place, promise(place))).collect();
        promised.iter().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(place, _)| *place)
    }

    /// The versions to choose from: those that split what is believed, those around the likeliest change, and both ends,
    /// which tell how large the difference is. `None` where nothing is left to split.
    fn options(&self, posterior: &Posterior, usable: &[bool]) -> Option<Vec<Place>> {
        let sums = self.history.sums(&posterior.changes);
        let total = sums.last().copied().unwrap_or(0.0);
        let split = |share: f64| {
            let even = |at: &usize| {
                let sum = sums[*at] / total;
                (sum / share).min((1.0 - sum) / (1.0 - share)) * self.builds(*at, usable)
            };
            (0..sums.len()).filter(|at| usable[*at]).max_by(|a, b| even(a).total_cmp(&even(b)))
        };
        let mut options: Vec<usize> = SPLITS.into_iter().filter_map(split).collect();
        // What is left between versions that do not run is settled by none of the others.
        let divides = |at: &usize| sums[*at].min(total - sums[*at]) > 1e-9;
        if !options.iter().any(divides) {
            return None;
        }
        let first = *posterior.likeliest(0.0).first()?;
        options.push(first);
        options.extend(&self.history.changes()[first].parents);
        options.push(self.history.last());
        options.retain(|at| usable[*at]);
        options.sort_unstable();
        options.dedup();
        let places = options.into_iter().map(Place::At);
        Some(std::iter::once(Place::Good).chain(places).collect())
    }

    /// How likely a version is to run, by those beside it that did not.
    fn builds(&self, at: usize, usable: &[bool]) -> f64 {
        let half = (REACH * usable.len() as f64).max(1.0);
        let broken = usable.iter().enumerate().filter(|(_, usable)| !**usable);
        broken.map(|(b, _)| 1.0 - (1.0 - BROKEN) * (-(at.abs_diff(b) as f64) / half).exp2()).product()
    }
}
