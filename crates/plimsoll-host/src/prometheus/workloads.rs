//! The questions whose answers are the workloads: which numbers there are, and what belongs to them.

use std::collections::HashMap;

use plimsoll_core::cluster::{Limits, Workload};
use plimsoll_core::series::Point;
use plimsoll_core::units;
use plimsoll_read::prometheus_api::{Answer, Labelled};

use super::client::{Client, QueryError};
use super::gather::{Beside, Owned, Owner, Part, gather};
use super::key::{self, Key};
use super::names::{self, Metric, Number};
use super::past::{Asked, Namespaces, Past};
use super::table::{SelectorError, Table};

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
    /// The counter of requests, where it is none of those that are known.
    pub load: Option<String>,
    /// Name of the cluster, where series do not tell it; may be empty.
    pub cluster: String,
}

/// What the server has.
#[derive(Debug, Default)]
pub struct History {
    /// Workloads, by namespace and name; one for each number that runs against a limit.
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
    /// The selector is not understood for files.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// Nothing matches.
    #[error("nobody's memory is known there: none of {} has a series", known())]
    Nothing,
    /// The server must not be asked for so much.
    #[error("{0} series match, more than {1} would be asked for")]
    TooMany(usize, usize),
}

fn known() -> String {
    let all = names::USAGE.iter().chain(names::PROCESSES).chain(names::HEAPS);
    all.map(|n| n.metric.name).collect::<Vec<_>>().join(", ")
}

/// Asks for the history of the containers and processes that match, and gathers it.
///
/// # Errors
/// [`HistoryError`]
pub fn workloads(client: &Client, options: &Options) -> Result<History, HistoryError> {
    let past = Asked { client, options, pods: None };
    Survey::of(&past, options)?.history(&past, options)
}

/// The same from series that came in a file, with the names of their metrics in [`super::NAME`].
///
/// # Errors
/// [`HistoryError`]
pub fn workloads_of(series: Vec<Labelled>, options: &Options) -> Result<History, HistoryError> {
    let past = Table::new(series, options)?;
    Survey::of(&past, options)?.history(&past, options)
}

/// Which numbers there are, and of how many series in each namespace: asked before anything else.
#[derive(Default)]
pub(super) struct Survey<'a> {
    pub(super) whole: Vec<&'static Number>,
    pub(super) heaps: Vec<&'static Number>,
    loads: Vec<Metric<'a>>,
    /// Series of each namespace.
    pub(super) namespaces: Namespaces,
    sum: usize,
    /// What agents say of the net, by the group in their words.
    nets: HashMap<String, bool>,
    /// Memory of the largest node, bytes.
    largest_node: Option<f64>,
}

impl<'a> Survey<'a> {
    pub(super) fn of(past: &dyn Past, options: &'a Options) -> Result<Survey<'a>, HistoryError> {
        let mut survey = Survey::default();
        for number in past.usage() {
            if survey.whole.is_empty() && survey.has(past, number, options.most_series)? {
                survey.whole.push(number);
            }
        }
        if survey.whole.is_empty() {
            survey.whole = survey.all(past, names::PROCESSES, options.most_series)?;
        }
        survey.heaps = survey.all(past, names::HEAPS, options.most_series)?;
        if survey.whole.is_empty() && survey.heaps.is_empty() {
            return Err(HistoryError::Nothing);
        }
        let named = options.load.as_ref().map(|name| Metric { name, only: &[] });
        for metric in named.map_or(names::LOADS.to_vec(), |one| vec![one]) {
            if !past.namespaces(&metric)?.is_empty() {
                survey.loads.push(metric);
            }
        }
        let nets = past.here(&names::NET, names::NET_OF)?;
        let of = |s: &Labelled| Some((label(s, names::NET_OF)?, s.points.last()?.v > 0.0));
        survey.nets = nets.series.iter().filter_map(of).collect();
        for metric in names::NODES {
            if survey.largest_node.is_none() {
                let nodes = past.here(metric, "")?;
                survey.largest_node = nodes.series.iter().filter_map(|s| limit(&s.points)).reduce(f64::max);
            }
        }
        Ok(survey)
    }

    fn has(&mut self, past: &dyn Past, number: &Number, most: usize) -> Result<bool, HistoryError> {
        let counts = past.namespaces(&number.metric)?;
        let count: usize = counts.values().sum();
        self.sum += count;
        if self.sum > most {
            return Err(HistoryError::TooMany(self.sum, most));
        }
        for (namespace, count) in counts {
            *self.namespaces.entry(namespace).or_insert(0) += count;
        }
        Ok(count > 0)
    }

    fn all(
        &mut self,
        past: &dyn Past,
        of: &'static [Number],
        most: usize,
    ) -> Result<Vec<&'static Number>, HistoryError> {
        let mut found = Vec::new();
        for number in of {
            if self.has(past, number, most)? {
                found.push(number);
            }
        }
        Ok(found)
    }

