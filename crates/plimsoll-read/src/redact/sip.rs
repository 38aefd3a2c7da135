//! SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of 64 bits. Without the key nobody can tell its values
//! from random ones, nor try words until one fits.

/// A key of 128 bits.
#[derive(Clone, Copy)]
pub(super) struct SipKey(u64, u64);

impl SipKey {
    pub(super) fn new(bytes: &[u8; 16]) -> SipKey {
        let n = u128::from_le_bytes(*bytes);
        SipKey(n as u64, (n >> 64) as u64)
    }

    /// The hash of any bytes.
    pub(super) fn hash(self, bytes: &[u8]) -> u64 {
        let mut state = State::new(self);
        let mut rest = bytes;
        while let Some((word, next)) = rest.split_first_chunk() {
            state.take(u64::from_le_bytes(*word));
            rest = next;
        }
        let last = rest.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        state.finish(last, bytes.len() as u64)
    }

    /// What comes after `first`: many hashes share it.
    #[inline]
    pub(super) fn begin(self, first: u64) -> State {
        let mut state = State::new(self);
        state.take(first);
        state
    }
}

/// A hash that has not ended.
#[derive(Clone, Copy)]
pub(super) struct State(u64, u64, u64, u64);

impl State {
    #[inline]
    fn new(key: SipKey) -> State {
        State(
            key.0 ^ 0x736f_6d65_7073_6575,
            key.1 ^ 0x646f_7261_6e64_6f6d,
            key.0 ^ 0x6c79_6765_6e65_7261,
            key.1 ^ 0x7465_6462_7974_6573,
        )
    }

    #[inline]
    fn round(&mut self) {
        let State(a, b, c, d) = *self;
        let (a, c) = (a.wrapping_add(b), c.wrapping_add(d));
        let (b, d) = (b.rotate_left(13) ^ a, d.rotate_left(16) ^ c);
        let (c, a) = (c.wrapping_add(b), a.rotate_left(32).wrapping_add(d));
        let (b, d) = (b.rotate_left(17) ^ c, d.rotate_left(21) ^ a);
        *self = State(a, b, c.rotate_left(32), d);
    }

    #[inline]
    fn take(&mut self, word: u64) {
        self.3 ^= word;
        self.round();
        self.round();
        self.0 ^= word;
    }

    #[inline]
    fn finish(mut self, last: u64, length: u64) -> u64 {
        self.take(last | length << 56);
        self.2 ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        self.0 ^ self.1 ^ self.2 ^ self.3
    }

    /// The hash of what was begun and seven bytes more.
    #[inline]
    pub(super) fn then(self, seven: u64) -> u64 {
        self.finish(seven & (u64::MAX >> 8), 15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors that its authors published: hashes of 0, 1, 2 ... bytes that count up, under a key that does.
    #[test]
    fn published_vectors() {
        let key = SipKey::new(&std::array::from_fn(|i| i as u8));
        let bytes: [u8; 64] = std::array::from_fn(|i| i as u8);
        assert_eq!(key.hash(&bytes[..0]).to_le_bytes(), [0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72]);
        assert_eq!(key.hash(&bytes[..1]).to_le_bytes(), [0xfd, 0x67, 0xdc, 0x93, 0xc5, 0x39, 0xf8, 0x74]);
        assert_eq!(key.hash(&bytes[..2]).to_le_bytes(), [0x5a, 0x4f, 0xa9, 0xd9, 0x09, 0x80, 0x6c, 0x0d]);
        assert_eq!(key.hash(&bytes[..8]).to_le_bytes(), [0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93]);
        // The example of the paper's appendix.
        assert_eq!(key.hash(&bytes[..15]), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn in_two_steps_as_in_one() {
        let key = SipKey::new(&[9; 16]);
        let bytes: [u8; 15] = std::array::from_fn(|i| i as u8 * 3);
        let first = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let rest = bytes[8..].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        assert_eq!(key.begin(first).then(rest), key.hash(&bytes));
    }
}
