//! A program that is started for the test, in a process group of its own, and ended with it.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::GrowthError;
use super::load::Halt;
use crate::guard::Guards;

/// A longer line is cut.
const LONGEST_LINE: u64 = 64 << 10;
/// Lines that may wait to be looked at; then the program waits.
const WAITING: usize = 1024;
/// How often the program's life and the user's wish are looked at while nothing comes.
const GLANCE: Duration = Duration::from_millis(100);
/// How long it may take to end by itself.
const ENDS: Duration = Duration::from_secs(10);

/// A program of ours. Dropping it ends it and what it started.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Ends the program when we are gone, however that came.
    guards: Guards,
    name: String,
}

impl Program {
    /// Starts `command`, whose lines are listened to or thrown away. It can see from `PLIMSOLL_GUARD` that it is tested.
    pub fn start(command: &[String], listen: bool) -> Result<Program, GrowthError> {
        let name = command.first().cloned().unwrap_or_default();
        let failed = |source| GrowthError::Start { program: name.clone(), source };
        let mut child = Command::new(&name)
            .args(command.iter().skip(1))
            .env("PLIMSOLL_GUARD", "1")
            .stdin(Stdio::piped())
            .stdout(if listen { Stdio::piped() } else { Stdio::null() })
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let group = OsString::from(format!("-{}", child.id()));
        let guards = Guards::for_us("kill -s KILL -- \"$1\"", &[&group]).map_err(|e| {
            // It was only just started: nothing of it is lost.
            let _gone = child.kill().and_then(|()| child.wait());
            failed(e)
        })?;
        let (send, lines) = sync_channel(WAITING);
        let input = child.stdin.take();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                let mut output = BufReader::new(output);
                let mut line = Vec::new();
                while (&mut output).take(LONGEST_LINE).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                    // Nobody listens any more: what still comes is read, so that the program does not stand still.
                    let _gone = send.send(String::from_utf8_lossy(&line).trim_end().to_owned());
                    line.clear();
                }
            });
        }
        Ok(Program { child, input, lines, guards, name })
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// How it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it ended, when it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Its next line, waited for as long as it lives.
    pub(super) fn line(&mut self, stop: &AtomicBool, longest: Duration) -> Result<String, Halt> {
        let until = Instant::now() + longest;
        loop {
            match self.lines.recv_timeout(GLANCE) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Disconnected) => return Err(self.end_of_output()),
                Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => return Err(Halt::Stopped),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until => {
                    return Err(Halt::Broken(format!(
                        "{} printed nothing for {} s",
                        self.name,
                        longest.as_secs()
                    )));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Lines that have come and nobody needs.
    pub(super) fn forget_lines(&self) {
        while self.lines.try_recv().is_ok() {}
    }

    fn end_of_output(&mut self) -> Halt {
        match self.await_end() {
            Some(status) if status.success() => Halt::Finished,
            Some(status) => Halt::Ended(status.to_string()),
            None => Halt::Broken(format!("{} closed its output and goes on", self.name)),
        }
    }

    /// Writes to its standard input.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Halt> {
        let Some(input) = &mut self.input else { return Err(Halt::Finished) };
        let said = input.write_all(text.as_bytes()).and_then(|()| input.flush());
        said.map_err(|_| self.end_of_output())
    }

    /// Writes lines while `read` goes on, as a program that answers each may stand still when nobody reads.
    pub(super) fn say_while<T>(
        &mut self,
        lines: impl Iterator<Item = String> + Send,
        read: impl FnOnce(&mut Program) -> Result<T, Halt>,
    ) -> Result<T, Halt> {
        let Some(mut input) = self.input.take() else { return Err(Halt::Finished) };
        thread::scope(|scope| {
            let writer = scope.spawn(move || {
                for line in lines {
                    if writeln!(input, "{line}").is_err() {
                        break;
                    }
                }
                // A failure to write shows as an end of the answers.
                let _unheard = input.flush();
                input
            });
            let done = read(self);
            if done.is_err() {
                // The writer may stand before a pipe that nobody empties.
                self.kill();
            }
            self.input = Some(writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            done
        })
    }

    fn kill(&self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.pid()) {
            // The group is the program's own; when it is empty there is nothing to end.
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }

    fn await_end(&mut self) -> Option<ExitStatus> {
        let until = Instant::now() + ENDS;
        let mut pause = Duration::from_millis(1);
        while Instant::now() < until {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(GLANCE);
        }
        None
    }

    /// Closes its input and waits for it to end; then it is ended.
    pub(super) fn finish(&mut self) {
        drop(self.input.take());
        self.forget_lines();
        let _may_be_killed = self.await_end();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        self.guards.dismiss();
        let _reaped = self.child.wait();
    }
}
