//! Who holds what, in words; and references of a class's instances with the names of their fields.

use std::collections::HashMap;

use super::super::names::announces_secret;
use crate::hprof::layout::ANCESTORS;
use crate::hprof::model::{ClassCache, Model};
use crate::hprof::visitor::Type;

/// A name that announces a secret, and where it stands.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) name: String,
    pub(super) place: String,
}

/// The places of arrays.
#[derive(Debug, Default)]
pub(super) struct Places {
    words: Vec<String>,
    by_words: HashMap<String, u32>,
    of: HashMap<u64, u32>,
}

impl Places {
    pub(super) fn of(&self, array: u64) -> Option<&str> {
        self.words.get(*self.of.get(&array)? as usize).map(String::as_str)
    }

    /// The first place told of an array counts.
    pub(super) fn tell(&mut self, array: u64, place: impl FnOnce() -> String) {
        if self.of.contains_key(&array) {
            return;
        }
        let place = place();
        let next = self.words.len() as u32;
        let index = *self.by_words.entry(place).or_insert_with_key(|place| {
            self.words.push(place.clone());
            next
        });
        self.of.insert(array, index);
    }
}

/// Identifiers to look for: most are not among them, which a look at one bit tells.
#[derive(Debug)]
pub(super) struct Wanted<T> {
    bits: Box<[u64]>,
    all: HashMap<u64, T>,
}

const WORDS: u64 = 1 << 14;

impl<T> Default for Wanted<T> {
    fn default() -> Wanted<T> {
        Wanted { bits: vec![0; WORDS as usize].into_boxed_slice(), all: HashMap::new() }
    }
}

fn slot(id: u64) -> (usize, u64) {
    let hash = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
    ((hash >> 6) as usize, 1 << (hash & 63))
}

impl<T> Wanted<T> {
    /// The first one counts; `most` are kept.
    pub(super) fn insert(&mut self, id: u64, value: T, most: usize) {
        if id == 0 || self.all.len() >= most {
            return;
        }
        let (word, bit) = slot(id);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
        }
        self.all.entry(id).or_insert(value);
    }

    #[inline]
    pub(super) fn get(&self, id: u64) -> Option<&T> {
        let (word, bit) = slot(id);
        if self.bits.get(word)? & bit == 0 { None } else { self.all.get(&id) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// Contexts of one object kept at most: constants are shared.
const SHARED: usize = 8;

impl Wanted<Vec<u32>> {
    /// One context more.
    pub(super) fn add(&mut self, id: u64, context: u32, most: usize) {
        match self.all.get_mut(&id) {
            Some(all) if all.len() < SHARED && !all.contains(&context) => all.push(context),
            Some(_) => {}
            None => self.insert(id, vec![context], most),
        }
    }
}

impl<T> FromIterator<(u64, T)> for Wanted<T> {
    fn from_iter<I: IntoIterator<Item = (u64, T)>>(pairs: I) -> Wanted<T> {
        let mut wanted = Wanted::default();
        for (id, value) in pairs {
            wanted.insert(id, value, usize::MAX);
        }
        wanted
    }
}

/// A reference in the fields of an instance.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) offset: usize,
    /// Class that declares it, and its name.
    pub(super) class: u64,
    pub(super) name: u64,
    /// Whether the name announces a secret.
    pub(super) is_secret: bool,
}

/// The references of one class's instances.
#[derive(Debug, Default)]
pub(super) struct References {
    pub(super) all: Vec<Reference>,
    /// Any of them has a name that announces a secret.
    pub(super) any_secret: bool,
    /// Offsets of key and value, in the entry of a map.
    pub(super) entry: Option<(usize, usize)>,
    /// Offset of the characters, in a string.
    pub(super) characters: Option<usize>,
    /// Offset of an array in which keys and values take turns.
    pub(super) table: Option<usize>,
}

/// Maps that keep keys and values in one array.
const TABLES: [&[u8]; 2] = [b"java/util/ImmutableCollections$MapN", b"java/util/IdentityHashMap"];

/// References by class, as they are asked for.
#[derive(Default)]
pub(super) struct Classes {
    cache: ClassCache,
    all: Vec<Option<Box<References>>>,
}

impl Classes {
    #[inline]
    pub(super) fn of(&mut self, class: u64, model: &Model) -> Option<&References> {
        let index = self.cache.get(class, || model.index(class).unwrap_or(u32::MAX)) as usize;
        if index >= model.classes().len() {
            return None;
        }
        if self.all.len() <= index {
            self.all.resize_with(model.classes().len(), || None);
        }
        Some(self.all.get_mut(index)?.get_or_insert_with(|| Box::new(references(index, model))))
    }
}

fn references(index: usize, model: &Model) -> References {
    let mut found = References::default();
    let (mut key, mut value, mut characters, mut table) = (None, None, None, None);
    let (mut offset, mut next) = (0, model.classes().get(index));
    for _ in 0..ANCESTORS {
        let Some(class) = next else { break };
        for field in &class.fields {
            let name = model.text(field.name).unwrap_or_default();
            if field.ty == Type::Object {
                let is_secret = announces_secret(&String::from_utf8_lossy(name));
                found.any_secret |= is_secret;
                found.all.push(Reference { offset, class: class.id, name: field.name, is_secret });
                match name {
                    b"key" | b"k0" => key = key.or(Some(offset)),
                    b"value" | b"val" | b"v0" => value = value.or(Some(offset)),
                    _ => {}
                }
                characters = characters.or((name == b"value").then_some(offset));
                table = table.or((name == b"table").then_some(offset));
            }
            offset += field.ty.bytes(model.id_size().bytes());
        }
        next = model.class_of(class.superclass);
    }
    let class = model.classes().get(index).and_then(|c| model.raw_class_name(c.id)).unwrap_or_default();
    found.entry = key.zip(value);
    found.characters = characters.filter(|_| class == b"java/lang/String");
    found.table = table.filter(|_| TABLES.contains(&class));
    found
}

/// A field in words: `com.example.Config.password`.
pub(super) fn field_words(model: &Model, class: u64, name: u64) -> String {
    let class = model.class_name(class).unwrap_or_else(|| format!("class at {class:#x}"));
    let name = model.string(name).unwrap_or_else(|| "(field without a name)".to_owned());
    format!("{class}.{name}")
}
