//! HotSpot's performance counters from outside: a file that the JVM maps, read without a pause and without
//! its help. The old generation after each collection is the floor, no collection log needed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::runtime::detect;
use plimsoll_core::target::{RuntimeKind, Target};
use plimsoll_read::hsperf::{self, Counters};

use super::text::why;
use super::{Pace, Source, SourceKind};
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "hsperf",
    facts: FACTS,
    pace: Pace::EveryTick,
    open: |world, target| {
        (target.runtime == RuntimeKind::Jvm).then(|| Box::new(Hsperf::new(world, target)) as Box<dyn Source>)
    },
};

const FACTS: &[Fact] = &[
    Fact::JvmHeapUsed,
    Fact::JvmHeapCommitted,
    Fact::JvmHeapMax,
    Fact::JvmOldMax,
    Fact::JvmLive,
    Fact::JvmYoungGcs,
    Fact::JvmFullGcs,
    Fact::JvmGcSeconds,
    Fact::JvmAllocated,
    Fact::JvmMetaspaceUsed,
    Fact::JvmMetaspaceMax,
    Fact::JvmClasses,
    Fact::JvmThreads,
];

/// Facts whose absence is told when the buffer cannot be had.
const MAIN_FACTS: &[Fact] = &[
    Fact::JvmHeapUsed,
    Fact::JvmHeapCommitted,
    Fact::JvmHeapMax,
    Fact::JvmYoungGcs,
    Fact::JvmFullGcs,
    Fact::JvmMetaspaceUsed,
    Fact::JvmClasses,
    Fact::JvmThreads,
];

/// Seconds between two attempts to find a buffer that was not there: a JVM makes it while it starts.
const RETRY: f64 = 1.0;
/// A buffer is 32 KiB unless `-XX:PerfDataMemorySize` says more; this much is read at most.
const LARGEST: u64 = 1 << 20;
/// Heaps are made of whole pages; G1 adds some bytes to its counters so that none is zero.
const PAGE: f64 = 4096.0;
/// Allocation buffers are counted in machine words.
const WORD: f64 = 8.0;
/// The JVM writes the sizes a moment after it has stamped the end of a collection.
const SETTLE: std::time::Duration = std::time::Duration::from_millis(1);

/// The process's pid in its innermost pid namespace: the one it knows itself by.
pub(crate) fn inner_pid(world: &World, pid: i32) -> i32 {
    let status = world.proc_root.join(pid.to_string()).join("status");
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("NSpid:"));
    line.and_then(|l| l.split_ascii_whitespace().last()?.parse().ok()).unwrap_or(pid)
}

/// Opens the buffer of a process; the reason with a lever when that is not possible.
fn open(world: &World, pid: i32) -> Result<File, String> {
    let folder = world.proc_root.join(pid.to_string());
    let maps_path = folder.join("maps");
    let maps = fs::read_to_string(&maps_path).map_err(|e| why(&maps_path, &e))?;
    let inner = inner_pid(world, pid).to_string();
    // Only a mapped buffer is written: a file that an earlier JVM left under the same pid is not.
    let mapped = |name: &str| {
        let tail = format!("/{name}/{inner}");
        maps.lines().any(|l| l.trim_end().ends_with(&tail))
    };
    let tmp = folder.join("root/tmp");
    let entries = fs::read_dir(&tmp).map_err(|e| why(&tmp, &e))?;
    let path = entries.flatten().find_map(|e| {
        let name = e.file_name().into_string().ok().filter(|n| n.starts_with("hsperfdata_"))?;
        // A link could lead out of the container.
        let real = e.file_type().is_ok_and(|t| t.is_dir());
        let file = e.path().join(&inner);
        (real && mapped(&name) && file.symlink_metadata().is_ok_and(|m| m.is_file())).then_some(file)
    });
    let path = path.ok_or_else(|| absent(&maps))?;
    open_plain(&path).map_err(|e| why(&path, &e))
}

fn absent(maps: &str) -> String {
    if maps.lines().any(|l| l.contains("/hsperfdata_") && l.trim_end().ends_with("(deleted)")) {
        return "the JVM's counters were deleted from /tmp (a cleaner?): exclude hsperfdata_* from it and restart"
            .to_owned();
    }
    "the JVM shares no counters in /tmp (hsperfdata): start it without -XX:-UsePerfData and -XX:+PerfDisableSharedMem, with a writable /tmp"
        .to_owned()
}

