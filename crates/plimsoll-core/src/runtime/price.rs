//! What an artifact costs, as straight lines over the size of what it is taken of: constants with their conditions.

use serde::{Deserialize, Serialize};

use super::rules::Cost;
use crate::fact::Fact;
use crate::recording::Recording;

/// `base + each × size`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Line {
    /// At no size.
    pub base: f64,
    /// For each of what the size counts.
    pub each: f64,
}

impl Line {
    /// Nothing at any size.
    pub const NONE: Line = Line::flat(0.0);

    /// The same at any size.
    pub const fn flat(base: f64) -> Line {
        Line { base, each: 0.0 }
    }

    /// In proportion to the size.
    pub const fn of(each: f64) -> Line {
        Line { base: 0.0, each }
    }

    /// At a size.
    pub fn at(self, size: f64) -> f64 {
        self.base + self.each * size
    }
}

/// What the size of a target counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Nothing: it costs the same at any size.
    Nothing,
    /// Bytes in use in a Java heap.
    JavaHeap,
    /// Bytes in use in a V8 heap.
    V8Heap,
    /// Goroutines.
    Goroutines,
    /// Threads.
    Threads,
    /// Bytes resident of the process's own.
    Resident,
}

impl Per {
    /// The size of a target, or why it is unknown.
    pub fn of(self, r: &Recording) -> Result<f64, String> {
        let (facts, unknown): (&[Fact], &str) = match self {
            Per::Nothing => return Ok(0.0),
            // A heap that nobody tells of is not larger than all that is resident.
            Per::JavaHeap => (&[Fact::JvmHeapUsed, Fact::Rss], "its resident size is unknown"),
            Per::V8Heap => (
                &[Fact::V8HeapUsed, Fact::V8Live],
                "the heap's size is unknown (no --trace-gc output, inspector or metrics)",
            ),
            Per::Goroutines => (&[Fact::Goroutines], "the number of goroutines is unknown"),
            Per::Threads => (&[Fact::Threads], "the number of threads is unknown"),
            Per::Resident => (&[Fact::RssAnon, Fact::Rss], "its resident size is unknown"),
        };
        facts.iter().find_map(|f| r.last(*f)).ok_or_else(|| unknown.to_owned())
    }

    /// A size in words.
    pub fn shown(self, size: f64) -> String {
        match self {
            Per::Nothing => "any size".to_owned(),
            Per::JavaHeap | Per::V8Heap => format!("{} of heap", crate::units::bytes(size)),
            Per::Goroutines => format!("{size:.0} goroutines"),
            Per::Threads => format!("{size:.0} threads"),
            Per::Resident => format!("{} resident", crate::units::bytes(size)),
        }
    }
}

/// The price of an artifact under some conditions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// What the size counts.
    pub per: Per,
    /// Memory inside the target's limit, bytes.
    pub memory: Line,
    /// Disk at the destination, bytes.
    pub disk: Line,
    /// Disk in the target's own `/tmp`, bytes: it is written there, taken out and removed.
    pub inside: Line,
    /// Pause of the target, seconds.
    pub pause: Line,
    /// Seconds during which the target goes on allocating while the artifact is taken.
    pub running: Line,
    /// Where the figures come from and for which conditions they hold.
    pub basis: &'static str,
}

impl Price {
    /// What costs the target nothing: it is read from outside.
    pub const FREE: Price = Price {
        per: Per::Nothing,
        memory: Line::NONE,
        disk: Line::NONE,
        inside: Line::NONE,
        pause: Line::NONE,
        running: Line::NONE,
        basis: "read from outside",
    };

    /// At a size.
    pub fn at(&self, size: f64) -> Cost {
        Cost {
            memory: self.memory.at(size),
            disk: self.disk.at(size),
            inside: self.inside.at(size),
            pause: self.pause.at(size),
            running: self.running.at(size),
            basis: self.basis.into(),
        }
    }
}
