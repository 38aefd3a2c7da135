//! Every artifact that is read in one pass: told apart by its first bytes, read to a [`Reading`], compared with others
//! of its kind. Heap dumps and heap snapshots, which are read more than once, have readers of their own.
//!
//! A format is one implementation of [`Kind`] and one line of [`FORMATS`].

mod also;
mod plain;
mod unread;

use std::any::Any;
use std::io::{self, Read};
use std::marker::PhantomData;

use serde::Serialize;
use serde_json::Value;

use crate::class_histogram;
use crate::core_file;
use crate::deaths::{Deaths, stands_alone};
use crate::gc_log::GcLog;
use crate::goroutines::Goroutines;
use crate::heap_dump::Source;
use crate::heap_snapshot;
use crate::jemalloc_stats;
use crate::malloc_info;
use crate::nmt;
use crate::pprof::Profile;
use crate::reading::{Context, Report, Table};
use crate::smaps;
use crate::thread_dump::ThreadDumps;
pub use plain::Plain;
pub use unread::{Unread, unread};

/// Bytes in which a long log is searched for an artifact that does not begin at its head, and what two pieces share.
const PIECE: usize = 1 << 20;
const SHARED: usize = 4 << 10;
/// Lines before an artifact that are no part of it.
const OWN_LINES: usize = 6;
/// How a Java heap dump begins, and where a tar archive says what it is.
const HEAP_DUMP: &[u8] = b"JAVA PROFILE ";
const TAR: usize = 257;
/// How a zip archive begins: with a file, or with its end when it has none.
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// What a reader says, ready for a screen and for JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What every reading says.
    pub head: Report,
    /// The whole report, the head within it.
    pub value: Value,
    /// Tables of the screen, beside the groups.
    pub tables: Vec<Table>,
}

impl Reading {
    /// A reading of a report that carries `head`.
    pub fn new(head: &Report, whole: &impl Serialize, tables: Vec<Table>) -> Self {
        // A report is plain data: it always has a value.
        let value = serde_json::to_value(whole).unwrap_or(Value::Null);
        Reading { head: head.clone(), value, tables }
    }

    /// Says that the artifact is not whole, and why: that explains what the reader may have noticed.
    pub fn cut(&mut self, why: &str) {
        let truncated = self.head.artifact.truncated.insert(why.to_owned()).clone();
        if let Some(Value::Object(artifact)) = self.value.get_mut("artifact") {
            artifact.insert("truncated".to_owned(), true.into());
            artifact.insert("truncatedWhy".to_owned(), truncated.into());
        }
    }

    /// One more warning.
    pub fn warn(&mut self, text: String) {
        if let Some(Value::Array(warnings)) = self.value.get_mut("warnings") {
            warnings.push(Value::String(text.clone()));
        }
        self.head.warnings.push(text);
    }
}

impl From<Report> for Reading {
    fn from(report: Report) -> Self {
        Reading::new(&report, &report, Vec::new())
    }
}

/// A kind of artifact: how it is told apart, read, and compared with others of its kind.
pub trait Kind: Sized + 'static {
    /// What it is called in JSON.
    const NAME: &'static str;

    /// Whether text or bytes with this beginning (or with this piece in them) are of the kind.
    fn looks_like(head: &[u8]) -> bool;

    /// Whether it may stand anywhere within a log.
    const IS_IN_LOGS: bool;

    /// Reads it; none when nothing of the kind is in it.
    fn parse(from: &mut dyn Read) -> Option<Self>;

    /// What it concludes.
    fn reading(&self, context: &Context) -> Reading;

    /// What it tells of the process that helps to judge its other artifacts.
    fn known(&self) -> Context {
        Context::default()
    }

    /// Whether it took up every line, so that nothing else can stand beside it.
    fn is_alone(&self) -> bool {
        false
    }

    /// What changed over a series of at least two, oldest first; none when they cannot be compared.
    fn change(series: &[&Self], context: &Context) -> Option<Reading>;
}

