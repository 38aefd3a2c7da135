//! `plimsoll triage --replay`: what would have been said, and what came of it. Of one target, a JSON line for each tick; of many, what
//! their warnings were worth.

use std::num::NonZero;
use std::thread;

use plimsoll_core::backtest::{Tally, walk};
use plimsoll_core::cluster::Workload;
use plimsoll_core::recording::Recording;
use plimsoll_core::replay::{replay, tally};

use super::prometheus::Asked;
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, Progress};
use crate::render;

/// Ticks that a replay of a short history without `--every` aims at.
const TICKS: f64 = 200.0;
/// Seconds between two ticks of a longer one: as often as the alarm's benchmark looks.
const USUAL: f64 = 600.0;

/// Most ticks of a long one.
const MOST: f64 = 2_000.0;

/// Seconds between two ticks where nothing else is asked for, of a history of so many seconds with a sample every `step`: no more often than
/// something new is known.
fn usual(span: f64, step: f64) -> f64 {
    (span / TICKS).min(USUAL).max(span / MOST).max(step)
}

/// Writes a line per tick, and what they come to beside; the exit code says whether the alarm was ever on.
pub(crate) fn run(r: &Recording, every: Option<f64>, limit: Option<f64>) -> Result<u8, CliError> {
    let span = r.now().zip(r.from()).map_or(0.0, |(now, from)| now - from);
    let every = every.unwrap_or_else(|| usual(span, r.step().unwrap_or(0.0)).max(1.0));
    let mut ticks = Vec::new();
    for tick in replay(r, every, limit) {
        let text = serde_json::to_string(&tick)
            .map_err(|e| CliError::new(Kind::Internal, "failed to write a tick").because(e))?;
        ticks.push(tick);
        if !output::line(&text) {
            break;
        }
    }
    output::tell(&render::backtest::words(&tally(r, &ticks, every)));
    Ok(if ticks.iter().any(|t| t.alarm) { exit_code::FINDINGS } else { exit_code::FINE })
}

/// What a workload's warnings were worth.
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) number: String,
    pub(crate) tally: Tally,
}

/// Walks the history of every workload, on all cores.
pub(super) fn cluster(
    workloads: &[Workload],
    asked: &Asked,
    every: Option<f64>,
    format: Format,
) -> Result<u8, CliError> {
    let points = || workloads.iter().flat_map(|w| &w.replicas).flat_map(|r| &r.lives).flat_map(|l| &l.points);
    let from = points().map(|p| p.t).fold(asked.now, f64::min);
    let every = every.unwrap_or_else(|| usual(asked.now - from, asked.step)).max(asked.step);
    let progress = Progress::new();
    progress.show(&format!("walking {} workloads through their history", workloads.len()));
    let one = |w: &Workload| Told {
        name: render::cluster::full_name(&w.cluster, &w.namespace, &w.name, &w.container),
        number: w.number.clone(),
        tally: walk(w, (from, asked.now), every, asked.step),
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = workloads.len().div_ceil(threads).max(1);
    let mut told: Vec<Told> = thread::scope(|scope| {
        let parts: Vec<_> = workloads
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<_>>()))
            .collect();
        let join = |part: thread::ScopedJoinHandle<'_, Vec<Told>>| {
            part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        parts.into_iter().flat_map(join).collect()
    });
    drop(progress);
    told.sort_by_key(|t| std::cmp::Reverse((t.tally.deaths, t.tally.warnings.len())));
    let text = match format {
        Format::Table => render::backtest::screen(&told, asked, (asked.now - from, every)),
        _ => render::json::text(&render::backtest::document(&told, asked, every), format),
    };
    output::result(&text)?;
    let is_any = told.iter().any(|t| !t.tally.warnings.is_empty() || t.tally.deaths > 0);
    Ok(if is_any { exit_code::FINDINGS } else { exit_code::FINE })
}

#[cfg(test)]
mod tests {
    use super::usual;

    #[test]
    fn a_replay_looks_as_often_as_something_new_is_known_and_no_more_often_than_it_can_afford() {
        let (hour, day) = (3_600.0, 86_400.0);
        assert_eq!(usual(hour, 1.0), 18.0, "two hundred times");
        assert_eq!(usual(7.0 * day, 60.0), 600.0, "every ten minutes");
        assert_eq!(usual(7.0 * day, hour), hour, "at every sample");
        assert_eq!(usual(100.0 * day, 60.0), 0.05 * day, "two thousand times");
    }
}
