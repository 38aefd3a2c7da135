//! How much growth per iteration is borne.

use super::metric::Metric;
use crate::fact::Unit;

/// Growth per iteration that is borne, by metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Bytes of heap.
    pub heap: f64,
    /// Bytes of resident memory, which is noisier.
    pub resident: f64,
    /// Blocks of Python's allocator; one has some 80 bytes.
    pub blocks: f64,
    /// Threads, goroutines, descriptors.
    pub counts: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance { heap: 8.0, resident: 64.0, blocks: 0.1, counts: 0.001 }
    }
}

impl Tolerance {
    /// The same number of bytes for all memory.
    pub fn bytes(bytes: f64) -> Self {
        Tolerance { heap: bytes, resident: bytes, ..Tolerance::default() }
    }

    /// What is borne of one metric.
    pub fn of(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Heap => self.heap,
            Metric::Blocks => self.blocks,
            _ if metric.unit() == Unit::Bytes => self.resident,
            _ => self.counts,
        }
    }
}

/// Bytes per iteration that a headroom bears for a time at a rate of work.
pub fn bearable(headroom: f64, seconds: f64, per_second: f64) -> Option<f64> {
    let bytes = headroom / (seconds * per_second);
    (bytes.is_finite() && bytes > 0.0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_days_at_200_per_second_in_1_gib() {
        let bytes = bearable(1_073_741_824.0, 30.0 * 86_400.0, 200.0).expect("a number");
        assert!((bytes - 2.07).abs() < 0.005, "{bytes}");
        assert_eq!(bearable(1.0, 0.0, 1.0), None, "no time at all bears anything");
    }
}
