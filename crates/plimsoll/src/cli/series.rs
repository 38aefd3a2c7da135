//! `plimsoll series`: what the agent has kept, told and exported; and the way from a store to one recording.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use plimsoll_core::recording::{API_VERSION, Recording};
use plimsoll_core::target::{Target, glob};
use plimsoll_core::units::{bytes, duration};
use plimsoll_host::store::series::{self, Kept, KeptLife, KeptTarget};
use serde_json::json;

use super::{trail, triage};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, tell};
use crate::render;

/// What the agent has kept of whom, and its export as a recording
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll series                              who is kept, since when, and what it takes
  plimsoll series api --to api.jsonl           everything kept of a program, its lives in a row, as a recording
  plimsoll series 4711 --since 2h | plimsoll triage --from -
  plimsoll triage --from /var/lib/plimsoll --target api      judged at once

TARGET is PID, pid:N, name:GLOB, or a name. Exit codes: 0 told, 2 usage, 3 there is none, 5 a part is damaged.")]
pub(crate) struct Args {
    /// Whose series are exported; without it, all are told.
    target: Option<String>,

    /// Folder of the agent.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,

    /// Only what is younger.
    #[arg(long, value_name = "TIME", value_parser = triage::duration)]
    since: Option<f64>,

    /// Write the recording there (mode 0600) instead of to stdout.
    #[arg(long, value_name = "FILE", requires = "target")]
    to: Option<PathBuf>,
}

/// The agent's folder, where none is named.
pub(super) fn store(named: Option<&Path>) -> Result<PathBuf, CliError> {
    let store = named.map(Path::to_owned).or_else(|| trail::folder().map(|f| f.join("store")));
    store.ok_or_else(|| CliError::usage("there is no place for the store").hint("--store names one"))
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let store = store(args.store.as_deref())?;
    let from = args.since.map_or(f64::NEG_INFINITY, |s| Timestamp::now().as_second() as f64 - s);
    match &args.target {
        None => list(&store, from, format),
        Some(target) => {
            let recording = open(&store, target, from)?;
            export(&recording, args.to.as_deref())?;
            recording.warnings.iter().for_each(|w| tell(&format!("plimsoll: {w}")));
            Ok(if recording.warnings.is_empty() { exit_code::FINE } else { exit_code::PARTIAL })
        }
    }
}

fn unreadable(store: &Path, e: io::Error) -> CliError {
    CliError::cannot_judge(format!("there are no series in {}", store.display()))
        .because(e)
        .hint("plimsoll watch keeps them; --store names its folder")
}

fn list(store: &Path, from: f64, format: Format) -> Result<u8, CliError> {
    let (lives, warnings, kept) = series::lives(store, from).map_err(|e| unreadable(store, e))?;
    warnings.iter().for_each(|w| tell(&format!("plimsoll: {w}")));
    let text = match format {
        Format::Table => table(&lives, &kept),
        _ => render::json::text(&document(&lives, &kept, &warnings), format),
    };
    output::result(&text)?;
    Ok(match (lives.is_empty(), warnings.is_empty()) {
        (true, _) => exit_code::CANNOT_JUDGE,
        (false, true) => exit_code::FINE,
        (false, false) => exit_code::PARTIAL,
    })
}

fn per_sample(kept: &Kept) -> f64 {
    if kept.samples == 0 { 0.0 } else { kept.bytes as f64 / kept.samples as f64 }
}

fn when(t: f64) -> Timestamp {
    Timestamp::from_millisecond((t * 1e3) as i64).unwrap_or_default()
}

fn table(lives: &[KeptLife], kept: &Kept) -> String {
    let mut out = String::new();
    for life in lives {
        let plain: String = life.target.name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        out.push_str(&format!(
            "{:>8}  {plain:24}  {}  {:>9}  {:>7} looks  {}\n",
            life.target.pid,
            when(life.from).strftime("%Y-%m-%d %H:%M:%SZ"),
            duration(life.to - life.from),
            life.rows,
            life.workload
        ));
    }
    out.push_str(&format!(
        "{} samples of {} lives in {} files, {}: {:.2} bytes a sample\n",
        kept.samples,
        lives.len(),
        kept.files,
        bytes(kept.bytes as f64),
        per_sample(kept)
    ));
    out
}

fn document(lives: &[KeptLife], kept: &Kept, warnings: &[String]) -> serde_json::Value {
    let life = |l: &KeptLife| {
        json!({
            "pid": l.target.pid,
            "name": l.target.name,
            "runtime": l.target.runtime,
            "workload": l.workload,
            "startedSeconds": l.target.started,
            "fromSeconds": l.from,
            "toSeconds": l.to,
            "looks": l.rows,
        })
    };
    json!({
        "apiVersion": API_VERSION,
        "kind": "SeriesList",
        "targets": lives.iter().map(life).collect::<Vec<_>>(),
        "files": kept.files,
        "bytes": kept.bytes,
        "samples": kept.samples,
        "bytesPerSample": per_sample(kept),
        "warnings": warnings,
    })
}

/// Whether a target is meant; by its name only where the words are no pid.
fn means(words: &str, target: &Target) -> bool {
    match pid(words) {
        Some(pid) => target.pid == pid,
        None => glob(words.strip_prefix("name:").unwrap_or(words), &target.name),
    }
}

fn pid(words: &str) -> Option<i32> {
    words.strip_prefix("pid:").unwrap_or(words).parse().ok()
}

/// Everything that a store has of one target, from `from` (Unix seconds) on.
pub(super) fn open(store: &Path, words: &str, from: f64) -> Result<Recording, CliError> {
    let failed = |e| unreadable(store, e);
    let (lives, ..) = series::lives(store, from).map_err(failed)?;
    let names: Vec<&str> =
        lives.iter().filter(|l| means(words, &l.target)).map(|l| l.target.name.as_str()).collect();
    // Lives before had other pids: they are found by the name.
    let (mut all, ..) =
        series::recordings(store, from, &|t| names.contains(&t.name.as_str())).map_err(failed)?;
    all.retain(|kept| pid(words).is_none_or(|pid| kept.pids.contains(&pid)));
    let mut all = all.into_iter();
    match (all.next(), all.next()) {
        (None, _) => {
            Err(CliError::cannot_judge(format!("nothing is kept of {words} in {}", store.display()))
                .hint("plimsoll series tells who is kept"))
        }
        (Some(one), None) => Ok(one.recording),
        (Some(first), Some(second)) => Err(several(words, [first, second].into_iter().chain(all))),
    }
}

fn several(words: &str, all: impl Iterator<Item = KeptTarget>) -> CliError {
    const SHOWN: usize = 10;
    let all: Vec<String> =
        all.take(SHOWN).map(|k| format!("{} ({}, {})", k.target.pid, k.target.name, k.workload)).collect();
    CliError::usage(format!("{words} means several: {}", all.join(", "))).hint("say which by its pid")
}

fn export(recording: &Recording, to: Option<&Path>) -> Result<(), CliError> {
    let Some(path) = to else {
        let out = io::stdout().lock();
        return match recording.write(io::BufWriter::new(out)) {
            // Who read has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => {
                written.map_err(|e| CliError::new(Kind::Internal, "failed to write the recording").because(e))
            }
        };
    };
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        recording.write(io::BufWriter::new(&mut file))?;
        file.flush()
    };
    write().map_err(|e| CliError::usage(format!("failed to write {}", path.display())).because(e))
}
