//! `debug=1`: groups that the runtime made itself.
//!
//! `goroutine profile: total N` (or `goroutineleak profile:`), then groups `COUNT @ pcs`, perhaps
//! `# labels: {"key":"value"}`, and one line per frame, `# pc function+offset file:line`. No state, no age, no
//! creator.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::frames::{self, Frame};
use super::table::{FRAMES, NAME, One, Parked, Table};
use super::wait::Wait;
use crate::reading::clip;

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
}

impl Open {
    fn close(self, leaks: bool, table: &mut Table) {
        let mut hash = DefaultHasher::new();
        self.frames.hash(&mut hash);
        let one = One { count: self.count, leaked: leaks, minutes: None, labels: &self.labels };
        table.add(hash.finish(), one, || {
            let wait = Wait::of_frames(&self.frames);
            Parked::new(wait, wait.words().map(str::to_owned), self.frames, None)
        });
    }
}

/// Reads the groups after the first line.
pub(super) fn groups(text: &str, leaks: bool) -> Table {
    let mut table = Table::default();
    let mut open: Option<Open> = None;
    for line in text.lines() {
        if let Some(count) = count(line) {
            if let Some(done) = open.replace(Open { count, ..Open::default() }) {
                done.close(leaks, &mut table);
            }
        } else if let Some(group) = &mut open {
            if let Some(labels) = line.strip_prefix("# labels: ") {
                group.labels = read_labels(labels);
            } else if let (Some(frame), true) = (frame(line), group.frames.len() < FRAMES) {
                group.frames.push(frame);
            }
        }
    }
    if let Some(done) = open {
        done.close(leaks, &mut table);
    }
    table
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
