//! How noisy the floor is around the best model: robust weights, scale, and how many independent points the
//! correlated ones are worth.

use super::floor::{Floor, FloorPoint};
use super::linalg::median;

/// Correlation time assumed before any is measured, seconds.
const MEMORY: f64 = 3_600.0;
/// Weight of that assumption, in floor points.
const MEMORY_WEIGHT: f64 = 8.0;

/// Correlation of what runs do side by side that is assumed before any is measured, and its weight, in pairs of points.
const SHARED: f64 = 0.5;
const SHARED_WEIGHT: f64 = 8.0;
/// Most slots in which runs are set beside each other.
const MOST_SLOTS: usize = 1_024;

/// Noise of the floor around a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise {
    /// Robust standard deviation of one floor point.
    pub(super) scale: f64,
    /// Correlation of neighbouring floor points.
    pub(super) rho: f64,
    /// Effective number of independent points.
    pub(super) n_eff: f64,
    /// Variance inflation, `n / n_eff`.
    pub(super) inflation: f64,
    /// Variance inflation of what is of one run alone, such as its level: that others go the same way beside it does not make it known
    /// any worse.
    pub(super) alone: f64,
    /// How far the floor wanders off its trend for good, per square root of a block: a climb in jumps is
    /// a drift with such a wander.
    pub(super) wander: f64,
}

/// Robust scale of residuals, at least `least`. Reorders `scratch`.
pub(super) fn scale(residuals: &[f64], scratch: &mut Vec<f64>, least: f64) -> f64 {
    scratch.clear();
    scratch.extend_from_slice(residuals);
    let middle = median(scratch);
    scratch.iter_mut().for_each(|r| *r = (*r - middle).abs());
    (1.4826 * median(scratch)).max(least)
}

/// Robust weights that distrust upward residuals more: what lies above the envelope is garbage or a burst.
pub(super) fn weigh(residuals: &[f64], scale: f64, weights: &mut [f64]) {
    for (w, r) in weights.iter_mut().zip(residuals) {
        let u = r / scale;
        *w = if u > 1.5 {
            let excess = u / 1.5;
            1.0 / (excess * excess.sqrt())
        } else if u < -2.5 {
            -2.5 / u
        } else {
            1.0
        };
    }
}

/// Correlation and effective size. Only neighbours of the same run, one block apart, count as pairs.
pub(super) fn measure(floor: &Floor, residuals: &[f64], weights: &[f64], scale: f64) -> Noise {
    let n = residuals.len() as f64;
    let all: f64 = residuals.iter().zip(weights).map(|(r, w)| r * r * w).sum::<f64>() + 1e-300;
    let mut pairs = 0.0;
    for (k, p) in floor.points.windows(2).enumerate() {
        if p[0].run == p[1].run && p[1].t - p[0].t < 2.5 * floor.block {
            pairs += residuals[k] * residuals[k + 1] * (weights[k] * weights[k + 1]).sqrt();
        }
    }
    let raw = (pairs / all).clamp(-0.99, 0.99);
    let unbiased = (raw + (1.0 + 4.0 * raw.max(0.0)) / length(floor)).clamp(0.0, 0.97);
    let memory = MEMORY.min(floor.span() / 12.0).max(1e-9);
    let assumed = (-floor.block / memory).exp().min(0.85);
    let together = together(floor, residuals, weights);
    let own = n / together;
    let rho = (own * unbiased + MEMORY_WEIGHT * assumed) / (own + MEMORY_WEIGHT);
    // Every further run costs a level of its own.
    let free = (n - (floor.runs - 1) as f64).max(0.3 * n);
    let apart = (free * (1.0 - rho) / (1.0 + rho)).max(3.0);
    let n_eff = (apart / together).max(3.0);
    Noise { scale, rho, n_eff, inflation: n / n_eff, alone: n / apart, wander: wander(floor, residuals) }
}

/// Mean number of points of a run of more than one. Each run has a level of its own, so that it is its length, not that of all, which makes
/// neighbours look less alike than they are; a single point is its own level and says nothing of neighbours.
fn length(floor: &Floor) -> f64 {
    let lengths = floor.bounds.windows(2).map(|b| b[1] - b[0]).filter(|n| *n > 1);
    let (points, runs) = lengths.fold((0, 0), |(points, runs), n| (points + n, runs + 1));
    if runs == 0 { f64::INFINITY } else { points as f64 / f64::from(runs) }
}

/// How many times one point of each the runs count that go on side by side: all of them when what moves one moves all, one when each goes
/// its own way. Replicas share their load, and much of what no model explains comes with it.
fn together(floor: &Floor, residuals: &[f64], weights: &[f64]) -> f64 {
    if floor.runs < 2 {
        return 1.0;
    }
    let first = floor.points.iter().fold(f64::INFINITY, |m, p| m.min(p.middle));
    let last = floor.points.iter().fold(f64::NEG_INFINITY, |m, p| m.max(p.middle));
    // By blocks, as they are a block apart in every run: from the newest back; what is older than the last slot tells nothing.
    let slot = |p: &FloorPoint| ((last - p.middle) / floor.block + 0.5) as usize;
    let slots = ((last - first) / floor.block + 0.5) as usize;
    let mut sums = vec![(0.0, 0.0, 0.0); slots.min(MOST_SLOTS) + 1];
    for (p, (r, w)) in floor.points.iter().zip(residuals.iter().zip(weights)) {
        if let Some(sum) = sums.get_mut(slot(p)) {
            // The burst of one says nothing of the others.
            let r = r * w.sqrt();
            *sum = (sum.0 + r, sum.1 + r * r, sum.2 + 1.0);
        }
    }
    let beside = sums.iter().filter(|s| s.2 > 1.5);
    // Products of all pairs of a slot, and what they would be if all were the same.
    let (mut shared, mut all, mut pairs, mut runs, mut points) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (sum, square, n) in beside {
        shared += (sum * sum - square) / (n - 1.0);
        all += square;
        pairs += n / 2.0;
        runs += n * n;
        points += n;
    }
    if points == 0.0 {
        return 1.0;
    }
    let measured = (shared / (all + 1e-300)).clamp(0.0, 1.0);
    let correlation = (pairs * measured + SHARED_WEIGHT * SHARED) / (pairs + SHARED_WEIGHT);
    // Weighted by the share of points that have company.
    let company = points / sums.iter().map(|s| s.2).sum::<f64>();
    1.0 + company * (runs / points - 1.0) * correlation
}

