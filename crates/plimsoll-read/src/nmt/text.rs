//! Reports of native memory tracking of every form, JDK 8 to 25: summary, detail and what changed since a baseline,
//! one or many in a file.

use std::io::Read;

use crate::lines::Lines;
use crate::reading::{Warnings, clip};

/// Reports of one file that are kept, categories and call sites of one report.
const REPORTS: usize = 500;
const CATEGORIES: usize = 200;
const SITES: usize = 40;
/// Frames of a call site, and bytes of a frame; the JVM prints four frames.
const FRAMES: usize = 16;
const NAME: usize = 300;

/// A number of bytes, and how many more it is than at the baseline where the report compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Bytes.
    pub bytes: u64,
    /// Bytes more than at the baseline; none where the report prints no difference.
    pub more: Option<i64>,
}

/// One category, or all together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Category {
    /// Name as the JVM prints it.
    pub name: String,
    /// Addresses set aside.
    pub reserved: Amount,
    /// What may be used.
    pub committed: Amount,
    /// Threads or classes of it, where the JVM counts them.
    pub count: Option<Amount>,
}

/// One place that takes memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Site {
    /// Frames, innermost first, without addresses.
    pub stack: Vec<String>,
    /// Allocated or committed by it.
    pub amount: Amount,
    /// Blocks of it, for malloc.
    pub blocks: u64,
    /// Its category, where the JVM says it.
    pub category: Option<String>,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tracking {
    /// All categories.
    pub total: Category,
    /// The categories, in the JVM's order; the JVM leaves out those below one unit.
    pub categories: Vec<Category>,
    /// Call sites, those that grew most first (of a comparison) or the largest first.
    pub sites: Vec<Site>,
    /// Bytes of the unit that amounts are rounded to.
    pub unit: u64,
    /// Whether it compares with a baseline: with at least one difference.
    pub is_diff: bool,
    /// Whether it lists call sites.
    pub is_detail: bool,
}

/// All reports of a file, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reports {
    /// The reports.
    pub all: Vec<Tracking>,
    /// Bytes read.
    pub bytes: u64,
    /// Why it is not whole.
    pub truncated: Option<String>,
    /// Whether the JVM said that it does not track.
    pub is_off: bool,
    /// What to know before believing the numbers.
    pub warnings: Warnings,
}

/// Reads every report; none when there is none, and the JVM does not say either that it does not track.
pub fn read(from: impl Read) -> Option<Reports> {
    let mut out = Reports::default();
    let mut lines = Lines::new(from);
    let mut stack: Vec<String> = Vec::new();
    let mut ended = true;
    while let Some(line) = lines.next() {
        ended = lines.is_whole();
        out.is_off |= line.contains("ative memory tracking is not enabled");
        // Without its end, the last number or name may be cut.
        if ended {
            out.line(line.trim_end(), &mut stack);
        }
    }
    out.bytes = lines.bytes();
    if !ended {
        out.truncated = Some("it ends within a line".to_owned());
    }
    out.all.iter_mut().for_each(Tracking::settle);
    if let Some(why) = out.all.last().and_then(Tracking::lacks) {
        out.truncated.get_or_insert(why);
    }
    (!out.all.is_empty() || out.is_off).then_some(out)
}

impl Reports {
    fn line(&mut self, line: &str, stack: &mut Vec<String>) {
        let text = line.trim_start();
        if let Some(rest) = text.strip_prefix("Total:") {
            if let Some((reserved, committed, unit)) = pair(rest) {
                if self.all.len() == REPORTS {
                    self.all.remove(0);
                    self.warnings.say(format!("more than {REPORTS} reports: the oldest are left out"));
                }
                let is_diff = reserved.more.is_some() || committed.more.is_some();
                let total = Category { name: "Total".to_owned(), reserved, committed, count: None };
                self.all.push(Tracking { total, unit, is_diff, ..Tracking::default() });
            }
            return;
        }
        let Some(report) = self.all.last_mut() else { return };
        if let Some(rest) = line.strip_prefix('-') {
            report.category(rest);
        } else if text.starts_with("[0x") {
            // Regions of a detail report hold stacks too: only those before an amount are call sites.
            if stack.len() < FRAMES {
                stack.push(frame(text));
            }
        } else if !stack.is_empty() {
            let stack = std::mem::take(stack);
            report.site(text, stack);
        } else {
            report.counted(text);
        }
    }
}

impl Tracking {
    /// `          Java Heap (reserved=163840KB, committed=163840KB)`
    fn category(&mut self, line: &str) {
        let Some((name, rest)) = line.split_once('(') else { return };
        let (name, amounts) = (name.trim(), rest.strip_suffix(')').and_then(pair));
        let Some((reserved, committed, _)) = amounts.filter(|_| !name.is_empty()) else { return };
        self.is_diff |= reserved.more.is_some() || committed.more.is_some();
        if self.categories.len() < CATEGORIES {
            let name = clip(name, NAME);
            self.categories.push(Category { name, reserved, committed, count: None });
        }
    }

