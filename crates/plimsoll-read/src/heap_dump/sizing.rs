//! Sizes of objects: by the layout formula, or measured. A dump does not say how large an object is; but objects lie one
//! behind the other, so the distance to the next address is the size, unless something that is gone lay between.

use super::kinds::{Kind, Kinds, NO_CLASS};
use crate::graph::address::AddressRank;
use crate::hprof::layout::Layouts;
use crate::hprof::model::Model;
use crate::hprof::shallow::Sizes;
use crate::hprof::visitor::Type;

/// Objects of a kind from which on its distances count.
const ENOUGH: u32 = 8;
/// Share of a kind's distances that must agree, at least.
const AGREE: f64 = 0.6;
/// Offsets at which the elements of an array may begin, bytes.
const ARRAY_BASES: [u64; 5] = [8, 12, 16, 20, 24];

/// Where sizes are to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SizeChoice {
    /// Measured where the distances agree, else the formula.
    #[default]
    Measured,
    /// The formula for all, as the reference analyser has it; and, as there, what a class refers to beside its fields is its
    /// superclass and its loader, not its signers and protection domain.
    Formula,
}

/// Where sizes came from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SizeReport {
    /// Objects whose size was measured, share of all.
    pub measured: f64,
    /// Of those, objects whose measured size is not the formula's, share of all.
    pub corrected: f64,
}

/// The distances seen behind objects of one kind: the one that wins a vote, and how often it came while it led.
#[derive(Debug, Clone, Copy, Default)]
struct Vote {
    distance: u64,
    lead: u32,
    hits: u32,
    votes: u32,
}

impl Vote {
    #[inline]
    fn cast(&mut self, distance: u64) {
        self.votes = self.votes.saturating_add(1);
        if distance == self.distance {
            self.lead = self.lead.saturating_add(1);
            self.hits = self.hits.saturating_add(1);
        } else if self.lead == 0 {
            *self = Vote { distance, lead: 1, hits: 1, votes: self.votes };
        } else {
            self.lead -= 1;
        }
    }

    fn winner(&self) -> Option<u64> {
        let agree = f64::from(self.hits) >= AGREE * f64::from(self.votes);
        (self.votes >= ENOUGH && agree).then_some(self.distance)
    }
}

/// Gives every kind its size.
pub(super) fn size(
    kinds: &mut Kinds,
    addresses: &AddressRank,
    model: &Model,
    layouts: &Layouts,
    formula: Sizes,
    choice: SizeChoice,
) -> SizeReport {
    let by_formula: Vec<u64> =
        kinds.all().iter().map(|kind| formula_size(kind, model, layouts, formula)).collect();
    if choice == SizeChoice::Formula {
        kinds.set_sizes(by_formula);
        return SizeReport { measured: 0.0, corrected: 0.0 };
    }
    let votes = votes(kinds, addresses);
    let sizes = measured(kinds.all(), &votes, by_formula.clone(), model, formula.reference);
    let (mut measured, mut corrected) = (0u64, 0u64);
    for ((size, formula), vote) in sizes.iter().zip(&by_formula).zip(&votes) {
        measured += if vote.winner() == Some(*size) { u64::from(vote.votes) } else { 0 };
        corrected += if size == formula { 0 } else { u64::from(vote.votes) };
    }
    let all = f64::from(addresses.len()).max(1.0);
    kinds.set_sizes(sizes);
    SizeReport { measured: measured as f64 / all, corrected: corrected as f64 / all }
}

fn votes(kinds: &Kinds, addresses: &AddressRank) -> Vec<Vote> {
    let mut votes = vec![Vote::default(); kinds.all().len()];
    let (mut next, mut last) = (0, 0);
    // From within the iterator, which is nested: that is twice as fast as asking it for one after the other.
    addresses.iter().for_each(|address| {
        let of_last = u32::checked_sub(next, 1).and_then(|object| kinds.code_of(object));
        if let Some(vote) = of_last.and_then(|code| votes.get_mut(code as usize)) {
            vote.cast(address - last);
        }
        (next, last) = (next + 1, address);
    });
    votes
}

fn formula_size(kind: &Kind, model: &Model, layouts: &Layouts, formula: Sizes) -> u64 {
    match shape(kind, model) {
        Shape::Instance => formula.instance(model, layouts, kind.class),
        Shape::References => formula.object_array(kind.length),
        Shape::Numbers(ty) => formula.primitive_array(ty, kind.length),
        Shape::ClassObject => u64::from(kind.length),
        Shape::Unknown => 0,
    }
}

/// What a kind is.
enum Shape {
    Instance,
    References,
    Numbers(Type),
    ClassObject,
    Unknown,
}

fn shape(kind: &Kind, model: &Model) -> Shape {
    if kind.class == NO_CLASS {
        return Shape::Unknown;
    }
    let classes = model.classes();
    match classes.get(kind.class as usize) {
        Some(_) if kind.is_class_object => Shape::ClassObject,
        Some(class) if model.raw_class_name(class.id).is_some_and(|name| name.starts_with(b"[")) => {
            Shape::References
        }
        Some(_) => Shape::Instance,
        None => {
            let code = u8::try_from(kind.class.wrapping_sub(classes.len() as u32)).ok();
            code.and_then(Type::of).map_or(Shape::Unknown, Shape::Numbers)
        }
    }
}

/// The formula's sizes, replaced where the distances say otherwise.
fn measured(kinds: &[Kind], votes: &[Vote], mut sizes: Vec<u64>, model: &Model, reference: u64) -> Vec<u64> {
    // The header of an array is the same for all of its class: few of one length can rely on the many of others.
    let mut bases = std::collections::HashMap::<u32, [u64; ARRAY_BASES.len()]>::new();
    for (kind, vote) in kinds.iter().zip(votes) {
        let Some((width, winner)) = width(kind, model, reference).zip(vote.winner()) else { continue };
        let counts = bases.entry(kind.class).or_default();
        for (count, base) in counts.iter_mut().zip(ARRAY_BASES) {
            if array_size(base, width, kind.length) == winner {
                *count += u64::from(vote.votes);
            }
        }
    }
    for (at, (kind, vote)) in kinds.iter().zip(votes).enumerate() {
        let base = bases.get(&kind.class).and_then(|counts| {
            let best = ARRAY_BASES.iter().zip(counts).max_by_key(|(_, count)| **count)?;
            (*best.1 > 0).then_some(*best.0)
        });
        let by_base = base.zip(width(kind, model, reference)).map(|(b, w)| array_size(b, w, kind.length));
        let is_object = !kind.is_class_object && kind.class != NO_CLASS;
        // One more than the formula has, or one less, is a header's difference; more is a gap after all of them.
        let plausible =
            |size: &u64| sizes.get(at).is_some_and(|s| s.abs_diff(*size) <= 16.max(*s / 4) && *size > 0);
        let winner = vote.winner().filter(|_| is_object).filter(plausible).or(by_base.filter(plausible));
        if let (Some(size), Some(winner)) = (sizes.get_mut(at), winner) {
            *size = winner;
        }
    }
    sizes
}

/// Bytes of one element of an array; nothing for what is no array.
fn width(kind: &Kind, model: &Model, reference: u64) -> Option<u64> {
    match shape(kind, model) {
        Shape::Numbers(ty) => Some(ty.bytes(8) as u64),
        Shape::References => Some(reference),
        _ => None,
    }
}

fn array_size(base: u64, width: u64, length: u32) -> u64 {
    (base + width * u64::from(length)).div_ceil(8) * 8
}
