//! A V8 heap snapshot: who holds the heap, and what to do about it.

use std::path::Path;

use plimsoll_read::formats::{self, Reading};
use plimsoll_read::graph::GraphError;
use plimsoll_read::heap_dump::ClassInside;
use plimsoll_read::heap_snapshot::growth::{Outline, growth};
use plimsoll_read::heap_snapshot::{self, HeapSnapshot, Options, SnapshotError};
use plimsoll_read::reading::Context;
use serde_json::Value;

use super::artifact::{self, Content};
use super::heap::{Bar, WIDTH, write_private};
use super::input::Input;
use super::{DiffArgs, One};
use crate::error::{CliError, Kind};
use crate::output::{self, Format};
use crate::render::heap_views::{self, View};
use crate::render::treemap;

/// What it is called in JSON.
pub(super) const KIND: &str = "heapsnapshot";

/// Reads the snapshot, and shows what was asked for.
pub(super) fn run(args: &One, file: &Path, source: &Input, format: Format) -> Result<u8, CliError> {
    args.only_of_java(file)?;
    let heap = heap(file, source, Options { verify: args.verify })?;
    let report = heap.report(&args.known.context());
    let mut reading = Reading::new(&report.head, &report, report.tables());
    let needs_holders = args.dominators || args.path.is_some() || args.html.is_some();
    if needs_holders && !heap.knows_holders() {
        output::tell("--dominators, --path and --html need references, which the file lacks");
        return artifact::tell(file, &reading, format);
    }
    if let Some(path) = &args.html {
        write_private(path, &treemap::snapshot_page(file, &heap, &report))?;
    }
    let views = views(args, file, &heap)?;
    if let (Format::Table, false) = (format, views.is_empty()) {
        let tables: Vec<String> = views.into_iter().map(|view| view.table).collect();
        output::result(&tables.join("\n"))?;
        if let Some(why) = heap.truncated() {
            output::tell(why);
        }
        return Ok(artifact::exit(&reading));
    }
    for view in views {
        if let Value::Object(fields) = &mut reading.value {
            fields.insert(view.name.to_owned(), view.value);
        }
    }
    artifact::tell(file, &reading, format)
}

/// The views asked for, in the order of the help.
fn views(args: &One, file: &Path, heap: &HeapSnapshot) -> Result<Vec<View>, CliError> {
    let mut views = Vec::new();
    if args.histogram {
        let rows = heap.histogram(!args.all && heap.knows_holders()).into_iter();
        let rows = rows.map(|r| ClassInside { class: r.class, objects: r.objects, bytes: r.bytes });
        views.push(heap_views::histogram(&rows.collect::<Vec<_>>()));
    }
    if args.dominators {
        let tree = heap.branches(WIDTH, usize::from(args.depth));
        views.push(heap_views::dominators(&tree, heap.retained().reached_bytes()));
    }
    if let Some(wish) = &args.path {
        let ways = heap.ways(wish);
        if ways.is_empty() {
            return Err(CliError::usage(format!("nothing of that name is reached in {}", file.display()))
                .hint("--histogram names the constructors; @ID is the number that developer tools show"));
        }
        views.push(heap_views::snapshot_ways(&ways));
    }
    if args.strings {
        views.push(heap_views::strings(&heap.duplicates()));
    }
    Ok(views)
}

/// What a snapshot among other artifacts says.
pub(super) fn reading(
    args: &One,
    file: &Path,
    source: &Input,
    context: &Context,
) -> Result<Reading, CliError> {
    let heap = heap(file, source, Options { verify: args.verify })?;
    let report = heap.report(context);
    Ok(Reading::new(&report.head, &report, report.tables()))
}

/// Compares snapshots; only an outline of each is kept.
pub(super) fn diff(args: &DiffArgs, format: Format) -> Result<u8, CliError> {
    let mut series = Vec::new();
    for file in &args.files {
        let source = Input::open(file)?;
        if !matches!(artifact::recognise(file, &source)?, Content::HeapSnapshot) {
            return Err(CliError::usage(format!("{} is of another kind", file.display()))
                .hint("artifacts of one kind are compared"));
        }
        series.push(Outline::of(&heap(file, &source, Options::default())?));
    }
    let (Some(growth), Some(last)) = (growth(&series), args.files.last()) else {
        return Err(CliError::usage("two artifacts or more are compared"));
    };
    artifact::tell(last, &Reading::new(&growth.head, &growth, growth.tables()), format)
}

fn heap(file: &Path, source: &Input, options: Options) -> Result<HeapSnapshot, CliError> {
    let name = file.display();
    let bytes = formats::unpacked(source);
    let bytes = bytes.map_err(|e| CliError::usage(format!("cannot open {name}")).because(e))?;
    heap_snapshot::read(bytes, options, &Bar::new(file)).map_err(|error| match error {
        SnapshotError::Graph(GraphError::Stopped { phase }) => {
            CliError::new(Kind::Usage, format!("reading {name} was stopped in {phase}"))
        }
        e @ SnapshotError::None(_) => CliError::usage(format!("cannot read {name}")).because(e),
        e @ SnapshotError::Graph(_) => CliError::cannot_judge(format!("cannot read {name}")).because(e),
        e @ SnapshotError::Flaw(_) => {
            CliError::new(Kind::Internal, format!("the reading of {name} is wrong")).because(e)
        }
    })
}
