//! What a snapshot holds, as columns: its nodes, its edges in the order of their nodes, its strings clipped.

use std::collections::HashMap;

use serde_json::Value;

/// Bytes that a process can have: no node is larger.
const ADDRESSABLE: u64 = 1 << 47;
/// Bytes kept of a string.
pub(super) const CLIP: usize = 160;
/// Bytes kept of all strings together; later ones are told to be missing.
const TEXT: usize = 1 << 29;
/// Set in a node's kind when the snapshot says that it is detached.
const DETACHED: u8 = 0x80;
/// Bits of an edge's label that hold its name or index.
const NAME_BITS: u32 = 29;
/// Mask of those.
const NAME: u32 = (1 << NAME_BITS) - 1;
/// Fields that a node or edge has at most; the format has 7 and 3.
const FIELDS: usize = 16;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NodeKind {
    /// Of the engine itself.
    Hidden,
    /// Storage of an array, map or object.
    Array,
    /// A string.
    String,
    /// An object with a constructor.
    Object,
    /// Compiled code and what belongs to it.
    Code,
    /// A function.
    Closure,
    /// A regular expression.
    RegExp,
    /// A number in the heap.
    Number,
    /// Memory outside the JavaScript heap.
    Native,
    /// A root, or a group of them.
    Synthetic,
    /// Two strings put together.
    Concatenated,
    /// A part of another string, which it keeps.
    Sliced,
    /// A symbol.
    Symbol,
    /// A big integer.
    BigInt,
    /// The layout that objects share.
    Shape,
    /// One that this version does not know.
    Other,
}

/// Kinds by the names that snapshots give them.
const NODE_KINDS: [(&str, NodeKind); 16] = [
    ("hidden", NodeKind::Hidden),
    ("array", NodeKind::Array),
    ("string", NodeKind::String),
    ("object", NodeKind::Object),
    ("code", NodeKind::Code),
    ("closure", NodeKind::Closure),
    ("regexp", NodeKind::RegExp),
    ("number", NodeKind::Number),
    ("native", NodeKind::Native),
    ("synthetic", NodeKind::Synthetic),
    ("concatenated string", NodeKind::Concatenated),
    ("sliced string", NodeKind::Sliced),
    ("symbol", NodeKind::Symbol),
    ("bigint", NodeKind::BigInt),
    ("object shape", NodeKind::Shape),
    ("other", NodeKind::Other),
];

impl NodeKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        NODE_KINDS.iter().find(|(_, kind)| *kind == self).map_or("other", |(name, _)| name)
    }

    pub(super) fn of(code: u8) -> NodeKind {
        NODE_KINDS.get(usize::from(code)).map_or(NodeKind::Other, |(_, kind)| *kind)
    }
}

/// How a node refers to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeKind {
    /// By a variable of a function's context.
    Context,
    /// By an index.
    Element,
    /// By a property.
    Property,
    /// By something of the engine, with a name.
    Internal,
    /// By something of the engine, with a number.
    Hidden,
    /// A shorter way for a person to look at.
    Shortcut,
    /// Not keeping it alive.
    Weak,
}

/// Kinds by the names that snapshots give them.
const EDGE_KINDS: [(&str, EdgeKind); 7] = [
    ("context", EdgeKind::Context),
    ("element", EdgeKind::Element),
    ("property", EdgeKind::Property),
    ("internal", EdgeKind::Internal),
    ("hidden", EdgeKind::Hidden),
    ("shortcut", EdgeKind::Shortcut),
    ("weak", EdgeKind::Weak),
];

