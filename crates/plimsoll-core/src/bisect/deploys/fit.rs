//! The floors of all lives, and how well each cause explains them.

use super::products::{Fit, Products};
use super::view::{Aging, View};
use crate::canary;
use crate::cluster::Life;
use crate::guard::trend::{Level, trend};
use crate::slope::Interval;

/// Blocks of which the floor is taken, seconds: at least, and as a share of the whole history.
const BLOCK: f64 = 1800.0;
const BLOCKS: f64 = 400.0;
/// What is left out at the start of a life: seconds at most, and share.
const WARM_UP: f64 = 3600.0;
const WARM_SHARE: f64 = 0.25;
/// Fewest floors of a life.
const FEWEST: usize = 4;
/// Lives that are looked at, the longest first.
const LIVES: usize = 200;
/// The least error of a slope, bytes per second.
const NO_ERROR: f64 = 1e-9;
/// Correlation of neighbours: taken to be this with the weight of so many floors, and never more.
const ALIKE: (f64, f64) = (0.5, 12.0);
const MOST_ALIKE: f64 = 0.9;
/// Standard normal quantile of 90 %.
pub(super) const TENTH: f64 = 1.2816;

/// When a cause is active.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Activity {
    /// In these lives.
    Lives(Vec<bool>),
    /// From and until these times, the same for all lives.
    Switched(Vec<(f64, bool)>),
}

impl Activity {
    pub(super) fn of_lives(lives: Vec<bool>) -> Activity {
        Activity::Lives(lives)
    }

    /// Seconds that it was active between the start of a life and a time in it.
    fn seconds(&self, life: usize, start: f64, t: f64) -> f64 {
        match self {
            Activity::Lives(lives) => {
                if lives.get(life) == Some(&true) {
                    t - start
                } else {
                    0.0
                }
            }
            Activity::Switched(switches) => {
                let (mut sum, mut since) = (0.0, None);
                for (at, on) in switches.iter().filter(|(at, _)| *at < t) {
                    match (since, on) {
                        (None, true) => since = Some(*at),
                        (Some(from), false) => {
                            sum += (at - start).max(0.0) - (from - start).max(0.0);
                            since = None;
                        }
                        _ => {}
                    }
                }
                sum + since.map_or(0.0, |from| t - from.max(start))
            }
        }
    }

    /// The seconds at each floor, about the middle of its life.
    fn column(&self, floors: &[Floors]) -> Vec<Vec<f64>> {
        let of = |f: &Floors| centred(f.at.iter().map(|t| self.seconds(f.life, f.start, *t)).collect());
        floors.iter().map(of).collect()
    }
}

/// Floors of one life, about their own middle.
pub(super) struct Floors {
    pub(super) life: usize,
    pub(super) start: f64,
    pub(super) at: Vec<f64>,
    pub(super) time: Vec<f64>,
    pub(super) value: Vec<f64>,
}

/// All floors, and their noise.
pub(super) struct Data {
    floors: Vec<Floors>,
    /// As they are; and without what goes with the age, where some were young.
    views: Vec<View>,
    /// Independent floors among them.
    effective: f64,
    /// Deviation of a floor from its life's own line, and for how long neighbours go along, seconds.
    noise: f64,
    alike_for: f64,
}

