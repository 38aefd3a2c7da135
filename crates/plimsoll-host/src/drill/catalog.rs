//! The war stories: name, truth and program, one entry each.

use plimsoll_core::classify::Cause;

/// Language of a drill's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// JVM.
    Java,
    /// Go, standard library only.
    Go,
    /// Node.js.
    Node,
    /// CPython.
    Python,
    /// C.
    C,
    /// Rust.
    Rust,
}

impl Language {
    /// True where `RLIMIT_DATA` can stand in for a control group: the runtimes that reserve large heaps
    /// would fail at once under it, and they have bounds of their own.
    pub fn bounds_data_segment(self) -> bool {
        !matches!(self, Language::Java | Language::Node)
    }
}

/// One war story as a program.
#[derive(Debug)]
pub struct Drill {
    /// Name on the command line.
    pub name: &'static str,
    /// The name with which a variant is asked for, `NAME:VARIANT`; the first of a name is the default.
    pub variant: &'static str,
    /// What happens, in a sentence.
    pub story: &'static str,
    /// The truth.
    pub truth: Cause,
    /// Other causes that are not wrong.
    pub accepted: &'static [Cause],
    /// Language of the source.
    pub language: Language,
    /// File name of the source.
    pub file: &'static str,
    /// The source.
    pub source: &'static str,
    /// Arguments for the runtime.
    pub runtime_args: &'static [&'static str],
    /// Growth in KiB per second.
    pub rate: u64,
    /// Limit of the container in MiB.
    pub limit_mib: u64,
    /// How the fix looks.
    pub fix: &'static str,
}

macro_rules! source {
    ($folder:literal, $file:literal) => {
        include_str!(concat!("../../../../drills/", $folder, "/", $file))
    };
}

/// A healthy program: no cause may be named with certainty.
const HEALTHY: &[Cause] = &[Cause::Undecided];

