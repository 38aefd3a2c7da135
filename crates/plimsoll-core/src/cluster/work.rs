//! What a climb goes with: the time, or the requests that were served. A busy week is no leak by the hour.
//!
//! Floors of all lives at once: each life has a level of its own, and all share three rates: by time, by requests served since
//! the life began, and by requests per second (what is held while they are served).

use super::Replica;
use crate::series::Point;
use crate::slope::Interval;
use crate::slope::linalg::{Chol, MAX};

/// Blocks of which the floor is taken, seconds.
const BLOCK: f64 = 1800.0;
/// What is left out at the start of a life, seconds: it warms up.
const WARM_UP: f64 = 3600.0;
/// Fewest floors of a life, and of all.
const FEWEST: usize = 6;
const ALL: usize = 24;
/// Correlation of neighbours that is reckoned with at least, and at most.
const ALIKE: (f64, f64) = (0.5, 0.95);
/// Standard normal quantile of 90 %.
const TENTH: f64 = 1.2816;
/// Share of the variance of requests served that time does not explain: below it the two are one.
const OWN: f64 = 1e-5;
/// Columns: time, work, load.
const TERMS: usize = 3;

/// The climb by what it goes with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Bytes per second, whether there is work or not.
    pub per_second: Interval,
    /// Bytes per request.
    pub per_request: Interval,
    /// Requests per second that a replica serves now.
    pub requests_per_second: f64,
    /// Share of the climb now that goes with requests.
    pub share: f64,
}

/// Floors of one life with what was served by then.
struct Row {
    terms: [f64; TERMS],
    value: f64,
}

/// Separates the climb by time from that by requests; nothing without a load, or where requests came so evenly that the two are one.
pub(super) fn work(replicas: &[Replica]) -> Option<Work> {
    let mut lives: Vec<Vec<Row>> = replicas.iter().flat_map(rows).collect();
    lives.retain(|rows| rows.len() >= FEWEST);
    let count: usize = lives.iter().map(Vec::len).sum();
    if count < ALL {
        return None;
    }
    lives.iter_mut().for_each(|rows| centre(rows));
    let scale = scales(&lives)?;
    let (mut gram, mut right) = ([[0.0; MAX]; MAX], [0.0; MAX]);
    for row in lives.iter().flatten() {
        for i in 0..TERMS {
            right[i] += row.terms[i] / scale[i] * row.value;
            for j in 0..TERMS {
                gram[i][j] += row.terms[i] * row.terms[j] / scale[i] / scale[j];
            }
        }
    }
    let own = 1.0 - gram[0][1] * gram[0][1] / (gram[0][0] * gram[1][1]);
    let chol = Chol::new(&gram, TERMS).filter(|_| own > OWN)?;
    let found = chol.solve(&right);
    let variance = variance(&lives, &scale, &found, count);
    let rate = |i: usize| {
        let mut unit = [0.0; MAX];
        unit[i] = 1.0;
        let error = (chol.solve(&unit)[i] * variance).sqrt() * TENTH;
        let [mid, error] = [found[i], error].map(|v| v / scale[i]);
        Interval { low: mid - error, mid, high: mid + error }
    };
    let (per_second, per_request) = (rate(0), rate(1));
    // Where the two cannot be told apart, neither is told from nothing.
    if per_second.low <= 0.0 && per_request.low <= 0.0 {
        return None;
    }
    let now = requests_now(replicas)?;
    let [time, work] = [per_second.mid.max(0.0), (per_request.mid * now).max(0.0)];
    let share = if time + work > 0.0 { work / (time + work) } else { 0.0 };
    Some(Work { per_second, per_request, requests_per_second: now, share })
}

