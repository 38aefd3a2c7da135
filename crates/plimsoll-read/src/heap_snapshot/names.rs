//! What a person would call a node: a constructor, a function with its file and line, a text.

use std::collections::HashMap;

use super::table::{Edge, EdgeKind};
use super::{HeapSnapshot, NodeKind};
use crate::reading::clip;

/// Bytes of a text shown.
const SHOWN: usize = 60;
/// The engine's name for what holds the variables of a function.
const CONTEXT: &str = "system / Context";
/// What the name of a node begins with that no document has any more.
pub(super) const DETACHED: &str = "Detached ";
/// Closures looked at to name a context.
const CLOSURES: usize = 3;

impl HeapSnapshot {
    pub(super) fn edges_of(&self, node: u32) -> impl Iterator<Item = Edge> + '_ {
        self.edges.of(self.nodes.edges(node)).filter(|edge| edge.to < self.nodes())
    }

    pub(super) fn edge_name(&self, edge: &Edge) -> String {
        match edge.kind {
            EdgeKind::Element | EdgeKind::Hidden => format!("[{}]", edge.name),
            _ => self.strings.get(edge.name).map_or_else(|| "?".to_owned(), |name| clip(&name, SHOWN)),
        }
    }

    /// The target of a named reference.
    pub(super) fn inner(&self, node: u32, name: &str) -> Option<u32> {
        let named = |edge: &Edge| self.strings.get(edge.name).is_some_and(|n| n == name);
        let inner = |edge: &Edge| matches!(edge.kind, EdgeKind::Internal | EdgeKind::Property);
        self.edges_of(node).find(|edge| inner(edge) && named(edge)).map(|edge| edge.to)
    }

    /// What nodes are counted under: a constructor in the first place.
    pub fn class(&self, node: u32) -> String {
        self.marked(node, self.class_of(self.kind(node), self.nodes.name(node)))
    }

    /// With the mark of a detached node, which newer engines keep beside the name.
    fn marked(&self, node: u32, name: String) -> String {
        if self.is_detached(node) && !name.starts_with(DETACHED) { format!("{DETACHED}{name}") } else { name }
    }

    pub(super) fn class_of(&self, kind: NodeKind, name: u32) -> String {
        match kind {
            NodeKind::Object | NodeKind::Native | NodeKind::Synthetic => {
                let name = self.strings.get(name).filter(|name| !name.is_empty());
                name.map_or_else(|| format!("({})", kind.name()), |name| clip(&name, SHOWN))
            }
            NodeKind::Closure => "Function".to_owned(),
            NodeKind::RegExp => "RegExp".to_owned(),
            kind => format!("({})", kind.name()),
        }
    }

    /// One node in words.
    pub fn label(&self, node: u32) -> String {
        let name = self.name(node).unwrap_or_default();
        match self.kind(node) {
            NodeKind::Closure => {
                let name = if name.is_empty() { "(anonymous)" } else { &name };
                let place = self.place(node).map(|place| format!(" ({place})")).unwrap_or_default();
                format!("function {name}{place}")
            }
            // Never what it says, which may be a secret.
            NodeKind::String => "string".to_owned(),
            NodeKind::Concatenated => "string of two".to_owned(),
            NodeKind::Sliced => "part of a string".to_owned(),
            NodeKind::Array if name.is_empty() => "(storage)".to_owned(),
            _ if self.is_context(node) => "context".to_owned(),
            _ if name.is_empty() => self.class(node),
            _ => self.marked(node, clip(&name, SHOWN)),
        }
    }

    pub(super) fn is_context(&self, node: u32) -> bool {
        self.kind(node) == NodeKind::Object && self.name(node).is_some_and(|name| name == CONTEXT)
    }

    /// File and line of a function.
    pub(super) fn place(&self, closure: u32) -> Option<String> {
        let shared = self.inner(closure, "shared")?;
        let script = self.inner(shared, "script_or_debug_info").or_else(|| self.inner(shared, "script"))?;
        let file = self.name(script).filter(|file| !file.is_empty() && !file.starts_with("system / "))?;
        let line = self.location(closure).map(|(_, line)| format!(":{line}")).unwrap_or_default();
        Some(format!("{file}{line}"))
    }

    /// Functions that share each of some contexts, a few: that is how a context is known.
    pub(super) fn functions_of(&self, contexts: &[u32]) -> HashMap<u32, Vec<u32>> {
        let mut found: HashMap<u32, Vec<u32>> = contexts.iter().map(|c| (*c, Vec::new())).collect();
        if found.is_empty() {
            return found;
        }
        for node in 0..self.nodes() {
            if self.kind(node) != NodeKind::Closure || !self.tree.is_reached(node) {
                continue;
            }
            for edge in self.edges_of(node).filter(|edge| edge.kind == EdgeKind::Internal) {
                if let Some(functions) = found.get_mut(&edge.to)
                    && functions.len() < CLOSURES
                    && self.strings.get(edge.name).is_some_and(|name| name == "context")
                {
                    functions.push(node);
                }
            }
        }
        found
    }
}
