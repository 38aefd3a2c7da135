//! From reading a dump to packing its references: by another thread, or the same one.
//!
//! Addresses travel as they are: turning them into numbers is the most of the work. Where one thread reads the dump and
//! another packs, whichever has time does it: the one that packs while it keeps up; when it falls behind, the one that
//! reads does before it hands over. Where two threads read, each packs what it reads.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::graph::GraphError;
use crate::graph::address::AddressRank;
use crate::graph::edges::GraphBuilder;

/// Words handed over at once.
const BATCH: usize = 1 << 15;
/// No class object.
const NONE: u64 = u64::MAX;
/// Batches under way at most.
const UNDER_WAY: usize = 4;

/// Lists of references on their way.
enum Batch {
    /// Object and number of addresses in one word, the number of its class object or [`NONE`], addresses, and so on.
    Addresses(Vec<u64>),
    Numbers(Numbers),
}

/// The same resolved.
#[derive(Debug, Default)]
struct Numbers {
    /// Object, number of targets, targets, and so on.
    words: Vec<u32>,
    /// Addresses that are not in the dump.
    dangling: u64,
}

/// Takes lists of references as they are read.
pub(super) struct Lists<'a> {
    batch: Vec<u64>,
    to: To,
    addresses: &'a AddressRank,
    refused: bool,
}

/// Where lists go.
enum To {
    Other(SyncSender<Batch>),
    Own(Box<Packer>),
}

/// The end that takes from another thread.
pub(super) struct Taker(Receiver<Batch>);

/// A graph that is being packed.
#[derive(Debug)]
pub(super) struct Packer {
    pub(super) graph: GraphBuilder,
    /// References to what is not in the dump.
    pub(super) dangling: u64,
    failed: Option<GraphError>,
}

impl Packer {
    pub(super) fn new(addresses: &AddressRank, hubs: &[u32]) -> Result<Packer, GraphError> {
        Ok(Packer { graph: GraphBuilder::new(addresses.len(), hubs)?, dangling: 0, failed: None })
    }

    fn take(&mut self, numbers: &Numbers) -> Result<(), GraphError> {
        self.dangling += numbers.dangling;
        let mut rest = numbers.words.as_slice();
        while let [object, count, more @ ..] = rest {
            let Some((targets, more)) = more.split_at_checked(*count as usize) else { break };
            self.graph.append(*object, targets)?;
            rest = more;
        }
        Ok(())
    }
}

/// Both ends of the way to another thread.
pub(super) fn lists(addresses: &AddressRank) -> (Lists<'_>, Taker) {
    let (send, receive) = sync_channel(UNDER_WAY);
    (Lists::to(addresses, To::Other(send)), Taker(receive))
}

impl<'a> Lists<'a> {
    fn to(addresses: &'a AddressRank, to: To) -> Self {
        Lists { batch: fresh_batch(), to, addresses, refused: false }
    }

    /// Packs on the thread that reads.
    pub(super) fn own(addresses: &'a AddressRank, packer: Packer) -> Self {
        Lists::to(addresses, To::Own(Box::new(packer)))
    }

    /// Takes what an object refers to: its class object, if that is held, and others by their addresses.
    #[inline]
    pub(super) fn push(&mut self, object: u32, class: Option<u32>, targets: &[u64]) {
        if targets.is_empty() && class.is_none() {
            return;
        }
        self.batch.push(u64::from(object) << 32 | targets.len() as u64);
        self.batch.push(class.map_or(NONE, u64::from));
        self.batch.extend_from_slice(targets);
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    #[cold]
    fn flush(&mut self) {
        match &mut self.to {
            To::Other(send) => {
                let full = std::mem::replace(&mut self.batch, fresh_batch());
                self.refused |= hand_over(full, send, self.addresses).is_err();
            }
            To::Own(packer) => {
                let taken = packer.take(&resolve(&self.batch, self.addresses));
                self.batch.clear();
                packer.failed = packer.failed.or(taken.err());
                self.refused |= packer.failed.is_some();
            }
        }
    }

    /// Whether whoever packs has given up.
    pub(super) fn are_refused(&self) -> bool {
        self.refused
    }

    /// Hands over what is left; gives back what was packed on this thread.
    pub(super) fn finish(mut self) -> Option<Result<Packer, GraphError>> {
        self.flush();
        match self.to {
            To::Other(_) => None,
            To::Own(packer) => Some(packer.failed.map_or(Ok(*packer), Err)),
        }
    }
}

fn fresh_batch() -> Vec<u64> {
    Vec::with_capacity(BATCH + BATCH / 8)
}

fn hand_over(full: Vec<u64>, send: &SyncSender<Batch>, addresses: &AddressRank) -> Result<(), ()> {
    match send.try_send(Batch::Addresses(full)) {
        Ok(()) => Ok(()),
        Err(TrySendError::Full(Batch::Addresses(full))) => {
            send.send(Batch::Numbers(resolve(&full, addresses))).map_err(drop)
        }
        Err(_) => Err(()),
    }
}

/// Turns addresses into numbers.
fn resolve(batch: &[u64], addresses: &AddressRank) -> Numbers {
    let mut words = Vec::with_capacity(batch.len() + batch.len() / 2);
    let (mut rest, mut dangling) = (batch, 0);
    while let [head, class, more @ ..] = rest {
        let Some((targets, more)) = more.split_at_checked(*head as u32 as usize) else { break };
        words.push((*head >> 32) as u32);
        let count = words.len();
        words.push(0);
        let of_class = u32::try_from(*class).ok();
        words.extend(of_class);
        words.extend(targets.iter().filter_map(|address| addresses.index_of(*address)));
        let found = words.len() - count - 1;
        dangling += (targets.len() + usize::from(of_class.is_some())).saturating_sub(found) as u64;
        if let Some(count) = words.get_mut(count) {
            *count = found as u32;
        }
        rest = more;
    }
    Numbers { words, dangling }
}

/// Packs what comes until the other end is dropped.
pub(super) fn pack(taker: &Taker, addresses: &AddressRank, hubs: &[u32]) -> Result<Packer, GraphError> {
    let mut packer = Packer::new(addresses, hubs)?;
    for batch in &taker.0 {
        packer.take(&match batch {
            Batch::Addresses(batch) => resolve(&batch, addresses),
            Batch::Numbers(numbers) => numbers,
        })?;
    }
    Ok(packer)
}
