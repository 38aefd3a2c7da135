//! Heap profiles as text: Go's `heap?debug=1`, gperftools' tcmalloc, jemalloc (`prof.dump`).
//!
//! `heap profile: OBJECTS: BYTES [OBJECTS: BYTES] @ heap/1048576` (or `heap_v2/524288`), then per stack the same
//! numbers and `@ 0xPC…`, innermost first; jemalloc puts `@ 0xPC…` on a line of its own and the numbers after
//! `t*:` on the next. Go names frames in comments; the others list mappings at the end.
//!
//! The numbers are of the objects that were sampled. They are scaled here as the binary form is by Go itself:
//! by 1 / (1 - e^(-size/interval)).

use std::collections::HashMap;

use super::model::{Profile, ValueType};
use crate::goroutines::frame_of_text;

/// Objects and bytes in use, objects and bytes ever allocated.
type Row = [u64; 4];

/// Frames of a stack.
const FRAMES: usize = 256;

/// How many bytes apart samples are, and how the numbers must be scaled.
pub(super) fn is_legacy(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("heap profile:") || text.starts_with("heap_v2/") || text.starts_with("heap/")
}

/// One of `MAPPED_LIBRARIES`: where an object's code lies.
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    object: String,
}

#[derive(Default)]
struct Reader {
    profile: Profile,
    by_address: HashMap<u64, u32>,
    addresses: Vec<u64>,
    open: Option<(Vec<u64>, Option<Row>)>,
    mappings: Vec<Mapping>,
    /// Frames named by comments: address to number.
    named: HashMap<u64, u32>,
    said: Option<Row>,
    sum: Row,
    mapped: bool,
    stats: bool,
}

/// Reads the text; none when its first line is not such a profile's.
pub(super) fn read(text: &str) -> Option<Profile> {
    let mut lines = text.trim_start().lines();
    let (said, period) = head(lines.next()?)?;
    let mut r = Reader { said, ..Reader::default() };
    r.profile.period = period;
    let names = [
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
    ];
    r.profile.types =
        names.map(|(name, unit)| ValueType { name: name.to_owned(), unit: unit.to_owned() }).to_vec();
    for line in lines {
        if !r.profile.has_room() {
            break;
        }
        r.line(line);
    }
    r.close();
    Some(r.finish(text))
}

/// The totals, when said, and the interval.
fn head(line: &str) -> Option<(Option<Row>, u64)> {
    let (numbers, kind) = match line.strip_prefix("heap profile:") {
        Some(rest) => rest.split_once('@')?,
        None => ("", line),
    };
    let (kind, period) = kind.trim().split_once('/').unwrap_or((kind.trim(), "1"));
    let period: u64 = period.trim().parse().ok()?;
    let period = match kind {
        // Go writes twice the interval, for readers of another age.
        "heap" => period / 2,
        "heap_v2" | "heapz_v2" => period,
        // gperftools counts every allocation; of its growth, each mapping of the allocator's.
        "heapprofile" | "growth" | "growthz" => 1,
        _ => return None,
    };
    Some((row(numbers), period))
}

/// `93: 1573344 [1648: 9368048]`, with or without what was ever allocated.
fn row(text: &str) -> Option<Row> {
    let mut numbers = text.split([':', '[', ']']).map(str::trim).filter(|n| !n.is_empty());
    let objects = numbers.next()?.parse().ok()?;
    let bytes = numbers.next()?.parse().ok()?;
    let all = match (numbers.next(), numbers.next()) {
        (Some(objects), Some(bytes)) => (objects.parse().ok()?, bytes.parse().ok()?),
        _ => (0, 0),
    };
    Some([objects, bytes, all.0, all.1])
}

