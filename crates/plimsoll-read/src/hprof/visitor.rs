//! What a dump says, record by record, as borrowed data; and who listens.

use std::ops::ControlFlow;

use super::open::IdSize;
use super::wire::{Eight, Four, Width, id_of, number};

/// The type of a field, or of the elements of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// A reference.
    Object,
    /// `boolean`, 1 byte.
    Boolean,
    /// `char`, 2 bytes.
    Char,
    /// `float`, 4 bytes.
    Float,
    /// `double`, 8 bytes.
    Double,
    /// `byte`, 1 byte.
    Byte,
    /// `short`, 2 bytes.
    Short,
    /// `int`, 4 bytes.
    Int,
    /// `long`, 8 bytes.
    Long,
}

impl Type {
    /// The type of a code in the dump. Old writers give references in arrays a code of their own.
    #[inline(always)]
    pub fn of(code: u8) -> Option<Type> {
        Some(match code {
            1 | 2 => Type::Object,
            4 => Type::Boolean,
            5 => Type::Char,
            6 => Type::Float,
            7 => Type::Double,
            8 => Type::Byte,
            9 => Type::Short,
            10 => Type::Int,
            11 => Type::Long,
            _ => return None,
        })
    }

    /// Its code in the dump.
    pub fn code(self) -> u8 {
        match self {
            Type::Object => 2,
            Type::Boolean => 4,
            Type::Char => 5,
            Type::Float => 6,
            Type::Double => 7,
            Type::Byte => 8,
            Type::Short => 9,
            Type::Int => 10,
            Type::Long => 11,
        }
    }

    /// Bytes of one value, with references of `reference` bytes.
    #[inline(always)]
    pub fn bytes(self, reference: usize) -> usize {
        match self {
            Type::Object => reference,
            Type::Boolean | Type::Byte => 1,
            Type::Char | Type::Short => 2,
            Type::Float | Type::Int => 4,
            Type::Double | Type::Long => 8,
        }
    }

    /// Its name in Java.
    pub fn name(self) -> &'static str {
        match self {
            Type::Object => "Object",
            Type::Boolean => "boolean",
            Type::Char => "char",
            Type::Float => "float",
            Type::Double => "double",
            Type::Byte => "byte",
            Type::Short => "short",
            Type::Int => "int",
            Type::Long => "long",
        }
    }
}

/// A run of identifiers, still as bytes of the dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids<'a> {
    bytes: &'a [u8],
    size: IdSize,
}

impl<'a> Ids<'a> {
    pub(super) fn new(bytes: &'a [u8], size: IdSize) -> Ids<'a> {
        Ids { bytes, size }
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Others of the same width.
    pub(super) fn like<'b>(self, bytes: &'b [u8]) -> Ids<'b> {
        Ids { bytes, size: self.size }
    }

    /// How many.
    pub fn len(self) -> usize {
        self.bytes.len() / self.size.bytes()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// One by one. [`Ids::for_each`] is faster.
    pub fn iter(self) -> impl Iterator<Item = u64> + 'a {
        self.bytes.chunks_exact(self.size.bytes()).map(number)
    }

    /// Calls `f` with each; the width is looked at once.
    #[inline(always)]
    pub fn for_each(self, mut f: impl FnMut(u64)) {
        let mut rest = self.bytes;
        match self.size {
            IdSize::Four => {
                while let Some((id, next)) = Four::split(rest) {
                    f(id);
                    rest = next;
                }
            }
            IdSize::Eight => {
                while let Some((id, next)) = Eight::split(rest) {
                    f(id);
                    rest = next;
                }
            }
        }
    }
}

/// A name, or any other text of the dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    /// Offset of the record.
    pub at: u64,
    /// Its identifier.
    pub id: u64,
    /// Modified UTF-8; the beginning only when `length` is more.
    pub bytes: &'a [u8],
    /// Bytes it has in the dump.
    pub length: u64,
}

/// A class was loaded: its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadClass {
    /// Offset of the record.
    pub at: u64,
    /// Serial number, which frames refer to.
    pub serial: u32,
    /// Identifier of the class object.
    pub id: u64,
    /// Stack trace serial number.
    pub stack: u32,
    /// Identifier of the name.
    pub name: u64,
}

