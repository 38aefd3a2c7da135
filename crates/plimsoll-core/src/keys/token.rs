//! A key as pieces: delimiters and words as they stand, and slots, which are what tells keys of one make apart.

/// Characters of a key that are looked at.
const LONGEST: usize = 512;
/// Pieces of a key at most; the rest is one slot.
const PIECES: usize = 96;
/// Runs of letters and digits in one token that are told apart; more is an opaque token.
const RUNS: usize = 3;
/// A token of this length with letters and digits mixed is opaque.
const OPAQUE: usize = 16;
/// Hex digits in the groups of a UUID.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];
/// Characters of a UUID.
pub const UUID_LENGTH: usize = 36;

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
    let candidate = text.get(..UUID_LENGTH)?;
    let ends =
        text.get(UUID_LENGTH..).and_then(|rest| rest.chars().next()).is_none_or(|c| !c.is_alphanumeric());
    (ends && is_uuid(candidate.bytes())).then_some(candidate)
}

/// Whether characters are hex digits in the groups of a UUID; what is not ASCII may be given as any other byte.
pub fn is_uuid(bytes: impl IntoIterator<Item = u8>) -> bool {
    let mut bytes = bytes.into_iter();
    let mut groups = UUID.into_iter().enumerate();
    let is_one = groups.all(|(number, length)| {
        (number == 0 || bytes.next() == Some(b'-'))
            && (0..length).all(|_| bytes.next().is_some_and(|b| b.is_ascii_hexdigit()))
    });
    is_one && bytes.next().is_none()
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
    } else if is_opaque(token.chars()) {
        f(Piece::Slot(SlotKind::Token, token));
    } else {
        split_runs(token, f);
    }
}

/// Whether a token of letters and digits is one slot, rather than words and numbers.
pub fn is_opaque(token: impl IntoIterator<Item = char>) -> bool {
    let (mut length, mut runs, mut in_digits) = (0, 0, None);
    for c in token {
        length += 1;
        let is_digit = c.is_ascii_digit();
        runs += usize::from(in_digits != Some(is_digit));
        in_digits = Some(is_digit);
        if length >= OPAQUE || runs > RUNS {
            return true;
        }
    }
    false
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
