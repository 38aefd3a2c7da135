//! The growth test: does a program grow with the work that it does, per iteration and with an interval.
//!
//! A run is rounds of work with a floor read after each ([`Round`]); [`Course`] says whether another round is needed and
//! what each metric does ([`growth`]). Load, collections and readings are somebody else's: here is only what they mean.

mod course;
pub mod dashboard;
pub mod difference;
pub mod generate;
pub mod growth;
mod keys;
pub mod marker;
mod metric;
pub mod rules;
#[cfg(test)]
mod tests;
mod tolerance;
pub mod trend;

pub use course::{Course, Judged, Outcome, Round, Withdrawn};
pub use growth::{Growth, Verdict};
pub use keys::{KeyFinding, KeyMode, Template, TemplateError, compare};
pub use metric::Metric;
pub use tolerance::{Tolerance, bearable};
