//! From the thread that reads a dump to the one that packs its references.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::graph::GraphError;
use crate::graph::edges::{Graph, GraphBuilder};

/// Words handed over at once.
const BATCH: usize = 1 << 16;
/// Batches under way at most.
const UNDER_WAY: usize = 4;

/// Lists of references on their way: object, number of targets, targets, and so on.
pub(super) struct Lists {
    batch: Vec<u32>,
    send: SyncSender<Vec<u32>>,
    refused: bool,
}

/// Both ends of the way.
pub(super) fn lists() -> (Lists, Receiver<Vec<u32>>) {
    let (send, receive) = sync_channel(UNDER_WAY);
    (Lists { batch: Vec::with_capacity(BATCH), send, refused: false }, receive)
}

impl Lists {
    /// Hands over the targets of an object.
    #[inline]
    pub(super) fn push(&mut self, object: u32, targets: &[u32]) {
        if targets.is_empty() {
            return;
        }
        self.batch.push(object);
        self.batch.push(targets.len() as u32);
        self.batch.extend_from_slice(targets);
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// Hands over what is left.
    #[cold]
    pub(super) fn flush(&mut self) {
        let full = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.refused |= self.send.send(full).is_err();
    }

    /// Whether the other end has given up.
    pub(super) fn are_refused(&self) -> bool {
        self.refused
    }
}

/// Packs what comes until the other end is dropped.
pub(super) fn pack(receive: &Receiver<Vec<u32>>, objects: u32, hubs: &[u32]) -> Result<Graph, GraphError> {
    let mut graph = GraphBuilder::new(objects, hubs)?;
    for batch in receive {
        let mut rest = batch.as_slice();
        while let [object, count, more @ ..] = rest {
            let Some((targets, more)) = more.split_at_checked(*count as usize) else { break };
            graph.append(*object, targets)?;
            rest = more;
        }
    }
    graph.finish()
}
