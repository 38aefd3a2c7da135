//! What may have brought a slope, alone or together, and how likely that is beforehand.

use super::Cause;
use super::fit::{Activity, Data};
use super::products::{Fit, MOST};
use crate::cluster::{Life, Workload};
use crate::mark::{Mark, MarkKind};

/// Beforehand: the slope never changed; it changed where no mark is; what was there from the begin was mended; several causes changed it, with
/// one that is not marked among them or without.
const NEVER: f64 = 0.05;
const UNMARKED: f64 = 0.1;
const MENDED: f64 = 0.01;
const SEVERAL: f64 = 0.2;
const ONE_UNMARKED: f64 = 0.02;
/// Times at which a change without a mark is looked for.
const TIMES: usize = 40;
/// So many named causes are looked at together, those that explain the most alone or with another one: their sets grow with the third power.
const BEST: usize = 40;
/// With so many others each is looked at to find them, and how often these are chosen anew.
const OTHERS: usize = 8;
const ROUNDS: usize = 3;

/// Something that may have changed the slope.
pub(super) struct Candidate {
    pub(super) cause: Cause,
    pub(super) since: Option<f64>,
    pub(super) activity: Activity,
}

impl Candidate {
    fn is_named(&self) -> bool {
        !matches!(self.cause, Cause::Unmarked(_))
    }
}

/// Some of them together, with what is believed of that; of none where the slope never changed.
pub(super) struct Model {
    /// Which, and whether each brings a climb; else it mends one.
    pub(super) of: Vec<(usize, bool)>,
    pub(super) fit: Fit,
    /// Probability.
    pub(super) p: f64,
}

/// Versions, flags and settings, and the times between them; the named ones first.
pub(super) fn candidates(
    data: &Data,
    lives: &[&Life],
    versions: &[(String, f64)],
    workload: &Workload,
    marks: &[Mark],
) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = Vec::new();
    let at =
        |life: &Life| life.version.as_ref().and_then(|v| versions.iter().position(|(name, _)| name == v));
    // What ran from the begin on came with nothing that was seen.
    for (k, (version, since)) in versions.iter().enumerate().skip(1) {
        let activity =
            Activity::of_lives(lives.iter().map(|life| at(life).is_some_and(|v| v >= k)).collect());
        all.push(Candidate { cause: Cause::Version(version.clone()), since: Some(*since), activity });
    }
    let concerned: Vec<&Mark> =
        marks.iter().filter(|m| m.concerns(&workload.namespace, &workload.name)).collect();
    for mark in &concerned {
        let cause = Cause::Switched(mark.kind, mark.name.clone());
        let is_known = mark.kind == MarkKind::Deploy && versions.len() > 1;
        if is_known || mark.off || all.iter().any(|c| c.cause == cause) {
            continue;
        }
        let same = concerned.iter().filter(|m| m.kind == mark.kind && m.name == mark.name);
        let switches = same.map(|m| (m.unix_seconds, !m.off)).collect();
        all.push(Candidate { cause, since: Some(mark.unix_seconds), activity: Activity::Switched(switches) });
    }
    let unmarked = data.times(TIMES).into_iter().map(|time| Candidate {
        cause: Cause::Unmarked(time),
        since: Some(time),
        activity: Activity::Switched(vec![(time, true)]),
    });
    all.into_iter().chain(unmarked).collect()
}

/// Every model with its probability; nothing where there is no slope. What was never active within the history, or always, is no cause.
pub(super) fn models(data: &Data, candidates: &[Candidate]) -> Option<Vec<Model>> {
    let alone = data.explained_by(candidates.iter().map(|c| &c.activity), |_, _| false);
    let mut models = Models { all: vec![Model { of: Vec::new(), fit: alone.by_none()?, p: NEVER.ln() }] };
    let one = |k: usize| Some((k, alone.by_one(k)?));
    let live: Vec<(usize, Fit)> = (0..candidates.len()).filter_map(one).collect();
    let (named, unmarked): (Vec<_>, Vec<_>) = live.into_iter().partition(|(k, _)| candidates[*k].is_named());
    let single = |of: &[(usize, Fit)]| of.iter().map(|(k, fit)| (vec![(*k, true)], fit.clone())).collect();
    let share = if named.is_empty() { 1.0 - NEVER } else { UNMARKED };
    models.take(share, unmarked.len(), single(&unmarked));
    let first = 1.0 - NEVER - UNMARKED - MENDED - SEVERAL - ONE_UNMARKED;
    models.take(first, named.len(), single(&named));
    let count = named.len();
    let named = best(data, candidates, named.into_iter().map(|(k, _)| k).collect());
    let unmarked: Vec<usize> = unmarked.into_iter().map(|(k, _)| k).collect();
    models.take_joint(data, candidates, (&named, count), &unmarked);
    Some(models.normalised())
}

