//! What a line of a collection log tells, whatever wrote it.

use serde::Serialize;

/// The program that collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Collector {
    /// HotSpot's single-threaded collector.
    Serial,
    /// HotSpot's collector for throughput.
    Parallel,
    /// HotSpot's concurrent mark and sweep (to JDK 13).
    Cms,
    /// HotSpot's default.
    G1,
    /// ZGC with one generation (to JDK 23).
    Z,
    /// ZGC with two generations.
    GenerationalZ,
    /// Shenandoah with one generation.
    Shenandoah,
    /// Shenandoah with two generations.
    GenerationalShenandoah,
    /// HotSpot's collector that never collects.
    Epsilon,
    /// The Go runtime.
    Go,
    /// V8 (Node.js).
    V8,
}

/// The causes of HotSpot's collections that somebody asked for (`gcCause.cpp`): the program, a tool, a dump.
const ASKED: &[&str] = &[
    "System.gc()",
    "(System)",
    "Diagnostic Command",
    "Heap Inspection Initiated GC",
    "Heap Dump Initiated GC",
    "JvmtiEnv ForceGarbageCollection",
    "WhiteBox Initiated",
    "Full GC for -Xshare:dump",
];

/// Whether a line of HotSpot's names a cause that somebody asked for.
pub(super) fn is_asked_for(line: &str) -> bool {
    ASKED.iter().any(|cause| line.contains(cause))
}

impl Collector {
    /// As the JVM names it in its line `Using …`.
    pub(super) fn named(text: &str) -> Option<Self> {
        let text = text.trim_ascii_end();
        Some(match text {
            "Serial" => Collector::Serial,
            "Parallel" => Collector::Parallel,
            "Concurrent Mark Sweep" => Collector::Cms,
            "G1" => Collector::G1,
            "The Z Garbage Collector" => Collector::Z,
            "Shenandoah" => Collector::Shenandoah,
            _ if text.starts_with("Epsilon") => Collector::Epsilon,
            _ => return None,
        })
    }

    /// Whether it is of a JVM.
    pub(super) fn is_jvm(self) -> bool {
        !matches!(self, Collector::Go | Collector::V8)
    }

    /// Whether it marks the whole heap beside the program, again and again.
    pub(super) fn marks_beside(self) -> bool {
        use Collector::{GenerationalShenandoah, GenerationalZ, Go, Shenandoah, V8, Z};
        matches!(self, Z | GenerationalZ | Shenandoah | GenerationalShenandoah | Go | V8)
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Collector::Serial => "Serial",
            Collector::Parallel => "Parallel",
            Collector::Cms => "CMS",
            Collector::G1 => "G1",
            Collector::Z => "ZGC",
            Collector::GenerationalZ => "generational ZGC",
            Collector::Shenandoah => "Shenandoah",
            Collector::GenerationalShenandoah => "generational Shenandoah",
            Collector::Epsilon => "Epsilon",
            Collector::Go => "Go",
            Collector::V8 => "V8",
        }
    }
}

/// When a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stamp {
    /// Seconds since the process started.
    pub uptime: Option<f64>,
    /// Unix time, seconds.
    pub unix: Option<f64>,
}

/// What kind of collection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A young pause: what survives may hold garbage of the old generation.
    Young,
    /// A pause that collects the young generation and a part of the old one (G1).
    Mixed,
    /// A pause that collects the whole heap.
    Full,
    /// A concurrent cycle that had to be finished in a pause (Shenandoah).
    Degenerated,
    /// A cycle beside the program over the whole heap (ZGC, Shenandoah, Go) or V8's mark-compact.
    Concurrent,
    /// A cycle beside the program over the young generation only.
    Minor,
}

impl Kind {
    /// Whether the program stood still for a collection of the whole heap.
    pub fn is_full(self) -> bool {
        matches!(self, Kind::Full | Kind::Degenerated)
    }
}

