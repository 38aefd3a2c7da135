//! The clock: which limit binds first, how long until it is reached, and what that asks for.
//!
//! Every bound is judged on its own number (the control group's unreclaimable memory, the heap after
//! collection, …). The dead zone at a limit comes before any slope: there the process may hang with a flat
//! RSS, refaulting its own pages, while the kernel does not kill it yet.

use serde::Serialize;

use crate::fact::Fact;
use crate::recording::Recording;
use crate::runtime;
use crate::runtime::rules::{BoundRule, best, live};
use crate::series::{Point, Series};
use crate::signals::{ask, total_series};
use crate::slope::{Death, NotYet, Posterior, Samples};
use crate::units;

/// One limit with the number that runs against it.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The limit in the user's terms.
    pub name: String,
    /// The number that runs against it, in the user's terms.
    pub usage_name: String,
    /// The limit, bytes.
    pub limit: f64,
    /// The number now, bytes.
    pub usage: f64,
    /// Its highest of the last minute, bytes: what swings comes back there.
    pub lately: f64,
    /// True when reaching it slows the process rather than ending it.
    pub degrades: bool,
    /// What the estimator says of this number against this limit.
    pub posterior: Result<Posterior, NotYet>,
}

impl Bound {
    /// Bytes between the number now and the limit.
    pub fn headroom(&self) -> f64 {
        (self.limit - self.usage).max(0.0)
    }

    /// Bytes between its highest of the last minute and the limit: what more it may take without harm.
    pub fn room(&self) -> f64 {
        (self.limit - self.lately.max(self.usage)).max(0.0)
    }

    /// Share of the limit in use.
    pub fn share(&self) -> f64 {
        if self.limit > 0.0 { self.usage / self.limit } else { 1.0 }
    }

    /// Whether it is the limit of a control group: only that one a brake can move, or hold a program at.
    pub fn is_of_group(&self) -> bool {
        self.name == CONTAINER_LIMIT
    }

    fn median(&self) -> f64 {
        self.posterior.as_ref().map_or(f64::INFINITY, |p| p.time_to_limit.mid)
    }

    /// Probability of a climb without a plateau; zero while it cannot be told.
    pub fn p_leak(&self) -> f64 {
        self.posterior.as_ref().map_or(0.0, |p| p.p_leak)
    }
}

/// The stall at the limit: alive by the kernel's count, dead by its users'.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadZone {
    /// The limit at which it stalls.
    pub limit: &'static str,
    /// Share of the limit in use.
    pub share: f64,
    /// Collections of the whole heap per second, when it stalls at its heap's bound.
    pub full_collections_per_second: Option<f64>,
    /// Pages faulted back in per second, when known.
    pub refaults_per_second: Option<f64>,
    /// Share of time in which every task stalled on memory, when known.
    pub stall_share: Option<f64>,
}

/// What the clock asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Already at the limit and stalled: buy headroom before anything else.
    AlreadyUnresponsive,
    /// Too little time for calm: take traffic off and capture now.
    DrainAndCapture,
    /// Hours or more: look at it live.
    InvestigateLive,
    /// Nothing climbs towards a limit.
    NothingToDo,
    /// Not enough seen yet.
    KeepWatching,
}

/// The answer to "how long have I got".
#[derive(Debug, Clone)]
pub struct Clock {
    /// Every limit that could be judged, the one that binds first at the head.
    pub bounds: Vec<Bound>,
    /// What to do, by time alone.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// Seconds until the process suffers (collector without end, throttling), when that comes first.
    pub to_degradation: Option<f64>,
    /// The stall at the limit, when it is there.
    pub dead_zone: Option<DeadZone>,
}

/// Under this many seconds (lower end of the interval) there is no time to investigate live. The manual's
/// examples lie on both sides: 15 minutes is "drain and capture now", 80 hours is "calmly, live".
pub const DRAIN_BELOW: f64 = 3600.0;
/// Seconds over which the highest of a number counts for what more it may take.
const LATELY: f64 = 60.0;
/// Share of a heap's bound from which collection takes most of the time: a quarter left means a collection
/// frees at most a quarter of the heap each time.
const HEAP_DEGRADES_AT: f64 = 0.8;
/// Share of a heap's bound, after collection, at which there is nothing left to work with.
const HEAP_FULL_AT: f64 = 0.85;
/// Full collections per second, and share of time in pauses, of a collector that does nothing else.
const FULL_PER_SECOND: f64 = 0.5;
const PAUSED_SHARE: f64 = 0.3;
/// The dead zone begins this close to the limit.
const DEAD_ZONE_SHARE: f64 = 0.95;
/// Refaults per second that no healthy service shows at its limit.
const DEAD_ZONE_REFAULTS: f64 = 2_000.0;
/// Share of time fully stalled on memory that users notice.
const DEAD_ZONE_STALL: f64 = 0.10;

