//! The load channel: mean rate over an interval and cumulated work, from one integral computed once.

use crate::series::Point;

const DAY: f64 = 86_400.0;
/// Slots of the daily profile that a forecast replays.
pub(super) const SLOTS: usize = 48;
/// Length of one slot, seconds.
pub(super) const SLOT: f64 = DAY / SLOTS as f64;

/// How long the present load lasts while the day is not known, seconds.
const PERSISTENCE: f64 = 14_400.0;
/// Points between two stored values of the integral: short enough to add up, long enough to be quick.
const STRIDE: usize = 16;

/// Load with its running integral; values are scaled so that the mean is one.
pub(super) struct Load<'a> {
    points: &'a [Point],
    /// Integral of the (unscaled) load up to every [`STRIDE`]th point.
    sums: Vec<f64>,
    /// Integral over all.
    total: f64,
    mean: f64,
}

impl<'a> Load<'a> {
    /// The load as far as it is known at `now`; `None` when it is too short or all zero.
    pub(super) fn new(points: &'a [Point], now: f64) -> Option<Load<'a>> {
        let points = &points[..points.partition_point(|p| p.t <= now)];
        let span = points.last()?.t - points.first()?.t;
        if points.len() < 8 || span.is_nan() || span <= 0.0 {
            return None;
        }
        let mut sums = Vec::with_capacity(points.len() / STRIDE + 2);
        let mut sum = 0.0;
        for from in (0..points.len() - 1).step_by(STRIDE) {
            sums.push(sum);
            sum += area(&points[from..(from + STRIDE + 1).min(points.len())]);
        }
        let mean = sum / span;
        (mean > 0.0 && mean.is_finite()).then_some(Load { points, sums, total: sum, mean })
    }

    /// Seconds of known load.
    pub(super) fn span(&self) -> f64 {
        self.points[self.points.len() - 1].t - self.points[0].t
    }

    /// Work done up to `t`, in seconds at mean load; outside the known part the mean is assumed.
    pub(super) fn work(&self, t: f64) -> f64 {
        let (first, last) = (self.points[0], self.points[self.points.len() - 1]);
        if t <= first.t {
            return t - first.t;
        }
        if t >= last.t {
            return self.total / self.mean + (t - last.t);
        }
        let i = self.points.partition_point(|p| p.t <= t);
        let (a, b) = (self.points[i - 1], self.points[i]);
        let part = (t - a.t) / (b.t - a.t).max(1e-9);
        let at = a.v + (b.v - a.v) * part;
        let stored = (i - 1) / STRIDE;
        let whole = self.sums[stored] + area(&self.points[stored * STRIDE..i]);
        (whole + 0.5 * (a.v + at) * (t - a.t)) / self.mean
    }

    /// Mean load between two instants, relative to the mean of all.
    pub(super) fn between(&self, from: f64, to: f64) -> f64 {
        if to > from { (self.work(to) - self.work(from)) / (to - from) } else { 1.0 }
    }

    /// Expected load of the next day in [`SLOTS`] slots: the last day again where a day is known, else the
    /// present load on its way back to the mean of what is.
    pub(super) fn profile(&self, now: f64) -> [f64; SLOTS] {
        let known = self.span();
        if known < 0.95 * DAY {
            let mean = self.between(now - known, now);
            let recent = self.between(now - PERSISTENCE.min(known) * 0.25, now);
            let after = |k: usize| (-(k as f64 + 0.5) * SLOT / PERSISTENCE).exp();
            return std::array::from_fn(|k| mean + (recent - mean) * after(k));
        }
        std::array::from_fn(|k| {
            let from = now - DAY + k as f64 * SLOT;
            self.between(from, from + SLOT)
        })
    }
}

/// Area under a few points.
fn area(points: &[Point]) -> f64 {
    points.windows(2).map(|p| 0.5 * (p[0].v + p[1].v) * (p[1].t - p[0].t)).sum()
}

/// A day of load that repeats for ever, with its integral.
pub(super) struct Daily {
    /// Mean load in each slot.
    pub(super) rate: [f64; SLOTS],
    sums: [f64; SLOTS + 1],
}

impl Daily {
    /// Repeats these slots.
    pub(super) fn new(rate: [f64; SLOTS]) -> Daily {
        let mut sums = [0.0; SLOTS + 1];
        for k in 0..SLOTS {
            sums[k + 1] = sums[k] + rate[k].max(1e-6) * SLOT;
        }
        Daily { rate, sums }
    }

    /// Work done `g` seconds from now.
    pub(super) fn after(&self, g: f64) -> f64 {
        let days = (g / DAY).trunc();
        let rest = (g - days * DAY) / SLOT;
        let k = (rest as usize).min(SLOTS - 1);
        days * self.sums[SLOTS] + self.sums[k] + (self.sums[k + 1] - self.sums[k]) * (rest - k as f64)
    }

    /// Seconds from now until the work is done.
    pub(super) fn time_for(&self, work: f64) -> f64 {
        let days = (work / self.sums[SLOTS]).trunc();
        let rest = work - days * self.sums[SLOTS];
        let k = self.sums.partition_point(|s| *s <= rest).clamp(1, SLOTS) - 1;
        let part = (rest - self.sums[k]) / (self.sums[k + 1] - self.sums[k]);
        days * DAY + (k as f64 + part) * SLOT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day_and_night() -> Vec<Point> {
        (0..2880)
            .map(|i| Point { t: f64::from(i) * 60.0, v: if i % 1440 < 720 { 1.0 } else { 3.0 } })
            .collect()
    }

    #[test]
    fn work_is_the_integral_and_continues_beyond_the_ends() {
        let points = day_and_night();
        let load = Load::new(&points, 1e9).expect("load");
        let mean = load.between(0.0, 2.0 * DAY - 60.0);
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
        assert!((load.between(0.0, 6.0 * 3600.0) - 0.5).abs() < 0.01);
        assert!((load.work(3.0 * DAY) - load.work(2.5 * DAY) - 0.5 * DAY).abs() < 1.0);
    }

    #[test]
    fn the_next_day_repeats_the_last() {
        let points = day_and_night();
        let load = Load::new(&points, 2.0 * DAY).expect("load");
        let profile = load.profile(2.0 * DAY);
        assert!((profile[3] - 0.5).abs() < 0.02 && (profile[40] - 1.5).abs() < 0.02, "{profile:?}");
    }

    #[test]
    fn daily_work_inverts() {
        let daily = Daily::new(std::array::from_fn(|k| if k < 24 { 0.5 } else { 1.5 }));
        for g in [0.0, 1000.0, 40_000.0, 86_400.0, 200_000.0, 1e6] {
            assert!((daily.time_for(daily.after(g)) - g).abs() < 1e-3, "{g}");
        }
    }

    #[test]
    fn nothing_is_looked_at_after_now() {
        let points = day_and_night();
        assert!(Load::new(&points, 60.0).is_none(), "two samples are too few");
        let load = Load::new(&points, 3600.0 * 11.0).expect("load");
        assert!((load.between(0.0, 3600.0) - 1.0).abs() < 1e-9, "the night is not known yet");
    }
}
