//! How much memory this program itself may take here.

use crate::source::cgroup::Group;
use crate::source::host_memory;
use crate::world::World;

/// Share of what is there that is used: the rest is for the page cache and whoever else is here.
const SHARE: f64 = 0.8;

/// Bytes that this process may take: of the machine's available memory, and of the limit of its control group, the
/// lower. Nothing where neither is known.
pub fn ceiling(world: &World) -> Option<u64> {
    let available = host_memory::available(world);
    let own = i32::try_from(std::process::id()).ok()?;
    let limit = Group::of(world, own).ok().and_then(|group| group.binding(host_memory::total(world)).0);
    let lower = match (available, limit) {
        (Some(available), Some(limit)) => available.min(limit),
        (one, other) => one.or(other)?,
    };
    Some((lower * SHARE) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_the_machine_has_left() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("meminfo"), "MemTotal: 1000 kB\nMemAvailable: 500 kB\n")
            .expect("a file");
        let world = World { proc_root: folder.path().to_owned(), ..World::default() };
        assert_eq!(ceiling(&world), Some(409_600));
        let nowhere = World { proc_root: folder.path().join("none"), ..World::default() };
        assert_eq!(ceiling(&nowhere), None);
    }
}
