//! Class and size of each object in two bytes, and in the end in one: a heap has far fewer pairs of the two than objects.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::graph::both::{both, halves};
use crate::graph::prefetch::prefetch;

/// No class is known.
pub(super) const NO_CLASS: u32 = u32::MAX;
/// The code that says: look among the exceptions.
const EXCEPTION: u16 = u16::MAX;
/// The same where a code is one byte.
const RARE: u8 = u8::MAX;
/// One object of so many may be an exception, if codes are to be one byte.
const RARELY: usize = 64;
/// Objects looked at together when two readers' codes are joined.
const STRETCH: usize = 64;
/// Slots of the memory of codes asked for lately.
const SLOTS: usize = 4096;

/// Objects of one class and length, which are of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    /// Index of the class, or a code behind those: [`array_class`].
    pub(super) class: u32,
    /// Elements of an array; of a class object the bytes of its static fields; else 0.
    pub(super) length: u32,
    /// Whether these are classes themselves.
    pub(super) is_class_object: bool,
}

impl Kind {
    /// No class is known.
    const UNKNOWN: Kind = Kind { class: NO_CLASS, length: 0, is_class_object: false };

    /// Instances of a class, or arrays of it with so many elements.
    pub(super) fn of(class: u32, length: u32) -> Kind {
        Kind { class, length, is_class_object: false }
    }
}

/// The code of each object's kind.
#[derive(Debug)]
enum Codes {
    /// While kinds come.
    Wide(Vec<u16>),
    /// When all are known, and the most frequent ones come first.
    Narrow(Vec<u8>),
}

/// Class and size of every object, by its number.
#[derive(Debug)]
pub(super) struct Kinds {
    codes: Codes,
    kinds: Vec<Kind>,
    /// By kind, bytes; given when all kinds are known.
    sizes: Vec<u64>,
    by_kind: HashMap<Kind, u32>,
    lately: Vec<(Kind, u32)>,
    /// Kinds that came when all codes were given: by object. These are large arrays of rare lengths for the most part.
    exceptions: HashMap<u32, u32>,
}

impl Kinds {
    /// Of so many objects, all unknown yet.
    pub(super) fn new(objects: u32) -> Kinds {
        Kinds {
            codes: Codes::Wide(vec![0; objects as usize]),
            kinds: vec![Kind::UNKNOWN],
            sizes: Vec::new(),
            by_kind: HashMap::from([(Kind::UNKNOWN, 0)]),
            lately: vec![(Kind::UNKNOWN, 0); SLOTS],
            exceptions: HashMap::new(),
        }
    }

    /// The code of a kind, for [`Kinds::set`].
    #[inline]
    pub(super) fn code(&mut self, kind: Kind) -> u32 {
        let slot = (kind.class.wrapping_mul(0x9E37_79B9) >> 20) as usize ^ kind.length as usize;
        match self.lately.get(slot % SLOTS) {
            Some((known, code)) if *known == kind => *code,
            _ => self.fresh_code(kind, slot % SLOTS),
        }
    }

    #[cold]
    fn fresh_code(&mut self, kind: Kind, slot: usize) -> u32 {
        let next = self.kinds.len() as u32;
        let code = *self.by_kind.entry(kind).or_insert(next);
        if code == next {
            self.kinds.push(kind);
        }
        if let Some(slot) = self.lately.get_mut(slot) {
            *slot = (kind, code);
        }
        code
    }

    /// Takes what another reader of the dump found: no object was told to both.
    pub(super) fn join(&mut self, other: Kinds) {
        let names: Vec<u32> = other.kinds.iter().map(|kind| self.code(*kind)).collect();
        let Codes::Wide(codes) = other.codes else { return };
        let starts = (0u32..).step_by(STRETCH);
        for (first, stretch) in starts.zip(codes.chunks(STRETCH)) {
            // Each reader has seen objects of a part of the heap, for the most part.
            if stretch.iter().all(|code| *code == 0) {
                continue;
            }
            for (object, code) in (first..).zip(stretch).filter(|(_, code)| !matches!(**code, 0 | EXCEPTION))
            {
                self.set(object, names.get(usize::from(*code)).copied().unwrap_or(0));
            }
        }
        for (object, code) in other.exceptions {
            self.set(object, names.get(code as usize).copied().unwrap_or(0));
        }
    }

    fn objects(&self) -> u32 {
        match &self.codes {
            Codes::Narrow(codes) => codes.len() as u32,
            Codes::Wide(codes) => codes.len() as u32,
        }
    }

    /// All kinds, by code.
    pub(super) fn all(&self) -> &[Kind] {
        &self.kinds
    }

