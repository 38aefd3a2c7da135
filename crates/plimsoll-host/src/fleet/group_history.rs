//! What a control group said over the last hour, as changes: most of its numbers stand still from one second to
//! the next, and a machine may hold hundreds of groups.

use std::collections::{BTreeMap, VecDeque, vec_deque};
use std::iter::Peekable;

use plimsoll_core::fact::Fact;
use plimsoll_core::recording::Observation;

/// The facts at one instant.
type State = BTreeMap<Fact, f64>;

/// One sample, as what differs from the one before; `None` for a fact that was no longer told.
struct Step {
    t: f64,
    changes: Box<[(Fact, Option<f64>)]>,
}

/// Samples of one group, oldest first.
#[derive(Default)]
pub(super) struct GroupHistory {
    /// State before the oldest step.
    before: State,
    steps: VecDeque<Step>,
    /// State after the newest step.
    now: State,
}

impl GroupHistory {
    /// Takes in a sample and forgets those before `oldest` (Unix seconds).
    pub(super) fn push(&mut self, o: Observation, oldest: f64) {
        let gone = self.now.keys().filter(|f| !o.facts.contains_key(f)).map(|f| (*f, None));
        let new = o.facts.iter().filter(|(f, v)| self.now.get(f) != Some(v)).map(|(f, v)| (*f, Some(*v)));
        let step = Step { t: o.t, changes: gone.chain(new).collect() };
        self.now = o.facts;
        self.steps.push_back(step);
        while let Some(step) = self.steps.pop_front_if(|s| s.t < oldest) {
            step.apply(&mut self.before);
        }
    }

    /// Walks the samples from the oldest on.
    pub(super) fn walk(&self) -> Walk<'_> {
        Walk { state: self.before.clone(), at: f64::NEG_INFINITY, rest: self.steps.iter().peekable() }
    }
}

impl Step {
    fn apply(&self, state: &mut State) {
        for (fact, value) in &self.changes {
            let _old = match value {
                Some(v) => state.insert(*fact, *v),
                None => state.remove(fact),
            };
        }
    }
}

/// A walk over the samples, in order of time.
pub(super) struct Walk<'a> {
    state: State,
    at: f64,
    rest: Peekable<vec_deque::Iter<'a, Step>>,
}

impl Walk<'_> {
    /// Adds the sample of exactly `out.t`, if there is one. Later calls must be of later instants.
    pub(super) fn add_to(&mut self, out: &mut Observation) {
        while let Some(step) = self.rest.next_if(|s| s.t <= out.t) {
            step.apply(&mut self.state);
            self.at = step.t;
        }
        if self.at == out.t {
            self.state.iter().for_each(|(f, v)| out.known(*f, *v));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group whose usage moves every third second, whose limit is told every fifth, and that falls silent.
    fn sample(t: u32) -> Observation {
        let mut o = Observation::at(f64::from(t));
        if t % 100 < 90 {
            o.known(Fact::CgroupUsage, f64::from(t / 3));
            o.known(Fact::CgroupAnon, 7.0);
        }
        if t.is_multiple_of(5) {
            o.known(Fact::CgroupLimit, 1e9);
        }
        o
    }

    #[test]
    fn what_is_walked_is_what_was_pushed() {
        let mut history = GroupHistory::default();
        for t in 0..500 {
            history.push(sample(t), f64::from(t) - 300.0);
        }
        let mut walk = history.walk();
        for t in 0..500 {
            let mut out = Observation::at(f64::from(t));
            walk.add_to(&mut out);
            let kept = if t < 199 { Observation::at(f64::from(t)) } else { sample(t) };
            assert_eq!(out, kept, "at {t}");
        }
    }

    #[test]
    fn an_instant_between_samples_has_none() {
        let mut history = GroupHistory::default();
        history.push(sample(0), 0.0);
        history.push(sample(5), 0.0);
        let mut walk = history.walk();
        let mut between = Observation::at(3.0);
        walk.add_to(&mut between);
        assert!(between.is_empty());
        let mut out = Observation::at(5.0);
        walk.add_to(&mut out);
        assert_eq!(out, sample(5));
    }

    #[test]
    fn a_group_that_stands_still_costs_no_more_than_its_instants() {
        let mut history = GroupHistory::default();
        for t in 0..3600 {
            let mut o = sample(0);
            o.t = f64::from(t);
            history.push(o, 0.0);
        }
        assert_eq!(history.steps.iter().map(|s| s.changes.len()).sum::<usize>(), 3);
    }
}
