//! `plimsoll read`: what an artifact says, on one screen.

mod artifact;
mod bundle;
mod heap;
mod input;
mod redact;
mod snapshot;

use std::path::{Path, PathBuf};

use plimsoll_core::units;
use plimsoll_read::heap_dump::SizeChoice;
use plimsoll_read::heap_dump::paths::Wish;
use plimsoll_read::reading::Context;

use crate::error::CliError;
use crate::output::Format;
use artifact::Content;
pub(super) use input::Input;

/// What an artifact says, on one screen
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll read goroutines.txt                 who piles up where, since when, and the fix
  plimsoll read gc.log --limit 2GiB            the slope of the floor, and how long there is
  plimsoll read threads.txt heap.pb.gz smaps   several artifacts of one incident, one conclusion
  plimsoll read incident.tar.gz                the same of a folder or an archive
  plimsoll read diff a.txt b.txt c.txt         what grew, and whether at every step
  plimsoll read heap.hprof                     who holds the heap, and what to do about it
  plimsoll read heap.hprof.gz --rss 2GiB       and whether the heap explains the process
  plimsoll read heap.hprof --histogram         objects by class
  plimsoll read redact heap.hprof out.hprof    a copy to hand on
  plimsoll read secrets heap.hprof             what must not be handed on
  ssh host cat heap.hprof | plimsoll read -    from a pipe

Read are: Java heap dumps, V8 heap snapshots, thread dumps, goroutine dumps, profiles (pprof, jemalloc, tcmalloc, V8, \
tracemalloc, folded stacks), collection logs (JDK 6 to 25, Go, Node.js), native memory tracking, smaps, maps and pmap, \
malloc_info, jemalloc's statistics, class histograms, kernel and cluster logs of deaths, cores; plain or packed by gzip \
or zstd, also within a log.

Exit codes: 0 nothing to accuse, 1 a finding, 2 not readable, 5 the artifact is cut or damaged.")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    one: One,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What grew between artifacts of one kind, taken from one process
    Diff(DiffArgs),
    /// A copy without what it tells: same sizes, same references, same shapes of keys
    Redact(redact::RedactArgs),
    /// What looks like a secret, and where it is held; never the secret itself
    Secrets(redact::SecretsArgs),
}

/// Two artifacts or more.
#[derive(Debug, clap::Args)]
struct DiffArgs {
    /// Artifacts of one kind, taken from one process, oldest first.
    #[arg(num_args = 2.., required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    known: Known,

    #[command(flatten)]
    own: Own,
}

/// What the reading itself may take.
#[derive(Debug, Clone, clap::Args)]
struct Own {
    /// Memory to use at most, such as 512MiB; four fifths of what is there, unless told. What a heap dump needs beyond it
    /// lies on a disk meanwhile, which is slower; where that cannot be, the answer is one without retained sizes.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<f64>,

    /// Folder on a disk for what does not fit into memory; else TMPDIR, else /var/tmp. Nothing is left in it.
    #[arg(long, value_name = "DIR")]
    tmp: Option<PathBuf>,
}

/// What is known of the process beside its artifacts.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Known {
    /// Resident memory of the process when the artifact was taken, such as 2GiB: what explains it?
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    rss: Option<f64>,

    /// The container's limit, such as 4GiB: how long until it is reached?
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    limit: Option<f64>,
}

impl Known {
    fn context(self) -> Context {
        let whole = |bytes: f64| bytes as u64;
        Context { rss: self.rss.map(whole), limit: self.limit.map(whole), ..Context::default() }
    }
}

/// One artifact, and what to see of it.
#[derive(Debug, clap::Args)]
struct One {
    /// Artifacts of one incident: files, pipes, folders, archives (zip, or tar, also packed), or - for standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    known: Known,

    /// Where sizes come from: distances between objects where they agree, or the layout formula for all (with it, figures
    /// are those of Eclipse Memory Analyzer, which does not follow classes to their protection domains).
    #[arg(long, value_enum, default_value = "measured")]
    sizes: Sizes,

    #[command(flatten)]
    own: Own,

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

    /// The way from its owner to an object (Java's 0x…, V8's @…), or to the largest of a class.
    #[arg(long, value_name = "CLASS|ADDRESS|@ID")]
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

    /// Show a key of each template as it is. It may be a secret.
    #[arg(long)]
    raw_keys: bool,

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
    match &args.command {
        Some(Command::Diff(args)) => diff(args, format),
        Some(Command::Redact(args)) => redact::run(args, format),
        Some(Command::Secrets(args)) => redact::run_secrets(args, format),
        None => read(&args.one, format),
    }
}

fn read(args: &One, format: Format) -> Result<u8, CliError> {
    let [file] = args.files.as_slice() else { return bundle::run(args, format) };
    if file.is_dir() {
        return bundle::run(args, format);
    }
    let input = Input::open(file)?;
    match artifact::recognise(file, &input)? {
        Content::HeapDump => heap::run(args, file, &input, format),
        Content::HeapSnapshot => snapshot::run(args, file, &input, format),
        Content::Archive => bundle::run_archive(args, file, &input, format),
        Content::Zip => bundle::run_zip(args, file, &input, format),
        Content::Other(found) => {
            args.only_of_heap_dumps(file)?;
            if !found.beside.is_empty() {
                return bundle::run_log(args, file, found, input, format);
            }
            artifact::show(file, &found, &args.known.context(), format)
        }
    }
}

/// Compares artifacts of one kind.
fn diff(args: &DiffArgs, format: Format) -> Result<u8, CliError> {
    let [first, ..] = args.files.as_slice() else {
        return Err(CliError::usage("two artifacts or more are compared"));
    };
    match artifact::recognise(first, &Input::open(first)?)? {
        Content::HeapDump => heap::diff(args, format),
        Content::Archive | Content::Zip => Err(CliError::usage(format!("{} is an archive", first.display()))
            .hint("unpack it, and compare artifacts of one kind")),
        other => {
            refused(&[("--memory", args.own.memory.is_some())], "Java heap dumps", first)?;
            match other {
                Content::HeapSnapshot => snapshot::diff(args, format),
                _ => artifact::diff(args, format),
            }
        }
    }
}

impl One {
    /// Views of a heap dump are asked of a heap dump only.
    fn only_of_heap_dumps(&self, file: &Path) -> Result<(), CliError> {
        let asked = [
            ("--verify", self.verify),
            ("--histogram", self.histogram),
            ("--dominators", self.dominators),
            ("--path", self.path.is_some()),
            ("--strings", self.strings),
            ("--html", self.html.is_some()),
        ];
        refused(&asked, "heap dumps", file)?;
        self.only_of_java(file)
    }

    /// Views of a Java heap dump are asked of one only.
    fn only_of_java(&self, file: &Path) -> Result<(), CliError> {
        let asked = [
            ("--threads", self.threads),
            ("--collections", self.collections),
            ("--raw-keys", self.raw_keys),
            ("--memory", self.own.memory.is_some()),
            ("--sizes", matches!(self.sizes, Sizes::Formula)),
        ];
        refused(&asked, "Java heap dumps", file)
    }
}

/// The first flag that was asked for is refused: the file is none of what it is of.
fn refused(asked: &[(&str, bool)], of: &str, file: &Path) -> Result<(), CliError> {
    match asked.iter().find(|(_, is)| *is) {
        Some((flag, _)) => Err(CliError::usage(format!("{flag} is of {of}, and {} is none", file.display()))),
        None => Ok(()),
    }
}
