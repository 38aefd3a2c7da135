//! What the iterations are about: requests made from a template, with keys that are all different or come out of a pool,
//! and what it means when only one of the two makes the program grow.

use std::fmt::Write as _;

use super::course::Judged;
use super::growth::Verdict;

/// Whether keys come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMode {
    /// Each iteration has a key that never was.
    Distinct,
    /// Keys come out of a pool of that many.
    Pool(u64),
}

impl KeyMode {
    fn key(self, n: u64) -> u64 {
        match self {
            KeyMode::Distinct => n,
            KeyMode::Pool(size) => n % size.max(1),
        }
    }
}

/// Why a template is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its other.
    #[error("a brace is not closed: write {{{{ for a brace itself")]
    Open,
    /// A placeholder that is none.
    #[error(
        "{{{0}}} is no placeholder: there are {{i}}, {{n%1000}}, {{uuid}}, {{hex}}, {{hex32}}, {{session}}, {{token}}, {{word}} and {{one|other}}"
    )]
    Unknown(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The number of the key.
    Number,
    /// A random-looking UUID that belongs to the key.
    Uuid,
    /// So many hex digits that belong to the key.
    Hex(usize),
    /// Letters and digits that belong to the key: a session, a token.
    Token(usize),
    /// Letters that belong to the key.
    Word,
    /// One of these words.
    OneOf(Vec<String>),
    /// The number within a range.
    Within(u64),
}

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Reads `GET /users/{i}?q={uuid}`.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let (name, after) = rest.split_once('}').filter(|_| brace == "{").ok_or(TemplateError::Open)?;
            rest = after;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(placeholder(name)?);
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template { parts })
    }

    /// Whether iterations differ at all.
    pub fn varies(&self) -> bool {
        self.parts.iter().any(|p| !matches!(p, Part::Text(_)))
    }

    /// The text of the `n`-th iteration. `seed` tells the keys of two runs apart.
    pub fn expand(&self, n: u64, mode: KeyMode, seed: u64) -> String {
        let key = mode.key(n);
        let mut out = String::new();
        for part in &self.parts {
            // Writing to a string cannot fail.
            let _always = match part {
                Part::Text(text) => out.write_str(text),
                Part::Number => write!(out, "{key}"),
                Part::Within(range) => write!(out, "{}", key % range),
                Part::Hex(digits) => spell(&mut out, *digits, HEX, seed, key),
                Part::Token(characters) => spell(&mut out, *characters, LETTERS, seed, key),
                Part::Word => spell(&mut out, WORD, &LETTERS[10..36], seed, key),
                Part::OneOf(words) => {
                    out.write_str(&words[(mix(0, key) % words.len().max(1) as u64) as usize])
                }
                Part::Uuid => out.write_str(&uuid(seed, key)),
            };
        }
        out
    }
}

fn placeholder(name: &str) -> Result<Part, TemplateError> {
    match name.trim() {
        "i" | "n" | "key" => Ok(Part::Number),
        "uuid" => Ok(Part::Uuid),
        "hex" => Ok(Part::Hex(16)),
        "session" => Ok(Part::Hex(32)),
        "token" => Ok(Part::Token(22)),
        "word" => Ok(Part::Word),
        list if list.contains('|') && list.split('|').all(|w| !w.is_empty()) => {
            Ok(Part::OneOf(list.split('|').map(str::to_owned).collect()))
        }
        other => {
            let range = other.strip_prefix("n%").or_else(|| other.strip_prefix("i%"));
            let range = range.and_then(|r| r.trim().parse().ok()).filter(|r| *r > 0);
            let digits = other.strip_prefix("hex").and_then(|d| d.parse().ok());
            let digits = digits.filter(|d| (1..=LONGEST_HEX).contains(d)).map(Part::Hex);
            let part = range.map(Part::Within).or(digits);
            part.ok_or_else(|| TemplateError::Unknown(other.to_owned()))
        }
    }
}

