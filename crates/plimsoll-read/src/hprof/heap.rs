//! Records inside a heap dump segment: roots, classes, objects, arrays. `batch` takes as many whole ones as a
//! slice holds; what does not fit is told to the caller, who reads on or streams the array.

use super::visitor::{Class, Instance, ObjectArray, PrimitiveArray, Root, RootKind, Type, Visitor};
use super::wire::{Width, u8_of, u16_of, u32_of};

pub(super) const ROOT_UNKNOWN: u8 = 0xff;
pub(super) const CLASS: u8 = 0x20;
pub(super) const INSTANCE: u8 = 0x21;
pub(super) const OBJECT_ARRAY: u8 = 0x22;
pub(super) const PRIMITIVE_ARRAY: u8 = 0x23;
pub(super) const PRIMITIVE_ARRAY_NODATA: u8 = 0xc3;
pub(super) const HEAP_INFO: u8 = 0xfe;

/// Whose records they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Formats 1.0.1 and 1.0.2.
    Jvm,
    /// Format 1.0.3: arrays may come without their elements. In other dumps these would be damage, and one that says a
    /// gigabyte has nothing to show for it.
    Android,
}

/// How many records of each kind were handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Roots of all kinds.
    pub roots: u64,
    /// Roots that are threads; a dump without any lost its roots or was cut before them.
    pub threads: u64,
    /// Classes.
    pub classes: u64,
    /// Objects that are no arrays.
    pub instances: u64,
    /// Arrays of references.
    pub object_arrays: u64,
    /// Arrays of numbers.
    pub primitive_arrays: u64,
}

impl Counts {
    /// Of two parts.
    pub(super) fn and(self, other: Counts) -> Counts {
        Counts {
            roots: self.roots + other.roots,
            threads: self.threads + other.threads,
            classes: self.classes + other.classes,
            instances: self.instances + other.instances,
            object_arrays: self.object_arrays + other.object_arrays,
            primitive_arrays: self.primitive_arrays + other.primitive_arrays,
        }
    }

    /// Objects, arrays and classes.
    pub fn objects(&self) -> u64 {
        self.classes + self.instances + self.object_arrays + self.primitive_arrays
    }
}

/// Why the next record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    /// It takes this many bytes, or at least this many when its head is not whole.
    Needs(u64),
    /// It takes more bytes than there are; how many is not known.
    More,
    /// A kind that is not known.
    UnknownTag(u8),
    /// A value of a type that is not known.
    UnknownType(u8),
}

/// Takes whole records from the front of `input`, which lies at offset `at`; tells how many bytes they took, and
/// why it went no further.
pub(super) fn batch<W: Width, V: Visitor>(
    input: &[u8],
    at: u64,
    dialect: Dialect,
    counts: &mut Counts,
    visitor: &mut V,
) -> (usize, Stuck) {
    let mut rest = input;
    loop {
        let taken = input.len() - rest.len();
        match record::<W, V>(rest, at.wrapping_add(taken as u64), dialect, counts, visitor) {
            Ok(next) => rest = next,
            Err(stuck) => return (taken, stuck),
        }
    }
}

/// Hands over what a run of heap records holds; see [`super::records::scan_records`].
pub(super) fn excerpt<W: Width, V: Visitor>(input: &[u8], at: u64, visitor: &mut V) {
    let (taken, _) = batch::<W, V>(input, at, Dialect::Android, &mut Counts::default(), visitor);
    let at = at.saturating_add(taken as u64);
    let Some((tag, body)) = input.get(taken..).and_then(u8_of) else { return };
    if tag == OBJECT_ARRAY
        && let Ok((array, elements)) = object_array_head::<W>(body, at)
    {
        let whole = elements.len() / W::BYTES * W::BYTES;
        visitor.object_array(&array);
        let ids = elements.get(..whole).unwrap_or_default();
        visitor.references(&array, 0, super::visitor::Ids::new(ids, W::SIZE));
    } else if tag == PRIMITIVE_ARRAY
        && let Ok((array, elements)) = primitive_array_head::<W>(body, at, true)
    {
        let width = array.ty.bytes(W::BYTES);
        let whole = elements.len() / width * width;
        visitor.primitive_array(&array);
        visitor.values(&array, 0, elements.get(..whole).unwrap_or_default());
    }
}

