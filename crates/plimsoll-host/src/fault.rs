//! Steps at which a test has the program killed, to see that whatever is half done then is ended later.
//!
//! Only programs that are built for tests die there.

/// Where the name of the step is.
#[cfg(debug_assertions)]
const NAME: &str = "PLIMSOLL_DIES_AT";

/// One step. The program is killed here when the environment names it.
#[cfg(debug_assertions)]
pub(crate) fn point(step: &str) {
    use rustix::process::{Signal, getpid, kill_process};
    if std::env::var_os(NAME).is_some_and(|name| name == step) {
        // As by the kernel: nothing is cleaned up.
        let _dead = kill_process(getpid(), Signal::KILL);
    }
}

/// One step.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_step: &str) {}
