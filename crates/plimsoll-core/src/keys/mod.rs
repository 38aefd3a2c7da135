//! Templates of keys: what the keys of a growing map are made from, and which part of them makes them so many.
//!
//! A key comes apart into words, delimiters and slots. Keys of one arrangement form a template; a word that hardly ever
//! comes back is a slot as well, and a slot that never varies is a word. The slot with as many values as there are keys
//! carries the cardinality: without it the map would be small.
//!
//! A template shows what many keys have in common, and no key itself: a key may be a secret.

mod distinct;
mod template;
mod token;

use std::collections::{BTreeMap, HashMap, HashSet};

use distinct::{Distinct, hash, mix};
use template::{AFTER, ITSELF, normal_form, slots, templates};
use token::{Piece, pieces};

pub use token::{SlotKind, UUID_LENGTH, is_opaque, is_uuid};

/// Shapes kept apart while keys come in; further ones are counted together.
const SHAPES: usize = 4096;
/// Words in one place from which on they are taken for values.
const MANY_WORDS: usize = 24;
/// Keys that one word in a place must stand for, on average, to be taken for a part of the make.
const WORTH_A_WORD: u64 = 20;
/// Values of a slot that are told one by one.
const FEW: usize = 6;
/// Share of the keys that a slot's values must come up to, to carry the cardinality.
const CARRIES: f64 = 0.5;
/// Values per key within which two slots vary alike: the numbers are estimates.
const ALIKE: f64 = 0.15;
/// Keys below which nothing is said of what carries them.
const ENOUGH: u64 = 32;

/// Takes keys; memory is bounded however many and whatever they are.
#[derive(Debug, Default)]
pub struct Keys {
    keys: u64,
    distinct: Distinct,
    shapes: HashMap<String, Shape>,
    others: u64,
    /// Taking shapes together was of no use: new ones are counted only while there is room.
    is_full: bool,
    scratch: String,
    /// Whether what stands under a name is a secret.
    is_secret: Option<fn(&str) -> bool>,
}

/// Keys of one arrangement, words as they stand.
#[derive(Debug, Clone)]
struct Shape {
    pieces: Vec<Part>,
    count: u64,
    example: String,
}

/// A part of a shape.
#[derive(Debug, Clone)]
enum Part {
    Delimiter(char),
    Word(String),
    Slot(Values),
}

/// What was seen in a slot.
#[derive(Debug, Clone)]
struct Values {
    kind: SlotKind,
    /// Whether all words among the values could be hex digits.
    hex_words: bool,
    distinct: Distinct,
    /// The first few values.
    few: Vec<String>,
    /// Shortest and longest, characters.
    shortest: usize,
    longest: usize,
}

impl Values {
    fn new(kind: SlotKind) -> Values {
        Values {
            kind,
            hex_words: true,
            distinct: Distinct::default(),
            few: Vec::new(),
            shortest: usize::MAX,
            longest: 0,
        }
    }

    /// The kind that what is there and what comes fit: `abad` among hex digits is some of them.
    fn widen(&mut self, kind: SlotKind, hex_words: bool) {
        use SlotKind::{Hex, Number, Word};
        self.hex_words &= hex_words;
        self.kind = match (self.kind, kind) {
            (Word, Hex | Number) | (Hex | Number, Word) if self.hex_words => Hex,
            (own, new) => own.widest(new),
        };
    }

    fn add(&mut self, kind: SlotKind, value: &str) {
        let is_hex = value.bytes().all(|b| b.is_ascii_hexdigit());
        self.widen(kind, is_hex || kind != SlotKind::Word);
        self.distinct.add(hash(0, value));
        let length = value.chars().count();
        self.shortest = self.shortest.min(length);
        self.longest = self.longest.max(length);
        if self.few.len() <= FEW && !self.few.iter().any(|known| known == value) {
            self.few.push(value.to_owned());
        }
    }

    fn merge(&mut self, other: &Values) {
        self.widen(other.kind, other.hex_words);
        self.distinct.merge(&other.distinct);
        self.shortest = self.shortest.min(other.shortest);
        self.longest = self.longest.max(other.longest);
        for value in &other.few {
            if self.few.len() <= FEW && !self.few.contains(value) {
                self.few.push(value.clone());
            }
        }
    }
}

/// What the keys are made from.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyReport {
    /// Keys taken.
    pub keys: u64,
    /// Different ones among them; an estimate above 1,000.
    pub distinct: u64,
    /// The templates, most keys first.
    pub templates: Vec<Template>,
    /// Keys of shapes that were too many to be kept apart.
    pub others: u64,
    /// The slot that makes them so many, where one does.
    pub carrier: Option<Carrier>,
}