/// Judges every limit of a recording.
pub fn clock(r: &Recording, limit_override: Option<f64>) -> Clock {
    let mut bounds = bounds(r, limit_override);
    bounds.sort_by(|a, b| {
        let key = |b: &Bound| (b.degrades, b.median(), -b.share());
        let (ka, kb) = (key(a), key(b));
        ka.0.cmp(&kb.0).then(ka.1.total_cmp(&kb.1)).then(ka.2.total_cmp(&kb.2))
    });
    let dead_zone = dead_zone(r).or_else(|| heap_is_full(r));
    let to_degradation = to_degradation(r, &bounds);
    let (decision, reason) = decide(bounds.first(), dead_zone.as_ref(), to_degradation, r);
    Clock { bounds, decision, reason, to_degradation, dead_zone }
}

impl Clock {
    /// The limit that binds first.
    pub fn binding(&self) -> Option<&Bound> {
        self.bounds.first()
    }

    /// The same clock with the container's limit and usage as they were seen last: both may have been changed since.
    #[must_use]
    pub fn as_of(&self, r: &Recording) -> Clock {
        let mut clock = self.clone();
        for bound in clock.bounds.iter_mut().filter(|b| b.is_of_group()) {
            bound.limit = r.last(Fact::CgroupLimit).unwrap_or(bound.limit);
            bound.usage = r.last(Fact::CgroupUnreclaimable).unwrap_or(bound.usage);
            bound.lately = bound.lately.max(bound.usage);
        }
        clock
    }

    /// Highest probability of a climb over all bounds.
    pub fn p_leak(&self) -> f64 {
        self.bounds.iter().map(Bound::p_leak).fold(0.0, f64::max)
    }
}

const CONTAINER_LIMIT: &str = "container limit";

const COMMON: &[BoundRule] = &[
    BoundRule {
        name: CONTAINER_LIMIT,
        usage: &[
            live(Fact::CgroupUnreclaimable, Samples::Raw, "unreclaimable memory of the group"),
            live(Fact::CgroupUsage, Samples::Raw, "usage of the group, cache included"),
        ],
        limit: Fact::CgroupLimit,
        death: Death::AtUsage,
        degrades: false,
        before: None,
    },
    BoundRule {
        name: "container throttling line (memory.high)",
        usage: &[live(Fact::CgroupUnreclaimable, Samples::Raw, "unreclaimable memory of the group")],
        limit: Fact::CgroupHigh,
        death: Death::AtUsage,
        degrades: true,
        before: None,
    },
    BoundRule {
        name: "data segment limit (ulimit -d)",
        usage: &[live(Fact::VmData, Samples::Raw, "private data mappings")],
        limit: Fact::RlimitData,
        death: Death::AtUsage,
        degrades: false,
        before: None,
    },
    BoundRule {
        name: "address space limit (ulimit -v)",
        usage: &[live(Fact::VmSize, Samples::Raw, "virtual size")],
        limit: Fact::RlimitAs,
        death: Death::AtUsage,
        degrades: false,
        before: None,
    },
    BoundRule {
        name: "recorded limit",
        usage: &[live(Fact::RecordedUsage, Samples::Raw, "recorded usage")],
        limit: Fact::RecordedLimit,
        death: Death::AtUsage,
        degrades: false,
        before: None,
    },
    BoundRule {
        name: "recorded heap bound",
        usage: &[live(Fact::RecordedLive, Samples::PostCollection, "recorded heap after collection")],
        limit: Fact::RecordedLimit,
        death: Death::AtFloor,
        degrades: false,
        before: None,
    },
];

