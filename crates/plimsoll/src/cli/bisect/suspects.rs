//! `plimsoll bisect suspects`: which commits between two versions to look at first.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_core::recording::API_VERSION;
use plimsoll_host::bisect::{Blobs, Repository};
use plimsoll_source::{Ranking, Texts, parse, rank};
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
  plimsoll bisect suspects --good v1.41 --evidence heap.hprof
Exit codes: 0 nothing of the kind, 1 told, 2 usage, 5 not all was read.")]
pub(super) struct Args {
    /// The version before.
    #[arg(long, value_name = "COMMIT")]
    good: String,

    /// The version that grows.
    #[arg(long, value_name = "COMMIT", default_value = "HEAD")]
    bad: String,

    #[command(flatten)]
    shown: Shown,

    /// A folder of the repository.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    repository: PathBuf,

    /// Only commits along first parents: a merge is one change, with all that it brings.
    #[arg(long)]
    first_parent: bool,

    /// Most commits.
    #[arg(long, default_value_t = 10)]
    rows: usize,
}

/// What artifacts showed.
#[derive(Debug, clap::Args)]
pub(super) struct Shown {
    /// A class, field or function that an artifact showed (plimsoll read); may be given again.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,

    /// An artifact, or what plimsoll read -o json said of one: the names of its suspects and of the stacks that grow are taken
    /// from it.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
}

/// Commits by what they add, how many were read, and whether the oldest are missing.
pub(super) struct Ranked {
    pub(super) ranking: Ranking,
    pub(super) commits: usize,
    pub(super) is_cut: bool,
}

/// The files of commits, as the ranking asks for them.
struct OfRepository(Blobs);

impl Texts for OfRepository {
    fn text(&mut self, blob: &str) -> Option<String> {
        self.0.text(blob)
    }
}

impl Shown {
    /// Reads the commits between two.
    pub(super) fn rank(
        &self,
        repository: &Repository,
        (good, bad): (&str, &str),
        first_parents: bool,
    ) -> Result<Ranked, CliError> {
        let (log, is_cut) = repository.diffs(good, bad, first_parents).map_err(git_failed)?;
        let diffs = parse(log.trim_start_matches('\0'));
        let mut names = self.names.clone();
        names.extend(self.evidence.as_deref().map(evidence).transpose()?.into_iter().flatten());
        let mut texts = OfRepository(Blobs::of(repository).map_err(git_failed)?);
        Ok(Ranked { ranking: rank(&diffs, &names, &mut texts), commits: diffs.len(), is_cut })
    }
}

pub(super) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let repository = Repository::open(&args.repository).map_err(git_failed)?;
    let ranked = args.shown.rank(&repository, (&args.good, &args.bad), args.first_parent)?;
    let text = match format {
        Format::Table => screen(&ranked, args),
        _ => {
            let document = json!({
                "apiVersion": API_VERSION, "kind": "SuspectCommits", "commits": ranked.commits, "isCut": ranked.is_cut,
                "filesNotRead": ranked.ranking.unread, "suspects": ranked.ranking.suspects,
            });
            crate::render::json::text(&document, format)
        }
    };
    output::result(&text)?;
    let is_empty = ranked.ranking.suspects.is_empty();
    Ok(match (ranked.is_cut || (is_empty && ranked.ranking.unread > 0), is_empty) {
        (true, _) => exit_code::PARTIAL,
        (false, true) => exit_code::FINE,
        (false, false) => exit_code::FINDINGS,
    })
}

/// Names out of an artifact, or of a reading of one.
fn evidence(path: &Path) -> Result<Vec<String>, CliError> {
    let name = path.display();
    let mut text = Vec::new();
    let read_it = File::open(path).and_then(|f| f.take(LARGEST).read_to_end(&mut text));
    read_it.map_err(|e| CliError::usage(format!("failed to read {name}")).because(e))?;
    if !is_reading(&text) {
        text = read(path)?;
    }
    let document: Value = serde_json::from_slice(&text)
        .map_err(|e| CliError::usage(format!("{name} is no artifact that is read")).because(e))?;
    let found = names(&document);
    if found.is_empty() {
        tell(&format!("plimsoll: {name} names no class or function of the program's own"));
    }
    Ok(found)
}

/// Reads it as `plimsoll read` does, in a process of its own: its memory is given back when it ends.
fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |e: std::io::Error| CliError::usage(format!("failed to read {}", path.display())).because(e);
    let own = std::env::current_exe().map_err(failed)?;
    let out = Command::new(own).arg("read").arg(path).args(["-o", "json"]).output().map_err(failed)?;
    match out.stdout.is_empty() {
        true => Err(failed(std::io::Error::other(String::from_utf8_lossy(&out.stderr).trim().to_owned()))),
        false => Ok(out.stdout),
    }
}

/// Whether it is a document that `plimsoll read` wrote.
fn is_reading(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_ok_and(|document| document["kind"] == "Reading")
}

/// Owners of what a heap retains, the field and its class; functions that stacks stand in, and that started them. What belongs to
/// the runtime itself is in no commit of the program.
fn names(document: &Value) -> Vec<String> {
    let each = |list: &str, fields: &[&str]| -> Vec<String> {
        let all = document[list].as_array().into_iter().flatten().take(NAMED);
        all.flat_map(|one| {
            // A frame is told with its place: `main.handle (handle.go:7)`.
            let said = fields.iter().filter_map(|f| one[*f].as_str()?.split(" (").next());
            said.map(str::to_owned).collect::<Vec<_>>()
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

fn screen(ranked: &Ranked, args: &Args) -> String {
    let Ranked { ranking: Ranking { suspects, unread }, commits, is_cut } = ranked;
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
    if *unread > 0 {
        out += &format!(
            "WARNING  {unread} files were not read: too large, too strange for the parser of their language, or not in this clone\n"
        );
    }
    if *is_cut {
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
            "groups": [{"top": "runtime.gopark", "creator": "main.handle (handle.go:7)"}, {"top": 7}]});
        assert_eq!(names(&reading), ["com.shop.Sessions.byUser", "com.shop.Sessions", "main.handle"]);
        assert!(names(&json!({})).is_empty());
    }
}