/// Opens a file without following a link and without waiting, should it have become a pipe.
fn open_plain(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Reads the whole buffer from its start.
fn read(file: &File, buffer: &mut Vec<u8>) -> io::Result<()> {
    let size = file.metadata()?.len().min(LARGEST) as usize;
    buffer.resize(size, 0);
    let mut used = 0;
    while used < size {
        match file.read_at(&mut buffer[used..], used as u64)? {
            0 => break,
            n => used += n,
        }
    }
    buffer.truncate(used);
    Ok(())
}

/// The collectors, as far as their counters differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Collector {
    G1,
    Serial,
    Parallel,
    Z,
    Shenandoah,
}

impl Collector {
    fn of(c: &Counters<'_>) -> Option<Collector> {
        let policy = c.text("sun.gc.policy.name").unwrap_or_default();
        let names = (0..3).filter_map(|i| c.text(&format!("sun.gc.collector.{i}.name")));
        let names: Vec<&str> = names.collect();
        let any = |what: &str| names.iter().any(|n| n.starts_with(what));
        Some(match policy {
            "GarbageFirst" => Collector::G1,
            "ParScav:MSC" => Collector::Parallel,
            "Copy:MSC" => Collector::Serial,
            _ if any("G1") => Collector::G1,
            _ if any("Parallel") || any("PS") => Collector::Parallel,
            _ if any("Serial") || any("Copy") || any("MSC") => Collector::Serial,
            _ if any("Z") => Collector::Z,
            _ if any("Shenandoah") => Collector::Shenandoah,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Collector::G1 => "G1",
            Collector::Serial => "Serial",
            Collector::Parallel => "Parallel",
            Collector::Z => "Z",
            Collector::Shenandoah => "Shenandoah",
        }
    }

    /// True where the counters are written at the end of whole collections; Z and Shenandoah write them at
    /// each of a cycle's short pauses or from a timer.
    fn stops_to_collect(self) -> bool {
        matches!(self, Collector::G1 | Collector::Serial | Collector::Parallel)
    }
}

/// Entry and exit times and counts of the collectors: what tells whether a collection has ended or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Collections {
    count: i64,
    young: i64,
    ended: [i64; 3],
    running: bool,
}

impl Collections {
    fn of(c: &Counters<'_>) -> Collections {
        let get = |i: usize, what: &str| c.long(&format!("sun.gc.collector.{i}.{what}")).unwrap_or(0);
        let ended = [0, 1, 2].map(|i| get(i, "lastExitTime"));
        let running = (0..3).any(|i| get(i, "lastEntryTime") > get(i, "lastExitTime"));
        let invocations = [0, 1, 2].map(|i| get(i, "invocations"));
        Collections { count: invocations.iter().sum(), young: invocations[0], ended, running }
    }
}

struct Hsperf {
    world: World,
    pid: i32,
    metaspace_max: Option<f64>,
    file: Result<File, String>,
    next_try: f64,
    buffer: Vec<u8>,
    /// The collections at the newest floor point.
    seen: Option<Collections>,
    allocated: f64,
    /// The target was identified before its JVM had written its buffer: what it says is still to be told.
    learns: bool,
}

impl Hsperf {
    fn new(world: &World, target: &Target) -> Self {
        Hsperf {
            world: world.clone(),
            pid: target.pid,
            metaspace_max: size_flag(target, "-XX:MaxMetaspaceSize"),
            file: Err("not looked for yet".to_owned()),
            next_try: 0.0,
            buffer: Vec::new(),
            seen: None,
            allocated: 0.0,
            learns: target.flag("heapDumpOnOom").is_none(),
        }
    }

    /// Tells once what the JVM says of itself, when it was too young to say it at the start.
    fn learn(&mut self, out: &mut Observation) {
        let mut target = crate::identify::bare(self.pid);
        enrich(&self.world, &mut target);
        if target.flag("heapDumpOnOom").is_some() {
            self.learns = false;
            out.learned = target.flags.into_iter().filter(|f| !f.starts_with('-')).collect();
            out.learned.extend(target.runtime_version.map(|v| format!("version={v}")));
        }
    }

