//! The one place where errors of the libraries become what the user reads: kind, cause, hints, exit code.

use std::error::Error;
use std::fmt;

use crate::exit_code;

/// Whose problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The command line or the configuration.
    Usage,
    /// The data that judgement needs is not there.
    CannotJudge,
    /// It was refused, as it is not safe.
    Refused,
    /// A program that was to be run cannot be.
    NotRun,
    /// Ours.
    Internal,
}

/// An error as the user sees it.
#[derive(Debug)]
pub(crate) struct CliError {
    kind: Kind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hints: Vec<String>,
}

impl CliError {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        CliError { kind, message: message.into(), source: None, hints: Vec::new() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        CliError::new(Kind::Usage, message)
    }

    pub(crate) fn cannot_judge(message: impl Into<String>) -> Self {
        CliError::new(Kind::CannotJudge, message)
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What went wrong, without causes and hints.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage => exit_code::USAGE,
            Kind::CannotJudge => exit_code::CANNOT_JUDGE,
            Kind::Refused => exit_code::REFUSED,
            Kind::NotRun => exit_code::NOT_RUN,
            Kind::Internal => exit_code::INTERNAL,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        let mut next: Option<&(dyn Error + 'static)> = self.source.as_deref().map(|e| e as _);
        while let Some(e) = next {
            write!(f, ": {e}")?;
            next = e.source();
        }
        for hint in &self.hints {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}
