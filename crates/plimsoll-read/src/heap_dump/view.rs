//! Looking into objects: fields by name, strings, who refers to them. What has not been read yet is noted, so that a
//! report is written as if all were at hand, and written again after one more reading for what was missing.

use std::cell::RefCell;

use super::fetch::{Content, Fetch, Fetched, Referrer, Via, Wanted};
use super::{HeapDump, HeapDumpError, Source, opened, scanned};
use crate::graph::watch::{Phase, Watch};
use crate::hprof::visitor::{Static, Type};

/// Further readings at most.
const READINGS: usize = 16;
/// Referrers asked for of one object.
const REFERRERS: usize = 16;

/// Assembles something from the content of objects, again and again until nothing it asks for is missing.
pub(super) fn resolved<T>(
    heap: &HeapDump,
    source: &(impl Source + ?Sized),
    watch: &dyn Watch,
    assemble: impl Fn(&View<'_>) -> T,
) -> Result<T, HeapDumpError> {
    let mut known = Fetched::default();
    let mut readings = 0;
    loop {
        let view = View::new(heap, &known);
        let assembled = assemble(&view);
        let missing = view.into_missing();
        if missing.is_empty() || readings >= READINGS {
            return Ok(assembled);
        }
        let more = fetch(heap, source, &missing, watch)?;
        known.add(missing, more);
        readings += 1;
    }
}

/// Reads what is wanted: in place where the dump allows it, else by one more reading of the whole.
fn fetch(
    heap: &HeapDump,
    source: &(impl Source + ?Sized),
    wanted: &Wanted,
    watch: &dyn Watch,
) -> Result<Fetched, HeapDumpError> {
    let mut fetch = Fetch::new(&heap.model, &heap.layouts, wanted, watch);
    if !fetch.in_place(heap, source) {
        scanned(opened(source)?, &mut fetch, Phase::Fetch)?;
    }
    Ok(fetch.finish())
}

/// A heap and what has been read of its objects so far.
pub(super) struct View<'a> {
    pub(super) heap: &'a HeapDump,
    known: &'a Fetched,
    missing: RefCell<Wanted>,
}

impl<'a> View<'a> {
    pub(super) fn new(heap: &'a HeapDump, known: &'a Fetched) -> Self {
        View { heap, known, missing: RefCell::new(Wanted::new(REFERRERS)) }
    }

    /// What was asked for and is not known.
    pub(super) fn into_missing(self) -> Wanted {
        self.missing.into_inner()
    }

