//! What is told of containers beside their numbers, as it was over time: limits, images, starts and loads.
//!
//! A pod comes back under its name with another limit, a limit is changed while a container runs, whoever tells of it is restarted:
//! several series tell of one container, each for a while. When each of them did is only asked for where what they say differs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use plimsoll_core::cluster::Limits;
use plimsoll_core::series::Point;
use plimsoll_read::prometheus_api::{Labelled, Labels};

use super::client::QueryError;
use super::gather::Image;
use super::key::{self, Key};
use super::names::{self, Metric};
use super::pieces::NAMES;
use super::table::summed;
use super::workloads::{Asker, label};

/// Labels of the parts of one limit: the pools of a heap.
const PARTS: &[&str] = &["area", "id", "pool", "jvm_memory_pool_name", "jvm_memory_type"];
/// Questions with names of pods before all are asked about.
const QUESTIONS: usize = 8;

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
        for pods in pods(&unsure) {
            let steps = self.past.steps(metric, &pods)?;
            told.extend(tellers(self.taken(steps)).into_iter().filter(|(key, _)| unsure.contains(key)));
        }
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

/// What a server served at all its addresses. Of one address that is scraped for several jobs, or at several ports, what tells the longest is
/// taken.
fn served(tellers: Vec<Labelled>) -> Vec<Point> {
    let mut by_address: BTreeMap<Option<String>, Vec<Point>> = BTreeMap::new();
    for one in tellers {
        let address =
            label(&one, "instance").map(|i| i.rsplit_once(':').map_or(i.clone(), |(a, _)| a.to_owned()));
        let longest = by_address.entry(address).or_default();
        if one.points.len() > longest.len() {
            *longest = one.points;
        }
    }
    let all = by_address.into_values().map(|points| Labelled { labels: Labels::new(), points });
    summed(all.collect()).pop().map_or(Vec::new(), |sum| sum.points)
}

/// Names of pods for some questions; one without any where they are too many, or no pods, or not what pods are called.
fn pods(keys: &HashSet<Key>) -> Vec<Vec<String>> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let can = |key: &Key| key.is_pod && !key.pod.is_empty() && key.pod.bytes().all(is_plain);
    let names: BTreeSet<&String> = keys.iter().map(|key| &key.pod).collect();
    let mut questions: Vec<Vec<String>> = Vec::new();
    let mut long = usize::MAX;
    for name in names {
        if long.saturating_add(name.len()) >= NAMES {
            questions.push(Vec::new());
            long = 0;
        }
        long += name.len() + 1;
        questions.last_mut().into_iter().for_each(|q| q.push(name.clone()));
    }
    let is_few = questions.len() <= QUESTIONS && keys.iter().all(can);
    if is_few { questions } else { vec![Vec::new()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_named_in_questions_that_servers_take() {
        let key = |n: usize, pod: String| Key {
            cluster: String::new(),
            namespace: format!("n{n}"),
            pod,
            container: "main".to_owned(),
            is_pod: true,
        };
        let of = |count: usize| -> HashSet<Key> {
            (0..count).map(|n| key(0, format!("service-{n:05}-5d4f8c7b9c-x2x7z"))).collect()
        };
        let questions = pods(&of(1000));
        let bytes = |q: &Vec<String>| q.iter().map(|p| p.len() + 1).sum::<usize>();
        assert_eq!(questions.iter().map(Vec::len).sum::<usize>(), 1000);
        assert!(questions.len() > 1 && questions.iter().all(|q| bytes(q) <= NAMES));
        assert_eq!(pods(&of(10_000)), [Vec::<String>::new()], "all are asked about");
        assert_eq!(pods(&HashSet::from([key(0, "a b".to_owned())])), [Vec::<String>::new()]);
    }

    #[test]
    fn a_pod_that_is_scraped_at_two_ports_serves_once_and_one_that_came_back_goes_on() {
        let one = |instance: &str, points: &[(f64, f64)]| Labelled {
            labels: [("namespace", "shop"), ("pod", "a"), ("instance", instance)]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            points: points.iter().map(|(t, v)| Point { t: *t, v: *v }).collect(),
        };
        let both = served(vec![
            one("10.0.0.1:8080", &[(1.0, 5.0), (2.0, 5.0)]),
            one("10.0.0.1:8081", &[(1.0, 5.0)]),
            one("10.0.0.2:8080", &[(3.0, 7.0)]),
        ]);
        assert_eq!(both.iter().map(|p| p.v).collect::<Vec<_>>(), [5.0, 5.0, 7.0]);
    }
}
