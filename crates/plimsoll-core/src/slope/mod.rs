//! The slope of the floor and what follows from it: a posterior over time-to-OOM, never a bare flag.
//!
//! Pure and seeded: the same question always gets the same answer. Input is one number of one target over
//! its runs ([`Epoch`]), the level that ends it ([`Question::limit`]) and optionally the load; output is a
//! [`Posterior`]. Times are Unix seconds, amounts are bytes.

mod alarm;
mod burst;
mod calibration;
mod calibration_table;
mod course;
mod evidence;
mod evidence_table;
mod features;
mod fit;
mod floor;
mod forecast;
mod layers;
pub(crate) mod linalg;
mod load;
mod models;
mod noise;
mod quasi;
pub(crate) use quasi::normal_cdf;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::alarm::{Alarm, AlarmPolicy};
use self::burst::Bursts;
pub use self::calibration::{Net, RESULTS, Standard};
pub use self::evidence::{Judge, NETS};
pub use self::features::Features;
use self::fit::Fit;
use self::floor::Floor;
use self::forecast::{Forecast, Outlook};
pub use self::layers::{Layers, NUMBERS, Sign, feature_names, layer, squash, standard};
use self::load::{Daily, Load};
use self::models::{Design, Family, Setting};
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
    /// The usage may hold garbage that no collection has taken yet: then a young climb proves less.
    pub garbage: bool,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Draws of time to the limit, seconds, sorted, calibrated like the interval; `f64::INFINITY` where a draw
    /// never gets there.
    pub draws: Vec<f64>,
    /// How often a climb like this one goes on to the limit, as it was learnt from healthy series and leaks, of which the former counted
    /// three times: whether those draws are right that get there. `None` where next to none do, or the limit is as good as reached.
    pub goes_on: Option<f64>,
    /// Slope of the floor now, bytes per second.
    pub slope: Interval,
    /// The floor now, bytes.
    pub floor: f64,
    /// Level of the floor at which the process dies, bytes (below the limit by the height of the teeth).
    pub death_level: f64,
    /// When the climb began, Unix seconds, when an onset lies inside the samples.
    pub onset: Option<Interval>,
    /// Whether what goes with a load or with the day could be told from a climb: a load is known, or two days are.
    pub day_known: bool,
    /// Seconds of further observation after which leak and plateau can be told apart, when they cannot now.
    pub undecided_for: Option<f64>,
    /// The model that holds most of the posterior.
    pub shape: Shape,
    /// The process that is judged: its replica, and when it started or is first known of, Unix seconds.
    pub process: (u32, f64),
    /// Seconds of samples used.
    pub span: f64,
    /// Floor points used.
    pub floor_points: usize,
    /// Effective number of independent floor points.
    pub effective_points: f64,
}

impl Posterior {
    /// Probability that the limit is reached within `seconds`, as the models have it.
    pub fn p_within(&self, seconds: f64) -> f64 {
        if self.draws.is_empty() {
            return 0.0;
        }
        self.draws.partition_point(|d| *d <= seconds) as f64 / self.draws.len() as f64
    }

    /// The same, with what was learnt of such climbs in place of what the models give for whether it goes on at all.
    pub fn p_death(&self, seconds: f64) -> f64 {
        let ever = self.draws.partition_point(|d| d.is_finite());
        let within = self.draws.partition_point(|d| *d <= seconds);
        let models = self.p_within(seconds);
        match self.goes_on {
            Some(goes_on) if ever > 0 => no_surer(goes_on * within as f64 / ever as f64, models),
            _ => models,
        }
    }

    /// [`Self::p_leak`], with what was learnt of such climbs in its place where there is a limit.
    pub fn p_climbs_on(&self) -> f64 {
        self.goes_on.map_or(self.p_leak, |learnt| no_surer(learnt, self.p_leak))
    }
}

/// Where the models do not even give one in two, what was learnt is no more than they give: a death that is said has a time.
fn no_surer(learnt: f64, models: f64) -> f64 {
    if models < 0.5 { learnt.min(models) } else { learnt }
}

