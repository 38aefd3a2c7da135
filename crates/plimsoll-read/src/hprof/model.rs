//! Names, classes, stacks and threads of a dump, kept in bounded memory. Records may come in any order: what
//! refers to what is resolved when it is asked for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::open::IdSize;
use super::visitor::{Class, Field, Frame, LoadClass, Root, RootKind, Static, Text, Trace, Visitor};
use super::warnings::{Fault, Warnings};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory for all of it, bytes, as estimated.
    pub memory: usize,
    /// Bytes kept of one name.
    pub name: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory: 512 << 20, name: 4096 }
    }
}

/// What an entry of a map takes beside its content, bytes: key, value, a control byte and a third of free room.
const ENTRY: usize = 48;

/// A class as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassInfo {
    /// Offset of its record.
    pub at: u64,
    /// Identifier of the class object.
    pub id: u64,
    /// Its superclass; 0 for none.
    pub superclass: u64,
    /// Its loader; 0 for the boot loader.
    pub loader: u64,
    /// Its signers; 0 for none.
    pub signers: u64,
    /// Its protection domain; 0 for none.
    pub domain: u64,
    /// Bytes of an instance's fields, as the dump says.
    pub instance_size: u32,
    /// Static fields with their values.
    pub statics: Box<[Static]>,
    /// Fields it adds to instances.
    pub fields: Box<[Field]>,
}

/// A stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Serial number of its thread; 0 when of none.
    pub thread: u32,
    /// Identifiers of its frames, innermost first.
    pub frames: Box<[u64]>,
}

/// A thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// The `java.lang.Thread`.
    pub object: u64,
    /// Serial number of its stack.
    pub stack: u32,
}

/// Texts by identifier, in one run of bytes.
#[derive(Debug, Default)]
struct Names {
    bytes: Vec<u8>,
    places: HashMap<u64, (u32, u32)>,
}

impl Names {
    fn get(&self, id: u64) -> Option<&[u8]> {
        let (from, length) = self.places.get(&id)?;
        self.bytes.get(*from as usize..)?.get(..*length as usize)
    }

    /// Bytes that one more takes.
    fn cost(&self, length: usize) -> usize {
        // The run of bytes doubles when it is full: count it twice.
        2 * length + ENTRY
    }

    fn put(&mut self, id: u64, bytes: &[u8]) {
        let Ok(from) = u32::try_from(self.bytes.len()) else { return };
        self.bytes.extend_from_slice(bytes);
        self.places.insert(id, (from, bytes.len() as u32));
    }
}

/// What a dump says of its classes, names, stacks and threads. Fill it by scanning.
#[derive(Debug)]
pub struct Model {
    id_size: IdSize,
    limits: Limits,
    spent: usize,
    full: bool,
    names: Names,
    classes: Vec<ClassInfo>,
    by_id: HashMap<u64, u32>,
    /// Name and serial number by class.
    loaded: HashMap<u64, (u64, u32)>,
    by_serial: HashMap<u32, u64>,
    frames: HashMap<u64, Frame>,
    stacks: HashMap<u32, Stack>,
    threads: HashMap<u32, Thread>,
    warnings: Warnings,
}

impl Model {
    /// An empty one for a dump with identifiers of this width.
    pub fn new(id_size: IdSize, limits: Limits) -> Model {
        Model {
            id_size,
            limits,
            spent: 0,
            full: false,
            names: Names::default(),
            classes: Vec::new(),
            by_id: HashMap::new(),
            loaded: HashMap::new(),
            by_serial: HashMap::new(),
            frames: HashMap::new(),
            stacks: HashMap::new(),
            threads: HashMap::new(),
            warnings: Warnings::default(),
        }
    }

    /// Width of identifiers.
    pub fn id_size(&self) -> IdSize {
        self.id_size
    }

    /// How much may be kept.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Memory taken, bytes, as estimated: never more than the limit.
    pub fn memory(&self) -> usize {
        self.spent
    }

