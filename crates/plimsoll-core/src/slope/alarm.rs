//! When a posterior is worth a person's attention: the alarm rule, fed tick by tick.

use super::Posterior;

/// When to alarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlarmPolicy {
    /// Horizon of the question "does it die?", seconds.
    pub horizon: f64,
    /// Probability of death within the horizon that is asked for.
    pub probability: f64,
    /// Ticks in a row for which it must hold, at least.
    pub ticks: u32,
    /// Share of the median time left for which it must hold, too: where the clock is long there is time to
    /// make sure.
    pub patience: f64,
    /// The longest such wait, seconds.
    pub patience_most: f64,
    /// Share of the death level from which on there is no time left for patience.
    pub near: f64,
    /// The floor must have reached this share of the death level ...
    pub level: f64,
    /// ... or have climbed by this share of it.
    pub growth: f64,
}

impl Default for AlarmPolicy {
    fn default() -> AlarmPolicy {
        AlarmPolicy {
            horizon: 240.0 * 3_600.0,
            probability: 0.7,
            ticks: 2,
            patience: 0.15,
            patience_most: 6.0 * 3_600.0,
            near: 0.8,
            level: 0.6,
            growth: 0.03,
        }
    }
}

/// The state of one alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    policy: AlarmPolicy,
    streak: u32,
    holding: Option<f64>,
    since: Option<f64>,
}

impl Alarm {
    /// An alarm that has seen nothing yet.
    pub fn new(policy: AlarmPolicy) -> Alarm {
        Alarm { policy, streak: 0, holding: None, since: None }
    }

    /// Takes the posterior of one tick at `now` (Unix seconds); true while the alarm stands. A tick without a
    /// posterior neither raises nor holds it.
    pub fn tick(&mut self, posterior: Option<&Posterior>, now: f64) -> bool {
        let holding = posterior.filter(|p| self.policy.holds(p));
        self.streak = if holding.is_some() { self.streak.saturating_add(1) } else { 0 };
        self.holding = holding.and(self.holding.or(Some(now)));
        let patient = holding
            .zip(self.holding)
            .is_some_and(|(p, began)| self.since.is_some() || now - began >= self.policy.wait(p));
        let stands = patient && self.streak >= self.policy.ticks.max(1);
        self.since = if stands { self.since.or(Some(now)) } else { None };
        stands
    }

    /// Since when the alarm stands, Unix seconds.
    pub fn since(&self) -> Option<f64> {
        self.since
    }
}

impl AlarmPolicy {
    /// Whether one posterior meets the policy, persistence aside.
    pub fn holds(&self, p: &Posterior) -> bool {
        p.p_within(self.horizon) >= self.probability && self.is_material(p)
    }

    fn wait(&self, p: &Posterior) -> f64 {
        if p.floor >= self.near * p.death_level {
            return 0.0;
        }
        (self.patience * p.time_to_limit.mid).min(self.patience_most)
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
            slope: Interval { low: 0.0, mid: 0.0, high: 0.0 },
            floor,
            death_level: 100.0,
            onset: None,
            undecided_for: None,
            shape: Shape::Linear,
            span: 3600.0,
            floor_points: 20,
            effective_points: 10.0,
        }
    }

    #[test]
    fn it_takes_the_asked_number_of_ticks_in_a_row() {
        let mut alarm = Alarm::new(AlarmPolicy { ticks: 2, patience: 0.0, ..AlarmPolicy::default() });
        let p = posterior(24.0, 70.0);
        assert!(!alarm.tick(Some(&p), 0.0));
        assert!(!alarm.tick(None, 1.0));
        assert!(!alarm.tick(Some(&p), 2.0));
        assert!(alarm.tick(Some(&p), 3.0));
        assert!(alarm.tick(Some(&p), 4.0));
        assert_eq!(alarm.since(), Some(3.0));
        assert!(!alarm.tick(Some(&posterior(1000.0, 70.0)), 5.0));
    }

    #[test]
    fn a_long_clock_is_watched_for_longer() {
        let mut alarm = Alarm::new(AlarmPolicy {
            ticks: 1,
            patience: 0.15,
            patience_most: 7_200.0,
            ..AlarmPolicy::default()
        });
        let p = posterior(20.0, 70.0);
        assert!(!alarm.tick(Some(&p), 0.0));
        assert!(!alarm.tick(Some(&p), 3600.0));
        assert!(alarm.tick(Some(&p), 7200.0));
    }

    #[test]
    fn a_low_floor_that_hardly_grew_waits() {
        let policy = AlarmPolicy::default();
        assert!(policy.holds(&posterior(24.0, 70.0)));
        assert!(!policy.holds(&posterior(24.0, 20.0)));
    }
}
