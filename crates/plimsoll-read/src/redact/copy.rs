//! The copy: every record as it lies in the dump, with edits where values are.
//!
//! The reader calls for what is in some bytes, then hands over the bytes ([`Visitor::taken`]): calls leave edits behind,
//! bytes get them and are written. So no record is put together anew, and what the reader did not take (damage, kinds
//! it does not know) is never copied: it shows as a gap between offsets and is filled with zeros.

use std::io::{self, Write};
use std::ops::ControlFlow;

use super::known::Known;
use super::plan::{Plans, change_of};
use super::policy::{Change, Numbers, Policy, Texts};
use super::report::{Amount, RedactReport, Spans};
use super::text::{self, Elements};
use super::tokens::Tokens;
use crate::hprof::heap::root_size;
use crate::hprof::open::{IdSize, Packing};
use crate::hprof::records::Summary;
use crate::hprof::visitor::{
    Class, Frame, Ids, Instance, LoadClass, ObjectArray, PrimitiveArray, Root, Text, Trace, Type, Visitor,
};

/// Zeros written at once.
const ZEROS: usize = 64 * 1024;
/// A name is no longer than a class file can have it.
const NAME: usize = u16::MAX as usize;

/// What becomes of some bytes.
#[derive(Debug, Clone, Copy)]
enum Action {
    /// A text outside the heap: it stays if it is a name.
    Text(u64),
    Elements(Elements),
    ZeroArray,
    Change(Change),
    Unknown,
}

#[derive(Debug, Clone, Copy)]
struct Edit {
    at: u64,
    length: u32,
    action: Action,
}

/// A piece of a large array of text.
#[derive(Debug, Clone, Copy)]
struct Piece {
    elements: Elements,
    last: bool,
}

/// What was counted on the way.
#[derive(Debug, Default)]
struct Tally {
    texts: Amount,
    zeroed: Amount,
    kept_arrays: Amount,
    fields: Amount,
    names: Amount,
    other_texts: Amount,
    names_lost: u64,
    unknown_objects: Amount,
    not_understood: Spans,
}

/// Copies a dump to `out` while it is scanned.
pub(super) struct Copier<'p, W> {
    out: W,
    failed: Option<io::Error>,
    policy: &'p Policy,
    id: IdSize,
    tokens: Tokens,
    known: Known,
    plans: Plans,
    /// Of the bytes to be taken next, in the order of their offsets.
    edits: Vec<Edit>,
    /// All from the begin of the dump, until the names are known.
    held: Option<Vec<u8>>,
    objects_began: bool,
    /// Offset up to which bytes came: that of a record's body, when it is told.
    at: u64,
    piece: Option<Piece>,
    /// The end of the last piece, which needs the next to be understood.
    carry: Vec<u8>,
    carried: Option<Elements>,
    buffer: Vec<u8>,
    tally: Tally,
}

