//! Replaces a token by another of the same shape. Under one key the same token always gets the same replacement,
//! and within a shape of fewer than 2^52 forms no two tokens get the same one: the replacement is a permutation (a
//! Feistel network over mixed radices, as format-preserving encryption has it, its rounds keyed by SipHash). Larger
//! shapes get the output of the keyed hash of the token, where two are the same by no realistic chance.
//!
//! What this hides: a token, from anyone without the key. What it does not: the shape and the length, and where the
//! same token stands elsewhere. A word or a short number could be found by trying all of them if the key were known,
//! so the key must be random and must not be kept.

use std::collections::HashSet;

use super::shape::{LONGEST, Place, Wide, go_together, has_parts, make, places};
use super::sip::SipKey;

/// Forms of a shape up to which it is permuted. The half of a token then fits a hash of seven bytes.
const PERMUTED: u64 = 1 << 52;
const ROUNDS: u64 = 10;
/// Replacements remembered: words come again and again.
const SLOTS: usize = 1 << 13;
/// Tokens of up to this many bytes are remembered.
const REMEMBERED: usize = 16;
/// Words kept readable at most.
const WORDS: usize = 1 << 20;
/// Shorter words are not kept readable.
const SHORTEST_WORD: usize = 3;
/// Tries until a random one has what its shape wants.
const TRIES: u64 = 64;

/// A byte, or a character of 16 bits.
pub(super) trait Unit: Copy {
    fn wide(self) -> u16;
    fn narrow(wide: u16) -> Self;
}

impl Unit for u8 {
    fn wide(self) -> u16 {
        u16::from(self)
    }
    fn narrow(wide: u16) -> u8 {
        wide as u8
    }
}

impl Unit for u16 {
    fn wide(self) -> u16 {
        self
    }
    fn narrow(wide: u16) -> u16 {
        wide
    }
}

/// A token in ASCII and its replacement, first unit in the highest byte that is not zero.
#[derive(Clone, Copy, Default)]
struct Slot {
    token: u128,
    replacement: u128,
}

/// Replaces tokens under one key.
pub(super) struct Tokens {
    permute: SipKey,
    stream: SipKey,
    words: Option<HashSet<u64>>,
    slots: Box<[Slot]>,
}

impl Tokens {
    /// `keep_words`: words that [`Tokens::learn`] was told stay as they are.
    pub(super) fn new(key: &[u8; 32], keep_words: bool) -> Tokens {
        let half = |from: usize| std::array::from_fn(|i| key.get(from + i).copied().unwrap_or_default());
        Tokens {
            permute: SipKey::new(&half(0)),
            stream: SipKey::new(&half(16)),
            words: keep_words.then(HashSet::new),
            slots: vec![Slot::default(); SLOTS].into_boxed_slice(),
        }
    }

    /// The words of a name of the program's code may stay readable, if that was asked for.
    pub(super) fn learn(&mut self, name: &[u8]) {
        let Some(words) = &mut self.words else { return };
        for word in name.split(|b| !b.is_ascii_alphanumeric()) {
            let fits = (SHORTEST_WORD..=LONGEST).contains(&word.len());
            if fits && word.iter().all(u8::is_ascii_alphabetic) && words.len() < WORDS {
                words.insert(self.stream.hash(word));
            }
        }
    }

    /// Replaces a token in place: [`LONGEST`] units at most, letters and digits and what is not ASCII.
    #[inline]
    pub(super) fn replace<T: Unit>(&mut self, token: &mut [T], wide: Wide) {
        let Some(packed) = pack(token) else { return self.look_closer(token, wide) };
        let at = (packed ^ packed >> 64) as u64;
        let at = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 51;
        match self.slots.get(at as usize) {
            Some(slot) if slot.token == packed => unpack(slot.replacement, token),
            _ => {
                self.look_closer(token, wide);
                let slot = Slot { token: packed, replacement: pack(token).unwrap_or(packed) };
                if let Some(place) = self.slots.get_mut(at as usize) {
                    *place = slot;
                }
            }
        }
    }

