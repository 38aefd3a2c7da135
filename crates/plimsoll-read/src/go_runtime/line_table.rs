//! Go's own table of functions and lines (`.gopclntab`), the form of Go 1.20 and later: which function an address is
//! in, its name, file and line, how far its frame reaches, and what was inlined into it.
//!
//! It is read where it is needed: a large program's table has tens of megabytes.

use std::sync::Arc;

use super::elf::{Executable, Section, bytes};
use super::{Bytes, ReadAt, Refusal};
use crate::core_file::{u32_at, u64_at};

const MAGIC: u32 = 0xffff_fff1;
/// Forms of older versions.
const OLDER: &[(u32, &str)] =
    &[(0xffff_fffb, "Go 1.2 to 1.15"), (0xffff_fffa, "Go 1.16 and 1.17"), (0xffff_fff0, "Go 1.18 and 1.19")];
const HEAD: u64 = 72;
/// No file is larger: sums of offsets within it cannot overflow.
const LARGEST: u64 = 1 << 48;
const FUNCTIONS: u64 = 1 << 22;
/// Bytes of a function's record before its tables.
const RECORD: u64 = 44;
/// Tables of a function: the one that says what was inlined where, and the tree that it points into.
const INLINED_AT: u32 = 2;
const INLINED: u8 = 3;
/// Bytes of a node of that tree.
const NODE: u64 = 16;
/// Functions inlined into each other.
const DEEPEST: usize = 64;
/// Steps within a table: no function is longer.
const STEPS: usize = 1 << 20;
/// Longest name that is read, bytes.
const NAME: u64 = 1024;
const PIECE: u64 = 1 << 16;

/// A function as it was compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Function {
    /// Offset of its code.
    pub(super) entry: u32,
    name: u32,
    frames: u32,
    files: u32,
    lines: u32,
    tables: u32,
    unit: u32,
    pub(super) id: u8,
    pub(super) flags: u8,
    data: u8,
    at: u64,
}

/// A function as it was written, perhaps inlined into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logical {
    pub(super) function: String,
    pub(super) location: String,
    pub(super) id: u8,
}

/// The table.
pub(super) struct LineTable {
    file: Bytes,
    names: u64,
    units: u64,
    files: u64,
    values: u64,
    functions: u64,
    end: u64,
    /// Offsets of code and of the function's record, in order; the last one ends the code.
    entries: Vec<(u32, u32)>,
    /// Where the table was linked to.
    pub(super) address: u64,
    /// Offsets of its parts, which the runtime points to.
    pub(super) parts: [u64; 2],
}

impl LineTable {
    pub(super) fn open(executable: &Executable) -> Result<Self, Refusal> {
        let found = executable.section(&[".gopclntab", ".data.rel.ro.gopclntab"]);
        let Section { address, offset, size, .. } =
            found.filter(|s| s.kept && s.offset < LARGEST && s.size < LARGEST).ok_or(Refusal::NotGo)?;
        let shared = Arc::clone(executable.file());
        let file = shared.as_ref();
        let head = bytes(file, offset, HEAD);
        let magic = u32_at(&head, 0).ok_or(Refusal::NotGo)?;
        if let Some((_, older)) = OLDER.iter().find(|(m, _)| *m == magic) {
            return Err(Refusal::Table(older));
        }
        // No padding, instructions of one byte and pointers of eight.
        if magic != MAGIC || head.get(4..8) != Some(&[0, 0, 1, 8]) {
            return Err(Refusal::Table("no version that is known"));
        }
        let number = |at| u64_at(&head, at).filter(|n| *n < size).ok_or(Refusal::NotGo);
        let (count, functions) = (number(8)?.min(FUNCTIONS), number(64)?);
        let names = number(32)?;
        let index = bytes(file, offset + functions, (count * 8 + 4).min(size - functions));
        let pair = |e: &[u8]| Some((u32_at(e, 0)?, u32_at(e, 4).unwrap_or(u32::MAX)));
        let entries: Vec<(u32, u32)> = index.chunks(8).filter_map(pair).collect();
        if (entries.len() as u64) <= count || !entries.is_sorted_by_key(|(code, _)| *code) {
            return Err(Refusal::NotGo);
        }
        Ok(LineTable {
            file: Arc::clone(&shared),
            names: offset + names,
            units: offset + number(40)?,
            files: offset + number(48)?,
            values: offset + number(56)?,
            functions: offset + functions,
            end: offset + size,
            entries,
            address,
            parts: [names, functions],
        })
    }

