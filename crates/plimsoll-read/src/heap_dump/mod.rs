//! A Java heap dump as a graph with dominators, in two readings of the same bytes.
//!
//! The first reading finds classes, roots and addresses; the second turns addresses into numbers and keeps who refers to
//! whom. An object refers to its class, a class to its superclass, its loader and its static fields, and a thread to what
//! its stack holds: so a retained size answers "what goes when this goes".
//!
//! To use it from another program, give [`read`] the bytes and a [`Watch`], which is told how far each phase has come and
//! may stop it; then ask [`report::report`] for the verdict, or the modules beside it for details:
//!
//! ```
//! use std::ops::ControlFlow;
//! use plimsoll_read::graph::watch::Phase;
//! use plimsoll_read::heap_dump::{self, Options, report::report};
//! # use plimsoll_read::hprof::{open::IdSize, visitor::{Root, RootKind, Type}, write::{ClassSpec, Heap, Writer}};
//! # fn dump() -> std::io::Result<Vec<u8>> {
//! #     let mut dump = Writer::new(Vec::new(), "1.0.2", IdSize::Eight, 0)?;
//! #     dump.text(1, "com/example/Cache")?;
//! #     dump.text(2, "ALL")?;
//! #     dump.load_class(1, 0x100, 1)?;
//! #     let class = ClassSpec { id: 0x100, statics: &[(2, Type::Object, 0x200)], ..ClassSpec::default() };
//! #     let sticky = Root { at: 0, kind: RootKind::StickyClass, id: 0x100, thread: 0, frame: 0 };
//! #     let thread = Root { kind: RootKind::ThreadObject, id: 0x300, ..sticky };
//! #     let heap = Heap::new(IdSize::Eight).class(&class).root(&sticky).root(&thread);
//! #     dump.segment(&heap.primitive_array(0x200, Type::Byte, &[0; 4000]).instance(0x300, 0x100, &[]))?;
//! #     dump.end()?;
//! #     Ok(dump.into_inner())
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//!
//! let bytes: Vec<u8> = dump()?;
//! // Bytes of the file while it is read, objects after that; `Break` would end the work.
//! let watch = |phase: Phase, done: u64, total: u64| {
//!     eprintln!("{phase}: {done} of {total}");
//!     ControlFlow::Continue(())
//! };
//! let heap = heap_dump::read(bytes.as_slice(), Options::default(), &watch)?;
//! assert!(heap.is_whole());
//! let verdict = report(&heap, bytes.as_slice(), &watch)?;
//! let suspect = verdict.suspects.first().ok_or("nothing is large")?;
//! assert_eq!(suspect.path.owner.to_string(), "com.example.Cache.ALL");
//! assert!(suspect.retained >= 4000 && suspect.share > 0.9);
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::io;

use plimsoll_core::units;

use crate::graph::GraphError;
use crate::graph::address::AddressRank;
use crate::graph::dominators::Dominators;
use crate::graph::edges::Graph;
use crate::graph::retained::Retained;
use crate::graph::spill::{Spill, Spilling};
use crate::graph::verify::{Flaw, verify};
use crate::graph::walk::Walk;
use crate::graph::watch::Watch;
use crate::hprof::layout::Layouts;
use crate::hprof::model::{Limits, Model};
use crate::hprof::open::OpenError;
use crate::hprof::records::{Ending, Summary};
use crate::hprof::shallow::Sizes;
use crate::hprof::visitor::{RootKind, Type};

mod caches;
mod climb;
mod collections;
mod contradictions;
mod fetch;
mod fields;
pub mod growth;
mod halves;
mod inside;
mod kinds;
mod lost;
mod pack;
pub mod paths;
mod places;
mod readings;
pub mod report;
mod roots;
pub mod scant;
mod sizing;
mod skeleton;
mod source;
pub mod strings;
mod survey;
mod suspects;
pub mod threads;
pub mod tree;
pub mod usage;
mod view;
mod wiring;

pub use climb::{Owner, Path, Step};
pub use collections::{Bound, Collection};
use contradictions::Contradictions;
pub use inside::ClassInside;
use kinds::Kinds;
use places::Places;
use readings::{Wire, opened, scanned, survey, wire};
pub use roots::{Local, RootedBy, Roots};
pub use sizing::{SizeChoice, SizeReport};
pub(crate) use skeleton::Skeleton;
pub use source::Source;
use survey::Surveyed;