/// One frame of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its identifier.
    pub id: u64,
    /// Identifier of the method's name.
    pub method: u64,
    /// Identifier of the method's signature.
    pub signature: u64,
    /// Identifier of the source file's name.
    pub source: u64,
    /// Serial number of the class.
    pub class_serial: u32,
    /// Line; 0 or less: unknown (-1), compiled (-2), native (-3).
    pub line: i32,
}

/// A stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace<'a> {
    /// Its serial number.
    pub serial: u32,
    /// Serial number of the thread; 0 when of none.
    pub thread: u32,
    /// Frames it says it has.
    pub count: u32,
    /// Frames, innermost first.
    pub frames: Ids<'a>,
}

/// Why an object is kept without anyone referring to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of the format say it")]
pub enum RootKind {
    Unknown,
    JniGlobal,
    JniLocal,
    JavaFrame,
    NativeStack,
    StickyClass,
    ThreadBlock,
    MonitorUsed,
    ThreadObject,
    InternedString,
    Finalizing,
    Debugger,
    ReferenceCleanup,
    VmInternal,
    JniMonitor,
    Unreachable,
}

/// A root of the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// Offset of the record.
    pub at: u64,
    /// Why it is one.
    pub kind: RootKind,
    /// The object.
    pub id: u64,
    /// Serial number of the thread, for kinds that have one; else 0.
    pub thread: u32,
    /// Depth of the frame in the thread's stack (`u32::MAX`: none), or for a thread object the serial number of
    /// its stack; else 0.
    pub frame: u32,
}

/// A static field with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Static {
    /// Identifier of its name.
    pub name: u64,
    /// Its type.
    pub ty: Type,
    /// Its value's bits; a reference's identifier.
    pub value: u64,
}

/// A field of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Identifier of its name.
    pub name: u64,
    /// Its type.
    pub ty: Type,
}

/// An entry of a class's constant pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constant {
    /// Its index.
    pub index: u16,
    /// Its type.
    pub ty: Type,
    /// Its value's bits.
    pub value: u64,
}

/// A class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class<'a> {
    /// Offset of the record.
    pub at: u64,
    /// Identifier of the class object.
    pub id: u64,
    /// Stack trace serial number.
    pub stack: u32,
    /// Its superclass; 0 for none.
    pub superclass: u64,
    /// Its loader; 0 for the boot loader.
    pub loader: u64,
    /// Its signers.
    pub signers: u64,
    /// Its protection domain.
    pub domain: u64,
    /// Bytes of an instance as the dump says: those of its fields, not those in memory.
    pub instance_size: u32,
    pub(super) constants: &'a [u8],
    pub(super) statics: &'a [u8],
    pub(super) fields: &'a [u8],
    pub(super) size: IdSize,
}

impl<'a> Class<'a> {
    /// The constant pool; empty in the dumps of HotSpot.
    pub fn constants(&self) -> impl Iterator<Item = Constant> + 'a {
        let (mut rest, size) = (self.constants, self.size);
        std::iter::from_fn(move || {
            let (index, next) = rest.split_first_chunk::<2>()?;
            let (ty, value, next) = typed_value(next, size)?;
            rest = next;
            Some(Constant { index: u16::from_be_bytes(*index), ty, value })
        })
    }

    /// Static fields.
    pub fn statics(&self) -> impl Iterator<Item = Static> + 'a {
        let (mut rest, size) = (self.statics, self.size);
        std::iter::from_fn(move || {
            let (name, next) = id_of(size, rest)?;
            let (ty, value, next) = typed_value(next, size)?;
            rest = next;
            Some(Static { name, ty, value })
        })
    }

    /// Fields that this class adds to instances, in the order of their values.
    pub fn fields(&self) -> impl Iterator<Item = Field> + 'a {
        let size = self.size;
        self.fields.chunks_exact(size.bytes() + 1).filter_map(move |field| {
            let (name, ty) = id_of(size, field)?;
            Some(Field { name, ty: Type::of(*ty.first()?)? })
        })
    }
}

