//! `plimsoll bisect deploys`: which deploy, flag or setting brought the slope, from history that is there already.

use std::path::PathBuf;

use plimsoll_core::bisect::deploys::{Blame, blame};
use plimsoll_core::cluster::{Movement, Row};

use super::Whose;
use crate::cli::{mark, prometheus};
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, Progress};
use crate::render::deploys as render;
use crate::render::paint::Paint;

/// Probability from which a cause is a finding.
const FOUND: f64 = 0.9;

/// Which deploy, flag or setting brought the slope of a workload?
///
/// From the history that a Prometheus has already: nothing is run or switched. Versions are images, or revisions of their owner;
/// flags and settings come from plimsoll mark.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll bisect deploys --prometheus http://localhost:9090
  plimsoll bisect deploys --prometheus http://localhost:9090 --workload shop/api --past 14d --marks marks.jsonl
Exit codes: 0 nothing climbs, 1 a cause has 0.9 or more, 2 usage, 3 it cannot be told, 70 internal.")]
pub(super) struct Args {
    #[command(flatten)]
    whose: Whose,

    /// The agent's folder, or a file of marks; else the usual store.
    #[arg(long, value_name = "FILE")]
    marks: Option<PathBuf>,

    /// Most workloads.
    #[arg(long, default_value_t = 10)]
    rows: usize,
}

/// A workload with what is known of its cause.
pub(crate) struct Told {
    pub(crate) row: Row,
    pub(crate) blame: Result<Blame, String>,
}

pub(super) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let (marks, wrong) = mark::read(args.marks.as_deref())?;
    let (wanted, asked) = args.whose.workloads()?;
    let progress = Progress::new();
    progress.show(&format!("judging {} workloads", wanted.len()));
    let mut rows = prometheus::judged(&wanted, asked.now, asked.step);
    plimsoll_core::cluster::rank(&mut rows);
    let climbs = |row: &Row| {
        let movement = row.verdict.as_ref().ok().map(|v| v.movement);
        row.is_finding() || movement == Some(Movement::Undecided)
    };
    rows.retain(|row| args.whose.workload.is_some() || climbs(row));
    let more = rows.len().saturating_sub(args.rows);
    rows.truncate(args.rows);
    let of = |row: Row| {
        let workload = wanted.iter().find(|w| {
            (&w.cluster, &w.namespace, &w.name, &w.container)
                == (&row.cluster, &row.namespace, &row.name, &row.container)
                && w.number == row.number
        });
        let blame = workload.map_or_else(|| Err("it is not there".to_owned()), |w| blame(w, &marks));
        Told { row, blame }
    };
    let told: Vec<Told> = rows.into_iter().map(of).collect();
    drop(progress);
    let mut warnings = asked.warnings;
    warnings.extend(wrong.map(|w| format!("of the marks, {w}")));
    if more > 0 {
        warnings.push(format!("{more} more workloads climb (--rows)"));
    }
    let text = match format {
        Format::Table => render::screen(&told, marks.len(), &warnings, Paint::new(output::colour())),
        _ => crate::render::json::text(&render::document(&told, marks.len(), &warnings), format),
    };
    output::result(&text)?;
    Ok(code(&told))
}

fn code(told: &[Told]) -> u8 {
    let is_found = |t: &Told| t.blame.as_ref().is_ok_and(|b| b.causes.iter().any(|c| c.is_told(FOUND)));
    if told.iter().any(is_found) {
        exit_code::FINDINGS
    } else if told.is_empty() {
        exit_code::FINE
    } else {
        exit_code::CANNOT_JUDGE
    }
}