/// Growth of the variance of differences with their distance. Noise that comes back adds the same to both
/// distances and cancels.
fn wander(floor: &Floor, residuals: &[f64]) -> f64 {
    let longest = floor.bounds.windows(2).map(|b| b[1] - b[0]).max().unwrap_or(0);
    if longest < 8 {
        return 0.0;
    }
    let k = (longest / 24).max(1);
    let spread = |lag: usize| {
        let (mut sum, mut count) = (0.0, 0.0);
        for b in floor.bounds.windows(2) {
            let run = &residuals[b[0]..b[1]];
            for (early, late) in run.iter().zip(run.iter().skip(lag)) {
                sum += (late - early) * (late - early);
                count += 1.0;
            }
        }
        if count > 0.0 { sum / count } else { 0.0 }
    };
    ((spread(3 * k) - spread(k)).max(0.0) / (2 * k) as f64).sqrt()
}

/// Share of the live run's climb that came in single large moves of the floor; moves up and down cancel.
pub(super) fn jumps(floor: &Floor) -> f64 {
    let begin = floor.bounds[floor.bounds.len() - 2];
    let moves: Vec<f64> = floor.points[begin..].windows(2).map(|p| p[1].v - p[0].v).collect();
    let total: f64 = moves.iter().sum();
    if moves.len() < 6 || total <= 0.0 {
        return 0.0;
    }
    let mut sizes = moves.clone();
    let middle = median(&mut sizes);
    sizes.iter_mut().for_each(|m| *m = (*m - middle).abs());
    let usual = 1.4826 * median(&mut sizes) + middle.abs();
    let large: f64 = moves.iter().filter(|m| (**m - middle).abs() > 4.0 * usual).sum();
    large / total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs side by side, a point a block.
    fn side_by_side(runs: usize, length: usize) -> Floor {
        let point = |run: usize, k: usize| FloorPoint {
            t: k as f64,
            age: k as f64,
            v: 0.0,
            load: 1.0,
            work: k as f64,
            height: 0.0,
            run,
            live: true,
            middle: k as f64,
        };
        let points: Vec<FloorPoint> =
            (0..runs).flat_map(|run| (0..length).map(move |k| point(run, k))).collect();
        Floor {
            runs,
            generations: 1,
            bounds: (0..=runs).map(|run| run * length).collect(),
            older: false,
            block: 1.0,
            tooth: 0.0,
            climb: 0.0,
            garbage: 0.0,
            last: 0.0,
            live_start: 0.0,
            live_first: 0.0,
            depth: length as f64,
            points,
        }
    }

    #[test]
    fn a_single_point_says_nothing_of_neighbours() {
        let mut floor = side_by_side(3, 40);
        assert_eq!(length(&floor), 40.0);
        floor.bounds = vec![0, 1, 2, 3, 63, 120];
        assert_eq!(length(&floor), 58.5);
        floor.bounds = vec![0, 1, 2, 3];
        assert_eq!(length(&floor), f64::INFINITY);
    }

    #[test]
    fn runs_that_go_together_count_once_and_such_as_do_not_each() {
        let floor = side_by_side(4, 100);
        let wave = |run: f64, k: usize| (k as f64 * (1.0 + run)).sin();
        let same: Vec<f64> = (0..400).map(|i| wave(0.0, i % 100)).collect();
        let own: Vec<f64> = (0..400).map(|i| wave(0.37 * (i / 100) as f64, i % 100)).collect();
        let alike =
            |floor: &Floor, residuals: &[f64]| together(floor, residuals, &vec![1.0; residuals.len()]);
        assert!(alike(&floor, &same) > 3.5, "{}", alike(&floor, &same));
        assert!(alike(&floor, &own) < 1.5, "{}", alike(&floor, &own));
        // One after the other they have no company.
        let mut after = side_by_side(4, 100);
        after.points.iter_mut().enumerate().for_each(|(i, p)| p.middle = i as f64);
        assert!(alike(&after, &same) < 1.05, "{}", alike(&after, &same));
        assert_eq!(alike(&side_by_side(1, 100), &same[..100]), 1.0);
        // Ends that lie half a block apart at most are the same end.
        let mut apart = side_by_side(4, 100);
        apart.points.iter_mut().for_each(|p| p.middle += [0.0, -0.3, -0.2, -0.45][p.run]);
        assert!(alike(&apart, &same) > 3.5, "{}", alike(&apart, &same));
        // One burst of one of them does not make four of one.
        let (mut burst, mut weights) = (same, vec![1.0; 400]);
        burst[150] = 50.0;
        assert!(alike(&floor, &burst) < 2.5, "{}", alike(&floor, &burst));
        weigh(&burst, 1.0, &mut weights);
        let robust = together(&floor, &burst, &weights);
        assert!(robust > 3.5, "{robust}");
    }
}