/// Why a dump could not be made into a graph.
#[derive(Debug, thiserror::Error)]
pub enum HeapDumpError {
    /// It could not be opened (again).
    #[error("failed to open the heap dump")]
    Io(#[source] io::Error),
    /// It is none.
    #[error("failed to read the heap dump")]
    Open(#[source] OpenError),
    /// It does not fit, or the work was stopped.
    #[error("failed to build the heap graph")]
    Graph(#[source] GraphError),
    /// The graph would take more memory than may be used.
    #[error("failed to stay within {ceiling} bytes: the graph of {objects} objects needs about {needed}{}", .unspilled.as_ref().map(|why| format!(", and {why}")).unwrap_or_default())]
    Memory {
        /// Bytes that it would take.
        needed: u64,
        /// Bytes that it may take.
        ceiling: u64,
        /// Objects in the dump.
        objects: u32,
        /// Why no disk took what is beyond, where that was asked for.
        unspilled: Option<String>,
    },
    /// The dominators are not those of the graph: a fault of this program.
    #[error("failed to certify the dominators")]
    Flaw(#[source] Flaw),
}

/// How to read a dump.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Memory that names and classes may take.
    pub limits: Limits,
    /// Check the dominators against the graph by an algorithm of its own. Costs as much again, and more memory.
    pub verify: bool,
    /// Where the sizes of objects come from.
    pub sizes: SizeChoice,
    /// Memory that may be used at most, bytes; more than that is spilled, or refused before it is taken.
    pub memory: Option<u64>,
    /// Who lets large tables lie on a disk when memory does not suffice.
    pub spill: Option<&'a dyn Spill>,
}

/// Bytes that an object takes at the highest, as measured on dumps of 27 and of 143 million objects, and a tenth more.
const BYTES_AN_OBJECT: u64 = 20;
/// Bytes taken by whatever size of dump. Small ones take half of it; the rest is address space that is never touched.
const FIXED: u64 = 48 << 20;
/// Bytes an object that are touched all the time, in no order: with less of them in memory than this, a disk is of no use.
const TOUCHED_AN_OBJECT: u64 = 5;

/// A heap with who holds whom.
#[derive(Debug)]
pub struct HeapDump {
    /// Classes, names, stacks.
    pub model: Model,
    /// Where references lie in instances.
    pub layouts: Layouts,
    /// What the second reading ended with.
    pub summary: Summary,
    /// Where the search for what is alive began.
    pub roots: Roots,
    /// Widths that sizes follow from.
    pub sizes: Sizes,
    /// Where the sizes came from.
    pub size_report: SizeReport,
    /// References between objects.
    pub references: u64,
    /// References to addresses at which the dump has no object: many in one that was cut.
    pub dangling: u64,
    /// What the dump says and cannot be so.
    contradictions: Contradictions,
    /// Memory that may be used at most, bytes.
    ceiling: Option<u64>,
    addresses: AddressRank,
    kinds: Kinds,
    places: Option<Places>,
    tree: Dominators,
    retained: Retained,
}

/// Reads a dump twice.
///
/// # Errors
/// [`HeapDumpError`]: not opened, no heap dump, too many objects, or stopped by the watch. A damaged or cut dump
/// is no error: [`HeapDump::summary`] and [`HeapDump::roots`] tell.
pub fn read(
    source: &(impl Source + ?Sized),
    options: Options<'_>,
    watch: &dyn Watch,
) -> Result<HeapDump, HeapDumpError> {
    let mut room = Room { options, needed: 0, objects: 0 };
    let built = build(source, &mut room, &Spilling { watch, spill: options.spill });
    // A full disk stops the work by the watch.
    let full = options.spill.and_then(|spill| spill.step().err());
    match (built, full) {
        (Err(HeapDumpError::Graph(GraphError::Stopped { .. })), Some(why)) => Err(room.refused(Some(why))),
        (built, _) => built,
    }
}

/// Memory for a dump.
struct Room<'a> {
    options: Options<'a>,
    needed: u64,
    objects: u32,
}

impl Room<'_> {
    /// Makes room for the graph: in memory where it suffices, else on a disk.
    fn make(&mut self, survey: &Surveyed) -> Result<(), HeapDumpError> {
        self.objects = survey.addresses.len();
        let objects = u64::from(self.objects);
        let kept = FIXED + (survey.model.memory() + survey.addresses.bytes()) as u64;
        self.needed = kept.max(FIXED + survey.model.memory() as u64 + BYTES_AN_OBJECT * objects);
        let Some(ceiling) = self.options.memory.filter(|ceiling| self.needed > *ceiling) else {
            return Ok(());
        };
        let Some(spill) = self.options.spill else { return Err(self.refused(None)) };
        let least = kept + TOUCHED_AN_OBJECT * objects;
        if least > ceiling {
            let why = format!("at least {} of it must lie in memory", units::bytes(least as f64));
            return Err(self.refused(Some(why)));
        }
        spill.begin(self.needed - kept).map_err(|why| self.refused(Some(why)))
    }

    /// The first reading alone takes more than there is: so many objects were met by then.
    fn outgrown(&mut self, objects: u32) -> HeapDumpError {
        // Scattered objects take more than those of a heap.
        let least = self.options.memory.unwrap_or(0);
        (self.objects, self.needed) = (objects, least.max(FIXED + BYTES_AN_OBJECT * u64::from(objects)));
        self.refused(self.options.spill.map(|_| "what must lie in memory alone is more than that".to_owned()))
    }

    fn refused(&self, unspilled: Option<String>) -> HeapDumpError {
        let ceiling = self.options.memory.unwrap_or(u64::MAX);
        HeapDumpError::Memory { needed: self.needed, ceiling, objects: self.objects, unspilled }
    }
}

fn build(
    source: &(impl Source + ?Sized),
    room: &mut Room<'_>,
    watch: &dyn Watch,
) -> Result<HeapDump, HeapDumpError> {
    let options = room.options;
    let survey = match survey(source, options.limits, options.memory, watch) {
        Err(HeapDumpError::Graph(GraphError::NoMemory { objects })) => return Err(room.outgrown(objects)),
        survey => survey?,
    };
    room.make(&survey)?;
    let objects = room.objects;
    let wired = wire(source, &survey, options.sizes, watch)?;
    let Wire { graph, dangling, kinds, sizes: size_report, places, twin, summary } = wired;
    let references = graph.references();
    let Surveyed { model, layouts, sizes, addresses, start, .. } = survey;
    let contradictions = Contradictions::of(&model, &layouts, &summary, objects, twin);
    let is_sound = summary.is_complete() && layouts.warnings().count() == 0;
    let (roots, first) = start.settle(&model, &addresses, &graph, is_sound);
    let (tree, retained) = dominated(graph, &first, |object| kinds.bytes(object), options.verify, watch)?;
    Ok(HeapDump {
        model,
        layouts,
        summary,
        roots,
        sizes,
        size_report,
        references,
        dangling,
        contradictions,
        ceiling: options.memory,
        addresses,
        kinds,
        places,
        tree,
        retained,
    })
}

/// Dominators and retained sizes. The graph goes as soon as it has been walked: it is what takes most memory.
fn dominated(
    graph: Graph,
    roots: &[u32],
    shallow: impl Fn(u32) -> u64 + Sync,
    certify: bool,
    watch: &dyn Watch,
) -> Result<(Dominators, Retained), HeapDumpError> {
    let walk = Walk::new(&graph, roots, watch).map_err(HeapDumpError::Graph)?;
    let kept = certify.then_some(graph);
    let tree = Dominators::new(walk, watch).map_err(HeapDumpError::Graph)?;
    if let Some(graph) = kept {
        verify(&graph, roots, &tree, watch).map_err(HeapDumpError::Flaw)?;
    }
    let retained = tree.retained(shallow, watch).map_err(HeapDumpError::Graph)?;
    Ok((tree, retained))
}

impl HeapDump {
    /// Objects in the dump, reachable or not.
    pub fn objects(&self) -> u32 {
        self.addresses.len()
    }

