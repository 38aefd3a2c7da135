//! Detection benchmark: our posterior beside the rivals' rules on the same labelled services.
//!
//! `cargo run --release -p plimsoll-bench --bin detect -- [--seed N] [--per-class N] [--no-load] [--after-collections] [--sweep | --matched] [--dump FILE]`
//!
//! Without flags: 1,120 healthy and 880 leaking services of the reported seed, Markdown on stdout. `--sweep`
//! `--after-collections` shows us what a runtime tells of its heap instead, exactly what a collection left every five minutes: of services whose heap is
//! managed. The rivals see what they always do. `--sweep` prints many alarm policies instead of the rivals; it is meant for development seeds. `--dump` writes down what all posteriors
//! said. `--matched` sets each rule of others against ours at as many false alarms: of policies that ask for less and less, the one with the
//! most useful recall that has no more of them.
#![expect(clippy::print_stdout, reason = "a benchmark prints its tables")]

use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use plimsoll_bench::dump::{self, Dump};
use plimsoll_bench::intervals::{Answer, Figures, figures};
use plimsoll_bench::replay::{Seen, flags};
use plimsoll_bench::rivals::{RIVALS, line_interval};
use plimsoll_bench::run::{SHARES, answers, given, in_parallel, jobs, number, only, word};
use plimsoll_bench::score::{Outcome, Summary, score, summarise};
use plimsoll_bench::services::{CLASSES, HEALTHY, Service, generate};
use plimsoll_core::slope::AlarmPolicy;

/// Seed of the reported table; development used others.
const REPORTED_SEED: u64 = 20_261_123;

/// Everything measured on one service.
struct Done {
    ours: Vec<Outcome>,
    /// The default on what all see, where ours sees more.
    plain: Option<Outcome>,
    rivals: Vec<Outcome>,
    answers: Vec<Answer>,
    lines: Vec<Answer>,
    asked: usize,
    seconds: f64,
    full: Option<f64>,
    dump: String,
}

