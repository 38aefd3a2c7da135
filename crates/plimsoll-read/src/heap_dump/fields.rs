//! Fields of instances by name, through the hierarchy.

use super::HeapDump;
use crate::hprof::layout::Layouts;
use crate::hprof::model::Model;
use crate::hprof::visitor::Type;

/// A field as it lies in an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldAt<'a> {
    pub(super) name: &'a [u8],
    pub(super) ty: Type,
    /// Bytes from the begin of the fields.
    pub(super) offset: usize,
    /// Index of the class that declares it.
    pub(super) declared: u32,
}

/// All fields of a class's instances: its own first, then its superclass's, and so on up.
pub(super) fn fields_of<'a>(
    model: &'a Model,
    layouts: &'a Layouts,
    class: u32,
) -> impl Iterator<Item = FieldAt<'a>> {
    let width = model.id_size().bytes();
    let mut offset = 0;
    let known =
        layouts.ancestry(class).filter_map(|index| Some((index, model.classes().get(index as usize)?)));
    known.flat_map(|(index, class)| class.fields.iter().map(move |field| (index, field))).map(
        move |(declared, field)| {
            let at = offset;
            offset += field.ty.bytes(width);
            let name = model.text(field.name).unwrap_or_default();
            FieldAt { name, ty: field.ty, offset: at, declared }
        },
    )
}

/// Whether a class is, or descends from, one with this name.
pub(super) fn descends_from(model: &Model, layouts: &Layouts, class: u32, name: &str) -> bool {
    let mut chain = layouts.ancestry(class).filter_map(|i| model.classes().get(i as usize));
    chain.any(|c| model.class_name(c.id).as_deref() == Some(name))
}

impl HeapDump {
    /// All fields of a class's instances: its own first, then its superclass's, and so on up.
    pub(super) fn fields_of(&self, class: u32) -> impl Iterator<Item = FieldAt<'_>> {
        fields_of(&self.model, &self.layouts, class)
    }

    /// The value of a field in an instance's bytes.
    pub(super) fn value_at(&self, bytes: &[u8], field: &FieldAt<'_>) -> Option<u64> {
        let width = field.ty.bytes(self.model.id_size().bytes());
        let value = bytes.get(field.offset..)?.get(..width)?;
        Some(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Whether a class is, or descends from, one with this name.
    pub(super) fn descends_from(&self, class: u32, name: &str) -> bool {
        descends_from(&self.model, &self.layouts, class, name)
    }
}
