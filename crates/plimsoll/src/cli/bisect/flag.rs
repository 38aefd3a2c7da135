//! `plimsoll bisect flag`: switches a flag on and off on a canary, and says whether the slope follows.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use plimsoll_core::bisect::flag::{Answer, Phase, Setting, State, judge};
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::series::Point;
use plimsoll_core::units;
use plimsoll_host::bisect::{Flag, SwitchError, Switched, Way, leftovers, revert};
use plimsoll_host::prometheus::Client;
use plimsoll_host::world::World;
use serde_json::json;

use crate::cli::triage::{duration, stop_flag};
use crate::cli::{live, overview, prometheus, trail};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, Progress, tell};

/// Floors of a phase.
const FLOORS: f64 = 15.0;
/// Samples of a floor.
const SAMPLES: f64 = 4.0;
/// Looks at a side in a row that may tell nothing.
const SILENT: usize = 10;

/// Does the slope follow a flag? On, off, on, … on a canary against a control, until it is sure
///
/// The flag is switched back however this ends: also when it is killed, by a guard, or by the next start.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("history").args(["prometheus"])))]
#[command(after_help = "Examples:
  plimsoll bisect flag new-cache --command './flag new-cache {state}' --canary name:api-canary --control name:api
  plimsoll bisect flag new-cache --flagd /etc/flagd/flags.json --canary 4711 --control 4712 --matters 20MiB
  plimsoll bisect flag new-cache --http 'PUT http://flags:8080/new-cache/{state}' --prometheus http://localhost:9090 \\
      --canary 'sum(container_memory_rss{pod=\"api-canary-0\"})' --control 'avg(container_memory_rss{pod=~\"api-[0-9]+\"})'
Exit codes: 0 it brings none that matters, 1 it brings a slope, 2 usage, 3 not shown, 70 internal.")]
pub(super) struct Args {
    /// Name of the flag.
    #[arg(required_unless_present = "revert")]
    name: Option<String>,

    /// Switch it by a line of the shell, with {state} in it.
    #[arg(long, value_name = "LINE", group = "way")]
    command: Option<String>,

    /// Switch it in a file of flagd (JSON): its default variant.
    #[arg(long, value_name = "FILE", group = "way")]
    flagd: Option<PathBuf>,

    /// Switch it by a call: METHOD URL, with {state} in the address or in --body.
    #[arg(long, value_name = "CALL", group = "way")]
    http: Option<String>,

    /// Body of the call.
    #[arg(long, value_name = "TEXT", requires = "http", default_value = "", hide_default_value = true)]
    body: String,

    /// What stands for on and for off.
    #[arg(long, value_name = "ON,OFF", default_value = "on,off")]
    states: String,

    /// It is on now, and will be again. In a file of flagd that is read.
    #[arg(long)]
    was_on: bool,

    /// On whom it is switched: a target of this machine, or a query with one number when --prometheus is given.
    #[arg(long, value_name = "WHOM", required_unless_present = "revert")]
    canary: Option<String>,

    /// Who stays as it is, likewise.
    #[arg(long, value_name = "WHOM", required_unless_present = "revert")]
    control: Option<String>,

    /// Where queries are asked: http[s]://HOST[:PORT][/PREFIX].
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,

    /// Length of one phase.
    #[arg(long, value_name = "TIME", default_value = "20m", value_parser = duration)]
    phase: f64,

    /// Most phases.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=100))]
    phases: u32,

    /// The slope an hour that would matter: below it the flag is let off early.
    #[arg(long, value_name = "BYTES", value_parser = crate::cli::triage::bytes)]
    matters: Option<f64>,

    /// Chance of a wrong answer, however often it is looked at.
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    error: f64,

    /// Only take back what this journal says.
    #[arg(long, value_name = "JOURNAL", conflicts_with_all = ["name", "way", "canary", "control"])]
    revert: Option<PathBuf>,

    #[command(flatten)]
    server: prometheus::Args,
}

