//! When posteriors are worth a person's attention: the alarm rule, fed tick by tick.
//!
//! One posterior flickers: its blocks end at the tick, and a model more or less in favour moves it by tenths. So the evidence is the
//! probability averaged over the newest ticks, over longer where the clock is long and there is time to make sure. A
//! cache that fills looks like a leak until much of the way has been seen, and it fills from the start of the process: where the
//! climb may have begun with the process more is asked, and the more, the farther the extrapolation. A climb that began within
//! what was seen has shown that it is not the start.

use super::Posterior;

/// When to alarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlarmPolicy {
    /// Horizon of the question "does it die?", seconds.
    pub horizon: f64,
    /// Evidence that is asked for where the climb began within what was seen ...
    pub since_onset: f64,
    /// ... and where neither a load nor two days have been seen: the first rise of a day begins so, too.
    pub without_day: f64,
    /// Evidence that is asked for where it may have begun with the process and the median time left is twice the time seen ...
    pub probability: f64,
    /// ... and how much more for every e-fold of that ratio.
    pub reach: f64,
    /// Share of the median time left over which probabilities are averaged ...
    pub memory: f64,
    /// ... seconds at least, in a process that has been seen for long; and four times that at most.
    pub memory_least: f64,
    /// Share of the death level from which on there is no time left to wait.
    pub near: f64,
    /// The floor must have reached this share of the death level ...
    pub level: f64,
    /// ... or have climbed by this share of it.
    pub growth: f64,
    /// An alarm stands while the evidence is at least this.
    pub keep: f64,
}

/// The evidence that is asked for stays within these bounds.
const ASKED: (f64, f64) = (0.45, 0.95);
/// Ratio of time left and time seen at which [`AlarmPolicy::probability`] is asked for.
const USUAL_REACH: f64 = 2.0;
/// The memory is at most this multiple of the least.
const MEMORY_SPAN: f64 = 4.0;
/// In a young process the least memory is this share of what has been seen: leaks of minutes have ticks of seconds.
const YOUNG_MEMORY: f64 = 0.25;
/// Weight of one tick at most: the first that finds an onset does not raise an alarm.
const ONE_TICK: f64 = 0.55;

impl Default for AlarmPolicy {
    fn default() -> AlarmPolicy {
        AlarmPolicy {
            horizon: 240.0 * 3_600.0,
            since_onset: 0.56,
            without_day: 0.68,
            probability: 0.72,
            reach: 0.15,
            memory: 0.15,
            memory_least: 3_600.0,
            near: 0.8,
            level: 0.95,
            growth: 0.04,
            keep: 0.3,
        }
    }
}

/// The state of one alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    policy: AlarmPolicy,
    evidence: f64,
    last: Option<f64>,
    since: Option<f64>,
}

impl Alarm {
    /// An alarm that has seen nothing yet.
    pub fn new(policy: AlarmPolicy) -> Alarm {
        Alarm { policy, evidence: 0.0, last: None, since: None }
    }

    /// Takes the posterior of one tick at `now` (Unix seconds); true while the alarm stands. It does not stand at a
    /// tick without a posterior, which says nothing else.
    pub fn tick(&mut self, posterior: Option<&Posterior>, now: f64) -> bool {
        let passed = self.last.replace(now).map_or(0.0, |last| (now - last).max(0.0));
        let stands = posterior.is_some_and(|p| {
            let probability = if self.policy.is_material(p) { p.p_within(self.policy.horizon) } else { 0.0 };
            let weight = (1.0 - (-passed / self.policy.memory_of(p)).exp()).min(ONE_TICK);
            self.evidence += weight * (probability - self.evidence);
            let asked = if self.since.is_some() { self.policy.keep } else { self.policy.asked(p) };
            self.evidence >= asked && self.policy.is_material(p)
        });
        self.since = if stands { self.since.or(Some(now)) } else { None };
        stands
    }

    /// Since when the alarm stands, Unix seconds.
    pub fn since(&self) -> Option<f64> {
        self.since
    }
}

impl AlarmPolicy {
    /// Evidence asked for before an alarm.
    fn asked(&self, p: &Posterior) -> f64 {
        if p.onset.is_some() {
            return if p.day_known { self.since_onset } else { self.without_day };
        }
        let reach = (p.time_to_limit.mid / p.span.max(1e-3)).max(1e-3);
        let asked = (self.probability + self.reach * (reach / USUAL_REACH).ln()).clamp(ASKED.0, ASKED.1);
        if self.is_near(p) { asked.min(self.probability) } else { asked }
    }

    /// Seconds over which probabilities are averaged.
    fn memory_of(&self, p: &Posterior) -> f64 {
        let least = self.memory_least.min(YOUNG_MEMORY * p.span).max(1e-3);
        if self.is_near(p) {
            return 0.5 * least;
        }
        (self.memory * p.time_to_limit.mid).clamp(least, MEMORY_SPAN * least)
    }

    fn is_near(&self, p: &Posterior) -> bool {
        p.floor >= self.near * p.death_level
    }

    /// The level gate: a climb that is still low and small is not worth a page yet.
    fn is_material(&self, p: &Posterior) -> bool {
        let level = p.death_level.max(1.0);
        p.floor >= self.level * level || p.slope.mid * p.span >= self.growth * level
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Interval, Shape};
    use super::*;

