//! The shape of a token: for each of its units (bytes, or 16-bit characters) the alphabet that the replacement is
//! taken from. A digit stays a digit, a lower-case letter one, a hexadecimal number one; what is not ASCII stays
//! in its part of the code. The templates of keys ([`plimsoll_core::keys`]) tell the same kinds apart: what they take for
//! a number, for hex digits, for a word or for a token without a meaning must be one after it was replaced.

use plimsoll_core::keys::{UUID_LENGTH, is_opaque, is_uuid};

/// Most units of a token: longer ones are taken in parts.
pub(super) const LONGEST: usize = 128;

/// How units above ASCII are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wide {
    /// Bytes of UTF-8: the first byte of a character says how many follow and stays.
    Utf8,
    /// A character each: bytes of Latin-1, or UTF-16.
    Characters,
}

/// The alphabet of one unit: `radix` units from `base` on. Radix 1: the unit stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    base: u16,
    pub(super) radix: u16,
}

/// No other alphabet has as many.
const HEX: u16 = 16;
/// Nor as this one: letters of Latin-1, where two signs lie among them.
const LATIN: u16 = 62;
const SIGNS: [u16; 2] = [0xd7, 0xf7];
const DIGIT: Place = Place { base: b'0' as u16, radix: 10 };
const LOWER: Place = Place { base: b'a' as u16, radix: 26 };
const UPPER: Place = Place { base: b'A' as u16, radix: 26 };
const HEX_LOWER: Place = Place { base: b'a' as u16 - 10, radix: HEX };
const HEX_UPPER: Place = Place { base: b'A' as u16 - 10, radix: HEX };
/// Letters that are hex digits, and those that are none.
const UP_TO_F: u16 = 6;
const BEYOND_F: u16 = 20;
/// The first digit of a number.
pub(super) const LEADING: Place = Place { base: b'1' as u16, radix: 9 };

impl Place {
    /// Where the unit stands in the alphabet.
    pub(super) fn index(self, unit: u16) -> u32 {
        let from = if self.radix == HEX && unit < 0x3a { u16::from(b'0') } else { self.base };
        let signs = SIGNS.iter().filter(|sign| self.radix == LATIN && unit > **sign).count();
        u32::from(unit.saturating_sub(from)) - signs as u32
    }

    /// The unit that stands there.
    pub(super) fn unit(self, index: u32) -> u16 {
        let from = if self.radix == HEX && index < 10 { u16::from(b'0') } else { self.base };
        let unit = from.saturating_add(index as u16);
        SIGNS.iter().fold(unit, |unit, sign| unit + u16::from(self.radix == LATIN && unit >= *sign))
    }

    /// Both numbers in one.
    pub(super) fn code(self) -> u64 {
        u64::from(self.base) << 16 | u64::from(self.radix)
    }

    fn fixed(unit: u16) -> Place {
        Place { base: unit, radix: 1 }
    }

    /// A part of the code, if the unit lies in it.
    fn range(first: u16, last: u16, unit: u16) -> Option<Place> {
        (first..=last).contains(&unit).then(|| Place { base: first, radix: last - first + 1 })
    }
}

/// What a token is to those who read keys; a replacement is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    /// Hex digits, digits and letters among them, those of one case: any of them may take the place of another.
    Hex(Place),
    /// All of them are hex digits, and each stays a digit, or a letter of its case.
    HexDigits,
    /// Something among them is no hex digit.
    Other,
}

pub(super) fn make(units: &[u16]) -> Make {
    let (mut digits, mut lower, mut upper) = (false, false, false);
    for unit in units {
        match u8::try_from(*unit).unwrap_or_default() {
            b'0'..=b'9' => digits = true,
            b'a'..=b'f' => lower = true,
            b'A'..=b'F' => upper = true,
            _ => return Make::Other,
        }
    }
    match (digits, lower, upper) {
        (true, true, false) => Make::Hex(HEX_LOWER),
        (true, false, true) => Make::Hex(HEX_UPPER),
        _ => Make::HexDigits,
    }
}

/// The alphabets of a token's units, which fill the front of `places`.
pub(super) fn places(units: &[u16], wide: Wide, places: &mut [Place; LONGEST]) -> Make {
    let make = make(units);
    let mut before = 0;
    for (place, unit) in places.iter_mut().zip(units) {
        let own = place_of(*unit, before, wide);
        *place = match make {
            Make::Hex(hex) => hex,
            Make::HexDigits if own != DIGIT => Place { radix: UP_TO_F, ..own },
            // A single letter would find no way to another one that is no hex digit either.
            Make::Other if units.len() == 1 && (own == LOWER || own == UPPER) => {
                Place { base: own.base + UP_TO_F, radix: BEYOND_F }
            }
            Make::HexDigits | Make::Other => own,
        };
        before = *unit;
    }
    make
}

/// The hex digits of a UUID at the front of a run of units: nothing when there is none, else the alphabet of all of them.
pub(super) fn uuid(units: impl Iterator<Item = u16> + Clone) -> Option<Place> {
    // What is beyond ASCII is no hex digit.
    let bytes = units.map(|unit| u8::try_from(unit).unwrap_or(0xff));
    let ends = bytes.clone().nth(UUID_LENGTH).is_none_or(|b| !b.is_ascii_alphanumeric() && b < 0x80);
    let mut whole = bytes.take(UUID_LENGTH);
    let is_one = ends && is_uuid(whole.clone());
    is_one.then(|| if whole.any(|b| b.is_ascii_uppercase()) { HEX_UPPER } else { HEX_LOWER })
}

