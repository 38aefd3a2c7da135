//! `plimsoll read`: what an artifact says, on one screen.

mod redact;

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use plimsoll_core::units;
use plimsoll_read::graph::GraphError;
use plimsoll_read::graph::watch::{Phase, Watch};
use plimsoll_read::heap_dump::paths::{self, Wish};
use plimsoll_read::heap_dump::report::{Report, report};
use plimsoll_read::heap_dump::{
    self, ClassInside, HeapDump, HeapDumpError, Options, SizeChoice, Source, growth, scant, strings, threads,
    tree, usage,
};

use plimsoll_host::own_memory;
use plimsoll_host::world::World;

use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, Progress};
use crate::render;
use crate::render::heap::Context;
use crate::render::heap_views::{self, View};
use crate::render::paint::Paint;

/// Objects shown below another one.
const WIDTH: usize = 20;
/// The same on a page, and steps of its tree.
const PAGE_WIDTH: usize = 60;
const PAGE_DEPTH: usize = 16;

/// What an artifact says, on one screen
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll read heap.hprof                who holds the heap, and what to do about it
  plimsoll read heap.hprof.gz --rss 2GiB  and whether the heap explains the process
  plimsoll read heap.hprof --histogram    objects by class
  plimsoll read diff a.hprof b.hprof      what grew between two dumps
  plimsoll read redact heap.hprof out.hprof   a copy to hand on
  plimsoll read secrets heap.hprof        what must not be handed on
  ssh host cat heap.hprof | plimsoll read -
Exit codes: 0 nothing to accuse, 1 a suspect, 2 not readable, 5 the artifact is cut or damaged.")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    one: Option<One>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What grew from one dump of a program to the next
    Diff(DiffArgs),
    /// A copy without what it tells: same sizes, same references, same shapes of keys
    Redact(redact::RedactArgs),
    /// What looks like a secret, and where it is held; never the secret itself
    Secrets(redact::SecretsArgs),
}

/// Two dumps or more.
#[derive(Debug, clap::Args)]
struct DiffArgs {
    /// Dumps of one program, oldest first.
    #[arg(num_args = 2.., required = true)]
    files: Vec<PathBuf>,
}

/// One artifact, and what to see of it.
#[derive(Debug, clap::Args)]
struct One {
    /// The artifact: a file, a pipe, or - for standard input.
    #[arg(required = true)]
    file: PathBuf,

    /// Resident memory of the process when the dump was taken, such as 2GiB: does the heap explain it?
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    rss: Option<f64>,

    /// Where sizes come from: distances between objects where they agree, or the layout formula for all.
    #[arg(long, value_enum, default_value = "measured")]
    sizes: Sizes,

    /// Memory to use at most, such as 512MiB; four fifths of what is there, unless told. Too little for the graph gives
    /// an answer without it.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<f64>,

    /// Check the dominators by an independent algorithm (takes twice as long).
    #[arg(long)]
    verify: bool,

    /// Objects by class, reachable ones.
    #[arg(long)]
    histogram: bool,

    /// With --histogram: count what is not reachable too, and nothing else. As fast as the file can be read.
    #[arg(long, requires = "histogram")]
    all: bool,

    /// The dominator tree: what goes when an object goes.
    #[arg(long)]
    dominators: bool,

    /// Steps of the dominator tree.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=50))]
    depth: u8,

    /// The way from its owner to an object, or to the largest of a class.
    #[arg(long, value_name = "CLASS|ADDRESS")]
    path: Option<Wish>,

    /// Threads: their stacks, and what their locals hold.
    #[arg(long)]
    threads: bool,

    /// Strings that are there more than once.
    #[arg(long)]
    strings: bool,

    /// How full collections are, and what their free slots take.
    #[arg(long)]
    collections: bool,

    /// Write one self-contained page with a treemap of the dominator tree.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Where the sizes of objects come from.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Sizes {
    Measured,
    Formula,
}

impl Sizes {
    fn choice(self) -> SizeChoice {
        match self {
            Sizes::Measured => SizeChoice::Measured,
            Sizes::Formula => SizeChoice::Formula,
        }
    }
}

fn bytes(text: &str) -> Result<f64, String> {
    units::parse_bytes(text).ok_or_else(|| format!("{text:?} is no number of bytes, such as 512MiB"))
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    match (&args.command, &args.one) {
        (Some(Command::Diff(diff)), _) => run_diff(diff, format),
        (Some(Command::Redact(args)), _) => redact::run(args, format),
        (Some(Command::Secrets(args)), _) => redact::run_secrets(args, format),
        (None, Some(one)) => run_one(one, format),
        (None, None) => Err(CliError::usage("no artifact is named").hint("plimsoll read FILE")),
    }
}

