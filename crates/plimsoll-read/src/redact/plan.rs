//! Which bytes of a class's instances change.

use super::known::Known;
use super::policy::{Change, Policy};
use crate::hprof::layout::ANCESTORS;
use crate::hprof::model::ClassCache;

const UNKNOWN: u32 = u32::MAX;

/// A number in the fields of an instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    /// Offset in the fields, bytes.
    pub(super) offset: u32,
    /// Bytes it has.
    pub(super) length: u32,
    /// What becomes of it.
    pub(super) change: Change,
}

/// What changes in the instances of one class.
#[derive(Debug)]
pub(super) struct Plan {
    /// Ascending.
    pub(super) spots: Box<[Spot]>,
    /// Bytes of fields that are known; what lies behind is not understood.
    pub(super) known: u64,
    /// Whether all ancestors were known.
    complete: bool,
}

/// Plans by class, made when they are first asked for.
#[derive(Default)]
pub(super) struct Plans {
    cache: ClassCache,
    all: Vec<Option<Plan>>,
    incomplete: bool,
}

impl Plans {
    /// A class came: what was said of it, or of those that descend from it, may not hold any more.
    pub(super) fn forget(&mut self) {
        self.cache = ClassCache::default();
        if self.incomplete {
            self.all.retain_mut(|plan| {
                *plan = plan.take().filter(|p| p.complete);
                true
            });
            self.incomplete = false;
        }
    }

    /// The plan for a class; nothing when the class is not known.
    #[inline]
    pub(super) fn of(&mut self, class: u64, known: &Known, policy: &Policy) -> Option<&Plan> {
        let index = self.cache.get(class, || known.model.index(class).unwrap_or(UNKNOWN));
        if index == UNKNOWN {
            return None;
        }
        let index = index as usize;
        if self.all.get(index).is_none_or(Option::is_none) {
            self.make(index, known, policy);
        }
        self.all.get(index)?.as_ref()
    }

    #[inline(never)]
    fn make(&mut self, index: usize, known: &Known, policy: &Policy) {
        let plan = plan(index, known, policy);
        self.incomplete |= !plan.complete;
        if self.all.len() <= index {
            self.all.resize_with(index + 1, || None);
        }
        if let Some(place) = self.all.get_mut(index) {
            *place = Some(plan);
        }
    }
}

fn plan(index: usize, known: &Known, policy: &Policy) -> Plan {
    let model = &known.model;
    let (mut spots, mut offset) = (Vec::new(), 0_u64);
    let mut next = model.classes().get(index);
    for _ in 0..ANCESTORS {
        let Some(class) = next else { break };
        let name = model.class_name(class.id).unwrap_or_default();
        for field in &class.fields {
            let length = field.ty.bytes(model.id_size().bytes()) as u32;
            let change = change_of(known, policy, &name, field.name, field.ty);
            if let (Some(change), Ok(offset)) = (change, u32::try_from(offset)) {
                spots.push(Spot { offset, length, change });
            }
            offset += u64::from(length);
        }
        if class.superclass == 0 {
            return Plan { spots: spots.into(), known: offset, complete: true };
        }
        next = model.class_of(class.superclass);
    }
    Plan { spots: spots.into(), known: offset, complete: false }
}

/// What becomes of a field. Of one without a name nothing good can be said.
pub(super) fn change_of(
    known: &Known,
    policy: &Policy,
    class: &str,
    field: u64,
    ty: crate::hprof::visitor::Type,
) -> Option<Change> {
    match known.model.text(field) {
        Some(name) => policy.change_of(class, &String::from_utf8_lossy(name), ty),
        None => policy.change_of(class, "password", ty),
    }
}
