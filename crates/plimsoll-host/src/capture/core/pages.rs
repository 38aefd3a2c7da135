//! Which pages a process has of its own: those that the kernel says are there and belong to no file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

const PAGE: u64 = 4096;
/// Bits of an entry of `pagemap`: it is in memory, it is a page of a file or shared.
const PRESENT: u64 = 1 << 63;
const OF_FILE: u64 = 1 << 61;
/// Entries that are read at once.
const ENTRIES: usize = 1 << 16;
/// Bytes between two runs that are copied along at first.
const GAP: u64 = 4 * PAGE;

/// A line of `maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) executable: bool,
    pub(super) offset: u64,
    /// The file; empty for memory without one.
    pub(super) path: String,
}

impl Area {
    /// `7f00-7f01 rw-p 00000000 08:01 123   /path`.
    pub(super) fn read(line: &str) -> Option<Area> {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let rights = words.next()?;
        let offset = u64::from_str_radix(words.next()?, 16).ok()?;
        let path = words.nth(2).unwrap_or_default().trim_start();
        let hex = |t| u64::from_str_radix(t, 16).ok();
        Some(Area {
            start: hex(start)?,
            end: hex(end)?,
            readable: rights.starts_with('r'),
            writable: rights.get(1..2) == Some("w"),
            executable: rights.get(2..3) == Some("x"),
            offset,
            path: if path.starts_with('/') { path.to_owned() } else { String::new() },
        })
    }
}

/// Memory to copy, in one area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Bits of an ELF segment: executable, writable, readable.
    pub(super) rights: u32,
}

/// Everything to copy, in at most `most` runs: the more there are, the larger the gaps that are copied along.
pub(super) fn runs(areas: &[Area], page_map: &File, most: usize) -> io::Result<Vec<Run>> {
    let mut all = Vec::new();
    let mut gap = GAP;
    for area in areas.iter().filter(|a| a.readable) {
        own_pages(area, page_map, gap, &mut all)?;
        while all.len() > most {
            gap *= 2;
            all = merged(&all, gap);
        }
    }
    Ok(all)
}

fn own_pages(area: &Area, page_map: &File, gap: u64, out: &mut Vec<Run>) -> io::Result<()> {
    let rights = u32::from(area.executable) | u32::from(area.writable) << 1 | u32::from(area.readable) << 2;
    let mut entries = vec![0; ENTRIES * 8];
    let mut at = area.start;
    let first = out.len();
    while at < area.end {
        let pages = usize::try_from((area.end - at) / PAGE).unwrap_or(ENTRIES).min(ENTRIES);
        let wanted = &mut entries[..pages * 8];
        let have = page_map.read_at(wanted, at / PAGE * 8)?;
        // vsyscall and its like have no entries.
        if have == 0 {
            break;
        }
        for entry in wanted[..have].chunks_exact(8) {
            let bits = u64::from_le_bytes(entry.try_into().unwrap_or_default());
            if bits & PRESENT != 0 && bits & OF_FILE == 0 {
                match out.get_mut(first..).and_then(<[Run]>::last_mut) {
                    Some(run) if at - run.end <= gap => run.end = at + PAGE,
                    _ => out.push(Run { start: at, end: at + PAGE, rights }),
                }
            }
            at += PAGE;
        }
    }
    Ok(())
}

/// The same with larger gaps copied along; areas with other rights stay apart.
fn merged(runs: &[Run], gap: u64) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for run in runs {
        match out.last_mut() {
            Some(last) if last.rights == run.rights && run.start - last.end <= gap => last.end = run.end,
            _ => out.push(*run),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps() {
        let area = Area::read("7f00-7f02 rw-p 00001000 08:01 123    /a b/c (deleted)").expect("a line");
        assert_eq!((area.start, area.end, area.offset), (0x7f00, 0x7f02, 0x1000));
        assert!(area.readable && area.writable && !area.executable);
        assert_eq!(area.path, "/a b/c (deleted)");
        assert_eq!(Area::read("7f00-7f02 ---p 0 00:00 0 [heap]").expect("a line").path, "");
        assert_eq!(Area::read("no line"), None);
    }

    #[test]
    fn too_many_runs_take_gaps_along_but_never_of_other_rights() {
        let run = |start, end, rights| Run { start, end, rights };
        let many = [run(0, 1, 6), run(3, 4, 6), run(9, 10, 6), run(10, 11, 4)];
        assert_eq!(merged(&many, 2), [run(0, 4, 6), run(9, 10, 6), run(10, 11, 4)]);
        assert_eq!(merged(&many, 8), [run(0, 10, 6), run(10, 11, 4)]);
    }
}
