//! Records kept to be handed over later: those that are no objects, of the part of a dump that is read beside another.

use std::ops::ControlFlow;

use super::visitor::{Class, Frame, LoadClass, Root, Text, Trace, Visitor};

/// Memory for what is kept, bytes, as estimated.
const MOST: usize = 64 << 20;
/// What one takes beside its content, bytes.
const ENTRY: usize = 160;

/// A record that owns what it refers to.
#[derive(Debug)]
enum Record {
    Text { record: Text<'static>, bytes: Box<[u8]> },
    LoadClass(LoadClass),
    UnloadClass(u32),
    Frame(Frame),
    Trace { record: Trace<'static>, frames: Box<[u8]> },
    Root(Root),
    Class { record: Box<Class<'static>>, constants: Box<[u8]>, statics: Box<[u8]>, fields: Box<[u8]> },
}

/// Records in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    records: Vec<Record>,
    spent: usize,
}

impl Kept {
    /// Whether there were more than may be kept: then some are missing, and the reading ends.
    fn is_over(&self) -> bool {
        self.spent > MOST
    }

    fn keep(&mut self, bytes: usize, record: impl FnOnce() -> Record) {
        self.spent = self.spent.saturating_add(ENTRY + bytes);
        if !self.is_over() {
            self.records.push(record());
        }
    }

    /// Hands them over.
    pub(crate) fn replay(&self, visitor: &mut impl Visitor) {
        for record in &self.records {
            match record {
                Record::Text { record, bytes } => visitor.text(&Text { bytes, ..*record }),
                Record::LoadClass(record) => visitor.load_class(record),
                Record::UnloadClass(serial) => visitor.unload_class(*serial),
                Record::Frame(record) => visitor.frame(record),
                Record::Trace { record, frames } => {
                    visitor.trace(&Trace { frames: record.frames.like(frames), ..*record });
                }
                Record::Root(record) => visitor.root(record),
                Record::Class { record, constants, statics, fields } => {
                    visitor.class(&Class { constants, statics, fields, ..**record });
                }
            }
        }
    }
}

impl Visitor for Kept {
    fn progress(&mut self, _at: u64) -> ControlFlow<()> {
        if self.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn text(&mut self, text: &Text<'_>) {
        let Text { at, id, bytes, length } = *text;
        self.keep(bytes.len(), || Record::Text {
            record: Text { at, id, bytes: &[], length },
            bytes: bytes.into(),
        });
    }

    fn load_class(&mut self, class: &LoadClass) {
        self.keep(0, || Record::LoadClass(*class));
    }

    fn unload_class(&mut self, serial: u32) {
        self.keep(0, || Record::UnloadClass(serial));
    }

    fn frame(&mut self, frame: &Frame) {
        self.keep(0, || Record::Frame(*frame));
    }

    fn trace(&mut self, trace: &Trace<'_>) {
        let Trace { serial, thread, count, frames } = *trace;
        self.keep(frames.bytes().len(), || Record::Trace {
            record: Trace { serial, thread, count, frames: frames.like(&[]) },
            frames: frames.bytes().into(),
        });
    }

    fn root(&mut self, root: &Root) {
        self.keep(0, || Record::Root(*root));
    }

    fn class(&mut self, class: &Class<'_>) {
        let Class { constants, statics, fields, .. } = *class;
        self.keep(constants.len() + statics.len() + fields.len(), || Record::Class {
            record: Box::new(Class {
                at: class.at,
                id: class.id,
                stack: class.stack,
                superclass: class.superclass,
                loader: class.loader,
                signers: class.signers,
                domain: class.domain,
                instance_size: class.instance_size,
                constants: &[],
                statics: &[],
                fields: &[],
                size: class.size,
            }),
            constants: constants.into(),
            statics: statics.into(),
            fields: fields.into(),
        });
    }
}
