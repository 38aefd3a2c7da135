//! The control group that binds a process: version 1, version 2 or a mix, limits of every ancestor.
//!
//! The number that kills is what reclaim cannot free: anonymous and shared memory and the kernel's own.
//! Page cache counts as usage but is dropped before anybody is killed.

mod group;
#[cfg(test)]
mod tests;

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::Target;

use super::text::{Reread, field, pressure};
use super::{Absent, Pace, Source, SourceKind};
use crate::world::World;
pub(crate) use group::Group;
use group::Version;

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

/// Seconds between two looks at the limits: they change rarely.
const LIMITS_EVERY: f64 = 5.0;

/// The files of the binding group that are read at every tick.
struct Files {
    usage: Option<Reread>,
    stat: Option<Reread>,
    events: Option<Reread>,
    pressure: Option<Reread>,
    kernel: Option<Reread>,
    hits: Option<Reread>,
    /// The process's own group where another one binds: version 1 counts a kill there only.
    own_events: Option<Reread>,
}

impl Files {
    fn open(own: &Group, group: &Group) -> Files {
        let open = |name: &str| Reread::open(&group.path.join(name)).ok();
        let pressure = group.pressure_file().and_then(|p| Reread::open(&p).ok());
        let apart = own.path != group.path;
        match group.version {
            Version::V1 => Files {
                usage: open("memory.usage_in_bytes"),
                stat: open("memory.stat"),
                events: open("memory.oom_control"),
                pressure,
                kernel: open("memory.kmem.usage_in_bytes"),
                hits: open("memory.failcnt"),
                own_events: apart.then(|| Reread::open(&own.path.join("memory.oom_control")).ok()).flatten(),
            },
            Version::V2 => Files {
                usage: open("memory.current"),
                stat: open("memory.stat"),
                events: open("memory.events"),
                pressure,
                kernel: None,
                hits: None,
                own_events: None,
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
            let own = self.own_events.as_mut().and_then(|f| field(f.text().ok()?, "oom_kill"));
            put(out, Fact::CgroupOomKills, field(text, "oom_kill").map(|n| n + own.unwrap_or(0.0)));
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

/// Reads the group that binds a process, and its limit now and then.
pub(crate) struct GroupReader {
    own: Group,
    binding: Group,
    files: Files,
    machine: Option<f64>,
    next_limits: f64,
    told: bool,
}

const ROOT: &str = "the process is in the root control group: the machine is its limit";

fn open(world: &World, target: &Target) -> Box<dyn Source> {
    match Group::of(world, target.pid) {
        Err(why) => Absent::boxed(FACTS, why),
        Ok(own) => match GroupReader::open(world, &own) {
            Some(reader) => Box::new(reader),
            None => Absent::boxed(FACTS, ROOT),
        },
    }
}

impl GroupReader {
    /// `None` for the root group: the machine is its limit.
    pub(crate) fn open(world: &World, own: &Group) -> Option<GroupReader> {
        let machine = super::host_memory::total(world);
        let (limit, binding) = own.binding(machine);
        if limit.is_none() && own.is_machine() {
            return None;
        }
        let files = Files::open(own, &binding);
        Some(GroupReader { files, own: own.clone(), binding, machine, next_limits: 0.0, told: false })
    }

    /// Names the group that is read.
    pub(crate) fn key(&self) -> String {
        self.binding.shown()
    }

    /// The group that is read: the one whose limit binds.
    pub(crate) fn group(&self) -> &Group {
        &self.binding
    }

    /// Limits may be changed while we watch (a raise is the first thing that helps).
    fn limits(&mut self, out: &mut Observation) {
        let (limit, binding) = self.own.binding(self.machine);
        if binding != self.binding {
            super::note(out, format!("the limit that binds is now that of {}", binding.shown()));
            self.files = Files::open(&self.own, &binding);
            self.binding = binding;
        }
        match limit {
            Some(l) => out.known(Fact::CgroupLimit, l),
            None => out.put(Fact::CgroupLimit, Reading::unknown("no group above the process sets a limit")),
        }
        put(out, Fact::CgroupHigh, self.own.high(self.machine));
        put(out, Fact::CgroupProcesses, self.binding.processes().map(|n| n as f64));
    }

    /// Says once why the rest is missing.
    fn missing(&mut self, out: &mut Observation) {
        self.told = true;
        for fact in FACTS {
            let why = match (fact, self.own.version) {
                (Fact::CgroupHigh, Version::V2) => "no group above the process sets memory.high".to_owned(),
                (Fact::CgroupHigh, Version::V1) => "version 1 has no limit that throttles".to_owned(),
                (Fact::CgroupPsiSome | Fact::CgroupPsiFull, Version::V1) => {
                    "version 1 has no pressure, and the process is in no group of the unified hierarchy"
                        .to_owned()
                }
                _ => format!("the control group {} does not tell it", self.binding.shown()),
            };
            // What is known, or unknown for a better reason, stays.
            if !out.facts.contains_key(fact) && !out.unknown.contains_key(fact) {
                out.put(*fact, Reading::Unknown(why));
            }
        }
    }
}

impl Source for GroupReader {
    fn sample(&mut self, out: &mut Observation) {
        if out.t >= self.next_limits {
            self.next_limits = out.t + LIMITS_EVERY;
            self.limits(out);
        }
        self.files.sample(self.own.version, out);
        if !self.told {
            self.missing(out);
        } else if !out.facts.contains_key(&Fact::CgroupUsage) {
            let gone = format!("{} cannot be read any more", self.binding.shown());
            out.put(Fact::CgroupUsage, Reading::Unknown(gone));
        }
    }
}
