//! All mappings of a process in one pass: sums by what they are for, in memory that does not grow with their number.

use std::collections::HashMap;
use std::io::Read;

use super::area::{Area, Columns};
use super::{Kind, kind_of};
use crate::lines::Lines;
use crate::reading::{Warnings, clip};

/// Files and large mappings that are kept.
const FILES: usize = 4096;
const LARGEST: usize = 12;
/// Bytes of a name that are kept.
const NAME: usize = 300;
/// Where Go's heap begins on 64-bit systems: regions of it are 64 MiB, aligned, like glibc's.
const GO: std::ops::Range<u64> = 0xc0_0000_0000..0x1c0_0000_0000;

/// What a mapping is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Use {
    /// The brk heap, the main arena of malloc.
    Brk,
    /// Regions that look like secondary arenas of glibc.
    Arenas,
    /// Stacks of threads, told by the guard before them.
    Stacks,
    /// Go's heap, told by its address.
    GoHeap,
    /// Other anonymous memory.
    Anonymous,
    /// Files.
    Files,
    /// Files whose name is gone; their space on disk is not free.
    Deleted,
    /// `memfd`, `/dev/shm` and System V segments: memory, whatever they are called.
    Shared,
    /// The kernel's own.
    Kernel,
}

impl Use {
    /// Every use, in the order of a screen.
    pub const ALL: [Use; 9] = [
        Use::GoHeap,
        Use::Brk,
        Use::Arenas,
        Use::Stacks,
        Use::Anonymous,
        Use::Files,
        Use::Deleted,
        Use::Shared,
        Use::Kernel,
    ];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Use::Brk => "brk heap",
            Use::Arenas => "glibc arenas",
            Use::Stacks => "thread stacks",
            Use::GoHeap => "Go heap",
            Use::Anonymous => "other anonymous",
            Use::Files => "files",
            Use::Deleted => "deleted files",
            Use::Shared => "shared memory (memfd, shm)",
            Use::Kernel => "vdso and the like",
        }
    }
}

/// Sums of several mappings, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Address space.
    pub size: u64,
    /// Resident.
    pub resident: u64,
    /// Resident and of no file.
    pub anonymous: u64,
    /// In swap.
    pub swap: u64,
    /// In huge pages.
    pub huge: u64,
    /// In reserved huge pages, which resident memory does not count.
    pub hugetlb: u64,
    /// Free for the kernel to take, though still resident.
    pub lazily_free: u64,
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        let both = [
            (&mut self.count, other.count),
            (&mut self.size, other.size),
            (&mut self.resident, other.resident),
            (&mut self.anonymous, other.anonymous),
            (&mut self.swap, other.swap),
            (&mut self.huge, other.huge),
            (&mut self.hugetlb, other.hugetlb),
            (&mut self.lazily_free, other.lazily_free),
        ];
        both.into_iter().for_each(|(to, n)| *to = to.saturating_add(n));
    }
}

impl From<&Area> for Sum {
    fn from(a: &Area) -> Sum {
        Sum {
            count: 1,
            size: a.size(),
            resident: a.resident,
            anonymous: a.anonymous,
            swap: a.swap,
            huge: a.huge,
            hugetlb: a.hugetlb,
            lazily_free: a.lazily_free,
        }
    }
}

/// Which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// `/proc/PID/smaps`
    #[default]
    Smaps,
    /// `/proc/PID/smaps_rollup`: sums only.
    Rollup,
    /// `/proc/PID/maps`: no resident memory.
    Maps,
    /// `pmap`, whatever its columns; true when it has resident memory.
    Pmap(bool),
}

/// All mappings of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// Which file it is.
    pub form: Form,
    /// All together.
    pub total: Sum,
    /// By use.
    pub uses: HashMap<Use, Sum>,
    /// By file.
    pub files: HashMap<String, Sum>,
    /// The mappings with the most resident memory (of `maps`: the largest), with what they are for.
    pub largest: Vec<(Area, Use)>,
    /// Whether glibc is mapped: only then there are arenas of it.
    pub has_glibc: bool,
    /// Bytes read.
    pub bytes: u64,
    /// Why it is not whole.
    pub truncated: Option<String>,
    /// What to know before believing the numbers.
    pub warnings: Warnings,
    columns: Option<Columns>,
    flags_seen: bool,
}

/// Reads it; none when there is not one mapping.
pub fn survey(from: impl Read) -> Option<Survey> {
    let mut out = Survey { form: Form::Maps, ..Survey::default() };
    let mut walk = Walk::default();
    let mut lines = Lines::new(from);
    let (mut ended, mut closed) = (true, true);
    while let Some(line) = lines.next() {
        ended = lines.is_whole();
        if ended {
            out.line(&line, &mut walk, &mut closed);
        }
    }
    out.step(&mut walk, None);
    out.bytes = lines.bytes();
    let why = if !ended {
        Some("it ends within a line")
    } else if !closed && (out.flags_seen || out.columns.is_some() || out.form == Form::Rollup) {
        Some(match out.form {
            Form::Pmap(_) => "the closing total is missing",
            Form::Rollup => "the last of its sums is missing",
            _ => "the last mapping has no end",
        })
    } else {
        None
    };
    out.truncated = why.map(str::to_owned);
    out.settle();
    (out.total.count > 0).then_some(out)
}

/// Three neighbours: what the middle one is for depends on the others.
#[derive(Default)]
struct Walk {
    before: Option<Area>,
    at: Option<Area>,
}