    /// Gives each kind its size, bytes; no more kinds come after that.
    pub(super) fn set_sizes(&mut self, sizes: Vec<u64>) {
        self.sizes = sizes;
        self.by_kind = HashMap::new();
        self.lately = Vec::new();
        self.narrow();
    }

    /// Makes the codes one byte each where that leaves few exceptions: the most frequent kinds get the codes that fit.
    fn narrow(&mut self) {
        let Codes::Wide(codes) = &self.codes else { return };
        let order = self.by_frequency(codes);
        let mut anew = vec![0; self.kinds.len()];
        for (new, old) in (0u32..).zip(&order) {
            if let Some(slot) = anew.get_mut(*old as usize) {
                *slot = new;
            }
        }
        let renamed = |code: u32| anew.get(code as usize).copied().unwrap_or(0);
        let short = |code: u16| u8::try_from(renamed(u32::from(code))).unwrap_or(RARE);
        let bytes: Vec<u8> = (0..EXCEPTION).map(short).chain([RARE]).collect();
        let Some((narrow, rare)) = narrowed(codes, &bytes) else { return };
        self.exceptions.values_mut().for_each(|code| *code = renamed(*code));
        self.exceptions.extend(rare.into_iter().map(|(object, code)| (object, renamed(u32::from(code)))));
        self.kinds = order.iter().filter_map(|old| self.kinds.get(*old as usize).copied()).collect();
        self.sizes = order.iter().filter_map(|old| self.sizes.get(*old as usize).copied()).collect();
        self.codes = Codes::Narrow(narrow);
    }

    /// The codes, those of most objects first; but what is not known keeps its code.
    fn by_frequency(&self, codes: &[u16]) -> Vec<u32> {
        let count = |codes: &[u16]| {
            let mut counts = vec![0u32; 1 << 16];
            for code in codes {
                if let Some(count) = counts.get_mut(usize::from(*code)) {
                    *count += 1;
                }
            }
            counts
        };
        let (left, right) = codes.split_at(codes.len() / 2);
        let (left, right) = both(|| count(left), || count(right));
        // Those that are exceptions already are rare.
        let of = |code: u32| {
            let at = |counts: &[u32]| counts.get(code as usize).copied().unwrap_or(0);
            if code < u32::from(EXCEPTION) { at(&left) + at(&right) } else { 0 }
        };
        let mut order: Vec<u32> = (0u32..).take(self.kinds.len()).collect();
        order.sort_by_key(|code| (*code != 0, Reverse(of(*code))));
        order
    }

    /// Says what an object is.
    #[inline]
    pub(super) fn set(&mut self, object: u32, code: u32) {
        let Codes::Wide(codes) = &mut self.codes else { return };
        let Some(slot) = codes.get_mut(object as usize) else { return };
        match u16::try_from(code) {
            Ok(short) if short != EXCEPTION => *slot = short,
            _ => {
                *slot = EXCEPTION;
                self.exceptions.insert(object, code);
            }
        }
    }

    /// The code of an object's kind.
    #[inline]
    pub(super) fn code_of(&self, object: u32) -> Option<u32> {
        let (code, is_exception) = match &self.codes {
            Codes::Narrow(codes) => {
                codes.get(object as usize).map(|code| (u32::from(*code), *code == RARE))?
            }
            Codes::Wide(codes) => {
                codes.get(object as usize).map(|code| (u32::from(*code), *code == EXCEPTION))?
            }
        };
        if is_exception { self.exceptions.get(&object).copied() } else { Some(code) }
    }

    /// What an object is will be asked soon.
    #[inline]
    pub(super) fn prefetch(&self, object: u32) {
        match &self.codes {
            Codes::Narrow(codes) => prefetch(codes, object as usize),
            Codes::Wide(codes) => prefetch(codes, object as usize),
        }
    }

    /// Its class, or [`NO_CLASS`], and its own bytes.
    #[inline]
    pub(super) fn class_and_bytes(&self, object: u32) -> (u32, u64) {
        let code = self.code_of(object).unwrap_or(0) as usize;
        let class = self.kinds.get(code).map_or(NO_CLASS, |kind| kind.class);
        (class, self.sizes.get(code).copied().unwrap_or(0))
    }

    /// Whether an object is a class itself.
    #[inline]
    pub(super) fn is_class_object(&self, object: u32) -> bool {
        let kind = self.code_of(object).and_then(|code| self.kinds.get(code as usize));
        kind.is_some_and(|kind| kind.is_class_object)
    }

    /// Elements of an array, 0 for what is none.
    pub(super) fn length(&self, object: u32) -> u64 {
        let kind = self.code_of(object).and_then(|code| self.kinds.get(code as usize));
        kind.filter(|kind| !kind.is_class_object).map_or(0, |kind| u64::from(kind.length))
    }

