//! Series that came in a file: what a server would have answered is worked out here.

use std::collections::BTreeMap;

use plimsoll_core::series::Point;
use plimsoll_core::slope::Samples;
use plimsoll_core::target::glob;
use plimsoll_read::prometheus_api::{Answer, Labelled, Labels};

use super::client::QueryError;
use super::names::{self, Metric, Number};
use super::past::{LATELY, Namespaces, Past, SERVED_BY, THERE};
use super::workloads::Options;

/// A series is there as long as its last sample is no older than so many steps.
const THERE_STEPS: f64 = 3.0;

/// The label of a metric's name.
pub const NAME: &str = "__name__";

/// Series by the name of their metric.
#[derive(Debug)]
pub(super) struct Table<'a> {
    series: BTreeMap<String, Vec<Labelled>>,
    options: &'a Options,
}

/// A condition on a label, out of what the user wrote.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    label: String,
    not: bool,
    /// Patterns with `*`, one of which it must be.
    patterns: Vec<String>,
}

/// Why a selector cannot be used for files.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no matcher that is understood for files; they are label=\"value\", != and, with .* and |, =~ and !~"
)]
pub struct SelectorError(String);

impl<'a> Table<'a> {
    /// Keeps those that match the options' selector. Without a name they are taken to be the memory of containers.
    ///
    /// # Errors
    /// When the selector is not understood.
    pub(super) fn new(series: Vec<Labelled>, options: &'a Options) -> Result<Table<'a>, SelectorError> {
        let wanted = wanted(&options.selector)?;
        let mut by_name: BTreeMap<String, Vec<Labelled>> = BTreeMap::new();
        for mut one in series {
            let name = one.labels.remove(NAME).unwrap_or_else(|| names::USAGE[0].metric.name.to_owned());
            // What tells of pods and owners has no label of the container: only labels that are there are compared.
            let fits = |w: &Wanted| one.labels.get(&w.label).is_none_or(|v| w.holds(v));
            // What an agent tells has its own labels.
            if name == names::NET.name || wanted.iter().all(fits) {
                by_name.entry(name).or_default().push(one);
            }
        }
        Ok(Table { series: by_name, options })
    }

    fn of(&self, metric: &Metric<'_>) -> impl Iterator<Item = &Labelled> {
        let all = self.series.get(metric.name).map_or(&[][..], Vec::as_slice);
        let (from, to) = self.options.time;
        all.iter().filter(move |s| {
            let fits = metric.only.iter().all(|m| {
                let value = s.labels.get(m.label).map_or("", String::as_str);
                m.values.contains(&value) != m.not
            });
            fits && s.points.iter().any(|p| (from..=to).contains(&p.t))
        })
    }

    /// One value for each step that has samples, at its end, as a server gives it.
    fn steps_of(&self, points: &[Point], of: impl Fn(&[Point]) -> Option<f64>) -> Vec<Point> {
        let (from, to) = self.options.time;
        let step = self.options.step;
        let mut out = Vec::new();
        let mut at = points.partition_point(|p| p.t <= from - step);
        while let Some(first) = points.get(at).filter(|p| p.t <= to) {
            let end = from + ((first.t - from) / step).ceil() * step;
            let next = at + points[at..].partition_point(|p| p.t <= end);
            if let Some(v) = of(&points[at..next]) {
                out.push(Point { t: end, v });
            }
            at = next.max(at + 1);
        }
        out
    }
}

impl Wanted {
    fn holds(&self, value: &str) -> bool {
        self.patterns.iter().any(|p| glob(p, value)) != self.not
    }
}

/// Matchers of a selector, separated by commas outside of quotes.
fn wanted(selector: &str) -> Result<Vec<Wanted>, SelectorError> {
    let mut all = Vec::new();
    let mut rest = selector.trim();
    while !rest.is_empty() {
        let wrong = || SelectorError(rest.to_owned());
        let (label, after) = rest.split_once(['=', '!']).ok_or_else(wrong)?;
        let not = rest[label.len()..].starts_with('!');
        let after = if not {
            after.strip_prefix('=').or(Some(after).filter(|a| a.starts_with('~')))
        } else {
            Some(after)
        };
        let after = after.ok_or_else(wrong)?;
        let (is_pattern, after) = after.strip_prefix('~').map_or((false, after), |a| (true, a));
        let inside = after.strip_prefix('"').ok_or_else(wrong)?;
        let (value, more) = inside.split_once('"').ok_or_else(wrong)?;
        let plain = |v: &str| !v.contains(['*', '?', '[', '\\', '(', ')', '^', '$', '+', '{']);
        let patterns: Vec<String> = match is_pattern {
            true => value.split('|').map(|v| v.replace(".*", "*").replace(".+", "?*")).collect(),
            false => vec![value.to_owned()],
        };
        let understood = |v: &String| plain(&v.replace(['*', '?'], ""));
        if !patterns.iter().all(understood) || !is_pattern && !plain(value) {
            return Err(wrong());
        }
        all.push(Wanted { label: label.trim().to_owned(), not, patterns });
        rest = more.trim_start().trim_start_matches(',').trim_start();
    }
    Ok(all)
}

fn answer(series: impl Iterator<Item = Labelled>) -> Result<Answer, QueryError> {
    Ok(Answer { series: series.filter(|s| !s.points.is_empty()).collect(), ..Answer::default() })
}

fn least(points: &[Point]) -> Option<f64> {
    points.iter().map(|p| p.v).reduce(f64::min)
}

fn newest(points: &[Point]) -> Option<f64> {
    points.last().map(|p| p.v)
}

/// The last value until then, as it stands then.
fn last(series: &Labelled, to: f64) -> Labelled {
    let until = series.points.partition_point(|p| p.t <= to);
    let last = series.points[..until].last().map(|p| Point { t: to, v: p.v });
    Labelled { labels: series.labels.clone(), points: last.into_iter().collect() }
}

/// Sums series that are the same without some labels; only where all of them have a value.
pub(super) fn summed(series: Vec<Labelled>) -> Vec<Labelled> {
    let mut groups: BTreeMap<Labels, BTreeMap<u64, f64>> = BTreeMap::new();
    for one in series {
        let sums = groups.entry(one.labels).or_default();
        for p in one.points {
            *sums.entry(p.t.to_bits()).or_insert(0.0) += p.v;
        }
    }
    let points = |sums: BTreeMap<u64, f64>| {
        // Times are positive: their bits are in order.
        sums.into_iter().map(|(t, v)| Point { t: f64::from_bits(t), v }).collect()
    };
    groups.into_iter().map(|(labels, sums)| Labelled { labels, points: points(sums) }).collect()
}

impl Past for Table<'_> {
    fn usage(&self) -> Vec<&'static Number> {
        names::USAGE.iter().chain([&names::TABLE]).collect()
    }

    fn namespaces(&self, metric: &Metric<'_>) -> Result<Namespaces, QueryError> {
        let mut all = Namespaces::new();
        for series in self.of(metric) {
            *all.entry(series.labels.get("namespace").cloned().unwrap_or_default()).or_insert(0) += 1;
        }
        Ok(all)
    }

    fn floors(&self, number: &Number) -> Result<Answer, QueryError> {
        let of = match number.samples {
            Samples::Raw => least,
            Samples::PostCollection => newest,
        };
        let floors = self.of(&number.metric).map(|s| {
            let mut labels = s.labels.clone();
            labels.retain(|name, _| !number.parts.contains(&name.as_str()));
            Labelled { labels, points: self.steps_of(&s.points, of) }
        });
        let floors: Vec<Labelled> = floors.collect();
        answer(if number.parts.is_empty() { floors } else { summed(floors) }.into_iter())
    }

    fn latest(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        let (_, to) = self.options.time;
        answer(self.of(metric).map(|s| last(s, to)))
    }

    fn there(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        let to = self.options.time.1;
        let since = to - THERE.max(THERE_STEPS * self.options.step);
        let there = |s: &&Labelled| s.points.iter().any(|p| (since..=to).contains(&p.t));
        answer(self.of(metric).filter(there).map(|s| last(s, to)))
    }

    fn changed(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        let (from, to) = self.options.time;
        let changed = |s: &&Labelled| {
            let within = |two: &&[Point]| two[0].t >= from && two[1].t <= to;
            s.points.windows(2).filter(within).any(|two| two[0].v != two[1].v)
        };
        answer(self.of(metric).filter(changed).cloned())
    }

    fn steps(&self, metric: &Metric<'_>, pods: &[String]) -> Result<Answer, QueryError> {
        let is_asked =
            |s: &&Labelled| pods.is_empty() || s.labels.get("pod").is_some_and(|p| pods.contains(p));
        let steps =
            |s: &Labelled| Labelled { labels: s.labels.clone(), points: self.steps_of(&s.points, newest) };
        answer(self.of(metric).filter(is_asked).map(steps))
    }

    fn rates(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        let rates = self.of(metric).map(|s| {
            let mut labels = s.labels.clone();
            let is_by = |name: &&str| SERVED_BY.contains(name) || names::CLUSTERS.contains(name);
            labels.retain(|name, _| is_by(&name.as_str()));
            let counts = self.steps_of(&s.points, newest);
            let rate = |w: &[Point]| Point { t: w[1].t, v: rise(w) / (w[1].t - w[0].t) };
            Labelled { labels, points: counts.windows(2).map(rate).collect() }
        });
        answer(summed(rates.collect()).into_iter())
    }

    fn here(&self, metric: &Metric<'_>, _: &str) -> Result<Answer, QueryError> {
        self.latest(metric)
    }

    fn lately(&self, metric: &Metric<'_>) -> Result<Answer, QueryError> {
        let now = self.options.time.1;
        let rates = self.of(metric).filter_map(|s| {
            let from = s.points.partition_point(|p| p.t < now - LATELY);
            let last = s.points.get(from..).filter(|last| last.len() > 1)?;
            let seconds = last.last()?.t - last.first()?.t;
            let v = last.windows(2).map(rise).sum::<f64>() / seconds;
            Some(Labelled { labels: s.labels.clone(), points: vec![Point { t: now, v }] })
        });
        answer(rates)
    }
}

