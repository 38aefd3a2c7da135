//! Heap dumps made by hand: classes, objects and maps as Java has them.

use plimsoll_read::hprof::open::IdSize;
use plimsoll_read::hprof::visitor::{Root, RootKind, Type};
use plimsoll_read::hprof::write::{ClassSpec, Heap, Writer};

/// Bytes of a segment, as a JVM has them.
const SEGMENT: usize = 1 << 20;

/// A heap being told.
pub(crate) struct Story {
    writer: Writer<Vec<u8>>,
    /// Classes first, as a JVM writes them.
    classes: Heap,
    objects: Heap,
    /// Segments of objects that are full.
    full: Vec<Heap>,
    roots: Heap,
    next: u64,
    serial: u32,
    pub(crate) object: u64,
    pub(crate) string: u64,
    pub(crate) map: u64,
    pub(crate) linked_map: u64,
    pub(crate) node: u64,
    pub(crate) nodes: u64,
    loader: u64,
}

/// What a class is made of.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    pub(crate) superclass: u64,
    pub(crate) loader: u64,
    pub(crate) domain: u64,
    pub(crate) statics: &'a [(&'a str, Type, u64)],
    pub(crate) fields: &'a [(&'a str, Type)],
}

impl Story {
    pub(crate) fn new() -> Story {
        let writer = Writer::new(Vec::new(), "1.0.2", IdSize::Eight, 1_700_000_000_000).unwrap();
        let heap = Heap::new(IdSize::Eight);
        let mut story = Story {
            writer,
            classes: heap.clone(),
            objects: heap.clone(),
            full: Vec::new(),
            roots: heap,
            next: 0x7_0000_0000,
            serial: 1,
            object: 0,
            string: 0,
            map: 0,
            linked_map: 0,
            node: 0,
            nodes: 0,
            loader: 0,
        };
        story.library();
        story
    }

    /// The classes of the library that the stories need.
    fn library(&mut self) {
        use Type::{Byte, Int, Object};
        self.object = self.class("java/lang/Object", &Parts::default());
        let of = |story: &Story| story.object;
        let class = |story: &mut Story, name: &str, superclass: u64, fields: &[(&str, Type)]| {
            story.class(name, &Parts { superclass, fields, ..Parts::default() })
        };
        let object = of(self);
        let meta = class(self, "java/lang/Class", object, &[]);
        self.root(meta, RootKind::StickyClass);
        class(self, "[Ljava/lang/Object;", object, &[]);
        self.string = class(self, "java/lang/String", object, &[("value", Object), ("coder", Byte)]);
        self.root(self.string, RootKind::StickyClass);
        self.map = class(self, "java/util/HashMap", object, &[("size", Int), ("table", Object)]);
        self.linked_map = class(self, "java/util/LinkedHashMap", self.map, &[]);
        let node = [("key", Object), ("value", Object), ("next", Object)];
        self.node = class(self, "java/util/HashMap$Node", object, &node);
        self.nodes = class(self, "[Ljava/util/HashMap$Node;", object, &[]);
        for id in [self.map, self.linked_map, self.node, self.nodes] {
            self.root(id, RootKind::StickyClass);
        }
        let thread = [("name", Object), ("threadLocals", Object)];
        class(self, "java/lang/Thread", object, &thread);
        let loader =
            class(self, "jdk/internal/loader/ClassLoaders$AppClassLoader", object, &[("classes", Object)]);
        self.loader = self.instance(loader, &[(Object, 0)]);
        self.root(self.loader, RootKind::JniGlobal);
    }

    fn id(&mut self, size: u64) -> u64 {
        let id = self.next;
        self.next += size.div_ceil(8) * 8;
        id
    }

    /// A text of the dump itself: names of classes and fields.
    fn name(&mut self, text: &str) -> u64 {
        // Names have addresses too, far from the heap.
        let id = 0x1000 + u64::from(self.serial) * 64 + text.len() as u64 % 7;
        self.serial += 1;
        self.writer.text(id, text).unwrap();
        id
    }

    pub(crate) fn class(&mut self, name: &str, parts: &Parts<'_>) -> u64 {
        let id = self.id(16);
        let text = self.name(name);
        let serial = self.serial;
        self.writer.load_class(serial, id, text).unwrap();
        let statics: Vec<_> = parts.statics.iter().map(|(n, ty, v)| (self.name(n), *ty, *v)).collect();
        let fields: Vec<_> = parts.fields.iter().map(|(n, ty)| (self.name(n), *ty)).collect();
        let superclass = if parts.superclass == 0 { self.object } else { parts.superclass };
        let spec = ClassSpec {
            id,
            superclass,
            loader: parts.loader,
            domain: parts.domain,
            instance_size: 0,
            constants: &[],
            statics: &statics,
            fields: &fields,
        };
        self.classes = self.classes.clone().class(&spec);
        id
    }