/// An artifact that was read, of whichever kind.
pub trait Artifact: Any {
    /// What it concludes.
    fn reading(&self, context: &Context) -> Reading;

    /// See [`Kind::known`].
    fn known(&self) -> Context;

    /// See [`Kind::is_alone`].
    fn is_alone(&self) -> bool;

    /// What changed since `earlier` ones, oldest first; none when one is of another kind or they cannot be compared.
    fn change(&self, earlier: &[&dyn Artifact], context: &Context) -> Option<Reading>;
}

impl<K: Kind> Artifact for K {
    fn reading(&self, context: &Context) -> Reading {
        Kind::reading(self, context)
    }

    fn known(&self) -> Context {
        Kind::known(self)
    }

    fn is_alone(&self) -> bool {
        Kind::is_alone(self)
    }

    fn change(&self, earlier: &[&dyn Artifact], context: &Context) -> Option<Reading> {
        let mut series: Vec<&K> =
            earlier.iter().map(|&a| (a as &dyn Any).downcast_ref::<K>()).collect::<Option<_>>()?;
        series.push(self);
        K::change(&series, context)
    }
}

/// A format by what it does, whatever its type.
pub trait Format: Sync {
    /// What it is called.
    fn name(&self) -> &'static str;
    /// See [`Kind::IS_IN_LOGS`].
    fn is_in_logs(&self) -> bool;
    /// See [`Kind::looks_like`].
    fn looks_like(&self, head: &[u8]) -> bool;
    /// See [`Kind::parse`].
    fn parse(&self, from: &mut dyn Read) -> Option<Box<dyn Artifact>>;
}

struct Of<K>(PhantomData<fn() -> K>);

impl<K> Of<K> {
    const NEW: Self = Of(PhantomData);
}

impl<K: Kind> Format for Of<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn is_in_logs(&self) -> bool {
        K::IS_IN_LOGS
    }

    fn looks_like(&self, head: &[u8]) -> bool {
        K::looks_like(head)
    }

    fn parse(&self, from: &mut dyn Read) -> Option<Box<dyn Artifact>> {
        K::parse(from).map(|k| Box::new(k) as Box<dyn Artifact>)
    }
}

/// Profiles of memory and of goroutines come in one format.
struct Profiles;

impl Format for Profiles {
    fn name(&self) -> &'static str {
        Profile::NAME
    }

    fn is_in_logs(&self) -> bool {
        Profile::IS_IN_LOGS
    }

    fn looks_like(&self, head: &[u8]) -> bool {
        Profile::looks_like(head)
    }

    fn parse(&self, from: &mut dyn Read) -> Option<Box<dyn Artifact>> {
        let profile = Profile::parse(from)?;
        match Goroutines::of(&profile) {
            Some(goroutines) => Some(Box::new(goroutines)),
            None => Some(Box::new(profile)),
        }
    }
}

/// Every format, the stricter ones first.
pub static FORMATS: &[&dyn Format] = &[
    &Of::<Goroutines>::NEW,
    &Of::<ThreadDumps>::NEW,
    &Of::<GcLog>::NEW,
    &Of::<nmt::Reports>::NEW,
    &Of::<class_histogram::Histograms>::NEW,
    &Of::<smaps::Survey>::NEW,
    &Of::<malloc_info::Infos>::NEW,
    &Of::<jemalloc_stats::AllStats>::NEW,
    &Of::<core_file::Core>::NEW,
    &Profiles,
    &Of::<Deaths>::NEW,
];

/// The format of what begins like this.
pub fn recognise(head: &[u8]) -> Option<&'static dyn Format> {
    FORMATS.iter().find(|f| f.looks_like(head)).copied()
}

