//! The parts of an executable by which a Go program is read.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Bytes, ReadAt, Refusal};
use crate::core_file::{u16_at, u32_at, u64_at};

const SECTIONS: u64 = 4096;
const NAMES: u64 = 1 << 20;
const LOADS: u64 = 256;
const SECTION: usize = 64;
const HEADER: usize = 56;
const LOAD: u32 = 1;
const NO_BITS: u32 = 8;
const AMD64: u16 = 62;
/// Build information: magic, size of a pointer, flags; from Go 1.18 on two texts follow at 32, each after its length.
const BUILD_MAGIC: &[u8] = b"\xff Go buildinf:";
const BUILD_TEXTS: usize = 32;
const IN_LINE: u8 = 2;
/// Bytes of a section that are searched for a version.
const SEARCHED: u64 = 32 << 20;
/// Longest version that is believed, bytes.
const VERSION: usize = 128;

/// A section: where it is in the file, and where it was linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Section {
    pub(crate) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) writable: bool,
    /// Whether the file holds it.
    pub(super) kept: bool,
}

/// A piece of the file that is mapped.
#[derive(Debug, Clone, Copy)]
struct Load {
    address: u64,
    offset: u64,
    kept: u64,
}

/// An ELF file for amd64.
pub(crate) struct Executable {
    file: Bytes,
    sections: Vec<(String, Section)>,
    loads: Vec<Load>,
    /// Where its program headers were linked to.
    pub(super) headers: Option<u64>,
}

impl Executable {
    pub(crate) fn open(file: &Bytes) -> Result<Self, Refusal> {
        let shared = Arc::clone(file);
        let file = file.as_ref();
        let head = bytes(file, 0, 64);
        if !head.starts_with(b"\x7fELF\x02\x01") {
            return Err(Refusal::Machine("it is no 64-bit ELF file"));
        }
        if u16_at(&head, 18) != Some(AMD64) {
            return Err(Refusal::Machine("it is for another processor"));
        }
        let number = |at| u64_at(&head, at).unwrap_or(0);
        let half = |at| u64::from(u16_at(&head, at).unwrap_or(0));
        let table = bytes(file, number(32), half(56).min(LOADS) * HEADER as u64);
        let loads: Vec<Load> = table.chunks_exact(HEADER).filter_map(load).collect();
        let headers = place(&loads, number(32));
        let sections = sections(file, number(40), half(60).min(SECTIONS), half(62));
        Ok(Executable { file: shared, sections, loads, headers })
    }

    pub(crate) fn section(&self, names: &[&str]) -> Option<Section> {
        names.iter().find_map(|name| self.sections.iter().find(|(n, _)| n == name).map(|(_, s)| *s))
    }

    /// The address that a place in the file was linked to.
    pub(crate) fn address_of_offset(&self, offset: u64) -> Option<u64> {
        place(&self.loads, offset)
    }

