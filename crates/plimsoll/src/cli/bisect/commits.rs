//! `plimsoll bisect commits`: a search over the commits between a good and a bad one.

use std::path::PathBuf;

use plimsoll_core::bisect::Change;
use plimsoll_host::bisect::{Repository, Worktree};
use plimsoll_source::prior;

use super::drive::{self, Common, Versions, git_failed};
use super::suspects::Shown;
use crate::error::CliError;
use crate::output::Format;

/// Which commit brought the growth, though single runs may be wrong?
///
/// Builds and measures commits in a worktree of its own, the next one by what the runs so far make likely; repeats runs where
/// the noise asks for it, leaves out what does not build, and ends when it is sure. The checkout is not touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll bisect commits --good v1.41 --bad v1.42 -- plimsoll guard run -- ./growth-test
  plimsoll bisect commits --good v1.41 --build 'make -j4' -- ./leaks.sh       bad is HEAD; exit code 0 good, 1 bad
  plimsoll bisect commits --good v1.41 --build 'go build -o /tmp/shop .' -- \\
      plimsoll guard run --http 'http://127.0.0.1:8080/u/{i}' -- /tmp/shop
Interrupted, the same command goes on where it was; plimsoll bisect replay LOG shows its runs again.
Exit codes: 1 found, 2 usage, 3 not found, 70 internal.")]
pub(super) struct Args {
    /// A commit that does not grow.
    #[arg(long, value_name = "COMMIT")]
    good: String,

    /// A commit that does.
    #[arg(long, value_name = "COMMIT", default_value = "HEAD")]
    bad: String,

    /// A folder of the repository.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    repository: PathBuf,

    /// Only commits along first parents: a merge counts as one change.
    #[arg(long)]
    first_parent: bool,

    #[command(flatten)]
    shown: Shown,

    /// Hold all commits for equally likely beforehand; else those that add what can hold memory weigh more.
    #[arg(long)]
    no_prior: bool,

    #[command(flatten)]
    common: Common,
}

impl Versions for Worktree {
    fn prepare(&self, id: &str) -> Result<PathBuf, String> {
        self.checkout(id).map_err(|e| format!("it cannot be checked out: {e}"))?;
        Ok(self.folder().to_owned())
    }
}

pub(super) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let repository = Repository::open(&args.repository).map_err(git_failed)?;
    let mut range = repository.range(&args.good, &args.bad, args.first_parent).map_err(git_failed)?;
    if range.changes.is_empty() {
        return Err(CliError::usage(format!("{} holds no commit that {} does not", args.bad, args.good))
            .hint("are --good and --bad the right way round?"));
    }
    if repository.is_dirty(&args.repository) {
        range.notes.push("the checkout has changes that are in no commit: they are not searched".to_owned());
    }
    if !args.no_prior {
        range.notes.extend(weigh(args, &repository, &mut range.changes)?);
    }
    let head = args.common.head("commits", &range.good, &range.changes);
    let path = args.common.log.clone().unwrap_or_else(|| repository.own_folder().join(drive::name(&head)));
    let worktree = repository.worktree(&range.good).map_err(git_failed)?;
    drive::search(&args.common, head, &path, &worktree, range.notes, format)
}

/// Gives commits their weights by what their diffs add; says how many weigh more. Along first parents a merge has the diff of all that
/// it brings.
fn weigh(args: &Args, repository: &Repository, changes: &mut [Change]) -> Result<Option<String>, CliError> {
    let ranked = args.shown.rank(repository, (&args.good, &args.bad), args.first_parent)?;
    let mut weightier = 0;
    for change in changes {
        if let Some(suspect) = ranked.ranking.suspects.iter().find(|s| s.id == change.id) {
            (change.weight, weightier) = (prior(suspect.score), weightier + 1);
        }
    }
    let said = format!(
        "{weightier} commits weigh more beforehand, by what they add (plimsoll bisect suspects; --no-prior)"
    );
    Ok((weightier > 0).then_some(said))
}