/// Every drill.
pub static DRILLS: &[Drill] = &[
    Drill {
        name: "unbounded-cache",
        variant: "native",
        story: "a cache keyed by the full request URL, whose entries never expire",
        truth: Cause::Retention,
        accepted: &[],
        language: Language::Rust,
        file: "unbounded_cache.rs",
        source: source!("rust", "unbounded_cache.rs"),
        runtime_args: &[],
        rate: 1400,
        limit_mib: 192,
        fix: "bound the cache and normalise the key to the route",
    },
    Drill {
        name: "unbounded-cache",
        variant: "jvm",
        story: "a static map keyed by the full request URL, whose entries never expire",
        truth: Cause::Retention,
        accepted: &[],
        language: Language::Java,
        file: "UnboundedCache.java",
        source: source!("java", "UnboundedCache.java"),
        runtime_args: &["-Xmx160m", "-XX:NativeMemoryTracking=summary", "-Xlog:gc*:file=gc.log"],
        rate: 1300,
        limit_mib: 384,
        fix: "bound the map (LRU) and normalise the key to the route template",
    },
    Drill {
        name: "fragmentation",
        variant: "jvm",
        story: "bursts of large arrays over a flat live set: the collector commits and does not return",
        truth: Cause::Fragmentation,
        accepted: &[Cause::OverBudget],
        language: Language::Java,
        file: "Fragmentation.java",
        source: source!("java", "Fragmentation.java"),
        runtime_args: &[
            "-Xmx1g",
            "-Xmn32m",
            "-XX:+UseG1GC",
            "-XX:NativeMemoryTracking=summary",
            "-Xlog:gc*:file=gc.log",
        ],
        rate: 3000,
        limit_mib: 512,
        fix: "a collector that uncommits (G1PeriodicGCInterval, Shenandoah, ZGC), or -Xmx that fits the limit",
    },
    Drill {
        name: "fragmentation",
        variant: "glibc",
        story: "large buffers shrunk in place leave holes that the next one does not fit: free memory inside the allocator",
        truth: Cause::Fragmentation,
        accepted: &[],
        language: Language::C,
        file: "fragmentation.c",
        source: source!("c", "fragmentation.c"),
        runtime_args: &[],
        rate: 1400,
        limit_mib: 192,
        fix: "size classes or pools, malloc_trim, or an allocator that returns memory",
    },
    Drill {
        name: "goroutine-leak",
        variant: "go",
        story: "each timed-out request leaves a goroutine that waits for an answer which never comes",
        truth: Cause::Accumulation,
        accepted: &[],
        language: Language::Go,
        file: "goroutine_leak.go",
        source: source!("go", "goroutine_leak.go"),
        runtime_args: &[],
        rate: 1400,
        limit_mib: 192,
        fix: "select on ctx.Done() as well, and cancel the context when the request ends",
    },
    Drill {
        name: "off-heap",
        variant: "direct",
        story: "direct buffers whose owners stay reachable",
        truth: Cause::OffHeap,
        accepted: &[],
        language: Language::Java,
        file: "DirectBuffers.java",
        source: source!("java", "DirectBuffers.java"),
        runtime_args: &[
            "-Xmx64m",
            "-XX:MaxDirectMemorySize=1g",
            "-XX:NativeMemoryTracking=summary",
            "-Xlog:gc*:file=gc.log",
        ],
        rate: 1400,
        limit_mib: 288,
        fix: "pool the buffers, or let their owners go",
    },
    Drill {
        name: "off-heap",
        variant: "native",
        story: "deflaters that are never ended: zlib state that no account of the JVM sees",
        truth: Cause::OffHeap,
        accepted: &[],
        language: Language::Java,
        file: "NativeDeflater.java",
        source: source!("java", "NativeDeflater.java"),
        runtime_args: &["-Xmx64m", "-XX:NativeMemoryTracking=summary", "-Xlog:gc*:file=gc.log"],
        rate: 1400,
        limit_mib: 288,
        fix: "call end() (try-with-resources) on every Deflater and Inflater",
    },
    Drill {
        name: "thread-leak",
        variant: "jvm",
        story: "a pool per request that is never shut down",
        truth: Cause::Accumulation,
        accepted: &[],
        language: Language::Java,
        file: "ThreadLeak.java",
        source: source!("java", "ThreadLeak.java"),
        runtime_args: &["-Xmx64m", "-XX:NativeMemoryTracking=summary", "-Xlog:gc*:file=gc.log"],
        rate: 1200,
        limit_mib: 256,
        fix: "one shared pool, or shut the pool down with its request",
    },
    Drill {
        name: "churn",
        variant: "jvm",
        story: "garbage as fast as it can be made, over a flat floor",
        truth: Cause::Churn,
        accepted: &[],
        language: Language::Java,
        file: "Churn.java",
        source: source!("java", "Churn.java"),
        runtime_args: &["-Xmx96m", "-XX:NativeMemoryTracking=summary", "-Xlog:gc*:file=gc.log"],
        rate: 600_000,
        limit_mib: 320,
        fix: "allocate less on the hot path: reuse buffers, avoid boxing and copies",
    },
    Drill {
        name: "closures",
        variant: "node",
        story: "a listener per request that is never removed: each closure keeps its request",
        truth: Cause::Retention,
        accepted: &[],
        language: Language::Node,
        file: "closures.js",
        source: source!("node", "closures.js"),
        runtime_args: &["--max-old-space-size=160", "--trace-gc"],
        rate: 1200,
        limit_mib: 384,
        fix: "remove the listener when the request ends",
    },
    Drill {
        name: "global-list",
        variant: "python",
        story: "a module-level list that every request appends to",
        truth: Cause::Retention,
        accepted: &[],
        language: Language::Python,
        file: "global_list.py",
        source: source!("python", "global_list.py"),
        runtime_args: &[],
        rate: 1400,
        limit_mib: 192,
        fix: "a bounded deque, or no list at all",
    },
    Drill {
        name: "native-leak",
        variant: "c",
        story: "a buffer per request that no path frees",
        truth: Cause::Retention,
        accepted: &[],
        language: Language::C,
        file: "native_leak.c",
        source: source!("c", "native_leak.c"),
        runtime_args: &[],
        rate: 1400,
        limit_mib: 192,
        fix: "free the buffer on every path",
    },
    Drill {
        name: "native-leak",
        variant: "rust",
        story: "a box per request that is forgotten",
        truth: Cause::Retention,
        accepted: &[],
        language: Language::Rust,
        file: "native_leak.rs",
        source: source!("rust", "native_leak.rs"),
        runtime_args: &[],
        rate: 1400,
        limit_mib: 192,
        fix: "let the box drop",
    },
    Drill {
        name: "sawtooth",
        variant: "jvm",
        story: "healthy: garbage comes and goes, the floor is flat",
        truth: Cause::None,
        accepted: HEALTHY,
        language: Language::Java,
        file: "Sawtooth.java",
        source: source!("java", "Sawtooth.java"),
        runtime_args: &["-Xmx96m", "-Xms96m", "-XX:NativeMemoryTracking=summary", "-Xlog:gc*:file=gc.log"],
        rate: 12_000,
        limit_mib: 256,
        fix: "nothing to fix",
    },
    Drill {
        name: "warm-up",
        variant: "jvm",
        story: "healthy: pools and first requests fill memory that then stays",
        truth: Cause::None,
        accepted: HEALTHY,
        language: Language::Java,
        file: "WarmUp.java",
        source: source!("java", "WarmUp.java"),
        runtime_args: &["-Xmx160m", "-XX:NativeMemoryTracking=summary", "-Xlog:gc*:file=gc.log"],
        rate: 4000,
        limit_mib: 384,
        fix: "nothing to fix",
    },
    Drill {
        name: "bounded-cache",
        variant: "native",
        story: "healthy: a cache that fills to its bound and then replaces",
        truth: Cause::None,
        accepted: HEALTHY,
        language: Language::Rust,
        file: "bounded_cache.rs",
        source: source!("rust", "bounded_cache.rs"),
        runtime_args: &[],
        rate: 1400,
        limit_mib: 256,
        fix: "nothing to fix",
    },
    Drill {
        name: "bounded-cache",
        variant: "jvm",
        story: "healthy: a least-recently-used cache that fills to its bound",
        truth: Cause::None,
        accepted: HEALTHY,
        language: Language::Java,
        file: "BoundedCache.java",
        source: source!("java", "BoundedCache.java"),
        runtime_args: &["-Xmx160m", "-XX:NativeMemoryTracking=summary", "-Xlog:gc*:file=gc.log"],
        rate: 1600,
        limit_mib: 384,
        fix: "nothing to fix",
    },
    Drill {
        name: "diurnal",
        variant: "python",
        story: "healthy: memory follows a load that follows a (short) day",
        truth: Cause::None,
        accepted: HEALTHY,
        language: Language::Python,
        file: "diurnal.py",
        source: source!("python", "diurnal.py"),
        runtime_args: &[],
        rate: 1400,
        limit_mib: 256,
        fix: "nothing to fix",
    },
];

impl Drill {
    /// `name` or `name:variant`, as the command line takes it.
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.name, self.variant)
    }

    /// True for the programs that leak.
    pub fn leaks(&self) -> bool {
        self.truth != Cause::None
    }
}

/// The drill of that name; `name:variant` picks a variant, `name` alone the first.
pub fn find(text: &str) -> Option<&'static Drill> {
    DRILLS.iter().find(|d| d.name == text || d.full_name() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_cause_has_a_drill() {
        for (i, d) in DRILLS.iter().enumerate() {
            assert!(
                DRILLS[i + 1..].iter().all(|e| e.full_name() != d.full_name()),
                "{} twice",
                d.full_name()
            );
            assert!(d.source.contains("Drill:"), "{}: the source does not say what it is", d.file);
        }
        for cause in
            [Cause::Retention, Cause::Fragmentation, Cause::OffHeap, Cause::Churn, Cause::Accumulation]
        {
            assert!(DRILLS.iter().any(|d| d.truth == cause), "no drill for {}", cause.name());
        }
        assert_eq!(find("unbounded-cache").map(|d| d.variant), Some("native"));
        assert_eq!(find("off-heap:native").map(|d| d.file), Some("NativeDeflater.java"));
        assert!(find("nothing").is_none());
    }
}
