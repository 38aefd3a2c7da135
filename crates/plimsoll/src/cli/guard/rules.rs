//! `plimsoll guard rules`: alert rules that watch the floor's slope against the limit, with their unit tests.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use plimsoll_core::guard::rules::{self, Source, Thresholds, Walk};
use plimsoll_core::judge::judge;
use plimsoll_core::recording::Recording;
use plimsoll_core::units::{bytes, duration};

use crate::cli::{from_file, triage};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format};
use crate::render;
use crate::render::guard::replay::End;
use crate::render::guard::rules::{self as render_rules, Basis};

/// Write alert rules for Prometheus, with unit tests beside them
///
/// They watch the slope of the floor against the limit: a climb that goes on, a slow one, one that restarts hide; goroutines,
/// threads, descriptors, memory beside the heap and the heap itself; kills, and limits that are missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll guard rules                                    the rules, for what a Kubernetes cluster exports
  plimsoll guard rules --out monitoring                   rules and tests as files; then promtool test rules
  plimsoll guard rules --source agent --out monitoring    for what plimsoll watch exports
  plimsoll guard rules --from incident.jsonl --out monitoring   steep enough for this incident, and when they would have fired
  plimsoll guard rules --survive 30d --headroom 1GiB      what is borne, in words")]
pub(crate) struct Args {
    /// Write the rules and their tests into this folder.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Replace what is there.
    #[arg(long, requires = "out")]
    force: bool,

    #[command(flatten)]
    choice: Choice,

    #[command(flatten)]
    bounds: Bounds,

    /// A recorded incident: what is borne is half of its slope, and it is said when the rules would have fired.
    #[arg(long, value_name = "RECORDING")]
    from: Option<PathBuf>,

    /// Limit of the recording, where it has none.
    #[arg(long, value_name = "BYTES", requires = "from", value_parser = triage::bytes)]
    limit: Option<f64>,
}

/// Who exports what is read.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// Who exports: kubernetes (cAdvisor and kube-state-metrics), program (the program itself), agent (plimsoll watch).
    #[arg(long, value_name = "WHO", value_enum, value_delimiter = ',', default_values = ["kubernetes", "program"])]
    source: Vec<From>,
}

/// How near is near, and how steep is steep.
#[derive(Debug, clap::Args)]
struct Bounds {
    /// Time to the limit at which somebody is woken.
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = triage::duration)]
    page: f64,

    /// Time to the limit at which somebody is told.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = triage::duration)]
    ticket: f64,

    /// The same for what has climbed for a whole day.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = triage::duration)]
    slow: f64,

    /// Growth an hour that is borne where no limit ends it (hidden by restarts, beside the heap); else 30MiB.
    #[arg(long, value_name = "BYTES", value_parser = triage::bytes, conflicts_with = "survive")]
    borne: Option<f64>,

    /// The same in words: the time that the program must survive ...
    #[arg(long, value_name = "TIME", value_parser = triage::duration, requires = "headroom")]
    survive: Option<f64>,

    /// ... in so much memory above its floor.
    #[arg(long, value_name = "BYTES", value_parser = triage::bytes, requires = "survive")]
    headroom: Option<f64>,
}

/// Who exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum From {
    /// cAdvisor and kube-state-metrics.
    Kubernetes,
    /// The program itself.
    Program,
    /// `plimsoll watch`.
    Agent,
}

impl Choice {
    pub(super) fn sources(&self) -> Vec<Source> {
        let has = |from| self.source.contains(&from);
        let of = |source: &Source| match source {
            Source::Kubernetes => has(From::Kubernetes),
            Source::Program => has(From::Program),
            Source::Agent => has(From::Agent),
        };
        Source::ALL.iter().copied().filter(of).collect()
    }
}

impl Bounds {
    fn thresholds(&self) -> Result<Thresholds, CliError> {
        let (page, ticket, slow) = (self.page, self.ticket, self.slow);
        if !(0.0 < page && page <= ticket && ticket <= slow) {
            return Err(CliError::usage(
                "--page, --ticket and --slow must be above zero, each below the next",
            ));
        }
        let words =
            |survive: f64| self.headroom.map(|room| room / survive).filter(|b| b.is_finite() && *b > 0.0);
        let borne = match self.survive {
            Some(survive) => Some(
                words(survive)
                    .ok_or_else(|| CliError::usage("--survive and --headroom must be above zero"))?,
            ),
            None => self.borne.map(|b| b / 3600.0),
        };
        if borne == Some(0.0) {
            return Err(CliError::usage("--borne must be above zero"));
        }
        let default = Thresholds::default();
        let slow = self.survive.map_or(slow, |survive| survive.max(ticket));
        Ok(Thresholds { page, ticket, slow, borne: borne.unwrap_or(default.borne), ..default })
    }
}

