//! The first line of a goroutine in a text dump: `goroutine 41 [chan receive, 5 minutes] {route: "/a"}:`.
//!
//! `goroutine ID [gp=0x… m=…] [STATUS (leaked) (scan) (durable), N minutes, locked to thread, synctest bubble N]
//! {key: value, "key 2": "value"}:`; in a log something may stand before it.

/// What the first line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// The goroutine's number.
    pub(super) id: u64,
    /// Why it waits, without marks: `chan receive`.
    pub(super) state: &'a [u8],
    /// Whether the runtime proved that nothing can ever wake it.
    pub(super) leaked: bool,
    /// Minutes it has been waiting, when said.
    pub(super) minutes: Option<u64>,
    /// What stands between the braces of the labels.
    pub(super) labels: Option<&'a [u8]>,
    /// Words (ends of which are single spaces) that the log puts before each line.
    pub(super) words: usize,
}

const WORD: &[u8] = b"goroutine ";
/// A log's prefix is no longer than this, bytes.
const LONGEST_PREFIX: usize = 256;

/// Reads a line without its end; none when it starts no goroutine.
pub(super) fn header(line: &[u8]) -> Option<Header<'_>> {
    if !(line.ends_with(b"]:") || line.ends_with(b"}:")) {
        return None;
    }
    let at = start(line)?;
    let words = line.get(..at)?.iter().filter(|&&b| b == b' ').count();
    let rest = line.get(at + WORD.len()..)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let id = number(rest.get(..digits)?)?;
    let rest = rest.get(digits..)?;
    let open = rest.iter().position(|&b| b == b'[')?;
    if rest.first() != Some(&b' ') || !rest.get(..open)?.ends_with(b" ") {
        return None;
    }
    let inside = rest.get(open + 1..)?;
    let close = inside.iter().position(|&b| b == b']')?;
    let labels = inside.get(close + 1..)?.strip_prefix(b" {").and_then(|l| l.strip_suffix(b"}:"));
    status(inside.get(..close)?, Header { id, state: b"", leaked: false, minutes: None, labels, words })
}

/// Where `goroutine ` stands: at the start, or after a log's prefix.
fn start(line: &[u8]) -> Option<usize> {
    if line.starts_with(WORD) {
        return Some(0);
    }
    let head = line.get(..line.len().min(LONGEST_PREFIX))?;
    let at = head.windows(WORD.len()).position(|w| w == WORD)?;
    head.get(..at).is_some_and(|p| p.ends_with(b" ")).then_some(at)
}

fn status<'a>(text: &'a [u8], mut header: Header<'a>) -> Option<Header<'a>> {
    let mut parts = text.split(|&b| b == b',').map(<[u8]>::trim_ascii);
    header.state = parts.next()?;
    loop {
        if let Some(s) = header.state.strip_suffix(b" (leaked)") {
            (header.state, header.leaked) = (s, true);
        } else if let Some(s) =
            header.state.strip_suffix(b" (scan)").or_else(|| header.state.strip_suffix(b" (durable)"))
        {
            header.state = s;
        } else {
            break;
        }
    }
    for part in parts {
        if let Some(n) = part.strip_suffix(b" minutes").or_else(|| part.strip_suffix(b" minute")) {
            header.minutes = number(n);
        }
    }
    Some(header)
}

pub(super) fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Each label of `route: "/users/{id}", "tenant id": "a, b"`, as `key: value` without quotation marks.
pub(super) fn labels(text: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let (mut one, mut quoted, mut escaped) = (Vec::new(), false, false);
    for &b in text {
        match b {
            _ if escaped => {
                one.push(b);
                escaped = false;
            }
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => out.push(std::mem::take(&mut one)),
            b => one.push(b),
        }
    }
    out.push(one);
    let texts = out.iter().map(|l| String::from_utf8_lossy(l.trim_ascii()).into_owned());
    texts.filter(|l| !l.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_line() {
        let h = header(b"goroutine 41 gp=0xc0 m=3 mp=0xc1 [chan receive (nil chan) (leaked) (scan), 5 minutes, locked to thread]:").unwrap();
        assert_eq!(
            (h.id, h.state, h.leaked, h.minutes),
            (41, &b"chan receive (nil chan)"[..], true, Some(5))
        );
        let h = header(b"goroutine 7 [select (durable), synctest bubble 3] {route: \"/users/{id}\", \"tenant id\": \"a]b:c,d\"}:").unwrap();
        assert_eq!((h.state, h.minutes, h.words), (&b"select"[..], None, 0));
        assert_eq!(labels(h.labels.unwrap()), ["route: /users/{id}", "tenant id: a]b:c,d"]);
    }

    #[test]
    fn a_log_may_put_something_before_it() {
        let h = header(b"2024-05-01T10:00:00.5Z stderr F goroutine 1 [running]:").unwrap();
        assert_eq!((h.id, h.words), (1, 3));
        assert_eq!(header(b"xgoroutine 1 [running]:"), None);
    }

    #[test]
    fn other_lines_are_none() {
        for line in [
            "",
            "goroutine",
            "goroutine 1 running:",
            "goroutine x [running]:",
            "goroutine 1[running]:",
            "a]:",
            "goroutine 99999999999999999999 [a]:",
        ] {
            assert_eq!(header(line.as_bytes()), None, "{line}");
        }
        assert_eq!(labels(br#"a: "q\"x", b: "#), ["a: q\"x", "b:"]);
    }
}
