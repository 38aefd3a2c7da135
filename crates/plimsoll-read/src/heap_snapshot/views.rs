//! Further views of a snapshot, told in the terms of a Java heap dump's: the tree, the way to a node, strings that repeat.

use std::collections::HashMap;

use super::climb::{Step, Ways, text, told};
use super::{HeapSnapshot, NodeKind};
use crate::graph::dominators::Dominators;
use crate::graph::retained::Retained;
use crate::heap_dump::Skeleton;
use crate::heap_dump::paths::{Wish, largest};
use crate::heap_dump::strings::{Duplicate, Strings};
use crate::heap_dump::tree::{Branch, Named, branches};
use crate::reading::clip;

/// Rows of strings told of, and characters of each.
const ROWS: usize = 40;
const SHOWN: usize = 120;

/// The way to a node, and how many of the nodes looked at are held alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The engine's id of the node (`@123`).
    pub id: u32,
    /// What it is.
    pub label: String,
    /// Bytes that go with it.
    pub retained: u64,
    /// From the root to the node.
    pub path: Vec<Step>,
    /// Nodes looked at that such a way leads to.
    pub alike: usize,
}

impl Named for HeapSnapshot {
    fn tree(&self) -> &Dominators {
        &self.tree
    }

    fn retained(&self) -> &Retained {
        &self.retained
    }

    fn shallow(&self, node: u32) -> u64 {
        HeapSnapshot::shallow(self, node)
    }

    fn label(&self, node: u32) -> String {
        format!("{} @{}", HeapSnapshot::label(self, node), self.nodes.id(node))
    }

    /// The kind above the number of the name.
    fn class(&self, node: u32) -> u64 {
        let kind = self.kind(node);
        let is_named = matches!(kind, NodeKind::Object | NodeKind::Native | NodeKind::Synthetic);
        (kind as u64) << 32 | if is_named { u64::from(self.nodes.name(node)) } else { 0 }
    }

    fn class_name(&self, class: u64) -> String {
        let kind = NodeKind::of(u8::try_from(class >> 32).unwrap_or(u8::MAX));
        self.class_of(kind, class as u32)
    }
}

impl HeapSnapshot {
    /// Whether it is known who holds what.
    pub fn knows_holders(&self) -> bool {
        !self.missing.edges
    }

    /// The dominator tree below the groups of roots: `width` nodes a step, `depth` steps.
    pub fn branches(&self, width: usize, depth: usize) -> Vec<Branch> {
        let skeleton = Skeleton::of(&self.tree, &self.retained, 1);
        let (mut top, mut groups) = (Vec::new(), vec![0]);
        while let Some(group) = groups.pop() {
            for (node, bytes) in skeleton.held_by(Some(group)) {
                if self.kind(*node) == NodeKind::Synthetic {
                    groups.push(*node);
                } else {
                    top.push((*node, *bytes));
                }
            }
        }
        top.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        top.truncate(width);
        branches(self, &skeleton, &top, width, depth)
    }

    /// The ways to a node, or to the largest of a constructor or of a function's name; one for each way that reads the
    /// same. Nothing where no such node is reached.
    pub fn ways(&self, wish: &Wish) -> Vec<Way> {
        let nodes = self.wished(wish);
        if nodes.is_empty() {
            return Vec::new();
        }
        let all = Ways::of(self);
        let (mut ways, mut known): (Vec<Way>, HashMap<String, usize>) = (Vec::new(), HashMap::new());
        for node in nodes {
            let path = told(self, &all.down_to(node));
            let labels: Vec<&str> = path.iter().map(|step| step.label.as_str()).collect();
            let at = *known.entry(labels.join("\n")).or_insert(ways.len());
            match ways.get_mut(at) {
                Some(way) => way.alike += 1,
                None => ways.push(Way {
                    id: self.nodes.id(node),
                    label: HeapSnapshot::label(self, node),
                    retained: self.retained.of(node),
                    path,
                    alike: 1,
                }),
            }
        }
        ways
    }

    fn wished(&self, wish: &Wish) -> Vec<u32> {
        let wanted = match wish {
            Wish::Address(_) => return Vec::new(),
            Wish::Id(id) => {
                return self.with_id(*id).filter(|node| self.tree.is_reached(*node)).into_iter().collect();
            }
            Wish::Class(name) => name,
        };
        let mut known: HashMap<(NodeKind, u32), bool> = HashMap::new();
        let mut is_wanted = |node: u32| {
            let (kind, name) = (self.kind(node), self.nodes.name(node));
            let is_named = !matches!(kind, NodeKind::String | NodeKind::Number | NodeKind::Hidden);
            let name = if is_named { name } else { 0 };
            *known.entry((kind, name)).or_insert_with(|| {
                self.class_of(kind, name) == *wanted
                    || is_named && self.strings.get(name).is_some_and(|name| name == wanted.as_str())
            })
        };
        let nodes = (0..self.nodes()).filter(|node| self.tree.is_reached(*node) && is_wanted(*node));
        largest(nodes, &self.retained).0
    }

    /// Reachable strings whose text is there more than once. Texts longer than the snapshot keeps them count as one.
    pub fn duplicates(&self) -> Strings {
        let mut seen = vec![(0u32, 0u64); self.strings.len() as usize];
        let mut total = Strings { looked_at: 1.0, ..Strings::default() };
        let strings = (0..self.nodes()).filter(|node| self.kind(*node) == NodeKind::String);
        for node in strings.filter(|node| self.tree.is_reached(*node)) {
            let bytes = HeapSnapshot::shallow(self, node);
            total.arrays += 1;
            total.bytes = total.bytes.saturating_add(bytes);
            if let Some((copies, sum)) = seen.get_mut(self.nodes.name(node) as usize) {
                *copies = copies.saturating_add(1);
                *sum = sum.saturating_add(bytes);
            }
        }
        let mut rows: Vec<(u64, u32, u32)> = Vec::new();
        for (name, (copies, sum)) in (0u32..).zip(seen).filter(|(_, (copies, _))| *copies > 1) {
            let wasted = sum - sum / u64::from(copies);
            total.wasted = total.wasted.saturating_add(wasted);
            rows.push((wasted, name, copies));
        }
        rows.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let row = |(wasted, name, copies): &(u64, u32, u32)| Duplicate {
            text: clip(&self.strings.get(*name).unwrap_or_default(), SHOWN),
            arrays: u64::from(*copies),
            wasted: *wasted,
        };
        total.duplicates = rows.iter().take(ROWS).map(row).collect();
        total
    }
}

impl Way {
    /// The way in one line.
    pub fn line(&self) -> String {
        text(&self.path)
    }
}
