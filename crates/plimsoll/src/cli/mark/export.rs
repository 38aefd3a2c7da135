//! `plimsoll mark export`: marks told to others, after a look at what would be told.

use std::collections::HashSet;
use std::path::Path;

use plimsoll_read::marks::{Known, annotation};

use super::import::grafana;
use super::site::Who;
use super::{kept, now};
use crate::cli::triage::duration;
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, tell};
use crate::render::marks as render;
use crate::render::paint::Paint;

/// Marks that are written at once.
const MOST: usize = 1000;

/// Write marks as annotations of a Grafana; those that it has already are not written again
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll mark export --grafana http://grafana:3000 --token-file token        what would be written
  plimsoll mark export --grafana http://grafana:3000 --token-file token --go
The token is one of a service account that may write annotations.")]
pub(super) struct Args {
    /// Where.
    #[arg(long, value_name = "URL")]
    grafana: String,

    /// Write them; without, what would be written is shown.
    #[arg(long)]
    go: bool,

    /// How far back.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = duration)]
    past: f64,

    #[command(flatten)]
    who: Who,
}

pub(super) fn run(path: &Path, args: &Args, format: Format) -> Result<u8, CliError> {
    let site = args.who.site(&args.grafana, "PLIMSOLL_GRAFANA_TOKEN")?;
    let (mut marks, _) = kept(path)?;
    let until = now();
    marks.retain(|m| m.unix_seconds >= until - args.past);
    // As it would be written: times travel as milliseconds.
    let there = grafana(&site, args.past, &Known { now: until, ..Known::default() })?;
    let there: HashSet<String> = there.marks.iter().map(|m| annotation(m).to_string()).collect();
    marks.retain(|m| !there.contains(&annotation(m).to_string()));
    let left = marks.len().saturating_sub(MOST);
    marks.truncate(MOST);
    if args.go {
        for (at, mark) in marks.iter().enumerate() {
            site.post("/api/annotations", &annotation(mark).to_string()).map_err(|e| {
                let done = format!(
                    "{at} of {} annotations are written; the same command writes the rest",
                    marks.len()
                );
                CliError::new(Kind::CannotJudge, "Grafana did not take an annotation").because(e).hint(done)
            })?;
        }
    }
    let text = match format {
        Format::Table => render::exported(&marks, args.go, Paint::new(output::colour())),
        _ => crate::render::json::text(&render::document(&marks), format),
    };
    output::result(&text)?;
    if !args.go && !marks.is_empty() {
        tell("plimsoll: nothing was written; --go writes them");
    }
    if left > 0 {
        tell(&format!("plimsoll: {left} more are left for another time"));
    }
    Ok(exit_code::FINE)
}