/// What was found in a file.
pub struct Found {
    /// The name of its format.
    pub format: &'static str,
    /// What was read; none when it looked like the format and nothing of it could be read.
    pub artifact: Option<Box<dyn Artifact>>,
    /// What else stands in the same log, each of another format.
    pub beside: Vec<Found>,
    /// Why the stream ended before its end, when it did.
    stopped: Option<String>,
    notes: Vec<&'static str>,
}

impl Found {
    fn of(format: &dyn Format, artifact: Option<Box<dyn Artifact>>, plain: &Plain<'_>) -> Found {
        let (stopped, notes) = (plain.stopped().map(str::to_owned), plain.notes().to_vec());
        Found { format: format.name(), artifact, beside: Vec::new(), stopped, notes }
    }

    /// What it concludes; none when nothing could be read.
    pub fn reading(&self, context: &Context) -> Option<Reading> {
        Some(self.told(self.artifact.as_ref()?.reading(context)))
    }

    /// What it tells of the process that helps to judge its other artifacts.
    pub fn known(&self) -> Context {
        self.artifact.as_ref().map(|a| a.known()).unwrap_or_default()
    }

    /// What changed since `earlier` ones, oldest first; none when one is of another kind or unreadable.
    pub fn change(&self, earlier: &[&Found], context: &Context) -> Option<Reading> {
        let earlier: Vec<&dyn Artifact> =
            earlier.iter().map(|f| f.artifact.as_deref()).collect::<Option<_>>()?;
        Some(self.told(self.artifact.as_ref()?.change(&earlier, context)?))
    }

    fn told(&self, mut reading: Reading) -> Reading {
        if let Some(Value::Object(artifact)) = reading.value.get_mut("artifact") {
            artifact.insert("kind".to_owned(), self.format.into());
        }
        if let Some(why) = &self.stopped {
            reading.cut(why);
        }
        self.notes.iter().for_each(|note| reading.warn((*note).to_owned()));
        reading
    }
}

/// What a file turned out to be.
pub enum Recognised {
    /// A Java heap dump: [`crate::heap_dump`] reads it.
    HeapDump,
    /// A V8 heap snapshot: [`crate::heap_snapshot`] reads it.
    HeapSnapshot,
    /// A tar archive.
    Archive,
    /// A zip archive, which is read from its end.
    Zip,
    /// An artifact that was read.
    Artifact(Found),
    /// Something else, that begins like this (unpacked).
    Unknown(Vec<u8>),
}

/// Reads plain, gzip or zstd bytes, or the log that a container's runtime made of what a program printed, unless it is
/// something that is read more than once. Text that begins as something else is searched for an artifact.
///
/// # Errors
/// When it cannot be opened.
pub fn read(source: &(impl Source + ?Sized)) -> io::Result<Recognised> {
    let plain = Plain::new(source.open()?);
    if plain.head().starts_with(HEAP_DUMP) {
        return Ok(Recognised::HeapDump);
    }
    if heap_snapshot::looks_like(plain.head()) {
        return Ok(Recognised::HeapSnapshot);
    }
    if plain.head().get(TAR..).is_some_and(|rest| rest.starts_with(b"ustar")) {
        return Ok(Recognised::Archive);
    }
    if ZIP.iter().any(|z| plain.head().starts_with(z)) {
        return Ok(Recognised::Zip);
    }
    let Some((mut format, mut plain)) = told(source, plain)? else {
        return Ok(Recognised::Unknown(Plain::new(source.open()?).head().to_vec()));
    };
    let mut artifact = format.parse(&mut plain);
    if artifact.is_none()
        && let Some((of_bare, mut without)) = bare(source, false)?
    {
        artifact = of_bare.parse(&mut without);
        (format, plain) = (of_bare, without);
    }
    let mut found = Found::of(format, artifact, &plain);
    if found.artifact.as_ref().is_some_and(|a| !a.is_alone()) {
        let known = plain.is_bare();
        let open = || {
            let mut again = Plain::new(source.open()?);
            if let Some(known) = known {
                again.bare(known);
            }
            Ok(again)
        };
        let (beside, all) = also::beside(format, open)?;
        found.beside = beside;
        if !all {
            found.notes.push("only the first 16 MiB were searched for what else stands in the log");
        }
    }
    Ok(Recognised::Artifact(found))
}

