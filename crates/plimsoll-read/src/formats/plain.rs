//! A stream as its readers want it: unpacked, out of a container's log, in UTF-8; and what stood in the way.

use std::io::{BufReader, Cursor, ErrorKind, Read, Result};

use crate::container_log::{self, Form, Printed};
use crate::line_prefix::{self, LAYERS};
use crate::zstd::Frames;

/// Bytes looked at to tell what an artifact is.
pub(super) const HEAD: usize = 64 << 10;
/// Packed bytes read at once.
const PACKED: usize = 64 << 10;
/// What some editors put at the begin of text in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

type Bytes<'s> = Box<dyn Read + Send + 's>;

/// A stream without wrappings. A failure ends it, as a cut would, and is [told](Plain::stopped).
pub struct Plain<'s> {
    reader: Bytes<'s>,
    head: Vec<u8>,
    stopped: Option<String>,
    notes: Vec<&'static str>,
    bare: Option<bool>,
}

impl<'s> Plain<'s> {
    /// Looks at the begin of a stream and takes its wrappings off.
    pub(super) fn new(from: Bytes<'s>) -> Self {
        let mut plain =
            Plain { reader: from, head: Vec::new(), stopped: None, notes: Vec::new(), bare: None };
        plain.peek(HEAD);
        match plain.head.as_slice() {
            [0x1f, 0x8b, ..] => {
                plain.wrap(|r| {
                    Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(PACKED, r)))
                });
            }
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                plain.wrap(|r| Box::new(Frames::new(BufReader::with_capacity(PACKED, r))));
            }
            _ => {}
        }
        if let Some(order) = byte_order(&plain.head) {
            plain.wrap(|r| {
                Box::new(Utf16 { from: BufReader::with_capacity(PACKED, r), order, out: Vec::new(), at: 0 })
            });
            plain.notes.push("read as UTF-16");
        }
        if plain.head.starts_with(MARK) {
            plain.skip(MARK.len());
        }
        if let Some(form) = container_log::form(&String::from_utf8_lossy(&plain.head)) {
            plain.wrap(|r| Box::new(Printed::new(r, form)));
            plain.notes.push("taken out of a container's log");
        }
        plain
    }

    /// Leaves out the first bytes, which are in the head.
    pub(super) fn skip(&mut self, bytes: usize) {
        let skipped = std::io::copy(&mut self.reader.by_ref().take(bytes as u64), &mut std::io::sink());
        // What is in the head was read already, and cannot fail now.
        let skipped = skipped.map_or(0, |n| n as usize).min(self.head.len());
        self.head.drain(..skipped);
    }

    /// Takes off what stands before each line, as far as something does; `known` leaves what is only the same words.
    /// Whether it did.
    pub(super) fn bare(&mut self, known: bool) -> bool {
        let before = (0..LAYERS).map_while(|_| {
            let before = line_prefix::of(&String::from_utf8_lossy(&self.head))?;
            (before.is_known() || !known).then(|| {
                self.wrap(|r| Box::new(Printed::new(r, Form::Before(before))));
            })
        });
        let any = before.count() > 0;
        if any {
            self.bare = Some(known);
            self.notes.push("what a shipper or a terminal put before each line was taken off");
        }
        any
    }

    /// Whether what stood before each line was taken off, and how.
    pub(super) fn is_bare(&self) -> Option<bool> {
        self.bare
    }

    /// Its first bytes, at most [`HEAD`].
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Why the stream ended before its end.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// What was taken off.
    pub(super) fn notes(&self) -> &[&'static str] {
        &self.notes
    }

    fn wrap(&mut self, by: impl FnOnce(Bytes<'s>) -> Bytes<'s>) {
        let empty: Bytes<'s> = Box::new(std::io::empty());
        let inner = std::mem::replace(&mut self.reader, empty);
        self.reader = by(inner);
        self.peek(HEAD);
    }

    /// Fills the head, and puts what was read back in front.
    fn peek(&mut self, most: usize) {
        let mut head = Vec::new();
        let failed = self.reader.by_ref().take(most as u64).read_to_end(&mut head).err();
        let empty: Bytes<'s> = Box::new(std::io::empty());
        let rest = std::mem::replace(&mut self.reader, empty);
        self.reader = Box::new(Cursor::new(head.clone()).chain(rest));
        self.head = head;
        if let Some(e) = failed {
            self.stop(&e);
            self.reader = Box::new(Cursor::new(self.head.clone()));
        }
    }

    fn stop(&mut self, e: &std::io::Error) {
        let why = match e.kind() {
            ErrorKind::UnexpectedEof => "its packed stream ends too early".to_owned(),
            _ => format!("it could not be read further: {e}"),
        };
        self.stopped.get_or_insert(why);
    }
}

