//! A V8 heap snapshot (`.heapsnapshot` of Node.js, Chrome, Deno) as a graph with dominators, in one reading.
//!
//! Names come last in the file, so nodes and edges are kept as numbers and named at the end; a file that was cut
//! lacks names first, then edges. Retained sizes follow what Chrome's developer tools count: weak references do not
//! hold, and the pair of a WeakMap is held by its key.

use std::borrow::Cow;
use std::io::Read;

use crate::graph::GraphError;
use crate::graph::dominators::Dominators;
use crate::graph::edges::{Graph, GraphBuilder};
use crate::graph::retained::Retained;
use crate::graph::verify::{Flaw, verify};
use crate::graph::walk::Walk;
use crate::graph::watch::{Phase, Watch};

mod advice;
mod bound;
mod climb;
mod count;
pub mod growth;
mod json;
mod names;
pub mod report;
mod suspects;
mod table;
mod views;

pub use climb::Step;
pub use count::{ClassRow, Counts};
use json::{Broken, Scanner};
use names::DETACHED;
use table::{Edge, Edges, Layout, Nodes, Rows, Strings};
pub use table::{EdgeKind, NodeKind};
pub use views::Way;

/// Bytes of `snapshot` kept.
const META: usize = 1 << 20;
/// Bytes of a text that is put together from its parts, and parts that are looked at.
const TEXT: usize = 160;
const PARTS: usize = 64;
/// Bytes of a string looked at.
const LOOKED_AT: usize = 4096;
/// The engine's tables of strings.
const WEAK_TABLES: &[&str] = &["(External strings)", "(Internalized strings)"];
/// Rows that room is made for by what a file claims; more come as they come.
const CLAIMED: u64 = 1 << 26;

/// Why a snapshot could not be made into a graph.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is none, or cut before the first node.
    #[error("failed to find a heap snapshot: {0}")]
    None(&'static str),
    /// It does not fit, or the work was stopped.
    #[error("failed to build the heap graph")]
    Graph(#[source] GraphError),
    /// The dominators are not those of the graph: a fault of this program.
    #[error("failed to certify the dominators")]
    Flaw(#[source] Flaw),
}

/// How to read a snapshot.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Check the dominators against the graph by an algorithm of its own. Costs as much again, and more memory.
    pub verify: bool,
}

/// A heap with who holds whom.
#[derive(Debug)]
pub struct HeapSnapshot {
    nodes: Nodes,
    edges: Edges,
    strings: Strings,
    locations: Vec<Location>,
    bytes: u64,
    missing: Missing,
    tree: Dominators,
    retained: Retained,
}

/// Where a function was written.
#[derive(Debug, Clone, Copy)]
struct Location {
    node: u32,
    script: u32,
    line: u32,
}

/// What a file lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Missing {
    /// Why it is not whole.
    why: Option<String>,
    /// Whether references are: nothing is known of who holds what then.
    edges: bool,
    /// Whether names are.
    names: bool,
}

/// Whether a file that begins so may be a heap snapshot. Older developer tools write a title in front of `meta`.
pub fn looks_like(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head.get(..head.len().min(4096)).unwrap_or_default());
    let mut rest = head.trim_start_matches('\u{feff}').trim_start();
    ["{", "\"snapshot\"", ":", "{"].iter().all(|token| match rest.strip_prefix(token) {
        Some(after) => {
            rest = after.trim_start();
            true
        }
        None => false,
    }) && (rest.starts_with("\"meta\"") || rest.contains("\"meta\"") && rest.contains("\"node_fields\""))
}

/// What the file holds, before it is a graph.
#[derive(Default)]
struct Content {
    layout: Option<Layout>,
    nodes: Nodes,
    edges: Edges,
    strings: Strings,
    locations: Vec<Location>,
    whole_edges: bool,
    whole_strings: bool,
}

