//! How the climb of the live run went: how straight it is up to now, whether it bends, and what the day before looked like.
//! Sums over the floor's points, so that any window of them is a straight line's fit at once.

use super::floor::FloorPoint;

const DAY: f64 = 86_400.0;
/// A window is straight from this share of explained variance on.
const STRAIGHT: f64 = 0.9;
/// Fewest points of a line.
const FEWEST: usize = 4;
/// Ratios of slopes are told apart up to this.
const STEEPEST: f64 = 4.0;

/// Sums of a window of points, from which its straight line follows.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    n: f64,
    t: f64,
    v: f64,
    tt: f64,
    tv: f64,
    vv: f64,
}

/// A straight line through a window.
#[derive(Debug, Clone, Copy)]
struct Line {
    slope: f64,
    /// Squares around the mean, and around the line.
    all: f64,
    rest: f64,
}

impl Line {
    /// Share of explained variance.
    fn explained(&self) -> f64 {
        1.0 - self.rest / self.all.max(1e-12)
    }
}

impl Sums {
    fn add(&mut self, t: f64, v: f64) {
        self.n += 1.0;
        self.t += t;
        self.v += v;
        self.tt += t * t;
        self.tv += t * v;
        self.vv += v * v;
    }

    fn less(&self, other: &Sums) -> Sums {
        Sums {
            n: self.n - other.n,
            t: self.t - other.t,
            v: self.v - other.v,
            tt: self.tt - other.tt,
            tv: self.tv - other.tv,
            vv: self.vv - other.vv,
        }
    }

    fn line(&self) -> Line {
        let n = self.n.max(1.0);
        let tt = (self.tt - self.t * self.t / n).max(1e-12);
        let tv = self.tv - self.t * self.v / n;
        let all = (self.vv - self.v * self.v / n).max(0.0);
        let slope = tv / tt;
        Line { slope, all, rest: (all - slope * tv).max(1e-10) }
    }
}

/// How the climb went. Slopes beside the slope since the onset, amounts beside the rise since then.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Course {
    /// Longest straight climb that ends now, beside all that was seen; its slope, scaled units per second.
    pub(super) straight: f64,
    pub(super) straight_slope: f64,
    /// Share of variance that no straight line since the onset explains.
    pub(super) unexplained: f64,
    /// Slopes of the newest eighth, quarter and half of all that was seen.
    pub(super) newest: [f64; 3],
    /// Climb of the first and of the last third since the onset.
    pub(super) thirds: [f64; 2],
    /// Curvature since the onset over its standard error.
    pub(super) curvature: f64,
    /// Now less a day ago; 0 where no day was seen.
    pub(super) day: f64,
    /// Between lowest and highest of the newest day.
    pub(super) swing: f64,
}

impl Course {
    /// Of the live run, with the rise since the onset in scaled units.
    pub(super) fn of(live: &[FloorPoint], onset: f64, (scale, block): (f64, f64), rise: f64) -> Course {
        let from = live.partition_point(|p| p.t < onset).min(live.len().saturating_sub(FEWEST));
        let (first, last) = (live[0].t, live[live.len() - 1].t);
        let all = (last - first).max(1e-9);
        // Times in units of all that was seen, amounts beside the rise.
        let point = |p: &FloorPoint| ((p.t - last) / all, (p.v - live[live.len() - 1].v) / (scale * rise));
        let points: Vec<(f64, f64)> = live.iter().map(point).collect();
        let sums = sums(&points);
        let whole = sums[points.len()];
        let since = whole.less(&sums[from]).line();
        let slope = since.slope.abs().max(1e-3);
        let beside = |s: f64| (s / slope).clamp(-STEEPEST, STEEPEST);
        let suffix = |k: usize| whole.less(&sums[k]).line();
        let of_newest = |share: f64| {
            let k = points.partition_point(|p| p.0 < -share).min(points.len().saturating_sub(FEWEST));
            beside(suffix(k).slope)
        };
        let straight = (0..points.len().saturating_sub(FEWEST - 1)).find(|k| {
            let line = suffix(*k);
            line.slope > 0.0 && line.explained() >= STRAIGHT
        });
        let own = &points[from..];
        let third = |share: f64| own[((own.len() - 1) as f64 * share).round() as usize].1;
        Course {
            straight: straight.map_or(0.0, |k| -points[k].0),
            straight_slope: straight.map_or(0.0, |k| suffix(k).slope * rise / all),
            unexplained: 1.0 - since.explained(),
            newest: [0.125, 0.25, 0.5].map(of_newest),
            thirds: [third(1.0 / 3.0) - own[0].1, -third(2.0 / 3.0)].map(|x| x.clamp(-3.0, 3.0)),
            curvature: curvature(own),
            day: a_day_ago(&points, DAY / all, (0.1 * DAY).max(2.0 * block) / all)
                .map_or(0.0, |v| (-v).clamp(-5.0, 5.0)),
            swing: swing(&points, DAY / all).clamp(0.0, 20.0),
        }
    }
}

/// Sums of the first so many points.
fn sums(points: &[(f64, f64)]) -> Vec<Sums> {
    let mut sum = Sums::default();
    let mut out = vec![sum];
    out.extend(points.iter().map(|p| {
        sum.add(p.0, p.1);
        sum
    }));
    out
}