    /// Bytes of the object itself.
    #[inline]
    pub(super) fn bytes(&self, object: u32) -> u64 {
        let code = self.code_of(object).unwrap_or(0);
        self.sizes.get(code as usize).copied().unwrap_or(0)
    }

    /// Its class, or [`NO_CLASS`].
    #[inline]
    pub(super) fn class(&self, object: u32) -> u32 {
        self.class_and_bytes(object).0
    }

    /// Class, size and number of the objects chosen, for each kind.
    pub(super) fn counted(&self, mut chosen: impl FnMut(u32) -> bool) -> Vec<(u32, u64, u64)> {
        let mut counts = vec![0u64; self.kinds.len()];
        for object in 0..self.objects() {
            if chosen(object)
                && let Some(count) = self.code_of(object).and_then(|code| counts.get_mut(code as usize))
            {
                *count += 1;
            }
        }
        let rows = self.kinds.iter().zip(&self.sizes).zip(counts).filter(|(_, count)| *count > 0);
        rows.map(|((kind, size), count)| (kind.class, *size, count)).collect()
    }
}

/// Objects and their codes.
type Rare = Vec<(u32, u16)>;

/// Codes of one byte, and the objects that have none, with their code: not more than one of [`RARELY`].
fn narrowed(codes: &[u16], bytes: &[u8]) -> Option<(Vec<u8>, Rare)> {
    let mut narrow = vec![0u8; codes.len()];
    let most = codes.len() / RARELY;
    let translate = |first: usize, narrow: &mut [u8]| {
        let mut rare = Rare::new();
        let codes = codes.get(first..).unwrap_or_default();
        for ((object, &code), slot) in (first as u32..).zip(codes).zip(narrow) {
            *slot = bytes.get(usize::from(code)).copied().unwrap_or(RARE);
            if *slot == RARE && rare.len() <= most {
                rare.push((object, code));
            }
        }
        rare
    };
    let (mut rare, high) = halves(&mut narrow, translate);
    rare.extend(high);
    // Those that were exceptions before are among them, and known.
    (rare.len() <= most).then(|| {
        rare.retain(|(_, code)| *code != EXCEPTION);
        (narrow, rare)
    })
}

/// The code of the class of arrays of numbers, which have none in a dump.
pub(super) fn array_class(classes: usize, ty: crate::hprof::visitor::Type) -> u32 {
    classes as u32 + u32::from(ty.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_kinds_than_codes_are_kept_apart() {
        let mut kinds = Kinds::new(200_000);
        for object in 0..200_000 {
            let code = kinds.code(Kind::of(object % 3, object));
            kinds.set(object, code);
        }
        let sizes = kinds.all().iter().map(|kind| 8 * u64::from(kind.length)).collect();
        kinds.set_sizes(sizes);
        assert!((0..200_000).all(|o| kinds.class_and_bytes(o) == (o % 3, u64::from(o) * 8)));
        assert_eq!(kinds.class_and_bytes(200_000), (NO_CLASS, 0));
        let counted: u64 = kinds.counted(|object| object < 150_000).iter().map(|(_, _, count)| count).sum();
        assert_eq!(counted, 150_000);
    }

    #[test]
    fn most_objects_are_of_few_kinds() {
        // One of a hundred is of a kind of its own, and those come first.
        let length = |object: u32| if object.is_multiple_of(100) { object } else { object % 100 };
        let mut kinds = Kinds::new(100_000);
        for object in (0..100_000).step_by(100).chain(0..100_000) {
            let code = kinds.code(Kind::of(3, length(object)));
            kinds.set(object, code);
        }
        let sizes = kinds.all().iter().map(|kind| 8 * u64::from(kind.length)).collect();
        kinds.set_sizes(sizes);
        assert!(matches!(kinds.codes, Codes::Narrow(_)));
        assert!((0..100_000).all(|o| kinds.class_and_bytes(o) == (3, u64::from(length(o)) * 8)));
        assert_eq!(kinds.class_and_bytes(100_000), (NO_CLASS, 0));
        let counted = kinds.counted(|_| true);
        assert_eq!(counted.iter().map(|(_, _, count)| count).sum::<u64>(), 100_000);
    }

    #[test]
    fn an_object_not_told_of_has_no_class() {
        let mut kinds = Kinds::new(2);
        let code = kinds.code(Kind::of(7, 3));
        kinds.set(1, code);
        kinds.set_sizes(vec![0, 1 << 40]);
        assert_eq!(kinds.class_and_bytes(0), (NO_CLASS, 0));
        assert_eq!(kinds.class_and_bytes(1), (7, 1 << 40));
    }
}