    #[inline(never)]
    fn look_closer<T: Unit>(&self, token: &mut [T], wide: Wide) {
        let mut units = [0; LONGEST];
        for (unit, from) in units.iter_mut().zip(token.iter()) {
            *unit = from.wide();
        }
        let units = units.get_mut(..token.len()).unwrap_or_default();
        if has_parts(units) {
            units.chunk_by_mut(|a, b| go_together(*a, *b)).for_each(|part| self.one(part, wide));
        } else {
            self.one(units, wide);
        }
        for (to, unit) in token.iter_mut().zip(units.iter()) {
            *to = T::narrow(*unit);
        }
    }

    fn is_kept(&self, units: &[u16]) -> bool {
        let Some(words) = &self.words else { return false };
        let mut bytes = [0; LONGEST];
        for (byte, unit) in bytes.iter_mut().zip(units) {
            *byte = u8::try_from(*unit).unwrap_or_default();
        }
        bytes.get(..units.len()).is_some_and(|word| words.contains(&self.stream.hash(word)))
    }

    fn one(&self, units: &mut [u16], wide: Wide) {
        if units.is_empty() || self.is_kept(units) {
            return;
        }
        let mut all = [Place::default(); LONGEST];
        let before = places(units, wide, &mut all);
        let all = all.get(..units.len()).unwrap_or_default();
        // What another rule would take for something else must not come out: two tokens could become one.
        self.shaped(units, all, |units| make(units) == before && !self.is_kept(units));
    }

    /// Replaces hex digits by others, whichever of them are letters.
    pub(super) fn replace_hex<T: Unit>(&self, token: &mut [T], hex: Place) {
        let mut units = [0; LONGEST];
        for (unit, from) in units.iter_mut().zip(token.iter()) {
            *unit = from.wide();
        }
        let units = units.get_mut(..token.len()).unwrap_or_default();
        let all = [hex; LONGEST];
        self.shaped(units, all.get(..units.len()).unwrap_or_default(), |_| true);
        for (to, unit) in token.iter_mut().zip(units.iter()) {
            *to = T::narrow(*unit);
        }
    }

    /// Replaces units within their alphabets, by something that is `sound`, as they are themselves.
    pub(super) fn shaped(&self, units: &mut [u16], all: &[Place], sound: impl Fn(&[u16]) -> bool) {
        let forms = all.iter().fold(1_u64, |n, p| n.saturating_mul(u64::from(p.radix)));
        if forms > PERMUTED {
            return self.random(units, all, sound);
        }
        // Walked on until it is sound: that is a permutation of the sound ones.
        loop {
            self.permuted(units, all);
            if sound(units) {
                return;
            }
        }
    }

    /// A random number that belongs to another.
    pub(super) fn keyed(&self, number: u64) -> u64 {
        self.stream.begin(number).then(0)
    }