/// Where each field of a node and an edge lies, as the snapshot's `meta` says.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) node_width: usize,
    node: NodeAt,
    pub(super) edge_width: usize,
    edge: EdgeAt,
    node_kinds: Vec<u8>,
    edge_kinds: Vec<u8>,
    pub(super) location_width: usize,
    /// Nodes and edges claimed.
    pub(super) nodes: Option<u64>,
    pub(super) edges: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct NodeAt {
    kind: usize,
    name: usize,
    id: usize,
    size: usize,
    edges: usize,
    detached: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct EdgeAt {
    kind: usize,
    name: usize,
    to: usize,
}

impl Layout {
    /// From the value of `snapshot`.
    pub(super) fn of(snapshot: &[u8]) -> Option<Layout> {
        let snapshot: Value = serde_json::from_slice(snapshot).ok()?;
        let meta = snapshot.get("meta")?;
        let list = |name: &str| meta.get(name).and_then(Value::as_array);
        let at = |name: &str, field: &str| list(name)?.iter().position(|f| f.as_str() == Some(field));
        let node = |field: &str| at("node_fields", field);
        let edge = |field: &str| at("edge_fields", field);
        let kinds = |name: &str| list(name)?.first()?.as_array();
        let (node_width, edge_width) = (list("node_fields")?.len(), list("edge_fields")?.len());
        if node_width > FIELDS || edge_width > FIELDS {
            return None;
        }
        Some(Layout {
            node_width,
            node: NodeAt {
                kind: node("type")?,
                name: node("name")?,
                id: node("id")?,
                size: node("self_size")?,
                edges: node("edge_count")?,
                detached: node("detachedness"),
            },
            edge_width,
            edge: EdgeAt { kind: edge("type")?, name: edge("name_or_index")?, to: edge("to_node")? },
            node_kinds: codes(kinds("node_types")?, &NODE_KINDS.map(|(name, _)| name)),
            edge_kinds: codes(kinds("edge_types")?, &EDGE_KINDS.map(|(name, _)| name)),
            location_width: list("location_fields").map_or(0, Vec::len),
            nodes: snapshot.get("node_count").and_then(Value::as_u64),
            edges: snapshot.get("edge_count").and_then(Value::as_u64),
        })
    }
}

/// Our code of each kind of the snapshot; those not known come last.
fn codes(theirs: &[Value], ours: &[&str]) -> Vec<u8> {
    let code = |kind: &Value| ours.iter().position(|name| Some(*name) == kind.as_str());
    theirs.iter().map(|kind| code(kind).unwrap_or(ours.len()) as u8).collect()
}

/// Rows of a number array put together.
pub(super) struct Rows {
    row: [u64; FIELDS],
    width: usize,
    at: usize,
}

impl Rows {
    pub(super) fn new(width: usize) -> Rows {
        Rows { row: [0; FIELDS], width: width.clamp(1, FIELDS), at: 0 }
    }

    /// The row that a number ends.
    #[inline]
    pub(super) fn push(&mut self, number: u64) -> Option<&[u64; FIELDS]> {
        if let Some(slot) = self.row.get_mut(self.at) {
            *slot = number;
        }
        self.at += 1;
        let is_full = self.at >= self.width;
        self.at *= usize::from(!is_full);
        is_full.then_some(&self.row)
    }

    /// Whether no row was begun and not ended.
    pub(super) fn is_even(&self) -> bool {
        self.at == 0
    }
}

/// Nodes, 17 bytes each.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    kind: Vec<u8>,
    name: Vec<u32>,
    id: Vec<u32>,
    size: Vec<u32>,
    /// Of nodes of 4 GiB and more.
    huge: HashMap<u32, u64>,
    /// Where the edges of the next node begin.
    end: Vec<u32>,
}

impl Nodes {
    pub(super) fn reserve(&mut self, nodes: usize) {
        self.kind.reserve(nodes);
        for column in [&mut self.name, &mut self.id, &mut self.size, &mut self.end] {
            column.reserve(nodes);
        }
    }

    /// Takes a row; false when there are more nodes or edges than can be numbered, or it is larger than memory can be.
    pub(super) fn push(&mut self, layout: &Layout, row: &[u64; FIELDS]) -> bool {
        let get = |at: usize| row.get(at).copied().unwrap_or(0);
        let at = layout.node;
        let end = u64::from(self.end.last().copied().unwrap_or(0)).saturating_add(get(at.edges));
        let number = self.kind.len();
        let is_possible = number < crate::graph::MAX_OBJECTS as usize && get(at.size) < ADDRESSABLE;
        let (Ok(end), true) = (u32::try_from(end), is_possible) else { return false };
        let kind = usize::try_from(get(at.kind)).ok().and_then(|kind| layout.node_kinds.get(kind));
        let kind = kind.copied().unwrap_or(NodeKind::Other as u8).min(NodeKind::Other as u8);
        let is_detached = at.detached.is_some_and(|at| get(at) == 2);
        self.kind.push(kind | if is_detached { DETACHED } else { 0 });
        self.name.push(clamped(get(at.name)));
        self.id.push(clamped(get(at.id)));
        self.size.push(clamped(get(at.size)));
        if get(at.size) >= u64::from(u32::MAX) {
            self.huge.insert(number as u32, get(at.size));
        }
        self.end.push(end);
        true
    }

