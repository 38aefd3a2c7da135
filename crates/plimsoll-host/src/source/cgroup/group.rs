//! Which control group a process is in, and which of those above it sets the limit.
//!
//! `/proc/PID/cgroup` names the group, `/proc/self/mountinfo` says where its hierarchy can be seen from here: in
//! a container, or beside several mounts, the two have different roots.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::super::text::{field, why};
use crate::world::World;

/// Limits from here on are version 1's way to say "none".
const NO_LIMIT: f64 = 9.0e18;
/// Groups below the binding one that are visited to count processes.
const MOST_GROUPS: usize = 512;
/// Groups that are visited at most to find those with kills.
const ALL_GROUPS: usize = 50_000;

/// Version of the hierarchy that holds the memory controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// The memory group of a process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(super) version: Version,
    /// Topmost folder of the hierarchy that can be seen.
    root: PathBuf,
    /// The hierarchy ends at `root`; otherwise there is more above it that cannot be seen.
    whole: bool,
    pub(super) path: PathBuf,
    /// With version 1: the process's group in the unified hierarchy, which may have the pressure.
    unified: Option<PathBuf>,
}

/// A hierarchy as it is mounted here.
#[derive(Debug, Clone, PartialEq)]
struct Mount {
    /// The group that stands at the mount point.
    top: String,
    point: PathBuf,
}

impl Group {
    /// Finds the memory group of `pid`; the reason when there is none.
    pub(crate) fn of(world: &World, pid: i32) -> Result<Group, String> {
        let file = world.proc_root.join(pid.to_string()).join("cgroup");
        let text = fs::read_to_string(&file).map_err(|e| why(&file, &e))?;
        let (version, inner) = parse(&text).ok_or("the process is in no memory control group")?;
        let mount = mounted(world, version);
        if !mount.point.is_dir() {
            return Err(format!("{} is not mounted", mount.point.display()));
        }
        let path = below(&mount, inner).filter(|p| p.is_dir()).ok_or_else(|| {
            format!("the control group {inner} cannot be seen from here: it belongs to another namespace")
        })?;
        let unified = (version == Version::V1).then(|| unified(world, &text)).flatten();
        let group = Group { version, whole: mount.top == "/", root: mount.point, path, unified };
        Ok(group.with_controller())
    }

    /// With version 2 the controller may be off for the lowest groups: memory is then counted further up.
    fn with_controller(self) -> Group {
        let counts = |p: &&Path| self.version == Version::V1 || p.join("memory.current").exists();
        let counted = self.lineage().find(counts).map(Path::to_owned);
        counted.map_or(self.clone(), |path| self.at(&path))
    }

    /// Path below the hierarchy's visible root, `/` for the root itself.
    pub(crate) fn shown(&self) -> String {
        let inner = self.path.strip_prefix(&self.root).unwrap_or(Path::new(""));
        format!("/{}", inner.display())
    }

    /// True for the group that is the whole machine: version 2 counts no memory there.
    pub(super) fn is_machine(&self) -> bool {
        self.path == self.root
            && match self.version {
                Version::V1 => self.whole,
                Version::V2 => {
                    !self.path.join("memory.current").exists() && !self.path.join("memory.max").exists()
                }
            }
    }

    /// The group and those above it whose limits hold for it too, from the inside out.
    fn lineage(&self) -> impl Iterator<Item = &Path> {
        let flat = |p: &Path| {
            fs::read_to_string(p.join("memory.use_hierarchy")).is_ok_and(|text| text.trim() == "0")
        };
        // Very old version 1: a parent without `use_hierarchy` does not count its children.
        let stop_at_flat = self.version == Version::V1;
        self.path
            .ancestors()
            .take_while(|p| p.starts_with(&self.root))
            .take_while(move |p| *p == self.path || !(stop_at_flat && flat(p)))
    }

    /// The tightest limit of a kind below `most`, with the group that sets it.
    fn tightest(&self, file: &str, most: Option<f64>) -> Option<(f64, PathBuf)> {
        self.lineage()
            .filter_map(|p| Some((read_limit(&p.join(file))?, p.to_owned())))
            .filter(|(limit, _)| most.is_none_or(|m| *limit < m))
            .min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// The hard limit that binds, if one is lower than the machine's memory, and the group that sets it (the
    /// process's own without a limit).
    pub(crate) fn binding(&self, machine: Option<f64>) -> (Option<f64>, Group) {
        let file = match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        };
        let seen = self.tightest(file, machine);
        let hidden = self.hidden_limit().filter(|h| machine.is_none_or(|m| *h < m));
        match (seen, hidden) {
            (seen, Some(h)) if seen.as_ref().is_none_or(|(s, _)| h < *s) => (Some(h), self.at(&self.root)),
            (Some((limit, path)), _) => (Some(limit), self.at(&path)),
            (None, _) => (None, self.clone()),
        }
    }