type Next<'a> = Result<&'a [u8], Stuck>;

#[inline(always)]
fn record<'a, W: Width, V: Visitor>(
    input: &'a [u8],
    at: u64,
    dialect: Dialect,
    counts: &mut Counts,
    v: &mut V,
) -> Next<'a> {
    let Some((tag, body)) = u8_of(input) else { return Err(Stuck::Needs(1)) };
    match tag {
        INSTANCE => instance::<W, V>(body, at, counts, v),
        OBJECT_ARRAY => object_array::<W, V>(body, at, counts, v),
        PRIMITIVE_ARRAY => primitive_array::<W, V>(body, at, true, counts, v),
        _ => rare_record::<W, V>((dialect, tag), body, at, counts, v),
    }
}

#[inline(never)]
fn rare_record<'a, W: Width, V: Visitor>(
    (dialect, tag): (Dialect, u8),
    body: &'a [u8],
    at: u64,
    counts: &mut Counts,
    v: &mut V,
) -> Next<'a> {
    match tag {
        CLASS => class::<W, V>(body, at, counts, v),
        PRIMITIVE_ARRAY_NODATA if dialect == Dialect::Android => {
            primitive_array::<W, V>(body, at, false, counts, v)
        }
        HEAP_INFO => heap_info::<W, V>(body, v),
        _ => match root_kind(tag) {
            Some(kind) => root::<W, V>(kind, body, at, counts, v),
            None => Err(Stuck::UnknownTag(tag)),
        },
    }
}

/// Whether a heap record may begin with this byte.
pub(super) fn is_heap_tag(tag: u8) -> bool {
    matches!(tag, CLASS..=PRIMITIVE_ARRAY | PRIMITIVE_ARRAY_NODATA | HEAP_INFO) || root_kind(tag).is_some()
}

pub(super) fn root_kind(tag: u8) -> Option<RootKind> {
    Some(match tag {
        ROOT_UNKNOWN => RootKind::Unknown,
        0x01 => RootKind::JniGlobal,
        0x02 => RootKind::JniLocal,
        0x03 => RootKind::JavaFrame,
        0x04 => RootKind::NativeStack,
        0x05 => RootKind::StickyClass,
        0x06 => RootKind::ThreadBlock,
        0x07 => RootKind::MonitorUsed,
        0x08 => RootKind::ThreadObject,
        0x89 => RootKind::InternedString,
        0x8a => RootKind::Finalizing,
        0x8b => RootKind::Debugger,
        0x8c => RootKind::ReferenceCleanup,
        0x8d => RootKind::VmInternal,
        0x8e => RootKind::JniMonitor,
        0x90 => RootKind::Unreachable,
        _ => return None,
    })
}

/// The tag of a kind of root.
pub(super) fn root_tag(kind: RootKind) -> u8 {
    (0..=u8::MAX).find(|tag| root_kind(*tag) == Some(kind)).unwrap_or(ROOT_UNKNOWN)
}

/// Numbers that follow the object of a root: thread serial and frame.
pub(super) fn root_numbers(kind: RootKind) -> usize {
    match kind {
        RootKind::JniLocal | RootKind::JavaFrame | RootKind::ThreadObject | RootKind::JniMonitor => 2,
        RootKind::NativeStack | RootKind::ThreadBlock => 1,
        _ => 0,
    }
}

/// Bytes of a root behind its tag.
pub(crate) fn root_size(kind: RootKind, reference: usize) -> usize {
    // A global reference is followed by the reference's own address.
    let ids = if kind == RootKind::JniGlobal { 2 } else { 1 };
    ids * reference + 4 * root_numbers(kind)
}