/// Why no posterior can be given yet.
#[derive(Debug, Clone, PartialEq)]
pub struct NotYet {
    /// What is missing, in words.
    pub why: String,
    /// Seconds of further observation that would suffice, when that is what is missing.
    pub more_seconds: Option<f64>,
}

/// Where [`Posterior::p_climbs_on`] lies while a leak and a plateau cannot be told apart.
const UNDECIDED: std::ops::RangeInclusive<f64> = 0.1..=0.9;

/// Judges the slope of the floor and the time to the limit.
///
/// A model counts as a leak when it climbs without a plateau, or towards a plateau above the level that
/// kills: a cache that outgrows the limit is as deadly as a leak. Without a limit (`f64::INFINITY`) only the
/// former count and all times are infinite.
pub fn estimate(q: &Question) -> Result<Posterior, NotYet> {
    let (mut posterior, standard) = estimate_raw(q)?;
    if let Some(standard) = standard {
        // A number that is none would stay in the alarm for ever; the models' word stands then.
        let learnt = evidence_table::GOES_ON.probability(&standard.features);
        posterior.goes_on = learnt.is_finite().then_some(learnt);
        calibration::apply(&mut posterior, &standard);
    }
    let climbs_on = posterior.p_climbs_on();
    posterior.undecided_for = posterior.undecided_for.filter(|_| UNDECIDED.contains(&climbs_on));
    let age = q.epochs.last().map_or(f64::INFINITY, |e| q.now - e.start);
    if age < calibration::YOUNG {
        calibration::widen_young(&mut posterior.time_to_limit);
    }
    Ok(posterior)
}

/// [`estimate`] with the interval as the models give it, before calibration, and what the calibration starts
/// from. Only the program that makes the calibration table has a use for it.
pub fn estimate_raw(q: &Question) -> Result<(Posterior, Option<Standard>), NotYet> {
    let load = Load::new(q.load, q.now);
    let floor = floor::collect(q, load.as_ref())?;
    let scale = scale_of(q, &floor);
    let load_spread = load_spread(&floor);
    let useful = load.is_some() && floor.points.len() >= 10 && load_spread > 0.03;
    let setting = Setting { load: useful, now: q.now };
    let design = Design::new(&floor, setting);
    let fit = fit::fit(&floor, design, scale).ok_or_else(|| NotYet {
        why: "the floor does not determine any model yet".to_owned(),
        more_seconds: None,
    })?;
    let load = load.filter(|_| setting.load);
    let death = death_level(q, &floor);
    let outlook = Outlook {
        floor: &floor,
        fit: &fit,
        load: load.as_ref(),
        now: q.now,
        death: (death + floor.tooth) / scale,
        bursts: Bursts::new(&floor, &fit, floor::has_teeth(q), q.samples == Samples::Raw),
        load_spread,
        daily: load.as_ref().map(|l| Daily::new(l.profile(q.now))),
    };
    let mut forecast = forecast::forecast(&outlook, q.seed);
    let posterior = assemble(q, &floor, &fit, &mut forecast, death);
    let standard = Standard::of(q, &outlook, &posterior, &forecast);
    Ok((posterior, standard))
}

/// Bytes per unit of level: the limit, or the level itself where the limit is far away or missing.
fn scale_of(q: &Question<'_>, floor: &Floor) -> f64 {
    let top = floor.points.iter().fold(0.0_f64, |m, p| m.max(p.v.abs())).max(1.0);
    if q.limit.is_finite() && q.limit > 0.0 { q.limit.clamp(top * 0.1, top * 20.0) } else { top * 2.0 }
}

/// Standard deviation of the load between blocks, relative to its mean.
fn load_spread(floor: &Floor) -> f64 {
    let n = floor.points.len() as f64;
    let mean = floor.points.iter().map(|p| p.load).sum::<f64>() / n;
    let square = floor.points.iter().map(|p| (p.load - mean).powi(2)).sum::<f64>() / n;
    let spread = square.sqrt() / mean.abs().max(1e-9);
    if spread.is_finite() { spread } else { 0.0 }
}

