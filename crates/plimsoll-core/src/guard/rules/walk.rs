//! Rules walked over a recording as a server would have evaluated them live: the same grid, the same windows, nothing ahead.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Alert, Expr, FDS, FDS_LIMIT, FLOOR, FLOOR_WINDOW, GOROUTINES, Group, HEAP, HEAP_LIMIT, HOUR, LIMIT,
    Makes, NATIVE_NOW, NO_LIMIT, OOM, Op, Over, START, THREADS,
};
use crate::fact::Fact;
use crate::recording::Recording;
use crate::series::{Point, Series};

/// One time that an alert fired.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Firing {
    /// The alert.
    pub alert: &'static str,
    /// How urgent.
    pub severity: &'static str,
    /// Since when, Unix seconds.
    pub from: f64,
    /// Until when; the end of the recording where it still fires.
    pub until: f64,
    /// What it said first.
    pub value: f64,
}

/// An alert that this recording cannot decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Silent {
    /// The alert.
    pub alert: &'static str,
    /// Why.
    pub why: String,
}

/// What the rules would have said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Walk {
    /// In order of time.
    pub firings: Vec<Firing>,
    /// Alerts that were decided, whether they fired or not.
    pub decided: Vec<&'static str>,
    /// Alerts that cannot be decided here.
    pub silent: Vec<Silent>,
    /// First and last instant.
    pub span: (f64, f64),
}

/// A recorded series so far.
#[derive(Debug, Default)]
struct Recorded {
    points: Vec<Point>,
    every: f64,
}

impl Recorded {
    /// The value at an instant: of the last evaluation, if that gave one.
    fn at(&self, t: f64) -> Option<f64> {
        let last = self.points.get(..self.points.partition_point(|p| p.t <= t))?.last()?;
        (t - last.t < self.every).then_some(last.v)
    }

    fn within(&self, from: f64, to: f64) -> &[Point] {
        let range = self.points.partition_point(|p| p.t <= from)..self.points.partition_point(|p| p.t <= to);
        self.points.get(range).unwrap_or_default()
    }
}

/// Seconds of a recording that are walked at most: a time that is wrong by decades must not be walked minute by minute.
const LONGEST: f64 = 5.0 * 366.0 * 86_400.0;

/// Why a recording of so many seconds is not walked, if it is not.
pub fn too_long(span: f64) -> Option<String> {
    (span > LONGEST).then(|| {
        format!(
            "its times span {:.0} years, and five are walked at most: is one of them wrong?",
            span / 31_557_600.0
        )
    })
}

/// Walks the rules over a recording. `limit` stands in where the recording has none.
pub fn walk(recording: &Recording, groups: &[Group], limit: Option<f64>) -> Walk {
    let (Some(from), Some(to)) = (recording.from(), recording.now()) else { return Walk::default() };
    if let Some(why) = too_long(to - from) {
        let alerts = groups.iter().flat_map(|g| &g.rules).filter(|r| matches!(r.makes, Makes::Alert(_)));
        let silent = alerts.map(|r| Silent { alert: r.name, why: why.clone() }).collect();
        return Walk { silent, span: (from, to), ..Walk::default() };
    }
    let exported = Exported::of(recording, limit);
    let every = groups.iter().map(|g| g.every).fold(f64::INFINITY, f64::min).max(1.0);
    let mut state = State { exported, kept: BTreeMap::new(), alerts: BTreeMap::new(), firings: Vec::new() };
    // As on a server: on round times.
    let first = (from / every).ceil();
    for k in 0..=((to / every - first).max(0.0) as u64) {
        let t = (first + k as f64) * every;
        for group in groups.iter().filter(|g| t % g.every == 0.0) {
            state.evaluate(group, t);
        }
    }
    state.end(to);
    let (decided, silent) = decided(groups, &state, to - from);
    state.firings.sort_by(|a, b| a.from.total_cmp(&b.from));
    Walk { firings: state.firings, decided, silent, span: (from, to) }
}

/// What is known while walking.
struct State<'a> {
    exported: Exported<'a>,
    kept: BTreeMap<&'static str, Recorded>,
    /// Since when an alert holds, and the place of its firing once it fires.
    alerts: BTreeMap<&'static str, (f64, Option<usize>)>,
    firings: Vec<Firing>,
}

