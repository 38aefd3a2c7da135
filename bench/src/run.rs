//! What the detection benchmark and the calibration share: jobs on two threads, answers at shares of a life.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::intervals::Answer;
use crate::replay::Seen;
use crate::services::{CLASSES, HEALTHY, Service};

/// Shares of a leak's life at which the interval is asked for.
pub const SHARES: [f64; 4] = [0.1, 0.25, 0.5, 0.75];

/// Class and index of every service of a run.
pub fn jobs(healthy: usize, leaking: usize) -> Vec<(usize, usize)> {
    let count = move |c| if c < HEALTHY { healthy } else { leaking };
    (0..CLASSES.len()).flat_map(|c| (0..count(c)).map(move |i| (c, i))).collect()
}

/// The first word of a command line that begins like a flag and is none of the known ones. Without asking, a mistyped flag would have
/// something else measured for minutes, or the reported seed run.
pub fn unknown_flag<'a>(args: impl IntoIterator<Item = &'a str>, known: &[&str]) -> Option<&'a str> {
    args.into_iter().find(|word| word.starts_with("--") && !known.contains(word))
}

/// Ends the program where its command line has a flag that is not one of these.
#[expect(clippy::print_stderr, clippy::exit, reason = "a word to who typed it, before anything is done")]
pub fn only(known: &[&str]) {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(word) = unknown_flag(args.iter().map(String::as_str), known) {
        eprintln!("{word}: no such flag; there are {}", known.join(" "));
        std::process::exit(2);
    }
}

/// Value of a flag of the command line.
pub fn word(name: &str) -> Option<String> {
    let mut args = std::env::args().skip_while(|a| a != name).skip(1);
    args.next()
}

/// Value of a numeric flag of the command line.
pub fn number(name: &str) -> Option<u64> {
    word(name).and_then(|v| v.parse().ok())
}

/// Whether a flag is on the command line.
pub fn given(name: &str) -> bool {
    std::env::args().any(|a| a == name)
}

/// Our answers at the fixed shares of a leak's life.
pub fn answers(service: &Service, seen: &Seen<'_>) -> Vec<Answer> {
    let (Some(onset), Some(life)) = (service.onset, service.life()) else { return Vec::new() };
    let mut out = Vec::new();
    for (share, part) in SHARES.iter().enumerate() {
        let minute = onset + (part * life) as usize;
        if minute + 1 >= service.rss.len() {
            continue;
        }
        let (Some(left), Ok(p)) = (service.time_left(minute), seen.ask(minute)) else { continue };
        let t = p.time_to_limit;
        out.push(Answer {
            class: service.class,
            share,
            truth: left * 60.0,
            low: t.low,
            mid: t.mid,
            high: t.high,
        });
    }
    out
}

/// Runs the jobs on two threads, results in order.
pub fn in_parallel<R: Send>(jobs: &[(usize, usize)], work: impl Fn((usize, usize)) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = jobs.get(i) else { return mine };
                        mine.push((i, work(*job)));
                    }
                })
            })
            .collect();
        handles.into_iter().flat_map(|h| h.join().unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
    });
    all.sort_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, r)| r).collect()
}

#[cfg(test)]
mod tests {
    use super::unknown_flag;

    #[test]
    fn a_mistyped_flag_is_found_and_the_value_of_one_is_none() {
        let known = ["--seed", "--dump"];
        assert_eq!(unknown_flag(["--seed", "7", "--dump", "-"], &known), None);
        assert_eq!(unknown_flag(["--seed", "7", "--help"], &known), Some("--help"));
    }
}
