//! Public memory traces as series of shares of a limit, read from files that are not ours and never in the
//! repository; and the leak that is added to them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use plimsoll_core::series::Point;
use plimsoll_core::slope::{Death, Epoch, Question, Samples};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::replay::LIMIT;
use crate::services::{Run, Service};

/// One real series. Times are seconds from its first sample, amounts shares of the limit.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Name in its source.
    pub name: String,
    /// Samples in order of time.
    pub points: Vec<Point>,
    /// Requests per second, or empty where none are known.
    pub load: Vec<Point>,
    /// The leak that was added, if any.
    pub leak: Option<Leak>,
}

/// A leak added to a trace.
#[derive(Debug, Clone, Copy)]
pub struct Leak {
    /// When it begins, seconds.
    pub onset: f64,
    /// When the limit is reached: in the trace, or else by the rate of the leak alone.
    pub death: f64,
    /// Whether the limit is reached in the trace.
    pub seen: bool,
}

/// Which traces of a source are taken, by their place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All.
    All,
    /// The first, the third, …
    Even,
    /// The second, the fourth, …
    Odd,
}

/// A source of traces that may lie on this machine.
pub struct Source {
    /// Name for the tables.
    pub name: &'static str,
    /// Folder below the directory of all traces.
    pub folder: &'static str,
    /// The folder below that, where there is one a month.
    pub month: Option<&'static str>,
    /// Where its files come from, and what may be done with them.
    pub origin: &'static str,
    /// Which of them.
    pub part: Part,
    /// Reads at most so many traces.
    pub read: fn(&Path, usize) -> Result<Vec<Trace>, String>,
}

impl Source {
    /// The traces of its part, at most so many of all.
    pub fn traces(&self, directory: &Path, most: usize) -> Result<Vec<Trace>, String> {
        let is_taken = |place: usize| match self.part {
            Part::All => true,
            Part::Even => place.is_multiple_of(2),
            Part::Odd => !place.is_multiple_of(2),
        };
        let folder = self.month.iter().fold(directory.join(self.folder), |folder, month| folder.join(month));
        let all = (self.read)(&folder, most)?.into_iter().enumerate();
        Ok(all.filter(|(place, _)| is_taken(*place)).map(|(_, trace)| trace).collect())
    }
}

const PODS: Source = Source {
    name: "Alibaba GenTD26, pods",
    folder: "gentd26",
    month: None,
    origin: "github.com/alibaba/clusterdata, cluster-trace-v2026-GenAI: pod_memory_util_anon.csv and qps.csv; for research and study",
    part: Part::All,
    read: pods,
};
const MACHINES: Source = Source {
    name: "Bitbrains rnd, virtual machines",
    folder: "bitbrains",
    month: Some("2013-8"),
    origin: "GWA-T-12 (Grid Workloads Archive), rnd, a file per machine",
    part: Part::All,
    read: machines,
};

/// What intervals are calibrated on, beside the generator's services.
pub const CALIBRATION: [Source; 2] = [
    Source { name: "virtual machines of 2013-7", month: Some("2013-7"), ..MACHINES },
    Source { name: "pods, every second one", part: Part::Even, ..PODS },
];

/// All sources, in the order of the tables.
pub const SOURCES: [Source; 6] = [
    PODS,
    MACHINES,
    Source {
        name: "Alibaba 2018, hosts",
        folder: "alibaba2018-csv",
        month: None,
        origin: "github.com/ansjin/memory_leak_detection, the m_*.xlsx as CSV by bench/detect/hosts-csv",
        part: Part::All,
        read: hosts,
    },
    Source {
        name: "Nezha, pods of two shops",
        folder: "nezha",
        month: None,
        origin: "github.com/IntelligentDDS/Nezha, rca_data/DAY/metric/*_metric.csv as DAY-*_metric.csv; MIT",
        part: Part::All,
        read: shops,
    },
    Source {
        name: "LLM aging, hosts",
        folder: "llm-aging-csv",
        month: None,
        origin: "github.com/chas42/llm-software-aging-research, monitoring*.csv by bench/detect/aging-csv; MIT",
        part: Part::All,
        read: hosts,
    },
    Source {
        name: "Exathlon, heaps of an hour",
        folder: "exathlon-csv",
        month: None,
        origin: "github.com/exathlonbenchmark/exathlon, data/raw by bench/detect/heaps-csv; CC BY-NC-SA 4.0",
        part: Part::All,
        read: hosts,
    },
];

