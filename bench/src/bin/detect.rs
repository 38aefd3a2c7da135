//! Detection benchmark: our posterior and the rivals' rules on labelled services.
//!
//! `cargo run --release -p plimsoll-bench --bin detect -- [--seed N] [--per-class N]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its tables")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use plimsoll_bench::intervals::{Answer, figures};
use plimsoll_bench::replay::{Seen, TICK};
use plimsoll_bench::score::{Outcome, score, summarise};
use plimsoll_bench::services::{CLASSES, HEALTHY, Service, generate};
use plimsoll_core::slope::{Alarm, AlarmPolicy, Posterior};

const SHARES: [f64; 4] = [0.1, 0.25, 0.5, 0.75];

struct Settings {
    seed: u64,
    healthy: usize,
    leaking: usize,
    with_load: bool,
}

struct Done {
    ours: Vec<Outcome>,
    answers: Vec<Answer>,
    asked: usize,
    seconds: f64,
}

fn policies() -> Vec<(String, AlarmPolicy)> {
    let mut out = Vec::new();
    for probability in [0.8, 0.9, 0.95, 0.98, 0.99] {
        for ticks in [2, 4] {
            for (level, growth) in [(0.0, 0.0), (0.6, 0.03), (0.5, 0.05), (0.5, 0.1)] {
                let policy = AlarmPolicy { probability, ticks, level, growth, ..AlarmPolicy::default() };
                out.push((format!("p{probability} k{ticks} l{level} g{growth}"), policy));
            }
        }
    }
    out
}

fn main() {
    let settings = arguments();
    let jobs: Vec<(usize, usize)> = (0..CLASSES.len())
        .flat_map(|c| {
            let n = if c < HEALTHY { settings.healthy } else { settings.leaking };
            (0..n).map(move |i| (c, i))
        })
        .collect();
    let began = Instant::now();
    let done = in_parallel(&jobs, |(class, index)| judge(&settings, class, index));
    println!("{} series in {:.1} s", jobs.len(), began.elapsed().as_secs_f64());
    let asked: usize = done.iter().map(|d| d.asked).sum();
    let seconds: f64 = done.iter().map(|d| d.seconds).sum();
    println!("{asked} posteriors, {:.0} per second and core", asked as f64 / seconds);
    for (k, (name, _)) in policies().iter().enumerate() {
        let outcomes: Vec<Outcome> = done.iter().map(|d| d.ours[k]).collect();
        let s = summarise(&outcomes, CLASSES.len());
        println!(
            "{name:24} P {:.3} R {:.3} U {:.3} FPR {:.4} ({:.4}) P2 {:.2} d/d {:.3} delay {:.2} {:.1}h | {}",
            s.precision,
            s.recall,
            s.useful,
            s.false_rate,
            s.false_rate_no_fill,
            s.precision_at_2,
            s.per_day,
            s.delay_share,
            s.delay_hours,
            s.by_class.iter().map(|x| format!("{x:.2}")).collect::<Vec<_>>().join(" ")
        );
    }
    let answers: Vec<Answer> = done.iter().flat_map(|d| d.answers.iter().copied()).collect();
    for class in HEALTHY..CLASSES.len() {
        print!("{:12}", CLASSES[class]);
        for share in 0..SHARES.len() {
            let f = figures(answers.iter().filter(|a| a.class == class && a.share == share));
            print!(
                " | {:3} {:.2} b{:.2} r{:.2} e{:.2} {:+.2}",
                f.count, f.coverage, f.bounded, f.ratio, f.error, f.bias
            );
        }
        println!();
    }
    print!("{:12}", "all");
    for share in 0..SHARES.len() {
        let f = figures(answers.iter().filter(|a| a.share == share));
        print!(
            " | {:3} {:.2} b{:.2} r{:.2} e{:.2} {:+.2}",
            f.count, f.coverage, f.bounded, f.ratio, f.error, f.bias
        );
    }
    let f = figures(answers.iter().filter(|a| a.share > 0));
    println!(
        "\n25-75 {} {:.2} b{:.2} r{:.2} e{:.2} {:+.2}",
        f.count, f.coverage, f.bounded, f.ratio, f.error, f.bias
    );
}

fn arguments() -> Settings {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).and_then(|v| v.parse::<u64>().ok())
    };
    let per_class = number("--per-class").map(|n| n as usize);
    Settings {
        seed: number("--seed").unwrap_or(20_261),
        healthy: per_class.unwrap_or(140),
        leaking: per_class.unwrap_or(110),
        with_load: !args.iter().any(|a| a == "--no-load"),
    }
}

fn judge(settings: &Settings, class: usize, index: usize) -> Done {
    let service = generate(settings.seed, class, index);
    let seen = Seen::new(&service, settings.with_load);
    let began = Instant::now();
    let ticks = seen.ticks();
    let seconds = began.elapsed().as_secs_f64();
    let ours =
        policies().iter().map(|(_, p)| score(&service, &flags(*p, &ticks, service.rss.len()))).collect();
    Done { ours, answers: answers(&service, &seen), asked: ticks.len(), seconds }
}

/// Minute flags: an alarm stands until the next tick.
fn flags(policy: AlarmPolicy, ticks: &[(usize, Option<Posterior>)], n: usize) -> Vec<bool> {
    let mut alarm = Alarm::new(policy);
    let mut out = vec![false; n];
    for (minute, posterior) in ticks {
        if alarm.tick(posterior.as_ref(), *minute as f64 * 60.0) {
            out.iter_mut().skip(*minute).take(TICK).for_each(|x| *x = true);
        }
    }
    out
}

fn answers(service: &Service, seen: &Seen<'_>) -> Vec<Answer> {
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
fn in_parallel<R: Send>(jobs: &[(usize, usize)], work: impl Fn((usize, usize)) -> R + Sync) -> Vec<R> {
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
        handles.into_iter().flat_map(|h| h.join().unwrap_or_default()).collect()
    });
    all.sort_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, r)| r).collect()
}
