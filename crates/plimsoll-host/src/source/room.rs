//! How much a process may still take before its control group kills: whoever asks it something looks first.

use plimsoll_core::fact::Fact;
use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;
use plimsoll_core::units::bytes;

use super::text::field;
use super::{Source, cgroup, host_memory};
use crate::world::World;

const MIB: f64 = 1024.0 * 1024.0;

/// Room below which a program is asked nothing over a port, bytes. Pages of a few kilobytes did not kill with 1 MiB left, a page of
/// pprof with its collection takes 0.3 MiB of a program with 20,000 deep stacks; what collects for the others nobody knows.
pub(crate) const FOR_AN_ANSWER: f64 = 2.0 * MIB;
/// The same of a short command of a JVM that is attached to, bytes.
pub(crate) const FOR_A_COMMAND: f64 = 2.0 * MIB;

/// The room of one process.
pub(crate) struct Room {
    world: World,
    group: Option<Box<dyn Source>>,
    limit: Option<f64>,
}

/// Memory that a process has of its own, bytes.
pub(super) fn resident(world: &World, pid: i32) -> Option<f64> {
    let status = world.proc_root.join(pid.to_string()).join("status");
    field(&std::fs::read_to_string(status).ok()?, "RssAnon")
}

impl Room {
    pub(crate) fn of(world: &World, target: &Target) -> Room {
        Room { world: world.clone(), group: (cgroup::KIND.open)(world, target), limit: None }
    }

    /// Why it is not asked what may take so much of it, in words; none where there is room.
    pub(crate) fn refuses(&mut self, t: f64, needed: f64) -> Option<String> {
        let left = self.left(t);
        (left < needed).then(|| format!("only {} are left: the program is not asked", bytes(left)))
    }

    /// Bytes that are left below the limit and on the machine.
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
        let below = self.limit.zip(used).map_or(f64::INFINITY, |(limit, used)| (limit - used).max(0.0));
        host_memory::available(&self.world).map_or(below, |machine| below.min(machine))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use super::*;

    /// A machine on which the group of process 7 has so many bytes left.
    pub(crate) fn with_room(left: u64) -> (tempfile::TempDir, World) {
        let root = tempfile::tempdir().expect("a folder");
        let world = World::under(root.path());
        let write = |path: std::path::PathBuf, text: &str| {
            fs::create_dir_all(path.parent().expect("has one")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        write(world.proc_root.join("7/cgroup"), "0::/app\n");
        write(world.cgroup_root.join("cgroup.controllers"), "memory\n");
        write(world.cgroup_root.join("app/memory.max"), &(left + (100 << 20)).to_string());
        let stat = format!("anon {}\nfile 0\nshmem 0\nkernel 0\n", 100 << 20);
        write(world.cgroup_root.join("app/memory.stat"), &stat);
        (root, world)
    }

    #[test]
    fn the_limit_and_the_machine_bound_what_is_left() {
        let (_keep, world) = with_room(20 << 20);
        let target = crate::identify::bare(7);
        assert_eq!(Room::of(&world, &target).left(1.0), 20.0 * MIB);
        let said = Room::of(&world, &target).refuses(1.0, 21.0 * MIB).expect("too little");
        assert_eq!(said, "only 20.0 MiB are left: the program is not asked");
        assert_eq!(Room::of(&world, &target).refuses(1.0, 19.0 * MIB), None);
        fs::write(world.proc_root.join("meminfo"), "MemTotal: 999999 kB\nMemAvailable: 1024 kB\n")
            .expect("a file");
        assert_eq!(Room::of(&world, &target).left(1.0), MIB);
    }
}