/// The causes that explain the most, alone or with one that does: what mends says little without what it mends.
fn best(data: &Data, candidates: &[Candidate], named: Vec<usize>) -> Vec<usize> {
    if named.len() <= BEST {
        return named;
    }
    let activities = || named.iter().map(|k| &candidates[*k].activity);
    let alone = data.explained_by(activities(), |_, _| false);
    // Either way: what brings less than nothing may mend.
    let free =
        |at: usize| [alone.by_all_of(&[at]), alone.by_one(at)].into_iter().flatten().map(|fit| fit.log);
    let mut scores: Vec<f64> =
        (0..named.len()).map(|at| free(at).fold(f64::NEG_INFINITY, f64::max)).collect();
    for _ in 0..ROUNDS {
        let mut others = ranked(&scores);
        others.truncate(OTHERS);
        let is_other = |at: &usize| others.contains(at);
        let with = data.explained_by(activities(), |a, b| is_other(&a) || is_other(&b));
        for (at, score) in scores.iter_mut().enumerate() {
            let beside = others.iter().filter(|other| **other != at);
            let pairs = beside.filter_map(|other| with.by_all_of(&[at, *other]));
            *score = pairs.map(|fit| fit.log).fold(*score, f64::max);
        }
    }
    let mut order = ranked(&scores);
    order.truncate(BEST);
    order.into_iter().map(|at| named[at]).collect()
}

/// Places in the order of their scores, the highest first.
fn ranked(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

/// Models, with the logarithm of what is believed of each beforehand in place of its probability.
struct Models {
    all: Vec<Model>,
}

impl Models {
    /// Takes some of `out_of` models that have a share together.
    fn take(&mut self, share: f64, out_of: usize, found: Vec<(Vec<(usize, bool)>, Fit)>) {
        let each = (share / out_of.max(1) as f64).ln();
        self.all.extend(found.into_iter().map(|(of, fit)| Model { of, fit, p: each }));
    }

    /// The best named causes together, and with a time that is not marked; `count` are named in all.
    fn take_joint(
        &mut self,
        data: &Data,
        candidates: &[Candidate],
        (named, count): (&[usize], usize),
        unmarked: &[usize],
    ) {
        let kept: Vec<usize> = named.iter().chain(unmarked).copied().collect();
        let names = named.len();
        // Of two times without a mark nobody asks.
        let explained =
            data.explained_by(kept.iter().map(|k| &candidates[*k].activity), |a, b| a.min(b) < names);
        let together = |of: &[usize]| {
            let fit = explained.by_all_of(of)?;
            let signs = of.iter().zip(&fit.adds).map(|(at, adds)| (kept[*at], adds.mid > 0.0));
            Some((signs.collect::<Vec<_>>(), fit))
        };
        let mends = |at: usize| together(&[at]).filter(|(of, _)| !of[0].1);
        self.take(MENDED, count, (0..names).filter_map(mends).collect());
        // Of several, one brings a climb at least; what is not marked only brings one.
        let brings = |of: Vec<usize>| {
            let is_it = |of: &[(usize, bool)]| {
                of.iter().any(|(_, adds)| *adds)
                    && of.iter().all(|(k, adds)| *adds || candidates[*k].is_named())
            };
            together(&of).filter(|(of, _)| is_it(of))
        };
        let all: Vec<usize> = (0..names).collect();
        for size in 2..=MOST {
            // As likely with two as with three of them.
            let found = sets(&all, size).into_iter().filter_map(brings).collect();
            self.take(SEVERAL / (MOST - 1) as f64, choices(count, size), found);
        }
        let with_one = all.iter().flat_map(|k| (names..kept.len()).map(move |time| vec![*k, time]));
        self.take(ONE_UNMARKED, count * unmarked.len(), with_one.filter_map(brings).collect());
    }

    fn normalised(self) -> Vec<Model> {
        let mut all = self.all;
        let best = all.iter().map(|m| m.fit.log + m.p).fold(f64::NEG_INFINITY, f64::max);
        all.iter_mut().for_each(|m| m.p = (m.fit.log + m.p - best).exp());
        let total: f64 = all.iter().map(|m| m.p).sum();
        all.iter_mut().for_each(|m| m.p /= total);
        all
    }
}

/// How many sets of a size there are of so many.
fn choices(of: usize, size: usize) -> usize {
    (0..size).fold(1, |all, k| all * of.saturating_sub(k) / (k + 1))
}

/// All sets of some size, each in order.
fn sets(of: &[usize], size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let with = |(at, first): (usize, &usize)| {
        let rest = sets(&of[at + 1..], size - 1);
        rest.into_iter().map(|set| std::iter::once(*first).chain(set).collect()).collect::<Vec<_>>()
    };
    of.iter().enumerate().flat_map(with).collect()
}