/// Reads a snapshot once, from its begin.
///
/// # Errors
/// [`SnapshotError`]: no snapshot, too many nodes, or stopped by the watch. One that is cut or damaged is no error:
/// [`HeapSnapshot::truncated`] tells.
pub fn read(from: impl Read, options: Options, watch: &dyn Watch) -> Result<HeapSnapshot, SnapshotError> {
    let mut scanner = Scanner::new(Watched { from, watch, done: 0, is_stopped: false });
    let mut content = Content::default();
    let ending = content.scan(&mut scanner);
    if scanner.source().is_stopped {
        return Err(SnapshotError::Graph(GraphError::Stopped { phase: Phase::Survey }));
    }
    if content.layout.is_none() {
        return Err(SnapshotError::None("it does not say what its nodes and edges are"));
    }
    if content.nodes.len() == 0 {
        return Err(SnapshotError::None("it has no nodes"));
    }
    let missing = content.missing(ending);
    let bytes = scanner.offset();
    let Content { nodes, edges, strings, locations, .. } = content;
    let graph = graph(&nodes, &edges, &strings).map_err(SnapshotError::Graph)?;
    let (tree, retained) = dominated(graph, &nodes, options.verify, watch)?;
    Ok(HeapSnapshot { nodes, edges, strings, locations, bytes, missing, tree, retained })
}

/// Tells the watch what was read.
struct Watched<'w, R> {
    from: R,
    watch: &'w dyn Watch,
    done: u64,
    is_stopped: bool,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(to)?;
        self.done += count as u64;
        self.is_stopped |= self.watch.step(Phase::Survey, self.done, 0).is_break();
        Ok(if self.is_stopped { 0 } else { count })
    }
}

impl Content {
    /// The object of the whole file.
    fn scan(&mut self, scanner: &mut Scanner<impl Read>) -> Result<(), Broken> {
        scanner.take(b'{')?;
        let mut key = Vec::new();
        while !scanner.took(b'}')? {
            scanner.string(&mut key, 64)?;
            scanner.take(b':')?;
            match (key.as_slice(), self.layout.clone()) {
                (b"snapshot", _) => self.snapshot(scanner)?,
                (b"nodes", Some(layout)) => self.nodes(scanner, &layout)?,
                (b"edges", Some(layout)) => self.edges(scanner, &layout)?,
                (b"locations", Some(layout)) => self.locations(scanner, &layout)?,
                (b"strings", _) => self.strings(scanner)?,
                _ => scanner.value(|_| ())?,
            }
            scanner.took(b',')?;
        }
        Ok(())
    }

    fn snapshot(&mut self, scanner: &mut Scanner<impl Read>) -> Result<(), Broken> {
        let mut meta = Vec::new();
        scanner.value(|byte| {
            if meta.len() < META {
                meta.push(byte);
            }
        })?;
        self.layout = Layout::of(&meta);
        if self.layout.is_some() { Ok(()) } else { Err(Broken::Damaged) }
    }

    fn nodes(&mut self, scanner: &mut Scanner<impl Read>, layout: &Layout) -> Result<(), Broken> {
        self.nodes.reserve(layout.nodes.unwrap_or(0).min(CLAIMED) as usize);
        let (mut rows, nodes) = (Rows::new(layout.node_width), &mut self.nodes);
        scanner.numbers(|number| rows.push(number).is_none_or(|row| nodes.push(layout, row)))?;
        if rows.is_even() { Ok(()) } else { Err(Broken::Damaged) }
    }

    fn edges(&mut self, scanner: &mut Scanner<impl Read>, layout: &Layout) -> Result<(), Broken> {
        self.edges.reserve(layout.edges.unwrap_or(0).min(CLAIMED) as usize);
        let (mut rows, edges) = (Rows::new(layout.edge_width), &mut self.edges);
        scanner.numbers(|number| rows.push(number).is_none_or(|row| edges.push(layout, row)))?;
        self.whole_edges = rows.is_even() && self.edges.len() as u64 >= self.nodes.claimed();
        if self.whole_edges { Ok(()) } else { Err(Broken::Damaged) }
    }

