//! What is counted in one pass: nodes by constructor, native memory, strings that are there twice, detached nodes.

use std::collections::HashMap;

use serde::Serialize;

use super::{HeapSnapshot, NodeKind};

/// Nodes under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassRow {
    /// The constructor, or a kind in brackets.
    pub class: String,
    /// Nodes.
    pub objects: u64,
    /// Their own bytes together.
    pub bytes: u64,
}

/// What a pass over the nodes counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Own bytes of all nodes.
    pub total_bytes: u64,
    /// Bytes outside the JavaScript heap: array buffers and the like.
    pub native_bytes: u64,
    /// Bytes of strings.
    pub string_bytes: u64,
    /// Bytes of strings whose text is there more than once, beyond the first.
    pub duplicate_string_bytes: u64,
    /// Strings beyond the first of each text.
    pub duplicate_strings: u64,
    /// Nodes that the snapshot calls detached.
    pub detached_nodes: u64,
    /// Bytes that go with those, each counted once.
    pub detached_bytes: u64,
}

impl HeapSnapshot {
    /// Nodes by constructor, by their own bytes, most first: all, or those that the root reaches.
    pub fn histogram(&self, only_reachable: bool) -> Vec<ClassRow> {
        let mut groups: HashMap<(NodeKind, u32), (u64, u64)> = HashMap::new();
        for node in (0..self.nodes()).filter(|node| !only_reachable || self.tree.is_reached(*node)) {
            let kind = self.kind(node);
            let is_named = matches!(kind, NodeKind::Object | NodeKind::Native | NodeKind::Synthetic);
            let name = if is_named { self.nodes.name(node) } else { 0 };
            let row = groups.entry((kind, name)).or_default();
            row.0 += 1;
            row.1 = row.1.saturating_add(self.shallow(node));
        }
        let mut rows: HashMap<String, (u64, u64)> = HashMap::new();
        for ((kind, name), (objects, bytes)) in groups {
            let row = rows.entry(self.class_of(kind, name)).or_default();
            row.0 += objects;
            row.1 = row.1.saturating_add(bytes);
        }
        let rows = rows.into_iter().filter(|(_, (_, bytes))| *bytes > 0);
        let mut rows: Vec<_> =
            rows.map(|(class, (objects, bytes))| ClassRow { class, objects, bytes }).collect();
        rows.sort_unstable_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.class.cmp(&b.class)));
        rows
    }

    /// Counts in one pass.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let mut seen = vec![false; self.strings.len() as usize];
        for node in 0..self.nodes() {
            let bytes = self.shallow(node);
            counts.total_bytes = counts.total_bytes.saturating_add(bytes);
            match self.kind(node) {
                NodeKind::Native => counts.native_bytes = counts.native_bytes.saturating_add(bytes),
                NodeKind::String => {
                    counts.string_bytes = counts.string_bytes.saturating_add(bytes);
                    if self.tree.is_reached(node)
                        && let Some(seen) = seen.get_mut(self.nodes.name(node) as usize)
                    {
                        counts.duplicate_strings += u64::from(*seen);
                        counts.duplicate_string_bytes += if *seen { bytes } else { 0 };
                        *seen = true;
                    }
                }
                _ => {}
            }
        }
        self.detached(&mut counts);
        counts
    }

    /// Detached nodes, and what goes with those that no other one holds.
    fn detached(&self, counts: &mut Counts) {
        let mut inside = vec![false; self.nodes() as usize];
        for node in self.tree.reached() {
            let is_held = match self.tree.holder(node) {
                crate::graph::dominators::Holder::Object(holder) => {
                    inside.get(holder as usize).copied().unwrap_or(false)
                }
                _ => false,
            };
            let is_detached = self.is_detached(node);
            counts.detached_nodes += u64::from(is_detached);
            if is_detached && !is_held {
                counts.detached_bytes = counts.detached_bytes.saturating_add(self.retained.of(node));
            }
            if let Some(slot) = inside.get_mut(node as usize) {
                *slot = is_held || is_detached;
            }
        }
    }
}
