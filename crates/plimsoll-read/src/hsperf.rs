//! HotSpot's performance counters: the shared buffer (`hsperfdata`, version 2) that every JVM keeps in its
//! temporary folder, in either byte order.
//!
//! The JVM writes while we read. A cut or torn buffer yields the counters that are whole.

use std::collections::BTreeMap;

/// Why a buffer could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HsperfError {
    /// Too short for a head, or without the magic number.
    #[error("not a performance counter buffer of a JVM")]
    Magic,
    /// Another layout than version 2.
    #[error("performance counters of version {0} are not known, only version 2 is")]
    Version(u8),
    /// The JVM has not finished setting it up.
    #[error("the JVM has not finished setting up its performance counters")]
    NotReady,
}

/// The counters of one JVM at one instant, borrowed from the buffer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters<'a> {
    longs: BTreeMap<&'a str, i64>,
    texts: BTreeMap<&'a str, &'a str>,
}

impl<'a> Counters<'a> {
    /// The number of that name.
    pub fn long(&self, name: &str) -> Option<i64> {
        self.longs.get(name).copied()
    }

    /// The text of that name.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.texts.get(name).copied()
    }

    /// How many counters were whole.
    pub fn len(&self) -> usize {
        self.longs.len() + self.texts.len()
    }

    /// True when not one counter was whole.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The first four bytes, whatever the byte order.
const MAGIC: [u8; 4] = [0xca, 0xfe, 0xc0, 0xc0];
/// Entries of a JVM number some hundred; a head that says more is followed this far.
const MOST_ENTRIES: usize = 65_536;

/// Offsets in the head.
mod head {
    pub(super) const ORDER: usize = 4;
    pub(super) const MAJOR: usize = 5;
    pub(super) const ACCESSIBLE: usize = 7;
    pub(super) const FIRST_ENTRY: usize = 24;
    pub(super) const ENTRIES: usize = 28;
}

/// Offsets in an entry, and its shortest length.
mod entry {
    pub(super) const NAME: usize = 4;
    pub(super) const ELEMENTS: usize = 8;
    pub(super) const KIND: usize = 12;
    pub(super) const DATA: usize = 16;
    pub(super) const HEAD: usize = 20;
}

#[derive(Clone, Copy)]
struct Bytes<'a> {
    all: &'a [u8],
    little: bool,
}

impl<'a> Bytes<'a> {
    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.all.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    /// A length or an offset: a signed number that must not be negative.
    fn size(self, at: usize) -> Option<usize> {
        let raw = self.array(at)?;
        let v = if self.little { i32::from_le_bytes(raw) } else { i32::from_be_bytes(raw) };
        usize::try_from(v).ok()
    }

    fn long(self, at: usize) -> Option<i64> {
        let raw = self.array(at)?;
        Some(if self.little { i64::from_le_bytes(raw) } else { i64::from_be_bytes(raw) })
    }

    /// Text up to the first zero byte before `end`; none when it is no UTF-8.
    fn text(self, from: usize, end: usize) -> Option<&'a str> {
        let raw = self.all.get(from..end.min(self.all.len()))?;
        let raw = raw.split(|b| *b == 0).next()?;
        std::str::from_utf8(raw).ok()
    }
}

/// Reads the counters of a buffer.
pub fn parse(buffer: &[u8]) -> Result<Counters<'_>, HsperfError> {
    if buffer.get(..4) != Some(&MAGIC[..]) {
        return Err(HsperfError::Magic);
    }
    let byte = |at: usize| buffer.get(at).copied().ok_or(HsperfError::Magic);
    let bytes = Bytes { all: buffer, little: byte(head::ORDER)? != 0 };
    match byte(head::MAJOR)? {
        2 => {}
        other => return Err(HsperfError::Version(other)),
    }
    if byte(head::ACCESSIBLE)? == 0 {
        return Err(HsperfError::NotReady);
    }
    let first = bytes.size(head::FIRST_ENTRY).ok_or(HsperfError::Magic)?;
    let entries = bytes.size(head::ENTRIES).ok_or(HsperfError::Magic)?;
    Ok(walk(bytes, first, entries.min(MOST_ENTRIES)))
}

