//! Public traces: alarms on series as they are, and recall of leaks that are added to them, ours beside the
//! rules that others ship.
//!
//! `cargo run --release -p plimsoll-bench --bin traces -- [--dir DIR] [--seeds A-B] [--only NAME] [--month M] [--part even|odd]
//! [--most N] [--ours] [--list] [--dump FILE]`
//!
//! The files are not ours. They are looked for in `--dir`, in `$PLIMSOLL_TRACES` or below
//! `~/.cache/plimsoll-bench/traces`; what is missing is told. Every seed adds one leak to every series. `--only` takes the sources whose
//! name holds the word, `--month` another month of the virtual machines, `--part` every other series: what is tried out on one half
//! has not seen the other. `--ours` leaves the rules of others out; `--list` tells every alarm of ours on an untouched series, and
//! the series whose leak of the first seed it missed; `--dump` writes down what all posteriors said.
#![expect(clippy::print_stdout, reason = "a benchmark prints its tables")]

use std::ops::RangeInclusive;
use std::path::Path;

use plimsoll_bench::dump::{self, Dump};
use plimsoll_bench::intervals::{Answer, figures};
use plimsoll_bench::replay::{LIMIT, TICK, flags};
use plimsoll_bench::rivals::{RIVALS, Rival};
use plimsoll_bench::run::{SHARES, given, in_parallel, number, only, word};
use plimsoll_bench::score::{median, risings};
use plimsoll_bench::traces::{Leak, SOURCES, Source, Trace, directory, question};
use plimsoll_core::series::Point;
use plimsoll_core::slope::{AlarmPolicy, Epoch, Posterior, estimate};

/// Usage from which on an alarm was right, whatever came of it.
const FULL: f64 = 0.95;
/// Further climb that says the same, share of the limit: the mean of the last six hours against that of the hour before the alarm.
const FURTHER: f64 = 0.05;
/// Seeds of the leaks, unless others are asked for.
const SEEDS: RangeInclusive<u64> = 1..=10;

/// Posteriors, tick by tick.
type Ticks = Vec<(usize, Option<Posterior>)>;

/// What one detector did on one series and on its twins with a leak.
#[derive(Default, Clone)]
struct Done {
    /// Alarms on the untouched series, minutes.
    alarms: Vec<usize>,
    /// Of those, followed by full usage.
    full: usize,
    /// Of the others, followed by a further climb.
    further: usize,
    /// For every leak, the first alarm that the untouched series does not have.
    found: Vec<Option<Found>>,
}

/// A leak that was found.
#[derive(Clone, Copy)]
struct Found {
    /// Seconds left.
    lead: f64,
    /// Whether that was early enough to do something.
    useful: bool,
}

/// Everything measured on one series.
#[derive(Default)]
struct Judged {
    days: f64,
    detectors: Vec<Done>,
    answers: Vec<Answer>,
    list: Vec<String>,
    dump: String,
}

/// What was asked for on the command line.
struct Asked {
    seeds: RangeInclusive<u64>,
    most: usize,
    /// Remainder of the index by two.
    part: Option<usize>,
    rivals: bool,
    dump: Option<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    only(&["--dir", "--only", "--month", "--part", "--seeds", "--most", "--ours", "--dump", "--list"]);
    let asked = Asked::from_flags()?;
    let directory = directory(word("--dir"));
    let mut dump = asked.dump.as_deref().map(|path| Dump::create(Path::new(path))).transpose()?;
    let only = word("--only").unwrap_or_default();
    for source in SOURCES.iter().filter(|s| s.name.contains(&only)) {
        let mut folder = directory.join(source.folder);
        if let Some(usual) = source.month {
            folder.push(word("--month").unwrap_or(usual.to_owned()));
        }
        match (source.read)(&folder, asked.most) {
            Ok(traces) if !traces.is_empty() => {
                let text = report(source, &traces, &asked);
                dump.as_mut().map(|d| d.write(&text)).transpose()?;
            }
            Ok(_) => println!("## {}: MISSING, no series in {}\n", source.name, folder.display()),
            Err(why) => println!("## {}: MISSING ({why})\n\nIt comes from {}.\n", source.name, source.origin),
        }
    }
    Ok(())
}