    /// Rows of node, script, line and column.
    fn locations(&mut self, scanner: &mut Scanner<impl Read>, layout: &Layout) -> Result<(), Broken> {
        let (mut rows, width) = (Rows::new(layout.location_width), layout.node_width.max(1) as u64);
        scanner.numbers(|number| {
            if let Some([node, script, line, ..]) = rows.push(number)
                && let (Ok(node), Ok(script), Ok(line)) =
                    (u32::try_from(node / width), u32::try_from(*script), u32::try_from(*line))
            {
                self.locations.push(Location { node, script, line });
            }
            true
        })?;
        self.locations.sort_by_key(|location| location.node);
        Ok(())
    }

    fn strings(&mut self, scanner: &mut Scanner<impl Read>) -> Result<(), Broken> {
        scanner.take(b'[')?;
        let mut text = Vec::new();
        while !scanner.took(b']')? {
            scanner.string(&mut text, LOOKED_AT)?;
            self.strings.push(&text);
            scanner.took(b',')?;
        }
        self.whole_strings = true;
        Ok(())
    }

    /// What is not there, in words.
    fn missing(&self, ending: Result<(), Broken>) -> Missing {
        let how = match ending {
            Ok(()) => "",
            Err(Broken::Cut) => "the file is cut",
            Err(Broken::Damaged) => "the file is damaged",
        };
        let claimed = self.layout.as_ref().and_then(|layout| layout.nodes).unwrap_or(0);
        let nodes = u64::from(self.nodes.len());
        let astray = self.edges.astray(self.nodes.len());
        let what = if nodes < claimed {
            format!("{nodes} of {claimed} nodes are there, and no references and names")
        } else if !self.whole_edges {
            let (there, all) = (self.edges.len(), self.nodes.claimed());
            format!("all {nodes} nodes are there, {there} of {all} references, and no names")
        } else if astray > 0 {
            format!("{astray} of {} references lead to no node", self.edges.len())
        } else if !self.whole_strings {
            format!("nodes and references are all there, and the first {} names", self.strings.len())
        } else {
            "what comes behind the names is missing".to_owned()
        };
        let is_whole =
            astray == 0 && ending.is_ok() && self.whole_edges && self.whole_strings && nodes >= claimed;
        let how = match how {
            "" if astray > 0 => "the file is damaged",
            "" => "the file lacks a part",
            how => how,
        };
        Missing {
            why: (!is_whole).then(|| format!("{how}: {what}")),
            edges: !self.whole_edges || nodes < claimed,
            names: !self.whole_strings,
        }
    }
}

/// The graph of what keeps alive.
fn graph(nodes: &Nodes, edges: &Edges, strings: &Strings) -> Result<Graph, GraphError> {
    let mut builder = GraphBuilder::new(nodes.len(), &[])?;
    let mut targets = Vec::new();
    for node in 0..nodes.len() {
        let held = edges.of(nodes.edges(node)).filter(|edge| holds(nodes, strings, node, edge));
        targets.clear();
        targets.extend(held.map(|edge| edge.to));
        builder.append(node, &targets)?;
    }
    builder.finish()
}

/// Whether a node is one of the engine's tables of strings. They hold nothing: older engines (up to Node.js 24) write their
/// references as if they did.
fn is_weak_table(nodes: &Nodes, strings: &Strings, node: u32) -> bool {
    let is_one = |name: Cow<'_, str>| WEAK_TABLES.contains(&&*name);
    nodes.kind(node) == NodeKind::Synthetic && strings.get(nodes.name(node)).is_some_and(is_one)
}