    pub(super) fn len(&self) -> u32 {
        self.kind.len() as u32
    }

    pub(super) fn kind(&self, node: u32) -> NodeKind {
        self.kind.get(node as usize).map_or(NodeKind::Other, |kind| NodeKind::of(kind & !DETACHED))
    }

    pub(super) fn is_detached(&self, node: u32) -> bool {
        self.kind.get(node as usize).is_some_and(|kind| kind & DETACHED != 0)
    }

    pub(super) fn name(&self, node: u32) -> u32 {
        self.name.get(node as usize).copied().unwrap_or(u32::MAX)
    }

    pub(super) fn id(&self, node: u32) -> u32 {
        self.id.get(node as usize).copied().unwrap_or(0)
    }

    pub(super) fn size(&self, node: u32) -> u64 {
        match self.size.get(node as usize).copied().unwrap_or(0) {
            u32::MAX => self.huge.get(&node).copied().unwrap_or(u64::from(u32::MAX)),
            size => u64::from(size),
        }
    }

    /// The node with an id.
    pub(super) fn with_id(&self, id: u32) -> Option<u32> {
        self.id.iter().position(|i| *i == id).map(|node| node as u32)
    }

    /// Where its edges lie.
    pub(super) fn edges(&self, node: u32) -> std::ops::Range<usize> {
        let end = |at: usize| self.end.get(at).copied().unwrap_or(0) as usize;
        let begin = (node as usize).checked_sub(1).map_or(0, end);
        begin..end(node as usize)
    }

    /// Edges that the nodes claim together.
    pub(super) fn claimed(&self) -> u64 {
        self.end.last().copied().map_or(0, u64::from)
    }
}

fn clamped(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Edges, 8 bytes each.
#[derive(Debug, Default)]
pub(super) struct Edges {
    label: Vec<u32>,
    to: Vec<u32>,
}

/// One reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) kind: EdgeKind,
    /// Index of its name among the strings, or of an element.
    pub(super) name: u32,
    pub(super) to: u32,
}

impl Edges {
    pub(super) fn reserve(&mut self, edges: usize) {
        self.label.reserve(edges);
        self.to.reserve(edges);
    }

    /// Takes a row; false when there are too many.
    pub(super) fn push(&mut self, layout: &Layout, row: &[u64; FIELDS]) -> bool {
        let get = |at: usize| row.get(at).copied().unwrap_or(0);
        let kind = usize::try_from(get(layout.edge.kind)).ok().and_then(|kind| layout.edge_kinds.get(kind));
        let kind = u32::from(kind.copied().unwrap_or(7).min(7));
        let name = get(layout.edge.name).min(u64::from(NAME)) as u32;
        self.label.push(kind << NAME_BITS | name);
        let width = (layout.node_width as u64).max(1);
        let to = get(layout.edge.to);
        self.to.push(if to.is_multiple_of(width) { clamped(to / width) } else { u32::MAX });
        self.to.len() < u32::MAX as usize
    }

    pub(super) fn len(&self) -> usize {
        self.to.len()
    }

    /// Those that lead to none of so many nodes.
    pub(super) fn astray(&self, nodes: u32) -> u64 {
        self.to.iter().filter(|to| **to >= nodes).count() as u64
    }

    /// Those in a range; of a kind that is not known, as hidden ones.
    pub(super) fn of(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = Edge> + '_ {
        let end = range.end.min(self.to.len());
        let range = range.start.min(end)..end;
        let labels = self.label.get(range.clone()).unwrap_or_default();
        let to = self.to.get(range).unwrap_or_default();
        labels.iter().zip(to).map(|(label, to)| {
            let kind =
                EDGE_KINDS.get((label >> NAME_BITS) as usize).map_or(EdgeKind::Hidden, |(_, kind)| *kind);
            Edge { kind, name: label & NAME, to: *to }
        })
    }
}

