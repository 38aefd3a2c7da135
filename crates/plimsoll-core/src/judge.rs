//! The whole judgement of one recording: clock, cause, next step. Pure: the same recording, the same answer.

use serde::Serialize;

use crate::classify::{Cause, Certainty, Verdict, classify};
use crate::clock::{Clock, Decision, clock};
use crate::plan::{Plan, plan};
use crate::recording::Recording;
use crate::runtime;
use crate::runtime::rules::Net;
use crate::signals::{Rising, Signals, Trend, signals};

/// Everything that a screen says of one target.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// Trends of the numbers.
    pub signals: Signals,
    /// How long.
    pub clock: Clock,
    /// What it is.
    pub verdict: Verdict,
    /// What to do next.
    pub plan: Plan,
    /// Is evidence kept when it dies?
    pub net: Net,
    /// Resident memory against live heap.
    pub two_by_two: TwoByTwo,
}

/// The manual's 2×2: does the resident set climb, does the live heap climb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TwoByTwo {
    /// Private memory of the process.
    pub resident: Option<Rising>,
    /// What stays after collection.
    pub live: Option<Rising>,
}

/// Judges a recording up to its newest sample. `limit` overrides the limits that it holds.
pub fn judge(recording: &Recording, limit: Option<f64>) -> Judgement {
    let signals = signals(recording);
    let clock = clock(recording, limit);
    let verdict = classify(recording, &signals, &clock);
    let plan = plan(recording, &clock, &verdict);
    let rising = |t: &Option<Trend>| t.as_ref().map(|t| t.rising);
    Judgement {
        two_by_two: TwoByTwo { resident: rising(&signals.total), live: rising(&signals.live) },
        net: (runtime::rules(recording.target.runtime).net)(recording),
        signals,
        clock,
        verdict,
        plan,
    }
}

impl Judgement {
    /// True when watching longer would not change what to do: the cause is certain and the clock is set.
    pub fn settled(&self) -> bool {
        let timed = self.clock.binding().is_some_and(|b| {
            b.posterior
                .as_ref()
                .is_ok_and(|p| p.time_to_limit.high.is_finite() || self.verdict.cause == Cause::Churn)
        });
        self.clock.decision == Decision::AlreadyUnresponsive
            || (self.verdict.certainty == Certainty::Certain && timed)
    }

    /// True when there is something to report at all.
    pub fn finding(&self) -> bool {
        !matches!(self.verdict.cause, Cause::None | Cause::Undecided) || self.pressing()
    }

    /// True when there is no time to investigate live.
    pub fn pressing(&self) -> bool {
        matches!(self.clock.decision, Decision::AlreadyUnresponsive | Decision::DrainAndCapture)
    }

    /// True when nothing could be judged: no number, no limit.
    pub fn blind(&self) -> bool {
        self.clock.bounds.iter().all(|b| b.posterior.is_err()) && self.signals.total.is_none()
    }
}
