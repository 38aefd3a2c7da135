//! What a history would have shown to who watched it live: when it would have warned, how long before the end, and which warnings
//! were false.
//!
//! A warning is right when the process died within the time it was given; it is false when that time passed and nothing happened. A
//! restart before then proves neither, and neither does the end of the history.

use serde::Serialize;

use crate::cluster::{Workload, judge_with};
use crate::slope::{Alarm, AlarmPolicy};

/// Share of its limit that a process used when it ended, from which on it died of it.
const DIED: f64 = 0.9;
/// The time that a warning gives counts as over when it has passed so many times.
const OVER: f64 = 1.5;
/// Steps without a sample after which a replica is gone.
const GONE: f64 = 3.0;

/// What was said at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// When, Unix seconds.
    pub t: f64,
    /// Whether the alarm stood.
    pub alarm: bool,
    /// The latest time to the limit that was given, seconds.
    pub latest: f64,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct End {
    /// When, Unix seconds.
    pub t: f64,
    /// Whether it died at its limit; else it was restarted or removed.
    pub died: bool,
}

/// What became of a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It died.
    Right,
    /// The time passed, and it did not.
    False,
    /// It was restarted before it could.
    Restarted,
    /// The history ends before the time does.
    Open,
}

/// One warning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// When it would have come, Unix seconds.
    pub unix_seconds: f64,
    /// What became of it.
    pub outcome: Outcome,
    /// Seconds from the warning to the death.
    pub lead_seconds: Option<f64>,
}

/// What a history shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Warnings, in order.
    pub warnings: Vec<Warning>,
    /// Deaths that no warning came before, Unix seconds.
    pub missed: Vec<f64>,
    /// All deaths.
    pub deaths: usize,
}

impl Tally {
    /// Warnings with an outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.warnings.iter().filter(|w| w.outcome == outcome).count()
    }

    /// The middle of the times between a right warning and its death, seconds.
    pub fn lead(&self) -> Option<f64> {
        let mut leads: Vec<f64> = self.warnings.iter().filter_map(|w| w.lead_seconds).collect();
        leads.sort_by(f64::total_cmp);
        leads.get(leads.len() / 2).copied()
    }
}

/// Sets what was said against what happened; `until` is where the history ends.
pub fn tally(moments: &[Moment], ends: &[End], until: f64) -> Tally {
    let mut tally = Tally::default();
    let mut warned: Vec<f64> = Vec::new();
    let mut at = 0;
    while let Some(first) = moments[at..].iter().position(|m| m.alarm).map(|i| at + i) {
        let began = moments[first].t;
        // An alarm ends with the life that it was about.
        let life_ends = ends.iter().map(|e| e.t).find(|t| *t > began).unwrap_or(f64::INFINITY);
        let last = moments[first..].iter().position(|m| !m.alarm || m.t > life_ends).map(|i| first + i);
        let stood = &moments[first..last.unwrap_or(moments.len())];
        let due = stood.iter().map(|m| m.t + OVER * m.latest).fold(began, f64::max);
        let end =
            ends.iter().find(|e| e.t > began && (e.t <= due || last.is_none_or(|l| e.t <= moments[l].t)));
        let outcome = match end {
            Some(e) if e.died => Outcome::Right,
            Some(_) => Outcome::Restarted,
            None if due >= until => Outcome::Open,
            None => Outcome::False,
        };
        let lead_seconds = end.filter(|e| e.died).map(|e| e.t - began);
        warned.extend(end.map(|e| e.t));
        // What comes and goes before the same death is one warning.
        let is_new = tally.warnings.last().is_none_or(|w| end.is_none_or(|e| e.t != began_of(w)));
        if is_new {
            tally.warnings.push(Warning { unix_seconds: began, outcome, lead_seconds });
        }
        at = first + stood.len().max(1);
        if at >= moments.len() {
            break;
        }
    }
    tally.deaths = ends.iter().filter(|e| e.died).count();
    tally.missed = ends.iter().filter(|e| e.died && !warned.contains(&e.t)).map(|e| e.t).collect();
    tally
}

/// The death that a warning was about.
fn began_of(w: &Warning) -> f64 {
    w.unix_seconds + w.lead_seconds.unwrap_or(f64::NAN)
}

/// Walks the history of a workload as if live, never looking ahead, with a look every `every` seconds.
pub fn walk(workload: &Workload, (from, to): (f64, f64), every: f64, step: f64) -> Tally {
    let mut alarm = Alarm::new(AlarmPolicy::default());
    let looks = if every > 0.0 { ((to - from) / every).floor() as u64 } else { 0 };
    let moment = |i: u64| {
        let t = from + i as f64 * every;
        let known = workload.until(t);
        let posterior = judge_with(&known, t, step).1;
        let latest = posterior.as_ref().map_or(f64::INFINITY, |p| p.time_to_limit.high);
        Moment { t, alarm: alarm.tick(posterior.as_ref(), t), latest }
    };
    let moments: Vec<Moment> = (1..=looks).map(moment).collect();
    tally(&moments, &ends(workload, to, step), to)
}

