//! What may have brought a slope, alone or together, and how likely that is beforehand.

use super::Cause;
use super::fit::{Activity, Data, Explained};
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
/// Of more named causes than this no more than two are looked at together: their sets grow with the third power.
const MANY: usize = 40;

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
    pub(super) of: Vec<usize>,
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

/// Every model with its probability; nothing where there is no slope.
pub(super) fn models(explained: &Explained, candidates: &[Candidate]) -> Option<Vec<Model>> {
    let mut all = vec![Model { of: Vec::new(), fit: explained.by_none()?, p: NEVER.ln() }];
    let (named, unmarked): (Vec<usize>, Vec<usize>) =
        (0..candidates.len()).partition(|k| candidates[*k].is_named());
    let one = |k: usize| explained.by_one(k).map(|fit| (vec![k], fit));
    let together = |of: Vec<usize>| explained.by_all_of(&of).map(|fit| (of, fit));
    let mends = |k: usize| together(vec![k]).filter(|(_, fit)| fit.adds[0].mid < 0.0);
    // Of several, one brings a climb at least; what is not marked only brings one.
    let brings = |of: Vec<usize>| {
        together(of).filter(|(of, fit)| {
            let mut effects = of.iter().zip(&fit.adds);
            fit.adds.iter().any(|a| a.mid > 0.0)
                && effects.all(|(k, a)| a.mid > 0.0 || candidates[*k].is_named())
        })
    };
    let share = if named.is_empty() { 1.0 - NEVER } else { UNMARKED };
    let alone = 1.0 - NEVER - UNMARKED - MENDED - SEVERAL - ONE_UNMARKED;
    let mut take = |share: f64, found: Vec<Option<(Vec<usize>, Fit)>>| {
        let each = (share / found.len().max(1) as f64).ln();
        all.extend(found.into_iter().flatten().map(|(of, fit)| Model { of, fit, p: each }));
    };
    take(share, unmarked.iter().map(|k| one(*k)).collect());
    take(alone, named.iter().map(|k| one(*k)).collect());
    take(MENDED, named.iter().map(|k| mends(*k)).collect());
    // As likely with two as with three of them.
    let most = if named.len() > MANY { 2 } else { MOST };
    let sizes = (2..=most).collect::<Vec<_>>();
    for size in &sizes {
        let sets = sets(&named, *size).into_iter().map(brings).collect();
        take(SEVERAL / sizes.len() as f64, sets);
    }
    let with_one = unmarked.iter().flat_map(|time| named.iter().map(move |k| vec![*k, *time]));
    take(ONE_UNMARKED, with_one.map(brings).collect());
    let best = all.iter().map(|m| m.fit.log + m.p).fold(f64::NEG_INFINITY, f64::max);
    all.iter_mut().for_each(|m| m.p = (m.fit.log + m.p - best).exp());
    let total: f64 = all.iter().map(|m| m.p).sum();
    all.iter_mut().for_each(|m| m.p /= total);
    Some(all)
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
