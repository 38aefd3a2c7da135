//! Where an artifact goes: what kind of file system it is, and what still fits.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use plimsoll_core::preflight::{Place, Places};
use rustix::fs::{FsWord, StatVfs};

use crate::world::World;

/// Kinds of file system by their magic numbers (statfs(2)).
const KINDS: &[(FsWord, &str)] = &[
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x794c_7630, "overlay"),
    (0x6969, "nfs"),
    (0xf2f5_2010, "f2fs"),
    (0x2fc1_2fc1, "zfs"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
];

/// Whether it is a pipe with a name.
pub fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo())
}

/// What a folder offers, or a pipe, which takes whatever is read from it.
///
/// # Errors
/// When it is not there or may not be looked at.
pub fn of(folder: &Path) -> io::Result<Place> {
    if is_pipe(folder) {
        let (path, file_system) = (folder.display().to_string(), "pipe".to_owned());
        return Ok(Place {
            path,
            file_system,
            in_memory: false,
            free_bytes: f64::INFINITY,
            free_inodes: None,
        });
    }
    let kind = rustix::fs::statfs(folder)?.f_type;
    let room: StatVfs = rustix::fs::statvfs(folder)?;
    let name = KINDS.iter().find(|(magic, _)| *magic == kind);
    let file_system = name.map_or_else(|| format!("file system {kind:#x}"), |(_, name)| (*name).to_owned());
    Ok(Place {
        path: folder.display().to_string(),
        in_memory: matches!(file_system.as_str(), "tmpfs" | "ramfs"),
        file_system,
        free_bytes: room.f_bavail as f64 * room.f_frsize as f64,
        // Some file systems make inodes as they are needed, and say 0 of 0.
        free_inodes: (room.f_files > 0).then_some(room.f_favail as f64),
    })
}

/// A destination with what an artifact of a process may have to pass through: its own `/tmp`.
pub fn with_inside(to: Place, world: &World, pid: i32) -> Places {
    let tmp = world.proc_root.join(pid.to_string()).join("root/tmp");
    let inside = of(&tmp).ok().map(|place| Place { path: "the target's /tmp".to_owned(), ..place });
    Places { to, inside }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_from_disks() {
        let here = of(Path::new(".")).expect("a folder");
        assert!(!here.in_memory && here.free_bytes > 0.0, "{here:?}");
        // Every Linux has it: shm_open(3) needs it.
        assert!(of(Path::new("/dev/shm")).expect("a folder").in_memory);
        assert!(of(Path::new("/no/such/folder")).is_err());
    }
}
