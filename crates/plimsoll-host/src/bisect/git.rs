//! A repository of git, through the program itself: the commits between two, and a worktree of our own, so that the user's
//! checkout, index and branches stay as they are.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plimsoll_core::bisect::Change;

use crate::guard::Guards;

/// Commits of a range that are taken at most.
const MOST: usize = 50_000;
/// More of diffs is not read.
const LARGEST_LOG: u64 = 256 << 20;
/// Versions of one file that are looked at, and the most of one.
const VERSIONS: usize = 1000;
const LARGEST_FILE: u64 = 4 << 20;
/// A longer title is cut.
const LONGEST_TITLE: usize = 200;
/// A longer line of git's is not of a log of commits.
const LONGEST_LINE: u64 = 1 << 20;
/// What git is told of the repository beside its arguments, and what another git would have told it.
const VARIABLES: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_CEILING_DIRECTORIES",
];

/// Why git did not do it.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// It cannot be started.
    #[error("git cannot be run")]
    Start(#[source] io::Error),
    /// It failed.
    #[error("git {what} failed: {message}")]
    Failed {
        /// What it should do.
        what: String,
        /// What it says.
        message: String,
    },
    /// A name that means no commit.
    #[error("{0:?} names no commit")]
    Unknown(String),
    /// Two commits without a common history.
    #[error("{good:?} and {bad:?} have no commit in common")]
    Apart {
        /// The good one.
        good: String,
        /// The bad one.
        bad: String,
        /// Whether the clone is shallow: then the common commit may only be missing.
        shallow: bool,
    },
    /// More commits than are searched.
    #[error("over {MOST} commits lie between them")]
    TooMany,
    /// No folder for the worktree.
    #[error("no folder for a worktree")]
    Folder(#[source] io::Error),
}

/// A command that is not told of the repository that we were started in, as a hook would be.
pub(super) fn forget_repository(command: &mut Command) {
    for variable in VARIABLES {
        command.env_remove(variable);
    }
}

/// A repository.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its folder of objects and references, which all worktrees share.
    folder: PathBuf,
}

/// The commits of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// The commit before all of them.
    pub good: String,
    /// Those that the bad one holds and the good one does not, each after those that it follows.
    pub changes: Vec<Change>,
    /// What is to be known of it.
    pub notes: Vec<String>,
}

impl Repository {
    /// The repository that a folder belongs to.
    ///
    /// # Errors
    /// When it belongs to none.
    pub fn open(folder: &Path) -> Result<Repository, GitError> {
        let mut git = git(folder);
        let at = answer(git.args(["rev-parse", "--path-format=absolute", "--git-common-dir"]), "rev-parse")?;
        Ok(Repository { folder: PathBuf::from(at) })
    }

    /// Where what we keep of it lies.
    pub fn own_folder(&self) -> PathBuf {
        self.folder.join("plimsoll")
    }

