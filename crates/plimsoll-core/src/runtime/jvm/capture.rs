//! Artifacts of HotSpot with their measured costs, cheap to heavy.
//!
//! Constants: OpenJDK 17 and 25 with heaps up to 1.1 GiB on one machine with a fast disk; the conditions
//! stand beside each (`Cost::basis`).

use crate::classify::Cause;
use crate::fact::Fact;
use crate::recording::Recording;
use crate::runtime::price::{Line, Per, Price};
use crate::runtime::rules::{ArtifactRule, Net};
use crate::units;

const MIB: f64 = 1024.0 * 1024.0;
const GIB: f64 = 1024.0 * MIB;

/// The ladder, cheap to heavy.
pub(super) const LADDER: &[ArtifactRule] = &[
    ArtifactRule {
        id: "threads",
        name: "thread dump (Thread.print)",
        proves: &[Cause::Accumulation],
        shows: "which pool the threads belong to and where they wait",
        price: |_| {
            Ok(Price {
                per: Per::Threads,
                memory: Line { base: MIB, each: 12.0 * 1024.0 },
                disk: Line { base: MIB, each: 12.0 * 1024.0 },
                inside: Line::NONE,
                pause: Line::flat(0.05),
                running: Line::flat(0.1),
                basis: "the text is made in the JVM: 1.3 MiB of 2,000 threads with short stacks, reckoned with 12 KiB each (JDK 17)",
            })
        },
        command: |t| format!("jcmd {} Thread.print > threads.txt", t.pid_shown()),
        taken_here: false,
    },
    ArtifactRule {
        id: "nmt",
        name: "native memory summary (VM.native_memory)",
        proves: &[Cause::OffHeap, Cause::Fragmentation],
        shows: "which native account grows and what the heap has committed",
        price: |_| {
            Ok(Price {
                memory: Line::flat(1.5 * MIB),
                pause: Line::flat(0.001),
                running: Line::flat(0.1),
                basis: "0.8 MiB in the JVM (JDK 17)",
                ..Price::FREE
            })
        },
        command: |t| format!("jcmd {} VM.native_memory summary", t.pid_shown()),
        taken_here: true,
    },
    ArtifactRule {
        id: "gclog",
        name: "collection log, switched on for a window (VM.log)",
        proves: &[Cause::Churn],
        shows: "how often it collects, what stays after each, and how long it stands still",
        price: |_| {
            Ok(Price {
                memory: Line::flat(MIB),
                disk: Line::flat(8.0 * MIB),
                running: Line::flat(10.0),
                basis: "JDK 17 and 25: 1 KiB per collection into its /tmp, at most 8 MiB, taken out and removed",
                ..Price::FREE
            })
        },
        command: |t| format!("jcmd {} VM.log output=file=/tmp/gc.log what=gc*", t.pid_shown()),
        taken_here: false,
    },
    ArtifactRule {
        id: "histogram",
        name: "class histogram (GC.class_histogram -all), twice",
        proves: &[Cause::Retention, Cause::Churn],
        shows: "which classes grow between the two",
        price: |r| {
            Ok(Price {
                per: Per::JavaHeap,
                memory: Line { base: HISTOGRAM, each: marks(r.target.flag("gc")) },
                disk: Line::NONE,
                inside: Line::NONE,
                pause: Line { base: 0.02, each: 0.5 / GIB },
                running: Line::flat(0.2),
                basis: "0.3 to 0.5 s per GiB; up to 2.4 MiB in the JVM, ZGC 3 % and Shenandoah 13 % of the heap (JDK 17 and 25); -all because a forced collection can kill near the limit",
            })
        },
        command: |t| format!("jcmd {} GC.class_histogram -all", t.pid_shown()),
        taken_here: true,
    },
    ArtifactRule {
        id: "heap",
        name: "heap dump (GC.heap_dump -all)",
        proves: &[Cause::Retention],
        shows: "the holder: which static field, thread or global keeps it",
        price: heap_dump,
        command: |t| format!("jcmd {} GC.heap_dump -all heap-{}.hprof", t.pid_shown(), t.pid_shown()),
        taken_here: false,
    },
    ArtifactRule {
        id: "jfr",
        name: "flight recording with allocation samples (JFR)",
        proves: &[Cause::Churn],
        shows: "which call sites allocate",
        price: |_| {
            Ok(Price {
                memory: Line::flat(70.0 * MIB),
                disk: Line::flat(16.0 * MIB),
                running: Line::flat(60.0),
                basis: "JDK 17: 20 to 24 MiB idle, up to 65 MiB at the dump; into its /tmp, taken out and removed",
                ..Price::FREE
            })
        },
        command: |t| {
            format!("jcmd {} JFR.start duration=60s settings=profile filename=alloc.jfr", t.pid_shown())
        },
        taken_here: false,
    },
];

