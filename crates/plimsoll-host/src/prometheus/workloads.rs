//! From series to workloads: lives of containers, gathered by pod and by what owns the pods.

use std::collections::{BTreeMap, HashMap};

use plimsoll_core::cluster::{Life, Replica, Workload};
use plimsoll_core::slope::Samples;
use plimsoll_read::prometheus_api::{Answer, Labelled, Labels};

use super::client::{Client, QueryError};
use super::names::{self, Number};

/// What to ask for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Matchers of labels, as in a selector without its braces: `namespace="shop"`.
    pub selector: String,
    /// From and to, Unix seconds.
    pub time: (f64, f64),
    /// Seconds between two floors.
    pub step: f64,
    /// Limit to judge against where none is known, bytes.
    pub limit: Option<f64>,
    /// More series than this are not asked for.
    pub most_series: usize,
}

/// What the server has.
#[derive(Debug, Default)]
pub struct History {
    /// Workloads, by namespace and name.
    pub workloads: Vec<Workload>,
    /// Series they are made from.
    pub series: usize,
    /// What was wrong, in words: partial answers, samples left out, limits that nobody tells.
    pub warnings: Vec<String>,
}

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A query failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Nothing matches.
    #[error("no container's memory is known there: none of {} has a series", known())]
    Nothing,
    /// The server must not be asked for so much.
    #[error("{0} series match, more than {1} would be asked for")]
    TooMany(usize, usize),
}

fn known() -> String {
    names::USAGE.iter().map(|n| n.metric).collect::<Vec<_>>().join(", ")
}

/// Asks for the history of the containers that match, and gathers it.
pub fn workloads(client: &Client, options: &Options) -> Result<History, HistoryError> {
    let number = number(client, options)?;
    let mut asker = Asker { client, options, warnings: Vec::new() };
    let usage = asker.range(&floors(number, options))?;
    let series = usage.len();
    let beside = Beside {
        starts: by_container(&asker.latest(names::START, CONTAINERS)?),
        limits: asker.limits()?,
        owners: asker.owners()?,
        kills: asker.kills()?,
    };
    let mut workloads = gather(usage, number, &beside, options);
    workloads
        .sort_by(|a, b| (&a.namespace, &a.name, &a.container).cmp(&(&b.namespace, &b.name, &b.container)));
    Ok(History { workloads, series, warnings: asker.warnings })
}

/// Real containers: cAdvisor also has rows for pods as a whole, and for what holds their namespaces.
const CONTAINERS: &str = r#"container!="",container!="POD""#;

fn selector(fixed: &str, options: &Options) -> String {
    let both: Vec<&str> =
        [fixed, options.selector.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    format!("{{{}}}", both.join(","))
}

/// The best number that has series; the server counts them first.
fn number(client: &Client, options: &Options) -> Result<&'static Number, HistoryError> {
    for number in names::USAGE {
        let window = (options.time.1 - options.time.0).ceil();
        let query =
            format!("count(last_over_time({}{}[{window}s]))", number.metric, selector(CONTAINERS, options));
        let answer = client.instant(&query, options.time.1)?;
        let count = answer.series.first().and_then(|s| s.points.first()).map_or(0.0, |p| p.v) as usize;
        match count {
            0 => {}
            n if n > options.most_series => return Err(HistoryError::TooMany(n, options.most_series)),
            _ => return Ok(number),
        }
    }
    Err(HistoryError::Nothing)
}

/// The floor of each step: the server takes the minimum, so that raw samples need not travel.
fn floors(number: &Number, options: &Options) -> String {
    let metric = format!("{}{}", number.metric, selector(CONTAINERS, options));
    match number.samples {
        Samples::Raw => format!("min_over_time({metric}[{}s])", options.step.ceil()),
        Samples::PostCollection => metric,
    }
}

struct Asker<'a> {
    client: &'a Client,
    options: &'a Options,
    warnings: Vec<String>,
}

