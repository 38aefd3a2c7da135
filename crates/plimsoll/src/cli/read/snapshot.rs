//! A V8 heap snapshot: who holds the heap, and what to do about it.

use std::path::Path;

use plimsoll_read::formats::{self, Reading};
use plimsoll_read::graph::GraphError;
use plimsoll_read::heap_snapshot::growth::{Outline, growth};
use plimsoll_read::heap_snapshot::report::table;
use plimsoll_read::heap_snapshot::{self, HeapSnapshot, Options, SnapshotError};
use plimsoll_read::reading::Context;

use super::artifact::{self, Content};
use super::heap::Bar;
use super::input::Input;
use super::{DiffArgs, One};
use crate::error::{CliError, Kind};
use crate::output::Format;

/// What it is called in JSON.
pub(super) const KIND: &str = "heapsnapshot";
/// Constructors shown by `--histogram`.
const CLASSES: usize = 100;

/// Reads the snapshot and shows what it says.
pub(super) fn run(args: &One, file: &Path, source: &Input, format: Format) -> Result<u8, CliError> {
    args.only_of_java(file)?;
    let reading = reading(args, file, source, &args.known.context())?;
    artifact::tell(file, &reading, format)
}

/// What a snapshot says, by itself or among other artifacts.
pub(super) fn reading(
    args: &One,
    file: &Path,
    source: &Input,
    context: &Context,
) -> Result<Reading, CliError> {
    let heap = heap(file, source, Options { verify: args.verify })?;
    let report = heap.report(context);
    let mut tables = report.tables();
    if args.histogram {
        tables.truncate(1);
        tables.push(table("Constructors, by their own bytes", &heap.histogram(!args.all), CLASSES));
    }
    Ok(Reading::new(&report.head, &report, tables))
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
