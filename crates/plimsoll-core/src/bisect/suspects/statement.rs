//! Lines as their language's lexer reads them, and what belongs together of them.

use super::Line;
use super::rules::Language;

/// Lines that one declaration may go over.
const JOINED: usize = 12;

/// What the lines before say of a line: which statement goes on, and which block it stands in.
#[derive(Default)]
pub(super) struct Statements {
    /// Lines before this one belong to a statement that was looked at.
    until: usize,
    scope: Option<Scope>,
}

/// A block whose opening says for all that stands directly in it what it is: `var (` of Go, `companion object {` of Kotlin.
struct Scope {
    word: &'static str,
    path: String,
    /// Number of its next line.
    next: usize,
    /// Brackets that are open.
    depth: i32,
}

impl Statements {
    /// The code of a line, behind the word of the block that it stands in.
    pub(super) fn scoped(&mut self, line: &Line, code: String, language: Language) -> String {
        let goes_on = |s: &Scope| line.added && s.path == line.path && s.next == line.number;
        let Some(scope) = self.scope.as_mut().filter(|s| goes_on(s)) else {
            let trimmed = code.trim();
            let word = match language {
                Language::Go if code.starts_with("var (") => Some("var "),
                Language::Jvm if begins_word(trimmed, "object ") && trimmed.ends_with('{') => Some("object "),
                _ => None,
            };
            let next = line.number + 1;
            let open = word.filter(|_| line.added && depth(&code) > 0);
            self.scope = open.map(|word| Scope { word, path: line.path.clone(), next, depth: depth(&code) });
            return code;
        };
        let is_direct = scope.depth == 1;
        (scope.next, scope.depth) = (line.number + 1, scope.depth + depth(&code));
        let declares =
            scope.word != "object " || ["val ", "var "].iter().any(|word| begins_word(&code, word));
        let word = scope.word;
        if scope.depth <= 0 {
            self.scope = None;
        }
        if is_direct && declares { format!("{word}{}", code.trim_start()) } else { code }
    }

    /// The whole statement that begins in a line (with this code) and goes on in others that follow it; nothing where it is one line, or where one of
    /// its lines `fits` alone.
    pub(super) fn whole(
        &mut self,
        lines: &[Line],
        (at, begin): (usize, &str),
        language: Language,
        fits: &dyn Fn(&str) -> bool,
    ) -> Option<String> {
        let first = lines.get(at).filter(|_| at >= self.until)?;
        let mut joined = begin.to_owned();
        let mut alone = fits(&joined);
        let mut taken = 1;
        for next in lines[at + 1..].iter().take(JOINED) {
            let follows = next.added && next.path == first.path && next.number == first.number + taken;
            let text = code(&next.text, language);
            if !follows || !goes_on(&joined, &text, language) {
                break;
            }
            alone |= fits(&text);
            let text = text.trim();
            let tight =
                joined.ends_with(['(', '[', '.', '<']) || text.starts_with(['.', ')', ']', '>', ',', '?']);
            if !tight && !joined.trim().is_empty() {
                joined.push(' ');
            }
            joined.push_str(text);
            taken += 1;
        }
        self.until = at + taken;
        (taken > 1 && !alone).then_some(joined)
    }
}

/// Whether a line begins a function, where those are told from variables by their brackets.
pub(super) fn is_function(code: &str, language: Language) -> bool {
    if language == Language::Python {
        return begins_word(code, "def ");
    }
    let semicolons = matches!(language, Language::Jvm | Language::Net | Language::Native);
    let head = code.split('=').next().unwrap_or_default();
    semicolons && head.contains('(') && !code.trim_end().ends_with(';')
}

/// Whether a statement goes on in the next line. What stands in braces is no part of it: those are statements of their own.
fn goes_on(code: &str, next: &str, language: Language) -> bool {
    let (code, next) = (code.trim_end(), next.trim_start());
    if code.trim_start().is_empty() || code.ends_with(['{', '}', ';']) || next.is_empty() {
        return false;
    }
    // A block of declarations is no statement: its lines are.
    if language == Language::Go && ["var (", "const (", "type (", "import ("].contains(&code) {
        return false;
    }
    let open = |c: char| matches!(c, '(' | '[') as i32 - matches!(c, ')' | ']') as i32;
    let is_open = code.chars().map(open).sum::<i32>() > 0;
    // Where a semicolon ends what is declared, it goes on until then.
    let semicolons = matches!(language, Language::Jvm | Language::Net | Language::Native);
    let declares = semicolons && begins_word(&format!("{code} "), "static ") && !code.ends_with(')');
    is_open
        || declares
        || code.ends_with(['=', ',', '.', '<', '|', '\\'])
        || next.starts_with(['.', '=', '?', '>'])
        || next.starts_with("::")
}

/// Brackets that a line leaves open.
fn depth(code: &str) -> i32 {
    let of = |c: char| matches!(c, '(' | '[' | '{') as i32 - matches!(c, ')' | ']' | '}') as i32;
    code.chars().map(of).sum()
}

/// A word of a rule, not in the middle of another one.
pub(super) fn begins_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let starts = word.starts_with(|c: char| c.is_lowercase());
    code.match_indices(word).any(|(at, _)| !starts || !code[..at].ends_with(is_part))
}

/// A line without its comments, and with empty texts.
pub(super) fn code(line: &str, language: Language) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    // A line within a comment of several.
    if language != Language::Python && line.trim_start().starts_with("* ") {
        return out;
    }
    while let Some(c) = rest.chars().next() {
        let is_comment = match language {
            Language::Python => c == '#',
            _ => rest.starts_with("//"),
        };
        if is_comment {
            break;
        }
        if language != Language::Python && rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if c == '"' || c == '`' || c == '\'' && language != Language::Native {
            out.push_str("\"\"");
            rest = behind_text(&rest[1..], c);
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn behind_text(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}
