//! Public traces: alarms on series as they are, and recall of a leak that is added to them, ours beside the
//! rules that others ship.
//!
//! `cargo run --release -p plimsoll-bench --bin traces -- [--dir DIR] [--seed N] [--most N] [--ours] [--list] [--held-out]`
//!
//! The files are not ours. They are looked for in `--dir`, in `$PLIMSOLL_TRACES` or below
//! `~/.cache/plimsoll-bench/traces`; what is missing is told. `--ours` leaves the rules of others
//! out; `--list` tells every alarm of ours on an untouched series, and the series whose leak it missed;
//! `--held-out` takes series on which nothing was calibrated or chosen.
#![expect(clippy::print_stdout, reason = "a benchmark prints its tables")]

use plimsoll_bench::intervals::{Answer, figures};
use plimsoll_bench::replay::{LIMIT, TICK, flags};
use plimsoll_bench::rivals::{RIVALS, Rival};
use plimsoll_bench::run::{SHARES, given, in_parallel, number, word};
use plimsoll_bench::score::{median, risings};
use plimsoll_bench::traces::{HELD_OUT, Leak, SOURCES, Source, Trace, directory, question};
use plimsoll_core::series::Point;
use plimsoll_core::slope::{AlarmPolicy, Epoch, Posterior, estimate};

/// Usage from which on an alarm was right, whatever came of it.
const FULL: f64 = 0.95;
/// Further climb that says the same, share of the limit: the mean of the last six hours against that of the hour before the alarm.
const FURTHER: f64 = 0.05;

/// What one detector did on one series and on its twin with a leak.
#[derive(Default)]
struct Done {
    /// Alarms on the untouched series, minutes.
    alarms: Vec<usize>,
    /// Of those, followed by full usage.
    full: usize,
    /// Of the others, followed by a further climb.
    further: usize,
    /// Seconds left at the first alarm that the untouched series does not have.
    lead: Option<f64>,
    /// Whether that was early enough to do something.
    useful: bool,
}

/// Everything measured on one series.
struct Judged {
    days: f64,
    detectors: Vec<Done>,
    answers: Vec<Answer>,
    list: Vec<String>,
}

fn main() {
    let directory = directory(word("--dir"));
    let most = number("--most").map_or(usize::MAX, |n| n as usize);
    let seed = number("--seed").unwrap_or(1);
    let sources = if given("--held-out") { HELD_OUT.as_slice() } else { SOURCES.as_slice() };
    for source in sources {
        match source.traces(&directory, most) {
            Ok(traces) if !traces.is_empty() => report(source, &traces, seed),
            Ok(_) => println!(
                "## {}: MISSING, no series in {}\n",
                source.name,
                directory.join(source.folder).display()
            ),
            Err(why) => println!("## {}: MISSING ({why})\n\nIt comes from {}.\n", source.name, source.origin),
        }
    }
}

fn report(source: &Source, traces: &[Trace], seed: u64) {
    let jobs: Vec<(usize, usize)> = (0..traces.len()).map(|i| (0, i)).collect();
    let all = in_parallel(&jobs, |(_, i)| judge(&traces[i], seed, i));
    let days: f64 = all.iter().map(|j| j.days).sum();
    let with_load = traces.iter().filter(|t| !t.load.is_empty()).count();
    println!(
        "## {}: {} series, {days:.0} series-days, {with_load} with a load, leaks of seed {seed}\n",
        source.name,
        traces.len()
    );
    println!("From {}.\n", source.origin);
    println!(
        "| Detector | Alarms / series-day | series with one | alarms, of which before ≥ 95 % used; before a further climb | Recall of the added leak | Useful | Median lead, h |"
    );
    println!("|---|---|---|---|---|---|---|");
    let names = ["**Plimsoll**", "… without the load"].into_iter().chain(rivals().map(|r| r.name));
    for (k, name) in names.enumerate() {
        print_row(name, &all.iter().map(|j| &j.detectors[k]), all.len(), days);
    }
    print_intervals(&all);
    if given("--list") {
        all.iter().flat_map(|j| &j.list).for_each(|line| println!("{line}"));
    }
}

fn print_row<'a>(name: &str, of: &(impl Iterator<Item = &'a Done> + Clone), n: usize, days: f64) {
    let sum = |f: &dyn Fn(&Done) -> usize| of.clone().map(f).sum::<usize>();
    let share = |f: &dyn Fn(&Done) -> bool| of.clone().filter(|d| f(d)).count() as f64 / n as f64;
    let alarms = sum(&|d| d.alarms.len());
    println!(
        "| {name} | {:.3} | {:.3} | {alarms}: {}; {} | {:.3} | {:.3} | {:.1} |",
        alarms as f64 / days,
        share(&|d| !d.alarms.is_empty()),
        sum(&|d| d.full),
        sum(&|d| d.further),
        share(&|d| d.lead.is_some()),
        share(&|d| d.useful),
        median(of.clone().filter_map(|d| d.lead).collect()) / 3600.0
    );
}

fn print_intervals(all: &[Judged]) {
    println!("\n80 % interval where the limit is reached in the trace:\n");
    println!("| share of life | n | names a time | covers of those | hi/lo | median error | covers of all |");
    println!("|---|---|---|---|---|---|---|");
    for (k, share) in SHARES.iter().enumerate() {
        let f = figures(all.iter().flat_map(|j| &j.answers).filter(|a| a.share == k));
        println!(
            "| {share} | {} | {:.2} | {:.2} | {:.2} | {:.2} ({:+.2}) | {:.2} |",
            f.count, f.answered, f.coverage_answered, f.ratio, f.error, f.bias, f.coverage
        );
    }
    println!();
}