/// Hex digits of a placeholder at most, and letters of a word.
pub(super) const LONGEST_HEX: usize = 128;
const WORD: usize = 12;
const HEX: &[u8] = b"0123456789abcdef";
const LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Characters that belong to the key: ten of them hold its 64 bits, or all that fit.
fn spell(out: &mut String, characters: usize, of: &[u8], seed: u64, key: u64) -> std::fmt::Result {
    let (base, mut left) = (of.len() as u64, 0);
    for at in 0..characters {
        // A new part of the spread number as soon as the last one is used up.
        if at % 10 == 0 {
            left = mix(seed.wrapping_add((at / 10) as u64), key);
        }
        out.push(char::from(of[(left % base) as usize]));
        left /= base;
    }
    Ok(())
}

/// A version 4 UUID made of the key: the same key has the same one.
fn uuid(seed: u64, key: u64) -> String {
    let (a, b) = (mix(seed, key), mix(seed ^ 0x5bf0_3635, key));
    let (third, fourth) = (a & 0xfff | 0x4000, b >> 48 & 0x3fff | 0x8000);
    format!("{:08x}-{:04x}-{third:04x}-{fourth:04x}-{:012x}", a >> 32, a >> 16 & 0xffff, b & 0xffff_ffff_ffff)
}

/// Spreads a number over all bits, a bijection for each seed: keys that differ stay different.
fn mix(seed: u64, key: u64) -> u64 {
    let mut x = key.wrapping_add(seed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// What the key experiment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFinding {
    /// It grows with new keys, and not with known ones: something keeps an entry for every key.
    UnboundedKeys,
    /// It grows with known keys too: each call leaves something behind, whatever its key.
    EveryCall,
    /// It grows with neither.
    Neither,
    /// One of the two did not decide.
    Unclear,
}

impl KeyFinding {
    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            KeyFinding::UnboundedKeys => "unbounded-keys",
            KeyFinding::EveryCall => "every-call",
            KeyFinding::Neither => "neither",
            KeyFinding::Unclear => "unclear",
        }
    }

    /// What it means, in words.
    pub fn in_words(self) -> &'static str {
        match self {
            KeyFinding::UnboundedKeys => {
                "unbounded key cardinality: it grows with new keys and not with known ones, so something keeps an entry for every key"
            }
            KeyFinding::EveryCall => {
                "it grows with known keys too: each call leaves something behind, whatever its key"
            }
            KeyFinding::Neither => "it grows neither with new keys nor with known ones",
            KeyFinding::Unclear => {
                "new and known keys could not be compared: one of the two runs did not decide"
            }
        }
    }
}

