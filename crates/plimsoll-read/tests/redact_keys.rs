//! What keys are made from is the same in a redacted copy: keys of every make there is, drawn at random.

use std::collections::BTreeMap;

use plimsoll_core::keys::{KeyReport, Keys, SlotKind};
use plimsoll_read::hprof::open::{IdSize, open};
use plimsoll_read::hprof::visitor::{PrimitiveArray, Type, Visitor};
use plimsoll_read::hprof::write::{Heap, Writer};
use plimsoll_read::redact::policy::Policy;
use plimsoll_read::redact::redact;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const KEY: [u8; 32] = *b"an example of a key of 32 bytes!";
/// Fewer different keys than from which on their number is an estimate.
const KEYS: usize = 120;
const ROUNDS: u64 = 250;

const LITERALS: &[&str] = &[
    "orders", "api", "v1", "v2", "HTTP2", "userId", "ORDER", "x", "a", "face", "bad", "q", "p99", "größe",
    "été", "example", "com", "tenant", "Session", "decade", "abc12", "13T10", "cafe7", "term", "sha256",
    "id",
];
const SEPARATORS: &[&str] =
    &["/", ":", ".", "-", "_", "?q=", "&trace=", "@", "|", " ", "#", ", id=", "=", "::"];

/// One key's value of a make.
type Make = fn(&mut ChaCha8Rng) -> String;

fn digits(random: &mut ChaCha8Rng, alphabet: &[u8], length: usize) -> String {
    (0..length).map(|_| char::from(alphabet[random.random_range(0..alphabet.len())])).collect()
}

fn uuid(random: &mut ChaCha8Rng, alphabet: &[u8]) -> String {
    [8, 4, 4, 4, 12].map(|length| digits(random, alphabet, length)).join("-")
}

const LOWER: &[u8] = b"0123456789abcdef";
const UPPER: &[u8] = b"0123456789ABCDEF";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

const MAKES: &[Make] = &[
    |r| uuid(r, LOWER),
    |r| uuid(r, UPPER),
    |r| uuid(r, LOWER).replace('-', ""),
    |r| format!("{:x}", r.random::<u32>()),
    |r| format!("{:X}", r.random_range(0..70_000_u32)),
    |r| format!("{:x}", r.random_range(0..300_u32)),
    |r| format!("{:x}:{:X}", r.random::<u64>(), r.random::<u16>()),
    |r| digits(r, b"0123456789abcdefABCDEF", 7),
    |r| r.random::<u64>().to_string(),
    |r| r.random_range(0..40_u32).to_string(),
    |r| format!("{:06}", r.random_range(0..40_000_u32)),
    |r| r.random::<i32>().to_string(),
    |r| {
        format!(
            "{}.{}@mail{}.example.com",
            digits(r, LETTERS, 5),
            digits(r, LETTERS, 7),
            r.random_range(0..9)
        )
    },
    |r| format!("2024-{:02}-{:02}", r.random_range(1..13), r.random_range(1..29)),
    |r| {
        format!(
            "2024-05-{:02}T{:02}:{:02}:00Z",
            r.random_range(1..29),
            r.random_range(0..24),
            r.random_range(0..60)
        )
    },
    |r| digits(r, BASE64, 22) + "==",
    |r| digits(r, URL64, 43),
    |r| digits(r, BASE64, 9),
    |r| ["asc", "desc", "none"][r.random_range(0..3)].to_owned(),
    |r| format!("user{}", r.random::<u16>()),
    |r| format!("node-a{}b", r.random_range(0..500)),
    |r| digits(r, b"abcdef", 4),
    |r| digits(r, LETTERS, 30),
    |r| format!("{}.{}.{}.{}", r.random::<u8>(), r.random::<u8>(), r.random::<u8>(), r.random::<u8>()),
    |r| format!("4539 {:04} 0343 {:04}", r.random_range(0..9999), r.random_range(0..9999)),
    |r| {
        format!(
            "sk_live_{}",
            digits(r, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 24)
        )
    },
];

