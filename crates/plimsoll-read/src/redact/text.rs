//! Text in arrays: what is it written in, where are its tokens, what stays.
//!
//! An array of bytes does not say what it holds. It is looked at in segments of 4 KiB: UTF-8 or Latin-1, UTF-16 of
//! either byte order (a Java string beyond Latin-1 is in the order of the machine), or no text at all; that is
//! overwritten with zeros. In text the separators stay, and tokens between them are replaced; bytes that belong to
//! neither are overwritten. Where a guess is wrong, tokens are cut oddly, but nothing is let through.

use std::borrow::Cow;

use plimsoll_core::keys::UUID_LENGTH;

use super::shape::{LONGEST, Place, Wide, uuid};
use super::tokens::{Tokens, Unit};

/// Bytes looked at to tell what they are.
const SEGMENT: usize = 4096;
/// A segment is extended to the end of a token that it would cut, by this many bytes at most.
const EXTENSION: usize = 4096;
/// Different separators in a row that stay. Behind them each is a point.
const SEPARATORS: u32 = 4;
/// What takes the place of a control character.
const SUBSTITUTE: u16 = 0x1a;

/// What an array's elements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elements {
    /// `byte[]`
    Bytes,
    /// `char[]`: big-endian in the dump.
    Characters,
}

/// Replaces the text at the front of `bytes`, which begin at the array's begin or where the last call ended. Tells
/// how many bytes are done: all, when they are the `last`; else what is left must be given again, with more behind.
pub(super) fn replace(tokens: &mut Tokens, bytes: &mut [u8], elements: Elements, last: bool) -> usize {
    let (length, mut done) = (bytes.len(), 0);
    while done < length && (last || length - done >= SEGMENT + EXTENSION) {
        let rest = bytes.get_mut(done..).unwrap_or_default();
        done += segment(tokens, rest, elements);
    }
    done
}

/// Replaces one segment; tells its length.
fn segment(tokens: &mut Tokens, bytes: &mut [u8], elements: Elements) -> usize {
    let (first, rest) = bytes.split_at(bytes.len().min(SEGMENT));
    let script = match elements {
        Elements::Characters => Script::Utf16(u16::from_be_bytes),
        Elements::Bytes => guess(first),
    };
    let more = match script {
        Script::Nothing => 0,
        Script::Bytes(_) => match first.last() {
            Some(last) if is_token(u16::from(*last)) => {
                rest.iter().take(EXTENSION).take_while(|b| is_token(u16::from(**b))).count()
            }
            _ => 0,
        },
        Script::Utf16(order) => match units(first, order).last() {
            Some(last) if is_token(last) => {
                2 * units(rest, order).take(EXTENSION / 2).take_while(|u| is_token(*u)).count()
            }
            _ => 0,
        },
    };
    let length = first.len() + more;
    let bytes = bytes.get_mut(..length).unwrap_or_default();
    match script {
        Script::Nothing => bytes.fill(0),
        Script::Bytes(wide) => line(tokens, bytes, wide),
        Script::Utf16(order) => utf16(tokens, bytes, order),
    }
    length
}

/// The text in bytes as far as it is ASCII: a character for each unit, what is beyond as `0xff`. Nothing when there is no
/// text in it.
pub(crate) fn readable(bytes: &[u8], elements: Elements) -> Option<Cow<'_, [u8]>> {
    let first = bytes.get(..SEGMENT).unwrap_or(bytes);
    let order = match elements {
        Elements::Characters => u16::from_be_bytes,
        Elements::Bytes => match guess(first) {
            Script::Nothing => return None,
            Script::Bytes(_) => return Some(Cow::Borrowed(bytes)),
            Script::Utf16(order) => order,
        },
    };
    Some(units(bytes, order).map(|u| u8::try_from(u).unwrap_or(0xff)).collect::<Vec<u8>>().into())
}

