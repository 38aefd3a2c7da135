//! Names without what differs between threads, and frames without what differs between JVMs.

use crate::reading::clip;

/// Names are cut here, bytes: a hostile program can make them long.
const LONGEST: usize = 160;
/// From this length on, a run of hexadecimal digits with a decimal one in it is an identifier.
const HEX: usize = 8;

/// The pool of `pool-3-thread-17`: `pool-N-thread-N`; identifiers in hexadecimal are a number too.
pub(super) fn pool(name: &str) -> String {
    let name = clip(name, LONGEST);
    let mut out = String::with_capacity(name.len());
    let mut rest = name.as_str();
    while let Some(c) = rest.chars().next() {
        let run = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let long = run >= HEX && rest.bytes().take(run).any(|b| b.is_ascii_digit());
        let used = if long { run } else { digits };
        if used > 0 {
            out.push('N');
        } else {
            out.push(c);
        }
        rest = rest.get(used.max(if used > 0 { 0 } else { c.len_utf8() })..).unwrap_or_default();
    }
    out
}

/// The first number in a name: which executor a pool's thread belongs to.
pub(super) fn first_number(name: &str) -> Option<u64> {
    let digits = name.split(|c: char| !c.is_ascii_digit()).find(|d| !d.is_empty())?;
    digits.parse().ok()
}

/// `java.base/java.lang.Object.wait(Object.java:1)` or `java.lang.Object.wait(java.base@25/Object.java:1)` as
/// `java.lang.Object.wait (Object.java:1)`.
pub(super) fn frame(text: &str) -> String {
    let (method, place) = text.split_once('(').unwrap_or((text, ""));
    let place = place.strip_suffix(')').unwrap_or(place);
    let place = place.rsplit_once('/').map_or(place, |(_, file)| file);
    let method = match method.split_once('/') {
        Some((module, rest)) if !module.contains('$') => rest.trim_start_matches('/'),
        _ => method,
    };
    let method = hidden(method);
    let line = if place.is_empty() { method } else { format!("{method} ({place})") };
    clip(&line, 2 * LONGEST)
}

/// A hidden class's address differs in each run: `App$$Lambda/0x00007f.run` as `App$$Lambda.run`.
fn hidden(method: &str) -> String {
    let Some((class, rest)) = method.split_once("/0x") else { return method.to_owned() };
    format!("{class}{}", rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
}

/// Packages of the JDK and of what runs pools for others.
const LIBRARY: &[&str] = &["java.", "javax.", "jdk.", "sun.", "com.sun.", "kotlin.", "scala."];

/// Files of Python's own library in which threads wait.
const WAITING: &[&str] =
    &["threading.py", "queue.py", "selectors.py", "socket.py", "ssl.py", "concurrent/futures", "asyncio/"];

fn is_library(frame: &str) -> bool {
    let file = frame.rsplit_once(" (").map_or("", |(_, file)| file);
    LIBRARY.iter().any(|l| frame.starts_with(l)) || WAITING.iter().any(|w| file.starts_with(w))
}

/// The innermost frame of the program itself, else the innermost of all.
pub(super) fn own(frames: &[String]) -> Option<&String> {
    frames.iter().find(|f| !is_library(f)).or(frames.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pools() {
        for (name, of) in [
            ("pool-3-thread-17", "pool-N-thread-N"),
            ("http-nio-8080-exec-1", "http-nio-N-exec-N"),
            ("main", "main"),
            ("worker-7f3a9c2e11d04b", "worker-N"),
            ("deadbeef", "deadbeef"),
            ("é9", "éN"),
            ("", ""),
        ] {
            assert_eq!(pool(name), of);
        }
        assert_eq!((first_number("pool-12-thread-3"), first_number("main")), (Some(12), None));
    }

    #[test]
    fn frames_are_the_same_in_every_form() {
        let one = "java.lang.Object.wait (Object.java:366)";
        assert_eq!(frame("java.base/java.lang.Object.wait(Object.java:366)"), one);
        assert_eq!(frame("java.lang.Object.wait(java.base@25/Object.java:366)"), one);
        assert_eq!(frame("java.lang.Object.wait(Object.java:366)"), one);
        assert_eq!(frame("app//a.B.c(B.java:1)"), "a.B.c (B.java:1)");
        assert_eq!(frame("a.B$$Lambda/0x00003800.run(Unknown Source)"), "a.B$$Lambda.run (Unknown Source)");
        let frames = [one.to_owned(), "a.B.c (B.java:1)".to_owned()];
        assert_eq!(own(&frames).unwrap(), &frames[1]);
    }
}
