//! Measures how far the times of the estimator are off, on leaks with a known death, learns what that depends on and
//! prints the table that the core ships as Rust source:
//!
//! `cargo run --release -p plimsoll-bench --bin calibrate -- [--dir DIR] > crates/plimsoll-core/src/slope/calibration_table.rs`
//!
//! With `--evidence` it learns how often climbs go on to the limit, from healthy series as well, and prints the alarm's table:
//!
//! `cargo run --release -p plimsoll-bench --bin calibrate -- --evidence [--dir DIR] > crates/plimsoll-core/src/slope/evidence_table.rs`
//!
//! With `--other-half` as well it learns from those pods that the table that ships has not seen, so that each pod can be judged by one that has not.
//!
//! The leaks are the generator's, and such as are added to public traces where those lie on this machine (as for the
//! benchmark `traces`); which ones were there stands in the table. Coverage by class goes to stderr, and how well climbs were told apart
//! that were not learnt from.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is the table")]

use std::process::ExitCode;

use plimsoll_bench::evidence_net::{self, Example};
use plimsoll_bench::evidence_set;
use plimsoll_bench::quantile_net::{Asked, Learnt, Sample, learn};
use plimsoll_bench::replay::Seen;
use plimsoll_bench::run::{given, in_parallel, jobs, number, only, word};
use plimsoll_bench::services::{CLASSES, Service, generate};
use plimsoll_bench::traces::{CALIBRATION, Leak, Part, Source, Trace, directory, question};
use plimsoll_core::slope::{Epoch, Layers, Question, Sign, estimate_raw};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Seeds of the generator's services that the intervals are learnt from; the benchmark reports others. The last ones are kept back.
const SEEDS: std::ops::Range<u64> = 8_824..9_016;
const KEPT_BACK: u64 = 8_992;
/// Seeds of the leaks that are added to traces.
const LEAKS: std::ops::Range<u64> = 100..110;
/// One trace in so many is not learnt from.
const KEPT_BACK_TRACES: usize = 4;
/// Shares of a life at which is asked, at random within as many equal parts: at fixed ones the time seen would tell the truth.
const ASKED: (f64, f64, usize) = (0.08, 0.88, 12);
/// Where in a life coverage counts, and how much answers before and after that do.
const COUNTED: (f64, f64) = (0.2, 0.8);
const ELSEWHERE: (f64, f64) = (0.6, 0.3);
/// Ways in which a service of the generator is seen: with load, without, after collections; and what an answer counts.
const WAYS: [(&str, f64); 3] = [("", 1.0), (", no load", 0.5), (", floor", 0.5)];
/// What an answer of each of [`CALIBRATION`] counts: there are few pods.
const TRACES: [f64; 2] = [1.0, 6.0];

/// One answer.
struct Answer {
    bounded: bool,
    sample: Sample,
}

fn main() -> ExitCode {
    only(&["--evidence", "--other-half", "--dir", "--per-class"]);
    if given("--other-half") && !given("--evidence") {
        eprintln!("--other-half is of --evidence only: the intervals keep no pods for later");
        return ExitCode::from(2);
    }
    if given("--evidence") {
        evidence();
    } else {
        intervals();
    }
    ExitCode::SUCCESS
}

/// The alarm's table.
fn evidence() {
    let mut examples = evidence_set::of_generator();
    let mut from = vec![format!("simulated services, {} ticks", examples.len())];
    let own = evidence_set::of_replicas();
    from.push(format!("simulated services, several of each side by side, {} ticks", own.len()));
    examples.extend(own);
    for_traces(|traces, k, source| {
        let own = evidence_set::of_traces(traces, k);
        let (name, origin) = (source.name, source.origin);
        from.push(format!("{name}, as they are and with leaks, {} ticks: {origin}", own.len()));
        examples.extend(own);
    });
    evidence_set::weigh(&mut examples);
    let learnt = evidence_net::learn(&examples, 1);
    print_evidence(&from, &learnt);
    for (group, name) in evidence_set::GROUPS.iter().enumerate() {
        let own: Vec<&Example> = examples.iter().filter(|e| e.kept_back && e.group == group).collect();
        eprintln!("{name}: {}", told_apart(&learnt, &own));
    }
}

/// Hands over the traces of every source that is there.
fn for_traces(mut to: impl FnMut(&[Trace], usize, &Source)) {
    let directory = directory(word("--dir"));
    for (k, source) in CALIBRATION.into_iter().enumerate() {
        let part = match source.part {
            Part::Even if given("--other-half") => Part::Odd,
            part => part,
        };
        let source = &Source { part, ..source };
        match source.traces(&directory, usize::MAX) {
            Ok(traces) if !traces.is_empty() => to(&traces, k, source),
            _ => eprintln!("{}: MISSING, the table does without them", source.folder),
        }
    }
}

