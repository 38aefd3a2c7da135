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
/// The others climb less than this share of what it does, on average.
const UNLIKE: f64 = 0.7;

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

/// The life of a replica that was seen for the longest, and its climb.
fn own(replica: &Replica) -> Option<(Ages, f64)> {
    let longest = replica.lives.iter().max_by_key(|life| life.points.len())?;
    let ages = Ages::of(longest)?;
    Some((ages, climb(longest, &ages)?))
}

/// What another one climbs: at the same ages where it was seen at them, as a warm-up is one of age; else over its own.
fn beside(other: &Replica, ages: &Ages) -> Option<f64> {
    let same: Vec<f64> = other.lives.iter().filter_map(|life| climb(life, ages)).collect();
    if same.is_empty() {
        return own(other).map(|(_, climb)| climb);
    }
    Some(same.iter().sum::<f64>() / same.len() as f64)
}

/// The replica that would reach its limit first by its own climb, where the others do not climb with it.
pub(super) fn replica<'a>(alive: &[&'a Replica]) -> Option<&'a Replica> {
    if alive.len() < 2 {
        return None;
    }
    let clock = |replica: &&'a Replica| {
        let (ages, climb) = own(replica)?;
        let used = replica.last()?.v;
        let whole = replica.limit.unwrap_or(used);
        let room = replica.limit.map_or(used, |limit| (limit - used).max(0.0));
        (climb * ages.apart() >= GROWTH * whole).then_some((room / climb, *replica, ages, climb))
    };
    let (_, first, ages, climb) = alive.iter().filter_map(clock).min_by(|a, b| a.0.total_cmp(&b.0))?;
    let others = alive.iter().filter(|other| !std::ptr::eq(**other, first));
    let told: Vec<f64> = others.filter_map(|other| beside(other, &ages)).collect();
    let mean = told.iter().sum::<f64>() / told.len().max(1) as f64;
    (!told.is_empty() && mean < UNLIKE * climb).then_some(first)
}
