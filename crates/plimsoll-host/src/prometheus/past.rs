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

/// A server that speaks PromQL.
pub(super) struct Asked<'a> {
    pub(super) client: &'a Client,
    pub(super) options: &'a Options,
}

impl Asked<'_> {
    fn selector(&self, metric: &Metric<'_>) -> String {
        selector(metric, &self.options.selector)
    }

    fn window(&self) -> f64 {
        (self.options.time.1 - self.options.time.0).ceil()
    }

    fn range(&self, query: &str) -> Result<Answer, QueryError> {
        self.client.range(query, self.options.time, self.options.step)
    }
}

fn selector(metric: &Metric<'_>, own: &str) -> String {
    let fixed = metric.only.iter().map(matcher);
    let own = Some(own.to_owned()).filter(|s| !s.is_empty());
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

    /// Servers do not agree on what `changes` counts where a series begins.
    fn changed(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        let (of, window) = (self.selector(metric), self.window());
        let query = format!("max_over_time({of}[{window}s]) != min_over_time({of}[{window}s])");
        self.client.instant(&query, self.options.time.1)
    }

    fn steps(&self, metric: &Metric<'_>, pods: &[String]) -> Result<Answer, QueryError> {
        let mut own = self.options.selector.clone();
        if !pods.is_empty() {
            let comma = if own.is_empty() { "" } else { "," };
            own += &format!("{comma}pod=~\"{}\"", pods.join("|"));
        }
        self.range(&format!("last_over_time({}[{}s])", selector(metric, &own), self.options.step.ceil()))
    }

    fn rates(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        let over = (RATE_STEPS * self.options.step).max(RATE).ceil();
        let by: Vec<&str> = SERVED_BY.iter().chain(names::CLUSTERS).copied().collect();
        self.range(&format!("sum by({}) (rate({}[{over}s]))", by.join(","), self.selector(metric)))
    }

    fn here(&self, metric: &Metric<'_>, by: &str) -> Result<Answer, QueryError> {
        let query = format!("max by({by}) (last_over_time({}[{THERE}s]))", selector(metric, ""));
        self.client.instant(&query, self.options.time.1)
    }

    fn lately(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        self.client.instant(&format!("rate({}[{LATELY}s])", self.selector(metric)), self.options.time.1)
    }
}
