//! The slope of the floor and what follows from it: a posterior over time-to-OOM, never a bare flag.
//!
//! Pure and seeded: the same question always gets the same answer. Input is one number of one target over
//! its runs ([`Epoch`]), the level that ends it ([`Question::limit`]) and optionally the load; output is a
//! [`Posterior`]. Times are Unix seconds, amounts are bytes.

use serde::Serialize;

use crate::series::Point;

/// What the samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Samples {
    /// Raw usage: the floor is the lower envelope, taken over blocks.
    Raw,
    /// Each sample was taken right after a collection: it is the floor, no blocking.
    PostCollection,
}

/// How the limit ends the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Killed when the raw usage touches the limit (a control group, the machine).
    AtUsage,
    /// Fails when the floor is so near the limit that collection cannot help (-Xmx, V8's cap).
    AtFloor,
}

/// One run of one process: the stretch between two restarts.
#[derive(Debug, Clone)]
pub struct Epoch<'a> {
    /// Start of the process, Unix seconds.
    pub start: f64,
    /// Index of the version that ran; levels may differ between versions.
    pub version: u32,
    /// Index of the replica.
    pub replica: u32,
    /// Samples in order of time; bytes.
    pub points: &'a [Point],
}

/// What is asked of the estimator.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Runs, oldest first; the last one is the live one.
    pub epochs: &'a [Epoch<'a>],
    /// Work per second, or empty.
    pub load: &'a [Point],
    /// What the samples are.
    pub samples: Samples,
    /// How the limit ends the process.
    pub death: Death,
    /// The limit, bytes.
    pub limit: f64,
    /// The instant of the question, Unix seconds; samples after it are not looked at.
    pub now: f64,
    /// Seed of the posterior draws.
    pub seed: u64,
}

/// An 80 % interval with its median.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// 10 % quantile.
    pub low: f64,
    /// Median.
    pub mid: f64,
    /// 90 % quantile.
    pub high: f64,
}

/// How the floor moves, by the model that holds most of the posterior.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// No movement beyond noise.
    Flat,
    /// Rises towards a plateau below the limit (warm-up, a bounded cache that fills).
    Saturating,
    /// Climbs at a constant rate.
    Linear,
    /// Climbs, ever more slowly, without a plateau.
    Sublinear,
    /// Jumped once and is flat since.
    Step,
    /// Was flat and climbs since an onset.
    Onset,
}

/// What the estimator knows about one number against one limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Posterior {
    /// Probability that the floor climbs without a plateau below the limit.
    pub p_leak: f64,
    /// Time to the limit, seconds from `now`; 80 % interval, calibrated. `f64::INFINITY` means "maybe never".
    pub time_to_limit: Interval,
    /// Draws of time to the limit, seconds, sorted; `f64::INFINITY` where a draw never gets there.
    pub draws: Vec<f64>,
    /// Slope of the floor now, bytes per second.
    pub slope: Interval,
    /// The floor now, bytes.
    pub floor: f64,
    /// Level of the floor at which the process dies, bytes (below the limit by the height of the teeth).
    pub death_level: f64,
    /// When the climb began, Unix seconds, when an onset lies inside the samples.
    pub onset: Option<Interval>,
    /// Seconds of further observation after which leak and plateau can be told apart, when they cannot now.
    pub undecided_for: Option<f64>,
    /// The model that holds most of the posterior.
    pub shape: Shape,
    /// Seconds of samples used.
    pub span: f64,
    /// Floor points used.
    pub floor_points: usize,
    /// Effective number of independent floor points.
    pub effective_points: f64,
}

impl Posterior {
    /// Probability that the limit is reached within `seconds`.
    pub fn p_within(&self, seconds: f64) -> f64 {
        if self.draws.is_empty() {
            return 0.0;
        }
        self.draws.partition_point(|d| *d <= seconds) as f64 / self.draws.len() as f64
    }
}

/// Why no posterior can be given yet.
#[derive(Debug, Clone, PartialEq)]
pub struct NotYet {
    /// What is missing, in words.
    pub why: String,
    /// Seconds of further observation that would suffice, when that is what is missing.
    pub more_seconds: Option<f64>,
}
