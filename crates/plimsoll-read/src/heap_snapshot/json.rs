//! JSON as a stream: big arrays of integers at the speed of their digits, strings without the rest of the file.
//!
//! Nothing here holds more than its buffer, and nesting is counted, not recursed into.

use std::io::{ErrorKind, Read};

/// Bytes read at once.
const BUFFER: usize = 1 << 18;

/// Why a value is not there to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The bytes end before it.
    Cut,
    /// What is there is not what JSON has at this place, or more than may be held.
    Damaged,
}

/// Reads values one after the other.
pub(super) struct Scanner<R> {
    from: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// Bytes in front of the buffer.
    before: u64,
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(from: R) -> Self {
        Scanner { from, buffer: vec![0; BUFFER], at: 0, end: 0, before: 0 }
    }

    pub(super) fn source(&self) -> &R {
        &self.from
    }

    /// Bytes taken so far.
    pub(super) fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// What is read and not taken; empty at the end. A failing source ends where it fails.
    fn rest(&mut self) -> &[u8] {
        while self.at >= self.end {
            self.before += self.end as u64;
            (self.at, self.end) = (0, 0);
            match self.from.read(&mut self.buffer) {
                Ok(0) => return &[],
                Ok(count) => self.end = count.min(self.buffer.len()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return &[],
            }
        }
        self.buffer.get(self.at..self.end).unwrap_or_default()
    }

    fn peek(&mut self) -> Result<u8, Broken> {
        self.rest().first().copied().ok_or(Broken::Cut)
    }

    /// The next byte that is no space.
    pub(super) fn solid(&mut self) -> Result<u8, Broken> {
        loop {
            match self.peek()? {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                byte => return Ok(byte),
            }
        }
    }

    /// Takes `wanted`, after spaces.
    pub(super) fn take(&mut self, wanted: u8) -> Result<(), Broken> {
        if self.solid()? != wanted {
            return Err(Broken::Damaged);
        }
        self.at += 1;
        Ok(())
    }

    /// Takes `wanted` if it comes next.
    pub(super) fn took(&mut self, wanted: u8) -> Result<bool, Broken> {
        let is_next = self.solid()? == wanted;
        self.at += usize::from(is_next);
        Ok(is_next)
    }

    /// An array of integers that are not negative (a minus is passed over): each to `each`, which stops by
    /// saying false.
    pub(super) fn numbers(&mut self, mut each: impl FnMut(u64) -> bool) -> Result<(), Broken> {
        self.take(b'[')?;
        let (mut value, mut has_digit) = (0u64, false);
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Err(Broken::Cut);
            }
            let mut taken = 0;
            for &byte in rest {
                taken += 1;
                let digit = byte.wrapping_sub(b'0');
                if digit < 10 {
                    value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
                    has_digit = true;
                    continue;
                }
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' | b'-' => continue,
                    b',' | b']' => {}
                    _ => return Err(Broken::Damaged),
                }
                if has_digit && !each(value) {
                    return Err(Broken::Damaged);
                }
                (value, has_digit) = (0, false);
                if byte == b']' {
                    self.at += taken;
                    return Ok(());
                }
            }
            self.at += taken;
        }
    }

    /// A string into `text`, as UTF-8, its first `most` bytes; the number of bytes that it has.
    pub(super) fn string(&mut self, text: &mut Vec<u8>, most: usize) -> Result<usize, Broken> {
        self.take(b'"')?;
        text.clear();
        let mut length = 0;
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Err(Broken::Cut);
            }
            let plain = rest.iter().position(|b| matches!(b, b'"' | b'\\')).unwrap_or(rest.len());
            let kept = plain.min(most.saturating_sub(text.len()));
            text.extend_from_slice(rest.get(..kept).unwrap_or_default());
            length += plain;
            let end = rest.get(plain).copied();
            self.at += plain;
            match end {
                None => {}
                Some(b'"') => {
                    self.at += 1;
                    return Ok(length);
                }
                Some(_) => {
                    self.at += 1;
                    length += self.escaped(text, most)?;
                }
            }
        }
    }

    /// What follows a backslash. Halves of a pair of UTF-16 become one mark each: names have none.
    fn escaped(&mut self, text: &mut Vec<u8>, most: usize) -> Result<usize, Broken> {
        let letter = self.peek()?;
        self.at += 1;
        let letter = match letter {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let mut code = 0;
                for _ in 0..4 {
                    let digit = char::from(self.peek()?).to_digit(16).ok_or(Broken::Damaged)?;
                    code = code * 16 + digit;
                    self.at += 1;
                }
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => char::from(other),
        };
        let length = letter.len_utf8();
        if text.len() + length <= most {
            text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(length)
    }

    /// Passes over a value of whatever kind, each byte of it to `each`.
    pub(super) fn value(&mut self, mut each: impl FnMut(u8)) -> Result<(), Broken> {
        self.solid()?;
        let (mut depth, mut in_string, mut escaped) = (0u64, false, false);
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Err(Broken::Cut);
            }
            let mut taken = 0;
            for &byte in rest {
                if in_string {
                    in_string = escaped || byte != b'"';
                    escaped = !escaped && byte == b'\\';
                } else {
                    match byte {
                        b'"' => in_string = true,
                        b'[' | b'{' => depth += 1,
                        b',' | b']' | b'}' if depth == 0 => {
                            self.at += taken;
                            return Ok(());
                        }
                        b']' | b'}' => depth -= 1,
                        _ => {}
                    }
                }
                taken += 1;
                each(byte);
            }
            self.at += taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time: every value crosses the border of a buffer.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            to[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn numbers(text: &str) -> (Vec<u64>, Result<(), Broken>) {
        let mut found = Vec::new();
        let said = Scanner::new(Slow(text.as_bytes())).numbers(|n| {
            found.push(n);
            true
        });
        (found, said)
    }

    #[test]
    fn numbers_minified_pretty_cut_and_damaged() {
        assert_eq!(numbers("[1,22,\n 333]"), (vec![1, 22, 333], Ok(())));
        assert_eq!(numbers(" [ ]"), (vec![], Ok(())));
        // A number at the cut may lack digits: it is not taken.
        assert_eq!(numbers("[1,22,33"), (vec![1, 22], Err(Broken::Cut)));
        assert_eq!(numbers("[1,{"), (vec![1], Err(Broken::Damaged)));
        assert_eq!(numbers("1"), (vec![], Err(Broken::Damaged)));
    }

    #[test]
    fn strings_are_unescaped_and_clipped() {
        let mut s = Scanner::new(Slow(br#" "a\"\u00e9\nxyz" "more" "cut"#));
        let mut text = Vec::new();
        assert_eq!(s.string(&mut text, 5), Ok(8));
        assert_eq!(String::from_utf8(text.clone()).unwrap(), "a\"é\n");
        assert_eq!(s.string(&mut text, 100), Ok(4));
        assert_eq!(text, b"more");
        assert_eq!(s.string(&mut text, 100), Err(Broken::Cut));
    }

    #[test]
    fn values_are_passed_over_whatever_they_nest() {
        let mut s = Scanner::new(Slow(br#"{"a":[1,"]}\"",{}]}, 7 ]"#));
        let mut bytes = 0;
        assert_eq!(s.value(|_| bytes += 1), Ok(()));
        assert_eq!(bytes, 19);
        s.take(b',').unwrap();
        assert_eq!(s.value(|_| ()), Ok(()));
        assert!(s.took(b']').unwrap());
        assert_eq!(Scanner::new(Slow(&[b'['; 100])).value(|_| ()), Err(Broken::Cut));
    }
}
