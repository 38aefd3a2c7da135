//! What warnings would have been worth.

use plimsoll_core::backtest::{Outcome, Tally};
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units;
use serde_json::{Value, json};

use super::overview::cut;
use crate::cli::prometheus::Asked;
use crate::cli::replay::Told;
use crate::output::plain;

/// Rows that are shown of workloads with something to say.
const ROWS: usize = 30;

/// One history in a sentence.
pub(crate) fn words(t: &Tally) -> String {
    let lead = t.lead().map_or_else(String::new, |s| format!(", {} ahead", units::duration(s)));
    format!(
        "{} deaths, {} of them warned of{lead}, {} missed; {} warnings were false, {} ended by a restart, {} still open",
        t.deaths,
        t.deaths - t.missed.len(),
        t.missed.len(),
        t.count(Outcome::False),
        t.count(Outcome::Restarted),
        t.count(Outcome::Open),
    )
}

/// All of them as text.
pub(crate) fn screen(told: &[Told], asked: &Asked, (span, every): (f64, f64)) -> String {
    let mut out = format!(
        "{} histories from {}, walked for {} with a look every {}\n{:<40} {:>7} {:>7} {:>7} {:>7} {:>10} {:>5} {:>12}\n",
        told.len(),
        plain(&asked.from),
        units::duration(span),
        units::duration(every),
        "WORKLOAD",
        "DEATHS",
        "WARNED",
        "MISSED",
        "FALSE",
        "RESTARTED",
        "OPEN",
        "LEAD"
    );
    let says = |t: &&Told| t.tally.deaths > 0 || !t.tally.warnings.is_empty();
    for t in told.iter().filter(says).take(ROWS) {
        let of = |outcome| t.tally.count(outcome);
        out += &format!(
            "{:<40} {:>7} {:>7} {:>7} {:>7} {:>10} {:>5} {:>12}\n",
            cut(&plain(&t.name), 40),
            t.tally.deaths,
            of(Outcome::Right),
            t.tally.missed.len(),
            of(Outcome::False),
            of(Outcome::Restarted),
            of(Outcome::Open),
            t.tally.lead().map_or_else(|| "–".to_owned(), units::duration),
        );
    }
    let silent = told.iter().filter(|t| !says(t)).count();
    let shown = told.iter().filter(says).count();
    if shown > ROWS {
        out += &format!("and {} more\n", shown - ROWS);
    }
    out += &format!("{silent} more never died, and were never warned of\n\n{}\n", summary(told));
    for warning in &asked.warnings {
        out += &format!("WARNING  {}\n", plain(warning));
    }
    out
}

fn summary(told: &[Told]) -> String {
    let mut all = Tally::default();
    for t in told {
        all.warnings.extend(&t.tally.warnings);
        all.missed.extend(&t.tally.missed);
        all.deaths += t.tally.deaths;
    }
    words(&all)
}

/// The document (`docs/json.md`).
pub(crate) fn document(told: &[Told], asked: &Asked, every: f64) -> Value {
    let one = |t: &Told| json!({"name": t.name, "number": t.number, "tally": t.tally});
    json!({
        "apiVersion": API_VERSION, "kind": "Backtest", "everySeconds": every, "stepSeconds": asked.step,
        "unixSeconds": asked.now, "workloads": told.iter().map(one).collect::<Vec<_>>(), "warnings": asked.warnings,
    })
}
