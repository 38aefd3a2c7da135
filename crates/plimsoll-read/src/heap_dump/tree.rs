//! The dominator tree as a person walks it: the largest objects, what they hold, and the rest as a sum.

use super::HeapDump;
use super::climb::thread_name;
use super::skeleton::Skeleton;
use super::view::resolved;
use super::{HeapDumpError, Source};
use crate::graph::watch::Watch;

/// One object of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Its number.
    pub object: u32,
    /// What it is; a thread with its name.
    pub label: String,
    /// Its own bytes.
    pub shallow: u64,
    /// Bytes that go with it.
    pub retained: u64,
    /// The largest that it holds, largest first.
    pub held: Vec<Branch>,
}

/// The tree below the roots: `width` objects a step, `depth` steps. Of a heap with very many objects only the largest
/// 65,536 are looked at: what is missing below an object is small.
///
/// # Errors
/// As [`super::read`].
pub fn tree(
    heap: &HeapDump,
    source: &(impl Source + ?Sized),
    width: usize,
    depth: usize,
    watch: &dyn Watch,
) -> Result<Vec<Branch>, HeapDumpError> {
    let skeleton = Skeleton::of(&heap.tree, &heap.retained, 1);
    let mut branches = branches(heap, &skeleton, None, width, depth);
    let threads: Vec<u32> = branches.iter().map(|b| b.object).filter(|o| heap.is_thread(*o)).collect();
    let names = resolved(heap, source, watch, |view| {
        threads.iter().map(|thread| (*thread, thread_name(view, *thread))).collect::<Vec<_>>()
    })?;
    for branch in &mut branches {
        if let Some((_, name)) = names.iter().find(|(thread, _)| *thread == branch.object) {
            branch.label = format!("{} \"{name}\"", branch.label);
        }
    }
    Ok(branches)
}

fn branches(
    heap: &HeapDump,
    skeleton: &Skeleton,
    holder: Option<u32>,
    width: usize,
    depth: usize,
) -> Vec<Branch> {
    if depth == 0 {
        return Vec::new();
    }
    let largest = skeleton.held_by(holder).iter().take(width);
    let branch = |(object, retained): &(u32, u64)| Branch {
        object: *object,
        label: heap.label(*object),
        shallow: heap.shallow(*object),
        retained: *retained,
        held: branches(heap, skeleton, Some(*object), width, depth - 1),
    };
    largest.map(branch).collect()
}
