//! A command that is run to its end, in a process group of its own: it is ended after a time, when the user wants to stop, and
//! with us, however we end. The end of what it prints is kept.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::guard::Guards;

/// Bytes that are kept of what it prints: the last ones.
const KEPT_OUTPUT: usize = 4 << 20;
const KEPT_ERRORS: usize = 16 << 10;
/// How often its life and the user's wish are looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// How long what it printed is waited for once it and its group are gone: somebody else may hold the pipe.
const DRAINS: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// The program and its arguments.
    pub line: &'a [String],
    /// Where.
    pub folder: &'a Path,
    /// What it finds in its environment besides.
    pub variables: &'a [(&'a str, &'a str)],
    /// How long it may take.
    pub longest: Duration,
    /// Set when the user wants it to end.
    pub stop: &'a AtomicBool,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It took too long and was ended.
    TooLong,
    /// The user wanted it.
    Stopped,
}

/// A command that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// How.
    pub how: How,
    /// The end of its standard output.
    pub output: String,
    /// The end of its standard error.
    pub errors: String,
    /// How long it took.
    pub took: Duration,
}

impl Command<'_> {
    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self) -> io::Result<Ended> {
        let began = Instant::now();
        let (name, args) = self.line.split_first().ok_or_else(|| io::Error::other("no command"))?;
        let mut command = std::process::Command::new(name);
        command.args(args).current_dir(self.folder).envs(self.variables.iter().copied());
        super::git::forget_repository(&mut command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let group = OsString::from(format!("-{}", child.id()));
        let guards = Guards::for_us("kill -s KILL -- \"$1\"", &[&group]);
        let mut guards = match guards {
            Ok(guards) => guards,
            Err(e) => {
                end(&mut child);
                return Err(e);
            }
        };
        let output = keep_last(child.stdout.take(), KEPT_OUTPUT);
        let errors = keep_last(child.stderr.take(), KEPT_ERRORS);
        let how = self.await_end(&mut child, began);
        // What it left running holds the pipes, and would be measured with the next one.
        end(&mut child);
        guards.dismiss();
        let text = |kept: &Receiver<Vec<u8>>| {
            String::from_utf8_lossy(&kept.recv_timeout(DRAINS).unwrap_or_default()).into_owned()
        };
        Ok(Ended { how: how?, output: text(&output), errors: text(&errors), took: began.elapsed() })
    }

    fn await_end(&self, child: &mut Child, began: Instant) -> io::Result<How> {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(how(status));
            }
            if self.stop.load(Ordering::Relaxed) {
                return Ok(How::Stopped);
            }
            if began.elapsed() >= self.longest {
                return Ok(How::TooLong);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(GLANCE);
        }
    }
}

fn how(status: ExitStatus) -> How {
    match (status.code(), status.signal()) {
        (Some(code), _) => How::Code(code),
        (None, signal) => How::Signal(signal.unwrap_or_default()),
    }
}

fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // The group is its own: nobody else is in it, and an empty one needs no end.
        let _gone = kill_process_group(group, Signal::KILL);
    }
    let _reaped = child.wait();
}

/// Reads to the end, and keeps the last bytes.
fn keep_last(from: Option<impl Read + Send + 'static>, most: usize) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let mut kept: Vec<u8> = Vec::new();
        let mut part = vec![0; 64 << 10];
        if let Some(mut from) = from {
            while let Ok(n @ 1..) = from.read(&mut part) {
                kept.extend(part.iter().take(n));
                if kept.len() > 2 * most {
                    kept.drain(..kept.len() - most);
                }
            }
        }
        kept.drain(..kept.len().saturating_sub(most));
        // Whoever asked may have gone.
        let _unheard = send.send(kept);
    });
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, longest: Duration, stop: bool) -> Ended {
        let line = ["sh", "-c", script].map(str::to_owned);
        let stop = AtomicBool::new(stop);
        let variables = [("WHO", "me")];
        let command =
            Command { line: &line, folder: Path::new("/"), variables: &variables, longest, stop: &stop };
        command.run().expect("sh runs")
    }

    #[test]
    fn its_end_and_what_it_printed_are_told() {
        let minute = Duration::from_secs(60);
        let ended = run("echo \"hello $WHO $GIT_DIR\"; echo oh >&2; exit 7", minute, false);
        assert_eq!((ended.how, ended.output.trim(), ended.errors.trim()), (How::Code(7), "hello me", "oh"));
        assert_eq!(run("kill -TERM $$", minute, false).how, How::Signal(15));
        let much = run("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end", minute, false);
        assert!(much.output.len() <= KEPT_OUTPUT && much.output.ends_with("x\nend\n"));
    }

    #[test]
    fn what_hangs_or_leaves_something_behind_is_ended() {
        let ended = run("sleep 600 & sleep 600", Duration::from_millis(200), false);
        assert_eq!(ended.how, How::TooLong);
        assert!(ended.took < Duration::from_secs(60), "the pipe is not waited for");
        assert_eq!(run("sleep 600", Duration::from_secs(600), true).how, How::Stopped);
        let left = run("sleep 600 & echo $!", Duration::from_secs(60), false);
        let stat = format!("/proc/{}/stat", left.output.trim());
        let is_alive = || std::fs::read_to_string(&stat).is_ok_and(|s| !s.contains(") Z "));
        // A kill takes its time to come.
        let end = Instant::now() + Duration::from_secs(20);
        while is_alive() {
            assert!(Instant::now() < end, "it was ended with its group");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