fn typed_value(bytes: &[u8], size: IdSize) -> Option<(Type, u64, &[u8])> {
    let (code, rest) = bytes.split_first()?;
    let ty = Type::of(*code)?;
    let (value, rest) = rest.split_at_checked(ty.bytes(size.bytes()))?;
    Some((ty, number(value), rest))
}

/// An object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance<'a> {
    /// Offset of the record.
    pub at: u64,
    /// Its identifier.
    pub id: u64,
    /// Stack trace serial number.
    pub stack: u32,
    /// Its class.
    pub class: u64,
    /// Values of its fields: those of its class first, then those of the superclass, and so on.
    pub fields: &'a [u8],
}

/// An array of references, before its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectArray {
    /// Offset of the record.
    pub at: u64,
    /// Its identifier.
    pub id: u64,
    /// Stack trace serial number.
    pub stack: u32,
    /// Elements it says it has. The dump may end before: allocate nothing by it.
    pub length: u32,
    /// The class of the array.
    pub class: u64,
}

/// An array of numbers, before its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrimitiveArray {
    /// Offset of the record.
    pub at: u64,
    /// Its identifier.
    pub id: u64,
    /// Stack trace serial number.
    pub stack: u32,
    /// Elements it says it has. The dump may end before: allocate nothing by it.
    pub length: u32,
    /// Type of the elements.
    pub ty: Type,
    /// False when the dump leaves the elements out (Android).
    pub has_values: bool,
}

