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

    /// Marks up to 64 objects, those whose bits are set, from this one on.
    #[inline]
    pub(crate) fn set_all(&mut self, first: u32, bits: u64) {
        let (at, shift) = (first as usize / 64, first % 64);
        if let Some(word) = self.0.get_mut(at) {
            *word |= bits << shift;
        }
        if let Some(word) = self.0.get_mut(at + 1).filter(|_| shift > 0) {
            *word |= bits >> (64 - shift);
        }
    }

    /// The objects, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        objects(0, &self.0)
    }

    /// The objects as two halves, each ascending.
    pub(crate) fn halves(&self) -> [impl Iterator<Item = u32> + '_; 2] {
        let (left, right) = self.0.split_at(self.0.len() / 2);
        [(0, left), (left.len() as u32 * 64, right)].map(|(first, words)| objects(first, words))
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

/// The objects of some words, the first of which is for `first` and those behind it.
fn objects(first: u32, words: &[u64]) -> impl Iterator<Item = u32> + '_ {
    (first..).step_by(64).zip(words).flat_map(|(first, &word)| {
        // Without its lowest bit; one without any is looked at too, and stays so.
        let bits = std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)));
        bits.take_while(|word| *word != 0).map(move |word| first + word.trailing_zeros())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_in_their_order() {
        let mut marks = Marks::new(300);
        assert_eq!(marks.iter().next(), None);
        let set = [0, 63, 64, 127, 299];
        set.iter().rev().for_each(|o| marks.set(*o));
        assert!(marks.iter().eq(set));
        let [left, right] = marks.halves();
        assert!(left.chain(right).eq(set));
    }
}