fn bounds(r: &Recording, limit_override: Option<f64>) -> Vec<Bound> {
    let rules = runtime::rules(r.target.runtime);
    let mut out: Vec<Bound> = COMMON.iter().chain(rules.bounds).filter_map(|b| bound(r, b)).collect();
    // A table already carries the limit that was given with it.
    if let Some(limit) = limit_override.filter(|_| r.last(Fact::RecordedLimit).is_none()) {
        let series = total_series(r);
        out.extend(judge_series(r, "limit given", "private memory", series.points(), limit));
    }
    if !r.series(Fact::HostAvailable).points().is_empty() {
        out.extend(host_bound(r));
    }
    out
}

fn bound(r: &Recording, rule: &BoundRule) -> Option<Bound> {
    let (name, limit) = rule.binds(r)?;
    let usage = best(rule.usage, r)?;
    Some(Bound {
        name: name.to_owned(),
        usage_name: usage.name.to_owned(),
        limit,
        usage: usage.points(r).last()?.v,
        lately: lately(usage.points(r)),
        degrades: rule.degrades,
        posterior: ask(r, usage.points(r), usage.samples, rule.death, limit),
    })
}

/// Highest of the last minute.
fn lately(points: &[Point]) -> f64 {
    let from = points.last().map_or(0.0, |p| p.t - LATELY);
    points.iter().rev().take_while(|p| p.t >= from).map(|p| p.v).fold(0.0, f64::max)
}

fn judge_series(r: &Recording, name: &str, usage: &str, points: &[Point], limit: f64) -> Option<Bound> {
    Some(Bound {
        name: name.to_owned(),
        usage_name: usage.to_owned(),
        limit,
        usage: points.last()?.v,
        lately: lately(points),
        degrades: false,
        posterior: ask(r, points, Samples::Raw, Death::AtUsage, limit),
    })
}

/// The machine: this process may take what is available now on top of what it has.
fn host_bound(r: &Recording) -> Option<Bound> {
    let series: Series = total_series(r);
    let used = series.last()?.v;
    let limit = used + r.last(Fact::HostAvailable)?;
    judge_series(r, "memory of the machine", "private memory", series.points(), limit)
}

/// Near its limit a group refaults its own pages or stalls: the slope reads zero there. At the throttling line the
/// kernel itself puts the group to sleep, more the further it climbs.
fn dead_zone(r: &Recording) -> Option<DeadZone> {
    let usage = r.last(Fact::CgroupUsage).or_else(|| r.last(Fact::CgroupUnreclaimable))?;
    let lines = [(CONTAINER_LIMIT, Fact::CgroupLimit), ("throttling line (memory.high)", Fact::CgroupHigh)];
    let shares = lines.into_iter().filter_map(|(name, limit)| {
        let limit = r.last(limit).filter(|l| *l > 0.0)?;
        Some((name, usage / limit))
    });
    let (limit, share) = shares.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|s| s.1 >= DEAD_ZONE_SHARE)?;
    let recent = 15.0;
    let refaults = r.series(Fact::CgroupRefaults).rate(recent);
    let stall = r.series(Fact::CgroupPsiFull).rate(recent).or_else(|| {
        // Without PSI of the group, the machine's stall is only evidence while the group hits its limit.
        let hits = r.series(Fact::CgroupLimitHits).rate(recent).unwrap_or(0.0);
        r.series(Fact::HostPsiFull).rate(recent).filter(|_| hits > 0.0)
    });
    let stalled =
        refaults.is_some_and(|x| x >= DEAD_ZONE_REFAULTS) || stall.is_some_and(|x| x >= DEAD_ZONE_STALL);
    stalled.then_some(DeadZone {
        limit,
        share,
        full_collections_per_second: None,
        refaults_per_second: refaults,
        stall_share: stall,
    })
}

/// The death spiral of a collector: hardly anything is free after collection, and it collects without end.
fn heap_is_full(r: &Recording) -> Option<DeadZone> {
    let rules = runtime::rules(r.target.runtime);
    let recent = 15.0;
    let full = rules.full_collections.and_then(|f| r.series(f).rate(recent));
    // Collectors that work beside the program book their cycles there: no pauses.
    let beside = matches!(r.target.flag("gc"), Some("Z" | "Shenandoah"));
    let pauses = r.series(Fact::JvmGcSeconds).rate(recent).filter(|_| !beside);
    // Of these every collection is one of the whole heap.
    let cycles = rules.collections.iter().filter_map(|f| r.series(*f).rate(recent)).sum::<f64>();
    let full = if beside { Some(cycles.max(full.unwrap_or(0.0))) } else { full };
    let spinning = full.is_some_and(|x| x >= FULL_PER_SECOND) || pauses.is_some_and(|x| x >= PAUSED_SHARE);
    let heaps = rules.bounds.iter().filter(|b| b.death == Death::AtFloor);
    let shares = heaps.filter_map(|b| {
        let (name, limit) = b.binds(r)?;
        Some((name, r.last(best(b.usage, r)?.fact)? / limit))
    });
    let (limit, share) = shares.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (share >= HEAP_FULL_AT && spinning).then_some(DeadZone {
        limit,
        share,
        full_collections_per_second: full.or(Some(0.0)),
        refaults_per_second: None,
        stall_share: pauses,
    })
}