/// Reads one dump after the other; only their ways are kept.
fn run_diff(args: &DiffArgs, format: Format) -> Result<u8, CliError> {
    let mut ways = Vec::new();
    let mut cut = false;
    let (mut grown, mut templates) = (Vec::new(), Vec::new());
    for (number, path) in args.files.iter().enumerate() {
        let (bar, source) = (Bar::new(path), HeapFile::open(path)?);
        let memory = own_memory::ceiling(&World::default());
        let options = Options { memory, ..Options::default() };
        let heap = heap_dump::read(&source, options, &bar).map_err(|e| failed(path, e))?;
        cut |= !heap.is_whole();
        ways.push(growth::ways(&heap));
        let is_last = number + 1 == args.files.len();
        if number == 0 || is_last {
            let said = report(&heap, &source, &bar).map_err(|e| failed(path, e))?;
            templates.push(heap_views::templates(&said));
        }
        if is_last {
            grown = growth::grown(&ways, &heap, &source, &bar).map_err(|e| failed(path, e))?;
        }
    }
    let files: Vec<String> = args.files.iter().map(|path| path.display().to_string()).collect();
    let fresh = heap_views::fresh_templates(&templates);
    let text = match format {
        Format::Table => heap_views::growth(&files, &grown, &fresh, Paint::new(output::colour())),
        Format::Json => format!("{:#}\n", heap_views::growth_json(&files, &grown, &fresh)),
        Format::Jsonl => format!("{}\n", heap_views::growth_json(&files, &grown, &fresh)),
    };
    output::result(&text)?;
    Ok(match (cut, grown.is_empty()) {
        (true, _) => exit_code::PARTIAL,
        (false, true) => exit_code::FINE,
        (false, false) => exit_code::FINDINGS,
    })
}

fn run_one(args: &One, format: Format) -> Result<u8, CliError> {
    let bar = Bar::new(&args.file);
    let source = HeapFile::open(&args.file)?;
    if args.all {
        let rows = scant::histogram(&source, Options::default().limits, &bar);
        let rows = rows.map_err(|e| failed(&args.file, e))?;
        drop(bar);
        return show_histogram(&args.file, &rows, format);
    }
    let memory = args.memory.map(|bytes| bytes as u64).or_else(|| own_memory::ceiling(&World::default()));
    let options = Options { verify: args.verify, sizes: args.sizes.choice(), memory, ..Options::default() };
    let heap = match heap_dump::read(&source, options, &bar) {
        Err(HeapDumpError::Memory { needed, ceiling, .. }) => {
            let said = scant::scant(&source, options.limits, &bar).map_err(|e| failed(&args.file, e))?;
            drop(bar);
            return output::result(&render::heap_scant::text(&args.file, &said, needed, ceiling, format))
                .map(|()| exit_code::PARTIAL);
        }
        read => read.map_err(|e| failed(&args.file, e))?,
    };
    let said = report(&heap, &source, &bar).map_err(|e| failed(&args.file, e))?;
    let views = views(args, &heap, &source, &bar).map_err(|e| failed(&args.file, e))?;
    let context = Context { file: args.file.display().to_string(), rss: args.rss };
    if let Some(path) = &args.html {
        let tree = tree::tree(&heap, &source, PAGE_WIDTH, PAGE_DEPTH, &bar);
        let tree = tree.map_err(|e| failed(&args.file, e))?;
        write_private(path, &render::treemap::page(&heap, &said, &context, &tree))?;
    }
    drop(bar);
    let text = match format {
        Format::Table if views.is_empty() => {
            render::heap::screen(&heap, &said, &context, Paint::new(output::colour()))
        }
        Format::Table => views.into_iter().map(|view| view.table).collect::<Vec<_>>().join("\n"),
        Format::Json => {
            let document = render::heap::json(&heap, &said, &context, &views);
            format!("{document:#}\n")
        }
        Format::Jsonl => format!("{}\n", render::heap::json(&heap, &said, &context, &views)),
    };
    output::result(&text)?;
    Ok(exit(&heap, &said))
}

/// The histogram of all objects, without a graph.
fn show_histogram(file: &Path, all: &scant::All, format: Format) -> Result<u8, CliError> {
    let rows: Vec<ClassInside> = all
        .rows
        .iter()
        .map(|row| ClassInside { class: row.class.clone(), objects: row.instances, bytes: row.bytes })
        .collect();
    let view = heap_views::histogram(&rows);
    let whole = all.summary.is_complete();
    let document = || render::heap_scant::histogram_value(file, whole, &view.value);
    let text = match format {
        Format::Table => view.table,
        Format::Json => format!("{:#}\n", document()),
        Format::Jsonl => format!("{}\n", document()),
    };
    output::result(&text)?;
    if let Some(cut) = all.summary.truncation() {
        output::tell(&format!("the {cut}"));
    }
    Ok(if whole { exit_code::FINE } else { exit_code::PARTIAL })
}

/// Writes a file that only its owner may read, as it tells of the heap: beside, then in place.
fn write_private(path: &Path, text: &str) -> Result<(), CliError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |e: io::Error| CliError::usage(format!("cannot write {}", path.display())).because(e);
    // A temporary file is created with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    output::tell(&format!("wrote {}", path.display()));
    Ok(())
}