/// How much a counter rose between two samples; one that falls began anew.
fn rise(w: &[Point]) -> f64 {
    if w[1].v < w[0].v { w[1].v } else { w[1].v - w[0].v }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(selector: &str) -> Options {
        Options {
            selector: selector.to_owned(),
            time: (100.0, 200.0),
            step: 10.0,
            limit: None,
            most_series: 10,
            load: None,
            cluster: String::new(),
        }
    }

    #[test]
    fn selectors_are_those_of_the_server_as_far_as_they_are_understood() {
        let all =
            wanted(r#"namespace="shop",pod=~"api-.*|db-0", container!="x",zone!~"a.+""#).expect("understood");
        assert_eq!(all.len(), 4);
        assert!(all[0].holds("shop") && !all[0].holds("shop2"));
        assert!(all[1].holds("api-1") && all[1].holds("db-0") && !all[1].holds("db-01"));
        assert!(!all[2].holds("x") && all[2].holds("y"));
        assert!(all[3].holds("a") && !all[3].holds("ab"));
        for wrong in ["pod", "pod=", "pod=api", r#"pod=~"a[bc]""#, r#"pod=~"(a)""#, r#"pod="a"#, r#"pod!"a""#]
        {
            assert!(wanted(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn steps_are_those_of_a_server() {
        let options = options("");
        let points: Vec<Point> =
            [(95.0, 9.0), (101.0, 5.0), (109.0, 7.0), (110.0, 6.0), (150.0, 1.0), (205.0, 0.0)]
                .map(|(t, v)| Point { t, v })
                .into();
        let labels = Labels::from([(NAME.to_owned(), "process_resident_memory_bytes".to_owned())]);
        let series = vec![Labelled { labels, points }];
        let table = Table::new(series, &options).expect("no selector");
        let floors = table.floors(&names::PROCESSES[0]).expect("answers");
        let got: Vec<(f64, f64)> = floors.series[0].points.iter().map(|p| (p.t, p.v)).collect();
        assert_eq!(got, [(100.0, 9.0), (110.0, 5.0), (150.0, 1.0)]);
        assert!(!floors.series[0].labels.contains_key(NAME));
    }

    #[test]
    fn a_counter_that_falls_began_anew_and_of_limits_the_newest_counts() {
        let options = options("");
        let series = |name: &str, values: &[f64]| Labelled {
            labels: Labels::from([(NAME.to_owned(), name.to_owned()), ("pod".to_owned(), "a".to_owned())]),
            points: values
                .iter()
                .enumerate()
                .map(|(i, v)| Point { t: 100.0 + 10.0 * i as f64, v: *v })
                .collect(),
        };
        let counter = series("http_requests_total", &[0.0, 10.0, 20.0, 3.0, 13.0]);
        let limits = series("container_spec_memory_limit_bytes", &[512.0, 512.0, 1024.0]);
        let table = Table::new(vec![counter, limits], &options).expect("no selector");
        let of = |name| Metric { name, only: &[] };
        let rates = table.rates(&of("http_requests_total")).expect("answers");
        assert_eq!(rates.series[0].points.iter().map(|p| p.v).collect::<Vec<_>>(), [1.0, 1.0, 0.3, 1.0]);
        let limit = table.latest(&of("container_spec_memory_limit_bytes")).expect("answers");
        assert_eq!(limit.series[0].points, [Point { t: 200.0, v: 1024.0 }]);
    }
}
