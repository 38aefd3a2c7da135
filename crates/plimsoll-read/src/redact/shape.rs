//! The shape of a token: for each of its units (bytes, or 16-bit characters) the alphabet that the replacement is
//! taken from. A digit stays a digit, a lower-case letter one, a hexadecimal number one; what is not ASCII stays
//! in its part of the code.

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
const DIGIT: Place = Place { base: b'0' as u16, radix: 10 };
const LOWER: Place = Place { base: b'a' as u16, radix: 26 };
const UPPER: Place = Place { base: b'A' as u16, radix: 26 };
const HEX_LOWER: Place = Place { base: b'a' as u16 - 10, radix: HEX };
const HEX_UPPER: Place = Place { base: b'A' as u16 - 10, radix: HEX };
/// The first digit of a number.
pub(super) const LEADING: Place = Place { base: b'1' as u16, radix: 9 };

impl Place {
    /// Where the unit stands in the alphabet.
    pub(super) fn index(self, unit: u16) -> u32 {
        let from = if self.radix == HEX && unit < 0x3a { u16::from(b'0') } else { self.base };
        u32::from(unit.saturating_sub(from))
    }

    /// The unit that stands there.
    pub(super) fn unit(self, index: u32) -> u16 {
        let from = if self.radix == HEX && index < 10 { u16::from(b'0') } else { self.base };
        from.saturating_add(index as u16)
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

/// Whether the token is a hexadecimal number with both digits and letters, all of one case.
pub(super) fn is_hex(units: &[u16]) -> Option<Place> {
    let (mut digits, mut lower, mut upper) = (false, false, false);
    for unit in units {
        match u8::try_from(*unit).ok()? {
            b'0'..=b'9' => digits = true,
            b'a'..=b'f' => lower = true,
            b'A'..=b'F' => upper = true,
            _ => return None,
        }
    }
    match (digits, lower, upper) {
        (true, true, false) => Some(HEX_LOWER),
        (true, false, true) => Some(HEX_UPPER),
        _ => None,
    }
}

/// The alphabets of a token's units, which fill the front of `places`.
pub(super) fn places(units: &[u16], wide: Wide, places: &mut [Place; LONGEST]) -> bool {
    let hex = is_hex(units);
    let mut before = 0;
    for (place, unit) in places.iter_mut().zip(units) {
        *place = hex.unwrap_or_else(|| place_of(*unit, before, wide));
        before = *unit;
    }
    hex.is_some()
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
        ..0x100 => Place { base: unit & 0xc0, radix: 64 },
        0x4e00..=0x9fff => Place { base: 0x4e00, radix: 0x5200 },
        0xac00..=0xd7a3 => Place { base: 0xac00, radix: 11_172 },
        // Scripts begin at multiples of 128, and a surrogate stays a surrogate of its half.
        _ => Place { base: unit & 0xff80, radix: 128 },
    }
}

/// Where a word that a number follows ends: `user123`, `Thread7`. Anything more mixed is one token: cut into its
/// letters and digits, it would be a substitution of letters that anyone can solve.
pub(super) fn word_before_number(units: &[u16]) -> Option<usize> {
    let is_lower = |u: &u16| (0x61..=0x7a).contains(u);
    let is_upper = |u: &u16| (0x41..=0x5a).contains(u);
    let first = units.first()?;
    let rest = units.get(1..)?;
    let tail =
        if is_lower(first) || is_upper(first) { rest.iter().take_while(|u| is_lower(u)).count() } else { 0 };
    let word = 1 + tail;
    let number = units.get(word..)?;
    let is_number = !number.is_empty() && number.iter().all(|u| (0x30..=0x39).contains(u));
    (word >= 3 && is_number).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn hexadecimal_numbers_have_both_digits_and_letters() {
        for (text, is) in
            [("ab12", true), ("AB12", true), ("aB12", false), ("1234", false), ("face", false), ("g1", false)]
        {
            assert_eq!(is_hex(&units(text)).is_some(), is, "{text}");
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
    fn a_number_behind_a_word_is_a_token_of_its_own() {
        for (text, at) in
            [("user123", Some(4)), ("Thread7", Some(6)), ("v2", None), ("a1b2", None), ("word", None)]
        {
            assert_eq!(word_before_number(&units(text)), at, "{text}");
        }
        assert_eq!(word_before_number(&units("HTTP2")), None);
        assert_eq!(word_before_number(&[]), None);
    }
}
