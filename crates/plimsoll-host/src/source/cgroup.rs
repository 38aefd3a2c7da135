//! The control group that binds a process: version 1, version 2 or a mix, limits of every ancestor.
//!
//! The number that kills is what reclaim cannot free: anonymous and shared memory and the kernel's own.
//! Page cache counts as usage but is dropped before anybody is killed.

use std::path::{Path, PathBuf};

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;

use super::text::{Reread, field, pressure, why};
use super::{Absent, Pace, Source, SourceKind};
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "cgroup",
    facts: FACTS,
    pace: Pace::EveryTick,
    open: |world, target| Some(open(world, target)),
};

const FACTS: &[Fact] = &[
    Fact::CgroupUsage,
    Fact::CgroupAnon,
    Fact::CgroupShmem,
    Fact::CgroupFile,
    Fact::CgroupKernel,
    Fact::CgroupUnreclaimable,
    Fact::CgroupLimit,
    Fact::CgroupHigh,
    Fact::CgroupLimitHits,
    Fact::CgroupOomKills,
    Fact::CgroupRefaults,
    Fact::CgroupProcesses,
    Fact::CgroupPsiSome,
    Fact::CgroupPsiFull,
];

/// Limits from here on are version 1's way to say "none".
const NO_LIMIT: f64 = 9.0e18;
/// Seconds between two looks at the limits: they change rarely.
const LIMITS_EVERY: f64 = 5.0;

/// Version of the hierarchy that holds the memory controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// The memory group of a process.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    version: Version,
    root: PathBuf,
    path: PathBuf,
}

impl Group {
    /// Finds the memory group of `pid`; the reason when there is none.
    pub(crate) fn of(world: &World, pid: i32) -> Result<Group, String> {
        let file = world.proc_root.join(pid.to_string()).join("cgroup");
        let text = std::fs::read_to_string(&file).map_err(|e| why(&file, &e))?;
        let (version, inner) = parse(&text).ok_or("the process is in no memory control group")?;
        let root = match version {
            Version::V1 => world.cgroup_root.join("memory"),
            Version::V2 if world.cgroup_root.join("cgroup.controllers").exists() => world.cgroup_root.clone(),
            Version::V2 => world.cgroup_root.join("unified"),
        };
        // Inside a container the path may be the host's: its own group is then mounted at the root.
        let path = root.join(inner.trim_start_matches('/'));
        let path = if path.is_dir() { path } else { root.clone() };
        if !root.is_dir() {
            return Err(format!("{} is not mounted", root.display()));
        }
        Ok(Group { version, root, path })
    }

    /// Path below the hierarchy's root, `/` for the root itself.
    pub(crate) fn shown(&self) -> String {
        let inner = self.path.strip_prefix(&self.root).unwrap_or(Path::new(""));
        format!("/{}", inner.display())
    }

    fn is_root(&self) -> bool {
        self.path == self.root
    }

    fn with_path(&self, path: &Path) -> Group {
        Group { version: self.version, root: self.root.clone(), path: path.to_owned() }
    }

    /// The tightest limit of a kind among the group and its ancestors, with the group that sets it.
    fn tightest(&self, file: &str) -> Option<(f64, PathBuf)> {
        let inside = self.path.ancestors().take_while(|p| p.starts_with(&self.root));
        inside
            .filter_map(|p| Some((read_limit(&p.join(file))?, p.to_owned())))
            .min_by(|a, b| a.0.total_cmp(&b.0))
    }

    fn limit_file(&self) -> &'static str {
        match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        }
    }

    /// The group whose limit binds, else the group itself.
    pub(crate) fn binding(&self) -> (Option<f64>, Group) {
        match self.tightest(self.limit_file()) {
            Some((limit, path)) => (Some(limit), self.with_path(&path)),
            None => (None, self.clone()),
        }
    }
}

/// The memory controller's hierarchy and path in `/proc/PID/cgroup`.
fn parse(text: &str) -> Option<(Version, &str)> {
    let lines = || text.lines().filter_map(|l| l.split_once(':')?.1.split_once(':'));
    let v1 = lines().find(|(controllers, _)| controllers.split(',').any(|c| c == "memory"));
    v1.map(|(_, path)| (Version::V1, path))
        .or_else(|| lines().find(|(c, _)| c.is_empty()).map(|(_, path)| (Version::V2, path)))
}

