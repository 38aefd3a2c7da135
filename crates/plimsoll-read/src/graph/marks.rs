//! One bit an object.

/// A set of objects.
#[derive(Debug, Clone)]
pub(crate) struct Marks(Vec<u64>);

impl Marks {
    /// None of so many objects.
    pub(crate) fn new(objects: u32) -> Marks {
        Marks(vec![0; objects as usize / 64 + 1])
    }

    #[inline]
    pub(crate) fn set(&mut self, object: u32) {
        if let Some(word) = self.0.get_mut(object as usize / 64) {
            *word |= 1 << (object % 64);
        }
    }

    /// Takes those of another set of as many objects.
    pub(crate) fn join(&mut self, other: &Marks) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, more)| *word |= more);
    }

    #[inline]
    pub(crate) fn has(&self, object: u32) -> bool {
        self.0.get(object as usize / 64).is_some_and(|word| word >> (object % 64) & 1 == 1)
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.capacity() * 8
    }
}