/// Bytes that a dump takes in the JVM: at most 3.5 MiB were measured, with heaps of 32 to 512 MiB and 2,000 threads alike.
const DUMP: f64 = 4.0 * MIB;
/// The same of a dump into a file, whose pages count until they are on the disk: the slower that is, the more. It killed 25 of 60 with
/// up to 16 MiB of headroom, and none of 48 with 20 or 32.
const DUMP_INTO_A_FILE: f64 = 32.0 * MIB;
/// The first version whose dumps may overwrite, and so go into a pipe.
const PIPES: u32 = 17;
/// The same of a histogram: 0.9 MiB of few classes, 2.4 of 4,000 that have an instance each.
const HISTOGRAM: f64 = 4.0 * MIB;

/// Bytes per byte of heap for marks of what was visited, which collectors need that have no other way over the heap: 25 of 586
/// MiB (ZGC) and 65 of 501 MiB (Shenandoah) were measured. Of one that is not known, the most.
pub fn marks(collector: Option<&str>) -> f64 {
    match collector {
        Some("G1" | "Parallel" | "Serial") => 0.0,
        Some("Z") => 0.06,
        _ => 0.16,
    }
}

/// §5 of the measured preflight: one safepoint, so the leak does not grow while it is written.
fn heap_dump(r: &Recording) -> Result<Price, String> {
    let version = r.target.runtime_version.as_deref().map_or(0, major);
    let each = marks(r.target.flag("gc"));
    let seconds = if each > 0.0 { 4.0 } else { 3.0 };
    if (1..PIPES).contains(&version) {
        return Ok(Price {
            per: Per::JavaHeap,
            memory: Line { base: DUMP_INTO_A_FILE, each },
            disk: Line::of(1.3),
            inside: Line::of(1.3),
            pause: Line { base: 0.1, each: seconds / GIB },
            running: Line::flat(0.2),
            basis: "-all into a file of its own /tmp, as a JDK before 17 writes into no pipe, taken out and removed; it cannot be broken off; it killed with up to 16 MiB of headroom, and the more the slower the disk (JDK 8 and 11, 64 MiB of heap)",
        });
    }
    Ok(Price {
        per: Per::JavaHeap,
        memory: Line { base: DUMP, each },
        // From 22 on it is told to write with one thread; 21 writes segments first.
        disk: Line::of(if version == 21 { 2.6 } else { 1.3 }),
        inside: Line::NONE,
        pause: Line { base: 0.1, each: seconds / GIB },
        running: Line::flat(0.2),
        basis: "-all through a pipe: up to 3.5 MiB in the JVM (ZGC 4 %, Shenandoah 13 % of the heap), 0.6 to 3 s per GiB (JDK 17 and 25); the target is stopped while it runs",
    })
}

fn major(version: &str) -> u32 {
    let v = version.strip_prefix("1.").unwrap_or(version);
    v.split(|c: char| !c.is_ascii_digit()).next().and_then(|d| d.parse().ok()).unwrap_or(0)
}

/// `HeapDumpOnOutOfMemoryError` fires on a Java error, not on a kernel kill: it is a net only when the heap
/// can fill before the container does.
pub(super) fn net(r: &Recording) -> Net {
    let pid = r.target.pid_shown();
    let on = r.target.flag("heapDumpOnOom").map(|v| v == "true");
    let budget = r.last(Fact::JvmHeapMax).zip(r.last(Fact::JvmHeapCommitted)).zip(r.last(Fact::Rss));
    let fits = budget
        .zip(r.last(Fact::CgroupLimit))
        .map(|(((max, held), rss), limit)| (max + (rss - held).max(0.0) <= limit, max, limit));
    match (on, fits) {
        (None, _) => Net { on: None, why: "the JVM's flags are unknown".to_owned() },
        (Some(false), _) => Net {
            on: Some(false),
            why: format!(
                "no heap dump on OutOfMemoryError; arm it live: jinfo -flag +HeapDumpOnOutOfMemoryError {pid}"
            ),
        },
        (Some(true), Some((false, max, limit))) => Net {
            on: Some(false),
            why: format!(
                "HeapDumpOnOutOfMemoryError is set, but the kernel kills first: -Xmx {} and native memory do not fit the limit of {}",
                units::bytes(max),
                units::bytes(limit)
            ),
        },
        (Some(true), _) => Net { on: Some(true), why: "HeapDumpOnOutOfMemoryError is set".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majors_of_old_and_new_version_strings() {
        assert_eq!(major("1.8.0_392"), 8);
        assert_eq!(major("17.0.15+6"), 17);
        assert_eq!(major("?"), 0);
    }
}