/// A limit in bytes; "max" and version 1's huge number are none.
fn read_limit(path: &Path) -> Option<f64> {
    let v: f64 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (v < NO_LIMIT).then_some(v)
}

/// The files of the binding group that are read at every tick.
struct Files {
    usage: Option<Reread>,
    stat: Option<Reread>,
    events: Option<Reread>,
    pressure: Option<Reread>,
    kernel: Option<Reread>,
    hits: Option<Reread>,
    processes: PathBuf,
}

impl Files {
    fn open(group: &Group) -> Files {
        let open = |name: &str| Reread::open(&group.path.join(name)).ok();
        let processes = group.path.join("cgroup.procs");
        match group.version {
            Version::V1 => Files {
                usage: open("memory.usage_in_bytes"),
                stat: open("memory.stat"),
                events: open("memory.oom_control"),
                pressure: None,
                kernel: open("memory.kmem.usage_in_bytes"),
                hits: open("memory.failcnt"),
                processes,
            },
            Version::V2 => Files {
                usage: open("memory.current"),
                stat: open("memory.stat"),
                events: open("memory.events"),
                pressure: open("memory.pressure"),
                kernel: None,
                hits: None,
                processes,
            },
        }
    }

    fn sample(&mut self, version: Version, out: &mut Observation) {
        let number = |f: &mut Option<Reread>| f.as_mut()?.text().ok()?.trim().parse::<f64>().ok();
        let usage = number(&mut self.usage);
        let kernel = number(&mut self.kernel);
        put(out, Fact::CgroupUsage, usage);
        put(out, Fact::CgroupLimitHits, number(&mut self.hits));
        if let Some(text) = self.stat.as_mut().and_then(|f| f.text().ok()) {
            match version {
                Version::V1 => stat_v1(text, usage, kernel, out),
                Version::V2 => stat_v2(text, out),
            }
        }
        if let Some(text) = self.events.as_mut().and_then(|f| f.text().ok()) {
            put(out, Fact::CgroupOomKills, field(text, "oom_kill"));
            if version == Version::V2 {
                put(out, Fact::CgroupLimitHits, field(text, "max"));
            }
        }
        if let Some(text) = self.pressure.as_mut().and_then(|f| f.text().ok()) {
            put(out, Fact::CgroupPsiSome, pressure(text, "some"));
            put(out, Fact::CgroupPsiFull, pressure(text, "full"));
        }
    }
}

fn put(out: &mut Observation, fact: Fact, value: Option<f64>) {
    if let Some(v) = value {
        out.known(fact, v);
    }
}

/// Version 1: the `total_` fields include the children. What is no file cache cannot be reclaimed (slab can,
/// in part, but version 1 does not say how much).
fn stat_v1(text: &str, usage: Option<f64>, kernel: Option<f64>, out: &mut Observation) {
    let get = |key: &str| field(text, key);
    let files = get("total_inactive_file").zip(get("total_active_file")).map(|(a, b)| a + b);
    put(out, Fact::CgroupAnon, get("total_rss"));
    put(out, Fact::CgroupShmem, get("total_shmem"));
    put(out, Fact::CgroupFile, files);
    put(out, Fact::CgroupKernel, kernel);
    let refaults = get("total_workingset_refault_file")
        .or_else(|| get("total_workingset_refault"))
        .map(|f| f + get("total_workingset_refault_anon").unwrap_or(0.0));
    put(out, Fact::CgroupRefaults, refaults);
    let anon = get("total_rss").map(|a| a + get("total_shmem").unwrap_or(0.0));
    let unreclaimable = usage.zip(files).map(|(u, f)| (u - f).max(0.0)).or(anon);
    put(out, Fact::CgroupUnreclaimable, unreclaimable);
}

