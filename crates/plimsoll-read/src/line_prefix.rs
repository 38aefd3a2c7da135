//! What stands before each line of a log when it comes out of a shipper, a terminal or `kubectl logs`: a time, a host and
//! a program, the name of a pod or of a service, colours; or a JSON object around it. Readers want the bare lines.

use std::borrow::Cow;

use serde_json::Value;

/// Lines that are looked at to tell what stands before all of them.
const PEEKED: usize = 24;
/// Of them, so many of four must have it: a log may begin with a line of its own.
const MOST: (usize, usize) = (3, 4);
/// Wrappings around one another that are taken off at most.
pub(crate) const LAYERS: usize = 3;
/// Bytes of a line in which a table's last bar stands.
const TABLE: usize = 96;
/// Under which names shippers put the line.
const FIELDS: &[&str] = &["message", "MESSAGE", "msg", "log", "line", "textPayload", "body"];

/// Under which they put the time.
const TIMES: &[&str] = &["time", "timestamp", "@timestamp", "ts", "t"];

/// What stands before each line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Before {
    /// Sequences of a terminal: `ESC [ 32 m`.
    Colour,
    /// `{"message": "the line", …}`.
    Json(&'static str),
    /// `2026-03-01T10:00:00.123Z `, of `kubectl logs --timestamps`.
    Time,
    /// `Mar 01 10:00:00 host java[4711]: `, with an ISO time or a number in `<>` too.
    Syslog,
    /// `[pod/web-1/app] `.
    Pod,
    /// `app-1  | `.
    Bar,
    /// The same words before every line.
    Same(String),
}

/// What stands before the lines of a log that begins like this.
pub(crate) fn of(head: &str) -> Option<Before> {
    let whole = head.rfind('\n').and_then(|end| head.get(..end)).unwrap_or(head);
    let lines: Vec<&str> = whole.lines().filter(|l| !l.trim().is_empty()).take(PEEKED).collect();
    let (part, of) = MOST;
    let fits = |before: &Before| {
        let with = lines.iter().filter(|l| before.strip(l).is_some()).count();
        with > 0 && with * of >= lines.len() * part
    };
    let known = [Before::Colour, Before::Syslog, Before::Time, Before::Pod, Before::Bar];
    let json = FIELDS.iter().map(|f| Before::Json(f));
    known.into_iter().chain(json).find(&fits).or_else(|| same(&lines).filter(fits))
}

/// The words that the lines share at their begin.
fn same(lines: &[&str]) -> Option<Before> {
    let (first, rest) = lines.split_first()?;
    let length = rest.iter().fold(first.len(), |n, line| {
        first.bytes().zip(line.bytes()).take(n).take_while(|(a, b)| a == b).count()
    });
    let shared = first.get(..first.floor_char_boundary(length))?;
    let words = shared.get(..shared.rfind(' ')? + 1)?;
    (rest.len() >= 3 && words.trim().len() >= 2).then(|| Before::Same(words.to_owned()))
}

impl Before {
    /// Whether it is known for what it is, and no more than the same words.
    pub(crate) fn is_known(&self) -> bool {
        !matches!(self, Before::Same(_))
    }

    /// The line without it; none when the line has none of it.
    pub(crate) fn strip<'a>(&self, line: &'a str) -> Option<Cow<'a, str>> {
        match self {
            Before::Colour => bleached(line).map(Cow::Owned),
            Before::Json(field) => object(line, field).map(Cow::Owned),
            Before::Time => time(line).map(Cow::Borrowed),
            Before::Syslog => syslog(line).map(Cow::Borrowed),
            Before::Pod => line.strip_prefix("[pod/")?.split_once("] ").map(|(_, l)| Cow::Borrowed(l)),
            Before::Bar => bar(line).map(Cow::Borrowed),
            Before::Same(words) => line.strip_prefix(words.as_str()).map(Cow::Borrowed),
        }
    }
}

/// Without `ESC [ … letter`.
fn bleached(line: &str) -> Option<String> {
    let mut parts = line.split("\u{1b}[");
    let mut out = parts.next()?.to_owned();
    let mut any = false;
    for part in parts {
        any = true;
        let text = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';' || c == '?');
        let mut chars = text.chars();
        chars.next();
        out.push_str(chars.as_str());
    }
    any.then_some(out)
}

/// The line that a JSON object holds under one of the names that shippers use, and when it was written, as far as that is
/// told in words.
pub(crate) fn record(line: &str) -> Option<(String, Option<String>)> {
    let Value::Object(mut object) = serde_json::from_str(line.trim_end()).ok()? else { return None };
    let mut take = |names: &[&str]| names.iter().find_map(|n| object.remove(*n)?.as_str().map(str::to_owned));
    let text = take(FIELDS)?;
    Some((text, take(TIMES)))
}

