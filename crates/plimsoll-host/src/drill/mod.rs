//! War stories as real programs: written out, built and run in a cage, and cleaned up whatever happens.

pub(crate) mod build;
mod cage;
pub mod catalog;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub use build::BuildError;
pub use cage::{Cage, CageKind};
use catalog::{Drill, Language};

/// A drill that runs. Dropping it kills the program, removes its control group and its files.
pub struct Running {
    child: Child,
    cage: Cage,
    folder: tempfile::TempDir,
    ended: Option<ExitStatus>,
}

/// What may be varied in a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Growth in KiB per second (for `churn`: garbage per second).
    pub rate: u64,
    /// Limit of the container in bytes.
    pub limit: u64,
    /// Seed of the program's randomness.
    pub seed: u64,
    /// Extra arguments for the runtime, such as a collector.
    pub runtime_args: Vec<String>,
}

/// Why a drill could not be started.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// It could not be built.
    #[error("failed to build the drill")]
    Build(#[source] BuildError),
    /// A file could not be written.
    #[error("failed to write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It could not be run.
    #[error("failed to run {program}")]
    Run {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Builds and starts a drill.
pub fn start(drill: &Drill, settings: &Settings) -> Result<Running, DrillError> {
    let folder = tempfile::Builder::new()
        .prefix("plimsoll-drill-")
        .tempdir()
        .map_err(|source| DrillError::Write { path: std::env::temp_dir(), source })?;
    let mut command =
        build::build(drill, folder.path(), &settings.runtime_args).map_err(DrillError::Build)?;
    command.push(format!("rate={}", settings.rate));
    command.push(format!("seed={}", settings.seed));
    let cage = Cage::new(drill.name, settings.limit, drill.language.bounds_data_segment());
    let path = folder.path().join("output.txt");
    let output = File::create(&path).map_err(|source| DrillError::Write { path, source })?;
    let shell = cage.wrap(&command);
    let child = Command::new("sh")
        .args(&shell)
        .envs(environment(drill.language))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(output)
        .spawn()
        .map_err(|source| DrillError::Run {
            program: command.first().cloned().unwrap_or_default(),
            source,
        })?;
    let mut running = Running { child, cage, folder, ended: None };
    running.await_program(command.first().map_or("", String::as_str))?;
    Ok(running)
}

/// What stands before the program: the shell that joins the cage, and wrappers written in shell.
const SHELLS: &[&str] = &["sh", "dash", "bash", "busybox", "env"];
/// Time for the shell to join the cage and become the program.
const BECOMES: Duration = Duration::from_secs(10);

fn environment(language: Language) -> Vec<(&'static str, &'static str)> {
    match language {
        // One arena: the pattern is a property of the heap, not of the number of threads.
        Language::C => vec![("MALLOC_ARENA_MAX", "1")],
        _ => Vec::new(),
    }
}

impl Running {
    /// Until the shell has become the program, it is not the drill that would be watched.
    fn await_program(&mut self, program: &str) -> Result<(), DrillError> {
        let failed = |source| DrillError::Run { program: program.to_owned(), source };
        let path = format!("/proc/{}/exe", self.pid());
        // For a moment after the fork it is still ourselves.
        let own = std::fs::read_link("/proc/self/exe").unwrap_or_default();
        let deadline = Instant::now() + BECOMES;
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return Err(failed(io::Error::other(format!("it ended at once ({status})"))));
            }
            let exe = std::fs::read_link(&path).unwrap_or_default();
            let name = exe.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            // In the middle of becoming it, the command line is empty.
            let line = std::fs::read(format!("/proc/{}/cmdline", self.pid())).unwrap_or_default();
            if !line.is_empty() && !name.is_empty() && exe != own && !SHELLS.contains(&name.as_str()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(failed(io::Error::from(io::ErrorKind::TimedOut)))
    }

    /// Process id of the program (the shell that joins the cage replaces itself by it).
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The cage it runs in.
    pub fn cage(&self) -> &Cage {
        &self.cage
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// The folder of its files: output, logs.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // It may be gone in this very moment; then there is nothing to kill.
            let _gone = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}
