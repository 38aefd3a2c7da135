//! The readings in between: strings of the arrays that were found, who holds them, and what strings stand under names
//! that announce a secret.

use super::contents::Contents;
use super::places::{Classes, Context, Places, Wanted, field_words};
use crate::hprof::model::Model;
use crate::hprof::open::IdSize;
use crate::hprof::visitor::{Class, Ids, Instance, ObjectArray, Type, Visitor};
use crate::hprof::wire::id_of;

/// Values under names looked at, at most.
const TARGETS: usize = 1 << 20;

fn id_at(fields: &[u8], offset: usize, size: IdSize) -> u64 {
    fields.get(offset..).and_then(|rest| id_of(size, rest)).map_or(0, |(id, _)| id)
}

/// What stands under a name, and the names.
#[derive(Default)]
struct Targets {
    contexts: Vec<Context>,
    by_field: std::collections::HashMap<(u64, u64), u32>,
    wanted: Wanted<Vec<u32>>,
}

impl Targets {
    /// An object in a field whose name announces a secret.
    fn field(&mut self, id: u64, class: u64, name: u64, model: &Model) {
        let next = self.contexts.len() as u32;
        let index = *self.by_field.entry((class, name)).or_insert_with(|| {
            let place = field_words(model, class, name);
            self.contexts.push(Context { name: model.string(name).unwrap_or_default(), place });
            next
        });
        self.wanted.add(id, index, TARGETS);
    }

    /// The value under a key.
    fn value(&mut self, id: u64, key: u64, name: &str, holder: impl FnOnce() -> String) {
        let next = self.contexts.len() as u32;
        // No class has this identifier: it is that of a string.
        let index = *self.by_field.entry((key, 0)).or_insert_with(|| {
            let place = format!("{} under the key {name:?}", holder());
            self.contexts.push(Context { name: name.to_owned(), place });
            next
        });
        self.wanted.add(id, index, TARGETS);
    }
}

/// Finds the strings of arrays, and what stands in fields whose names announce a secret.
pub(super) struct Strings<'m> {
    contents: &'m Contents,
    found: Wanted<()>,
    names: Wanted<()>,
    classes: Classes,
    /// String (or the array itself) to array.
    found_in: Wanted<u64>,
    /// String to the array of its name.
    named_by: Wanted<u64>,
    /// Arrays in which keys and values take turns.
    tables: Wanted<()>,
    targets: Targets,
}

impl<'m> Strings<'m> {
    pub(super) fn new(contents: &'m Contents) -> Strings<'m> {
        Strings {
            contents,
            found: contents.found.keys().map(|id| (*id, ())).collect(),
            names: contents.names.keys().map(|id| (*id, ())).collect(),
            classes: Classes::default(),
            found_in: contents.found.keys().map(|id| (*id, *id)).collect(),
            named_by: Wanted::default(),
            tables: Wanted::default(),
            targets: Targets::default(),
        }
    }
}

impl Visitor for Strings<'_> {
    fn class(&mut self, class: &Class<'_>) {
        let model = &self.contents.model;
        for field in class.statics().filter(|f| f.ty == Type::Object) {
            let name = model.string(field.name).unwrap_or_default();
            if super::super::names::announces_secret(&name) {
                self.targets.field(field.value, class.id, field.name, model);
            }
        }
    }

    fn instance(&mut self, i: &Instance<'_>) {
        let model = &self.contents.model;
        let size = model.id_size();
        let Some(class) = self.classes.of(i.class, model) else { return };
        if let Some(offset) = class.characters {
            let array = id_at(i.fields, offset, size);
            if self.found.get(array).is_some() {
                self.found_in.insert(i.id, array, TARGETS);
            }
            if self.names.get(array).is_some() {
                self.named_by.insert(i.id, array, TARGETS);
            }
        }
        if let Some(offset) = class.table {
            self.tables.insert(id_at(i.fields, offset, size), (), TARGETS);
        }
        if class.any_secret {
            for field in class.all.iter().filter(|f| f.is_secret) {
                self.targets.field(id_at(i.fields, field.offset, size), field.class, field.name, model);
            }
        }
    }
}

/// Finds who holds what was found, and what stands under keys that announce a secret.
pub(super) struct Holders<'m> {
    strings: Strings<'m>,
    places: Places,
    /// The last key of a table.
    key: u64,
}

