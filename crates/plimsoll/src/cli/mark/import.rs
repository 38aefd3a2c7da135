//! `plimsoll mark import`: changes that other systems have written down.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use plimsoll_core::mark::{Mark, MarkKind};
use plimsoll_host::bisect::{GitError, Repository};
use plimsoll_host::marks::{LARGEST, Site};
use plimsoll_host::store::marks;
use plimsoll_read::marks::{Found, Known, flagd, read};

use super::site::{Who, unanswered};
use super::{Kind, now, unwritten};
use crate::cli::triage::duration;
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format};
use crate::render::marks as render;
use crate::render::paint::Paint;

/// Annotations that Grafana is asked for at once, and how often.
const PAGE: usize = 5000;
const PAGES: usize = 20;
/// What is asked of Argo CD's applications.
const FIELDS: &str = "items.metadata.name,items.metadata.namespace,items.spec.destination,items.status.history,items.status.resources";

/// Take marks from what other systems wrote down; those that are there already are not taken again
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll mark import --grafana http://grafana:3000 --token-file token
  plimsoll mark import --argocd https://argocd.example --token-file token
  plimsoll mark import --git .                              each tag is a deploy
  plimsoll mark import --git . --flags flags/flagd.json     what commits switched in a file of flagd
  kubectl get events -A -o json | plimsoll mark import -    of Flux, Argo CD and deployments
  plimsoll mark import audit-log.json --environment production      LaunchDarkly's
A file may hold answers of these systems, payloads of their webhooks, or marks as lines.")]
#[command(group(clap::ArgGroup::new("source").args(["files", "grafana", "argocd", "git"]).required(true)))]
pub(super) struct Args {
    /// Answers or payloads in files; - is stdin.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Annotations of a Grafana, by their tags: deploy, flag:NAME, config, workload:NAMESPACE/NAME.
    #[arg(long, value_name = "URL")]
    grafana: Option<String>,

    /// Syncs that an Argo CD has in the history of its applications.
    #[arg(long, value_name = "URL")]
    argocd: Option<String>,

    /// Tags of a repository of git. A tag tells when it was made, not when it was rolled out.
    #[arg(long, value_name = "FOLDER")]
    git: Option<PathBuf>,

    /// In place of the tags, what the commits of that repository switched in this file of flagd.
    #[arg(long, value_name = "PATH", requires = "git")]
    flags: Option<String>,

    /// How far back.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = duration)]
    past: f64,

    /// Of flags, only this environment.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,

    /// What annotations are whose tags do not say it.
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<Kind>,

    /// The workload of what names none: NAMESPACE/NAME, NAMESPACE/*, or NAME.
    #[arg(long, value_name = "WORKLOAD")]
    workload: Option<String>,

    /// Show them, and keep none.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    who: Who,
}

pub(super) fn run(path: &Path, args: &Args, format: Format) -> Result<u8, CliError> {
    let until = now();
    let known = Known { now: until, environment: args.environment.clone(), kind: args.kind.map(Kind::of) };
    let mut found = found(args, &known)?;
    let since = until - args.past;
    found.marks.retain(|m| m.unix_seconds >= since);
    for mark in &mut found.marks {
        mark.workload = mark.workload.take().or_else(|| args.workload.clone());
    }
    let all = found.marks.len();
    let new = if args.dry_run {
        found.marks.clone()
    } else {
        marks::add(path, found.marks.clone()).map_err(|e| unwritten(path, e))?
    };
    let told = render::Imported { new: &new, known: all - new.len(), found: &found, dry: args.dry_run };
    let text = match format {
        Format::Table => render::imported(&told, path, Paint::new(output::colour())),
        _ => crate::render::json::text(&render::imported_document(&told), format),
    };
    output::result(&text)?;
    Ok(exit_code::FINE)
}

fn found(args: &Args, known: &Known) -> Result<Found, CliError> {
    if let Some(url) = &args.grafana {
        return grafana(&args.who.site(url, "PLIMSOLL_GRAFANA_TOKEN")?, args.past, known);
    }
    if let Some(url) = &args.argocd {
        let site = args.who.site(url, "PLIMSOLL_ARGOCD_TOKEN")?;
        let answer = site.get(&format!("/api/v1/applications?fields={FIELDS}"));
        return shaped("Argo CD", &answer.map_err(|e| unanswered(e, "Argo CD"))?, known);
    }
    if let Some(folder) = &args.git {
        let repository = Repository::open(folder).map_err(no_git)?;
        return match &args.flags {
            Some(path) => flags(&repository, path),
            None => tags(&repository),
        };
    }
    let mut all = Found::default();
    for path in &args.files {
        let name = path.display().to_string();
        add(&mut all, shaped(&name, &bytes(path)?, known)?);
    }
    all.marks.sort_by(|a, b| a.unix_seconds.total_cmp(&b.unix_seconds));
    Ok(all)
}

