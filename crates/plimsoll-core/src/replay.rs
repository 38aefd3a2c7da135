//! Walking a recording as if live, never looking ahead.

use serde::Serialize;

use crate::backtest::{self, End, Moment, Tally};
use crate::clock::{self, Bound};
use crate::recording::{API_VERSION, Recording};
use crate::slope::Interval;
use crate::slope::{Alarm, AlarmPolicy};

/// Hours within which the tick says how likely the limit is reached.
pub const HORIZON_HOURS: f64 = 240.0;

/// Share of its limit at which a process that ended died of it.
const FULL: f64 = 0.9;

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
    /// How often climbs like this one go on to the limit, which is what the alarm weighs; null where next to nothing says that it
    /// would get there, or it is there.
    pub p_goes_on: Option<f64>,
    /// Time to the limit.
    pub time_to_oom_seconds: Option<Quantiles>,
    /// The limit that binds.
    pub limit: Option<String>,
    /// Whether the alarm would be on.
    pub alarm: bool,
    /// Share of that limit in use.
    #[serde(skip)]
    pub share: Option<f64>,
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
        p_goes_on: posterior.and_then(|p| p.goes_on),
        time_to_oom_seconds: posterior.map(|p| p.time_to_limit.into()),
        limit: bound.map(|b| b.name.clone()),
        alarm,
        share: bound.map(Bound::share),
    }
}

/// How the lives of a recording ended, by what was said last before.
pub fn ends(r: &Recording, ticks: &[Tick], every: f64) -> Vec<End> {
    let died = |t: f64| {
        let last = ticks[..ticks.partition_point(|tick| tick.time_seconds <= t)].last();
        let soonest = last.and_then(|tick| tick.time_to_oom_seconds?.p10);
        let is_full = last.and_then(|tick| tick.share).is_some_and(|s| s >= FULL);
        is_full || soonest.is_some_and(|s| s <= 2.0 * every)
    };
    let restarts = r.epochs.iter().skip(1).map(|e| End { t: e.from, died: died(e.from) });
    let killed = |words: &str| ["kill", "OOM", "memory"].iter().any(|w| words.contains(w));
    let ended = r.ended.iter().map(|(t, words)| End { t: *t, died: killed(words) || died(*t) });
    restarts.chain(ended).collect()
}

/// What the ticks of a replay come to.
pub fn tally(r: &Recording, ticks: &[Tick], every: f64) -> Tally {
    let latest = |t: &Tick| t.time_to_oom_seconds.and_then(|q| q.p90).unwrap_or(f64::INFINITY);
    let moment = |t: &Tick| Moment { t: t.time_seconds, alarm: t.alarm, latest: latest(t) };
    let moments: Vec<Moment> = ticks.iter().map(moment).collect();
    backtest::tally(&moments, &ends(r, ticks, every), r.now().unwrap_or(0.0))
}
