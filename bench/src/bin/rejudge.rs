//! Kept runs of the growth test judged anew by the program as it is: where the judgement changed, and not what is read.
//!
//!     gzip -dc bench/guard/data/rates.jsonl.gz | cargo run --release -p plimsoll-bench --bin rejudge
//!
//! For each mode and runtime: how many runs would have been called what, and after how many rounds. A run that would have gone on
//! for longer than it was kept is told as such.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};

use plimsoll_core::fact::Reading;
use plimsoll_core::guard::{Course, Metric, Round, Tolerance};
use serde_json::Value;

/// Iterations of every round of `drills/guard`.
const PER_ROUND: u64 = 1000;

/// What became of the runs of one kind.
#[derive(Default)]
struct Kind {
    outcomes: BTreeMap<String, u64>,
    growing: BTreeMap<&'static str, u64>,
    rounds: Vec<usize>,
}

/// The levels of each metric, round by round.
fn levels(run: &Value) -> BTreeMap<Metric, Vec<f64>> {
    let of = |metric: &Metric| {
        let levels = run["metrics"][metric.name()]["levels"].as_array()?;
        Some((*metric, levels.iter().filter_map(Value::as_f64).collect()))
    };
    Metric::ALL.iter().filter_map(of).collect()
}

fn judge(run: &Value, mode: &str, kind: &mut Kind) {
    let levels = levels(run);
    let kept = levels.values().map(Vec::len).max().unwrap_or(0);
    let (tolerance, most) = match mode {
        "rss" | "rssclean" => (Tolerance::bytes(32.0), 128),
        "heap16" | "heap16, lazy feedback" => (Tolerance::default(), 48),
        _ => (Tolerance::default(), 128),
    };
    let mut course = Course::new(tolerance, most);
    while course.goes_on() && course.rounds().len() < kept {
        let n = course.rounds().len();
        // Where a level is missing it was unknown then, too.
        let reading = |values: &Vec<f64>| match values.get(n) {
            Some(value) => Reading::Known(*value),
            None => Reading::unknown("it was not kept"),
        };
        let readings = levels.iter().map(|(metric, values)| (*metric, reading(values))).collect();
        course.push(Round { iterations: PER_ROUND, failed: 0, readings });
    }
    let outcome =
        if course.goes_on() { "longer than kept".to_owned() } else { course.outcome().name().to_owned() };
    *kind.outcomes.entry(outcome).or_default() += 1;
    for judged in course.judged() {
        let grows = judged.verdict().is_some_and(|v| v.name() == "growing");
        *kind.growing.entry(judged.metric.name()).or_default() += u64::from(grows);
    }
    kind.rounds.push(course.rounds().len());
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut kinds: BTreeMap<(String, String), Kind> = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let run: Value = serde_json::from_str(&line?)?;
        let text = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
        let key = (text("mode"), text("runtime"));
        judge(&run, &key.0, kinds.entry(key.clone()).or_default());
    }
    let mut out =
        "| mode | runtime | runs | outcomes | growing by metric | rounds: mean (most) |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for ((mode, runtime), kind) in &kinds {
        let all = |counts: Vec<String>| counts.join(", ");
        let outcomes = all(kind.outcomes.iter().map(|(name, n)| format!("{n} {name}")).collect());
        let growing =
            all(kind.growing.iter().filter(|(_, n)| **n > 0).map(|(m, n)| format!("{m} {n}")).collect());
        let runs = kind.rounds.len();
        let mean = kind.rounds.iter().sum::<usize>() as f64 / runs as f64;
        let most = kind.rounds.iter().max().copied().unwrap_or(0);
        out += &format!("| {mode} | {runtime} | {runs} | {outcomes} | {growing} | {mean:.0} ({most}) |\n");
    }
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(())
}
