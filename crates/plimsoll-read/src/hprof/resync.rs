//! Where to read on behind damage: the first place from which several records in a row make sense.
//!
//! A place is believed by evidence, counted in bits: how unlikely it is that bytes at random look like this. Tags, the
//! alignment and the range of addresses, identifiers of classes that were loaded, serial numbers of stacks that were
//! told, zeros that the format wants; and that the records end where a head, the end of the segment or that of the dump
//! is. Contents are stepped over, so a look costs the same whatever the lengths say, and never goes further than
//! [`AHEAD`] bytes: what is found does not depend on the buffer.

use std::collections::HashSet;

use super::heap::{
    CLASS, Dialect, HEAP_INFO, INSTANCE, OBJECT_ARRAY, PRIMITIVE_ARRAY, PRIMITIVE_ARRAY_NODATA, is_heap_tag,
    root_kind, root_numbers, root_size,
};
use super::plain::{
    END, FRAME, HEAD, HEAP_DUMP, LOAD_CLASS, SEGMENT, TEXT, TRACE, agrees_with_count, head_of, is_known,
    is_plausible,
};
use super::visitor::{RootKind, Type};
use super::wire::{Width, u8_of, u16_of, u32_of};

/// Bytes looked at from a place on.
pub(super) const AHEAD: usize = 64 * 1024;
/// Classes remembered.
const CLASSES: usize = 1 << 20;
/// Records of a run looked at.
const RECORDS: u32 = 24;
/// Evidence for a run, and records that it has at least; a border counts as one.
const ENOUGH: (u32, u32) = (128, 3);
/// The same when the last record goes on beyond what is looked at.
const ENOUGH_BEYOND: (u32, u32) = (96, 2);
/// Evidence of one record at most.
const MOST: u32 = 128;
/// Evidence of a run that ends where the segment, or the dump, does.
const ANCHOR: u32 = 32;
/// Values of a class that are looked at, of each kind: a class with more is not taken for one here.
const VALUES: u16 = 4096;
/// Fields of an instance have fewer bytes than this.
const FIELDS: u32 = 1 << 20;
/// Elements looked at of an array that goes beyond what is looked at, and those of them that must refer to something.
const ELEMENTS: (usize, usize) = (1024, 8);
/// Addresses lie within this many bits of those of the classes.
const SPREAD: u32 = 8;

/// What the dump has told by now, to tell what can be in it from what cannot.
#[derive(Debug)]
pub(super) struct Known {
    dialect: Dialect,
    classes: HashSet<u64>,
    /// All bits that identifiers of classes have.
    bits: u64,
    /// Highest serial number of a stack or a thread.
    serials: u32,
    /// Whether heads have a time: most writers leave it at zero.
    has_times: bool,
}

/// What is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A record of the heap.
    Heap,
    /// A record outside it, or the end.
    Record,
}

/// Bytes from a place on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) bytes: &'a [u8],
    /// Bytes to the declared end of the segment, if that is ahead.
    pub(super) end: Option<u64>,
    /// Whether the dump ends with these bytes.
    pub(super) is_last: bool,
}

/// A record as it seems to be.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// Not possible.
    No,
    /// Its head is not whole.
    Short,
    /// Its length and the evidence for it.
    Record(u64, u32),
}

