//! What a dump says and cannot be so: it was damaged where nothing shows it, or made by something that is no JVM.

use crate::hprof::layout::Layouts;
use crate::hprof::model::Model;
use crate::hprof::records::Summary;
use crate::hprof::warnings::{Fault, KEPT, Warning};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Contradictions {
    /// How many.
    pub(super) count: u64,
    /// The first ones.
    pub(super) found: Vec<Warning>,
    /// Objects that have one identifier, in words.
    pub(super) twins: Option<String>,
}

impl Contradictions {
    /// Of a dump with so many different objects, and the first one with the identifier of one before it.
    pub(super) fn of(
        model: &Model,
        layouts: &Layouts,
        summary: &Summary,
        objects: u32,
        twin: Option<Warning>,
    ) -> Contradictions {
        let nameless = || model.classes().iter().filter(|class| model.raw_class_name(class.id).is_none());
        let nameless_found =
            nameless().map(|class| Warning { at: class.at, fault: Fault::NoName { class: class.id } });
        let mut found = model.warnings().kept().to_vec();
        found.extend(layouts.warnings().kept());
        found.extend(nameless_found.take(KEPT));
        found.extend(twin);
        let twins = summary.counts.objects().saturating_sub(u64::from(objects));
        let told = model.warnings().count() + layouts.warnings().count() + nameless().count() as u64;
        Contradictions {
            count: told + twins,
            found,
            twins: (twins > 0).then(|| format!("{twins} objects have the identifier of another one")),
        }
    }
}