    /// Version 1 tells a limit of groups above the visible root.
    fn hidden_limit(&self) -> Option<f64> {
        if self.version == Version::V2 || self.whole {
            return None;
        }
        let stat = fs::read_to_string(self.path.join("memory.stat")).ok()?;
        field(&stat, "hierarchical_memory_limit").filter(|v| *v < NO_LIMIT)
    }

    /// The tightest limit that throttles; version 1 has none.
    pub(super) fn high(&self, machine: Option<f64>) -> Option<f64> {
        (self.version == Version::V2).then(|| self.tightest("memory.high", machine)).flatten().map(|(l, _)| l)
    }

    fn at(&self, path: &Path) -> Group {
        Group { path: path.to_owned(), ..self.clone() }
    }

    /// Where the pressure on the group's tasks can be read.
    pub(super) fn pressure_file(&self) -> Option<PathBuf> {
        match self.version {
            Version::V2 => Some(self.path.join("memory.pressure")),
            Version::V1 => self.unified.as_ref().map(|u| u.join("memory.pressure")),
        }
    }

    /// OOM kills in this very group (version 2: and below it). Version 1 counts a kill in the victim's own
    /// group only, not in the one that was at its limit.
    pub(crate) fn oom_kills(&self) -> Option<f64> {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        field(&fs::read_to_string(self.path.join(file)).ok()?, "oom_kill")
    }

    /// Every group of the machine in which the kernel killed, with its count.
    pub(crate) fn with_kills(world: &World) -> Result<Vec<(Group, u64)>, String> {
        let own = Group::of(world, std::process::id().cast_signed())?;
        let (mut out, mut open, mut visited) = (Vec::new(), vec![own.root.clone()], 0);
        while let Some(folder) = open.pop().filter(|_| visited < ALL_GROUPS) {
            visited += 1;
            let group = own.at(&folder);
            if let Some(kills) = group.own_kills().filter(|k| *k > 0) {
                out.push((group, kills));
            }
            let inner = fs::read_dir(&folder).into_iter().flatten().flatten();
            open.extend(inner.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
        }
        Ok(out)
    }

    /// OOM kills in this very group; none where that is not counted apart from the groups below.
    fn own_kills(&self) -> Option<u64> {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events.local",
        };
        field(&fs::read_to_string(self.path.join(file)).ok()?, "oom_kill").map(|n| n as u64)
    }

    /// Whether the kernel kills all of the group's processes together.
    pub(crate) fn dies_whole(&self) -> bool {
        fs::read_to_string(self.path.join("memory.oom.group")).is_ok_and(|text| text.trim() == "1")
    }

    /// The group whose limit binds, then the others that hold for it and have one, from the inside out.
    pub(crate) fn bounds(&self, machine: Option<f64>) -> Vec<Group> {
        let binding = self.binding(machine).1;
        let others = self.lineage().filter(|p| *p != binding.path).map(|p| self.at(p));
        [binding.clone()].into_iter().chain(others).filter(|g| g.limit().is_some()).collect()
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &Path {
        &self.path
    }

    /// Whether all controllers are in one hierarchy.
    pub(crate) fn is_version_2(&self) -> bool {
        self.version == Version::V2
    }

    /// With version 1: the group of a process that bounds its processor time, when it is called as its memory group is.
    pub(crate) fn of_processor_time(world: &World, pid: i32, memory: &str) -> Result<PathBuf, String> {
        let file = world.proc_root.join(pid.to_string()).join("cgroup");
        let text = fs::read_to_string(&file).map_err(|e| why(&file, &e))?;
        let is_cpu = |controllers: &str| controllers.split(',').any(|c| c == "cpu");
        let (controllers, inner) =
            lines(&text).find(|(c, _)| is_cpu(c)).ok_or("it is in no group for processor time")?;
        if inner != memory || inner == "/" {
            return Err(format!("its group for processor time is {inner}: others may be in it"));
        }
        let mounts = [controllers, "cpu", "cpu,cpuacct"];
        let folder = mounts.iter().map(|m| world.cgroup_root.join(m).join(inner.trim_start_matches('/')));
        folder
            .into_iter()
            .find(|f| f.is_dir())
            .ok_or_else(|| format!("the group {inner} for processor time cannot be seen from here"))
    }

    /// Its own limit, bytes.
    pub(crate) fn limit(&self) -> Option<f64> {
        read_limit(&self.limit_file())
    }

    /// The file of its own limit.
    pub(crate) fn limit_file(&self) -> PathBuf {
        self.path.join(match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        })
    }