/// Rules with what they were made from.
struct Made {
    basis: Basis,
    /// Where the thresholds come from.
    why: Vec<String>,
    /// What they would have said of the incident.
    incident: Option<(Recording, Walk)>,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let made = make(args)?;
    let yaml = render_rules::yaml(&made.basis, &made.why);
    let Some(folder) = &args.out else {
        let text = match format {
            Format::Table => yaml,
            _ => render::json::text(&render_rules::document(&made.basis.groups()), format),
        };
        output::result(&text)?;
        return Ok(exit_code::FINE);
    };
    let tests = render_rules::tests(&made.basis);
    fs::create_dir_all(folder)
        .map_err(|e| CliError::usage(format!("failed to make {}", folder.display())).because(e))?;
    let (rules, test) = (folder.join(render_rules::RULES), folder.join(render_rules::TESTS));
    write(&rules, &yaml, args.force)?;
    write(&test, &tests, args.force)?;
    match format {
        Format::Table => output::result(&written(&made, &rules, &test))?,
        _ => output::result(&render::json::text(&render_rules::document(&made.basis.groups()), format))?,
    }
    Ok(exit_code::FINE)
}

fn make(args: &Args) -> Result<Made, CliError> {
    let (mut thresholds, sources) = (args.bounds.thresholds()?, args.choice.sources());
    let mut why = Vec::new();
    let mut recording = None;
    if let Some(path) = &args.from {
        let read = from_file::open(path, 1.0, args.limit)?;
        // As it was when it ended: what came after is another life.
        let judged = judge(&read.until(End::of(&read, None).at), args.limit);
        let slope = judged.clock.binding().and_then(|b| b.posterior.as_ref().ok()).map(|p| p.slope.low);
        match slope.filter(|s| *s > 0.0) {
            Some(slope) => {
                let half = slope / 2.0;
                if args.bounds.borne.is_none() && args.bounds.survive.is_none() && half < thresholds.borne {
                    thresholds.borne = half;
                }
                why.push(format!(
                    "made for an incident that climbed by {} an hour at least",
                    bytes(slope * 3600.0)
                ));
            }
            None => why.push("the incident has no slope that is known: the usual thresholds".to_owned()),
        }
        recording = Some(read);
    }
    why.push(format!(
        "told {} before the limit, woken {} before; borne are {} an hour",
        duration(thresholds.ticket),
        duration(thresholds.page),
        bytes(thresholds.borne * 3600.0)
    ));
    let incident = recording.map(|r| {
        // On the recording they are walked whoever exports.
        let walked = rules::walk(&r, &rules::groups(Source::ALL, &thresholds), args.limit);
        (r, walked)
    });
    Ok(Made { basis: Basis { sources, thresholds }, why, incident })
}

/// Writes a file; what is there is replaced only by force.
pub(super) fn write(path: &Path, text: &str, force: bool) -> Result<(), CliError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).truncate(force).create(force).create_new(!force);
    match options.open(path).and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(CliError::usage(format!("{} is there already", path.display())).hint("--force replaces it"))
        }
        Err(e) => Err(CliError::new(Kind::Usage, format!("failed to write {}", path.display())).because(e)),
    }
}

fn written(made: &Made, rules: &Path, tests: &Path) -> String {
    let groups = made.basis.groups();
    let alerts = groups.iter().flat_map(|g| &g.rules);
    let alerts: Vec<&str> = alerts
        .filter(|r| matches!(r.makes, rules::Makes::Alert(_)))
        .map(|r| r.name.trim_start_matches("Plimsoll"))
        .collect();
    let (rules, tests) = (rules.display(), tests.display());
    let mut out = format!("{rules}: {} alerts ({})\n", alerts.len(), alerts.join(", "));
    made.why.iter().for_each(|why| out.push_str(&format!("BASIS      {why}\n")));
    if let Some((recording, walk)) = &made.incident {
        out.push_str(&render::guard::replay::line(recording, walk));
    }
    out.push_str(&format!(
        "NEXT       promtool check rules {rules} && promtool test rules {tests}; then name {rules} under rule_files\n"
    ));
    out
}