/// Floors of each life, the warm-up left out.
fn rows(replica: &Replica) -> Vec<Vec<Row>> {
    if replica.load.is_empty() {
        return Vec::new();
    }
    let served = served(&replica.load);
    let of_life = |life: &super::Life| {
        let begin = life.start + WARM_UP;
        let mut lowest: Vec<Point> = Vec::new();
        let mut block = f64::NAN;
        for p in life.points.iter().filter(|p| p.t >= begin) {
            let this = ((p.t - begin) / BLOCK).floor();
            match lowest.last_mut() {
                Some(low) if this == block => {
                    if p.v < low.v {
                        *low = *p;
                    }
                }
                _ => lowest.push(*p),
            }
            block = this;
        }
        let row = |p: &Point| {
            let at = served.partition_point(|s| s.t <= p.t).checked_sub(1)?;
            let load = replica.load.get(at)?.v;
            Some(Row { terms: [p.t - life.start, served.get(at)?.v, load], value: p.v })
        };
        lowest.iter().filter_map(row).collect()
    };
    replica.lives.iter().map(of_life).collect()
}

/// Requests served since the first sample.
fn served(load: &[Point]) -> Vec<Point> {
    let mut sum = 0.0;
    let mut before: Option<Point> = None;
    let mut step = |p: &Point| {
        sum += before.map_or(0.0, |b: Point| (p.t - b.t) * p.v);
        before = Some(*p);
        Point { t: p.t, v: sum }
    };
    load.iter().map(&mut step).collect()
}

fn centre(rows: &mut [Row]) {
    let n = rows.len() as f64;
    for i in 0..TERMS {
        let middle = rows.iter().map(|r| r.terms[i]).sum::<f64>() / n;
        rows.iter_mut().for_each(|r| r.terms[i] -= middle);
    }
    let middle = rows.iter().map(|r| r.value).sum::<f64>() / n;
    rows.iter_mut().for_each(|r| r.value -= middle);
}

/// Spread of each column; `None` where one does not move.
fn scales(lives: &[Vec<Row>]) -> Option<[f64; TERMS]> {
    let mut squares = [0.0; TERMS];
    for row in lives.iter().flatten() {
        squares.iter_mut().zip(row.terms).for_each(|(s, t)| *s += t * t);
    }
    squares.iter().all(|s| *s > 0.0 && s.is_finite()).then(|| squares.map(f64::sqrt))
}

/// Variance of a coefficient's unit: what is left, and that neighbours go along.
fn variance(lives: &[Vec<Row>], scale: &[f64; TERMS], found: &[f64; MAX], count: usize) -> f64 {
    let (mut squares, mut products) = (0.0, 0.0);
    for rows in lives {
        let rest: Vec<f64> = rows
            .iter()
            .map(|r| r.value - (0..TERMS).map(|i| r.terms[i] / scale[i] * found[i]).sum::<f64>())
            .collect();
        squares += rest.iter().map(|r| r * r).sum::<f64>();
        products += rest.windows(2).map(|w| w[0] * w[1]).sum::<f64>();
    }
    let alike = if squares > 0.0 { products / squares } else { 0.0 };
    let alike = alike.clamp(ALIKE.0, ALIKE.1);
    squares / (count as f64 - TERMS as f64) * (1.0 + alike) / (1.0 - alike)
}

/// Requests per second of a replica over its last day.
fn requests_now(replicas: &[Replica]) -> Option<f64> {
    let end = replicas.iter().filter_map(|r| r.load.last()).map(|p| p.t).reduce(f64::max)?;
    let last = |r: &Replica| {
        let day: Vec<f64> = r.load.iter().filter(|p| p.t > end - 86_400.0).map(|p| p.v).collect();
        (!day.is_empty()).then(|| day.iter().sum::<f64>() / day.len() as f64)
    };
    let all: Vec<f64> = replicas.iter().filter_map(last).collect();
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}

/// Requests per second that a replica of the workload serves, as the estimator's load: the middle of all that serve at a time.
pub(super) fn load(replicas: &[Replica]) -> Vec<Point> {
    let mut sums: std::collections::BTreeMap<u64, (f64, f64)> = std::collections::BTreeMap::new();
    for p in replicas.iter().flat_map(|r| &r.load).filter(|p| p.t >= 0.0 && p.v.is_finite()) {
        let (sum, count) = sums.entry(p.t.to_bits()).or_default();
        *sum += p.v;
        *count += 1.0;
    }
    // Times are positive: their bits are in order.
    sums.into_iter().map(|(t, (sum, count))| Point { t: f64::from_bits(t), v: sum / count }).collect()
}