fn root<'a, W: Width, V: Visitor>(
    kind: RootKind,
    body: &'a [u8],
    at: u64,
    counts: &mut Counts,
    v: &mut V,
) -> Next<'a> {
    let size = root_size(kind, W::BYTES);
    let Some((head, rest)) = body.split_at_checked(size) else { return Err(needs(size)) };
    let (id, numbers) = W::split(head).ok_or(Stuck::More)?;
    let mut root = Root { at, kind, id, thread: 0, frame: 0 };
    if kind != RootKind::JniGlobal {
        let (thread, numbers) = u32_of(numbers).unwrap_or((0, numbers));
        root.thread = thread;
        root.frame = u32_of(numbers).map_or(0, |(frame, _)| frame);
    }
    counts.roots += 1;
    counts.threads += u64::from(kind == RootKind::ThreadObject);
    v.root(&root);
    Ok(rest)
}

fn heap_info<'a, W: Width, V: Visitor>(body: &'a [u8], v: &mut V) -> Next<'a> {
    let size = 4 + W::BYTES;
    let read = || {
        let (heap, rest) = u32_of(body)?;
        let (name, rest) = W::split(rest)?;
        Some((heap, name, rest))
    };
    let Some((heap, name, rest)) = read() else { return Err(needs(size)) };
    v.heap(heap, name);
    Ok(rest)
}

/// A record of `size` bytes behind its tag.
fn needs(size: usize) -> Stuck {
    Stuck::Needs(size as u64 + 1)
}

#[inline(always)]
fn instance<'a, W: Width, V: Visitor>(body: &'a [u8], at: u64, counts: &mut Counts, v: &mut V) -> Next<'a> {
    let size = 2 * W::BYTES + 8;
    let Some((head, rest)) = body.split_at_checked(size) else { return Err(needs(size)) };
    let read = || {
        let (id, head) = W::split(head)?;
        let (stack, head) = u32_of(head)?;
        let (class, head) = W::split(head)?;
        let (length, _) = u32_of(head)?;
        Some((id, stack, class, length))
    };
    let (id, stack, class, length) = read().ok_or(Stuck::More)?;
    let Some((fields, rest)) = rest.split_at_checked(length as usize) else {
        return Err(Stuck::Needs(1 + size as u64 + u64::from(length)));
    };
    counts.instances += 1;
    v.instance(&Instance { at, id, stack, class, fields });
    Ok(rest)
}

/// Head of an array of references, and the bytes of the head behind the tag.
#[inline(always)]
pub(super) fn object_array_head<W: Width>(body: &[u8], at: u64) -> Result<(ObjectArray, &[u8]), Stuck> {
    let size = 2 * W::BYTES + 8;
    let Some((head, rest)) = body.split_at_checked(size) else { return Err(needs(size)) };
    let read = || {
        let (id, head) = W::split(head)?;
        let (stack, head) = u32_of(head)?;
        let (length, head) = u32_of(head)?;
        let (class, _) = W::split(head)?;
        Some(ObjectArray { at, id, stack, length, class })
    };
    Ok((read().ok_or(Stuck::More)?, rest))
}

#[inline(always)]
fn object_array<'a, W: Width, V: Visitor>(
    body: &'a [u8],
    at: u64,
    counts: &mut Counts,
    v: &mut V,
) -> Next<'a> {
    let (array, rest) = object_array_head::<W>(body, at)?;
    let bytes = u64::from(array.length) * W::BYTES as u64;
    let split = usize::try_from(bytes).ok().and_then(|n| rest.split_at_checked(n));
    let Some((elements, rest)) = split else {
        return Err(Stuck::Needs(1 + (2 * W::BYTES + 8) as u64 + bytes));
    };
    counts.object_arrays += 1;
    v.object_array(&array);
    if !elements.is_empty() {
        v.references(&array, 0, super::visitor::Ids::new(elements, W::SIZE));
    }
    Ok(rest)
}

