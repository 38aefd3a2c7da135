//! A key as pieces: delimiters and words as they stand, and slots, which are what tells keys of one make apart.

/// Characters of a key that are looked at.
const LONGEST: usize = 512;
/// Pieces of a key at most; the rest is one slot.
const PIECES: usize = 96;
/// Runs of letters and digits in one token that are told apart; more is an opaque token.
const RUNS: usize = 3;
/// A token of this length with letters and digits mixed is opaque.
const OPAQUE: usize = 16;

/// What a slot is made of, narrow to wide: a slot has the widest that is seen in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotKind {
    /// Digits.
    Number,
    /// Letters only.
    Word,
    /// Digits and letters up to f.
    Hex,
    /// Hex digits in groups of 8, 4, 4, 4 and 12.
    Uuid,
    /// Letters and digits mixed.
    Token,
}

impl SlotKind {
    /// As it is named in a template.
    pub fn name(self) -> &'static str {
        match self {
            SlotKind::Number => "number",
            SlotKind::Word => "word",
            SlotKind::Hex => "hex",
            SlotKind::Uuid => "uuid",
            SlotKind::Token => "token",
        }
    }

    /// The kind that both fit.
    pub fn widest(self, other: SlotKind) -> SlotKind {
        use SlotKind::{Hex, Number, Token, Uuid, Word};
        match (self, other) {
            (a, b) if a == b => a,
            (Number, Hex) | (Hex, Number) => Hex,
            (Uuid | Token | Word, _) | (_, Uuid | Token | Word) => Token,
            (a, _) => a,
        }
    }
}

/// One piece of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// One character between tokens.
    Delimiter(char),
    /// Letters.
    Word(&'a str),
    /// What varies by its make.
    Slot(SlotKind, &'a str),
}

/// Calls `f` with each piece of a key.
pub(super) fn pieces<'a>(key: &'a str, mut f: impl FnMut(Piece<'a>)) {
    let end = key.char_indices().nth(LONGEST).map_or(key.len(), |(at, _)| at);
    let (mut rest, cut) = key.split_at(end);
    let (mut count, mut before) = (0, None);
    while let Some(first) = rest.chars().next() {
        count += 1;
        if count > PIECES {
            f(Piece::Slot(SlotKind::Token, rest));
            return;
        }
        let used = if first.is_alphanumeric() {
            if let Some(uuid) = uuid(rest) {
                f(Piece::Slot(SlotKind::Uuid, uuid));
                uuid.len()
            } else {
                let token = rest.find(|c: char| !c.is_alphanumeric()).map_or(rest, |end| &rest[..end]);
                of_token(token, before, &mut f);
                token.len()
            }
        } else {
            f(Piece::Delimiter(first));
            first.len_utf8()
        };
        before = Some(first);
        rest = rest.get(used..).unwrap_or_default();
    }
    if !cut.is_empty() {
        f(Piece::Slot(SlotKind::Token, cut));
    }
}

fn uuid(text: &str) -> Option<&str> {
    let candidate = text.get(..36)?;
    let is_one = candidate.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    let ends = text.get(36..).and_then(|rest| rest.chars().next()).is_none_or(|c| !c.is_alphanumeric());
    (is_one && ends).then_some(candidate)
}

/// `before` is the character before the token: what follows a `=` is a value, whatever it is made of.
fn of_token<'a>(token: &'a str, before: Option<char>, f: &mut impl FnMut(Piece<'a>)) {
    let digits = token.bytes().filter(u8::is_ascii_digit).count();
    if digits == token.len() {
        f(Piece::Slot(SlotKind::Number, token));
    } else if digits == 0 && before == Some('=') {
        f(Piece::Slot(SlotKind::Word, token));
    } else if digits == 0 {
        f(Piece::Word(token));
    } else if token.bytes().all(|b| b.is_ascii_hexdigit()) {
        f(Piece::Slot(SlotKind::Hex, token));
    } else if token.len() >= OPAQUE || runs(token) > RUNS {
        f(Piece::Slot(SlotKind::Token, token));
    } else {
        split_runs(token, f);
    }
}

fn runs(token: &str) -> usize {
    let bytes = token.as_bytes();
    1 + bytes.windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count()
}

/// `order12345` is a word and a number.
fn split_runs<'a>(token: &'a str, f: &mut impl FnMut(Piece<'a>)) {
    let mut rest = token;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (run, more) = rest.split_at(end);
        f(if digits { Piece::Slot(SlotKind::Number, run) } else { Piece::Word(run) });
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(key: &str) -> String {
        let mut out = String::new();
        pieces(key, |piece| match piece {
            Piece::Delimiter(c) => out.push(c),
            Piece::Word(word) => out.push_str(word),
            Piece::Slot(kind, _) => out.push_str(&format!("{{{}}}", kind.name())),
        });
        out
    }

    #[test]
    fn keys_come_apart_by_their_make() {
        for (key, expected) in [
            ("/users/17/orders?trace=9f3a77c2", "/users/{number}/orders?trace={hex}"),
            ("user:123:session:Zk3mQ9x1LpW77aBc", "user:{number}:session:{token}"),
            ("order12345", "order{number}"),
            ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "{uuid}"),
            ("OrderKey[tenant=acme, id=55]", "OrderKey[tenant={word}, id={number}]"),
            ("/a?q=term7&sort=asc", "/a?q=term{number}&sort={word}"),
            ("com.example.Foo", "com.example.Foo"),
            ("schlüssel/42", "schlüssel/{number}"),
            ("", ""),
        ] {
            assert_eq!(shown(key), expected, "{key}");
        }
    }

    #[test]
    fn an_endless_key_is_cut_and_ends_in_a_slot() {
        let long = "a/".repeat(1 << 20);
        assert!(shown(&long).ends_with("{token}"));
        assert!(shown(&long).len() < 300);
        let letters = "é".repeat(5000);
        assert_eq!(shown(&letters).chars().count(), 512 + "{token}".len());
    }
}