/// The directory of all traces: the flag's value, the environment's, or the default below the home directory.
pub fn directory(flag: Option<String>) -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let told = flag.map(PathBuf::from).or_else(|| std::env::var_os("PLIMSOLL_TRACES").map(PathBuf::from));
    told.unwrap_or_else(|| home().join(".cache/plimsoll-bench/traces"))
}

/// Fewest samples of a pod that is looked at.
const POD_SAMPLES: usize = 600;
/// Days of a virtual machine that are looked at.
const MACHINE_DAYS: f64 = 10.0;
/// Share of the expected samples that a machine must have.
const COMPLETE: f64 = 0.9;
/// Seconds between the samples of pods; requests are counted by the same clock.
const POD_STEP: f64 = 57.0;
/// Seconds between the samples of virtual machines.
const MACHINE_STEP: f64 = 300.0;
/// Hosts are sampled every ten seconds; a minute is what is looked at.
const HOST_STEP: f64 = 60.0;

/// Where in a trace the leak begins.
const ONSET: f64 = 0.4;
/// Bounds of the time from onset to the limit, hours.
const LIFE: (f64, f64) = (4.0, 96.0);
/// Headroom that is assumed at least: where the limit is touched already, a leak adds nothing that could be seen.
const HEADROOM: f64 = 0.05;

impl Trace {
    fn new(name: String, mut points: Vec<Point>) -> Trace {
        points.retain(|p| p.t.is_finite() && p.v.is_finite() && p.v >= 0.0);
        points.sort_by(|a, b| a.t.total_cmp(&b.t));
        points.dedup_by(|b, a| b.t <= a.t);
        let first = points.first().map_or(0.0, |p| p.t);
        points.iter_mut().for_each(|p| p.t -= first);
        Trace { name, points, load: Vec::new(), leak: None }
    }

    /// Seconds from the first sample to the last.
    pub fn span(&self) -> f64 {
        self.points.last().map_or(0.0, |p| p.t)
    }

    /// Mean over the `seconds` before `t`.
    pub fn before(&self, t: f64, seconds: f64) -> f64 {
        let to = self.points.partition_point(|p| p.t <= t);
        let from = self.points.partition_point(|p| p.t <= t - seconds).min(to.saturating_sub(1));
        let of = &self.points[from..to];
        of.iter().map(|p| p.v).sum::<f64>() / of.len().max(1) as f64
    }

    /// The same trace with a straight leak from two fifths of it on, that takes between 4 and 96 hours to the
    /// limit. It ends where it touches the limit.
    pub fn with_leak(&self, seed: u64, index: usize) -> Trace {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ ((index as u64 + 1) << 20));
        let unit = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let life = 3600.0 * LIFE.0 * (LIFE.1 / LIFE.0).powf(unit);
        let onset = ONSET * self.span();
        let rate = (1.0 - self.before(onset, 3600.0)).max(HEADROOM) / life;
        let leaked = |p: &Point| Point { t: p.t, v: p.v + rate * (p.t - onset).max(0.0) };
        let all: Vec<Point> = self.points.iter().map(leaked).collect();
        let killed = all.iter().position(|p| p.v >= 1.0 && p.t > onset);
        let death = killed.map_or(onset + life, |i| all[i].t);
        let points = all[..killed.unwrap_or(all.len())].to_vec();
        let leak = Some(Leak { onset, death, seen: killed.is_some() });
        Trace { name: self.name.clone(), points, load: self.load.clone(), leak }
    }

    /// Its samples in bytes, of a limit as all services of the benchmarks have it.
    pub fn in_bytes(&self) -> Vec<Point> {
        self.points.iter().map(|p| Point { t: p.t, v: p.v * LIMIT }).collect()
    }

    /// The trace by the minute, as the rules take it: the newest sample holds.
    pub fn by_minute(&self) -> Service {
        let mut at = 0;
        let minutes = (self.span() / 60.0) as usize + 1;
        let rss: Vec<f64> = (0..minutes)
            .map(|minute| {
                while self.points.get(at + 1).is_some_and(|p| p.t <= minute as f64 * 60.0) {
                    at += 1;
                }
                self.points[at].v
            })
            .collect();
        Service {
            class: 0,
            managed: false,
            floor: rss.clone(),
            ws: rss.clone(),
            load: Vec::new(),
            runs: vec![Run { first: 0, start: 0.0, version: 0, death: None }],
            onset: None,
            kill: None,
            rss,
        }
    }
}