    fn permuted(&self, units: &mut [u16], all: &[Place]) {
        let free = all.iter().filter(|p| p.radix > 1).count();
        let tweak =
            all.iter().fold(0_u64, |n, p| (n.rotate_left(7) ^ p.code()).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let keyed = self.permute.begin(tweak);
        if free == 1 {
            return shift(units, all, keyed.then(0));
        }
        let (mut halves, mut sizes) = ([0_u64; 2], [1_u64; 2]);
        for (i, (place, unit)) in free_places(all, units).enumerate() {
            let half = usize::from(i >= free / 2);
            let (Some(number), Some(size)) = (halves.get_mut(half), sizes.get_mut(half)) else { return };
            *number = *number * u64::from(place.radix) + u64::from(place.index(*unit));
            *size *= u64::from(place.radix);
        }
        let ([mut a, mut b], [mut a_size, mut b_size]) = (halves, sizes);
        for round in 0..ROUNDS {
            a = (a + below(keyed.then(b << 4 | round), a_size)) % a_size;
            (a, b, a_size, b_size) = (b, a, b_size, a_size);
        }
        let (mut halves, mut i) = ([a, b], free);
        for (place, unit) in free_places(all, units).rev() {
            i -= 1;
            let Some(number) = halves.get_mut(usize::from(i >= free / 2)) else { return };
            *unit = place.unit((*number % u64::from(place.radix)) as u32);
            *number /= u64::from(place.radix);
        }
    }

    fn random(&self, units: &mut [u16], all: &[Place], sound: impl Fn(&[u16]) -> bool) {
        let mut bytes = [0; 2 * LONGEST];
        for (pair, unit) in bytes.chunks_exact_mut(2).zip(units.iter()) {
            pair.copy_from_slice(&unit.to_le_bytes());
        }
        let seed = self.stream.hash(bytes.get(..2 * units.len()).unwrap_or_default());
        let keyed = self.stream.begin(seed);
        for attempt in 0..TRIES {
            let (mut counter, mut word, mut drawn) = (attempt << 32, 0, u64::MAX);
            for (place, unit) in free_places(all, units) {
                let radix = u64::from(place.radix);
                if drawn.saturating_mul(radix) > 1 << 56 {
                    counter += 1;
                    (word, drawn) = (keyed.then(counter), 1);
                }
                *unit = place.unit(below(word, radix) as u32);
                (word, drawn) = (word.wrapping_mul(radix), drawn * radix);
            }
            if sound(units) {
                return;
            }
        }
    }
}

fn free_places<'a>(
    all: &'a [Place],
    units: &'a mut [u16],
) -> impl DoubleEndedIterator<Item = (&'a Place, &'a mut u16)> {
    all.iter().zip(units).filter(|(place, _)| place.radix > 1)
}

/// A number below `size` from a random one.
fn below(random: u64, size: u64) -> u64 {
    ((u128::from(random) * u128::from(size)) >> 64) as u64
}

/// A single unit moves on by a fixed number of places: never by none.
fn shift(units: &mut [u16], all: &[Place], random: u64) {
    for (place, unit) in free_places(all, units) {
        let radix = u32::from(place.radix);
        let by = 1 + below(random, u64::from(radix) - 1) as u32;
        *unit = place.unit((place.index(*unit) + by) % radix);
    }
}

/// All units of a short token in ASCII.
#[inline]
fn pack<T: Unit>(token: &[T]) -> Option<u128> {
    if token.is_empty() || token.len() > REMEMBERED {
        return None;
    }
    let (mut packed, mut all) = (0, 0);
    for unit in token {
        all |= unit.wide();
        packed = packed << 8 | u128::from(unit.wide());
    }
    (all < 0x80).then_some(packed)
}

