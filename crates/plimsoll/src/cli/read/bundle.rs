//! Several artifacts of one incident: files, a folder, an archive; one conclusion, and what each says.

use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use plimsoll_core::recording::API_VERSION;
use plimsoll_read::bundle::{Part, conclude};
use plimsoll_read::formats::{Found, Reading, unpacked};
use plimsoll_read::reading::{Context, Finding, Report};
use serde_json::{Value, json};

use super::artifact::{Content, recognise};
use super::input::Input;
use super::{One, heap, snapshot};
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, Progress};
use crate::render;
use crate::render::paint::Paint;

/// Folders below a folder that are looked into, and files that are read.
const DEPTH: usize = 8;
const FILES: usize = 2000;
/// Bytes that a zip archive may unpack to, as times its size, and at least.
const ZIP_RATIO: u64 = 200;
const ZIP_ROOM: u64 = 4 << 30;
/// A manifest is smaller, bytes.
const MANIFEST: u64 = 16 << 20;
/// Kinds of artifact that are compared when a folder has several.
const HEAP_DUMP: &str = "hprof";

/// One file, and what became of it.
struct Member {
    name: PathBuf,
    content: Result<Content, CliError>,
    input: Input,
}

/// What one file or several of a kind say.
struct Said {
    name: String,
    kind: &'static str,
    reading: Reading,
}

/// Reads all that was named: files, and what is in folders.
pub(super) fn run(args: &One, format: Format) -> Result<u8, CliError> {
    let mut files = Vec::new();
    for named in &args.files {
        if let Some(pid) = live_process(named) {
            return Err(CliError::usage(format!("{} is a living process", named.display()))
                .hint(format!("plimsoll triage {pid}")));
        }
        if named.is_dir() {
            let mut inside = Vec::new();
            walk(named, DEPTH, &mut inside)?;
            let alone = args.files.len() == 1;
            files.extend(
                inside.into_iter().map(|path| (if alone { short(&path, named) } else { path.clone() }, path)),
            );
        } else {
            files.push((named.clone(), named.clone()));
        }
    }
    let mut members = Vec::new();
    let progress = Progress::new();
    for (name, path) in files {
        progress.show(&format!("reading {}", path.display()));
        let input = Input::open(&path)?;
        members.push(Member { content: recognise(&name, &input), input, name });
    }
    drop(progress);
    show(args, &title(&args.files), members, Vec::new(), format)
}

/// Reads a log in which several artifacts stand.
pub(super) fn run_log(
    args: &One,
    file: &Path,
    found: Found,
    input: Input,
    format: Format,
) -> Result<u8, CliError> {
    let member = Member { name: file.to_owned(), content: Ok(Content::Other(found)), input };
    show(args, &file.display().to_string(), vec![member], Vec::new(), format)
}

/// Reads what is in an archive, file by file.
pub(super) fn run_archive(args: &One, file: &Path, input: &Input, format: Format) -> Result<u8, CliError> {
    let failed = |e: io::Error| CliError::usage(format!("cannot read {}", file.display())).because(e);
    let mut archive = tar::Archive::new(unpacked(input).map_err(failed)?);
    let (mut members, mut troubles) = (Vec::new(), Vec::new());
    let progress = Progress::new();
    for entry in archive.entries().map_err(failed)? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                troubles.push(format!("the archive could not be read to its end: {e}"));
                break;
            }
        };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        if members.len() == FILES {
            troubles.push(format!("only the first {FILES} files were read"));
            break;
        }
        let name =
            entry.path().map_or_else(|_| PathBuf::from("(a name that is no path)"), |p| p.into_owned());
        progress.show(&format!("reading {}", name.display()));
        let size = entry.size();
        let input = Input::keep(&mut entry.take(size), &name)?;
        if input.len() < size {
            troubles.push(format!("the archive ends within {}", name.display()));
        }
        members.push(Member { content: recognise(&name, &input), input, name });
    }
    drop(progress);
    show(args, &file.display().to_string(), members, troubles, format)
}

