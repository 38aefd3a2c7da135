//! Files of commits, by the names of their blobs, from one process of git.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::git::{GitError, Repository};

/// More of one blob is not read.
const LARGEST: u64 = 2 << 20;
/// A longer line is no head of a blob.
const LONGEST_HEAD: u64 = 1 << 10;

/// Reads blobs of a repository.
pub struct Blobs {
    git: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    is_broken: bool,
}

impl Blobs {
    /// Starts git on a repository.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn of(repository: &Repository) -> Result<Blobs, GitError> {
        let mut command = repository.git();
        // What a partial clone has left out is not asked for: that may be a password or a long way.
        command.env("GIT_NO_LAZY_FETCH", "1").args(["cat-file", "--batch"]);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut git = spawned.map_err(GitError::Start)?;
        let (ask, answers) = (git.stdin.take(), git.stdout.take());
        let answers = answers.ok_or_else(|| GitError::Start(io::Error::other("no output")))?;
        Ok(Blobs { git, ask, answers: BufReader::new(answers), is_broken: false })
    }

    /// The text of a blob; `None` where there is none of that name, it is too large, or git is gone.
    pub fn text(&mut self, blob: &str) -> Option<String> {
        if self.is_broken || !blob.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let read = self.read(blob);
        // An answer that was read in part would be taken for the next one.
        self.is_broken = read.is_err();
        let bytes = read.ok().flatten()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn read(&mut self, blob: &str) -> io::Result<Option<Vec<u8>>> {
        let ask = self.ask.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        ask.write_all(format!("{blob}\n").as_bytes())?;
        ask.flush()?;
        let mut head = String::new();
        (&mut self.answers).take(LONGEST_HEAD).read_line(&mut head)?;
        // `<name> blob <bytes>`, or `<name> missing`.
        let Some(size) = head.trim_end().rsplit_once(" blob ").map(|(_, size)| size) else {
            let is_told = ["missing", "ambiguous"].iter().any(|word| head.trim_end().ends_with(word));
            return if is_told { Ok(None) } else { Err(io::ErrorKind::InvalidData.into()) };
        };
        let size: u64 = size.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        let mut bytes = Vec::new();
        (&mut self.answers).take(size.min(LARGEST)).read_to_end(&mut bytes)?;
        let rest = size - bytes.len() as u64 + 1;
        let skipped = io::copy(&mut (&mut self.answers).take(rest), &mut io::sink())?;
        if skipped < rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((size <= LARGEST).then_some(bytes))
    }
}

impl Drop for Blobs {
    fn drop(&mut self) {
        drop(self.ask.take());
        let _gone = self.git.kill();
        let _ended = self.git.wait();
    }
}
