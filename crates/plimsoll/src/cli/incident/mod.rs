//! `plimsoll incident`: what happened, what is still owed for it, and the write-up; all of it out of the store's log of events.

mod post;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use plimsoll_core::agent::{About, Event, What};
use plimsoll_core::incident::{self, Incident};
use plimsoll_core::mark::Mark;
use plimsoll_core::recording::Recording;
use plimsoll_host::store;
use plimsoll_host::store::series as kept;

use self::post::Post;
use super::guard::write;
use super::series;
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, tell};
use crate::render;
use crate::render::incident::{self as render_incident, Seen, Words};
use crate::render::paint::Paint;

/// What happened, what is still owed for it, and the write-up
///
/// Incidents are read out of the events that plimsoll watch keeps; notes are added to the same log.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll incident list                          what is owed first
  plimsoll incident show 4f1a2c
  plimsoll incident note 4f1a2c 'restarted every night' --mitigation restart --cost '4 min of errors a night'
  plimsoll incident note --workload 'control group /shop' 'seen by hand'     begins one
  plimsoll incident report 4f1a2c --html report.html
  plimsoll incident post 4f1a2c --as slack        what would be posted; --url URL --go posts it
  plimsoll incident close 4f1a2c --fix 'shop 1.4.2 bounds UrlCache' --guard monitoring/plimsoll-rules.replay.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,

    /// Folder of the agent.
    #[arg(long, value_name = "FOLDER", global = true)]
    store: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// All that are open, what is owed first
    List {
        /// Those that are closed, too.
        #[arg(long)]
        all: bool,
    },
    /// One of them, with its time line
    Show {
        /// The incident, or how it begins.
        id: String,
    },
    /// Write it up: Markdown, or one HTML page with charts
    Report(Report),
    /// Tell it to others: a webhook, Alertmanager, Slack; printed first
    Post(Post),
    /// Add a note to one, or begin one by hand
    Note(Note),
    /// Close one: with a fix and a proved guard nothing is owed any more
    Close(Close),
}

#[derive(Debug, clap::Args)]
struct Report {
    /// The incident, or how it begins.
    id: String,

    /// Write one page of HTML with charts there, instead of Markdown to stdout.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Replace what is there.
    #[arg(long, requires = "html")]
    force: bool,

    /// With paths, addresses and what looks like a secret, which are masked otherwise.
    #[arg(long)]
    raw: bool,
}

#[derive(Debug, clap::Args)]
struct Note {
    /// The incident, or how it begins; then what is noted.
    #[arg(value_name = "ID TEXT", num_args = 1..=2, required = true)]
    words: Vec<String>,

    /// Begin one of this workload, where it has none.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,

    /// It bought time and cures nothing: it is owed until a fix and a guard close it.
    #[arg(long, value_name = "KIND", value_parser = ["restart", "limit", "flag", "bound"])]
    mitigation: Option<String>,

    /// What that costs.
    #[arg(long, value_name = "TEXT", requires = "mitigation")]
    cost: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Close {
    /// The incident, or how it begins.
    id: String,

    /// What cured it: a version, a change.
    #[arg(long, value_name = "TEXT")]
    fix: Option<String>,

    /// What proves that it will be seen: the file of a guard replay, or the JSON of a guard run that is flat.
    #[arg(long, value_name = "FILE", requires = "fix")]
    guard: Option<PathBuf>,

    /// Close it without; what is owed stays owed.
    #[arg(long, conflicts_with = "guard")]
    without_guard: bool,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let folder = series::store(args.store.as_deref())?;
    match &args.command {
        Command::List { all } => list(&folder, *all, format),
        Command::Show { id } => show(&folder, id, format),
        Command::Report(args) => report(&folder, args, format),
        Command::Post(args) => post::run(&folder, args),
        Command::Note(args) => note(&folder, args),
        Command::Close(args) => close(&folder, args),
    }
}

fn now() -> f64 {
    Timestamp::now().as_millisecond() as f64 / 1e3
}

fn all(folder: &Path) -> Result<Vec<Incident>, CliError> {
    let events = store::events(folder).map_err(|e| {
        CliError::cannot_judge("there are no incidents")
            .because(e)
            .hint("plimsoll watch keeps them; --store names its folder; note --workload begins one by hand")
    })?;
    Ok(incident::incidents(&events))
}

fn find<'i>(all: &'i [Incident], id: &str) -> Result<&'i Incident, CliError> {
    let mut found = all.iter().filter(|i| !id.is_empty() && i.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(CliError::usage(format!("several incidents begin with {id:?}"))),
        _ => Err(CliError::usage(format!("no incident begins with {id:?}"))
            .hint("plimsoll incident list --all names them")),
    }
}

