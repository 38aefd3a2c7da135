//! What does not climb without end, by how it moves instead: with the day, up to a plateau at its start or over hours, by a step.

use super::{Life, Movement, Replica};
use crate::series::Point;
use crate::slope::Shape;
use crate::slope::linalg::whole;

/// Seconds of a block of which the floor is taken, and blocks of a day.
const BLOCK: f64 = 3600.0;
const OF_A_DAY: usize = 24;
/// Days that must have been seen, and the share of the floors' variance that the time of day must explain.
const DAYS: usize = 3;
const EXPLAINED: f64 = 0.6;
/// Share of the floor that a movement must have to be named.
const MATERIAL: f64 = 0.03;
/// Age at which a warm-up has made most of its way, seconds; what takes longer fills.
const WARM: f64 = 3.0 * 3600.0;
/// Share of the way that counts as most of it, and of the life whose middle is the plateau.
const MOST: f64 = 0.9;
const LAST: usize = 3;

/// How a replica moves whose climb has an end, by the shape of the model that holds most.
pub(super) fn movement(shape: Shape, nearest: &Replica) -> Movement {
    if nearest.lives.last().is_some_and(goes_with_the_day) {
        return Movement::Daily;
    }
    match shape {
        Shape::Saturating | Shape::Step if nearest.lives.last().is_some_and(warmed_up) => Movement::WarmUp,
        Shape::Saturating => Movement::Saturating,
        Shape::Step => Movement::Step,
        Shape::Flat | Shape::Linear | Shape::Sublinear | Shape::Onset => Movement::Flat,
    }
}

/// Floors of a life, hour by hour of the clock; an hour without samples is left out.
fn floors(life: &Life) -> Vec<(u64, f64)> {
    let mut floors = Vec::with_capacity(life.points.len().min(1024));
    let (mut rest, mut length) = (&life.points[..], 0);
    while let Some(first) = rest.first() {
        let hour = whole(first.t / BLOCK);
        let end = (hour + 1.0) * BLOCK;
        // Of each workload this is a pass over all samples: an hour mostly has as many as the one before.
        let fits = length > 0 && rest.get(length - 1).is_some_and(|p| p.t < end);
        if !(fits && rest.get(length).is_none_or(|p| p.t >= end)) {
            length = rest.iter().position(|p| p.t >= end).unwrap_or(rest.len()).max(1);
        }
        let (body, later) = rest.split_at(length);
        rest = later;
        let low = lowest(body);
        if low.is_finite() && first.t.is_finite() && hour >= 0.0 {
            floors.push((hour as u64, low));
        }
    }
    floors
}

/// The lowest value, infinite where there is none. Four at a time: a comparison need not wait for the one before.
fn lowest(points: &[Point]) -> f64 {
    let mut least = [f64::INFINITY; 4];
    let lower = |least: &mut f64, p: &Point| *least = if p.v < *least { p.v } else { *least };
    let (fours, last) = points.as_chunks::<4>();
    for four in fours {
        least.iter_mut().zip(four).for_each(|(least, p)| lower(least, p));
    }
    last.iter().for_each(|p| lower(&mut least[0], p));
    least.into_iter().fold(f64::INFINITY, f64::min)
}

/// Whether the hour of the day explains most of what moves, beyond what so many means explain of noise.
fn goes_with_the_day(life: &Life) -> bool {
    let floors = floors(life);
    let count = floors.len();
    if count < DAYS * OF_A_DAY {
        return false;
    }
    let middle = floors.iter().map(|(_, v)| v).sum::<f64>() / count as f64;
    let mut hours = [(0.0, 0.0); OF_A_DAY];
    for (hour, v) in &floors {
        let of = &mut hours[*hour as usize % OF_A_DAY];
        *of = (of.0 + v - middle, of.1 + 1.0);
    }
    let means = hours.map(|(sum, n)| if n > 0.0 { sum / n } else { 0.0 });
    let all: f64 = floors.iter().map(|(_, v)| (v - middle).powi(2)).sum();
    let rest: f64 =
        floors.iter().map(|(hour, v)| (v - middle - means[*hour as usize % OF_A_DAY]).powi(2)).sum();
    let freedom = (count - 1) as f64 / (count - OF_A_DAY) as f64;
    let (low, high) =
        means.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), m| (l.min(*m), h.max(*m)));
    all > 0.0 && 1.0 - rest / all * freedom >= EXPLAINED && high - low >= MATERIAL * middle
}

/// Whether it made most of its way to where it is in its first hours.
fn warmed_up(life: &Life) -> bool {
    let floors = floors(life);
    let (Some((_, first)), true) = (floors.first(), floors.len() >= LAST) else { return false };
    let mut last: Vec<f64> = floors[floors.len() - floors.len() / LAST..].iter().map(|(_, v)| *v).collect();
    last.sort_by(f64::total_cmp);
    let plateau = last[last.len() / 2];
    let arrived = floors.iter().find(|(_, v)| *v >= first + MOST * (plateau - first));
    plateau > *first && arrived.is_some_and(|(hour, _)| *hour as f64 * BLOCK - life.start <= WARM)
}
