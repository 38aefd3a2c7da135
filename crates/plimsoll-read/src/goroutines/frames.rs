//! Frames of Go stacks: what a line names without what differs from one goroutine to the next.

/// Packages whose frames say how a goroutine waits, not where.
const WAITING: &[&str] = &["runtime.", "sync.", "internal/", "syscall.", "time.Sleep", "golang.org/x/sync"];

/// First parts of the standard library's import paths.
const STANDARD: &[&str] = &[
    "archive",
    "bufio",
    "bytes",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "go",
    "hash",
    "html",
    "image",
    "index",
    "internal",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "plugin",
    "reflect",
    "regexp",
    "runtime",
    "slices",
    "sort",
    "strconv",
    "strings",
    "structs",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
    "unicode",
    "unique",
    "unsafe",
    "vendor",
    "weak",
];

/// One frame: a function and the line where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Frame {
    /// The function with its package path, without arguments; generic arguments as Go prints them (`[...]`).
    pub function: String,
    /// `path/file.go:line`; empty when the artifact does not say it.
    pub location: String,
}

impl Frame {
    /// Whether the frame only says how a goroutine waits.
    pub fn is_waiting(&self) -> bool {
        WAITING.iter().any(|p| self.function.starts_with(p))
    }

    /// Whether the function is of the standard library.
    pub fn is_standard(&self) -> bool {
        let package = self.function.split(['/', '.']).next().unwrap_or_default();
        STANDARD.contains(&package)
    }

    /// `function (file:line)`, without the folders.
    pub fn place(&self) -> String {
        match self.location.rsplit('/').next() {
            Some(file) if !file.is_empty() => format!("{} ({file})", self.function),
            _ => self.function.clone(),
        }
    }
}

/// The innermost frame that is not the runtime's: where a goroutine stands.
pub(super) fn top(frames: &[Frame]) -> Option<&Frame> {
    frames.iter().find(|f| !f.is_waiting())
}

/// The innermost frame of the program itself: where it can be repaired.
pub(super) fn own(frames: &[Frame]) -> Option<&Frame> {
    frames.iter().find(|f| !f.is_standard())
}

/// `main.(*T).await(0xc0, {0x1, 0x2})` without the arguments.
pub(super) fn function(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|&b| b == b'(').filter(|_| line.ends_with(b")"));
    end.and_then(|e| line.get(..e)).unwrap_or(line)
}

/// `main.handle in goroutine 41` without the parent's number.
pub(super) fn creator(text: &[u8]) -> &[u8] {
    const IN: &[u8] = b" in goroutine ";
    let digits = text.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let name = text.get(..text.len() - digits).unwrap_or(text);
    name.strip_suffix(IN).unwrap_or(text)
}

/// `path/file.go:35 +0x24 fp=0x1 sp=0x2 pc=0x3` up to the line number.
pub(super) fn location(text: &[u8]) -> &[u8] {
    let Some(colon) = text.iter().rposition(|&b| b == b':') else { return text };
    let digits = text.iter().skip(colon + 1).take_while(|b| b.is_ascii_digit()).count();
    text.get(..colon + 1 + digits).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(b: &[u8]) -> &str {
        std::str::from_utf8(b).unwrap()
    }

    #[test]
    fn what_differs_between_goroutines_is_taken_off() {
        for (line, name) in [
            ("main.await(0xc0, {0x1, 0x2?})", "main.await"),
            ("main.(*T[...]).Get(...)", "main.(*T[...]).Get"),
            ("net/http.(*conn).serve(0x1)", "net/http.(*conn).serve"),
            ("main.cut(0x1, ", "main.cut(0x1, "),
            ("main.(*T", "main.(*T"),
        ] {
            assert_eq!(text(function(line.as_bytes())), name);
        }
        assert_eq!(text(creator(b"main.main in goroutine 17")), "main.main");
        assert_eq!(text(creator(b"main.main.func1")), "main.main.func1");
        assert_eq!(text(location(b"/a b/x.go:35 +0x24 fp=0x1 sp=0x2 pc=0x3")), "/a b/x.go:35");
        assert_eq!(text(location(b"C:/x.go:7")), "C:/x.go:7");
        assert_eq!(text(location(b"_cgo_gotypes")), "_cgo_gotypes");
    }

    #[test]
    fn where_a_goroutine_stands_and_where_it_is_the_programs() {
        let frame = |f: &str, l: &str| Frame { function: f.to_owned(), location: l.to_owned() };
        let stack = [
            frame("internal/poll.runtime_pollWait", "/go/netpoll.go:1"),
            frame("net.(*conn).Read", "/go/net.go:2"),
            frame("shop/db.Query", "/src/db.go:3"),
            frame("github.com/a/b.Do", ""),
        ];
        assert_eq!(top(&stack).unwrap().place(), "net.(*conn).Read (net.go:2)");
        assert_eq!(own(&stack).unwrap().place(), "shop/db.Query (db.go:3)");
        assert_eq!(stack[3].place(), "github.com/a/b.Do");
        assert_eq!(own(&stack[..2]), None);
    }
}