    /// Whether the dump is there to its end, with its roots, and does not contradict itself.
    pub fn is_whole(&self) -> bool {
        self.summary.is_complete() && self.roots != Roots::Guessed && self.contradictions.count == 0
    }

    /// How often the dump says what cannot be so: identifiers given twice, a class that is its own ancestor, names that
    /// are not there.
    pub fn contradictions(&self) -> u64 {
        self.contradictions.count
    }

    /// What is wrong with the dump, by offset: the first ones of each kind.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = self.summary.warnings.kept().to_vec();
        all.extend(&self.contradictions.found);
        all.sort_by_key(|warning| warning.at);
        all.iter().map(ToString::to_string).chain(self.contradictions.twins.clone()).collect()
    }

    /// Whether it is there to its end, with its roots, and damage took at most a hundredth of it: shares of the heap are
    /// as good as those of a whole one, only a holder may be gone.
    pub fn is_nearly_whole(&self) -> bool {
        let summary = &self.summary;
        let lost = summary.damage.bytes.saturating_mul(100);
        matches!(summary.ending, Ending::Complete) && self.roots != Roots::Guessed && lost <= summary.bytes
    }

    /// Who dominates whom.
    pub fn tree(&self) -> &Dominators {
        &self.tree
    }

    /// What goes with each object, bytes.
    pub fn retained(&self) -> &Retained {
        &self.retained
    }

