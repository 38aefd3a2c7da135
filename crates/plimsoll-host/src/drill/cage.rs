//! The cage of a drill: a control group with a memory limit where we may make one, else a resource limit.

use std::fs;
use std::path::{Path, PathBuf};

/// What bounds the drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CageKind {
    /// A memory control group of version 1.
    GroupV1,
    /// A control group of version 2.
    GroupV2,
    /// `RLIMIT_DATA`: no control group could be made, with the reason.
    DataLimit(String),
    /// The runtime's own bound only, with the reason.
    RuntimeOnly(String),
}

/// A cage; dropping it removes its control group.
#[derive(Debug)]
pub struct Cage {
    kind: CageKind,
    group: Option<PathBuf>,
    limit: u64,
}

const V1: &str = "/sys/fs/cgroup/memory";
const V2: &str = "/sys/fs/cgroup";

impl Cage {
    /// Makes a cage of `limit` bytes. `data_segment` says whether `RLIMIT_DATA` can stand in.
    pub fn new(name: &str, limit: u64, data_segment: bool) -> Cage {
        let id = format!("plimsoll-drill-{name}-{}", std::process::id());
        let made = if Path::new(V2).join("cgroup.controllers").exists() {
            group_v2(&id, limit).map(|g| (CageKind::GroupV2, g))
        } else {
            group_v1(&id, limit).map(|g| (CageKind::GroupV1, g))
        };
        match made {
            Ok((kind, group)) => Cage { kind, group: Some(group), limit },
            Err(why) if data_segment => Cage { kind: CageKind::DataLimit(why), group: None, limit },
            Err(why) => Cage { kind: CageKind::RuntimeOnly(why), group: None, limit },
        }
    }

    /// What bounds the drill.
    pub fn kind(&self) -> &CageKind {
        &self.kind
    }

    /// The limit, bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// OOM kills counted by the group, when there is one.
    pub fn oom_kills(&self) -> Option<u64> {
        let group = self.group.as_ref()?;
        let text = fs::read_to_string(group.join("memory.oom_control"))
            .or_else(|_| fs::read_to_string(group.join("memory.events")))
            .ok()?;
        text.lines().find_map(|l| l.strip_prefix("oom_kill ")?.trim().parse().ok())
    }

    /// Arguments for `sh` that join the cage and then become the command.
    pub(super) fn wrap(&self, command: &[String]) -> Vec<String> {
        let join = match (&self.group, &self.kind) {
            (Some(group), _) => format!("echo $$ > '{}' || exit 125; ", group.join("cgroup.procs").display()),
            (None, CageKind::DataLimit(_)) => format!("ulimit -d {}; ", self.limit / 1024),
            (None, _) => String::new(),
        };
        let mut out = vec!["-c".to_owned(), format!("{join}exec \"$@\""), "sh".to_owned()];
        out.extend(command.iter().cloned());
        out
    }
}

fn group_v1(id: &str, limit: u64) -> Result<PathBuf, String> {
    let group = Path::new(V1).join(id);
    make(&group, "memory.limit_in_bytes", limit)?;
    Ok(group)
}

fn group_v2(id: &str, limit: u64) -> Result<PathBuf, String> {
    let root = Path::new(V2);
    // The controller must be on for children; it is where systemd runs. A refusal shows at the limit file.
    let _already_on = fs::write(root.join("cgroup.subtree_control"), "+memory");
    let group = root.join(id);
    make(&group, "memory.max", limit)?;
    // The drill dies of its own limit, not of swap.
    let _no_swap_controller = fs::write(group.join("memory.swap.max"), "0");
    Ok(group)
}

fn make(group: &Path, file: &str, limit: u64) -> Result<(), String> {
    fs::create_dir(group)
        .map_err(|e| format!("failed to make the control group {}: {e}", group.display()))?;
    fs::write(group.join(file), limit.to_string()).map_err(|e| {
        let _empty = fs::remove_dir(group);
        format!("failed to set {file} of {}: {e}", group.display())
    })
}

impl Drop for Cage {
    fn drop(&mut self) {
        let Some(group) = self.group.take() else { return };
        // The kernel takes a moment to let go of the last process: asking again is all one can do.
        for _ in 0..200 {
            if fs::remove_dir(&group).is_ok() || !group.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_group_the_data_segment_is_bounded() {
        let cage = Cage { kind: CageKind::DataLimit(String::new()), group: None, limit: 64 << 20 };
        let shell = cage.wrap(&["leak".to_owned(), "rate=1".to_owned()]);
        assert_eq!(shell, ["-c", "ulimit -d 65536; exec \"$@\"", "sh", "leak", "rate=1"]);
    }
}