/// Whether an edge keeps its target alive.
fn holds(nodes: &Nodes, strings: &Strings, from: u32, edge: &Edge) -> bool {
    match edge.kind {
        _ if edge.to >= nodes.len() => false,
        EdgeKind::Weak => false,
        _ if is_weak_table(nodes, strings, from) => false,
        EdgeKind::Shortcut => from == 0,
        // The table and the key both have it: the value goes when the key does.
        EdgeKind::Internal => strings.ephemerons.get(&edge.name).is_none_or(|table| *table != nodes.id(from)),
        _ => true,
    }
}

/// Dominators and retained sizes below the first node, which is the root of all.
fn dominated(
    graph: Graph,
    nodes: &Nodes,
    certify: bool,
    watch: &dyn Watch,
) -> Result<(Dominators, Retained), SnapshotError> {
    let walk = Walk::new(&graph, &[0], watch).map_err(SnapshotError::Graph)?;
    let kept = certify.then_some(graph);
    let tree = Dominators::new(walk, watch).map_err(SnapshotError::Graph)?;
    if let Some(graph) = kept {
        verify(&graph, &[0], &tree, watch).map_err(SnapshotError::Flaw)?;
    }
    let retained = tree.retained(|node| nodes.size(node), watch).map_err(SnapshotError::Graph)?;
    Ok((tree, retained))
}

impl HeapSnapshot {
    /// Nodes in the snapshot.
    pub fn nodes(&self) -> u32 {
        self.nodes.len()
    }

    /// References in the snapshot, weak ones included.
    pub fn references(&self) -> u64 {
        self.edges.len() as u64
    }

    /// Why it is not whole, if it is not.
    pub fn truncated(&self) -> Option<&str> {
        self.missing.why.as_deref()
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the snapshot says that a node is detached from the document it was part of.
    pub fn is_detached(&self, node: u32) -> bool {
        self.nodes.is_detached(node)
            || self.kind(node) == NodeKind::Native
                && self.name(node).is_some_and(|name| name.starts_with(DETACHED))
    }

    /// Where a function was written: script id and line, from 1.
    pub fn location(&self, node: u32) -> Option<(u32, u32)> {
        let at = self.locations.binary_search_by_key(&node, |location| location.node).ok()?;
        self.locations.get(at).map(|location| (location.script, location.line.saturating_add(1)))
    }

    /// Who dominates whom.
    pub fn tree(&self) -> &Dominators {
        &self.tree
    }

    /// What goes with each node, bytes.
    pub fn retained(&self) -> &Retained {
        &self.retained
    }

    /// The node that the engine knows by an id (`@123`).
    pub fn with_id(&self, id: u32) -> Option<u32> {
        self.nodes.with_id(id)
    }

    /// Bytes of the node itself.
    pub fn shallow(&self, node: u32) -> u64 {
        self.nodes.size(node)
    }

    /// What a node is.
    pub fn kind(&self, node: u32) -> NodeKind {
        self.nodes.kind(node)
    }

    /// Its name as the snapshot has it, its first 160 bytes: a constructor, a function, a string's text.
    pub fn name(&self, node: u32) -> Option<Cow<'_, str>> {
        self.strings.get(self.nodes.name(node))
    }

    /// The text of a string, its first [`TEXT`] bytes: of one that was put together, that of its parts in order.
    pub fn text(&self, node: u32) -> String {
        let (mut out, mut open, mut parts) = (String::new(), vec![node], 0);
        while let Some(node) = open.pop().filter(|_| out.len() < TEXT && parts < PARTS) {
            parts += 1;
            if self.kind(node) != NodeKind::Concatenated {
                out.push_str(&self.name(node).unwrap_or_default());
                continue;
            }
            let part = |wanted: &str| {
                let is_it = |edge: &Edge| self.strings.get(edge.name).as_deref() == Some(wanted);
                self.edges_of(node).find(is_it).map(|edge| edge.to)
            };
            open.extend(part("second"));
            open.extend(part("first"));
        }
        out.truncate(out.floor_char_boundary(TEXT));
        out
    }
}
