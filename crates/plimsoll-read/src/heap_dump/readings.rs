//! The two readings of a dump: by two threads, each a half of it, where that can be done; else by one.

use std::thread;

use super::halves::{Halves, Progress};
use super::kinds::Kinds;
use super::pack::{self, Lists, Packer};
use super::places::Places;
use super::sizing::{self, SizeChoice, SizeReport};
use super::survey::{Survey, Surveyed};
use super::wiring::{Wired, Wiring};
use super::{HeapDumpError, Source};
use crate::graph::GraphError;
use crate::graph::edges::Graph;
use crate::graph::watch::{Phase, Watch};
use crate::hprof::model::{Limits, Model};
use crate::hprof::open::{Dump, Packing, open};
use crate::hprof::records::{Ending, Summary};
use crate::hprof::visitor::Visitor;
use crate::hprof::warnings::Warning;

pub(super) fn opened<'s>(source: &'s (impl Source + ?Sized)) -> Result<Dump<'s>, HeapDumpError> {
    open(source.open().map_err(HeapDumpError::Io)?).map_err(HeapDumpError::Open)
}

/// Reads to the end.
pub(super) fn scanned(
    dump: Dump<'_>,
    visitor: &mut impl Visitor,
    phase: Phase,
) -> Result<Summary, HeapDumpError> {
    ended(dump.scan(visitor), phase)
}

pub(super) fn ended(summary: Summary, phase: Phase) -> Result<Summary, HeapDumpError> {
    match summary.ending {
        Ending::Stopped { .. } => Err(HeapDumpError::Graph(GraphError::Stopped { phase })),
        _ => Ok(summary),
    }
}

/// The first reading, which gives up where no graph will fit below the ceiling.
pub(super) fn survey(
    source: &(impl Source + ?Sized),
    limits: Limits,
    ceiling: Option<u64>,
    watch: &dyn Watch,
) -> Result<Surveyed, HeapDumpError> {
    let dump = opened(source)?;
    let progress = Progress(Phase::Survey, watch);
    let fresh = || Survey::new(Model::new(dump.header().id_size, limits), ceiling);
    let (mut survey, mut rest) = (fresh(), Survey::beside(ceiling));
    let halves = Halves::of(source, &dump);
    let summary = match halves.and_then(|halves| halves.scan(progress, &mut survey, &mut rest)) {
        Some(summary) => {
            survey.join(rest);
            ended(summary, Phase::Survey)
        }
        None => {
            survey = fresh();
            scanned(dump, &mut (&mut survey, progress), Phase::Survey)
        }
    };
    // Why it gave up comes before that it did.
    let surveyed = survey.finish().map_err(HeapDumpError::Graph)?;
    summary.map(|_| surveyed)
}

/// What the second reading brings.
pub(super) struct Wire {
    pub(super) graph: Graph,
    pub(super) dangling: u64,
    pub(super) kinds: Kinds,
    pub(super) sizes: SizeReport,
    pub(super) places: Option<Places>,
    /// The first object that has the identifier of one before it.
    pub(super) twin: Option<Warning>,
    pub(super) summary: Summary,
}

/// The second reading. A dump that gives identifiers twice is read by one thread: the first one counts.
pub(super) fn wire(
    source: &(impl Source + ?Sized),
    survey: &Surveyed,
    choice: SizeChoice,
    watch: &dyn Watch,
) -> Result<Wire, HeapDumpError> {
    let dump = opened(source)?;
    let halves = Halves::of(source, &dump).filter(|_| survey.is_single);
    match halves.map(|halves| wire_halves(&halves, survey, choice, watch)) {
        Some(Ok(Some(wire))) => Ok(wire),
        Some(Err(error)) => Err(error),
        Some(Ok(None)) | None => wire_whole(dump, survey, choice, watch),
    }
}

/// Two threads read, and each packs what it reads.
fn wire_halves(
    halves: &Halves<'_, impl Source + ?Sized>,
    survey: &Surveyed,
    choice: SizeChoice,
    watch: &dyn Watch,
) -> Result<Option<Wire>, HeapDumpError> {
    let progress = Progress(Phase::Wiring, watch);
    let wiring = || -> Result<Wiring<'_>, GraphError> {
        let packer = Packer::new(&survey.addresses, &survey.hubs)?;
        Ok(Wiring::new(survey, Lists::own(&survey.addresses, packer)))
    };
    let mut first = wiring().map_err(HeapDumpError::Graph)?;
    let mut second = wiring().map_err(HeapDumpError::Graph)?;
    let Some(summary) = halves.scan(progress, &mut first, &mut second) else { return Ok(None) };
    let summary = ended(summary, Phase::Wiring)?;
    let (mut first, mut second) = (first.finish(), second.finish());
    let (Some(ours), Some(theirs)) = (first.packed.take(), second.packed.take()) else { return Ok(None) };
    let (mut ours, theirs) = (ours.map_err(HeapDumpError::Graph)?, theirs.map_err(HeapDumpError::Graph)?);
    let dangling = ours.dangling + theirs.dangling;
    thread::scope(|scope| {
        let graph = thread::Builder::new().spawn_scoped(scope, move || {
            ours.graph.join(theirs.graph);
            ours.graph.finish()
        });
        let graph = graph.map_err(HeapDumpError::Io)?;
        first.join(second);
        let Wired { mut kinds, places, twin, .. } = first;
        let sizes = sized(&mut kinds, survey, choice);
        let graph = graph.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let graph = graph.map_err(HeapDumpError::Graph)?;
        let places = places.finish(survey.addresses.len(), summary.bytes);
        Ok(Some(Wire { graph, dangling, kinds, sizes, places, twin, summary }))
    })
}

/// One thread reads, another packs.
fn wire_whole(
    dump: Dump<'_>,
    survey: &Surveyed,
    choice: SizeChoice,
    watch: &dyn Watch,
) -> Result<Wire, HeapDumpError> {
    let (addresses, hubs) = (&survey.addresses, survey.hubs.as_slice());
    let (lists, taker) = pack::lists(addresses);
    let is_plain = dump.packing() == Packing::Plain;
    thread::scope(|scope| {
        let packer = thread::Builder::new().spawn_scoped(scope, move || {
            let Packer { graph, dangling, .. } = pack::pack(&taker, addresses, hubs)?;
            Ok((graph.finish()?, dangling))
        });
        let packer = packer.map_err(HeapDumpError::Io)?;
        let mut wiring = Wiring::new(survey, lists);
        let summary = scanned(dump, &mut (&mut wiring, Progress(Phase::Wiring, watch)), Phase::Wiring);
        let Wired { mut kinds, places, twin, .. } = wiring.finish();
        // While the last references are packed, there is time for the sizes.
        let sizes = sized(&mut kinds, survey, choice);
        // The packer's reason to give up comes before what it led to.
        let packed = packer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (graph, dangling) = packed.map_err(HeapDumpError::Graph)?;
        let summary = summary?;
        let places = places.finish(addresses.len(), summary.bytes).filter(|_| is_plain);
        Ok(Wire { graph, dangling, kinds, sizes, places, twin, summary })
    })
}

fn sized(kinds: &mut Kinds, survey: &Surveyed, choice: SizeChoice) -> SizeReport {
    let Surveyed { model, layouts, addresses, sizes, .. } = survey;
    sizing::size(kinds, addresses, model, layouts, *sizes, choice)
}
