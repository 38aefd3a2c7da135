//! Walking a recording as if live, never looking ahead.

use serde::Serialize;

use crate::clock::{self, Bound};
use crate::recording::{API_VERSION, Recording};
use crate::slope::Interval;
use crate::slope::{Alarm, AlarmPolicy};

/// Hours within which the tick says how likely the limit is reached.
pub const HORIZON_HOURS: f64 = 240.0;

/// What would have been said at one instant. Times are seconds; "never" is null.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tick {
    api_version: &'static str,
    kind: &'static str,
    /// The instant, Unix seconds.
    pub time_seconds: f64,
    /// Probability of a climb without a plateau; null while it cannot be told.
    pub p_leak: Option<f64>,
    /// Why it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_leak_unknown: Option<String>,
    /// Probability that the limit is reached within the horizon.
    pub p_oom_within: PWithin,
    /// Time to the limit.
    pub time_to_oom_seconds: Option<Quantiles>,
    /// The limit that binds.
    pub limit: Option<String>,
    /// Whether the alarm would be on.
    pub alarm: bool,
}

/// A probability with its horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PWithin {
    /// Horizon, hours.
    pub hours: f64,
    /// Probability; null while it cannot be told.
    pub p: Option<f64>,
}

/// Quantiles of a time in seconds; null where it may be never.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// 10 % quantile.
    pub p10: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 90 % quantile.
    pub p90: Option<f64>,
}

impl From<Interval> for Quantiles {
    fn from(i: Interval) -> Self {
        let finite = |v: f64| v.is_finite().then_some(v);
        Quantiles { p10: finite(i.low), p50: finite(i.mid), p90: finite(i.high) }
    }
}

/// One tick every `every` seconds from the first sample to the last. `limit` overrides the recorded ones.
pub fn replay(r: &Recording, every: f64, limit: Option<f64>) -> impl Iterator<Item = Tick> + '_ {
    let from = r.from().unwrap_or(0.0);
    let to = r.now().unwrap_or(from);
    let ticks = if every > 0.0 { ((to - from) / every).floor() as u64 } else { 0 };
    let mut alarm = Alarm::new(AlarmPolicy::default());
    (1..=ticks).map(move |i| {
        let t = from + i as f64 * every;
        tick(&r.until(t), t, limit, &mut alarm)
    })
}

fn tick(r: &Recording, t: f64, limit: Option<f64>, alarm: &mut Alarm) -> Tick {
    let clock = clock::clock(r, limit);
    let bound = clock.binding();
    let posterior = bound.and_then(|b| b.posterior.as_ref().ok());
    let alarm = alarm.tick(posterior, t);
    let unknown = match bound.map(|b: &Bound| &b.posterior) {
        None => Some("no limit is known".to_owned()),
        Some(Err(n)) => Some(n.why.clone()),
        Some(Ok(_)) => None,
    };
    Tick {
        api_version: API_VERSION,
        kind: "ReplayTick",
        time_seconds: t,
        p_leak: posterior.map(|p| p.p_leak),
        p_leak_unknown: unknown,
        p_oom_within: PWithin {
            hours: HORIZON_HOURS,
            p: posterior.map(|p| p.p_within(HORIZON_HOURS * 3600.0)),
        },
        time_to_oom_seconds: posterior.map(|p| p.time_to_limit.into()),
        limit: bound.map(|b| b.name.clone()),
        alarm,
    }
}
