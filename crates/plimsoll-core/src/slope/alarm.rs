//! When posteriors are worth a person's attention: the alarm rule, fed tick by tick.
//!
//! One posterior flickers: its blocks end at the tick, and a model more or less in favour moves it by tenths. So the evidence is the
//! logarithm of the odds of death, averaged over the newest ticks, over longer where the clock is long and there is time to make sure: a
//! tick that is nearly certain counts for more than one that only leans. What a cache that fills, the rise of a day or a burst look
//! like is in the odds ([`super::Posterior::goes_on`]); the rule asks the same of all, but of a process that has climbed before and did
//! not go on: it is of a kind that moves so.

use super::Posterior;

/// When to alarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlarmPolicy {
    /// Horizon of the question "does it die?", seconds.
    pub horizon: f64,
    /// Evidence that is asked for, as a probability.
    pub raise: f64,
    /// The same for another alarm in the life of one process, when the first was wrong.
    pub again: f64,
    /// An alarm stands while the evidence is at least this.
    pub keep: f64,
    /// Share of the median time left over which the evidence is averaged ...
    pub memory: f64,
    /// ... seconds at least, in a process that has been seen for long; and four times that at most.
    pub memory_least: f64,
    /// Share of the death level from which on there is no time left to wait.
    pub near: f64,
    /// The floor must have reached this share of the death level ...
    pub level: f64,
    /// ... or have climbed by this share of it.
    pub growth: f64,
}

/// The memory is at most this multiple of the least.
const MEMORY_SPAN: f64 = 4.0;
/// In a young process the least memory is this share of what has been seen: leaks of minutes have ticks of seconds.
const YOUNG_MEMORY: f64 = 0.5;
/// Weight of one tick at most: the first that finds an onset does not raise an alarm.
const ONE_TICK: f64 = 0.45;
/// No tick is more certain than this, either way.
const CERTAIN: f64 = 0.995;

impl Default for AlarmPolicy {
    fn default() -> AlarmPolicy {
        AlarmPolicy {
            horizon: 240.0 * 3_600.0,
            raise: 0.5,
            again: 0.9,
            keep: 0.1,
            memory: 0.1,
            memory_least: 3_600.0,
            near: 0.8,
            level: 0.9,
            growth: 0.02,
        }
    }
}

/// The state of one alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    policy: AlarmPolicy,
    /// Logarithm of the odds.
    evidence: f64,
    last: Option<f64>,
    /// Seconds over which it was averaged last.
    memory: f64,
    since: Option<f64>,
    /// The process in which an alarm was raised last, and the one in which one was wrong.
    raised_in: Option<(u32, f64)>,
    wrong_in: Option<(u32, f64)>,
}

impl Alarm {
    /// An alarm that has seen nothing yet.
    pub fn new(policy: AlarmPolicy) -> Alarm {
        Alarm {
            policy,
            evidence: log_odds(0.0),
            last: None,
            memory: policy.memory_least,
            since: None,
            raised_in: None,
            wrong_in: None,
        }
    }

    /// Takes the posterior of one tick at `now` (Unix seconds); true while the alarm stands. It does not stand at a
    /// tick without a posterior: the process is another one, and what spoke against the one before is forgotten as it was gathered.
    pub fn tick(&mut self, posterior: Option<&Posterior>, now: f64) -> bool {
        let passed = self.last.replace(now).map_or(0.0, |last| (now - last).max(0.0));
        let material = posterior.filter(|p| self.policy.is_material(p));
        let odds = log_odds(material.map_or(0.0, |p| p.p_death(self.policy.horizon)));
        self.memory = posterior.map_or(self.memory, |p| self.policy.memory_of(p));
        let weight = (1.0 - (-passed / self.memory).exp()).min(ONE_TICK);
        self.evidence += weight * (odds - self.evidence);
        let stands = material.is_some_and(|p| self.evidence >= log_odds(self.asked(p)));
        let process = posterior.map(|p| p.process);
        if stands && self.since.is_none() {
            self.raised_in = process;
        }
        // A tick without a posterior ends an alarm and says nothing of it.
        let speaks_against = self.evidence < log_odds(self.policy.keep) && odds < log_odds(self.policy.raise);
        if process.is_some() && process == self.raised_in && speaks_against {
            self.wrong_in = process;
        }
        self.since = if stands { self.since.or(Some(now)) } else { None };
        stands
    }

    /// The evidence that an alarm takes, as a probability.
    fn asked(&self, p: &Posterior) -> f64 {
        match self.since {
            Some(_) => self.policy.keep,
            None if self.wrong_in == Some(p.process) => self.policy.again.max(self.policy.raise),
            None => self.policy.raise,
        }
    }

