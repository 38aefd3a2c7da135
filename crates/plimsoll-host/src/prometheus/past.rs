//! What has been, whoever tells it: a server that is asked, or series that came in a file.

use std::collections::BTreeMap;

use plimsoll_core::slope::Samples;
use plimsoll_read::prometheus_api::{Answer, Labelled};

use super::client::{Client, QueryError};
use super::names::{self, Matcher, Metric, Number};
use super::workloads::Options;

/// Shortest time over which a rate is taken, seconds, and in steps: two scrapes must lie in it, however far apart they are.
const RATE: f64 = 120.0;
const RATE_STEPS: f64 = 2.5;
/// Seconds within which a series that is there has a sample, and how many such looks count what was there.
pub(super) const THERE: f64 = 900.0;
const LOOKS: f64 = 24.0;
/// Labels by which requests are told apart, beside the cluster.
pub(super) const SERVED_BY: &[&str] = &["namespace", "pod", "job", "instance"];
/// Longest name of a pod, and what of its owner's name is left before what is made up where it was cut.
const LONGEST: usize = 63;
const CUT: usize = 58;
/// Seconds over which what waits is looked at.
pub(super) const LATELY: f64 = 3600.0;

/// How many series there are of each namespace.
pub(super) type Namespaces = BTreeMap<String, usize>;

/// Series in time.
pub(super) trait Past {
    /// Numbers that may tell of whole containers there, best first.
    fn usage(&self) -> Vec<&'static Number> {
        names::USAGE.iter().collect()
    }

    /// Series of a metric within the time looked at, by namespace; without a namespace where already those that are there now
    /// are more than may be.
    ///
    /// # Errors
    /// When nobody answers.
    fn namespaces(&self, metric: &Metric<'_>) -> Result<Namespaces, QueryError>;

    /// The least value of each step; the last, where samples are floors already.
    ///
    /// # Errors
    /// When nobody answers.
    fn floors(&self, number: &Number) -> Result<Answer, QueryError>;

    /// The last value of each series within the time looked at, of those that have ended too.
    ///
    /// # Errors
    /// When nobody answers.
    fn latest(&self, metric: &Metric<'_>) -> Result<Answer, QueryError>;

    /// The last value of each series that is there now.
    ///
    /// # Errors
    /// When nobody answers.
    fn there(&self, metric: &Metric<'_>) -> Result<Answer, QueryError>;

    /// Series whose value changed within the time looked at.
    ///
    /// # Errors
    /// When nobody answers.
    fn changed(&self, metric: &Metric<'_>) -> Result<Answer, QueryError>;

    /// The last value of each step; of some pods, or of all where none is named.
    ///
    /// # Errors
    /// When nobody answers.
    fn steps(&self, metric: &Metric<'_>, pods: &[String]) -> Result<Answer, QueryError>;

    /// How fast a counter rises in each step, by pod or by job and instance; per second.
    ///
    /// # Errors
    /// When nobody answers.
    fn rates(&self, metric: &Metric<'_>) -> Result<Answer, QueryError>;

    /// The highest of the last values of the last minutes by one label, or of all, whatever is selected: what an agent or a node tells
    /// has its own labels.
    ///
    /// # Errors
    /// When nobody answers.
    fn here(&self, metric: &Metric<'_>, by: &str) -> Result<Answer, QueryError>;

    /// How fast each counter rose over the last hour, per second.
    ///
    /// # Errors
    /// When nobody answers.
    fn lately(&self, metric: &Metric<'_>) -> Result<Answer, QueryError>;
}

/// Pods that are asked about, where they are not all that are selected.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pods {
    /// These.
    Named(Vec<String>),
    /// All whose names begin so.
    Beginning(String),
    /// What is no pod.
    None,
}

/// A server that speaks PromQL.
pub(super) struct Asked<'a> {
    pub(super) client: &'a Client,
    pub(super) options: &'a Options,
    /// All, where it is not said.
    pub(super) pods: Option<&'a Pods>,
}

impl Asked<'_> {
    fn selector(&self, metric: &Metric<'_>) -> String {
        let own = matchers(&self.options.selector);
        let own = own.into_iter().filter(|(label, _)| !names::is_without(metric.name, label));
        let of_pods = self.pods.and_then(|pods| pods.matcher(metric));
        let all = own.map(|(_, matcher)| matcher.to_owned()).chain(of_pods);
        selector(metric, all)
    }

    /// Names of the pods that have series of a metric within the time looked at.
    ///
    /// # Errors
    /// When nobody answers.
    pub(super) fn pods(&self, metric: &Metric<'_>) -> Result<Vec<String>, QueryError> {
        self.client.values("pod", &self.selector(metric), self.options.time)
    }

    fn window(&self) -> f64 {
        (self.options.time.1 - self.options.time.0).ceil()
    }

    fn range(&self, query: &str) -> Result<Answer, QueryError> {
        self.client.range(query, self.options.time, self.options.step)
    }
}

impl Pods {
    fn matcher(&self, metric: &Metric<'_>) -> Option<String> {
        let is_set = metric.name == names::REPLICASET_OWNER.name;
        let label = if is_set { "replicaset" } else { "pod" };
        Some(match self {
            Pods::Named(pods) if is_set => {
                let mut sets: Vec<String> = pods.iter().filter_map(|pod| set_of(pod)).collect();
                sets.sort_unstable();
                sets.dedup();
                format!("{label}=~\"{}\"", sets.join("|"))
            }
            Pods::Named(pods) => {
                format!("{label}=~\"{}\"", pods.iter().map(|p| quoted(p)).collect::<Vec<_>>().join("|"))
            }
            Pods::Beginning(name) if is_set => format!("{label}=~\"{}.*\"", set_begin(name)),
            Pods::Beginning(name) => format!("{label}=~\"{}.*\"", quoted(name)),
            Pods::None => format!("{label}=\"\""),
        })
    }
}

/// What the names of replica sets begin with whose pods' names begin so: these may have begun with more than that of the set.
fn set_begin(pods: &str) -> String {
    quoted(pods.rsplit_once('-').map_or(pods, |(begin, _)| begin))
}

/// A pattern for the replica set that a pod may be of: what it is called without the last part; of a name that was cut, what is left.
fn set_of(pod: &str) -> Option<String> {
    match pod.get(..CUT) {
        Some(begin) if pod.len() == LONGEST => Some(format!("{}.*", quoted(begin.trim_end_matches('-')))),
        _ => Some(quoted(pod.rsplit_once('-')?.0)),
    }
}

/// A name within a pattern; an alternative of names is looked up by a server, without comparing anything.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.chars().map(|c| if is_plain(c) { c.to_string() } else { format!("[{c}]") }).collect()
}

/// Matchers of a selector, each with its label; as they are where they are not understood.
fn matchers(selector: &str) -> Vec<(&str, &str)> {
    let (mut all, mut begin, mut quote, mut escaped) = (Vec::new(), 0, None, false);
    let mut end_at = |begin: usize, end: usize| {
        let matcher = selector[begin..end].trim();
        let label = matcher.split(['=', '!']).next().unwrap_or_default().trim();
        if !matcher.is_empty() {
            all.push((label, matcher));
        }
    };
    for (at, c) in selector.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, ',') => {
                end_at(begin, at);
                begin = at + 1;
            }
            _ => {}
        }
    }
    end_at(begin, selector.len());
    all
}

