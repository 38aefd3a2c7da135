//! A text line by line, whatever its size: a line that is too long keeps its head, and the end says whether it is cut.

use std::io::{BufRead, BufReader, ErrorKind, Read};

/// Bytes of a line that are kept; a path in a mapping's name may have 4096.
const KEPT: usize = 8 << 10;

/// Lines of a stream, without their ends.
pub(crate) struct Lines<R: Read> {
    from: BufReader<R>,
    kept: usize,
    bytes: u64,
    is_whole: bool,
}

impl<R: Read> Lines<R> {
    /// Lines of `from`.
    pub(crate) fn new(from: R) -> Self {
        Lines::up_to(from, KEPT)
    }

    /// The same with so many bytes of a line kept.
    pub(crate) fn up_to(from: R, kept: usize) -> Self {
        Lines { from: BufReader::with_capacity(64 << 10, from), kept, bytes: 0, is_whole: true }
    }

    /// Bytes read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the line that was read last ended with a newline.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut line: Vec<u8> = Vec::new();
        let mut any = false;
        loop {
            // What cannot be read further is the end; who gave the stream knows why.
            let piece = match self.from.fill_buf() {
                Ok(piece) => piece,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if piece.is_empty() {
                break;
            }
            if !std::mem::replace(&mut any, true) {
                self.is_whole = false;
            }
            let end = piece.iter().position(|b| *b == b'\n');
            let part = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
            let room = self.kept.saturating_sub(line.len());
            line.extend_from_slice(part.get(..room).unwrap_or(part));
            let used = part.len() + usize::from(end.is_some());
            self.bytes = self.bytes.saturating_add(used as u64);
            self.from.consume(used);
            if end.is_some() {
                self.is_whole = true;
                break;
            }
        }
        let text = || String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
        any.then(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_the_end_is_told() {
        let long = "x".repeat(100_000);
        let text = format!("a\r\n\n{long}\nlast");
        let mut lines = Lines::new(text.as_bytes());
        assert_eq!((lines.next().unwrap(), lines.is_whole()), ("a".to_owned(), true));
        assert_eq!(lines.next().unwrap(), "");
        assert_eq!((lines.next().unwrap().len(), lines.is_whole()), (KEPT, true));
        assert_eq!((lines.next().unwrap(), lines.is_whole()), ("last".to_owned(), false));
        assert_eq!((lines.next(), lines.is_whole(), lines.bytes()), (None, false, text.len() as u64));
        let mut lines = Lines::new("a\n".as_bytes());
        assert_eq!((lines.by_ref().count(), lines.is_whole()), (1, true));
    }
}