impl Survey {
    fn line(&mut self, line: &str, walk: &mut Walk, closed: &mut bool) {
        if let Some(area) = Area::header(line) {
            if area.name == "[rollup]" {
                self.form = Form::Rollup;
            }
            *closed = false;
            self.step(walk, Some(area));
        } else if let Some(columns) = Columns::of(line) {
            let resident = columns != Columns::Plain;
            (self.form, self.columns) = (Form::Pmap(resident), Some(columns));
            *closed = false;
        } else if let Some(area) = self.columns.as_ref().and_then(|c| c.row(line)) {
            self.step(walk, Some(area));
        } else if self.columns.is_some() {
            let text = line.trim_start();
            *closed |= text.starts_with("total") || text.ends_with(" KB");
            *closed |= text.ends_with("KB ") || text.contains("=====");
        } else if let Some(area) =
            Columns::Plain.row(line).filter(|_| self.total.count == 0 && walk.at.is_none())
        {
            (self.form, self.columns) = (Form::Pmap(false), Some(Columns::Plain));
            *closed = false;
            self.step(walk, Some(area));
        } else if line.starts_with("VmFlags:") {
            (self.flags_seen, *closed) = (true, true);
        } else if self.form == Form::Rollup && line.starts_with("Locked:") {
            *closed = true;
        } else if let (Some(at), Some((name, kib))) = (walk.at.as_mut(), number(line))
            && at.set(name, kib)
            && self.form == Form::Maps
        {
            self.form = Form::Smaps;
        }
    }

    /// Books the middle one, now that both neighbours are known.
    fn step(&mut self, walk: &mut Walk, next: Option<Area>) {
        let at = std::mem::replace(&mut walk.at, next);
        if let Some(area) = at {
            self.book(&area, walk.before.as_ref(), walk.at.as_ref());
            walk.before = Some(area);
        }
    }

    fn book(&mut self, area: &Area, before: Option<&Area>, after: Option<&Area>) {
        let sum = Sum::from(area);
        self.total.add(&sum);
        if self.form == Form::Rollup {
            return;
        }
        let used = used(area, before, after);
        self.uses.entry(used).or_default().add(&sum);
        if matches!(used, Use::Files | Use::Deleted | Use::Shared) {
            let base = area.name.rsplit('/').next().unwrap_or_default();
            self.has_glibc |= base == "libc.so.6" || base.starts_with("libc-2.");
            let name = clip(&area.name, NAME);
            if self.files.len() < FILES || self.files.contains_key(&name) {
                self.files.entry(name).or_default().add(&sum);
            } else {
                self.warnings.say(format!("more than {FILES} files: not all are listed"));
            }
        }
        if !area.closed {
            self.largest.push((Area { name: clip(&area.name, NAME), ..area.clone() }, used));
        }
        if self.largest.len() >= LARGEST * 16 {
            self.trim();
        }
    }

    fn trim(&mut self) {
        self.largest.sort_by_key(|(a, _)| std::cmp::Reverse((a.resident, a.size(), a.start)));
        self.largest.truncate(LARGEST);
    }

    fn settle(&mut self) {
        self.trim();
        if self.has_glibc || !self.uses.contains_key(&Use::Arenas) {
            return;
        }
        if let Some(arenas) = self.uses.remove(&Use::Arenas) {
            self.uses.entry(Use::Anonymous).or_default().add(&arenas);
        }
        for (_, used) in self.largest.iter_mut().filter(|(_, u)| *u == Use::Arenas) {
            *used = Use::Anonymous;
        }
        self.warnings
            .say("regions look like arenas of glibc, but glibc is not mapped: they are another allocator's");
    }

    /// Sums of a use.
    pub fn of(&self, used: Use) -> Sum {
        self.uses.get(&used).copied().unwrap_or_default()
    }

    /// Whether it knows resident memory.
    pub fn has_resident(&self) -> bool {
        !matches!(self.form, Form::Maps | Form::Pmap(false))
    }
}

/// Names that say what a mapping is for; runtimes and glibc (with `glibc.mem.decorate_maps`) give some of them.
const NAMED: [(&str, Use); 9] = [
    ("/memfd:", Use::Shared),
    ("/dev/shm/", Use::Shared),
    ("/SYSV", Use::Shared),
    ("/dev/zero", Use::Shared),
    ("[anon_shmem:", Use::Shared),
    ("[anon: Go: heap", Use::GoHeap),
    ("[anon: glibc: malloc arena", Use::Arenas),
    ("[anon: glibc: pthread stack", Use::Stacks),
    ("[uprobes", Use::Kernel),
];

fn used(area: &Area, before: Option<&Area>, after: Option<&Area>) -> Use {
    let name = area.name.as_str();
    if let Some((_, used)) = NAMED.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return *used;
    }
    if name.starts_with('/') {
        return if name.ends_with(" (deleted)") { Use::Deleted } else { Use::Files };
    }
    if name.is_empty() && GO.contains(&area.start) && area.start.is_multiple_of(4 << 20) {
        return Use::GoHeap;
    }
    let [before, after] = [before, after].map(|a| a.map(Area::mapping));
    match kind_of(&area.mapping(), before.as_ref(), after.as_ref()) {
        Some(Kind::Brk) => Use::Brk,
        Some(Kind::Arena) => Use::Arenas,
        Some(Kind::Stack) => Use::Stacks,
        _ if name.starts_with("[v") => Use::Kernel,
        _ => Use::Anonymous,
    }
}

/// `Rss:                  64 kB`
fn number(line: &str) -> Option<(&str, u64)> {
    let (name, rest) = line.split_once(':')?;
    Some((name, rest.trim().strip_suffix(" kB")?.trim().parse().ok()?))
}