impl Asked {
    fn from_flags() -> Result<Asked, String> {
        let part = match word("--part").as_deref() {
            None => None,
            Some("even") => Some(0),
            Some("odd") => Some(1),
            Some(other) => return Err(format!("--part is even or odd, not {other}")),
        };
        Ok(Asked {
            seeds: word("--seeds").map_or(Ok(SEEDS), |text| seeds(&text))?,
            most: number("--most").map_or(usize::MAX, |n| n as usize),
            part,
            rivals: !given("--ours"),
            dump: word("--dump"),
        })
    }

    fn rivals(&self) -> impl Iterator<Item = &'static Rival> {
        RIVALS.iter().take(if self.rivals { RIVALS.len() } else { 0 })
    }
}

/// A range of seeds, `A-B`, or one.
fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("--seeds takes A-B, not {text}")),
    }
}

/// Prints the table of one source; returns what a dump holds of it.
fn report(source: &Source, traces: &[Trace], asked: &Asked) -> String {
    let jobs: Vec<(usize, usize)> =
        (0..traces.len()).filter(|i| asked.part.is_none_or(|p| i % 2 == p)).map(|i| (0, i)).collect();
    let all = in_parallel(&jobs, |(_, i)| judge(source, &traces[i], asked, i));
    let days: f64 = all.iter().map(|j| j.days).sum();
    let with_load = jobs.iter().filter(|j| !traces[j.1].load.is_empty()).count();
    println!(
        "## {}: {} series, {days:.0} series-days, {with_load} with a load, leaks of seeds {:?}\n",
        source.name,
        all.len(),
        asked.seeds
    );
    println!("From {}.\n", source.origin);
    println!(
        "| Detector | Alarms / series-day | series with one | alarms, of which before ≥ 95 % used; before a further climb | Recall of the added leaks | Useful | Median lead, h |"
    );
    println!("|---|---|---|---|---|---|---|");
    let names = ["**Plimsoll**", "… without the load"].into_iter().chain(asked.rivals().map(|r| r.name));
    for (k, name) in names.enumerate() {
        print_row(name, &all.iter().map(|j| &j.detectors[k]), days);
    }
    print_intervals(&all);
    if given("--list") {
        all.iter().flat_map(|j| &j.list).for_each(|line| println!("{line}"));
    }
    all.into_iter().map(|j| j.dump).collect()
}

