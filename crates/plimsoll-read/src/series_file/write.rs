//! Writing: one call per instant gives the bytes that are to be appended.

use std::collections::BTreeMap;

use flate2::Crc;
use plimsoll_core::fact::Fact;

use super::number::{Scale, put, put_text, zigzag};
use super::{MARK, VERSION, kind, token};

/// Rows of a block: what tells anew who is sampled must not weigh, and a damaged record must not cost much.
const ROWS: u32 = 360;

/// What was seen of one subject at one instant.
pub struct Look<'a> {
    /// Names the subject, for as long as it is sampled.
    pub number: u64,
    /// Subjects of a class are sampled at the same instants; there are eight.
    pub class: u8,
    /// Who it is, in the words of who writes; asked for when it has not been told in this block.
    pub text: &'a dyn Fn() -> String,
    /// What is known.
    pub facts: &'a BTreeMap<Fact, f64>,
    /// What is not, with the reason.
    pub unknown: &'a BTreeMap<Fact, String>,
}

/// One fact of a subject.
struct Column {
    fact: Fact,
    scale: Scale,
    /// The newest value that was whole.
    last: i64,
    /// The newest that was in no scale.
    bits: u64,
    value: Option<f64>,
}

#[derive(Default)]
struct Subject {
    class: u8,
    columns: Vec<Column>,
    unknown: BTreeMap<Fact, String>,
}

/// Writes a series of instants.
#[derive(Default)]
pub struct Writer {
    subjects: BTreeMap<u64, Subject>,
    rows: u32,
    /// The newest instant, milliseconds, and its distance from the one before.
    last: i64,
    step: i64,
}

impl Writer {
    /// Begins a block with the next row: for a new file, or after bytes were lost.
    pub fn restart(&mut self) {
        *self = Writer::default();
    }

    /// Appends one instant (Unix seconds). `classes` has the bits of those that were sampled; a subject of theirs that is
    /// not among the looks is gone. The looks stand in the order of their numbers.
    pub fn row(&mut self, t: f64, classes: u8, looks: &[Look<'_>], out: &mut Vec<u8>) {
        let now = (t * 1e3).round() as i64;
        if self.rows == 0 || self.rows >= ROWS {
            self.restart();
            out.extend_from_slice(&MARK);
            let mut head = vec![kind::HEAD];
            put(&mut head, VERSION);
            put(&mut head, zigzag(now));
            record(out, &head);
            (self.last, self.step) = (now, 0);
        }
        self.gone(classes, looks, out);
        looks.iter().for_each(|look| self.announce(look, out));
        let mut row = vec![kind::ROW];
        let step = now - self.last;
        put(&mut row, u64::from(classes));
        put(&mut row, zigzag(step - self.step));
        (self.last, self.step) = (now, step);
        self.values(classes, looks, &mut row);
        record(out, &row);
        self.rows += 1;
    }

    fn gone(&mut self, classes: u8, looks: &[Look<'_>], out: &mut Vec<u8>) {
        self.subjects.retain(|number, subject| {
            let stays = classes & 1 << (subject.class & 7) == 0
                || looks.binary_search_by_key(number, |look| look.number).is_ok();
            if !stays {
                let mut gone = vec![kind::GONE];
                put(&mut gone, *number);
                record(out, &gone);
            }
            stays
        });
    }

    /// Tells what is new of a subject.
    fn announce(&mut self, look: &Look<'_>, out: &mut Vec<u8>) {
        let subject = self.subjects.entry(look.number).or_insert_with(|| {
            let mut new = vec![kind::SUBJECT];
            put(&mut new, look.number);
            put(&mut new, u64::from(look.class & 7));
            put_text(&mut new, &(look.text)());
            record(out, &new);
            Subject { class: look.class & 7, ..Subject::default() }
        });
        for (fact, v) in look.facts {
            if subject.columns.iter().all(|c| c.fact != *fact) {
                let scale = Scale::ALL.into_iter().find(|s| s.whole(*v).is_some()).unwrap_or(Scale::Ones);
                let mut new = vec![kind::FACT];
                put(&mut new, look.number);
                put(&mut new, scale.number());
                put_text(&mut new, fact.key());
                record(out, &new);
                subject.columns.push(Column { fact: *fact, scale, last: 0, bits: 0, value: None });
            }
        }
        for (fact, why) in look.unknown {
            if subject.unknown.get(fact) != Some(why) && !look.facts.contains_key(fact) {
                let mut new = vec![kind::UNKNOWN];
                put(&mut new, look.number);
                put_text(&mut new, fact.key());
                put_text(&mut new, why);
                record(out, &new);
                subject.unknown.insert(*fact, why.clone());
            }
        }
    }

    fn values(&mut self, classes: u8, looks: &[Look<'_>], row: &mut Vec<u8>) {
        let mut same = 0;
        let mut before = None;
        for (number, subject) in &mut self.subjects {
            if classes & 1 << subject.class == 0 {
                continue;
            }
            let look = looks.binary_search_by_key(number, |look| look.number);
            let facts = look.ok().and_then(|at| looks.get(at)).map(|look| look.facts);
            for column in &mut subject.columns {
                let value = facts.and_then(|f| f.get(&column.fact)).copied();
                if value == column.value {
                    same += 1;
                    before = None;
                    continue;
                }
                if same > 0 {
                    put(row, (same - 1) << 2 | token::SAME);
                    same = 0;
                }
                before = column.put(value, before, row);
            }
        }
    }
}

impl Column {
    /// Writes a value; gives the difference to the one before where it is one. `before` is that of the column before.
    fn put(
        &mut self,
        value: Option<f64>,
        before: Option<(Scale, i64)>,
        row: &mut Vec<u8>,
    ) -> Option<(Scale, i64)> {
        self.value = value;
        let Some(v) = value else {
            put(row, token::OTHER);
            return None;
        };
        if let Some(n) = self.scale.whole(v) {
            let step = (self.scale, n.wrapping_sub(self.last));
            self.last = n;
            // What is private, resident and charged often grows by the same pages.
            match before == Some(step) {
                true => put(row, 1 << 2 | token::OTHER),
                false => put(row, zigzag(step.1) << 2 | token::DELTA),
            }
            return Some(step);
        }
        let finer = Scale::ALL.into_iter().filter(|s| s.number() > self.scale.number());
        if let Some((scale, n)) = finer.filter_map(|s| Some((s, s.whole(v)?))).next() {
            put(row, (scale.number() + 1) << 2 | token::ANEW);
            put(row, zigzag(n));
            (self.scale, self.last) = (scale, n);
            return None;
        }
        put(row, token::ANEW);
        // What two doubles near each other share is at their high end.
        put(row, (v.to_bits() ^ self.bits).swap_bytes());
        self.bits = v.to_bits();
        None
    }
}

/// Length, checksum, bytes.
fn record(out: &mut Vec<u8>, payload: &[u8]) {
    put(out, payload.len() as u64);
    let mut crc = Crc::new();
    crc.update(payload);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(payload);
}
