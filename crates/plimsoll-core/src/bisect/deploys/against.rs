//! The slopes of some lives against those of others, as often as one likes to look.

use super::fit::Data;
use crate::canary::Errors;
use crate::cluster::{Life, Workload};
use crate::slope::Interval;

/// What one workload climbs by more than another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// Slope of the one that is judged, bytes per second.
    pub canary: Interval,
    /// Slope of the other.
    pub baseline: Interval,
    /// The difference.
    pub adds: Interval,
    /// Whether it is larger than chance ever makes it, but for so many false alarms, however often one looks.
    pub is_more: bool,
    /// The smallest difference that would have been told from what was seen of both.
    pub told_from: f64,
    /// Whether both were seen at the same age, and the verdict holds there: else a warm-up, or a cache that fills, is not told from a climb.
    pub same_age: bool,
}

/// A canary's look is planned for half a day, seconds: effects about three errors large by then are reckoned with.
const PLANNED: f64 = 12.0 * 3600.0;
const ALTERNATIVE: f64 = 3.0;
/// Share of the age of what is judged in which lives of the other one must have been seen first.
const YOUNG: f64 = 0.25;

/// Errors that a difference must exceed after so many seconds: the bound of a mixture of normal alternatives on one side, whose
/// chance to be crossed ever is bounded. (1.6 would do for one look, planned beforehand.)
fn always(seconds: f64, chance: f64) -> f64 {
    // The error of a slope falls with the time to the power of three halves.
    let ratio = (ALTERNATIVE * (seconds / PLANNED).powf(1.5)).powi(2);
    ((1.0 + 1.0 / ratio) * ((1.0 + ratio).ln() - 2.0 * (2.0 * chance).ln())).sqrt()
}

/// The bound where the error is an estimate itself, from so many floors beyond those that a line takes: Student's quantile beside the
/// normal one, by its expansion.
fn with_freedom(z: f64, freedom: f64) -> f64 {
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    z + first / freedom + second / freedom.powi(2)
}

/// Compares the slopes of two workloads over the time that both ran; nothing where one of them is too short. It may be looked at as
/// often as one likes: the share of false alarms is that of canaries which are ever called climbing.
pub fn compare(canary: &Workload, whole: &Workload, errors: Errors) -> Option<Compared> {
    let points = || canary.replicas.iter().flat_map(|r| &r.lives).flat_map(|l| &l.points);
    let begin = points().map(|p| p.t).fold(f64::INFINITY, f64::min);
    let end = points().map(|p| p.t).fold(f64::NEG_INFINITY, f64::max);
    let baseline = whole.since(begin);
    let lives = |w: &Workload| w.replicas.iter().flat_map(|r| r.lives.iter().cloned()).collect::<Vec<_>>();
    let (canary, baseline, young) = (lives(canary), lives(&baseline), lives(whole));
    let mut found = against(&canary, &baseline, end - begin, errors)?;
    if let Some(young) = at_the_same_age(&canary, &young, end - begin, errors) {
        // A load that both have at the same time, and a cache that both fill at the same age, are no climb of the canary's own.
        found.is_more &= young.is_more;
        found.same_age = true;
    }
    Some(found)
}

/// Compares lives with others as these were at the same age; nothing where they were not seen that young.
pub(super) fn at_the_same_age(
    lives: &[Life],
    others: &[Life],
    seconds: f64,
    errors: Errors,
) -> Option<Compared> {
    let age = |life: &Life| Some(life.points.last()?.t - life.start);
    let oldest = lives.iter().filter_map(age).fold(0.0, f64::max);
    let young: Vec<Life> = others.iter().filter_map(|life| in_youth(life, oldest)).collect();
    Some(Compared { same_age: true, ..against(lives, &young, seconds, errors)? })
}

/// A life as it was until it had an age; nothing where its youth was not seen.
fn in_youth(life: &Life, oldest: f64) -> Option<Life> {
    let first = life.points.first()?;
    let until = life.points.partition_point(|p| p.t - life.start <= oldest);
    let seen = first.t - life.start <= YOUNG * oldest;
    seen.then(|| Life {
        start: life.start,
        version: life.version.clone(),
        points: life.points[..until].to_vec(),
    })
}

/// Compares lives that were seen for so many seconds with others; nothing where they are too short for a slope.
pub(super) fn against(lives: &[Life], others: &[Life], seconds: f64, errors: Errors) -> Option<Compared> {
    let pooled = |lives: &[Life]| {
        let lives: Vec<&Life> = lives.iter().collect();
        let all: Vec<usize> = (0..lives.len()).collect();
        let data = Data::new(&lives)?;
        Some((data.pooled(&all)?, data.freedom()))
    };
    let ((one, freedom), (other, _)) = (pooled(lives)?, pooled(others)?);
    let error = |i: Interval| (i.high - i.low) / (2.0 * 1.2816);
    let both = error(one).hypot(error(other));
    let mid = one.mid - other.mid;
    let adds = Interval { low: mid - 1.2816 * both, mid, high: mid + 1.2816 * both };
    let bound = with_freedom(always(seconds, errors.false_alarms), freedom);
    let told_from = (bound + errors.beyond()) * both;
    let is_more = mid > bound * both;
    Some(Compared { canary: one, baseline: other, adds, is_more, told_from, same_age: false })
}
