//! A process that stands still by the kernel's freezer, and goes on whatever happens.
//!
//! It is moved into a group that is made below its own for the purpose, as its own may hold others: the new group limits
//! nothing, and memory stays accounted as before. Two guards thaw it and take it back when this process is gone, or when
//! the time is over.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::guard::Guards;
use crate::world::World;

/// How long freezing may take: threads that wait for a disk or a network file system do not stand still at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// After the longest time, before a guard ends it: whoever froze it comes first.
const GRACE: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(2);
/// Thaws the group `$1` by its file `$3`, moves what is in it to `$2`, and removes it: it is busy for a moment longer.
const THAW: &str = r#"
    echo "$4" >"$1/$3"
    while read -r pid; do echo "$pid" >"$2/cgroup.procs"; done <"$1/cgroup.procs"
    tries=0
    until rmdir "$1" || [ ! -d "$1" ] || [ "$tries" -ge 10 ]; do tries=$((tries + 1)); sleep 1; done
"#;

/// How a hierarchy freezes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    /// The file that is written, what freezes and what thaws.
    file: &'static str,
    freezes: &'static str,
    thaws: &'static str,
    /// Where it says that all stand still, and how.
    state: &'static str,
    frozen: &'static str,
}

const VERSION_1: Way = Way {
    file: "freezer.state",
    freezes: "FROZEN",
    thaws: "THAWED",
    state: "freezer.state",
    frozen: "FROZEN",
};
const VERSION_2: Way =
    Way { file: "cgroup.freeze", freezes: "1", thaws: "0", state: "cgroup.events", frozen: "frozen 1" };

/// A frozen process. It goes on when this is dropped.
#[derive(Debug)]
pub(crate) struct Frozen {
    group: PathBuf,
    own: PathBuf,
    way: Way,
    guards: Option<Guards>,
    thawed: bool,
}

impl Frozen {
    /// Freezes a process for at most `longest`, or says why it cannot be.
    pub(crate) fn freeze(world: &World, pid: i32, longest: Duration) -> Result<Frozen, String> {
        if pid.cast_unsigned() == std::process::id() {
            return Err("this process cannot copy itself while it stands still".to_owned());
        }
        let (own, way) = hierarchy(world, pid)?;
        let group = name(&own, pid);
        let failed = |what: &str, e: io::Error| format!("it cannot be frozen: failed to {what}: {e}");
        let mut frozen = Frozen { group, own, way, guards: None, thawed: false };
        // Before there is anything to take back. From here on dropping it takes everything back, too.
        let args = [frozen.group.as_os_str(), frozen.own.as_os_str(), way.file.as_ref(), way.thaws.as_ref()];
        let guards = Guards::start(THAW, &args, longest + GRACE).map_err(|e| failed("start a guard", e))?;
        frozen.guards = Some(guards);
        fs::create_dir(&frozen.group).map_err(|e| failed(&format!("make {}", frozen.group.display()), e))?;
        if !frozen.group.join(way.file).exists() {
            return Err(format!("it cannot be frozen: {} has no {}", frozen.group.display(), way.file));
        }
        let write = |file: &str, text: &str| set(&frozen.group.join(file), text);
        write("cgroup.procs", &pid.to_string()).map_err(|e| failed("move it into a group of its own", e))?;
        write(way.file, way.freezes).map_err(|e| failed("freeze it", e))?;
        let began = Instant::now();
        while !frozen.stands_still() {
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "it cannot be frozen: a thread of it did not stand still within {} s (it waits for a disk?)",
                    PATIENCE.as_secs()
                ));
            }
            // Version 1 tries again only when it is asked.
            let _asked_again = write(way.file, way.freezes);
            thread::sleep(GLANCE);
        }
        Ok(frozen)
    }

    fn stands_still(&self) -> bool {
        let text = fs::read_to_string(self.group.join(self.way.state)).unwrap_or_default();
        text.lines().any(|l| l.trim() == self.way.frozen)
    }

    /// Lets it go on.
    pub(crate) fn thaw(mut self) -> Result<(), String> {
        self.undo()
            .map_err(|e| format!("it was copied, but {} could not be taken back: {e}", self.group.display()))
    }

    fn undo(&mut self) -> io::Result<()> {
        if self.thawed {
            return Ok(());
        }
        self.thawed = true;
        let undone = undo(&self.group, &self.own, self.way);
        // What is left to be done, a guard does.
        if let Some(guards) = &mut self.guards {
            guards.call();
        }
        undone
    }
}

/// Thaws a group, moves what is in it back, and removes it.
fn undo(group: &Path, own: &Path, way: Way) -> io::Result<()> {
    let thawed = set(&group.join(way.file), way.thaws);
    let inside = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in inside.lines() {
        // It may have ended meanwhile.
        let _gone = set(&own.join("cgroup.procs"), pid);
    }
    let removed = remove(group);
    thawed.and(removed)
}

/// Takes back what another process of ours froze, as its log says; nothing is to be done when its guards have.
pub(crate) fn take_back(group: &Path, own: &Path) -> io::Result<()> {
    match [VERSION_1, VERSION_2].into_iter().find(|way| group.join(way.file).exists()) {
        Some(way) => undo(group, own, way),
        None => Ok(()),
    }
}

/// The group that a process is in, and the one that would be made to freeze it in; why there is none.
pub(crate) fn groups(world: &World, pid: i32) -> Result<(PathBuf, PathBuf), String> {
    let (own, _) = hierarchy(world, pid)?;
    let group = name(&own, pid);
    Ok((own, group))
}

fn name(own: &Path, pid: i32) -> PathBuf {
    own.join(format!("plimsoll-{pid}-{}", std::process::id()))
}