    /// What was wrong with what it was told.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// All classes, in the order of the dump.
    pub fn classes(&self) -> &[ClassInfo] {
        &self.classes
    }

    /// Index of a class in [`Model::classes`].
    pub fn index(&self, id: u64) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// A class by its identifier.
    pub fn class_of(&self, id: u64) -> Option<&ClassInfo> {
        self.classes.get(self.index(id)? as usize)
    }

    /// A text.
    pub fn text(&self, id: u64) -> Option<&[u8]> {
        self.names.get(id)
    }

    /// A text in characters; what is no text is replaced.
    pub fn string(&self, id: u64) -> Option<String> {
        Some(String::from_utf8_lossy(self.text(id)?).into_owned())
    }

    /// Name of a class as the dump has it, such as `java/lang/String` or `[I`.
    pub fn raw_class_name(&self, id: u64) -> Option<&[u8]> {
        self.text(self.loaded.get(&id)?.0)
    }

    /// Name of a class as Java writes it, such as `java.lang.String` or `int[]`.
    pub fn class_name(&self, id: u64) -> Option<String> {
        Some(java_name(self.raw_class_name(id)?))
    }

    /// Class with this serial number, which frames refer to.
    pub fn class_with_serial(&self, serial: u32) -> Option<u64> {
        self.by_serial.get(&serial).copied()
    }

    /// A frame.
    pub fn frame_of(&self, id: u64) -> Option<&Frame> {
        self.frames.get(&id)
    }

    /// A stack by its serial number.
    pub fn stack(&self, serial: u32) -> Option<&Stack> {
        self.stacks.get(&serial)
    }

    /// A thread by its serial number.
    pub fn thread(&self, serial: u32) -> Option<Thread> {
        self.threads.get(&serial).copied()
    }

    /// All threads with their serial numbers, by serial number.
    pub fn threads(&self) -> Vec<(u32, Thread)> {
        let mut all: Vec<_> = self.threads.iter().map(|(serial, thread)| (*serial, *thread)).collect();
        all.sort_unstable_by_key(|(serial, _)| *serial);
        all
    }

    /// Takes memory for one thing more; false, and told once, when there is none left.
    fn spend(&mut self, at: u64, bytes: usize) -> bool {
        let spent = self.spent.saturating_add(bytes);
        if spent <= self.limits.memory {
            self.spent = spent;
            return true;
        }
        if !self.full {
            self.full = true;
            self.warnings.add(at, Fault::BudgetSpent);
        }
        false
    }
}

impl Visitor for Model {
    fn text(&mut self, text: &Text<'_>) {
        let bytes = text.bytes.get(..self.limits.name).unwrap_or(text.bytes);
        if let Some(known) = self.names.get(text.id) {
            if known != bytes {
                self.warnings.add(text.at, Fault::Duplicate { id: text.id });
            }
        } else if self.spend(text.at, self.names.cost(bytes.len())) {
            self.names.put(text.id, bytes);
        }
    }

    fn load_class(&mut self, class: &LoadClass) {
        if let Some((name, _)) = self.loaded.get(&class.id) {
            if *name != class.name {
                self.warnings.add(class.at, Fault::Duplicate { id: class.id });
            }
        } else if self.spend(class.at, 2 * ENTRY) {
            self.loaded.insert(class.id, (class.name, class.serial));
            self.by_serial.entry(class.serial).or_insert(class.id);
        }
    }

    fn frame(&mut self, frame: &Frame) {
        if !self.frames.contains_key(&frame.id) && self.spend(0, ENTRY + size_of::<Frame>()) {
            self.frames.insert(frame.id, *frame);
        }
    }

    fn trace(&mut self, trace: &Trace<'_>) {
        let known = self.stacks.contains_key(&trace.serial);
        if !known && self.spend(0, 2 * ENTRY + 8 * trace.frames.len()) {
            let frames = trace.frames.iter().collect();
            self.stacks.insert(trace.serial, Stack { thread: trace.thread, frames });
        }
    }

