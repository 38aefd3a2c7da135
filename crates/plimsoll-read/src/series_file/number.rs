//! Numbers in few bytes: scales in which a value is whole, differences with a sign, and bytes of seven bits.

/// What one step of a column's whole numbers stands for, coarse to fine: a column only ever becomes finer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Pages of 4 KiB.
    Pages,
    /// Tenths of a MiB, as V8 prints them.
    Tenths,
    /// Bytes, counts.
    Ones,
    /// Thousandths.
    Thousandths,
    /// Millionths.
    Millionths,
}

const PAGE: f64 = 4096.0;
const MIB: f64 = 1_048_576.0;
/// From here on not every whole number is a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Scale {
    pub(super) const ALL: [Scale; 5] =
        [Scale::Pages, Scale::Tenths, Scale::Ones, Scale::Thousandths, Scale::Millionths];

    pub(super) fn number(self) -> u64 {
        self as u64
    }

    pub(super) fn of(number: u64) -> Option<Scale> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The value as a whole number of steps, when it is exactly that.
    pub(super) fn whole(self, v: f64) -> Option<i64> {
        let n = match self {
            Scale::Pages => v / PAGE,
            Scale::Tenths => (v * 10.0 / MIB).round(),
            Scale::Ones => v,
            Scale::Thousandths => (v * 1e3).round(),
            Scale::Millionths => (v * 1e6).round(),
        };
        let fits = n.fract() == 0.0 && n.abs() < EXACT && self.value(n as i64) == v;
        fits.then_some(n as i64)
    }

    pub(super) fn value(self, n: i64) -> f64 {
        match self {
            Scale::Pages => n as f64 * PAGE,
            Scale::Tenths => n as f64 * MIB / 10.0,
            Scale::Ones => n as f64,
            Scale::Thousandths => n as f64 / 1e3,
            Scale::Millionths => n as f64 / 1e6,
        }
    }
}

/// Small numbers of either sign as small ones without.
pub(super) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

pub(super) fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

/// Writes seven bits a byte, the lowest first.
pub(super) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7F) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes such a number off the front.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn take_text<'b>(bytes: &mut &'b [u8]) -> Option<&'b str> {
    let length = usize::try_from(take(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}
