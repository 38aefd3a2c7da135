//! The runtime's memory profile: one bucket per stack and size, in a list that only grows.

use std::fmt::Write as _;

use super::{Program, ReadAt, Refusal};
use crate::core_file::u64_at;
use crate::goroutines::Frame;

/// Offsets in a bucket, and bytes before its stack.
const NEXT: usize = 8;
const KIND: usize = 16;
const SIZE: usize = 32;
const DEPTH: usize = 40;
const HEAD: usize = 48;
/// The kind of bucket that counts memory.
const OF_MEMORY: u64 = 1;
const MOST: usize = 1 << 19;
const DEEPEST: u64 = 1024;
/// What every goroutine returns to in the end.
const END: &str = "runtime.goexit";
/// Cycles of a record: the published one, and those to come.
const CYCLES: usize = 4;
/// Bytes that are read at once: buckets lie one behind another, the newest first.
const PIECE: u64 = 1 << 16;

/// Objects and bytes, allocated and freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cycle {
    allocs: u64,
    frees: u64,
    bytes: u64,
    freed: u64,
}

impl Cycle {
    fn add(self, other: Cycle) -> Cycle {
        Cycle {
            allocs: self.allocs.wrapping_add(other.allocs),
            frees: self.frees.wrapping_add(other.frees),
            bytes: self.bytes.wrapping_add(other.bytes),
            freed: self.freed.wrapping_add(other.freed),
        }
    }

    /// What a profile tells: objects and bytes in use, and ever allocated.
    fn row(&self) -> [u64; 4] {
        [
            self.allocs.saturating_sub(self.frees),
            self.bytes.saturating_sub(self.freed),
            self.allocs,
            self.bytes,
        ]
    }
}

struct Bucket {
    published: Cycle,
    to_come: Cycle,
    stack: Vec<u64>,
}

