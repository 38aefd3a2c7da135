//! What a bisection touches: a repository of git and a worktree of it, commands with an end, flags, and the log.

mod blobs;
mod command;
mod git;
mod log;
mod switch;

pub use blobs::Blobs;
pub use command::{Command, Ended, How};
pub use git::{GitError, Range, Repository, Worktree};
pub use log::{Log, LogError};
pub use switch::{Flag, SwitchError, Switched, Way, leftovers, revert};