/// A template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Such as `/users/{number}/orders?trace={hex16}`.
    pub text: String,
    /// The same without what varies without end: what the key should have been.
    pub normal: String,
    /// Keys made from it.
    pub count: u64,
    /// One of them, as it is: to be shown only to who asks for it.
    pub example: String,
    /// Its slots, from left to right.
    pub slots: Vec<Slot>,
}

/// A slot of a template.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// The name of the parameter or field, or what comes before it.
    pub name: String,
    /// What it is made of.
    pub kind: SlotKind,
    /// Different values; an estimate above 1,000.
    pub distinct: u64,
}

/// A slot that has nearly as many values as there are keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Carrier {
    /// Its name, in all templates that have it.
    pub slot: String,
    /// Keys in whose template it carries the cardinality, share of all.
    pub share: f64,
    /// Different values per key, 0 to 1.
    pub unique: f64,
    /// Keys that would be left if all templates were used in their normal form.
    pub normal_keys: u64,
}

impl Carrier {
    /// The slot within a sentence: a name in quotes, or where it stands.
    pub fn in_words(&self) -> String {
        match self.slot.strip_prefix(AFTER) {
            Some(word) => format!("what comes after `{word}`"),
            None if self.slot == ITSELF => ITSELF.to_owned(),
            None => format!("`{}`", self.slot),
        }
    }
}

impl Keys {
    /// Values under such names are not shown, even where all keys have the same.
    pub fn hiding(is_secret: fn(&str) -> bool) -> Keys {
        Keys { is_secret: Some(is_secret), ..Keys::default() }
    }

    /// Takes a key.
    pub fn push(&mut self, key: &str) {
        self.keys += 1;
        self.distinct.add(hash(1, key));
        self.scratch.clear();
        let scratch = &mut self.scratch;
        pieces(key, |piece| match piece {
            Piece::Delimiter(c) => scratch.push(c),
            Piece::Word(word) => scratch.push_str(word),
            Piece::Slot(kind, _) => scratch.push(mark(kind)),
        });
        if !self.shapes.contains_key(self.scratch.as_str()) {
            if self.shapes.len() >= SHAPES && !self.is_full {
                self.shapes = merged(std::mem::take(&mut self.shapes));
                // When taking together gains little, it would gain little again for each key.
                self.is_full = self.shapes.len() > SHAPES / 2;
            }
            if self.shapes.len() >= SHAPES {
                self.others += 1;
                return;
            }
        }
        let fresh = || Shape { pieces: parts(key), count: 0, example: key.chars().take(200).collect() };
        let shape = self.shapes.entry(self.scratch.clone()).or_insert_with(fresh);
        shape.count += 1;
        let mut slots = shape.pieces.iter_mut().filter_map(|part| match part {
            Part::Slot(values) => Some(values),
            _ => None,
        });
        pieces(key, |piece| {
            if let Piece::Slot(kind, value) = piece
                && let Some(values) = slots.next()
            {
                values.add(kind, value);
            }
        });
    }

    /// What they are made from.
    pub fn finish(self) -> KeyReport {
        let Keys { keys, distinct, shapes, others, is_secret, .. } = self;
        let mut shapes: Vec<Shape> = merged(shapes).into_values().collect();
        shapes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.example.cmp(&b.example)));
        let is_secret = is_secret.unwrap_or(|_| false);
        let carrier = carrier(&shapes, keys);
        let templates = templates(&shapes, is_secret);
        // An estimate may be above what there is.
        KeyReport { keys, distinct: distinct.count().min(keys), templates, others, carrier }
    }
}

/// How a slot stands in the text of a shape: a character that no key is likely to have.
fn mark(kind: SlotKind) -> char {
    match kind {
        SlotKind::Number => '\u{1}',
        SlotKind::Word => '\u{2}',
        SlotKind::Hex => '\u{3}',
        SlotKind::Uuid => '\u{4}',
        SlotKind::Token => '\u{5}',
    }
}

fn parts(key: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    pieces(key, |piece| {
        parts.push(match piece {
            Piece::Delimiter(c) => Part::Delimiter(c),
            Piece::Word(word) => Part::Word(word.to_owned()),
            Piece::Slot(kind, _) => Part::Slot(Values::new(kind)),
        });
    });
    parts
}

/// Takes shapes together that are one template: words that are values become slots, and slots of one place one.
fn merged(shapes: HashMap<String, Shape>) -> HashMap<String, Shape> {
    let mut groups: BTreeMap<String, Vec<Shape>> = BTreeMap::new();
    for shape in shapes.into_values() {
        groups.entry(arrangement(&shape)).or_default().push(shape);
    }
    let mut merged: HashMap<String, Shape> = HashMap::new();
    for mut group in groups.into_values() {
        group.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.example.cmp(&b.example)));
        let values = value_places(&group);
        for shape in group {
            let shape = with_slots(shape, &values);
            let key = text_of(&shape);
            match merged.get_mut(&key) {
                Some(known) => join(known, &shape),
                None => drop(merged.insert(key, shape)),
            }
        }
    }
    merged
}