impl Known {
    pub(super) fn new(dialect: Dialect) -> Self {
        Known { dialect, classes: HashSet::new(), bits: 0, serials: 0, has_times: false }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn load_class(&mut self, id: u64) {
        if id != 0 && self.classes.len() < CLASSES {
            self.classes.insert(id);
            self.bits |= id;
        }
    }

    pub(super) fn trace(&mut self, serial: u32, thread: u32) {
        self.serials = self.serials.max(serial).max(thread);
    }

    pub(super) fn head(&mut self, time: u32) {
        self.has_times |= time != 0;
    }

    /// The first place of `bytes` among the first `most` from which to read on; `end` and `is_last` as in [`Look`].
    pub(super) fn find<W: Width>(&self, look: Look<'_>, most: usize) -> Option<(usize, Next)> {
        for (at, tag) in look.bytes.iter().enumerate().take(most) {
            let ahead = look.end.and_then(|end| end.checked_sub(at as u64));
            if !is_heap_tag(*tag) && !is_known(*tag) && ahead != Some(0) {
                continue;
            }
            let rest = look.bytes.get(at..).unwrap_or_default();
            let bytes = rest.get(..AHEAD).unwrap_or(rest);
            let look = Look { bytes, end: ahead, is_last: look.is_last && rest.len() < AHEAD };
            if self.is_heap_run::<W>(look) {
                return Some((at, Next::Heap));
            }
            if self.is_record_run::<W>(look) {
                return Some((at, Next::Record));
            }
        }
        None
    }

    /// Whether heap records follow one another here.
    pub(super) fn is_heap_run<W: Width>(&self, look: Look<'_>) -> bool {
        let mut run = Run::default();
        while run.records < RECORDS {
            match run.at_end(look) {
                Some(is_run) => return is_run,
                None if run.is(ENOUGH) => return true,
                None => {}
            }
            match self.heap_record::<W>(run.rest(look)) {
                Seen::Record(size, bits) => run.add(size, bits),
                Seen::Short => return run.is(ENOUGH_BEYOND),
                // Roots have tags that records outside the heap have too: those were tried.
                Seen::No => {
                    let bits = self.border::<W>(run.rest(look));
                    return bits.is_some_and(|bits| run.with(bits).is(ENOUGH)) && run.records > 0;
                }
            }
        }
        run.is(ENOUGH)
    }

    /// Whether the heap record here can be one, and another one, a border or the end follows it: less is asked than of a
    /// run, as it stands where one should.
    pub(super) fn is_heap_record<W: Width>(&self, look: Look<'_>) -> bool {
        let Seen::Record(size, _) = self.heap_record::<W>(look.bytes) else { return false };
        let rest = usize::try_from(size).ok().and_then(|size| look.bytes.get(size..));
        let Some(rest) = rest else { return false };
        if rest.is_empty() {
            return look.is_last;
        }
        matches!(self.heap_record::<W>(rest), Seen::Record(..)) || self.border::<W>(rest).is_some()
    }

    /// Whether what the head of a heap record says can be so, whatever its length.
    pub(super) fn is_heap_head<W: Width>(&self, bytes: &[u8]) -> bool {
        matches!(self.heap_record::<W>(bytes), Seen::Record(..))
    }

    /// Whether records outside the heap follow one another here, up to a segment that holds some of it.
    fn is_record_run<W: Width>(&self, look: Look<'_>) -> bool {
        let mut run = Run::default();
        if look.end == Some(0) {
            run.add(0, ANCHOR);
        }
        let anchored = Look { end: None, ..look };
        while run.records < RECORDS {
            match run.at_end(anchored) {
                Some(is_run) => return is_run,
                None if run.is(ENOUGH) => return true,
                None => {}
            }
            let rest = run.rest(look);
            match self.record::<W>(rest) {
                Seen::Record(size, bits) => {
                    if is_segment(rest) && self.holds_heap::<W>(rest, size, look.is_last) {
                        return true;
                    }
                    run.add(size, bits);
                }
                Seen::Short => return run.is(ENOUGH_BEYOND),
                Seen::No => return false,
            }
        }
        run.is(ENOUGH)
    }

    /// Whether a segment of `size` bytes, its head included, has records of the heap in it.
    fn holds_heap<W: Width>(&self, segment: &[u8], size: u64, is_last: bool) -> bool {
        let bytes = segment.get(HEAD..).unwrap_or_default();
        let end = Some(size.saturating_sub(HEAD as u64)).filter(|end| *end > 0);
        self.is_heap_run::<W>(Look { bytes, end, is_last })
    }

    /// Whether a record outside the heap can begin here, or the dump ends here.
    pub(super) fn is_record<W: Width>(&self, look: Look<'_>) -> bool {
        match self.record::<W>(look.bytes) {
            Seen::Record(..) => true,
            Seen::Short => look.is_last,
            Seen::No => false,
        }
    }

    /// A record outside the heap.
    fn record<W: Width>(&self, bytes: &[u8]) -> Seen {
        let Some(tag) = bytes.first() else { return Seen::Short };
        if !is_known(*tag) {
            return Seen::No;
        }
        let Some((tag, time, length)) = head_of(bytes) else { return Seen::Short };
        if !is_plausible::<W>(tag, length) || time != 0 && !self.has_times {
            return Seen::No;
        }
        let body = bytes.get(HEAD..).unwrap_or_default();
        let exact = match tag {
            LOAD_CLASS | FRAME | END => 32,
            TRACE | TEXT => 8,
            _ => 0,
        };
        let is_possible = match tag {
            // The zero character has two other bytes in a text.
            TEXT => !body.iter().take((length as usize).min(64)).skip(W::BYTES).any(|b| *b == 0),
            LOAD_CLASS => loaded::<W>(body).is_none_or(|(serial, id)| serial != 0 && id != 0),
            tag => agrees_with_count::<W>(tag, length, body),
        };
        let time = if self.has_times { 0 } else { 32 };
        if is_possible { Seen::Record(HEAD as u64 + u64::from(length), 8 + time + exact) } else { Seen::No }
    }

    /// The evidence for the border of a heap record: the head of another one, or of the end marker.
    fn border<W: Width>(&self, bytes: &[u8]) -> Option<u32> {
        let tag = bytes.first()?;
        match self.record::<W>(bytes) {
            Seen::Record(_, bits) if matches!(*tag, HEAP_DUMP | SEGMENT | END) => Some(bits),
            _ => None,
        }
    }

    /// A heap record.
    fn heap_record<W: Width>(&self, bytes: &[u8]) -> Seen {
        let Some((tag, body)) = u8_of(bytes) else { return Seen::Short };
        let size = match tag {
            INSTANCE | OBJECT_ARRAY => 2 * W::BYTES + 8,
            PRIMITIVE_ARRAY | PRIMITIVE_ARRAY_NODATA => W::BYTES + 9,
            CLASS => 7 * W::BYTES + 8,
            HEAP_INFO => 4 + W::BYTES,
            _ => match root_kind(tag) {
                Some(kind) => root_size(kind, W::BYTES),
                None => return Seen::No,
            },
        };
        let Some((head, rest)) = body.split_at_checked(size) else { return Seen::Short };
        let seen = match tag {
            INSTANCE => self.instance::<W>(head),
            OBJECT_ARRAY => self.object_array::<W>(head, rest),
            PRIMITIVE_ARRAY => self.primitive_array::<W>(head, true),
            PRIMITIVE_ARRAY_NODATA if self.dialect == Dialect::Jvm => None,
            PRIMITIVE_ARRAY_NODATA => self.primitive_array::<W>(head, false),
            CLASS => self.class::<W>(head, rest),
            HEAP_INFO => u32_of(head).filter(|(heap, _)| *heap < 256).map(|_| (0, 24)),
            _ => root_kind(tag).and_then(|kind| Some((0, self.root::<W>(kind, head)?))),
        };
        match seen {
            Some((more, bits)) => Seen::Record(1 + size as u64 + more, (8 + bits).min(MOST)),
            None => Seen::No,
        }
    }

    /// Bytes of the fields, and the evidence.
    fn instance<W: Width>(&self, head: &[u8]) -> Option<(u64, u32)> {
        let (id, head) = W::split(head)?;
        let (stack, head) = u32_of(head)?;
        let (class, head) = W::split(head)?;
        let (length, _) = u32_of(head)?;
        let evidence = self.address::<W>(id)? + self.serial(stack)? + self.class_id::<W>(class)?;
        (length < FIELDS).then_some((u64::from(length), evidence + 12))
    }

    /// Bytes of the elements, and the evidence.
    fn object_array<W: Width>(&self, head: &[u8], elements: &[u8]) -> Option<(u64, u32)> {
        let (id, head) = W::split(head)?;
        let (stack, head) = u32_of(head)?;
        let (length, head) = u32_of(head)?;
        let (class, _) = W::split(head)?;
        let size = u64::from(length) * W::BYTES as u64;
        let mut evidence = self.address::<W>(id)? + self.serial(stack)? + self.class_id::<W>(class)?;
        if size > elements.len() as u64 {
            let (looked_at, least) = ELEMENTS;
            let ids = elements.chunks_exact(W::BYTES).take(looked_at);
            let ids = ids.filter_map(|id| Some(W::split(id)?.0)).filter(|id| *id != 0);
            let mut referring = 0;
            for id in ids {
                self.address::<W>(id)?;
                referring += 1;
            }
            evidence += if referring >= least { 64 } else { 0 };
        }
        Some((size, evidence))
    }

    /// Bytes of the elements, and the evidence.
    fn primitive_array<W: Width>(&self, head: &[u8], has_values: bool) -> Option<(u64, u32)> {
        let (id, head) = W::split(head)?;
        let (stack, head) = u32_of(head)?;
        let (length, head) = u32_of(head)?;
        let ty = Type::of(u8_of(head)?.0).filter(|ty| *ty != Type::Object)?;
        let size = if has_values { u64::from(length) * ty.bytes(W::BYTES) as u64 } else { 0 };
        Some((size, self.address::<W>(id)? + self.serial(stack)? + 5))
    }

    /// Bytes of its values and fields, and the evidence.
    fn class<W: Width>(&self, head: &[u8], rest: &[u8]) -> Option<(u64, u32)> {
        let (id, head) = W::split(head)?;
        let (stack, mut head) = u32_of(head)?;
        let mut evidence = self.class_id::<W>(id)? + self.serial(stack)?;
        // Superclass, loader, signers, domain; then two that are always zero.
        for place in 0..6 {
            let (id, next) = W::split(head)?;
            head = next;
            match id {
                0 if place < 4 => {}
                0 => evidence += 8 * W::BYTES as u32,
                _ if place < 4 => evidence += self.address::<W>(id)?,
                _ => return None,
            }
        }
        let (instance_size, _) = u32_of(head)?;
        let (constants, rest_of) = counted_values::<W>(rest, 2)?;
        let (statics, rest_of) = counted_values::<W>(rest_of, W::BYTES)?;
        let (count, fields) = u16_of(rest_of)?;
        let size = usize::from(count) * (W::BYTES + 1);
        let types = fields.get(..size)?.chunks_exact(W::BYTES + 1);
        let are_types = types.filter_map(|f| f.last()).all(|code| Type::of(*code).is_some());
        let all = (constants + statics + 2 + size) as u64;
        (are_types && count <= VALUES && instance_size < FIELDS).then_some((all, evidence))
    }

    fn root<W: Width>(&self, kind: RootKind, head: &[u8]) -> Option<u32> {
        let (id, head) = W::split(head)?;
        let address = self.address::<W>(id)?;
        if kind == RootKind::JniGlobal {
            return (W::split(head)?.0 != 0).then_some(address);
        }
        if kind == RootKind::StickyClass {
            return self.class_id::<W>(id);
        }
        if root_numbers(kind) == 0 {
            return Some(address);
        }
        let (thread, head) = u32_of(head)?;
        let evidence = address + self.serial(thread)?;
        let frame = u32_of(head).map(|(frame, _)| frame);
        match frame {
            None => Some(evidence),
            Some(stack) if kind == RootKind::ThreadObject => Some(evidence + self.serial(stack)?),
            Some(frame) => (frame == u32::MAX || frame < 1 << 16).then_some(evidence + 15),
        }
    }

    /// The evidence that an identifier is an address in the heap.
    fn address<W: Width>(&self, id: u64) -> Option<u32> {
        let width = 8 * W::BYTES as u32;
        if self.bits == 0 {
            return (id != 0).then_some(0);
        }
        let aligned = self.bits.trailing_zeros().min(3);
        let reach = (64 - self.bits.leading_zeros() + SPREAD).min(width);
        let is_possible = id != 0 && id.trailing_zeros() >= aligned && 64 - id.leading_zeros() <= reach;
        is_possible.then_some(width - reach + aligned)
    }

    /// The evidence that an identifier is that of a class.
    fn class_id<W: Width>(&self, id: u64) -> Option<u32> {
        let address = self.address::<W>(id)?;
        if self.classes.contains(&id) {
            let among = self.classes.len().max(1).ilog2() + 1;
            return Some((8 * W::BYTES as u32).saturating_sub(among).max(address));
        }
        Some(address)
    }

    /// The evidence that a number is the serial number of a stack or a thread.
    fn serial(&self, serial: u32) -> Option<u32> {
        (serial <= self.serials).then(|| self.serials.leading_zeros())
    }
}

/// Records in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    /// Bytes so far.
    size: u64,
    bits: u32,
    records: u32,
}

