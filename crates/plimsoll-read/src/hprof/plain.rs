//! Records outside the heap: their heads, what can be one and what cannot, and what each says.

use super::resync::Known;
use super::visitor::{Frame, Ids, LoadClass, Text, Trace, Visitor};
use super::wire::{Width, u8_of, u32_of};

pub(super) const TEXT: u8 = 0x01;
pub(super) const LOAD_CLASS: u8 = 0x02;
pub(super) const UNLOAD_CLASS: u8 = 0x03;
pub(super) const FRAME: u8 = 0x04;
pub(super) const TRACE: u8 = 0x05;
pub(super) const HEAP_DUMP: u8 = 0x0c;
pub(super) const SEGMENT: u8 = 0x1c;
pub(super) const END: u8 = 0x2c;
/// Tag, time and length.
pub(super) const HEAD: usize = 9;

/// A top-level record's head.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) at: u64,
    pub(super) tag: u8,
    pub(super) time: u32,
    pub(super) length: u32,
}

/// Of a top-level record, by the head that `bytes` begin with: whether heap records follow, and how long it is with its
/// head; nothing for what is no head.
pub(crate) fn extent_of(bytes: &[u8]) -> Option<(bool, u64)> {
    let (tag, _, length) = head_of(bytes).filter(|(tag, _, _)| is_known(*tag))?;
    Some((matches!(tag, HEAP_DUMP | SEGMENT), HEAD as u64 + u64::from(length)))
}

/// Tag, time and length.
pub(super) fn head_of(bytes: &[u8]) -> Option<(u8, u32, u32)> {
    let (tag, rest) = u8_of(bytes)?;
    let (time, rest) = u32_of(rest)?;
    let (length, _) = u32_of(rest)?;
    Some((tag, time, length))
}

/// Whether the record is one that the format knows, be it of use here or not.
pub(super) fn is_known(tag: u8) -> bool {
    matches!(tag, TEXT..=0x07 | 0x0a..=0x0e | SEGMENT | END)
}

/// Bytes of a record outside the heap that have a meaning: its body may be longer.
pub(super) fn size_of_plain<W: Width>(tag: u8, length: usize) -> usize {
    match tag {
        TRACE => length - length.saturating_sub(12) % W::BYTES,
        LOAD_CLASS => 8 + 2 * W::BYTES,
        UNLOAD_CLASS => 4,
        FRAME => 8 + 4 * W::BYTES,
        _ => length,
    }
}

/// Whether tag and length go together.
pub(super) fn is_plausible<W: Width>(tag: u8, length: u32) -> bool {
    let (length, id) = (u64::from(length), W::BYTES as u64);
    match tag {
        TEXT => (id..16 << 20).contains(&length),
        LOAD_CLASS => length == 8 + 2 * id,
        UNLOAD_CLASS | 0x0b => length == 4,
        FRAME => length == 8 + 4 * id,
        TRACE | 0x06 | 0x0d => counted::<W>(tag)
            .is_some_and(|(fixed, each)| length.checked_sub(fixed).is_some_and(|rest| rest % each == 0)),
        HEAP_DUMP | SEGMENT => true,
        0x0a => length == 8 + 4 * id,
        0x07 => length == 24,
        0x0e => length == 6,
        END => length == 0,
        _ => false,
    }
}

/// Bytes of the body in which the count of a list lies.
pub(super) const COUNTED: usize = 34;

/// Of a record that is a list with its count as the last of its fixed bytes: those, and the bytes of an item.
fn counted<W: Width>(tag: u8) -> Option<(u64, u64)> {
    match tag {
        TRACE => Some((12, W::BYTES as u64)),
        // Sites of allocation, samples of the processor.
        0x06 => Some((COUNTED as u64, 25)),
        0x0d => Some((8, 8)),
        _ => None,
    }
}

/// Whether the count inside a list says the same as the length of its record; so it does where the dump ends before it.
pub(super) fn agrees_with_count<W: Width>(tag: u8, length: u32, body: &[u8]) -> bool {
    let Some((fixed, each)) = counted::<W>(tag) else { return true };
    let count = usize::try_from(fixed).ok().and_then(|end| body.get(end - 4..end)).and_then(u32_of);
    count.is_none_or(|(count, _)| u64::from(length) == fixed + u64::from(count) * each)
}

/// One record outside the heap; nothing when its body is too short.
pub(super) fn hand_over<W: Width, V: Visitor>(
    head: Head,
    body: &[u8],
    known: &mut Known,
    v: &mut V,
) -> Option<()> {
    let at = head.at;
    match head.tag {
        TEXT => {
            let (id, bytes) = W::split(body)?;
            let length = u64::from(head.length).saturating_sub(W::BYTES as u64);
            v.text(&Text { at, id, bytes, length });
        }
        LOAD_CLASS => {
            let (serial, rest) = u32_of(body)?;
            let (id, rest) = W::split(rest)?;
            let (stack, rest) = u32_of(rest)?;
            let (name, _) = W::split(rest)?;
            known.load_class(id);
            v.load_class(&LoadClass { at, serial, id, stack, name });
        }
        UNLOAD_CLASS => v.unload_class(u32_of(body)?.0),
        FRAME => {
            let (id, rest) = W::split(body)?;
            let (method, rest) = W::split(rest)?;
            let (signature, rest) = W::split(rest)?;
            let (source, rest) = W::split(rest)?;
            let (class_serial, rest) = u32_of(rest)?;
            let (line, _) = u32_of(rest)?;
            v.frame(&Frame { id, method, signature, source, class_serial, line: line.cast_signed() });
        }
        _ => {
            let (serial, rest) = u32_of(body)?;
            let (thread, rest) = u32_of(rest)?;
            let (count, rest) = u32_of(rest)?;
            known.trace(serial, thread);
            // The length of the record is trusted, not the count: they differ in damaged dumps only.
            v.trace(&Trace { serial, thread, count, frames: Ids::new(rest, W::SIZE) });
        }
    }
    Some(())
}