    /// Sections that a running program changes.
    pub(super) fn writable(&self) -> impl Iterator<Item = Section> + '_ {
        self.sections.iter().map(|(_, s)| *s).filter(|s| s.writable && s.address > 0)
    }

    pub(super) fn file(&self) -> &Bytes {
        &self.file
    }

    /// What the file holds for an address that it was linked to; fewer bytes at the end of a piece.
    pub(super) fn at(&self, address: u64, size: u64) -> Vec<u8> {
        let inside = |l: &&Load| address >= l.address && address - l.address < l.kept;
        let Some(l) = self.loads.iter().find(inside) else { return Vec::new() };
        let within = address - l.address;
        bytes(self.file.as_ref(), l.offset.saturating_add(within), size.min(l.kept - within))
    }

    /// The version of Go: by the build information, else by the runtime's own variable, as some releases have the former
    /// removed.
    pub(super) fn go_version(&self) -> Option<String> {
        self.version_of_build().or_else(|| self.version_of_runtime())
    }

    /// The text among the constants that begins like a version and that a variable refers to with its length.
    fn version_of_runtime(&self) -> Option<String> {
        let (constants, variables) = (self.section(&[".rodata"])?, self.section(&[".data"])?);
        let held = |s: Section| bytes(self.file.as_ref(), s.offset, s.size.min(SEARCHED));
        let (texts, words) = (held(constants), held(variables));
        let begins = texts.windows(4).enumerate().filter(|(_, text)| text == b"go1.");
        let begins: HashSet<u64> =
            begins.filter_map(|(at, _)| constants.address.checked_add(at as u64)).collect();
        let text = |address: u64, length: u64| {
            let at = usize::try_from(address - constants.address).ok()?;
            let text = texts.get(at..)?.get(..usize::try_from(length).ok()?)?;
            let is_version = |b: &u8| b.is_ascii_alphanumeric() || *b == b'.';
            (length > 4 && text.len() < VERSION && text.iter().all(is_version)).then_some(text)
        };
        let (words, _) = words.as_chunks::<8>();
        let mut found = words.array_windows().filter_map(|[address, length]| {
            let [address, length] = [address, length].map(|word| u64::from_le_bytes(*word));
            begins.contains(&address).then(|| text(address, length)).flatten()
        });
        // Two that differ prove nothing.
        let version = found.next()?;
        found.all(|other| other == version).then(|| String::from_utf8_lossy(version).into_owned())
    }

    fn version_of_build(&self) -> Option<String> {
        let section = self.section(&[".go.buildinfo"])?;
        let text = bytes(self.file.as_ref(), section.offset, section.size.min(4096));
        if !text.starts_with(BUILD_MAGIC) || text.get(15)? & IN_LINE == 0 {
            return None;
        }
        let rest = text.get(BUILD_TEXTS..)?;
        // A version longer than 127 bytes is none.
        let length = usize::from(*rest.first()?);
        let version = rest.get(1..)?.get(..length).filter(|_| length < VERSION)?;
        String::from_utf8(version.to_vec()).ok()
    }
}

fn load(header: &[u8]) -> Option<Load> {
    (u32_at(header, 0)? == LOAD).then_some(())?;
    Some(Load { offset: u64_at(header, 8)?, address: u64_at(header, 16)?, kept: u64_at(header, 32)? })
}

/// The address of a place in the file.
fn place(loads: &[Load], offset: u64) -> Option<u64> {
    let l = loads.iter().find(|l| offset >= l.offset && offset - l.offset < l.kept)?;
    l.address.checked_add(offset - l.offset)
}

fn sections(file: &dyn ReadAt, at: u64, count: u64, names: u64) -> Vec<(String, Section)> {
    let table = bytes(file, at, count * SECTION as u64);
    let all: Vec<&[u8]> = table.chunks_exact(SECTION).collect();
    let names = usize::try_from(names)
        .ok()
        .and_then(|n| all.get(n))
        .map(|s| bytes(file, u64_at(s, 24).unwrap_or(0), u64_at(s, 32).unwrap_or(0).min(NAMES)));
    let names = names.unwrap_or_default();
    let one = |s: &&[u8]| {
        let name = names.get(usize::try_from(u32_at(s, 0)?).ok()?..)?;
        let name = name.split(|b| *b == 0).next().unwrap_or_default();
        let flags = u64_at(s, 8)?;
        let section = Section {
            address: u64_at(s, 16)?,
            offset: u64_at(s, 24)?,
            size: u64_at(s, 32)?,
            writable: flags & 3 == 3,
            kept: u32_at(s, 4)? != NO_BITS,
        };
        Some((String::from_utf8_lossy(name).into_owned(), section))
    };
    all.iter().filter_map(one).collect()
}

/// Up to `size` bytes from a place on; fewer when fewer are there.
pub(crate) fn bytes(from: &dyn ReadAt, at: u64, size: u64) -> Vec<u8> {
    let mut out = vec![0; usize::try_from(size).unwrap_or(0)];
    let n = from.read_at(at, &mut out);
    out.truncate(n);
    out
}