/// Version 2: every field includes the children.
fn stat_v2(text: &str, out: &mut Observation) {
    let get = |key: &str| field(text, key);
    let (anon, shmem) = (get("anon"), get("shmem"));
    // Before 5.18 there is no `kernel` line: its parts are.
    let kernel = get("kernel").or_else(|| {
        let parts = ["slab", "kernel_stack", "pagetables", "percpu", "sock", "vmalloc"];
        parts.iter().filter_map(|k| get(k)).reduce(|a, b| a + b)
    });
    put(out, Fact::CgroupAnon, anon);
    put(out, Fact::CgroupShmem, shmem);
    put(out, Fact::CgroupFile, get("file").zip(shmem).map(|(f, s)| (f - s).max(0.0)));
    put(out, Fact::CgroupKernel, kernel);
    let refaults = get("workingset_refault_file").or_else(|| get("workingset_refault"));
    put(out, Fact::CgroupRefaults, refaults.map(|f| f + get("workingset_refault_anon").unwrap_or(0.0)));
    let fixed = kernel.unwrap_or(0.0) - get("slab_reclaimable").unwrap_or(0.0);
    put(out, Fact::CgroupUnreclaimable, anon.map(|a| a + shmem.unwrap_or(0.0) + fixed.max(0.0)));
}

/// Reads only the counter of OOM kills of the group that binds `target`: what is left after its end.
pub(crate) fn read_oom_kills(world: &World, target: &Target, out: &mut Observation) {
    for base in ["memory", "", "unified"] {
        let Some(inner) = target.limit_cgroup.as_deref() else { return };
        let folder = world.cgroup_root.join(base).join(inner.trim_start_matches('/'));
        for file in ["memory.oom_control", "memory.events"] {
            if let Ok(text) = std::fs::read_to_string(folder.join(file)) {
                put(out, Fact::CgroupOomKills, field(&text, "oom_kill"));
                return;
            }
        }
    }
}

/// Reads the group that binds a process, and its limit now and then.
pub(crate) struct GroupReader {
    own: Group,
    binding: Group,
    files: Files,
    host_total: Option<f64>,
    next_limits: f64,
}

fn open(world: &World, target: &Target) -> Box<dyn Source> {
    match Group::of(world, target.pid) {
        Err(why) => Absent::boxed(FACTS, why),
        Ok(own) => match GroupReader::open(world, &own) {
            Some(reader) => Box::new(reader),
            None => {
                Absent::boxed(FACTS, "the process is in the root control group: the machine is its limit")
            }
        },
    }
}

impl GroupReader {
    /// `None` for the root group: the machine is its limit.
    pub(crate) fn open(world: &World, own: &Group) -> Option<GroupReader> {
        let (limit, binding) = own.binding();
        if limit.is_none() && own.is_root() {
            return None;
        }
        let host_total = super::host_memory::total(world);
        Some(GroupReader {
            files: Files::open(&binding),
            own: own.clone(),
            binding,
            host_total,
            next_limits: 0.0,
        })
    }

    /// Names the group that is read.
    pub(crate) fn key(&self) -> String {
        self.binding.shown()
    }

    /// Limits may be changed while we watch (a raise is the first thing that helps).
    fn limits(&mut self, out: &mut Observation) {
        let (limit, binding) = self.own.binding();
        if binding.path != self.binding.path {
            self.files = Files::open(&binding);
            self.binding = binding;
        }
        let real = |l: &f64| self.host_total.is_none_or(|total| *l < total);
        match limit.filter(real) {
            Some(l) => out.known(Fact::CgroupLimit, l),
            None => out.put(Fact::CgroupLimit, Reading::unknown("no group above the process sets a limit")),
        }
        if self.own.version == Version::V2 {
            put(out, Fact::CgroupHigh, self.own.tightest("memory.high").map(|(l, _)| l).filter(real));
        }
        let processes = std::fs::read_to_string(&self.files.processes).ok();
        put(out, Fact::CgroupProcesses, processes.map(|p| p.lines().count() as f64));
    }
}

