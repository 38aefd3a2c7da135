//! Trends of the numbers that verdicts compare: total memory, live heap, held heap, the gap, the counts.

use serde::Serialize;

use crate::fact::Fact;
use crate::recording::Recording;
use crate::runtime;
use crate::runtime::rules::{LiveRule, Rules, UnitRule, keeps_collecting};
use crate::series::{Point, Series};
use crate::slope::{self, Death, Epoch, Interval, Posterior, Question, Samples, Shape};

/// Does a number climb?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rising {
    /// The interval of the slope lies above zero and the growth matters.
    Yes,
    /// The growth is too small to matter, or the number falls.
    No,
    /// Cannot be told from these samples.
    Unclear,
}

/// How one number moved while it was watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The number in the user's terms.
    pub name: String,
    /// Newest level, in the number's unit.
    pub level: f64,
    /// Slope now, per second.
    pub slope: Interval,
    /// Growth over the watched span by the fitted slope.
    pub growth: f64,
    /// Seconds watched.
    pub span: f64,
    /// Samples.
    pub samples: usize,
    /// Probability that it goes on to climb: by [`GOES_ON`] times what was seen, or to the limit.
    pub p_climb: f64,
    /// Shape of the movement.
    pub shape: Shape,
    /// Does it climb now?
    pub rising: Rising,
    /// True for a count, false for bytes.
    pub counts: bool,
}

/// A count with how it moves beside the memory.
#[derive(Debug, Clone, PartialEq)]
pub struct CountTrend {
    /// What is counted.
    pub rule: UnitRule,
    /// The count's movement.
    pub trend: Trend,
    /// Correlation of its increments' path with the memory's, −1 to 1.
    pub lockstep: f64,
    /// Bytes of memory growth per unit of count growth.
    pub bytes_each: f64,
    /// Share of the memory's growth that the units' own account (their stacks) shows, when there is one.
    pub own_share: Option<f64>,
}

/// Everything that the cause rules compare.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Private memory of the process: anonymous and shared, without file cache.
    pub total: Option<Trend>,
    /// The live heap, by the best floor of the runtime.
    pub live: Option<Trend>,
    /// What the runtime holds for its heap.
    pub held: Option<Trend>,
    /// Resident memory outside the held heap.
    pub outside: Option<Trend>,
    /// Resident memory that the runtime's own accounting does not explain.
    pub unaccounted: Option<Trend>,
    /// Free memory inside the C library's allocator.
    pub malloc_free: Option<Trend>,
    /// Allocated memory inside the C library's allocator.
    pub malloc_in_use: Option<Trend>,
    /// Anonymous mappings outside the C library's heaps.
    pub mapped: Option<Trend>,
    /// Accounts outside the heap.
    pub off_heap: Vec<Trend>,
    /// Counts that may pile up.
    pub counts: Vec<CountTrend>,
    /// Collections per second.
    pub collections_per_second: Option<f64>,
    /// Share of time in collection pauses.
    pub collection_share: Option<f64>,
    /// Bytes allocated per second.
    pub allocated_per_second: Option<f64>,
}

/// Smallest growth over the watched span that can matter, bytes.
const LEAST_GROWTH: f64 = 256.0 * 1024.0;
/// Smallest growth over the watched span that can matter, as a share of the level.
const LEAST_SHARE: f64 = 0.005;

/// A climb "goes on" when it gains this many times what was seen: a plateau beyond that is out of sight.
pub const GOES_ON: f64 = 3.0;

impl Trend {
    /// True when a plateau within sight is the best account of the movement.
    pub fn bends(&self) -> bool {
        self.shape == Shape::Saturating && self.p_climb < 0.5
    }
}

/// Computes the trends of a recording up to its newest sample.
pub fn signals(r: &Recording) -> Signals {
    let rules = runtime::rules(r.target.runtime);
    let total = total_series(r);
    let held = rules.held_of(r);
    let gap = |base: Option<Fact>| base.map(|f| minus(&total, r.series(f)));
    let private = trend(r, "private memory", total.points(), Samples::Raw);
    Signals {
        live: rules.live_of(r).and_then(|l| live_trend(r, l)),
        held: held.and_then(|f| trend(r, "heap held by the runtime", r.series(f).points(), Samples::Raw)),
        outside: gap(held).and_then(|s| trend(r, "memory outside the heap", s.points(), Samples::Raw)),
        unaccounted: gap(rules.accounted.filter(|f| r.last(*f).is_some()))
            .and_then(|s| trend(r, "memory the runtime does not account for", s.points(), Samples::Raw)),
        malloc_free: of(r, Fact::MallocFree, "free memory inside the allocator"),
        malloc_in_use: of(r, Fact::MallocInUse, "allocated chunks"),
        mapped: of(r, Fact::SmapsAnonOther, "anonymous mappings outside malloc's heaps"),
        off_heap: rules.off_heap.iter().filter_map(|o| of(r, o.fact, o.name)).collect(),
        counts: rules.units.iter().filter_map(|u| count_trend(r, u, &total)).collect(),
        collections_per_second: sum_rates(r, rules.collections),
        collection_share: collection_share(r, rules),
        allocated_per_second: rules.allocated.and_then(|f| whole_rate(r, f)),
        total: private,
    }
}

