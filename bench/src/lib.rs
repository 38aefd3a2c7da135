//! Benchmarks beside the peers, and the calibration of the interval.