/// How the lives of a workload ended.
fn ends(workload: &Workload, to: f64, step: f64) -> Vec<End> {
    let mut ends = Vec::new();
    for replica in &workload.replicas {
        for (at, life) in replica.lives.iter().enumerate() {
            let Some(last) = life.points.last() else { continue };
            let is_over = at + 1 < replica.lives.len() || to - last.t > GONE * step;
            if is_over {
                // What lies between two floors is not seen: the slope of the last ones says how near it came.
                let before = life.points.len().checked_sub(2).and_then(|i| life.points.get(i));
                let next = before.map_or(last.v, |b| last.v + (last.v - b.v).max(0.0));
                // What took its place within a step has its own limit by the end of it.
                let first = life.points.first().map_or(last.t, |p| p.t);
                let limit = replica.limits.at((last.t - step).max(first));
                let died = limit.is_some_and(|limit| next >= DIED * limit);
                ends.push(End { t: last.t + step, died });
            }
        }
    }
    ends.sort_by(|a, b| a.t.total_cmp(&b.t));
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Life, Limits, Replica};
    use crate::series::Point;
    use crate::slope::{Death, Samples};

    const HOUR: f64 = 3600.0;
    const MIB: f64 = 1_048_576.0;

    fn moments(of: &[(f64, bool, f64)]) -> Vec<Moment> {
        of.iter().map(|(t, alarm, latest)| Moment { t: *t, alarm: *alarm, latest: *latest }).collect()
    }

    #[test]
    fn warnings_are_set_against_what_happened() {
        let died = |t: f64| End { t, died: true };
        let said =
            [(1.0, false, 9.0), (2.0, true, 4.0), (3.0, true, 3.0), (6.0, false, 99.0), (7.0, false, 99.0)];
        let right = tally(&moments(&said), &[died(5.5)], 100.0);
        assert_eq!(
            right.warnings,
            [Warning { unix_seconds: 2.0, outcome: Outcome::Right, lead_seconds: Some(3.5) }]
        );
        assert_eq!((right.deaths, right.missed.len(), right.lead()), (1, 0, Some(3.5)));
        let outcome = |ends: &[End], until: f64| tally(&moments(&said), ends, until).warnings[0].outcome;
        assert_eq!(outcome(&[], 100.0), Outcome::False);
        assert_eq!(outcome(&[], 7.0), Outcome::Open);
        assert_eq!(outcome(&[End { t: 5.0, died: false }, died(5.5)], 100.0), Outcome::Restarted);
        let late = tally(&moments(&said), &[died(50.0)], 100.0);
        assert_eq!((late.count(Outcome::False), late.missed.as_slice()), (1, &[50.0][..]));
        // An alarm that comes and goes before one death is one.
        let twice = [(1.0, true, 20.0), (2.0, false, 20.0), (3.0, true, 20.0), (9.0, false, 20.0)];
        assert_eq!(tally(&moments(&twice), &[died(8.0)], 100.0).warnings.len(), 1);
        assert_eq!(tally(&moments(&[]), &[died(1.0)], 2.0).missed, [1.0]);
    }

    #[test]
    fn a_leak_that_kills_twice_is_foreseen_and_a_flat_one_is_left_alone() {
        let (step, to) = (300.0, 1_760_000_000.0);
        let workload = |lives: Vec<Life>| Workload {
            cluster: String::new(),
            namespace: "shop".into(),
            name: "api".into(),
            container: "api".into(),
            number: "memory".into(),
            is_heap: false,
            samples: Samples::Raw,
            death: Death::AtUsage,
            replicas: vec![Replica {
                pod: "api-0".into(),
                lives,
                limits: Limits::always(1024.0 * MIB),
                ..Replica::default()
            }],
            kills: None,
        };
        let life = |start: f64, hours: f64, a_hour: f64| {
            let count = (hours * HOUR / step) as usize;
            let point = |i: usize| {
                let age = i as f64 * step;
                let noise = ((age * 0.017).sin() + (age * 0.0031).cos()) * 0.4;
                Point { t: start + age, v: (300.0 + a_hour * age / HOUR + noise) * MIB }
            };
            Life { start, version: None, points: (0..count).map(point).collect() }
        };
        // 724 MiB at 16 an hour: dead after 45 hours, twice.
        let begin = to - 100.0 * HOUR;
        let lives = vec![
            life(begin, 45.0, 16.0),
            life(begin + 45.2 * HOUR, 45.0, 16.0),
            life(begin + 90.4 * HOUR, 9.6, 16.0),
        ];
        let told = walk(&workload(lives), (begin, to), HOUR, step);
        assert_eq!((told.deaths, told.missed.len(), told.count(Outcome::Right)), (2, 0, 2), "{told:?}");
        assert!(told.lead().expect("a lead") > 10.0 * HOUR, "{told:?}");
        assert_eq!(told.count(Outcome::False), 0, "{told:?}");
        // A pod that is flat comes back with a smaller limit within a step: nobody died.
        let mut back = workload(vec![life(begin, 50.0, 0.0), life(begin + 50.0 * HOUR, 50.0, 0.0)]);
        let at = begin + 50.0 * HOUR - step;
        let point = |t, mib: f64| Point { t, v: mib * MIB };
        back.replicas[0].limits = Limits::told([point(begin, 4096.0), point(at, 310.0)]);
        assert_eq!(walk(&back, (begin, begin + 60.0 * HOUR), 12.0 * HOUR, step).deaths, 0);
        let flat = walk(&workload(vec![life(begin, 100.0, 0.0)]), (begin, to), HOUR, step);
        assert_eq!(flat, Tally::default());
    }
}