/// The strings, each clipped to [`CLIP`] bytes.
#[derive(Debug, Default)]
pub(super) struct Strings {
    text: Vec<u8>,
    end: Vec<u32>,
    /// Names of edges that a WeakMap's table and its key both have, with the table's id.
    pub(super) ephemerons: HashMap<u32, u32>,
    /// How many were not kept for want of room.
    pub(super) dropped: u64,
}

impl Strings {
    pub(super) fn push(&mut self, text: &[u8]) {
        let number = self.end.len() as u32;
        if let Some(table) = ephemeron(text) {
            self.ephemerons.insert(number, table);
        }
        let mut clipped = text.get(..CLIP.min(text.len())).unwrap_or_default();
        if self.text.len() + clipped.len() > TEXT {
            self.dropped += 1;
            clipped = &[];
        }
        self.text.extend_from_slice(clipped);
        self.end.push(self.text.len() as u32);
    }

    pub(super) fn len(&self) -> u32 {
        self.end.len() as u32
    }

    /// One of them; none where the file ends before it.
    pub(super) fn get(&self, number: u32) -> Option<std::borrow::Cow<'_, str>> {
        let end = *self.end.get(number as usize)? as usize;
        let begin = (number as usize).checked_sub(1).and_then(|n| self.end.get(n)).copied().unwrap_or(0);
        let bytes = self.text.get(begin as usize..end)?;
        Some(match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            // A character cut by the clipping goes; one that is none stays as a mark.
            Err(e) if e.error_len().is_none() => {
                String::from_utf8_lossy(bytes.get(..e.valid_up_to()).unwrap_or_default())
            }
            Err(_) => String::from_utf8_lossy(bytes),
        })
    }
}

/// The table's id in `12 / part of key (K @1) -> value (V @2) pair in WeakMap (table @3)`.
fn ephemeron(text: &[u8]) -> Option<u32> {
    if !text.first()?.is_ascii_digit() || !text.ends_with(b")") {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let (before, id) = text.strip_suffix(')')?.rsplit_once("(table @")?;
    before.contains(" / part of key (").then(|| id.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ephemerons_are_known_by_their_name() {
        assert_eq!(ephemeron(b"12 / part of key (K @1) -> value (V @2) pair in WeakMap (table @3)"), Some(3));
        assert_eq!(ephemeron(b"12 / part of key (table @3"), None);
        assert_eq!(ephemeron(b"table"), None);
    }

    #[test]
    fn strings_are_clipped_at_a_character() {
        let mut strings = Strings::default();
        strings.push("é".repeat(100).as_bytes());
        strings.push(format!("a{}", "é".repeat(100)).as_bytes());
        assert_eq!(strings.get(0).unwrap().chars().count(), 80);
        assert_eq!(strings.get(1).unwrap().chars().count(), 80);
        assert_eq!(strings.get(2), None);
    }

    #[test]
    fn a_layout_follows_meta_in_whatever_order() {
        let meta = br#"{"meta":{"node_fields":["id","type","self_size","name","edge_count"],
            "node_types":["number",["object","string"],"number","string","number"],
            "edge_fields":["to_node","type","name_or_index"],"edge_types":["node",["weak"],"string"]}}"#;
        assert!(Layout::of(meta).is_none(), "kinds are the first of the types");
        let meta = br#"{"meta":{"node_fields":["type","id","self_size","name","edge_count"],
            "node_types":[["object","string"]],
            "edge_fields":["type","to_node","name_or_index"],"edge_types":[["weak"]]}}"#;
        let layout = Layout::of(meta).unwrap();
        let mut row = [0; FIELDS];
        row[..5].copy_from_slice(&[1, 9, 1 << 33, 4, 2]);
        let mut nodes = Nodes::default();
        assert!(nodes.push(&layout, &row));
        assert_eq!((nodes.kind(0), nodes.id(0), nodes.size(0)), (NodeKind::String, 9, 1 << 33));
        assert_eq!((nodes.name(0), nodes.edges(0)), (4, 0..2));
        let mut edges = Edges::default();
        row[..3].copy_from_slice(&[0, 5, 7]);
        assert!(edges.push(&layout, &row));
        let edge = Edge { kind: EdgeKind::Weak, name: 7, to: 1 };
        assert_eq!(edges.of(0..9).collect::<Vec<_>>(), [edge]);
    }
}
