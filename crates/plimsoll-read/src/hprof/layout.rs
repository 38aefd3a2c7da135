//! Where the references lie in the fields of an instance: those of its class first, then of its superclass, and
//! so on up.

use super::model::Model;
use super::open::IdSize;
use super::visitor::Type;
use super::warnings::{Fault, Warnings};
use super::wire::{Eight, Four, Width};

/// Ancestors followed at most.
pub(crate) const ANCESTORS: usize = 1024;
/// References of one class at most: a class file has 65,535 fields at most.
const REFERENCES: usize = 1 << 17;
const NONE: u32 = u32::MAX;

/// The fields of a class's instances.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Offsets of references in the fields of an instance, bytes, ascending.
    pub references: Box<[u32]>,
    /// Bytes of all fields in the dump.
    pub bytes: u32,
    /// Whether all ancestors are known. If not, `references` has only what comes before the gap.
    pub complete: bool,
}

impl Layout {
    /// Calls `f` with each reference in the fields of an instance, zero ones too. Fields that are too short end
    /// it early.
    #[inline(always)]
    pub fn for_each_reference(&self, fields: &[u8], size: IdSize, mut f: impl FnMut(u64)) {
        match size {
            IdSize::Four => self.walk::<Four>(fields, &mut f),
            IdSize::Eight => self.walk::<Eight>(fields, &mut f),
        }
    }

    #[inline(always)]
    fn walk<W: Width>(&self, fields: &[u8], f: &mut impl FnMut(u64)) {
        for offset in &self.references {
            let Some((id, _)) = fields.get(*offset as usize..).and_then(W::split) else { return };
            f(id);
        }
    }
}

/// The layouts of all classes of a model, by class index.
#[derive(Debug)]
pub struct Layouts {
    all: Vec<Layout>,
    /// Index of the superclass by class index.
    parents: Vec<u32>,
    warnings: Warnings,
}

impl Layouts {
    /// Of all classes. Their memory is bounded as the model's is.
    pub fn of(model: &Model) -> Layouts {
        let classes = model.classes();
        let parents =
            classes.iter().map(|c| model.index(c.superclass).filter(|_| c.superclass != 0).unwrap_or(NONE));
        let mut layouts = Layouts {
            all: Vec::with_capacity(classes.len()),
            parents: parents.collect(),
            warnings: Warnings::default(),
        };
        let mut memory = model.limits().memory;
        for index in 0..classes.len() {
            let layout = layouts.one(model, index, memory / size_of::<u32>());
            memory = memory.saturating_sub(layout.references.len() * size_of::<u32>());
            layouts.all.push(layout);
        }
        layouts
    }

    /// The layout of a class, by its index in the model.
    pub fn get(&self, index: u32) -> Option<&Layout> {
        self.all.get(index as usize)
    }

    /// What is wrong with the hierarchy.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// Indices of the class and its ancestors, nearest first. The class alone when its hierarchy has a cycle.
    pub fn ancestry(&self, index: u32) -> impl Iterator<Item = u32> {
        let endless = self.depth(index).is_err();
        let most = if endless { 1 } else { ANCESTORS };
        self.up(index).take(most)
    }

    fn up(&self, index: u32) -> impl Iterator<Item = u32> {
        let known = |i: u32| self.parents.get(i as usize).map(|_| i);
        std::iter::successors(known(index), move |i| {
            self.parents.get(*i as usize).copied().filter(|p| *p != NONE)
        })
    }

    /// Number of classes up to the top; an error when there is no top, or it is too far.
    fn depth(&self, index: u32) -> Result<usize, Endless> {
        // Brent's: a mark that is moved up at each power of two is met again in a cycle.
        let (mut mark, mut next_move) = (index, 1);
        for (steps, class) in self.up(index).enumerate() {
            if steps > 0 && class == mark {
                return Err(Endless::Cycle);
            }
            if steps >= ANCESTORS * 2 {
                return Err(Endless::Deep);
            }
            if steps == next_move {
                mark = class;
                next_move *= 2;
            }
        }
        let depth = self.up(index).count();
        if depth > ANCESTORS { Err(Endless::Deep) } else { Ok(depth) }
    }

    fn one(&mut self, model: &Model, index: usize, room: usize) -> Layout {
        let Some(class) = model.classes().get(index) else { return Layout::default() };
        let depth = self.depth(index as u32);
        match depth {
            Err(Endless::Cycle) => self.warnings.add(class.at, Fault::CyclicHierarchy { class: class.id }),
            Err(Endless::Deep) => self.warnings.add(class.at, Fault::HierarchyTooLarge { class: class.id }),
            Ok(_) => {}
        }
        let mut found = Found { references: Vec::new(), bytes: 0, most: room.min(REFERENCES) };
        let chain = self.up(index as u32).take(depth.unwrap_or(1));
        let mut top = class;
        let fits = chain.filter_map(|i| model.classes().get(i as usize)).all(|ancestor| {
            top = ancestor;
            found.add(ancestor.fields.iter().map(|f| f.ty), model.id_size())
        });
        if !fits {
            self.warnings.add(class.at, Fault::HierarchyTooLarge { class: class.id });
        }
        let whole = fits && depth.is_ok();
        // A missing ancestor is told once, at the class right below it.
        let gap = whole && top.superclass != 0;
        if gap && top.id == class.id {
            let superclass = class.superclass;
            self.warnings.add(class.at, Fault::MissingSuperclass { class: class.id, superclass });
        }
        let bytes = u32::try_from(found.bytes).unwrap_or(u32::MAX);
        Layout { references: found.references.into_boxed_slice(), bytes, complete: whole && !gap }
    }
}

/// Why a hierarchy has no known top.
#[derive(Debug, Clone, Copy)]
enum Endless {
    Cycle,
    Deep,
}

struct Found {
    references: Vec<u32>,
    bytes: usize,
    most: usize,
}

impl Found {
    /// Adds the fields of one class; false when there are too many.
    fn add(&mut self, fields: impl Iterator<Item = Type>, size: IdSize) -> bool {
        for ty in fields {
            if ty == Type::Object {
                let Ok(offset) = u32::try_from(self.bytes) else { return false };
                if self.references.len() >= self.most {
                    return false;
                }
                self.references.push(offset);
            }
            self.bytes += ty.bytes(size.bytes());
        }
        true
    }
}