fn middle(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub(super) fn centred(mut values: Vec<f64>) -> Vec<f64> {
    let middle = middle(&values);
    values.iter_mut().for_each(|v| *v -= middle);
    values
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

impl Data {
    pub(super) fn new(lives: &[&Life]) -> Option<Data> {
        let times = || lives.iter().flat_map(|l| &l.points).map(|p| p.t);
        let span = times().fold(f64::NEG_INFINITY, f64::max) - times().fold(f64::INFINITY, f64::min);
        let block = BLOCK.max(span / BLOCKS);
        let mut order: Vec<usize> = (0..lives.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(lives[*at].points.len()));
        order.truncate(LIVES);
        let floors: Vec<Floors> = order.into_iter().filter_map(|at| floors(at, lives[at], block)).collect();
        let count = floors.iter().map(|f| f.at.len()).sum::<usize>() as f64;
        if floors.is_empty() {
            return None;
        }
        let (mut squares, mut products, mut pairs) = (0.0, 0.0, 0.0);
        for f in &floors {
            let slope = dot(&f.time, &f.value) / dot(&f.time, &f.time);
            let rest: Vec<f64> = f.time.iter().zip(&f.value).map(|(t, v)| v - slope * t).collect();
            squares += dot(&rest, &rest);
            products += dot(&rest, &rest[1..]);
            pairs += rest.len() as f64 - 1.0;
        }
        let alike = if squares > 0.0 { products / squares * count / pairs } else { 0.0 };
        let alike = ((alike * pairs + ALIKE.0 * ALIKE.1) / (pairs + ALIKE.1)).clamp(0.0, MOST_ALIKE);
        let effective = count * (1.0 - alike) / (1.0 + alike);
        let plain = View::of(&floors, Aging::default(), effective);
        let aged = Aging::of(&floors).map(|aging| View::of(&floors, aging, effective));
        Some(Data {
            views: std::iter::once(plain).chain(aged).collect(),
            effective,
            noise: (squares / count).sqrt(),
            // Floors that do not go along at all are half a block apart from doing so.
            alike_for: if alike > 0.0 { (-block / alike.ln()).max(block / 2.0) } else { block / 2.0 },
            floors,
        })
    }

    /// Deviation of a floor from its life's own line, and for how long neighbours go along.
    pub(super) fn noise(&self) -> (f64, f64) {
        (self.noise, self.alike_for)
    }

    /// Floors that tell something of the noise, beyond those that the line of each life takes; neighbours that go along count as fewer.
    pub(super) fn freedom(&self) -> f64 {
        (self.effective - 2.0 * self.floors.len() as f64).max(1.0)
    }

    /// Times within the history, evenly.
    pub(super) fn times(&self, most: usize) -> Vec<f64> {
        let times = || self.floors.iter().flat_map(|f| f.at.iter().copied());
        let (low, high) = (times().fold(f64::INFINITY, f64::min), times().fold(f64::NEG_INFINITY, f64::max));
        (1..=most).map(|k| low + (high - low) * k as f64 / (most + 1) as f64).collect()
    }

    /// What is needed of the floors to fit each of these causes alone, and those together of which two are.
    pub(super) fn explained_by<'a>(
        &self,
        activities: impl Iterator<Item = &'a Activity>,
        together: impl Fn(usize, usize) -> bool,
    ) -> Explained {
        let columns: Vec<Vec<Vec<f64>>> = activities.map(|a| a.column(&self.floors)).collect();
        Explained(self.views.iter().map(|view| view.products(columns.clone(), &together)).collect())
    }

    /// How alike two causes are beside the slope that all share.
    pub(super) fn likeness(&self, a: &Activity, b: &Activity) -> f64 {
        self.views[0].likeness(&a.column(&self.floors), &b.column(&self.floors))
    }

    /// Seconds after which so many replicas tell whether their slope is larger by so much.
    pub(super) fn seconds_to_tell(&self, adds: f64, replicas: f64) -> Option<f64> {
        canary::length(&canary::Setting {
            noise: self.noise,
            alike_for: self.alike_for,
            replicas,
            baseline: replicas,
            difference: adds,
            errors: canary::Errors::default(),
        })
    }

    /// The slope of several lives together; lives differ by more than their errors say.
    pub(super) fn pooled(&self, lives: &[usize]) -> Option<Interval> {
        let of = |f: &Floors| {
            let levels: Vec<Level> =
                f.at.iter().zip(&f.value).map(|(t, v)| Level { work: t - f.start, value: *v }).collect();
            trend(&levels, 1.0, 0.0).filter(|t| t.error.is_finite()).map(|t| (t.slope, t.error))
        };
        let mine = self.floors.iter().filter(|f| lives.contains(&f.life));
        let slopes: Vec<(f64, f64)> = mine.filter_map(of).collect();
        let least = slopes.iter().map(|(s, _)| s.abs()).fold(0.0, f64::max) * 1e-6;
        // Memory that does not move at all has no error.
        let weight = |error: f64| error.max(least).max(NO_ERROR).powi(-2);
        let weights: f64 = slopes.iter().map(|(_, e)| weight(*e)).sum();
        if weights <= 0.0 {
            return None;
        }
        let mid = slopes.iter().map(|(s, e)| s * weight(*e)).sum::<f64>() / weights;
        let between = slopes.iter().map(|(s, e)| (s - mid).powi(2) * weight(*e)).sum::<f64>();
        let excess = (between / (slopes.len() as f64 - 1.0).max(1.0)).max(1.0);
        let error = (excess / weights).sqrt();
        Some(Interval { low: mid - TENTH * error, mid, high: mid + TENTH * error })
    }
}

/// How well causes explain the floors, by each view of them.
pub(super) struct Explained(Vec<Products>);

impl Explained {
    /// The fit without any cause.
    pub(super) fn by_none(&self) -> Option<Fit> {
        Fit::of_both(self.0.iter().map(Products::none))
    }

    /// The fit of one cause that brings a climb; `None` where it is never active, or always.
    pub(super) fn by_one(&self, k: usize) -> Option<Fit> {
        Fit::of_both(self.0.iter().filter_map(|view| view.one(k)))
    }

    /// The fit of some causes together, each of which brings a part of the climb or mends one.
    pub(super) fn by_all_of(&self, causes: &[usize]) -> Option<Fit> {
        Fit::of_both(self.0.iter().filter_map(|view| view.together(causes)))
    }
}

/// The lowest of each block behind the warm-up.
fn floors(at: usize, life: &Life, block: f64) -> Option<Floors> {
    let end = life.points.last()?.t;
    let begin = life.start + WARM_UP.min(WARM_SHARE * (end - life.start));
    let (mut times, mut values): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut of = f64::NAN;
    for p in life.points.iter().filter(|p| p.t >= begin && p.v.is_finite()) {
        let this = ((p.t - begin) / block).floor();
        match (values.last_mut(), times.last_mut()) {
            (Some(v), Some(t)) if this == of => {
                if p.v < *v {
                    (*v, *t) = (p.v, p.t);
                }
            }
            _ => {
                values.push(p.v);
                times.push(p.t);
                of = this;
            }
        }
    }
    let is_long = times.len() >= FEWEST && times.first() < times.last();
    is_long.then(|| Floors {
        life: at,
        start: life.start,
        time: centred(times.clone()),
        value: centred(values),
        at: times,
    })
}
