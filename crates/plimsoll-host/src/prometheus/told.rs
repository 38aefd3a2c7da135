//! What is told of containers beside their numbers, as it was over time: limits, images, starts and loads.
//!
//! A pod comes back under its name with another limit, a limit is changed while a container runs, whoever tells of it is restarted:
//! several series tell of one container, each for a while. When each of them did is only asked for where what they say differs.

use std::collections::{BTreeMap, HashMap, HashSet};

use plimsoll_core::cluster::Limits;
use plimsoll_core::series::Point;
use plimsoll_read::prometheus_api::{Labelled, Labels};

use super::client::QueryError;
use super::gather::Image;
use super::key::{self, Key};
use super::names::{self, Metric};
use super::table::summed;
use super::workloads::{Asker, label};

/// Labels of the parts of one limit: the pools of a heap.
const PARTS: &[&str] = &["area", "id", "pool", "jvm_memory_pool_name", "jvm_memory_type"];
/// More pods than this are not named in a question: then it is asked of all.
const NAMED: usize = 500;

/// What was said, from when on (Unix seconds), in order.
pub(super) type OverTime<T> = Vec<(f64, T)>;

/// What was said at a time; before anything was, what was said first.
pub(super) fn at<T>(told: &OverTime<T>, t: f64) -> Option<&T> {
    let until = told.partition_point(|(from, _)| *from <= t);
    told.get(until.saturating_sub(1)).map(|(_, said)| said)
}

/// Who tells of a container, each with what it said; the newer after the older.
type Tellers = HashMap<Key, Vec<Labelled>>;

impl Asker<'_> {
    /// The limits that a metric tells.
    pub(super) fn limits_of(&mut self, metric: &Metric<'_>) -> Result<HashMap<Key, Limits>, QueryError> {
        let latest = self.tellers_now(metric)?;
        let ended = self.taken_away(metric, &latest)?;
        let changed = self.past.changed(metric)?;
        let mut unsure: HashSet<Key> = ended.clone();
        unsure.extend(tellers(self.taken(changed)).into_keys());
        let say = |one: &Labelled| one.points.last().map(|p| p.v.to_bits());
        let told = self.over_time(metric, latest, unsure, say)?;
        let limits = told.into_iter().map(|(key, all)| {
            let mut points: Vec<Point> = newest(&all).into_iter().map(|(p, _)| bytes(p)).collect();
            // It ended with the step in which it was told last.
            if let (true, Some(last)) = (ended.contains(&key), points.last()) {
                points.push(Point { t: last.t + self.step, v: f64::INFINITY });
            }
            (key, Limits::told(points))
        });
        Ok(limits.collect())
    }

    /// What containers run.
    pub(super) fn images(&mut self) -> Result<HashMap<Key, OverTime<Image>>, QueryError> {
        let latest = self.tellers_now(&names::INFO)?;
        let told = self.over_time(&names::INFO, latest, HashSet::new(), image)?;
        let of = |all: Vec<Labelled>| {
            let images = newest(&all).into_iter().filter_map(|(p, teller)| Some((p.t, image(teller)?)));
            let mut over_time = OverTime::new();
            for (t, image) in images {
                if over_time.last().is_none_or(|(_, last)| *last != image) {
                    over_time.push((t, image));
                }
            }
            over_time
        };
        let images = told.into_iter().map(|(key, all)| (key, of(all)));
        Ok(images.filter(|(_, all)| !all.is_empty()).collect())
    }

    /// When the process that ran at a time began.
    pub(super) fn process_starts(&mut self) -> Result<HashMap<Key, Vec<Point>>, QueryError> {
        let mut starts = HashMap::new();
        for metric in names::PROCESS_START {
            let answer = self.past.steps(metric, &[])?;
            let told = tellers(self.taken(answer));
            for (key, all) in told {
                starts.entry(key).or_insert_with(|| newest(&all).into_iter().map(|(p, _)| p).collect());
            }
        }
        Ok(starts)
    }

    /// Requests per second, by what serves them: the best counter that it has.
    pub(super) fn loads(&mut self, metrics: &[Metric<'_>]) -> Result<HashMap<Key, Vec<Point>>, QueryError> {
        let mut loads = HashMap::new();
        for metric in metrics {
            let answer = self.past.rates(metric)?;
            for (key, all) in tellers(self.taken(answer)) {
                loads.entry(key::server(key)).or_insert_with(|| served(all));
            }
        }
        Ok(loads)
    }

    fn tellers_now(&mut self, metric: &Metric<'_>) -> Result<Tellers, QueryError> {
        Ok(tellers(self.latest(metric)?))
    }

    /// Of what is told only while there is one: whose limit is told no more, though the container is.
    fn taken_away(&mut self, metric: &Metric<'_>, latest: &Tellers) -> Result<HashSet<Key>, QueryError> {
        if metric.name != names::SPECIFIED.name {
            return Ok(HashSet::new());
        }
        let here = self.past.there(metric)?;
        let here = tellers(self.taken(here));
        let gone: HashSet<Key> = latest.keys().filter(|key| !here.contains_key(*key)).cloned().collect();
        if gone.is_empty() {
            return Ok(gone);
        }
        let alive = self.past.there(&names::INFO)?;
        let alive = tellers(self.taken(alive));
        Ok(gone.into_iter().filter(|key| alive.contains_key(key)).collect())
    }

    /// What was told over time where that is not sure, or where several do not say the same; else what is told now.
    fn over_time<S: PartialEq>(
        &mut self,
        metric: &Metric<'_>,
        latest: Tellers,
        mut unsure: HashSet<Key>,
        say: impl Fn(&Labelled) -> S,
    ) -> Result<Tellers, QueryError> {
        let differ = |all: &[Labelled]| all.windows(2).any(|two| say(&two[0]) != say(&two[1]));
        unsure.extend(latest.iter().filter(|(_, all)| differ(all)).map(|(key, _)| key.clone()));
        let mut told = latest;
        if unsure.is_empty() {
            return Ok(told);
        }
        let steps = self.past.steps(metric, &pods(&unsure))?;
        told.extend(tellers(self.taken(steps)).into_iter().filter(|(key, _)| unsure.contains(key)));
        Ok(told)
    }
}

