//! Every drill, several seeds, every collector of the JVM at hand: confusion matrix, time to the first right
//! verdict, coverage of the clock.
//!
//! `cargo run --release -p plimsoll-bench --bin verdicts -- [--first-seed 2] [--seeds 5] [--jobs 4] [--speed 1.8] [--only NAME]`
//! needs `cargo build --release` before it: it runs the `plimsoll` beside itself. Each run is recorded, and the
//! judgement is made again at each second of the recording, never looking ahead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use plimsoll_core::classify::{Cause, Certainty, Verdict};
use plimsoll_core::judge::judge;
use plimsoll_core::recording::Recording;
use plimsoll_host::drill::catalog::{DRILLS, Drill, Language};

/// Collectors that HotSpot 17 may be asked for; one that the JVM at hand lacks fails its run and is left out.
const COLLECTORS: &[&str] =
    &["-XX:+UseSerialGC", "-XX:+UseParallelGC", "-XX:+UseG1GC", "-XX:+UseShenandoahGC", "-XX:+UseZGC"];
/// Shares of the life at which the clock is held against the end.
const CHECKED_AT: [f64; 3] = [0.25, 0.5, 0.75];

struct Options {
    first_seed: u64,
    seeds: u64,
    jobs: usize,
    speed: f64,
    only: Option<String>,
    /// Folder for the recordings; a run whose recording is there is walked, not made again.
    keep: Option<PathBuf>,
    binary: PathBuf,
}

/// One run to make.
struct Case {
    drill: &'static Drill,
    seed: u64,
    collector: Option<&'static str>,
}

/// What came of it.
struct Outcome {
    drill: &'static Drill,
    collector: Option<&'static str>,
    seed: u64,
    /// Verdict at 60 % of the life (of the watch, for what does not end).
    cause: Cause,
    certainty: Certainty,
    right: bool,
    /// A certain verdict that names a wrong cause, at any second.
    wrongly_certain: Option<Cause>,
    /// Share of the life after which the first right verdict came.
    first_right: Option<f64>,
    /// Interval and real time to the end, seconds, at each of [`CHECKED_AT`].
    clock: Vec<([f64; 3], f64)>,
    life: f64,
}