impl Source for GroupReader {
    fn sample(&mut self, out: &mut Observation) {
        if out.t >= self.next_limits {
            self.next_limits = out.t + LIMITS_EVERY;
            self.limits(out);
        }
        self.files.sample(self.own.version, out);
        if !out.facts.contains_key(&Fact::CgroupUsage) {
            let gone = format!("{} cannot be read any more", self.binding.shown());
            out.put(Fact::CgroupUsage, Reading::Unknown(gone));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const MIB: f64 = 1048576.0;

    /// A fake machine: a folder with /proc and the control groups.
    fn world(cgroup_line: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, World) {
        let root = tempfile::tempdir().expect("a folder");
        let world = World {
            proc_root: root.path().join("proc"),
            cgroup_root: root.path().join("cg"),
            kernel_log: root.path().join("kmsg"),
        };
        let write = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().expect("has one")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        write(world.proc_root.join("7/cgroup"), cgroup_line);
        write(world.proc_root.join("meminfo"), "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n");
        for (path, text) in files {
            write(world.cgroup_root.join(path), text);
        }
        (root, world)
    }

    fn sample(world: &World) -> Observation {
        let target = crate::identify::bare(7);
        let mut out = Observation::at(1.0);
        (KIND.open)(world, &target).expect("applies").sample(&mut out);
        out
    }

    #[test]
    fn version_2_takes_the_tightest_ancestor_and_leaves_the_cache_out() {
        let stat = "anon 104857600\nfile 52428800\nkernel 10485760\nshmem 20971520\nslab_reclaimable 5242880\nworkingset_refault_anon 1\nworkingset_refault_file 2\n";
        let (_keep, world) = world(
            "0::/kubepods/pod1/c1\n",
            &[
                ("cgroup.controllers", "memory\n"),
                ("kubepods/memory.max", "max\n"),
                ("kubepods/pod1/memory.max", "268435456\n"),
                ("kubepods/pod1/memory.stat", stat),
                ("kubepods/pod1/memory.current", "188743680\n"),
                (
                    "kubepods/pod1/memory.events",
                    "low 0\nhigh 0\nmax 35\noom 1\noom_kill 2\noom_group_kill 1\n",
                ),
                ("kubepods/pod1/memory.pressure", "some avg10=0 total=2000000\nfull avg10=0 total=1000000\n"),
                ("kubepods/pod1/c1/memory.max", "536870912\n"),
            ],
        );
        let o = sample(&world);
        assert_eq!(o.facts[&Fact::CgroupLimit], 256.0 * MIB);
        assert_eq!(o.facts[&Fact::CgroupUnreclaimable], 125.0 * MIB);
        assert_eq!(o.facts[&Fact::CgroupFile], 30.0 * MIB);
        assert_eq!(o.facts[&Fact::CgroupOomKills], 2.0);
        assert_eq!(o.facts[&Fact::CgroupLimitHits], 35.0);
        assert_eq!(o.facts[&Fact::CgroupRefaults], 3.0);
        assert_eq!(o.facts[&Fact::CgroupPsiFull], 1.0);
    }

    #[test]
    fn version_1_with_a_limit_above_the_machine_has_no_limit() {
        let stat = "rss 1\ntotal_rss 1048576\ntotal_shmem 0\ntotal_inactive_file 3145728\ntotal_active_file 1048576\ntotal_workingset_refault_file 9\n";
        let (_keep, world) = world(
            "4:memory:/app\n0::/\n",
            &[
                ("memory/app/memory.limit_in_bytes", "68719476736\n"),
                ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory/app/memory.usage_in_bytes", "6291456\n"),
                ("memory/app/memory.stat", stat),
                ("memory/app/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            ],
        );
        let o = sample(&world);
        assert!(o.unknown.contains_key(&Fact::CgroupLimit));
        assert_eq!(o.facts[&Fact::CgroupUnreclaimable], 2.0 * MIB);
        assert_eq!(o.facts[&Fact::CgroupOomKills], 3.0);
    }

    #[test]
    fn the_root_group_and_a_missing_hierarchy_say_so() {
        let (_keep, w) = world("0::/\n", &[("cgroup.controllers", "memory\n")]);
        assert!(sample(&w).unknown[&Fact::CgroupLimit].contains("root control group"));
        let (_keep, w) = world("3:memory:/x\n", &[]);
        assert!(sample(&w).unknown[&Fact::CgroupLimit].contains("not mounted"));
        let (_keep, w) = world("", &[]);
        assert!(sample(&w).unknown[&Fact::CgroupLimit].contains("no memory control group"));
    }
}
