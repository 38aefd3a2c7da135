//! `plimsoll bisect suspects`: which commits between two versions to look at first.

use std::path::PathBuf;

use plimsoll_core::bisect::suspects::{Suspect, parse, rank};
use plimsoll_core::recording::API_VERSION;
use plimsoll_host::bisect::Repository;
use serde_json::json;

use super::drive::git_failed;
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, plain};

/// Findings of a commit on the screen.
const SHOWN: usize = 3;

/// Which commits between two versions to look at first: what their diffs add that can hold memory?
///
/// Collections in static scope, caches without a bound, listeners, threads, timers and contexts that nobody ends, and what let go of
/// memory and was taken away; names that an artifact showed count for more. A hint: nothing is run or measured.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll bisect suspects --good v1.41 --bad v1.42
  plimsoll bisect suspects --good v1.41 --bad v1.42 --name com.shop.Sessions --name SessionCache.entries
Exit codes: 0 nothing of the kind, 1 told, 2 usage, 5 not all was read.")]
pub(super) struct Args {
    /// The version before.
    #[arg(long, value_name = "COMMIT")]
    good: String,

    /// The version that grows.
    #[arg(long, value_name = "COMMIT", default_value = "HEAD")]
    bad: String,

    /// A class, field or function that an artifact showed (plimsoll read); may be given again.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,

    /// A folder of the repository.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    repository: PathBuf,

    /// Most commits.
    #[arg(long, default_value_t = 10)]
    rows: usize,
}

pub(super) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let repository = Repository::open(&args.repository).map_err(git_failed)?;
    let (log, is_cut) = repository.diffs(&args.good, &args.bad).map_err(git_failed)?;
    let diffs = parse(log.trim_start_matches('\0'));
    let suspects = rank(&diffs, &args.names);
    let text = match format {
        Format::Table => screen(&suspects, diffs.len(), is_cut, args),
        _ => {
            let document = json!({
                "apiVersion": API_VERSION, "kind": "SuspectCommits", "commits": diffs.len(), "isCut": is_cut, "suspects": suspects,
            });
            crate::render::json::text(&document, format)
        }
    };
    output::result(&text)?;
    Ok(match (is_cut, suspects.is_empty()) {
        (true, _) => exit_code::PARTIAL,
        (false, true) => exit_code::FINE,
        (false, false) => exit_code::FINDINGS,
    })
}

fn screen(suspects: &[Suspect], commits: usize, is_cut: bool, args: &Args) -> String {
    let mut out = format!(
        "{} of {commits} commits add what can hold memory, or take away what let go of it\n",
        suspects.len()
    );
    for s in suspects.iter().take(args.rows) {
        let id: String = s.id.chars().take(12).collect();
        out += &format!("{:>5.1}  {id}  {}\n", s.score, plain(&s.title));
        for f in s.findings.iter().take(SHOWN) {
            out += &format!("         {}  {}:{}  {}\n", f.what, plain(&f.path), f.line, plain(&f.text));
        }
        if s.findings.len() > SHOWN {
            out += &format!("         and {} more\n", s.findings.len() - SHOWN);
        }
    }
    if suspects.len() > args.rows {
        out += &format!("and {} more (--rows)\n", suspects.len() - args.rows);
    }
    if is_cut {
        out += "WARNING  the diffs are larger than is read: the oldest commits are missing\n";
    }
    out + "SURE  a hint: nothing was run, and what grows may have been there before\nNEXT  plimsoll bisect commits measures them\n"
}
