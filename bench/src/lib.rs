//! Benchmarks beside the peers, and the calibration of the interval.

pub mod change_point;
pub mod dump;
pub mod intervals;
pub mod quantile_net;
pub mod replay;
pub mod rivals;
pub mod run;
pub mod score;
pub mod services;
pub mod traces;
