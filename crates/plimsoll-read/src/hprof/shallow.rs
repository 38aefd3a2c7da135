//! Sizes of objects by formula, equal to Eclipse MAT's, and the histogram of a dump. A dump does not say sizes:
//! they follow from the width of references, which is guessed from arrays that lie closer than wide ones could.
//! With compact headers, or ZGC, the formula is wrong by 8 bytes an object.

use std::collections::HashMap;

use super::layout::Layouts;
use super::model::{ClassCache, ClassInfo, Model};
use super::open::IdSize;
use super::visitor::{Class, Instance, ObjectArray, PrimitiveArray, Type, Visitor};

/// Every object begins at a multiple of this, bytes.
const ALIGNMENT: u64 = 8;
/// Classes counted apart; objects of further ones are counted together.
const CLASSES: usize = 1 << 20;

fn align(bytes: u64, to: u64) -> u64 {
    bytes.div_ceil(to).saturating_mul(to)
}

/// Widths that sizes follow from, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// A machine word: the first word of a header.
    pub word: u64,
    /// A reference in the heap: of the class in the header, in fields, in arrays.
    pub reference: u64,
}

impl Sizes {
    /// Of a dump with identifiers of this width; `compressed` references have 4 bytes of 8.
    pub fn new(size: IdSize, compressed: bool) -> Sizes {
        let word = size.bytes() as u64;
        Sizes { word, reference: if compressed { 4 } else { word } }
    }

    /// An array of references.
    #[inline(always)]
    pub fn object_array(self, length: u32) -> u64 {
        align(self.word + self.reference + 4 + u64::from(length) * self.reference, ALIGNMENT)
    }

    /// An array of numbers.
    #[inline(always)]
    pub fn primitive_array(self, ty: Type, length: u32) -> u64 {
        let head = align(self.word + self.reference + 4, self.reference);
        align(head + u64::from(length) * ty.bytes(self.reference as usize) as u64, ALIGNMENT)
    }

    /// A class object: its static fields.
    pub fn class_object(self, class: &ClassInfo) -> u64 {
        align(class.statics.iter().map(|s| s.ty.bytes(self.reference as usize) as u64).sum(), ALIGNMENT)
    }

    /// An instance of the class with this index.
    pub fn instance(self, model: &Model, layouts: &Layouts, index: u32) -> u64 {
        let chain: Vec<u32> = layouts.ancestry(index).collect();
        let mut bytes = self.word + self.reference;
        // The fields of each class follow those of its superclass; a class without superclass has the header only.
        for i in chain.iter().rev() {
            let Some(class) = model.classes().get(*i as usize) else { continue };
            if class.superclass != 0 {
                let own: u64 = class.fields.iter().map(|f| f.ty.bytes(self.reference as usize) as u64).sum();
                bytes = align(bytes + own, self.reference);
            }
        }
        align(bytes, ALIGNMENT)
    }
}

/// Guesses the width of references: an object that begins where an array of wide references would still go on
/// proves narrow ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WidthGuess {
    begin: u64,
    end: u64,
    compressed: bool,
    arrays: u64,
}

impl WidthGuess {
    /// Whether references are proven to be compressed.
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Arrays looked at: without any, nothing is known.
    pub fn arrays(&self) -> u64 {
        self.arrays
    }

    /// Takes what is known of another part of the dump.
    pub(crate) fn join(&mut self, other: WidthGuess) {
        self.compressed |= other.compressed;
        self.arrays += other.arrays;
    }

    /// An object, in the order of the dump.
    #[inline(always)]
    pub fn object(&mut self, id: u64) {
        self.compressed |= id > self.begin && id < self.end;
    }

    /// An array of references, in the order of the dump.
    #[inline(always)]
    pub fn array(&mut self, id: u64, length: u32) {
        self.object(id);
        self.arrays += 1;
        self.begin = id;
        self.end = id.saturating_add(16 + 8 * u64::from(length));
    }
}

/// Objects of one class while they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tally {
    class: u64,
    instances: u64,
    arrays: u64,
    /// Bytes of the arrays, were references compressed or not.
    narrow: u64,
    wide: u64,
}

/// One row of a histogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name of the class as Java writes it.
    pub class: String,
    /// Identifier of the class; 0 for arrays of numbers, and for objects counted together.
    pub id: u64,
    /// Objects.
    pub instances: u64,
    /// Their sizes by formula, bytes.
    pub bytes: u64,
}

/// Counts every object of a dump by class, reachable or not, in whichever order records come.
#[derive(Debug)]
pub struct Histogram {
    sizes: [Sizes; 2],
    guess: WidthGuess,
    narrow_ids: bool,
    tallies: Vec<Tally>,
    by_class: HashMap<u64, u32>,
    cache: ClassCache,
    primitive: [Tally; 12],
    /// Objects of the classes that are too many.
    others: u64,
    class_objects: u64,
}

impl Histogram {
    /// An empty one for a dump with identifiers of this width.
    pub fn new(size: IdSize) -> Histogram {
        Histogram {
            sizes: [Sizes::new(size, true), Sizes::new(size, false)],
            guess: WidthGuess::default(),
            narrow_ids: size == IdSize::Four,
            tallies: Vec::new(),
            by_class: HashMap::new(),
            cache: ClassCache::default(),
            primitive: [Tally::default(); 12],
            others: 0,
            class_objects: 0,
        }
    }

