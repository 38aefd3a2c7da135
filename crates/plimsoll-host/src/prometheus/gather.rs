//! From series to workloads: lives of containers and processes, gathered by pod and by what owns the pods.

use std::collections::{BTreeMap, HashMap, HashSet};

use plimsoll_core::cluster::{Life, Limits, Replica, Workload};
use plimsoll_core::death::Workload as Group;
use plimsoll_core::series::Point;
use plimsoll_core::slope::Samples;
use plimsoll_read::prometheus_api::{Labelled, Labels};

use super::key::{self, Key};
use super::names::Number;
use super::told::{self, OverTime};
use super::workloads::Options;

/// Two starts that are no further apart are one, seconds: what tells them rounds.
const SAME_START: f64 = 2.0;
/// Digits of a digest that are shown.
const DIGEST: usize = 12;

/// The series of one number.
pub(super) struct Part {
    pub(super) number: &'static Number,
    pub(super) series: Vec<Labelled>,
    /// Limits of its own.
    pub(super) limits: HashMap<Key, Limits>,
}

/// Cluster, namespace and name of what is owned.
pub(super) type Owned = [String; 3];

/// Who owns a pod.
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) revision: Option<String>,
}

/// What a container runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) id: String,
}

/// What is known beside the numbers.
#[derive(Default)]
pub(super) struct Beside<'a> {
    /// Starts by all labels that tell containers apart.
    pub(super) starts: HashMap<(Key, String), f64>,
    /// When the process that ran at a time began.
    pub(super) process_starts: HashMap<Key, Vec<Point>>,
    pub(super) limits: HashMap<Key, Limits>,
    pub(super) owners: HashMap<Owned, Owner>,
    pub(super) images: HashMap<Key, OverTime<Image>>,
    pub(super) kills: Option<HashMap<Key, u64>>,
    pub(super) loads: HashMap<Key, Vec<Point>>,
    pub(super) waits: HashMap<Key, f64>,
    /// What agents say of the net, by the group in their words.
    pub(super) nets: Option<&'a HashMap<String, bool>>,
}

/// Workloads, and how many series told of the same as others. Of numbers of the whole, and of heaps, the first is
/// taken that a process has.
pub(super) fn gather(parts: Vec<Part>, beside: &Beside<'_>, options: &Options) -> (Vec<Workload>, usize) {
    let rebuilt = rebuilt(beside);
    let mut workloads: BTreeMap<(Key, bool), Workload> = BTreeMap::new();
    let mut containers: HashMap<Key, Vec<(String, Vec<Life>)>> = HashMap::new();
    let mut taken: HashSet<(Key, bool)> = HashSet::new();
    let mut nets: HashMap<Key, bool> = HashMap::new();
    let mut twice = 0;
    for part in parts {
        let is_heap = part.number.is_heap();
        let mut replicas: BTreeMap<Key, Vec<(String, Life)>> = BTreeMap::new();
        for series in part.series {
            let Some(mut at) = key::of(&series.labels).filter(|_| !series.points.is_empty()) else {
                continue;
            };
            let mut of = Lives { beside, options, rebuilt: &rebuilt, of_container: &[] };
            if is_heap {
                let of_pod = containers.get(&key::server(at.clone())).map_or(&[][..], Vec::as_slice);
                // A program that tells of itself may not know the name of its container.
                if let ([(only, _)], true) = (of_pod, at.container.is_empty()) {
                    at.container.clone_from(only);
                }
                let lives = of_pod.iter().find(|(name, _)| *name == at.container);
                of.of_container = lives.map_or(&[][..], |(_, lives)| lives);
            }
            let instance = key::instance(&series.labels);
            if let Some(net) = beside.nets.and_then(|nets| nets.get(&Group::of(&instance).words())) {
                nets.insert(at.clone(), *net);
            }
            let lives = of.lives(series, &at, part.number.samples);
            let all = replicas.entry(at).or_default();
            for life in lives {
                // Two servers that were scraped by two.
                let same = |(i, l): &&mut (String, Life)| *i == instance && overlap(l, &life);
                match all.iter_mut().find(|other| same(other)) {
                    Some((_, other)) => {
                        twice += 1;
                        if life.points.len() > other.points.len() {
                            *other = life;
                        }
                    }
                    None => all.push((instance.clone(), life)),
                }
            }
        }
        for (at, lives) in replicas {
            if !taken.insert((at.clone(), is_heap)) {
                continue;
            }
            let mut lives: Vec<Life> = lives.into_iter().map(|(_, life)| life).collect();
            lives.sort_by(|a, b| a.start.total_cmp(&b.start));
            if !is_heap {
                let of_pod = containers.entry(key::server(at.clone())).or_default();
                of_pod.push((at.container.clone(), lives.clone()));
            }
            let limits = limits(&at, part.number, &part.limits, beside, options);
            let name = name(&at, beside);
            let of = Key { pod: name.clone(), ..at.clone() };
            let workload = workloads
                .entry((of, is_heap))
                .or_insert_with(|| workload(&at, name, part.number, beside, options));
            if let (Some(sum), Some(kills)) = (&mut workload.kills, &beside.kills) {
                *sum += kills.get(&at).copied().unwrap_or(0);
            }
            let load = beside.loads.get(&key::server(at.clone())).cloned().unwrap_or_default();
            let (waits, net) = (beside.waits.get(&at).copied(), nets.get(&at).copied());
            workload.replicas.push(Replica { pod: at.pod, lives, limits, load, waits, net });
        }
    }
    (workloads.into_values().collect(), twice)
}

