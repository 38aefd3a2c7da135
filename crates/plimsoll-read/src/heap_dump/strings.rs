//! Strings that are there more than once.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::ops::ControlFlow;

use super::kinds::NO_CLASS;
use super::view::latin1;
use super::{HeapDump, HeapDumpError, Source, opened, scanned};
use crate::graph::marks::Marks;
use crate::graph::watch::{Phase, Watch};
use crate::hprof::model::ClassCache;
use crate::hprof::visitor::{Instance, PrimitiveArray, Type, Visitor};

/// Contents told apart at once. Beyond that every second one is let go, by its hash, and the rest counts twice.
const CONTENTS: usize = 1 << 20;
/// Bytes of the memory ceiling for each of them: a tenth of it is what a content takes.
const OF_CEILING: u64 = 2048;
/// Bytes shown of a string.
const SHOWN: usize = 120;
/// Rows told of.
const ROWS: usize = 40;

/// A content that is there more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Its begin.
    pub text: String,
    /// Arrays with this content.
    pub arrays: u64,
    /// Bytes of all of them but one.
    pub wasted: u64,
}

/// All strings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Strings {
    /// Reachable arrays that are contents of strings.
    pub arrays: u64,
    /// Bytes of these arrays.
    pub bytes: u64,
    /// Bytes that duplicates take, of all contents; an estimate when not all contents could be kept.
    pub wasted: u64,
    /// Share of the contents that were told apart: 1 for all.
    pub looked_at: f64,
    /// The contents that waste most, most first.
    pub duplicates: Vec<Duplicate>,
}

/// Finds them, in two readings: which arrays are contents of strings, and what these say.
///
/// # Errors
/// As [`super::read`].
pub fn strings(
    heap: &HeapDump,
    source: &(impl Source + ?Sized),
    watch: &dyn Watch,
) -> Result<Strings, HeapDumpError> {
    let classes = (0u32..).take(heap.model.classes().len());
    let is_string = |class: &u32| heap.name_of(*class) == "java.lang.String";
    let string = classes.into_iter().find(is_string).unwrap_or(NO_CLASS);
    let value = heap.fields_of(string).find(|field| field.name == b"value").map(|field| field.offset);
    let mut find =
        Find { heap, string, value, marks: Marks::new(heap.objects()), cache: ClassCache::default(), watch };
    scanned(opened(source)?, &mut find, Phase::Fetch)?;
    let mut compare = Compare::new(heap, find.marks, watch);
    scanned(opened(source)?, &mut compare, Phase::Fetch)?;
    compare.close();
    Ok(compare.finish())
}

struct Find<'a> {
    heap: &'a HeapDump,
    string: u32,
    value: Option<usize>,
    marks: Marks,
    cache: ClassCache,
    watch: &'a dyn Watch,
}

impl Visitor for Find<'_> {
    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        let (heap, model) = (self.heap, &self.heap.model);
        let class = self.cache.get(instance.class, || model.index(instance.class).unwrap_or(NO_CLASS));
        if class != self.string {
            return;
        }
        let width = model.id_size().bytes();
        let bytes = self.value.and_then(|at| instance.fields.get(at..)?.get(..width));
        let address = bytes.unwrap_or_default().iter().fold(0, |id, byte| id << 8 | u64::from(*byte));
        if let Some(array) = heap.object_at(address).filter(|array| heap.tree.is_reached(*array)) {
            self.marks.set(array);
        }
    }

    fn progress(&mut self, at: u64) -> ControlFlow<()> {
        self.watch.step(Phase::Fetch, at, 0)
    }
}

/// A content met.
struct Seen {
    arrays: u64,
    bytes: u64,
    text: Box<[u8]>,
    wide: bool,
}

struct Compare<'a> {
    heap: &'a HeapDump,
    marks: Marks,
    hash: RandomState,
    seen: HashMap<u64, Seen>,
    /// Only contents whose hash has as many zero bits at its end are kept.
    shift: u32,
    /// How many may be kept.
    most: usize,
    total: Strings,
    /// The array being read: its number, the hash so far, whether its characters have two bytes.
    open: Option<(u32, DefaultHasher, bool)>,
    /// How it begins.
    text: Vec<u8>,
    watch: &'a dyn Watch,
}

impl<'a> Compare<'a> {
    fn new(heap: &'a HeapDump, marks: Marks, watch: &'a dyn Watch) -> Self {
        Compare {
            heap,
            marks,
            hash: RandomState::new(),
            seen: HashMap::new(),
            shift: 0,
            most: heap.ceiling.map_or(CONTENTS, |ceiling| CONTENTS.min((ceiling / OF_CEILING) as usize)),
            total: Strings::default(),
            open: None,
            text: Vec::new(),
            watch,
        }
    }

    fn close(&mut self) {
        let Some((array, hasher, wide)) = self.open.take() else { return };
        let bytes = self.heap.shallow(array);
        self.total.arrays += 1;
        self.total.bytes = self.total.bytes.saturating_add(bytes);
        let hash = hasher.finish();
        if hash & ((1 << self.shift) - 1) != 0 {
            return;
        }
        let fresh = || Seen { arrays: 0, bytes: 0, text: self.text.as_slice().into(), wide };
        let seen = self.seen.entry(hash).or_insert_with(fresh);
        seen.arrays += 1;
        seen.bytes = seen.bytes.saturating_add(bytes);
        if self.seen.len() > self.most {
            self.shift += 1;
            let mask = (1u64 << self.shift) - 1;
            self.seen.retain(|hash, _| hash & mask == 0);
        }
    }

    fn finish(mut self) -> Strings {
        let wasted = |seen: &Seen| seen.bytes - seen.bytes / seen.arrays.max(1);
        self.total.looked_at = 0.5f64.powi(self.shift as i32);
        let kept: u64 = self.seen.values().map(wasted).sum();
        self.total.wasted = (kept as f64 / self.total.looked_at) as u64;
        let mut rows: Vec<&Seen> = self.seen.values().filter(|seen| seen.arrays > 1).collect();
        rows.sort_by(|a, b| wasted(b).cmp(&wasted(a)).then_with(|| a.text.cmp(&b.text)));
        let row = |seen: &&Seen| Duplicate {
            text: text_of(&seen.text, seen.wide),
            arrays: seen.arrays,
            wasted: wasted(seen),
        };
        self.total.duplicates = rows.iter().take(ROWS).map(row).collect();
        self.total
    }
}

fn text_of(bytes: &[u8], wide: bool) -> String {
    if wide { super::view::utf16(bytes, u16::from_be_bytes) } else { latin1(bytes) }
}

impl Visitor for Compare<'_> {
    #[inline(always)]
    fn primitive_array(&mut self, array: &PrimitiveArray) {
        self.close();
        let object = self.heap.object_at(array.id).filter(|object| self.marks.has(*object));
        self.text.clear();
        self.open = object.map(|object| (object, self.hash.build_hasher(), array.ty == Type::Char));
    }

    #[inline(always)]
    fn values(&mut self, _array: &PrimitiveArray, _first: u64, bytes: &[u8]) {
        if let Some((_, hasher, _)) = &mut self.open {
            hasher.write(bytes);
            let room = SHOWN.saturating_sub(self.text.len());
            self.text.extend(bytes.iter().take(room));
        }
    }

    fn progress(&mut self, at: u64) -> ControlFlow<()> {
        self.watch.step(Phase::Fetch, at, 0)
    }
}