    /// What the commits between two change, as git prints it: a zero byte, the commit, a zero byte, its title, its diff with the full names
    /// of blobs; and whether that was cut for its size. Merges are left out: what they bring, their parents brought. Along first parents they are all that is told of
    /// what they bring, beside the commits on that line.
    ///
    /// # Errors
    /// When one of both is no commit, or git fails.
    pub fn diffs(&self, good: &str, bad: &str, first_parents: bool) -> Result<(String, bool), GitError> {
        let range = format!("{}..{}", self.resolve(good)?, self.resolve(bad)?);
        let mut git = self.git();
        git.arg("log").args(if first_parents { &["--first-parent", "-m"][..] } else { &["--no-merges"] });
        git.args(["--patch", "--unified=0", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv"]);
        git.args([
            "--no-renames",
            "--src-prefix=a/",
            "--dst-prefix=b/",
            "--format=%x00%H%x00%s",
            &range,
            "--",
        ]);
        let mut child = git
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(GitError::Start)?;
        let mut bytes = Vec::new();
        let out = child.stdout.take();
        let read = out.map_or(Ok(0), |out| out.take(LARGEST_LOG).read_to_end(&mut bytes));
        let is_cut = bytes.len() as u64 == LARGEST_LOG;
        if is_cut {
            let _gone = child.kill();
        }
        let status = child.wait().and_then(|status| read.map(|_| status)).map_err(GitError::Start)?;
        if !status.success() && !is_cut {
            return Err(GitError::Failed {
                what: "log".to_owned(),
                message: format!("it ended with {status}"),
            });
        }
        Ok((String::from_utf8_lossy(&bytes).into_owned(), is_cut))
    }

    /// The tags, each with when it was made (Unix seconds), the newest first.
    ///
    /// # Errors
    /// When git fails.
    pub fn tags(&self) -> Result<Vec<(String, f64)>, GitError> {
        let mut git = self.git();
        git.args(["for-each-ref", "--sort=-creatordate", &format!("--count={MOST}")]);
        let said = answer(
            git.args(["--format=%(creatordate:unix) %(refname:strip=2)", "refs/tags"]),
            "for-each-ref",
        )?;
        let tag = |line: &str| {
            let (at, name) = line.split_once(' ')?;
            Some((name.to_owned(), at.parse().ok()?))
        };
        Ok(said.lines().filter_map(tag).collect())
    }

    /// A file as it was after each of the newest commits that changed it, oldest first, with when that was (Unix seconds).
    /// Read one after the other by `take`.
    ///
    /// # Errors
    /// When git fails.
    pub fn versions_of(&self, path: &str, take: &mut dyn FnMut(f64, &[u8])) -> Result<(), GitError> {
        let mut git = self.git();
        git.args(["log", "--first-parent", &format!("--max-count={VERSIONS}"), "--format=%H %ct", "HEAD"]);
        let said = answer(git.args(["--", path]), "log")?;
        for line in said.lines().rev() {
            let (Some((commit, at)), true) = (line.split_once(' '), line.len() < 100) else { continue };
            let Ok(at) = at.parse::<f64>() else { continue };
            let out = self
                .git()
                .args(["show", &format!("{commit}:{path}")])
                .stderr(Stdio::null())
                .stdout(Stdio::piped())
                .spawn();
            let mut child = out.map_err(GitError::Start)?;
            let mut bytes = Vec::new();
            let read = child.stdout.take().map_or(Ok(0), |o| o.take(LARGEST_FILE).read_to_end(&mut bytes));
            let _gone = child.kill();
            child.wait().and(read).map_err(GitError::Start)?;
            // A commit that removed it leaves nothing.
            take(at, &bytes);
        }
        Ok(())
    }

    /// The full name of a commit.
    ///
    /// # Errors
    /// When it names none.
    pub fn resolve(&self, name: &str) -> Result<String, GitError> {
        let commit = format!("{name}^{{commit}}");
        let found = answer(
            self.git().args(["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]),
            "rev-parse",
        );
        match found {
            Err(GitError::Failed { .. }) => Err(GitError::Unknown(name.to_owned())),
            found => found,
        }
    }

    /// The commits that `bad` holds and `good` does not; along first parents only, if wanted. Where `good` lies on another
    /// branch, their last common commit takes its place.
    ///
    /// # Errors
    /// When there is no such commit, or there are far too many.
    pub fn range(&self, good: &str, bad: &str, first_parents: bool) -> Result<Range, GitError> {
        let (wanted, bad_commit) = (self.resolve(good)?, self.resolve(bad)?);
        let shallow =
            answer(self.git().args(["rev-parse", "--is-shallow-repository"]), "rev-parse")? == "true";
        let base = answer(self.git().args(["merge-base", &wanted, &bad_commit]), "merge-base")
            .map_err(|_| GitError::Apart { good: good.to_owned(), bad: bad.to_owned(), shallow })?;
        let mut notes = Vec::new();
        if base != wanted {
            notes.push(format!(
                "{good} is not in the history of {bad}: their common commit {base:.12} is taken as the good one, and is measured"
            ));
        }
        if shallow {
            notes.push("the clone is shallow: commits before its end are taken for one with it".to_owned());
        }
        let changes = self.changes(&base, &bad_commit, first_parents)?;
        Ok(Range { good: base, changes, notes })
    }

    fn changes(&self, good: &str, bad: &str, first_parents: bool) -> Result<Vec<Change>, GitError> {
        let mut git = self.git();
        git.args(["log", "--topo-order", "--reverse", "--no-show-signature", "--format=%H%x00%P%x00%s"]);
        git.args(first_parents.then_some("--first-parent")).args([bad, &format!("^{good}"), "--"]);
        let mut child = git.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(GitError::Start)?;
        let mut reader = BufReader::new(child.stdout.take().ok_or_else(|| failed("log", "no output"))?);
        let mut commits: Vec<(String, Vec<String>, String)> = Vec::new();
        let mut line = Vec::new();
        let read = loop {
            line.clear();
            match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(0) => break Ok(()),
                Ok(_) if commits.len() == MOST => break Err(GitError::TooMany),
                Ok(_) => {
                    commits.push(commit(&line).ok_or_else(|| failed("log", "a line that is no commit"))?);
                }
                Err(e) => break Err(GitError::Start(e)),
            }
        };
        drop(reader);
        let status = child.wait().map_err(GitError::Start)?;
        read?;
        if !status.success() {
            return Err(failed("log", &status.to_string()));
        }
        let numbers: std::collections::HashMap<&str, usize> =
            commits.iter().enumerate().map(|(at, (id, ..))| (id.as_str(), at)).collect();
        let change = |(id, parents, title): &(String, Vec<String>, String)| {
            let parents = parents.iter().take(if first_parents { 1 } else { usize::MAX });
            let parents = parents.filter_map(|p| numbers.get(p.as_str()).copied()).collect();
            Change { id: id.clone(), title: title.clone(), parents, weight: 1.0 }
        };
        Ok(commits.iter().map(change).collect())
    }

    /// Whether files of a checkout differ from its commit: what is in no commit is not searched.
    pub fn is_dirty(&self, folder: &Path) -> bool {
        let mut git = git(folder);
        let status = answer(git.args(["status", "--porcelain", "--untracked-files=no"]), "status");
        status.is_ok_and(|text| !text.is_empty())
    }

    /// A worktree of our own, in a temporary folder; removed again, however we end.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn worktree(&self, commit: &str) -> Result<Worktree, GitError> {
        let place =
            tempfile::Builder::new().prefix("plimsoll-bisect-").tempdir().map_err(GitError::Folder)?;
        let folder = place.path().join("worktree");
        let undo = "rm -rf -- \"$1\"; git --git-dir=\"$2\" worktree prune";
        let args = [place.path().as_os_str(), self.folder.as_os_str()];
        let guards = Guards::for_us(undo, &args).map_err(GitError::Folder)?;
        let mut worktree =
            Worktree { repository: self.clone(), _place: place, folder, own: PathBuf::new(), guards };
        let mut add = self.git();
        add.args(["worktree", "add", "--detach", "--force", "--quiet"]).arg(&worktree.folder).arg(commit);
        answer(&mut add, "worktree add")?;
        let own = answer(git(&worktree.folder).args(["rev-parse", "--absolute-git-dir"]), "rev-parse")?;
        worktree.own = PathBuf::from(own);
        Ok(worktree)
    }

    /// A command of git on this repository.
    pub(super) fn git(&self) -> Command {
        let mut git = git(Path::new("/"));
        let mut folder = OsString::from("--git-dir=");
        folder.push(&self.folder);
        git.arg(folder);
        git
    }
}

/// A worktree of our own.
#[derive(Debug)]
pub struct Worktree {
    repository: Repository,
    _place: tempfile::TempDir,
    folder: PathBuf,
    /// What git keeps of it.
    own: PathBuf,
    guards: Guards,
}

impl Worktree {
    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has it hold a commit, and nothing of another one but what git ignores: results of builds are kept.
    ///
    /// # Errors
    /// When git cannot.
    pub fn checkout(&self, commit: &str) -> Result<(), GitError> {
        answer(self.git().args(["checkout", "--detach", "--force", "--quiet", commit]), "checkout")?;
        answer(self.git().args(["clean", "-ffdq"]), "clean").map(drop)
    }

    /// By its name: were it looked for, a build that removes `.git` would have git find the repository around the temporary
    /// folder, and clean that.
    fn git(&self) -> Command {
        let mut git = git(&self.folder);
        for (option, path) in [("--git-dir=", &self.own), ("--work-tree=", &self.folder)] {
            let mut option = OsString::from(option);
            option.push(path);
            git.arg(option);
        }
        git
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        let mut git = self.repository.git();
        let removed =
            answer(git.args(["worktree", "remove", "--force"]).arg(&self.folder), "worktree remove");
        if removed.is_ok() { self.guards.dismiss() } else { self.guards.call() }
    }
}

/// Git, without the user's hooks, without questions, and without taking a lock that it can do without.
fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    forget_repository(&mut git);
    git.current_dir(folder).stdin(Stdio::null());
    git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    git.args([
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "advice.detachedHead=false",
        "-c",
        "log.showSignature=false",
    ]);
    git
}

fn failed(what: &str, message: &str) -> GitError {
    GitError::Failed { what: what.to_owned(), message: message.to_owned() }
}

/// What a command of git says on one line.
fn answer(git: &mut Command, what: &str) -> Result<String, GitError> {
    let out = git.output().map_err(GitError::Start)?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it says nothing");
        return Err(failed(what, last));
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// A line of the log: name, parents, title.
fn commit(line: &[u8]) -> Option<(String, Vec<String>, String)> {
    let text = String::from_utf8_lossy(line);
    let mut parts = text.trim_end_matches('\n').splitn(3, '\0');
    let (id, parents, title) = (parts.next()?, parts.next()?, parts.next()?);
    let is_name = |id: &str| id.len() >= 40 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let parents: Vec<String> = parents.split_ascii_whitespace().map(str::to_owned).collect();
    let title = title.chars().take(LONGEST_TITLE).collect();
    is_name(id).then(|| (id.to_owned(), parents, title))
}