    /// The file of its usage, and whether the kernel can be asked to tell when it crosses a threshold (version 1).
    pub(crate) fn usage_file(&self) -> (PathBuf, bool) {
        match self.version {
            Version::V1 => (self.path.join("memory.usage_in_bytes"), true),
            Version::V2 => (self.path.join("memory.current"), false),
        }
    }

    /// Processes of the group and those below it; none when there are too many groups.
    pub(crate) fn processes(&self) -> Option<usize> {
        let mut count = 0;
        let mut open = vec![self.path.clone()];
        let mut visited = 0;
        while let Some(folder) = open.pop() {
            visited += 1;
            if visited > MOST_GROUPS {
                return None;
            }
            match fs::read(folder.join("cgroup.procs")) {
                Ok(pids) => count += pids.iter().filter(|b| **b == b'\n').count(),
                // A group that vanished meanwhile has none.
                Err(_) if folder != self.path => {}
                Err(_) => return None,
            }
            let inner = fs::read_dir(&folder).into_iter().flatten().flatten();
            open.extend(inner.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
        }
        Some(count)
    }
}

/// The memory controller's hierarchy and path in `/proc/PID/cgroup`.
fn parse(text: &str) -> Option<(Version, &str)> {
    let v1 = lines(text).find(|(controllers, _)| controllers.split(',').any(|c| c == "memory"));
    v1.map(|(_, path)| (Version::V1, path))
        .or_else(|| lines(text).find(|(c, _)| c.is_empty()).map(|(_, path)| (Version::V2, path)))
}

/// Controllers and path of each line `number:controllers:path`.
fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|l| l.split_once(':')?.1.split_once(':'))
}

/// The process's group in the unified hierarchy, unless it is the root: that is the machine's pressure.
fn unified(world: &World, text: &str) -> Option<PathBuf> {
    let (_, inner) = lines(text).find(|(controllers, path)| controllers.is_empty() && *path != "/")?;
    below(&mounted(world, Version::V2), inner)
}

/// Where the memory controller's hierarchy is mounted: by the mount table, else where it is on every system.
fn mounted(world: &World, version: Version) -> Mount {
    let table = fs::read_to_string(world.proc_root.join("self/mountinfo")).unwrap_or_default();
    let ours = |m: &Mount| m.point.starts_with(&world.cgroup_root) && m.point.is_dir();
    table.lines().filter_map(|line| mount(line, version)).find(ours).unwrap_or_else(|| Mount {
        top: "/".to_owned(),
        point: match version {
            Version::V1 => world.cgroup_root.join("memory"),
            Version::V2 if world.cgroup_root.join("cgroup.controllers").exists() => world.cgroup_root.clone(),
            Version::V2 => world.cgroup_root.join("unified"),
        },
    })
}

/// `35 31 0:32 /top /point options… - type source superoptions`.
fn mount(line: &str, version: Version) -> Option<Mount> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let (name, options) = (kind.next()?, kind.nth(1).unwrap_or_default());
    let wanted = match version {
        Version::V1 => name == "cgroup" && options.split(',').any(|o| o == "memory"),
        Version::V2 => name == "cgroup2",
    };
    let mut place = place.split(' ').skip(3);
    let (top, point) = (place.next()?, place.next()?);
    wanted.then(|| Mount { top: unescape(top), point: PathBuf::from(unescape(point)) })
}

/// The mount table writes blanks as `\040`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

/// The folder of a group below a mount; none when it is not below it.
fn below(mount: &Mount, inner: &str) -> Option<PathBuf> {
    let inner = Path::new(inner);
    // `/../x` names a group outside of our namespace.
    if inner.components().any(|c| c == Component::ParentDir) {
        return None;
    }
    let rest = inner.strip_prefix(&mount.top).ok()?;
    Some(if rest.as_os_str().is_empty() { mount.point.clone() } else { mount.point.join(rest) })
}

/// A limit in bytes; "max" and version 1's huge number are none.
fn read_limit(path: &Path) -> Option<f64> {
    let v: f64 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (v < NO_LIMIT).then_some(v)
}
