//! Writes heap dumps record by record: for tests, and for copies that leave something out.

use std::io::{self, Write};

use super::heap::{self, root_numbers, root_tag};
use super::open::IdSize;
use super::plain;
use super::visitor::{Root, RootKind, Type};

/// Writes a dump.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    size: IdSize,
}

impl<W: Write> Writer<W> {
    /// Begins a dump: version such as `1.0.2`, width of identifiers, milliseconds of Unix time.
    pub fn new(mut out: W, version: &str, size: IdSize, started_ms: u64) -> io::Result<Writer<W>> {
        out.write_all(b"JAVA PROFILE ")?;
        out.write_all(version.as_bytes())?;
        out.write_all(&[0])?;
        out.write_all(&(size.bytes() as u32).to_be_bytes())?;
        out.write_all(&started_ms.to_be_bytes())?;
        Ok(Writer { out, size })
    }

    /// Goes on behind what was written.
    #[cfg(test)]
    pub(crate) fn onto(out: W, size: IdSize) -> Writer<W> {
        Writer { out, size }
    }

    /// A record of any kind.
    pub fn record(&mut self, tag: u8, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len()).map_err(|_| too_long())?;
        self.record_saying(tag, length, body)
    }

    /// A record that says another length than it has.
    pub fn record_saying(&mut self, tag: u8, length: u32, body: &[u8]) -> io::Result<()> {
        self.out.write_all(&[tag, 0, 0, 0, 0])?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(body)
    }

    /// A text.
    pub fn text(&mut self, id: u64, text: &str) -> io::Result<()> {
        let body = Bytes::new(self.size).id(id).raw(text.as_bytes());
        self.record(plain::TEXT, &body.0)
    }

    /// A class was loaded.
    pub fn load_class(&mut self, serial: u32, id: u64, name: u64) -> io::Result<()> {
        let body = Bytes::new(self.size).u4(serial).id(id).u4(0).id(name);
        self.record(plain::LOAD_CLASS, &body.0)
    }

    /// A class was unloaded.
    pub fn unload_class(&mut self, serial: u32) -> io::Result<()> {
        self.record(plain::UNLOAD_CLASS, &serial.to_be_bytes())
    }

    /// A frame.
    pub fn frame(&mut self, frame: &super::visitor::Frame) -> io::Result<()> {
        let ids = Bytes::new(self.size).id(frame.id).id(frame.method).id(frame.signature).id(frame.source);
        let body = ids.u4(frame.class_serial).u4(frame.line.cast_unsigned());
        self.record(plain::FRAME, &body.0)
    }

    /// A stack of a thread.
    pub fn trace(&mut self, serial: u32, thread: u32, frames: &[u64]) -> io::Result<()> {
        let mut body = Bytes::new(self.size).u4(serial).u4(thread).u4(frames.len() as u32);
        for frame in frames {
            body = body.id(*frame);
        }
        self.record(plain::TRACE, &body.0)
    }

    /// A segment of a heap dump.
    pub fn segment(&mut self, heap: &Heap) -> io::Result<()> {
        self.record(plain::SEGMENT, heap.bytes())
    }

    /// The only heap record of a dump without segments.
    pub fn heap_dump(&mut self, heap: &Heap) -> io::Result<()> {
        self.record(plain::HEAP_DUMP, heap.bytes())
    }

    /// The end marker of a heap dump in segments.
    pub fn end(&mut self) -> io::Result<()> {
        self.record(plain::END, &[])
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a record has 4 GiB at most")
}

/// Bytes of a body.
#[derive(Debug, Clone)]
struct Bytes(Vec<u8>, IdSize);

impl Bytes {
    fn new(size: IdSize) -> Bytes {
        Bytes(Vec::new(), size)
    }

    fn raw(mut self, bytes: &[u8]) -> Bytes {
        self.0.extend_from_slice(bytes);
        self
    }

    fn id(self, id: u64) -> Bytes {
        match self.1 {
            IdSize::Four => self.raw(&(id as u32).to_be_bytes()),
            IdSize::Eight => self.raw(&id.to_be_bytes()),
        }
    }

    fn u1(self, n: u8) -> Bytes {
        self.raw(&[n])
    }

    fn u2(self, n: u16) -> Bytes {
        self.raw(&n.to_be_bytes())
    }

    fn u4(self, n: u32) -> Bytes {
        self.raw(&n.to_be_bytes())
    }

    /// A value of a type, from its bits.
    fn value(self, ty: Type, bits: u64) -> Bytes {
        match ty.bytes(self.1.bytes()) {
            1 => self.u1(bits as u8),
            2 => self.u2(bits as u16),
            4 => self.u4(bits as u32),
            _ => self.raw(&bits.to_be_bytes()),
        }
    }
}