fn overlap(a: &Life, b: &Life) -> bool {
    let ends = |l: &Life| l.points.first().map(|p| p.t).zip(l.points.last().map(|p| p.t));
    matches!((ends(a), ends(b)), (Some(a), Some(b)) if a.0 <= b.1 && b.0 <= a.1)
}

/// Who owns the pod; where nobody tells, its name without what a controller adds. Outside of a cluster, the job.
fn name(at: &Key, beside: &Beside<'_>) -> String {
    if !at.is_pod {
        return at.container.clone();
    }
    owner(at, beside).map_or_else(|| key::by_pattern(&at.pod).to_owned(), |o| o.name.clone())
}

fn owner<'a>(at: &Key, beside: &'a Beside<'_>) -> Option<&'a Owner> {
    beside.owners.get(&[&at.cluster, &at.namespace, &at.pod].map(String::clone))
}

fn workload(at: &Key, name: String, number: &Number, beside: &Beside<'_>, options: &Options) -> Workload {
    let is_heap = number.is_heap();
    Workload {
        cluster: if at.cluster.is_empty() { options.cluster.clone() } else { at.cluster.clone() },
        namespace: at.namespace.clone(),
        name,
        container: at.container.clone(),
        number: number.words.to_owned(),
        is_heap,
        samples: number.samples,
        death: number.death,
        replicas: Vec::new(),
        kills: beside.kills.as_ref().filter(|_| !is_heap).map(|_| 0),
    }
}

/// What it runs against: what limits the number itself, where that is below the container's limit, which may not know of it; else its share
/// of the container's limit, else of what was said to judge against.
fn limits(
    at: &Key,
    number: &Number,
    own: &HashMap<Key, Limits>,
    beside: &Beside<'_>,
    options: &Options,
) -> Limits {
    // What tells of a heap may not name the container.
    let unnamed = key::server(at.clone());
    let of = |limits: &HashMap<Key, Limits>| limits.get(at).or_else(|| limits.get(&unnamed)).cloned();
    let (own, told) = (of(own), of(&beside.limits));
    let of_container = told.as_ref().and_then(Limits::now);
    let share = number.of_container.or(own.as_ref().map(|_| 1.0));
    let is_below = |own: &Limits| of_container.is_none_or(|container| own.now() <= Some(container));
    own.filter(is_below).unwrap_or_else(|| {
        let said = options.limit.filter(|_| of_container.is_none()).map(Limits::always);
        said.or(told).zip(share).map_or_else(Limits::default, |(limits, share)| limits.times(share))
    })
}

