//! Which deploy, flag or setting brought a workload's slope, from the history that is there already.
//!
//! All lives of all replicas are fitted at once: each has a level of its own, all share one slope, and a cause adds to it
//! while it is active, which a version is in every life that runs it or a later one, and a flag from when it is switched on until it is
//! switched off. What all processes do as they get older, a warm-up or a cache that fills, may explain it instead. Each cause is one model, beside those that the slope never changed and that it changed between the marks. What is
//! active at the same times cannot be told apart, and is said.

mod against;
mod fit;
mod rollouts;
#[cfg(test)]
mod tests;
mod view;

use crate::cluster::{Life, Workload};
use crate::mark::{Mark, MarkKind};
use crate::slope::Interval;

use fit::{Activity, Data};

pub use against::{Compared, compare};
pub use rollouts::{Rollout, rollouts};

/// Beforehand: the slope never changed; it changed where no mark is.
const NEVER: f64 = 0.05;
const UNMARKED: f64 = 0.1;
/// Times at which a change without a mark is looked for.
const TIMES: usize = 40;
/// Causes whose activity is as alike as this cannot be told apart.
const ALIKE: f64 = 0.97;
/// What is less likely is not looked at when causes cannot be told apart.
const LIKELY: f64 = 0.03;
/// Replicas of the canaries that are named.
const REPLICAS: [u32; 2] = [1, 3];
/// A life that ended no earlier before the last one is alive, seconds.
const ALIVE: f64 = 3600.0;

/// What may have brought the slope.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// A version.
    Version(String),
    /// A flag or a setting.
    Switched(MarkKind, String),
    /// Something else, at a time where no mark is.
    Unmarked(f64),
    /// Nothing: the slope is what it was.
    Never,
}

/// A cause with its probability.
#[derive(Debug, Clone, PartialEq)]
pub struct Blamed {
    /// The cause.
    pub cause: Cause,
    /// Probability.
    pub p: f64,
    /// When it was first active, Unix seconds.
    pub since: Option<f64>,
    /// What it adds to the slope, bytes per second.
    pub adds: Interval,
}

impl Blamed {
    /// Whether something that has a name is likely to have brought a climb: with so much probability, and not about nothing.
    pub fn is_told(&self, p: f64) -> bool {
        let named = matches!(self.cause, Cause::Version(_) | Cause::Switched(..));
        named && self.p >= p && self.adds.low > 0.0
    }
}

/// The slope of one version.
#[derive(Debug, Clone, PartialEq)]
pub struct OfVersion {
    /// The version.
    pub version: String,
    /// Lives that ran it, of so many replicas.
    pub lives: usize,
    /// Replicas that ran it.
    pub replicas: usize,
    /// Seconds that were seen of them.
    pub seconds: f64,
    /// Slope, bytes per second; `None` where they were too short.
    pub slope: Option<Interval>,
}

/// Two causes that the history does not tell apart, and what would.
#[derive(Debug, Clone, PartialEq)]
pub struct Tied {
    /// The one.
    pub a: Cause,
    /// The other.
    pub b: Cause,
    /// Seconds that one replica with only one of both must run to tell, beside one without both.
    pub seconds: Option<f64>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Blame {
    /// All causes, the likeliest first.
    pub causes: Vec<Blamed>,
    /// The slope of each version, in the order in which they came.
    pub versions: Vec<OfVersion>,
    /// What cannot be told apart.
    pub tied: Vec<Tied>,
    /// Canaries that would show a slope like the workload's own beside as many replicas without it.
    pub canaries: Vec<Canary>,
}

/// A canary that would do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Canary {
    /// Its replicas.
    pub replicas: u32,
    /// Seconds that they must run behind their warm-up.
    pub seconds: f64,
}

impl Blame {
    /// The likeliest causes that hold `share` of what is believed.
    pub fn credible(&self, share: f64) -> &[Blamed] {
        let mut sum = 0.0;
        let needed = self.causes.iter().position(|c| {
            sum += c.p;
            sum >= share
        });
        &self.causes[..needed.map_or(self.causes.len(), |n| n + 1)]
    }
}