enum Segment {
    Literal(&'static str),
    Value(Make),
}

fn arrangement(random: &mut ChaCha8Rng) -> Vec<(Segment, &'static str)> {
    let count = random.random_range(1..6);
    (0..count)
        .map(|_| {
            let segment = if random.random_range(0..3) == 0 {
                Segment::Literal(LITERALS[random.random_range(0..LITERALS.len())])
            } else {
                Segment::Value(MAKES[random.random_range(0..MAKES.len())])
            };
            (segment, SEPARATORS[random.random_range(0..SEPARATORS.len())])
        })
        .collect()
}

fn drawn(random: &mut ChaCha8Rng) -> Vec<String> {
    let arrangements: Vec<_> = (0..random.random_range(1..6)).map(|_| arrangement(random)).collect();
    let key = |at: usize, random: &mut ChaCha8Rng| {
        let parts = &arrangements[at % arrangements.len()];
        let key = parts.iter().map(|(segment, separator)| match segment {
            Segment::Literal(text) => format!("{text}{separator}"),
            Segment::Value(make) => make(random) + separator,
        });
        // Latin-1 is told from other bytes by how little of it is beyond ASCII.
        format!("/keys/in/ascii/{}", key.collect::<String>())
    };
    (0..KEYS).map(|at| key(at, random)).collect()
}

/// Each text as the array of a `java.lang.String`, then what stands in the arrays of a redacted copy.
fn redacted(texts: &[String]) -> Vec<String> {
    struct Arrays(Vec<String>);
    impl Visitor for Arrays {
        fn values(&mut self, _: &PrimitiveArray, _: u64, bytes: &[u8]) {
            self.0.push(bytes.iter().map(|b| char::from(*b)).collect());
        }
    }
    let mut heap = Heap::new(IdSize::Eight);
    for (at, text) in (1..).zip(texts) {
        let latin: Vec<u64> = text.chars().map(|c| u64::from(u32::from(c))).collect();
        heap = heap.primitive_array(8 * at, Type::Byte, &latin);
    }
    let mut writer = Writer::new(Vec::new(), "1.0.2", IdSize::Eight, 0).expect("memory");
    writer.segment(&heap).and_then(|()| writer.end()).expect("memory");
    let mut copy = Vec::new();
    redact(writer.into_inner().as_slice(), &mut copy, &Policy::default(), &KEY).expect("a dump");
    let mut arrays = Arrays(Vec::new());
    open(copy.as_slice()).expect("a dump").scan(&mut arrays);
    assert_eq!(arrays.0.len(), texts.len());
    arrays.0
}

fn said(keys: &[String]) -> KeyReport {
    let mut all = Keys::default();
    keys.iter().for_each(|key| all.push(key));
    all.finish()
}

/// What is compared of a template: its text, its normal form, keys, and kind and number of values of each slot.
type Told = (String, String, u64, Vec<(SlotKind, u64)>);

fn told(report: &KeyReport, replace: impl Fn(&str) -> String) -> Vec<Told> {
    let of = |t: &plimsoll_core::keys::Template| {
        let slots = t.slots.iter().map(|slot| (slot.kind, slot.distinct)).collect();
        (replace(&t.text), replace(&t.normal), t.count, slots)
    };
    let mut all: Vec<Told> = report.templates.iter().map(of).collect();
    all.sort();
    all
}

/// The text of a template in tokens: words, numbers, slots, and what lies between.
fn tokens(template: &str) -> Vec<&str> {
    let kind = |c: char| (c.is_alphanumeric(), c.is_ascii_digit());
    let (mut rest, mut all) = (template, Vec::new());
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '{' => rest.find('}').map_or(rest.len(), |at| at + 1),
            c if c.is_alphanumeric() => rest.find(|d| kind(d) != kind(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, more) = rest.split_at(end);
        all.push(token);
        rest = more;
    }
    all
}

/// What became of each word and number that templates show.
fn dictionary(report: &KeyReport) -> BTreeMap<String, String> {
    let shown = report.templates.iter().flat_map(|t| tokens(&t.text).into_iter().chain(tokens(&t.normal)));
    let is_list = |token: &&str| token.starts_with('{') && token.contains('|');
    let words: Vec<String> = shown
        .flat_map(|token| match token.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
            Some(list) if is_list(&token) => list.split('|').collect(),
            Some(_) => Vec::new(),
            None => vec![token],
        })
        .filter(|word| word.chars().all(char::is_alphanumeric))
        .map(str::to_owned)
        .collect();
    // Behind a text in ASCII, as in the keys.
    let texts: Vec<String> = words.iter().map(|word| format!("/a text of ASCII before it/{word}")).collect();
    let replaced = redacted(&texts);
    let last = |text: &String| text.rsplit('/').next().unwrap_or_default().to_owned();
    words.into_iter().zip(replaced.iter().map(last)).collect()
}

