//! A program of ours that holds a known size, and tells for how long it stood still.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::source::text::field;

/// Longest time for an answer: a heap that is written stands still for seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// It runs until it is dropped.
pub(super) struct Subject {
    child: Child,
    said: Receiver<String>,
    /// What it says that it holds.
    pub(super) size: f64,
    /// The version of its runtime, where only it can tell.
    pub(super) version: Option<String>,
}

impl Subject {
    /// Starts it, and waits until it holds what it is to hold.
    pub(super) fn start(command: &[String], size: u64, folder: &Path) -> io::Result<Subject> {
        let (program, words) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(words)
            .arg(size.to_string())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (tell, said) = channel();
        std::thread::spawn(move || {
            BufReader::new(out)
                .lines()
                .map_while(Result::ok)
                .take_while(|l| tell.send(l.clone()).is_ok())
                .count()
        });
        let mut subject = Subject { child, said, size: 0.0, version: None };
        let ready = subject.answer("ready ")?;
        let (size, version) = ready.split_once(' ').unwrap_or((&ready, ""));
        subject.version = (!version.is_empty()).then(|| version.to_owned());
        subject.size = number(size)?;
        Ok(subject)
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Longest time that it stood still since the last lap, seconds.
    pub(super) fn lap(&mut self) -> io::Result<f64> {
        self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(b"lap\n")?;
        Ok(number(&self.answer("lap ")?)? / 1e6)
    }

    fn answer(&self, to: &str) -> io::Result<String> {
        loop {
            let line = self.said.recv_timeout(PATIENCE).map_err(|e| io::Error::other(e.to_string()))?;
            if let Some(answer) = line.strip_prefix(to) {
                return Ok(answer.trim().to_owned());
            }
        }
    }

    /// Bytes resident now; the peak is counted anew from here.
    pub(super) fn settle(&self) -> io::Result<f64> {
        let folder = format!("/proc/{}", self.pid());
        fs::write(format!("{folder}/clear_refs"), "5")?;
        self.status("VmRSS")
    }

    /// Bytes of its own that are resident.
    pub(super) fn resident(&self) -> io::Result<f64> {
        self.status("RssAnon")
    }

    /// The most bytes that were resident since.
    pub(super) fn peak(&self) -> io::Result<f64> {
        self.status("VmHWM")
    }

    fn status(&self, name: &str) -> io::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        field(&text, name).ok_or_else(|| io::Error::other(format!("its status has no {name}")))
    }
}

fn number(text: &str) -> io::Result<f64> {
    text.parse().map_err(|_| io::Error::other(format!("it said {text}")))
}

impl Drop for Subject {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
