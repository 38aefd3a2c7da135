//! Stacks of a CPython program, by py-spy where it is installed: it reads them out of the program's memory, from outside.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{CaptureError, Folder, Order};
use crate::drill::build;

/// The tool.
const TOOL: build::Tool = ("py-spy", "pip install py-spy");
/// How long it may take: 50 ms where the machine is idle.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest text that is kept.
const LARGEST: u64 = 64 << 20;
/// Between two looks at whether it has ended.
const GLANCE: Duration = Duration::from_millis(10);

pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    let tool = build::find(TOOL).map_err(|e| CaptureError::NoDoor(e.to_string()))?;
    let began = Instant::now();
    let text = run(&tool, order)?;
    let stacks = without_command_line(&text).ok_or_else(|| {
        CaptureError::NoDoor("py-spy told no stacks: it knows CPython by its version".to_owned())
    })?;
    let head = format!("Process {}: {}\n", order.target.pid, order.target.name);
    folder.keep("stacks.txt", began, format!("{head}{stacks}").as_bytes())
}

fn run(tool: &str, order: &Order<'_>) -> Result<String, CaptureError> {
    let failed = |e: std::io::Error| CaptureError::NoDoor(format!("py-spy could not be run: {e}"));
    let mut command = Command::new(tool);
    command.args(["dump", "--pid", &order.target.pid.to_string()]).env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let reader = |pipe: Option<Box<dyn std::io::Read + Send>>| {
            scope.spawn(move || {
                let mut text = Vec::new();
                // What came before a failure is all there is.
                let _partly = pipe.map(|p| p.take(LARGEST).read_to_end(&mut text));
                String::from_utf8_lossy(&text).into_owned()
            })
        };
        let out = reader(out.map(|p| Box::new(p) as _));
        let err = reader(err.map(|p| Box::new(p) as _));
        let ended = wait(&mut child, order);
        if ended.is_err() {
            // It lets the program go on when it ends.
            let _gone = child.kill();
            let _reaped = child.wait();
        }
        let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
        if ended?.success() {
            return Ok(out);
        }
        let why = err.lines().find(|l| !l.trim().is_empty()).unwrap_or("no word").trim();
        Err(CaptureError::NoDoor(format!("py-spy did not do it: {why}")))
    })
}

fn wait(
    child: &mut std::process::Child,
    order: &Order<'_>,
) -> Result<std::process::ExitStatus, CaptureError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let ended = child.try_wait().map_err(|e| CaptureError::NoDoor(format!("py-spy is lost: {e}")))?;
        if let Some(status) = ended {
            return Ok(status);
        }
        if order.stop.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(CaptureError::Stopped);
        }
        if Instant::now() > until {
            return Err(CaptureError::NoDoor(format!("py-spy did not end within {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(GLANCE);
    }
}

/// What stands from the version on: before it is the command line, which may hold secrets and any text.
fn without_command_line(text: &str) -> Option<&str> {
    let line = |at: usize| text.get(at..).and_then(|t| t.lines().next()).unwrap_or_default();
    let mut starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    // The last one: a command line may hold such a line too, a stack does not.
    let version = |at: &usize| line(*at).starts_with("Python v") && line(*at).ends_with(')');
    starts.rfind(version).and_then(|at| text.get(at..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_line_is_kept() {
        let text = "Process 7: python3 -c \nPython v0 (fake)\npassword = 1\nPython v3.11.7 (/usr/bin/python3.11)\n\nThread 7 (idle): \"MainThread\"\n    wait (x.py:3)\n";
        let kept = without_command_line(text).expect("stacks");
        assert!(kept.starts_with("Python v3.11.7 (/usr/bin") && kept.ends_with("wait (x.py:3)\n"), "{kept}");
        assert_eq!(without_command_line("Error: no such process"), None);
    }
}
