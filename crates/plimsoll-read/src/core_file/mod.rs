//! A core of a process (ELF, 64 bits, little-endian): which program, which signal, how many threads, how much memory,
//! and whether all of it is there. What is in the memory is a debugger's to read.

mod kind;
mod notes;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

pub use kind::CoreReport;
pub use notes::{File, Signal};

use crate::reading::Warnings;

/// Program headers and bytes of notes that are read at most; a process may have more mappings by configuration only.
const HEADERS: u64 = 1 << 20;
const NOTES: u64 = 256 << 20;
/// Bytes of a program header, and its kinds.
const HEADER: usize = 56;
const LOAD: u32 = 1;
const NOTE: u32 = 4;
/// Stands for a number of program headers that does not fit its field.
const MANY: u16 = 0xffff;
/// The kind of ELF file that a core is.
const CORE: u16 = 4;

/// A piece of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// First address.
    pub start: u64,
    /// Bytes of it in memory.
    pub size: u64,
    /// Bytes of it in the file.
    pub kept: u64,
    /// Writable.
    pub writable: bool,
}

/// A core.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Core {
    /// The kind of processor, as ELF numbers it.
    pub machine: u16,
    /// Pieces of memory, in the file's order.
    pub segments: Vec<Segment>,
    /// The name that the kernel knows the program by, at most 15 characters.
    pub program: Option<String>,
    /// The process.
    pub pid: Option<u32>,
    /// Threads.
    pub threads: u64,
    /// Why it died; none when the core does not say.
    pub signal: Option<Signal>,
    /// Files that were mapped, in order of address.
    pub files: Vec<File>,
    /// Bytes that a whole file would have.
    pub expected: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What to know before believing the numbers.
    pub warnings: Warnings,
}

/// Whether it begins like a core.
pub(super) fn is_core(head: &[u8]) -> bool {
    // The order of bytes is told at 5: a core of the other one has its kind the other way round.
    let kind = head.get(16..18).and_then(|b| <[u8; 2]>::try_from(b).ok());
    let big = head.get(5) == Some(&2);
    let kind = kind.map(|b| if big { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) });
    head.starts_with(b"\x7fELF") && kind == Some(CORE)
}

/// Reads a core, its memory only to count it; none when it is no core.
pub fn read(from: &mut dyn Read) -> Option<Core> {
    let mut from = Counted { from, bytes: 0 };
    let head = from.take_bytes(64);
    if !is_core(&head) {
        return None;
    }
    let mut core = Core { machine: u16_at(&head, 18).unwrap_or(0), ..Core::default() };
    if head.get(4..6) != Some(&[2, 1]) {
        core.warnings.say("a core of 32 bits or of the other order of bytes: only its kind is told");
    } else if let (Some(offset), Some(count)) = (u64_at(&head, 32), u16_at(&head, 56)) {
        core.tables(&mut from, offset, count);
    }
    io::copy(&mut from, &mut io::sink()).ok();
    core.bytes = from.bytes;
    core.expected = core.expected.max(64);
    Some(core)
}

impl Core {
    fn tables(&mut self, from: &mut Counted<'_>, offset: u64, count: u16) {
        if count == MANY {
            self.warnings.say("more than 65534 pieces of memory: only the first ones are counted");
        }
        from.skip_to(offset);
        let bytes = from.take_bytes((u64::from(count) * HEADER as u64).min(HEADERS * HEADER as u64));
        let end = |offset: u64, size: u64| offset.saturating_add(size);
        self.expected = end(offset, u64::from(count) * HEADER as u64);
        let mut notes = Vec::new();
        for header in bytes.chunks_exact(HEADER) {
            let of = |at| u64_at(header, at).unwrap_or(0);
            let (at, kept) = (of(8), of(32));
            match u32_at(header, 0) {
                Some(LOAD) => {
                    let writable = u32_at(header, 4).is_some_and(|flags| flags & 2 != 0);
                    self.segments.push(Segment { start: of(16), size: of(40), kept, writable });
                }
                Some(NOTE) => notes.push((at, kept)),
                _ => {}
            }
            self.expected = self.expected.max(end(at, kept));
        }
        notes.sort_unstable();
        for (at, size) in notes {
            if at < from.bytes {
                self.warnings.say("notes that stand before their headers are not read");
                continue;
            }
            from.skip_to(at);
            let bytes = from.take_bytes(size.min(NOTES));
            self.notes(&bytes);
        }
    }

    /// Why it is not whole.
    pub fn lacks(&self) -> Option<String> {
        (self.bytes < self.expected)
            .then(|| format!("{} of {} bytes are there: the rest was not written", self.bytes, self.expected))
    }
}

/// A stream that knows how far it is.
struct Counted<'a> {
    from: &'a mut dyn Read,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(to)?;
        self.bytes = self.bytes.saturating_add(n as u64);
        Ok(n)
    }
}

impl Counted<'_> {
    /// The next bytes; fewer at the end.
    fn take_bytes(&mut self, size: u64) -> Vec<u8> {
        let mut out = Vec::new();
        // What cannot be read further is the end; who gave the stream knows why.
        self.take(size).read_to_end(&mut out).ok();
        out
    }

    fn skip_to(&mut self, offset: u64) {
        let more = offset.saturating_sub(self.bytes);
        io::copy(&mut self.take(more), &mut io::sink()).ok();
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}
