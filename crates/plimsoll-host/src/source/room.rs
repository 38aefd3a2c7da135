//! How much a process may still take before its control group kills: whoever asks it something looks first.

use plimsoll_core::fact::Fact;
use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;

use super::{Source, cgroup};
use crate::world::World;

/// The room of one process.
pub(super) struct Room {
    group: Option<Box<dyn Source>>,
    limit: Option<f64>,
}

impl Room {
    pub(super) fn of(world: &World, target: &Target) -> Room {
        Room { group: (cgroup::KIND.open)(world, target), limit: None }
    }

    /// Bytes that are left, as far as there is a limit.
    pub(super) fn left(&mut self, t: f64) -> f64 {
        let mut now = Observation::at(t);
        if let Some(group) = &mut self.group {
            group.sample(&mut now);
        }
        if let Some(limit) = now.facts.get(&Fact::CgroupLimit) {
            self.limit = Some(*limit);
        } else if now.unknown.contains_key(&Fact::CgroupLimit) {
            self.limit = None;
        }
        let used = now.facts.get(&Fact::CgroupUnreclaimable);
        self.limit.zip(used).map_or(f64::INFINITY, |(limit, used)| (limit - used).max(0.0))
    }
}