fn replaced(template: &str, words: &BTreeMap<String, String>) -> String {
    let word = |word: &str| words.get(word).cloned().unwrap_or_else(|| word.to_owned());
    let token = |token: &str| match token.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        Some(list) if list.contains('|') => {
            let mut list: Vec<String> = list.split('|').map(word).collect();
            list.sort();
            format!("{{{}}}", list.join("|"))
        }
        Some(_) => token.to_owned(),
        None => word(token),
    };
    tokens(template).into_iter().map(token).collect()
}

#[test]
fn keys_of_every_make_have_the_same_templates_in_a_copy() {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..ROUNDS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let keys = drawn(&mut random);
        let copy = redacted(&keys);
        let (before, after) = (said(&keys), said(&copy));
        let words = dictionary(&before);
        let wanted = told(&before, |text| replaced(text, &words));
        assert_eq!(told(&after, str::to_owned), wanted, "seed {seed}, keys like {:?}", &keys[..5]);
        assert_eq!(after.distinct, before.distinct, "seed {seed}");
        let carrier =
            |report: &KeyReport| report.carrier.as_ref().map(|c| (c.share, c.unique, c.normal_keys));
        assert_eq!(carrier(&after), carrier(&before), "seed {seed}");
        before
            .templates
            .iter()
            .flat_map(|t| &t.slots)
            .for_each(|slot| *kinds.entry(slot.kind.name()).or_default() += 1);
        for (key, copy) in keys.iter().zip(&copy) {
            let alike =
                key.split(|c: char| !c.is_alphanumeric()).zip(copy.split(|c: char| !c.is_alphanumeric()));
            let kept: Vec<_> = alike.filter(|(a, b)| a.len() >= 8 && a == b).collect();
            assert!(kept.is_empty(), "{kept:?} of {key} survives");
        }
    }
    assert!(["hex", "number", "token", "uuid", "word"].iter().all(|kind| kinds[kind] > 20), "{kinds:?}");
}

#[test]
fn hex_of_every_length_stays_hex() {
    for length in 1..=200 {
        let mut random = ChaCha8Rng::seed_from_u64(length);
        for alphabet in [LOWER, UPPER, b"0123456789abcdefABCDEF"] {
            let of = |random: &mut ChaCha8Rng| digits(random, alphabet, length as usize);
            let keys: Vec<String> = (0..40).map(|n| format!("/a/{n}?trace={}", of(&mut random))).collect();
            let copy = redacted(&keys);
            let kinds = |keys: &[String]| {
                told(&said(keys), |text| tokens(text).into_iter().filter(|t| t.starts_with('{')).collect())
            };
            let (before, after) = (kinds(&keys), kinds(&copy));
            let slots = |told: &[Told]| told.iter().map(|t| (t.2, t.3.clone())).collect::<Vec<_>>();
            assert_eq!(slots(&after), slots(&before), "{length} digits: {} became {}", keys[0], copy[0]);
        }
    }
}
