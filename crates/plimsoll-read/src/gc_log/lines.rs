//! Lines of a stream: each at most so long, in one buffer.

use std::io::{BufRead, BufReader, Read};

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;
/// A line that is longer is handed on in pieces of this, bytes.
const LONGEST: u64 = 64 << 10;

/// Calls `take` with every line; gives the bytes read, and whether the last line had an end.
pub(super) fn each(from: impl Read, mut take: impl FnMut(&str)) -> (u64, bool) {
    let mut from = BufReader::with_capacity(CHUNK, from);
    let (mut line, mut bytes, mut ended) = (Vec::new(), 0, true);
    loop {
        // Most lines lie in the buffer as a whole, and are read there.
        let used = whole_lines(from.buffer(), &mut take);
        from.consume(used);
        bytes += used as u64;
        ended |= used > 0;
        line.clear();
        // What cannot be read further is an end: the caller tells why.
        let Ok(n) = from.by_ref().take(LONGEST).read_until(b'\n', &mut line) else { return (bytes, ended) };
        if n == 0 {
            return (bytes, ended);
        }
        bytes += n as u64;
        ended = line.last() == Some(&b'\n');
        tell(&line, &mut take);
    }
}

/// The lines that have their end in a buffer, up to one that is too long; gives their bytes.
fn whole_lines(buffer: &[u8], take: &mut impl FnMut(&str)) -> usize {
    let mut used = 0;
    for end in memchr::memchr_iter(b'\n', buffer) {
        let Some(line) = buffer.get(used..=end).filter(|line| line.len() as u64 <= LONGEST) else { break };
        tell(line, take);
        used = end + 1;
    }
    used
}

fn tell(line: &[u8], take: &mut impl FnMut(&str)) {
    match std::str::from_utf8(line) {
        Ok(text) => take(text),
        Err(_) => take(&String::from_utf8_lossy(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands on a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let n = self.1.min(self.0.len()).min(into.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let long = "x".repeat(2 * LONGEST as usize + 5);
        let text = format!("a\nbb\r\n\n{long}\nlast \u{e4}");
        for whole in [text.clone(), text + "\n"] {
            let of = |step: usize| {
                let mut lines = Vec::new();
                let end = each(Slow(whole.as_bytes(), step), |l| lines.push(l.to_owned()));
                (lines, end)
            };
            let (lines, end) = of(1 << 20);
            assert_eq!((lines.concat(), end), (whole.clone(), (whole.len() as u64, whole.ends_with('\n'))));
            assert_eq!(lines.iter().map(String::len).max(), Some(LONGEST as usize));
            for step in [1, 3, 100_000] {
                assert_eq!(of(step), (lines.clone(), end));
            }
        }
    }
}