    /// The function that an offset of code is in.
    pub(super) fn function(&self, code: u32) -> Option<Function> {
        let after = self.entries.partition_point(|(entry, _)| *entry <= code);
        // The last entry is the end.
        let (entry, record) = *self.entries.get(after.checked_sub(1)?)?;
        self.entries.get(after)?;
        let at = self.functions + u64::from(record);
        let bytes = bytes(self.file.as_ref(), at, RECORD);
        let word = |offset| u32_at(&bytes, offset);
        Some(Function {
            entry,
            name: word(4)?,
            frames: word(16)?,
            files: word(20)?,
            lines: word(24)?,
            tables: word(28)?,
            unit: word(32)?,
            id: *bytes.get(40)?,
            flags: *bytes.get(41)?,
            data: *bytes.get(43)?,
            at,
        })
    }

    /// Where the code of some functions lies, from and to, in the order of their names.
    pub(super) fn find(&self, names: &[&str]) -> Vec<Option<(u32, u32)>> {
        let offsets = self.offsets(names);
        let mut out = vec![None; names.len()];
        let mut window = Window { from: self.file.as_ref(), start: 0, bytes: Vec::new() };
        for pair in self.entries.windows(2) {
            let [(entry, record), (next, _)] = pair else { continue };
            let Some(name) = window.u32(self.functions + u64::from(*record) + 4) else { continue };
            if let Some(i) = offsets.iter().position(|o| *o == Some(name))
                && let Some(slot) = out.get_mut(i)
            {
                *slot = Some((*entry, *next));
            }
        }
        out
    }

    /// Offsets of names within the table of names.
    fn offsets(&self, names: &[&str]) -> Vec<Option<u32>> {
        let needles: Vec<Vec<u8>> = names.iter().map(|n| [b"\0", n.as_bytes(), b"\0"].concat()).collect();
        let longest = needles.iter().map(Vec::len).max().unwrap_or(0) as u64;
        let mut out = vec![None; names.len()];
        let mut at = self.names;
        while at < self.units {
            let piece = bytes(self.file.as_ref(), at, (PIECE + longest).min(self.units - at));
            for (i, _) in piece.iter().enumerate().filter(|(_, b)| **b == 0) {
                let rest = piece.get(i..).unwrap_or_default();
                if let Some(slot) =
                    needles.iter().position(|n| rest.starts_with(n)).and_then(|n| out.get_mut(n))
                {
                    *slot = u32::try_from(at + i as u64 + 1 - self.names).ok();
                }
            }
            at += PIECE;
        }
        out
    }

    /// How far the frame reaches at an offset of code: from the stack pointer to the address to return to.
    pub(super) fn frame(&self, f: &Function, code: u32) -> Option<u32> {
        u32::try_from(self.value(f.frames, f, code)?).ok()
    }

    /// The name of a function; generic arguments as Go prints them.
    pub(super) fn name(&self, f: &Function) -> String {
        printed(&self.text(self.names, f.name))
    }

    /// What was written at an offset of code, the innermost first: functions inlined into each other, then the one
    /// that was compiled. `inlined` gives what functions refer to, by its offset.
    pub(super) fn logical(
        &self,
        f: &Function,
        code: u32,
        inlined: &dyn Fn(u64, u64) -> Vec<u8>,
    ) -> Vec<(u32, Logical)> {
        let tree = self.tree(f);
        let mut out = Vec::new();
        let mut at = code;
        while out.len() < DEEPEST {
            let node = tree.zip(self.inlined_at(f, at)).and_then(|(tree, index)| {
                let node = inlined(tree + index * NODE, NODE);
                Some((*node.first()?, u32_at(&node, 4)?, u32_at(&node, 8)?))
            });
            let (id, name) = node.map_or((f.id, f.name), |(id, name, _)| (id, name));
            let function = printed(&self.text(self.names, name));
            out.push((at, Logical { function, location: self.location(f, at), id }));
            let Some((_, _, parent)) = node else { break };
            at = f.entry.saturating_add(parent);
        }
        out
    }

    /// `path/file.go:12`; empty when the table does not say it.
    pub(super) fn location(&self, f: &Function, code: u32) -> String {
        let file = self.value(f.files, f, code).and_then(|n| u64::try_from(n).ok());
        let file = file.and_then(|n| {
            let slot = bytes(self.file.as_ref(), self.units + 4 * (u64::from(f.unit) + n), 4);
            u32_at(&slot, 0).filter(|o| *o != u32::MAX)
        });
        match (file, self.value(f.lines, f, code)) {
            (Some(file), Some(line)) => format!("{}:{line}", self.text(self.files, file)),
            _ => String::new(),
        }
    }

