//! Taking an artifact from a living process: one file per runtime, each with what it can take and how.
//!
//! Nothing here decides whether it is safe; that is the plan's work. What is here leaves no trace in the target but
//! the artifact's own cost, and a file appears under its name only when it is whole and on the disk.

pub(crate) mod allocator_profile;
pub(crate) mod core;
pub(crate) mod go;
mod go_outside;
mod its_tmp;
mod jvm;
mod jvm_dump_file;
mod jvm_window;
mod native;
mod node;
pub mod place;
mod python;
mod python_census;
mod store;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_core::runtime::python::runs_scripts;
use plimsoll_core::target::{RuntimeKind, Target};

use crate::identify;
use crate::step::go_memory::GoMemoryError;
use crate::step::http::HttpError;
use crate::step::inspector::InspectorError;
use crate::step::jvm_attach::AttachError;
use crate::world::World;
pub use store::{Folder, Piece};

/// Between two looks at whether to go on.
const GLANCE: Duration = Duration::from_millis(100);

/// What to take, and from whom.
pub struct Order<'a> {
    /// The machine.
    pub world: &'a World,
    /// The process.
    pub target: &'a Target,
    /// The artifact's name on the command line.
    pub id: &'a str,
    /// Between the two of a pair, and how long a sampling profile samples.
    pub window: Duration,
    /// Set when the user wants it to stop: what is half taken is given up.
    pub stop: &'a AtomicBool,
}