/// One collection, as its log line tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Collection {
    /// Its number, where there is one.
    pub id: Option<u64>,
    /// Seconds since the process started, when the line is decorated with it.
    pub uptime: Option<f64>,
    /// Unix time in seconds, when the line is decorated with it.
    pub unix: Option<f64>,
    /// Kind.
    pub kind: Kind,
    /// The collector that words it so, where the words give it away.
    pub by: Option<Collector>,
    /// The program (or a person) asked for it: `System.gc()`, `jcmd GC.run`, `runtime.GC()`.
    pub explicit: bool,
    /// It found no room to copy survivors to.
    pub failed: bool,
    /// Heap in use before, bytes.
    pub before: f64,
    /// Heap in use after, bytes.
    pub after: f64,
    /// Heap committed after, bytes; ZGC says shares instead.
    pub capacity: Option<f64>,
    /// Length of the pause, seconds; none for what runs beside the program.
    pub pause_seconds: Option<f64>,
}

impl Collection {
    /// Uptime in seconds, else Unix time in seconds, else none.
    pub fn seconds(&self) -> Option<f64> {
        self.uptime.or(self.unix)
    }
}

/// What must not happen in a healthy program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mishap {
    /// G1 found no room for survivors.
    ToSpace,
    /// The old generation had no room for what outlived the young one.
    PromotionFailed,
    /// CMS did not finish before the old generation was full.
    ConcurrentMode,
    /// A thread waited for memory; the length is the wait.
    Stall,
}

impl Mishap {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Mishap::ToSpace => "to-space exhausted or evacuation failed",
            Mishap::PromotionFailed => "promotion failed",
            Mishap::ConcurrentMode => "concurrent mode failure",
            Mishap::Stall => "allocation stall",
        }
    }
}

/// What one line tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Event {
    /// The collector's name: the JVM starts.
    Using(Collector),
    /// The heap's bound, bytes.
    HeapMax(f64),
    /// Bytes of a G1 region.
    Region(f64),
    /// Bytes of committed heap that were given back to the system (ZGC).
    GivenBack(f64),
    /// Heap committed, bytes, after some was given back (Shenandoah).
    Committed(f64),
    /// A collection ended.
    Collection(Collection),
    /// Bytes that the marking of a cycle found alive: of the whole heap, or of one generation.
    Live { id: u64, bytes: f64, young: Option<bool> },
    /// Shenandoah's pacer begins a marking: bytes it expects alive (the mean of the last five markings), and bytes free.
    Marks { expected: f64, free: Option<f64> },
    /// Shenandoah's pacer begins to evacuate: bytes free.
    Evacuates { free: f64 },
    /// Garbage that Shenandoah's marking found and will collect, bytes and hundredths of all it found; of it, bytes that
    /// are free at once.
    Garbage { id: u64, bytes: f64, percent: f64, immediate: f64 },
    /// A marking of the old generation ended (generational Shenandoah), which took a pause of so many seconds.
    OldMarked(f64),
    /// Bytes that the marking of the old generation before this one found alive.
    OldWas(f64),
    /// Bytes of the old generation when a cycle ended.
    OldLive(f64),
    /// Bytes of the old generation before and after a collection.
    Old { before: f64, after: f64, by: Collector },
    /// The same, in regions.
    OldRegions { before: f64, after: f64 },
    /// Regions of humongous objects after a collection.
    Humongous(f64),
    /// Bytes of metaspace in use.
    Metaspace(f64),
    /// A pause that collects nothing, seconds.
    Pause(f64),
    /// A remark or a cleanup freed regions of the old generation that held nothing alive (G1), in so many seconds.
    Freed(f64),
    /// The old generation was swept beside the program (CMS).
    Swept(f64),
    /// Work beside the program, seconds; `whole` when the line sums up the others of its cycle.
    Concurrent { length: f64, whole: bool },
    /// What must not happen, and the seconds that it took.
    Mishap(Mishap, f64),
}