    /// Reads the buffer, looking for it again from time to time while it is not there.
    fn refresh(&mut self, t: f64) -> Result<(), String> {
        if self.file.is_err() && t >= self.next_try {
            self.next_try = t + RETRY;
            self.file = open(&self.world, self.pid);
        }
        let file = self.file.as_ref().map_err(Clone::clone)?;
        read(file, &mut self.buffer).map_err(|e| format!("failed to read the JVM's counters: {e}"))
    }

    fn has_new_collection(&self) -> bool {
        let now = hsperf::parse(&self.buffer).ok().map(|c| Collections::of(&c));
        now.is_some_and(|now| Some(now.ended) != self.seen.map(|s| s.ended))
    }

    fn facts(&mut self, out: &mut Observation) -> Result<(), String> {
        self.refresh(out.t)?;
        if self.has_new_collection() {
            std::thread::sleep(SETTLE);
            self.refresh(out.t)?;
        }
        let buffer = std::mem::take(&mut self.buffer);
        let parsed = hsperf::parse(&buffer).map(|c| {
            plain_facts(&c, out);
            self.collection_facts(&c, out);
        });
        self.buffer = buffer;
        parsed.map_err(|e| e.to_string())
    }

    fn collection_facts(&mut self, c: &Counters<'_>, out: &mut Observation) {
        let Some(collector) = Collector::of(c) else {
            out.put(Fact::JvmLive, Reading::unknown("this collector's counters are not known"));
            return;
        };
        if !collector.stops_to_collect() {
            let name = collector.name();
            out.put(
                Fact::JvmLive,
                Reading::Unknown(format!(
                    "{name}GC's counters do not say what stays after a collection: log it with -Xlog:gc*:file=gc.log"
                )),
            );
            let why = format!("{name}GC counts pauses, of which a collection has several");
            out.put(Fact::JvmFullGcs, Reading::Unknown(why));
            return;
        }
        long(c, "sun.gc.collector.0.invocations", Fact::JvmYoungGcs, out);
        long(c, "sun.gc.collector.1.invocations", Fact::JvmFullGcs, out);
        self.after_collection(c, out);
    }

    /// A floor point, when a collection has ended since the last one. While one runs the sizes are in flux.
    fn after_collection(&mut self, c: &Counters<'_>, out: &mut Observation) {
        let now = Collections::of(c);
        if now.running || now.count == 0 || self.seen.is_some_and(|s| s.ended == now.ended) {
            if self.seen.is_some() {
                out.known(Fact::JvmAllocated, self.allocated);
            }
            return;
        }
        // Allocation is published once per young collection; of several within a tick the last stands for
        // all, since the space they fill hardly changes from one to the next.
        let before = self.seen.map_or(now.young, |s| s.young);
        let words = c.long("sun.gc.tlab.alloc").unwrap_or(0).max(0) as f64;
        self.allocated += (now.young - before).max(0) as f64 * words * WORD;
        out.known(Fact::JvmAllocated, self.allocated);
        self.seen = Some(now);
        if let Some(old) = c.long("sun.gc.generation.1.space.0.used") {
            out.known(Fact::JvmLive, old as f64);
        }
    }
}

fn long(c: &Counters<'_>, name: &str, fact: Fact, out: &mut Observation) {
    if let Some(v) = c.long(name) {
        out.known(fact, v as f64);
    }
}

/// What all collectors tell.
fn plain_facts(c: &Counters<'_>, out: &mut Observation) {
    if let Some(used) = sum(c, "used") {
        out.known(Fact::JvmHeapUsed, used);
    }
    if let Some(committed) = sum(c, "capacity") {
        out.known(Fact::JvmHeapCommitted, committed);
    }
    if let Some(max) = heap_max(c) {
        out.known(Fact::JvmHeapMax, max);
    }
    if matches!(Collector::of(c), Some(Collector::Serial | Collector::Parallel)) {
        long(c, "sun.gc.generation.1.maxCapacity", Fact::JvmOldMax, out);
    }
    if let (Some(seconds), Some(hertz)) = (gc_ticks(c), c.long("sun.os.hrt.frequency").filter(|h| *h > 0)) {
        out.known(Fact::JvmGcSeconds, seconds / hertz as f64);
    }
    long(c, "sun.gc.metaspace.used", Fact::JvmMetaspaceUsed, out);
    long(c, "java.threads.live", Fact::JvmThreads, out);
    let classes = |what: &str| {
        Some(c.long(&format!("java.cls.{what}"))? + c.long(&format!("java.cls.shared{}", upper(what)))?)
    };
    if let (Some(loaded), Some(unloaded)) = (classes("loadedClasses"), classes("unloadedClasses")) {
        out.known(Fact::JvmClasses, (loaded - unloaded).max(0) as f64);
    }
}