/// Names of images that were built more than once: there the digest tells versions apart.
fn rebuilt<'a>(beside: &'a Beside<'_>) -> Vec<&'a str> {
    let mut ids: HashMap<&str, &str> = HashMap::new();
    let mut rebuilt = Vec::new();
    for (_, image) in beside.images.values().flatten().filter(|(_, i)| !i.id.is_empty()) {
        let first = ids.entry(&image.name).or_insert(&image.id);
        if *first != image.id && !rebuilt.contains(&image.name.as_str()) {
            rebuilt.push(image.name.as_str());
        }
    }
    rebuilt
}

/// Cuts series into lives.
struct Lives<'a> {
    beside: &'a Beside<'a>,
    options: &'a Options,
    rebuilt: &'a [&'a str],
    /// Lives of the container that the process runs in.
    of_container: &'a [Life],
}

impl Lives<'_> {
    fn lives(&self, mut series: Labelled, at: &Key, samples: Samples) -> Vec<Life> {
        if samples == Samples::PostCollection {
            // Nothing was collected yet.
            series.points.retain(|p| p.v > 0.0);
        }
        let Some(first) = series.points.first().map(|p| p.t) else { return Vec::new() };
        let known = self.beside.starts.get(&(at.clone(), key::instance(&series.labels))).copied();
        // A process that began after its first sample is another one: then the label tells nothing.
        if let Some(start) = known.filter(|s| *s > 0.0 && *s <= first) {
            let version = self.version(&series.labels, at, first);
            return vec![Life { start, version, points: series.points }];
        }
        let starts = self.beside.process_starts.get(at);
        let starts = starts.or_else(|| self.beside.process_starts.get(&key::server(at.clone())));
        let start = |t: f64| match starts {
            Some(told) => newest(told, t).filter(|s| *s > 0.0),
            None => self.of_container.iter().rev().find(|l| l.start <= t).map(|l| l.start),
        };
        let mut lives: Vec<Life> = Vec::new();
        for p in series.points {
            let began = start(p.t).filter(|s| *s <= p.t);
            let is_same = |l: &Life| began.is_none_or(|s| (s - l.start).abs() <= SAME_START);
            match lives.last_mut() {
                Some(life) if is_same(life) => life.points.push(p),
                last => {
                    let since = began.unwrap_or(p.t - self.options.step);
                    // The first life may have begun before anybody told when.
                    let since = last.map_or(since, |l| since.max(l.points.last().map_or(since, |p| p.t)));
                    let own = self.of_container.iter().rev().find(|l| l.start <= p.t);
                    let version = self.version(&series.labels, at, p.t);
                    let version = version.or_else(|| own.and_then(|l| l.version.clone()));
                    lives.push(Life { start: since, version, points: vec![p] });
                }
            }
        }
        lives
    }

    /// What ran at a time.
    fn version(&self, labels: &Labels, at: &Key, t: f64) -> Option<String> {
        let label = |name: &str| labels.get(name).filter(|v| !v.is_empty()).cloned();
        let told = self.beside.images.get(at).and_then(|images| told::at(images, t));
        let image = label("image").or_else(|| told.map(|i| i.name.clone()));
        let digest =
            told.filter(|i| image.as_ref() == Some(&i.name) && self.rebuilt.contains(&i.name.as_str()));
        let image = match (image, digest.and_then(|i| i.id.rsplit_once(':'))) {
            (Some(image), Some((_, id))) => Some(format!("{image}@{}", id.get(..DIGEST).unwrap_or(id))),
            (image, _) => image,
        };
        let revision = || owner(at, self.beside)?.revision.clone();
        image.or_else(|| label("version")).or_else(revision)
    }
}

