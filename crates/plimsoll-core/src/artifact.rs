//! What small artifacts say, as plain data: the readers produce it, recordings keep it, verdicts use it.

use serde::{Deserialize, Serialize};

/// Content of one small artifact taken while sampling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Artifact {
    /// Instances and shallow bytes per class, largest first.
    ClassHistogram {
        /// Rows, largest first, at most [`ROWS_KEPT`].
        rows: Vec<ClassCount>,
        /// Bytes of all classes together.
        total_bytes: u64,
        /// True when a collection was forced first (only live objects counted).
        live: bool,
    },
    /// Goroutines grouped by stack.
    Goroutines {
        /// Groups, largest first, at most [`ROWS_KEPT`].
        groups: Vec<StackGroup>,
        /// All goroutines.
        total: u64,
        /// Frames of a goroutine on average, when the stacks were read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frames: Option<f64>,
    },
    /// Java threads grouped by normalised name.
    Threads {
        /// Groups, largest first, at most [`ROWS_KEPT`].
        groups: Vec<StackGroup>,
        /// All threads.
        total: u64,
    },
    /// JVM native memory tracking, per category.
    NativeMemory {
        /// Category, reserved and committed bytes.
        categories: Vec<NmtCategory>,
    },
    /// Allocation sites with the bytes still in use (a Go heap profile).
    HeapSites {
        /// Sites, largest first, at most [`ROWS_KEPT`].
        sites: Vec<HeapSite>,
    },
}

/// Rows that an artifact keeps at most.
pub const ROWS_KEPT: usize = 40;

/// One row of a class histogram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Class name in source form (`byte[]`, `java.util.HashMap$Node`).
    pub class: String,
    /// Instances.
    pub instances: u64,
    /// Shallow bytes of all instances.
    pub bytes: u64,
}

/// Threads or goroutines that stand at the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackGroup {
    /// How many.
    pub count: u64,
    /// Wait reason or state (`chan receive`, `TIMED_WAITING`), when the artifact says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The innermost frame that is not the runtime's own: `function (file:line)`, or the pool's name.
    pub top: String,
    /// Where they were started, when the artifact says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
}

/// One category of the JVM's native memory tracking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NmtCategory {
    /// Name as the JVM prints it (`Java Heap`, `Thread`, `Other`).
    pub name: String,
    /// Reserved bytes.
    pub reserved: u64,
    /// Committed bytes.
    pub committed: u64,
}

/// One allocation site of a heap profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapSite {
    /// Function and line.
    pub site: String,
    /// Bytes in use, scaled for sampling where the profile allows it.
    pub in_use_bytes: u64,
    /// Objects in use.
    pub in_use_objects: u64,
}
