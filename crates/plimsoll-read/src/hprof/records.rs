//! The scan: top-level records, the extent of heap dump segments, large arrays in pieces, what is stepped over as
//! damaged, and where it ended.

use std::ops::ControlFlow;

use super::heap::{self, Counts, Dialect, Stuck};
use super::open::{Dump, Header, IdSize, Version};
use super::plain::{
    COUNTED, END, FRAME, HEAD, HEAP_DUMP, Head, LOAD_CLASS, SEGMENT, TEXT, TRACE, UNLOAD_CLASS,
    agrees_with_count, hand_over, head_of, is_known, is_plausible, size_of_plain,
};
use super::resync::{AHEAD, Known, Look, Next};
use super::visitor::{Ids, Visitor};
use super::warnings::{Fault, Warnings};
use super::window::{Stop, Window};
use super::wire::{Eight, Four, Width, u8_of};

/// Largest single record that is taken whole. A class with every count at its limit has 2.5 MB.
const LARGEST: u64 = 4 << 20;
/// Of longer texts the beginning is handed over, bytes.
const TEXT_TAKEN: u32 = 64 * 1024;

/// Where and how the reading ended.
#[derive(Debug)]
pub enum Ending {
    /// The dump is whole.
    Complete,
    /// The dump ends too early, at offset `at`: in the record that begins at `record`, or between two records.
    Cut {
        /// Bytes there are.
        at: u64,
        /// Offset and tag of the record that is not whole.
        record: Option<(u64, u8)>,
    },
    /// The stream could not be read, or unpacked, any further.
    Failed {
        /// Bytes there are.
        at: u64,
        /// Why.
        error: std::io::Error,
    },
    /// What follows cannot be made sense of, up to the end.
    Lost {
        /// Offset of the first byte that was not understood.
        at: u64,
    },
    /// The visitor asked to end.
    Stopped {
        /// Offset reached.
        at: u64,
    },
}

/// What could not be made sense of, and was stepped over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Damage {
    /// Places.
    pub places: u64,
    /// Bytes, in all of them.
    pub bytes: u64,
    /// Offset of the first.
    pub first: u64,
}

/// What a scan saw.
#[derive(Debug)]
pub struct Summary {
    /// Unpacked bytes read, header included.
    pub bytes: u64,
    /// How it ended.
    pub ending: Ending,
    /// Whether the mark that ends a segmented heap dump was seen.
    pub end_marker: bool,
    /// Segments and heap records.
    pub segments: u64,
    /// Records handed over.
    pub counts: Counts,
    /// What was stepped over as damaged.
    pub damage: Damage,
    /// What was wrong.
    pub warnings: Warnings,
}

impl Summary {
    /// Whether everything the writer meant to write was read.
    pub fn is_complete(&self) -> bool {
        matches!(self.ending, Ending::Complete) && self.damage.places == 0
    }

    /// Of two parts of a dump, the second of which begins where the first ends, and nothing damaged in either; nothing
    /// when this is not so, or the first did not end there.
    pub(crate) fn joined(self, second: Summary, border: u64) -> Option<Summary> {
        let ends_there = self.bytes == border && self.warnings.count() == 0;
        let at_head = matches!(self.ending, Ending::Complete | Ending::Cut { record: None, .. });
        if !ends_there || !at_head || second.damage.places > 0 {
            return None;
        }
        Some(Summary {
            end_marker: self.end_marker | second.end_marker,
            segments: self.segments + second.segments,
            counts: self.counts.and(second.counts),
            ..second
        })
    }

