//! `debug=1`: groups that the runtime made itself.
//!
//! `goroutine profile: total N` (or `goroutineleak profile:`), then groups `COUNT @ pcs`, perhaps
//! `# labels: {"key":"value"}`, and one line per frame, `# pc function+offset file:line`. No state, no age, no
//! creator; the runtime's own innermost frames are left out, but their addresses are not: how many there are tells an
//! operation of a channel from a select (see [`recover`]).
//!
//! What is read from outside has the same form ([`super::write`]), with lines of its own: [`OUTSIDE`], [`NOTE`] and [`CUT`]
//! at the begin, [`STATE`], [`MINUTES`], [`LEAKED`] and [`CREATOR`] in a group.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use super::frames::{self, Frame};
use super::table::{FRAMES, Lead, NAME, One, Parked, Table};
use super::wait::Wait;
use crate::lines::Lines;
use crate::reading::clip;

/// Frames of the runtime that may be left out before the first one that is shown.
const LEFT_OUT: usize = 7;
/// The version of Go that was read from outside.
pub(super) const OUTSIDE: &str = "# outside: ";
/// What to know before believing it, and why it is not whole.
pub(super) const NOTE: &str = "# note: ";
pub(super) const CUT: &str = "# cut: ";
/// What the goroutines of a group wait for.
pub(super) const STATE: &str = "# state: ";
/// The shortest and the longest wait in minutes, and how many have waited that long.
pub(super) const MINUTES: &str = "# minutes: ";
/// The runtime has proved that they never go on.
pub(super) const LEAKED: &str = "# leaked";
/// Who started them, as `function` and place apart by a tab.
pub(super) const CREATOR: &str = "# created by: ";

/// What is said of a reading from outside.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pub(super) is: bool,
    pub(super) notes: Vec<String>,
    pub(super) cut: Option<String>,
}

/// What the first line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// All goroutines, as the runtime counted them; none when the number is unreadable.
    pub(super) total: Option<u64>,
    /// Whether only leaked goroutines are listed.
    pub(super) leaks: bool,
}

/// Whether a text begins like a profile of goroutines.
pub(super) fn is(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    text.starts_with(b"goroutine profile: total ") || text.starts_with(b"goroutineleak profile: total ")
}

/// What the first line of a profile says.
fn head(line: &str) -> Option<Head> {
    let (leaks, number) = match line.trim_start().strip_prefix("goroutine profile: total ") {
        Some(rest) => (false, rest),
        None => (true, line.trim_start().strip_prefix("goroutineleak profile: total ")?),
    };
    Some(Head { total: number.trim().parse().ok(), leaks })
}

/// A profile as it was read.
pub(super) struct Listing {
    pub(super) head: Head,
    pub(super) table: Table,
    pub(super) outside: Outside,
    pub(super) bytes: u64,
    /// Whether its last line has an end.
    pub(super) is_whole: bool,
}

/// One group while its lines come in.
#[derive(Default)]
struct Open {
    count: u64,
    frames: Vec<Frame>,
    labels: Vec<String>,
    state: Option<String>,
    creator: Option<Frame>,
    /// Shortest and longest wait, and how many have waited so.
    minutes: Option<(u64, u64, u64)>,
    leaked: bool,
    /// Addresses of the innermost frames, until the first frame shows how many of them are left out.
    addresses: Vec<u64>,
    lead: Option<Lead>,
}

impl Open {
    fn line(&mut self, line: &str) {
        if let Some(labels) = line.strip_prefix("# labels: ") {
            self.labels = read_labels(labels);
        } else if let Some(state) = line.strip_prefix(STATE) {
            self.state = Some(clip(state, NAME));
        } else if let Some(minutes) = line.strip_prefix(MINUTES) {
            let mut numbers = minutes.split_ascii_whitespace().map_while(|n| n.parse().ok());
            self.minutes =
                numbers.next().zip(numbers.next()).zip(numbers.next()).map(|((a, b), n)| (a, b, n));
        } else if let Some(by) = line.strip_prefix(CREATOR) {
            let (function, location) = by.split_once('\t').unwrap_or((by, ""));
            self.creator = Some(Frame { function: clip(function, NAME), location: clip(location, NAME) });
        } else if line == LEAKED {
            self.leaked = true;
        } else if let Some((address, frame)) = line.strip_prefix('#').and_then(frame_of_text) {
            if self.frames.is_empty() {
                self.lead = lead(&self.addresses, address);
            }
            if self.frames.len() < FRAMES {
                self.frames.push(frame);
            }
        }
    }

