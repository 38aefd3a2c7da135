//! Buying time: a limit that is raised for a while, and set back.
//!
//! The change is in the log before it is made, so an agent that comes up again knows what it owes. A limit is never
//! set below what is in use: that would kill what it was raised to save.

use std::fs;
use std::io;
use std::path::Path;

use plimsoll_core::agent::{Brake, LimitChange};

use crate::source::cgroup::Group;

/// Part of the old limit that usage must be below before it is set back.
const ROOM: f64 = 0.95;

/// The change that the rules allow for a group; why there is none.
pub(super) fn change(group: &Group, brake: &Brake, now: f64) -> Result<LimitChange, String> {
    let from = group.limit().ok_or("the group has no limit of its own")?;
    let to = (from * (1.0 + brake.raise_share)).min(brake.never_above);
    if to <= from {
        return Err("the rules allow no higher limit".to_owned());
    }
    let file = group.limit_file().display().to_string();
    // Whole pages: the kernel rounds anything else, and what is read back must be what was written.
    let page = rustix::param::page_size() as u64;
    Ok(LimitChange { file, from: from as u64, to: to as u64 / page * page, until: now + brake.for_seconds })
}

/// Makes the change.
pub(super) fn raise(change: &LimitChange) -> io::Result<()> {
    let file = Path::new(&change.file);
    // With version 1 memory may be no more than memory and swap together.
    let both = file.with_file_name("memory.memsw.limit_in_bytes");
    if let Some(limit) = read(&both).filter(|limit| *limit < change.to as f64) {
        fs::write(&both, change.to.to_string()).map_err(|e| {
            io::Error::new(e.kind(), format!("memory and swap are bound to {limit:.0} bytes: {e}"))
        })?;
    }
    fs::write(file, change.to.to_string())
}

/// Whether it was set back; why not, while usage is above the old limit.
pub(super) fn restore(change: &LimitChange) -> Result<(), String> {
    let file = Path::new(&change.file);
    match read(file) {
        // Somebody else has set it since, or the group is gone: it is no longer ours.
        None => return Ok(()),
        Some(now) if now as u64 != change.to => return Ok(()),
        Some(_) => {}
    }
    let usage =
        ["memory.usage_in_bytes", "memory.current"].iter().find_map(|name| read(&file.with_file_name(name)));
    let usage = usage.ok_or("its usage cannot be read")?;
    if usage > change.from as f64 * ROOM {
        return Err(format!("{usage:.0} bytes are in use, the old limit is {}", change.from));
    }
    fs::write(file, change.from.to_string()).map_err(|e| e.to_string())
}

fn read(path: &Path) -> Option<f64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_set_back_only_when_usage_is_below_it_and_it_is_still_ours() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        fs::write(at("memory.max"), "1000\n").expect("written");
        fs::write(at("memory.current"), "1100\n").expect("written");
        let file = at("memory.max").display().to_string();
        let change = LimitChange { file, from: 1000, to: 1250, until: 0.0 };
        raise(&change).expect("raised");
        assert_eq!(read(&at("memory.max")), Some(1250.0));
        assert!(restore(&change).expect_err("in use").contains("1100 bytes are in use"));
        fs::write(at("memory.current"), "500\n").expect("written");
        restore(&change).expect("restored");
        assert_eq!(read(&at("memory.max")), Some(1000.0));
        fs::write(at("memory.max"), "9999").expect("written");
        restore(&change).expect("no longer ours");
        assert_eq!(read(&at("memory.max")), Some(9999.0));
    }
}