    /// What is missing, in words; nothing when the dump is whole.
    pub fn truncation(&self) -> Option<String> {
        let Damage { places, bytes, first } = self.damage;
        let at = if places == 1 { String::new() } else { format!("at {places} places, the first ") };
        let damage = format!("{bytes} bytes were stepped over, {at}at offset {first}");
        let what = match (self.ending_in_words(), places) {
            (None, 0) => return None,
            (None, _) if self.counts.threads > 0 => return Some(format!("dump is damaged: {damage}")),
            (None, _) => format!("dump is damaged: {damage}"),
            (Some(ending), 0) => ending,
            (Some(ending), 1) if matches!(self.ending, Ending::Lost { .. }) => ending,
            (Some(ending), _) => format!("{ending}; {damage}"),
        };
        let roots = match (self.counts.roots, self.counts.threads) {
            (0, _) => "no root was seen",
            (_, 0) => "no thread was seen among the roots",
            _ => "threads were seen among the roots",
        };
        Some(format!("{what}; {roots}"))
    }

    fn ending_in_words(&self) -> Option<String> {
        Some(match &self.ending {
            Ending::Complete => return None,
            Ending::Cut { at, record: Some((begin, tag)) } => {
                format!("dump ends after {at} bytes, inside the record {tag:#04x} that begins at {begin}")
            }
            Ending::Cut { at, record: None } => format!("dump ends after {at} bytes without its end marker"),
            Ending::Failed { at, error } => format!("dump cannot be read beyond {at} bytes: {error}"),
            Ending::Lost { at } => format!("dump makes no sense beyond {at} bytes"),
            Ending::Stopped { at } => format!("reading was ended after {at} bytes"),
        })
    }
}

/// Hands over the heap records in a run of bytes that begins with one, at offset `at` of its dump. The last array is
/// handed over as far as it goes when it goes beyond the run.
pub fn scan_records(bytes: &[u8], at: u64, id_size: IdSize, visitor: &mut impl Visitor) {
    match id_size {
        IdSize::Four => heap::excerpt::<Four, _>(bytes, at, visitor),
        IdSize::Eight => heap::excerpt::<Eight, _>(bytes, at, visitor),
    }
}

impl Dump<'_> {
    /// Reads to the end, handing every record to `visitor`.
    pub fn scan<V: Visitor>(self, visitor: &mut V) -> Summary {
        let Header { id_size, version, .. } = self.header();
        let dialect = if version == Version::V1_0_3 { Dialect::Android } else { Dialect::Jvm };
        let mut scan = Scan {
            window: self.window,
            counts: Counts::default(),
            damage: Damage::default(),
            known: Known::new(dialect),
            warnings: Warnings::default(),
            segments: 0,
            end_marker: false,
            open: true,
        };
        let end = match id_size {
            IdSize::Four => scan.run::<Four, V>(visitor),
            IdSize::Eight => scan.run::<Eight, V>(visitor),
        };
        scan.summary(end)
    }
}

/// Why the scan ends. `In` names the record that is not whole.
enum End {
    Boundary,
    In(u64, u8),
    Lost(u64),
    Stopped,
}

type Flow = ControlFlow<End>;
const ON: Flow = Flow::Continue(());

/// The heap record that is being read.
struct Body {
    head: Head,
    /// Offset of its first byte behind the head.
    begin: u64,
    /// Its length, if that is to be believed.
    length: Option<u64>,
    over: bool,
}

struct Scan<'r> {
    window: Window<'r>,
    counts: Counts,
    damage: Damage,
    known: Known,
    warnings: Warnings,
    segments: u64,
    end_marker: bool,
    /// A heap dump was not begun, or has more to come.
    open: bool,
}