/// The delimiters and how many parts lie between.
fn arrangement(shape: &Shape) -> String {
    let part = |part: &Part| match part {
        Part::Delimiter(c) => *c,
        Part::Word(_) | Part::Slot(_) => '\u{6}',
    };
    shape.pieces.iter().map(part).collect()
}

/// For each place of a group's shapes whether what stands there is a value: beside slots, words that could be one of
/// theirs; and words that are many and hardly come back.
fn value_places(group: &[Shape]) -> Vec<bool> {
    let places = group.first().map_or(0, |shape| shape.pieces.len());
    (0..places)
        .map(|place| {
            let mut words: HashMap<&str, u64> = HashMap::new();
            let (mut in_words, mut in_slots, mut hex_words) = (0u64, 0u64, true);
            for shape in group {
                match shape.pieces.get(place) {
                    Some(Part::Word(word)) => {
                        *words.entry(word).or_default() += shape.count;
                        in_words += shape.count;
                        hex_words &= word.bytes().all(|b| b.is_ascii_hexdigit());
                    }
                    Some(Part::Slot(_)) => in_slots += shape.count,
                    _ => {}
                }
            }
            let stragglers = hex_words && in_slots > 10 * in_words;
            stragglers || words.len() >= MANY_WORDS && in_words < WORTH_A_WORD * words.len() as u64
        })
        .collect()
}

fn with_slots(mut shape: Shape, values: &[bool]) -> Shape {
    for (part, is_value) in shape.pieces.iter_mut().zip(values) {
        if *is_value && let Part::Word(word) = part {
            let mut slot = Values::new(SlotKind::Word);
            slot.add(SlotKind::Word, word);
            // A word among hex digits is some of them.
            if word.bytes().all(|b| b.is_ascii_hexdigit()) {
                slot.kind = SlotKind::Hex;
            }
            *part = Part::Slot(slot);
        }
    }
    shape
}

/// Words and delimiters, and where slots are, of whatever kind.
fn text_of(shape: &Shape) -> String {
    let mut text = String::new();
    for part in &shape.pieces {
        match part {
            Part::Delimiter(c) => text.push(*c),
            Part::Word(word) => text.push_str(word),
            Part::Slot(_) => text.push('\u{1}'),
        }
    }
    text
}

fn join(known: &mut Shape, other: &Shape) {
    known.count += other.count;
    for (own, new) in known.pieces.iter_mut().zip(&other.pieces) {
        if let (Part::Slot(own), Part::Slot(new)) = (own, new) {
            own.merge(new);
        }
    }
}

/// The slot whose values are nearly as many as the keys, over all templates that have it.
fn carrier(shapes: &[Shape], keys: u64) -> Option<Carrier> {
    if keys < ENOUGH {
        return None;
    }
    let mut names: HashMap<String, (u64, f64)> = HashMap::new();
    for shape in shapes {
        let slots = slots(shape);
        let ratio = |slot: &Slot| (slot.distinct as f64 / shape.count.max(1) as f64).min(1.0);
        let most = slots.iter().map(ratio).fold(0.0, f64::max);
        // Of those that vary about alike, a random one is to blame rather than a number.
        let alike = slots.iter().filter(|slot| ratio(slot) >= most - ALIKE);
        let Some(best) = alike.max_by(|a, b| a.kind.cmp(&b.kind).then(ratio(a).total_cmp(&ratio(b)))) else {
            continue;
        };
        if shape.count >= ENOUGH / 4 && ratio(best) >= CARRIES {
            let sum = names.entry(best.name.clone()).or_default();
            sum.0 += shape.count;
            sum.1 += ratio(best) * shape.count as f64;
        }
    }
    let more = |a: &(u64, f64), b: &(u64, f64)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
    let (slot, (count, unique)) =
        names.into_iter().max_by(|a, b| more(&a.1, &b.1).then_with(|| b.0.cmp(&a.0)))?;
    let normal: HashSet<String> = shapes.iter().map(|shape| normal_form(shape, |_| false)).collect();
    Some(Carrier {
        slot,
        share: count as f64 / keys as f64,
        unique: unique / count.max(1) as f64,
        normal_keys: normal.len() as u64,
    })
}

/// Whether two keys fall into one bucket of a sample: deterministic, by the key alone.
pub fn sampled(key: &str, one_in: u64) -> bool {
    mix(hash(2, key)).is_multiple_of(one_in.max(1))
}

#[cfg(test)]
mod tests;