pub(super) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    if let Some(journal) = &args.revert {
        return revert(journal).map(|_| exit_code::FINE).map_err(failed);
    }
    if !(args.error > 0.0 && args.error < 0.5) {
        return Err(CliError::usage("--error lies between 0 and 0.5"));
    }
    let state = trail::folder().ok_or_else(|| {
        CliError::usage("there is no place to note what is switched").hint("PLIMSOLL_STATE names a folder")
    })?;
    for journal in leftovers(&state) {
        revert(&journal).map_err(|e| {
            let path = journal.display();
            failed(e).hint(format!(
                "an earlier search left it switched: {path} says how; remove it when that is settled"
            ))
        })?;
        tell("plimsoll: a flag that an earlier search left switched was switched back");
    }
    let name = args.name.clone().unwrap_or_default();
    let mut canary = Side::of(args.canary.as_deref().unwrap_or_default(), args)?;
    let mut control = Side::of(args.control.as_deref().unwrap_or_default(), args)?;
    let stop = stop_flag()?;
    // Both must be there before anything is switched.
    canary.level()?;
    control.level()?;
    let program = std::env::current_exe()
        .map_err(|e| CliError::new(Kind::Internal, "this program's own file is not known").because(e))?;
    let switched = Switched::begin(flag(args, &name)?, &state, &program).map_err(failed)?;
    let was_on = switched.was_on();
    let told = search(args, &switched, (&mut canary, &mut control), &stop);
    let back = switched.back();
    if let Err(e) = back {
        return Err(failed(e).hint("the next plimsoll bisect flag tries again to switch it back"));
    }
    let (found, phases) = told?;
    output::result(&match format {
        Format::Table => screen((&name, was_on), args, found.as_ref(), phases),
        _ => crate::render::json::text(&document((&name, was_on), args, found.as_ref(), phases), format),
    })?;
    Ok(match found.map(|s| s.answer) {
        Some(Answer::Brings) => exit_code::FINDINGS,
        Some(Answer::DoesNot) => exit_code::FINE,
        Some(Answer::Open) | None => exit_code::CANNOT_JUDGE,
    })
}

fn failed(e: SwitchError) -> CliError {
    CliError::new(Kind::CannotJudge, "the flag could not be switched").because(e)
}

fn flag(args: &Args, name: &str) -> Result<Flag, CliError> {
    let has_state = |texts: &[&str]| texts.iter().any(|t| t.contains("{state}"));
    let way = match (&args.command, &args.flagd, &args.http) {
        (Some(line), _, _) if has_state(&[line]) => Way::Command(line.clone()),
        (_, Some(path), _) => {
            let path = fs::canonicalize(path)
                .map_err(|e| CliError::usage(format!("failed to open {}", path.display())).because(e))?;
            Way::Flagd(path, name.to_owned())
        }
        (_, _, Some(call)) if has_state(&[call, &args.body]) => {
            let (method, url) = call.trim().split_once(' ').unwrap_or(("POST", call));
            Way::Http(method.to_uppercase(), url.trim().to_owned(), args.body.clone())
        }
        (None, None, None) => {
            return Err(CliError::usage("how is it switched?").hint("--command, --flagd or --http"));
        }
        _ => {
            return Err(CliError::usage("{state} must stand where the state goes")
                .hint("--command './flag {state}', or --http 'PUT http://HOST/flag/{state}'"));
        }
    };
    let (on, off) = args
        .states
        .split_once(',')
        .ok_or_else(|| CliError::usage("--states names two, such as true,false"))?;
    let flag = Flag { way, words: [on.to_owned(), off.to_owned()], was_on: args.was_on };
    match flag.stands().map_err(failed)? {
        Some(false) if args.was_on => {
            Err(CliError::usage(format!("{name} is off in that file")).hint("leave --was-on away"))
        }
        stands => Ok(Flag { was_on: stands.unwrap_or(args.was_on), ..flag }),
    }
}

/// Whose memory is read.
enum Side {
    Process(i32),
    Query(Box<Client>, String),
}

impl Side {
    fn of(whom: &str, args: &Args) -> Result<Side, CliError> {
        match &args.prometheus {
            None => Ok(Side::Process(live::resolve(&World::default(), whom)?)),
            Some(url) => {
                let client = prometheus::client(url, &args.server)?;
                Ok(Side::Query(Box::new(client), whom.to_owned()))
            }
        }
    }

