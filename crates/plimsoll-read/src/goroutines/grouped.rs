//! `debug=1`: groups that the runtime made itself.
//!
//! `goroutine profile: total N` (or `goroutineleak profile:`), then groups `COUNT @ pcs`, perhaps
//! `# labels: {"key":"value"}`, and one line per frame, `# pc function+offset file:line`. No state, no age, no
//! creator.
//!
//! What is read from outside has the same form ([`super::write`]), with lines of its own: [`OUTSIDE`], [`NOTE`] and [`CUT`]
//! at the begin, [`STATE`], [`MINUTES`], [`LEAKED`] and [`CREATOR`] in a group.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::frames::{self, Frame};
use super::table::{FRAMES, NAME, One, Parked, Table};
use super::wait::Wait;
use crate::reading::clip;

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

/// The first line of a profile, and what follows it.
pub(super) fn head(text: &str) -> Option<(Head, &str)> {
    let text = text.trim_start();
    let (leaks, rest) = match text.strip_prefix("goroutine profile: total ") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("goroutineleak profile: total ")?),
    };
    let (number, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    Some((Head { total: number.trim().parse().ok(), leaks }, rest))
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
        } else if let (Some(frame), true) = (frame(line), self.frames.len() < FRAMES) {
            self.frames.push(frame);
        }
    }

    fn close(self, leaks: bool, table: &mut Table) {
        let mut hash = DefaultHasher::new();
        (&self.frames, &self.state, &self.creator).hash(&mut hash);
        let hash = hash.finish();
        let leaked = leaks || self.leaked;
        let dated = self.minutes.map_or(0, |(_, _, n)| n.min(self.count));
        let make = || {
            let (frames, creator) = (self.frames.clone(), self.creator.clone());
            match &self.state {
                Some(state) => {
                    Parked::new(Wait::of_words(state, &frames), self.state.clone(), frames, creator)
                }
                None => {
                    let wait = Wait::of_frames(&frames);
                    Parked::new(wait, wait.words().map(str::to_owned), frames, creator)
                }
            }
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

/// Reads the groups after the first line.
pub(super) fn groups(text: &str, leaks: bool) -> (Table, Outside) {
    let mut table = Table::default();
    let mut outside = Outside::default();
    let mut open: Option<Open> = None;
    for line in text.lines() {
        if let Some(count) = count(line) {
            if let Some(done) = open.replace(Open { count, ..Open::default() }) {
                done.close(leaks, &mut table);
            }
        } else if let Some(group) = &mut open {
            group.line(line);
        } else if line.starts_with(OUTSIDE) {
            outside.is = true;
        } else if let Some(note) = line.strip_prefix(NOTE) {
            outside.notes.push(clip(note, NAME));
        } else if let Some(why) = line.strip_prefix(CUT) {
            outside.cut = Some(clip(why, NAME));
        }
    }
    if let Some(done) = open {
        done.close(leaks, &mut table);
    }
    (table, outside)
}

/// `1360 @ 0x48c14a …`
fn count(line: &str) -> Option<u64> {
    let (count, _) = line.split_once(" @")?;
    count.parse().ok()
}

/// `# 0x67eea4 main.await+0x24 /src/gateway.go:35`, columns apart by tabs.
fn frame(line: &str) -> Option<Frame> {
    frame_of_text(line.strip_prefix('#')?).map(|(_, frame)| frame)
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
