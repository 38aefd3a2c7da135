//! Threads: their stacks, and what the locals of each frame hold.

use std::collections::HashMap;

use super::climb::{frame_name, thread_name};
use super::roots::Roots;
use super::view::resolved;
use super::{HeapDump, HeapDumpError, Source};
use crate::graph::watch::Watch;

/// Locals told of in one frame.
const LOCALS: usize = 5;

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadHolding {
    /// Its name.
    pub name: String,
    /// Its object's number, where the dump has it.
    pub object: Option<u32>,
    /// Bytes that go with it.
    pub retained: u64,
    /// Its stack, innermost frame first.
    pub frames: Vec<FrameHolding>,
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHolding {
    /// `Class.method(File:line)`.
    pub name: String,
    /// The largest of its locals: what they are, and bytes that go with each. What something else holds too counts
    /// with what goes with it alone.
    pub locals: Vec<(String, u64)>,
}

/// All threads, those that hold most first.
///
/// # Errors
/// As [`super::read`].
pub fn threads(
    heap: &HeapDump,
    source: &(impl Source + ?Sized),
    watch: &dyn Watch,
) -> Result<Vec<ThreadHolding>, HeapDumpError> {
    let mut locals: HashMap<(u32, u32), Vec<u32>> = HashMap::new();
    if let Roots::Told { locals: told, .. } = &heap.roots {
        for (object, local) in told {
            locals.entry((local.serial, local.frame)).or_default().push(*object);
        }
    }
    let all = heap.model.threads();
    let names = resolved(heap, source, watch, |view| {
        let name = |object| heap.object_at(object).map(|object| thread_name(view, object));
        all.iter().map(|(_, thread)| name(thread.object).unwrap_or_default()).collect::<Vec<_>>()
    })?;
    let view = |((serial, thread), name): (&(u32, crate::hprof::model::Thread), String)| {
        let object = heap.object_at(thread.object);
        let count = heap.model.stack(thread.stack).map_or(0, |stack| stack.frames.len() as u32);
        let frame = |number| FrameHolding {
            name: resolved_frame(heap, *serial, number),
            locals: largest(heap, locals.get(&(*serial, number)).map_or(&[], Vec::as_slice)),
        };
        ThreadHolding {
            name,
            object,
            retained: object.map_or(0, |object| heap.retained.of(object)),
            frames: (0..count).map(frame).collect(),
        }
    };
    let mut threads: Vec<ThreadHolding> = all.iter().zip(names).map(view).collect();
    threads.sort_by(|a, b| b.retained.cmp(&a.retained).then_with(|| a.name.cmp(&b.name)));
    Ok(threads)
}

fn resolved_frame(heap: &HeapDump, serial: u32, number: u32) -> String {
    frame_name(&heap.model, serial, number).unwrap_or_else(|| "?".to_owned())
}

fn largest(heap: &HeapDump, objects: &[u32]) -> Vec<(String, u64)> {
    let mut sized: Vec<(u64, u32)> = objects.iter().map(|o| (heap.retained.of(*o), *o)).collect();
    sized.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    sized.into_iter().take(LOCALS).map(|(bytes, object)| (heap.label(object), bytes)).collect()
}