    /// The offset of the tree of what was inlined.
    fn tree(&self, f: &Function) -> Option<u64> {
        (f.data > INLINED).then_some(())?;
        let at = f.at + RECORD + 4 * (u64::from(f.tables) + u64::from(INLINED));
        u32_at(&bytes(self.file.as_ref(), at, 4), 0).filter(|o| *o != u32::MAX).map(u64::from)
    }

    fn inlined_at(&self, f: &Function, code: u32) -> Option<u64> {
        (f.tables > INLINED_AT).then_some(())?;
        let table = u32_at(&bytes(self.file.as_ref(), f.at + RECORD + 4 * u64::from(INLINED_AT), 4), 0)?;
        u64::try_from(self.value(table, f, code)?).ok()
    }

    /// The value of a table at an offset of code: pairs of differences, of the value and of the code.
    fn value(&self, table: u32, f: &Function, code: u32) -> Option<i32> {
        if table == 0 {
            return None;
        }
        let mut pairs = Stream {
            from: self.file.as_ref(),
            at: self.values + u64::from(table),
            end: self.end,
            left: [0; 64],
            have: 0,
            next: 0,
        };
        let (mut value, mut at) = (-1_i32, f.entry);
        for step in 0..STEPS {
            let delta = pairs.varint()?;
            if delta == 0 && step > 0 {
                return None;
            }
            value = value.wrapping_add((delta >> 1).cast_signed() ^ -((delta & 1).cast_signed()));
            at = at.checked_add(pairs.varint()?)?;
            if code < at {
                return Some(value);
            }
        }
        None
    }

    fn text(&self, table: u64, offset: u32) -> String {
        let text = bytes(self.file.as_ref(), table + u64::from(offset), NAME);
        String::from_utf8_lossy(text.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
    }
}

/// `main.Map[...].Get` of `main.Map[go.shape.int].Get`.
fn printed(name: &str) -> String {
    match name.find('[').zip(name.rfind(']')) {
        Some((open, close)) if open < close => {
            let (head, tail) = (name.get(..open).unwrap_or(name), name.get(close..).unwrap_or_default());
            format!("{head}[...{tail}")
        }
        _ => name.to_owned(),
    }
}

/// Numbers of a file, read in small pieces.
struct Stream<'a> {
    from: &'a dyn ReadAt,
    at: u64,
    end: u64,
    left: [u8; 64],
    have: usize,
    next: usize,
}

impl Stream<'_> {
    fn byte(&mut self) -> Option<u8> {
        if self.next == self.have {
            let most = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let room = self.left.len().min(most);
            self.have = self.from.read_at(self.at, self.left.get_mut(..room)?);
            self.at += self.have as u64;
            self.next = 0;
        }
        let byte = *self.left.get(..self.have)?.get(self.next)?;
        self.next += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// A piece of a file through which a walk goes.
struct Window<'a> {
    from: &'a dyn ReadAt,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    fn u32(&mut self, at: u64) -> Option<u32> {
        let inside = |w: &Self| at >= w.start && at + 4 <= w.start + w.bytes.len() as u64;
        if !inside(self) {
            (self.start, self.bytes) = (at, bytes(self.from, at, PIECE));
        }
        u32_at(&self.bytes, usize::try_from(at - self.start).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generic_arguments_are_left_out_as_go_does() {
        assert_eq!(printed("main.Map[go.shape.int,string].Get"), "main.Map[...].Get");
        assert_eq!(printed("main.f"), "main.f");
        assert_eq!(printed("main.]["), "main.][");
    }

    #[test]
    fn numbers_of_varying_length_end_where_the_bytes_do() {
        struct Bytes(&'static [u8]);
        impl ReadAt for Bytes {
            fn read_at(&self, at: u64, to: &mut [u8]) -> usize {
                let rest = self.0.get(at as usize..).unwrap_or_default();
                let n = rest.len().min(to.len());
                to[..n].copy_from_slice(&rest[..n]);
                n
            }
        }
        let bytes = Bytes(&[0x05, 0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff]);
        let mut s = Stream { from: &bytes, at: 0, end: 8, left: [0; 64], have: 0, next: 0 };
        assert_eq!((s.varint(), s.varint()), (Some(5), Some(128)));
        assert_eq!(s.varint(), None, "longer than any that is written");
        let mut s = Stream { from: &bytes, at: 1, end: 2, left: [0; 64], have: 0, next: 0 };
        assert_eq!(s.varint(), None, "cut");
    }
}
