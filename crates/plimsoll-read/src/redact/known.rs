//! What must be known of a dump before its values can be told from its names and references.

use std::collections::HashSet;
use std::io::Read;

use crate::hprof::model::{Limits, Model};
use crate::hprof::open::{OpenError, open};
use crate::hprof::visitor::{Class, Frame, LoadClass, Root, Text, Trace, Visitor};

/// Names kept as such at most.
const NAMES: usize = 1 << 22;

/// Classes with their fields, and which texts are names of code. A JVM writes all texts it has at hand, the literals of
/// the program among them: those are values.
#[derive(Debug)]
pub struct Known {
    pub(super) model: Model,
    names: HashSet<u64>,
}

/// Reads a dump for the sake of [`Known`] alone. It is needed for dumps in which objects come before their classes
/// (Android), when they can be read twice.
///
/// # Errors
/// [`OpenError`]: it is no heap dump.
pub fn survey(input: impl Read + Send, memory: usize) -> Result<Known, OpenError> {
    let dump = open(input)?;
    let mut known = Known::new(Model::new(dump.header().id_size, Limits { memory, ..Limits::default() }));
    dump.scan(&mut known);
    Ok(known)
}

impl Known {
    pub(super) fn new(model: Model) -> Known {
        Known { model, names: HashSet::new() }
    }

    /// Whether the text is a name of code, as far as is known.
    pub(super) fn is_name(&self, id: u64) -> bool {
        self.names.contains(&id)
    }

    /// All names there are.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().filter_map(|id| self.model.text(*id))
    }

    fn name(&mut self, id: u64) {
        if self.names.len() < NAMES {
            self.names.insert(id);
        }
    }

    /// How many names are known.
    pub(super) fn count(&self) -> usize {
        self.names.len()
    }
}

impl Visitor for Known {
    fn text(&mut self, text: &Text<'_>) {
        Visitor::text(&mut self.model, text);
    }

    fn load_class(&mut self, class: &LoadClass) {
        self.name(class.name);
        self.model.load_class(class);
    }

    fn frame(&mut self, frame: &Frame) {
        for id in [frame.method, frame.signature, frame.source] {
            self.name(id);
        }
        self.model.frame(frame);
    }

    fn trace(&mut self, trace: &Trace<'_>) {
        self.model.trace(trace);
    }

    fn heap(&mut self, _heap: u32, name: u64) {
        self.name(name);
    }

    fn root(&mut self, root: &Root) {
        self.model.root(root);
    }

    fn class(&mut self, class: &Class<'_>) {
        class.statics().for_each(|s| self.name(s.name));
        class.fields().for_each(|f| self.name(f.name));
        self.model.class(class);
    }
}