fn place_of(unit: u16, before: u16, wide: Wide) -> Place {
    match unit {
        0x30..=0x39 => DIGIT,
        0x61..=0x7a => LOWER,
        0x41..=0x5a => UPPER,
        0..=0x7f => Place::fixed(unit),
        _ if wide == Wide::Utf8 => utf8(unit, before),
        _ => character(unit),
    }
}

/// A byte of UTF-8 or of the form of it that Java has, where a zero takes two bytes and surrogates three each.
/// After some first bytes not every byte may follow.
fn utf8(unit: u16, before: u16) -> Place {
    let narrowed = match (unit, before) {
        (0xc0.., _) | (_, 0xc0 | 0xc1 | 0xf4) => Some(Place::fixed(unit)),
        (_, 0xe0) => Place::range(0xa0, 0xbf, unit),
        (_, 0xed) => Place::range(0x80, 0x9f, unit).or(Place::range(0xa0, 0xbf, unit)),
        (_, 0xf0) => Place::range(0x90, 0xbf, unit),
        _ => None,
    };
    narrowed.unwrap_or(Place { base: 0x80, radix: 64 })
}

fn character(unit: u16) -> Place {
    match unit {
        0xd7 | 0xf7 => Place::fixed(unit),
        0xc0..0x100 => Place { base: 0xc0, radix: LATIN },
        ..0x100 => Place { base: unit & 0xc0, radix: 64 },
        0x4e00..=0x9fff => Place { base: 0x4e00, radix: 0x5200 },
        0xac00..=0xd7a3 => Place { base: 0xac00, radix: 11_172 },
        // Scripts begin at multiples of 128, and a surrogate stays a surrogate of its half.
        _ => Place { base: unit & 0xff80, radix: 128 },
    }
}

/// Whether words and numbers in one token are tokens of their own, as the templates of keys have it: `user123`, `13T10`,
/// `v2`. What is mixed more, or is long, is one: cut into its letters and digits, it would be a substitution of letters
/// that anyone can solve.
pub(super) fn has_parts(units: &[u16]) -> bool {
    // What matters is only which of them are digits.
    let characters = units.iter().map(|unit| u8::try_from(*unit).map_or('x', char::from));
    make(units) == Make::Other && !is_opaque(characters)
}

/// Whether two units of a token that has parts are in one part.
pub(super) fn go_together(a: u16, b: u16) -> bool {
    let is_digit = |unit| (0x30..=0x39).contains(&unit);
    is_digit(a) == is_digit(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn hexadecimal_numbers_have_both_digits_and_letters() {
        for (text, is) in [
            ("ab12", Make::Hex(HEX_LOWER)),
            ("AB12", Make::Hex(HEX_UPPER)),
            ("aB12", Make::HexDigits),
            ("1234", Make::HexDigits),
            ("face", Make::HexDigits),
            ("g1", Make::Other),
            ("\u{161}1", Make::Other),
        ] {
            assert_eq!(make(&units(text)), is, "{text}");
        }
    }

    #[test]
    fn a_uuid_is_told_by_its_groups() {
        let of = |text: &str| uuid(units(text).into_iter());
        assert_eq!(of("3f2504e0-4f89-11d3-9a0c-0305e82c3301"), Some(HEX_LOWER));
        assert_eq!(of("DEADBEEF-4F89-11D3-9A0C-0305E82C3301/x"), Some(HEX_UPPER));
        for none in [
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301a",
            "3f2504e0-4f89-11d3-9a0c-0305e82c33",
            "3f2504e0-4f89-11d3-9a0c10305e82c3301",
            "3f2504e0-4f89-11d3-9a0c-0305e82c330g",
            "",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn every_unit_is_found_again_in_its_alphabet() {
        for wide in [Wide::Utf8, Wide::Characters] {
            for before in [0, 0xc3, 0xe0, 0xed, 0xf0, 0xf4] {
                for unit in 0..=if wide == Wide::Utf8 { 0xff } else { u16::MAX } {
                    let place = place_of(unit, before, wide);
                    assert!(
                        place.index(unit) < u32::from(place.radix),
                        "{unit:#x} after {before:#x}: {place:?}"
                    );
                    assert_eq!(place.unit(place.index(unit)), unit, "{unit:#x} after {before:#x}: {place:?}");
                }
            }
        }
    }

    #[test]
    fn words_and_numbers_in_one_token_are_tokens_of_their_own() {
        let parts = |text: &str| {
            let all = units(text);
            let cut = has_parts(&all);
            let parts = all.chunk_by(|a, b| !cut || go_together(*a, *b));
            parts.map(|part| String::from_utf16(part).expect("as it was")).collect::<Vec<_>>().join("|")
        };
        for whole in ["word", "1234", "ab12", "bad12", "12E4", "a1x2y", "aGVsbG8gd29ybGQhIQ9", "", "schön"] {
            assert_eq!(parts(whole), whole);
        }
        for cut in
            ["user|123", "userId|7", "Thread|7", "v|2", "HTTP|2", "13|T|10", "00|Z", "größe|4", "user|12|ab"]
        {
            assert_eq!(parts(&cut.replace('|', "")), cut);
        }
    }
}
