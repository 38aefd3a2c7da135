//! Replaces a number in a field: sign and count of digits stay, the digits do not.

use super::shape::{LEADING, LONGEST, Place, Wide, places};
use super::tokens::Tokens;
use crate::hprof::visitor::Type;

/// Numbers up to this are kept in fields that hold hashes: marks and "not computed".
const MARK: u64 = 3;

/// Replaces a number in place; `bytes` has just the bytes of its type. A boolean becomes false.
pub(super) fn replace(tokens: &mut Tokens, ty: Type, bytes: &mut [u8]) {
    match ty {
        Type::Byte | Type::Short | Type::Int | Type::Long => integer(tokens, bytes),
        Type::Float => fraction(tokens, bytes, 23),
        Type::Double => fraction(tokens, bytes, 52),
        Type::Char => character(tokens, bytes),
        Type::Boolean => bytes.fill(0),
        Type::Object => {}
    }
}

/// Replaces the hash of something by a keyed hash of it, unless it is a mark. Only the sign stays.
pub(super) fn replace_hash(tokens: &Tokens, bytes: &mut [u8]) {
    let number = signed(bytes);
    if number.unsigned_abs() > MARK {
        let bits = 8 * bytes.len().min(8) as u32;
        let magnitude = (tokens.keyed(number.cast_unsigned()) >> (65 - bits)).max(MARK + 1).cast_signed();
        store(bytes, if number < 0 { -magnitude } else { magnitude });
    }
}

fn signed(bytes: &[u8]) -> i64 {
    let first = bytes.first().map_or(0, |b| i64::from(b.cast_signed()));
    bytes.iter().skip(1).fold(first, |n, b| n << 8 | i64::from(*b))
}

fn store(bytes: &mut [u8], number: i64) {
    for (byte, from) in bytes.iter_mut().rev().zip(number.to_le_bytes()) {
        *byte = from;
    }
}

fn integer(tokens: &mut Tokens, bytes: &mut [u8]) {
    let number = signed(bytes);
    let bits = 8 * bytes.len().min(8) as u32;
    let most = if bits == 0 { 0 } else { i64::MAX.unsigned_abs() >> (64 - bits) };
    // The least number has no opposite of its own; it shares that of its neighbour.
    let digits = number.unsigned_abs().min(most).to_string();
    let mut units = [0; LONGEST];
    for (unit, digit) in units.iter_mut().zip(digits.bytes()) {
        *unit = u16::from(digit);
    }
    let units = units.get_mut(..digits.len()).unwrap_or_default();
    let mut all = [Place::default(); LONGEST];
    places(units, Wide::Characters, &mut all);
    if let Some(first) = all.first_mut().filter(|_| digits.len() > 1) {
        *first = LEADING;
    }
    let value =
        |units: &[u16]| units.iter().fold(0_u64, |n, u| n.wrapping_mul(10).wrapping_add(u64::from(u & 15)));
    tokens.shaped(units, all.get(..digits.len()).unwrap_or_default(), |units| value(units) <= most);
    // Only when all tries were in vain is it too large.
    let magnitude = value(units).min(most).cast_signed();
    store(bytes, if number < 0 { -magnitude } else { magnitude });
}

/// Sign and magnitude to a power of two stay.
fn fraction(tokens: &mut Tokens, bytes: &mut [u8], bits: u32) {
    let number = signed(bytes);
    let mask = (1_i64 << bits) - 1;
    let exponent = 8 * bytes.len() as u32 - 1 - bits;
    let is_special = (number >> bits).cast_unsigned().trailing_ones() >= exponent;
    let replaced = match number & mask {
        0 => 0,
        // Any of the many that are not a number might hold something; there is one only.
        _ if is_special => 1 << (bits - 1),
        fraction => tokens.keyed(fraction.cast_unsigned()).cast_signed() & mask,
    };
    store(bytes, number & !mask | replaced);
}

