//! A command for each iteration.

use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use plimsoll_core::guard::{KeyMode, Template};

use super::{Done, Halt, Keys, Load, Subject, in_parallel};
use crate::world::World;

/// Runs a line of the shell for each iteration; it must end with success.
pub struct CommandLoad {
    /// Whose memory is looked at.
    pub subject: Subject,
    /// The line.
    pub line: Template,
    /// Which keys.
    pub keys: Keys,
    /// Commands at a time.
    pub workers: usize,
}

impl Load for CommandLoad {
    fn round(&mut self, count: u64, mode: KeyMode, stop: &AtomicBool) -> Result<Done, Halt> {
        self.subject.lives()?;
        let done = in_parallel(
            count,
            self.workers,
            stop,
            || (),
            |(), n| {
                let line = self.keys.expand(&self.line, n, mode);
                let mut shell = Command::new("/bin/sh");
                let status = shell
                    .arg("-c")
                    .arg(&line)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status();
                match status {
                    Ok(status) if status.success() => Ok(()),
                    Ok(status) => Err(format!("{line}: {status}")),
                    Err(e) => Err(format!("{line}: {e}")),
                }
            },
        )?;
        self.keys.next += count;
        self.subject.lives()?;
        Ok(done)
    }

    fn pid(&self, _world: &World, _said: Option<i32>) -> i32 {
        self.subject.pid()
    }

    fn end(&mut self) {
        self.subject.end();
    }
}