impl Read for Plain<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        loop {
            match self.reader.read(into) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    self.stop(&e);
                    self.reader = Box::new(std::io::empty());
                    return Ok(0);
                }
                read => return read,
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// The order of bytes in UTF-16 text, which a shell of Windows writes; none when the text is not UTF-16.
fn byte_order(head: &[u8]) -> Option<Order> {
    match head {
        [0xff, 0xfe, ..] | [1..=127, 0, 1..=127, 0, ..] => Some(Order::Little),
        [0xfe, 0xff, ..] | [0, 1..=127, 0, 1..=127, ..] => Some(Order::Big),
        _ => None,
    }
}

/// UTF-16 as UTF-8.
struct Utf16<R> {
    from: BufReader<R>,
    order: Order,
    out: Vec<u8>,
    at: usize,
}

impl<R: Read> Utf16<R> {
    /// Decodes some more, never between two units of one character; false at the end.
    fn more(&mut self) -> Result<bool> {
        let mut packed = Vec::with_capacity(8 << 10);
        self.from.by_ref().take(8 << 10).read_to_end(&mut packed)?;
        let unit = |pair: &[u8; 2]| match self.order {
            Order::Little => u16::from_le_bytes(*pair),
            Order::Big => u16::from_be_bytes(*pair),
        };
        let mut units: Vec<u16> = packed.as_chunks().0.iter().map(unit).collect();
        if units.last().is_some_and(|u| (0xd800..0xdc00).contains(u)) {
            let mut second = [0; 2];
            if self.from.read_exact(&mut second).is_ok() {
                units.push(unit(&second));
            }
        }
        self.out.clear();
        self.at = 0;
        for c in char::decode_utf16(units) {
            let c = c.unwrap_or('\u{fffd}');
            if c != '\u{feff}' {
                self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Ok(packed.len() > 1)
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        while self.at >= self.out.len() {
            if !self.more()? {
                return Ok(0);
            }
        }
        let n = self.out.get(self.at..).unwrap_or_default().read(into)?;
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(bytes: &[u8]) -> (String, Vec<&'static str>, Option<String>) {
        let mut out = String::new();
        let mut plain = Plain::new(Box::new(bytes));
        plain.read_to_string(&mut out).unwrap();
        (out, plain.notes.clone(), plain.stopped)
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        w.write_all(bytes).unwrap();
        w.finish().unwrap()
    }

    #[test]
    fn wrappings_come_off_in_whatever_order() {
        let log = "{\"log\":\"hello\\n\"}\n{\"log\":\"world\\n\"}\n";
        assert_eq!(plain(log.as_bytes()).0, "hello\nworld\n");
        assert_eq!(plain(&gz(log.as_bytes())).0, "hello\nworld\n");
        let wide: Vec<u8> = "\u{feff}a𝄞b".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(plain(&gz(&wide)), ("a𝄞b".to_owned(), vec!["read as UTF-16"], None));
        let big: Vec<u8> = "plain".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(plain(&big).0, "plain");
        assert_eq!(plain(b"as it is"), ("as it is".to_owned(), Vec::new(), None));
        assert_eq!(plain(b"").0, "");
        assert_eq!(plain("\u{feff}marked".as_bytes()).0, "marked");
    }

    #[test]
    fn characters_of_two_units_survive_the_borders_of_pieces() {
        let text: String = "a".to_owned() + &"𝄞".repeat(20_000);
        let wide: Vec<u8> = "\u{feff}"
            .chars()
            .chain(text.chars())
            .collect::<String>()
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(plain(&wide).0, text);
    }

    #[test]
    fn a_cut_gives_what_came_before_it() {
        let text: String =
            (0..20_000u64).map(|i| format!("line {}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let packed = gz(text.as_bytes());
        let (out, _, stopped) = plain(packed.get(..packed.len() / 2).unwrap());
        assert!(text.starts_with(&out) && out.len() > text.len() / 4, "{}", out.len());
        assert_eq!(stopped.as_deref(), Some("its packed stream ends too early"));
        let (_, _, stopped) = plain(packed.get(..30).unwrap());
        assert!(stopped.is_some());
    }
}