    fn posterior(hours: f64, floor: f64) -> Posterior {
        let at = Interval { low: hours * 3600.0, mid: hours * 3600.0, high: hours * 3600.0 };
        Posterior {
            p_leak: 0.99,
            time_to_limit: at,
            draws: vec![hours * 3600.0; 10],
            // A tenth of the floor came in the hour that was seen.
            slope: Interval { low: 0.0, mid: 0.1 * floor / 3600.0, high: 0.0 },
            floor,
            death_level: 100.0,
            onset: None,
            day_known: true,
            undecided_for: None,
            shape: Shape::Linear,
            span: 3600.0,
            floor_points: 20,
            effective_points: 10.0,
        }
    }

    /// Half-hourly ticks until the alarm, at most 100.
    fn ticks_until(policy: AlarmPolicy, p: &Posterior) -> usize {
        let mut alarm = Alarm::new(policy);
        (0..100).position(|k| alarm.tick(Some(p), f64::from(k) * 1800.0)).unwrap_or(usize::MAX)
    }

    #[test]
    fn it_takes_more_than_one_tick_and_stands_until_the_evidence_is_gone() {
        let mut alarm = Alarm::new(AlarmPolicy::default());
        let (dying, healthy) = (posterior(1.0, 90.0), posterior(1000.0, 90.0));
        assert!(!alarm.tick(Some(&dying), 0.0) && !alarm.tick(Some(&dying), 1800.0));
        assert!(alarm.tick(Some(&dying), 3600.0));
        assert!(!alarm.tick(None, 5400.0), "without a posterior it does not stand");
        assert!(alarm.tick(Some(&dying), 7200.0));
        assert_eq!(alarm.since(), Some(7200.0));
        let ticks = (3..8).map(|k| alarm.tick(Some(&healthy), 3600.0 * f64::from(k)));
        let stood = ticks.collect::<Vec<_>>();
        assert!(stood[0] && !stood[4], "{stood:?}");
    }

    #[test]
    fn one_tick_among_others_neither_raises_nor_ends_it() {
        let mut alarm = Alarm::new(AlarmPolicy::default());
        let (dying, healthy) = (posterior(20.0, 70.0), posterior(1000.0, 70.0));
        for k in 0..40 {
            alarm.tick(Some(if k == 20 { &dying } else { &healthy }), f64::from(k) * 1800.0);
            assert_eq!(alarm.since(), None, "{k}");
        }
        let stood = (40..80)
            .map(|k| alarm.tick(Some(if k == 60 { &healthy } else { &dying }), f64::from(k) * 1800.0));
        assert_eq!(stood.skip(15).filter(|s| !s).count(), 0);
    }

    #[test]
    fn a_long_clock_is_watched_for_longer_and_one_seen_only_a_little_asks_for_more() {
        let policy = AlarmPolicy::default();
        let near = ticks_until(policy, &posterior(20.0, 85.0));
        let far = ticks_until(policy, &posterior(20.0, 70.0));
        assert!(near < far && far < 20, "{near} {far}");
        let seen = |hours: f64| Posterior { span: hours * 3600.0, ..posterior(20.0, 70.0) };
        assert!(policy.asked(&seen(2.0)) > policy.asked(&seen(10.0)));
        assert!((policy.asked(&seen(10.0)) - policy.probability).abs() < 1e-9);
    }

    #[test]
    fn a_climb_that_began_within_what_was_seen_is_no_cache_that_fills() {
        let policy = AlarmPolicy::default();
        let began = |hours: f64| {
            let at = Interval { low: 0.0, mid: 1800.0, high: 3600.0 };
            Posterior { onset: Some(at), ..posterior(hours, 70.0) }
        };
        for hours in [2.0, 20.0, 100.0] {
            assert!(policy.asked(&began(hours)) < policy.asked(&posterior(hours, 70.0)), "{hours}");
        }
        assert_eq!(policy.asked(&began(2.0)), policy.asked(&began(100.0)));
        assert!(ticks_until(policy, &began(100.0)) <= ticks_until(policy, &posterior(100.0, 70.0)));
        assert!(ticks_until(policy, &began(1.0)) > 1, "one tick is not enough");
        let first_day = Posterior { day_known: false, ..began(20.0) };
        assert!(policy.asked(&first_day) > policy.asked(&began(20.0)), "it may be the rise of a day");
    }

    #[test]
    fn a_leak_of_minutes_needs_no_hours() {
        let mut alarm = Alarm::new(AlarmPolicy::default());
        let slope = Interval { low: 0.0, mid: 0.2, high: 0.0 };
        let p = Posterior { span: 120.0, slope, ..posterior(0.1, 70.0) };
        let first = (0..60).find(|k| alarm.tick(Some(&p), f64::from(*k) * 5.0));
        assert!(first.is_some_and(|k| k <= 30), "{first:?}");
    }

    #[test]
    fn a_low_floor_that_hardly_grew_waits() {
        let policy = AlarmPolicy::default();
        assert!(ticks_until(policy, &posterior(24.0, 70.0)) < 100);
        assert_eq!(ticks_until(policy, &posterior(24.0, 20.0)), usize::MAX);
    }
}
