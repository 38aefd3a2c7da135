//! The course of a run: rounds come in, and it says whether another is needed and what came of it.

use std::collections::BTreeMap;
use std::fmt;

use super::growth::{self, Growth, LOOKS, Verdict};
use super::metric::Metric;
use super::tolerance::Tolerance;
use super::trend::Level;
use crate::fact::Reading;
use crate::units;

/// Share of the iterations that may fail before the load counts as lost.
const MAY_FAIL: f64 = 0.01;
/// Share of the rounds in which a metric must be known.
const KNOWN: f64 = 0.8;

/// One round of work with what was read after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// Iterations that were tried.
    pub iterations: u64,
    /// Those that failed.
    pub failed: u64,
    /// Levels after the collection.
    pub readings: BTreeMap<Metric, Reading>,
}

/// Why a run proves nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Withdrawn {
    /// The work was not done.
    LoadLost {
        /// Iterations that failed.
        failed: u64,
        /// Iterations that were tried.
        of: u64,
    },
    /// It has ended, and perhaps another runs in its place: what had grown is gone.
    Restarted,
    /// It ended within the run.
    Ended(String),
    /// A limit was hit: memory is pushed back there, and the slope with it.
    Ceiling(String),
    /// The run could not go on for another reason.
    Broken(String),
}

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Withdrawn::LoadLost { failed, of } => write!(
                f,
                "the load did not land: {} of {} iterations failed",
                units::thousands(*failed),
                units::thousands(*of)
            ),
            Withdrawn::Restarted => f.write_str("the process ended or was restarted within the run"),
            Withdrawn::Ended(how) => write!(f, "the program ended within the run ({how})"),
            Withdrawn::Ceiling(which) => write!(f, "a ceiling was hit: {which}"),
            Withdrawn::Broken(why) => f.write_str(why),
        }
    }
}

/// What became of the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something grows.
    Growing,
    /// All that was judged is flat, memory among it.
    Flat,
    /// Something grew, ever more slowly.
    Saturating,
    /// Something could not be told.
    Undecided,
    /// The run proves nothing.
    Withdrawn,
}

impl Outcome {
    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Growing => "growing",
            Outcome::Flat => "flat",
            Outcome::Saturating => "saturating",
            Outcome::Undecided => "undecided",
            Outcome::Withdrawn => "withdrawn",
        }
    }
}

/// One metric with what the rounds say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The metric.
    pub metric: Metric,
    /// What is borne per iteration.
    pub tolerance: f64,
    /// The judgement, or why there is none.
    pub growth: Result<Growth, String>,
    /// What was read.
    pub levels: Vec<Level>,
}

impl Judged {
    /// The verdict, where there is one.
    pub fn verdict(&self) -> Option<Verdict> {
        self.growth.as_ref().ok().map(|g| g.verdict)
    }
}

/// A run as it goes.
#[derive(Debug, Clone)]
pub struct Course {
    tolerance: Tolerance,
    least: usize,
    most: usize,
    rounds: Vec<Round>,
    withdrawn: Vec<Withdrawn>,
}

impl Course {
    /// A run of `most` rounds at most.
    pub fn new(tolerance: Tolerance, most: usize) -> Course {
        Course {
            tolerance,
            least: 0,
            most: most.min(LOOKS[LOOKS.len() - 1]),
            rounds: Vec::new(),
            withdrawn: Vec::new(),
        }
    }

    /// Goes on for so many rounds at least, though it could be told before: a longer run sees smaller leaks.
    #[must_use]
    pub fn at_least(self, least: usize) -> Course {
        Course { least, ..self }
    }

    /// Takes a round.
    pub fn push(&mut self, round: Round) {
        self.rounds.push(round);
    }

    /// The run proves nothing any more.
    pub fn withdraw(&mut self, why: Withdrawn) {
        self.withdrawn.push(why);
    }

    /// The rounds so far.
    pub fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// Iterations so far.
    pub fn iterations(&self) -> u64 {
        self.rounds.iter().map(|r| r.iterations).sum()
    }

    /// Whether another round is needed. Only at a few looks it may end early: each look is a chance for a false alarm.
    pub fn goes_on(&self) -> bool {
        if !self.withdrawn.is_empty() || self.rounds.len() >= self.most {
            return false;
        }
        let looks = self.rounds.len() >= self.least && LOOKS.contains(&self.rounds.len());
        !looks || !self.is_settled()
    }

    fn is_settled(&self) -> bool {
        let judged = self.judged();
        let mut known = judged.iter().filter_map(|j| j.growth.as_ref().ok()).peekable();
        known.peek().is_some() && known.all(|g| g.is_settled)
    }

    /// Why the run proves nothing; empty when it does.
    pub fn withdrawn(&self) -> Vec<Withdrawn> {
        let (failed, of) = (self.rounds.iter().map(|r| r.failed).sum::<u64>(), self.iterations());
        let lost = (failed as f64 > MAY_FAIL * of as f64).then_some(Withdrawn::LoadLost { failed, of });
        self.withdrawn.iter().cloned().chain(lost).collect()
    }

    /// Every metric that was asked for in some round.
    pub fn judged(&self) -> Vec<Judged> {
        let asked = |m: &&Metric| self.rounds.iter().any(|r| r.readings.contains_key(m));
        Metric::ALL.iter().filter(asked).map(|m| self.judge(*m)).collect()
    }

    fn judge(&self, metric: Metric) -> Judged {
        let tolerance = self.tolerance.of(metric);
        let mut work = 0.0;
        let (mut levels, mut why) = (Vec::new(), None);
        for round in &self.rounds {
            work += (round.iterations - round.failed.min(round.iterations)) as f64;
            match round.readings.get(&metric) {
                Some(Reading::Known(value)) => levels.push(Level { work, value: *value }),
                Some(Reading::Unknown(reason)) => why = Some(reason.clone()),
                None => {}
            }
        }
        let (known, of) = (levels.len(), self.rounds.len());
        let growth = if (known as f64) < KNOWN * of as f64 {
            let why = why.unwrap_or_else(|| "it was not read".to_owned());
            Err(if known == 0 { why } else { format!("known after {known} of {of} rounds: {why}") })
        } else {
            growth::judge(&levels, tolerance, metric.grain())
                .ok_or_else(|| format!("{of} rounds are too few for a slope"))
        };
        Judged { metric, tolerance, growth, levels }
    }

    /// What became of the run. Flat needs memory among what was judged.
    pub fn outcome(&self) -> Outcome {
        if !self.withdrawn().is_empty() {
            return Outcome::Withdrawn;
        }
        let judged = self.judged();
        let has = |v: Verdict| judged.iter().any(|j| j.verdict() == Some(v));
        let memory = judged.iter().any(|j| j.metric.is_memory() && j.growth.is_ok());
        if has(Verdict::Growing) {
            Outcome::Growing
        } else if has(Verdict::Saturating) {
            Outcome::Saturating
        } else if has(Verdict::Undecided) || !memory {
            Outcome::Undecided
        } else {
            Outcome::Flat
        }
    }
}
