//! Where the runtime's variables are, without symbols: the linker's description of the program is found by what it
//! points to, the others by the instructions of functions that load them first.

use super::elf::{Executable, Section};
use super::layout::Layout;
use super::line_table::LineTable;
use super::{ReadAt, Refusal};
use crate::core_file::u64_at;

/// Bytes of a section that are looked through for the description of the program.
const LARGEST_DATA: u64 = 64 << 20;
const PIECE: u64 = 1 << 16;
/// Bytes of a function's code that are looked at.
const CODE: u32 = 4096;
/// Bytes of the description that are read, and offsets in it.
const MODULE: usize = 360;
const TABLE: usize = 0;
const NAMES: usize = 8;
const FUNCTIONS: usize = 104;
const TEXT: usize = 176;
const TEXT_END: usize = 184;

/// Where code and what it refers to are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) text: u64,
    pub(super) text_end: u64,
    pub(super) function_data: u64,
}

/// The description of the program (`runtime.firstmoduledata`): it begins with the address of the line table.
pub(super) fn module(
    executable: &Executable,
    memory: &dyn ReadAt,
    lines: &LineTable,
    bias: u64,
    layout: &Layout,
) -> Result<Module, Refusal> {
    let table = lines.address.wrapping_add(bias);
    let mut readable = false;
    for section in executable.writable().filter(|s| s.kept) {
        let mut at = section.address.wrapping_add(bias);
        let end = at.wrapping_add(section.size.min(LARGEST_DATA));
        while at < end {
            // Pieces overlap, so that none cuts a description.
            let piece = super::elf::bytes(memory, at, (PIECE + MODULE as u64).min(end - at));
            readable |= !piece.is_empty();
            let words = piece.chunks_exact(8).take(PIECE as usize / 8).enumerate();
            for (i, _) in words.filter(|(_, w)| u64_at(w, 0) == Some(table)) {
                let here = piece.get(i * 8..).unwrap_or_default();
                if let Some(found) = describes(here, table, lines.parts, layout) {
                    return Ok(found);
                }
            }
            at = at.saturating_add(PIECE);
        }
    }
    Err(if readable {
        Refusal::Missing("the description of the program")
    } else {
        Refusal::Memory("its data")
    })
}

fn describes(here: &[u8], table: u64, parts: [u64; 2], layout: &Layout) -> Option<Module> {
    let word = |at| u64_at(here, at);
    let [names, functions] = parts;
    let points = word(TABLE)? == table
        && word(NAMES)? == table.wrapping_add(names)
        && word(FUNCTIONS)? == table.wrapping_add(functions);
    let module =
        Module { text: word(TEXT)?, text_end: word(TEXT_END)?, function_data: word(layout.function_data)? };
    (points && module.text < module.text_end).then_some(module)
}

/// Addresses of the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Globals {
    /// The list of all goroutines, and how many they are.
    pub(super) list: u64,
    pub(super) count: u64,
    /// The first bucket of the memory profile.
    pub(super) buckets: Option<u64>,
    /// Bytes between two samples of it.
    pub(super) interval: Option<u64>,
}

impl Globals {
    pub(super) fn find(
        executable: &Executable,
        lines: &LineTable,
        module: &Module,
        bias: u64,
    ) -> Result<Globals, Refusal> {
        const NAMES: &[&str] =
            &["runtime.forEachG", "runtime.mProf_FlushLocked", "runtime.profilealloc", "runtime.allocmcache"];
        let found = lines.find(NAMES);
        let data: Vec<Section> = executable.writable().collect();
        let is_data = |at: &u64| {
            let linked = at.wrapping_sub(bias);
            data.iter().any(|s| linked >= s.address && linked - s.address < s.size)
        };
        let loads = |number: usize| -> Vec<u64> {
            let Some(Some((from, to))) = found.get(number) else { return Vec::new() };
            let start = module.text.wrapping_add(u64::from(*from));
            let code = executable.at(start.wrapping_sub(bias), u64::from((to - from).min(CODE)));
            loads(&code, start).into_iter().filter(is_data).collect()
        };
        // `for _, gp := range allgs`: the address, then the number right behind it.
        let all = loads(0);
        let list = all.windows(2).find_map(|w| match w {
            [list, count] if list.wrapping_add(8) == *count => Some((*list, *count)),
            _ => None,
        });
        let (list, count) = list.ok_or(Refusal::Missing("the list of goroutines"))?;
        let (one, other) = (loads(2), loads(3));
        let interval = one.into_iter().find(|at| other.contains(at));
        Ok(Globals { list, count, buckets: loads(1).first().copied(), interval })
    }
}

/// Addresses that code loads eight bytes from relative to itself: `mov disp32(%rip), %reg`.
fn loads(code: &[u8], start: u64) -> Vec<u64> {
    const LENGTH: usize = 7;
    let one = |(i, w): (usize, &[u8])| match *w {
        [0x48 | 0x4c, 0x8b, operands, a, b, c, d] if operands & 0xc7 == 0x05 => {
            let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
            Some(start.wrapping_add((i + LENGTH) as u64).wrapping_add_signed(distance))
        }
        _ => None,
    };
    code.windows(LENGTH).enumerate().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_told_from_other_instructions() {
        // lea 0x10(%rip),%rax; mov 0x8(%rip),%rcx; mov -0x8(%rip),%r9; mov %rax,(%rsp); movl 0x8(%rip),%eax
        let code = [
            0x48, 0x8d, 0x05, 0x10, 0, 0, 0, 0x48, 0x8b, 0x0d, 8, 0, 0, 0, 0x4c, 0x8b, 0x0d, 0xf8, 0xff,
            0xff, 0xff, 0x48, 0x89, 0x04, 0x24, 0x8b, 0x05, 8, 0, 0, 0,
        ];
        assert_eq!(loads(&code, 0x1000), [0x1000 + 14 + 8, 0x1000 + 21 - 8]);
        assert_eq!(loads(&code[..12], 0x1000), [0u64; 0], "cut");
    }
}
