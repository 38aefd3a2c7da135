//! One mapping with its numbers, as `smaps`, `maps` and every form of `pmap` tell it.

use super::Mapping;

/// The kernel's flags of a mapping, as `pmap -XX` prints them before its name.
const FLAGS: [&str; 38] = [
    "rd", "wr", "ex", "sh", "mr", "mw", "me", "ms", "gd", "pf", "dw", "lo", "io", "sr", "rr", "dc", "de",
    "ac", "nr", "ht", "sf", "nl", "ar", "wf", "dd", "sd", "mm", "hg", "nh", "mg", "um", "uw", "bt", "mt",
    "ss", "sl", "dp", "ui",
];

/// A mapping with its numbers, bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// Writable.
    pub writable: bool,
    /// No access at all.
    pub closed: bool,
    /// Name: a path, `[heap]`, or empty.
    pub name: String,
    /// Resident.
    pub resident: u64,
    /// Resident and of no file.
    pub anonymous: u64,
    /// In swap.
    pub swap: u64,
    /// In huge pages.
    pub huge: u64,
    /// In pages that were reserved as huge, which resident memory does not count.
    pub hugetlb: u64,
    /// Free for the kernel to take (`MADV_FREE`), though still resident.
    pub lazily_free: u64,
}

impl Area {
    /// `7f00-7f10 rw-p 00000000 00:00 0    [heap]`, the whole name kept.
    pub(super) fn header(line: &str) -> Option<Area> {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        let (access, rest) = rest.split_once(' ')?;
        let (offset, rest) = rest.split_once(' ')?;
        let (device, rest) = rest.split_once(' ')?;
        let (inode, name) = rest.split_once(' ').unwrap_or((rest, ""));
        let is_one = end > start
            && access.len() == 4
            && access.ends_with(['p', 's'])
            && u64::from_str_radix(offset, 16).is_ok()
            && device.contains(':')
            && inode.parse::<u64>().is_ok();
        is_one.then(|| Area { start, end, name: name.trim().to_owned(), ..Area::default() }.with(access))
    }

    /// With its access, as four or five letters.
    pub(super) fn with(mut self, access: &str) -> Area {
        self.writable = access.as_bytes().get(1) == Some(&b'w');
        self.closed = access.starts_with("---");
        self
    }

    /// Takes `Rss:   12 kB` or a column of that name; false when the name is none of a mapping's numbers.
    pub(super) fn set(&mut self, name: &str, kib: u64) -> bool {
        let bytes = kib.saturating_mul(1024);
        match name {
            "Rss" | "RSS" => self.resident = bytes,
            "Anonymous" => self.anonymous = bytes,
            "Swap" => self.swap = bytes,
            "AnonHugePages" | "ShmemPmdMapped" | "FilePmdMapped" => {
                self.huge = self.huge.saturating_add(bytes);
            }
            "Shared_Hugetlb" | "Private_Hugetlb" => self.hugetlb = self.hugetlb.saturating_add(bytes),
            "LazyFree" => self.lazily_free = bytes,
            _ => return false,
        }
        true
    }

    /// Bytes of address space.
    pub fn size(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    pub(super) fn mapping(&self) -> Mapping {
        let (start, end, writable, closed) = (self.start, self.end, self.writable, self.closed);
        // Another file's name must not be taken for the kernel's names.
        Mapping { start, end, writable, closed, name: self.name.clone(), resident: self.resident }
    }
}

/// Which columns a table of `pmap` has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Columns {
    /// `Address Kbytes RSS Dirty Mode Mapping`
    Extended,
    /// The kernel's own names behind `Address Perm Offset Device Inode`.
    Named {
        /// The columns of numbers.
        numbers: Vec<String>,
        /// Whether the kernel's flags stand before the name.
        flags: bool,
    },
    /// `7f00 4K rw--- name`
    Plain,
}

impl Columns {
    /// Of a head line of `pmap -x`, `-X` or `-XX`.
    pub(super) fn of(line: &str) -> Option<Columns> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["Address", "Kbytes", "RSS", ..] => Some(Columns::Extended),
            ["Address", "Perm", "Offset", "Device", "Inode", rest @ ..] if rest.contains(&"Size") => {
                let numbers = rest.iter().filter(|w| **w != "Mapping" && !w.starts_with("VmFlags"));
                let numbers: Vec<String> = numbers.map(|w| (*w).to_owned()).collect();
                Some(Columns::Named { numbers, flags: rest.iter().any(|w| w.starts_with("VmFlags")) })
            }
            _ => None,
        }
    }

    /// One row.
    pub(super) fn row(&self, line: &str) -> Option<Area> {
        let mut rest = line;
        let mut word = || {
            rest = rest.trim_start();
            let (head, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = tail;
            (!head.is_empty()).then_some(head)
        };
        let start = u64::from_str_radix(word()?, 16).ok()?;
        let mut area = Area { start, ..Area::default() };
        let kib = match self {
            Columns::Plain => {
                let kib = word()?.strip_suffix('K')?.parse::<u64>().ok()?;
                area = area.with(word()?);
                kib
            }
            Columns::Extended => {
                let kib = word()?.parse::<u64>().ok()?;
                area.set("Rss", word()?.parse().ok()?);
                word()?.parse::<u64>().ok()?;
                area = area.with(word()?);
                kib
            }
            Columns::Named { numbers, .. } => {
                area = area.with(word()?);
                for _ in 0..3 {
                    word()?;
                }
                let mut size = None;
                for name in numbers {
                    let value = word()?.parse::<u64>().ok()?;
                    if name == "Size" {
                        size = Some(value);
                    }
                    area.set(name, value);
                }
                size?
            }
        };
        area.end = start.checked_add(kib.checked_mul(1024)?)?;
        let mut name = rest.trim();
        if matches!(self, Columns::Named { flags: true, .. }) {
            name = without_flags(name);
        }
        area.name = match name {
            "[ anon ]" => String::new(),
            "[ stack ]" => "[stack]".to_owned(),
            // Only the base name is printed; a path tells a file from the kernel's own names.
            _ if name.is_empty() || name.starts_with(['/', '[']) => name.to_owned(),
            _ => format!("/{name}"),
        };
        (area.end > area.start).then_some(area)
    }
}

fn without_flags(mut name: &str) -> &str {
    loop {
        let (flag, rest) = name.split_once(' ').unwrap_or((name, ""));
        if !FLAGS.contains(&flag) {
            return name;
        }
        name = rest.trim_start();
    }
}