/// The question as it stands for a container of which nothing but usage, limit and load are known.
pub fn question<'a>(epochs: &'a [Epoch<'a>], load: &'a [Point], now: f64) -> Question<'a> {
    Question {
        epochs,
        load,
        samples: Samples::Raw,
        death: Death::AtUsage,
        limit: LIMIT,
        now,
        garbage: false,
        seed: 1,
    }
}

/// Columns of a text file with a header, by their names.
fn columns<'a>(text: &'a str, apart: char, names: &[&str]) -> Result<Vec<Vec<&'a str>>, String> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(apart).map(str::trim).collect();
    let place = |n: &&str| header.iter().position(|h| h == n).ok_or_else(|| format!("no column {n}"));
    let places: Vec<usize> = names.iter().map(place).collect::<Result<_, _>>()?;
    let row = |line: &'a str| {
        let fields: Vec<&str> = line.split(apart).map(str::trim).collect();
        places.iter().map(|i| fields.get(*i).copied()).collect::<Option<Vec<&str>>>()
    };
    Ok(lines.filter_map(row).collect())
}

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn number(field: &str) -> f64 {
    field.parse().unwrap_or(f64::NAN)
}

/// Containers of the trace, with the requests that the gateway sent to each.
fn pods(folder: &Path, most: usize) -> Result<Vec<Trace>, String> {
    let memory = text(&folder.join("pod_memory_util_anon.csv"))?;
    let mut found: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for row in columns(&memory, ',', &["container_ip", "timestamp_anon", "value"])? {
        found.entry(row[0]).or_default().push(Point { t: number(row[1]), v: number(row[2]) });
    }
    let requests = text(&folder.join("qps.csv"))?;
    let mut sent: BTreeMap<&str, BTreeMap<i64, f64>> = BTreeMap::new();
    for row in columns(&requests, ',', &["container_ip", "timestamp_anon", "value"])? {
        *sent.entry(row[0]).or_default().entry((number(row[1]) / POD_STEP) as i64).or_default() +=
            number(row[2]);
    }
    let long = found.into_iter().filter(|(ip, points)| !ip.is_empty() && points.len() >= POD_SAMPLES);
    let trace = |(ip, points): (&str, Vec<Point>)| {
        let first = points.iter().fold(f64::INFINITY, |m, p| m.min(p.t));
        let mut trace = Trace::new(ip.to_owned(), points);
        // What is not told in a step was not sent.
        if let Some(of) = sent.get(ip) {
            let step =
                |k: i64| Point { t: k as f64 * POD_STEP - first, v: of.get(&k).copied().unwrap_or(0.0) };
            let (from, to) = ((first / POD_STEP) as i64, ((first + trace.span()) / POD_STEP) as i64);
            trace.load = (from..=to).map(step).collect();
        }
        trace
    };
    Ok(long.take(most).map(trace).collect())
}

/// Pods of two shops for a day: memory as a share of the limit, and the requests that each served.
fn shops(folder: &Path, most: usize) -> Result<Vec<Trace>, String> {
    let read = |path: &PathBuf| {
        let text = text(path)?;
        let names = ["TimeStamp", "MemoryUsageRate(%)", "PodWorkload(Ops)"];
        let rows = columns(&text, ',', &names).map_err(|e| format!("{}: {e}", path.display()))?;
        let is_whole = |r: &&Vec<&str>| r.iter().all(|field| number(field).is_finite());
        let rows: Vec<&Vec<&str>> = rows.iter().filter(is_whole).collect();
        let series = |place: usize, scale: f64| -> Vec<Point> {
            rows.iter().map(|r| Point { t: number(r[0]), v: number(r[place]) * scale }).collect()
        };
        let name = path.file_stem().unwrap_or_default().display().to_string();
        let load = Trace::new(String::new(), series(2, 1.0)).points;
        Ok(Trace { load, ..Trace::new(name, series(1, 0.01)) })
    };
    numbered(folder, "csv")?.iter().take(most).map(read).collect()
}

/// Files of a folder whose name ends so, in the order of the numbers in their names.
fn numbered(folder: &Path, end: &str) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let files = entries.filter_map(|e| Some(e.ok()?.path()));
    let mut files: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|x| x == end)).collect();
    let digits = |p: &PathBuf| {
        let name = p.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        name.chars().filter(char::is_ascii_digit).collect::<String>().parse::<u64>().unwrap_or(u64::MAX)
    };
    files.sort_by_key(|p| (digits(p), p.clone()));
    Ok(files)
}

