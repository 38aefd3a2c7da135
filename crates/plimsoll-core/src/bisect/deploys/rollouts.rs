//! Each rollout against what ran before it: does the new version climb more than the one before did at the same age?

use super::against::{CHANCE, Compared, against};
use super::versions;
use crate::cluster::{Life, Workload};

/// Share of the age of the new version in which lives of the one before must have been seen first.
const YOUNG: f64 = 0.25;

/// One version that took the place of another.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// What ran before.
    pub from: String,
    /// What runs since.
    pub to: String,
    /// When its first replica began, Unix seconds.
    pub at: f64,
    /// The new version as the canary, the one before as the baseline; nothing where one of them is too short for a slope.
    pub compared: Option<Compared>,
    /// Whether both were seen at the same age: else a warm-up, or a cache that fills, is not told from a climb.
    pub same_age: bool,
}

/// The rollouts of a workload, oldest first. Where rollouts of many workloads are looked at, `among` is how many: the chance that any
/// of them is called one that climbs more, though it does not, is 5 % for all together, however often one looks.
pub fn rollouts(workload: &Workload, among: usize) -> Vec<Rollout> {
    let lives: Vec<&Life> = workload.replicas.iter().flat_map(|r| &r.lives).collect();
    let versions = versions(&lives);
    let of = |version: &str| -> Vec<Life> {
        lives.iter().filter(|l| l.version.as_deref() == Some(version)).map(|l| (*l).clone()).collect()
    };
    let rollout = |pair: &[(String, f64)]| {
        let [(from, _), (to, at)] = pair else { return None };
        let (before, after) = (of(from), of(to));
        let ends = after.iter().filter_map(|l| l.points.last()).map(|p| p.t);
        let seconds = ends.fold(f64::NEG_INFINITY, f64::max) - at;
        let oldest = after.iter().filter_map(age).fold(0.0, f64::max);
        let young: Vec<Life> = before.iter().filter_map(|life| in_youth(life, oldest)).collect();
        let chance = CHANCE / among.max(1) as f64;
        let same = against(&after, &young, seconds, chance);
        let same_age = same.is_some();
        let compared = same.or_else(|| against(&after, &before, seconds, chance));
        Some(Rollout { from: from.clone(), to: to.clone(), at: *at, compared, same_age })
    };
    versions.windows(2).filter_map(rollout).collect()
}

/// Age at which a life was seen last, seconds.
fn age(life: &Life) -> Option<f64> {
    Some(life.points.last()?.t - life.start)
}

/// A life as it was until it had an age; nothing where its youth was not seen.
fn in_youth(life: &Life, oldest: f64) -> Option<Life> {
    let first = life.points.first()?;
    let until = life.points.partition_point(|p| p.t - life.start <= oldest);
    let seen = first.t - life.start <= YOUNG * oldest;
    seen.then(|| Life {
        start: life.start,
        version: life.version.clone(),
        points: life.points[..until].to_vec(),
    })
}
