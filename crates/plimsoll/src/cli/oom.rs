//! `plimsoll oom`: who died for want of memory, by which limit, how sure that is, and what evidence is left.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plimsoll_core::death::{Moment, Trace};
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units::{bytes, duration};
use plimsoll_host::death::{self, Leftover};
use plimsoll_host::world::World;
use plimsoll_read::deaths::{self, Deaths};
use plimsoll_read::formats::{self, Reading};
use plimsoll_read::reading::Table;
use serde_json::{Value, json};

use super::read::Input;
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format};
use crate::render;
use crate::render::paint::Paint;

/// Leftovers shown; JSON has all.
const ROWS: usize = 8;

/// Who died for want of memory, by which limit, and what evidence is left
///
/// Without files it asks this machine: the kernel's log, the counts of its control groups, and the folders in which
/// runtimes leave dumps.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll oom                              this machine
  plimsoll oom dmesg.txt pod.yaml app.log   what was brought along, joined
  kubectl get pods -A -o json | plimsoll oom -

Files: dmesg, journalctl (short, json, export), kubectl describe/get of pods and events (text, JSON, YAML), docker \
inspect, logs of kubelet, containerd, systemd and of the program itself; plain, gzip or zstd.

Exit codes: 0 nobody died, 1 somebody did, 2 usage, 3 cannot judge: nothing could be read, 5 what was read is cut.")]
pub(crate) struct Args {
    /// Logs and statuses; - is stdin.
    files: Vec<PathBuf>,

    /// Folder to look for dumps in, beside the usual ones.
    #[arg(long, value_name = "FOLDER")]
    evidence: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let (all, sources) = if args.files.is_empty() { here()? } else { brought(&args.files)? };
    let left = if args.files.is_empty() || !args.evidence.is_empty() {
        death::leftovers(&World::default(), &args.evidence)
    } else {
        Vec::new()
    };
    let title = if args.files.is_empty() { "this machine" } else { "what was brought along" };
    let mut reading = deaths::told(&all, "deaths for want of memory");
    sources.iter().filter(|s| s.1.is_err()).for_each(|(name, why)| {
        let why = why.as_ref().err().map_or("", String::as_str);
        reading.warn(format!("the {name} could not be read: {why}"));
    });
    let text = match format {
        Format::Table => {
            reading.tables.extend(leftovers(&left));
            render::reading::screen(Path::new(title), &reading, Paint::new(output::colour()))
        }
        _ => render::json::text(&document(title, &reading, &sources, &left), format),
    };
    output::result(&text)?;
    Ok(exit(&all))
}

fn exit(all: &Deaths) -> u8 {
    match (&all.truncated, all.list().is_empty()) {
        (Some(_), _) => exit_code::PARTIAL,
        (None, true) => exit_code::FINE,
        (None, false) => exit_code::FINDINGS,
    }
}

type Sources = Vec<(String, Result<String, String>)>;

fn here() -> Result<(Deaths, Sources), CliError> {
    let found = death::traces(&World::default());
    if found.sources.iter().all(|(_, read)| read.is_err()) {
        let why: Vec<String> = found
            .sources
            .iter()
            .filter_map(|(name, read)| Some(format!("{name}: {}", read.as_ref().err()?)))
            .collect();
        return Err(CliError::cannot_judge(format!(
            "nothing of this machine can be read: {}",
            why.join("; ")
        ))
        .hint("run it as root, or give it files: journalctl -k | plimsoll oom -"));
    }
    let mut all = Deaths { traces: found.traces, known: true, ..Deaths::default() };
    all.traces.iter_mut().for_each(|t| date(t, Timestamp::now()));
    Ok((all, found.sources.into_iter().map(|(name, read)| (name.to_owned(), read)).collect()))
}

/// Gives a kill of this machine's own log its time of day.
fn date(trace: &mut Trace, now: Timestamp) {
    let Trace::Kernel(kill) = trace else { return };
    // The log counts the seconds of the clock that stands still while the machine sleeps.
    let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let since_boot = since_boot.tv_sec as f64 + since_boot.tv_nsec as f64 / 1e9;
    let Some(ago) = kill.at.map(|at| (since_boot - at).max(0.0)) else { return };
    let seconds = now.as_second() as f64 - ago;
    let at = Timestamp::from_second(seconds as i64).unwrap_or(now).to_zoned(TimeZone::system());
    let said = format!("{} ({} ago)", at.strftime("%b %d %H:%M:%S"), duration(ago));
    kill.when = Some(Moment { said, seconds: Some(seconds) });
}

fn brought(files: &[PathBuf]) -> Result<(Deaths, Sources), CliError> {
    let (mut all, mut sources) = (Deaths::default(), Vec::new());
    for file in files {
        let name = file.display();
        let input = Input::open(file)?;
        let mut plain = formats::unpacked(&input)
            .map_err(|e| CliError::usage(format!("cannot read {name}")).because(e))?;
        let read = deaths::parse(&mut plain);
        sources.push((name.to_string(), Ok(format!("{} traces", read.traces.len()))));
        all.and(read);
        if let Some(why) = plain.stopped() {
            all.truncated = Some(format!("{name}: {why}"));
        }
    }
    Ok((all, sources))
}

fn leftovers(left: &[Leftover]) -> Option<Table> {
    let age = |l: &Leftover| {
        let age = l.modified.and_then(|t| SystemTime::now().duration_since(t).ok());
        age.map_or_else(|| "?".to_owned(), |a| format!("{} ago", duration(a.as_secs_f64())))
    };
    let row =
        |l: &Leftover| vec![l.what.to_owned(), bytes(l.bytes as f64), age(l), l.path.display().to_string()];
    let rows: Vec<_> = left.iter().take(ROWS).map(row).collect();
    let title = "LEFT BEHIND (plimsoll read FILE)".to_owned();
    (!rows.is_empty()).then(|| Table { title, head: vec!["what", "#size", "#written", "file"], rows })
}

fn document(title: &str, reading: &Reading, sources: &Sources, left: &[Leftover]) -> Value {
    let mut document = render::reading::json(Path::new(title), reading);
    let unix = |t: SystemTime| t.duration_since(SystemTime::UNIX_EPOCH).ok().map(|d| d.as_secs());
    if let Value::Object(out) = &mut document {
        out.insert("apiVersion".to_owned(), API_VERSION.into());
        out.insert("kind".to_owned(), "Deaths".into());
        let source = |(name, read): &(String, Result<String, String>)| match read {
            Ok(said) => json!({"source": name, "says": said}),
            Err(why) => json!({"source": name, "says": null, "why": why}),
        };
        out.insert("sources".to_owned(), sources.iter().map(source).collect());
        let file = |l: &Leftover| {
            json!({"file": l.path.display().to_string(), "what": l.what, "bytes": l.bytes,
                "modifiedSeconds": l.modified.and_then(unix)})
        };
        out.insert("leftBehind".to_owned(), left.iter().map(file).collect());
    }
    document
}