fn hex(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

impl Reader {
    fn line(&mut self, line: &str) {
        let trimmed = line.trim();
        if self.mapped {
            self.mapping(trimmed);
        } else if trimmed.starts_with("MAPPED_LIBRARIES") {
            self.mapped = true;
        } else if trimmed.starts_with("# runtime.MemStats") {
            self.stats = true;
        } else if let Some(comment) = trimmed.strip_prefix('#') {
            self.name(comment);
        } else if let Some((numbers, pcs)) = trimmed.split_once('@') {
            self.close();
            let pcs = pcs.split_ascii_whitespace().filter_map(hex).take(FRAMES).collect();
            self.open = Some((pcs, row(numbers)));
        } else if let Some(numbers) = trimmed.strip_prefix("t*:") {
            match &mut self.open {
                Some((_, slot)) => *slot = row(numbers),
                None => self.said = row(numbers),
            }
        }
    }

    /// `\t0xPC\tfunction+0xOFF\tfile:line` names the address before the return address of the stack.
    fn name(&mut self, comment: &str) {
        let Some((address, frame)) = frame_of_text(comment) else { return };
        let (file, line) = frame.location.rsplit_once(':').unwrap_or((&frame.location, ""));
        if let (Some(address), true) = (hex(address), self.profile.has_room()) {
            let number = self.profile.add_frame(&frame.function, file, line.parse().unwrap_or(0));
            self.named.insert(address, number);
        }
    }

    fn close(&mut self) {
        let Some((pcs, Some(numbers))) = self.open.take() else { return };
        for (sum, n) in self.sum.iter_mut().zip(numbers) {
            *sum = sum.saturating_add(n);
        }
        let stack: Vec<u32> = pcs.iter().map(|&pc| self.location(pc)).collect();
        let [objects, bytes, all_objects, all_bytes] = numbers;
        let (o, b) = scaled(objects, bytes, self.profile.period);
        let (ao, ab) = scaled(all_objects, all_bytes, self.profile.period);
        let size = bytes.checked_div(objects).or(all_bytes.checked_div(all_objects)).unwrap_or(0);
        self.profile.add_sample(stack.into_iter(), &[o, b, ao, ab], size);
    }

    fn location(&mut self, pc: u64) -> u32 {
        if let Some(&known) = self.by_address.get(&pc) {
            return known;
        }
        let number = self.profile.add_location(Vec::new());
        self.addresses.push(pc);
        self.by_address.insert(pc, number);
        number
    }

    /// A line of `/proc/PID/maps` that holds code.
    fn mapping(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some((start, end)) = words.next().and_then(|r| r.split_once('-')) else { return };
        let number = |t: &str| u64::from_str_radix(t, 16).ok();
        let (Some(start), Some(end), Some(rights)) = (number(start), number(end), words.next()) else {
            return;
        };
        let offset = words.next().and_then(number).unwrap_or(0);
        if rights.contains('x') && self.mappings.len() < 100_000 {
            let path = words.nth(2).unwrap_or("(no name)");
            let object = path.rsplit('/').next().unwrap_or(path).to_owned();
            self.mappings.push(Mapping { start, end, offset, object });
        }
    }

    fn finish(mut self, text: &str) -> Profile {
        self.mappings.sort_by_key(|m| m.start);
        let addresses = std::mem::take(&mut self.addresses);
        for (number, pc) in addresses.into_iter().enumerate() {
            // Comments name the call, one byte before the address to return to.
            let named = self.named.get(&pc).or_else(|| self.named.get(&pc.wrapping_sub(1))).copied();
            let frame = match named {
                Some(frame) => frame,
                // Go names every frame but its runtime's own.
                None if !self.named.is_empty() => continue,
                None => {
                    let place = self.place(pc);
                    self.profile.add_frame(&place, "", 0)
                }
            };
            if let Some(location) = self.profile.locations.get_mut(number) {
                location.push(frame);
            }
        }
        self.judge(text);
        self.profile
    }

    fn place(&self, pc: u64) -> String {
        let after = self.mappings.partition_point(|m| m.start <= pc);
        let mapping = after.checked_sub(1).and_then(|i| self.mappings.get(i)).filter(|m| pc < m.end);
        match mapping {
            Some(m) => format!("{}+0x{:x}", m.object, (pc - m.start).wrapping_add(m.offset)),
            None => format!("0x{pc:x}"),
        }
    }

    fn judge(&mut self, text: &str) {
        let [objects, bytes, ..] = self.said.unwrap_or(self.sum);
        if self.sum[0] < objects || self.sum[1] < bytes {
            let why = format!("its first lines say {bytes} bytes, its stacks hold {}", self.sum[1]);
            self.profile.truncated.get_or_insert(why);
        } else if !text.ends_with('\n') {
            self.profile.truncated.get_or_insert_with(|| "its last line has no end".to_owned());
        } else if !self.stats && !self.mapped {
            self.profile.warnings.say("it ends without statistics or mappings: something may be missing");
        }
        if self.named.is_empty() && !self.by_address.is_empty() {
            self.profile
                .warnings
                .say("functions have no names here: give object+offset to addr2line with the same build");
        }
        self.profile.format = "heap profile, text".to_owned();
    }
}

/// What the sampled objects stand for.
fn scaled(objects: u64, bytes: u64, interval: u64) -> (i64, i64) {
    let whole = |v: f64| v.min(i64::MAX as f64 / 4.0).round() as i64;
    if objects == 0 || interval <= 1 {
        return (whole(objects as f64), whole(bytes as f64));
    }
    let size = bytes as f64 / objects as f64;
    let chance = -(-size / interval as f64).exp_m1();
    let by = if chance > 0.0 { 1.0 / chance } else { 1.0 };
    (whole(objects as f64 * by), whole(bytes as f64 * by))
}