/// The same of a zip archive. Nothing is written under a name of it, so no name leads anywhere; and what it unpacks to is
/// bounded, as a small one may be made to unpack to anything.
pub(super) fn run_zip(args: &One, file: &Path, input: &Input, format: Format) -> Result<u8, CliError> {
    let failed = |e: zip::result::ZipError| {
        CliError::usage(format!("cannot read {}", file.display()))
            .because(e)
            .hint("a zip archive has its list of files at its end: a cut one cannot be read")
    };
    let mut archive =
        zip::ZipArchive::new(BufReader::with_capacity(64 << 10, input.whole())).map_err(failed)?;
    let (mut members, mut troubles) = (Vec::new(), Vec::new());
    let mut room = input.len().saturating_mul(ZIP_RATIO).max(ZIP_ROOM);
    let progress = Progress::new();
    for at in 0..archive.len() {
        if members.len() == FILES {
            troubles.push(format!("only the first {FILES} files were read"));
            break;
        }
        let mut entry = match archive.by_index(at) {
            Ok(entry) if entry.is_file() => entry,
            Ok(_) => continue,
            Err(e) => {
                troubles.push(format!("file {} of the archive: {e}", at + 1));
                continue;
            }
        };
        let name = entry.name().map_or_else(|_| "(a name that is no text)".into(), |n| n.into_owned());
        let name = PathBuf::from(name);
        progress.show(&format!("reading {}", name.display()));
        let size = entry.size();
        if size > room {
            troubles.push(format!("{} unpacks to more than a zip of this size should", name.display()));
            continue;
        }
        // What it says to unpack to need not be true.
        let input = match Input::keep(&mut (&mut entry).take(size), &name) {
            Ok(input) => input,
            Err(e) => {
                troubles.push(e.to_string().replace("\n  hint: ", "; "));
                continue;
            }
        };
        room = room.saturating_sub(input.len());
        if input.len() < size {
            troubles.push(format!("the archive ends within {}", name.display()));
        }
        members.push(Member { content: recognise(&name, &input), input, name });
    }
    drop(progress);
    show(args, &file.display().to_string(), members, troubles, format)
}

fn title(named: &[PathBuf]) -> String {
    match named {
        [one] => one.display().to_string(),
        many => format!("{} files and folders", many.len()),
    }
}

/// A path as the folder that was named sees it; as it is when several were.
fn short(path: &Path, folder: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_owned()
}

/// The process of `/proc/PID`, which is read by sampling and not by walking.
fn live_process(named: &Path) -> Option<u32> {
    let path = fs::canonicalize(named).ok()?;
    let pid = path.strip_prefix("/proc").ok()?.components().next()?;
    pid.as_os_str().to_str()?.parse().ok().filter(|_| named.is_dir())
}

/// The files of a folder, in the order of their names; links are not followed.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let failed = |e: io::Error| CliError::usage(format!("cannot read {}", folder.display())).because(e);
    let entries = fs::read_dir(folder).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let Ok(kind) = path.symlink_metadata().map(|m| m.file_type()) else { continue };
        if kind.is_dir() && depth > 0 {
            walk(&path, depth - 1, files)?;
        } else if kind.is_file() && files.len() < FILES {
            files.push(path);
        }
    }
    Ok(())
}

/// What a name is sorted by: numbers in it count as numbers, so the tenth comes after the second.
fn natural(name: &Path) -> Vec<(String, u64)> {
    let name = name.to_string_lossy();
    let mut parts = vec![(String::new(), 0u64)];
    let mut in_number = false;
    for c in name.chars() {
        match (c.to_digit(10), parts.last_mut()) {
            (Some(digit), Some((_, number))) => {
                *number = number.saturating_mul(10).saturating_add(u64::from(digit));
                in_number = true;
            }
            (None, _) if in_number => {
                parts.push((c.to_string(), 0));
                in_number = false;
            }
            (_, Some((text, _))) => text.push(c),
            (_, None) => {}
        }
    }
    parts
}

fn show(
    args: &One,
    title: &str,
    mut members: Vec<Member>,
    troubles: Vec<String>,
    format: Format,
) -> Result<u8, CliError> {
    members.sort_by_cached_key(|m| natural(&m.name));
    let found = |m: &Member| match &m.content {
        Ok(Content::Other(found)) => {
            found.beside.iter().fold(found.known(), |known, other| known.or(other.known()))
        }
        _ => Context::default(),
    };
    let (told, cut) = manifests(&mut members);
    let context = members.iter().fold(args.known.context(), |known, m| known.or(found(m))).or(told);
    let mut unread = troubles;
    unread.extend(cut);
    let mut said = series(&members, &context);
    for member in &members {
        match one(args, member, &context) {
            Ok(reading) => said.push(reading),
            Err(e) => unread.push(e.to_string().replace("\n  hint: ", "; ")),
        }
        said.extend(beside(member, &context));
    }
    if said.is_empty() {
        let mut error = CliError::usage(format!("{title} holds nothing that is read"));
        for why in unread.into_iter().take(8) {
            error = error.hint(why);
        }
        return Err(error);
    }
    let parts: Vec<Part<'_>> =
        said.iter().map(|s| Part { name: &s.name, kind: s.kind, report: &s.reading.head }).collect();
    let mut report = conclude(&parts);
    report.warnings.splice(0..0, unread.iter().map(|why| format!("not read: {why}")));
    let text = match format {
        Format::Table => {
            let parts: Vec<(&str, &Report)> =
                said.iter().map(|s| (s.name.as_str(), &s.reading.head)).collect();
            render::reading::bundle(title, &report, &parts, Paint::new(output::colour()))
        }
        _ => render::json::text(&document(title, &report, &said, &unread), format),
    };
    output::result(&text)?;
    Ok(exit(&report, !unread.is_empty()))
}