    /// The history of what the options select, with the numbers that were found.
    pub(super) fn history(&self, past: &dyn Past, options: &Options) -> Result<History, HistoryError> {
        let mut asker = Asker { past, step: options.step, warnings: Vec::new(), cluster: None };
        let tell_starts =
            !self.heaps.is_empty() || self.whole.iter().any(|n| n.metric.name != names::USAGE[0].metric.name);
        let mut parts = Vec::new();
        for number in self.whole.iter().chain(&self.heaps).copied() {
            let series = asker.taken(past.floors(number)?);
            let limits = asker.own_limits(number)?;
            parts.push(Part { number, series, limits });
        }
        let series = parts.iter().map(|p| p.series.len()).sum();
        let beside = Beside {
            starts: asker.starts()?,
            process_starts: if tell_starts { asker.process_starts()? } else { HashMap::new() },
            limits: asker.limits(self.largest_node)?,
            owners: asker.owners()?,
            images: asker.images()?,
            kills: asker.kills()?,
            loads: asker.loads(&self.loads)?,
            waits: asker.waits()?,
            nets: Some(&self.nets),
        };
        let (mut workloads, twice) = gather(parts, &beside, options);
        workloads.sort_by(|a, b| {
            let key = |w: &Workload| [&w.cluster, &w.namespace, &w.name, &w.container].map(String::clone);
            key(a).cmp(&key(b))
        });
        if twice > 0 {
            asker.warnings.push(format!(
                "{twice} series tell of the same containers as others: the longest were taken"
            ));
        }
        Ok(History { workloads, series, warnings: asker.warnings })
    }
}

pub(super) struct Asker<'a> {
    pub(super) past: &'a dyn Past,
    /// Seconds between two floors.
    pub(super) step: f64,
    warnings: Vec<String>,
    /// The label that tells the cluster, where all that was asked for first have it.
    cluster: Option<Option<&'static str>>,
}