fn selector(metric: &Metric<'_>, own: impl IntoIterator<Item = String>) -> String {
    let fixed = metric.only.iter().map(matcher);
    format!("{}{{{}}}", metric.name, fixed.chain(own).collect::<Vec<_>>().join(","))
}

/// One value is compared letter by letter; several are an alternative, in which nothing has another meaning.
fn matcher(m: &Matcher) -> String {
    match (m.values, m.not) {
        ([one], not) => format!("{}{}\"{one}\"", m.label, if not { "!=" } else { "=" }),
        (some, not) => format!("{}{}\"{}\"", m.label, if not { "!~" } else { "=~" }, some.join("|")),
    }
}

impl Past for Asked<'_> {
    /// A window over the whole time would have the server read every sample, only to count: it is looked at here and there, and
    /// whole only where nothing is there now.
    fn namespaces(&self, metric: &Metric<'_>) -> Result<Namespaces, QueryError> {
        let (from, to) = self.options.time;
        let count = |by: &str, seconds: f64| {
            let over = seconds.min(self.window()).ceil();
            format!("count{by}(last_over_time({}[{over}s]))", self.selector(metric))
        };
        let now = self.client.instant(&count("", THERE), to)?;
        let now = now.series.first().and_then(|s| s.points.first()).map_or(0, |p| p.v as usize);
        if now > self.options.most_series {
            return Ok(Namespaces::from([(String::new(), now)]));
        }
        let by = " by(namespace)";
        let answer = match now {
            0 => self.client.instant(&count(by, self.window()), to)?,
            _ => self.client.range(&count(by, THERE), (from, to), ((to - from) / LOOKS).max(1.0))?,
        };
        let most = |s: &Labelled| s.points.iter().map(|p| p.v as usize).max().unwrap_or(0);
        let of = |s: &Labelled| (s.labels.get("namespace").cloned().unwrap_or_default(), most(s));
        Ok(answer.series.iter().map(of).collect())
    }

    fn floors(&self, number: &Number) -> Result<Answer, QueryError> {
        let over = match number.samples {
            Samples::Raw => "min_over_time",
            Samples::PostCollection => "last_over_time",
        };
        // The server takes the minimum, so that raw samples need not travel.
        let floor = format!("{over}({}[{}s])", self.selector(&number.metric), self.options.step.ceil());
        match number.parts {
            [] => self.range(&floor),
            parts => self.range(&format!("sum without({}) ({floor})", parts.join(","))),
        }
    }

    fn latest(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        let query = format!("last_over_time({}[{}s])", self.selector(metric), self.window());
        self.client.instant(&query, self.options.time.1)
    }

    fn there(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        let query = format!("last_over_time({}[{THERE}s])", self.selector(metric));
        self.client.instant(&query, self.options.time.1)
    }

    /// Servers do not agree on what `changes` counts where a series begins. What never moves has no variance at all.
    fn changed(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        let query = format!("stdvar_over_time({}[{}s]) > 0", self.selector(metric), self.window());
        self.client.instant(&query, self.options.time.1)
    }

    fn steps(&self, metric: &Metric<'_>, pods: &[String]) -> Result<Answer, QueryError> {
        let named = Pods::Named(pods.to_vec());
        let asked = if pods.is_empty() { Asked { ..*self } } else { Asked { pods: Some(&named), ..*self } };
        self.range(&format!("last_over_time({}[{}s])", asked.selector(metric), self.options.step.ceil()))
    }

    fn rates(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        let over = (RATE_STEPS * self.options.step).max(RATE).ceil();
        let by: Vec<&str> = SERVED_BY.iter().chain(names::CLUSTERS).copied().collect();
        self.range(&format!("sum by({}) (rate({}[{over}s]))", by.join(","), self.selector(metric)))
    }

    fn here(&self, metric: &Metric<'_>, by: &str) -> Result<Answer, QueryError> {
        let query = format!("max by({by}) (last_over_time({}[{THERE}s]))", selector(metric, None));
        self.client.instant(&query, self.options.time.1)
    }

    fn lately(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        self.client.instant(&format!("rate({}[{LATELY}s])", self.selector(metric)), self.options.time.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::client::Server;

    #[test]
    fn what_is_selected_by_labels_of_containers_keeps_its_owners() {
        let text = r#"namespace="shop", pod=~"a,b|c\"}", container!="x",zone='e,u'"#;
        let labels: Vec<&str> = matchers(text).into_iter().map(|(label, _)| label).collect();
        assert_eq!(labels, ["namespace", "pod", "container", "zone"]);
        let client = Client::new(Server::default()).expect("no certificates");
        let options = Options {
            selector: r#"namespace="shop",pod=~"api-.*",container="main""#.to_owned(),
            time: (0.0, 1.0),
            step: 1.0,
            limit: None,
            most_series: 1,
            load: None,
            cluster: String::new(),
        };
        let of = |metric: &Metric<'_>, pods: Option<&Pods>| {
            Asked { client: &client, options: &options, pods }.selector(metric)
        };
        assert_eq!(of(&names::REPLICASET_OWNER, None), r#"kube_replicaset_owner{namespace="shop"}"#);
        assert_eq!(of(&names::POD_OWNER, None), r#"kube_pod_owner{namespace="shop",pod=~"api-.*"}"#);
        let pods = Pods::Named(vec!["api-5d4f8c7b9c-x2x7z".to_owned(), "a.b-0".to_owned()]);
        assert_eq!(
            of(&names::INFO, Some(&pods)),
            r#"kube_pod_container_info{namespace="shop",pod=~"api-.*",container="main",pod=~"api-5d4f8c7b9c-x2x7z|a[.]b-0"}"#
        );
        assert_eq!(
            of(&names::REPLICASET_OWNER, Some(&pods)),
            r#"kube_replicaset_owner{namespace="shop",replicaset=~"a[.]b|api-5d4f8c7b9c"}"#
        );
        // A name that was cut, in front of five characters that are made up.
        let long = format!("{}x2x7z", "s".repeat(CUT));
        assert_eq!(set_of(&long), Some(format!("{}.*", "s".repeat(CUT))));
        let begin = Pods::Beginning("db-".to_owned());
        assert!(of(&names::INFO, Some(&begin)).ends_with(r#"pod=~"db-.*"}"#));
    }
}