fn list(folder: &Path, also_closed: bool, format: Format) -> Result<u8, CliError> {
    let all = all(folder)?;
    let told: Vec<&Incident> = all.iter().rev().filter(|i| also_closed || i.is_open()).collect();
    let text = match format {
        Format::Table => render_incident::list(&told, &all, now(), Paint::new(output::colour())),
        _ => render::json::text(&render_incident::list_document(&told, &all, now()), format),
    };
    output::result(&text)?;
    Ok(if told.iter().any(|i| i.is_open()) { exit_code::FINDINGS } else { exit_code::FINE })
}

/// Seconds before an incident that belong to its story.
const BEFORE: f64 = 6.0 * 3600.0;

/// What the store still has of the workload in that time: the memory of its largest process.
fn recording(folder: &Path, incident: &Incident) -> Option<Recording> {
    let from = incident.from - BEFORE;
    let (all, _, _) = kept::recordings(folder, from, &|_| true).ok()?;
    let of = all.into_iter().filter(|k| k.workload == incident.workload);
    let most = of.max_by_key(|k| k.recording.series.values().map(|s| s.points().len()).sum::<usize>())?;
    let end = incident.closed.unwrap_or(f64::INFINITY).max(incident.to + BEFORE);
    Some(most.recording.until(end)).filter(|r| r.from().is_some())
}

fn seen<'a>(folder: &Path, all: &'a [Incident], incident: &'a Incident) -> Seen<'a> {
    let marks = marks(folder, incident);
    Seen::new(incident, incident::earlier(all, incident), recording(folder, incident), marks, now())
}

/// What was deployed, switched or set from shortly before it on.
fn marks(folder: &Path, incident: &Incident) -> Vec<Mark> {
    // A store without marks has no such file.
    let (all, _) = store::marks::read(&store::marks::path(folder)).unwrap_or_default();
    let until = incident.closed.unwrap_or(incident.to);
    let of = |m: &Mark| {
        m.workload.as_ref().is_none_or(|w| *w == incident.workload)
            && (incident.from - BEFORE..=until).contains(&m.unix_seconds)
    };
    all.into_iter().filter(of).collect()
}

fn show(folder: &Path, id: &str, format: Format) -> Result<u8, CliError> {
    let all = all(folder)?;
    let incident = find(&all, id)?;
    let seen = seen(folder, &all, incident);
    let text = match format {
        Format::Table => render_incident::screen(&seen, Paint::new(output::colour())),
        _ => render::json::text(&render_incident::document(&seen), format),
    };
    output::result(&text)?;
    Ok(if incident.is_open() { exit_code::FINDINGS } else { exit_code::FINE })
}

fn report(folder: &Path, args: &Report, format: Format) -> Result<u8, CliError> {
    let all = all(folder)?;
    let seen = seen(folder, &all, find(&all, &args.id)?);
    let words = if args.raw { Words::Raw } else { Words::Redacted };
    match (&args.html, format) {
        (Some(path), _) => {
            write(path, &render_incident::html(&seen, words), args.force)?;
            output::result(&format!("{} is written\n", path.display()))?;
        }
        (None, Format::Table) => output::result(&render_incident::markdown(&seen, words))?,
        (None, _) => output::result(&render::json::text(&render_incident::document(&seen), format))?,
    }
    Ok(exit_code::FINE)
}