/// Private memory: anonymous plus shared where the kernel says it, else the resident set.
pub fn total_series(r: &Recording) -> Series {
    let anon = r.series(Fact::RssAnon);
    if anon.points().len() < r.series(Fact::Rss).points().len() / 2 {
        return r.series(Fact::Rss).clone();
    }
    // JDK 17's ZGC maps its heap several times: resident shared memory counts each mapping.
    let multi_mapped = r.target.flag("gc") == Some("Z");
    let shmem = r.series(Fact::RssShmem);
    let mut out = Series::default();
    for p in anon.points() {
        let shared = if multi_mapped { 0.0 } else { shmem.at(p.t).unwrap_or(0.0) };
        out.push(p.t, p.v + shared);
    }
    if out.points().is_empty() { r.series(Fact::RecordedUsage).clone() } else { out }
}

fn of(r: &Recording, fact: Fact, name: &str) -> Option<Trend> {
    trend(r, name, r.series(fact).points(), Samples::Raw)
}

fn live_trend(r: &Recording, l: LiveRule) -> Option<Trend> {
    trend(r, l.name, l.points(r), l.samples)
}

/// `a − b` at the times of `a` for which `b` is known, from the last moment on at which `b` was the larger: while
/// more is committed than resident, growth of `a` may as well lie inside `b`.
fn minus(a: &Series, b: &Series) -> Series {
    let mut out = Series::default();
    for p in a.points() {
        match b.at(p.t) {
            Some(v) if v > p.v => out = Series::default(),
            Some(v) => {
                out.push(p.t, p.v - v);
            }
            None => {}
        }
    }
    out
}

/// Splits a series at the restarts of its recording.
pub fn epochs<'a>(r: &Recording, points: &'a [Point]) -> Vec<Epoch<'a>> {
    let mut versions: Vec<&Option<String>> = Vec::new();
    let mut out = Vec::with_capacity(r.epochs.len());
    for (i, mark) in r.epochs.iter().enumerate() {
        let end = r.epochs.get(i + 1).map_or(f64::INFINITY, |next| next.from);
        let a = points.partition_point(|p| p.t < mark.from);
        let b = points.partition_point(|p| p.t < end);
        let version = versions.iter().position(|v| **v == mark.version).unwrap_or_else(|| {
            versions.push(&mark.version);
            versions.len() - 1
        });
        if a < b {
            out.push(Epoch { start: mark.start, version: version as u32, replica: 0, points: &points[a..b] });
        }
    }
    out
}

/// Asks the estimator about one series of a recording against one level.
pub fn ask(
    r: &Recording,
    points: &[Point],
    samples: Samples,
    death: Death,
    limit: f64,
) -> Result<Posterior, slope::NotYet> {
    let lowest = (samples == Samples::PostCollection && bounces(points)).then(|| envelope(points));
    let epochs = epochs(r, lowest.as_deref().unwrap_or(points));
    slope::estimate(&Question {
        epochs: &epochs,
        load: r.series(Fact::Load).points(),
        samples,
        death,
        limit,
        now: r.now().unwrap_or(0.0),
        garbage: may_be_garbage(r),
        seed: SEED,
    })
}

/// Deep drops between post-collection points: a partial collection counted what was only in flight (G1's young
/// pauses keep live large arrays), so the floor is the lower envelope, not each point.
fn bounces(points: &[Point]) -> bool {
    const DEEP: f64 = 0.75;
    const OFTEN: usize = 3;
    let drops = points.windows(2).filter(|w| w[1].v < DEEP * w[0].v).count();
    drops >= OFTEN && drops * 20 >= points.len()
}

/// The lowest of every few points: what a collection that saw the floor left.
fn envelope(points: &[Point]) -> Vec<Point> {
    const FEW: usize = 4;
    points.chunks(FEW).filter_map(|c| c.iter().min_by(|a, b| a.v.total_cmp(&b.v)).copied()).collect()
}

/// True for a runtime with a collector that has not run often enough to have shown its teeth, and for a table
/// of which nothing is known.
fn may_be_garbage(r: &Recording) -> bool {
    let rules = runtime::rules(r.target.runtime);
    let collected = rules.collections.iter().any(|c| keeps_collecting(r.series(*c).points()));
    let unknown = r.target.pid == 0 && r.last(Fact::RecordedUsage).is_some();
    (rules.collects() && !collected && heap_grows(r, rules)) || unknown
}

/// Whether the heap, garbage included, is a fair part of the growth of the process; true while it is unknown.
fn heap_grows(r: &Recording, rules: &Rules) -> bool {
    const FAIR: f64 = 0.3;
    let grown = |s: &Series| s.first().zip(s.last()).map(|(a, b)| b.v - a.v);
    let heaps = [Fact::JvmHeapUsed, Fact::GoHeapAlloc, Fact::V8HeapUsed];
    let heap = heaps.iter().chain(rules.held).find_map(|f| grown(r.series(*f)));
    heap.zip(grown(&total_series(r))).is_none_or(|(heap, total)| heap >= FAIR * total)
}