impl<'p, W: Write> Copier<'p, W> {
    /// `surveyed`: the names are known already.
    pub(super) fn new(
        out: W,
        header: &[u8],
        policy: &'p Policy,
        key: &[u8; 32],
        known: Known,
        surveyed: bool,
    ) -> Copier<'p, W> {
        let mut copier = Copier {
            out,
            failed: None,
            policy,
            id: known.model.id_size(),
            tokens: Tokens::new(key, policy.keep_words),
            known,
            plans: Plans::default(),
            edits: Vec::new(),
            held: Some(header.to_vec()),
            objects_began: false,
            at: header.len() as u64,
            piece: None,
            carry: Vec::new(),
            carried: None,
            buffer: Vec::new(),
            tally: Tally::default(),
        };
        if surveyed {
            copier.release();
        }
        copier
    }

    /// The end: what was read but not taken, and what was held back.
    pub(super) fn finish(mut self, packing: Packing, summary: Summary) -> io::Result<RedactReport> {
        self.fill_to(summary.bytes);
        self.flush_carry();
        self.release();
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.out.flush()?;
        let t = self.tally;
        Ok(RedactReport {
            packing,
            summary,
            texts: t.texts,
            zeroed: t.zeroed,
            kept_arrays: t.kept_arrays,
            fields: t.fields,
            names: t.names,
            other_texts: t.other_texts,
            names_lost: t.names_lost,
            unknown_objects: t.unknown_objects,
            not_understood: t.not_understood,
        })
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.out.write_all(bytes).err();
        }
    }

    fn edit(&mut self, at: u64, length: usize, action: Action) {
        if let Ok(length) = u32::try_from(length) {
            self.edits.push(Edit { at, length, action });
        }
    }

    /// Not what it should be: zero, and told.
    fn not_understood(&mut self, at: u64, length: usize) {
        self.tally.not_understood.add(at, length as u64);
        self.edit(at, length, Action::Unknown);
    }

    /// Whether a number cannot be an identifier: addresses have 48 bits. Text in damaged places shows by this.
    fn is_strange(&self, id: u64) -> bool {
        self.id == IdSize::Eight && id >> 48 != 0
    }

    /// Zeros up to an offset.
    fn fill_to(&mut self, at: u64) {
        let Some(missing) = at.checked_sub(self.at).filter(|n| *n > 0) else { return };
        self.flush_carry();
        self.tally.not_understood.add(self.at, missing);
        self.at = at;
        let room = self.held.as_ref().map_or(0, |h| self.policy.held.saturating_sub(h.len()));
        if missing > room as u64 {
            self.release();
        }
        if let Some(held) = &mut self.held {
            held.resize(held.len() + missing as usize, 0);
            return;
        }
        let zeros = [0; ZEROS];
        let mut left = missing;
        while left > 0 && self.failed.is_none() {
            let step = left.min(ZEROS as u64);
            self.write(zeros.get(..step as usize).unwrap_or_default());
            left -= step;
        }
    }

    fn flush_carry(&mut self) {
        let Some(elements) = self.carried.take() else { return };
        let mut rest = std::mem::take(&mut self.carry);
        text::replace(&mut self.tokens, &mut rest, elements, true);
        self.write(&rest);
        rest.clear();
        self.carry = rest;
    }

    /// The names are known: what was held goes out.
    fn release(&mut self) {
        let Some(mut held) = self.held.take() else { return };
        for name in self.known.names() {
            self.tokens.learn(name);
        }
        // Behind a gap, edits may be there already of the bytes that come next.
        let here = self.edits.partition_point(|edit| edit.at < held.len() as u64);
        let later = self.edits.split_off(here);
        self.apply(&mut held, 0);
        self.edits = later;
        self.write(&held);
    }

    /// Applies all edits there are to bytes that begin at an offset.
    fn apply(&mut self, bytes: &mut [u8], begin: u64) {
        let mut edits = std::mem::take(&mut self.edits);
        for edit in edits.drain(..) {
            let from = edit.at.saturating_sub(begin) as usize;
            let Some(part) = bytes.get_mut(from..from.saturating_add(edit.length as usize)) else { continue };
            self.apply_one(part, edit.action);
        }
        self.edits = edits;
    }

    #[inline]
    fn apply_one(&mut self, bytes: &mut [u8], action: Action) {
        let length = bytes.len() as u64;
        match action {
            Action::Elements(elements) => {
                self.tally.texts.add(length);
                text::replace(&mut self.tokens, bytes, elements, true);
            }
            Action::ZeroArray => {
                self.tally.zeroed.add(length);
                bytes.fill(0);
            }
            Action::Change(change) => {
                self.tally.fields.add(length);
                change.apply(&mut self.tokens, bytes);
            }
            Action::Unknown => bytes.fill(0),
            Action::Text(id) if self.known.is_name(id) && is_plausible_name(bytes) => {
                self.tally.names.add(length);
            }
            Action::Text(_) => {
                self.tally.other_texts.add(length);
                text::replace_utf8(&mut self.tokens, bytes);
            }
        }
    }

    /// Names that come too late to be held.
    fn naming(&mut self, tell: impl FnOnce(&mut Known)) {
        let before = self.known.count();
        tell(&mut self.known);
        if self.held.is_none() {
            self.tally.names_lost += (self.known.count() - before) as u64;
        }
    }

    fn take_piece(&mut self, bytes: &[u8], piece: Piece) {
        self.tally.texts.add(bytes.len() as u64);
        self.carry.extend_from_slice(bytes);
        let mut all = std::mem::take(&mut self.carry);
        let done = text::replace(&mut self.tokens, &mut all, piece.elements, piece.last);
        self.write(all.get(..done).unwrap_or_default());
        all.drain(..done);
        self.carried = (!all.is_empty()).then_some(piece.elements);
        self.carry = all;
    }

    fn instance_fields(&mut self, at: u64, length: usize, class: u64) {
        let Some(plan) = self.plans.of(class, &self.known, self.policy) else {
            self.tally.unknown_objects.add(length as u64);
            return self.edit(at, length, Action::Unknown);
        };
        for spot in plan.spots.iter().take_while(|s| s.offset as usize + s.length as usize <= length) {
            let action = Action::Change(spot.change);
            self.edits.push(Edit { at: at + u64::from(spot.offset), length: spot.length, action });
        }
        let known = usize::try_from(plan.known).unwrap_or(usize::MAX);
        if known < length {
            self.tally.unknown_objects.add((length - known) as u64);
            self.edit(at + known as u64, length - known, Action::Unknown);
        }
    }

    /// An identifier in a class; tells where it ends.
    fn class_id(&mut self, at: u64, id: u64) -> u64 {
        if self.is_strange(id) {
            self.not_understood(at, self.id.bytes());
        }
        at + self.id.bytes() as u64
    }

    fn class_body(&mut self, class: &Class<'_>) {
        let width = self.id.bytes();
        let name = self.known.model.class_name(class.id).unwrap_or_default();
        if self.is_strange(class.id | class.superclass | class.loader | class.signers | class.domain) {
            self.not_understood(class.at + 1, 5 * width + 4);
        }
        // What nobody gives a meaning to.
        self.edit(class.at + 5 + 5 * width as u64, 2 * width, Action::Unknown);
        let mut at = class.at + 1 + 7 * width as u64 + 8 + 2;
        for constant in class.constants() {
            let length = constant.ty.bytes(width);
            self.class_value(at + 3, constant.ty, constant.value, Some(Action::Unknown));
            at += 3 + length as u64;
        }
        at += 2;
        for field in class.statics() {
            let value = self.class_id(at, field.name) + 1;
            let change = change_of(&self.known, self.policy, &name, field.name, field.ty);
            self.class_value(value, field.ty, field.value, change.map(Action::Change));
            at = value + field.ty.bytes(width) as u64;
        }
        at += 2;
        for field in class.fields() {
            at = self.class_id(at, field.name) + 1;
        }
    }

    fn class_value(&mut self, at: u64, ty: Type, value: u64, action: Option<Action>) {
        match action {
            _ if ty == Type::Object => {
                self.class_id(at, value);
            }
            Some(action) => self.edit(at, ty.bytes(0), action),
            None => {}
        }
    }

    fn is_text(&self, id: u64) -> bool {
        self.known.model.text(id).is_some()
    }
}

