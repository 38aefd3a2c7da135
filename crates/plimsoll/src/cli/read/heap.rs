//! A Java heap dump: who holds the heap, and what to do about it.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::Path;

use plimsoll_core::units;
use plimsoll_read::formats::Reading;
use plimsoll_read::graph::GraphError;
use plimsoll_read::graph::spill::Spill;
use plimsoll_read::graph::watch::{Phase, Watch};
use plimsoll_read::heap_dump::report::{Report, report};
use plimsoll_read::heap_dump::{
    self, ClassInside, HeapDump, HeapDumpError, Options, growth, paths, scant, strings, threads, tree, usage,
};

use plimsoll_host::own_memory;
use plimsoll_host::spill::{Disk, Reuse, Spilled};
use plimsoll_host::world::World;

use super::input::Input;
use super::{DiffArgs, One, Own};
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::output::{self, Format, Progress};
use crate::render;
use crate::render::heap::Context;
use crate::render::heap_scant::Want;
use crate::render::heap_views::{self, View};
use crate::render::paint::Paint;
use crate::render::treemap::{PAGE_DEPTH, PAGE_WIDTH};

/// Objects shown below another one.
pub(super) const WIDTH: usize = 20;

/// Reads one dump after the other; only their ways are kept.
pub(super) fn diff(args: &DiffArgs, format: Format) -> Result<u8, CliError> {
    let mut ways = Vec::new();
    let mut cut = false;
    let (mut grown, mut templates) = (Vec::new(), Vec::new());
    for (number, path) in args.files.iter().enumerate() {
        let (bar, source) = (Bar::new(path), Input::open(path)?);
        let disk = args.own.room();
        let options = Options { memory: args.own.ceiling(), spill: Some(&disk), ..Options::default() };
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

/// Reads the dump, and shows what was asked for.
pub(super) fn run(args: &One, file: &Path, source: &Input, format: Format) -> Result<u8, CliError> {
    let bar = Bar::new(file);
    if args.all {
        let rows = scant::histogram(source, Options::default().limits, &bar);
        let rows = rows.map_err(|e| failed(file, e))?;
        drop(bar);
        return show_histogram(file, &rows, format);
    }
    let disk = args.own.room();
    let options = options(args, &disk);
    let heap = match heap_dump::read(source, options, &bar) {
        Err(HeapDumpError::Memory { needed, ceiling, unspilled, .. }) => {
            let said = scant::scant(source, options.limits, &bar).map_err(|e| failed(file, e))?;
            drop(bar);
            let want = Want { needed, ceiling, unspilled };
            return output::result(&render::heap_scant::text(file, &said, &want, format))
                .map(|()| exit_code::PARTIAL);
        }
        read => read.map_err(|e| failed(file, e))?,
    };
    let said = report(&heap, source, &bar).map_err(|e| failed(file, e))?;
    let views = views(args, &heap, source, &bar).map_err(|e| failed(file, e))?;
    let context = context(args, file, args.known.rss, &disk);
    if let Some(path) = &args.html {
        let tree = tree::tree(&heap, source, PAGE_WIDTH, PAGE_DEPTH, &bar);
        let tree = tree.map_err(|e| failed(file, e))?;
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

/// What a dump among other artifacts says.
pub(super) fn reading(
    args: &One,
    file: &Path,
    source: &Input,
    rss: Option<f64>,
) -> Result<Reading, CliError> {
    let bar = Bar::new(file);
    let disk = args.own.room();
    let heap = heap_dump::read(source, options(args, &disk), &bar).map_err(|e| failed(file, e))?;
    let said = report(&heap, source, &bar).map_err(|e| failed(file, e))?;
    let context = context(args, file, rss, &disk);
    let head = render::heap::report(&heap, &said, &context);
    Ok(Reading { head, value: render::heap::json(&heap, &said, &context, &[]), tables: Vec::new() })
}

fn context(args: &One, file: &Path, rss: Option<f64>, disk: &Room) -> Context {
    Context { file: file.display().to_string(), rss, spilled: disk.spilled(), raw_keys: args.raw_keys }
}

impl Own {
    /// Bytes of memory that may be used, where that is known.
    fn ceiling(&self) -> Option<u64> {
        self.memory.map(|bytes| bytes as u64).or_else(|| own_memory::ceiling(&World::default()))
    }

    fn room(&self) -> Room {
        Room::new(self.tmp.as_deref(), self.ceiling())
    }
}

fn options<'a>(args: &One, disk: &'a Room) -> Options<'a> {
    Options {
        verify: args.verify,
        sizes: args.sizes.choice(),
        memory: args.own.ceiling(),
        spill: Some(disk),
        ..Options::default()
    }
}

/// A disk for what memory does not hold, whose use is told; and memory that was freed and is used again.
#[derive(Debug)]
struct Room(Disk, Reuse);

impl Room {
    fn new(folder: Option<&Path>, memory: Option<u64>) -> Room {
        Room(Disk::new(folder, memory.unwrap_or(u64::MAX)), Reuse::begin())
    }

    fn spilled(&self) -> Option<Spilled> {
        self.0.spilled()
    }
}

impl Spill for Room {
    fn begin(&self, bytes: u64) -> Result<(), String> {
        self.0.begin(bytes)?;
        let (bytes, folder) = (units::bytes(Disk::aside(bytes) as f64), self.0.folder().display());
        output::tell(&format!(
            "memory does not suffice: up to {bytes} lie in {folder} meanwhile, which is slower"
        ));
        Ok(())
    }

    fn step(&self) -> Result<(), String> {
        self.0.step()
    }
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
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), CliError> {
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
fn views(args: &One, heap: &HeapDump, source: &Input, bar: &Bar) -> Result<Vec<View>, HeapDumpError> {
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

pub(super) fn failed(path: &Path, error: HeapDumpError) -> CliError {
    let name = path.display();
    match error {
        HeapDumpError::Graph(GraphError::Stopped { phase }) => {
            CliError::new(Kind::Usage, format!("reading {name} was stopped in {phase}"))
        }
        HeapDumpError::Open(e) => CliError::usage(format!("cannot read {name}")).because(e),
        HeapDumpError::Io(e) => CliError::usage(format!("cannot open {name}")).because(e),
        e @ (HeapDumpError::Graph(_) | HeapDumpError::Memory { .. }) => {
            CliError::cannot_judge(format!("cannot read {name}")).because(e)
        }
        e @ HeapDumpError::Flaw(_) => {
            CliError::new(Kind::Internal, format!("the reading of {name} is wrong")).because(e)
        }
    }
}

/// Shows how far the work is.
pub(super) struct Bar {
    progress: Progress,
    size: u64,
}

impl Bar {
    pub(super) fn new(path: &Path) -> Bar {
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