fn add(all: &mut Found, more: Found) {
    all.marks.extend(more.marks);
    all.left_out += more.left_out;
    for shape in more.shapes {
        if !all.shapes.contains(&shape) {
            all.shapes.push(shape);
        }
    }
    all.environments.extend(more.environments);
    all.environments.sort();
    all.environments.dedup();
}

fn bytes(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |e: io::Error| CliError::usage(format!("failed to read {}", path.display())).because(e);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).map_err(failed)?.take(LARGEST + 1).read_to_end(&mut bytes)
    };
    read.map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(CliError::usage(format!("{} is larger than {LARGEST} bytes", path.display()))
            .hint("ask for a shorter time, or split it"));
    }
    Ok(bytes)
}

fn shaped(name: &str, bytes: &[u8], known: &Known) -> Result<Found, CliError> {
    read(bytes, known).map_err(|why| {
        let error = CliError::cannot_judge(format!("{name} tells of no changes: {why}"));
        match flagd::flags(bytes) {
            Ok(_) => error.hint(
                "a file of flags alone does not say what was switched: --git and --flags, or plimsoll mark follow",
            ),
            Err(_) => error,
        }
    })
}

/// The annotations of the time looked at, page by page: the newest come first.
pub(super) fn grafana(site: &Site, past: f64, known: &Known) -> Result<Found, CliError> {
    let (from, mut to) = (known.now - past, known.now);
    let mut all = Found::default();
    let mut seen = HashSet::new();
    for _ in 0..PAGES {
        let ms = |t: f64| (t * 1000.0).round().max(0.0) as u64;
        let path = format!("/api/annotations?from={}&to={}&limit={PAGE}", ms(from), ms(to));
        let answer = site.get(&path).map_err(|e| unanswered(e, "Grafana"))?;
        let page = serde_json::from_slice::<Vec<serde_json::Value>>(&answer).map_err(|e| {
            CliError::cannot_judge("Grafana's answer is no list of annotations")
                .because(e)
                .hint("the address is that of Grafana, with the prefix of its path if it has one")
        })?;
        let times = page.iter().filter_map(|a| a.get("time")?.as_f64());
        let oldest = times.fold(to * 1000.0, f64::min) / 1000.0;
        let is_last = page.len() < PAGE || oldest >= to;
        // What stands at the border of two pages comes twice.
        let new: Vec<_> = page.into_iter().filter(|a| seen.insert(a.to_string())).collect();
        if !new.is_empty() {
            add(&mut all, shaped("Grafana", serde_json::Value::from(new).to_string().as_bytes(), known)?);
        }
        if is_last {
            break;
        }
        to = oldest;
    }
    all.marks = plimsoll_core::mark::changes(all.marks);
    Ok(all)
}

fn no_git(e: GitError) -> CliError {
    CliError::usage("the repository cannot be read").because(e).hint("--git names a folder within it")
}

fn tags(repository: &Repository) -> Result<Found, CliError> {
    let mark = |(name, unix_seconds)| Mark {
        unix_seconds,
        kind: MarkKind::Deploy,
        name,
        off: false,
        workload: None,
    };
    let marks = repository.tags().map_err(no_git)?.into_iter().rev().map(mark).collect();
    Ok(Found { marks, shapes: vec!["tags of git"], ..Found::default() })
}

/// What each version of a file of flags switches in the one before.
fn flags(repository: &Repository, path: &str) -> Result<Found, CliError> {
    let mut found = Found { shapes: vec!["commits to a file of flagd"], ..Found::default() };
    let mut before: Option<flagd::Flags> = None;
    let mut versions = 0;
    let mut take = |at: f64, bytes: &[u8]| {
        versions += 1;
        match flagd::flags(bytes) {
            Ok(after) => {
                found.marks.extend(before.iter().flat_map(|before| flagd::changes(before, &after, at)));
                before = Some(after);
            }
            // A version that is none of flagd's was never in use as one.
            Err(_) => found.left_out += 1,
        }
    };
    repository.versions_of(path, &mut take).map_err(no_git)?;
    if versions == found.left_out {
        return Err(CliError::cannot_judge(format!("no commit has a file of flagd at {path}"))
            .hint("--flags is the path from the top of the repository"));
    }
    Ok(found)
}
