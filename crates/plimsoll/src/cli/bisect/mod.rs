//! `plimsoll bisect`: which change brought the slope.

mod commits;
mod deploys;
mod drive;
mod flag;
mod releases;
mod replay;
mod rollouts;
mod suspects;

use std::path::PathBuf;

use plimsoll_core::cluster::Workload;

use super::prometheus;
use crate::error::CliError;
use crate::output::Format;

pub(crate) use deploys::Told;
pub(crate) use drive::{Answer, id};
pub(crate) use rollouts::Audited;

/// Whose history is looked at.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("history").args(["prometheus", "from"]).required(true)))]
struct Whose {
    /// What speaks the API of Prometheus: http[s]://HOST[:PORT][/PREFIX].
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,

    /// Series in a file in its place: metrics text with times, or an answer of that API.
    #[arg(long, value_name = "FILE", conflicts_with = "prometheus")]
    from: Option<PathBuf>,

    /// Only this workload, NAME, NAMESPACE/NAME or CLUSTER/NAMESPACE/NAME, whether it climbs or not.
    #[arg(long, value_name = "WORKLOAD")]
    workload: Option<String>,

    #[command(flatten)]
    history: prometheus::Args,
}

impl Whose {
    /// The workloads that are meant, at least one, and what was asked.
    fn workloads(&self) -> Result<(Vec<Workload>, prometheus::Asked), CliError> {
        let source = prometheus::Source::of(self.prometheus.as_deref(), self.from.as_deref())?;
        let (history, asked) = prometheus::history(source, &self.history, None)?;
        let is_wanted = |w: &Workload| self.workload.as_ref().is_none_or(|words| w.is_called(words));
        let wanted: Vec<Workload> = history.workloads.into_iter().filter(is_wanted).collect();
        if wanted.is_empty() {
            return Err(CliError::cannot_judge("no such workload is known there")
                .hint("plimsoll triage --prometheus lists them"));
        }
        Ok((wanted, asked))
    }
}

/// Which change brought the slope
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Commits(Box<commits::Args>),
    Releases(Box<releases::Args>),
    Deploys(Box<deploys::Args>),
    Rollouts(Box<rollouts::Args>),
    Flag(Box<flag::Args>),
    Suspects(suspects::Args),
    Replay(replay::Args),
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    match &args.command {
        Command::Commits(args) => commits::run(args, format),
        Command::Releases(args) => releases::run(args, format),
        Command::Deploys(args) => deploys::run(args, format),
        Command::Rollouts(args) => rollouts::run(args, format),
        Command::Flag(args) => flag::run(args, format),
        Command::Suspects(args) => suspects::run(args, format),
        Command::Replay(args) => replay::run(args, format),
    }
}