impl State<'_> {
    fn evaluate(&mut self, group: &Group, t: f64) {
        // Several may export the same: it is one series here.
        let mut seen = BTreeSet::new();
        for rule in &group.rules {
            let value = match &rule.makes {
                Makes::Exported(..) if !seen.insert(rule.name) => continue,
                Makes::Exported(..) => self.exported.at(rule.name, t),
                Makes::Record(expr) => self.value(expr, t),
                Makes::Alert(alert) => {
                    let value = self.value(&alert.when, t);
                    self.alert(rule.name, alert, value, t);
                    continue;
                }
            };
            let recorded = self.kept.entry(rule.name).or_default();
            recorded.every = group.every;
            recorded.points.extend(value.map(|v| Point { t, v }));
        }
    }

    fn alert(&mut self, name: &'static str, alert: &Alert, value: Option<f64>, t: f64) {
        let Some(value) = value else {
            if let Some((_, Some(at))) = self.alerts.remove(name)
                && let Some(firing) = self.firings.get_mut(at)
            {
                firing.until = t;
            }
            return;
        };
        let (since, firing) = self.alerts.entry(name).or_insert((t, None));
        if firing.is_none() && t - *since >= alert.lasting {
            *firing = Some(self.firings.len());
            self.firings.push(Firing {
                alert: name,
                severity: alert.severity,
                from: t,
                until: f64::INFINITY,
                value,
            });
        }
    }

    fn end(&mut self, to: f64) {
        self.firings.iter_mut().for_each(|f| f.until = f.until.min(to));
    }

    /// The value of an expression; none where its series have none, or a comparison does not hold.
    fn value(&self, expr: &Expr, t: f64) -> Option<f64> {
        match expr {
            Expr::Number(v) => Some(*v),
            Expr::Now => Some(t),
            Expr::At(series, ago) => self.kept.get(series)?.at(t - ago),
            Expr::Over { over, series, window, ago } => {
                let to = t - ago;
                over.of(self.kept.get(series)?.within(to - window, to))
            }
            // One workload with one replica: its mean is itself.
            Expr::OfWorkload(_, inner) => self.value(inner, t),
            Expr::Both(op, left, right) => {
                let (left, right) = (self.value(left, t), self.value(right, t));
                match op {
                    Op::Add => Some(left? + right?),
                    Op::Sub => Some(left? - right?),
                    Op::Mul => Some(left? * right?),
                    Op::Div => Some(left? / right?),
                    Op::Above => left.filter(|l| right.is_some_and(|r| *l > r)),
                    Op::Below => left.filter(|l| right.is_some_and(|r| *l < r)),
                    Op::And => right.and(left),
                    Op::Or => left.or(right),
                    Op::Unless => left.filter(|_| right.is_none()),
                }
            }
        }
    }
}

impl Over {
    /// As the server computes it.
    fn of(self, points: &[Point]) -> Option<f64> {
        let first = points.first()?;
        let n = points.len() as f64;
        let mean = points.iter().map(|p| p.v).sum::<f64>() / n;
        match self {
            Over::Avg => Some(mean),
            Over::Min => points.iter().map(|p| p.v).reduce(f64::min),
            Over::Max => points.iter().map(|p| p.v).reduce(f64::max),
            Over::Count => Some(n),
            Over::Changes => Some(points.windows(2).filter(|w| w[0].v != w[1].v).count() as f64),
            Over::Deriv => {
                let middle = points.iter().map(|p| p.t - first.t).sum::<f64>() / n;
                let (mut both, mut square) = (0.0, 0.0);
                for p in points {
                    let dt = p.t - first.t - middle;
                    both += dt * (p.v - mean);
                    square += dt * dt;
                }
                (square > 0.0).then_some(both / square)
            }
        }
    }
}

/// What a recording has of what servers are told.
struct Exported<'a> {
    recording: &'a Recording,
    usage: &'a Series,
    limit: Option<f64>,
}

impl<'a> Exported<'a> {
    fn of(recording: &'a Recording, limit: Option<f64>) -> Self {
        let usage = [Fact::CgroupUnreclaimable, Fact::CgroupAnon, Fact::RecordedUsage, Fact::Rss]
            .map(|f| recording.series(f));
        let usage = usage.into_iter().find(|s| s.first().is_some()).unwrap_or(recording.series(Fact::Rss));
        Exported { recording, usage, limit }
    }

    fn first(&self, facts: &[Fact]) -> &Series {
        static NONE: Series = Series::EMPTY;
        let of = |fact: &Fact| Some(self.recording.series(*fact)).filter(|s| s.first().is_some());
        facts.iter().find_map(of).unwrap_or(&NONE)
    }