fn policies(sweep: bool) -> Vec<(String, AlarmPolicy)> {
    let default = AlarmPolicy::default();
    if given("--matched") {
        let asks = [0.85, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
        let of = |raise: f64| {
            [(0.1, 0.02), (0.05, 0.0), (0.01, 0.0)].map(|(memory, growth)| {
                let memory_least = default.memory_least.min(memory * 1e5);
                let again = default.again.max(raise);
                let keep = default.keep.min(raise);
                let policy = AlarmPolicy { raise, again, keep, memory, memory_least, growth, ..default };
                (format!("evidence ≥ {raise}, memory {memory}"), policy)
            })
        };
        return asks.into_iter().flat_map(of).collect();
    }
    if !sweep {
        return [("**Plimsoll**, default", default.raise), ("… early", 0.4), ("… strict", 0.85)]
            .map(|(name, raise)| (format!("{name}: evidence ≥ {raise:.2}"), AlarmPolicy { raise, ..default }))
            .to_vec();
    }
    let mut out = vec![("default".to_owned(), default)];
    for raise in [0.3, 0.4, 0.5, 0.6, 0.7, 0.8] {
        for memory in [0.05, 0.1, 0.15] {
            for growth in [0.0, 0.02, 0.04] {
                let name = format!("e{raise} m{memory} g{growth}");
                out.push((name, AlarmPolicy { raise, memory, growth, ..default }));
            }
        }
    }
    out
}

fn main() -> std::io::Result<()> {
    only(&["--seed", "--per-class", "--no-load", "--after-collections", "--sweep", "--matched", "--dump"]);
    let per_class = number("--per-class").map(|n| n as usize);
    let mut jobs = jobs(per_class.unwrap_or(140), per_class.unwrap_or(110));
    let (seed, sweep, load) =
        (number("--seed").unwrap_or(REPORTED_SEED), given("--sweep"), !given("--no-load"));
    if given("--after-collections") {
        jobs.retain(|(class, index)| generate(seed, *class, *index).managed);
    }
    let began = Instant::now();
    let done = in_parallel(&jobs, |(class, index)| judge(&generate(seed, class, index), sweep, load));
    println!("{} series, seed {seed}, {:.0} s on two cores\n", jobs.len(), began.elapsed().as_secs_f64());
    if let Some(path) = word("--dump") {
        let mut dump = Dump::create(Path::new(&path))?;
        done.iter().try_for_each(|d| dump.write(&d.dump))?;
    }
    let mut rows: Vec<(String, Summary)> = Vec::new();
    for (k, (name, _)) in policies(sweep).iter().enumerate() {
        let outcomes: Vec<Outcome> = done.iter().map(|d| d.ours[k]).collect();
        rows.push((name.clone(), summarise(&outcomes, CLASSES.len())));
    }
    let plain: Vec<Outcome> = done.iter().filter_map(|d| d.plain).collect();
    if !plain.is_empty() {
        rows.push(("… the same services by their memory alone".to_owned(), summarise(&plain, CLASSES.len())));
    }
    if !sweep {
        for (k, rival) in RIVALS.iter().enumerate() {
            let outcomes: Vec<Outcome> = done.iter().map(|d| d.rivals[k]).collect();
            rows.push((rival.name.to_owned(), summarise(&outcomes, CLASSES.len())));
        }
    }
    if given("--matched") {
        print_matched(&rows, policies(sweep).len());
        return Ok(());
    }
    print_detection(&rows);
    print_classes(&rows);
    print_intervals(&done);
    print_speed(&done);
    Ok(())
}

fn judge(service: &Service, sweep: bool, with_load: bool) -> Done {
    let seen = if given("--after-collections") {
        Seen::after_collections(service, with_load)
    } else {
        Seen::new(service, with_load)
    };
    let began = cpu_seconds();
    let ticks = seen.ticks();
    let seconds = cpu_seconds() - began;
    let n = service.rss.len();
    let ours = policies(sweep).iter().map(|(_, p)| score(service, &flags(*p, &ticks, n))).collect();
    let rivals =
        if sweep { Vec::new() } else { RIVALS.iter().map(|r| score(service, &(r.rule)(service))).collect() };
    let whole = n == plimsoll_bench::services::LENGTH && service.runs.len() == 1;
    let plain = given("--after-collections").then(|| {
        let ticks = Seen::new(service, with_load).ticks();
        score(service, &flags(AlarmPolicy::default(), &ticks, n))
    });
    Done {
        ours,
        plain,
        rivals,
        answers: answers(service, &seen),
        lines: line_answers(service),
        asked: ticks.len(),
        seconds,
        full: whole.then(|| time_full(&seen, n - 1)),
        dump: if given("--dump") { dump::lines(series(service), &ticks) } else { String::new() },
    }
}

/// A service as the head of its part of a dump.
fn series(service: &Service) -> dump::Series<'_> {
    let leak = service.onset.zip(service.life()).map(|(onset, life)| (onset as f64, onset as f64 + life));
    let (set, name) = ("services", CLASSES[service.class]);
    dump::Series { set, name, class: service.class, seed: 0, minutes: service.rss.len(), leak }
}

/// Processor time of this thread, seconds: the machine may be shared. Wall clock where the kernel does not say.
fn cpu_seconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let wall = START.get_or_init(Instant::now).elapsed().as_secs_f64();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|t| t.parse::<f64>().ok()).map_or(wall, |ns| ns * 1e-9)
}

/// Seconds for one posterior at the end of a whole three-day series.
fn time_full(seen: &Seen<'_>, minute: usize) -> f64 {
    seen.with_question(minute, |q| {
        let began = cpu_seconds();
        for _ in 0..10 {
            std::hint::black_box(plimsoll_core::slope::estimate(q)).ok();
        }
        (cpu_seconds() - began) / 10.0
    })
}

/// What a straight line through six hours implies, at the same instants.
fn line_answers(service: &Service) -> Vec<Answer> {
    let (Some(onset), Some(life)) = (service.onset, service.life()) else { return Vec::new() };
    let at = |(share, part): (usize, &f64)| {
        let minute = onset + (part * life) as usize;
        if minute + 1 >= service.rss.len() {
            return None;
        }
        let truth = service.time_left(minute)?;
        let (low, mid, high) = line_interval(&service.rss, minute, 360)?;
        Some(Answer { class: service.class, share, truth, low, mid, high })
    };
    SHARES.iter().enumerate().filter_map(at).collect()
}

