//! glibc's `malloc_info`: how much malloc holds, how much of it is free inside, and in which arena.

mod conclude;
mod kind;
#[cfg(test)]
mod tests;

use std::io::Read;

pub use conclude::{ArenaRow, MallocReport};

use crate::lines::Lines;
use crate::reading::Warnings;

/// Arenas of one report, reports of one file: a machine of 256 cores has 2048 arenas at most.
const ARENAS: usize = 8192;
const REPORTS: usize = 200;

/// Chunks and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chunks {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One arena, or all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arena {
    /// Free in the fast bins.
    pub fast: Chunks,
    /// Free in all other bins, the top of the arena with it.
    pub rest: Chunks,
    /// Taken from the kernel for arenas, bytes.
    pub system: u64,
    /// The most that ever was, bytes.
    pub most: u64,
}

impl Arena {
    /// Free bytes inside.
    pub fn free(&self) -> u64 {
        self.fast.bytes.saturating_add(self.rest.bytes)
    }
}

/// One report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info {
    /// All arenas together, as the report's end says; the sum of what is there when it is cut.
    pub total: Arena,
    /// Blocks that were mapped by themselves; glibc before 2.35 may leave them out.
    pub mapped: Chunks,
    /// Each arena; the first is the main one.
    pub arenas: Vec<Arena>,
    /// Whether the end is there.
    pub is_whole: bool,
}

/// All reports of a file, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Infos {
    /// The reports.
    pub all: Vec<Info>,
    /// Bytes read.
    pub bytes: u64,
    /// Why the last one is not whole.
    pub truncated: Option<String>,
    /// What to know before believing the numbers.
    pub warnings: Warnings,
}

/// Reads every report; none when there is none with an arena.
pub fn read(from: impl Read) -> Option<Infos> {
    let mut out = Infos::default();
    let mut inside = false;
    let mut lines = Lines::new(from);
    for line in lines.by_ref() {
        // A tag counts only with its end, so a cut one is left out.
        let tags = line.split('<').skip(1).filter_map(|t| t.split_once('>'));
        tags.for_each(|(tag, _)| out.tag(tag, &mut inside));
    }
    out.bytes = lines.bytes();
    out.all.iter_mut().filter(|i| !i.is_whole).for_each(Info::sum);
    out.all.retain(|i| !i.arenas.is_empty());
    if !out.all.last()?.is_whole {
        out.truncated = Some("its end is missing: sums are of the arenas that are there".to_owned());
    }
    Some(out)
}

impl Infos {
    fn tag(&mut self, tag: &str, inside: &mut bool) {
        if tag.starts_with("malloc version") {
            if self.all.len() == REPORTS {
                self.all.remove(0);
                self.warnings.say(format!("more than {REPORTS} reports: the oldest are left out"));
            }
            self.all.push(Info::default());
            *inside = false;
            return;
        }
        let Some(info) = self.all.last_mut().filter(|i| !i.is_whole) else { return };
        match tag {
            "/malloc" => info.is_whole = true,
            "/heap" => *inside = false,
            _ if tag.starts_with("heap ") => {
                *inside = true;
                if info.arenas.len() < ARENAS {
                    info.arenas.push(Arena::default());
                } else {
                    self.warnings.say(format!("more than {ARENAS} arenas: the rest is only in the sums"));
                }
            }
            _ => info.amount(tag, *inside),
        }
    }
}

impl Info {
    fn amount(&mut self, tag: &str, inside: bool) {
        let Some(bytes) = attribute(tag, "size").and_then(|n| n.parse().ok()) else { return };
        let count = attribute(tag, "count").and_then(|n| n.parse().ok()).unwrap_or(0);
        let chunks = Chunks { count, bytes };
        let kind = attribute(tag, "type");
        let of = if inside { self.arenas.last_mut() } else { Some(&mut self.total) };
        let Some(of) = of else { return };
        match (tag.split(' ').next(), kind) {
            (Some("total"), Some("fast")) => of.fast = chunks,
            (Some("total"), Some("rest")) => of.rest = chunks,
            (Some("total"), Some("mmap")) => self.mapped = chunks,
            (Some("system"), Some("current")) => of.system = bytes,
            (Some("system"), Some("max")) => of.most = bytes,
            _ => {}
        }
    }

    fn sum(&mut self) {
        // What is held comes behind what is free: an arena without it is cut.
        self.arenas.retain(|a| a.system > 0);
        let add = |of: fn(&Arena) -> u64| self.arenas.iter().map(of).fold(0u64, u64::saturating_add);
        let total = Arena {
            fast: Chunks { count: add(|a| a.fast.count), bytes: add(|a| a.fast.bytes) },
            rest: Chunks { count: add(|a| a.rest.count), bytes: add(|a| a.rest.bytes) },
            system: add(|a| a.system),
            most: add(|a| a.most),
        };
        self.total = total;
    }

    /// Everything malloc holds, bytes.
    pub fn held(&self) -> u64 {
        self.total.system.saturating_add(self.mapped.bytes)
    }

    /// What the program has of it, bytes; the thread caches count as in use.
    pub fn in_use(&self) -> u64 {
        self.held().saturating_sub(self.total.free())
    }
}

/// The value of `name="…"` in a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split(' ').find_map(|word| {
        let value = word.strip_prefix(name)?.strip_prefix("=\"")?;
        value.split_once('"').map(|(value, _)| value)
    })
}