    fn root(&mut self, root: &Root) {
        let is_new = root.kind == RootKind::ThreadObject && !self.threads.contains_key(&root.thread);
        if is_new && self.spend(root.at, ENTRY) {
            self.threads.insert(root.thread, Thread { object: root.id, stack: root.frame });
        }
    }

    fn class(&mut self, class: &Class<'_>) {
        if self.by_id.contains_key(&class.id) {
            self.warnings.add(class.at, Fault::Duplicate { id: class.id });
            return;
        }
        let own = size_of::<ClassInfo>() * 2 + ENTRY;
        let statics = class.statics().count() * size_of::<Static>();
        let fields = class.fields().count() * size_of::<Field>();
        if !self.spend(class.at, own + statics + fields) {
            return;
        }
        let Ok(index) = u32::try_from(self.classes.len()) else { return };
        if let Entry::Vacant(place) = self.by_id.entry(class.id) {
            place.insert(index);
        }
        self.classes.push(ClassInfo {
            at: class.at,
            id: class.id,
            superclass: class.superclass,
            loader: class.loader,
            signers: class.signers,
            domain: class.domain,
            instance_size: class.instance_size,
            statics: class.statics().collect(),
            fields: class.fields().collect(),
        });
    }
}

/// Slots of a [`ClassCache`].
const SLOTS: usize = 1024;

/// Remembers the index of classes asked for lately: objects of few classes make up most of any heap, and a look
/// into a hash table for each object would cost more than reading it.
#[derive(Debug, Clone)]
pub struct ClassCache(Box<[(u64, u32)]>);

impl Default for ClassCache {
    fn default() -> ClassCache {
        // An empty slot holds an identifier that does not belong to it, so that it never matches: slot 0 holds
        // one of slot 1, the others 0.
        let mut slots = vec![(0, 0); SLOTS].into_boxed_slice();
        if let Some(first) = slots.first_mut() {
            first.0 = 1 << 3;
        }
        ClassCache(slots)
    }
}

impl ClassCache {
    /// Index of the class; `miss` finds it when it was not asked for lately.
    #[inline(always)]
    pub fn get(&mut self, class: u64, miss: impl FnOnce() -> u32) -> u32 {
        let Some(slot) = self.0.get_mut((class >> 3) as usize % SLOTS) else { return miss() };
        if slot.0 != class {
            *slot = (class, miss());
        }
        slot.1
    }
}

/// A class name as Java writes it, from any form that dumps have: `java/lang/String`, `[[I`,
/// `[Ljava/lang/String;`.
pub fn java_name(raw: &[u8]) -> String {
    let depth = raw.iter().take_while(|b| **b == b'[').count();
    let inner = raw.get(depth..).unwrap_or_default();
    let name = match inner {
        b"Z" if depth > 0 => "boolean".into(),
        b"C" if depth > 0 => "char".into(),
        b"F" if depth > 0 => "float".into(),
        b"D" if depth > 0 => "double".into(),
        b"B" if depth > 0 => "byte".into(),
        b"S" if depth > 0 => "short".into(),
        b"I" if depth > 0 => "int".into(),
        b"J" if depth > 0 => "long".into(),
        [b'L', class @ .., b';'] if depth > 0 => String::from_utf8_lossy(class),
        _ => String::from_utf8_lossy(inner),
    };
    // A hidden class has one slash that is part of its name: `App$$Lambda$14/0x0000000800c03000`.
    let (name, hidden) = match name.rfind('/') {
        Some(i) if is_hidden(&name, i) => name.split_at(i),
        _ => (name.as_ref(), ""),
    };
    // A hostile name may be all brackets.
    format!("{}{hidden}{}", name.replace('/', "."), "[]".repeat(depth.min(255)))
}

fn is_hidden(name: &str, slash: usize) -> bool {
    name.get(slash..).is_some_and(|tail| tail.starts_with("/0x"))
}