/// Replaces a name or another text in UTF-8, or in the form of it that Java has.
pub(super) fn replace_utf8(tokens: &mut Tokens, bytes: &mut [u8]) {
    line(tokens, bytes, Wide::Utf8);
}

fn utf16(tokens: &mut Tokens, bytes: &mut [u8], order: Order) {
    let mut wide: Vec<u16> = units(bytes, order).collect();
    line(tokens, &mut wide, Wide::Characters);
    let mut pairs = bytes.chunks_exact_mut(2);
    for (pair, unit) in pairs.by_ref().zip(wide) {
        // The order is its own opposite.
        pair.copy_from_slice(&order(unit.to_ne_bytes()).to_ne_bytes());
    }
    pairs.into_remainder().fill(0);
}

/// What a unit of text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Token,
    /// Blanks, ends of lines and zeros: they stay.
    Blank,
    Separator,
    Control,
}

fn kind(unit: u16) -> Kind {
    match unit {
        0x30..=0x39 | 0x41..=0x5a | 0x61..=0x7a | 0x80.. => Kind::Token,
        0 | 9 | 10 | 13 | 32 => Kind::Blank,
        ..32 | 0x7f => Kind::Control,
        _ => Kind::Separator,
    }
}

fn is_token(unit: u16) -> bool {
    kind(unit) == Kind::Token
}

/// Replaces all there is to replace in a run of units.
fn line<T: Unit>(tokens: &mut Tokens, units: &mut [T], wide: Wide) {
    let (mut rest, mut before, mut separators) = (units, 0, 0);
    while let Some(first) = rest.first() {
        let unit = first.wide();
        let kind = kind(unit);
        let uuid = uuid_at(rest, before);
        let length = match kind {
            _ if uuid.is_some() => UUID_LENGTH,
            Kind::Token => {
                1 + rest.iter().skip(1).take(LONGEST - 1).take_while(|u| is_token(u.wide())).count()
            }
            _ => 1,
        };
        let Some((token, next)) = rest.split_at_mut_checked(length) else { return };
        rest = next;
        separators = match kind {
            Kind::Separator if unit == before => separators,
            Kind::Separator => separators + 1,
            _ => 0,
        };
        before = unit;
        match (kind, uuid) {
            (Kind::Token, Some(hex)) => groups(tokens, token, hex),
            (Kind::Token, None) => tokens.replace(token, wide),
            (Kind::Control, _) => token.fill(T::narrow(SUBSTITUTE)),
            (Kind::Separator, _) if separators > SEPARATORS => token.fill(T::narrow(u16::from(b'.'))),
            (Kind::Separator | Kind::Blank, _) => {}
        }
    }
}

/// The alphabet of a UUID that begins here, behind another unit.
#[inline]
fn uuid_at<T: Unit>(units: &[T], before: u16) -> Option<Place> {
    let has_first_dash = units.get(8).is_some_and(|unit| unit.wide() == u16::from(b'-'));
    (has_first_dash && !is_token(before)).then(|| uuid(units.iter().map(|unit| unit.wide()))).flatten()
}

/// Replaces the groups of a UUID.
fn groups<T: Unit>(tokens: &Tokens, uuid: &mut [T], hex: Place) {
    uuid.split_mut(|unit| unit.wide() == u16::from(b'-')).for_each(|group| tokens.replace_hex(group, hex));
}

type Order = fn([u8; 2]) -> u16;

fn units(bytes: &[u8], order: Order) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).filter_map(|pair| pair.first_chunk()).map(move |pair| order(*pair))
}

/// What bytes are written in.
#[derive(Clone, Copy)]
enum Script {
    Nothing,
    Bytes(Wide),
    Utf16(Order),
}

/// How often what occurs in a segment.
#[derive(Default)]
struct Census {
    zero: u32,
    control: u32,
    high: u32,
}

impl Census {
    fn of(bytes: &[u8]) -> Census {
        let mut census = Census::default();
        for byte in bytes {
            census.zero += u32::from(*byte == 0);
            census.high += u32::from(*byte >= 0x80);
            census.control += u32::from((*byte < 32 && !matches!(byte, 9 | 10 | 13)) || *byte == 0x7f);
        }
        census.control -= census.zero;
        census
    }
}

