//! `plimsoll bisect suspects`: which commits between two versions to look at first.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use plimsoll_core::bisect::suspects::{Suspect, parse, rank};
use plimsoll_core::recording::API_VERSION;
use plimsoll_host::bisect::Repository;
use serde_json::{Value, json};

use super::drive::git_failed;
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, plain, tell};

/// Findings of a commit on the screen.
const SHOWN: usize = 3;
/// More of a reading is not read, and no more of its suspects and groups are looked at.
const LARGEST: u64 = 64 << 20;
const NAMED: usize = 5;
/// How names begin that are of a runtime and not of the program.
const RUNTIMES: &[&str] = &[
    "java.",
    "javax.",
    "jdk.",
    "sun.",
    "kotlin.",
    "scala.",
    "runtime.",
    "sync.",
    "net/",
    "internal/",
    "node:",
];

/// Which commits between two versions to look at first: what their diffs add that can hold memory?
///
/// Collections in static scope, caches without a bound, listeners, threads, timers and contexts that nobody ends, and what let go of
/// memory and was taken away; names that an artifact showed count for more. A hint: nothing is run or measured.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll bisect suspects --good v1.41 --bad v1.42
  plimsoll bisect suspects --good v1.41 --bad v1.42 --name com.shop.Sessions --name SessionCache.entries
  plimsoll read heap.hprof -o json > reading.json && plimsoll bisect suspects --good v1.41 --evidence reading.json
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

    /// What plimsoll read -o json said of an artifact: the names of its suspects and of the stacks that grow are taken from it.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,

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
    let mut names = args.names.clone();
    names.extend(args.evidence.as_deref().map(evidence).transpose()?.into_iter().flatten());
    let suspects = rank(&diffs, &names);
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

/// Names out of a reading.
fn evidence(path: &Path) -> Result<Vec<String>, CliError> {
    let name = path.display();
    let mut text = String::new();
    let read = File::open(path).and_then(|f| f.take(LARGEST).read_to_string(&mut text));
    read.map_err(|e| CliError::usage(format!("failed to read {name}")).because(e))?;
    let no_reading = |e: Option<serde_json::Error>| {
        let error = CliError::usage(format!("{name} is no reading of an artifact"));
        let error = error.hint("plimsoll read ARTIFACT -o json > FILE writes one");
        match e {
            Some(e) => error.because(e),
            None => error,
        }
    };
    let document: Value = serde_json::from_str(&text).map_err(|e| no_reading(Some(e)))?;
    if document["kind"] != "Reading" {
        return Err(no_reading(None));
    }
    let found = names(&document);
    if found.is_empty() {
        tell(&format!("plimsoll: {name} names no class or function of the program's own"));
    }
    Ok(found)
}

/// Owners of what a heap retains, the field and its class; functions that stacks stand in, and that started them. What belongs to
/// the runtime itself is in no commit of the program.
fn names(document: &Value) -> Vec<String> {
    let each = |list: &str, fields: &[&str]| -> Vec<String> {
        let all = document[list].as_array().into_iter().flatten().take(NAMED);
        all.flat_map(|one| {
            fields.iter().filter_map(|f| one[*f].as_str()).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
    };
    let mut found = each("suspects", &["owner"]);
    let classes: Vec<String> =
        found.iter().filter_map(|o| o.rsplit_once('.')).map(|(class, _)| class.to_owned()).collect();
    found.extend(classes);
    found.extend(each("groups", &["top", "creator"]));
    let is_own = |n: &String| !n.contains(' ') && !RUNTIMES.iter().any(|r| n.starts_with(r));
    found.retain(is_own);
    found
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_program() {
        let reading = json!({"kind": "Reading",
            "suspects": [{"owner": "com.shop.Sessions.byUser"}, {"owner": "thread \"main\", local"}, {"owner": "java.util.Cache.all"}],
            "groups": [{"top": "runtime.gopark", "creator": "main.handle"}, {"top": 7}]});
        assert_eq!(names(&reading), ["com.shop.Sessions.byUser", "com.shop.Sessions", "main.handle"]);
        assert!(names(&json!({})).is_empty());
    }
}
