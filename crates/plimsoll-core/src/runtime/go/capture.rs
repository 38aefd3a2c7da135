//! Artifacts of Go with their measured costs, cheap to heavy. Constants: Go 1.27 on one machine.
//!
//! What is read from outside costs the program nothing and needs no endpoint of it, but a version whose records are known.

use crate::classify::Cause;
use crate::fact::Fact;
use crate::recording::Recording;
use crate::runtime::price::{Line, Per, Price};
use crate::runtime::rules::{ArtifactRule, Net};

use super::version::{FROM_OUTSIDE, minor};

const MIB: f64 = 1024.0 * 1024.0;
/// Bytes that the goroutine profiles allocate in the target per goroutine: 220 for the groups alone, more for their full stacks.
const GROUPED_BYTES: f64 = 768.0;
/// Seconds per goroutine that reading from outside takes.
const OUTSIDE_SECONDS: f64 = 2e-6;

/// The ladder, cheap to heavy.
pub(super) const LADDER: &[ArtifactRule] = &[
    ArtifactRule {
        id: "stacks",
        name: "goroutines with their stacks, read from outside",
        proves: &[Cause::Accumulation],
        shows: "how many goroutines wait for what at which line, and who started them",
        price: |r| {
            let running = Line { base: 0.1, each: OUTSIDE_SECONDS };
            let basis = "read from its memory: it goes on and needs no endpoint; up to 500,000 goroutines";
            // How many there are, nobody says but an endpoint.
            let per = r.last(Fact::Goroutines).map_or(Per::Nothing, |_| Per::Goroutines);
            Ok(Price { per, running, basis, ..outside(r)? })
        },
        command: |t| format!("plimsoll capture {} --artifact stacks --go", t.pid_shown()),
        taken_here: false,
    },
    ArtifactRule {
        id: "sites",
        name: "memory profile, read from outside, two to compare",
        proves: &[Cause::Retention, Cause::Churn],
        shows: "which call sites hold the memory, and which allocate",
        price: outside,
        command: |t| format!("plimsoll capture {} --artifact sites --go", t.pid_shown()),
        taken_here: false,
    },
    ArtifactRule {
        id: "goroutines",
        name: "goroutine profile, grouped (debug=1)",
        proves: &[Cause::Accumulation],
        shows: "how many goroutines are parked at which line",
        price: |r| {
            answers(r)?;
            Ok(Price {
                per: Per::Goroutines,
                memory: Line { base: MIB, each: GROUPED_BYTES },
                running: Line { base: 0.05, each: 1.4e-6 },
                basis: "up to 768 B per goroutine in the target with their stacks, which are taken up to 20,000 of them (Go 1.27)",
                ..Price::FREE
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
        price: |r| {
            answers(r)?;
            Ok(Price {
                memory: Line::flat(MIB),
                disk: Line::flat(MIB),
                running: Line::flat(0.01),
                basis: "2 KiB and under 5 ms (Go 1.27)",
                ..Price::FREE
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
        price: |_| Ok(Price { disk: Line::flat(MIB), running: Line::flat(0.05), ..Price::FREE }),
        command: |t| format!("cat /proc/{}/smaps > smaps.txt", t.pid_shown()),
        taken_here: true,
    },
];

/// What costs the program nothing, while its version is one that can be read.
fn outside(r: &Recording) -> Result<Price, String> {
    let version = r.target.runtime_version.as_deref().ok_or("its version of Go is unknown")?;
    if !minor(version).is_some_and(|m| FROM_OUTSIDE.contains(&m)) {
        let (first, last) = (FROM_OUTSIDE.start(), FROM_OUTSIDE.end());
        return Err(format!("{version}: Go 1.{first} to 1.{last} can be read from outside"));
    }
    let basis = "read from its memory: it goes on and needs no endpoint";
    Ok(Price { disk: Line::flat(MIB), running: Line::flat(0.1), basis, ..Price::FREE })
}

/// An endpoint is known by numbers that only it tells.
fn answers(r: &Recording) -> Result<(), String> {
    r.last(Fact::GoHeapAlloc).map(|_| ()).ok_or_else(|| "no pprof endpoint answers".to_owned())
}

/// Go keeps nothing when the kernel kills it.
pub(super) fn net(r: &Recording) -> Net {
    let why = if answers(r).is_ok() {
        "a kernel kill leaves no profile; the pprof endpoint answers now, so take the profiles before it"
    } else {
        "a kernel kill leaves no profile, and no pprof endpoint was found: import net/http/pprof"
    };
    Net { on: Some(false), why: why.to_owned() }
}
