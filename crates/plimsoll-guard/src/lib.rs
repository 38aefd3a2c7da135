//! The growth test within a Rust program: rounds of work, what is held after each, and the marker protocol of `plimsoll guard
//! run`, which judges. It needs nothing but the standard library.
//!
//! ```no_run
//! # // In a test of its own file (tests/growth.rs), as a counting allocator counts for the whole program.
//! use plimsoll_guard::Counting;
//!
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting::system();
//!
//! // #[test]
//! fn growth() {
//!     plimsoll_guard::growth_test("growth", 1000, |n| {
//!         let _ = n; // a request, a job, a message: n never comes again
//!     });
//! }
//! ```
//!
//! Without [`Counting`] the heap is read from outside where it is glibc's, and resident memory is judged in any case.

mod counting;

use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};
use std::process::Command;

pub use counting::{Counting, held};

/// Resident memory of this process, bytes; `None` where the system does not tell.
pub fn resident() -> Option<u64> {
    status("VmRSS:").map(|kib| kib * 1024)
}

/// Threads of this process; `None` where the system does not tell.
pub fn threads() -> Option<u64> {
    status("Threads:")
}

/// The number after a name in the kernel's status of this process.
fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Whether `plimsoll guard run` runs this program.
pub fn is_driven() -> bool {
    std::env::var_os("PLIMSOLL_GUARD").is_some()
}

/// The line that tells of a round.
fn line(iterations: u64) -> String {
    let mut line = format!("PLIMSOLL ROUND iterations={iterations}");
    for (name, value) in [("heap", held()), ("rss", resident()), ("threads", threads())] {
        if let Some(value) = value {
            // Writing into text does not fail.
            let _written = write!(line, " {name}={value}");
        }
    }
    line
}

/// Works and tells after each round, as long as `plimsoll guard run` asks for another. `n` of an iteration never comes again.
///
/// # Errors
/// When standard output or input is broken: whoever asked is gone.
pub fn rounds(per_round: u64, mut iteration: impl FnMut(u64)) -> std::io::Result<()> {
    let mut n = 0;
    loop {
        for _ in 0..per_round {
            n += 1;
            iteration(n);
        }
        let line = line(per_round);
        let mut out = std::io::stdout().lock();
        // The harness of a test may have left a line open.
        writeln!(out, "\n{line}")?;
        out.flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if answer.trim() != "next" {
            return Ok(());
        }
    }
}

/// The whole of a test named `name`: has `plimsoll guard run` (on the PATH, or what the variable `PLIMSOLL` names) run this test
/// once more, as a program of its own, and fails as that does.
///
/// # Panics
/// When the test grows, cannot be judged, or plimsoll cannot be run: with what plimsoll says.
pub fn growth_test(name: &str, per_round: u64, iteration: impl FnMut(u64)) {
    if is_driven() {
        // Nobody asks any more: there is nothing to tell and nobody to tell it.
        let _gone = rounds(per_round, iteration);
        return;
    }
    if let Err(said) = judged(name) {
        panic!("{said}");
    }
}

/// What plimsoll says of the test, where it does not pass.
fn judged(name: &str) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|e| format!("the test's own program is not known: {e}"))?;
    let plimsoll = std::env::var_os("PLIMSOLL").unwrap_or_else(|| "plimsoll".into());
    let run = Command::new(&plimsoll)
        .args(["guard", "run", "--"])
        .arg(own)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .output()
        .map_err(|e| format!("{} cannot be run: {e}", plimsoll.display()))?;
    if run.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_the_kernel_knows_and_no_heap_that_nobody_counts() {
        let line = line(500);
        assert!(line.starts_with("PLIMSOLL ROUND iterations=500 rss="), "{line}");
        let number = |name: &str| {
            let rest = line.split_once(name).expect("told").1;
            rest.split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number")
        };
        assert!(number("rss=") > 100_000 && number("threads=") >= 2, "{line}");
        assert!(!line.contains("heap="), "no counting allocator is in this program: {line}");
    }

    #[test]
    fn a_test_whose_judge_is_missing_says_so() {
        // The name is no test of ours: were plimsoll here, it would find a program that does not speak.
        let said = judged("no_such_test_at_all").expect_err("nobody judges");
        assert!(said.contains("cannot be run") || said.contains("marker protocol"), "{said}");
    }
}
