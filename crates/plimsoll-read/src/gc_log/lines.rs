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
        line.clear();
        // What cannot be read further is an end: the caller tells why.
        let Ok(n) = from.by_ref().take(LONGEST).read_until(b'\n', &mut line) else { return (bytes, ended) };
        if n == 0 {
            return (bytes, ended);
        }
        bytes += n as u64;
        ended = line.last() == Some(&b'\n');
        match std::str::from_utf8(&line) {
            Ok(text) => take(text),
            Err(_) => take(&String::from_utf8_lossy(&line)),
        }
    }
}
