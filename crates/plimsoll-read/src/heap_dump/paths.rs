//! The way from its owner to any object, or to the objects of a class.

use super::climb::{Path, climb};
use super::view::resolved;
use super::{HeapDump, HeapDumpError, Source};
use crate::graph::retained::Retained;
use crate::graph::watch::Watch;

/// Objects of a class that are looked at: the largest.
const LOOKED_AT: usize = 16;

/// What to find the way to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The object at this address.
    Address(u64),
    /// The node that V8 knows by this number (`@123`); no object of Java has one.
    Id(u32),
    /// Objects of this class.
    Class(String),
}

impl std::str::FromStr for Wish {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Wish, Self::Err> {
        if let Some(id) = text.strip_prefix('@').and_then(|digits| digits.parse().ok()) {
            return Ok(Wish::Id(id));
        }
        let address = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        Ok(address.map_or_else(|| Wish::Class(text.to_owned()), Wish::Address))
    }
}

/// A way, and how many of the objects looked at have the same owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// From the owner to the object.
    pub path: Path,
    /// Bytes that go with the object.
    pub retained: u64,
    /// Objects looked at that have this owner.
    pub alike: usize,
}

/// The ways to what was wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ways {
    /// One for each owner, the one of most objects first.
    pub ways: Vec<Way>,
    /// Objects looked at: the largest.
    pub looked_at: usize,
    /// Reachable objects that there are.
    pub objects: u64,
}

/// The ways to the object, or to the largest reachable ones of the class, one for each owner; nothing where there is no
/// such object.
///
/// # Errors
/// As [`super::read`].
pub fn ways(
    heap: &HeapDump,
    source: &(impl Source + ?Sized),
    wish: &Wish,
    watch: &dyn Watch,
) -> Result<Ways, HeapDumpError> {
    let (objects, all) = objects(heap, wish);
    let paths = resolved(heap, source, watch, |view| {
        objects.iter().map(|object| (climb(view, *object), heap.retained.of(*object))).collect::<Vec<_>>()
    })?;
    let mut ways: Vec<Way> = Vec::new();
    for (path, retained) in paths {
        match ways.iter_mut().find(|way| way.path.owner == path.owner) {
            Some(way) => way.alike += 1,
            None => ways.push(Way { path, retained, alike: 1 }),
        }
    }
    ways.sort_by_key(|way| std::cmp::Reverse((way.alike, way.retained)));
    Ok(Ways { ways, looked_at: objects.len(), objects: all })
}

/// The largest objects wished for, and how many there are.
fn objects(heap: &HeapDump, wish: &Wish) -> (Vec<u32>, u64) {
    let class = match wish {
        Wish::Address(address) => {
            let object: Vec<u32> = heap.object_at(*address).into_iter().collect();
            let count = object.len() as u64;
            return (object, count);
        }
        Wish::Id(_) => return (Vec::new(), 0),
        Wish::Class(name) => name,
    };
    let codes: Vec<u32> =
        (0..heap.model.classes().len() as u32 + 16).filter(|code| heap.name_of(*code) == *class).collect();
    let of_class = (0..heap.objects()).filter(|object| codes.contains(&heap.class_index(*object)));
    largest(of_class.filter(|object| heap.tree.is_reached(*object)), &heap.retained)
}

/// The largest of some objects, as many as are looked at, and how many there are.
pub(crate) fn largest(objects: impl Iterator<Item = u32>, retained: &Retained) -> (Vec<u32>, u64) {
    let (mut largest, mut count) = (Vec::<(u64, u32)>::new(), 0);
    let biggest_first =
        |of: &mut Vec<(u64, u32)>| of.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for object in objects {
        count += 1;
        largest.push((retained.of(object), object));
        if largest.len() >= 4 * LOOKED_AT {
            biggest_first(&mut largest);
            largest.truncate(LOOKED_AT);
        }
    }
    biggest_first(&mut largest);
    (largest.into_iter().take(LOOKED_AT).map(|(_, object)| object).collect(), count)
}