fn add(folder: &Path, event: &Event) -> Result<(), CliError> {
    store::append(folder, event).map_err(|e| {
        CliError::new(Kind::Usage, "nothing was noted").because(e).hint("--store names the folder")
    })
}

fn note(folder: &Path, args: &Note) -> Result<u8, CliError> {
    let what = if args.mitigation.is_some() { What::Mitigated } else { What::Noted };
    let about = About { mitigation: args.mitigation.clone(), cost: args.cost.clone(), ..About::default() };
    let (event, about) = match (args.words.as_slice(), &args.workload) {
        ([id, text], None) => {
            let all = all(folder)?;
            let incident = find(&all, id)?;
            (
                Event::new(now(), &incident.workload, what, text.as_str()),
                About { incident: Some(incident.id.clone()), ..about },
            )
        }
        ([text], Some(workload)) => (Event::new(now(), workload, what, text.as_str()), about),
        _ => {
            return Err(CliError::usage("what is noted, and where?")
                .hint("incident note ID TEXT, or incident note --workload NAME TEXT"));
        }
    };
    let event = Event { about: Some(about), ..event };
    add(folder, &event)?;
    let all = all(folder)?;
    let of = all.iter().rfind(|i| i.events.last() == Some(&event)).map_or("", |i| i.id.as_str());
    output::result(&format!("noted in {of}\n"))?;
    Ok(exit_code::FINE)
}

fn close(folder: &Path, args: &Close) -> Result<u8, CliError> {
    let all = all(folder)?;
    let incident = find(&all, &args.id)?;
    if args.guard.is_none() && !args.without_guard && incident.owed().next().is_some() {
        return Err(CliError::new(
            Kind::Refused,
            format!("{} is not closed: something is owed for it", incident.id),
        )
        .hint("--fix with --guard pays it: a guard replay that is proved, or a guard run that is flat")
        .hint("--without-guard closes it, and what is owed stays owed"));
    }
    let guard = args.guard.as_deref().map(proved).transpose()?;
    let text = match (&args.fix, &guard) {
        (Some(fix), Some(guard)) => format!("closed: fixed by {fix}; guarded by {guard}"),
        (Some(fix), None) => format!("closed: fixed by {fix}; no guard"),
        (None, _) => "closed: no fix, no guard".to_owned(),
    };
    let about =
        About { incident: Some(incident.id.clone()), fix: args.fix.clone(), guard, ..About::default() };
    let event =
        Event { about: Some(about), ..Event::new(now(), &incident.workload, What::Closed, text.as_str()) };
    add(folder, &event)?;
    output::result(&format!("{} is {text}\n", incident.id))?;
    if args.guard.is_none() && incident.owed().next().is_some() {
        tell("plimsoll: what is owed stays owed");
    }
    Ok(exit_code::FINE)
}

/// Which guard a file proves; one that does not prove it is refused.
fn proved(path: &Path) -> Result<String, CliError> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| CliError::usage(format!("failed to read {name}")).because(e))?;
    let document: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| CliError::usage(format!("{name} is no guard")).because(e))?;
    let caught =
        || document["recordings"].as_array().is_some_and(|r| r.iter().any(|r| r["as"] == "incident"));
    match document["kind"].as_str() {
        Some("GuardReplay") if document["proved"] == true && caught() => {
            Ok(format!("{}, proved by replay", document["guard"].as_str().unwrap_or("rules")))
        }
        Some("Guard") if document["outcome"] == "flat" => Ok("the growth test, which is flat".to_owned()),
        Some("GuardReplay" | "Guard") => Err(CliError::new(
            Kind::Refused,
            format!(
                "{name} proves nothing: {}",
                document["outcome"]
                    .as_str()
                    .unwrap_or("the replay did not catch the incident, or had false alarms")
            ),
        )),
        _ => Err(CliError::usage(format!("{name} is no guard"))
            .hint("the file beside the rules of guard replay, or plimsoll guard run -o json")),
    }
}