/// Seed of the posterior draws: fixed, so that the same recording always gives the same answer.
const SEED: u64 = 0x0070_6c69_6d73_6f6c;

fn trend(r: &Recording, name: &str, points: &[Point], samples: Samples) -> Option<Trend> {
    let level = points.last()?.v;
    let least = LEAST_GROWTH.max(LEAST_SHARE * level);
    let sight = sight(points, least).min(headroom(r));
    let p = ask(r, points, samples, Death::AtUsage, level + sight).ok()?;
    let growth = p.slope.mid * p.span;
    Some(Trend {
        name: name.to_owned(),
        level,
        growth,
        span: p.span,
        samples: points.len(),
        p_climb: p.p_leak,
        shape: p.shape,
        rising: rising(&p, least),
        counts: false,
        slope: p.slope,
    })
}

/// How far ahead a plateau matters: [`GOES_ON`] times the growth that was seen.
fn sight(points: &[Point], least: f64) -> f64 {
    let grown = points.first().zip(points.last()).map_or(0.0, |(a, b)| b.v - a.v);
    GOES_ON * grown.max(least)
}

/// Bytes to the container's limit: a climb that gets there need not go on.
fn headroom(r: &Recording) -> f64 {
    let limit = r.last(Fact::CgroupLimit).or_else(|| r.last(Fact::RecordedLimit));
    let usage = r.last(Fact::CgroupUnreclaimable).or_else(|| r.last(Fact::RecordedUsage));
    limit.zip(usage).map_or(f64::INFINITY, |(l, u)| (l - u).max(LEAST_GROWTH))
}

/// The slope's interval decides; a growth that could not matter is no growth.
fn rising(p: &Posterior, least: f64) -> Rising {
    if p.slope.low > 0.0 && p.slope.mid * p.span >= least {
        Rising::Yes
    } else if p.slope.high * p.span < least {
        Rising::No
    } else {
        Rising::Unclear
    }
}

fn count_trend(r: &Recording, rule: &UnitRule, total: &Series) -> Option<CountTrend> {
    let series = r.series(rule.fact);
    let level = series.last()?.v;
    let least = rule.least.max(0.02 * level);
    let p =
        ask(r, series.points(), Samples::Raw, Death::AtUsage, level + sight(series.points(), least)).ok()?;
    let trend = Trend {
        name: format!("{}s", rule.noun),
        level,
        growth: p.slope.mid * p.span,
        span: p.span,
        samples: series.points().len(),
        p_climb: p.p_leak,
        shape: p.shape,
        rising: rising(&p, least),
        counts: true,
        slope: p.slope,
    };
    let (lockstep, bytes_each) = lockstep(series, total);
    let own_share = rule.own_bytes.and_then(|f| own_share(r.series(f), total));
    Some(CountTrend { rule: *rule, trend, lockstep, bytes_each, own_share })
}

/// Correlation of a count with memory at the count's times, and the bytes per unit by least squares.
fn lockstep(count: &Series, memory: &Series) -> (f64, f64) {
    let pairs: Vec<(f64, f64)> =
        count.points().iter().filter_map(|p| memory.at(p.t).map(|m| (p.v, m))).collect();
    let n = pairs.len() as f64;
    if pairs.len() < 3 {
        return (0.0, 0.0);
    }
    let (mx, my) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let (mut sxy, mut sxx, mut syy) = (0.0, 0.0, 0.0);
    for (x, y) in &pairs {
        sxy += (x - mx) * (y - my);
        sxx += (x - mx) * (x - mx);
        syy += (y - my) * (y - my);
    }
    if sxx <= 0.0 || syy <= 0.0 { (0.0, 0.0) } else { (sxy / (sxx * syy).sqrt(), sxy / sxx) }
}

/// Share of the memory's growth that an account shows over the time that both were seen.
fn own_share(account: &Series, memory: &Series) -> Option<f64> {
    let (a, b) = (account.first()?, account.last()?);
    let grown = memory.at(b.t)? - memory.at(a.t)?;
    (b.t > a.t && grown > LEAST_GROWTH).then(|| ((b.v - a.v) / grown).clamp(0.0, 1.0))
}

fn whole_rate(r: &Recording, fact: Fact) -> Option<f64> {
    r.series(fact).rate(f64::INFINITY)
}

fn sum_rates(r: &Recording, facts: &[Fact]) -> Option<f64> {
    let rates: Vec<f64> = facts.iter().filter_map(|f| whole_rate(r, *f)).collect();
    (!rates.is_empty()).then(|| rates.iter().sum())
}

fn collection_share(r: &Recording, rules: &Rules) -> Option<f64> {
    if rules.collections.contains(&Fact::GoGcs) {
        return r.last(Fact::GoGcCpu);
    }
    whole_rate(r, Fact::JvmGcSeconds)
}