    /// The content of the object at an address.
    pub(super) fn content(&self, address: u64) -> Option<&'a Content> {
        let found = self.known.contents.get(&address);
        if found.is_none() && !self.known.looked_for.contains_key(&address) && self.exists(address) {
            self.missing.borrow_mut().content(address);
        }
        found
    }

    /// Whether the content of an object was looked for.
    pub(super) fn is_known(&self, address: u64) -> bool {
        self.known.looked_for.contains_key(&address)
    }

    /// Will be asked for soon: is read with whatever else is missing.
    pub(super) fn wish(&self, address: u64) {
        if !self.known.looked_for.contains_key(&address) && self.exists(address) {
            self.missing.borrow_mut().content(address);
        }
    }

    /// How one object refers to another; nothing where it does not, or where that is not known (yet).
    pub(super) fn reference_between(&self, from: u64, to: u64) -> Option<Referrer> {
        let mut class = 0;
        let via = match self.content(from)? {
            Content::Fields(of, bytes) => {
                class = *of;
                let of = self.heap.model.index(*of)?;
                let mut references = self.heap.fields_of(of).filter(|field| field.ty == Type::Object);
                Via::Field(references.position(|f| self.heap.value_at(bytes, &f) == Some(to))? as u32)
            }
            Content::Class => {
                let class = self.heap.model.class_of(from)?;
                let is_it = |s: &&Static| s.ty == Type::Object && s.value == to;
                Via::Static(class.statics.iter().find(is_it)?.name)
            }
            Content::References(ids, _) => Via::Element(ids.iter().position(|id| *id == to)? as u64),
            Content::Values(..) => return None,
        };
        Some(Referrer { from, class, via })
    }

    /// Who refers to the object at an address; nothing while that is not known.
    pub(super) fn referrers(&self, address: u64) -> Option<&'a [Referrer]> {
        if self.known.looked_for.get(&address) == Some(&true) {
            return Some(self.known.referrers.get(&address).map_or(&[], Vec::as_slice));
        }
        if self.exists(address) {
            self.missing.borrow_mut().content_and_referrers(address);
        }
        None
    }

    fn exists(&self, address: u64) -> bool {
        address != 0 && self.heap.object_at(address).is_some()
    }

    /// The class (its index) and the fields' bytes of an instance.
    fn instance(&self, address: u64) -> Option<(u32, &'a [u8])> {
        match self.content(address)? {
            Content::Fields(class, bytes) => Some((self.heap.model.index(*class)?, bytes)),
            _ => None,
        }
    }

    /// The value of a field by its name, of the nearest class that has it.
    pub(super) fn field(&self, address: u64, name: &str) -> Option<(Type, u64)> {
        let (class, bytes) = self.instance(address)?;
        let field = self.heap.fields_of(class).find(|field| field.name == name.as_bytes())?;
        Some((field.ty, self.heap.value_at(bytes, &field)?))
    }

    /// A reference in a field; nothing for null.
    pub(super) fn reference(&self, address: u64, name: &str) -> Option<u64> {
        self.field(address, name).filter(|(ty, value)| *ty == Type::Object && *value != 0).map(|(_, id)| id)
    }

    /// A whole number in a field, not negative.
    pub(super) fn number(&self, address: u64, name: &str) -> Option<u64> {
        let (ty, value) = self.field(address, name)?;
        let signed = match ty {
            Type::Byte => i64::from(value as u8 as i8),
            Type::Short => i64::from(value as u16 as i16),
            Type::Int => i64::from(value as u32 as i32),
            Type::Long => value as i64,
            Type::Char => value as i64,
            _ => return None,
        };
        u64::try_from(signed).ok()
    }

    /// All whole numbers among the fields of an instance, by name.
    pub(super) fn numbers(&self, address: u64) -> Vec<(String, u64)> {
        let Some((class, _)) = self.instance(address) else { return Vec::new() };
        let named = self.heap.fields_of(class).filter(|f| matches!(f.ty, Type::Int | Type::Long));
        let names = named.map(|field| String::from_utf8_lossy(field.name).into_owned());
        names.filter_map(|name| self.number(address, &name).map(|value| (name, value))).collect()
    }

    /// Length of an array.
    pub(super) fn length(&self, address: u64) -> Option<u32> {
        match self.content(address)? {
            Content::References(_, length) | Content::Values(_, _, length) => Some(*length),
            _ => None,
        }
    }

    /// Elements of an array of references, as far as kept.
    pub(super) fn elements(&self, address: u64) -> Option<&'a [u64]> {
        match self.content(address)? {
            Content::References(ids, _) => Some(ids),
            _ => None,
        }
    }

    /// What a `java.lang.String` says, cut when it is long.
    pub(super) fn string(&self, address: u64) -> Option<String> {
        let value = self.reference(address, "value")?;
        let wide = self.number(address, "coder") == Some(1);
        match self.content(value)? {
            Content::Values(Type::Char, bytes, _) => Some(utf16(bytes, u16::from_be_bytes)),
            Content::Values(Type::Byte, bytes, _) if wide => Some(utf16(bytes, u16::from_le_bytes)),
            Content::Values(Type::Byte, bytes, _) => Some(latin1(bytes)),
            _ => None,
        }
    }

    /// A key as text: a string, a boxed number, or what an object of a class of its own says of itself.
    pub(super) fn text(&self, address: u64) -> Option<String> {
        let (class, _) = self.instance(address)?;
        self.plain(address).or_else(|| self.composite(class, address))
    }

    /// A string, a boxed number or a UUID.
    fn plain(&self, address: u64) -> Option<String> {
        let (class, _) = self.instance(address)?;
        let id = self.heap.model.classes().get(class as usize)?.id;
        match self.heap.model.raw_class_name(id)? {
            b"java/lang/String" => self.string(address),
            b"java/lang/Long" | b"java/lang/Integer" | b"java/lang/Short" | b"java/lang/Byte" => {
                let (ty, value) = self.field(address, "value")?;
                Some(match ty {
                    Type::Int => (value as u32 as i32).to_string(),
                    Type::Short => (value as u16 as i16).to_string(),
                    Type::Byte => (value as u8 as i8).to_string(),
                    _ => (value as i64).to_string(),
                })
            }
            b"java/util/UUID" => {
                let (_, high) = self.field(address, "mostSigBits")?;
                let (_, low) = self.field(address, "leastSigBits")?;
                Some(format!(
                    "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                    high >> 32,
                    high >> 16 & 0xffff,
                    high & 0xffff,
                    low >> 48,
                    low & 0xffff_ffff_ffff
                ))
            }
            _ => None,
        }
    }

    /// A key of a class of its own: its fields that are texts or numbers, as a record prints them.
    fn composite(&self, class: u32, address: u64) -> Option<String> {
        let (_, bytes) = self.instance(address)?;
        let mut parts = Vec::new();
        for field in self.heap.fields_of(class).take(8) {
            let name = String::from_utf8_lossy(field.name).into_owned();
            let value = self.heap.value_at(bytes, &field)?;
            match field.ty {
                Type::Object if value == 0 => parts.push(format!("{name}=null")),
                Type::Object => {
                    let text = self.plain(value);
                    parts.push(format!("{name}={}", text.unwrap_or_else(|| "…".to_owned())));
                }
                Type::Int | Type::Long | Type::Short => {
                    parts.push(format!("{name}={}", self.number(address, &name).unwrap_or(value)));
                }
                _ => {}
            }
        }
        let class = self.heap.name_of(class);
        let short = class.rsplit(['.', '$']).next().unwrap_or(&class);
        Some(format!("{short}[{}]", parts.join(", ")))
    }

    /// How a reference reads: `Class.field`, or an element of an array.
    pub(super) fn via(&self, referrer: &Referrer) -> String {
        referrer.name(&self.heap.model, &self.heap.layouts)
    }
}

/// Text of two bytes a character.
pub(super) fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16_lossy(&units)
}

/// Text of one byte a character.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}