/// Deviation of a floor from its life's line, bytes, and for how long neighbours go along, seconds; nothing where no life is long enough.
pub fn noise(workload: &Workload) -> Option<(f64, f64)> {
    let lives: Vec<&Life> = workload.replicas.iter().flat_map(|r| &r.lives).collect();
    let data = Data::new(&lives)?;
    Some(data.noise())
}

/// Says what brought the slope of a workload; `marks` are flags, settings, and deploys of workloads whose versions nobody tells.
///
/// # Errors
/// When there is too little history, in words.
pub fn blame(workload: &Workload, marks: &[Mark]) -> Result<Blame, String> {
    let lives: Vec<&Life> = workload.replicas.iter().flat_map(|r| &r.lives).collect();
    let data =
        Data::new(&lives).ok_or("too little history: no life of a replica is long enough for a slope")?;
    let versions = versions(&lives);
    let never = data.fit().ok_or("too little history")?;
    let models = models(&data, &lives, &versions, workload, marks);
    let best = models.iter().map(|m| m.fit.log).fold(never.log, f64::max);
    let named = models.iter().filter(|m| !matches!(m.cause, Cause::Unmarked(_))).count();
    let unmarked = (models.len() - named).max(1);
    let share = if named == 0 { 1.0 - NEVER } else { UNMARKED };
    let prior = |cause: &Cause| match cause {
        Cause::Unmarked(_) => share / unmarked as f64,
        Cause::Never => NEVER,
        Cause::Version(_) | Cause::Switched(..) => (1.0 - NEVER - UNMARKED) / named as f64,
    };
    let mut causes: Vec<Blamed> = models
        .iter()
        .map(|m| Blamed {
            p: prior(&m.cause) * (m.fit.log - best).exp(),
            cause: m.cause.clone(),
            since: m.since,
            adds: m.fit.adds,
        })
        .collect();
    causes.push(Blamed {
        cause: Cause::Never,
        p: NEVER * (never.log - best).exp(),
        since: None,
        adds: never.adds,
    });
    let total: f64 = causes.iter().map(|c| c.p).sum();
    causes.iter_mut().for_each(|c| c.p /= total);
    let tied = tied(&data, &models, &causes);
    let causes = gathered(causes);
    let canaries = canaries(&data, &lives);
    Ok(Blame { causes, versions: of_versions(workload, &data, &lives, &versions), tied, canaries })
}

/// What would show the slope that the lives which were seen last have.
fn canaries(data: &Data, lives: &[&Life]) -> Vec<Canary> {
    let end = |at: &usize| lives[*at].points.last().map_or(f64::NEG_INFINITY, |p| p.t);
    let all = 0..lives.len();
    let last = all.clone().map(|at| end(&at)).fold(f64::NEG_INFINITY, f64::max);
    let alive: Vec<usize> = all.filter(|at| last - end(at) <= ALIVE).collect();
    let Some(slope) = data.pooled(&alive).map(|slope| slope.mid) else { return Vec::new() };
    let of = |replicas| Some(Canary { replicas, seconds: data.seconds_to_tell(slope, f64::from(replicas))? });
    REPLICAS.into_iter().filter_map(of).collect()
}

struct Model {
    cause: Cause,
    since: Option<f64>,
    activity: Activity,
    fit: view::Fit,
}