impl<'m> Holders<'m> {
    pub(super) fn new(strings: Strings<'m>) -> Holders<'m> {
        Holders { strings, places: Places::default(), key: 0 }
    }

    pub(super) fn has_to_look(&self) -> bool {
        !self.strings.found_in.is_empty() || !self.strings.named_by.is_empty()
    }

    fn entry(&mut self, key: u64, value: u64, holder: impl FnOnce(&Model) -> String) {
        let Some(array) = self.strings.named_by.get(key) else { return };
        let Some(name) = self.strings.contents.names.get(array) else { return };
        self.strings.targets.value(value, *array, name, || holder(&self.strings.contents.model));
    }
}

impl Visitor for Holders<'_> {
    fn class(&mut self, class: &Class<'_>) {
        for field in class.statics().filter(|f| f.ty == Type::Object) {
            if let Some(array) = self.strings.found_in.get(field.value) {
                let model = &self.strings.contents.model;
                self.places.tell(*array, || field_words(model, class.id, field.name));
            }
        }
    }

    fn instance(&mut self, i: &Instance<'_>) {
        let model = &self.strings.contents.model;
        let size = model.id_size();
        let Some(class) = self.strings.classes.of(i.class, model) else { return };
        // That a string holds its characters is known.
        if class.characters.is_some() {
            return;
        }
        for field in &class.all {
            if let Some(array) = self.strings.found_in.get(id_at(i.fields, field.offset, size)) {
                self.places.tell(*array, || field_words(model, field.class, field.name));
            }
        }
        if let Some((key, value)) = class.entry {
            let (key, value) = (id_at(i.fields, key, size), id_at(i.fields, value, size));
            self.entry(key, value, |model| model.class_name(i.class).unwrap_or_default());
        }
    }

    fn references(&mut self, array: &ObjectArray, first: u64, ids: Ids<'_>) {
        let is_table = self.strings.tables.get(array.id).is_some();
        for (at, id) in (first..).zip(ids.iter()) {
            if let Some(found) = self.strings.found_in.get(id) {
                let model = &self.strings.contents.model;
                self.places.tell(*found, || model.class_name(array.class).unwrap_or_default());
            }
            if is_table {
                self.table_element(at, id);
            }
        }
    }
}

impl Holders<'_> {
    /// Keys and values take turns.
    fn table_element(&mut self, at: u64, id: u64) {
        if at.is_multiple_of(2) {
            self.key = id;
        } else {
            self.entry(self.key, id, |_| "a map".to_owned());
        }
    }
}

/// Finds the arrays of the strings that stand under a name.
pub(super) struct Values {
    model: ModelPart,
    targets: Targets,
    /// Array to contexts.
    arrays: Wanted<Vec<u32>>,
    pub(super) places: Places,
}

/// All that is needed to find the characters of a string.
struct ModelPart {
    string: u64,
    offset: usize,
    size: IdSize,
}

impl Values {
    pub(super) fn new(holders: Holders<'_>) -> Values {
        let Strings { contents, mut classes, targets, .. } = holders.strings;
        let model = &contents.model;
        let strings =
            model.classes().iter().filter(|c| model.raw_class_name(c.id) == Some(b"java/lang/String"));
        let found = strings.filter_map(|c| Some((c.id, classes.of(c.id, model)?.characters?))).next();
        let (string, offset) = found.unwrap_or((0, 0));
        let model = ModelPart { string, offset, size: model.id_size() };
        Values { model, targets, arrays: Wanted::default(), places: holders.places }
    }

    pub(super) fn has_to_look(&self) -> bool {
        !self.targets.wanted.is_empty()
    }

    /// The names that an array stands under, as a string or itself.
    pub(super) fn contexts_of(&self, array: u64) -> impl Iterator<Item = &Context> {
        let all = self.arrays.get(array).or_else(|| self.targets.wanted.get(array));
        all.into_iter().flatten().filter_map(|index| self.targets.contexts.get(*index as usize))
    }
}

impl Visitor for Values {
    fn instance(&mut self, i: &Instance<'_>) {
        if i.class != self.model.string || self.model.string == 0 {
            return;
        }
        for context in self.targets.wanted.get(i.id).into_iter().flatten() {
            self.arrays.add(id_at(i.fields, self.model.offset, self.model.size), *context, TARGETS);
        }
    }
}