    /// Bytes now.
    fn level(&mut self) -> Result<f64, CliError> {
        match self {
            Side::Process(pid) => {
                let text = fs::read_to_string(format!("/proc/{pid}/status"))
                    .map_err(|e| CliError::cannot_judge(format!("process {pid} is gone")).because(e))?;
                let of = |name: &str| {
                    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
                    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib * 1024.0)
                };
                let private = of("RssAnon").map(|anon| anon + of("RssShmem").unwrap_or(0.0));
                private
                    .or_else(|| of("VmRSS"))
                    .ok_or_else(|| CliError::cannot_judge(format!("process {pid} has ended")))
            }
            Side::Query(client, query) => {
                let answer = client
                    .instant(query, now())
                    .map_err(|e| CliError::cannot_judge("the server does not tell").because(e))?;
                match answer.series.as_slice() {
                    [one] => one
                        .points
                        .last()
                        .map(|p| p.v)
                        .ok_or_else(|| CliError::cannot_judge(format!("{query} has no number now"))),
                    some => Err(CliError::cannot_judge(format!(
                        "{query} gives {} numbers, and not one",
                        some.len()
                    ))
                    .hint("sum(…) or avg(…) makes one of them")),
                }
            }
        }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// Switches and looks until it is sure, or all phases are over; what is known then, and the phases that it took.
fn search(
    args: &Args,
    switched: &Switched,
    (canary, control): (&mut Side, &mut Side),
    stop: &AtomicBool,
) -> Result<(Option<State>, usize), CliError> {
    let block = (args.phase / FLOORS).max(0.1);
    let setting = Setting {
        error: args.error,
        matters: args.matters.map(|bytes| bytes / 3600.0),
        block,
        phase: args.phase,
    };
    let every = Duration::from_secs_f64(block / SAMPLES);
    let progress = Progress::new();
    let mut phases: Vec<Phase> = Vec::new();
    let mut found = None;
    let mut silent = 0;
    for at in 0..args.phases {
        let on = (at % 2 == 0) != switched.was_on();
        switched.set(on).map_err(failed)?;
        phases.push(Phase { on, points: Vec::new() });
        let begun = Instant::now();
        let mut next = begun;
        while begun.elapsed().as_secs_f64() < args.phase {
            match (canary.level(), control.level()) {
                (Ok(a), Ok(b)) => {
                    silent = 0;
                    let t = now();
                    phases.last_mut().into_iter().for_each(|p| p.points.push(Point { t, v: a - b }));
                }
                (Err(e), _) | (_, Err(e)) => {
                    silent += 1;
                    if silent >= SILENT {
                        return Err(e);
                    }
                }
            }
            found = judge(&phases, &setting);
            if found.is_some_and(|s| s.answer != Answer::Open) || stop.load(Ordering::Relaxed) {
                return Ok((found, phases.len()));
            }
            progress.show(&format!("phase {} of {}: {}", at + 1, args.phases, word(on)));
            next += every;
            overview::wait_until(next, stop);
        }
    }
    Ok((found, phases.len()))
}

fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn screen((name, was_on): (&str, bool), args: &Args, found: Option<&State>, phases: usize) -> String {
    let name = output::plain(name);
    let took = format!("{phases} phases of {}", units::duration(args.phase));
    let back = format!("it is {} again", word(was_on));
    let Some(s) = found else {
        return format!(
            "OPEN  {name}: too little was seen, in {took}; {back}\nNEXT  longer phases (--phase)\n"
        );
    };
    let range = |a: f64, b: f64| format!("{} .. {}", units::rate(a), units::rate(b));
    let adds = format!("{} [{}]", units::rate(s.adds.mid), range(s.adds.low, s.adds.high));
    let sure = format!(
        "at {} % error, however often one looks: {}",
        100.0 * args.error,
        range(s.always.0, s.always.1)
    );
    let (head, next) = match s.answer {
        Answer::Brings => (
            format!("FLAG  {name} brings {adds}"),
            "leave it off; plimsoll capture on the canary while it is on shows what it holds",
        ),
        Answer::DoesNot => {
            (format!("CALM  {name} brings less than what would matter: {adds}"), "look for another cause")
        }
        Answer::Open => (
            format!("OPEN  it is not shown that {name} brings a slope: {adds}"),
            "longer phases, or more of them (--phase, --phases)",
        ),
    };
    format!("{head}\nSURE  {sure}\nAFTER {took}, canary against control; {back}\nNEXT  {next}\n")
}

fn document(
    (name, was_on): (&str, bool),
    args: &Args,
    found: Option<&State>,
    phases: usize,
) -> serde_json::Value {
    json!({
        "apiVersion": API_VERSION, "kind": "FlagSearch", "flag": name, "phases": phases, "phaseSeconds": args.phase,
        "error": args.error, "isOn": was_on, "found": found,
    })
}