fn walk(bytes: Bytes<'_>, first: usize, entries: usize) -> Counters<'_> {
    let mut out = Counters::default();
    let mut at = first;
    for _ in 0..entries {
        // An entry that does not advance would be read for ever.
        let Some(length) = bytes.size(at).filter(|l| *l >= entry::HEAD) else { break };
        let Some(next) = at.checked_add(length).filter(|n| *n <= bytes.all.len()) else { break };
        take(bytes, at, next, &mut out);
        at = next;
    }
    out
}

/// Adds the entry between `at` and `end`, when its parts lie inside it.
fn take<'a>(bytes: Bytes<'a>, at: usize, end: usize, out: &mut Counters<'a>) -> Option<()> {
    let name = bytes.text(at + bytes.size(at + entry::NAME)?, end).filter(|n| !n.is_empty())?;
    let data = at + bytes.size(at + entry::DATA)?;
    let elements = bytes.size(at + entry::ELEMENTS)?;
    match (bytes.all.get(at + entry::KIND)?, elements) {
        (b'J', 0) if data + 8 <= end => {
            out.longs.insert(name, bytes.long(data)?);
        }
        (b'B', n) if n > 0 => {
            out.texts.insert(name, bytes.text(data, end.min(data.checked_add(n)?))?);
        }
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A buffer as a JVM writes it, with one number and one text.
    fn buffer(little: bool) -> Vec<u8> {
        let int = |v: i32| if little { v.to_le_bytes() } else { v.to_be_bytes() };
        let mut out = MAGIC.to_vec();
        out.extend([u8::from(little), 2, 0, 1]);
        out.extend([0; 16]);
        out.extend(int(32));
        out.extend(int(2));
        let mut entry = |name: &str, kind: u8, elements: i32, data: &[u8]| {
            let offset = 20 + (name.len() + 1).next_multiple_of(8);
            out.extend(int((offset + data.len()) as i32));
            out.extend(int(20));
            out.extend(int(elements));
            out.extend([kind, 0, 1, 3]);
            out.extend(int(offset as i32));
            out.extend(name.bytes().chain(std::iter::repeat(0)).take(offset - 20));
            out.extend(data);
        };
        let number = 300_000_000_000_i64;
        entry("a.long", b'J', 0, &if little { number.to_le_bytes() } else { number.to_be_bytes() });
        entry("a.text", b'B', 8, b"G1 G1\0\0\0");
        out
    }

    #[test]
    fn both_byte_orders_give_the_same() {
        for little in [true, false] {
            let bytes = buffer(little);
            let c = parse(&bytes).unwrap();
            assert_eq!((c.long("a.long"), c.text("a.text")), (Some(300_000_000_000), Some("G1 G1")));
            assert_eq!((c.long("a.text"), c.len()), (None, 2));
        }
    }

    #[test]
    fn a_buffer_cut_anywhere_gives_what_is_whole() {
        let bytes = buffer(true);
        for cut in 0..bytes.len() {
            match parse(&bytes[..cut]) {
                Ok(c) => assert!(c.len() < 2 && cut >= 32, "{cut}: {c:?}"),
                Err(e) => assert!(cut < 32 && e == HsperfError::Magic, "{cut}: {e}"),
            }
        }
    }

    #[test]
    fn refusals_say_why() {
        let mut bytes = buffer(true);
        bytes[head::ACCESSIBLE] = 0;
        assert_eq!(parse(&bytes), Err(HsperfError::NotReady));
        bytes[head::MAJOR] = 1;
        assert_eq!(parse(&bytes), Err(HsperfError::Version(1)));
        assert_eq!(parse(b"ELF"), Err(HsperfError::Magic));
    }

    #[test]
    fn an_entry_of_no_length_ends_the_walk() {
        let mut bytes = buffer(true);
        bytes[32..36].fill(0);
        assert!(parse(&bytes).unwrap().is_empty());
        bytes[32..36].fill(0xff);
        assert!(parse(&bytes).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..400), at in 4_usize..200, v in any::<u8>()) {
            let mut damaged = buffer(true);
            if let Some(b) = damaged.get_mut(at) { *b = v; }
            if let Ok(c) = parse(&damaged) { prop_assert!(c.len() <= 2); }
            let mut random = MAGIC.to_vec();
            random.extend([1, 2, 0, 1]);
            random.extend(&tail);
            if let Ok(c) = parse(&random) { prop_assert!(c.len() <= random.len() / 20); }
        }
    }
}
