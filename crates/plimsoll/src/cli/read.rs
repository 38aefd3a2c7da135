//! `plimsoll read`: what an artifact says, on one screen.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use plimsoll_core::units;
use plimsoll_read::graph::GraphError;
use plimsoll_read::graph::watch::{Phase, Watch};
use plimsoll_read::heap_dump::report::{Report, report};
use plimsoll_read::heap_dump::{self, HeapDump, HeapDumpError, Options};

use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, Progress};
use crate::render;
use crate::render::heap::Context;
use crate::render::paint::Paint;

/// What an artifact says, on one screen
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll read heap.hprof                who holds the heap, and what to do about it
  plimsoll read heap.hprof.gz --rss 2GiB  and whether the heap explains the process
  plimsoll read heap.hprof --histogram    objects by class
Exit codes: 0 nothing to accuse, 1 a suspect, 2 not readable, 5 the artifact is cut or damaged.")]
pub(crate) struct Args {
    /// The artifact.
    file: PathBuf,

    /// Resident memory of the process when the dump was taken, such as 2GiB: does the heap explain it?
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    rss: Option<f64>,

    /// Check the dominators by an independent algorithm (takes twice as long).
    #[arg(long)]
    verify: bool,

    /// Objects by class, reachable ones.
    #[arg(long)]
    histogram: bool,
}

fn bytes(text: &str) -> Result<f64, String> {
    units::parse_bytes(text).ok_or_else(|| format!("{text:?} is no number of bytes, such as 512MiB"))
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let bar = Bar::new(&args.file);
    let heap = read_heap(args, &bar)?;
    let said = report(&heap, || File::open(&args.file), &bar).map_err(|e| failed(&args.file, e))?;
    drop(bar);
    let context = Context { file: args.file.display().to_string(), rss: args.rss };
    let text = match format {
        Format::Table if args.histogram => render::heap::histogram(&heap),
        Format::Table => render::heap::screen(&heap, &said, &context, Paint::new(output::colour())),
        Format::Json | Format::Jsonl => format!("{}\n", render::heap::json(&heap, &said, &context)),
    };
    output::result(&text)?;
    Ok(exit(&heap, &said))
}

fn exit(heap: &HeapDump, said: &Report) -> u8 {
    if !heap.is_whole() {
        exit_code::PARTIAL
    } else if said.suspects.iter().any(heap_dump::report::Suspect::is_accused) {
        exit_code::FINDINGS
    } else {
        exit_code::FINE
    }
}

fn read_heap(args: &Args, bar: &Bar) -> Result<HeapDump, CliError> {
    let options = Options { verify: args.verify, ..Options::default() };
    heap_dump::read(|| open(&args.file), options, bar).map_err(|e| failed(&args.file, e))
}

/// A folder can be opened and then fails oddly: it is said here what it is.
fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    Ok(file)
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
        e @ HeapDumpError::Graph(_) => CliError::cannot_judge(format!("cannot read {name}")).because(e),
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
