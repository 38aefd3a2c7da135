//! Profiles pushed to a server that takes Pyroscope's `/ingest`.

use std::time::Duration;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(15);
const BOUNDARY: &str = "plimsoll-profile-3f1c9b7e5a";

/// One profile on its way.
pub(crate) struct Push<'a> {
    pub(crate) server: &'a str,
    /// The program, and the workload as a label.
    pub(crate) name: &'a str,
    pub(crate) workload: &'a str,
    /// Unix seconds.
    pub(crate) from: f64,
    pub(crate) until: f64,
    /// pprof, packed or not.
    pub(crate) profile: &'a [u8],
}

/// Sends it.
///
/// # Errors
/// What the server or the connection said.
pub(crate) fn push(push: &Push<'_>) -> Result<(), String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .http_status_as_error(false)
        .build();
    let agent: ureq::Agent = config.into();
    let response = agent
        .post(&url(push))
        .header("Content-Type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .send(&body(push.profile)[..])
        .map_err(|e| format!("the profiler's server does not answer: {e}"))?;
    let status = response.status().as_u16();
    if (200..300).contains(&status) { Ok(()) } else { Err(format!("the profiler's server answers {status}")) }
}

fn url(push: &Push<'_>) -> String {
    let name = format!("{}{{workload={}}}", plain(push.name), plain(push.workload));
    format!(
        "{}/ingest?name={}&from={:.0}&until={:.0}&format=pprof&spyName=plimsoll",
        push.server.trim_end_matches('/'),
        encoded(&name),
        push.from,
        push.until.ceil()
    )
}

/// Names and labels there have no commas, braces or quotes.
fn plain(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    text.chars().map(|c| if fits(c) { c } else { '_' }).take(200).collect()
}

fn encoded(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn body(profile: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"profile.pprof\"\r\nContent-Type: application/octet-stream\r\n\r\n"
    );
    [head.as_bytes(), profile, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_within_the_name() {
        let push = Push {
            server: "http://x:4040/",
            name: "api&format=x",
            workload: "a,b}\"",
            from: 10.0,
            until: 20.5,
            profile: b"",
        };
        assert_eq!(
            url(&push),
            "http://x:4040/ingest?name=api_format_x%7Bworkload%3Da_b__%7D&from=10&until=21&format=pprof&spyName=plimsoll"
        );
    }
}
