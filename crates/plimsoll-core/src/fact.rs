//! The registry of observable numbers: each fact is declared once, with key, unit and meaning.
//!
//! Text, JSON, recordings and docs derive from this table, so adding a fact is one line here and the
//! source that fills it. A missing number is a [`Reading::Unknown`] with its reason, never 0 and never −1.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a fact's number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// A plain count.
    Count,
    /// Seconds.
    Seconds,
    /// A share between 0 and 1.
    Ratio,
    /// Events per second.
    PerSecond,
}

/// How a fact's number moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Motion {
    /// May rise and fall.
    Gauge,
    /// Only rises within one run of the process.
    Counter,
    /// Written once per garbage collection: each new value is a post-collection floor point.
    PostCollection,
    /// A bound, which changes rarely.
    Limit,
}

macro_rules! facts {
    ($( $(#[doc = $doc:expr])+ $name:ident = $key:literal, $unit:ident, $motion:ident; )+) => {
        /// One observable number of a process, its container or its machine.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Fact { $( $(#[doc = $doc])+ $name, )+ }

        impl Fact {
            /// Every fact, in the order of declaration.
            pub const ALL: &'static [Fact] = &[ $( Fact::$name, )+ ];

            /// The stable name used in recordings and JSON, such as `process.rss`.
            pub fn key(self) -> &'static str { match self { $( Fact::$name => $key, )+ } }

            /// What the number counts.
            pub fn unit(self) -> Unit { match self { $( Fact::$name => Unit::$unit, )+ } }

            /// How the number moves.
            pub fn motion(self) -> Motion { match self { $( Fact::$name => Motion::$motion, )+ } }

            /// The meaning, in one sentence.
            pub fn doc(self) -> &'static str {
                match self { $( Fact::$name => concat!($($doc),+).trim_start(), )+ }
            }

            /// The fact of that key.
            pub fn from_key(key: &str) -> Option<Fact> {
                match key { $( $key => Some(Fact::$name), )+ _ => None }
            }
        }
    };
}

facts! {
    /// Resident set size (`/proc/PID/statm`).
    Rss = "process.rss", Bytes, Gauge;
    /// Resident anonymous memory (`RssAnon`).
    RssAnon = "process.rssAnon", Bytes, Gauge;
    /// Resident file-backed memory (`RssFile`).
    RssFile = "process.rssFile", Bytes, Gauge;
    /// Resident shared memory (`RssShmem`): also JDK 17 ZGC's heap.
    RssShmem = "process.rssShmem", Bytes, Gauge;
    /// Private data mappings (`VmData`), what `RLIMIT_DATA` bounds.
    VmData = "process.vmData", Bytes, Gauge;
    /// Virtual size (`VmSize`), what `RLIMIT_AS` bounds.
    VmSize = "process.vmSize", Bytes, Gauge;
    /// Swapped-out memory (`VmSwap`).
    Swap = "process.swap", Bytes, Gauge;
    /// Proportional set size (`smaps_rollup`).
    Pss = "process.pss", Bytes, Gauge;
    /// Proportional anonymous memory (`smaps_rollup`).
    PssAnon = "process.pssAnon", Bytes, Gauge;
    /// Resident bytes of the brk heap (`smaps`, `[heap]`).
    SmapsHeap = "process.smaps.brk", Bytes, Gauge;
    /// Resident bytes of glibc's secondary arenas (`smaps`, 64 MiB aligned reserve blocks).
    SmapsArenas = "process.smaps.arenas", Bytes, Gauge;
    /// Number of glibc's arenas beside the main one (by the heads of their heaps; else what looks so in `smaps`).
    ArenaCount = "process.smaps.arenaCount", Count, Gauge;
    /// Resident bytes of thread stacks recognised in `smaps`.
    SmapsStacks = "process.smaps.stacks", Bytes, Gauge;
    /// Resident bytes of other anonymous mappings (`smaps`).
    SmapsAnonOther = "process.smaps.anonOther", Bytes, Gauge;
    /// Resident bytes of file mappings (`smaps`).
    SmapsFile = "process.smaps.file", Bytes, Gauge;
    /// Bytes in allocated chunks of the C library's allocator, read from outside (glibc).
    MallocInUse = "malloc.inUse", Bytes, Gauge;
    /// Bytes in free chunks that the C library's allocator holds and does not return (glibc).
    MallocFree = "malloc.free", Bytes, Gauge;
    /// Threads of the process.
    Threads = "process.threads", Count, Gauge;
    /// Open file descriptors.
    Fds = "process.fds", Count, Gauge;
    /// Major page faults since the start.
    MajorFaults = "process.majorFaults", Count, Counter;
    /// Soft `RLIMIT_DATA`.
    RlimitData = "process.rlimitData", Bytes, Limit;
    /// Soft `RLIMIT_AS`.
    RlimitAs = "process.rlimitAs", Bytes, Limit;

    /// Memory charged to the binding control group, with cache.
    CgroupUsage = "cgroup.usage", Bytes, Gauge;
    /// Anonymous memory of the group.
    CgroupAnon = "cgroup.anon", Bytes, Gauge;
    /// Shared memory and tmpfs charged to the group (not reclaimable without swap).
    CgroupShmem = "cgroup.shmem", Bytes, Gauge;
    /// Page cache of the group.
    CgroupFile = "cgroup.file", Bytes, Gauge;
    /// Kernel memory of the group (slab, stacks, page tables, sockets).
    CgroupKernel = "cgroup.kernel", Bytes, Gauge;
    /// Memory of the group that reclaim cannot free: anon + shmem + unreclaimable kernel. The number that kills.
    CgroupUnreclaimable = "cgroup.unreclaimable", Bytes, Gauge;
    /// The tightest hard limit of the group and its ancestors.
    CgroupLimit = "cgroup.limit", Bytes, Limit;
    /// The tightest throttling limit (`memory.high`) of the group and its ancestors.
    CgroupHigh = "cgroup.high", Bytes, Limit;
    /// Times the group hit its limit (v1 `failcnt`, v2 `memory.events` max).
    CgroupLimitHits = "cgroup.limitHits", Count, Counter;
    /// OOM kills in the group.
    CgroupOomKills = "cgroup.oomKills", Count, Counter;
    /// Pages faulted back in soon after they were evicted (`workingset_refault*`).
    CgroupRefaults = "cgroup.refaults", Count, Counter;
    /// Processes in the group.
    CgroupProcesses = "cgroup.processes", Count, Gauge;
    /// Seconds in which some task of the group stalled on memory (PSI total).
    CgroupPsiSome = "cgroup.psiSome", Seconds, Counter;
    /// Seconds in which all tasks of the group stalled on memory (PSI total).
    CgroupPsiFull = "cgroup.psiFull", Seconds, Counter;

    /// Memory of the machine.
    HostTotal = "host.total", Bytes, Limit;
    /// Memory that the machine can still hand out (`MemAvailable`).
    HostAvailable = "host.available", Bytes, Gauge;
    /// Swap that is still free.
    HostSwapFree = "host.swapFree", Bytes, Gauge;
    /// Seconds in which some task of the machine stalled on memory (PSI total).
    HostPsiSome = "host.psiSome", Seconds, Counter;
    /// Seconds in which all tasks of the machine stalled on memory (PSI total).
    HostPsiFull = "host.psiFull", Seconds, Counter;
    /// OOM kills on the machine since boot.
    HostOomKills = "host.oomKills", Count, Counter;

    /// JVM heap in use, garbage included.
    JvmHeapUsed = "jvm.heap.used", Bytes, Gauge;
    /// JVM heap committed.
    JvmHeapCommitted = "jvm.heap.committed", Bytes, Gauge;
    /// JVM heap bound (-Xmx).
    JvmHeapMax = "jvm.heap.max", Bytes, Limit;
    /// Bound of the old generation, where it is a part of its own (Serial, Parallel).
    JvmOldMax = "jvm.old.max", Bytes, Limit;
    /// Old generation (or whole heap) in use at the end of the last collection that says so: the floor.
    JvmLive = "jvm.heap.live", Bytes, PostCollection;
    /// Young collections since the start.
    JvmYoungGcs = "jvm.gc.young", Count, Counter;
    /// Full or old collections since the start.
    JvmFullGcs = "jvm.gc.full", Count, Counter;
    /// Seconds spent in collection pauses since the start.
    JvmGcSeconds = "jvm.gc.seconds", Seconds, Counter;
    /// Bytes allocated since the start, as far as the JVM says.
    JvmAllocated = "jvm.allocated", Bytes, Counter;
    /// Metaspace in use.
    JvmMetaspaceUsed = "jvm.metaspace.used", Bytes, Gauge;
    /// Metaspace bound (-XX:MaxMetaspaceSize), when one is set.
    JvmMetaspaceMax = "jvm.metaspace.max", Bytes, Limit;
    /// Classes loaded now.
    JvmClasses = "jvm.classes", Count, Gauge;
    /// Live Java threads.
    JvmThreads = "jvm.threads", Count, Gauge;
    /// Direct buffer bound (-XX:MaxDirectMemorySize; by default the heap's bound).
    JvmDirectMax = "jvm.direct.max", Bytes, Limit;
    /// NMT: committed in all categories.
    JvmNmtTotal = "jvm.nmt.total", Bytes, Gauge;
    /// NMT: Java heap committed.
    JvmNmtHeap = "jvm.nmt.heap", Bytes, Gauge;
    /// NMT: thread stacks and structures committed.
    JvmNmtThread = "jvm.nmt.thread", Bytes, Gauge;
    /// NMT: classes and metaspace committed.
    JvmNmtClass = "jvm.nmt.class", Bytes, Gauge;
    /// NMT: code cache committed.
    JvmNmtCode = "jvm.nmt.code", Bytes, Gauge;
    /// NMT: the collector's own structures committed.
    JvmNmtGc = "jvm.nmt.gc", Bytes, Gauge;
    /// NMT: "Other", where direct buffers and Unsafe memory are booked.
    JvmNmtOther = "jvm.nmt.other", Bytes, Gauge;

    /// Go heap objects in use, garbage included (HeapAlloc).
    GoHeapAlloc = "go.heap.alloc", Bytes, Gauge;
    /// Go heap that the last mark found live: the floor.
    GoLive = "go.heap.live", Bytes, PostCollection;
    /// Go heap spans in use (HeapInuse).
    GoHeapInuse = "go.heap.inuse", Bytes, Gauge;
    /// Go heap obtained and kept from the system (HeapSys − HeapReleased).
    GoHeapHeld = "go.heap.held", Bytes, Gauge;
    /// Go stacks in use.
    GoStackInuse = "go.stack.inuse", Bytes, Gauge;
    /// All memory that the Go runtime obtained from the system (Sys).
    GoSys = "go.sys", Bytes, Gauge;
    /// Goroutines.
    Goroutines = "go.goroutines", Count, Gauge;
    /// Go collections since the start.
    GoGcs = "go.gc", Count, Counter;
    /// Share of CPU that the Go collector took since the start.
    GoGcCpu = "go.gc.cpuShare", Ratio, Gauge;
    /// Bytes allocated since the start (TotalAlloc).
    GoAllocated = "go.allocated", Bytes, Counter;
    /// GOMEMLIMIT, when one is set.
    GoMemLimit = "go.memLimit", Bytes, Limit;

    /// V8 heap in use, garbage included.
    V8HeapUsed = "v8.heap.used", Bytes, Gauge;
    /// V8 heap committed.
    V8HeapTotal = "v8.heap.total", Bytes, Gauge;
    /// V8 heap bound (--max-old-space-size and the young spaces).
    V8HeapLimit = "v8.heap.limit", Bytes, Limit;
    /// V8 heap in use after the last mark-compact: the floor.
    V8Live = "v8.heap.live", Bytes, PostCollection;
    /// Memory outside V8's heap held by its objects (external and array buffers).
    V8External = "v8.external", Bytes, Gauge;
    /// Mark-compact collections since the start.
    V8MarkCompacts = "v8.gc.markCompact", Count, Counter;
    /// Scavenges since the start.
    V8Scavenges = "v8.gc.scavenge", Count, Counter;

    /// Blocks that CPython's allocator holds (`sys.getallocatedblocks`, where a metric exports it).
    PyBlocks = "python.blocks", Count, Gauge;
    /// Objects that CPython's collector tracks (where a metric exports it).
    PyObjects = "python.gcObjects", Count, Gauge;

    /// Work done by the service per second (from a recording or a metric): the load of the regression.
    Load = "load", PerSecond, Gauge;
    /// Usage from a recording that names no source.
    RecordedUsage = "recorded.usage", Bytes, Gauge;
    /// Post-collection heap from a recording that names no source.
    RecordedLive = "recorded.live", Bytes, PostCollection;
    /// Limit given with a recording.
    RecordedLimit = "recorded.limit", Bytes, Limit;
}

/// A number, or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reading {
    /// The number, in the fact's unit.
    Known(f64),
    /// Why the number could not be had.
    Unknown(String),
}

impl Reading {
    /// An unknown with its reason.
    pub fn unknown(why: impl Into<String>) -> Self {
        Reading::Unknown(why.into())
    }

    /// The number, if there is one.
    pub fn known(&self) -> Option<f64> {
        match self {
            Reading::Known(v) => Some(*v),
            Reading::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl Serialize for Fact {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.key())
    }
}

impl<'de> Deserialize<'de> for Fact {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let key = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Fact::from_key(&key).ok_or_else(|| serde::de::Error::custom(format!("no fact is called {key:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_dotted_camel_case_and_round_trip() {
        for (i, f) in Fact::ALL.iter().enumerate() {
            assert!(f.key().chars().all(|c| c.is_ascii_alphanumeric() || c == '.'), "{f}");
            assert_eq!(Fact::from_key(f.key()), Some(*f));
            assert!(Fact::ALL[i + 1..].iter().all(|g| g.key() != f.key()), "{f} stands twice");
            assert!(!f.doc().is_empty() && f.doc().ends_with('.'), "{f} has no sentence");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let e = serde_json::from_str::<Fact>("\"process.nope\"").unwrap_err();
        assert!(e.to_string().contains("process.nope"), "{e}");
    }
}
