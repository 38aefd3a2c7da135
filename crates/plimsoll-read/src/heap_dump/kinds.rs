//! Class and size of each object in two bytes: a heap has far fewer pairs of the two than objects.

use std::collections::HashMap;

/// No class is known.
pub(super) const NO_CLASS: u32 = u32::MAX;
/// The code that says: look among the exceptions.
const EXCEPTION: u16 = u16::MAX;
/// Slots of the memory of codes asked for lately.
const SLOTS: usize = 4096;

/// Objects of one class and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    class: u32,
    /// Bytes.
    size: u64,
}

/// Class and size of every object, by its number.
#[derive(Debug)]
pub(super) struct Kinds {
    codes: Vec<u16>,
    kinds: Vec<Kind>,
    by_kind: HashMap<Kind, u32>,
    lately: Vec<(Kind, u32)>,
    /// Kinds that came when all codes were given: by object. These are large arrays of rare lengths for the most part.
    exceptions: HashMap<u32, u32>,
}

impl Kinds {
    /// Of so many objects, all unknown yet.
    pub(super) fn new(objects: u32) -> Kinds {
        let unknown = Kind { class: NO_CLASS, size: 0 };
        Kinds {
            codes: vec![0; objects as usize],
            kinds: vec![unknown],
            by_kind: HashMap::from([(unknown, 0)]),
            lately: vec![(unknown, 0); SLOTS],
            exceptions: HashMap::new(),
        }
    }

    /// The code of a kind, for [`Kinds::set`].
    #[inline]
    pub(super) fn code(&mut self, class: u32, size: u64) -> u32 {
        let kind = Kind { class, size };
        let slot = (class.wrapping_mul(0x9E37_79B9) >> 20) as usize ^ (size / 8) as usize;
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

    /// Says what an object is.
    #[inline]
    pub(super) fn set(&mut self, object: u32, code: u32) {
        let Some(slot) = self.codes.get_mut(object as usize) else { return };
        match u16::try_from(code) {
            Ok(short) if short != EXCEPTION => *slot = short,
            _ => {
                *slot = EXCEPTION;
                self.exceptions.insert(object, code);
            }
        }
    }

    #[inline]
    fn kind(&self, object: u32) -> Option<&Kind> {
        let code = match *self.codes.get(object as usize)? {
            EXCEPTION => *self.exceptions.get(&object)?,
            code => u32::from(code),
        };
        self.kinds.get(code as usize)
    }

    /// Bytes of the object itself.
    #[inline]
    pub(super) fn bytes(&self, object: u32) -> u64 {
        self.kind(object).map_or(0, |kind| kind.size)
    }

    /// Its class, or [`NO_CLASS`], and its own bytes.
    #[inline]
    pub(super) fn class_and_bytes(&self, object: u32) -> (u32, u64) {
        self.kind(object).map_or((NO_CLASS, 0), |kind| (kind.class, kind.size))
    }

    /// Class, size and number of the objects chosen, for each pair of class and size.
    pub(super) fn counted(&self, mut chosen: impl FnMut(u32) -> bool) -> Vec<(u32, u64, u64)> {
        let mut counts = vec![0u64; self.kinds.len()];
        for (object, code) in (0u32..).zip(&self.codes) {
            if chosen(object) {
                let code = match *code {
                    EXCEPTION => self.exceptions.get(&object).copied().unwrap_or(0),
                    code => u32::from(code),
                };
                if let Some(count) = counts.get_mut(code as usize) {
                    *count += 1;
                }
            }
        }
        let rows = self.kinds.iter().zip(counts).filter(|(_, count)| *count > 0);
        rows.map(|(kind, count)| (kind.class, kind.size, count)).collect()
    }

    /// Its class, or [`NO_CLASS`].
    #[inline]
    pub(super) fn class(&self, object: u32) -> u32 {
        self.kind(object).map_or(NO_CLASS, |kind| kind.class)
    }
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
            let code = kinds.code(object % 3, u64::from(object) * 8);
            kinds.set(object, code);
        }
        assert!((0..200_000).all(|o| kinds.bytes(o) == u64::from(o) * 8 && kinds.class(o) == o % 3));
        assert_eq!((kinds.bytes(200_000), kinds.class(200_000)), (0, NO_CLASS));
    }

    #[test]
    fn an_object_not_told_of_has_no_class() {
        let mut kinds = Kinds::new(2);
        let code = kinds.code(7, 1 << 40);
        kinds.set(1, code);
        assert_eq!((kinds.class(0), kinds.bytes(0)), (NO_CLASS, 0));
        assert_eq!((kinds.class(1), kinds.bytes(1)), (7, 1 << 40));
    }
}