/// Takes the manifests of captures out of the members; gives what they know of the process, and what they say is
/// missing.
fn manifests(members: &mut Vec<Member>) -> (Context, Vec<String>) {
    let (mut context, mut cut) = (Context::default(), Vec::new());
    members.retain(|member| {
        let Some(manifest) = manifest(member) else { return true };
        let bytes = |key: &str| manifest[key].as_f64().map(|b| b as u64);
        context = context.or(Context {
            rss: bytes("residentBytes"),
            limit: bytes("limitBytes"),
            ..Context::default()
        });
        cut.extend(manifest["failed"].as_str().map(|why| format!("the rest of the capture: {why}")));
        false
    });
    (context, cut)
}

fn manifest(member: &Member) -> Option<Value> {
    if member.name.file_name()? != "manifest.json" || member.input.len() > MANIFEST {
        return None;
    }
    let document: Value = serde_json::from_reader(member.input.whole()).ok()?;
    (document["kind"] == "CaptureResult").then_some(document)
}

fn exit(report: &Report, unread: bool) -> u8 {
    if report.artifact.truncated.is_some() || unread {
        exit_code::PARTIAL
    } else if report.findings.iter().any(Finding::accuses) {
        exit_code::FINDINGS
    } else {
        exit_code::FINE
    }
}

fn one(args: &One, member: &Member, context: &Context) -> Result<Said, CliError> {
    let name = member.name.display().to_string();
    let failed = |what: &str| CliError::usage(format!("{name} {what}"));
    match &member.content {
        Ok(Content::HeapDump) => {
            let rss = context.rss.map(|rss| rss as f64);
            let reading = heap::reading(args, &member.name, &member.input, rss)?;
            Ok(Said { name, kind: HEAP_DUMP, reading })
        }
        Ok(Content::HeapSnapshot) => {
            let reading = snapshot::reading(args, &member.name, &member.input, context)?;
            Ok(Said { name, kind: snapshot::KIND, reading })
        }
        Ok(Content::Archive | Content::Zip) => {
            Err(failed("is an archive within an archive or a folder: read it by itself"))
        }
        Ok(Content::Other(found)) => {
            let reading = found.reading(context).ok_or_else(|| failed("holds nothing of its kind"))?;
            Ok(Said { name, kind: found.format, reading })
        }
        Err(e) => Err(CliError::usage(e.message())),
    }
}

/// What else stands in a log, beside what was read of it first.
fn beside(member: &Member, context: &Context) -> Vec<Said> {
    let Ok(Content::Other(found)) = &member.content else { return Vec::new() };
    let name = |kind: &str| format!("{}, its {kind}", member.name.display());
    let said = |f: &Found| Some(Said { name: name(f.format), kind: f.format, reading: f.reading(context)? });
    found.beside.iter().filter_map(said).collect()
}

/// Artifacts of one kind in one folder.
struct Run<'a> {
    folder: Option<&'a Path>,
    kind: &'static str,
    of: Vec<(&'a Path, &'a Found)>,
}

/// Artifacts of one kind in one folder, in the order of their names, as a series.
fn series(members: &[Member], context: &Context) -> Vec<Said> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for member in members {
        let Ok(Content::Other(found)) = &member.content else { continue };
        let folder = member.name.parent();
        match runs.iter_mut().find(|run| run.folder == folder && run.kind == found.format) {
            Some(run) => run.of.push((&member.name, found)),
            None => runs.push(Run { folder, kind: found.format, of: vec![(&member.name, found)] }),
        }
    }
    runs.iter().filter_map(|run| compared(&run.of, context)).collect()
}

fn compared(of: &[(&Path, &Found)], context: &Context) -> Option<Said> {
    let ((last, found), earlier) = of.split_last()?;
    let (first, _) = earlier.first()?;
    let founds: Vec<&Found> = earlier.iter().map(|(_, f)| *f).collect();
    let mut reading = found.change(&founds, context)?;
    reading.warn("taken for one process, in the order of the files' names".to_owned());
    let last =
        last.file_name().map_or_else(|| last.display().to_string(), |n| n.to_string_lossy().into_owned());
    Some(Said { name: format!("{} to {last}", first.display()), kind: found.format, reading })
}

fn document(title: &str, report: &Report, said: &[Said], unread: &[String]) -> Value {
    let parts: Vec<Value> =
        said.iter().map(|s| render::reading::json(Path::new(&s.name), &s.reading)).collect();
    json!({
        "apiVersion": API_VERSION,
        "kind": "Reading",
        "artifact": {
            "kind": "bundle",
            "file": title,
            "bytes": report.artifact.bytes,
            "truncated": report.artifact.truncated.is_some(),
        },
        "summary": report.summary,
        "findings": report.findings,
        "artifacts": parts,
        "notRead": unread,
        "warnings": report.warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_numbers() {
        let mut names = ["a/g10.txt", "a/g2.txt", "a/g1.txt", "a/f.txt", "b", "a/g2b.txt"].map(Path::new);
        names.sort_by_key(|n| natural(n));
        assert_eq!(names, ["a/f.txt", "a/g1.txt", "a/g2.txt", "a/g2b.txt", "a/g10.txt", "b"].map(Path::new));
    }
}
