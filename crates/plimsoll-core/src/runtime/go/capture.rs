//! Artifacts of Go with their measured costs, cheap to heavy. Constants: Go 1.27 on one machine.

use crate::classify::Cause;
use crate::fact::Fact;
use crate::recording::Recording;
use crate::runtime::rules::{ArtifactRule, Cost, Net};

const MIB: f64 = 1024.0 * 1024.0;
/// Bytes that `debug=1` allocates in the target per goroutine.
const GROUPED_BYTES: f64 = 220.0;

/// The ladder, cheap to heavy.
pub(super) const LADDER: &[ArtifactRule] = &[
    ArtifactRule {
        id: "goroutines",
        name: "goroutine profile, grouped (debug=1)",
        proves: &[Cause::Accumulation],
        shows: "how many goroutines are parked at which line",
        cost: |r| {
            let n =
                r.last(Fact::Goroutines).ok_or("the number of goroutines is unknown (no pprof endpoint)")?;
            Ok(Cost {
                memory: MIB + GROUPED_BYTES * n,
                disk: 0.0,
                pause: 0.0,
                running: 0.05 + n * 1.4e-6,
                basis: "220 B per goroutine in the target, no visible pause (Go 1.27, up to 500,000)",
            })
        },
        command: |_| "curl -s http://HOST:PORT/debug/pprof/goroutine?debug=1 > goroutines.txt".to_owned(),
        taken_here: true,
    },
    ArtifactRule {
        id: "heap",
        name: "heap profile (inuse_space), two to compare",
        proves: &[Cause::Retention, Cause::Churn],
        shows: "which call sites hold the memory, and which allocate",
        cost: |_| {
            Ok(Cost {
                memory: MIB,
                disk: MIB,
                pause: 0.0,
                running: 0.01,
                basis: "2 KiB and under 5 ms (Go 1.27)",
            })
        },
        command: |_| "curl -s http://HOST:PORT/debug/pprof/heap > heap.pb.gz".to_owned(),
        taken_here: false,
    },
    ArtifactRule {
        id: "smaps",
        name: "smaps of the process",
        proves: &[Cause::OffHeap, Cause::Fragmentation],
        shows: "which mappings outside the Go heap grow (cgo, mmap)",
        cost: |_| Ok(Cost { memory: 0.0, disk: MIB, pause: 0.0, running: 0.05, basis: "read from outside" }),
        command: |t| format!("cat /proc/{}/smaps > smaps.txt", t.pid_shown()),
        taken_here: true,
    },
];

/// Go keeps nothing when the kernel kills it.
pub(super) fn net(r: &Recording) -> Net {
    let endpoint = r.last(Fact::Goroutines).is_some();
    let why = if endpoint {
        "a kernel kill leaves no profile; the pprof endpoint answers now, so take the profiles before it"
    } else {
        "a kernel kill leaves no profile, and no pprof endpoint was found: import net/http/pprof"
    };
    Net { on: Some(false), why: why.to_owned() }
}