/// Time until a managed heap has so little room that the collector runs without end, or a throttling line.
fn to_degradation(r: &Recording, bounds: &[Bound]) -> Option<f64> {
    let rules = runtime::rules(r.target.runtime);
    let soft = bounds.iter().filter(|b| b.degrades).map(Bound::median);
    let heaps = rules.bounds.iter().filter(|b| b.death == Death::AtFloor).filter_map(|rule| {
        let limit = rule.binds(r)?.1 * HEAP_DEGRADES_AT;
        let usage = best(rule.usage, r)?;
        let p = ask(r, usage.points(r), usage.samples, Death::AtUsage, limit).ok()?;
        Some(p.time_to_limit.mid)
    });
    soft.chain(heaps).filter(|t| t.is_finite()).min_by(f64::total_cmp)
}

fn decide(
    binding: Option<&Bound>,
    dead_zone: Option<&DeadZone>,
    to_degradation: Option<f64>,
    r: &Recording,
) -> (Decision, String) {
    if let Some(ended) = &r.ended {
        return (Decision::NothingToDo, format!("the process is gone: {}", ended.1));
    }
    if let Some(z) = dead_zone {
        return (Decision::AlreadyUnresponsive, z.in_words());
    }
    let Some(bound) = binding else {
        return (Decision::KeepWatching, "no limit could be read, so there is no clock".to_owned());
    };
    match &bound.posterior {
        Err(not_yet) => (Decision::KeepWatching, not_yet.why.clone()),
        Ok(p) if p.p_leak < 0.2 && p.time_to_limit.low > DRAIN_BELOW => {
            (Decision::NothingToDo, format!("nothing climbs towards the {}", bound.name))
        }
        Ok(p) if p.p_leak < 0.5 && p.time_to_limit.mid.is_infinite() => {
            let wait = p
                .undecided_for
                .map_or_else(String::new, |s| format!("; look again in {}", units::duration(s)));
            (Decision::KeepWatching, format!("a climb and a plateau cannot be told apart yet{wait}"))
        }
        Ok(p) => by_time(bound, p, to_degradation),
    }
}

fn by_time(bound: &Bound, p: &Posterior, to_degradation: Option<f64>) -> (Decision, String) {
    let suffering = to_degradation.filter(|d| *d < p.time_to_limit.low);
    let first = suffering.unwrap_or(p.time_to_limit.low);
    let what = if suffering.is_some() { "the collector takes over" } else { "the limit can be reached" };
    let when = units::duration(first);
    if first < DRAIN_BELOW {
        (Decision::DrainAndCapture, format!("{what} in {when} ({}): no time to investigate live", bound.name))
    } else {
        (Decision::InvestigateLive, format!("{what} in {when} at the earliest ({})", bound.name))
    }
}

impl DeadZone {
    fn in_words(&self) -> String {
        let mut parts = vec![format!("{} of the {} in use", units::percent(self.share), self.limit)];
        parts.extend(self.full_collections_per_second.map(|x| format!("{x:.1} full collections per second")));
        parts.extend(self.refaults_per_second.map(|x| format!("{x:.0} pages per second faulted back in")));
        parts.extend(self.stall_share.map(|x| format!("stalled {} of the time", units::percent(x))));
        let lever = if self.in_heap() {
            "the collector does nothing else; a dump still works and stops the clock"
        } else {
            "it hangs although the kernel has not killed it; raise the limit before anything else"
        };
        format!("{}: {lever}", parts.join(", "))
    }

    /// True when the heap's own bound is where it stalls, false at the container's.
    pub fn in_heap(&self) -> bool {
        self.full_collections_per_second.is_some()
    }
}