impl Run {
    fn add(&mut self, size: u64, bits: u32) {
        self.size = self.size.saturating_add(size);
        self.bits += bits;
        self.records += 1;
    }

    fn with(mut self, bits: u32) -> Run {
        self.add(0, bits);
        self
    }

    fn is(self, (bits, records): (u32, u32)) -> bool {
        self.bits >= bits && self.records >= records
    }

    fn rest<'a>(self, look: Look<'a>) -> &'a [u8] {
        usize::try_from(self.size).ok().and_then(|size| look.bytes.get(size..)).unwrap_or_default()
    }

    /// Whether it is a run, if it is over here.
    fn at_end(self, look: Look<'_>) -> Option<bool> {
        let held = look.bytes.len() as u64;
        if self.records > 0 && (look.end == Some(self.size) || look.is_last && self.size == held) {
            return Some(self.with(ANCHOR).is(ENOUGH_BEYOND));
        }
        // A record that reaches over the end of its segment is none.
        if look.end.is_some_and(|end| self.size > end) {
            return Some(false);
        }
        (self.size > held).then(|| self.is(ENOUGH_BEYOND))
    }
}

fn is_segment(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&(HEAP_DUMP | SEGMENT)))
}

/// Serial number and identifier of a loaded class; nothing when they are not whole.
fn loaded<W: Width>(body: &[u8]) -> Option<(u32, u64)> {
    let (serial, rest) = u32_of(body)?;
    Some((serial, W::split(rest)?.0))
}

/// Bytes of a counted run of typed values, each behind `head` bytes, and what follows it.
fn counted_values<W: Width>(bytes: &[u8], head: usize) -> Option<(usize, &[u8])> {
    let (count, run) = u16_of(bytes)?;
    if count > VALUES {
        return None;
    }
    let mut size = 0;
    for _ in 0..count {
        let ty = Type::of(*run.get(size + head)?)?;
        size += head + 1 + ty.bytes(W::BYTES);
    }
    Some((size + 2, run.get(size..)?))
}
