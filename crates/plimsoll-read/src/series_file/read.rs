//! Reading: any bytes; what is sound is told to a [`Sink`], what is not is counted and said.

use std::collections::BTreeMap;

use flate2::Crc;
use plimsoll_core::fact::Fact;

use super::number::{Scale, take, take_text, unzigzag};
use super::{LARGEST, MARK, VERSION, kind, token};

/// Who listens to what is read, in the order of time within a block.
pub trait Sink {
    /// A block begins: who is sampled is told anew.
    fn block(&mut self) {}
    /// One more subject, by its number, with the words of who wrote it.
    fn subject(&mut self, number: u64, text: &str);
    /// Why a fact of a subject is not known.
    fn unknown(&mut self, _number: u64, _fact: Fact, _why: &str) {}
    /// A subject is sampled no more.
    fn gone(&mut self, _number: u64) {}
    /// An instant (Unix seconds), before its samples, with the bits of the classes that were sampled.
    fn instant(&mut self, _t: f64, _classes: u8) {}
    /// One sample.
    fn sample(&mut self, number: u64, t: f64, fact: Fact, v: f64);
}

/// Bytes that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Where they begin.
    pub offset: usize,
    /// How many.
    pub bytes: usize,
    /// Why.
    pub why: &'static str,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Blocks that began.
    pub blocks: u64,
    /// Instants.
    pub rows: u64,
    /// Samples.
    pub samples: u64,
    /// Damaged places.
    pub lost: Vec<Lost>,
    /// Bytes at the end that are a record's beginning: the writer was ended there.
    pub torn: usize,
}

struct Column {
    /// None for one that this program does not know.
    fact: Option<Fact>,
    scale: Scale,
    last: i64,
    bits: u64,
    value: Option<f64>,
}

#[derive(Default)]
struct Subject {
    class: u8,
    columns: Vec<Column>,
}

/// What holds within a block.
#[derive(Default)]
struct Block {
    subjects: BTreeMap<u64, Subject>,
    last: i64,
    step: i64,
}

/// Why a record is not used.
enum Bad {
    /// The bytes end within it.
    Short,
    Damaged(&'static str),
}

/// Reads a file of series.
pub fn read(bytes: &[u8], sink: &mut dyn Sink) -> Report {
    let mut report = Report::default();
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(found) = memchr::memmem::find(rest, &MARK) else {
            // The beginning of a mark at the end is what a writer leaves that is ended there.
            lose(
                &mut report,
                at,
                bytes.len(),
                if MARK.starts_with(rest) { None } else { Some("no block begins here") },
            );
            return report;
        };
        if found > 0 {
            lose(&mut report, at, at + found, Some("no block begins here"));
        }
        at += found + MARK.len();
        report.blocks += 1;
        sink.block();
        let (end, bad) = block(bytes, at, sink, &mut report);
        at = end;
        if let Some(bad) = bad {
            let rest = bytes.get(at..).unwrap_or_default();
            let next = memchr::memmem::find(rest, &MARK).map(|n| at + n);
            let why = match (bad, next) {
                (Bad::Short, None) => None,
                (Bad::Short, Some(_)) => Some("a record is cut"),
                (Bad::Damaged(why), _) => Some(why),
            };
            let until = next.unwrap_or(bytes.len());
            lose(&mut report, at, until, why);
            at = until;
        }
    }
    report
}

fn lose(report: &mut Report, from: usize, to: usize, why: Option<&'static str>) {
    match why {
        Some(why) => report.lost.push(Lost { offset: from, bytes: to - from, why }),
        None => report.torn = to - from,
    }
}

/// Reads records up to the next mark, the end, or what is not sound; gives where that is.
fn block(bytes: &[u8], mut at: usize, sink: &mut dyn Sink, report: &mut Report) -> (usize, Option<Bad>) {
    let mut block = Block::default();
    let mut headed = false;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.is_empty() || rest.starts_with(&MARK) {
            return (at, None);
        }
        let (payload, used) = match record(rest) {
            Ok(found) => found,
            Err(bad) => return (at, Some(bad)),
        };
        let is_head = payload.first() == Some(&kind::HEAD);
        if is_head == headed {
            return (at, Some(Bad::Damaged("a block does not begin with its head")));
        }
        headed = true;
        if block.take(payload, sink, report).is_none() {
            return (at, Some(Bad::Damaged("a record makes no sense")));
        }
        at += used;
    }
}