/// Listens to a dump. Every method does nothing by default; the reader is compiled for each visitor, so what is
/// not listened to costs next to nothing.
pub trait Visitor {
    /// A text.
    fn text(&mut self, _text: &Text<'_>) {}
    /// A class was loaded.
    fn load_class(&mut self, _class: &LoadClass) {}
    /// The class with this serial number was unloaded.
    fn unload_class(&mut self, _serial: u32) {}
    /// A frame.
    fn frame(&mut self, _frame: &Frame) {}
    /// A stack.
    fn trace(&mut self, _trace: &Trace<'_>) {}
    /// Heap records follow from this offset on, without a gap up to the next such call.
    fn segment(&mut self, _at: u64) {}
    /// What follows lies in this heap (Android): number and identifier of its name.
    fn heap(&mut self, _heap: u32, _name: u64) {}
    /// A root.
    fn root(&mut self, _root: &Root) {}
    /// A class.
    fn class(&mut self, _class: &Class<'_>) {}
    /// An object.
    fn instance(&mut self, _instance: &Instance<'_>) {}
    /// An array of references begins.
    fn object_array(&mut self, _array: &ObjectArray) {}
    /// Elements of the array that began, from index `first` on: all at once, or in several calls for a large one.
    fn references(&mut self, _array: &ObjectArray, _first: u64, _ids: Ids<'_>) {}
    /// An array of numbers begins.
    fn primitive_array(&mut self, _array: &PrimitiveArray) {}
    /// Elements of the array that began, big-endian, from index `first` on; never a part of one.
    fn values(&mut self, _array: &PrimitiveArray, _first: u64, _bytes: &[u8]) {}
    /// The bytes as they lie in the dump, from offset `at` on, behind the calls for what is in them: heads of
    /// records, bodies, runs of heap records, pieces of arrays. In order of offsets, and never twice; what the
    /// reader steps over or cannot make sense of is left out. Together with the offsets this is all it takes to
    /// copy a dump.
    fn taken(&mut self, _at: u64, _bytes: &[u8]) {}
    /// Called once per buffer with the offset reached; the scan ends when it says `Break`.
    fn progress(&mut self, _at: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Two visitors that listen to one scan; either can end it.
impl<A: Visitor, B: Visitor> Visitor for (A, B) {
    #[inline(always)]
    fn text(&mut self, text: &Text<'_>) {
        self.0.text(text);
        self.1.text(text);
    }
    #[inline(always)]
    fn load_class(&mut self, class: &LoadClass) {
        self.0.load_class(class);
        self.1.load_class(class);
    }
    #[inline(always)]
    fn unload_class(&mut self, serial: u32) {
        self.0.unload_class(serial);
        self.1.unload_class(serial);
    }
    #[inline(always)]
    fn frame(&mut self, frame: &Frame) {
        self.0.frame(frame);
        self.1.frame(frame);
    }
    #[inline(always)]
    fn trace(&mut self, trace: &Trace<'_>) {
        self.0.trace(trace);
        self.1.trace(trace);
    }
    #[inline(always)]
    fn segment(&mut self, at: u64) {
        self.0.segment(at);
        self.1.segment(at);
    }
    #[inline(always)]
    fn heap(&mut self, heap: u32, name: u64) {
        self.0.heap(heap, name);
        self.1.heap(heap, name);
    }
    #[inline(always)]
    fn root(&mut self, root: &Root) {
        self.0.root(root);
        self.1.root(root);
    }
    #[inline(always)]
    fn class(&mut self, class: &Class<'_>) {
        self.0.class(class);
        self.1.class(class);
    }
    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        self.0.instance(instance);
        self.1.instance(instance);
    }
    #[inline(always)]
    fn object_array(&mut self, array: &ObjectArray) {
        self.0.object_array(array);
        self.1.object_array(array);
    }
    #[inline(always)]
    fn references(&mut self, array: &ObjectArray, first: u64, ids: Ids<'_>) {
        self.0.references(array, first, ids);
        self.1.references(array, first, ids);
    }
    #[inline(always)]
    fn primitive_array(&mut self, array: &PrimitiveArray) {
        self.0.primitive_array(array);
        self.1.primitive_array(array);
    }
    #[inline(always)]
    fn values(&mut self, array: &PrimitiveArray, first: u64, bytes: &[u8]) {
        self.0.values(array, first, bytes);
        self.1.values(array, first, bytes);
    }
    #[inline(always)]
    fn taken(&mut self, at: u64, bytes: &[u8]) {
        self.0.taken(at, bytes);
        self.1.taken(at, bytes);
    }
    fn progress(&mut self, at: u64) -> ControlFlow<()> {
        self.0.progress(at)?;
        self.1.progress(at)
    }
}

/// A visitor that is lent.
impl<V: Visitor> Visitor for &mut V {
    #[inline(always)]
    fn text(&mut self, text: &Text<'_>) {
        (**self).text(text);
    }
    #[inline(always)]
    fn load_class(&mut self, class: &LoadClass) {
        (**self).load_class(class);
    }
    #[inline(always)]
    fn unload_class(&mut self, serial: u32) {
        (**self).unload_class(serial);
    }
    #[inline(always)]
    fn frame(&mut self, frame: &Frame) {
        (**self).frame(frame);
    }
    #[inline(always)]
    fn trace(&mut self, trace: &Trace<'_>) {
        (**self).trace(trace);
    }
    #[inline(always)]
    fn segment(&mut self, at: u64) {
        (**self).segment(at);
    }
    #[inline(always)]
    fn heap(&mut self, heap: u32, name: u64) {
        (**self).heap(heap, name);
    }
    #[inline(always)]
    fn root(&mut self, root: &Root) {
        (**self).root(root);
    }
    #[inline(always)]
    fn class(&mut self, class: &Class<'_>) {
        (**self).class(class);
    }
    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        (**self).instance(instance);
    }
    #[inline(always)]
    fn object_array(&mut self, array: &ObjectArray) {
        (**self).object_array(array);
    }
    #[inline(always)]
    fn references(&mut self, array: &ObjectArray, first: u64, ids: Ids<'_>) {
        (**self).references(array, first, ids);
    }
    #[inline(always)]
    fn primitive_array(&mut self, array: &PrimitiveArray) {
        (**self).primitive_array(array);
    }
    #[inline(always)]
    fn values(&mut self, array: &PrimitiveArray, first: u64, bytes: &[u8]) {
        (**self).values(array, first, bytes);
    }
    #[inline(always)]
    fn taken(&mut self, at: u64, bytes: &[u8]) {
        (**self).taken(at, bytes);
    }
    fn progress(&mut self, at: u64) -> ControlFlow<()> {
        (**self).progress(at)
    }
}