/// A name is text, and has no control characters. A damaged record may have swallowed others, which have.
fn is_plausible_name(bytes: &[u8]) -> bool {
    bytes.len() <= NAME && bytes.iter().all(|b| *b >= 0x20 && *b != 0x7f)
}

impl<W: Write> Visitor for Copier<'_, W> {
    fn text(&mut self, text: &Text<'_>) {
        self.known.text(text);
        let at = text.at + 9 + self.id.bytes() as u64;
        if self.is_strange(text.id) {
            self.not_understood(text.at + 9, self.id.bytes());
        }
        self.edit(at, text.bytes.len(), Action::Text(text.id));
    }

    fn load_class(&mut self, class: &LoadClass) {
        if !self.is_text(class.name) {
            return self.not_understood(self.at, 8 + 2 * self.id.bytes());
        }
        self.naming(|known| known.load_class(class));
    }

    fn frame(&mut self, frame: &Frame) {
        if !self.is_text(frame.method) {
            return self.not_understood(self.at, 8 + 4 * self.id.bytes());
        }
        self.naming(|known| known.frame(frame));
    }

    fn trace(&mut self, trace: &Trace<'_>) {
        // Frames come before the stacks they are in: what is none is no identifier.
        let is_frame = |id| self.known.model.frame_of(id).is_some();
        if trace.count as usize != trace.frames.len() || !trace.frames.iter().all(is_frame) {
            self.not_understood(self.at, 12 + trace.frames.len() * self.id.bytes());
        }
    }

    fn heap(&mut self, heap: u32, name: u64) {
        self.naming(|known| known.heap(heap, name));
    }

    fn root(&mut self, root: &Root) {
        if self.is_strange(root.id) {
            self.not_understood(root.at + 1, root_size(root.kind, self.id.bytes()));
        }
    }

    fn class(&mut self, class: &Class<'_>) {
        self.naming(|known| known.class(class));
        self.plans.forget();
        self.class_body(class);
    }

    #[inline]
    fn instance(&mut self, i: &Instance<'_>) {
        self.objects_began = true;
        let width = self.id.bytes();
        let fields = i.at + 2 * width as u64 + 9;
        if self.is_strange(i.id | i.class) {
            self.not_understood(i.at + 1, 2 * width + 4);
            self.not_understood(fields, i.fields.len());
        } else if !i.fields.is_empty() {
            self.instance_fields(fields, i.fields.len(), i.class);
        }
    }

    fn object_array(&mut self, array: &ObjectArray) {
        self.objects_began = true;
        let width = self.id.bytes();
        if self.is_strange(array.id | array.class) {
            self.not_understood(array.at + 1, width + 4);
            self.not_understood(array.at + 1 + width as u64 + 8, width);
        }
    }

    fn references(&mut self, array: &ObjectArray, first: u64, ids: Ids<'_>) {
        let mut all = 0;
        ids.for_each(|id| all |= id);
        if self.is_strange(all | array.id | array.class) {
            let width = self.id.bytes() as u64;
            let at = array.at + 9 + 2 * width + first * width;
            self.not_understood(at, ids.len() * self.id.bytes());
        }
    }

    fn primitive_array(&mut self, array: &PrimitiveArray) {
        self.objects_began = true;
        if self.is_strange(array.id) {
            self.not_understood(array.at + 1, self.id.bytes() + 4);
        }
    }

    #[inline]
    fn values(&mut self, array: &PrimitiveArray, first: u64, bytes: &[u8]) {
        let size = array.ty.bytes(0);
        let at = array.at + self.id.bytes() as u64 + 10 + first * size as u64;
        let end = first + (bytes.len() / size) as u64;
        let elements = match array.ty {
            Type::Byte => Elements::Bytes,
            Type::Char => Elements::Characters,
            _ if self.policy.numbers == Numbers::Keep => {
                return self.tally.kept_arrays.add(bytes.len() as u64);
            }
            _ => return self.edit(at, bytes.len(), Action::ZeroArray),
        };
        let last = end == u64::from(array.length);
        match self.policy.texts {
            Texts::Zero => self.edit(at, bytes.len(), Action::ZeroArray),
            Texts::Tokens if first == 0 && last => self.edit(at, bytes.len(), Action::Elements(elements)),
            Texts::Tokens => self.piece = Some(Piece { elements, last }),
        }
    }

    fn taken(&mut self, at: u64, bytes: &[u8]) {
        self.fill_to(at);
        self.at = at + bytes.len() as u64;
        if let Some(held) = &mut self.held {
            held.extend_from_slice(bytes);
            let edits = self.edits.len() * size_of::<Edit>();
            if self.objects_began || held.len() + edits > self.policy.held {
                self.release();
            }
            return;
        }
        if let Some(piece) = self.piece.take() {
            return self.take_piece(bytes, piece);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(bytes);
        self.apply(&mut buffer, at);
        self.write(&buffer);
        self.buffer = buffer;
    }

    fn progress(&mut self, _at: u64) -> ControlFlow<()> {
        if self.failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
