//! Which change brought it: a search over a history of changes whose single runs may be wrong.
//!
//! Each run of a version is a likelihood and not a bit ([`Evidence`]): a measured slope with its error, or a verdict that
//! errs now and then. How large the effect is, how much runs of one version differ and how often verdicts err is not
//! known beforehand and is integrated out ([`likelihood`]). [`Search`] keeps the posterior over all changes of a
//! [`History`], says which version to run next, repeats runs where the noise asks for it, and ends when it is sure, or
//! when it sees that the history does not show the difference at all.

mod belief;
pub mod deploys;
pub mod flag;
mod history;
mod journal;
mod likelihood;
mod search;
#[cfg(test)]
mod tests;

pub use history::{Change, History, HistoryError};
pub use journal::{Head, Journal, JournalError, Measured, Step, verdict};
pub use search::{Found, Next, Posterior, Rules, Search, Unfound};

use serde::{Deserialize, Serialize};

/// What can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The version before all changes, which is known to be good.
    Good,
    /// The version that ends with this change.
    At(usize),
}

/// What one run tells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A verdict, which may be wrong.
    Verdict {
        /// Whether it was bad.
        bad: bool,
    },
    /// A number that is larger where the change is in.
    Slope {
        /// What was measured.
        value: f64,
        /// Its standard error.
        error: f64,
    },
    /// Nothing: it did not build, hung, or its measurement was withdrawn.
    Nothing,
}

/// One run of one version.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What was run.
    pub place: Place,
    /// What it told.
    pub evidence: Evidence,
}
