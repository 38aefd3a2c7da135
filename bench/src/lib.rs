//! Benchmarks beside the peers, and the calibration of the interval and of the alarm's evidence.

pub mod change_point;
pub mod dump;
pub mod evidence_net;
pub mod evidence_set;
pub mod intervals;
pub mod layers;
pub mod looks;
pub mod quantile_net;
pub mod replay;
pub mod rivals;
pub mod run;
pub mod score;
pub mod services;
pub mod traces;