/// A class to write.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClassSpec<'a> {
    /// Identifier of the class object.
    pub id: u64,
    /// Its superclass; 0 for none.
    pub superclass: u64,
    /// Its loader; 0 for the boot loader.
    pub loader: u64,
    /// Its protection domain; 0 for none.
    pub domain: u64,
    /// Bytes of an instance's fields.
    pub instance_size: u32,
    /// Constant pool: index, type, value.
    pub constants: &'a [(u16, Type, u64)],
    /// Static fields: name, type, value.
    pub statics: &'a [(u64, Type, u64)],
    /// Fields: name, type.
    pub fields: &'a [(u64, Type)],
}

/// Records of one segment.
#[derive(Debug, Clone)]
pub struct Heap(Bytes);

impl Heap {
    /// An empty segment.
    pub fn new(size: IdSize) -> Heap {
        Heap(Bytes::new(size))
    }

    /// What was written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.0.0
    }

    fn add(mut self, f: impl FnOnce(Bytes) -> Bytes) -> Heap {
        self.0 = f(self.0);
        self
    }

    /// Bytes as they are.
    #[must_use]
    pub fn raw(self, bytes: &[u8]) -> Heap {
        self.add(|b| b.raw(bytes))
    }

    /// A root; its offset is not looked at.
    #[must_use]
    pub fn root(self, root: &Root) -> Heap {
        self.add(|b| {
            let b = b.u1(root_tag(root.kind)).id(root.id);
            let b = if root.kind == RootKind::JniGlobal { b.id(0) } else { b };
            match root_numbers(root.kind) {
                2 => b.u4(root.thread).u4(root.frame),
                1 => b.u4(root.thread),
                _ => b,
            }
        })
    }

    /// A class.
    #[must_use]
    pub fn class(self, class: &ClassSpec<'_>) -> Heap {
        self.add(|b| {
            let b = b.u1(heap::CLASS).id(class.id).u4(0).id(class.superclass).id(class.loader);
            let b = b.id(0).id(class.domain).id(0).id(0).u4(class.instance_size);
            let b = b.u2(class.constants.len() as u16);
            let b = class.constants.iter().fold(b, |b, (i, ty, v)| b.u2(*i).u1(ty.code()).value(*ty, *v));
            let b = b.u2(class.statics.len() as u16);
            let b = class.statics.iter().fold(b, |b, (name, ty, v)| b.id(*name).u1(ty.code()).value(*ty, *v));
            let b = b.u2(class.fields.len() as u16);
            class.fields.iter().fold(b, |b, (name, ty)| b.id(*name).u1(ty.code()))
        })
    }

    /// An object: its fields' types and values, those of its class first.
    #[must_use]
    pub fn instance(self, id: u64, class: u64, fields: &[(Type, u64)]) -> Heap {
        self.add(|b| {
            let values = fields.iter().fold(Bytes::new(b.1), |v, (ty, bits)| v.value(*ty, *bits));
            b.u1(heap::INSTANCE).id(id).u4(0).id(class).u4(values.0.len() as u32).raw(&values.0)
        })
    }

    /// An array of references.
    #[must_use]
    pub fn object_array(self, id: u64, class: u64, elements: &[u64]) -> Heap {
        self.add(|b| {
            let b = b.u1(heap::OBJECT_ARRAY).id(id).u4(0).u4(elements.len() as u32).id(class);
            elements.iter().fold(b, |b, e| b.id(*e))
        })
    }

    /// An array of numbers, from their bits.
    #[must_use]
    pub fn primitive_array(self, id: u64, ty: Type, elements: &[u64]) -> Heap {
        self.add(|b| {
            let b = b.u1(heap::PRIMITIVE_ARRAY).id(id).u4(0).u4(elements.len() as u32).u1(ty.code());
            elements.iter().fold(b, |b, e| b.value(ty, *e))
        })
    }

    /// An array of numbers without its elements (Android).
    #[must_use]
    pub fn primitive_array_without_values(self, id: u64, ty: Type, length: u32) -> Heap {
        self.add(|b| b.u1(heap::PRIMITIVE_ARRAY_NODATA).id(id).u4(0).u4(length).u1(ty.code()))
    }

    /// What follows lies in another heap (Android).
    #[must_use]
    pub fn heap_info(self, heap: u32, name: u64) -> Heap {
        self.add(|b| b.u1(heap::HEAP_INFO).u4(heap).id(name))
    }
}
