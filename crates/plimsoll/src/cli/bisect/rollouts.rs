//! `plimsoll bisect rollouts`: each rollout in a history against what ran before it.

use plimsoll_core::bisect::deploys::{Rollout, rollouts};
use plimsoll_core::cluster::{Replica, Workload};

use super::Whose;
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, Progress};
use crate::render::paint::Paint;
use crate::render::rollouts as render;

/// Does each rollout climb more than what ran before it?
///
/// From the history that a Prometheus has already. Versions are images, or revisions of their owner. Both are looked at as they were at the
/// same age, so that a cache that fills after each rollout is none that leaks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll bisect rollouts --prometheus http://localhost:9090
  plimsoll bisect rollouts --prometheus http://localhost:9090 --selector 'namespace=\"shop\"' --past 14d
Exit codes: 0 none climbs more, 1 one does, 2 usage, 3 there is no rollout that can be judged, 70 internal.")]
pub(super) struct Args {
    #[command(flatten)]
    whose: Whose,

    /// Most rollouts.
    #[arg(long, default_value_t = 20)]
    rows: usize,
}

/// A rollout of a workload.
pub(crate) struct Audited<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) rollout: Rollout,
}

impl Audited<'_> {
    /// Whether it climbs more, be it that its youth is not told from a climb.
    pub(crate) fn is_more(&self) -> bool {
        self.rollout.compared.is_some_and(|c| c.is_more)
    }

    /// What it adds as a share of the limit, where that is known; in bytes per second.
    fn weight(&self) -> f64 {
        let limit = self.workload.replicas.iter().filter_map(Replica::limit).reduce(f64::min).unwrap_or(1e18);
        self.rollout.compared.map_or(f64::NEG_INFINITY, |c| c.adds.mid / limit)
    }
}

pub(super) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let (workloads, asked) = args.whose.workloads()?;
    let progress = Progress::new();
    progress.show(&format!("looking at the rollouts of {} workloads", workloads.len()));
    let among = workloads.iter().map(|w| w.versions().saturating_sub(1)).sum();
    let of = |workload| {
        let audited = move |rollout| Audited { workload, rollout };
        rollouts(workload, among).into_iter().map(audited)
    };
    let mut all: Vec<Audited<'_>> = workloads.iter().flat_map(of).collect();
    // What climbs more goes first, what it adds to its limit the fastest; what cannot be told goes last.
    all.sort_by(|a, b| b.is_more().cmp(&a.is_more()).then(b.weight().total_cmp(&a.weight())));
    drop(progress);
    let text = match format {
        Format::Table => render::screen(&all, args.rows, &asked.warnings, Paint::new(output::colour())),
        _ => crate::render::json::text(&render::document(&all, &asked.warnings), format),
    };
    output::result(&text)?;
    Ok(code(&all))
}

fn code(all: &[Audited<'_>]) -> u8 {
    if all.iter().any(Audited::is_more) {
        exit_code::FINDINGS
    } else if all.iter().any(|a| a.rollout.compared.is_some()) {
        exit_code::FINE
    } else {
        exit_code::CANNOT_JUDGE
    }
}
