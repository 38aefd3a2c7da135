//! Artifacts of Go with their measured costs, cheap to heavy. Constants: Go 1.27 on one machine.
//!
//! What is read from outside costs the program nothing and needs no endpoint of it, but a version whose records are known.

use crate::artifact::Artifact;
use crate::classify::Cause;
use crate::fact::Fact;
use crate::recording::Recording;
use crate::runtime::price::{Line, Per, Price};
use crate::runtime::rules::{ArtifactRule, Net};

use super::version::{FROM_OUTSIDE, minor};

const MIB: f64 = 1024.0 * 1024.0;
/// Frames that a goroutine is taken to have while nobody has seen its stack.
const FRAMES: f64 = 32.0;
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
                memory: Line { base: MIB, each: profile_bytes(frames(r)) },
                running: Line { base: 0.05, each: 1.4e-6 },
                basis: "for each goroutine 0.1 KB and 50 B a frame in the target (Go 1.27); their full stacks only where there is room for them, too",
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
                basis: "0.6 MiB in the target for two of them, with their collections; under 5 ms (Go 1.27)",
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

/// Bytes that one profile of goroutines takes in the target for each: 260 of 2 frames, 1,700 of 32, 3,700 of 92 were measured
/// (Go 1.27). Of frames that nobody has seen, many.
pub fn profile_bytes(frames: Option<f64>) -> f64 {
    100.0 + 50.0 * (2.0 + frames.unwrap_or(FRAMES))
}

/// Bytes that the text of their full stacks takes for each: 2.2 times what comes out, which is 200 of 2 frames and 2,780 of 32.
pub fn stacks_bytes(frames: Option<f64>) -> f64 {
    2.3 * (100.0 + 90.0 * frames.unwrap_or(FRAMES))
}

/// Frames of a goroutine, as they were seen last.
fn frames(r: &Recording) -> Option<f64> {
    r.artifacts
        .iter()
        .rev()
        .find_map(|(_, a)| if let Artifact::Goroutines { frames, .. } = a { *frames } else { None })
}

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
    let why = || r.unknown.get(&Fact::GoHeapAlloc).cloned().unwrap_or_else(|| "nobody asked it".to_owned());
    r.last(Fact::GoHeapAlloc).map(|_| ()).ok_or_else(|| format!("no pprof endpoint answers: {}", why()))
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