impl Asker<'_> {
    pub(super) fn taken(&mut self, answer: Answer) -> Vec<Labelled> {
        for warning in answer.warnings {
            let told = format!("the server warns: {warning}");
            if !self.warnings.contains(&told) {
                self.warnings.push(told);
            }
        }
        if answer.left_out > 0 {
            self.warnings
                .push(format!("{} samples were no numbers, out of order, or came twice", answer.left_out));
        }
        let mut series = answer.series;
        self.name_clusters(&mut series);
        series
    }

    /// One name for the label of the cluster. A label of that name on some series only is an application's own, and tells nothing.
    fn name_clusters(&mut self, series: &mut [Labelled]) {
        let on_all = |name: &&str| series.iter().all(|s| s.labels.get(*name).is_some_and(|v| !v.is_empty()));
        let found = || names::CLUSTERS.iter().copied().find(|name| on_all(name));
        // What has no series tells nothing of it.
        let told = if series.is_empty() { None } else { *self.cluster.get_or_insert_with(found) };
        for one in series {
            let cluster = told.and_then(|name| one.labels.get(name).cloned());
            names::CLUSTERS.iter().for_each(|name| {
                one.labels.remove(*name);
            });
            if let Some(cluster) = cluster {
                one.labels.insert(key::CLUSTER.to_owned(), cluster);
            }
        }
    }

    pub(super) fn latest(&mut self, metric: &Metric<'_>) -> Result<Vec<Labelled>, QueryError> {
        let answer = self.past.latest(metric)?;
        Ok(self.taken(answer))
    }

    fn starts(&mut self) -> Result<HashMap<(Key, String), f64>, QueryError> {
        let start =
            |s: &Labelled| Some(((key::of(&s.labels)?, key::instance(&s.labels)), s.points.last()?.v));
        let mut starts = HashMap::new();
        for metric in names::START {
            starts.extend(self.latest(metric)?.iter().filter_map(start));
        }
        Ok(starts)
    }

    /// Limits of the number's own; the best that is known.
    fn own_limits(&mut self, number: &Number) -> Result<HashMap<Key, Limits>, QueryError> {
        let mut best = HashMap::new();
        for (metric, share) in number.limits {
            for (key, limits) in self.limits_of(metric)?.into_iter().filter(|(_, l)| l.now().is_some()) {
                best.entry(key).or_insert_with(|| limits.times(*share));
            }
        }
        Ok(best)
    }

    /// Limits of containers. One above the memory of every node is none: the kernel never gets there, and its unit may be wrong.
    fn limits(&mut self, largest_node: Option<f64>) -> Result<HashMap<Key, Limits>, QueryError> {
        let mut beyond = 0;
        let mut best = HashMap::new();
        for metric in names::LIMITS {
            for (key, limits) in self.limits_of(metric)? {
                let kept = largest_node.map_or_else(|| limits.clone(), |most| limits.below(most));
                beyond += usize::from(kept != limits);
                if kept.is_any() {
                    best.entry(key).or_insert(kept);
                }
            }
        }
        if let (true, Some(most)) = (beyond > 0, largest_node) {
            self.warnings.push(format!(
                "{beyond} limits are above the {} of the largest node, which makes them none: are they in bytes?",
                units::bytes(most)
            ));
        }
        Ok(best)
    }

    /// Owner of each pod by namespace and name: the deployment where a replica set is owned by one, with the revision.
    fn owners(&mut self) -> Result<HashMap<Owned, Owner>, QueryError> {
        let of = |s: &Labelled, what: &str| {
            let cluster = label(s, key::CLUSTER).unwrap_or_default();
            Some([cluster, label(s, "namespace").unwrap_or_default(), label(s, what)?])
        };
        let above: HashMap<Owned, String> = self
            .latest(&names::REPLICASET_OWNER)?
            .into_iter()
            .filter_map(|s| Some((of(&s, "replicaset")?, owner_name(&s)?)))
            .collect();
        let pods = self.latest(&names::POD_OWNER)?;
        let owner = |s: Labelled| {
            let (pod, name) = (of(&s, "pod")?, owner_name(&s)?);
            let [cluster, namespace, _] = pod.clone();
            let owner = match above.get(&[cluster, namespace, name.clone()]) {
                Some(deployment) => Owner { name: deployment.clone(), revision: Some(name) },
                None => Owner { name, revision: None },
            };
            Some((pod, owner))
        };
        Ok(pods.into_iter().filter_map(owner).collect())
    }

    /// Containers that ended last for want of memory; nothing where nobody tells why containers end.
    fn kills(&mut self) -> Result<Option<HashMap<Key, u64>>, QueryError> {
        let ended = self.latest(&names::ENDED)?;
        if ended.is_empty() {
            return Ok(None);
        }
        let killed = ended.iter().filter(|s| {
            s.labels.get("reason").is_some_and(|r| r == names::KILLED)
                && s.points.last().is_some_and(|p| p.v > 0.0)
        });
        Ok(Some(killed.filter_map(|s| Some((key::of(&s.labels)?, 1))).collect()))
    }

    /// Share of the last hour in which something waited for memory.
    fn waits(&mut self) -> Result<HashMap<Key, f64>, QueryError> {
        let answer = self.past.lately(&names::WAITS)?;
        let series = self.taken(answer);
        Ok(series.iter().filter_map(|s| Some((key::of(&s.labels)?, s.points.last()?.v))).collect())
    }
}

/// A limit; what has none says 0, -1, or the largest number that there is.
fn limit(points: &[Point]) -> Option<f64> {
    points.last().map(|p| p.v).filter(|v| *v > 0.0 && *v < 9e18)
}

pub(super) fn label(series: &Labelled, name: &str) -> Option<String> {
    series.labels.get(name).filter(|v| !v.is_empty()).cloned()
}

fn owner_name(series: &Labelled) -> Option<String> {
    label(series, "owner_name").filter(|name| name != "<none>")
}
