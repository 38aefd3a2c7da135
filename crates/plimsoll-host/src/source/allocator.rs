//! Mappings by kind, and the free share of glibc's heaps, read from outside without a pause.
//!
//! Both come from one look at `smaps`: it is dear (the kernel walks the page tables), so it is taken rarely and
//! on a thread of its own.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plimsoll_core::fact::{Fact, Reading};
use plimsoll_core::recording::Observation;
use plimsoll_core::target::{RuntimeKind, Target};
use plimsoll_read::glibc_heap::{Chunks, HeapInfo, Walk, first_chunk};
use plimsoll_read::smaps::{self, Kind, Smaps};

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

/// One heap to walk.
enum Heap {
    /// The main arena's, which has no head.
    Brk { start: u64, length: u64 },
    /// Another arena's.
    Secondary(HeapInfo),
}

struct Allocator {
    folder: PathBuf,
    /// The C allocator matters where the runtime has no heap of its own, or beside it for native parts.
    walks: bool,
    rests_until: Instant,
    /// Arenas beside the main one, where their heads could be read.
    arenas: Option<usize>,
    buffer: Vec<u8>,
}

impl Allocator {
    fn new(world: &World, target: &Target) -> Self {
        Allocator {
            folder: world.proc_root.join(target.pid.to_string()),
            walks: !matches!(target.runtime, RuntimeKind::Go),
            rests_until: Instant::now(),
            arenas: None,
            buffer: vec![0; PIECE],
        }
    }

    /// Walks every heap of glibc. Arenas are found by the heads of their heaps, and `seen` is settled by them:
    /// the kernel shows full neighbours as one mapping.
    fn heaps(&mut self, seen: &mut Smaps) -> Result<Chunks, String> {
        if let Some(name) = foreign(seen) {
            return Err(format!("the program allocates with {name}, whose chunks are not walked"));
        }
        if !seen.has_file(|n| n.starts_with("libc.so.6") || n.starts_with("libc-2.")) {
            return Err("no glibc is mapped: its chunks cannot be walked".to_owned());
        }
        let path = self.folder.join("mem");
        let memory = File::open(&path).map_err(|e| why(&path, &e))?;
        let secondary = heads(&memory, seen).map_err(|e| why(&path, &e))?;
        seen.settle(&secondary);
        self.arenas = Some(secondary.iter().filter(|h| h.first).count());
        let deadline = Instant::now() + WALK_TIME;
        let brk = seen.of(Kind::Brk).map(|m| Heap::Brk { start: m.start, length: m.end - m.start });
        let rest = secondary.iter().copied().map(Heap::Secondary);
        let mut all = Chunks::default();
        for heap in brk.chain(rest) {
            all.add(self.heap(&memory, &heap, deadline)?);
        }
        Ok(all)
    }

    /// Walks one heap; what changed while it was read is read again.
    fn heap(&mut self, memory: &File, heap: &Heap, deadline: Instant) -> Result<Chunks, String> {
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

    fn walk(&mut self, memory: &File, heap: &Heap, deadline: Instant) -> Result<Chunks, String> {
        let (start, mut length) = self.extent(memory, heap).ok_or("an arena's heap went away")?;
        let n = self.read(memory, start, length)?;
        let first = match heap {
            Heap::Brk { .. } => first_of_brk(self.piece(n)),
            Heap::Secondary(head) => head.first_chunk(self.piece(n)),
        };
        let mut walk = Walk::new(first.ok_or("a heap does not begin with a chunk of glibc's")?, length);
        while !walk.is_done() {
            if Instant::now() >= deadline {
                return Err(format!("the heaps are too large to walk in {} ms", WALK_TIME.as_millis()));
            }
            let offset = walk.wants();
            let n = self.read(memory, start + offset, length.saturating_sub(offset))?;
            if let Err(broken) = walk.feed(offset, self.piece(n)) {
                // The heap may have grown since the walk began: then its top reaches beyond the end of then.
                let now = self.extent(memory, heap).map_or(0, |(_, now)| now);
                if now <= length {
                    return Err(broken.to_string());
                }
                length = now;
                walk.grow(length);
            }
        }
        walk.finish().map_err(|e| e.to_string())
    }

    /// Where a heap begins and how long it is now: it grows and shrinks while it is read.
    fn extent(&self, memory: &File, heap: &Heap) -> Option<(u64, u64)> {
        match heap {
            Heap::Brk { start, length } => {
                let now = brk_end(&self.folder).and_then(|end| end.checked_sub(*start));
                Some((*start, now.unwrap_or(*length)))
            }
            Heap::Secondary(head) => head_at(memory, head.base).map(|now| (now.base, now.size)),
        }
    }

    fn piece(&self, length: usize) -> &[u8] {
        self.buffer.get(..length).unwrap_or_default()
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

/// The heads of the secondary heaps, in order of address; an error when not even one byte may be read.
fn heads(memory: &File, seen: &Smaps) -> Result<Vec<HeapInfo>, std::io::Error> {
    let mut probe = [0u8; 1];
    if let Some((some, _)) = seen.mappings.iter().find(|(m, _)| m.writable) {
        memory.read_at(&mut probe, some.start)?;
    }
    Ok(seen.heap_places().filter_map(|base| head_at(memory, base)).collect())
}

fn head_at(memory: &File, base: u64) -> Option<HeapInfo> {
    let mut words = [0u8; HeapInfo::BYTES];
    memory.read_exact_at(&mut words, base).ok()?;
    HeapInfo::read(base, &words)
}

/// Where the brk heap ends now. It follows the mappings of the program itself, near the begin of the list.
fn brk_end(folder: &Path) -> Option<u64> {
    const MOST_LINES: usize = 256;
    let lines = BufReader::new(File::open(folder.join("maps")).ok()?).lines().take(MOST_LINES);
    let line = lines.map_while(Result::ok).find(|l| l.ends_with("[heap]"))?;
    u64::from_str_radix(line.split_once('-')?.1.split_once(' ')?.0, 16).ok()
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
        let mut seen = smaps::read(&text);
        self.arenas = None;
        let walked = self.walks.then(|| self.heaps(&mut seen));
        for (fact, kind) in [
            (Fact::SmapsHeap, Kind::Brk),
            (Fact::SmapsArenas, Kind::Arena),
            (Fact::SmapsStacks, Kind::Stack),
            (Fact::SmapsAnonOther, Kind::Anonymous),
            (Fact::SmapsFile, Kind::File),
        ] {
            out.known(fact, seen.resident(kind) as f64);
        }
        out.known(Fact::ArenaCount, self.arenas.unwrap_or_else(|| seen.of(Kind::Arena).count()) as f64);
        match walked {
            None => {}
            Some(Ok(chunks)) => {
                out.known(Fact::MallocInUse, chunks.in_use as f64);
                out.known(Fact::MallocFree, chunks.free as f64);
            }
            Some(Err(why)) => {
                out.put(Fact::MallocFree, Reading::unknown(why.clone()));
                out.put(Fact::MallocInUse, Reading::unknown(why));
            }
        }
    }
}