/// Who tells of each container, in the order in which they began to; the parts of one are summed.
fn tellers(series: Vec<Labelled>) -> Tellers {
    let mut by_key: HashMap<Key, Vec<Labelled>> = HashMap::new();
    for mut one in series {
        let Some(key) = key::of(&one.labels) else { continue };
        // What cAdvisor calls the id of a container is none of a pool of a heap.
        let is_heap = one.labels.get("id").is_none_or(|id| !id.starts_with('/'));
        one.labels.retain(|name, _| !is_heap || !PARTS.contains(&name.as_str()));
        one.points.iter_mut().for_each(|p| p.v = if p.v < 9e18 { p.v.max(0.0) } else { 0.0 });
        by_key.entry(key).or_default().push(one);
    }
    let when = |one: &Labelled| one.points.first().zip(one.points.last()).map(|(a, b)| (a.t, b.t));
    for all in by_key.values_mut() {
        *all = summed(std::mem::take(all));
        all.sort_by(|a, b| when(a).partial_cmp(&when(b)).unwrap_or(std::cmp::Ordering::Equal));
    }
    by_key
}

/// What the newest teller says at each time at which anybody says anything.
fn newest(tellers: &[Labelled]) -> Vec<(Point, &Labelled)> {
    let mut at: BTreeMap<u64, (Point, &Labelled)> = BTreeMap::new();
    for teller in tellers {
        // Times are positive: their bits are in order.
        at.extend(teller.points.iter().map(|p| (p.t.to_bits(), (*p, teller))));
    }
    at.into_values().collect()
}

/// A limit; what has none says 0, -1, or the largest number that there is.
fn bytes(p: Point) -> Point {
    Point { v: if p.v > 0.0 && p.v < 9e18 { p.v } else { f64::INFINITY }, ..p }
}

fn image(of: &Labelled) -> Option<Image> {
    Some(Image { name: label(of, "image")?, id: label(of, "image_id").unwrap_or_default() })
}

/// What all addresses of a server served. Of one that is scraped for several jobs, the job that tells the longest is taken.
fn served(tellers: Vec<Labelled>) -> Vec<Point> {
    let mut by_address: BTreeMap<Option<String>, Vec<Point>> = BTreeMap::new();
    for one in tellers {
        let longest = by_address.entry(label(&one, "instance")).or_default();
        if one.points.len() > longest.len() {
            *longest = one.points;
        }
    }
    let all = by_address.into_values().map(|points| Labelled { labels: Labels::new(), points });
    summed(all.collect()).pop().map_or(Vec::new(), |sum| sum.points)
}

/// Names for a question about some pods only; none where they are too many for it, or no pods, or not what pods are called.
fn pods(keys: &HashSet<Key>) -> Vec<String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let can = |key: &Key| key.is_pod && !key.pod.is_empty() && key.pod.bytes().all(is_plain);
    if keys.len() > NAMED || !keys.iter().all(can) {
        return Vec::new();
    }
    let names: std::collections::BTreeSet<&String> = keys.iter().map(|key| &key.pod).collect();
    names.into_iter().cloned().collect()
}