    /// The number of the object at an address.
    pub fn object_at(&self, address: u64) -> Option<u32> {
        self.addresses.index_of(address)
    }

    /// The address of an object.
    pub fn address_of(&self, object: u32) -> Option<u64> {
        self.addresses.address_of(object)
    }

    /// Bytes of the object itself.
    pub fn shallow(&self, object: u32) -> u64 {
        self.kinds.bytes(object)
    }

    /// The class of an object: `java.lang.String`, `byte[]`, `com.example.Order[]`.
    pub fn class_name(&self, object: u32) -> String {
        self.name_of(self.kinds.class(object))
    }

    /// Index of its class among the model's, or behind them a code for arrays of numbers.
    fn class_index(&self, object: u32) -> u32 {
        self.kinds.class(object)
    }

    /// Objects by class, by their own bytes, most first: all, or those that a root reaches.
    pub fn histogram(&self, only_reachable: bool) -> Vec<ClassInside> {
        let mut rows: HashMap<u32, (u64, u64)> = HashMap::new();
        for (class, size, objects) in
            self.kinds.counted(|object| !only_reachable || self.tree.is_reached(object))
        {
            let row = rows.entry(class).or_default();
            row.0 += objects;
            row.1 = row.1.saturating_add(size.saturating_mul(objects));
        }
        let mut rows: Vec<ClassInside> = rows
            .into_iter()
            .map(|(class, (objects, bytes))| ClassInside { class: self.name_of(class), objects, bytes })
            .collect();
        rows.sort_unstable_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.class.cmp(&b.class)));
        rows
    }

    /// Whether an object is a thread.
    fn is_thread(&self, object: u32) -> bool {
        let root = self.roots.rooted(object);
        root.is_some_and(|root| root.kind == RootKind::ThreadObject)
            || self.descends_from(self.class_index(object), "java.lang.Thread")
    }

    /// Whether an object is a class itself.
    fn is_class(&self, object: u32) -> bool {
        self.address_of(object).is_some_and(|address| self.model.index(address).is_some())
    }

    /// Name of a class by its code: an index among the model's classes, or behind them a kind of arrays of numbers.
    fn name_of(&self, code: u32) -> String {
        let classes = self.model.classes();
        if let Some(class) = classes.get(code as usize) {
            return self.model.class_name(class.id).unwrap_or_else(|| format!("class at {:#x}", class.id));
        }
        let ty = u8::try_from(code.wrapping_sub(classes.len() as u32)).ok().and_then(Type::of);
        ty.map_or_else(|| "(class not in the dump)".to_owned(), |ty| format!("{}[]", ty.name()))
    }

    /// What a person would call an object: `class Cache` for a class itself, else its class.
    pub fn label(&self, object: u32) -> String {
        let itself = self.address_of(object).and_then(|a| self.model.class_of(a));
        match itself.and_then(|c| self.model.class_name(c.id)) {
            Some(name) => format!("class {name}"),
            None => self.class_name(object),
        }
    }
}
