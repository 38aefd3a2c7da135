//! Where marks come from and go to: sites that are asked over HTTP, flags that are followed, and who signed what was posted.

mod follow;
mod signed;

use std::io::Read as _;
use std::time::Duration;

use crate::prometheus::{Trust, TrustError};
use crate::step::http::patient_agent_with;

pub use follow::{File, Flagd, Flags};
pub use signed::is_signed;

/// More of an answer, or of a file, is not read: what it is unpacked to is larger.
pub const LARGEST: u64 = 16 << 20;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Characters of a refusal that are told.
const TOLD: usize = 200;

/// Somebody who knows of changes.
#[derive(Clone)]
pub struct Site {
    url: String,
    authorization: Option<String>,
    agent: ureq::Agent,
}

// The authorization is a secret.
impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why a site did not answer.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// No connection, or no answer in time.
    #[error("{0} does not answer")]
    Silent(String, #[source] Box<ureq::Error>),
    /// It says no.
    #[error("{0} answers {1} {2}")]
    Status(String, u16, String),
    /// Its answer is larger than what is read.
    #[error("the answer of {0} is larger than {LARGEST} bytes")]
    Large(String),
    /// The answer broke off.
    #[error("the answer of {0} breaks off")]
    Cut(String, #[source] std::io::Error),
}

impl SiteError {
    /// What it answered, where that is a refusal.
    pub fn status(&self) -> Option<u16> {
        if let SiteError::Status(_, status, _) = self { Some(*status) } else { None }
    }
}

impl Site {
    /// Nothing is asked yet. `token` is a bearer's.
    ///
    /// # Errors
    /// When the certificates for https cannot be used.
    pub fn new(url: &str, token: Option<&str>, trust: &Trust) -> Result<Site, TrustError> {
        let url = url.trim_end_matches('/').to_owned();
        let tls = if url.starts_with("https:") { Some(crate::prometheus::tls_config(trust)?) } else { None };
        let authorization = token.map(|t| format!("Bearer {t}"));
        Ok(Site { url, authorization, agent: patient_agent_with(PATIENCE, tls) })
    }

    /// What is at a path.
    ///
    /// # Errors
    /// [`SiteError`]
    pub fn get(&self, path: &str) -> Result<Vec<u8>, SiteError> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let request = match &self.authorization {
            Some(value) => request.header("Authorization", value),
            None => request,
        };
        whole(path, request.call())
    }

    /// What it answers to JSON that is posted.
    ///
    /// # Errors
    /// [`SiteError`]
    pub fn post(&self, path: &str, body: &str) -> Result<Vec<u8>, SiteError> {
        whole(path, self.sent(path, "application/json", &[], body.as_bytes()))
    }

    fn sent(
        &self,
        path: &str,
        kind: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let request = self.agent.post(format!("{}{path}", self.url)).header("Content-Type", kind);
        let own = self.authorization.iter().map(|value| ("Authorization", value.as_str()));
        let all = headers.iter().copied().chain(own);
        all.fold(request, |r, (name, value)| r.header(name, value)).send(body)
    }
}

/// The body of an answer that says yes. Only the path is told: addresses may hold a password.
fn whole(
    path: &str,
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Vec<u8>, SiteError> {
    let path = path.split('?').next().unwrap_or(path).to_owned();
    let response = response.map_err(|e| SiteError::Silent(path.clone(), Box::new(e)))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let read = response.into_body().into_reader().take(LARGEST + 1).read_to_end(&mut body);
    if !(200..300).contains(&status) {
        let said = String::from_utf8_lossy(&body);
        let said: String = said.chars().filter(|c| !c.is_control()).take(TOLD).collect();
        return Err(SiteError::Status(path, status, said));
    }
    read.map_err(|e| SiteError::Cut(path.clone(), e))?;
    if body.len() as u64 > LARGEST { Err(SiteError::Large(path)) } else { Ok(body) }
}
