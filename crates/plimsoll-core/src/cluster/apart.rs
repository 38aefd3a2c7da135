//! A replica that climbs as the others do not: one shard, one tenant, one node. Asked about together with them, what they do would
//! speak against what it does.

use super::{Life, Replica};

/// Fewest points of a life of which a climb is read.
const POINTS: usize = 20;
/// Shares of what was seen of a life over whose lowest samples the climb goes: from behind the warm-up to now.
const EARLY: (f64, f64) = (0.1, 0.2);
const LATE: f64 = 0.9;
/// A climb of a smaller share of the limit (of the level, where there is none) is not looked at.
const GROWTH: f64 = 0.04;
/// The others climb less than this share of what it does, on average: that is worth a question. And of one that climbs less than that
/// it is said that it does not climb so.
const UNLIKE: f64 = 0.7;
const HARDLY: f64 = 0.3;
/// At most so many are asked about: the first may be a cache that is almost full.
const CANDIDATES: usize = 3;

/// Process ages between which a climb is read, seconds: the lowest sample of the first stretch, and that of the second.
#[derive(Debug, Clone, Copy)]
struct Ages {
    early: (f64, f64),
    late: (f64, f64),
}

impl Ages {
    fn of(life: &Life) -> Option<Ages> {
        let (first, last) = (life.points.first()?.t - life.start, life.points.last()?.t - life.start);
        let at = |share: f64| first + share * (last - first);
        let enough = life.points.len() >= POINTS && last > first;
        enough.then(|| Ages { early: (at(EARLY.0), at(EARLY.1)), late: (at(LATE), last) })
    }

    fn apart(&self) -> f64 {
        0.5 * (self.late.0 + self.late.1 - self.early.0 - self.early.1)
    }
}

/// What a life climbs in a second between these ages; nothing where it was not seen at them.
fn climb(life: &Life, ages: &Ages) -> Option<f64> {
    let lowest = |(from, to): (f64, f64)| {
        let at = |age: f64| life.points.partition_point(|p| p.t < life.start + age);
        let of = &life.points[at(from)..at(to + 1e-6)];
        (!of.is_empty()).then(|| of.iter().fold(f64::INFINITY, |m, p| m.min(p.v)))
    };
    Some((lowest(ages.late)? - lowest(ages.early)?) / ages.apart())
}

/// The climb of the live life, or of the one that was seen for the longest where that has just begun.
fn own(replica: &Replica) -> Option<(Ages, f64)> {
    let longest = || replica.lives.iter().max_by_key(|life| life.points.len());
    let read = |life: &Life| Ages::of(life).and_then(|ages| Some((ages, climb(life, &ages)?)));
    replica.lives.last().and_then(read).or_else(|| longest().and_then(read))
}

/// What another one climbs: at the same ages where it was seen at them, as a warm-up is one of age; else over its own.
fn beside(other: &Replica, ages: &Ages) -> Option<f64> {
    let same: Vec<f64> = other.lives.iter().filter_map(|life| climb(life, ages)).collect();
    if same.is_empty() {
        return own(other).map(|(_, climb)| climb);
    }
    Some(same.iter().sum::<f64>() / same.len() as f64)
}

/// A replica that is worth a question of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apart<'a> {
    pub(super) replica: &'a Replica,
    /// How many others hardly climb beside it, of how many whose climb is known.
    pub(super) unlike: usize,
    pub(super) of: usize,
}

/// Those that would reach their limits first by their own climbs, where the others do not climb with them; a few at most.
pub(super) fn replicas<'a>(alive: &[&'a Replica]) -> Vec<Apart<'a>> {
    if alive.len() < 2 {
        return Vec::new();
    }
    let clock = |replica: &&'a Replica| {
        let (ages, climb) = own(replica)?;
        let used = replica.last()?.v;
        let whole = replica.limit().unwrap_or(used);
        let room = replica.limit().map_or(used, |limit| (limit - used).max(0.0));
        let is_climb = climb.is_finite() && climb > 0.0 && climb * ages.apart() >= GROWTH * whole;
        is_climb.then_some((room / climb, *replica, ages, climb))
    };
    let mut climbing: Vec<(f64, &Replica, Ages, f64)> = alive.iter().filter_map(clock).collect();
    climbing.sort_by(|a, b| a.0.total_cmp(&b.0));
    let apart = |(_, replica, ages, climb): (f64, &'a Replica, Ages, f64)| {
        let others = alive.iter().filter(|other| !std::ptr::eq(**other, replica));
        let told: Vec<f64> = others.filter_map(|other| beside(other, &ages)).collect();
        let mean = told.iter().sum::<f64>() / told.len().max(1) as f64;
        let unlike = told.iter().filter(|other| **other < HARDLY * climb).count();
        (!told.is_empty() && mean < UNLIKE * climb).then_some(Apart { replica, unlike, of: told.len() })
    };
    climbing.into_iter().take(CANDIDATES).filter_map(apart).collect()
}