/// Writes into a file of the kernel's, which is there or not.
fn set(file: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

/// A group is empty a moment after the last one has left it.
fn remove(group: &Path) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match fs::remove_dir(group) {
            Err(e) if e.raw_os_error() == Some(16) && began.elapsed() < PATIENCE => thread::sleep(GLANCE),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Nobody can be told; the guards try again.
        let _undone = self.undo();
    }
}

/// The group of a process in the hierarchy that can freeze it.
fn hierarchy(world: &World, pid: i32) -> Result<(PathBuf, Way), String> {
    let path = world.proc_root.join(pid.to_string()).join("cgroup");
    let text = fs::read_to_string(&path).map_err(|e| format!("failed to read {}: {e}", path.display()))?;
    let lines = || text.lines().filter_map(|l| l.split_once(':')?.1.split_once(':'));
    let has = |controllers: &str, one: &str| controllers.split(',').any(|c| c == one);
    let inside = |root: PathBuf, inner: &str| root.join(inner.trim_start_matches('/'));
    let first = lines().find(|(c, _)| has(c, "freezer")).map(|(_, p)| (p, "freezer", VERSION_1));
    let second = lines().find(|(c, _)| c.is_empty());
    let unified = |(_, p)| {
        let hybrid = world.cgroup_root.join("unified").is_dir();
        (p, if hybrid { "unified" } else { "" }, VERSION_2)
    };
    let (inner, mount, way) =
        first.or_else(|| second.map(unified)).ok_or("it cannot be frozen: it is in no control group")?;
    let own = inside(world.cgroup_root.join(mount), inner);
    // A path with `..` is of another namespace.
    if inner.contains("..") || !own.join("cgroup.procs").exists() {
        return Err(format!("it cannot be frozen: its control group {inner} is not to be seen from here"));
    }
    Ok((own, way))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn world(line: &str, folders: &[&str]) -> (tempfile::TempDir, World) {
        let root = tempfile::tempdir().expect("a folder");
        let world = World::under(root.path());
        fs::create_dir_all(world.proc_root.join("7")).expect("made");
        fs::write(world.proc_root.join("7/cgroup"), line).expect("written");
        for f in folders {
            fs::create_dir_all(world.cgroup_root.join(f)).expect("made");
            fs::write(world.cgroup_root.join(f).join("cgroup.procs"), "").expect("written");
        }
        (root, world)
    }

    #[test]
    fn the_hierarchy_that_freezes_is_found() {
        let (_root, w) = world("6:freezer:/a/b\n0::/x\n", &["freezer/a/b"]);
        assert_eq!(hierarchy(&w, 7), Ok((w.cgroup_root.join("freezer/a/b"), VERSION_1)));
        let (_root, w) = world("4:memory:/a\n0::/x\n", &["unified/x"]);
        assert_eq!(hierarchy(&w, 7), Ok((w.cgroup_root.join("unified/x"), VERSION_2)));
        let (_root, w) = world("0::/x\n", &["x"]);
        assert_eq!(hierarchy(&w, 7), Ok((w.cgroup_root.join("x"), VERSION_2)));
    }

    #[test]
    fn what_cannot_be_frozen_says_why_and_nothing_is_left() {
        let (_root, w) = world("0::/../x\n", &["x"]);
        assert!(hierarchy(&w, 7).is_err_and(|why| why.contains("not to be seen")));
        let (_root, w) = world("", &[]);
        assert!(hierarchy(&w, 7).is_err_and(|why| why.contains("no control group")));
        // A folder is no control group: it has no file to freeze by.
        let (_root, w) = world("0::/x\n", &["x"]);
        let refused = Frozen::freeze(&w, 7, Duration::from_secs(1)).err();
        assert!(refused.is_some_and(|why| why.contains("has no cgroup.freeze")));
        assert_eq!(fs::read_dir(w.cgroup_root.join("x")).expect("listed").count(), 1, "only cgroup.procs");
    }

    /// Both versions of control groups, where the machine has them: a sleeper stands still, then is where it was.
    #[test]
    fn both_kinds_of_groups_freeze_and_take_back() {
        for (mount, state, way) in
            [("freezer", "freezer.parent_freezing", VERSION_1), ("unified", "cgroup.controllers", VERSION_2)]
        {
            let real = World::default();
            let there = real.cgroup_root.join(mount).join("cgroup.procs").exists();
            if !there || !rustix::process::geteuid().is_root() {
                let _unreported = writeln!(io::stderr(), "SKIPPED {mount}: not mounted here, or not root");
                continue;
            }
            let mut sleeper = Command::new("sleep").arg("60").spawn().expect("it starts");
            let pid = i32::try_from(sleeper.id()).expect("a pid");
            let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
            // Only this hierarchy is to be seen.
            let (root, mut w) = world("", &[]);
            let line = own
                .lines()
                .find(|l| if mount == "freezer" { l.contains(":freezer:") } else { l.starts_with("0::") });
            fs::create_dir_all(w.proc_root.join(pid.to_string())).expect("made");
            fs::write(w.proc_root.join(pid.to_string()).join("cgroup"), line.expect("a line"))
                .expect("written");
            w.cgroup_root = real.cgroup_root;
            let frozen = Frozen::freeze(&w, pid, Duration::from_secs(30)).expect("frozen");
            assert_eq!(frozen.way, way);
            assert!(frozen.stands_still() && frozen.group.join(state).exists());
            let group = frozen.group.clone();
            frozen.thaw().expect("thawed");
            assert!(!group.exists(), "removed");
            assert_eq!(fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs"), own);
            sleeper.kill().expect("it lived");
            sleeper.wait().expect("reaped");
            drop(root);
        }
    }
}