    /// A class of the application: its loader holds it, and no root does.
    pub(crate) fn app_class(&mut self, name: &str, statics: &[(&str, u64)], fields: &[(&str, Type)]) -> u64 {
        let statics: Vec<_> = statics.iter().map(|(n, v)| (*n, Type::Object, *v)).collect();
        let id =
            self.class(name, &Parts { loader: self.loader, statics: &statics, fields, ..Parts::default() });
        // The loader's list of classes stands for how the loader reaches it.
        self.root(id, RootKind::VmInternal);
        id
    }

    pub(crate) fn instance(&mut self, class: u64, fields: &[(Type, u64)]) -> u64 {
        let size: u64 = 12 + fields.iter().map(|(ty, _)| ty.bytes(4) as u64).sum::<u64>();
        let id = self.id(size);
        self.tell(|objects| objects.instance(id, class, fields));
        id
    }

    pub(crate) fn array(&mut self, class: u64, elements: &[u64]) -> u64 {
        let id = self.id(16 + 4 * elements.len() as u64);
        self.tell(|objects| objects.object_array(id, class, elements));
        id
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> u64 {
        let id = self.id(16 + bytes.len() as u64);
        let elements: Vec<u64> = bytes.iter().map(|b| u64::from(*b)).collect();
        self.tell(|objects| objects.primitive_array(id, Type::Byte, &elements));
        id
    }

    pub(crate) fn text(&mut self, text: &str) -> u64 {
        let value = self.bytes(text.as_bytes());
        self.instance(self.string, &[(Type::Object, value), (Type::Byte, 0)])
    }

    /// A map of this class with these entries, and what its class adds.
    pub(crate) fn map_of(&mut self, class: u64, entries: &[(u64, u64)], own: &[(Type, u64)]) -> u64 {
        let node = self.node;
        let nodes: Vec<u64> = entries
            .iter()
            .map(|(key, value)| {
                self.instance(node, &[(Type::Object, *key), (Type::Object, *value), (Type::Object, 0)])
            })
            .collect();
        let mut slots = vec![0; (entries.len() * 2).next_power_of_two()];
        slots[..nodes.len()].copy_from_slice(&nodes);
        let table = self.array(self.nodes, &slots);
        let mut fields = own.to_vec();
        fields.extend([(Type::Int, entries.len() as u64), (Type::Object, table)]);
        self.instance(class, &fields)
    }

    pub(crate) fn root(&mut self, id: u64, kind: RootKind) {
        self.root_of(id, kind, 0, 0);
    }

    pub(crate) fn root_of(&mut self, id: u64, kind: RootKind, thread: u32, frame: u32) {
        let root = Root { at: 0, kind, id, thread, frame };
        self.roots = self.roots.clone().root(&root);
    }

    /// The main thread, without which the roots would seem lost.
    pub(crate) fn main(&mut self) {
        let class = self.thread_class();
        let name = self.text("main");
        let thread = self.instance(class, &[(Type::Object, name), (Type::Object, 0)]);
        self.root_of(thread, RootKind::ThreadObject, 1, 1);
    }

    /// The class of threads: a second one, so that stories may make their own.
    pub(crate) fn thread_class(&mut self) -> u64 {
        let fields = [("name", Type::Object), ("threadLocals", Type::Object)];
        self.class("java/lang/Thread", &Parts { fields: &fields, ..Parts::default() })
    }

    pub(crate) fn trace(&mut self, serial: u32, thread: u32, class: &str, method: &str) {
        let (class_name, method_name) = (self.name(class), self.name(method));
        let source = self.name("Source.java");
        let serial_of_class = 90_000 + serial;
        let id = self.id(16);
        self.writer.load_class(serial_of_class, id, class_name).unwrap();
        let frame = plimsoll_read::hprof::visitor::Frame {
            id: 0x900 + u64::from(serial),
            method: method_name,
            signature: method_name,
            source,
            class_serial: serial_of_class,
            line: 42,
        };
        self.writer.frame(&frame).unwrap();
        self.writer.trace(serial, thread, &[frame.id]).unwrap();
    }

    fn tell(&mut self, what: impl FnOnce(Heap) -> Heap) {
        let fresh = || Heap::new(IdSize::Eight);
        self.objects = what(std::mem::replace(&mut self.objects, fresh()));
        if self.objects.bytes().len() >= SEGMENT {
            self.full.push(std::mem::replace(&mut self.objects, fresh()));
        }
    }

    /// The dump, with its roots last as older JVMs write them.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.full.push(self.objects.raw(self.roots.bytes()));
        let mut before = self.classes;
        for objects in self.full {
            self.writer.segment(&before.raw(objects.bytes())).unwrap();
            before = Heap::new(IdSize::Eight);
        }
        self.writer.end().unwrap();
        self.writer.into_inner()
    }
}