fn guess(bytes: &[u8]) -> Script {
    let census = Census::of(bytes);
    if census.zero == 0 && census.control == 0 && census.high == 0 {
        return Script::Bytes(Wide::Characters);
    }
    let written = bytes.len() as u32 - census.zero;
    let orders: [Order; 2] = [u16::from_le_bytes, u16::from_be_bytes];
    let even = bytes.len().is_multiple_of(2);
    if written == 0 {
        return Script::Nothing;
    }
    if let Some(order) = orders.into_iter().find(|order| even && census.zero > 0 && is_latin(bytes, *order)) {
        return Script::Utf16(order);
    }
    if census.control * 16 <= written {
        if is_utf8(bytes) {
            return Script::Bytes(Wide::Utf8);
        }
        if census.high * 4 <= written {
            return Script::Bytes(Wide::Characters);
        }
    }
    let order = orders.into_iter().find(|order| even && is_written(bytes, *order));
    order.map_or(Script::Nothing, Script::Utf16)
}

/// UTF-8, but for a character that was cut at either end.
fn is_utf8(bytes: &[u8]) -> bool {
    let cut = bytes.iter().take(3).take_while(|b| (0x80..0xc0).contains(*b)).count();
    match std::str::from_utf8(bytes.get(cut..).unwrap_or_default()) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

/// Whether most characters are of Latin-1, and nearly all of those can be printed.
fn is_latin(bytes: &[u8], order: Order) -> bool {
    let (mut all, mut latin, mut printed) = (0_u32, 0_u32, 0_u32);
    for unit in units(bytes, order).filter(|u| *u != 0) {
        all += 1;
        latin += u32::from(unit < 0x100);
        printed += u32::from(matches!(unit, 9 | 10 | 13 | 0x20..=0x7e | 0xa0..=0xff));
    }
    latin * 2 > all && printed * 16 >= latin * 15
}

/// Whether nearly all characters are of scripts that are in use.
fn is_written(bytes: &[u8], order: Order) -> bool {
    let (mut all, mut written) = (0_u32, 0_u32);
    for unit in units(bytes, order).filter(|u| *u != 0) {
        all += 1;
        written += u32::from(matches!(unit,
            9 | 10 | 13 | 0x20..=0x7e | 0xa0..=0x6ff | 0x900..=0xe7f | 0x10a0..=0x11ff | 0x1e00..=0x206f
            | 0x20a0..=0x27ff | 0x3000..=0x30ff | 0x4e00..=0x9fff | 0xac00..=0xdfff | 0xfe00..=0xfffd));
    }
    written * 20 >= all * 19
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(&[8; 32], false)
    }

    fn replaced(bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        assert_eq!(replace(&mut tokens(), &mut out, Elements::Bytes, true), bytes.len());
        out
    }

    fn string(text: &str) -> String {
        String::from_utf8(replaced(text.as_bytes())).expect("UTF-8")
    }

    fn encoded(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(order).collect()
    }

    fn shares(a: &[u8], b: &[u8], length: usize) -> bool {
        a.windows(length).any(|w| b.windows(length).any(|x| x == w))
    }

    #[test]
    fn separators_stay_and_the_same_words_give_the_same() {
        let first = string("/orders/123?trace=ab12");
        let second = string("/orders/456?trace=cd34");
        let cut = |text: &str| -> Vec<String> {
            text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned).collect()
        };
        let (first, second) = (cut(&first), cut(&second));
        assert_eq!(first.len(), 5, "{first:?}");
        assert_eq!((&first[1], &first[3]), (&second[1], &second[3]));
        assert!(first[2] != second[2] && first[4] != second[4]);
        assert!(first[2].trim_end_matches('?').parse::<u32>().is_ok());
    }

    #[test]
    fn the_same_text_is_replaced_alike_in_any_encoding() {
        let text = "user123@example.test said: Grüße";
        let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
        let wanted: Vec<u16> = replaced(&latin).iter().map(|b| u16::from(*b)).collect();
        let le = replaced(&encoded(text, u16::to_le_bytes));
        assert_eq!(units(&le, u16::from_le_bytes).collect::<Vec<_>>(), wanted);
        let be = replaced(&encoded(text, u16::to_be_bytes));
        assert_eq!(units(&be, u16::from_be_bytes).collect::<Vec<_>>(), wanted);
        let mut chars = encoded(text, u16::to_be_bytes);
        replace(&mut tokens(), &mut chars, Elements::Characters, true);
        assert_eq!(chars, be);
    }

    #[test]
    fn nothing_of_other_scripts_survives() {
        for text in [
            "пароль: очень секретный текст",
            "密码是不可告人的秘密內容在這裡",
            "パスワードはひみつです",
            "비밀번호는 비밀입니다 정말",
        ] {
            let utf8 = text.as_bytes();
            assert!(!shares(utf8, &replaced(utf8), 8), "{text}");
            assert!(std::str::from_utf8(&replaced(utf8)).is_ok());
            for order in [u16::to_le_bytes, u16::to_be_bytes] {
                let bytes = encoded(text, order);
                assert!(!shares(&bytes, &replaced(&bytes), 6), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_text_becomes_zero() {
        let key: Vec<u8> = (0..64_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert_eq!(replaced(&key), [0; 64]);
        assert_eq!(replaced(&[0x2a, 0, 0, 0, 1, 0, 0, 0]), [0; 8]);
    }

    #[test]
    fn a_buffer_with_text_in_front() {
        let mut buffer = vec![0; 1024];
        buffer[..21].copy_from_slice(b"password=hunter2-not!");
        let out = replaced(&buffer);
        assert!(out[21..].iter().all(|b| *b == 0));
        assert_eq!((out[8], out[20]), (b'=', b'!'));
        assert!(!shares(&out[..21], &buffer[..21], 4));
    }

    #[test]
    fn rows_of_separators_are_cut_off() {
        assert_eq!(string("!@#$%^&*()"), "!@#$......");
        assert_eq!(string("-----"), "-----");
        assert_eq!(string("    \"},{ \"\n"), "    \"},{ \"\n");
        assert_eq!(replaced(b"\x1b[31mred text in a console, all of it\x1b[0m")[0], 0x1a);
    }

    /// However the pieces come, the same comes out.
    #[test]
    fn pieces_make_no_difference() {
        let mut text: Vec<u8> = Vec::new();
        for i in 0..4000_u32 {
            let word = format!("/orders/{}?user{}={:x} ", i * 77, i % 9, u64::from(i) << 33 | 5);
            text.extend_from_slice(word.as_bytes());
        }
        text.extend((0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
        text.extend(std::iter::repeat_n(b'x', 10_000));
        let whole = replaced(&text);
        for piece in [1000, 4096, 8192, 30_001] {
            let (mut out, mut held) = (Vec::new(), Vec::new());
            let pieces = text.chunks(piece).count();
            for (i, chunk) in text.chunks(piece).enumerate() {
                held.extend_from_slice(chunk);
                let done = replace(&mut tokens(), &mut held, Elements::Bytes, i + 1 == pieces);
                out.extend(held.drain(..done));
                assert!(held.len() < SEGMENT + EXTENSION);
            }
            assert!(out == whole, "pieces of {piece}");
        }
    }

    #[test]
    fn odd_and_tiny_arrays() {
        for bytes in [&b""[..], b"a", b"\0", b"\xff", b"\x01", b"a\0b"] {
            assert_eq!(replaced(bytes).len(), bytes.len());
        }
        let mut odd = vec![0, b'a', 0];
        assert_eq!(replace(&mut tokens(), &mut odd, Elements::Characters, true), 3);
    }
}
