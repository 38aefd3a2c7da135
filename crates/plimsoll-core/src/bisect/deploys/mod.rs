//! Which deploy, flag or setting brought a workload's slope, from the history that is there already.
//!
//! All lives of all replicas are fitted at once: each has a level of its own, all share one slope, and a cause adds to it
//! while it is active, which a version is in every life that runs it or a later one, and a flag from when it is switched on until it is
//! switched off. What all processes do as they get older, a warm-up or a cache that fills, may explain it instead. One cause is a model,
//! and so are up to three together, some of which may mend what others brought; beside those that the slope never changed and that it
//! changed between the marks. What is active at the same times cannot be told apart, and is said.

mod against;
mod fit;
mod products;
mod rollouts;
mod sets;
#[cfg(test)]
mod tests;
mod view;

use crate::cluster::{Life, Workload};
use crate::mark::{Mark, MarkKind};
use crate::slope::Interval;

use fit::Data;
use sets::{Candidate, Model};

pub use against::{Compared, compare};
pub use rollouts::{Rollout, rollouts};

/// Causes whose activity is as alike as this cannot be told apart.
const ALIKE: f64 = 0.97;
/// What is less likely is not looked at when causes cannot be told apart.
const LIKELY: f64 = 0.03;
/// What mended a climb is told from this probability on.
const TOLD: f64 = 0.5;
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
    /// What brought a climb, the likeliest first. Several may have, each with its own probability: they add up to more than one.
    pub causes: Vec<Blamed>,
    /// What is likely to have mended one: effects below zero.
    pub mended: Vec<Blamed>,
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
        let all: f64 = self.causes.iter().map(|c| c.p).sum();
        let mut sum = 0.0;
        let needed = self.causes.iter().position(|c| {
            sum += c.p;
            sum >= share * all
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
    let candidates = sets::candidates(&data, &lives, &versions, workload, marks);
    let models = sets::models(&data, &candidates).ok_or("too little history")?;
    let effects = |brings: bool| -> Vec<Blamed> {
        (0..candidates.len()).filter_map(|k| effect((k, brings), &candidates[k], &models)).collect()
    };
    let (adding, mut mended) = (effects(true), effects(false));
    let tied = tied(&data, &candidates, &adding);
    let mut causes = gathered(adding, &candidates, &models);
    let is_nothing = |m: &&Model| !m.of.iter().any(|(_, brings)| *brings);
    causes.push(Blamed {
        cause: Cause::Never,
        p: models.iter().filter(is_nothing).map(|m| m.p).sum(),
        since: None,
        adds: Interval { low: 0.0, mid: 0.0, high: 0.0 },
    });
    causes.sort_by(|a, b| b.p.total_cmp(&a.p));
    mended.retain(|c| c.p >= TOLD && c.adds.high < 0.0);
    mended.sort_by(|a, b| b.p.total_cmp(&a.p));
    let canaries = canaries(&data, &lives);
    let versions = of_versions(workload, &data, &lives, &versions);
    Ok(Blame { causes, mended, versions, tied, canaries })
}

/// What is believed of a cause that brings a climb, or of one that mends it, over all models that hold it so; its effect is that of the
/// likeliest.
fn effect(way: (usize, bool), candidate: &Candidate, models: &[Model]) -> Option<Blamed> {
    let of = |m: &Model| m.of.iter().position(|of| *of == way).map(|at| (m.p, m.fit.adds[at]));
    let all: Vec<(f64, Interval)> = models.iter().filter_map(of).collect();
    let (_, adds) = *all.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let p = all.iter().map(|(p, _)| p).sum();
    Some(Blamed { cause: candidate.cause.clone(), p, since: candidate.since, adds })
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

/// Times without a mark are one cause: that of the likeliest time, with the probability of every model that holds one.
fn gathered(causes: Vec<Blamed>, candidates: &[Candidate], models: &[Model]) -> Vec<Blamed> {
    let is_unmarked = |cause: &Cause| matches!(cause, Cause::Unmarked(_));
    let (unmarked, mut named): (Vec<Blamed>, Vec<Blamed>) =
        causes.into_iter().partition(|c| is_unmarked(&c.cause));
    if let Some(mut first) = unmarked.into_iter().max_by(|a, b| a.p.total_cmp(&b.p)) {
        let holds = |m: &&Model| m.of.iter().any(|(k, _)| is_unmarked(&candidates[*k].cause));
        first.p = models.iter().filter(holds).map(|m| m.p).sum();
        named.push(first);
    }
    named
}

fn tied(data: &Data, candidates: &[Candidate], causes: &[Blamed]) -> Vec<Tied> {
    let likely: Vec<(&Candidate, &Blamed)> = causes
        .iter()
        .filter(|c| c.p >= LIKELY && c.adds.low > 0.0 && !matches!(c.cause, Cause::Unmarked(_)))
        .filter_map(|c| Some((candidates.iter().find(|of| of.cause == c.cause)?, c)))
        .collect();
    let mut out = Vec::new();
    for (k, (a, blamed)) in likely.iter().enumerate() {
        for (b, _) in &likely[k + 1..] {
            if data.likeness(&a.activity, &b.activity) >= ALIKE {
                let seconds = data.seconds_to_tell(blamed.adds.mid, 1.0);
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
