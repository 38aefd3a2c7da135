//! What rises above the fitted floor and can kill before the floor itself arrives: teeth of garbage, bursts of
//! work, correlated noise. Kept as the heights that were seen, not as a distribution.

use super::fit::Fit;
use super::floor::Floor;

/// However fast the climb, a usual height is met within a block: quantile of the heights.
const USUAL: f64 = 0.5;

/// Heights above the fitted floor, block by block, scaled units.
pub(super) struct Bursts {
    /// Sorted.
    heights: Vec<f64>,
    /// Sums of the heights from each on.
    tails: Vec<f64>,
}

impl Bursts {
    /// Heights of all blocks; `teeth` says whether usage above the block's floor counts,
    /// `minima` whether the floor was found by minima of blocks.
    pub(super) fn new(floor: &Floor, fit: &Fit, teeth: bool, minima: bool) -> Bursts {
        // The minimum of a block lies below its middle by about the noise; what kills is not the minimum.
        let shift = if minima && !teeth { fit.noise.scale } else { 0.0 };
        let above = |(p, r): (&super::floor::FloorPoint, &f64)| {
            let tooth = if teeth { (p.height - floor.climb).max(0.0) / fit.scale } else { 0.0 };
            r + tooth + shift
        };
        Bursts::of(floor.points.iter().zip(&fit.residuals).map(above).collect())
    }

    fn of(mut heights: Vec<f64>) -> Bursts {
        heights.sort_unstable_by(f64::total_cmp);
        let mut tails = vec![0.0; heights.len() + 1];
        for k in (0..heights.len()).rev() {
            tails[k] = tails[k + 1] + heights[k];
        }
        Bursts { heights, tails }
    }

    /// Height that is reached often.
    pub(super) fn usual(&self) -> f64 {
        let k = (self.heights.len() as f64 * 0.8) as usize;
        self.heights.get(k).copied().unwrap_or(0.0)
    }

    /// Greatest height that was seen.
    pub(super) fn greatest(&self) -> f64 {
        self.heights.last().copied().unwrap_or(0.0)
    }

    /// Height of the burst that ends a path: the level `h` at which the hazard gathered while the headroom
    /// shrinks to `h` equals what the path survives. `budget` is the climb of one block times the survived
    /// hazard; the mean excess above `h` has to equal it.
    ///
    /// The process lives at the present `headroom`, so what lies above that is not counted.
    pub(super) fn reach(&self, budget: f64, headroom: f64) -> f64 {
        let n = self.heights.len();
        if n == 0 {
            return 0.0;
        }
        let above = self.heights.partition_point(|h| *h <= headroom);
        let survived = self.tails[above] - (n - above) as f64 * headroom.max(self.heights[0]);
        let wanted = budget * n as f64 + survived.max(0.0);
        let excess = |k: usize| self.tails[k] - (n - k) as f64 * self.heights[k];
        let (mut low, mut high) = (0, n);
        while low < high {
            let middle = (low + high) / 2;
            if excess(middle) > wanted { low = middle + 1 } else { high = middle }
        }
        let many = (n - low) as f64;
        let height = if many == 0.0 { self.heights[n - 1] } else { (self.tails[low] - wanted) / many };
        height.max(self.heights[(n as f64 * USUAL) as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_climb_meets_the_highest_burst_and_a_fast_one_the_usual() {
        let b = Bursts::of((0..100).map(|i| if i == 7 { 0.2 } else { 0.01 }).collect());
        assert!(b.reach(1e-9, 1.0) > 0.19);
        assert!(b.reach(0.05, 1.0) < 0.02);
        assert!(b.reach(1e-4, 1.0) <= b.reach(1e-5, 1.0));
        assert!((b.usual() - 0.01).abs() < 1e-12);
    }

    #[test]
    fn bursts_that_were_survived_do_not_kill_at_once() {
        let b = Bursts::of((0..100).map(|i| if i % 10 == 0 { 0.2 } else { 0.01 }).collect());
        assert!(b.reach(1e-4, 0.1) < 0.1);
    }

    #[test]
    fn mean_excess_equals_the_budget() {
        let b = Bursts::of((0..50).map(|i| f64::from(i) / 50.0).collect());
        let h = b.reach(0.01, 2.0);
        let excess: f64 = b.heights.iter().map(|x| (x - h).max(0.0)).sum::<f64>() / 50.0;
        assert!((excess - 0.01).abs() < 1e-9, "{h} {excess}");
    }
}