impl Asker<'_> {
    fn taken(&mut self, answer: Answer) -> Vec<Labelled> {
        self.warnings.extend(answer.warnings.into_iter().map(|w| format!("the server warns: {w}")));
        if answer.left_out > 0 {
            self.warnings.push(format!("{} samples were no numbers, or out of order", answer.left_out));
        }
        answer.series
    }

    fn range(&mut self, query: &str) -> Result<Vec<Labelled>, QueryError> {
        let answer = self.client.range(query, self.options.time, self.options.step)?;
        Ok(self.taken(answer))
    }

    /// The last value of each series within the time looked at, of those that have ended too.
    fn latest(&mut self, metric: &str, fixed: &str) -> Result<Vec<Labelled>, QueryError> {
        let (from, to) = self.options.time;
        let selector = selector(fixed, self.options);
        let answer = self
            .client
            .instant(&format!("last_over_time({metric}{selector}[{}s])", (to - from).ceil()), to)?;
        Ok(self.taken(answer))
    }

    fn limits(&mut self) -> Result<HashMap<Key, f64>, QueryError> {
        let mut limits = HashMap::new();
        for (metric, fixed) in names::LIMITS {
            for Labelled { labels, points } in self.latest(metric, fixed)? {
                // A container without a limit has 0 here, or the largest number that there is.
                let limit = points.last().map(|p| p.v).filter(|v| *v > 0.0 && *v < 9e18);
                if let (Some(key), Some(limit)) = (key(&labels), limit) {
                    limits.entry(key).or_insert(limit);
                }
            }
        }
        Ok(limits)
    }

    /// Owner of each pod by namespace and name: the deployment where a replica set is owned by one, with the revision.
    fn owners(&mut self) -> Result<HashMap<(String, String), Owner>, QueryError> {
        let above: HashMap<(String, String), String> = self
            .latest(names::REPLICASET_OWNER, "")?
            .into_iter()
            .filter_map(|s| Some(((label(&s, "namespace")?, label(&s, "replicaset")?), owner_name(&s)?)))
            .collect();
        let pods = self.latest(names::POD_OWNER, "")?;
        let owner = |s: Labelled| {
            let (namespace, name) = (label(&s, "namespace")?, owner_name(&s)?);
            let pod = (namespace.clone(), label(&s, "pod")?);
            let owner = match above.get(&(namespace, name.clone())) {
                Some(deployment) => Owner { name: deployment.clone(), revision: Some(name) },
                None => Owner { name, revision: None },
            };
            Some((pod, owner))
        };
        Ok(pods.into_iter().filter_map(owner).collect())
    }

    /// Containers that ended last for want of memory; nothing where nobody tells why containers end.
    fn kills(&mut self) -> Result<Option<HashMap<Key, u64>>, QueryError> {
        let ended = self.latest(names::ENDED, "")?;
        if ended.is_empty() {
            return Ok(None);
        }
        let killed = ended.iter().filter(|s| {
            s.labels.get("reason").is_some_and(|r| r == names::KILLED)
                && s.points.last().is_some_and(|p| p.v > 0.0)
        });
        Ok(Some(killed.filter_map(|s| Some((key(&s.labels)?, 1))).collect()))
    }
}

/// Namespace, pod and container.
type Key = (String, String, String);

struct Owner {
    name: String,
    revision: Option<String>,
}

/// What is known beside the numbers.
struct Beside {
    /// Starts by all labels that tell containers apart.
    starts: HashMap<(Key, String), f64>,
    limits: HashMap<Key, f64>,
    owners: HashMap<(String, String), Owner>,
    kills: Option<HashMap<Key, u64>>,
}

fn label(series: &Labelled, name: &str) -> Option<String> {
    series.labels.get(name).filter(|v| !v.is_empty()).cloned()
}

fn owner_name(series: &Labelled) -> Option<String> {
    label(series, "owner_name").filter(|name| name != "<none>")
}

fn key(labels: &Labels) -> Option<Key> {
    let of = |name: &str| labels.get(name).cloned();
    Some((of("namespace")?, of("pod")?, of("container")?))
}

/// What tells two containers of one name in one pod apart: cAdvisor gives each its control group.
fn instance(labels: &Labels) -> String {
    labels.get("id").or_else(|| labels.get("name")).cloned().unwrap_or_default()
}

fn by_container(series: &[Labelled]) -> HashMap<(Key, String), f64> {
    let start = |s: &Labelled| Some(((key(&s.labels)?, instance(&s.labels)), s.points.last()?.v));
    series.iter().filter_map(start).collect()
}

fn gather(usage: Vec<Labelled>, number: &Number, beside: &Beside, options: &Options) -> Vec<Workload> {
    let mut replicas: BTreeMap<Key, Vec<Life>> = BTreeMap::new();
    for series in usage {
        let Some(at) = key(&series.labels).filter(|_| !series.points.is_empty()) else { continue };
        let life = life(series, &at, beside, options);
        replicas.entry(at).or_default().push(life);
    }
    let mut workloads: BTreeMap<Key, Workload> = BTreeMap::new();
    for ((namespace, pod, container), mut lives) in replicas {
        lives.sort_by(|a, b| a.start.total_cmp(&b.start));
        let at = (namespace.clone(), pod.clone(), container.clone());
        let owner = beside.owners.get(&(namespace.clone(), pod.clone()));
        let name = owner.map_or_else(|| by_pattern(&pod).to_owned(), |o| o.name.clone());
        let limit = beside.limits.get(&at).copied().or(options.limit);
        let workload =
            workloads.entry((namespace.clone(), name.clone(), container.clone())).or_insert_with(|| {
                Workload {
                    namespace,
                    name,
                    container,
                    number: number.words.to_owned(),
                    samples: number.samples,
                    death: number.death,
                    replicas: Vec::new(),
                    kills: beside.kills.as_ref().map(|_| 0),
                }
            });
        if let (Some(sum), Some(kills)) = (&mut workload.kills, &beside.kills) {
            *sum += kills.get(&at).copied().unwrap_or(0);
        }
        workload.replicas.push(Replica { pod, lives, limit });
    }
    workloads.into_values().collect()
}