/// Compares what grew with a bounded pool of keys and with distinct ones, metric by metric.
pub fn compare(pool: &[Judged], distinct: &[Judged]) -> KeyFinding {
    let verdict = |all: &[Judged], metric| all.iter().find(|j| j.metric == metric).and_then(Judged::verdict);
    let grows = |all: &[Judged]| {
        let grown = all.iter().filter(|j| j.verdict() == Some(Verdict::Growing));
        grown.map(|j| j.metric).collect::<Vec<_>>()
    };
    let flat = |all: &[Judged]| all.iter().filter_map(Judged::verdict).all(|v| v == Verdict::Flat);
    let with_keys = grows(distinct);
    if !grows(pool).is_empty() {
        KeyFinding::EveryCall
    } else if with_keys.iter().any(|m| verdict(pool, *m) == Some(Verdict::Flat)) {
        KeyFinding::UnboundedKeys
    } else if with_keys.is_empty() && flat(pool) && flat(distinct) {
        KeyFinding::Neither
    } else {
        KeyFinding::Unclear
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::guard::growth::Growth;
    use crate::guard::metric::Metric;
    use crate::guard::trend::Trend;

    #[test]
    fn templates_are_read_and_filled() {
        let t = Template::parse("GET /u/{i}/{n%7}?q={{x}}").expect("a template");
        assert_eq!(t.expand(1001, KeyMode::Distinct, 1), "GET /u/1001/0?q={x}");
        assert_eq!(t.expand(1001, KeyMode::Pool(10), 1), "GET /u/1/1?q={x}");
        assert!(t.varies() && !Template::parse("GET /").expect("one").varies());
        assert_eq!(Template::parse("{i"), Err(TemplateError::Open));
        assert_eq!(Template::parse("i}"), Err(TemplateError::Open));
        assert_eq!(Template::parse("{n%0}"), Err(TemplateError::Unknown("n%0".to_owned())));
    }

    #[test]
    fn distinct_keys_never_come_again_and_pooled_ones_do() {
        let t = Template::parse("{uuid}").expect("a template");
        let distinct: HashSet<String> = (0..5000).map(|n| t.expand(n, KeyMode::Distinct, 3)).collect();
        let pooled: HashSet<String> = (0..5000).map(|n| t.expand(n, KeyMode::Pool(20), 3)).collect();
        assert_eq!((distinct.len(), pooled.len()), (5000, 20));
        let one = distinct.iter().next().expect("many");
        assert_eq!((one.len(), one.as_bytes()[14]), (36, b'4'), "{one}");
        assert_ne!(t.expand(1, KeyMode::Distinct, 3), t.expand(1, KeyMode::Distinct, 4), "runs differ");
    }

    #[test]
    fn sessions_tokens_and_lists_belong_to_their_key() {
        let t = Template::parse("{session} {token} {word} {hex8} {a|b}").expect("a template");
        let made: HashSet<String> = (0..5000).map(|n| t.expand(n, KeyMode::Distinct, 3)).collect();
        assert_eq!(made.len(), 5000);
        let (one, same) = (t.expand(7, KeyMode::Distinct, 3), t.expand(7, KeyMode::Pool(5), 3));
        assert_eq!(same, t.expand(2, KeyMode::Distinct, 3));
        let long: Vec<usize> = one.split(' ').map(str::len).collect();
        assert_eq!(long, [32, 22, 12, 8, 1], "{one}");
        for (part, distinct) in [("{hex16}", 5000), ("{session}", 5000), ("{a|b}", 2)] {
            let t = Template::parse(part).expect("a template");
            let made: HashSet<String> = (0..5000).map(|n| t.expand(n, KeyMode::Distinct, 3)).collect();
            assert_eq!(made.len(), distinct, "{part}");
        }
        for wrong in ["{hex0}", "{hex129}", "{|a}", "{hexx}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    fn judged(heap: Verdict, native: Verdict) -> Vec<Judged> {
        let one = |metric, verdict| {
            let trend = Trend { slope: 0.0, low: 0.0, high: 0.0, error: 0.0 };
            let growth = Growth {
                verdict,
                is_settled: true,
                trend,
                warm_up: 0,
                smallest_seen: 0.0,
                needs: None,
                levels: (0.0, 0.0),
            };
            Judged { metric, tolerance: 8.0, growth: Ok(growth), levels: Vec::new() }
        };
        vec![one(Metric::Heap, heap), one(Metric::Native, native)]
    }

    #[test]
    fn growth_that_follows_the_keys_is_told() {
        use Verdict::{Flat, Growing, Saturating, Undecided};
        let finding = |pool: (Verdict, Verdict), distinct: (Verdict, Verdict)| {
            compare(&judged(pool.0, pool.1), &judged(distinct.0, distinct.1))
        };
        assert_eq!(finding((Flat, Flat), (Growing, Flat)), KeyFinding::UnboundedKeys);
        assert_eq!(finding((Flat, Undecided), (Growing, Undecided)), KeyFinding::UnboundedKeys);
        assert_eq!(finding((Growing, Flat), (Growing, Flat)), KeyFinding::EveryCall);
        assert_eq!(finding((Saturating, Flat), (Growing, Flat)), KeyFinding::Unclear);
        assert_eq!(finding((Flat, Undecided), (Flat, Flat)), KeyFinding::Unclear);
        assert_eq!(finding((Flat, Flat), (Flat, Flat)), KeyFinding::Neither);
    }
}
