//! V8's sampling heap profile (`.heapprofile`, Node.js and Chrome): a tree of call frames with what each allocated that
//! is still alive, as JSON of any depth.
//!
//! `{"head": {"callFrame": {…}, "selfSize": n, "id": n, "children": […]}, "samples": [{"size": n, "nodeId": n}]}`. Sizes
//! are scaled for sampling by V8. Read token by token: a tree is as deep as the program's stack, and a cut one must give
//! what it holds.

use std::collections::HashMap;

use super::model::{Profile, ValueType};

/// What V8 samples by unless told otherwise; the format does not say it.
const INTERVAL: u64 = 32 << 10;
/// Frames of a stack, the innermost; and nodes that are open at once, beyond which they count for the one above.
const FRAMES: usize = 256;
const DEEP: usize = 1 << 16;

/// Whether a text begins as such a profile does.
pub(super) fn looks_like(text: &str) -> bool {
    let mut tokens = Tokens { rest: text };
    let head = tokens.next() == Some(Token::Mark(b'{')) && tokens.next() == Some(Token::Text("head"));
    let early = text.get(..text.floor_char_boundary(1024)).unwrap_or_default();
    head && early.contains("\"callFrame\"")
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    /// A brace, bracket, colon or comma.
    Mark(u8),
    /// A string, its escapes as they stand.
    Text(&'a str),
    Number(f64),
    /// true, false, null.
    Word,
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = self.rest.trim_ascii_start();
        let first = *self.rest.as_bytes().first()?;
        match first {
            b'"' => {
                let inside = self.rest.get(1..)?;
                let end = end_of_text(inside.as_bytes())?;
                self.rest = inside.get(end + 1..)?;
                inside.get(..end).map(Token::Text)
            }
            b'{' | b'}' | b'[' | b']' | b':' | b',' => {
                self.rest = self.rest.get(1..)?;
                Some(Token::Mark(first))
            }
            _ => {
                let end =
                    self.rest.find(|c: char| matches!(c, ',' | '}' | ']') || c.is_ascii_whitespace())?;
                let (word, rest) = self.rest.split_at_checked(end)?;
                self.rest = rest;
                Some(word.parse().map_or(Token::Word, Token::Number))
            }
        }
    }
}

/// Where a string ends, its opening quotation mark not within.
fn end_of_text(inside: &[u8]) -> Option<usize> {
    let mut escaped = false;
    inside.iter().position(|&b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    })
}

/// A node of the tree while it is open, or a sample.
#[derive(Default)]
struct Node {
    function: String,
    url: String,
    line: f64,
    size: f64,
    id: f64,
    is_node: bool,
    /// Its frame, once it is known and needed; none of the root.
    location: Option<Option<u32>>,
}

/// A node that is closed: its stack, innermost first, and its bytes.
struct Closed {
    stack: Vec<u32>,
    size: f64,
    id: u64,
}

#[derive(Default)]
struct Reader {
    profile: Profile,
    frames: HashMap<(String, String, u64), u32>,
    open: Vec<Node>,
    closed: Vec<Closed>,
    /// Samples seen of each node.
    seen: HashMap<u64, u64>,
    /// Braces that were opened beyond [`DEEP`].
    too_deep: u64,
    /// Within `callFrame`, whose braces are no node.
    in_frame: bool,
}

/// Reads the text; none when no node is in it.
pub(super) fn read(text: &str) -> Option<Profile> {
    let mut r = Reader::default();
    r.profile.format = "V8 sampling heap profile".to_owned();
    r.profile.period = INTERVAL;
    r.profile.types = vec![
        ValueType { name: "inuse_objects".to_owned(), unit: "count".to_owned() },
        ValueType { name: "inuse_space".to_owned(), unit: "bytes".to_owned() },
    ];
    let mut key = "";
    let mut tokens = Tokens { rest: text };
    let mut depth = 0i64;
    while let Some(token) = tokens.next() {
        match token {
            Token::Text(word) if tokens.rest.trim_ascii_start().starts_with(':') => key = word,
            Token::Mark(b'{') => r.begin(key),
            Token::Mark(b'}') => r.end(),
            Token::Text(word) => r.text(key, word),
            Token::Number(n) => r.number(key, n),
            Token::Mark(_) | Token::Word => {}
        }
        depth += match token {
            Token::Mark(b'{' | b'[') => 1,
            Token::Mark(b'}' | b']') => -1,
            _ => 0,
        };
    }
    let whole = depth == 0 && tokens.rest.trim_ascii().is_empty();
    let whole = whole && text.contains('{');
    (r.in_frame, r.too_deep) = (false, 0);
    while !r.open.is_empty() {
        r.end();
    }
    r.finish(whole)
}

impl Reader {
    fn begin(&mut self, key: &str) {
        match key {
            "callFrame" => self.in_frame = true,
            _ if self.open.len() < DEEP => self.open.push(Node::default()),
            _ => self.too_deep += 1,
        }
    }

    fn text(&mut self, key: &str, word: &str) {
        let Some(node) = self.open.last_mut() else { return };
        match key {
            "functionName" => node.function = unescaped(word),
            "url" => node.url = unescaped(word),
            _ => {}
        }
    }

    fn number(&mut self, key: &str, n: f64) {
        let Some(node) = self.open.last_mut() else { return };
        match key {
            "lineNumber" => node.line = n,
            "selfSize" => (node.size, node.is_node) = (n, true),
            "id" | "nodeId" => node.id = n,
            _ => {}
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.in_frame) {
            return;
        }
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        let Some(node) = self.open.last() else { return };
        let id = node.id as u64;
        if node.is_node {
            if node.size >= 1.0 && self.profile.has_room() {
                let size = node.size;
                let stack = self.stack();
                self.profile.used += 4 * stack.len() + size_of::<Closed>();
                self.closed.push(Closed { stack, size, id });
            }
        } else if node.id > 0.0 {
            *self.seen.entry(id).or_default() += 1;
        }
        self.open.pop();
    }

