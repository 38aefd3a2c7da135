//! What may grow with the work: each metric is judged apart.

use crate::fact::Unit;
use crate::units;

/// One number that is read after each round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// What the heap holds after a collection; with the C library's allocator, what is allocated.
    Heap,
    /// Blocks that CPython's allocator holds after a collection.
    Blocks,
    /// Resident memory beside the heap: native memory, stacks, fragmentation.
    Native,
    /// Resident memory, where the heap's share of it is not known.
    Rss,
    /// Anonymous memory of the target's control group.
    Anon,
    /// Threads of the process.
    Threads,
    /// Goroutines.
    Goroutines,
    /// Open file descriptors.
    Fds,
}

/// Smallest step in which resident memory tells of an allocation: glibc takes that much from the kernel at once.
const RESIDENT_GRAIN: f64 = 128.0 * 1024.0;
/// Smallest step of a heap that is counted in bytes.
const HEAP_GRAIN: f64 = 16.0;

impl Metric {
    /// All, in the order in which they are shown.
    pub const ALL: &'static [Metric] = &[
        Metric::Heap,
        Metric::Blocks,
        Metric::Native,
        Metric::Rss,
        Metric::Anon,
        Metric::Threads,
        Metric::Goroutines,
        Metric::Fds,
    ];

    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Heap => "heap",
            Metric::Blocks => "blocks",
            Metric::Native => "native",
            Metric::Rss => "rss",
            Metric::Anon => "cgroup-anon",
            Metric::Threads => "threads",
            Metric::Goroutines => "goroutines",
            Metric::Fds => "fds",
        }
    }

    /// What it counts, in words.
    pub fn what(self) -> &'static str {
        match self {
            Metric::Heap => "heap after a collection",
            Metric::Blocks => "Python's memory blocks after a collection",
            Metric::Native => "resident memory beside the heap",
            Metric::Rss => "resident memory",
            Metric::Anon => "anonymous memory of the control group",
            Metric::Threads => "threads",
            Metric::Goroutines => "goroutines",
            Metric::Fds => "open file descriptors",
        }
    }

    /// Bytes or a count.
    pub fn unit(self) -> Unit {
        match self {
            Metric::Heap | Metric::Native | Metric::Rss | Metric::Anon => Unit::Bytes,
            Metric::Blocks | Metric::Threads | Metric::Goroutines | Metric::Fds => Unit::Count,
        }
    }

    /// Whether growth of it is growth of memory.
    pub fn is_memory(self) -> bool {
        matches!(self, Metric::Heap | Metric::Blocks | Metric::Native | Metric::Rss | Metric::Anon)
    }

    /// Below this step the metric does not tell one level from another.
    pub(super) fn grain(self) -> f64 {
        match self {
            Metric::Heap => HEAP_GRAIN,
            Metric::Native | Metric::Rss | Metric::Anon => RESIDENT_GRAIN,
            Metric::Blocks | Metric::Threads | Metric::Goroutines | Metric::Fds => 1.0,
        }
    }

    /// A level in words.
    pub fn level(self, value: f64) -> String {
        match self.unit() {
            Unit::Bytes => units::bytes(value),
            _ => units::thousands(value.max(0.0).round() as u64),
        }
    }

    /// A slope in words: `16.2 B`, `1 in 1,000`.
    pub fn per_iteration(self, slope: f64) -> String {
        if !slope.is_finite() {
            return "no bound".to_owned();
        }
        match self.unit() {
            Unit::Bytes if slope.abs() < 1000.0 => format!("{} B", digits(slope)),
            Unit::Bytes => units::bytes(slope),
            _ => digits(slope),
        }
    }
}

/// A small number with what matters of it.
fn digits(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        s if s >= 99.95 => format!("{value:.0}"),
        s if s >= 9.995 => format!("{value:.1}"),
        s if s >= 0.0995 => format!("{value:.2}"),
        s if s >= 0.000_05 => format!("{value:.4}"),
        _ => "0".to_owned(),
    };
    // What is rounded to nothing has no sign.
    if text.trim_start_matches(['-', '0', '.']).is_empty() { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_in_words() {
        for (slope, text) in [
            (16.234, "16.2 B"),
            (-0.00001, "0 B"),
            (0.027, "0.0270 B"),
            (2048.0, "2.00 KiB"),
            (f64::INFINITY, "no bound"),
        ] {
            assert_eq!(Metric::Heap.per_iteration(slope), text);
        }
        assert_eq!(Metric::Threads.per_iteration(0.001), "0.0010");
        assert_eq!(Metric::Fds.level(12.0), "12");
    }
}