    /// `(thread #21)`, `(threads #70 +51)`, `(classes #613 +21)`: of the category above.
    fn counted(&mut self, line: &str) {
        let Some(inner) = line.strip_prefix('(').and_then(|l| l.strip_suffix(')')) else { return };
        let Some((what, count)) = inner.split_once(" #") else { return };
        let Some(last) = self.categories.last_mut() else { return };
        if matches!(what, "thread" | "threads" | "classes") {
            last.count = changed(count).map(|(amount, _)| amount);
        }
    }

    /// `(malloc=93952KB type=Other +64000KB #5872 +4000)`, `(3KB +3KB #53 +50)`,
    /// `((malloc=93952KB tag=Other #5872) (at peak))`, `(mmap: reserved=1KB, committed=1KB +1KB Type=GC)`.
    fn site(&mut self, line: &str, stack: Vec<String>) {
        let Some(inner) = line.strip_prefix('(') else { return };
        let inner = inner.strip_prefix('(').unwrap_or(inner);
        let inner = inner.split_once(')').map_or(inner, |(a, _)| a);
        let (inner, category) = typed(inner);
        let amount = match inner.strip_prefix("mmap:") {
            Some(rest) => pair(rest).map(|(_, committed, _)| committed),
            None => changed(inner.strip_prefix("malloc=").unwrap_or(&inner)).map(|(amount, _)| amount),
        };
        let Some(amount) = amount else { return };
        let blocks = inner.split_once('#').and_then(|(_, n)| n.split(' ').next()?.parse().ok()).unwrap_or(0);
        self.is_detail = true;
        self.is_diff |= amount.more.is_some();
        self.sites.push(Site { stack, amount, blocks, category });
        if self.sites.len() >= SITES * 4 {
            self.settle();
        }
    }

    /// Keeps the call sites that matter, these first.
    fn settle(&mut self) {
        self.sites.sort_by_key(|s| std::cmp::Reverse((s.amount.more, s.amount.bytes)));
        self.sites.truncate(SITES);
    }

    /// Why it is not whole: its categories do not add up, beyond what is rounded and left out.
    fn lacks(&self) -> Option<String> {
        let sum = self.categories.iter().fold(0u64, |sum, c| sum.saturating_add(c.committed.bytes));
        // Each of some forty categories is rounded, or left out when it is below one unit.
        let allowed = self.unit.saturating_mul(40);
        (sum.saturating_add(allowed) < self.total.committed.bytes)
            .then(|| "its categories add up to less than its total".to_owned())
    }

    /// A category by its name.
    pub fn of(&self, name: &str) -> Option<&Category> {
        self.categories.iter().find(|c| c.name == name)
    }
}

/// The name of a frame: `[0x00007fc1596d0c9c] Unsafe_AllocateMemory0+0x7c`; JDK 25 prints no blank.
fn frame(line: &str) -> String {
    let name = line.split_once(']').map_or("", |(_, name)| name.trim());
    let name = name.rsplit_once("+0x").map_or(name, |(name, _)| name);
    if name.is_empty() { "(compiled code or a library without symbols)".to_owned() } else { clip(name, NAME) }
}

/// Takes ` type=Other`, ` tag=Other` or ` Type=Thread Stack` out of a call site.
fn typed(inner: &str) -> (String, Option<String>) {
    let found = [" type=", " tag=", " Type=", " Tag="].iter().find_map(|mark| inner.split_once(mark));
    let Some((before, rest)) = found else { return (inner.to_owned(), None) };
    // The name ends where an amount begins; names have blanks themselves.
    let end = [" +", " -", " #"].iter().filter_map(|mark| rest.find(mark)).min().unwrap_or(rest.len());
    let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    (format!("{before}{after}"), Some(clip(name, NAME)))
}

/// `reserved=1862641KB +120781KB, committed=185085KB -179991KB`: each difference follows its number. The third is the
/// unit in bytes.
fn pair(text: &str) -> Option<(Amount, Amount, u64)> {
    let mut parts = text.trim().split(", ");
    let (reserved, _) = changed(parts.next()?.strip_prefix("reserved=")?)?;
    let (committed, unit) = changed(parts.next()?.strip_prefix("committed=")?)?;
    Some((reserved, committed, unit))
}

/// `12KB`, `12KB +3KB`, `12 -3`, with the unit in bytes; what follows is not looked at.
fn changed(text: &str) -> Option<(Amount, u64)> {
    let mut words = text.split(' ');
    let (bytes, unit) = number(words.next()?)?;
    let more = words.next().and_then(|word| {
        let sign = if word.starts_with('-') { -1 } else { 1 };
        let digits = word.strip_prefix('+').or_else(|| word.strip_prefix('-'))?;
        number(digits).and_then(|(n, _)| Some(sign * i64::try_from(n).ok()?))
    });
    Some((Amount { bytes, more }, unit))
}

/// `12KB`, or `12` when bytes were asked for.
fn number(word: &str) -> Option<(u64, u64)> {
    let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match word.strip_prefix(digits)? {
        "" | "B" => 1,
        "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    Some((digits.parse::<u64>().ok()?.checked_mul(unit)?, unit))
}