/// The payload of the record at the front, and the bytes that it takes.
fn record(bytes: &[u8]) -> Result<(&[u8], usize), Bad> {
    let mut rest = bytes;
    let length =
        take(&mut rest).ok_or(if bytes.len() < 10 { Bad::Short } else { Bad::Damaged("a length") })?;
    let length = usize::try_from(length).ok().filter(|n| (1..=LARGEST).contains(n));
    let length = length.ok_or(Bad::Damaged("a record of an impossible length"))?;
    let (sum, rest) = rest.split_first_chunk::<4>().ok_or(Bad::Short)?;
    let payload = rest.get(..length).ok_or(Bad::Short)?;
    let mut crc = Crc::new();
    crc.update(payload);
    if crc.sum().to_le_bytes() != *sum {
        return Err(Bad::Damaged("a checksum is wrong"));
    }
    Ok((payload, bytes.len() - rest.len() + length))
}

impl Block {
    fn take(&mut self, payload: &[u8], sink: &mut dyn Sink, report: &mut Report) -> Option<()> {
        let (kind, mut rest) = payload.split_first()?;
        match *kind {
            kind::HEAD => {
                (take(&mut rest)? == VERSION).then_some(())?;
                self.last = unzigzag(take(&mut rest)?);
            }
            kind::SUBJECT => {
                let number = take(&mut rest)?;
                let class = u8::try_from(take(&mut rest)?).ok().filter(|c| *c < 8)?;
                sink.subject(number, take_text(&mut rest)?);
                self.subjects.insert(number, Subject { class, columns: Vec::new() });
            }
            kind::FACT => {
                let subject = self.subjects.get_mut(&take(&mut rest)?)?;
                let scale = Scale::of(take(&mut rest)?)?;
                let fact = Fact::from_key(take_text(&mut rest)?);
                subject.columns.push(Column { fact, scale, last: 0, bits: 0, value: None });
            }
            kind::GONE => {
                let number = take(&mut rest)?;
                self.subjects.remove(&number)?;
                sink.gone(number);
            }
            kind::UNKNOWN => {
                let number = take(&mut rest)?;
                let fact = Fact::from_key(take_text(&mut rest)?);
                let why = take_text(&mut rest)?;
                fact.into_iter().for_each(|fact| sink.unknown(number, fact, why));
            }
            kind::ROW => self.row(rest, sink, report)?,
            // Of a later version: nothing that is known depends on it.
            _ => {}
        }
        Some(())
    }

    fn row(&mut self, mut rest: &[u8], sink: &mut dyn Sink, report: &mut Report) -> Option<()> {
        let classes = u8::try_from(take(&mut rest)?).ok()?;
        self.step = self.step.wrapping_add(unzigzag(take(&mut rest)?));
        self.last = self.last.wrapping_add(self.step);
        let t = self.last as f64 / 1e3;
        report.rows += 1;
        sink.instant(t, classes);
        let mut same = 0u64;
        let mut before = None;
        for (number, subject) in &mut self.subjects {
            if classes & 1 << subject.class == 0 {
                continue;
            }
            for column in &mut subject.columns {
                let step = before.take();
                if same > 0 {
                    same -= 1;
                } else if !rest.is_empty() {
                    let token = take(&mut rest)?;
                    match token & 3 {
                        token::SAME => same = token >> 2,
                        how => before = column.take(how, token >> 2, step, &mut rest)?,
                    }
                }
                if let (Some(fact), Some(v)) = (column.fact, column.value.filter(|v| v.is_finite())) {
                    report.samples += 1;
                    sink.sample(*number, t, fact, v);
                }
            }
        }
        rest.is_empty().then_some(())
    }
}

impl Column {
    /// Takes in a token; gives the difference to the value before, where it is one.
    fn take(
        &mut self,
        how: u64,
        more: u64,
        before: Option<(Scale, i64)>,
        rest: &mut &[u8],
    ) -> Option<Option<(Scale, i64)>> {
        let step = match (how, more) {
            (token::OTHER, 0) => {
                self.value = None;
                return Some(None);
            }
            (token::ANEW, 0) => {
                self.bits ^= take(rest)?.swap_bytes();
                self.value = Some(f64::from_bits(self.bits));
                return Some(None);
            }
            (token::ANEW, scale) => {
                self.scale = Scale::of(scale - 1)?;
                self.last = unzigzag(take(rest)?);
                self.value = Some(self.scale.value(self.last));
                return Some(None);
            }
            (token::OTHER, 1) => before.filter(|(scale, _)| *scale == self.scale)?.1,
            (token::OTHER, _) => return None,
            (_, difference) => unzigzag(difference),
        };
        self.last = self.last.wrapping_add(step);
        self.value = Some(self.scale.value(self.last));
        Some(Some((self.scale, step)))
    }
}