fn models(
    data: &Data,
    lives: &[&Life],
    versions: &[(String, f64)],
    workload: &Workload,
    marks: &[Mark],
) -> Vec<Model> {
    let mut all: Vec<(Cause, Option<f64>, Activity)> = Vec::new();
    let at =
        |life: &Life| life.version.as_ref().and_then(|v| versions.iter().position(|(name, _)| name == v));
    // What ran from the begin on came with nothing that was seen.
    for (k, (version, since)) in versions.iter().enumerate().skip(1) {
        let activity =
            Activity::of_lives(lives.iter().map(|life| at(life).is_some_and(|v| v >= k)).collect());
        all.push((Cause::Version(version.clone()), Some(*since), activity));
    }
    let concerned: Vec<&Mark> =
        marks.iter().filter(|m| m.concerns(&workload.namespace, &workload.name)).collect();
    for mark in &concerned {
        let cause = Cause::Switched(mark.kind, mark.name.clone());
        let is_known = mark.kind == MarkKind::Deploy && versions.len() > 1;
        if is_known || mark.off || all.iter().any(|(c, ..)| *c == cause) {
            continue;
        }
        let same = concerned.iter().filter(|m| m.kind == mark.kind && m.name == mark.name);
        let switches = same.map(|m| (m.unix_seconds, !m.off)).collect();
        all.push((cause, Some(mark.unix_seconds), Activity::Switched(switches)));
    }
    for time in data.times(TIMES) {
        all.push((Cause::Unmarked(time), Some(time), Activity::Switched(vec![(time, true)])));
    }
    all.into_iter()
        .filter_map(|(cause, since, activity)| {
            let fit = data.fit_of(&activity)?;
            Some(Model { cause, since, activity, fit })
        })
        .collect()
}

/// The versions in the order in which they first ran.
fn versions(lives: &[&Life]) -> Vec<(String, f64)> {
    let mut versions: Vec<(String, f64)> = Vec::new();
    for life in lives {
        let Some(name) = &life.version else { continue };
        match versions.iter_mut().find(|(v, _)| v == name) {
            Some((_, since)) => *since = since.min(life.start),
            None => versions.push((name.clone(), life.start)),
        }
    }
    versions.sort_by(|a, b| a.1.total_cmp(&b.1));
    versions
}

/// Times without a mark are one cause: that of the likeliest time, with the probability of all.
fn gathered(causes: Vec<Blamed>) -> Vec<Blamed> {
    let (unmarked, mut named): (Vec<Blamed>, Vec<Blamed>) =
        causes.into_iter().partition(|c| matches!(c.cause, Cause::Unmarked(_)));
    let sum: f64 = unmarked.iter().map(|c| c.p).sum();
    if let Some(mut first) = unmarked.into_iter().max_by(|a, b| a.p.total_cmp(&b.p)) {
        first.p = sum;
        named.push(first);
    }
    named.sort_by(|a, b| b.p.total_cmp(&a.p));
    named
}

fn tied(data: &Data, models: &[Model], causes: &[Blamed]) -> Vec<Tied> {
    let likely: Vec<&Model> = models
        .iter()
        .zip(causes)
        .filter(|(m, c)| c.p >= LIKELY && !matches!(m.cause, Cause::Unmarked(_)))
        .map(|(m, _)| m)
        .collect();
    let mut out = Vec::new();
    for (k, a) in likely.iter().enumerate() {
        for b in &likely[k + 1..] {
            if data.likeness(&a.activity, &b.activity) >= ALIKE {
                let seconds = data.seconds_to_tell(a.fit.adds.mid, 1.0);
                out.push(Tied { a: a.cause.clone(), b: b.cause.clone(), seconds });
            }
        }
    }
    out
}

fn of_versions(
    workload: &Workload,
    data: &Data,
    lives: &[&Life],
    versions: &[(String, f64)],
) -> Vec<OfVersion> {
    let of = |name: &str| -> Vec<usize> {
        (0..lives.len()).filter(|at| lives[*at].version.as_deref() == Some(name)).collect()
    };
    let row = |(name, _): &(String, f64)| {
        let mine = of(name);
        let ran = |r: &&crate::cluster::Replica| r.lives.iter().any(|l| l.version.as_deref() == Some(name));
        let seen = |at: &usize| lives[*at].points.last().map_or(0.0, |p| p.t - lives[*at].start);
        OfVersion {
            version: name.clone(),
            lives: mine.len(),
            replicas: workload.replicas.iter().filter(ran).count(),
            seconds: mine.iter().map(seen).sum(),
            slope: data.pooled(&mine),
        }
    };
    versions.iter().map(row).collect()
}