fn upper(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_ascii_uppercase() + rest
}

/// A size over all spaces of both generations.
fn sum(c: &Counters<'_>, what: &str) -> Option<f64> {
    let spaces = (0..2).flat_map(|g| (0..4).map(move |s| (g, s)));
    spaces
        .filter_map(|(g, s)| c.long(&format!("sun.gc.generation.{g}.space.{s}.{what}")))
        .map(|v| v as f64)
        .reduce(|a, b| a + b)
}

/// Serial and Parallel divide the heap between the generations; with the others each may take all of it.
fn heap_max(c: &Counters<'_>) -> Option<f64> {
    let of = |g: usize| c.long(&format!("sun.gc.generation.{g}.maxCapacity")).map(|v| v as f64);
    let max = match Collector::of(c)? {
        Collector::Serial | Collector::Parallel => of(0)? + of(1)?,
        Collector::G1 | Collector::Z | Collector::Shenandoah => of(1)?,
    };
    Some((max / PAGE).floor() * PAGE)
}

fn gc_ticks(c: &Counters<'_>) -> Option<f64> {
    let times = (0..3).filter_map(|i| c.long(&format!("sun.gc.collector.{i}.time")));
    times.map(|v| v as f64).reduce(|a, b| a + b)
}

impl Source for Hsperf {
    fn sample(&mut self, out: &mut Observation) {
        if let Err(why) = self.facts(out) {
            out.put(Fact::JvmLive, Reading::unknown(why.clone()));
            for fact in MAIN_FACTS {
                out.put(*fact, Reading::unknown(why.clone()));
            }
        } else if self.learns {
            self.learn(out);
        }
        match self.metaspace_max {
            Some(max) => out.known(Fact::JvmMetaspaceMax, max),
            None => out.put(
                Fact::JvmMetaspaceMax,
                Reading::unknown(
                    "no bound is set (-XX:MaxMetaspaceSize): metaspace grows to the container's",
                ),
            ),
        }
    }
}

/// Adds what the JVM itself says to a target that the command line described: version, flags from every
/// origin (environment, argument files), and the normalised flags `gc`, `nmt`, `heapDumpOnOom`, `gcLog`, `attach`.
pub(crate) fn enrich(world: &World, target: &mut Target) {
    let mut buffer = Vec::new();
    let read = open(world, target.pid).ok().and_then(|f| read(&f, &mut buffer).ok());
    let counters = read.and_then(|()| hsperf::parse(&buffer).ok());
    let Some(c) = counters else {
        // Flags may come from elsewhere than the command line: only what stands there is certain.
        let words = target.flags.clone();
        add(target, written(&words));
        return;
    };
    let text = |name: &str| c.text(name).unwrap_or_default();
    let words: Vec<String> = [text("java.rt.vmFlags"), text("java.rt.vmArgs")]
        .iter()
        .flat_map(|t| t.split_ascii_whitespace())
        .map(str::to_owned)
        .collect();
    // The JVM's own list is the whole one, in the order in which later flags win.
    let known = detect::flags(RuntimeKind::Jvm, &words);
    target.flags.retain(|f| !known.contains(f));
    target.flags.extend(known);
    let version = c.text("java.property.java.version").or_else(|| c.text("java.property.java.vm.version"));
    target.runtime_version = version.map(str::to_owned).or(target.runtime_version.take());
    let mut flags = written(&words);
    for (key, default) in [("nmt", "off"), ("heapDumpOnOom", "false")] {
        if !flags.iter().any(|(k, _)| *k == key) {
            flags.push((key, default.to_owned()));
        }
    }
    flags.retain(|(k, _)| *k != "gc");
    flags.extend(Collector::of(&c).map(|g| ("gc", g.name().to_owned())));
    add(target, flags);
}