fn print_detection(rows: &[(String, Summary)]) {
    println!(
        "| Detector | Precision | Recall | Useful | FPR (3 d) | … w/o cache fill | P@2 % | False alarms / series-day | Median delay (share of life; h) |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, s) in rows {
        println!(
            "| {name} | {:.3} | {:.3} | {:.3} | {:.4} | {:.4} | {:.2} | {:.3} | {:.2}; {:.1} |",
            s.precision,
            s.recall,
            s.useful,
            s.false_rate,
            s.false_rate_no_fill,
            s.precision_at_2,
            s.per_day,
            s.delay_share,
            s.delay_hours
        );
    }
}

/// Each rule of others, and ours with no more false alarms.
fn print_matched(rows: &[(String, Summary)], ours: usize) {
    println!(
        "| Detector | FPR (3 d) | Recall | Useful | Median delay | ours: | FPR (3 d) | Recall | Useful | Median delay |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let (ours, rivals) = rows.split_at(ours);
    for (name, s) in rivals {
        let as_quiet = ours.iter().filter(|(_, o)| o.false_rate <= s.false_rate);
        let cells = |s: &Summary| {
            format!("{:.4} | {:.3} | {:.3} | {:.2}", s.false_rate, s.recall, s.useful, s.delay_share)
        };
        match as_quiet.max_by(|a, b| a.1.useful.total_cmp(&b.1.useful)) {
            Some((policy, best)) => println!("| {name} | {} | {policy} | {} |", cells(s), cells(best)),
            None => println!("| {name} | {} | none as quiet | | | | |", cells(s)),
        }
    }
}

fn print_classes(rows: &[(String, Summary)]) {
    println!("\n| Alarm rate by class | {} |", CLASSES.join(" | "));
    println!("|---|{}", "---|".repeat(CLASSES.len()));
    for (name, s) in rows {
        let cells: Vec<String> = s.by_class.iter().map(|x| format!("{x:.2}")).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn print_intervals(done: &[Done]) {
    let ours: Vec<Answer> = done.iter().flat_map(|d| d.answers.iter().copied()).collect();
    let lines: Vec<Answer> = done.iter().flat_map(|d| d.lines.iter().copied()).collect();
    println!(
        "\n80 % interval of the time to death; each cell: coverage of the answers that name a time, their share, median hi/lo where the upper end is finite, median \\|log error\\| (bias)\n"
    );
    println!(
        "| Class | n | 10 % of life | 25 % | 50 % | 75 % | 25–75 % | 25–75 %, coverage of all answers |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (class, name) in CLASSES.iter().enumerate().skip(HEALTHY) {
        print_interval_row(name, &ours, |a| a.class == class);
    }
    print_interval_row("**all**", &ours, |_| true);
    print_interval_row("straight line, 6 h", &lines, |_| true);
}

fn print_interval_row(name: &str, answers: &[Answer], of: impl Fn(&Answer) -> bool) {
    let cell = |f: Figures| {
        format!(
            "{:.2} of {:.2}, {:.2}, {:.2} ({:+.2})",
            f.coverage_answered, f.answered, f.ratio, f.error, f.bias
        )
    };
    let shares = (0..SHARES.len()).map(|k| cell(figures(answers.iter().filter(|a| a.share == k && of(a)))));
    let shares: Vec<String> = shares.collect();
    let late = figures(answers.iter().filter(|a| a.share > 0 && of(a)));
    let n = answers.iter().filter(|a| of(a)).count();
    println!("| {name} | {n} | {} | {} | {:.2} |", shares.join(" | "), cell(late), late.coverage);
}

fn print_speed(done: &[Done]) {
    let asked: usize = done.iter().map(|d| d.asked).sum();
    let seconds: f64 = done.iter().map(|d| d.seconds).sum();
    let full: Vec<f64> = done.iter().filter_map(|d| d.full).collect();
    let mean = full.iter().sum::<f64>() / full.len().max(1) as f64;
    println!(
        "\n{asked} posteriors in the replay, {:.0} per second of processor time; at the end of 72 h of one-minute samples {:.0} ({} series)",
        asked as f64 / seconds,
        1.0 / mean,
        full.len()
    );
}