impl Scan<'_> {
    fn summary(mut self, end: End) -> Summary {
        let reached = self.window.at();
        let at = reached.saturating_add(self.window.bytes().len() as u64);
        let failed = match self.window.stop() {
            Some(Stop::Failed(error)) if error.kind() != std::io::ErrorKind::UnexpectedEof => Some(error),
            Some(Stop::Failed(_)) => {
                self.open = true;
                None
            }
            _ => None,
        };
        let ending = match (end, failed) {
            (End::Lost(at), _) => Ending::Lost { at },
            (End::Stopped, _) => Ending::Stopped { at: reached },
            (_, Some(error)) => Ending::Failed { at, error },
            (End::Boundary, None) if self.open => Ending::Cut { at, record: None },
            (End::Boundary, None) => Ending::Complete,
            (End::In(begin, tag), None) => Ending::Cut { at, record: Some((begin, tag)) },
        };
        Summary {
            bytes: at,
            ending,
            end_marker: self.end_marker,
            segments: self.segments,
            counts: self.counts,
            damage: self.damage,
            warnings: self.warnings,
        }
    }

    fn run<W: Width, V: Visitor>(&mut self, v: &mut V) -> End {
        loop {
            if let Flow::Break(end) = self.one_record::<W, V>(v) {
                return end;
            }
        }
    }

    fn one_record<W: Width, V: Visitor>(&mut self, v: &mut V) -> Flow {
        let at = self.window.at();
        if !self.window.fill(HEAD) {
            return Flow::Break(match self.window.bytes().first() {
                None => End::Boundary,
                Some(tag) => End::In(at, *tag),
            });
        }
        let Some((tag, time, length)) = head_of(self.window.bytes()) else {
            return Flow::Break(End::Boundary);
        };
        let head = Head { at, tag, time, length };
        if !self.is_sound::<W>(head) && !self.leads_on::<W>(head) {
            return self.no_record::<W, V>(head, v);
        }
        self.take_head(head, v);
        match tag {
            HEAP_DUMP | SEGMENT => {
                self.segments += 1;
                self.open = true;
                self.heap_record::<W, V>(head, v)
            }
            TEXT | LOAD_CLASS | UNLOAD_CLASS | FRAME | TRACE => self.plain_record::<W, V>(head, v),
            END => {
                self.end_marker = true;
                self.open = false;
                self.skip(head, u64::from(length))
            }
            _ => {
                if !is_known(tag) {
                    self.damaged(at, HEAD as u64 + u64::from(length), Fault::UnknownRecord { tag });
                }
                self.skip(head, u64::from(length))
            }
        }
    }

    /// Whether a record can be what its head says.
    fn is_sound<W: Width>(&mut self, head: Head) -> bool {
        if !is_plausible::<W>(head.tag, head.length) {
            return false;
        }
        if head.tag != TEXT {
            self.window.fill(HEAD + COUNTED);
            let body = self.window.bytes().get(HEAD..).unwrap_or_default();
            return agrees_with_count::<W>(head.tag, head.length, body);
        }
        // A text that reaches over its neighbours has zeros in it: those of their heads.
        let length = head.length.min(TEXT_TAKEN) as usize;
        self.window.fill(HEAD + length);
        let text = self.window.bytes().get(HEAD + W::BYTES..).unwrap_or_default();
        !text.get(..length - W::BYTES).unwrap_or(text).contains(&0)
    }

    /// Whether something sound lies where the length of an odd record leads to, and no heap inside it.
    fn leads_on<W: Width>(&mut self, head: Head) -> bool {
        let is_last = !self.window.fill(2 * AHEAD);
        let bytes = self.window.bytes();
        let behind = HEAD.saturating_add(head.length as usize);
        let Some(next) = bytes.get(behind..).filter(|_| behind <= AHEAD) else { return false };
        let inside = bytes.get(HEAD..).unwrap_or_default();
        let inside = inside.get(..AHEAD).unwrap_or(inside);
        let end = Some(u64::from(head.length));
        self.known.is_record::<W>(Look { bytes: next, end: None, is_last })
            && !self.known.is_heap_run::<W>(Look { bytes: inside, end, is_last: false })
    }

    /// What stands where a record should is none: on to where one is, or some of the heap.
    fn no_record<W: Width, V: Visitor>(&mut self, head: Head, v: &mut V) -> Flow {
        let next = self.search::<W, V>(None, v)?;
        let lost = self.window.at() - head.at;
        let fault = Fault::NoRecord { tag: head.tag, lost };
        if next.is_none() && !self.open {
            // The dump was over: what follows it is none of it.
            self.warnings.add(head.at, fault);
            return Flow::Break(End::Boundary);
        }
        self.damaged(head.at, lost, fault);
        match next {
            None => Flow::Break(End::Lost(head.at)),
            Some(Next::Record) => ON,
            Some(Next::Heap) => {
                let begin = self.window.at();
                self.segments += 1;
                self.open = true;
                let head = Head { at: begin, tag: SEGMENT, time: 0, length: 0 };
                self.heap_body::<W, V>(Body { head, begin, length: None, over: false }, v)
            }
        }
    }

    /// Notes bytes that were stepped over.
    fn damaged(&mut self, at: u64, bytes: u64, fault: Fault) {
        if self.damage.places == 0 {
            self.damage.first = at;
        }
        self.damage.places += 1;
        self.damage.bytes = self.damage.bytes.saturating_add(bytes);
        self.warnings.add(at, fault);
    }

    /// Steps to the next place from which to read on, behind the current one; to the end when there is none. `end` is
    /// where the segment ends, by what it says. All is read: when the dump is a pipe, its writer must not be killed by us.
    fn search<W: Width, V: Visitor>(
        &mut self,
        end: Option<u64>,
        v: &mut V,
    ) -> ControlFlow<End, Option<Next>> {
        self.window.consume(1);
        loop {
            let is_last = !self.window.fill(2 * AHEAD);
            let bytes = self.window.bytes();
            let most = if is_last { bytes.len() } else { bytes.len().saturating_sub(AHEAD) };
            let ahead = end.and_then(|end| end.checked_sub(self.window.at()));
            if let Some((skipped, next)) = self.known.find::<W>(Look { bytes, end: ahead, is_last }, most) {
                self.window.consume(skipped);
                return ControlFlow::Continue(Some(next));
            }
            self.window.consume(most);
            if v.progress(self.window.at()).is_break() {
                return ControlFlow::Break(End::Stopped);
            }
            if is_last {
                let is_border = end == Some(self.window.at());
                return ControlFlow::Continue(is_border.then_some(Next::Record));
            }
        }
    }

    /// Hands over a head and steps over it. Of a record that is not known, what may well be no head at all, the
    /// time is left out.
    fn take_head<V: Visitor>(&mut self, head: Head, v: &mut V) {
        let bytes = self.window.bytes().get(..HEAD).unwrap_or_default();
        if is_known(head.tag) {
            self.known.head(head.time);
            v.taken(head.at, bytes);
        } else {
            v.taken(head.at, bytes.get(..1).unwrap_or_default());
            v.taken(head.at + 5, bytes.get(5..).unwrap_or_default());
        }
        self.window.consume(HEAD);
    }

    fn skip(&mut self, head: Head, count: u64) -> Flow {
        if self.window.skip(count) < count { Flow::Break(End::In(head.at, head.tag)) } else { ON }
    }

    /// A record outside the heap: its body is taken whole, or its beginning when it is long.
    fn plain_record<W: Width, V: Visitor>(&mut self, head: Head, v: &mut V) -> Flow {
        let most = if head.tag == TEXT { TEXT_TAKEN } else { LARGEST as u32 };
        let taken = head.length.min(most);
        if !self.window.fill(taken as usize) {
            return Flow::Break(End::In(head.at, head.tag));
        }
        if taken < head.length && head.tag != TEXT {
            let size = u64::from(head.length);
            self.damaged(head.at, size - u64::from(taken), Fault::TooLarge { tag: head.tag, size });
        }
        let body = self.window.bytes().get(..taken as usize).unwrap_or_default();
        if hand_over::<W, V>(head, body, &mut self.known, v).is_some() {
            let known = body.get(..size_of_plain::<W>(head.tag, body.len())).unwrap_or(body);
            v.taken(self.window.at(), known);
        } else {
            let size = u64::from(head.length);
            self.damaged(head.at, size, Fault::Short { tag: head.tag, size });
        }
        self.window.consume(taken as usize);
        self.skip(head, u64::from(head.length - taken))
    }

    /// The body of a heap dump or of a segment of one.
    fn heap_record<W: Width, V: Visitor>(&mut self, head: Head, v: &mut V) -> Flow {
        let begin = self.window.at();
        self.heap_body::<W, V>(Body { head, begin, length: Some(u64::from(head.length)), over: false }, v)
    }

    fn heap_body<W: Width, V: Visitor>(&mut self, mut body: Body, v: &mut V) -> Flow {
        v.segment(body.begin);
        while !body.over {
            match self.left(&body) {
                Some(0) if self.next_is_no_heap_record::<W>() => body.over = true,
                Some(0) => self.read_on(&mut body),
                None if !self.window.fill(1) => return Flow::Break(self.end_of_endless(&body)),
                left => self.some_heap_records::<W, V>(&mut body, left, v)?,
            }
        }
        self.open &= body.head.tag != HEAP_DUMP;
        ON
    }

    /// Bytes of the heap record still to come; nothing when its length is not known.
    fn left(&self, body: &Body) -> Option<u64> {
        Some(body.length?.saturating_sub(self.window.at() - body.begin))
    }

    /// The length is wrong: its end shows by what is read.
    fn read_on(&mut self, body: &mut Body) {
        self.warnings.add(body.head.at, Fault::LengthUnknown);
        body.length = None;
    }

    /// The stream ended in a heap record of unknown length, behind a whole record in it. The counter of the
    /// writer had 32 bits: if it agrees, the record was all.
    fn end_of_endless(&mut self, body: &Body) -> End {
        let wrapped = (self.window.at() - body.begin) % (1 << 32);
        self.open &= body.head.tag != HEAP_DUMP || wrapped != u64::from(body.head.length);
        End::Boundary
    }

    /// Behind a heap record's declared end: whether a top-level record, or nothing, follows.
    fn next_is_no_heap_record<W: Width>(&mut self) -> bool {
        self.window.fill(HEAD);
        let bytes = self.window.bytes();
        let Some(tag) = bytes.first() else { return true };
        !heap::is_heap_tag(*tag)
            || head_of(bytes).is_some_and(|(tag, _, length)| is_plausible::<W>(tag, length))
    }

    /// In a heap record of unknown length: whether another one, or the end marker, follows.
    fn at_heap_border<W: Width>(&mut self) -> bool {
        self.window.fill(HEAD);
        head_of(self.window.bytes()).is_some_and(|(tag, _, length)| {
            matches!(tag, HEAP_DUMP | SEGMENT | END) && is_plausible::<W>(tag, length)
        })
    }

    /// Hands over what the window holds of a heap record, and sees to what does not fit.
    fn some_heap_records<W: Width, V: Visitor>(
        &mut self,
        body: &mut Body,
        left: Option<u64>,
        v: &mut V,
    ) -> Flow {
        let held = self.window.bytes();
        let within = left.map_or(held.len(), |n| usize::try_from(n).unwrap_or(usize::MAX).min(held.len()));
        let slice = held.get(..within).unwrap_or_default();
        let (taken, stuck) =
            heap::batch::<W, V>(slice, self.window.at(), self.known.dialect(), &mut self.counts, v);
        if taken > 0 {
            v.taken(self.window.at(), slice.get(..taken).unwrap_or_default());
        }
        self.window.consume(taken);
        if v.progress(self.window.at()).is_break() {
            return Flow::Break(End::Stopped);
        }
        let left = left.map(|n| n.saturating_sub(taken as u64));
        // Behind a whole record, with nothing left that is known of, the caller sees to what comes next.
        if left.map_or(self.window.bytes().is_empty(), |n| n == 0) {
            ON
        } else {
            self.unstick::<W, V>(body, stuck, left, v)
        }
    }

    fn unstick<W: Width, V: Visitor>(
        &mut self,
        body: &mut Body,
        stuck: Stuck,
        left: Option<u64>,
        v: &mut V,
    ) -> Flow {
        let tag = self.window.bytes().first().copied().unwrap_or(body.head.tag);
        match stuck {
            Stuck::UnknownTag(_) if left.is_none() && self.at_heap_border::<W>() => {
                body.over = true;
                ON
            }
            Stuck::UnknownTag(tag) => {
                self.step_over::<W, V>(body, tag, v, |lost| Fault::UnknownHeapRecord { tag, lost })
            }
            Stuck::UnknownType(kind) => {
                self.step_over::<W, V>(body, tag, v, |lost| Fault::UnknownType { kind, lost })
            }
            Stuck::Needs(size) if left.is_some_and(|left| size > left) => {
                self.beyond::<W, V>(body, tag, size, v)
            }
            Stuck::Needs(size) if size > LARGEST && self.is_oversized::<W>(tag, left) => {
                self.step_over::<W, V>(body, tag, v, |_| Fault::TooLarge { tag, size })
            }
            Stuck::Needs(size) => self.take_large::<W, V>(tag, size, v),
            Stuck::More => self.read_more::<W, V>(body, tag, left, v),
        }
    }

    /// A record that is longer than what is left of its segment: one of the two lengths is wrong.
    fn beyond<W: Width, V: Visitor>(&mut self, body: &mut Body, tag: u8, size: u64, v: &mut V) -> Flow {
        let is_last = !self.window.fill(2 * AHEAD);
        let bytes = self.window.bytes();
        let bytes = bytes.get(..AHEAD).unwrap_or(bytes);
        let is_sound = self.known.is_heap_record::<W>(Look { bytes, end: None, is_last });
        if is_sound || body.head.tag == HEAP_DUMP && !self.is_damaged::<W>() {
            self.read_on(body);
            return ON;
        }
        self.step_over::<W, V>(body, tag, v, |lost| Fault::BeyondSegment { tag, size, lost })
    }

    /// Whether a record of more than [`LARGEST`] bytes cannot be one: only arrays are that large, and where nothing says
    /// how long their segment is, they must look like it.
    fn is_oversized<W: Width>(&mut self, tag: u8, left: Option<u64>) -> bool {
        !matches!(tag, heap::OBJECT_ARRAY | heap::PRIMITIVE_ARRAY) || left.is_none() && self.is_damaged::<W>()
    }

    /// Whether the large record here cannot be one, or has others where its content should be.
    fn is_damaged<W: Width>(&mut self) -> bool {
        let is_last = !self.window.fill(2 * AHEAD);
        let bytes = self.window.bytes();
        let most = bytes.len().min(AHEAD);
        let inside = Look { bytes: bytes.get(1..).unwrap_or_default(), end: None, is_last };
        !self.known.is_heap_head::<W>(bytes)
            || self.known.find::<W>(inside, most).is_some_and(|(_, next)| next == Next::Heap)
    }

    /// Leaves a record that makes no sense for the next that does: in its segment, or behind it.
    fn step_over<W: Width, V: Visitor>(
        &mut self,
        body: &mut Body,
        tag: u8,
        v: &mut V,
        fault: impl FnOnce(u64) -> Fault,
    ) -> Flow {
        let at = self.window.at();
        let end = body.length.map(|length| body.begin.saturating_add(length));
        let next = self.search::<W, V>(end, v)?;
        let reached = self.window.at();
        let lost = reached - at;
        self.damaged(at, lost, fault(lost));
        match next {
            Some(Next::Heap) => {
                body.length = body.length.filter(|_| end.is_some_and(|end| reached < end));
                v.segment(reached);
            }
            Some(Next::Record) => body.over = true,
            None if end.is_some_and(|end| reached < end) => return Flow::Break(End::In(at, tag)),
            None => return Flow::Break(End::Lost(at)),
        }
        ON
    }

    /// A record of known size that the window does not hold whole.
    fn take_large<W: Width, V: Visitor>(&mut self, tag: u8, size: u64, v: &mut V) -> Flow {
        let at = self.window.at();
        let cut = Flow::Break(End::In(at, tag));
        let whole = usize::try_from(size).unwrap_or(usize::MAX);
        if whole <= self.window.capacity() {
            return if self.window.fill(whole) { ON } else { cut };
        }
        match tag {
            heap::OBJECT_ARRAY => self.large_object_array::<W, V>(v),
            heap::PRIMITIVE_ARRAY => self.large_primitive_array::<W, V>(v),
            _ if self.window.fill(whole) => ON,
            _ => cut,
        }
    }

    /// A record whose size shows only while it is parsed: twice as many bytes, if there is one more.
    fn read_more<W: Width, V: Visitor>(
        &mut self,
        body: &mut Body,
        tag: u8,
        left: Option<u64>,
        v: &mut V,
    ) -> Flow {
        let at = self.window.at();
        let held = self.window.bytes().len() as u64;
        if let Some(left) = left.filter(|left| held >= *left) {
            return self.beyond::<W, V>(body, tag, left.saturating_add(1), v);
        }
        if held >= LARGEST {
            return self.step_over::<W, V>(body, tag, v, |_| Fault::TooLarge { tag, size: held });
        }
        let wanted = (held * 2).clamp(64, LARGEST);
        self.window.fill(usize::try_from(wanted).unwrap_or(usize::MAX));
        if self.window.bytes().len() as u64 > held { ON } else { Flow::Break(End::In(at, tag)) }
    }

    fn large_object_array<W: Width, V: Visitor>(&mut self, v: &mut V) -> Flow {
        let at = self.window.at();
        let size = 2 * W::BYTES + 9;
        let cut = End::In(at, heap::OBJECT_ARRAY);
        self.window.fill(size);
        let head =
            u8_of(self.window.bytes()).and_then(|(_, body)| heap::object_array_head::<W>(body, at).ok());
        let Some((array, _)) = head else { return Flow::Break(cut) };
        self.counts.object_arrays += 1;
        v.object_array(&array);
        v.taken(at, self.window.bytes().get(..size).unwrap_or_default());
        self.window.consume(size);
        self.pieces(u64::from(array.length), W::BYTES, cut, |first, at, bytes| {
            v.references(&array, first, Ids::new(bytes, W::SIZE));
            v.taken(at, bytes);
        })
    }

    fn large_primitive_array<W: Width, V: Visitor>(&mut self, v: &mut V) -> Flow {
        let at = self.window.at();
        let size = W::BYTES + 10;
        let cut = End::In(at, heap::PRIMITIVE_ARRAY);
        self.window.fill(size);
        let head = u8_of(self.window.bytes())
            .and_then(|(_, body)| heap::primitive_array_head::<W>(body, at, true).ok());
        let Some((array, _)) = head else { return Flow::Break(cut) };
        self.counts.primitive_arrays += 1;
        v.primitive_array(&array);
        v.taken(at, self.window.bytes().get(..size).unwrap_or_default());
        self.window.consume(size);
        self.pieces(u64::from(array.length), array.ty.bytes(W::BYTES), cut, |first, at, bytes| {
            v.values(&array, first, bytes);
            v.taken(at, bytes);
        })
    }

    /// Elements of a large array as they come, never a part of one: index of the first, its offset, bytes.
    fn pieces(&mut self, length: u64, size: usize, cut: End, mut f: impl FnMut(u64, u64, &[u8])) -> Flow {
        let mut first = 0;
        while first < length {
            if !self.window.fill(size) {
                return Flow::Break(cut);
            }
            let held = self.window.bytes();
            let most = usize::try_from(length - first).unwrap_or(usize::MAX);
            let count = (held.len() / size).min(most);
            f(first, self.window.at(), held.get(..count * size).unwrap_or_default());
            self.window.consume(count * size);
            first += count as u64;
        }
        ON
    }
}
