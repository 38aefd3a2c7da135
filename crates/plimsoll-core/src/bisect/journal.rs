//! The log of a search as lines of JSON: what was searched, and what every run told. From it alone the search goes on where it
//! was, and anybody can replay it.

use serde::{Deserialize, Serialize};

use super::{Change, Evidence, History, Place, Rules, Run, Search};
use crate::guard::growth;
use crate::recording::API_VERSION;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// `plimsoll/v1`.
    pub api_version: String,
    /// `BisectionLog`.
    pub kind: String,
    /// What the changes are: commits or releases.
    pub of: String,
    /// The version before all changes.
    pub good: String,
    /// What is run.
    pub command: Vec<String>,
    /// What is run before it; what fails here tells nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The metric that the user wants to be judged; else the one that differs most between both ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// What is searched.
    pub changes: Vec<Change>,
}

impl Head {
    /// The kind that every first line has.
    pub const KIND: &'static str = "BisectionLog";

    /// A head of this version of the format.
    pub fn new(of: &str, good: &str, command: &[String], changes: &[Change]) -> Head {
        Head {
            api_version: API_VERSION.to_owned(),
            kind: Head::KIND.to_owned(),
            of: of.to_owned(),
            good: good.to_owned(),
            command: command.to_vec(),
            build: None,
            metric: None,
            changes: changes.to_vec(),
        }
    }
}

/// The slope of one metric as the growth test measured it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The metric's name.
    pub name: String,
    /// Growth per iteration.
    pub value: f64,
    /// Its interval.
    pub low: f64,
    /// Its interval.
    pub high: f64,
    /// What is borne.
    pub tolerance: f64,
}

impl Measured {
    /// The standard error that the interval was made from.
    fn error(&self) -> f64 {
        (self.high - self.low) / (2.0 * growth::Z)
    }
}

/// One run: a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What was run.
    pub place: Place,
    /// When it began, Unix seconds.
    pub unix_seconds: f64,
    /// How long it took.
    pub seconds: f64,
    /// Whether it is bad, by its exit code or the outcome of the growth test; nothing where it told neither.
    pub bad: Option<bool>,
    /// What the growth test measured.
    #[serde(default)]
    pub metrics: Vec<Measured>,
    /// Why it told nothing, or what else is to be known of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What an exit code says: bad or not, or why it says neither. As `git bisect run` reads it, but for a command that could not be
/// run (126, 127), which tells nothing about a version.
///
/// # Errors
/// When it tells nothing.
pub fn verdict(code: i32) -> Result<bool, &'static str> {
    match code {
        0 => Ok(false),
        125 => Err("the command asked to leave it out (exit code 125)"),
        126 | 127 => Err("the command could not be run (exit code 126 or 127)"),
        1..=124 => Ok(true),
        _ => Err("the command broke off (exit code 128 or more)"),
    }
}

/// A log that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Its first line is none of ours.
    #[error("its first line is no head of such a log: {0}")]
    Head(String),
    /// A line in the middle is damaged.
    #[error("line {line} is damaged: {why}")]
    Line {
        /// Its number.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// A whole log.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// What is searched.
    pub head: Head,
    /// The runs.
    pub steps: Vec<Step>,
}

impl Journal {
    /// Reads a log. A last line without its end is one that was being written: it is left out, and the length of what is whole
    /// is told.
    ///
    /// # Errors
    /// When a line is damaged.
    pub fn parse(text: &str) -> Result<(Journal, usize), JournalError> {
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines().enumerate();
        let head = lines.next().map_or("", |(_, line)| line);
        let head: Head = serde_json::from_str(head).map_err(|e| JournalError::Head(e.to_string()))?;
        if head.kind != Head::KIND || head.api_version != API_VERSION {
            return Err(JournalError::Head(format!("it is {} {}", head.api_version, head.kind)));
        }
        let step = |(at, line): (usize, &str)| {
            let step: Step = serde_json::from_str(line)
                .map_err(|e| JournalError::Line { line: at + 1, why: e.to_string() })?;
            let is_known = matches!(step.place, Place::Good)
                || matches!(step.place, Place::At(n) if n < head.changes.len());
            let unknown =
                || JournalError::Line { line: at + 1, why: "it runs a change that is not there".to_owned() };
            if is_known { Ok(step) } else { Err(unknown()) }
        };
        let steps = lines.map(step).collect::<Result<_, _>>()?;
        Ok((Journal { head, steps }, whole))
    }

    /// The metric that is judged: the user's, else the one that differs most between both ends, in the errors of its slopes; none
    /// where none differs by more than is borne.
    pub fn metric(&self) -> Option<String> {
        if let Some(metric) = &self.head.metric {
            return Some(metric.clone());
        }
        let last = Place::At(self.head.changes.len().checked_sub(1)?);
        let at = |place: Place| self.steps.iter().filter(move |s| s.place == place).flat_map(|s| &s.metrics);
        let apart = |good: &Measured| {
            let bad = at(last).find(|m| m.name == good.name)?;
            let by = bad.value - good.value;
            // What is borne keeps a count that never moves from being infinitely certain.
            let error = good.error().hypot(bad.error()).hypot(good.tolerance / growth::Z);
            (by > good.tolerance).then_some((by / error, good.name.clone()))
        };
        at(Place::Good).filter_map(apart).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
    }

    /// What a run tells of a metric; its verdict where it did not measure that.
    pub fn evidence(step: &Step, metric: Option<&str>) -> Evidence {
        let measured = metric.and_then(|name| step.metrics.iter().find(|m| m.name == name));
        match (measured, step.bad) {
            (Some(m), _) if m.error().is_finite() && m.value.is_finite() => {
                Evidence::Slope { value: m.value, error: m.error().max(0.0) }
            }
            (_, Some(bad)) => Evidence::Verdict { bad },
            _ => Evidence::Nothing,
        }
    }

    /// The search as far as it has come.
    ///
    /// # Errors
    /// When the changes are no history.
    pub fn search(&self, rules: Rules) -> Result<Search, super::HistoryError> {
        let mut search = Search::new(History::new(self.head.changes.clone())?, rules);
        let metric = self.metric();
        for step in &self.steps {
            search.push(Run { place: step.place, evidence: Journal::evidence(step, metric.as_deref()) });
        }
        Ok(search)
    }
}
