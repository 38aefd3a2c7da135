//! A document posted somewhere, once.

use std::time::Duration;

use crate::prometheus::{Trust, tls};

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Characters of an answer that are told.
const TOLD: usize = 200;

/// Posts JSON; over https to who shows a certificate of an authority that is trusted.
///
/// # Errors
/// What the server or the connection said, or why the certificates cannot be used.
pub fn json(url: &str, token: Option<&str>, trust: &Trust, body: &str) -> Result<(), String> {
    let mut config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .http_status_as_error(false);
    if url.starts_with("https:") {
        config = config.tls_config(tls::config(trust).map_err(|e| e.to_string())?);
    }
    let agent: ureq::Agent = config.build().into();
    let mut request = agent.post(url).header("Content-Type", "application/json");
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = request.send(body).map_err(|e| e.to_string())?;
    let status = response.status().as_u16();
    if (200..300).contains(&status) {
        return Ok(());
    }
    // An answer that cannot be read says nothing more.
    let said = response.body_mut().with_config().limit(4096).read_to_string().unwrap_or_default();
    let said: String = said.chars().filter(|c| !c.is_control()).take(TOLD).collect();
    Err(format!("the server answers {status} {said}"))
}
