//! `plimsoll mark follow`: flags are marked as they are switched.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use plimsoll_host::marks::{File, Flagd, Flags};
use plimsoll_host::store::marks;

use super::site::Who;
use super::unwritten;
use crate::cli::triage::{duration, stop_flag};
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, tell};
use crate::render::marks as render;

/// Mark flags as they are switched, until it is stopped
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll mark follow --flagd /etc/flagd/flags.json
  plimsoll mark follow --flagd http://localhost:8013
flagd is asked for what its flags give without a context: rules that look at who asks are seen in its file only.")]
pub(super) struct Args {
    /// flagd's file of flags, or its address, port 8013.
    #[arg(long, value_name = "FILE|URL")]
    flagd: String,

    /// The workload that the flags are of: NAMESPACE/NAME, NAMESPACE/*, or NAME.
    #[arg(long, value_name = "WORKLOAD")]
    workload: Option<String>,

    /// Stop after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    seconds: Option<f64>,

    #[command(flatten)]
    who: Who,
}

pub(super) fn run(path: &Path, args: &Args, format: Format) -> Result<u8, CliError> {
    let stop = stop_flag()?;
    let is_url = args.flagd.starts_with("http://") || args.flagd.starts_with("https://");
    let followed: Result<Box<dyn Flags>, String> = if is_url {
        let site = args.who.site(&args.flagd, "PLIMSOLL_FLAGD_TOKEN")?;
        Flagd::follow(site).map(|f| Box::new(f) as _)
    } else {
        File::follow(Path::new(&args.flagd)).map(|f| Box::new(f) as _)
    };
    let mut flags = followed.map_err(|why| {
        CliError::cannot_judge(format!("flags of {} cannot be followed: {why}", args.flagd))
            .hint("--flagd is a file of flags as JSON, or http://HOST:8013")
    })?;
    tell(&format!("plimsoll: flags of {} are marked in {}", args.flagd, path.display()));
    let end = args.seconds.map(|s| Instant::now() + Duration::from_secs_f64(s));
    let mut trouble = String::new();
    while !stop.load(Ordering::Relaxed) && end.is_none_or(|end| Instant::now() < end) {
        let marks = match flags.next() {
            Ok(marks) => marks,
            Err(why) => {
                // Said once, not every time that it is so.
                if why != trouble {
                    tell(&format!("plimsoll: {why}; it is asked again"));
                    trouble = why;
                }
                continue;
            }
        };
        trouble.clear();
        let of = |m| plimsoll_core::mark::Mark { workload: args.workload.clone(), ..m };
        let marks: Vec<_> = marks.into_iter().map(of).collect();
        marks::append(path, &marks).map_err(|e| unwritten(path, e))?;
        for mark in &marks {
            let line = match format {
                Format::Table => render::line(mark),
                _ => serde_json::json!(mark).to_string(),
            };
            if !output::line(&line) {
                return Ok(exit_code::FINE);
            }
        }
    }
    Ok(exit_code::FINE)
}