/// The views asked for, in the order of the help.
fn views(args: &One, heap: &HeapDump, source: &HeapFile, bar: &Bar) -> Result<Vec<View>, HeapDumpError> {
    let mut views = Vec::new();
    if args.histogram {
        views.push(heap_views::histogram(&heap.histogram(true)));
    }
    if args.dominators {
        let tree = tree::tree(heap, source, WIDTH, usize::from(args.depth), bar)?;
        views.push(heap_views::dominators(&tree, heap.retained().reached_bytes()));
    }
    if let Some(wish) = &args.path {
        views.push(heap_views::ways(&paths::ways(heap, source, wish, bar)?));
    }
    if args.threads {
        views.push(heap_views::threads(&threads::threads(heap, source, bar)?));
    }
    if args.strings {
        views.push(heap_views::strings(&strings::strings(heap, source, bar)?));
    }
    if args.collections {
        views.push(heap_views::collections(&usage::usage(heap, source, bar)?));
    }
    Ok(views)
}

fn exit(heap: &HeapDump, said: &Report) -> u8 {
    if !heap.is_whole() {
        exit_code::PARTIAL
    } else if said.suspects.iter().any(|s| s.accused) {
        exit_code::FINDINGS
    } else {
        exit_code::FINE
    }
}

/// A dump in a file; what comes through a pipe is kept in one, as it is read more than once.
struct HeapFile {
    file: File,
}

impl HeapFile {
    fn open(path: &Path) -> Result<HeapFile, CliError> {
        let failed = |e: io::Error| CliError::usage(format!("cannot open {}", path.display())).because(e);
        if path == Path::new("-") {
            return HeapFile::keep(&mut io::stdin().lock(), path);
        }
        let mut file = File::open(path).map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        // A folder can be opened, and fails oddly when it is read.
        if kind.is_dir() {
            return Err(CliError::usage(format!("{} is a folder", path.display())));
        }
        if kind.is_file() { Ok(HeapFile { file }) } else { HeapFile::keep(&mut file, path) }
    }

    /// Keeps a stream in a file without a name, which goes when this program does.
    fn keep(stream: &mut impl io::Read, path: &Path) -> Result<HeapFile, CliError> {
        let folder = std::env::temp_dir();
        let failed = |e: io::Error| {
            CliError::usage(format!("cannot keep {} in {}", path.display(), folder.display()))
                .because(e)
                .hint("a stream is read more than once: TMPDIR names a folder with room for all of it")
        };
        let mut file = tempfile::tempfile_in(&folder).map_err(failed)?;
        io::copy(stream, &mut file).map_err(failed)?;
        Ok(HeapFile { file })
    }
}

/// Reads a file from its begin, without moving the place where others read it.
struct FromBegin<'f> {
    file: &'f File,
    at: u64,
}

impl io::Read for FromBegin<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl HeapFile {
    fn whole(&self) -> FromBegin<'_> {
        FromBegin { file: &self.file, at: 0 }
    }
}

impl Source for HeapFile {
    fn open(&self) -> io::Result<Box<dyn io::Read + Send + '_>> {
        Ok(Box::new(self.whole()))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }
}

fn failed(path: &Path, error: HeapDumpError) -> CliError {
    let name = path.display();
    match error {
        HeapDumpError::Graph(GraphError::Stopped { phase }) => {
            CliError::new(Kind::Usage, format!("reading {name} was stopped in {phase}"))
        }
        HeapDumpError::Open(e) => CliError::usage(format!("cannot read {name}"))
            .because(e)
            .hint("plimsoll read takes a Java heap dump (HPROF), plain or packed by gzip or zstd"),
        HeapDumpError::Io(e) => CliError::usage(format!("cannot open {name}")).because(e),
        e @ (HeapDumpError::Graph(_) | HeapDumpError::Memory { .. }) => {
            CliError::cannot_judge(format!("cannot read {name}")).because(e)
        }
        e @ HeapDumpError::Flaw(_) => {
            CliError::new(Kind::Internal, format!("the reading of {name} is wrong")).because(e)
        }
    }
}

/// Shows how far the work is, and ends it on Ctrl-C.
struct Bar {
    progress: Progress,
    size: u64,
}

impl Bar {
    fn new(path: &Path) -> Bar {
        let size = std::fs::metadata(path).map_or(0, |m| m.len());
        Bar { progress: Progress::new(), size }
    }
}

impl Watch for Bar {
    fn step(&self, phase: Phase, done: u64, total: u64) -> ControlFlow<()> {
        let of = if total == 0 { self.size } else { total };
        let percent = (done.min(of) * 100).checked_div(of).unwrap_or(0);
        self.progress.show(&format!("{phase}: {percent} %"));
        ControlFlow::Continue(())
    }
}
