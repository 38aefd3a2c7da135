//! From the thread that reads a dump to the one that packs its references.
//!
//! Addresses travel as they are: turning them into numbers is the most of the work, and whichever thread has time does
//! it. The one that packs does while it keeps up; when it falls behind, the one that reads does before it hands over.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::graph::GraphError;
use crate::graph::address::AddressRank;
use crate::graph::edges::{Graph, GraphBuilder};

/// Words handed over at once.
const BATCH: usize = 1 << 15;
/// Batches under way at most.
const UNDER_WAY: usize = 4;

/// Lists of references on their way.
enum Batch {
    /// Object and number of addresses in one word, addresses, and so on.
    Addresses(Vec<u64>),
    Numbers(Numbers),
}

/// The same resolved.
struct Numbers {
    /// Object, number of targets, targets, and so on.
    words: Vec<u32>,
    /// Addresses that are not in the dump.
    dangling: u64,
}

/// The end that gives.
pub(super) struct Lists<'a> {
    batch: Vec<u64>,
    send: SyncSender<Batch>,
    addresses: &'a AddressRank,
    refused: bool,
}

/// The end that takes.
pub(super) struct Taker(Receiver<Batch>);

/// Both ends of the way.
pub(super) fn lists(addresses: &AddressRank) -> (Lists<'_>, Taker) {
    let (send, receive) = sync_channel(UNDER_WAY);
    (Lists { batch: Vec::with_capacity(BATCH), send, addresses, refused: false }, Taker(receive))
}

impl Lists<'_> {
    /// Hands over what an object refers to, by addresses; 0 is none.
    #[inline]
    pub(super) fn push(&mut self, object: u32, targets: &[u64]) {
        if targets.is_empty() {
            return;
        }
        self.batch.push(u64::from(object) << 32 | targets.len() as u64);
        self.batch.extend_from_slice(targets);
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// Hands over what is left.
    #[cold]
    pub(super) fn flush(&mut self) {
        let full = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH + BATCH / 8));
        let sent = match self.send.try_send(Batch::Addresses(full)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(Batch::Addresses(full))) => {
                self.send.send(Batch::Numbers(resolve(&full, self.addresses))).map_err(drop)
            }
            Err(_) => Err(()),
        };
        self.refused |= sent.is_err();
    }

    /// Whether the other end has given up.
    pub(super) fn are_refused(&self) -> bool {
        self.refused
    }
}

/// Turns addresses into numbers.
fn resolve(batch: &[u64], addresses: &AddressRank) -> Numbers {
    let mut words = Vec::with_capacity(batch.len() + batch.len() / 2);
    let (mut rest, mut dangling) = (batch, 0);
    while let [head, more @ ..] = rest {
        let Some((targets, more)) = more.split_at_checked(*head as u32 as usize) else { break };
        words.push((*head >> 32) as u32);
        let count = words.len();
        words.push(0);
        words.extend(targets.iter().filter_map(|address| addresses.index_of(*address)));
        let found = words.len() - count - 1;
        dangling += targets.iter().filter(|address| **address != 0).count().saturating_sub(found) as u64;
        if let Some(count) = words.get_mut(count) {
            *count = found as u32;
        }
        rest = more;
    }
    Numbers { words, dangling }
}

/// Packs what comes until the other end is dropped; also the references to what is not in the dump.
pub(super) fn pack(taker: &Taker, addresses: &AddressRank, hubs: &[u32]) -> Result<(Graph, u64), GraphError> {
    let mut graph = GraphBuilder::new(addresses.len(), hubs)?;
    let mut dangling = 0;
    for batch in &taker.0 {
        let numbers = match batch {
            Batch::Addresses(batch) => resolve(&batch, addresses),
            Batch::Numbers(numbers) => numbers,
        };
        dangling += numbers.dangling;
        let mut rest = numbers.words.as_slice();
        while let [object, count, more @ ..] = rest {
            let Some((targets, more)) = more.split_at_checked(*count as usize) else { break };
            graph.append(*object, targets)?;
            rest = more;
        }
    }
    Ok((graph.finish()?, dangling))
}