fn character(tokens: &mut Tokens, bytes: &mut [u8]) {
    let mut unit = [signed(bytes) as u16];
    tokens.replace(&mut unit, Wide::Characters);
    store(bytes, i64::from(unit.first().copied().unwrap_or_default()));
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(&[7; 32], false)
    }

    fn int(n: i32) -> i32 {
        let mut bytes = n.to_be_bytes();
        replace(&mut tokens(), Type::Int, &mut bytes);
        i32::from_be_bytes(bytes)
    }

    fn long(n: i64) -> i64 {
        let mut bytes = n.to_be_bytes();
        replace(&mut tokens(), Type::Long, &mut bytes);
        i64::from_be_bytes(bytes)
    }

    #[test]
    fn sign_and_digits_stay() {
        for n in [7, -7, 12, 4711, -4711, i32::MAX, -i32::MAX, 1_000_000_000] {
            let out = int(n);
            assert_ne!(out, n);
            assert_eq!(out.to_string().len(), n.to_string().len(), "{n} became {out}");
            assert_eq!(out < 0, n < 0);
        }
        for n in [4_111_111_111_111_111, i64::MAX, -i64::MAX, 1 << 62] {
            let out = long(n);
            assert_ne!(out, n);
            assert_eq!(out.to_string().len(), n.to_string().len(), "{n} became {out}");
        }
        assert!(int(i32::MIN) < 0 && long(i64::MIN) < 0);
    }

    #[test]
    fn no_two_become_one() {
        let all: HashSet<i32> = (100..1000).map(int).collect();
        assert_eq!(all.len(), 900);
        assert!(all.iter().all(|n| (100..1000).contains(n)));
        let bytes: HashSet<u8> = (0..=127_u8)
            .map(|n| {
                let mut bytes = [n];
                replace(&mut tokens(), Type::Byte, &mut bytes);
                bytes[0]
            })
            .collect();
        assert_eq!(bytes.len(), 128);
        assert!(bytes.iter().all(|n| *n < 128));
    }

    #[test]
    fn hashes_but_not_marks() {
        for n in [0, 1, -1, -2, -3] {
            let mut bytes = i32::to_be_bytes(n);
            replace_hash(&tokens(), &mut bytes);
            assert_eq!(i32::from_be_bytes(bytes), n);
        }
        let mut bytes = i32::to_be_bytes(-1_206_394_000);
        replace_hash(&tokens(), &mut bytes);
        assert!(i32::from_be_bytes(bytes) < -3);
        assert_ne!(i32::from_be_bytes(bytes), -1_206_394_000);
    }

    #[test]
    fn fractions() {
        for n in [1234.5678_f64, -0.001, 1e300] {
            let mut bytes = n.to_be_bytes();
            replace(&mut tokens(), Type::Double, &mut bytes);
            let out = f64::from_be_bytes(bytes);
            assert_ne!(out, n);
            assert!((0.5..=2.0).contains(&(out / n)), "{n} became {out}");
        }
        for n in [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 2.0] {
            let mut bytes = n.to_be_bytes();
            replace(&mut tokens(), Type::Float, &mut bytes);
            assert_eq!(f32::from_be_bytes(bytes).to_bits(), n.to_bits());
        }
        let mut bytes = 0x7fc0_1234_u32.to_be_bytes();
        replace(&mut tokens(), Type::Float, &mut bytes);
        assert_eq!(u32::from_be_bytes(bytes), 0x7fc0_0000);
    }

    #[test]
    fn characters_and_booleans() {
        let mut bytes = [0, b'x'];
        replace(&mut tokens(), Type::Char, &mut bytes);
        assert!(bytes[0] == 0 && bytes[1].is_ascii_lowercase() && bytes[1] != b'x');
        let mut bytes = [1];
        replace(&mut tokens(), Type::Boolean, &mut bytes);
        assert_eq!(bytes, [0]);
    }
}
