//! The readings of what is in arrays: the first, of all of them, and the last, of those whose name is known.

use std::collections::HashMap;

use super::super::named::judge;
use super::super::names::announces_secret;
use super::super::{Kind, Match, Scanner, masked, scan};
use super::Secret;
use super::holders::Values;
use crate::hprof::model::{Limits, Model};
use crate::hprof::open::IdSize;
use crate::hprof::visitor::{Class, LoadClass, PrimitiveArray, Text, Type, Visitor};
use crate::redact::text::{Elements, readable};

/// Arrays with finds kept with their places at most.
const FOUND: usize = 100_000;
/// Names of secrets kept at most, and their longest.
const NAMES: usize = 200_000;
const NAME: usize = 64;
/// Of a large array, what is looked at again with the next piece, bytes.
const OVERLAP: usize = 2048;
/// Secrets of one array kept at most.
const PER_ARRAY: usize = 64;

/// What was found in an array.
#[derive(Debug)]
pub(super) struct Found {
    /// What to say when nobody holds it.
    pub(super) place: &'static str,
    pub(super) secrets: Vec<Secret>,
}

/// Scans all texts of a dump, and learns its classes.
pub(super) struct Contents {
    pub(super) model: Model,
    pub(super) found: HashMap<u64, Found>,
    /// Those in texts outside the heap.
    pub(super) outside: Vec<Secret>,
    /// Arrays that hold the name of a secret.
    pub(super) names: HashMap<u64, Box<str>>,
    pub(super) texts: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    carry: Vec<u8>,
}

pub(super) fn elements_of(array: &PrimitiveArray) -> Option<(Elements, &'static str)> {
    match array.ty {
        Type::Byte => Some((Elements::Bytes, "(in a byte[])")),
        Type::Char => Some((Elements::Characters, "(in a char[])")),
        _ => None,
    }
}

impl Contents {
    pub(super) fn new(size: IdSize, limits: Limits) -> Contents {
        Contents {
            model: Model::new(size, limits),
            found: HashMap::new(),
            outside: Vec::new(),
            names: HashMap::new(),
            texts: 0,
            bytes: 0,
            lost: 0,
            carry: Vec::new(),
        }
    }

    fn note(&mut self, array: u64, place: &'static str, found: Match, text: &[u8]) {
        if self.found.len() >= FOUND && !self.found.contains_key(&array) {
            self.lost += 1;
            return;
        }
        let entry = self.found.entry(array).or_insert_with(|| Found { place, secrets: Vec::new() });
        if entry.secrets.len() < PER_ARRAY {
            let example = found.masked(text);
            entry.secrets.push(Secret { kind: found.kind, confidence: found.confidence, example });
        } else {
            self.lost += 1;
        }
    }

    fn whole(&mut self, array: &PrimitiveArray, text: &[u8], place: &'static str) {
        self.texts += 1;
        scan(text, None, |found| self.note(array.id, place, found, text));
        if let Some(name) = name_of_a_secret(text).filter(|_| self.names.len() < NAMES) {
            self.names.insert(array.id, name.into());
        }
    }

    /// A piece is looked at together with the end of the one before.
    fn piece(&mut self, array: &PrimitiveArray, first: u64, text: &[u8], place: &'static str) {
        let mut both = std::mem::take(&mut self.carry);
        if first == 0 {
            self.texts += 1;
            both.clear();
        }
        let old = both.len();
        both.extend_from_slice(text);
        scan(&both, None, |found| {
            if found.end > old {
                self.note(array.id, place, found, &both);
            }
        });
        both.drain(..both.len().saturating_sub(OVERLAP));
        self.carry = both;
    }
}

/// A text that is a name, and announces a secret.
fn name_of_a_secret(text: &[u8]) -> Option<&str> {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if text.len() > NAME || !text.iter().all(is_name) {
        return None;
    }
    std::str::from_utf8(text).ok().filter(|name| announces_secret(name))
}

impl Visitor for Contents {
    fn text(&mut self, text: &Text<'_>) {
        Visitor::text(&mut self.model, text);
        scan(text.bytes, None, |found| {
            if self.outside.len() < FOUND {
                let example = found.masked(text.bytes);
                self.outside.push(Secret { kind: found.kind, confidence: found.confidence, example });
            } else {
                self.lost += 1;
            }
        });
    }

    fn load_class(&mut self, class: &LoadClass) {
        self.model.load_class(class);
    }

    fn class(&mut self, class: &Class<'_>) {
        self.model.class(class);
    }

    fn values(&mut self, array: &PrimitiveArray, first: u64, bytes: &[u8]) {
        let Some((elements, place)) = elements_of(array) else { return };
        let Some(text) = readable(bytes, elements) else { return };
        self.bytes += bytes.len() as u64;
        let is_whole = first == 0 && (bytes.len() / array.ty.bytes(0)) as u64 == u64::from(array.length);
        if is_whole {
            self.whole(array, &text, place);
        } else {
            self.piece(array, first, &text, place);
        }
    }
}

/// Judges the texts that stand under a name.
pub(super) struct Named<'a> {
    values: &'a Values,
    contents: &'a Contents,
    scanner: &'a mut Scanner,
}

impl<'a> Named<'a> {
    pub(super) fn new(values: &'a Values, contents: &'a Contents, scanner: &'a mut Scanner) -> Named<'a> {
        Named { values, contents, scanner }
    }
}

impl Visitor for Named<'_> {
    fn values(&mut self, array: &PrimitiveArray, first: u64, bytes: &[u8]) {
        let mut contexts = self.values.contexts_of(array.id).peekable();
        // What has the form of a secret was told already.
        if first > 0 || contexts.peek().is_none() || self.contents.found.contains_key(&array.id) {
            return;
        }
        let Some((elements, _)) = elements_of(array) else { return };
        let Some(text) = readable(bytes, elements) else { return };
        for context in contexts {
            if let Some(confidence) = judge(&context.name, &text) {
                self.scanner.add(Kind::Named, confidence, &context.place, || masked(&text));
            }
        }
    }
}