#[inline]
fn unpack<T: Unit>(packed: u128, token: &mut [T]) {
    let mut rest = packed;
    for unit in token.iter_mut().rev() {
        *unit = T::narrow((rest & 0xff) as u16);
        rest >>= 8;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn replaced(tokens: &mut Tokens, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        tokens.replace(&mut bytes, Wide::Utf8);
        String::from_utf8(bytes).expect("still UTF-8")
    }

    fn tokens(seed: u8) -> Tokens {
        Tokens::new(&[seed; 32], false)
    }

    /// Letters by kind.
    fn shape(text: &str) -> String {
        let kind = |c: char| match c {
            '0'..='9' => '9',
            'a'..='z' => 'a',
            'A'..='Z' => 'A',
            _ => 'x',
        };
        text.chars().map(kind).collect()
    }

    #[test]
    fn shapes_are_kept_and_tokens_are_not() {
        for seed in 0..20 {
            let mut tokens = tokens(seed);
            for text in [
                "orders",
                "Thread17",
                "7",
                "q",
                "123456789",
                "aGVsbG8gd29ybGQhIQ",
                "großväterchen",
                "ключевая",
            ] {
                let out = replaced(&mut tokens, text);
                assert_eq!((out.len(), shape(&out)), (text.len(), shape(text)));
                assert_ne!(out, text);
                assert_eq!(replaced(&mut tokens, text), out, "the same a second time");
            }
            for text in ["ab12", "9f31c0de", "0123456789abcdef0123456789abcdef", "DEADBEEF00"] {
                let out = replaced(&mut tokens, text);
                let units: Vec<u16> = out.encode_utf16().collect();
                let before: Vec<u16> = text.encode_utf16().collect();
                assert_eq!(make(&units), make(&before), "{text} became {out}");
                assert_ne!(out, text);
            }
        }
    }

    #[test]
    fn a_number_changes_and_its_word_stays_the_same_word() {
        let mut tokens = tokens(1);
        let word = replaced(&mut tokens, "user");
        assert!(replaced(&mut tokens, "user123").starts_with(&word));
        assert!(replaced(&mut tokens, "user99").starts_with(&word));
    }

    #[test]
    fn no_two_tokens_become_one() {
        let mut tokens = tokens(2);
        let all: HashSet<String> = (0..1000).map(|n| replaced(&mut tokens, &format!("{n:03}"))).collect();
        assert_eq!(all.len(), 1000);
        let all: HashSet<String> = (0..=0xffff).map(|n| replaced(&mut tokens, &format!("{n:04x}"))).collect();
        assert_eq!(all.len(), 0x1_0000);
        let letters = "abcdefghijklmnopqrstuvwxyz";
        let pairs = letters.chars().flat_map(|a| letters.chars().map(move |b| format!("{a}{b}")));
        assert_eq!(pairs.map(|p| replaced(&mut tokens, &p)).collect::<HashSet<_>>().len(), 676);
        let all: HashSet<String> =
            (0..100_000_u64).map(|n| replaced(&mut tokens, &format!("{:016x}", n << 40 | 0xa))).collect();
        assert_eq!(all.len(), 100_000);
    }

    #[test]
    fn another_key_gives_others() {
        for text in ["password", "12345", "aGVsbG8gd29ybGQhIQaGVsbG8gd29ybGQhIQ"] {
            let all: HashSet<String> = (0..10).map(|seed| replaced(&mut tokens(seed), text)).collect();
            assert_eq!(all.len(), 10, "{text}");
        }
    }

    /// The key has two halves that do different work; a change of any bit changes something.
    #[test]
    fn each_half_of_the_key_counts() {
        let base = [3; 32];
        for byte in [0, 15, 16, 31] {
            let mut other = base;
            other[byte] ^= 0x80;
            let texts = ["orders", "aGVsbG8gd29ybGQhIQaGVsbG8gd29ybGQhIQ"];
            let out = |key| texts.map(|text| replaced(&mut Tokens::new(key, false), text));
            assert_ne!(out(&base), out(&other), "byte {byte}");
        }
    }

    #[test]
    fn a_character_has_the_same_replacement_in_any_encoding() {
        let mut tokens = tokens(4);
        let bytes = replaced(&mut tokens, "hunter2");
        let mut wide: Vec<u16> = "hunter2".encode_utf16().collect();
        tokens.replace(&mut wide, Wide::Characters);
        assert_eq!(String::from_utf16(&wide).unwrap(), bytes);
    }

    #[test]
    fn known_words_stay_if_asked_and_nothing_else_becomes_one() {
        let mut tokens = Tokens::new(&[5; 32], true);
        tokens.learn(b"com/example/Orders$abc");
        assert_eq!(replaced(&mut tokens, "Orders"), "Orders");
        assert_eq!(replaced(&mut tokens, "abc"), "abc");
        assert_ne!(replaced(&mut tokens, "orders"), "orders");
        let letters = "abcdefghijklmnopqrstuvwxyz";
        let mut all = HashSet::new();
        for text in letters.chars().flat_map(|a| letters.chars().map(move |b| format!("a{a}{b}"))) {
            let out = replaced(&mut tokens, &text);
            assert_eq!(out == "abc", text == "abc");
            all.insert(out);
        }
        assert_eq!(all.len(), 676);
    }
}