/// A life from a series. It began with its process where that is known, else a step before its first sample.
fn life(series: Labelled, at: &Key, beside: &Beside, options: &Options) -> Life {
    let first = series.points.first().map_or(0.0, |p| p.t);
    let start = beside.starts.get(&(at.clone(), instance(&series.labels))).copied();
    let revision = || beside.owners.get(&(at.0.clone(), at.1.clone())).and_then(|o| o.revision.clone());
    let image = series.labels.get("image").filter(|i| !i.is_empty()).cloned();
    Life {
        // A process that began after its first sample is another one: then the label tells nothing.
        start: start.filter(|s| *s > 0.0 && *s <= first).unwrap_or(first - options.step),
        version: image.or_else(revision),
        points: series.points,
    }
}

/// Where nobody tells who owns a pod: its name without what a controller adds, `-5d4f8c7b9c-x2x7z`, `-x2x7z` or `-0`.
fn by_pattern(pod: &str) -> &str {
    let is_made_up = |part: &str| {
        let lower = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let has_digit = part.bytes().any(|b| b.is_ascii_digit());
        lower && (part.bytes().all(|b| b.is_ascii_digit()) || part.len() == 5 || part.len() >= 8 && has_digit)
    };
    let Some((rest, last)) = pod.rsplit_once('-').filter(|(_, last)| is_made_up(last)) else { return pod };
    if last.len() != 5 {
        return rest;
    }
    let hash = |part: &str| {
        (8..=10).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && part.bytes().any(|b| b.is_ascii_digit())
    };
    rest.rsplit_once('-').filter(|(_, part)| hash(part)).map_or(rest, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use plimsoll_core::series::Point;

    use super::*;

    #[test]
    fn pods_without_owners_are_gathered_by_their_names() {
        for (pod, name) in [
            ("api-5d4f8c7b9c-x2x7z", "api"),
            ("shop-api-5d4f8c7b9c-x2x7z", "shop-api"),
            ("db-0", "db"),
            ("agent-x2x7z", "agent"),
            ("single", "single"),
            ("rabbit-mq", "rabbit-mq"),
        ] {
            assert_eq!(by_pattern(pod), name, "{pod}");
        }
    }

    #[test]
    fn containers_of_one_pod_are_lives_of_one_replica_and_pods_of_one_owner_a_workload() {
        let options = Options {
            selector: String::new(),
            time: (0.0, 1000.0),
            step: 10.0,
            limit: Some(5.0),
            most_series: 10,
        };
        let series = |pod: &str, id: &str, image: &str, from: f64| Labelled {
            labels: [("namespace", "shop"), ("pod", pod), ("container", "api"), ("id", id), ("image", image)]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            points: vec![Point { t: from, v: 1.0 }, Point { t: from + 10.0, v: 2.0 }],
        };
        let at = |pod: &str| ("shop".to_owned(), pod.to_owned(), "api".to_owned());
        let owner = || Owner { name: "api".to_owned(), revision: Some("api-1".to_owned()) };
        let beside = Beside {
            starts: HashMap::from([((at("api-1-a"), "/b".to_owned()), 190.0)]),
            limits: HashMap::from([(at("api-1-b"), 7.0)]),
            owners: HashMap::from([
                (("shop".to_owned(), "api-1-a".to_owned()), owner()),
                (("shop".to_owned(), "api-1-b".to_owned()), owner()),
            ]),
            kills: Some(HashMap::from([(at("api-1-a"), 1)])),
        };
        let usage = vec![
            series("api-1-a", "/b", "api:2", 200.0),
            series("api-1-a", "/a", "api:1", 100.0),
            series("api-1-b", "/c", "", 100.0),
        ];
        let all = gather(usage, &names::USAGE[0], &beside, &options);
        assert_eq!(all.len(), 1);
        let workload = &all[0];
        assert_eq!((workload.name.as_str(), workload.kills, workload.replicas.len()), ("api", Some(1), 2));
        let lives = &workload.replicas[0].lives;
        assert_eq!((lives[0].start, lives[0].version.as_deref()), (90.0, Some("api:1")));
        assert_eq!((lives[1].start, lives[1].version.as_deref()), (190.0, Some("api:2")));
        assert_eq!(workload.replicas[0].limit, Some(5.0), "what was said on the command line");
        let second = &workload.replicas[1];
        assert_eq!((second.limit, second.lives[0].version.as_deref()), (Some(7.0), Some("api-1")));
    }
}
