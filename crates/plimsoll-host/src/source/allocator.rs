//! Mappings by kind, and the free share of glibc's heaps, read from outside without a pause.
//!
//! Both come from one look at `smaps`: it is dear (the kernel walks the page tables), so it is taken rarely and
//! on a thread of its own.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::{RuntimeKind, Target};
use plimsoll_read::glibc_heap::{Chunks, Walk, first_chunk};
use plimsoll_read::smaps::{self, Kind, Mapping, Smaps};

use super::text::why;
use super::{Pace, Source, SourceKind};
use crate::world::World;

/// The entry of the registry.
pub(super) const KIND: SourceKind = SourceKind {
    name: "mappings and allocator",
    facts: &[
        Fact::SmapsHeap,
        Fact::SmapsArenas,
        Fact::ArenaCount,
        Fact::SmapsStacks,
        Fact::SmapsAnonOther,
        Fact::SmapsFile,
        Fact::MallocInUse,
        Fact::MallocFree,
    ],
    pace: Pace::Slow(Duration::from_secs(1)),
    open: |world, target| Some(Box::new(Allocator::new(world, target))),
};

/// Time for one walk over all heaps: longer, and the numbers would be of different instants.
const WALK_TIME: Duration = Duration::from_millis(1000);
/// Bytes read at once.
const PIECE: usize = 1 << 20;
/// Walks of one heap that is changed while it is read.
const TRIES: usize = 4;
/// A look may take this share of the time at most: after a dear one the source rests.
const DUTY: u32 = 20;

struct Allocator {
    folder: PathBuf,
    /// The C allocator matters where the runtime has no heap of its own, or beside it for native parts.
    walks: bool,
    rests_until: Instant,
    buffer: Vec<u8>,
}

impl Allocator {
    fn new(world: &World, target: &Target) -> Self {
        Allocator {
            folder: world.proc_root.join(target.pid.to_string()),
            walks: !matches!(target.runtime, RuntimeKind::Go),
            rests_until: Instant::now(),
            buffer: vec![0; PIECE],
        }
    }

    fn heaps(&mut self, seen: &Smaps) -> Result<Chunks, String> {
        if let Some(name) = foreign(seen) {
            return Err(format!("the program allocates with {name}, whose chunks are not walked"));
        }
        if !seen.has_file(|n| n.starts_with("libc.so.6") || n.starts_with("libc-2.")) {
            return Err("no glibc is mapped: its chunks cannot be walked".to_owned());
        }
        let path = self.folder.join("mem");
        let memory = File::open(&path).map_err(|e| why(&path, &e))?;
        let deadline = Instant::now() + WALK_TIME;
        let mut all = Chunks::default();
        for heap in seen.of(Kind::Brk).chain(seen.of(Kind::Arena)) {
            all.add(self.heap(&memory, heap, deadline)?);
        }
        Ok(all)
    }

    /// Walks one heap; what changed while it was read is read again.
    fn heap(&mut self, memory: &File, heap: &Mapping, deadline: Instant) -> Result<Chunks, String> {
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.walk(memory, heap, deadline) {
                Ok(chunks) => return Ok(chunks),
                Err(e) => last = e,
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(last)
    }

    fn walk(&mut self, memory: &File, heap: &Mapping, deadline: Instant) -> Result<Chunks, String> {
        let length = heap.end - heap.start;
        let head = self.read(memory, heap.start, length)?;
        let first = if heap.name == "[heap]" {
            first_of_brk(self.buffer.get(..head).unwrap_or_default())
        } else {
            first_chunk(self.buffer.get(..head).unwrap_or_default(), length)
        };
        let first = first.ok_or("a heap does not begin with a chunk of glibc's")?;
        let mut walk = Walk::new(first, length);
        while !walk.is_done() {
            if Instant::now() >= deadline {
                return Err(format!("the heaps are too large to walk in {} ms", WALK_TIME.as_millis()));
            }
            let offset = walk.wants();
            let n = self.read(memory, heap.start + offset, length.saturating_sub(offset))?;
            walk.feed(offset, self.buffer.get(..n).unwrap_or_default()).map_err(|e| e.to_string())?;
        }
        walk.finish().map_err(|e| e.to_string())
    }

    fn read(&mut self, memory: &File, address: u64, left: u64) -> Result<usize, String> {
        let wanted = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let piece = self.buffer.get_mut(..wanted).unwrap_or_default();
        match memory.read_at(piece, address) {
            Ok(0) => Err("the heap ends before its chunks do".to_owned()),
            Ok(n) => Ok(n),
            Err(e) => Err(format!("failed to read the heap: {e}")),
        }
    }
}

/// The brk heap begins with a chunk, unless something else moved the break before malloc did.
fn first_of_brk(head: &[u8]) -> Option<u64> {
    let word = u64::from_le_bytes(head.get(8..16)?.try_into().ok()?);
    if word & !7 >= 32 { Some(0) } else { first_chunk(head, head.len() as u64) }
}

/// An allocator that stands in for glibc's.
fn foreign(seen: &Smaps) -> Option<&'static str> {
    ["jemalloc", "tcmalloc", "mimalloc"].into_iter().find(|a| seen.has_file(|n| n.contains(a)))
}

impl Source for Allocator {
    fn sample(&mut self, out: &mut Observation) {
        let began = Instant::now();
        if began < self.rests_until {
            return;
        }
        self.look(out);
        self.rests_until = began + DUTY * began.elapsed();
    }
}

impl Allocator {
    fn look(&mut self, out: &mut Observation) {
        let path = self.folder.join("smaps");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) => {
                let why = why(&path, &e);
                out.put(Fact::SmapsHeap, Reading::unknown(why.clone()));
                return out.put(Fact::MallocFree, Reading::unknown(why));
            }
        };
        let seen = smaps::read(&text);
        for (fact, kind) in [
            (Fact::SmapsHeap, Kind::Brk),
            (Fact::SmapsArenas, Kind::Arena),
            (Fact::SmapsStacks, Kind::Stack),
            (Fact::SmapsAnonOther, Kind::Anonymous),
            (Fact::SmapsFile, Kind::File),
        ] {
            out.known(fact, seen.resident(kind) as f64);
        }
        out.known(Fact::ArenaCount, seen.of(Kind::Arena).count() as f64);
        if !self.walks {
            return;
        }
        match self.heaps(&seen) {
            Ok(chunks) => {
                out.known(Fact::MallocInUse, chunks.in_use as f64);
                out.known(Fact::MallocFree, chunks.free as f64);
            }
            Err(why) => {
                out.put(Fact::MallocFree, Reading::unknown(why.clone()));
                out.put(Fact::MallocInUse, Reading::unknown(why));
            }
        }
    }
}
