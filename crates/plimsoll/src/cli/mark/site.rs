//! Sites that marks are asked of or told to: who asks, and what is said when they do not answer.

use std::fs;
use std::path::PathBuf;

use plimsoll_host::marks::{Site, SiteError};
use plimsoll_host::prometheus::Trust;

use crate::error::{CliError, Kind};

/// Who asks.
#[derive(Debug, clap::Args)]
pub(super) struct Who {
    /// File with a bearer token; PLIMSOLL_GRAFANA_TOKEN or PLIMSOLL_ARGOCD_TOKEN holds one too.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Authorities to trust over https, as PEM, in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Who {
    /// The site at an address, asked with the token of the file or the variable.
    pub(super) fn site(&self, url: &str, variable: &str) -> Result<Site, CliError> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(CliError::usage(format!(
                "{url:?} is no address of the form http://HOST:PORT or https://HOST"
            )));
        }
        let read = |path: &PathBuf| {
            fs::read(path)
                .map_err(|e| CliError::usage(format!("failed to read {}", path.display())).because(e))
        };
        let token = match &self.token_file {
            Some(path) => Some(String::from_utf8_lossy(&read(path)?).trim().to_owned()),
            None => std::env::var(variable).ok(),
        };
        let trust = Trust { authorities: self.ca.as_ref().map(read).transpose()?, identity: None };
        Site::new(url, token.as_deref(), &trust)
            .map_err(|e| CliError::usage(format!("{url} cannot be asked over https")).because(e))
    }
}

pub(super) fn unanswered(e: SiteError, what: &str) -> CliError {
    let hint = match e.status() {
        Some(401 | 403) => "say who is asking: --token-file",
        Some(404) => "the address is that of the site, with the prefix of its path if it has one",
        _ => "is the address right, and can it be reached from here?",
    };
    CliError::new(Kind::CannotJudge, format!("{what} did not answer")).because(e).hint(hint)
}
