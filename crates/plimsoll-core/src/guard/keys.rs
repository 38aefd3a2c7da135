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
    #[error("{{{0}}} is no placeholder: there are {{i}}, {{uuid}}, {{hex}} and {{n%1000}}")]
    Unknown(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The number of the key.
    Number,
    /// A random-looking UUID that belongs to the key.
    Uuid,
    /// Sixteen hex digits that belong to the key.
    Hex,
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
                Part::Hex => write!(out, "{:016x}", mix(seed, key)),
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
        "hex" => Ok(Part::Hex),
        other => {
            let range = other.strip_prefix("n%").or_else(|| other.strip_prefix("i%"));
            let range = range.and_then(|r| r.trim().parse().ok()).filter(|r| *r > 0);
            range.map(Part::Within).ok_or_else(|| TemplateError::Unknown(other.to_owned()))
        }
    }
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