/// How many leaks are above the odds that so many of the healthy ticks do not reach.
fn told_apart(learnt: &evidence_net::Learnt, of: &[&Example]) -> String {
    let odds = |leaks: bool| {
        let own = of.iter().filter(|e| e.leaks == leaks);
        let mut all: Vec<f64> = own.map(|e| learnt.judge().log_odds(&e.x)).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (healthy, leaking) = (odds(false), odds(true));
    let at = |share: f64| {
        let asked = healthy.get((healthy.len() as f64 * share) as usize).copied().unwrap_or(f64::INFINITY);
        let above = leaking.len() - leaking.partition_point(|x| *x <= asked);
        format!("{:.3} of leaks above {share} of healthy ticks", above as f64 / leaking.len().max(1) as f64)
    };
    format!("{} and {} kept back, {}", healthy.len(), leaking.len(), [0.9, 0.99].map(at).join(", "))
}

fn print_evidence(from: &[String], learnt: &evidence_net::Learnt) {
    println!("//! Odds that a climb goes on to the level that kills, by what is known of the question.\n//!");
    let half = if given("--other-half") { " --other-half" } else { "" };
    println!(
        "//! Made by `cargo run --release -p plimsoll-bench --bin calibrate -- --evidence{half}`; do not edit. Learnt from:\n//!"
    );
    from.iter().for_each(|line| println!("//! - {line}"));
    println!("\nuse super::evidence::Judge;\nuse super::layers::{{Layers, Sign}};\n");
    println!("/// Odds that the climb goes on.\n#[rustfmt::skip]");
    println!("pub(super) static GOES_ON: Judge<'static> = Judge {{");
    print_signs(&learnt.signs);
    println!("    nets: [");
    learnt.nets.iter().for_each(|net| print_layers("", &net.layers()));
    println!("    ],\n}};");
}

fn print_signs(signs: &[Sign<'_>]) {
    println!("    signs: &[");
    for s in signs {
        let [centre, scale] = [s.centre, s.scale].map(|x| told(x, 3));
        println!("        Sign {{ name: {:?}, centre: {centre}, scale: {scale} }},", s.name);
    }
    println!("    ],");
}

fn print_layers<const A: usize, const B: usize, const C: usize>(field: &str, net: &Layers<'_, A, B, C>) {
    println!("        {field}Layers {{");
    print_rows("first", net.first);
    print_rows("second", net.second);
    print_rows("last", net.last);
    println!("        }},");
}

/// A layer, a line for each of its rows.
fn print_rows<const N: usize>(name: &str, rows: &[[f32; N]]) {
    println!("            {name}: &[");
    rows.iter().for_each(|r| println!("                {},", row(&r.map(f64::from), 3)));
    println!("            ],");
}

/// The table of intervals.
fn intervals() {
    let mut answers = of_generator();
    let mut from = vec![format!("simulated services, {} answers", answers.len())];
    for_traces(|traces, k, source| {
        let own = of_traces(traces, k);
        from.push(format!("leaks in {}, {} answers: {}", source.name, own.len(), source.origin));
        answers.extend(own);
    });
    let (bounded, open): (Vec<Answer>, Vec<Answer>) = answers.into_iter().partition(|a| a.bounded);
    let samples = [bounded, open].map(|own| own.into_iter().map(|a| a.sample).collect::<Vec<Sample>>());
    let nets =
        in_parallel(&[(0, 0), (1, 0)], |(k, _)| learn(&samples[k], groups(), Asked { bounded: k == 0 }, 1));
    print(&from, &nets);
}

/// Number of classes that have tails of their own.
fn groups() -> usize {
    CLASSES.len() * WAYS.len() + TRACES.len()
}

fn of_generator() -> Vec<Answer> {
    let per_class = number("--per-class").map_or(110, |n| n as usize);
    let of_seed =
        |seed: u64| in_parallel(&jobs(0, per_class), |(class, index)| of_service(seed, class, index));
    SEEDS.flat_map(of_seed).flatten().collect()
}

fn of_service(seed: u64, class: usize, index: usize) -> Vec<Answer> {
    let service = generate(seed, class, index);
    let (Some(onset), Some(life)) = (service.onset, service.life()) else { return Vec::new() };
    let mut out = Vec::new();
    for (way, (_, weight)) in WAYS.iter().enumerate() {
        let seen = match way {
            2 if !service.managed => continue,
            2 => Seen::after_collections(&service, true),
            _ => Seen::new(&service, way == 0),
        };
        let group = way * CLASSES.len() + class;
        out.extend(shares(seed ^ ((index * 64 + group) as u64) << 20).filter_map(|share| {
            let minute = onset + (share * life) as usize;
            let left = left(&service, minute)?;
            let sample = seen.with_question(minute, |q| ask(q, left))?;
            Some(placed(sample, share, *weight, group, seed >= KEPT_BACK))
        }));
    }
    out
}

/// Seconds left at a minute that is in the series.
fn left(service: &Service, minute: usize) -> Option<f64> {
    service.time_left(minute).filter(|l| *l >= 1.0 && minute + 1 < service.rss.len()).map(|l| l * 60.0)
}

fn of_traces(traces: &[Trace], source: usize) -> Vec<Answer> {
    let jobs: Vec<(usize, usize)> =
        LEAKS.flat_map(|seed| (0..traces.len()).map(move |i| (seed as usize, i))).collect();
    let all = in_parallel(&jobs, |(seed, index)| {
        let twin = traces[index].with_leak(seed as u64, index);
        let Some(Leak { onset, death, seen: true }) = twin.leak else { return Vec::new() };
        let bytes = twin.in_bytes();
        let epochs = [Epoch { start: 0.0, version: 0, replica: 0, points: &bytes }];
        let at = |share: f64| {
            let now = onset + share * (death - onset);
            let sample = ask(&question(&epochs, &twin.load, now), death - now)?;
            let group = CLASSES.len() * WAYS.len() + source;
            Some(placed(
                sample,
                share,
                TRACES[source],
                group,
                index % KEPT_BACK_TRACES == KEPT_BACK_TRACES - 1,
            ))
        };
        shares((seed * 100_000 + index) as u64).filter_map(at).collect()
    });
    all.into_iter().flatten().collect()
}

fn shares(seed: u64) -> impl Iterator<Item = f64> {
    let (from, to, count) = ASKED;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(move |k| {
        let unit = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        from + (to - from) * (k as f64 + unit) / count as f64
    })
}

/// The answer to a question of which the truth is known, seconds.
fn ask(q: &Question<'_>, truth: f64) -> Option<Answer> {
    let standard = estimate_raw(q).ok()?.1?;
    let error = (truth / standard.mid).ln() / standard.spread;
    let sample =
        Sample { features: standard.features, error, weight: 1.0, group: 0, counted: true, kept_back: false };
    error.is_finite().then_some(Answer { bounded: standard.bounded, sample })
}

fn placed(mut answer: Answer, share: f64, weight: f64, group: usize, kept_back: bool) -> Answer {
    let counted = (COUNTED.0..=COUNTED.1).contains(&share);
    let elsewhere = if share < COUNTED.0 { ELSEWHERE.0 } else { ELSEWHERE.1 };
    let weight = if counted { weight } else { weight * elsewhere };
    answer.sample = Sample { weight, group, counted, kept_back, ..answer.sample };
    answer
}

fn print(from: &[String], nets: &[Learnt]) {
    println!(
        "//! Where the quantiles of the standardised logarithmic error lie, by the features of the question.\n//!"
    );
    println!(
        "//! Made by `cargo run --release -p plimsoll-bench --bin calibrate`; do not edit. Learnt from:\n//!"
    );
    from.iter().for_each(|line| println!("//! - {line}"));
    println!("\nuse super::calibration::Net;\nuse super::layers::{{Layers, Sign}};\n");
    for (learnt, name, what) in [(&nets[0], "BOUNDED", "with"), (&nets[1], "OPEN", "without")] {
        println!("/// For intervals {what} an upper end.\n#[rustfmt::skip]");
        println!("pub(super) static {name}: Net<'static> = Net {{");
        print_signs(&learnt.signs);
        print_layers("layers: ", &learnt.weights.layers());
        println!("}};");
        tell(name, learnt);
    }
}

fn row(of: &[f64], digits: usize) -> String {
    let all: Vec<String> = of.iter().map(|x| told(*x, digits)).collect();
    format!("[{}]", all.join(", "))
}

/// A number of so many digits after the point. One of so many looks like a constant of mathematics, which source must not spell out: its
/// neighbour does as well.
fn told(x: f64, digits: usize) -> String {
    use std::f64::consts::*;
    let constants = [
        E,
        FRAC_1_PI,
        FRAC_1_SQRT_2,
        FRAC_2_PI,
        FRAC_2_SQRT_PI,
        FRAC_PI_2,
        FRAC_PI_3,
        FRAC_PI_4,
        FRAC_PI_6,
        FRAC_PI_8,
        LN_2,
        LN_10,
        LOG2_E,
        LOG2_10,
        LOG10_2,
        LOG10_E,
        PI,
        SQRT_2,
        TAU,
    ];
    let unit = 10.0_f64.powi(-(digits as i32));
    let is_near = |c: &f64| (x.abs() - c).abs() < unit;
    let x = if constants.iter().any(is_near) { x + 2.0 * unit } else { x };
    format!("{x:.digits$}")
}

/// Coverage by class of the answers that were kept back: the nets were made to have it alike, so that `detect` and `traces` are the test of it.
fn tell(name: &str, learnt: &Learnt) {
    let ways = WAYS.iter().flat_map(|w| CLASSES.iter().map(move |c| format!("{c}{}", w.0)));
    let names = ways.chain(CALIBRATION.iter().map(|s| s.name.to_owned()));
    let told: Vec<String> = names
        .zip(&learnt.coverage)
        .filter(|(_, c)| c.is_finite())
        .map(|(name, c)| format!("{name} {c:.2}"))
        .collect();
    eprintln!("{name}: covered: {}", told.join(" · "));
}