fn print_row<'a>(name: &str, of: &(impl Iterator<Item = &'a Done> + Clone), days: f64) {
    let sum = |f: &dyn Fn(&Done) -> usize| of.clone().map(f).sum::<usize>();
    let alarms = sum(&|d| d.alarms.len());
    let leaks: Vec<Option<Found>> = of.clone().flat_map(|d| d.found.iter().copied()).collect();
    let found = || leaks.iter().flatten();
    let share = |n: usize, all: usize| n as f64 / all.max(1) as f64;
    println!(
        "| {name} | {:.3} | {:.3} | {alarms}: {}; {} | {:.3} | {:.3} | {:.1} |",
        alarms as f64 / days,
        share(sum(&|d| usize::from(!d.alarms.is_empty())), of.clone().count()),
        sum(&|d| d.full),
        sum(&|d| d.further),
        share(found().count(), leaks.len()),
        share(found().filter(|f| f.useful).count(), leaks.len()),
        median(found().map(|f| f.lead).collect()) / 3600.0
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

fn judge(source: &Source, trace: &Trace, asked: &Asked, index: usize) -> Judged {
    let twins: Vec<(u64, Trace)> =
        asked.seeds.clone().map(|seed| (seed, trace.with_leak(seed, index))).collect();
    let mut judged = Judged {
        days: trace.span() / 86_400.0,
        answers: twins.iter().flat_map(|(_, t)| answers(t)).collect(),
        ..Judged::default()
    };
    for load in [true, false] {
        if load || !trace.load.is_empty() {
            ours(source, trace, &twins, (asked, load), &mut judged);
        } else {
            judged.detectors.extend_from_within(..1);
        }
    }
    let by_minute = trace.by_minute();
    let twins: Vec<_> = twins.iter().map(|(_, t)| (t, t.by_minute())).collect();
    for rival in asked.rivals() {
        let untouched = (rival.rule)(&by_minute);
        let mut done = untouched_done(trace, &untouched);
        done.found = twins.iter().map(|(t, minutes)| found(t, &untouched, &(rival.rule)(minutes))).collect();
        judged.detectors.push(done);
    }
    judged
}

/// Our alarms on a series and its twins, with or without the load.
fn ours(
    source: &Source,
    trace: &Trace,
    twins: &[(u64, Trace)],
    (asked, load): (&Asked, bool),
    out: &mut Judged,
) {
    let raised = |ticks: &Ticks, of: &Trace| flags(AlarmPolicy::default(), ticks, minutes(of));
    let ticks = ticks(trace, load);
    let untouched = raised(&ticks, trace);
    let mut done = untouched_done(trace, &untouched);
    let is_dumped = load && asked.dump.is_some();
    if is_dumped {
        out.dump += &dumped(source, trace, 0, &ticks);
    }
    for (seed, twin) in twins {
        let leaking = ticks_of_twin(twin, &ticks, load);
        done.found.push(found(twin, &untouched, &raised(&leaking, twin)));
        if is_dumped {
            out.dump += &dumped(source, twin, *seed, &leaking);
        }
    }
    if load {
        out.list.extend(done.alarms.iter().map(|m| told(trace, *m, &ticks)));
        out.list.extend(done.found[0].is_none().then(|| missed(&twins[0].1)));
    }
    out.detectors.push(done);
}

fn minutes(trace: &Trace) -> usize {
    (trace.span() / 60.0) as usize + 1
}

/// Our posteriors at every tick.
fn ticks(trace: &Trace, with_load: bool) -> Ticks {
    let bytes = trace.in_bytes();
    let asked = (TICK..minutes(trace)).step_by(TICK);
    asked.map(|m| (m, ask(trace, &bytes, m as f64 * 60.0, with_load))).collect()
}

/// The same of a twin: up to the onset it is the untouched series.
fn ticks_of_twin(twin: &Trace, untouched: &Ticks, with_load: bool) -> Ticks {
    let bytes = twin.in_bytes();
    let onset = twin.leak.map_or(0.0, |l| l.onset);
    let tick = |(m, p): &(usize, Option<Posterior>)| {
        let now = *m as f64 * 60.0;
        (*m, if now <= onset { p.clone() } else { ask(twin, &bytes, now, with_load) })
    };
    untouched.iter().take_while(|t| t.0 < minutes(twin)).map(tick).collect()
}

fn dumped(source: &Source, trace: &Trace, seed: u64, ticks: &Ticks) -> String {
    let leak = trace.leak.map(|l| (l.onset / 60.0, l.death / 60.0));
    let series =
        dump::Series { set: source.folder, name: &trace.name, class: 0, seed, minutes: minutes(trace), leak };
    dump::lines(series, ticks)
}

fn ask(trace: &Trace, bytes: &[Point], now: f64, with_load: bool) -> Option<Posterior> {
    let epochs = [Epoch { start: 0.0, version: 0, replica: 0, points: bytes }];
    let load = if with_load { trace.load.as_slice() } else { &[] };
    estimate(&question(&epochs, load, now)).ok()
}

/// Alarms on an untouched series, and what came of them.
fn untouched_done(trace: &Trace, flags: &[bool]) -> Done {
    let alarms = risings(flags);
    let is_full = |m: &usize| trace.points.iter().any(|p| p.t >= *m as f64 * 60.0 && p.v >= FULL);
    let is_further = |m: &usize| further(trace, *m) >= FURTHER;
    Done {
        full: alarms.iter().filter(|m| is_full(m)).count(),
        further: alarms.iter().filter(|m| !is_full(m) && is_further(m)).count(),
        alarms,
        found: Vec::new(),
    }
}

/// The first alarm after the onset at a minute at which the untouched series has none.
fn found(twin: &Trace, untouched: &[bool], leaking: &[bool]) -> Option<Found> {
    let leak = twin.leak?;
    let first = (leak.onset / 60.0) as usize;
    let is_new = |i: &usize| leaking[*i] && !untouched.get(*i).copied().unwrap_or(false);
    let minute = (first..leaking.len()).find(is_new)?;
    let lead = leak.death - minute as f64 * 60.0;
    Some(Found { lead, useful: lead >= 1800.0_f64.max(0.25 * (leak.death - leak.onset)) })
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
