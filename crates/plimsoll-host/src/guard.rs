//! Guards: small processes that take an act on a target back when this process is gone, however it ended, or when the
//! time is over. They are started before there is anything to take back; without them nothing is done.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The two guards of one act.
#[derive(Debug)]
pub(crate) struct Guards {
    /// Its standard input ends with this process.
    for_us: Child,
    /// None where what is to be taken back may be another's by then.
    for_time: Option<Child>,
}

impl Guards {
    /// Starts both. `undo` is a script of the shell, which gets `args`; doing it twice must do no harm.
    pub(crate) fn start(undo: &str, args: &[&OsStr], longest: Duration) -> io::Result<Guards> {
        let Guards { for_us, .. } = Guards::for_us(undo, args)?;
        let for_time = guard(&format!("sleep {}", longest.as_secs()), undo, args);
        match for_time {
            Ok(for_time) => Ok(Guards { for_us, for_time: Some(for_time) }),
            Err(e) => {
                let mut for_us = for_us;
                end(&mut for_us);
                Err(e)
            }
        }
    }

    /// Starts only the one that acts when we are gone.
    pub(crate) fn for_us(undo: &str, args: &[&OsStr]) -> io::Result<Guards> {
        Ok(Guards { for_us: guard("read -r _", undo, args)?, for_time: None })
    }

    /// Ends both: everything was taken back.
    pub(crate) fn dismiss(&mut self) {
        self.for_time.iter_mut().for_each(end);
        end(&mut self.for_us);
    }

    /// Has the undo done now, by the guard, and waits for it.
    pub(crate) fn call(&mut self) {
        self.for_time.iter_mut().for_each(end);
        drop(self.for_us.stdin.take());
        let _status = self.for_us.wait();
    }
}

/// In a group of its own: no Ctrl-C reaches it.
fn guard(waits: &str, undo: &str, args: &[&OsStr]) -> io::Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("{waits}\n{undo}")).arg("plimsoll-guard").args(args);
    // Its own folder would keep a file system from being unmounted.
    shell.current_dir("/");
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    shell.spawn()
}

/// Ends a guard and what it waits for.
fn end(guard: &mut Child) {
    let pid = i32::try_from(guard.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // The group is the guard's own: nobody else is in it.
        let _ended = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    let _status = guard.wait();
}
