//! The binary as its user runs it: one file per kind of input.

mod alerts;
mod audit;
mod bad_dumps;
mod bad_history;
mod bisect;
mod brake;
mod calibrate;
mod capture;
mod changes;
mod cluster;
mod drill;
mod faults;
mod flag;
mod from_file;
mod guard;
mod guest;
mod heap_views;
mod hotspots;
mod incident;
mod large;
mod live;
mod marks;
#[cfg(feature = "object-store")]
mod object;
mod oom;
mod others;
mod profiles;
mod prometheus;
mod read;
mod read_artifacts;
mod restart;
mod rig;
mod room;
mod rules;
mod series;
mod spill;
mod watch;

use std::path::PathBuf;
use std::process::{Command, Output};

/// `plimsoll` with `args`, without colours.
fn plimsoll_command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(args).env("NO_COLOR", "1");
    command
}

/// Runs `plimsoll` with `args`.
fn plimsoll(args: &[&str]) -> Output {
    plimsoll_command(args).output().expect("the binary runs")
}

fn stdout(o: &Output) -> String {
    String::from_utf8(o.stdout.clone()).expect("text")
}

fn stderr(o: &Output) -> String {
    String::from_utf8(o.stderr.clone()).expect("text")
}

/// Whether a program is there.
fn on_path(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// Where `scripts/setup` puts what the machine lacks.
fn tools() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    cache.or_else(home).unwrap_or_default().join("plimsoll-tools")
}

/// A test that cannot run here says so; where the checks run it must not be skipped.
fn skipped(test: &str, why: &str) {
    use std::io::Write as _;
    assert!(std::env::var_os("CI").is_none(), "{test} must run here, but {why}");
    let _unreported = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