    fn close(self, leaks: bool, table: &mut Table) {
        let mut hash = DefaultHasher::new();
        (&self.frames, &self.state, &self.creator, self.lead).hash(&mut hash);
        let hash = hash.finish();
        let leaked = leaks || self.leaked;
        let dated = self.minutes.map_or(0, |(_, _, n)| n.min(self.count));
        let make = || {
            let (frames, creator) = (self.frames.clone(), self.creator.clone());
            let wait = match &self.state {
                Some(state) => Wait::of_words(state, &frames),
                None => Wait::of_frames(&frames),
            };
            let state = self.state.clone().or_else(|| wait.words().map(str::to_owned));
            Parked { lead: self.lead, ..Parked::new(wait, state, frames, creator) }
        };
        let mut add =
            |count, minutes| table.add(hash, One { count, leaked, minutes, labels: &self.labels }, make);
        if let Some((low, high, _)) = self.minutes.filter(|_| dated > 0) {
            add(1, Some(low));
            add(dated - 1, Some(high));
        }
        if self.count > dated || dated == 0 {
            add(self.count - dated, None);
        }
    }
}

/// Reads a profile, line by line; none when it does not begin like one.
pub(super) fn read(from: impl Read) -> Option<Listing> {
    let mut lines = Lines::new(from);
    let head = lines.by_ref().find(|l| !l.trim().is_empty()).and_then(|l| head(&l))?;
    let mut table = Table::default();
    let mut outside = Outside::default();
    let mut open: Option<Open> = None;
    for line in lines.by_ref() {
        if let Some((count, addresses)) = count(&line) {
            if let Some(done) = open.replace(Open { count, addresses, ..Open::default() }) {
                done.close(head.leaks, &mut table);
            }
        } else if let Some(group) = &mut open {
            group.line(&line);
        } else if line.starts_with(OUTSIDE) {
            outside.is = true;
        } else if let Some(note) = line.strip_prefix(NOTE) {
            outside.notes.push(clip(note, NAME));
        } else if let Some(why) = line.strip_prefix(CUT) {
            outside.cut = Some(clip(why, NAME));
        }
    }
    if let Some(done) = open {
        done.close(head.leaks, &mut table);
    }
    recover(&mut table.groups);
    Some(Listing { head, table, outside, bytes: lines.bytes(), is_whole: lines.is_whole() })
}

/// `1360 @ 0x48c14a …`: how many, and the addresses of the innermost frames.
fn count(line: &str) -> Option<(u64, Vec<u64>)> {
    let (count, addresses) = line.split_once(" @")?;
    let address = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let innermost = addresses.split_ascii_whitespace().map_while(address).take(LEFT_OUT + 1);
    Some((count.parse().ok()?, innermost.collect()))
}

/// The innermost address, and how many stand before the first frame that is shown: that one is a call, and the address
/// is the one that it returns to.
fn lead(addresses: &[u64], shown: &str) -> Option<Lead> {
    let shown = u64::from_str_radix(shown.strip_prefix("0x")?, 16).ok()?;
    let left_out = addresses.iter().position(|a| *a == shown || *a == shown.saturating_add(1))?;
    Some(Lead { address: *addresses.first()?, left_out })
}

/// Tells what goroutines wait for whose frames do not say it. Whoever waits does so in one function of the runtime, and
/// its address is that of goroutines whose frames say that they wait. An operation of a channel calls it two frames
/// below the program (`chanrecv1` calls `chanrecv`), a select one frame below.
fn recover(groups: &mut [Parked]) {
    let waits = |g: &&Parked| !matches!(g.wait, Wait::Unsaid | Wait::Syscall | Wait::Housekeeping);
    let mut leads: HashMap<u64, (u64, u64)> = HashMap::new();
    for g in groups.iter() {
        let Some(lead) = g.lead.filter(|l| l.left_out > 0) else { continue };
        let slot = leads.entry(lead.address).or_default();
        *slot = (slot.0 + u64::from(waits(&g)), slot.1.saturating_add(g.count));
    }
    let Some((parks, _)) = leads.into_iter().max_by_key(|(address, n)| (*n, *address)) else { return };
    for g in groups.iter_mut().filter(|g| g.wait == Wait::Unsaid) {
        g.wait = match g.lead.filter(|l| l.address == parks) {
            Some(Lead { left_out: 3, .. }) => Wait::Channel,
            Some(Lead { left_out: 2, .. }) => Wait::Select,
            _ => continue,
        };
        g.state = g.wait.words().map(str::to_owned);
    }
}

/// Address and frame of a comment in one of Go's text profiles, without the `#`.
pub(crate) fn frame_of_text(comment: &str) -> Option<(&str, Frame)> {
    let mut columns = comment.split('\t').map(str::trim).filter(|c| !c.is_empty());
    let address = columns.next()?;
    let function = columns.next()?;
    let function = function.rsplit_once("+0x").map_or(function, |(name, _)| name);
    let location = frames::location(columns.next().unwrap_or_default().as_bytes());
    let location = String::from_utf8_lossy(location);
    Some((address, Frame { function: clip(function, NAME), location: clip(&location, NAME) }))
}

fn read_labels(json: &str) -> Vec<String> {
    let map: BTreeMap<String, String> = serde_json::from_str(json).unwrap_or_default();
    map.into_iter().map(|(k, v)| format!("{k}: {v}")).collect()
}