/// Level of the floor at which the process dies, bytes.
fn death_level(q: &Question<'_>, floor: &Floor) -> f64 {
    match q.death {
        Death::AtUsage => q.limit - floor.tooth,
        Death::AtFloor => 0.97 * q.limit,
    }
}

/// The process is at its end already.
fn is_over(q: &Question<'_>, floor: &Floor) -> bool {
    match q.death {
        Death::AtUsage => floor.last >= q.limit,
        Death::AtFloor => floor.points.last().is_some_and(|p| p.v >= 0.97 * q.limit),
    }
}

fn assemble(q: &Question<'_>, floor: &Floor, fit: &Fit, f: &mut Forecast, death: f64) -> Posterior {
    if is_over(q, floor) {
        f.draws.fill(0.0);
    }
    let time_to_limit = interval(&f.draws);
    let slope = f.slope;
    let scale = fit.scale;
    Posterior {
        p_leak: f.p_leak,
        time_to_limit,
        goes_on: None,
        slope: Interval { low: slope.low * scale, mid: slope.mid * scale, high: slope.high * scale },
        floor: f.level * scale,
        death_level: death,
        onset: onset(f, || models::onset_grid(floor, q.now), q.now),
        day_known: fit.design.base.iter().any(forecast::comes_back),
        undecided_for: Some(until_decided(q, floor, f)),
        shape: shape(f),
        process: q.epochs.last().map_or((0, f64::NAN), |e| (e.replica, e.start)),
        draws: std::mem::take(&mut f.draws),
        span: floor.span(),
        floor_points: floor.points.len(),
        effective_points: fit.noise.n_eff,
    }
}

/// 10 %, 50 % and 90 % quantiles of sorted draws.
fn interval(sorted: &[f64]) -> Interval {
    let at =
        |q: f64| sorted.get(((sorted.len().max(1) - 1) as f64 * q).round() as usize).copied().unwrap_or(0.0);
    Interval { low: at(0.1), mid: at(0.5), high: at(0.9) }
}

fn shape(f: &Forecast) -> Shape {
    let top = f.families.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(Family::Flat, |x| x.0);
    match top {
        Family::Flat => Shape::Flat,
        Family::Saturating | Family::Plateau => Shape::Saturating,
        Family::Linear => Shape::Linear,
        Family::Sublinear => Shape::Sublinear,
        Family::Step => Shape::Step,
        Family::Onset => Shape::Onset,
    }
}

/// Interval of the onset, when climbing since an onset holds most of the posterior. It is no narrower than the places at which
/// onsets are looked for (seconds before now) stand apart.
fn onset(f: &Forecast, looked: impl FnOnce() -> Vec<f64>, now: f64) -> Option<Interval> {
    let total: f64 = f.onsets.iter().map(|o| o.1).sum();
    if total < 0.5 {
        return None;
    }
    let mut sorted = f.onsets.clone();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let at = |q: f64| {
        let mut sum = 0.0;
        let found = sorted.iter().find(|o| {
            sum += o.1;
            sum >= q * total
        });
        found.or(sorted.last()).map_or(f64::NAN, |o| o.0)
    };
    let apart = looked().windows(2).map(|two| two[1] / two[0]).fold(1.0, f64::max).sqrt();
    let (low, high) = (now - (now - at(0.1)) * apart, now - (now - at(0.9)) / apart);
    Some(Interval { low, mid: at(0.5), high })
}

/// Observation still needed before a plateau can be told from a climb, if they cannot be told apart now: about a third of the way from
/// the start of the climb to the limit must have been seen.
fn until_decided(q: &Question<'_>, floor: &Floor, f: &Forecast) -> f64 {
    let seen = q.now - floor.live_first.max(floor.live_start);
    let hits = f.draws.partition_point(|d| d.is_finite());
    let time = if hits > 0 { f.draws[hits / 2] } else { 2.0 * seen };
    (0.35 * (seen + time) - seen).max(4.0 * floor.block)
}
