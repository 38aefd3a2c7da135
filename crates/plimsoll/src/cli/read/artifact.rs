//! One artifact that is read in one pass, or several of a kind: recognised, shown, compared.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use plimsoll_read::formats::{self, Found, Reading, Recognised};
use plimsoll_read::hprof;
use plimsoll_read::reading::Context;

use super::DiffArgs;
use super::input::Input;
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format};
use crate::render;
use crate::render::paint::Paint;

/// What a file holds.
pub(super) enum Content {
    /// A Java heap dump, which is read more than once.
    HeapDump,
    /// A V8 heap snapshot, with a graph of its own.
    HeapSnapshot,
    /// Files in one.
    Archive,
    /// The same as a zip.
    Zip,
    /// What is read in one pass.
    Other(Found),
}

/// Tells what a file holds.
pub(super) fn recognise(file: &Path, input: &Input) -> Result<Content, CliError> {
    let name = file.display();
    let read = formats::read(input).map_err(|e| CliError::usage(format!("cannot read {name}")).because(e))?;
    match read {
        Recognised::HeapDump => Ok(Content::HeapDump),
        Recognised::HeapSnapshot => Ok(Content::HeapSnapshot),
        Recognised::Archive => Ok(Content::Archive),
        Recognised::Zip => Ok(Content::Zip),
        Recognised::Artifact(found) => Ok(Content::Other(found)),
        Recognised::Unknown(head) => Err(unknown(file, &head)),
    }
}

/// What another tool reads is named with the tool.
fn unknown(file: &Path, head: &[u8]) -> CliError {
    let name = file.display();
    match formats::unread(head) {
        Some(known) => CliError::usage(format!("{name} is {}, which is not read here", known.what))
            .hint(known.next.replace("FILE", &name.to_string())),
        None => CliError::usage(format!(
            "cannot tell what {name} is: it looks like {}",
            hprof::open::looks_like(head)
        ))
        .hint("plimsoll read --help names what is read"),
    }
}

/// Shows what one artifact says.
pub(super) fn show(file: &Path, found: &Found, context: &Context, format: Format) -> Result<u8, CliError> {
    let reading = found.reading(context).ok_or_else(|| empty(file, found))?;
    tell(file, &reading, format)
}

fn empty(file: &Path, found: &Found) -> CliError {
    let (name, kind) = (file.display(), found.format);
    CliError::usage(format!("cannot read {name}: it begins like {kind}, and holds nothing of it"))
}

/// Shows what changed from the first to the last.
pub(super) fn diff(args: &DiffArgs, format: Format) -> Result<u8, CliError> {
    let mut read = Vec::new();
    for file in &args.files {
        match recognise(file, &Input::open(file)?)? {
            Content::Other(found) if found.artifact.is_none() => return Err(empty(file, &found)),
            Content::Other(found) => read.push((file, found)),
            Content::HeapDump | Content::HeapSnapshot | Content::Archive | Content::Zip => {
                return Err(CliError::usage(format!("{} is of another kind", file.display()))
                    .hint("artifacts of one kind are compared"));
            }
        }
    }
    let Some(((file, last), earlier)) = read.split_last() else {
        return Err(CliError::usage("two artifacts or more are compared"));
    };
    if let Some((other, found)) = earlier.iter().find(|(_, f)| f.format != last.format) {
        let (a, b) = (other.display(), file.display());
        return Err(CliError::usage(format!("{a} is of {}, and {b} of {}", found.format, last.format))
            .hint("artifacts of one kind are compared"));
    }
    let earlier: Vec<&Found> = earlier.iter().map(|(_, found)| found).collect();
    let changed = last.change(&earlier, &args.known.context());
    let mut reading = changed.ok_or_else(|| {
        CliError::cannot_judge(format!("cannot compare {}: they do not count the same", last.format))
    })?;
    if let Some(again) = given_twice(&args.files) {
        reading.warn(format!("{} is given twice: between it and itself nothing can differ", again.display()));
    }
    tell(file, &reading, format)
}

/// A file that stands among the others once more, under whichever name.
fn given_twice(files: &[PathBuf]) -> Option<&Path> {
    let mut seen = HashSet::new();
    let again = |f: &&PathBuf| f.canonicalize().is_ok_and(|whole| !seen.insert(whole));
    files.iter().find(again).map(PathBuf::as_path)
}

pub(super) fn tell(file: &Path, reading: &Reading, format: Format) -> Result<u8, CliError> {
    let text = match format {
        Format::Table => render::reading::screen(file, reading, Paint::new(output::colour())),
        _ => render::json::text(&render::reading::json(file, reading), format),
    };
    output::result(&text)?;
    Ok(exit(reading))
}

pub(super) fn exit(reading: &Reading) -> u8 {
    if reading.head.artifact.truncated.is_some() {
        exit_code::PARTIAL
    } else if reading.head.findings.iter().any(plimsoll_read::reading::Finding::accuses) {
        exit_code::FINDINGS
    } else {
        exit_code::FINE
    }
}