/// Virtual machines: used over provisioned memory, the first days.
fn machines(folder: &Path, most: usize) -> Result<Vec<Trace>, String> {
    let mut out = Vec::new();
    for path in numbered(folder, "csv")? {
        let text = text(&path)?;
        let names = ["Timestamp [ms]", "Memory capacity provisioned [KB]", "Memory usage [KB]"];
        let rows = columns(&text, ';', &names).map_err(|e| format!("{}: {e}", path.display()))?;
        let first = rows.iter().map(|r| number(r[0])).fold(f64::INFINITY, f64::min);
        let rows = rows.iter().map(|r| (number(r[0]), number(r[1]), number(r[2])));
        let early: Vec<(f64, f64, f64)> = rows.filter(|r| r.0 < first + MACHINE_DAYS * 86_400.0).collect();
        // A machine that is given more memory on the way has no one limit.
        let most_given = early.iter().fold(0.0, |m: f64, r| m.max(r.1));
        let is_kept = early.iter().all(|r| r.1 > 0.99 * most_given);
        let complete = early.len() as f64 >= COMPLETE * MACHINE_DAYS * 86_400.0 / MACHINE_STEP;
        if is_kept && complete && most_given > 0.0 {
            let points = early.iter().map(|r| Point { t: r.0, v: r.2 / r.1 }).collect();
            out.push(Trace::new(format!("{}", path.file_stem().unwrap_or_default().display()), points));
        }
        if out.len() == most {
            break;
        }
    }
    Ok(out)
}

/// Hosts in whole per cents, thinned out to minutes.
fn hosts(folder: &Path, most: usize) -> Result<Vec<Trace>, String> {
    let read = |path: &PathBuf| {
        let text = text(path)?;
        let rows =
            columns(&text, ',', &["seconds", "used"]).map_err(|e| format!("{}: {e}", path.display()))?;
        let points = rows.iter().map(|r| Point { t: number(r[0]), v: number(r[1]) / 100.0 });
        let mut trace =
            Trace::new(format!("{}", path.file_stem().unwrap_or_default().display()), points.collect());
        let mut next = 0.0;
        trace.points.retain(|p| {
            let is_due = p.t >= next;
            if is_due {
                next = p.t + HOST_STEP - 1.0;
            }
            is_due
        });
        Ok(trace)
    };
    numbered(folder, "csv")?.iter().take(most).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(days: f64, level: f64) -> Trace {
        let n = (days * 1440.0) as usize;
        Trace::new("flat".to_owned(), (0..n).map(|i| Point { t: 1e9 + i as f64 * 60.0, v: level }).collect())
    }

    #[test]
    fn a_leak_begins_at_two_fifths_and_ends_at_the_limit() {
        let untouched = flat(10.0, 0.4);
        for index in 0..20 {
            let t = untouched.with_leak(1, index);
            let leak = t.leak.expect("a leak");
            assert!((leak.onset - 4.0 * 86_400.0).abs() < 60.0 && leak.seen);
            let hours = (leak.death - leak.onset) / 3600.0;
            assert!((3.9..=96.1).contains(&hours), "{hours}");
            assert!(t.points.iter().all(|p| p.v < 1.0) && t.span() < leak.death);
            assert!((t.before(leak.onset, 3600.0) - 0.4).abs() < 1e-9);
        }
    }

    #[test]
    fn a_trace_by_the_minute_holds_the_newest_sample() {
        let points = (0..5).map(|i| Point { t: f64::from(i) * 300.0, v: 0.1 * f64::from(i) }).collect();
        let service = Trace::new("slow".to_owned(), points).by_minute();
        assert_eq!(service.rss.len(), 21);
        assert_eq!((service.rss[4], service.rss[5], service.rss[20]), (0.0, 0.1, 0.4));
    }

    #[test]
    fn columns_are_found_by_name_and_short_lines_left_out() {
        let rows = columns("a;b; c\n1;2;3\n4\n7;8;9\n", ';', &["c", "a"]).expect("columns");
        assert_eq!(rows, [["3", "1"], ["9", "7"]]);
        assert!(columns("a;b\n", ';', &["x"]).is_err());
    }
}