/// Head of an array of numbers, and what follows it.
#[inline(always)]
pub(super) fn primitive_array_head<W: Width>(
    body: &[u8],
    at: u64,
    has_values: bool,
) -> Result<(PrimitiveArray, &[u8]), Stuck> {
    let size = W::BYTES + 9;
    let Some((head, rest)) = body.split_at_checked(size) else { return Err(needs(size)) };
    let read = || {
        let (id, head) = W::split(head)?;
        let (stack, head) = u32_of(head)?;
        let (length, head) = u32_of(head)?;
        let (code, _) = u8_of(head)?;
        Some((id, stack, length, code))
    };
    let (id, stack, length, code) = read().ok_or(Stuck::More)?;
    match Type::of(code) {
        None | Some(Type::Object) => Err(Stuck::UnknownType(code)),
        Some(ty) => Ok((PrimitiveArray { at, id, stack, length, ty, has_values }, rest)),
    }
}

#[inline(always)]
fn primitive_array<'a, W: Width, V: Visitor>(
    body: &'a [u8],
    at: u64,
    has_values: bool,
    counts: &mut Counts,
    v: &mut V,
) -> Next<'a> {
    let (array, rest) = primitive_array_head::<W>(body, at, has_values)?;
    let bytes = if has_values { u64::from(array.length) * array.ty.bytes(W::BYTES) as u64 } else { 0 };
    let split = usize::try_from(bytes).ok().and_then(|n| rest.split_at_checked(n));
    let Some((elements, rest)) = split else {
        return Err(Stuck::Needs(1 + (W::BYTES + 9) as u64 + bytes));
    };
    counts.primitive_arrays += 1;
    v.primitive_array(&array);
    if !elements.is_empty() {
        v.values(&array, 0, elements);
    }
    Ok(rest)
}

fn class<'a, W: Width, V: Visitor>(body: &'a [u8], at: u64, counts: &mut Counts, v: &mut V) -> Next<'a> {
    let read = || {
        let (id, rest) = W::split(body)?;
        let (stack, rest) = u32_of(rest)?;
        let (superclass, rest) = W::split(rest)?;
        let (loader, rest) = W::split(rest)?;
        let (signers, rest) = W::split(rest)?;
        let (domain, rest) = W::split(rest)?;
        let (_reserved, rest) = rest.split_at_checked(2 * W::BYTES)?;
        let (instance_size, rest) = u32_of(rest)?;
        let none: &[u8] = &[];
        let (constants, statics, fields) = (none, none, none);
        let size = W::SIZE;
        let class = Class {
            at,
            id,
            stack,
            superclass,
            loader,
            signers,
            domain,
            instance_size,
            constants,
            statics,
            fields,
            size,
        };
        Some((class, rest))
    };
    let (mut class, rest) = read().ok_or(needs(7 * W::BYTES + 8))?;
    let (constants, rest) = values::<W>(rest, 2)?;
    class.constants = constants;
    let (statics, rest) = values::<W>(rest, W::BYTES)?;
    class.statics = statics;
    let (count, rest) = u16_of(rest).ok_or(Stuck::More)?;
    let (fields, rest) = rest.split_at_checked(usize::from(count) * (W::BYTES + 1)).ok_or(Stuck::More)?;
    if let Some(code) =
        fields.chunks_exact(W::BYTES + 1).filter_map(|f| f.last()).find(|c| Type::of(**c).is_none())
    {
        return Err(Stuck::UnknownType(*code));
    }
    class.fields = fields;
    counts.classes += 1;
    v.class(&class);
    Ok(rest)
}

/// A counted run of typed values, each behind `head` bytes; and what follows the run.
fn values<W: Width>(bytes: &[u8], head: usize) -> Result<(&[u8], &[u8]), Stuck> {
    let (count, run) = u16_of(bytes).ok_or(Stuck::More)?;
    let mut size = 0;
    for _ in 0..count {
        let code = run.get(size + head).ok_or(Stuck::More)?;
        let ty = Type::of(*code).ok_or(Stuck::UnknownType(*code))?;
        size += head + 1 + ty.bytes(W::BYTES);
    }
    run.split_at_checked(size).ok_or(Stuck::More)
}
