//! The public table of exit codes.

/// Nothing found.
pub(crate) const FINE: u8 = 0;
/// Findings at or above `--fail-on`.
pub(crate) const FINDINGS: u8 = 1;
/// Usage or configuration.
pub(crate) const USAGE: u8 = 2;
/// Cannot judge: data missing.
pub(crate) const CANNOT_JUDGE: u8 = 3;
/// Refused as unsafe.
pub(crate) const REFUSED: u8 = 4;
/// Partial: truncated input, some targets unreadable.
pub(crate) const PARTIAL: u8 = 5;
/// Internal error.
pub(crate) const INTERNAL: u8 = 70;
/// A program that was to be run cannot be: shells say it so, and `bisect` takes it for no verdict.
pub(crate) const NOT_RUN: u8 = 126;