/// The format of a stream, and the stream from its begin. What stands before each line of a log is taken off when an
/// artifact then shows; only traces of deaths need the time and the host there.
fn told<'s>(
    source: &'s (impl Source + ?Sized),
    mut plain: Plain<'s>,
) -> io::Result<Option<(&'static dyn Format, Plain<'s>)>> {
    let first = recognise(plain.head());
    if let Some(format) = first.filter(|f| !f.is_in_logs()) {
        return Ok(Some((format, plain)));
    }
    if let Some(told) = bare(source, true)? {
        return Ok(Some(told));
    }
    if let (None, Some((format, at))) = (first, behind(plain.head())) {
        plain.skip(at);
        return Ok(Some((format, plain)));
    }
    if let Some(format) = first.filter(|f| !is_death(*f)) {
        return Ok(Some((format, plain)));
    }
    if let Some(told) = bare(source, false)? {
        return Ok(Some(told));
    }
    if let Some(format) = first {
        return Ok(Some((format, plain)));
    }
    match search(&mut plain) {
        Some(format) => Ok(Some((format, Plain::new(source.open()?)))),
        None => Ok(None),
    }
}

/// The format of what stands behind the first lines, and where: `kubectl exec` and the JVM say something of their own
/// before the output of a command, a shell its prompt.
fn behind(head: &[u8]) -> Option<(&'static dyn Format, usize)> {
    let ends = head.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
    ends.take(OWN_LINES).find_map(|at| {
        let format = recognise(head.get(at..)?).filter(|f| !is_death(*f))?;
        Some((format, at))
    })
}

/// The same without what stands before each line; none when nothing does, or nothing shows then.
fn bare<'s>(
    source: &'s (impl Source + ?Sized),
    known: bool,
) -> io::Result<Option<(&'static dyn Format, Plain<'s>)>> {
    let mut plain = Plain::new(source.open()?);
    if !plain.bare(known) {
        return Ok(None);
    }
    // Lines of deaths need their time and their host, unless they have a time of their own.
    let alone = stands_alone(plain.head());
    if let Some(format) = recognise(plain.head()).filter(|f| alone || !is_death(*f)) {
        return Ok(Some((format, plain)));
    }
    if let Some((format, at)) = behind(plain.head()).filter(|(f, _)| !f.is_in_logs()) {
        plain.skip(at);
        return Ok(Some((format, plain)));
    }
    let Some(format) = search(&mut plain).filter(|f| !is_death(*f)) else { return Ok(None) };
    let mut plain = Plain::new(source.open()?);
    plain.bare(known);
    Ok(Some((format, plain)))
}

fn is_death(format: &dyn Format) -> bool {
    format.name() == Deaths::NAME
}

/// The bytes of a stream, unpacked when they are packed by gzip or zstd.
///
/// # Errors
/// When it cannot be opened.
pub fn unpacked<S: Source + ?Sized>(source: &S) -> io::Result<Plain<'_>> {
    Ok(Plain::new(source.open()?))
}

/// The format of something within a text, from its begin to its end.
fn search(from: &mut Plain<'_>) -> Option<&'static dyn Format> {
    if from.head().contains(&0) {
        return None;
    }
    let mut piece = Vec::with_capacity(PIECE + SHARED);
    loop {
        let held = piece.len();
        from.by_ref().take(PIECE as u64).read_to_end(&mut piece).ok()?;
        let found = FORMATS.iter().find(|f| f.is_in_logs() && f.looks_like(&piece));
        if found.is_some() || piece.len() == held {
            return found.copied();
        }
        piece.drain(..piece.len().saturating_sub(SHARED));
    }
}

#[cfg(test)]
mod tests;