    /// Since when the alarm stands, Unix seconds.
    pub fn since(&self) -> Option<f64> {
        self.since
    }
}

/// Logarithm of the odds, of no more than [`CERTAIN`].
fn log_odds(p: f64) -> f64 {
    let p = p.clamp(1.0 - CERTAIN, CERTAIN);
    (p / (1.0 - p)).ln()
}

impl AlarmPolicy {
    /// Seconds over which the evidence is averaged.
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
            goes_on: None,
            draws: vec![hours * 3600.0; 10],
            // A tenth of the floor came in the hour that was seen.
            slope: Interval { low: 0.0, mid: 0.1 * floor / 3600.0, high: 0.0 },
            floor,
            death_level: 100.0,
            onset: None,
            day_known: true,
            undecided_for: None,
            shape: Shape::Linear,
            process: (0, 0.0),
            span: 3600.0,
            floor_points: 20,
            effective_points: 10.0,
        }
    }

    /// Ticks until the alarm, one in so many seconds and at most 100.
    fn ticks(policy: AlarmPolicy, p: &Posterior, every: f64) -> usize {
        let mut alarm = Alarm::new(policy);
        (0..100).position(|k| alarm.tick(Some(p), f64::from(k) * every)).unwrap_or(usize::MAX)
    }

    /// The same, half-hourly.
    fn ticks_until(policy: AlarmPolicy, p: &Posterior) -> usize {
        ticks(policy, p, 1800.0)
    }

    #[test]
    fn who_looks_more_often_waits_as_long() {
        let p = Posterior { span: 36_000.0, ..posterior(20.0, 70.0) };
        let waited =
            [1800.0, 600.0, 60.0].map(|every| ticks(AlarmPolicy::default(), &p, every) as f64 * every);
        assert!(waited.iter().all(|w| (3_600.0..=7_200.0).contains(w)), "{waited:?}");
        assert!(waited[0] - waited[1] <= 1800.0 && waited[1] - waited[2] <= 600.0, "{waited:?}");
    }

    #[test]
    fn the_younger_the_process_the_shorter_it_is_watched() {
        let waited = |span: f64| {
            let slope = Interval { low: 0.0, mid: 20.0 / span, high: 0.0 };
            let p = Posterior { span, slope, ..posterior(0.05 * span / 3600.0, 70.0) };
            ticks(AlarmPolicy::default(), &p, 0.05 * span) as f64 * 0.05 * span
        };
        assert!((waited(600.0) / waited(60.0) - 10.0).abs() < 1e-6, "{} {}", waited(600.0), waited(60.0));
        assert!((0.2 * 600.0..600.0).contains(&waited(600.0)), "{}", waited(600.0));
    }

    #[test]
    fn it_takes_more_than_one_tick_and_stands_until_the_evidence_is_gone() {
        let mut alarm = Alarm::new(AlarmPolicy::default());
        let (dying, healthy) = (posterior(1.0, 90.0), posterior(1000.0, 90.0));
        assert!(!alarm.tick(Some(&dying), 0.0) && !alarm.tick(Some(&dying), 1800.0));
        assert!(alarm.tick(Some(&dying), 3600.0));
        assert!(alarm.tick(Some(&dying), 5400.0));
        assert_eq!(alarm.since(), Some(3600.0));
        let ticks = (2..8).map(|k| alarm.tick(Some(&healthy), 3600.0 * f64::from(k)));
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
    fn what_spoke_against_one_process_is_not_held_against_the_next() {
        let mut alarm = Alarm::new(AlarmPolicy::default());
        let dying = posterior(1.0, 90.0);
        for k in 0..20 {
            alarm.tick(Some(&dying), f64::from(k) * 1800.0);
        }
        assert_eq!(alarm.since(), Some(3600.0));
        assert!(
            (20..32).all(|k| !alarm.tick(None, f64::from(k) * 1800.0)),
            "it does not stand without a posterior"
        );
        let dying = Posterior { process: (0, 30.0 * 1800.0), ..dying };
        assert!(!alarm.tick(Some(&dying), 32.0 * 1800.0), "one tick of the new process");
        assert!((33..36).any(|k| alarm.tick(Some(&dying), f64::from(k) * 1800.0)), "and a few more");
    }

    /// Raises an alarm, has it end by `then`, and tells whether `next` raises another.
    fn raised_again(then: impl Fn(u32) -> Option<Posterior>, next: &Posterior) -> bool {
        let mut alarm = Alarm::new(AlarmPolicy::default());
        let mut tick = |p: Option<&Posterior>, k: u32| alarm.tick(p, f64::from(k) * 1800.0);
        assert!((0..40).any(|k| tick(Some(&leaning(0.8, (0, 0.0))), k)), "the first");
        assert!((40..60).any(|k| !tick(then(k).as_ref(), k)), "it ends");
        (60..200).any(|k| tick(Some(next), k))
    }

    fn leaning(goes_on: f64, process: (u32, f64)) -> Posterior {
        Posterior { goes_on: Some(goes_on), process, ..posterior(20.0, 70.0) }
    }

    #[test]
    fn who_climbed_and_did_not_go_on_has_to_show_more_than_another_process() {
        let calm = |_| Some(leaning(0.01, (0, 0.0)));
        assert!(!raised_again(calm, &leaning(0.8, (0, 0.0))), "as much as before is not enough");
        assert!(raised_again(calm, &leaning(0.97, (0, 0.0))));
        assert!(raised_again(calm, &leaning(0.8, (0, 40.0 * 1800.0))), "in the next process it is");
        assert!(raised_again(calm, &leaning(0.8, (1, 0.0))), "and in another replica");
    }

    #[test]
    fn an_alarm_that_only_loses_sight_was_not_wrong() {
        assert!(raised_again(|_| None, &leaning(0.8, (0, 0.0))));
        // Out of sight for a while, and calm when it is seen again.
        let calm = |k| (k > 44).then(|| leaning(0.01, (0, 0.0)));
        let mut alarm = Alarm::new(AlarmPolicy::default());
        let mut tick = |p: Option<&Posterior>, k: u32| alarm.tick(p, f64::from(k) * 1800.0);
        assert!((0..40).any(|k| tick(Some(&leaning(0.8, (0, 0.0))), k)));
        (40..60).for_each(|k| assert!(!tick(calm(k).as_ref(), k)));
        assert!(!(60..200).any(|k| tick(Some(&leaning(0.8, (0, 0.0))), k)));
    }

    #[test]
    fn an_alarm_that_outlives_its_process_is_not_held_against_the_next() {
        let next = |_| Some(leaning(0.01, (0, 40.0 * 1800.0)));
        assert!(raised_again(next, &leaning(0.8, (0, 40.0 * 1800.0))));
    }

    #[test]
    fn a_long_clock_is_watched_for_longer() {
        let policy = AlarmPolicy::default();
        let leaning = |hours: f64, floor: f64| Posterior { goes_on: Some(0.8), ..posterior(hours, floor) };
        let near = ticks_until(policy, &leaning(20.0, 85.0));
        let far = ticks_until(policy, &Posterior { span: 36_000.0, ..leaning(200.0, 70.0) });
        assert!(near < far && far < 30, "{near} {far}");
    }

    #[test]
    fn what_is_known_of_such_climbs_decides() {
        let policy = AlarmPolicy::default();
        let known = |goes_on: f64| Posterior { goes_on: Some(goes_on), ..posterior(20.0, 70.0) };
        assert!(known(0.3).p_within(policy.horizon) > 0.99);
        assert_eq!(ticks_until(policy, &known(0.3)), usize::MAX);
        let (leaning, sure) = (ticks_until(policy, &known(0.7)), ticks_until(policy, &known(0.99)));
        assert!(sure < leaning && leaning < 100, "{sure} {leaning}");
        assert!(sure > 1, "one tick is not enough");
        let never = Posterior { draws: vec![f64::INFINITY; 10], ..known(0.99) };
        assert_eq!(never.p_death(policy.horizon), 0.0);
        let draws = [vec![3_600.0; 4], vec![f64::INFINITY; 6]].concat();
        let rarely = Posterior { draws, ..known(0.99) };
        assert!((rarely.p_death(policy.horizon) - 0.4).abs() < 1e-9, "no surer than the models");
        let rarely = Posterior { p_leak: 0.4, ..rarely };
        assert!((rarely.p_climbs_on() - 0.4).abs() < 1e-9);
        assert!((known(0.3).p_climbs_on() - 0.3).abs() < 1e-9);
        assert_eq!(ticks_until(policy, &rarely), usize::MAX, "the median is never");
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
        assert_eq!(ticks_until(policy, &posterior(24.0, 15.0)), usize::MAX);
        let slope = Interval { low: 0.0, mid: 1.0 / 3600.0, high: 0.0 };
        let hardly = |floor: f64| ticks_until(policy, &Posterior { slope, ..posterior(24.0, floor) });
        assert!(hardly(91.0) < 100, "there is no room left to wait in");
        assert_eq!(hardly(89.0), usize::MAX);
    }
}
