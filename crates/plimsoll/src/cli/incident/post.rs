//! `plimsoll incident post`: an incident told to others, after a look at what would be told.

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll_core::agent::{About, Event, What};
use plimsoll_host::export::post;
use plimsoll_host::prometheus::Trust;

use super::{add, all, find, now, seen};
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, tell};
use crate::render;
use crate::render::incident::{Form, Words, payload};

#[derive(Debug, clap::Args)]
pub(super) struct Post {
    /// The incident, or how it begins.
    id: String,

    /// What the server takes.
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: Form,

    /// Where it is posted: https://HOST/PATH, or http. Of Alertmanager the address is enough.
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// File of a bearer token for it.
    #[arg(long, value_name = "FILE", requires = "url")]
    token: Option<PathBuf>,

    /// Authorities whose certificates are trusted over https, in place of the system's: a file in PEM form.
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,

    /// Post it; without, what would be posted is printed.
    #[arg(long, requires = "url")]
    go: bool,

    /// With paths, addresses and what looks like a secret, which are masked otherwise.
    #[arg(long)]
    raw: bool,
}

pub(super) fn run(folder: &Path, args: &Post) -> Result<u8, CliError> {
    let target = args.url.as_deref().map(|url| address(url, args.form)).transpose()?;
    let token = args.token.as_deref().map(token).transpose()?;
    let all = all(folder)?;
    let incident = find(&all, &args.id)?;
    let words = if args.raw { Words::Raw } else { Words::Redacted };
    let body = render::json::text(&payload(&seen(folder, &all, incident), args.form, words), Format::Json);
    let Some(target) = target.filter(|_| args.go) else {
        output::result(&body)?;
        let how = match &args.url {
            Some(url) => format!("--go posts it to {}", host(url)),
            None => "--url URL --go posts it".to_owned(),
        };
        tell(&format!("plimsoll: nothing was posted; {how}"));
        return Ok(exit_code::FINE);
    };
    let trust = Trust { authorities: args.ca.as_deref().map(authorities).transpose()?, identity: None };
    post::json(&target, token.as_deref(), &trust, &body).map_err(|why| {
        let is_unknown = why.contains("UnknownIssuer");
        let failed = CliError::cannot_judge(format!("it was not posted to {}", host(&target))).because(why);
        if is_unknown { failed.hint("--ca FILE names the authority of its certificate") } else { failed }
    })?;
    let form = format!("{:?}", args.form).to_lowercase();
    let text = format!("posted to {} as {form}", host(&target));
    let about = About { incident: Some(incident.id.clone()), ..About::default() };
    add(
        folder,
        &Event { about: Some(about), ..Event::new(now(), &incident.workload, What::Noted, text.as_str()) },
    )?;
    output::result(&format!("{text}\n"))?;
    Ok(exit_code::FINE)
}

/// The host of a URL: paths of webhooks are secrets.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

fn address(url: &str, form: Form) -> Result<String, CliError> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.filter(|_| !host(url).is_empty());
    let rest = rest.ok_or_else(|| CliError::usage("the address must be https://HOST/… or http://HOST/…"))?;
    let is_bare = !rest.trim_end_matches('/').contains('/');
    if form == Form::Alertmanager && is_bare {
        return Ok(format!("{}/api/v2/alerts", url.trim_end_matches('/')));
    }
    Ok(url.to_owned())
}

fn authorities(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|e| CliError::usage(format!("cannot read {}", path.display())).because(e))
}

fn token(path: &Path) -> Result<String, CliError> {
    let text = fs::read_to_string(path)
        .map_err(|e| CliError::usage(format!("cannot read {}", path.display())).because(e))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_webhooks_are_not_told_and_addresses_are_completed() {
        assert_eq!(host("http://u:p@h:9/services/T0/secret?x"), "h:9");
        assert_eq!(
            address("http://h:9093/", Form::Alertmanager).ok().as_deref(),
            Some("http://h:9093/api/v2/alerts")
        );
        assert_eq!(address("http://h/x", Form::Alertmanager).ok().as_deref(), Some("http://h/x"));
        assert_eq!(address("http://h", Form::Slack).ok().as_deref(), Some("http://h"));
        assert_eq!(address("https://h", Form::Alertmanager).ok().as_deref(), Some("https://h/api/v2/alerts"));
        for wrong in ["ftp://h/", "http://", "https://", "h:9093"] {
            assert!(address(wrong, Form::Webhook).is_err(), "{wrong}");
        }
    }
}