fn main() {
    let options = options();
    let cases = cases(&options);
    say(&format!("{} runs, {} at once", cases.len(), options.jobs));
    let queue = Mutex::new(cases.into_iter());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(case) = next(&queue) {
                    let outcome = run(&case, &options);
                    report_one(&case, outcome.as_ref());
                    if let (Some(o), Ok(mut all)) = (outcome, outcomes.lock()) {
                        all.push(o);
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    print(&matrix(&outcomes));
    print(&figures(&outcomes));
}

#[expect(clippy::print_stdout, reason = "the tables are this program's result")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "progress")]
fn say(text: &str) {
    eprintln!("{text}");
}

fn next(queue: &Mutex<std::vec::IntoIter<Case>>) -> Option<Case> {
    queue.lock().ok()?.next()
}

fn options() -> Options {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let here = std::env::current_exe().ok().and_then(|p| p.parent().map(Path::to_owned)).unwrap_or_default();
    Options {
        first_seed: value("--first-seed").and_then(|v| v.parse().ok()).unwrap_or(2),
        seeds: value("--seeds").and_then(|v| v.parse().ok()).unwrap_or(5),
        jobs: value("--jobs").and_then(|v| v.parse().ok()).unwrap_or(4),
        speed: value("--speed").and_then(|v| v.parse().ok()).unwrap_or(1.8),
        only: value("--only").cloned(),
        keep: value("--keep").map(PathBuf::from),
        binary: here.join("plimsoll"),
    }
}

fn cases(options: &Options) -> Vec<Case> {
    let wanted = |d: &&Drill| options.only.as_ref().is_none_or(|o| d.full_name().contains(o.as_str()));
    let mut out = Vec::new();
    for seed in options.first_seed..options.first_seed + options.seeds {
        for drill in DRILLS.iter().filter(wanted) {
            let fixed = drill.runtime_args.iter().any(|a| a.contains("+Use"));
            if drill.language == Language::Java && !fixed {
                out.extend(COLLECTORS.iter().map(|c| Case { drill, seed, collector: Some(c) }));
            } else {
                out.push(Case { drill, seed, collector: None });
            }
        }
    }
    out
}

/// Longest watch of one run, seconds. What has not ended by then, or stopped because its verdict was certain, lives
/// at least this long: its shares of the life are shares of this.
const WATCH: f64 = 150.0;

/// Records one drill to its end, then walks its recording.
fn run(case: &Case, options: &Options) -> Option<Outcome> {
    let collector = case.collector.unwrap_or("default").trim_start_matches("-XX:+Use");
    let name = format!("{}-{}-{collector}.jsonl", case.drill.full_name().replace(':', "-"), case.seed);
    let file = match &options.keep {
        Some(folder) => folder.join(name),
        None => std::env::temp_dir().join(format!("plimsoll-verdicts-{}-{name}", std::process::id())),
    };
    if !file.exists() {
        std::fs::create_dir_all(file.parent()?).ok()?;
        record(case, options, &file)?;
    }
    let recording =
        std::fs::File::open(&file).ok().and_then(|f| Recording::read(std::io::BufReader::new(f)).ok());
    if options.keep.is_none() {
        // It may never have been made.
        let _absent = std::fs::remove_file(&file);
    }
    walk(case, &recording?)
}

/// Runs one drill to its end and records it.
fn record(case: &Case, options: &Options, file: &Path) -> Option<()> {
    let endless = case.drill.truth == Cause::Churn || !case.drill.leaks();
    // The seed varies the rate by up to a third, as it does on the command line; what has no end keeps its pace.
    let spread = 0.75 + 0.6 * ((case.seed * 7919) % 97) as f64 / 97.0;
    let speed = if endless { 1.0 } else { options.speed };
    let rate = (case.drill.rate as f64 * speed * spread) as u64;
    let mut command = Command::new(&options.binary);
    command.args([
        "drill",
        &case.drill.full_name(),
        "-o",
        "json",
        "--for",
        "75s",
        "--max",
        &format!("{WATCH}s"),
    ]);
    command.args(["--seed", &case.seed.to_string(), "--rate", &rate.to_string()]);
    command.arg("--record").arg(file);
    if let Some(c) = case.collector {
        command.arg(format!("--runtime-arg={c}"));
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok().map(drop)
}

/// Judges each second of the recording, as if live.
fn walk(case: &Case, r: &Recording) -> Option<Outcome> {
    let start = r.target.started;
    let end = r.ended.as_ref().map_or_else(|| r.now(), |e| Some(e.0))?;
    let seen_for = end - start;
    let life = if r.ended.is_some() { seen_for } else { seen_for.max(WATCH) };
    let (mut first_right, mut wrongly_certain, mut at_sixty) = (None, None, None);
    let mut clock = Vec::new();
    let mut checks = CHECKED_AT.iter().copied().peekable();
    // A drill without an end stops when its verdict is certain, which may be soon.
    if seen_for < if r.ended.is_some() { 15.0 } else { 9.5 } {
        return None;
    }
    let mut t = start + 8.0;
    while t <= end - f64::from(u8::from(r.ended.is_some())) {
        let seen = r.until(t);
        let j = judge(&seen, None);
        let share = (t - start) / life;
        let right = is_right(case.drill, &j.verdict);
        if right && first_right.is_none() {
            first_right = Some(share);
        }
        if j.verdict.certainty == Certainty::Certain && !names(case.drill, j.verdict.cause) {
            wrongly_certain = Some(j.verdict.cause);
        }
        if share < 0.6 || at_sixty.is_none() {
            at_sixty = Some((j.verdict.cause, j.verdict.certainty, right));
        }
        if r.ended.is_some() && checks.next_if(|c| share >= *c).is_some() {
            let time = j.clock.binding().and_then(|b| b.posterior.as_ref().ok()).map(|p| p.time_to_limit);
            clock.extend(time.map(|i| ([i.low, i.mid, i.high], end - t)));
        }
        t += 1.0;
    }
    let (cause, certainty, right) = at_sixty?;
    Some(Outcome {
        drill: case.drill,
        collector: case.collector,
        seed: case.seed,
        cause,
        certainty,
        right,
        wrongly_certain,
        first_right,
        clock,
        life,
    })
}

fn names(drill: &Drill, cause: Cause) -> bool {
    cause == drill.truth || drill.accepted.contains(&cause) || cause == Cause::None
}

/// Right: the cause, at least likely; for a healthy program no cause with certainty.
fn is_right(drill: &Drill, v: &Verdict) -> bool {
    if drill.leaks() {
        (v.cause == drill.truth || drill.accepted.contains(&v.cause)) && v.certainty >= Certainty::Likely
    } else {
        matches!(v.cause, Cause::None | Cause::Undecided) || v.certainty < Certainty::Certain
    }
}

fn report_one(case: &Case, outcome: Option<&Outcome>) {
    let collector = case.collector.unwrap_or("");
    let text = match outcome {
        None => "no result (the runtime lacks the collector, or it ended at once)".to_owned(),
        Some(o) => format!(
            "{} {:?}{} life {:.0} s, first right at {:.2}, clock {:.0?}{}",
            o.cause.name(),
            o.certainty,
            if o.right { "" } else { " WRONG" },
            o.life,
            o.first_right.unwrap_or(f64::NAN),
            o.clock,
            o.wrongly_certain.map_or_else(String::new, |c| format!(" CERTAIN OF {}", c.name())),
        ),
    };
    say(&format!("{} seed {} {collector}: {text}", case.drill.full_name(), case.seed));
}

/// Truth against verdict at 60 % of the life.
fn matrix(all: &[Outcome]) -> String {
    let mut rows: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    let mut columns: Vec<&str> = all.iter().map(|o| o.cause.name()).collect();
    columns.sort_unstable();
    columns.dedup();
    for o in all {
        let row = rows.entry(format!("{} ({})", o.drill.full_name(), o.drill.truth.name())).or_default();
        *row.entry(o.cause.name()).or_default() += 1;
    }
    let mut out =
        format!("| drill (truth) | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    for (name, row) in rows {
        let cells: Vec<String> =
            columns.iter().map(|c| row.get(c).map_or_else(String::new, usize::to_string)).collect();
        out += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    out
}

fn figures(all: &[Outcome]) -> String {
    let leaking: Vec<&Outcome> = all.iter().filter(|o| o.drill.leaks()).collect();
    let healthy: Vec<&Outcome> = all.iter().filter(|o| !o.drill.leaks()).collect();
    let share = |n: usize, of: usize| format!("{n} of {of} ({:.1} %)", 100.0 * n as f64 / of.max(1) as f64);
    let count = |o: &[&Outcome], f: &dyn Fn(&Outcome) -> bool| o.iter().filter(|x| f(x)).count();
    let inside: Vec<bool> =
        leaking.iter().flat_map(|o| &o.clock).map(|(i, real)| i[0] <= *real && *real <= i[2]).collect();
    let mut firsts: Vec<f64> = leaking.iter().map(|o| o.first_right.unwrap_or(1.0)).collect();
    firsts.sort_by(f64::total_cmp);
    let median = firsts.get(firsts.len() / 2).copied().unwrap_or(f64::NAN);
    let collectors: std::collections::BTreeSet<&str> = all.iter().filter_map(|o| o.collector).collect();
    let seeds: std::collections::BTreeSet<u64> = all.iter().map(|o| o.seed).collect();
    format!(
        "| figure | value | target |\n|---|---|---|\n\
         | right cause at 60 % of the life, leaking runs | {} | 95 % |\n\
         | certain verdicts on healthy runs, at any second | {} | 0 |\n\
         | certain of a wrong cause, leaking runs, at any second | {} | 0 |\n\
         | end inside the 80 % interval at 25, 50 and 75 % of the life | {} | 75–85 % |\n\
         | first right verdict before 40 % of the life | {} (median at {:.0} % of the life) | all |\n\
         | collectors, seeds | {}; {} | |\n",
        share(count(&leaking, &|o| o.right), leaking.len()),
        share(count(&healthy, &|o| o.wrongly_certain.is_some()), healthy.len()),
        share(count(&leaking, &|o| o.wrongly_certain.is_some()), leaking.len()),
        share(inside.iter().filter(|b| **b).count(), inside.len()),
        share(count(&leaking, &|o| o.first_right.is_some_and(|f| f < 0.4)), leaking.len()),
        100.0 * median,
        collectors.into_iter().collect::<Vec<_>>().join(" "),
        seeds.len(),
    )
}
