//! Replays the estimator over a service, tick by tick, without looking ahead.

use plimsoll_core::series::Point;
use plimsoll_core::slope::{
    Alarm, AlarmPolicy, Death, Epoch, NotYet, Posterior, Question, Samples, estimate,
};

use crate::services::Service;

/// The limit of every service, bytes.
pub const LIMIT: f64 = 1_073_741_824.0;
/// Minutes between two looks, of ours and of the rules that say nothing else.
pub const TICK: usize = 10;

/// A service as the estimator sees it.
pub struct Seen<'a> {
    service: &'a Service,
    rss: Vec<Point>,
    load: Vec<Point>,
    with_load: bool,
    samples: Samples,
}

impl<'a> Seen<'a> {
    /// Prepares a service; without the load channel when `with_load` is false.
    pub fn new(service: &'a Service, with_load: bool) -> Seen<'a> {
        let points = |v: &[f64], scale: f64| {
            v.iter().enumerate().map(|(i, x)| Point { t: i as f64 * 60.0, v: x * scale }).collect()
        };
        Seen {
            service,
            rss: points(&service.rss, LIMIT),
            load: points(&service.load, 1.0),
            with_load,
            samples: Samples::Raw,
        }
    }

    /// The same service through a runtime that reports what is left after each collection, every five
    /// minutes; it dies by its floor.
    pub fn after_collections(service: &'a Service, with_load: bool) -> Seen<'a> {
        let every = |v: &[f64], scale: f64| {
            let all = v.iter().enumerate().step_by(5);
            all.map(|(i, x)| Point { t: i as f64 * 60.0, v: x * scale }).collect()
        };
        let (rss, load) = (every(&service.floor, LIMIT), every(&service.load, 1.0));
        Seen { service, rss, load, with_load, samples: Samples::PostCollection }
    }

    /// Asks the estimator at a minute.
    pub fn ask(&self, minute: usize) -> Result<Posterior, NotYet> {
        self.with_question(minute, estimate)
    }

    /// Hands the question at a minute to `f`.
    pub fn with_question<R>(&self, minute: usize, f: impl FnOnce(&Question<'_>) -> R) -> R {
        let runs = &self.service.runs;
        let live = runs.partition_point(|r| r.first <= minute);
        let epochs: Vec<Epoch<'_>> = (0..live)
            .map(|k| {
                let index = |minute: usize| self.rss.partition_point(|p| p.t < minute as f64 * 60.0);
                let end = runs.get(k + 1).map_or(self.rss.len(), |r| index(r.first));
                Epoch {
                    start: runs[k].start * 60.0,
                    version: runs[k].version,
                    replica: 0,
                    points: &self.rss[index(runs[k].first).min(end)..end],
                }
            })
            .collect();
        f(&Question {
            epochs: &epochs,
            load: if self.with_load { &self.load } else { &[] },
            samples: self.samples,
            death: if self.service.managed { Death::AtFloor } else { Death::AtUsage },
            limit: LIMIT,
            now: minute as f64 * 60.0,
            garbage: true,
            seed: 1,
        })
    }

    /// Posteriors at all ticks; `None` where the answer is "not yet".
    pub fn ticks(&self) -> Vec<(usize, Option<Posterior>)> {
        (TICK..self.service.rss.len()).step_by(TICK).map(|minute| (minute, self.ask(minute).ok())).collect()
    }
}

/// Minute flags: an alarm stands until the next tick.
pub fn flags(policy: AlarmPolicy, ticks: &[(usize, Option<Posterior>)], n: usize) -> Vec<bool> {
    let mut alarm = Alarm::new(policy);
    let mut out = vec![false; n];
    for (minute, posterior) in ticks {
        if alarm.tick(posterior.as_ref(), *minute as f64 * 60.0) {
            out.iter_mut().skip(*minute).take(TICK).for_each(|x| *x = true);
        }
    }
    out
}