    /// The open nodes as locations, innermost first.
    fn stack(&mut self) -> Vec<u32> {
        let mut open = std::mem::take(&mut self.open);
        let innermost = open.len().saturating_sub(FRAMES);
        let nodes = open.get_mut(innermost..).unwrap_or_default().iter_mut().rev();
        let stack = nodes.filter_map(|node| self.location(node)).collect();
        self.open = open;
        stack
    }

    fn location(&mut self, node: &mut Node) -> Option<u32> {
        if let Some(known) = node.location {
            return known;
        }
        // The root is no frame, and what surrounds the tree has no name.
        let is_frame = node.function != "(root)" && !(node.function.is_empty() && node.url.is_empty());
        let location = is_frame.then(|| {
            // Counted from 0 in the file; -1 where there is none.
            let line = (node.line + 1.0).max(0.0) as u64;
            let name = if node.function.is_empty() { "(anonymous)" } else { &node.function };
            let key = (name.to_owned(), node.url.clone(), line);
            *self.frames.entry(key).or_insert_with(|| {
                let frame = self.profile.add_frame(name, &node.url, line);
                self.profile.add_location(vec![frame])
            })
        });
        node.location = Some(location);
        location
    }

    fn finish(mut self, whole: bool) -> Option<Profile> {
        if self.closed.is_empty() && !whole {
            return None;
        }
        for closed in self.closed {
            let seen = self.seen.get(&closed.id).map_or(closed.size / INTERVAL as f64, |n| *n as f64);
            let each = size_of_each(closed.size / seen.max(1.0));
            let objects = (closed.size / each).max(1.0);
            let values = [objects as i64, closed.size as i64];
            self.profile.add_sample(closed.stack.into_iter(), &values, each as u64);
        }
        if !whole {
            self.profile.truncated = Some("its JSON is not whole".to_owned());
        }
        self.profile
            .warnings
            .say("the interval between samples is not in the format: taken as V8's usual 32 KiB");
        self.profile.warnings.say("only what was allocated after sampling began is in it");
        Some(self.profile)
    }
}

/// The size of an object that stands for so many bytes when it is seen: s / (1 - e^(-s/R)), turned round.
fn size_of_each(stands_for: f64) -> f64 {
    let interval = INTERVAL as f64;
    let weight = |size: f64| size / -(-size / interval).exp_m1();
    let (mut low, mut high) = (1.0, stands_for.max(2.0));
    for _ in 0..48 {
        let middle = f64::midpoint(low, high);
        if weight(middle) < stands_for { low = middle } else { high = middle }
    }
    low
}

/// A string with its escapes undone; as it stands where they make no sense.
fn unescaped(word: &str) -> String {
    if !word.contains('\\') {
        return word.to_owned();
    }
    serde_json::from_str(&format!("\"{word}\"")).unwrap_or_else(|_| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"{"head":{"callFrame":{"functionName":"(root)","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1},
        "selfSize":0,"id":1,"children":[{"callFrame":{"functionName":"handle \"x\"","scriptId":"5","url":"file:///srv/app.js","lineNumber":11,"columnNumber":2},
        "selfSize":65600,"id":2,"children":[{"callFrame":{"functionName":"","scriptId":"5","url":"file:///srv/cache.js","lineNumber":4,"columnNumber":0},
        "selfSize":3276800,"id":3,"children":[]}]}]},"samples":[{"size":32800,"nodeId":2,"ordinal":1},{"size":32800,"nodeId":2,"ordinal":2},{"size":3276800,"nodeId":3,"ordinal":3}]}"#;

    #[test]
    fn the_tree_becomes_sites_with_their_error() {
        assert!(looks_like(PROFILE) && !looks_like("{\"head\": 1}"));
        let profile = read(PROFILE).unwrap();
        assert_eq!((profile.len(), &profile.truncated), (2, &None));
        let report = profile.heap_report(None).unwrap();
        let [first, second] = report.sites.as_slice() else { panic!("{report:?}") };
        assert_eq!(first.site, "(anonymous) (cache.js:5)");
        assert_eq!(first.stack, ["(anonymous) (cache.js:5)", "handle \"x\" (app.js:12)"]);
        assert!(first.in_use.unwrap().relative_error() < 0.01, "a large block is seen for sure");
        assert!(second.in_use.unwrap().relative_error() > 0.5, "two samples say little");
        assert!((second.in_use.unwrap().samples - 2.0).abs() < 0.2, "{:?}", second.in_use);
    }

    #[test]
    fn a_cut_one_gives_what_it_holds_wherever_it_ends() {
        for end in 0..PROFILE.len() {
            if let Some(profile) = read(&PROFILE[..end]) {
                assert!(profile.truncated.is_some(), "{end}");
            }
        }
        assert_eq!(read(&PROFILE[..PROFILE.find("\"samples\"").unwrap()]).unwrap().len(), 2);
    }

    #[test]
    fn a_deep_tree_does_no_harm() {
        let node = "{\"callFrame\":{\"functionName\":\"f\",\"url\":\"u\",\"lineNumber\":1},\"selfSize\":8,\"id\":1,\"children\":[";
        let text = format!("{{\"head\":{}", node.repeat(20_000));
        assert!(read(&text).unwrap().truncated.is_some());
    }
}
