//! What is foreseen for a workload: how long to which limit, in numbers and in words.

use std::collections::BTreeMap;

use plimsoll_core::agent::{Danger, Level};
use plimsoll_core::clock::Bound;
use plimsoll_core::fact::Fact;
use plimsoll_core::judge::Judgement;
use plimsoll_core::slope::Interval;
use plimsoll_core::target::RuntimeKind;
use plimsoll_core::units::{bytes, duration};

/// Probability of a climb from which the estimator's clock counts.
const BELIEVED: f64 = 0.5;

/// What the estimator says of the limit that binds; the ends are those of an interval of 80 %.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The limit that binds, in the user's terms.
    pub limit: String,
    /// Seconds to the group's limit, lower end, where a climb towards it is believed.
    pub to_group: Option<f64>,
    /// Probability of a climb without a plateau.
    pub p_leak: f64,
    /// Bytes a second of the floor: lower end, middle, upper end.
    pub slope: [f64; 3],
    /// Seconds to the limit: lower end, middle, upper end; infinite without a climb.
    pub seconds: [f64; 3],
    /// The floor, bytes.
    pub floor: f64,
}

impl Forecast {
    pub(super) fn of(j: &Judgement) -> Option<Forecast> {
        let bound = j.clock.binding()?;
        let posterior = bound.posterior.as_ref().ok()?;
        let ends = |i: &Interval| [i.low, i.mid, i.high];
        Some(Forecast {
            limit: bound.name.clone(),
            to_group: j.clock.bounds.iter().find(|b| b.is_of_group()).and_then(soonest),
            p_leak: posterior.p_leak,
            slope: ends(&posterior.slope),
            seconds: ends(&posterior.time_to_limit),
            floor: posterior.floor,
        })
    }

    /// The danger that the last numbers tell, with what is forecast of the group's limit and of the one that binds.
    pub(super) fn beside(&self, quick: Danger) -> Danger {
        let binding = (self.p_leak >= BELIEVED).then_some(self.seconds[0]);
        Danger { estimate: self.to_group, binding, ..quick }
    }
}

/// The lower end of the time to a limit, when the estimator believes in a climb.
fn soonest(bound: &Bound) -> Option<f64> {
    let posterior = bound.posterior.as_ref().ok()?;
    (posterior.p_leak >= BELIEVED).then_some(posterior.time_to_limit.low)
}

/// One row of what the agent knows, for metrics and pages.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The workload.
    pub workload: String,
    /// Its largest process.
    pub pid: i32,
    /// That process's name.
    pub name: String,
    /// Its start, Unix seconds.
    pub started: f64,
    /// How near the end is.
    pub level: Level,
    /// What its limit is run against by.
    pub danger: Danger,
    /// The limit, bytes.
    pub limit: f64,
    /// What the estimator says, when it was asked.
    pub forecast: Option<Forecast>,
    /// The process's runtime.
    pub runtime: RuntimeKind,
    /// What its runtime says of itself.
    pub inner: BTreeMap<Fact, f64>,
    /// Whether its safety net would fire at this limit, as far as an audit tells.
    pub net: Option<bool>,
}

/// What a judgement comes to, with the first thing that speaks for it.
pub(super) fn finding(judgement: &Judgement) -> String {
    let verdict = &judgement.verdict;
    let first = verdict.pro.first().map_or(String::new(), |f| format!(": {}", f.text));
    format!("{} ({}){first}", verdict.cause.name(), verdict.certainty.words())
}

/// How long there is, at which rate and how much room, in words.
pub(super) fn in_words(danger: &Danger, forecast: Option<&Forecast>) -> String {
    let (left, headroom) = (danger.seconds(), bytes(danger.headroom));
    if let Some(f) = forecast.filter(|_| left < danger.to_limit()) {
        return format!(
            "{} to the limit of its {}; {headroom} of headroom in its group",
            duration(left),
            f.limit
        );
    }
    let left = if left.is_finite() { duration(left) } else { "no end in sight".to_owned() };
    format!("{left} at {} a second, {headroom} of headroom", bytes(danger.burn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heap_that_is_full_first_is_named_and_leaves_the_groups_clock_as_it_is() {
        let quick = Danger { headroom: 1_048_576.0, share: 0.5, burn: 0.0, estimate: None, binding: None };
        let forecast = Forecast {
            limit: "Java heap (-Xmx)".to_owned(),
            to_group: Some(900.0),
            p_leak: 0.9,
            slope: [1.0; 3],
            seconds: [20.0, 25.0, 30.0],
            floor: 1.0,
        };
        let danger = forecast.beside(quick);
        assert_eq!((danger.seconds(), danger.to_limit()), (20.0, 900.0));
        let words = in_words(&danger, Some(&forecast));
        assert_eq!(words, "20 s to the limit of its Java heap (-Xmx); 1.00 MiB of headroom in its group");
        assert_eq!(
            in_words(&quick, Some(&forecast)),
            "no end in sight at 0 B a second, 1.00 MiB of headroom"
        );
        let doubtful = Forecast { p_leak: 0.1, to_group: None, ..forecast };
        assert_eq!(doubtful.beside(quick), quick);
    }
}
