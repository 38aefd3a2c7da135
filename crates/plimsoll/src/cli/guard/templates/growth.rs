//! The growth test: cargo test --test growth. It fails when an iteration leaves something behind.
//! Verdict and statistics are plimsoll's (plimsoll guard run); it must be on the PATH.
//! The heap is read from outside; with another allocator than glibc's, resident memory is.

use std::process::Command;

/// Iterations of one round.
const ROUND: u64 = 1000;

/// Does what must leave nothing behind: a request, a job, a message. `n` never comes again.
fn iteration(n: u64) {
    let _ = n; // your work here
}

#[test]
fn growth() {
    if std::env::var_os("PLIMSOLL_GUARD").is_some() {
        return rounds();
    }
    let own = std::env::current_exe().expect("the test's own program");
    let run = Command::new("plimsoll")
        .args(["guard", "run", "--"])
        .arg(own)
        .args(["growth", "--exact", "--nocapture", "--test-threads=1"])
        .output()
        .expect("plimsoll is on the PATH");
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
}

/// Works and tells, as long as it is asked to.
fn rounds() {
    let mut n = 0;
    loop {
        for _ in 0..ROUND {
            n += 1;
            iteration(n);
        }
        // The harness may have left a line open.
        println!("\nPLIMSOLL ROUND iterations={ROUND}");
        let mut answer = String::new();
        if std::io::stdin().read_line(&mut answer).is_err() || answer.trim() != "next" {
            return;
        }
    }
}