fn add(target: &mut Target, flags: Vec<(&'static str, String)>) {
    target.flags.extend(flags.into_iter().map(|(k, v)| format!("{k}={v}")));
}

/// The normalised flags that are written among `words`; of several the last one wins.
fn written(words: &[String]) -> Vec<(&'static str, String)> {
    let mut out: Vec<(&'static str, String)> = Vec::new();
    for (key, value) in words.iter().filter_map(|w| normalised(w)) {
        out.retain(|(k, _)| *k != key);
        out.push((key, value));
    }
    out
}

fn normalised(word: &str) -> Option<(&'static str, String)> {
    if let Some(level) = word.strip_prefix("-XX:NativeMemoryTracking=") {
        return Some(("nmt", level.to_owned()));
    }
    if let Some(gc) = word.strip_prefix("-XX:+Use").and_then(|w| w.strip_suffix("GC")) {
        return matches!(gc, "G1" | "Serial" | "Parallel" | "Z" | "Shenandoah")
            .then(|| ("gc", gc.to_owned()));
    }
    match word {
        "-XX:+HeapDumpOnOutOfMemoryError" => return Some(("heapDumpOnOom", "true".to_owned())),
        "-XX:-HeapDumpOnOutOfMemoryError" => return Some(("heapDumpOnOom", "false".to_owned())),
        "-XX:+DisableAttachMechanism" => return Some(("attach", "off".to_owned())),
        _ => {}
    }
    log_path(word).map(|path| ("gcLog", path))
}

/// The file of a collection log: `-Xlog:gc*:file=PATH:decorators`, `-Xlog:gc:PATH`, `-Xloggc:PATH`.
fn log_path(word: &str) -> Option<String> {
    if let Some(path) = word.strip_prefix("-Xloggc:") {
        return Some(path.to_owned());
    }
    let rest = word.strip_prefix("-Xlog:").filter(|r| r.starts_with("gc") || r.starts_with("all"))?;
    let output = rest.split_once(':')?.1;
    let output = output.strip_prefix("file=").unwrap_or(output);
    let path = match output.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => output.split(':').next()?,
    };
    (!path.is_empty() && path != "stdout" && path != "stderr").then(|| path.to_owned())
}

/// The bytes of a flag such as `-XX:MaxMetaspaceSize=64m`; the last one wins.
pub(super) fn size_flag(target: &Target, key: &str) -> Option<f64> {
    let value = target.flags.iter().rev().find_map(|f| f.strip_prefix(key)?.strip_prefix('='))?;
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match value.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    digits.parse::<u64>().ok().map(|v| v as f64 * unit)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A buffer in the JVM's layout, little-endian.
    fn buffer(longs: &[(&str, i64)], texts: &[(&str, &str)]) -> Vec<u8> {
        let mut out = vec![0xca, 0xfe, 0xc0, 0xc0, 1, 2, 0, 1];
        out.extend([0; 16]);
        out.extend(32_i32.to_le_bytes());
        out.extend(((longs.len() + texts.len()) as i32).to_le_bytes());
        let mut entry = |name: &str, kind: u8, elements: usize, data: &[u8]| {
            let offset = 20 + (name.len() + 1).next_multiple_of(8);
            out.extend(((offset + data.len()) as i32).to_le_bytes());
            out.extend(20_i32.to_le_bytes());
            out.extend((elements as i32).to_le_bytes());
            out.extend([kind, 0, 1, 3]);
            out.extend((offset as i32).to_le_bytes());
            out.extend(name.bytes().chain(std::iter::repeat(0)).take(offset - 20));
            out.extend(data);
        };
        for (name, v) in longs {
            entry(name, b'J', 0, &v.to_le_bytes());
        }
        for (name, v) in texts {
            let data: Vec<u8> = v.bytes().chain([0]).collect();
            entry(name, b'B', data.len(), &data);
        }
        out
    }

    /// A machine with one JVM, pid 7 here and 3 in its container.
    struct Fake {
        _keep: tempfile::TempDir,
        world: World,
        file: PathBuf,
    }

    fn fake(maps: &str) -> Fake {
        let keep = tempfile::tempdir().expect("a folder");
        let proc_root = keep.path().join("proc");
        let tmp = proc_root.join("7/root/tmp/hsperfdata_app");
        fs::create_dir_all(&tmp).expect("a folder");
        fs::write(proc_root.join("7/status"), "Name:\tjava\nNSpid:\t7\t3\n").expect("a file");
        fs::write(proc_root.join("7/maps"), maps).expect("a file");
        let world = World { proc_root, ..World::default() };
        Fake { world, file: tmp.join("3"), _keep: keep }
    }

    const MAPPED: &str = "7f00-7f08 rw-s 00000000 08:01 99   /tmp/hsperfdata_app/3\n";

    fn jvm() -> Target {
        Target { runtime: RuntimeKind::Jvm, ..crate::identify::bare(7) }
    }

    /// Old generation `old`, after `count` young collections, the last of which ended at `exit`.
    fn heap(policy: &str, old: i64, count: i64, entry: i64, exit: i64) -> Vec<u8> {
        let longs = [
            ("sun.gc.collector.0.invocations", count),
            ("sun.gc.collector.0.lastEntryTime", entry),
            ("sun.gc.collector.0.lastExitTime", exit),
            ("sun.gc.collector.0.time", 1_500_000_000),
            ("sun.gc.collector.1.time", 500_000_000),
            ("sun.os.hrt.frequency", 1_000_000_000),
            ("sun.gc.generation.0.maxCapacity", 55_902_208),
            ("sun.gc.generation.1.maxCapacity", 111_869_952 + 8),
            ("sun.gc.generation.0.space.0.used", 44_761_088),
            ("sun.gc.generation.0.space.1.used", 5_570_544),
            ("sun.gc.generation.1.space.0.used", old),
            ("sun.gc.tlab.alloc", 1000),
            ("java.cls.loadedClasses", 17),
            ("java.cls.sharedLoadedClasses", 483),
            ("java.cls.unloadedClasses", 1),
            ("java.cls.sharedUnloadedClasses", 2),
        ];
        buffer(&longs, &[("sun.gc.policy.name", policy)])
    }

    fn tick(source: &mut dyn Source, t: f64) -> Observation {
        let mut out = Observation::at(t);
        source.sample(&mut out);
        out
    }

    #[test]
    fn the_floor_is_told_once_per_collection_that_has_ended() {
        let fake = fake(MAPPED);
        let write = |bytes: Vec<u8>| fs::write(&fake.file, bytes).expect("a file");
        let mut source = (KIND.open)(&fake.world, &jvm()).expect("applies");
        write(heap("Copy:MSC", 0, 0, 0, 0));
        assert!(!tick(&mut *source, 1.0).facts.contains_key(&Fact::JvmLive), "no collection yet");
        write(heap("Copy:MSC", 20_000, 1, 100, 200));
        let o = tick(&mut *source, 2.0);
        assert_eq!(o.facts[&Fact::JvmLive], 20_000.0);
        assert_eq!(o.facts[&Fact::JvmHeapUsed], 44_761_088.0 + 5_570_544.0 + 20_000.0);
        assert_eq!(o.facts[&Fact::JvmHeapMax], 167_772_160.0);
        assert_eq!((o.facts[&Fact::JvmGcSeconds], o.facts[&Fact::JvmClasses]), (2.0, 497.0));
        assert!(!tick(&mut *source, 3.0).facts.contains_key(&Fact::JvmLive), "the same collection");
        write(heap("Copy:MSC", 30_000, 2, 300, 200));
        assert!(!tick(&mut *source, 4.0).facts.contains_key(&Fact::JvmLive), "it still runs");
        write(heap("Copy:MSC", 40_000, 4, 300, 400));
        let o = tick(&mut *source, 5.0);
        assert_eq!(o.facts[&Fact::JvmLive], 40_000.0);
        assert_eq!(o.facts[&Fact::JvmAllocated], 3.0 * 8000.0);
    }

    #[test]
    fn g1_may_fill_its_heap_with_one_generation() {
        let fake = fake(MAPPED);
        fs::write(&fake.file, heap("GarbageFirst", 5, 1, 1, 2)).expect("a file");
        let mut source = (KIND.open)(&fake.world, &jvm()).expect("applies");
        assert_eq!(tick(&mut *source, 1.0).facts[&Fact::JvmHeapMax], 111_869_952.0);
    }

    #[test]
    fn z_says_that_it_does_not_tell_the_floor() {
        let fake = fake(MAPPED);
        let name = [("sun.gc.collector.2.name", "Z concurrent cycle pauses")];
        let longs = [("sun.gc.collector.2.invocations", 12), ("sun.gc.generation.1.space.0.used", 9)];
        fs::write(&fake.file, buffer(&longs, &name)).expect("a file");
        let o = tick(&mut *(KIND.open)(&fake.world, &jvm()).expect("applies"), 1.0);
        assert!(o.unknown[&Fact::JvmLive].contains("-Xlog:gc*"), "{o:?}");
        assert_eq!(o.facts[&Fact::JvmHeapUsed], 9.0);
    }

    #[test]
    fn a_buffer_left_by_another_jvm_is_not_taken() {
        let fake = fake("7f00-7f08 r--p 00000000 08:01 99 /usr/lib/libjvm.so\n");
        fs::write(&fake.file, heap("Copy:MSC", 1, 1, 1, 2)).expect("a file");
        let mut source = (KIND.open)(&fake.world, &jvm()).expect("applies");
        let o = tick(&mut *source, 1.0);
        assert!(o.unknown[&Fact::JvmLive].contains("UsePerfData"), "{o:?}");
        fs::write(fake.world.proc_root.join("7/maps"), MAPPED).expect("a file");
        assert!(!tick(&mut *source, 1.5).facts.contains_key(&Fact::JvmLive), "too soon to look again");
        assert!(tick(&mut *source, 7.0).facts.contains_key(&Fact::JvmLive), "the JVM made it meanwhile");
    }

    #[test]
    fn a_pipe_or_a_link_in_its_place_is_not_opened() {
        let fake = fake(MAPPED);
        let elsewhere = fake.file.with_file_name("elsewhere");
        fs::write(&elsewhere, heap("Copy:MSC", 1, 1, 1, 2)).expect("a file");
        std::os::unix::fs::symlink(&elsewhere, &fake.file).expect("a link");
        assert!(open(&fake.world, 7).is_err());
        assert!(open_plain(&fake.file).is_err());
    }

    #[test]
    fn flags_of_every_origin_are_normalised_and_secrets_stay_out() {
        let fake = fake(MAPPED);
        let args = "-XX:+HeapDumpOnOutOfMemoryError -Dpassword=x -XX:NativeMemoryTracking=detail -Xlog:gc*:file=/var/gc.log:time -Xmx160m";
        let texts = [
            ("java.rt.vmArgs", args),
            ("java.property.java.version", "17.0.15"),
            ("sun.gc.policy.name", "GarbageFirst"),
        ];
        fs::write(&fake.file, buffer(&[], &texts)).expect("a file");
        let mut target = jvm();
        target.flags = vec!["-Xmx160m".to_owned()];
        enrich(&fake.world, &mut target);
        let got = ["gc", "nmt", "heapDumpOnOom", "gcLog"].map(|k| target.flag(k).unwrap_or("?"));
        assert_eq!(got, ["G1", "detail", "true", "/var/gc.log"]);
        assert_eq!(target.runtime_version.as_deref(), Some("17.0.15"));
        assert!(!target.flags.iter().any(|f| f.contains("password")), "{:?}", target.flags);
        assert_eq!(target.flags.iter().filter(|f| *f == "-Xmx160m").count(), 1);
    }

    #[test]
    fn without_counters_only_what_is_written_is_certain() {
        let fake = fake("");
        let mut target = jvm();
        target.flags = vec!["-XX:+UseZGC".to_owned(), "-Xloggc:gc.log".to_owned()];
        enrich(&fake.world, &mut target);
        let got = ["gc", "nmt", "heapDumpOnOom", "gcLog"].map(|k| target.flag(k));
        assert_eq!(got, [Some("Z"), None, None, Some("gc.log")]);
    }

    #[test]
    fn sizes_and_log_paths_as_flags_write_them() {
        let mut target = jvm();
        target.flags = ["-XX:MaxMetaspaceSize=64m", "-XX:MaxDirectMemorySize=1G", "-Xa=12", "-Xb=x"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(size_flag(&target, "-XX:MaxMetaspaceSize"), Some(67_108_864.0));
        assert_eq!(size_flag(&target, "-XX:MaxDirectMemorySize"), Some(1_073_741_824.0));
        assert_eq!((size_flag(&target, "-Xa"), size_flag(&target, "-Xb")), (Some(12.0), None));
        for (word, path) in [
            ("-Xlog:gc*:file=gc.log:time,uptime:filecount=5", Some("gc.log")),
            ("-Xlog:gc:/a/b.log", Some("/a/b.log")),
            ("-Xlog:gc*,safepoint:file=\"/a:b.log\":time", Some("/a:b.log")),
            ("-Xlog:gc*:stdout", None),
            ("-Xlog:gc", None),
            ("-Xlog:class+load:file=x", None),
        ] {
            assert_eq!(log_path(word).as_deref(), path, "{word}");
        }
    }
}