    /// What is known of the width of references.
    pub fn guess(&self) -> WidthGuess {
        self.guess
    }

    /// The widths that sizes follow from.
    pub fn sizes(&self) -> Sizes {
        let [narrow, wide] = self.sizes;
        if self.guess.is_compressed() || self.narrow_ids { narrow } else { wide }
    }

    #[inline(always)]
    fn tally(&mut self, class: u64) -> Option<&mut Tally> {
        let (tallies, by_class) = (&mut self.tallies, &mut self.by_class);
        let index = self.cache.get(class, || {
            let next = tallies.len();
            if next >= CLASSES && !by_class.contains_key(&class) {
                return u32::MAX;
            }
            let index = *by_class.entry(class).or_insert(next as u32);
            if index as usize == next {
                tallies.push(Tally { class, ..Tally::default() });
            }
            index
        });
        self.tallies.get_mut(index as usize)
    }

    /// Takes what was counted in another part of the dump.
    pub(crate) fn join(&mut self, other: &Histogram) {
        self.guess.join(other.guess);
        for theirs in &other.tallies {
            match self.tally(theirs.class) {
                Some(tally) => tally.join(theirs),
                None => self.others += theirs.instances + theirs.arrays,
            }
        }
        self.primitive.iter_mut().zip(&other.primitive).for_each(|(tally, theirs)| tally.join(theirs));
        self.others += other.others;
        self.class_objects += other.class_objects;
    }

    /// The rows, largest first. Class objects count as instances of `java.lang.Class`.
    pub fn rows(&self, model: &Model, layouts: &Layouts) -> Vec<Row> {
        let sizes = self.sizes();
        let narrow = sizes.reference == 4;
        let mut rows: Vec<Row> = self.tallies.iter().map(|t| row(t, sizes, narrow, model, layouts)).collect();
        for (ty, tally) in self.primitive_types() {
            let bytes = if narrow { tally.narrow } else { tally.wide };
            let class = format!("{}[]", ty.name());
            rows.push(Row { class, id: 0, instances: tally.arrays, bytes });
        }
        self.add_class_objects(&mut rows, sizes, model);
        if self.others > 0 {
            rows.push(Row { class: "(others)".to_owned(), id: 0, instances: self.others, bytes: 0 });
        }
        rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.class.cmp(&b.class)));
        rows
    }

    fn primitive_types(&self) -> impl Iterator<Item = (Type, &Tally)> {
        (0_u8..)
            .zip(&self.primitive)
            .filter(|(_, tally)| tally.arrays > 0)
            .filter_map(|(code, tally)| Some((Type::of(code)?, tally)))
    }

    fn add_class_objects(&self, rows: &mut Vec<Row>, sizes: Sizes, model: &Model) {
        let bytes = model.classes().iter().map(|c| sizes.class_object(c)).sum();
        let instances = self.class_objects;
        match rows.iter_mut().find(|row| row.class == "java.lang.Class") {
            Some(row) => {
                row.instances += instances;
                row.bytes += bytes;
            }
            None if instances > 0 => {
                rows.push(Row { class: "java.lang.Class".to_owned(), id: 0, instances, bytes });
            }
            None => {}
        }
    }
}

fn row(tally: &Tally, sizes: Sizes, narrow: bool, model: &Model, layouts: &Layouts) -> Row {
    let each = model.index(tally.class).map_or(0, |index| sizes.instance(model, layouts, index));
    let arrays = if narrow { tally.narrow } else { tally.wide };
    Row {
        class: model.class_name(tally.class).unwrap_or_else(|| format!("class {:#x}", tally.class)),
        id: tally.class,
        instances: tally.instances + tally.arrays,
        bytes: tally.instances.saturating_mul(each).saturating_add(arrays),
    }
}

impl Visitor for Histogram {
    fn class(&mut self, _class: &Class<'_>) {
        self.class_objects += 1;
    }

    #[inline(always)]
    fn instance(&mut self, instance: &Instance<'_>) {
        self.guess.object(instance.id);
        match self.tally(instance.class) {
            Some(tally) => tally.instances += 1,
            None => self.others += 1,
        }
    }

    #[inline(always)]
    fn object_array(&mut self, array: &ObjectArray) {
        self.guess.array(array.id, array.length);
        let [narrow, wide] = self.sizes;
        let (narrow, wide) = (narrow.object_array(array.length), wide.object_array(array.length));
        match self.tally(array.class) {
            Some(tally) => tally.add(narrow, wide),
            None => self.others += 1,
        }
    }

    #[inline(always)]
    fn primitive_array(&mut self, array: &PrimitiveArray) {
        self.guess.object(array.id);
        let [narrow, wide] = self.sizes;
        let (ty, length) = (array.ty, array.length);
        let (narrow, wide) = (narrow.primitive_array(ty, length), wide.primitive_array(ty, length));
        if let Some(tally) = self.primitive.get_mut(usize::from(array.ty.code())) {
            tally.add(narrow, wide);
        }
    }
}

impl Tally {
    fn join(&mut self, other: &Tally) {
        self.instances += other.instances;
        self.arrays += other.arrays;
        self.narrow = self.narrow.saturating_add(other.narrow);
        self.wide = self.wide.saturating_add(other.wide);
    }

    #[inline(always)]
    fn add(&mut self, narrow: u64, wide: u64) {
        self.arrays += 1;
        self.narrow = self.narrow.saturating_add(narrow);
        self.wide = self.wide.saturating_add(wide);
    }
}