impl Program {
    /// The memory profile as text, as `runtime/pprof` writes it.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn memory_profile(&mut self) -> Result<String, Refusal> {
        let head = self.globals.buckets.ok_or(Refusal::Missing("the memory profile"))?;
        let first = self.word(head).ok_or(Refusal::Memory("the memory profile"))?;
        let interval = self.globals.interval.and_then(|at| self.word(at));
        let interval = interval.ok_or(Refusal::Missing("the interval of the memory profile"))?;
        // A sample or two are of the time before it was switched off.
        if interval == 0 {
            return Err(Refusal::Missing(
                "a memory profile (it is switched off, or nothing in the program can ask for it, so the linker left it out)",
            ));
        }
        if first == 0 {
            return Err(Refusal::Missing(
                "a sample of the memory profile (nothing large enough was allocated yet)",
            ));
        }
        let buckets = self.buckets(first)?;
        // Before the first collection nothing is published: then what is to come is all there is.
        let published = buckets.iter().any(|b| b.published.allocs > 0);
        let rows: Vec<([u64; 4], &[u64])> = buckets
            .iter()
            .map(|b| {
                (if published { b.published } else { b.published.add(b.to_come) }.row(), b.stack.as_slice())
            })
            .filter(|(row, _)| row.iter().any(|n| *n > 0))
            .collect();
        Ok(self.text(&rows, interval))
    }

    fn buckets(&self, first: u64) -> Result<Vec<Bucket>, Refusal> {
        let (mut out, mut at) = (Vec::new(), first);
        let mut window = Window { memory: self.memory.as_ref(), start: 0, bytes: Vec::new() };
        while at > 0 && out.len() < MOST {
            let head = window.get(at, HEAD).ok_or(Refusal::Memory("the memory profile"))?;
            let word = |offset| u64_at(&head, offset).unwrap_or(0);
            let depth = word(DEPTH);
            if word(KIND) != OF_MEMORY || depth > DEEPEST {
                return Err(Refusal::Missing("the list of the memory profile"));
            }
            let stack = depth as usize * 8;
            let rest = window.get(at.saturating_add(HEAD as u64), stack + self.layout.profile());
            let rest = rest.ok_or(Refusal::Memory("the memory profile"))?;
            let cycle = |n: usize| self.cycle(rest.get(stack + n * self.layout.cycle..), word(SIZE));
            let to_come = (1..CYCLES).map(cycle).fold(Cycle::default(), Cycle::add);
            let stack = rest.chunks_exact(8).take(depth as usize).filter_map(|w| u64_at(w, 0)).collect();
            out.push(Bucket { published: cycle(0), to_come, stack });
            at = word(NEXT);
        }
        Ok(out)
    }

    /// From Go 1.27 on only objects are counted: a bucket's are of one size.
    fn cycle(&self, bytes: Option<&[u8]>, size: u64) -> Cycle {
        let word = |at| bytes.and_then(|b| u64_at(b, at)).unwrap_or(0);
        let (allocs, frees) = (word(0), word(8));
        let of = |n: u64, at| if self.layout.cycle > 16 { word(at) } else { n.wrapping_mul(size) };
        Cycle { allocs, frees, bytes: of(allocs, 16), freed: of(frees, 24) }
    }

    fn text(&mut self, rows: &[([u64; 4], &[u64])], interval: u64) -> String {
        let line =
            |[objects, bytes, all, all_bytes]: [u64; 4]| format!("{objects}: {bytes} [{all}: {all_bytes}]");
        let sum = rows.iter().fold([0; 4], |sum: [u64; 4], (row, _)| {
            let mut next = sum;
            next.iter_mut().zip(row).for_each(|(s, n)| *s = s.saturating_add(*n));
            next
        });
        // Twice the interval, as Go has it.
        let mut out = format!("heap profile: {} @ heap/{}\n", line(sum), interval.saturating_mul(2));
        for (row, stack) in rows {
            let addresses: String = stack.iter().map(|pc| format!(" {pc:#x}")).collect();
            // Writing into a text cannot fail.
            let _written = writeln!(out, "{} @{addresses}", line(*row));
            // The runtime's own innermost functions only say that memory was allocated.
            let named: Vec<(u64, Frame)> = stack
                .iter()
                .filter_map(|pc| Some((*pc, self.unwinder.innermost(*pc)?)))
                .filter(|(_, f)| f.function != END)
                .collect();
            let inside = named.iter().take_while(|(_, f)| is_runtime(&f.function)).count();
            let shown = if inside == named.len() { 0 } else { inside };
            for (pc, f) in named.iter().skip(shown) {
                let _written = writeln!(out, "#\t{:#x}\t{}\t{}", pc.wrapping_sub(1), f.function, f.location);
            }
            out.push('\n');
        }
        let _written =
            writeln!(out, "# runtime.MemStats\n# read from outside of a program of {}", self.version);
        out
    }
}

/// Whether it is of the runtime, whose maps live in a package of their own since Go 1.24: as its own profiles hide them.
fn is_runtime(function: &str) -> bool {
    function.starts_with("runtime.") || function.starts_with("internal/runtime/")
}

/// The piece of memory that was read last.
struct Window<'a> {
    memory: &'a dyn ReadAt,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    fn get(&mut self, at: u64, size: usize) -> Option<Vec<u8>> {
        let inside = |w: &Self| {
            at >= w.start && at.saturating_add(size as u64) <= w.start.saturating_add(w.bytes.len() as u64)
        };
        if !inside(self) {
            self.start = at & !(PIECE - 1);
            let most = PIECE.max(at.saturating_sub(self.start) + size as u64);
            self.bytes = super::elf::bytes(self.memory, self.start, most);
        }
        if !inside(self) {
            // Memory may begin after the piece does.
            (self.start, self.bytes) = (at, super::elf::bytes(self.memory, at, size as u64));
        }
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..)?.get(..size).map(<[u8]>::to_vec)
    }
}