    /// A series that a server would have at an instant.
    fn at(&self, name: &str, t: f64) -> Option<f64> {
        let lowest = |s: &Series| Over::Min.of(window(s, t, FLOOR_WINDOW));
        let rss = || self.recording.series(Fact::Rss).at(t);
        match name {
            FLOOR => self.floor(t),
            LIMIT => self.first(&[Fact::CgroupLimit, Fact::RecordedLimit]).at(t).or(self.limit),
            START => self.recording.epochs.iter().rfind(|e| e.from <= t).map(|e| e.start),
            GOROUTINES => lowest(self.first(&[Fact::Goroutines])),
            THREADS => lowest(self.first(&[Fact::JvmThreads, Fact::Threads])),
            FDS => lowest(self.first(&[Fact::Fds])),
            NATIVE_NOW => Some(rss()? - self.first(&[Fact::JvmHeapCommitted, Fact::GoHeapHeld]).at(t)?),
            HEAP => lowest(self.first(&LIVE)),
            HEAP_LIMIT => self
                .first(&[Fact::JvmOldMax, Fact::JvmHeapMax, Fact::GoMemLimit, Fact::V8HeapLimit])
                .at(t)
                .filter(|v| *v > 0.0),
            OOM => {
                let kills = window(self.recording.series(Fact::CgroupOomKills), t, HOUR);
                Some((kills.last()?.v - kills.first()?.v).max(0.0))
            }
            _ => None,
        }
    }

    /// Each life has its own lowest; a container that ended is seen for as long as the window reaches back.
    fn floor(&self, t: f64) -> Option<f64> {
        let points = window(self.usage, t, FLOOR_WINDOW);
        let borders: Vec<f64> = self.recording.epochs.iter().map(|e| e.from).collect();
        let lives = points.chunk_by(|a, b| !borders.iter().any(|border| a.t < *border && *border <= b.t));
        lives.filter_map(|life| Over::Min.of(life)).reduce(f64::max)
    }
}

const LIVE: [Fact; 4] = [Fact::JvmLive, Fact::GoLive, Fact::V8Live, Fact::RecordedLive];

fn window(series: &Series, t: f64, window: f64) -> &[Point] {
    let points = series.until(t);
    points.get(points.partition_point(|p| p.t <= t - window)..).unwrap_or_default()
}

/// What each exported series is, in words.
fn words(series: &str) -> &'static str {
    match series {
        FLOOR => "memory in use (at least every 15 min)",
        LIMIT => "limit (--limit gives one)",
        START => "start of the process",
        GOROUTINES => "goroutines",
        THREADS => "threads",
        FDS => "open descriptors",
        FDS_LIMIT => "limit of descriptors",
        NATIVE_NOW => "resident memory with the heap's share of it",
        HEAP => "heap after collections",
        HEAP_LIMIT => "bound of the heap",
        OOM => "count of kills",
        NO_LIMIT => "word of missing limits",
        _ => "metrics of the agent",
    }
}

/// Which alerts could be decided, and why the others could not.
fn decided(groups: &[Group], state: &State<'_>, span: f64) -> (Vec<&'static str>, Vec<Silent>) {
    let (mut decided, mut silent) = (Vec::new(), Vec::new());
    let rules = || groups.iter().flat_map(|g| &g.rules);
    for rule in rules() {
        let Makes::Alert(alert) = &rule.makes else { continue };
        let mut needed = BTreeSet::new();
        needs(&alert.when, groups, &mut needed);
        let absent = needed.iter().find(|name| {
            let is_exported = rules().any(|r| r.name == **name && matches!(r.makes, Makes::Exported(..)));
            is_exported && state.kept.get(*name).is_none_or(|r| r.points.is_empty())
        });
        let why = match absent {
            Some(name) => format!("the recording has no {}", words(name)),
            None if span < alert.needs => format!(
                "the recording is {} long, and it looks back {}",
                crate::units::duration(span),
                crate::units::duration(alert.needs)
            ),
            None => {
                decided.push(rule.name);
                continue;
            }
        };
        silent.push(Silent { alert: rule.name, why });
    }
    (decided, silent)
}

/// The series that an expression rests on, through those that are recorded.
fn needs(expr: &Expr, groups: &[Group], into: &mut BTreeSet<&'static str>) {
    match expr {
        Expr::Number(_) | Expr::Now => {}
        Expr::At(series, _) | Expr::Over { series, .. } => {
            if !into.insert(series) {
                return;
            }
            for rule in groups.iter().flat_map(|g| &g.rules).filter(|r| r.name == *series) {
                if let Makes::Record(inner) = &rule.makes {
                    needs(inner, groups, into);
                }
            }
        }
        Expr::OfWorkload(_, inner) => needs(inner, groups, into),
        Expr::Both(_, left, right) => {
            needs(left, groups, into);
            needs(right, groups, into);
        }
    }
}
