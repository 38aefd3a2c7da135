//! Each rollout against what ran before it: does the new version climb more than the one before did at the same age?

use super::against::{Compared, against, at_the_same_age};
use super::versions;
use crate::canary::Errors;
use crate::cluster::{Life, Workload};

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
        let all = Errors::default();
        let errors = Errors { false_alarms: all.false_alarms / among.max(1) as f64, ..all };
        let same = at_the_same_age(&after, &before, seconds, errors);
        let compared = same.or_else(|| against(&after, &before, seconds, errors));
        Some(Rollout { from: from.clone(), to: to.clone(), at: *at, compared })
    };
    versions.windows(2).filter_map(rollout).collect()
}