/// The value at a time: that of the newest sample until then.
fn newest(points: &[Point], t: f64) -> Option<f64> {
    points[..points.partition_point(|p| p.t <= t)].last().map(|p| p.v)
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;

    fn options() -> Options {
        Options {
            selector: String::new(),
            time: (0.0, 1000.0),
            step: 10.0,
            limit: Some(5.0),
            most_series: 10,
            load: None,
            cluster: String::new(),
        }
    }

    #[test]
    fn containers_of_one_pod_are_lives_of_one_replica_and_pods_of_one_owner_a_workload() {
        let options = options();
        let series = |pod: &str, id: &str, image: &str, from: f64| Labelled {
            labels: [("namespace", "shop"), ("pod", pod), ("container", "api"), ("id", id), ("image", image)]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            points: vec![Point { t: from, v: 1.0 }, Point { t: from + 10.0, v: 2.0 }],
        };
        let at = |pod: &str| Key {
            cluster: String::new(),
            namespace: "shop".to_owned(),
            pod: pod.to_owned(),
            container: "api".to_owned(),
            is_pod: true,
        };
        let nets = HashMap::from([("control group /a".to_owned(), true)]);
        let owner = || Owner { name: "api".to_owned(), revision: Some("api-1".to_owned()) };
        let beside = Beside {
            starts: HashMap::from([((at("api-1-a"), "/b".to_owned()), 190.0)]),
            limits: HashMap::from([(at("api-1-b"), Limits::always(7.0))]),
            owners: HashMap::from([
                (["", "shop", "api-1-a"].map(str::to_owned), owner()),
                (["", "shop", "api-1-b"].map(str::to_owned), owner()),
            ]),
            kills: Some(HashMap::from([(at("api-1-a"), 1)])),
            waits: HashMap::from([(at("api-1-b"), 0.25)]),
            nets: Some(&nets),
            ..Beside::default()
        };
        let usage = vec![
            series("api-1-a", "/b", "api:2", 200.0),
            series("api-1-a", "/a", "api:1", 100.0),
            series("api-1-b", "/c", "", 100.0),
            series("api-1-b", "/c", "", 100.0),
        ];
        let heap = Labelled {
            labels: [("namespace", "shop"), ("pod", "api-1-a")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            points: [(100.0, 0.0), (110.0, 1.0), (200.0, 1.0)].map(|(t, v)| Point { t, v }).into(),
        };
        let parts = vec![
            Part { number: &names::USAGE[0], series: usage, limits: HashMap::new() },
            Part { number: &names::HEAPS[0], series: vec![heap], limits: HashMap::new() },
        ];
        let (all, twice) = gather(parts, &beside, &options);
        assert_eq!((all.len(), twice), (2, 1));
        // The heap's lives are those of the only container in the pod, and what was never collected is none.
        let heap = &all[1];
        assert!(heap.is_heap && heap.container == "api" && heap.kills.is_none());
        let lives = &heap.replicas[0].lives;
        assert_eq!(lives.iter().map(|l| l.points.len()).collect::<Vec<_>>(), [1, 1]);
        assert_eq!((lives[0].start, lives[1].start), (90.0, 190.0));
        assert_eq!(heap.replicas[0].limit(), None, "a heap is not limited by the container's limit");
        let workload = &all[0];
        assert_eq!((workload.name.as_str(), workload.kills, workload.replicas.len()), ("api", Some(1), 2));
        let lives = &workload.replicas[0].lives;
        assert_eq!((lives[0].start, lives[0].version.as_deref()), (90.0, Some("api:1")));
        assert_eq!((lives[1].start, lives[1].version.as_deref()), (190.0, Some("api:2")));
        assert_eq!(workload.replicas[0].limit(), Some(5.0), "what was said on the command line");
        let second = &workload.replicas[1];
        assert_eq!((workload.replicas[0].net, workload.replicas[0].waits), (Some(true), None));
        assert_eq!((heap.replicas[0].net, second.net, second.waits), (Some(true), None, Some(0.25)));
        assert_eq!((second.limit(), second.lives[0].version.as_deref()), (Some(7.0), Some("api-1")));
    }
}