fn object(line: &str, field: &str) -> Option<String> {
    if !line.starts_with('{') {
        return None;
    }
    let Value::Object(mut object) = serde_json::from_str(line.trim_end()).ok()? else { return None };
    match object.remove(field)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// `2026-03-01T10:00:00.123456789Z rest`, with an offset too.
fn time(line: &str) -> Option<&str> {
    let (word, rest) = line.split_once(' ')?;
    is_instant(word).then_some(rest)
}

fn is_instant(word: &str) -> bool {
    let bytes = word.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is = |at: usize, c: u8| bytes.get(at) == Some(&c);
    // `2016-03-22T10:12:22.006-0100:` begins a line of a collection log.
    let ends = bytes.last().is_some_and(|c| *c == b'Z' || c.is_ascii_digit());
    ends && (20..=40).contains(&bytes.len())
        && [0, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18].into_iter().all(digit)
        && is(4, b'-')
        && is(7, b'-')
        && is(10, b'T')
        && is(13, b':')
        && is(16, b':')
}

/// `<14>Mar  1 10:00:00 host app[7]: rest`, `2026-03-01T10:00:00+00:00 host app: rest`, `<14>1 2026-… host app 7 - - rest`.
fn syslog(line: &str) -> Option<&str> {
    let after = line.strip_prefix('<').and_then(|l| l.split_once('>'));
    let line = match after {
        Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) => rest,
        Some(_) => return None,
        None => line,
    };
    if let Some(rest) = line.strip_prefix("1 ").and_then(time) {
        // Host, program, process, kind and data.
        let mut fields = rest.splitn(6, ' ');
        return fields.nth(5);
    }
    let rest = time(line).or_else(|| {
        let named = crate::moment::of(line.get(..15)?)?;
        named.seconds?;
        line.get(15..)?.strip_prefix(' ')
    })?;
    let (host, rest) = rest.split_once(' ')?;
    let (program, rest) = rest.split_once(": ").or_else(|| Some((rest.strip_suffix(':')?, "")))?;
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/@[]()".contains(&b))
    };
    (plain(host) && !host.starts_with('[') && plain(program)).then_some(rest)
}

/// `app-1  | rest`, `INFO   | jvm 1    | 2026/03/01 10:00:00 | rest`.
fn bar(line: &str) -> Option<&str> {
    let head = line.get(..line.floor_char_boundary(TABLE)).unwrap_or(line);
    let at = head.rfind("| ").map(|at| at + 2).or_else(|| line.ends_with('|').then_some(line.len()))?;
    line.starts_with(|c: char| c.is_ascii_alphanumeric()).then(|| line.get(at..)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Wrap<'a> = &'a dyn Fn(&str) -> String;

    const BARE: [&str; 4] = ["[0.1s][gc] a", "goroutine 1 [running]:", "\t/a.go:3 +0x1", "x: y"];

    #[test]
    fn every_wrapping_comes_off() {
        let json = |l: &str| serde_json::json!({"time": 1, "message": l}).to_string();
        let all: [(Wrap<'_>, Before); 10] = [
            (&|l| format!("\u{1b}[32m{l}\u{1b}[0m"), Before::Colour),
            (&json, Before::Json("message")),
            (&|l| format!("2026-03-01T10:00:00.123456789Z {l}"), Before::Time),
            (&|l| format!("Mar 01 10:00:00 node1 java[7]: {l}"), Before::Syslog),
            (&|l| format!("2026-03-01T10:00:00+00:00 node1 app: {l}"), Before::Syslog),
            (&|l| format!("<14>1 2026-03-01T10:00:00Z host app 7 - - {l}"), Before::Syslog),
            (&|l| format!("[pod/web-1/app] {l}"), Before::Pod),
            (&|l| format!("app-1  | {l}"), Before::Bar),
            (&|l| format!("INFO | jvm 1 | 2026/03/01 10:00:00 | {l}"), Before::Bar),
            (&|l| format!("web-1 app {l}"), Before::Same("web-1 app ".to_owned())),
        ];
        for (wrap, expected) in all {
            let text: String = BARE.iter().map(|l| wrap(l) + "\n").collect();
            let before = of(&text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(before, expected);
            for bare in BARE {
                assert_eq!(before.strip(&wrap(bare)).as_deref(), Some(bare), "{expected:?}");
            }
        }
    }

    #[test]
    fn bare_lines_have_nothing_before_them() {
        assert_eq!(of(&BARE.join("\n")), None);
        assert_eq!(of("2016-03-22T10:12:22.006-0100: [GC 1K->1K(1K)]\n"), None);
        for text in ["", "\n", "one", "a b\na c", "{\"a\": 1}\n", "2026 x\n", "<x>y\n"] {
            assert_eq!(of(text), None, "{text}");
        }
        for line in ["\u{1b}[", "\u{1b}[3", "{\"message\": 3}", "<1>", "| ", "Mar 01 10:00:00é x"] {
            for before in [Before::Colour, Before::Json("message"), Before::Syslog, Before::Bar] {
                let _any = before.strip(line);
            }
        }
    }
}