fn judge(trace: &Trace, seed: u64, index: usize) -> Judged {
    let twin = trace.with_leak(seed, index);
    let (minutes, twin_minutes) = (trace.by_minute(), twin.by_minute());
    let mut detectors = Vec::new();
    let mut list = Vec::new();
    for load in [true, false] {
        if !load && trace.load.is_empty() {
            let first: &Done = &detectors[0];
            detectors.push(Done { alarms: first.alarms.clone(), ..*first });
            continue;
        }
        let (untouched, leaking) = (ticks(trace, load), ticks(&twin, load));
        let raised = |ticks: &[(usize, Option<Posterior>)], n| flags(AlarmPolicy::default(), ticks, n);
        let (a, b) = (raised(&untouched, minutes.rss.len()), raised(&leaking, twin_minutes.rss.len()));
        let done = compare(trace, &twin, &a, &b);
        if load {
            list.extend(done.alarms.iter().map(|m| told(trace, *m, &untouched)));
            list.extend(done.lead.is_none().then(|| missed(&twin)));
        }
        detectors.push(done);
    }
    for rival in rivals() {
        detectors.push(compare(trace, &twin, &(rival.rule)(&minutes), &(rival.rule)(&twin_minutes)));
    }
    Judged { days: trace.span() / 86_400.0, detectors, answers: answers(&twin), list }
}

/// The rules of others, unless they are left out.
fn rivals() -> impl Iterator<Item = &'static Rival> {
    RIVALS.iter().take(if given("--ours") { 0 } else { RIVALS.len() })
}

/// Our posteriors, every half hour.
fn ticks(trace: &Trace, with_load: bool) -> Vec<(usize, Option<Posterior>)> {
    let bytes = trace.in_bytes();
    let minutes = (trace.span() / 60.0) as usize + 1;
    (TICK..minutes).step_by(TICK).map(|m| (m, ask(trace, &bytes, m as f64 * 60.0, with_load))).collect()
}

fn ask(trace: &Trace, bytes: &[Point], now: f64, with_load: bool) -> Option<Posterior> {
    let epochs = [Epoch { start: 0.0, version: 0, replica: 0, points: bytes }];
    let load = if with_load { trace.load.as_slice() } else { &[] };
    estimate(&question(&epochs, load, now)).ok()
}

fn compare(trace: &Trace, twin: &Trace, untouched: &[bool], leaking: &[bool]) -> Done {
    let alarms = risings(untouched);
    let is_full = |m: &usize| trace.points.iter().any(|p| p.t >= *m as f64 * 60.0 && p.v >= FULL);
    let is_further = |m: &usize| further(trace, *m) >= FURTHER;
    let mut done = Done {
        full: alarms.iter().filter(|m| is_full(m)).count(),
        further: alarms.iter().filter(|m| !is_full(m) && is_further(m)).count(),
        alarms,
        ..Done::default()
    };
    let Some(leak) = twin.leak else { return done };
    let first = (leak.onset / 60.0) as usize;
    let new = (first..leaking.len()).find(|i| leaking[*i] && !untouched.get(*i).copied().unwrap_or(false));
    if let Some(minute) = new {
        let left = leak.death - minute as f64 * 60.0;
        done.lead = Some(left);
        done.useful = left >= 1800.0_f64.max(0.25 * (leak.death - leak.onset));
    }
    done
}

/// How far usage rose from an alarm to the end of the trace.
fn further(trace: &Trace, minute: usize) -> f64 {
    trace.before(trace.span(), 6.0 * 3600.0) - trace.before(minute as f64 * 60.0, 3600.0)
}

/// One of our alarms on an untouched series, in words.
fn told(trace: &Trace, minute: usize, ticks: &[(usize, Option<Posterior>)]) -> String {
    let at = minute as f64 * 60.0;
    let p = ticks.iter().find(|t| t.0 == minute).and_then(|t| t.1.as_ref());
    let most = trace.points.iter().filter(|p| p.t >= at).fold(0.0, |m: f64, p| m.max(p.v));
    let since = p.map_or(0.0, |p| p.slope.mid * p.span / LIMIT);
    let hourly: Vec<String> = (0..=24)
        .map(|k| format!("{:.2}", trace.before(trace.span() * f64::from(k) / 24.0, 3600.0)))
        .collect();
    format!(
        "{} at {:.1} h of {:.1}: used {:.2}, climbed {since:+.3}, left {:.1} h, {:?}; then at most {most:.2}, at the end {:+.3}\n    {}",
        trace.name,
        at / 3600.0,
        trace.span() / 3600.0,
        trace.before(at, 3600.0),
        p.map_or(f64::NAN, |p| p.time_to_limit.mid / 3600.0),
        p.map(|p| p.shape),
        further(trace, minute),
        hourly.join(" ")
    )
}

/// A leak that we missed, in words.
fn missed(twin: &Trace) -> String {
    let Some(leak) = twin.leak else { return String::new() };
    format!(
        "{} missed: from {:.1} h at {:.2} to the limit in {:.1} h, {:.1} h seen",
        twin.name,
        leak.onset / 3600.0,
        twin.before(leak.onset, 3600.0),
        (leak.death - leak.onset) / 3600.0,
        (twin.span() - leak.onset) / 3600.0
    )
}

/// Our intervals at shares of a life that ends in the trace.
fn answers(twin: &Trace) -> Vec<Answer> {
    let Some(Leak { onset, death, seen: true }) = twin.leak else { return Vec::new() };
    let bytes = twin.in_bytes();
    let at = |(share, part): (usize, &f64)| {
        let now = onset + part * (death - onset);
        let t = ask(twin, &bytes, now, true)?.time_to_limit;
        Some(Answer { class: 0, share, truth: death - now, low: t.low, mid: t.mid, high: t.high })
    };
    SHARES.iter().enumerate().filter_map(at).collect()
}