/// Why an artifact was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It has to be taken by hand.
    #[error("{id} of a {runtime} process is not taken by plimsoll: take it by hand")]
    ByHand {
        /// The artifact.
        id: String,
        /// The runtime.
        runtime: String,
    },
    /// The JVM could not be asked.
    #[error("failed to attach")]
    Attach(#[source] AttachError),
    /// The JVM answered, but not with what was asked for.
    #[error("the JVM did not do it: {0}")]
    Jvm(String),
    /// A port of the process could not be asked.
    #[error("failed to ask the process")]
    Http(#[source] HttpError),
    /// No port answers as what is needed.
    #[error("{0}")]
    NoDoor(String),
    /// The memory of a Go program cannot be read.
    #[error("failed to read the program from outside")]
    GoMemory(#[source] GoMemoryError),
    /// The inspector said no, or nothing.
    #[error("the inspector did not do it: {0}")]
    Inspector(String),
    /// A file could not be written or read.
    #[error("failed to use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The process has ended, and its number may be another's.
    #[error("pid {0} is not the process any more that was looked at: it has ended")]
    Gone(i32),
    /// The user or a signal ended it.
    #[error("stopped before it was whole")]
    Stopped,
    /// The first of a pair is whole and the second did not come: what is there tells a state, not what grows.
    #[error("the first of two is whole, the second did not come: {}", chain(.0.as_ref()))]
    Alone(Box<CaptureError>),
}

impl From<InspectorError> for CaptureError {
    fn from(e: InspectorError) -> Self {
        match e {
            InspectorError::NoDoor(why) => CaptureError::NoDoor(why),
            InspectorError::Failed(why) => CaptureError::Inspector(why),
        }
    }
}

impl CaptureError {
    fn file(path: &Path, source: std::io::Error) -> Self {
        CaptureError::File { path: path.to_owned(), source }
    }
}

/// The profiles that a program offers and that cost it next to nothing, by their names.
pub(crate) fn cheap_profiles(
    world: &World,
    target: &Target,
    goroutines: bool,
) -> Result<Vec<(&'static str, Vec<u8>)>, CaptureError> {
    match target.runtime {
        RuntimeKind::Go => go::profiles(world, target.pid, goroutines),
        _ => Err(CaptureError::NoDoor("programs of this runtime offer no profile".to_owned())),
    }
}

/// An error with its causes.
pub(crate) fn chain(e: &dyn std::error::Error) -> String {
    let mut out = e.to_string();
    let mut next = e.source();
    while let Some(cause) = next {
        out.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    out
}

/// Takes the artifact into the folder. What was complete before a failure stays in it.
///
/// # Errors
/// [`CaptureError`] says what failed; the target is as it was.
pub fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    let by_hand = || {
        let runtime = format!("{:?}", order.target.runtime).to_lowercase();
        Err(CaptureError::ByHand { id: order.id.to_owned(), runtime })
    };
    if !identify::is_same(order.world, order.target) {
        return Err(CaptureError::Gone(order.target.pid));
    }
    // What an earlier one left that was killed itself.
    let bars = its_tmp::sweep(order.world, order.target.pid);
    let lift = || bars.iter().for_each(|bar| drop(std::fs::remove_file(bar)));
    if order.target.runtime != RuntimeKind::Jvm {
        // The one for which they were put there had this number before.
        lift();
    }
    match (order.target.runtime, order.id) {
        (RuntimeKind::Jvm, "threads" | "nmt" | "histogram" | "heap") => {
            // It answers one after the other: what was asked of it before is done.
            jvm::take(order, folder).map(|()| lift())
        }
        (RuntimeKind::Jvm, "gclog" | "jfr") => jvm_window::take(order, folder).map(|()| lift()),
        (RuntimeKind::Go, "stacks" | "sites") => go_outside::take(order, folder),
        (RuntimeKind::Go, "goroutines" | "heap") => go::take(order, folder),
        (RuntimeKind::Node, "statistics" | "sampling" | "snapshot") => node::take(order, folder),
        (RuntimeKind::Python, "stacks") => python::take(order, folder),
        (RuntimeKind::Python, "census") => python_census::take(order, folder),
        (_, "core") => core::take(order, folder),
        (_, "profile") => allocator_profile::take(order, folder),
        (_, "smaps") => native::take(order, folder),
        _ => by_hand(),
    }
}

/// Whether a port of a Go program answers as pprof; the reason when that cannot be told.
pub fn profiles_answer(world: &World, pid: i32) -> Result<bool, String> {
    go::answers(world, pid).map_err(|e| e.to_string())
}

/// Removes what a capture that was killed itself left in the process's file system; a pipe to which a JVM may still come is only
/// barred, and the bar removed by a later [`take`].
pub fn sweep(world: &World, pid: i32) {
    let _for_a_later_capture = its_tmp::sweep(world, pid);
}

/// Whether [`take`] knows how to take it.
pub fn is_taken(target: &Target, id: &str) -> bool {
    if matches!(id, "smaps" | "core") {
        return true;
    }
    if id == "profile" {
        return target.flag("allocatorProfile").is_some();
    }
    match target.runtime {
        RuntimeKind::Jvm => matches!(id, "threads" | "nmt" | "histogram" | "heap" | "gclog" | "jfr"),
        RuntimeKind::Go => matches!(id, "stacks" | "sites" | "goroutines" | "heap"),
        RuntimeKind::Node => matches!(id, "statistics" | "sampling" | "snapshot"),
        RuntimeKind::Python => id == "stacks" || id == "census" && runs_scripts(target),
        _ => false,
    }
}

/// The second of a pair, after the window.
fn second(order: &Order<'_>, take: impl FnOnce() -> Result<(), CaptureError>) -> Result<(), CaptureError> {
    wait(order).and_then(|()| take()).map_err(|e| CaptureError::Alone(Box::new(e)))
}

/// Waits for the window between two artifacts of a pair.
fn wait(order: &Order<'_>) -> Result<(), CaptureError> {
    let until = Instant::now() + order.window;
    while Instant::now() < until {
        if order.stop.load(Ordering::Relaxed) {
            return Err(CaptureError::Stopped);
        }
        if !identify::is_same(order.world, order.target) {
            return Err(CaptureError::Gone(order.target.pid));
        }
        thread::sleep(GLANCE.min(until.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_that_is_anothers_by_now_is_not_taken_for_the_target() {
        let world = World::default();
        let me = identify::identify(&world, std::process::id().cast_signed()).expect("it runs");
        let parent = tempfile::tempdir().expect("a folder");
        let mut folder = Folder::make(parent.path(), "x").expect("made");
        let stop = AtomicBool::new(false);
        let mut take = |target: &Target| {
            take(
                &Order { world: &world, target, id: "smaps", window: Duration::ZERO, stop: &stop },
                &mut folder,
            )
        };
        let earlier = Target { started: me.started - 60.0, ..me.clone() };
        let refused = take(&earlier).expect_err("that one has ended");
        assert!(matches!(refused, CaptureError::Gone(pid) if pid == me.pid), "{refused}");
        take(&me).expect("this one runs");
    }
}