/// Coefficient of the square over its standard error, of independent errors.
fn curvature(own: &[(f64, f64)]) -> f64 {
    let n = own.len() as f64;
    if own.len() < FEWEST + 1 {
        return 0.0;
    }
    let (low, high) = (own[0].0, own[own.len() - 1].0);
    let x = |t: f64| 2.0 * (t - low) / (high - low).max(1e-9) - 1.0;
    // The square, made orthogonal to the line by its own line.
    let mut line = Sums::default();
    let mut value = Sums::default();
    for p in own {
        line.add(x(p.0), x(p.0).powi(2));
        value.add(x(p.0), p.1);
    }
    let (bend, flat) = (line.line(), value.line());
    let mean = (line.t / n, line.v / n);
    let product: f64 =
        own.iter().map(|p| (x(p.0).powi(2) - mean.1 - bend.slope * (x(p.0) - mean.0)) * p.1).sum();
    let coefficient = product / bend.rest.max(1e-9);
    let rest = (flat.rest - coefficient * product).max(1e-9) / (n - 3.0);
    coefficient / (rest / bend.rest.max(1e-9)).sqrt()
}

/// Level a day ago, of amounts beside now. Where nothing is known of that hour, what is older by more than `late` does not stand for it.
fn a_day_ago(points: &[(f64, f64)], day: f64, late: f64) -> Option<f64> {
    points.iter().rfind(|p| p.0 <= -day).filter(|p| p.0 >= -day - late).map(|p| p.1)
}

fn swing(points: &[(f64, f64)], day: f64) -> f64 {
    let own = points.iter().filter(|p| p.0 >= -day).map(|p| p.1);
    let (low, high) = own.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    high - low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point every half hour of a course that is given by the hour.
    fn course(hours: usize, onset: f64, of: impl Fn(f64) -> f64) -> Course {
        let point = |k: usize| FloorPoint {
            t: k as f64 * 1_800.0,
            age: k as f64 * 1_800.0,
            v: of(k as f64 / 2.0),
            load: 1.0,
            work: k as f64 * 1_800.0,
            height: 0.0,
            run: 0,
            live: true,
            middle: k as f64 * 1_800.0,
        };
        let live: Vec<FloorPoint> = (0..=2 * hours).map(point).collect();
        let from = live.partition_point(|p| p.t < onset * 3_600.0);
        let rise = (live[live.len() - 1].v - live[from].v).max(1e-3);
        Course::of(&live, onset * 3_600.0, (1.0, 1_800.0), rise)
    }

    #[test]
    fn a_straight_climb_is_straight_and_a_cache_that_fills_bends() {
        let wobble = |h: f64| 0.01 * (7.0 * h).sin();
        let straight = course(20, 0.0, |h| h + wobble(h));
        assert!(straight.straight > 0.99 && straight.unexplained < 1e-3, "{straight:?}");
        assert!(straight.newest.iter().all(|s| (s - 1.0).abs() < 0.1), "{straight:?}");
        assert!((straight.straight_slope * 3_600.0 - 1.0).abs() < 0.02, "{straight:?}");
        assert!(straight.thirds.iter().all(|s| (s - 1.0 / 3.0).abs() < 0.05), "{straight:?}");
        let filling = course(20, 0.0, |h| 20.0 * (1.0 - (-h / 6.0).exp()) + wobble(h));
        assert!(filling.curvature < -20.0 && straight.curvature.abs() < 5.0, "{filling:?}");
        assert!(filling.newest[0] < 0.3 && filling.thirds[0] > 2.0 * filling.thirds[1], "{filling:?}");
    }

    #[test]
    fn the_straight_window_begins_where_the_climb_does() {
        let hinge = course(20, 12.0, |h| (h - 12.0).max(0.0) + 0.3 * (3.0 * h).sin());
        assert!((0.35..0.65).contains(&hinge.straight), "{hinge:?}");
        let down = course(20, 12.0, |h| -h.powi(2));
        assert_eq!((down.straight, down.straight_slope), (0.0, 0.0));
    }

    #[test]
    fn a_day_that_comes_back_is_no_higher_than_the_one_before() {
        let daily = |h: f64| 10.0 * (std::f64::consts::TAU * h / 24.0).sin();
        let there = course(28, 22.0, daily);
        assert!(there.day.abs() < 0.05 && there.swing > 1.0, "{there:?}");
        let leak = course(28, 22.0, |h| daily(h) + h);
        assert!(leak.day > 1.0, "{leak:?}");
        assert_eq!(course(20, 12.0, |h| h).day, 0.0, "no day was seen");
        let hours = |own: &[f64]| own.iter().map(|h| (*h, -h)).collect::<Vec<_>>();
        assert_eq!(a_day_ago(&hours(&[-31.0, -25.0, -23.0, 0.0]), 24.0, 2.4), Some(25.0));
        assert_eq!(a_day_ago(&hours(&[-31.0, -23.0, 0.0]), 24.0, 2.4), None, "a gap of eight hours");
        assert_eq!(a_day_ago(&hours(&[-28.0, -22.0, 0.0]), 24.0, 6.0), Some(28.0), "points that far apart");
    }
}
